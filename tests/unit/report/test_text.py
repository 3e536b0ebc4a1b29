from dataclasses import replace

import pytest

from seatrial.report import text
from seatrial.results import Finding, TestResult, read
from seatrial.verdict import Verdict


def line(verdict, test="suites/cli/test_run.py::test_exit_code", **fields):
    return text.line(
        TestResult(test, "docker", verdict, "build", 0.4391, file="suites/cli/test_run.py", line=35, **fields)
    )


@pytest.mark.parametrize(
    ("verdict", "fields", "expected"),
    [
        (Verdict.PASS, {}, "PASS: test_run.py:35: Cli.TestExitCode 0.439s"),
        (Verdict.WARN, {}, "PASS: test_run.py:35: Cli.TestExitCode 0.439s"),
        (Verdict.FAIL, {"message": "x"}, "FAIL: test_run.py:35: Cli.TestExitCode"),
        (Verdict.ERROR, {}, "PANIC: test_run.py:35: Cli.TestExitCode"),
        (Verdict.UNKNOWN, {}, "MISS: test_run.py:35: Cli.TestExitCode"),
        (Verdict.SKIP, {"reason": "no\nnetwork"}, "SKIP: test_run.py:35: Cli.TestExitCode (no network)"),
        (Verdict.UNSUPPORTED, {"requirement": "swap"}, "SKIP: test_run.py:35: Cli.TestExitCode (needs swap)"),
        (Verdict.DISABLED, {}, "SKIP: test_run.py:35: Cli.TestExitCode (no reason given)"),
        (Verdict.KNOWN, {"reason": "old"}, "FAIL EXPECTED: test_run.py:35: Cli.TestExitCode (old) 0.439s"),
        (
            Verdict.PASS,
            {"known_passes": True, "reason": "old"},
            "PASS: test_run.py:35: Cli.TestExitCode 0.439s",
        ),
    ],
)
def test_lines_of_go_check(verdict, fields, expected):
    assert line(verdict, **fields) == expected


def test_classes_and_parameters_keep_their_names():
    test = "suites/cli/test_run.py::TestPause::test_it[a_b-\n]"
    assert line(Verdict.PASS, test) == "PASS: test_run.py:35: TestPause.TestIt[a_b- ] 0.439s"


@pytest.mark.parametrize(
    ("numbers", "missed", "expected"),
    [
        ({Verdict.PASS: 887, Verdict.SKIP: 10}, 0, "OK: 887 passed, 10 skipped"),
        ({Verdict.PASS: 3}, 0, "OK: 3 passed"),
        (
            {Verdict.PASS: 1, Verdict.SKIP: 1, Verdict.UNSUPPORTED: 2, Verdict.DISABLED: 4},
            0,
            "OK: 1 passed, 7 skipped",
        ),
        ({Verdict.PASS: 1, Verdict.WARN: 1, Verdict.KNOWN: 2}, 0, "OK: 2 passed, 2 expected failures"),
        ({Verdict.PASS: 8, Verdict.SKIP: 1, Verdict.FAIL: 2}, 0, "OOPS: 8 passed, 1 skipped, 2 FAILED"),
        (
            dict.fromkeys(Verdict, 1),
            1,
            "OOPS: 2 passed, 3 skipped, 1 expected failures, 1 FAILED, 1 PANICKED, 2 MISSED",
        ),
        ({Verdict.PASS: 1}, 2, "OOPS: 1 passed, 2 MISSED"),
        ({}, 0, "OOPS: 0 passed"),
        ({Verdict.SKIP: 5}, 0, "OOPS: 0 passed, 5 skipped"),
    ],
)
def test_last_line_of_go_check(numbers, missed, expected):
    assert text.summary(numbers, missed) == expected


CLOSING = """\
FAIL: 1 of 70 tests failed and 1 met a harness error on docker@sid and podman@trixie.
  1 known failure
  7 tests not run
  1 finding
  ! container st-00a30ff3-c1 of this test cannot be removed
  docker@sid     ERROR    1 harness error, 31 passed, 2 skipped, 1 disabled
  podman@trixie  FAIL     1 failed, 1 warned, 1 known failure, 28 passed, 1 unsupported, 2 skipped, 1 disabled
  took 9 min 10 s
  report  {0}/index.html
  JUnit   {0}/junit-*.xml"""


def test_closing_words(run_dir):
    (run_dir / "index.html").touch()
    (run_dir / "junit-docker@sid.xml").touch()
    assert text.closing(read(run_dir / "results.jsonl")) == CLOSING.format(run_dir)


def test_closing_words_name_no_report_that_is_not_there(run_dir):
    for path in [run_dir / "index.html", *run_dir.glob("junit-*.xml")]:
        path.unlink(missing_ok=True)
    words = text.closing(read(run_dir / "results.jsonl"))
    assert words.endswith("\n  report  could not be written")


def test_closing_words_name_the_first_findings(run_dir):
    run = read(run_dir / "results.jsonl")
    run.findings[:] = [Finding("leftover", "docker@sid", f"mount {number} was left\nand more") for number in range(7)]
    run.findings[0] = replace(run.findings[0], reason="known")
    lines = text.closing(run).splitlines()
    assert [line for line in lines if line.startswith("  !")] == [
        *(f"  ! mount {number} was left and more" for number in range(1, 6)), "  ! and 1 more, which the report shows",
    ]  # fmt: skip


def test_closing_words_of_an_interrupted_run_say_how_many_tests_are_missing(run_dir):
    run = read(run_dir / "results.jsonl")
    run = replace(run, footer=replace(run.footer, cause="interrupted", selected=len(run.results) + 3))
    assert "  3 selected tests without a result" in text.closing(run).splitlines()


def test_closing_words_of_an_empty_run_are_not_green(sample, tmp_path):
    directory = sample.sample(tmp_path / "run", ["docker@sid"], empty=True)
    assert text.closing(read(directory / "results.jsonl")).startswith("UNKNOWN: Nothing was tested")

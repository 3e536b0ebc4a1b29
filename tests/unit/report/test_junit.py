from collections import Counter
from dataclasses import replace

import junitparser
import pytest

from seatrial.report import junit
from seatrial.results import Finding, Footer, Header, Run, TargetInfo, TestResult, merge_counts, read
from seatrial.verdict import Verdict

TARGET = "docker@bookworm"
NODE = "suites/cli/test_run.py::test_x[a b]"


def make(*results, findings=(), cut=False, targets=(TARGET,), cause=""):
    header = Header(
        "r",
        "2026-01-01T00:00:00+00:00",
        ["pytest"],
        "0",
        {},
        [TargetInfo(t, "docker", "1") for t in targets],
        0,
    )
    footer = None if cut else Footer("", 1.0, 0, merge_counts(results), len(results), cause)
    return Run(header, list(results), list(findings), footer)


def result(verdict=Verdict.PASS, test=NODE, **fields):
    return TestResult(test, fields.pop("target", TARGET), verdict, "cli", 0.25, **fields)


def cases(run, target=TARGET, claims=None):
    xml = junitparser.JUnitXml.fromstring(junit.render(run, target, claims or {}).encode())
    return [case for suite in xml for case in suite]


def only(*args, **fields):
    (case,) = cases(make(result(*args, **fields)))
    return case


def kinds(case):
    return [type(part).__name__ for part in case.result]


def test_names_carry_the_target():
    case = only()
    assert (case.classname, case.name, case.time) == ("docker@bookworm.cli.test_run", "test_x[a b]", 0.25)
    assert case.is_passed


def test_dots_of_an_address_do_not_part_the_classname():
    run = make(result(target="docker+tcp://10.0.0.1:2375"), targets=["docker+tcp://10.0.0.1:2375"])
    (case,) = cases(run, "docker+tcp://10.0.0.1:2375")
    assert case.classname == "docker+tcp://10_0_0_1:2375.cli.test_run"


@pytest.mark.parametrize(
    ("verdict", "kind"),
    [
        (Verdict.PASS, []),
        (Verdict.WARN, []),
        (Verdict.FAIL, ["Failure"]),
        (Verdict.ERROR, ["Error"]),
        (Verdict.UNKNOWN, ["Error"]),
        (Verdict.KNOWN, ["Skipped"]),
        (Verdict.SKIP, ["Skipped"]),
        (Verdict.UNSUPPORTED, ["Skipped"]),
        (Verdict.DISABLED, ["Skipped"]),
    ],
)
@pytest.mark.parametrize("message", ["", "expected 1\nseen 2", "\x1b[31m\x00\x1b[0m"])
def test_every_verdict_has_its_form_even_without_a_message(verdict, kind, message):
    case = only(verdict, message=message)
    assert kinds(case) == kind
    assert all(part.message for part in case.result)


def test_a_failure_tells_claim_command_and_files(sample, tmp_path):
    from seatrial.report.writing import read_claims

    directory = sample.sample(tmp_path / "run", ["podman@trixie"])
    found = cases(read(directory / "results.jsonl"), "podman@trixie", read_claims(directory / "claims.json"))
    (failed,) = [case for case in found if kinds(case) == ["Failure"] and "findings" not in case.classname]
    text = failed.result[0].text
    assert "claim network-007 (MUST): A published port answers on the host's address [https://" in text
    assert "pytest 'suites/network/test_ports.py::test_taken_port_is_refused' --engine podman@trixie" in text
    assert "commands: repro/" in text
    assert (
        failed.result[0].message == "expected: exit code 125 and a message like /port is already allocated/"
    )


def test_reasons_are_in_the_message():
    assert only(Verdict.SKIP, reason="no network").result[0].message == "SKIP: no network"
    assert only(Verdict.UNSUPPORTED, requirement="freezer").result[0].message == "UNSUPPORTED: needs freezer"
    known = only(Verdict.KNOWN, reason="as designed", link="https://example.org/1")
    assert known.result[0].message == "known failure: as designed (https://example.org/1)"


def test_a_warning_and_a_known_failure_that_passes_say_so_in_the_output():
    assert only(Verdict.WARN, message="slow").system_out.startswith("WARN: slow")
    assert "PASSES AGAIN" in only(Verdict.PASS, known_passes=True, reason="old").system_out


def test_control_characters_and_surrogates_do_not_break_the_file():
    bad = '\x00\x08\x1b[1mbold\x1b[0m \ud800 \uffff ]]> <&" é 漢 \x85 end'
    case = only(Verdict.FAIL, test=f"suites/a.py::test[{bad}]", message=bad, reason=bad)
    assert case.result[0].message.startswith("bold")
    assert case.result[0].message.endswith("end")
    assert "漢" in case.name


@pytest.mark.parametrize(
    ("run", "says"),
    [
        (make(result(), cut=True), "cut off"),
        (make(), "nothing was tested"),
        (make(result(), cause="the engine died"), "the engine died"),
        (replace(make(result()), footer=Footer("", 1, 0, {"PASS": 1}, 3)), "2 selected tests"),
        (replace(make(result()), footer=Footer("", 1, 0, {"PASS": 2}, 1)), "damaged"),
    ],
)
def test_what_is_not_whole_has_an_errored_case(run, says):
    errors = [case for case in cases(run) if kinds(case) == ["Error"]]
    assert len(errors) == 1
    assert says in errors[0].result[0].message


def test_findings_fail_one_by_one_where_they_belong():
    findings = [
        Finding("leftover", TARGET, "a", NODE),
        Finding("leftover", TARGET, "b", NODE),
        Finding("dead", "", ""),
        Finding("leftover", "other", "c"),
    ]
    failed = [case for case in cases(make(result(), findings=findings)) if kinds(case) == ["Failure"]]
    assert [case.name for case in failed] == ["leftover: test_x[a b]", "leftover: test_x[a b] (2)", "dead"]


def test_a_known_finding_is_shown_and_fails_nothing():
    finding = Finding("leftover", TARGET, "a mount", reason="never unmounted", link="https://example.org")
    found, = (case for case in cases(make(result(), findings=[finding])) if case.name == "leftover")
    assert kinds(found) == ["Skipped"]
    assert "never unmounted" in found.result[0].message


def test_no_two_cases_have_the_same_name(sample, tmp_path):
    directory = sample.sample(tmp_path / "run", size=170)
    run = read(directory / "results.jsonl")
    names = Counter()
    for target in junit.file_names(run):
        names.update((case.classname, case.name) for case in cases(run, target))
    assert names.total() == 6 * 170 + 1  # and the finding
    assert set(names.values()) == {1}


def test_each_target_has_a_file_of_its_own_even_when_names_look_alike():
    targets = ["docker+unix:///run/a.sock", "docker+unix:///run-a.sock", "podman@sid"]
    names = junit.file_names(make(result(), targets=targets))
    assert names[targets[0]] == "junit-docker+unix-run-a.sock.xml"
    assert len(set(names.values())) == 4


def test_totals_add_up():
    run = make(
        result(),
        result(Verdict.FAIL, test="a::b"),
        result(Verdict.ERROR, test="a::c"),
        result(Verdict.SKIP, test="a::d"),
    )
    xml = junitparser.JUnitXml.fromstring(junit.render(run, TARGET, {}).encode())
    (suite,) = list(xml)
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (4, 1, 1, 1)

from dataclasses import replace

import pytest

from seatrial.report.conclusion import conclude
from seatrial.results import Finding, Footer, Header, Run, TargetInfo, TestResult, merge_counts
from seatrial.verdict import Verdict

V = Verdict


def make(*verdicts, target="docker"):
    results = [TestResult(f"a.py::t{n}", target, verdict, "cli", 0.1) for n, verdict in enumerate(verdicts)]
    header = Header("r", "", [], "0", {}, [TargetInfo(target, "docker", "1")], 0)
    return Run(header, results, [], Footer("", 1.0, 0, merge_counts(results), len(results)))


@pytest.mark.parametrize(
    ("verdicts", "verdict", "sentence"),
    [
        ([V.PASS, V.PASS], V.PASS, "All 2 tests that ran passed on docker"),
        ([V.PASS, V.SKIP], V.PASS, "The one test that ran passed on docker"),
        ([V.PASS, V.PASS, V.KNOWN], V.PASS, "All 2 tests besides known failures passed on docker"),
        ([V.PASS, V.WARN], V.WARN, "No test failed on docker, 1 test warned"),
        ([V.PASS, V.FAIL], V.FAIL, "1 of 2 tests failed on docker"),
        ([V.PASS, V.ERROR], V.ERROR, "1 of 2 tests met a harness error on docker"),
        ([V.FAIL, V.ERROR], V.FAIL, "1 of 2 tests failed and 1 met a harness error on docker"),
        ([V.PASS, V.UNKNOWN], V.UNKNOWN, "1 test ended without a conclusion"),
        ([], V.UNKNOWN, "Nothing was tested: no test was collected, or every one was deselected"),
        ([V.SKIP, V.UNSUPPORTED], V.UNKNOWN, "Nothing was tested: no test could run"),
        ([V.KNOWN], V.UNKNOWN, "Nothing passed: every test that ran is a known failure"),
    ],
)
def test_a_whole_run(verdicts, verdict, sentence):
    conclusion = conclude(make(*verdicts))
    assert (conclusion.verdict, conclusion.sentence) == (verdict, sentence)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"footer": None}, "cut off"),
        ({"footer": Footer("", 1, 2, {"PASS": 1}, 1, "the engine died")}, "ended early: the engine died"),
        ({"footer": Footer("", 1, 0, {"PASS": 1}, 9)}, "8 selected tests ended without a result"),
        ({"footer": Footer("", 1, 0, {"PASS": 1, "FAIL": 1}, 2)}, "damaged"),
        ({"footer": Footer("", 1, 6, {"PASS": 1}, 1)}, "the gate failed"),
        ({"footer": Footer("", 1, 3, {"PASS": 1}, 1)}, "exit code 3"),
        ({"findings": [Finding("leftover", "docker", "x")]}, "1 thing outside the tests went wrong"),
    ],
)
def test_nothing_that_is_wrong_beside_the_tests_is_green(change, says):
    conclusion = conclude(replace(make(V.PASS), **change))
    assert not conclusion.green
    assert says in conclusion.sentence


def test_a_failure_is_told_first_and_the_cut_after_it():
    conclusion = conclude(replace(make(V.FAIL), footer=None))
    assert conclusion.verdict is V.FAIL
    assert "cut off" in conclusion.notes[0]


def test_one_target_is_judged_by_its_own_results():
    run = make(V.PASS)
    run.results.append(TestResult("a.py::t", "podman", V.FAIL, "cli", 0.1))
    run.footer = replace(run.footer, counts=merge_counts(run.results), selected=2)
    assert conclude(run, "docker").green
    assert conclude(run, "podman").verdict is V.FAIL
    assert conclude(run).sentence == "1 of 2 tests failed on podman"
    run.findings.append(Finding("leftover", "docker", "x", reason="known", link="https://example.org"))
    assert conclude(run, "docker").green
    run.findings.append(Finding("leftover", "docker", "x"))
    assert not conclude(run, "docker").green

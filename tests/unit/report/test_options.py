from seatrial.report.view import options
from seatrial.results import TestResult
from seatrial.verdict import Verdict


def result(target, verdict, effects=("run --memory",), ignored=()):
    return TestResult("t", target, verdict, "cli", 0.1, effects=list(effects), ignored=list(ignored))


def test_each_target_stands_where_its_worst_result_puts_it():
    one, = options([
        result("a", Verdict.PASS),
        result("a", Verdict.KNOWN, ignored=["run --memory"]),
        result("b", Verdict.PASS),
        result("c", Verdict.FAIL),
        result("d", Verdict.UNSUPPORTED),
        result("d", Verdict.PASS),
        result("e", Verdict.SKIP),
    ])  # fmt: skip
    assert (one.name, one.ignored, one.acts, one.fails, one.not_run) == (
        "run --memory", ["a"], ["b", "d"], ["c"], ["e"]
    )  # fmt: skip


def test_ignored_options_come_first():
    found = options([
        result("a", Verdict.PASS, ["run --cpus", "run --memory"]),
        result("a", Verdict.FAIL, ["run --zone"], ["run --zone"]),
    ])  # fmt: skip
    assert [option.name for option in found] == ["run --zone", "run --cpus", "run --memory"]


def test_an_option_no_test_looked_for_is_not_listed():
    assert options([result("a", Verdict.PASS, [])]) == []

"""A protection without a control proves nothing, and says so."""

import pytest

from seatrial.claims import load
from seatrial.errors import SeatrialError
from seatrial.exec import ExpectationError
from seatrial.outcome import Concluded
from seatrial.report.posture import posture
from seatrial.results import TestResult
from seatrial.security.guard import Guard
from seatrial.verdict import Verdict


@pytest.fixture
def evidence():
    return {}


def test_refusal_with_a_control_that_is_let_through_holds(evidence):
    guard = Guard(evidence, "high")
    shut, control = {"front": "EPERM", "back": "EROFS"}, {"front": "ok", "back": "EBADF"}
    assert guard.each("doors", shut, control) == ["front", "back"]
    assert evidence["posture"] == [
        {"property": "doors", "mode": "default", "value": "EPERM, EROFS", "state": "holds", "severity": "high"}
    ]


def test_what_is_let_through_fails_and_is_named(evidence):
    with pytest.raises(ExpectationError, match="not refused: back ok"):
        Guard(evidence).each("doors", {"front": "EPERM", "back": "ok"}, {"front": "ok", "back": "ok"})
    assert evidence["posture"][0]["state"] == "open"


def test_refused_control_proves_nothing(evidence):
    with pytest.raises(Concluded) as told:
        Guard(evidence).holds("a door", "EPERM", "EPERM")
    assert told.value.verdict is Verdict.UNKNOWN
    assert evidence["posture"][0]["state"] == "inconclusive"


@pytest.mark.parametrize("control", ["EPERM", "hung"])
def test_what_is_let_through_fails_though_its_own_control_is_not(evidence, control):
    with pytest.raises(ExpectationError, match="not refused: back ok"):
        Guard(evidence).each("doors", {"front": "EPERM", "back": "ok"}, {"front": "ok", "back": control})
    assert evidence["posture"][0]["state"] == "open"


@pytest.mark.parametrize("outcome", ["hung", "ended", "signal 9"])
def test_control_that_comes_to_no_end_proves_nothing(evidence, outcome):
    assert Guard(evidence).each("doors", {"a": "EPERM", "b": "EPERM"}, {"a": "ok", "b": outcome}) == ["a"]
    with pytest.raises(Concluded) as told:
        Guard(evidence).holds("a door", "EPERM", outcome)
    assert told.value.verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("outcome", ["hung", "ended", "signal 9"])
def test_probe_that_comes_to_no_end_is_not_refused(evidence, outcome):
    with pytest.raises(ExpectationError, match="not refused"):
        Guard(evidence).holds("a door", outcome, "ok")


def test_only_what_the_control_shows_is_counted(evidence):
    proved = Guard(evidence).each("doors", {"front": "EPERM", "none": "ENOSYS"}, {"front": "ok", "none": "ENOSYS"})
    assert proved == ["front"]
    assert "1 not to be told" in evidence["posture"][0]["value"]


@pytest.mark.parametrize(("shut", "control"), [({}, {}), ({"a": "EPERM"}, {}), ({"a": "EPERM"}, {"b": "ok"})])
def test_probe_without_its_control_is_a_mistake(evidence, shut, control):
    with pytest.raises(ValueError, match="without its control"):
        Guard(evidence).each("doors", shut, control)


@pytest.mark.parametrize("state", ["holds", "inconclusive", "other"])
def test_nothing_holds_by_a_note(evidence, state):
    with pytest.raises(ValueError, match="takes a control"):
        Guard(evidence).note("a door", "shut", state=state)
    assert evidence == {}


def result(target, *rows):
    keys = ("property", "mode", "value", "state", "severity")
    return TestResult("t", target, Verdict.PASS, "a", 0.0,
                      evidence={"posture": [dict(zip(keys, row, strict=True)) for row in rows]})  # fmt: skip


def test_table_has_a_row_for_each_protection_and_mode_worst_first():
    rows = posture([
        result("one", ("b", "default", "x", "holds", "low"), ("a", "default", "y", "holds", "critical")),
        result("two", ("a", "default", "z", "holds", "critical"), ("a", "default", "w", "open", "critical")),
        TestResult("t", "three", Verdict.PASS, "a", 0.0),
    ])  # fmt: skip
    assert [(row.name, row.severity) for row in rows] == [("a", "critical"), ("b", "low")]
    assert [[entry.value for entry in rows[0].cells[target]] for target in ("one", "two")] == [["y"], ["w", "z"]]
    assert (rows[0].is_open, rows[1].is_open) == (True, False)


def test_severity_is_a_sixth_column_and_is_checked(tmp_path):
    table = tmp_path / "security/claims/doors.tsv"
    table.parent.mkdir(parents=True)
    head = "id\tlevel\tclaim\tsource\tuntested\tseverity\n"
    table.write_text(head + "d-1\tMUST\tIt is shut.\there\t\tcritical\n")
    assert load(tmp_path)["d-1"].severity == "critical"
    table.write_text(head + "d-1\tMUST\tIt is shut.\there\t\tgrave\n")
    with pytest.raises(SeatrialError, match="unknown severity 'grave'"):
        load(tmp_path)
    table.write_text("id\tlevel\tclaim\tsource\tuntested\nd-1\tMUST\tIt is shut.\there\t\n")
    assert load(tmp_path)["d-1"].severity == ""

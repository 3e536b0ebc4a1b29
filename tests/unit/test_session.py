"""Which tests a session refuses before they run, and why."""

from types import SimpleNamespace

import pytest

from seatrial.results import Requirement
from seatrial.session import Session
from seatrial.verdict import Verdict


def refusal(*marks, lab=True, holds=True, **options):
    """What a test with these marks is told on a target."""
    given = {"without": [], "slow": False, **options}
    session = object.__new__(Session)
    session.config = SimpleNamespace(getoption=given.__getitem__)
    item = SimpleNamespace(
        get_closest_marker=lambda name: next((mark.mark for mark in marks if mark.name == name), None),
        iter_markers=lambda name: [mark.mark for mark in marks if mark.name == name],
    )
    info = SimpleNamespace(facts={"lab": lab}, requirements={"swarm": Requirement(holds, "it has none")})
    return session._refusal(item, info)


def test_a_destructive_test_never_touches_an_engine_of_the_users_own():
    told = refusal(pytest.mark.destructive, lab=False)
    assert told.verdict is Verdict.DISABLED
    assert "only on an engine of the harness's own" in told.reason
    assert refusal(pytest.mark.destructive) is None
    assert refusal(lab=False) is None


def test_a_slow_test_runs_when_asked_for():
    assert refusal(pytest.mark.slow).verdict is Verdict.DISABLED
    assert refusal(pytest.mark.slow, slow=True) is None


def test_a_requirement_that_does_not_hold_or_is_switched_off_refuses():
    needs = pytest.mark.requires("swarm")
    assert refusal(needs) is None
    told = refusal(needs, holds=False)
    assert (told.verdict, told.reason, told.requirement) == (
        Verdict.UNSUPPORTED, "needs swarm mode: it has none", "swarm")  # fmt: skip
    assert refusal(needs, without=["swarm"]).verdict is Verdict.DISABLED

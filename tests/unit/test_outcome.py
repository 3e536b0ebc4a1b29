import pytest

from seatrial.claims import Claim
from seatrial.outcome import Refusal, Trial, signature
from seatrial.verdict import Level, Verdict


def trial(level=Level.MUST, **more):
    claim = Claim("x-001", level, "It works.", "https://example.org", "", "x")
    return Trial("suites/x/test_x.py::test_y", "docker", "x", "suites/x/test_x.py", 1, [claim], **more)


class Call:
    def __init__(self, error=None):
        self.excinfo = None
        if error is not None:
            self.excinfo = type("Info", (), {"value": error})()


def report(when="call", outcome="passed"):
    return pytest.TestReport("n", ("f", 1, "d"), {}, outcome, "long", when)


@pytest.mark.parametrize(
    ("level", "error", "verdict"),
    [
        (Level.MUST, AssertionError("a"), Verdict.FAIL),
        (Level.DOC, AssertionError("a"), Verdict.FAIL),
        (Level.SHOULD, AssertionError("a"), Verdict.WARN),
        (Level.MUST, pytest.fail.Exception("Timeout"), Verdict.FAIL),
        (Level.MUST, KeyError("a"), Verdict.ERROR),
        (Level.SHOULD, KeyError("a"), Verdict.ERROR),
    ],
)
def test_what_an_exception_means(level, error, verdict):
    seen = trial(level)
    seen.observe(Call(error), report(outcome="failed"))
    assert seen.verdict is verdict


def test_a_test_of_which_nothing_was_seen_is_unknown():
    assert trial().verdict is Verdict.UNKNOWN
    only_setup = trial()
    only_setup.observe(Call(), report("setup"))
    only_setup.observe(Call(), report("teardown"))
    assert only_setup.verdict is Verdict.UNKNOWN


def test_what_is_left_behind_turns_a_pass_into_a_failure():
    seen = trial()
    seen.observe(Call(), report("call"))
    assert seen.verdict is Verdict.PASS
    seen.observe(Call(AssertionError("left behind: container c")), report("teardown", "failed"))
    assert seen.verdict is Verdict.FAIL
    assert seen.result("gw0").message == "teardown: left behind: container c"


def test_a_refused_test_takes_the_refusals_verdict():
    seen = trial(refusal=Refusal(Verdict.UNSUPPORTED, "needs swarm mode: it has none", "swarm"))
    seen.observe(Call(), report("setup", "skipped"))
    assert seen.verdict is Verdict.UNSUPPORTED
    assert seen.result("gw0").requirement == "swarm"


def test_like_failures_share_a_signature():
    one = signature("expected exit code 0, seen 125\n$ docker run --name st-0a1b2c3d-c1")
    assert one == signature("expected exit code 0, seen 126\nelse")
    assert signature("no container st-0a1b2c3d-c1 at 172.17.0.2:80") == "no container NAME at ADDRESS"
    assert signature("") == ""

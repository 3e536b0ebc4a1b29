import json
import re
from dataclasses import replace

import pytest

from seatrial.claims import Claim
from seatrial.exec import run
from seatrial.known import Known
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
        (Level.MUST, json.JSONDecodeError("a", "", 0), Verdict.ERROR),  # of a test; of an engine see `Result.json`
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


OPTION = "run --memory"


@pytest.mark.parametrize(
    ("argv", "error", "ignored"),
    [
        (["true", "--memory", "1g"], AssertionError("no limit"), [OPTION]),
        (["true", "--memory=1g"], AssertionError("no limit"), [OPTION]),
        (["true", "--memory-swap=1g"], AssertionError("no limit"), []),  # not given
        (["false", "--memory=1g"], AssertionError("no limit"), []),  # refused
        (["true", "--memory=1g"], KeyError("mistake"), []),  # the harness's own fault
        (["true", "--memory=1g"], None, []),
    ],
)
def test_an_option_that_is_taken_and_does_nothing_is_told_apart(argv, error, ignored):
    seen = trial(effects=[OPTION])
    run(argv, expect=None, journal=seen.journal)
    seen.observe(Call(error), report(outcome="failed" if error else "passed"))
    result = seen.result("gw0")
    assert (result.effects, result.ignored) == ([OPTION], ignored)
    assert result.message.startswith("accepted without effect: run --memory\nno limit") == bool(ignored)


def test_a_refused_test_takes_the_refusals_verdict():
    seen = trial(refusal=Refusal(Verdict.UNSUPPORTED, "needs swarm mode: it has none", "swarm"))
    seen.observe(Call(), report("setup", "skipped"))
    assert seen.verdict is Verdict.UNSUPPORTED
    assert seen.result("gw0").requirement == "swarm"


def _failure(code, verb, stderr):
    return f"expected exit code 0, seen exit code {code}\n$ docker {verb} --name st-0a1b2c3d-c1 x\n  stderr| {stderr}"


def test_like_failures_share_a_signature_and_others_do_not():
    one = signature(_failure(125, "run", "no container st-0a1b2c3d-c1 at 172.17.0.2:80"))
    assert one == "expected exit code 0, seen exit code 125 · run · no container NAME at ADDRESS"
    assert one == signature(_failure(125, "run", "no container st-ffffffff-c9 at 10.0.0.1:81"))
    different = [_failure(126, "run", "no container a"), _failure(125, "rm", "no container a"),
                 _failure(125, "run", "no image a")]  # fmt: skip
    assert len({one, *map(signature, different)}) == 4
    assert signature("assert 3 == 4\n +  where 3 = x") == "assert N == N"
    assert signature("") == ""
    two = [signature("assert 3 == 4", f"suites/x/test_x.py::test_{name}[4]") for name in "ab"]
    assert two == ["assert N == N · test_a", "assert N == N · test_b"]
    died = "the engine died while this test ran, or before it"
    assert signature(died, "suites/x/test_x.py::test_a") == died


def test_a_bare_comparison_is_followed_by_the_commands_before_it():
    seen = trial()
    run(["echo", "5"], journal=seen.journal)
    seen.observe(Call(AssertionError("assert '5' == '4'")), report("call", "failed"))
    result = seen.result("gw0")
    assert re.search(r"\n\nthe last commands before:\n\[.*\] \$ echo 5\n", result.message)
    assert result.signature == "assert 'N' == 'N' · test_y"


def test_a_failure_that_holds_its_command_is_not_followed_by_others():
    seen = trial()
    run(["echo", "5"], journal=seen.journal)
    seen.observe(Call(AssertionError(_failure(125, "run", "no"))), report("call", "failed"))
    assert seen.result("gw0").message == _failure(125, "run", "no")


def _known():
    return Known("suites/x/test_x.py::test_y", "it says a instead of b", "https://example.org")


@pytest.mark.parametrize(
    ("when", "error", "verdict"),
    [
        ("call", AssertionError("a"), Verdict.KNOWN),
        ("call", KeyError("a"), Verdict.ERROR),
        ("setup", AssertionError("a"), Verdict.FAIL),
        ("teardown", AssertionError("left behind"), Verdict.FAIL),
    ],
)
def test_only_the_engines_failure_of_the_claim_is_known(when, error, verdict):
    seen = trial(known=_known())
    seen.observe(Call(error), report(when, "failed"))
    assert seen.verdict is verdict


@pytest.mark.parametrize(("words", "verdict"), [
    ("expected status 409, seen 500\n> POST /x", Verdict.KNOWN),
    ("expected status 409, seen 201\n> POST /x", Verdict.FAIL)])  # fmt: skip
def test_another_failure_than_the_known_one_is_a_failure(words, verdict):
    seen = trial(known=replace(_known(), says="seen 500$"))
    seen.observe(Call(AssertionError(words)), report("call", "failed"))
    assert seen.verdict is verdict
    assert ("another failure than the known one" in seen.messages[0]) is (verdict is Verdict.FAIL)


@pytest.mark.parametrize(("when", "error", "verdict"), [
    ("call", AssertionError("unpacking failed"), Verdict.KNOWN),
    ("setup", AssertionError("unpacking failed"), Verdict.KNOWN),
    ("call", AssertionError("seen 500"), Verdict.KNOWN),
    ("call", AssertionError("seen 404"), Verdict.FAIL),
    ("teardown", AssertionError("unpacking failed"), Verdict.FAIL),
    ("call", KeyError("unpacking failed"), Verdict.ERROR)])  # fmt: skip
def test_a_race_of_the_engine_may_befall_any_test(when, error, verdict):
    race = Known("", "a layer is removed while it is unpacked", "https://example.org/race", "unpacking failed")
    seen = trial(known=replace(_known(), says="seen 500$"), races=[race])
    seen.observe(Call(error), report(when, "failed"))
    assert seen.verdict is verdict
    if verdict is Verdict.KNOWN:
        assert (seen.result("gw0").link == race.link) is ("unpacking" in str(error))


def test_a_group_of_failures_is_the_engines_unless_one_is_not():
    mixed = trial()
    mixed.observe(Call(ExceptionGroup("g", [AssertionError("a"), KeyError("b")])), report(outcome="failed"))
    assert mixed.verdict is Verdict.ERROR
    pure = trial()
    pure.observe(Call(ExceptionGroup("g", [AssertionError("a"), AssertionError("b")])), report(outcome="failed"))
    assert pure.verdict is Verdict.FAIL


def test_a_pass_on_a_dead_engine_is_taken_back():
    seen = trial()
    run(["false"], expect=None, journal=seen.journal)
    seen.observe(Call(), report("call"))
    assert seen.doubtful
    seen.engine_died()
    assert seen.verdict is Verdict.ERROR
    assert not trial().doubtful


def test_logs_of_like_named_tests_do_not_share_a_file(tmp_path):
    paths = set()
    for name in ("[a:b]", "[a b]", "[/]", "[]"):
        seen = trial()
        seen.test += name
        paths.add(seen.keep(tmp_path, lab=True)[0])
    assert len(paths) == 4


def test_signature_of_a_request_names_method_path_and_message():
    refused = """expected status 204, seen 409
> POST /containers/st-01234567-c1/start?t=3
$ curl -sS -i --unix-socket /run/x.sock -X POST http://localhost/containers/st-01234567-c1/start?t=3
  409 Conflict after 0.003 s
  header| Content-Type: application/json
  body| {"message":"container %s is paused"}"""
    one, two = signature(refused % ("a" * 64)), signature(refused % ("b" * 64))
    assert one == two == (
        "expected status 204, seen 409 · POST /containers/NAME/start · "
        '{"message":"container ID is paused"}'
    )

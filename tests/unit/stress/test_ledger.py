"""What is counted while a load runs."""

import subprocess
import sys
import threading

import pytest

from seatrial.stress import ledger, objectives
from seatrial.stress.history import FAIL, OK, UNKNOWN, HistoryHeader, Op, Recorder
from seatrial.stress.ledger import Ledger
from seatrial.stress.monitor import OWN_MEMORY
from seatrial.stress.objectives import Aftermath, beside
from seatrial.stress.profile import Objectives
from seatrial.verdict import Verdict


@pytest.fixture
def watch(tmp_path):
    recorder = Recorder(tmp_path / "h", HistoryHeader("r", "t", "", 0.0, {}, []))
    yield Ledger(recorder, threading.Event(), lambda: 10.0)
    recorder.close(1.0)


@pytest.mark.parametrize("kind", ["start", "run"])
def test_a_container_counts_once_though_its_story_has_the_same_name(watch, kind):
    watch.take(Op(kind, 0, 1, 1, 2, OK, "c1"))
    watch.take(Op(kind, 0, 1, 1, 2, OK, ""))
    watch.take(Op(kind, 0, 1, 1, 2, FAIL, "c2", None, "no"))
    assert (watch.containers, watch.done, watch.failed, watch.failures) == (1, 1, 1, 0)
    assert watch.line() == "    10 s  2 operations, 1 containers (0.10 a second), 0 failures"
    watch.take(Op(kind, 0, 1, 1, 2, FAIL, "", None, "no"))
    assert (watch.failed, watch.failures) == (1, 1), "a step that fails and the story that it ends are one failure"


def test_an_engine_that_is_silent_after_an_interrupt_is_not_said_to_be_dead(watch):
    def silent(count):
        for number in range(count):
            watch.take(Op("start", 0, 1, 1, 2, UNKNOWN, f"c{number}", None, "nobody waits"))

    watch.stop.set()
    silent(30)
    assert watch.cause == ""
    watch.stop.clear()
    silent(1)
    assert watch.cause.startswith("the engine answered no more")


def test_who_watched_and_did_not_see_the_end_is_an_error():
    (result,) = beside(Aftermath(trouble=["the engine's events were not heard to the end: gone"]), Objectives(), "t")
    assert result.verdict is Verdict.ERROR
    assert "not heard to the end" in result.message
    assert beside(Aftermath(), Objectives(), "t") == []


@pytest.mark.parametrize(("share", "limit", "verdict"), [
    (0.01, 0.015, Verdict.PASS), (0.02, 0.015, Verdict.WARN), (0.12, None, Verdict.SKIP),
])  # fmt: skip
def test_what_the_harness_costs_is_told_whether_a_limit_holds_or_not(share, limit, verdict):
    (result,) = beside(Aftermath(share=share, share_limit=limit, each=0.0021), Objectives(), "t")
    assert result.verdict is verdict
    assert result.evidence == {"share of CPU": share, "CPU ms a container": 2.1}
    told = result.message or result.reason
    assert (f"the harness used {share:.2%} of all CPU time that was used, 2.1 ms a container" in told) == (
        verdict is not Verdict.PASS)  # fmt: skip


def test_the_commands_of_a_load_are_part_of_what_it_costs():
    used = ledger.Used(children=True)
    alone = ledger.Used(children=False)
    subprocess.run([sys.executable, "-c", "sum(range(20_000_000))"], check=True)
    assert used.share()[1] > alone.share()[1] + 0.1


@pytest.mark.parametrize(("shape", "words"), [
    (lambda at: 9e7, ""), (lambda at: 4e8, "the harness had 400 MB, its limit is 300 MB"),
    (lambda at: 5e7 + 1e6 * at, "the memory of the harness grows without end: +9"),
], ids=["small", "large", "growing"])  # fmt: skip
def test_the_memory_of_the_harness_is_held(shape, words):
    tally = objectives.Tally(samples={OWN_MEMORY: [(at, shape(at)) for at in range(100)]})
    (result,) = objectives._memory(tally, 0.0, "t")
    assert result.verdict is (Verdict.WARN if words else Verdict.PASS)
    assert result.message.startswith(words)
    assert objectives._memory(objectives.Tally(), 0.0, "t") == []


def test_leftovers_are_counted_by_kind_and_the_first_are_named():
    left = [("mount", f"/m{number:02}") for number in range(30)] + [("process", "sleep #1")]
    (result,) = beside(Aftermath(leftovers=left), Objectives(), "t")
    lines = result.message.splitlines()
    assert lines[0] == "31 things were not there before the run (mount: 30, process: 1)"
    assert lines[1:3] == ["mount /m00", "mount /m01"]
    assert lines[-2:] == ["... and 20 more of the kind mount", "process sleep #1"]
    (result,) = beside(Aftermath(leftovers=[]), Objectives(), "t")
    assert result.verdict is Verdict.PASS

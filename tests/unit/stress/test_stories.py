"""Stories over HTTP against a fake engine: what they record is judged right, and each fault is seen."""

import contextlib
import threading
import time

import pytest

from seatrial.names import RUN_LABEL
from seatrial.stress import loops, objectives
from seatrial.stress.activities import Client, World
from seatrial.stress.driver import RefusedError, SilentError, Spec
from seatrial.stress.events import Listener
from seatrial.stress.history import History, HistoryHeader, Recorder
from seatrial.stress.over_http import HttpDriver
from seatrial.stress.profile import Activity, Load, Objectives, Profile
from seatrial.stress.run import Watch, teller
from seatrial.verdict import Verdict

ALL = ("exits", "codes", "ids", "logs", "events", "ports", "names")
STORIES = (
    Activity("container", 2), Activity("log", 1, {"lines": 50}),
    Activity("hold", 1, {"seconds": 0.02, "ports": [80]}),
)  # fmt: skip


WANTED = Objectives(p99={"start": 5.0})


def load(endpoint, path, count=60, activities=STORIES, wanted=WANTED):
    """Run stories with four clients; return the watch, what they come to, and the results by name."""
    begin, epoch = time.monotonic(), time.time()
    clock, stop = loops.since(begin), threading.Event()
    profile = Profile("p", "", activities, count=count, load=Load(clients=4))
    recorder = Recorder(path, HistoryHeader("run-abcdef", "fake", "", epoch, profile.as_json(), list(ALL)))
    watch = Watch(recorder, stop, clock)
    world = World("run-abcdef", "image", {RUN_LABEL: "run-abcdef"}, clock, watch.take, stop=stop)
    with contextlib.ExitStack() as stack:
        stack.enter_context(Listener(endpoint, "run-abcdef", epoch, clock, watch.take))
        clients = [teller(profile, Client(world, number, HttpDriver(endpoint)), stack) for number in range(4)]
        loops.drive(loops.Closed(loops.Limits(count=count, stop=stop), clock), clients, stop)
    recorder.close(clock(), watch.cause)
    tally, _, results = objectives.judge(History(path), wanted, 0.0)
    return watch, tally, {result.test.partition("::")[2]: result for result in results}


def red(results):
    return {name for name, result in results.items() if result.verdict is Verdict.FAIL}


def test_a_right_engine_passes_everything(endpoint, tmp_path, fake):
    watch, tally, results = load(endpoint, tmp_path / "h")
    assert red(results) == set(), [result.message for result in results.values()]
    verdicts = [result.verdict for result in results.values()]
    assert verdicts.count(Verdict.PASS) == 9
    assert verdicts.count(Verdict.SKIP) == 1, "too short for a slope"
    assert (watch.containers, watch.failed, fake.containers) == (60, 0, {})
    assert sum(len(tally.latencies[kind]) for kind in ("container", "log", "hold")) == 60
    assert tally.total == watch.done


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("ids", "no two containers get the same id"), ("codes", "the exit code that a client is told"),
        ("logs", "to the last byte"), ("events", "the event stream tells"), ("ports", "a published port belongs"),
    ],
)  # fmt: skip
def test_a_fault_of_the_engine_is_seen_by_the_checker_that_it_is_for(endpoint, tmp_path, fake, wrong, words):
    fake.wrong = wrong
    activities = (Activity("hold", 1, {"seconds": 0.05, "ports": [80]}),) if wrong == "ports" else STORIES
    _, _, results = load(endpoint, tmp_path / "h", activities=activities)
    (name,) = red(results)
    assert words in name
    assert results[name].message


def test_refusals_are_counted_and_told_once_a_kind(endpoint, tmp_path, fake):
    fake.wrong = "busy"
    watch, tally, results = load(endpoint, tmp_path / "h")
    name = "at most 0.00% of the operations fail"
    assert name in red(results)
    assert watch.failed > 10
    assert len(tally.errors) <= 12, "ids are folded"
    assert "x remove: N: cannot do it for ID now" in results[name].message
    assert len(results[name].message.splitlines()) <= 12
    assert watch.cause == ""


def test_a_dead_engine_is_told_once_and_ends_the_load(endpoint, tmp_path, fake):
    killer = threading.Timer(0.3, lambda: setattr(fake, "wrong", "dead"))
    killer.start()
    watch, tally, _ = load(endpoint, tmp_path / "h", count=100_000)
    assert watch.cause.startswith("the engine answered no more from")
    assert 12 <= tally.unanswered.total() < 40
    assert len(tally.errors) <= 8


def test_nothing_done_is_a_failure(tmp_path):
    recorder = Recorder(tmp_path / "h", HistoryHeader("r", "fake", "", 0.0, {}, list(ALL)))
    recorder.close(1.0)
    _, _, results = objectives.judge(History(tmp_path / "h"), Objectives(p99={"start": 1.0}), 0.0)
    found = {result.test.partition("::")[2]: result.verdict for result in results}
    assert found["at most 0.00% of the operations fail"] is Verdict.FAIL
    assert found["the 99th percentile of start is at most 1 s"] is Verdict.FAIL
    assert Verdict.PASS not in found.values()


def test_the_driver_tells_a_no_from_silence(endpoint, fake):
    driver = HttpDriver(endpoint)
    with pytest.raises(RefusedError, match="404: No such container"):
        driver.start("none")
    assert len(driver.create(Spec("a", "image", ("sleep",)))) == 64
    with pytest.raises(RefusedError, match="409: the name a is in use"):
        driver.create(Spec("a", "image", ("sleep",)))
    fake.wrong = "dead"
    with pytest.raises(SilentError):
        driver.start("a")
    fake.wrong = ""
    assert driver.start("a") == [], "a broken connection is opened again"
    driver.close()


def test_a_connection_is_kept(endpoint):
    driver = HttpDriver(endpoint)
    driver.create(Spec("a", "image", ("true",)))
    first = driver._connection.sock
    driver.start("a")
    assert driver.wait("a", 5.0) == 0
    driver.remove("a")
    assert driver._connection.sock is first
    driver.close()

"""Stories over HTTP against a fake engine: what they record is judged right, and each fault is seen."""

import contextlib
import threading
import time

import pytest

from seatrial.commands import stress
from seatrial.errors import Exit
from seatrial.names import RUN_LABEL
from seatrial.stress import loops, objectives
from seatrial.stress.activities import Client, World
from seatrial.stress.driver import RefusedError, SilentError, Spec
from seatrial.stress.events import Listener
from seatrial.stress.history import OK, History, HistoryHeader, Op, Recorder
from seatrial.stress.ledger import Ledger
from seatrial.stress.monitor import KERNEL
from seatrial.stress.over_http import HttpDriver
from seatrial.stress.profile import Activity, Load, Objectives, Profile
from seatrial.stress.run import rejudge, teller
from seatrial.verdict import Verdict

ALL = ("exits", "codes", "ids", "logs", "events", "ports", "names")
STORIES = (
    Activity("container", 2), Activity("log", 1, {"lines": 50}),
    Activity("hold", 1, {"seconds": 0.02, "ports": [80]}),
)  # fmt: skip


WANTED = Objectives(p99={"start": 5.0})


def load(endpoint, path, count=60, activities=STORIES, wanted=WANTED, removal="destroy"):
    """Run stories with four clients; return the watch, what they come to, and the results by name."""
    begin, epoch = time.monotonic(), time.time()
    clock, stop = loops.since(begin), threading.Event()
    profile = Profile("p", "", activities, count=count, load=Load(clients=4))
    recorder = Recorder(path, HistoryHeader("run-abcdef", "fake", "", epoch, profile.as_json(), list(ALL)))
    watch = Ledger(recorder, stop, clock)
    world = World("run-abcdef", "image", {RUN_LABEL: "run-abcdef"}, clock, watch.take, stop=stop)
    with contextlib.ExitStack() as stack:
        stack.enter_context(Listener(endpoint, "run-abcdef", epoch, clock, watch.take, removal))
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
    assert verdicts.count(Verdict.PASS) == 8
    skipped = [result.reason for result in results.values() if result.verdict is Verdict.SKIP]
    assert [reason.partition(":")[0] for reason in skipped] == [
        "60 samples are too few for a 99th percentile (100 are needed)", "the run is too short for a slope",
        "the kernel's log cannot be read here",
    ]  # fmt: skip
    assert (watch.containers, watch.failed, fake.containers) == (60, 0, {})
    assert sum(len(tally.latencies[f"{kind} story"]) for kind in ("container", "log", "hold")) == 60
    assert tally.done == tally.asked == watch.done


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


def test_an_engine_with_another_word_for_a_removal_is_understood(endpoint, tmp_path, fake):
    fake.removal = "remove"
    _, _, results = load(endpoint, tmp_path / "h", count=12, removal="remove")
    (name,) = [name for name in results if name.startswith("history: the event stream tells")]
    assert results[name].verdict is Verdict.PASS
    _, _, results = load(endpoint, tmp_path / "i", count=12)
    assert "once destroy, never in the events" in results[name].message


def test_refusals_are_counted_and_told_once_a_kind(endpoint, tmp_path, fake):
    fake.wrong = "busy"
    watch, tally, results = load(endpoint, tmp_path / "h")
    name = "at most 0.00% of the operations fail"
    assert name in red(results)
    assert watch.failed > 10
    assert 1 < watch.failures <= 60, "stories"
    assert watch.failures == sum(count for kind, count in tally.failures.items() if kind.endswith(" story"))
    steps = sum(count for kind, count in tally.failures.items() if not kind.endswith(" story"))
    assert tally.error_rate == steps / tally.asked
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


def test_who_waits_for_a_stalled_engine_can_be_cut_off(endpoint, fake):
    fake.slow = 8.0
    driver, began = HttpDriver(endpoint), time.monotonic()
    driver.create(Spec("a", "image", ("true",)))
    threading.Timer(0.5, driver.abort).start()
    with pytest.raises(SilentError):
        driver.start("a")
    assert time.monotonic() - began < 6
    with pytest.raises(SilentError, match="nobody waits"):
        driver.remove("a")
    driver.close()


CONTEST = (Activity("contest", 1, {"parties": 4}),)


def test_of_several_that_want_a_name_at_once_one_gets_it(endpoint, tmp_path, fake):
    _, tally, results = load(endpoint, tmp_path / "h", count=40, activities=CONTEST, wanted=Objectives())
    assert red(results) == set(), [result.message for result in results.values()]
    claims = [op for op in History(tmp_path / "h") if op.kind == "claim"]
    assert len(claims) == 40
    assert sum(bool(op.value) for op in claims) == len({op.object for op in claims}) == 10
    assert len(tally.latencies["remove"]) == 10
    assert fake.containers == {}


@pytest.mark.parametrize(("wrong", "words"), [("names", "belonged to"), ("no names", "that wanted it were refused")])
def test_a_name_that_two_get_or_nobody_is_seen(endpoint, tmp_path, fake, wrong, words):
    fake.wrong = wrong
    _, _, results = load(endpoint, tmp_path / "h", count=40, activities=CONTEST, wanted=Objectives())
    name = "history: a name belongs to one container at a time"
    assert name in red(results)
    assert words in results[name].message


def test_an_answer_that_cannot_be_read_is_none_and_ends_no_load(endpoint, tmp_path, fake):
    fake.wrong = "mangled"
    watch, tally, _ = load(endpoint, tmp_path / "h", count=8, activities=(Activity("container"),))
    assert watch.cause == ""
    assert tally.unanswered["wait"] == 16, "what ends a story is awaited again, to clean up"
    assert {words.partition(":")[2] for words in tally.errors if words.startswith("wait: ")} == {
        " an answer that cannot be read: TypeError: int() argument must be a string, a bytes-like object or a real "
        "number, not 'NoneType'"}  # fmt: skip
    assert tally.unanswered["container story"] == 8


def test_a_mistake_of_a_story_is_not_taken_for_the_engines(endpoint):
    world = World("run-abcdef", "image", {}, lambda: 0.0, lambda op: None)

    def story(client, options):
        raise TypeError("ours")

    with pytest.raises(TypeError, match="ours"):
        Client(world, 0, HttpDriver(endpoint)).tell(story, "container", {}, 0.0)


def judged(tmp_path, *, closed=True, cause="", ops=()):
    path = tmp_path / "history.jsonl"
    recorder = Recorder(path, HistoryHeader("r", "fake", "", 0.0, Profile("p", "", STORIES).as_json(), ["ids"]))
    for op in ops:
        recorder.add(op)
    if closed:
        recorder.close(1.0, cause)
    else:
        recorder.flush()
        recorder._file.close()
    return {result.test.partition("::")[2]: result for result in rejudge(tmp_path)}


ONE = Op("create", 0, 0.0, 0.0, 0.1, OK, "a", "id-a")
WHOLE = "the history is that of a whole run"


@pytest.mark.parametrize(("ends", "verdict", "words"), [
    ({"closed": False}, Verdict.ERROR, "it has no footer"),
    ({"cause": "the engine answered no more"}, Verdict.UNKNOWN, "ended early: the engine answered no more"),
], ids=["cut off", "ended early"])  # fmt: skip
def test_a_history_of_a_part_is_never_judged_as_whole(tmp_path, capsys, ends, verdict, words):
    found = judged(tmp_path, ops=[ONE], **ends)[WHOLE]
    assert found.verdict is verdict
    assert words in found.message
    assert stress._judge(tmp_path) == Exit.FAILED
    assert "was not judged again" in capsys.readouterr().out


def test_a_whole_history_that_is_right_is(tmp_path):
    found = judged(tmp_path, ops=[ONE])
    assert WHOLE not in found
    assert stress._judge(tmp_path) == Exit.OK


def test_trouble_that_the_kernel_has_logged_is_a_warning(tmp_path):
    log = [Op("sample", -1, 1.0, 1.0, 1.0, OK, KERNEL, count) for count in (0, 1)]
    line = Op("event", -1, 1.0, 1.0, 1.0, OK, "", ["kernel", "BUG: page fault", None])
    name = "the kernel logs no trouble"
    found = judged(tmp_path, ops=[ONE, log[0], line, log[1]])[name]
    assert (found.verdict, found.message.splitlines()[1]) == (Verdict.WARN, "at 1.0 s: BUG: page fault")
    (tmp_path / "history.jsonl").unlink()
    assert judged(tmp_path, ops=[ONE, log[0]])[name].verdict is Verdict.PASS


def test_a_run_in_which_no_process_of_the_engine_was_seen_proves_no_lack_of_leaks(tmp_path):
    ops = [Op("sample", -1, at, at, at, OK, "interfaces", 4.0) for at in range(60)]
    found = judged(tmp_path, ops=[ONE, *ops])["nothing that the engine holds grows without end"]
    assert found.verdict is Verdict.ERROR
    assert found.message == "no process of the engine was seen: all there is, is interfaces"


def test_a_story_that_fell_behind_its_arrival_is_seen_by_its_own_objective(tmp_path):
    """Steps begin when they can: what an open loop had to wait for is in the latency of the story alone."""
    recorder = Recorder(tmp_path / "h", HistoryHeader("r", "fake", "", 0.0, {}, []))
    for number in range(100):
        recorder.add(Op("start", 0, number + 30, number + 30, number + 30.2, OK, f"c{number}", []))
        recorder.add(Op("container", 0, number, number + 30, number + 31, OK, ""))
    recorder.close(200.0)
    wanted = Objectives(p99={"start": 20.0, "container": 20.0, "story": 20.0})
    found = {result.test.partition("::")[2]: result.verdict for result in
             objectives.judge(History(tmp_path / "h"), wanted, 0.0)[2]}  # fmt: skip
    assert found["the 99th percentile of start is at most 20 s"] is Verdict.PASS
    assert found["the 99th percentile of container is at most 20 s"] is Verdict.FAIL
    assert found["the 99th percentile of story is at most 20 s"] is Verdict.FAIL


def test_a_connection_is_kept(endpoint):
    driver = HttpDriver(endpoint)
    driver.create(Spec("a", "image", ("true",)))
    first = driver._connection.sock
    driver.start("a")
    assert driver.wait("a", 5.0) == 0
    driver.remove("a")
    assert driver._connection.sock is first
    driver.close()

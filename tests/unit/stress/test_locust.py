"""Locust in child processes: never in this one; what it drives is recorded and judged as everything else."""

import ast
import itertools
import json
import random
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

import seatrial
from seatrial.engines.docker import DockerEngine
from seatrial.errors import SeatrialError
from seatrial.names import RUN_LABEL
from seatrial.stress import loops, objectives, with_locust
from seatrial.stress.activities import World
from seatrial.stress.history import OK, History, HistoryHeader, Op, Recorder
from seatrial.stress.ledger import Ledger
from seatrial.stress.profile import Activity, Load, Objectives, Profile, Stage
from seatrial.stress.with_locust import Locust
from seatrial.targets import parse
from seatrial.verdict import Verdict

FILE = Path(__file__).parents[3] / "stress/locustfile.py"
installed = pytest.mark.skipif(find_spec("locust") is None, reason="locust is not installed: make setup installs it")


def test_only_the_user_imports_locust():
    source = Path(seatrial.__file__).parent
    importing = {
        path.name for path in source.rglob("*.py") for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "locust")
        or (isinstance(node, ast.Import) and any(name.name.split(".")[0] == "locust" for name in node.names))
    }  # fmt: skip
    assert importing == {"locust_user.py"}


def test_nothing_of_the_harness_brings_locust_along():
    code = "import sys, seatrial.stress.run, seatrial.stress.with_locust, seatrial.cli; print('locust' in sys.modules)"
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert seen.stdout == "False\n"


def test_without_locust_its_want_is_told(monkeypatch):
    monkeypatch.setattr(with_locust, "find_spec", lambda name: None)
    with pytest.raises(SeatrialError, match="needs locust, which is not installed"):
        Locust(Path(), FILE)


def test_parts_are_taken_while_they_are_written_and_a_cut_line_waits(tmp_path):
    def line(at):
        return json.dumps(Op("start", 0, at, at, at, OK, f"c{at}")) + "\n"

    seen, parts = [], with_locust.Parts(tmp_path)
    (tmp_path / "1.jsonl").write_text(line(1) + line(4) + line(9)[:12])
    (tmp_path / "2.jsonl").write_text(line(2) + line(3))
    parts.take(seen.append)
    assert [op.ended for op in seen] == [1, 2, 3, 4]
    with (tmp_path / "1.jsonl").open("a") as file:
        file.write(line(9)[12:])
    parts.take(seen.append)
    parts.take(seen.append)
    assert [op.ended for op in seen] == [1, 2, 3, 4, 9]


@pytest.mark.parametrize(("load", "count"), [
    (Load(clients=5), 5), (Load(loop="open", rate=0.66, most=32), 7), (Load(loop="open", rate=9.0, most=32), 32),
], ids=["closed", "open", "bounded"])  # fmt: skip
def test_a_rate_has_as_many_users_as_it_needs(load, count):
    assert with_locust.users(load) == count


def test_a_second_interrupt_leaves_no_child(monkeypatch):
    child = subprocess.Popen([sys.executable, "-c", "import signal, time\nsignal.signal(15, signal.SIG_IGN)\n"
                              "print(flush=True)\ntime.sleep(60)"], stdout=subprocess.PIPE,
                             start_new_session=True)  # fmt: skip
    child.stdout.readline()
    child.stdout.close()
    real = child.wait

    def interrupted(timeout=None):
        if timeout is not None:
            raise KeyboardInterrupt
        return real()

    monkeypatch.setattr(child, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        with_locust._end(child)
    assert child.returncode == -9


def test_a_child_that_does_not_end_in_time_is_killed(monkeypatch):
    child = subprocess.Popen([sys.executable, "-c", "import signal, time\nsignal.signal(15, signal.SIG_IGN)\n"
                              "print(flush=True)\ntime.sleep(60)"], stdout=subprocess.PIPE,
                             start_new_session=True)  # fmt: skip
    child.stdout.readline()
    child.stdout.close()
    with_locust._end(child, patience=-9.8)
    assert child.returncode == -9


def child(code):
    return subprocess.Popen([sys.executable, "-c", code], start_new_session=True)


@pytest.mark.parametrize(("worker", "ended"), [
    ("import os; os.kill(os.getpid(), 9)", 2), ("raise SystemExit(3)", 2), ("raise SystemExit(1)", 0),
], ids=["killed", "crashed", "done, with failures"])  # fmt: skip
def test_the_death_of_a_worker_ends_the_load_and_its_end_does_not(worker, ended):
    world = World("run-abcdef", "image", {}, loops.since(0.0), lambda op: None)
    master = "import time; time.sleep(60)" if ended else "import time; time.sleep(3)"
    children = [child(master), child("import time; time.sleep(60)"), child(worker)]
    began = time.monotonic()
    assert with_locust._await(children, world, lambda: None) == ended
    assert time.monotonic() - began < 30
    assert all(one.returncode is not None for one in children)


def test_a_load_of_so_many_stories_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(with_locust, "find_spec", lambda name: name)
    world = World("run-abcdef", "image", {}, loops.since(0.0), lambda op: None)
    with pytest.raises(SeatrialError, match="cannot end the profile p after 7 stories") as caught:
        Locust(tmp_path, FILE)(Profile("p", "", (Activity("container"),), count=7), None, world)
    assert caught.value.code == "E815"


@pytest.mark.parametrize("arrivals", ["fixed", "poisson"])
def test_the_shares_of_all_users_are_the_arrivals_that_were_asked_for(arrivals):
    load = Load("open", rate=2.0, arrivals=arrivals, most=32)
    dues = [with_locust.Due(load, random.Random(number), 5.0) for number in range(with_locust.users(load))]
    times = []
    for due in dues:
        while due.at < 1005.0:
            times.append(due.take())
    assert min(times) >= 5.0
    assert 1850 <= len(times) <= 2150
    gaps = [later - earlier for earlier, later in itertools.pairwise(sorted(times))]
    alone = [due.take() for _ in range(20) for due in dues[:1]]
    own = {round(later - earlier, 6) for earlier, later in itertools.pairwise(alone)}
    assert (len(own) == 1) == (arrivals == "fixed")
    assert sum(gap < 0.05 for gap in gaps) > 50 if arrivals == "poisson" else max(gaps) <= 1 / load.rate * len(dues)


def drive(endpoint, tmp_path, *, workers=0, locustfile=FILE, seconds=3.0, load=Load(clients=3)):  # noqa: B008 - frozen
    """Let locust drive a fake engine; return why it ended early, what came of it, and the results."""
    (tmp_path / "run-abcdef").mkdir()
    clock, stop = loops.since(time.monotonic()), threading.Event()
    profile = Profile("p", "", (Activity("container"),), seconds=seconds, load=load)
    engine = DockerEngine(parse("docker"), socket=endpoint.path)
    path = tmp_path / "h"
    recorder = Recorder(path, HistoryHeader("run-abcdef", "docker", "", 0.0, {}, ["exits", "ids", "names"]))
    watch = Ledger(recorder, stop, clock)
    world = World("run-abcdef", "image", {RUN_LABEL: "run-abcdef"}, clock, watch.take, stop=stop)
    cause = Locust(tmp_path, locustfile, workers)(profile, engine, world)
    recorder.close(clock(), cause)
    tally, _, results = objectives.judge(History(path), Objectives(), 0.0)
    return cause, tally, results


@installed
@pytest.mark.timeout(240)
@pytest.mark.parametrize("workers", [0, 3])
def test_locust_drives_stories_that_are_judged(endpoint, tmp_path, fake, workers):
    cause, tally, results = drive(endpoint, tmp_path, workers=workers)
    assert cause == ""
    assert tally.found("container"), "something was driven"
    assert [result.message for result in results if result.verdict is Verdict.FAIL] == []
    assert fake.containers == {}, "--stop-timeout lets stories end"
    assert '"name": "start"' in (tmp_path / "run-abcdef/locust.html").read_text()


@installed
def test_in_an_open_loop_a_story_counts_from_its_arrival(endpoint, tmp_path, fake):
    """One user cannot do what is asked for: each story is later than the one before."""
    fake.slow = 0.7
    cause, tally, _ = drive(endpoint, tmp_path, seconds=9.0, load=Load("open", rate=4.0, arrivals="poisson", most=1))
    assert cause == ""
    latencies = list(tally.found("container"))
    assert len(latencies) >= 3
    assert latencies[-1] > latencies[0] + 0.5
    assert max(tally.latencies["start"]) < latencies[-1] - 0.5


@installed
def test_times_are_those_of_the_parents_clock(endpoint, tmp_path):
    drive(endpoint, tmp_path)
    ops = list(History(tmp_path / "h"))
    assert ops
    assert all(0 < op.began <= op.ended < 60 for op in ops)


@installed
def test_refusals_reach_locust_with_ids_folded(endpoint, tmp_path, fake):
    fake.wrong = "busy"
    _, tally, _ = drive(endpoint, tmp_path)
    assert tally.failures.total() > 0
    page = (tmp_path / "run-abcdef/locust.html").read_text()
    assert "cannot do it for ID now" in page
    assert "cannot do it for 00" not in page


@installed
def test_a_locust_that_does_not_start_is_told_and_no_sample_is_a_failure(endpoint, tmp_path):
    broken = tmp_path / "locustfile.py"
    broken.write_text("raise SystemExit('nobody is at home')\n")
    cause, tally, results = drive(endpoint, tmp_path, locustfile=broken)
    assert cause.startswith("locust ended with exit code") or tally.asked == 0
    assert results[0].verdict is Verdict.FAIL
    assert "nothing was tested" in results[0].message


@installed
def test_a_dead_engine_ends_a_load_by_locust(endpoint, tmp_path, fake):
    threading.Timer(1.5, lambda: setattr(fake, "wrong", "dead")).start()
    began = time.monotonic()
    _, tally, _ = drive(endpoint, tmp_path, seconds=600.0)
    assert time.monotonic() - began < 120
    assert tally.unanswered.total() >= 12


@installed
@pytest.mark.timeout(240)
def test_locust_has_as_many_users_as_the_stage_and_ends_with_the_last(endpoint, tmp_path, fake):
    load = Load(clients=4, stages=(Stage(3.0, 1), Stage(3.0, 4)))
    began = time.monotonic()
    cause, tally, _ = drive(endpoint, tmp_path, seconds=6.0, load=load)
    assert cause == ""
    assert time.monotonic() - began < 60
    clients = {op.client for op in History(tmp_path / "h")}
    assert tally.found("container")
    assert len(clients) == 4

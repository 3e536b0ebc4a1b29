"""A cluster without one: who may speak to it, who holds what, what becomes of a case that is lost again and again."""

import asyncio
import importlib.util
import json
import os
import pickle
import subprocess
import sys
import time
from concurrent.futures import Future
from pathlib import Path

import pytest

from seatrial import __version__, results
from seatrial.errors import SeatrialError
from seatrial.oct import desk, offers
from seatrial.oct.across import hosting, ledger, rooms, run, trust, worker
from seatrial.oct.library import load
from seatrial.waiting import wait_until

_spec = importlib.util.spec_from_file_location("seatrial_oct_fake", Path(__file__).with_name("fake_containers.py"))
fake = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(fake)


def offer(name, engines=("docker",), **changes):
    values = {"distribution": "debian", "version": "12", "arch": "x86_64", "cpus": 2, "memory": 4 << 30,
              "disk": 10 << 30, "worker": f"tcp://{name}", "tools": frozenset({"sh"}),
              "facts": {"harness": __version__}, **changes}  # fmt: skip
    return offers.Offer(name, engines=engines, **values)


# -- trust -------------------------------------------------------------------------------------


def test_keys_are_the_owners_and_are_never_written_over(tmp_path):
    made = trust.make(tmp_path / "keys")
    assert [path.name for path in made] == ["ca.pem", "cert.pem", "key.pem"]
    assert {path.stat().st_mode & 0o777 for path in made} == {0o600}
    place = trust.Place.parse("10.0.0.1:1", tmp_path / "keys")
    assert str(place) == "tls://10.0.0.1:1"
    assert place.security.require_encryption is True
    with pytest.raises(SeatrialError) as caught:
        trust.make(tmp_path / "keys")
    assert (caught.value.code, caught.value.cause) == ("E718", f"{made[0]}: File exists")


def test_keys_that_cannot_be_used_are_told(tmp_path):
    def cause():
        with pytest.raises(SeatrialError) as caught:
            trust.Place.parse("10.0.0.1:1", tmp_path)
        assert caught.value.code == "E714"
        return caught.value.cause

    assert cause().startswith(f"{tmp_path}/key.pem: No such file")
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (tmp_path / name).write_text("no key")
        (tmp_path / name).chmod(0o600)
    assert cause()
    (tmp_path / "key.pem").chmod(0o640)
    assert cause() == f"others may read {tmp_path}/key.pem: chmod 600"


@pytest.mark.parametrize(("text", "code"), [
    ("10.0.0.1:8786", "E713"), ("tcp://[::]:1", "E713"), ("example.org:1", "E713"), ("127.0.0.1", "E644"),
    ("/run/x.sock", "E717"), (":8786", "E717"),
])  # fmt: skip
def test_addresses_that_are_refused(text, code):
    with pytest.raises(SeatrialError) as caught:
        trust.Place.parse(text, None)
    assert caught.value.code == code


def test_why_a_scheduler_cannot_be_used_is_what_it_has_said():
    place = trust.Place.parse("127.0.0.1:1", None)
    outer = RuntimeError("Worker failed to start.")
    outer.__cause__ = ValueError("name taken, alpha")
    assert worker.unreachable(place, outer).cause == "name taken, alpha"
    assert worker.unreachable(place, TimeoutError()).cause == "TimeoutError"
    assert worker.unreachable(place, "it went away").cause == "it went away"


# -- the books ---------------------------------------------------------------------------------


class Scheduler:
    """What the ledger knows of Dask's: clients, and ways to workers."""

    def __init__(self):
        self.clients, self.handlers, self.stopped, self.gone = {"c1", "c2"}, {}, [], set()

    def rpc(self, worker):
        class Way:
            async def seatrial_stop(_self, lease):  # noqa: N805
                if worker in self.gone:
                    raise OSError("connection refused")
                self.stopped.append((worker, lease))

        return Way()


@pytest.fixture
def books():
    made, scheduler = ledger.Ledger(), Scheduler()
    asyncio.run(made.start(scheduler))
    made.offer("a", [{"name": "a1"}, {"name": "a2"}], 1)
    made.offer("b", [{"name": "b1"}], 2)
    return made, scheduler


def free(made):
    return [(one["offer"]["name"], one["free"]) for one in made.offers()]


def test_places_are_taken_together_or_not_at_all(books):
    made, scheduler = books
    assert free(made) == [("a1", 1), ("a2", 1), ("b1", 2)]
    assert made.take("c1", "l1", ["a", "b"])
    assert free(made) == [("a1", 0), ("a2", 0), ("b1", 1)]
    assert not made.take("c2", "l2", ["b", "a"])
    assert not made.take("c2", "l2", ["b", "nowhere"])
    assert not made.take("stranger", "l2", ["b"])
    assert free(made) == [("a1", 0), ("a2", 0), ("b1", 1)]
    asyncio.run(made.give("l1"))
    assert scheduler.stopped == [("a", "l1"), ("b", "l1")]  # rooms of the case are closed
    assert free(made) == [("a1", 1), ("a2", 1), ("b1", 2)]


def test_a_lease_ends_with_its_holder_when_its_sessions_have_ended(books):
    made, scheduler = books
    scheduler.gone.add("b")
    made.take("c1", "l1", ["a", "b"])
    made.take("c2", "l2", ["b"])

    async def leave():
        made.remove_client(scheduler, "c1")
        assert free(made) == [("a1", 0), ("a2", 0), ("b1", 0)]  # its sessions still run
        await asyncio.gather(*made._ending)

    asyncio.run(leave())
    assert scheduler.stopped == [("a", "l1")]
    assert free(made) == [("a1", 1), ("a2", 1), ("b1", 1)]


def test_a_worker_that_is_gone_offers_nothing(books):
    made, scheduler = books
    made.take("c1", "l1", ["a", "b"])
    made.remove_worker(scheduler, "a")
    assert free(made) == [("b1", 1)]


# -- sessions ----------------------------------------------------------------------------------


def order(tmp_path, bundle, lease="l"):
    from seatrial.oct import tarball

    tarball.pack(bundle(directory=f"b-{lease}"), tmp_path / f"{lease}.tar.gz")
    return hosting.Order(lease, "sample", (tmp_path / f"{lease}.tar.gz").read_bytes(), "docker", ("n=2",))


SESSION = """
import json, os, pathlib, sys, time
place = pathlib.Path(sys.argv[2], "20260101-000000-x", "oct")
place.mkdir(parents=True)
(place.parent / "results.jsonl").write_text("a stream")
(place / "record.json").write_text(json.dumps(sys.argv[3:]))
print("ready", flush=True)
pathlib.Path({ready!r}).write_text(str(os.getpid()))
try:
    time.sleep({seconds})
except KeyboardInterrupt:
    sys.exit(2)
"""


@pytest.fixture
def fake_session(monkeypatch, tmp_path):
    def use(seconds):
        script = SESSION.format(ready=str(tmp_path / "ready"), seconds=seconds)
        monkeypatch.setattr(desk, "session", lambda case, target, results: [
            sys.executable, "-c", script, case.read_text()[:1], str(results)])  # fmt: skip
        (tmp_path / "work").mkdir()
        return tmp_path / "work", tmp_path / "ready"

    return use


def test_a_session_hands_over_its_run_and_leaves_nothing(fake_session, bundle, tmp_path):
    work, _ = fake_session(0)
    ended = hosting.Hosting(work).run(order(tmp_path, bundle))
    assert (ended.code, ended.said) == (0, "ready")
    hosting.unpacked(ended.run, tmp_path / "taken")
    assert (tmp_path / "taken/results.jsonl").read_text() == "a stream"
    assert (tmp_path / "taken/oct/record.json").read_text() == '["--set", "n=2"]'
    assert list(work.iterdir()) == []


def test_a_bundle_that_cannot_be_unpacked_is_told(tmp_path):
    ended = hosting.Hosting(tmp_path).run(hosting.Order("l", "sample", b"nonsense", "docker"))
    assert (ended.code, ended.run) == (4, b"")
    assert "OCT039" in ended.said


def test_what_is_stopped_is_interrupted_and_does_not_begin_later(fake_session, bundle, tmp_path):
    import threading

    work, ready = fake_session(60)
    host, found = hosting.Hosting(work), []
    thread = threading.Thread(target=lambda: found.append(host.run(order(tmp_path, bundle))))
    thread.start()
    wait_until("the session runs", ready.exists)
    host.stop("another")
    assert thread.is_alive()
    host.stop("l")
    thread.join(20)
    assert [one.code for one in found] == [2]
    began = time.monotonic()
    host.stop("late")
    assert host.run(order(tmp_path, bundle, "late")).code == 2
    assert time.monotonic() - began < 20


def test_a_session_is_interrupted_when_its_worker_is_killed(bundle, tmp_path):
    ready = tmp_path / "ready"
    script = f"""
import sys
from pathlib import Path
from seatrial.oct import desk
from seatrial.oct.across import hosting
code = {SESSION.format(ready=str(ready), seconds=120)!r}
desk.session = lambda case, target, results: [sys.executable, "-c", code, "x", str(results)]
hosting.Hosting(Path({str(tmp_path)!r})).run(
    hosting.Order("l", "sample", Path({str(tmp_path / "l.tar.gz")!r}).read_bytes(), "docker"))
"""
    order(tmp_path, bundle)
    worker = subprocess.Popen([sys.executable, "-c", script])
    try:
        wait_until("the session runs", lambda: ready.exists() and ready.read_text(), 60)
    finally:
        worker.kill()
        worker.wait()

    def ended():
        try:
            os.kill(int(ready.read_text()), 0)
        except ProcessLookupError:
            return True
        return False

    wait_until("the session has ended", ended, 20)


# -- rooms -------------------------------------------------------------------------------------


def test_a_room_does_what_a_site_does_and_nothing_else(bundle, tmp_path, monkeypatch):
    from seatrial import runs
    from seatrial.oct.model import Case

    monkeypatch.setenv("SEATRIAL_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("SEATRIAL_DATA", str(tmp_path / "data"))
    (tmp_path / "work").mkdir()
    containers = fake.FakeContainers(tmp_path / "work")
    live = runs.begin("20260101-000000-x", tmp_path, ["docker"])
    room = rooms.Room("docker", order(tmp_path, bundle).bundle, lambda _: (containers, live))
    books = rooms.Rooms()
    books._rooms["l"] = room

    def ask(name, *args, lease="l"):
        return pickle.loads(books.answer(lease, pickle.dumps((name, args, {}))))

    (part,) = Case.load(json.loads((room._directory / "bundle/case.json").read_text())).hosts
    assert ask("words") == (True, {"engine": "fake", "image": "image", "label": "l=1"})
    assert ask("lay_out", part) == (True, None)
    good, result = ask("run", "hostA", ["echo", "hello"], "", {}, "", 20.0)
    assert (good, result.stdout) == (True, "hello\n")
    for name in ("__init__", "_side", "nonsense"):
        good, error = ask(name)
        assert (good, str(error)) == (False, f"a room has no {name}")
    good, error = ask("words", lease="another")
    assert (good, type(error).__name__) == (False, "HostLostError")
    assert [run_.run for run_ in runs.noted()] == ["20260101-000000-x"]
    assert ask("close room") == (True, None)
    assert containers.closed
    assert list(runs.noted()) == []
    assert not room._directory.exists()
    assert ask("words")[0] is False


# -- the client --------------------------------------------------------------------------------


class Cluster:
    """A cluster that loses whatever it is given, so many times."""

    def __init__(self, offered, losses):
        self.offered, self.losses, self.begun, self.given = offered, losses, [], []
        self.client = self

    def offers(self):
        return [(one, True) for one in self.offered]

    def take(self, lease, hosts):
        return True

    def ask(self, operation, **values):
        self.given.append((operation, values["lease"]))

    def submit(self, function, order, *, workers, **_):
        self.begun.append((order.name, workers[0]))
        future = Future()
        future.release = lambda: None
        if len(self.begun) <= self.losses:
            self.offered = [one for one in self.offered if one.worker != workers[0]]
            future.set_exception(run.KilledWorker("x", None, 0))
        else:
            future.set_result(hosting.Ended(4, "E106: docker does not answer", b""))
        return future


@pytest.fixture
def across(bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(run.distributed, "wait", lambda *_, **__: None)

    def go(offered, losses, **changes):
        bundle({"Name": "sample", **changes}, directory="lib/sample")
        todo = run.jobs(tmp_path / "lib", load(tmp_path / "lib"), ["docker"])
        cluster = Cluster(offered, losses)
        made = run.Across(cluster, todo, tmp_path / "reports", [], lambda _: None)
        made.begin(["seatrial", "oct", "run"])
        made.go()
        made.stream.close()
        # what was found is on disk before the run has ended
        written = results.read(made.directory / "results.jsonl")
        assert (written.results, written.findings, written.complete) == (made.found, made.findings, False)
        return made, cluster

    return go


def outcome(made):
    (result,) = made.found
    return result.verdict.value, result.evidence["oct"]["ending"], result.message or result.reason


def test_a_case_is_lost_three_times_at_most(across):
    made, cluster = across([offer(name) for name in "abcd"], 9)
    assert [worker for _, worker in cluster.begun] == ["tcp://a", "tcp://b", "tcp://c"]
    verdict, ending, words = outcome(made)
    assert (verdict, ending) == ("ERROR", "lost")
    assert "was lost with its host c (its worker has ended), the last of 3 tries" in words
    assert [bool(finding.reason) for finding in made.findings] == [True, True, False]
    assert len(cluster.given) == 3


def test_a_case_that_has_no_host_left_was_lost_and_not_skipped(across):
    made, _ = across([offer("a")], 9)
    verdict, ending, words = outcome(made)
    assert (verdict, ending) == ("ERROR", "lost")
    assert words.endswith("no host is offered")


def test_a_session_that_found_nothing_says_why(across):
    made, _ = across([offer("a")], 0)
    assert outcome(made) == ("ERROR", "error", "E106: docker does not answer")


def test_a_case_without_a_host_says_which_wish_failed_on_which(across):
    wish = {"Class": "host", "Type": "os", "Version": "12.04"}
    made, cluster = across(
        [offer("a"), offer("b", ("podman",)), offer("c", facts={"harness": "9.9"})], 0,
        Requires=[wish, {"Class": "box", "Type": "container"}],
    )  # fmt: skip
    verdict, ending, words = outcome(made)
    assert (verdict, ending, cluster.begun) == ("SKIP", "unplaced", [])
    assert words.split("; ") == [
        "hostA (host) on a: Version 12.04 wanted, 12 offered",
        "hostA (host) on b: engine docker wanted, podman offered, Version 12.04 wanted, 12 offered",
        f"c has seatrial 9.9, {__version__} wanted",
    ]


def test_cases_that_do_not_validate_are_not_run(across):
    with pytest.raises(SeatrialError) as caught:
        across([offer("a")], 0, Collects=[{"Object": "nobody", "Files": ["x"]}])
    assert caught.value.code == "E716"
    assert "OCT022" in caught.value.cause


def test_an_offer_travels_with_its_tools(tmp_path):
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/iperf3").touch()
    here = offers.Offer("a", "debian", "12", "x86_64", 2, 1, 1, ("docker",), str(tmp_path), {"kernel": "6"}, "tcp://a")
    there = offers.Offer.load({**here.plain, "root": "/nowhere"})
    assert there.has_tool("iperf3")
    assert not there.has_tool("fio")
    assert (there.engines, there.worker, there.facts) == (("docker",), "tcp://a", {"kernel": "6"})



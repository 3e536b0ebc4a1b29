"""A probe of an engine says what failed, and removes what an earlier one had to leave."""

import contextlib
import json
import socket

import pytest

from seatrial.hosts import LOCAL
from seatrial.names import RUN_LABEL
from seatrial.stress import activities, health, loops, reference
from seatrial.stress.activities import Client, World
from seatrial.stress.health import LABEL, Prober
from seatrial.stress.over_http import HttpDriver


class Engine:
    host = LOCAL

    def __init__(self, left=()):
        self.left, self.removed = list(left), []

    def find(self, kind, label):
        assert kind == "container"
        return {f"{LABEL}=probe": self.left, f"{RUN_LABEL}=run-other": ["another's"]}[label]

    def remove(self, kind, names):
        self.removed += names
        self.left = []


@pytest.fixture(autouse=True)
def living(monkeypatch):
    """Two runs live, whatever this machine does meanwhile."""
    monkeypatch.setattr(health.runs, "living", lambda: {"run-abcdef", "run-other"})


@pytest.fixture
def echoing(monkeypatch):
    """Connections to published ports reach somebody who echoes."""

    def connect(host, address, timeout):
        ours, theirs = socket.socketpair()
        ours.settimeout(timeout)
        theirs.settimeout(0.2)
        with contextlib.suppress(OSError):
            theirs.sendall(b"")
        return Echo(ours, theirs)

    class Echo:
        def __init__(self, ours, theirs):
            self.ours, self.theirs = ours, theirs

        def sendall(self, data):
            self.theirs.sendall(data)

        def recv(self, size):
            return self.ours.recv(size)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.ours.close()
            self.theirs.close()

    monkeypatch.setattr(activities, "connect", connect)


def probe(endpoint, engine):
    return Prober(engine, lambda: HttpDriver(endpoint), "run-abcdef").probe()


@pytest.fixture
def sleeping(fake, monkeypatch):
    """The fake engine takes the echo server for a command that goes on."""
    monkeypatch.setattr(health, "service", lambda client, options: _service(client, options))

    def _service(client, options):
        real = client.spec
        client.spec = lambda word, *command, **more: real(word, "sleep", *command, **more)
        activities.service(client, options)


def test_an_engine_that_works_is_well(endpoint, fake, echoing, sleeping):
    engine = Engine(left=["straggler", "another's"])
    seen = probe(endpoint, engine)
    assert seen.problem == ""
    assert seen.stragglers == 1
    assert engine.removed == ["straggler"]
    assert {"create", "start", "echo", "kill", "wait", "remove"} <= seen.steps.keys()
    assert str(seen).startswith("ok after ")
    assert "removed 1 stragglers" in str(seen)
    assert fake.containers == {}


def test_an_engine_that_refuses_or_is_dead_is_told(endpoint, fake, echoing, sleeping):
    fake.wrong = "dead"
    seen = probe(endpoint, Engine())
    assert seen.problem.startswith("create: ")
    assert str(seen).startswith("FAILED: create: ")


def test_trouble_of_any_kind_is_a_failure_and_not_the_monitors_end(endpoint):
    class Broken(Engine):
        def find(self, kind, label):
            raise AssertionError("expected exit code 0\nmore")

    assert probe(endpoint, Broken()).problem == "expected exit code 0"


# -- jobs.json ---------------------------------------------------------------------------------


def job(endpoint, entry, tmp_path):
    path = tmp_path / "jobs.json"
    path.write_text(json.dumps([entry]))
    profile = reference.jobs(reference.read_jobs(path), 1, 1, 0.05)
    ops = []
    world = World("run-abcdef", "image", {RUN_LABEL: "run-abcdef"}, loops.since(0.0), ops.append)
    with contextlib.closing(HttpDriver(endpoint)) as driver:
        client = Client(world, 0, driver)
        client.tell(reference.job, "job", profile.activities[0].options, 0.0)
    return {op.kind: op for op in ops}


def test_a_job_is_connected_to_lives_and_is_proved_gone(endpoint, fake, echoing, tmp_path):
    ops = job(endpoint, {"image": "x", "command": ["sleep", "9"], "ports": [80, 81]}, tmp_path)
    assert list(ops) == ["create", "start", "connect", "ports", "kill", "wait", "remove", "gone", "job"]
    assert {op.outcome for op in ops.values()} == {"ok"}
    assert fake.containers == {}


def test_a_job_that_ends_by_itself_is_a_failure(endpoint, fake, tmp_path):
    ops = job(endpoint, {"image": "x", "command": ["true"]}, tmp_path)
    assert (ops["kill"].outcome, ops["job"].outcome) == ("fail", "fail")


def test_a_job_that_nobody_can_connect_to_is_a_failure(endpoint, fake, monkeypatch, tmp_path):
    monkeypatch.setattr(activities, "_BRIEF", 0.2)
    ops = job(endpoint, {"image": "x", "command": ["sleep", "9"], "ports": [80]}, tmp_path)
    assert ops["connect"].outcome == "fail"
    assert "nobody listens on 127.0.0.1:" in ops["connect"].error
    assert fake.containers == {}


def test_a_job_that_is_still_there_is_a_failure(endpoint, fake, monkeypatch, tmp_path):
    monkeypatch.setattr(HttpDriver, "remove", lambda self, name: None)
    ops = job(endpoint, {"image": "x", "command": ["sleep", "9"]}, tmp_path)
    assert ops["gone"].outcome == "fail"
    assert "was removed and is still there" in ops["gone"].error


def test_a_job_of_which_nobody_knows_whether_it_is_gone_is_a_failure(endpoint, fake, monkeypatch, tmp_path):
    monkeypatch.setattr(HttpDriver, "remove", lambda self, name: setattr(fake, "wrong", "broken"))
    ops = job(endpoint, {"image": "x", "command": ["sleep", "9"]}, tmp_path)
    assert (ops["gone"].outcome, ops["gone"].error) == ("fail", "500: something is wrong")


@pytest.mark.parametrize("entry", [{}, {"image": ""}, {"image": "x", "ports": [0]}, {"image": "x", "port": 1}],
                         ids=["none", "empty", "port 0", "port"])  # fmt: skip
def test_a_wrong_job_is_refused(tmp_path, entry):
    path = tmp_path / "jobs.json"
    path.write_text(json.dumps([entry]))
    with pytest.raises(reference.SeatrialError) as caught:
        reference.read_jobs(path)
    assert caught.value.code == "E809"

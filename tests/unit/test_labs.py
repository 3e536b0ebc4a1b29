"""Leases of labs and what happens to them when an engine is slow, dead or cannot be described."""

import os
import subprocess
from pathlib import Path

import pytest

from seatrial.engines import drivers
from seatrial.engines.docker import DockerEngine
from seatrial.engines.startable import Wishes
from seatrial.errors import SeatrialError
from seatrial.lab import host as hosts
from seatrial.lab import labs
from seatrial.targets import parse
from seatrial.waiting import wait_until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    for name in ("STATE", "DATA", "CACHE"):
        monkeypatch.setenv(f"SEATRIAL_{name}", str(tmp_path / name.lower()))


@pytest.fixture
def hostless(monkeypatch):
    """Labs are noted, but no host is started for them."""
    monkeypatch.setattr(labs, "_root_for", lambda *_: Path("/"))
    monkeypatch.setattr(labs, "_stand", lambda lab, *_: labs._save(lab) or lab)


@pytest.fixture
def keeper():
    process = subprocess.Popen(["sleep", "300"], env={**os.environ, "SEATRIAL_LAB": hosts.key("docker-sid")})
    # the environment shows a moment after the program has begun
    wait_until("its environment", lambda: hosts.lab_of(process.pid) == hosts.key("docker-sid"), 10)
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize(
    ("before", "lease", "after"),
    [
        ([labs.USER, "dead"], "new", ["new", labs.USER]),
        ([labs.USER], labs.USER, [labs.USER]),
        (["dead"], "new", ["new"]),
    ],
)
def test_a_broken_lab_is_made_anew_for_its_user(hostless, before, lease, after):
    labs._save(labs.Lab("runc-sid", "runc@sid", 0, "", before))
    assert labs.acquire(parse("runc@sid"), lease).leases == after
    assert labs.find("runc-sid").leases == after


@pytest.mark.parametrize(
    ("lives", "answers", "usable", "asked"),
    [(True, [False, False, True], True, 3), (False, [False, True], False, 1), (True, [True], True, 1)],
)
def test_an_engine_that_lives_is_asked_again(keeper, monkeypatch, lives, answers, usable, asked):
    calls = iter(answers)
    monkeypatch.setattr(DockerEngine, "answers", lambda *_: next(calls))
    daemon = keeper.pid if lives else 2**22 + 1
    lab = labs.Lab("docker-sid", "docker@sid", keeper.pid, "", [], "/run/docker.sock", daemon)
    assert labs._usable(lab) is usable
    assert len(list(calls)) == len(answers) - asked


def test_an_engine_that_never_answers_is_given_up(keeper, monkeypatch):
    monkeypatch.setattr(DockerEngine, "answers", lambda *_: False)
    lab = labs.Lab("docker-sid", "docker@sid", keeper.pid, "", [], "/run/docker.sock", keeper.pid)
    assert labs._usable(lab, patience=0.5) is False


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_an_engine_that_cannot_be_described_leaves_no_lab(hostless, monkeypatch, engine):
    def fail(*_, **__):
        assert len(list(labs.standing())) == 1
        raise OSError("no space")

    monkeypatch.setattr(drivers.driver(engine), "daemon", fail)
    with pytest.raises(OSError, match="no space"):
        labs.private(parse(engine), "run")
    assert list(labs.standing()) == []


@pytest.mark.parametrize("wishes", [Wishes(["--debug"]), Wishes(config={"debug": True}), Wishes(env={"A": "b"})])
def test_an_engine_without_options_is_not_made_as_if_it_had_them(hostless, wishes):
    with pytest.raises(ValueError, match="podman has no daemon with options"):
        labs.private(parse("podman"), "run", wishes)
    assert list(labs.standing()) == []


def test_an_engine_that_its_driver_cannot_start_has_no_lab():
    assert labs.inhabitants() == ("docker", "podman", "runc", "crun", "runsc")
    for make in (lambda: labs.acquire(parse("nerdctl@sid"), "run"), lambda: labs.private(parse("nerdctl"), "run")):
        with pytest.raises(SeatrialError, match="there is no lab of nerdctl"):
            make()

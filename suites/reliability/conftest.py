import time
from pathlib import Path

import pytest

from seatrial import proc
from seatrial.engines.base import KINDS
from seatrial.perf.figures import RECOVERY
from seatrial.session import TRIAL
from seatrial.waiting import wait_until

PATIENCE = 60.0


def pytest_itemcollected(item):
    """Every trial has a daemon of its own."""
    item.add_marker(pytest.mark.requires("private_daemon"))


@pytest.fixture
def recover(request):
    """Starts a daemon again, keeps the seconds until it answers as evidence, and wants them to be few."""
    evidence = request.node.stash[TRIAL].evidence

    def start(d, patience=PATIENCE):
        began = time.monotonic()
        d.daemon.start(patience)
        seconds = time.monotonic() - began
        evidence.setdefault(RECOVERY, []).append(round(seconds, 3))
        assert seconds <= patience

    return start


@pytest.fixture
def answers(request):
    """Measures how long an engine needs until it answers again without being started."""
    evidence = request.node.stash[TRIAL].evidence

    def wait(what, condition, timeout=PATIENCE):
        began = time.monotonic()
        value = wait_until(what, condition, timeout)
        evidence.setdefault(RECOVERY, []).append(round(time.monotonic() - began, 3))
        return value

    return wait


@pytest.fixture
def objects():
    """All that an engine knows of, by kind, doubles included; the bridge of each daemon has an id of its own."""

    def listed(d):
        networks = d.cli("network", "ls", "--format", "{{.Name}}").lines
        return {**{kind: sorted(d.raw.find(kind)) for kind in KINDS}, "network": sorted(networks)}

    return listed


@pytest.fixture
def data():
    """Finds where a daemon keeps its data, as a path of this machine."""

    def find(d):
        return d.host.path(d.cli("info", "--format", "{{.DockerRootDir}}").text)

    return find


@pytest.fixture
def amid():
    """Waits until something is under way and says so when it was over before."""

    def wait(what, talk, condition):
        value = wait_until(what, lambda: talk.process.poll() is not None or condition(), PATIENCE, pause=0.005)
        assert talk.process.poll() is None, f"it was over before it was seen that {what}"
        return value

    return wait


@pytest.fixture
def descendant():
    """Finds the process of a daemon's family that runs a command."""

    def find(pid, command):
        found = [child for child in _family(pid) if proc.command(child) == command]
        assert found, f"{pid} has no {command} below it"
        return found[0]

    return find


def _family(pid):
    for child in proc.children(pid):
        yield child
        yield from _family(child)


@pytest.fixture
def wrapper():
    """Puts a runtime into an engine's host that does something before it becomes runc; returns its path."""

    def put(d, script):
        path = "/usr/local/bin/faulty"
        d.host.path(path).write_text(f"#!/bin/sh\n{script}\nexec runc \"$@\"\n")
        d.host.path(path).chmod(0o755)
        return Path(path)

    return put

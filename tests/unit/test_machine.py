"""Facts about the machine, measured on made-up trees and sockets."""

import socket
import threading
import time
from pathlib import Path

import pytest

from seatrial import proc, requires
from seatrial.probes import machine


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def deaf():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{closed.getsockname()[1]}"


def tree(root, *files):
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return root


def test_peers_are_those_that_answer(listener, deaf):
    assert machine.peers(f"{listener}, {deaf}") == [listener]
    assert machine.peers("") == []


def test_a_name_that_is_not_resolved_in_time_is_given_up(monkeypatch):
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(20) and [])
    began = time.monotonic()
    reason = machine.network("https://slow.example", timeout=0.2)
    over.set()
    assert reason == "slow.example:443: its name is not resolved within 0.2 s"
    assert time.monotonic() - began < 5


XFS = """21 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw
30 21 8:2 / /var/lib rw - xfs /dev/sdb1 rw,prjquota
31 30 8:3 / /var/lib/plain rw - xfs /dev/sdc1 rw,noquota
32 21 8:4 / /srv rw - ext4 /dev/sdd1 rw,prjquota
"""


@pytest.mark.parametrize(("directory", "expected"), [
    ("/var/lib/docker", True), ("/var/lib", True), ("/var/lib/plain/x", False), ("/var/library", False),
    ("/srv/x", False),
])  # fmt: skip
def test_project_quota_is_that_of_the_nearest_mount(directory, expected):
    assert machine.project_quota(proc.mounts(XFS), directory) is expected


@pytest.mark.parametrize("name", ["nowhere.invalid", "a..b"])
def test_a_name_that_does_not_exist_is_a_reason(name):
    assert machine.network(f"https://{name}").startswith(f"{name}:443: ")


def test_every_address_of_a_name_is_tried(monkeypatch, listener, deaf):
    found = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", int(where.rpartition(":")[2])))
             for where in (deaf, listener)]  # fmt: skip
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    assert machine.network("https://both.example") == ""


def test_a_notary_that_does_not_answer_is_none(listener, deaf):
    assert machine.answering(f"https://{listener}") == f"https://{listener}"
    assert machine.answering(f"https://{deaf}") == ""
    assert machine.answering("") == ""


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (("blkio/tasks", "blkio/group/blkio.weight"), True),
        (("blkio/blkio.weight",), True),
        (("blkio/group/blkio.bfq.weight",), False),
        (("blkio/group/blkio.throttle.read_bps_device",), False),
        (("cgroup.controllers", "group/io.weight"), True),
        (("cgroup.controllers", "group/io.bfq.weight"), True),
        (("cgroup.controllers", "group/io.max"), False),
        ((), False),
    ],
)
def test_blkio_weight(tmp_path, files, expected):
    assert machine.blkio_weight(tree(tmp_path, *files)) is expected


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (("cpu/cpu.shares", "cpu/cpu.idle", "cpu/group/cpu.stat", "cpuset/cpuset.cpus"), ["cpu.idle", "cpu.shares"]),
        (("cpu,cpuacct/cpu.shares",), ["cpu.shares"]),
        (("cgroup.controllers", "one/cpu.weight", "two/cpu.weight"), ["cpu.weight"]),
        ((), []),
    ],
)
def test_processor_files(tmp_path, files, expected):
    assert machine.processor_files(tree(tmp_path, *files)) == expected


@pytest.mark.parametrize(
    ("files", "version"),
    [
        (("cgroup.controllers",), "v2"),
        (("memory/tasks",), "v1"),
        (("memory/tasks", "unified/cgroup.procs"), "hybrid"),
        ((), "none"),
    ],
)
def test_cgroup_version(tmp_path, files, version):
    assert machine.cgroup(tree(tmp_path, *files))["version"] == version


def test_every_host_fact_that_requirements_read_is_measured():
    read = set()

    class Facts(dict):
        def __missing__(self, key):
            read.add(key)
            raise KeyError(key)

    host = Facts()
    for requirement in requires.REQUIREMENTS.values():
        requirement.judge({"host": host, "engine": {"healthcheck": "systemd", "security": []}})
    assert read
    assert read <= set(machine.facts())


@pytest.mark.parametrize(
    ("file", "text", "why"),
    [
        ("blkio/blkio.throttle.write_bps_device", "", ""),
        ("cgroup.controllers", "cpu io", ""),
        ("cgroup.controllers", "cpu", "no cgroup of this machine bounds what is written in a second"),
    ],
)
def test_a_disk_is_slowed_down_by_a_cgroup(tmp_path, monkeypatch, file, text, why):
    monkeypatch.setattr(machine, "disk", lambda _: "254:0")
    (tree(tmp_path, file) / file).write_text(text)
    assert machine.slow_disk(Path("/"), tmp_path) == why


def test_what_is_on_no_disk_cannot_be_slowed_down():
    assert machine.slow_disk(Path("/proc/none")) == "/proc is on no disk of its own"
    assert machine.disk(Path("/proc")) == ""

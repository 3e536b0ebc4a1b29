"""What an engine itself may use runs short: what it has acknowledged is kept, and the next one goes on."""

import time

import pytest

from seatrial import proc
from seatrial.exec import FAILURE
from seatrial.probes.kernel import Kernel
from seatrial.probes.machine import disk

claim, requires = pytest.mark.claim, pytest.mark.requires
MIB = 1 << 20


@pytest.fixture
def confine():
    """Puts a daemon alone into a cgroup of its own, and writes a limit there; returns the cgroup's directory."""

    def put(d, controller, limits):
        group = Kernel(d.daemon.pid).cgroup_path(controller)
        if not (group / "cgroup.controllers").exists():  # cgroup v1: its containers are below this one
            group /= "alone"
            group.mkdir()
            (group / "cgroup.procs").write_text(str(d.daemon.pid))
        name, value = next((name, value) for name, value in limits.items() if (group / name).exists())
        (group / name).write_text(value)
        return group

    return put


def killed_for_memory(group):
    """Counts what the kernel has killed in a cgroup because of its limit."""
    told = group / "memory.events"
    text = (told if told.exists() else group / "memory.oom_control").read_text()
    return int(dict(line.split() for line in text.splitlines())["oom_kill"])


@claim("rel-043")
@requires("memory")
def test_a_daemon_that_runs_out_of_memory_takes_nothing_with_it(private_daemon, confine, recover, objects, answers):
    d = private_daemon(config={"live-restore": True})
    c, _ = d.run(), d.create()
    kernel, before, family = Kernel(c.pid), objects(d), [d.daemon.pid, *proc.children(d.daemon.pid)]
    large = d.workdir / "large"
    large.write_text("".join(f"V{number}={'x' * 60_000}\n" for number in range(2000)))  # held whole by who takes it
    group = confine(d, "memory", {"memory.limit_in_bytes": str(24 * MIB), "memory.max": str(24 * MIB)})
    d.cli("create", "--name", d.name(), "--env-file", str(large), d.image, expect=FAILURE, timeout=120)
    answers("the end of the daemon and its containerd", lambda: not (d.daemon.alive or any(map(proc.exists, family))))
    assert killed_for_memory(group) == 1
    assert kernel.alive
    recover(d)
    assert objects(d) == before
    assert (c.status, c.pid) == ("running", kernel.pid)
    assert c.sh("echo still here").text == "still here"
    assert d.once(d.image, "echo", "new").text == "new"


@claim("rel-044")
@requires("blkio", "slow_disk")
def test_on_a_slow_disk_others_are_answered_and_what_was_acknowledged_is_kept(
    private_daemon, confine, data, recover, objects, amid
):
    d = private_daemon(config={"live-restore": True})
    c = d.run()
    kernel, quick = Kernel(c.pid), seconds(d.create)
    number, bound = disk(data(d)), 200_000
    confine(d, "blkio", {"blkio.throttle.write_bps_device": f"{number} {bound}", "io.max": f"{number} wbps={bound}"})
    assert seconds(d.create) > 4 * quick, "the disk is as quick as before"
    before, name = objects(d), d.name()
    talk = d.spawn("create", "--name", name, d.image, "echo", "whole")
    amid("others are answered", talk, lambda: d.cli("ps", "--format", "{{.Names}}").lines == [c.name])
    d.daemon.kill(120)
    talk.wait(FAILURE)
    recover(d)
    assert kernel.alive
    found = objects(d)
    found["container"] = sorted({*found["container"]} & {*before["container"]})
    assert found == before
    d.cli("rm", "--force", name, expect=None)
    assert d.once("--name", name, d.image, "echo", "again").text == "again"


def seconds(action):
    began = time.monotonic()
    action()
    return time.monotonic() - began

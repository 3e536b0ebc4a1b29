"""A daemon is killed, stopped or stands still: what it promised holds when it is back."""

import os
import signal
import threading

import pytest

from seatrial import proc
from seatrial.expecting import one
from seatrial.lab import images
from seatrial.names import TOOLBOX
from seatrial.probes.kernel import Kernel
from seatrial.stress.driver import SilentError, Spec
from seatrial.stress.over_http import HttpDriver

claim = pytest.mark.claim


@claim("rel-001")
@pytest.mark.parametrize("death", ["kill", "stop"])
def test_live_restore_outlives_the_daemon(private_daemon, death, recover):
    d = private_daemon(config={"live-restore": True})
    c = d.run()
    kernel = Kernel(c.pid)
    getattr(d.daemon, death)()
    assert kernel.alive
    recover(d)
    assert (c.status, c.pid) == ("running", kernel.pid)
    assert c.sh("echo still here").text == "still here"
    d.cli("kill", c.name)
    c.until("ended", lambda: c.status == "exited")
    assert c.state["ExitCode"] == 128 + signal.SIGKILL


@claim("rel-002")
def test_an_end_without_a_daemon_is_learned_by_the_next(private_daemon, recover):
    d = private_daemon(config={"live-restore": True})
    c = d.run()
    kernel = Kernel(c.pid)
    d.daemon.kill()
    os.kill(kernel.pid, signal.SIGKILL)
    recover(d)
    c.until("known to have ended", lambda: c.status == "exited")
    assert c.pid == 0
    d.cli("start", c.name)
    assert c.status == "running"


@claim("rel-003")
def test_nothing_is_lost_or_doubled(private_daemon, recover, objects):
    d = private_daemon()
    running, created = d.run(), d.create()
    d.network()
    volume = d.volume()
    d.cli("run", "--rm", "--volume", f"{volume}:/v", d.image, "sh", "-c", "echo kept >/v/f")
    kernel = Kernel(running.pid)
    before = objects(d)
    assert [len(before[kind]) for kind in ("container", "volume", "network")] == [2, 1, 4]
    d.daemon.kill()
    recover(d)
    assert objects(d) == before
    assert created.status == "created"
    assert (running.status == "running") == (running.pid != 0 and Kernel(running.pid).alive)
    assert not kernel.alive
    assert d.sh("cat /v/f", "--volume", f"{volume}:/v").text == "kept"


@claim("rel-004")
def test_a_container_that_died_with_its_daemon_starts_again(private_daemon, recover):
    d = private_daemon()
    c = d.run()
    c.sh("echo kept >/written")
    d.daemon.kill()
    recover(d)
    c.until("known to have ended", lambda: c.status == "exited")
    d.cli("start", c.name)
    assert c.read("/written") == "kept\n"


@claim("rel-005")
@pytest.mark.parametrize("policy", ["always", "unless-stopped"])
def test_restart_policies_are_obeyed_after_a_kill(private_daemon, policy, recover):
    d = private_daemon()
    c, other = d.run("--restart", policy), d.run("--restart", "no")
    stopped = d.run("--restart", "unless-stopped")
    d.cli("stop", "--time", "0", stopped.name)
    d.daemon.kill()
    recover(d)
    c.until("started again", lambda: c.status == "running", 30)
    assert c.sh("echo here").text == "here"
    assert [other.status, stopped.status] == ["exited", "exited"]


@claim("rel-006")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "ended"])
def test_a_killed_shim_is_noticed(private_daemon, number):
    d = private_daemon()
    c, other = d.run(), d.run()
    shim = one(pid for pid in list(proc.ancestry(c.pid))[1:2] if proc.command(pid).startswith("containerd-shim"))
    kernel = Kernel(c.pid)
    os.kill(shim, number)
    c.until("known to have ended", lambda: c.status == "exited", 60)
    assert not kernel.alive
    assert other.sh("echo here").text == "here"
    d.cli("start", c.name)
    assert c.sh("echo again").text == "again"


@claim("rel-007")
def test_what_is_asked_of_a_daemon_that_stands_still_is_done_once(private_daemon):
    d = private_daemon()
    c = d.run(d.image, "sh", "-c", "while :; do echo x >>/ticks; sleep 0.1; done")
    root = c.kernel.pid
    name = d.name()
    os.kill(d.daemon.pid, signal.SIGSTOP)
    try:
        talk = d.spawn("create", "--name", name, d.image, "true")

        def ticks():
            return os.stat(f"/proc/{root}/root/ticks").st_size

        before = ticks()
        c.until("going on", lambda: ticks() > before + 4)
        assert talk.process.poll() is None
    finally:
        os.kill(d.daemon.pid, signal.SIGCONT)
    talk.wait(0)
    listed = d.cli("ps", "--all", "--format", "{{.Names}}").lines
    assert listed.count(name) == 1


@claim("rel-008")
def test_what_was_acknowledged_is_there_after_a_kill_among_creations(private_daemon, recover):
    d = private_daemon()
    acknowledged, enough = {}, threading.Event()

    def create(client):
        driver = HttpDriver(d.raw.endpoint)
        for number in range(1000):
            name = f"{d.name()}-{client}-{number}"
            try:
                acknowledged[name] = driver.create(Spec(name, d.image, ("true",), d.labels))
            except SilentError:
                break
            if len(acknowledged) >= 12:
                enough.set()
        driver.close()

    clients = [threading.Thread(target=create, args=(client,)) for client in range(4)]
    for client in clients:
        client.start()
    assert enough.wait(60)
    d.daemon.kill()
    for client in clients:
        client.join()
    recover(d)
    listed = d.raw.find("container")
    assert len(listed) == len(set(listed))
    assert set(acknowledged.values()) <= set(listed)
    assert len(listed) <= len(acknowledged) + len(clients), "one of each client may have gone unanswered"
    name = next(iter(acknowledged))
    d.cli("start", name)
    assert d.cli("wait", name).text == "0"


@claim("rel-009")
@pytest.mark.parametrize("stage", ["unpacked", "registered"])
def test_a_kill_while_an_image_is_loaded_leaves_no_half_image(private_daemon, stage, recover, data, amid):
    d = private_daemon()
    archive = d.workdir / "image.tar"
    images.provide(d.raw, (TOOLBOX,))
    d.cli("save", "--output", str(archive), TOOLBOX, timeout=300)
    d.cli("image", "rm", TOOLBOX)
    root = data(d)
    before = set(root.glob("overlay2/*/diff/usr"))
    talk = d.spawn("load", "--input", str(archive))
    if stage == "unpacked":
        amid("the archive is unpacked", talk, lambda: any(root.glob("tmp/docker-import-*/*")))
    else:
        amid("a layer is written", talk, lambda: set(root.glob("overlay2/*/diff/usr")) - before)
    d.daemon.kill()
    assert talk.wait(timeout=60).code != 0
    recover(d)
    assert not d.exists(TOOLBOX, "image")
    d.cli("load", "--input", str(archive), timeout=300)
    assert d.cli("run", "--rm", TOOLBOX, "sysbench", "--version", timeout=120).text.startswith("sysbench")


@claim("rel-010")
def test_a_daemon_that_ends_stops_its_containers(private_daemon, recover):
    d = private_daemon()
    c = d.run(d.image, "sh", "-c", "trap 'exit 9' TERM; while :; do sleep 0.1; done")
    kernel = Kernel(c.pid)
    d.daemon.stop()
    assert not kernel.alive
    recover(d)
    assert (c.status, c.state["ExitCode"]) == ("exited", 9)

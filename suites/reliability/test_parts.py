"""A part of an engine dies or stands still: containerd, a shim, the runtime, a client. The rest goes on."""

import contextlib
import os
import signal
import threading

import pytest

from seatrial import proc
from seatrial.expecting import one
from seatrial.probes.kernel import Kernel

claim = pytest.mark.claim
FAULTY = {"runtimes": {"faulty": {"path": "/usr/local/bin/faulty"}}}


@claim("rel-011")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "ended"])
def test_containers_outlive_their_containerd_and_the_daemon_starts_another(private_daemon, descendant, answers, number):
    d = private_daemon()
    c = d.run()
    kernel = Kernel(c.pid)
    containerd = descendant(d.daemon.pid, "containerd")
    os.kill(containerd, number)
    answers("a new container", lambda: d.cli("run", "--rm", d.image, "true", expect=None).ok)
    assert descendant(d.daemon.pid, "containerd") != containerd
    assert kernel.alive
    assert c.sh("echo here").text == "here"
    d.cli("kill", c.name)
    c.until("ended", lambda: c.status == "exited")


@claim("rel-012")
def test_a_runtime_that_is_killed_in_mid_create_fails_one_container(private_daemon, wrapper):
    d = private_daemon(config=FAULTY)
    wrapper(d, "case \" $* \" in *' create '*) kill -9 $$ ;; esac")
    other, name = d.run(), d.name()
    refused = d.cli("run", "--runtime", "faulty", "--name", name, d.image, "true", expect=(125, 126, 127, 128))
    assert refused.stderr.strip()
    assert d.inspect(name)["State"]["Running"] is False
    d.cli("rm", name)
    assert other.sh("echo here").text == "here"
    assert d.once(d.image, "echo", "again").text == "again"


@claim("rel-013")
def test_a_create_that_hangs_when_the_daemon_dies_is_over_with_the_next(private_daemon, wrapper, recover):
    d = private_daemon(config=FAULTY)
    wrapper(d, "case \" $* \" in *' create '*) echo $$ >/run/hanging; sleep 600 ;; esac")
    name = d.name()
    d.cli("create", "--runtime", "faulty", "--name", name, d.image, "true")
    talk = d.spawn("start", name)
    hanging = d.host.path("/run/hanging")
    _until(lambda: hanging.exists() and hanging.read_text().strip())
    d.daemon.kill()
    talk.wait(timeout=60)
    with contextlib.suppress(ProcessLookupError):  # it may have gone with its containerd
        os.kill(int(hanging.read_text()), signal.SIGKILL)
    wrapper(d, ":")
    recover(d)
    assert d.inspect(name)["State"]["Running"] is False
    d.cli("start", name)
    assert d.cli("wait", name).text == "0"


def _until(condition):
    from seatrial.waiting import wait_until

    return wait_until("the runtime hangs", condition)


@claim("rel-014")
def test_a_shim_that_stands_still_holds_up_only_its_container(private_daemon, answers):
    d = private_daemon()
    c, other = d.run(), d.run()
    shim = one(pid for pid in list(proc.ancestry(c.pid))[1:2])
    assert proc.command(shim).startswith("containerd-shim")
    os.kill(shim, signal.SIGSTOP)
    try:
        assert set(d.cli("ps", "--format", "{{.Names}}").lines) == {c.name, other.name}
        assert other.sh("echo here").text == "here"
        assert d.once(d.image, "echo", "new").text == "new"
    finally:
        os.kill(shim, signal.SIGCONT)
    answers("the container", lambda: c.sh("echo back", expect=None).text == "back")


@claim("rel-015")
def test_a_client_that_is_killed_takes_no_container_with_it(private_daemon):
    d = private_daemon()
    name = d.name()
    talk = d.spawn("run", "--name", name, d.image, "sh", "-c", "echo up; exec sleep 3600")
    talk.wait_for("up")
    talk.kill()
    assert d.inspect(name)["State"]["Running"] is True
    assert d.cli("exec", name, "echo", "here").text == "here"


@claim("rel-016")
def test_a_process_that_is_killed_is_started_again_each_time(private_daemon, answers):
    d = private_daemon()
    c = d.run("--restart", "always")
    for number in (1, 2, 3):
        before = c.pid
        os.kill(before, signal.SIGKILL)
        answers("another process", lambda before=before: c.status == "running" and c.pid not in (0, before))
        assert c.inspect()["RestartCount"] == number


@claim("rel-017")
def test_a_policy_with_a_bound_gives_up(private_daemon):
    d = private_daemon()
    c = d.run("--restart", "on-failure:2", d.image, "sh", "-c", "echo x >>/runs; exit 3")
    c.until("given up", lambda: c.status == "exited" and c.inspect()["RestartCount"] == 2, 60)
    d.cli("cp", f"{c.name}:/runs", str(d.workdir / "runs"))
    assert (d.workdir / "runs").read_text() == "x\n" * 3
    assert c.state["ExitCode"] == 3


@claim("rel-018")
def test_a_second_daemon_on_the_same_data_is_refused_and_the_first_goes_on(private_daemon):
    from seatrial.exec import FAILURE, run

    d = private_daemon()
    c = d.run()
    second = run(["timeout", "30", d.raw.service, "--host", "unix:///run/second.sock"], host=d.host, journal=d.journal,
                 expect=FAILURE, timeout=60)  # fmt: skip
    assert "pid" in second.stderr
    assert second.code != 124
    assert c.sh("echo here").text == "here"


@claim("rel-019")
@pytest.mark.parametrize("config", ['{"debug": true}', '{"debug": '], ids=["right", "broken"])
def test_a_configuration_is_read_again_and_a_broken_one_ends_nothing(private_daemon, config):
    d = private_daemon(config={"debug": False})
    c = d.run()
    kernel, pid = Kernel(c.pid), d.daemon.pid
    d.host.path("/etc/docker/daemon.json").write_text(config)
    os.kill(pid, signal.SIGHUP)
    c.until("looked at", lambda: "reload" in d.log.lower() or "unable to configure" in d.log.lower(), 20)
    assert d.cli("info", "--format", "{{.Debug}}").text == ("true" if config.endswith("}") else "false")
    assert (d.daemon.pid, d.daemon.alive, kernel.alive) == (pid, True, True)
    assert c.sh("echo here").text == "here"


@claim("rel-020")
def test_many_clients_that_go_away_leave_an_engine_that_answers(private_daemon):
    d = private_daemon()
    c = d.run()
    talks = [d.spawn("exec", c.name, "sh", "-c", "echo up; exec sleep 3600") for _ in range(12)]
    for talk in talks:
        talk.wait_for("up", 60)
    gone = [threading.Thread(target=talk.kill) for talk in talks]
    for thread in gone:
        thread.start()
    for thread in gone:
        thread.join()
    assert c.sh("echo here").text == "here"
    assert d.cli("ps", "--format", "{{.Names}}").lines == [c.name]

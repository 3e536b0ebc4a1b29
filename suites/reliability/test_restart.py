"""A daemon comes back: what it was told to keep runs, is reached, and is told of once."""

import itertools
import os
import signal
import threading
from datetime import datetime

import pytest

from seatrial.expecting import one
from seatrial.hosts import connect
from seatrial.probes.kernel import Kernel
from seatrial.stress.driver import RefusedError, SilentError, Spec, place_of
from seatrial.stress.over_http import HttpDriver, held_ports

claim = pytest.mark.claim
LIVE = {"live-restore": True}
HEAVY = 96 << 20


@claim("rel-050")
@pytest.mark.parametrize("count", [20, pytest.param(1000, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])])
def test_all_containers_with_a_policy_are_there_once_after_a_restart(private_daemon, recover, answers, count):
    d = private_daemon()
    d.mark("container")
    driver = HttpDriver(d.raw.endpoint, 120.0)
    names = [d.name() for _ in range(count)]
    for name in names:
        body = {"Image": d.image, "Cmd": ["sleep", "36000"], "Labels": d.labels,
                "HostConfig": {"RestartPolicy": {"Name": "always"}, "NetworkMode": "none"}}  # fmt: skip
        driver.ask("POST", "/containers/create", (201,), query={"name": name}, body=body)
        driver.start(name)
    driver.close()
    d.daemon.stop(timeout=300)
    recover(d, 600.0)
    answers("all run again", lambda: len(_running(d)) == count, 600)
    assert sorted(_running(d)) == sorted(names)
    assert len(d.raw.find("container")) == count


def _running(d):
    return d.cli("ps", "--format", "{{.Names}}", timeout=120).lines


@claim("rel-051")
def test_on_failure_is_no_reason_to_start_with_the_daemon(private_daemon, recover):
    d = private_daemon()
    c, always = d.run("--restart", "on-failure", d.image, "sleep", "3600"), d.run("--restart", "always")
    d.daemon.stop()
    recover(d)
    always.until("started again", lambda: always.status == "running", 30)
    assert c.status == "exited"


@claim("rel-052")
@pytest.mark.parametrize("death", ["kill", "stop"])
def test_a_published_port_is_served_while_there_is_no_daemon_and_after(private_daemon, recover, death):
    d = private_daemon("--userland-proxy=false", config=LIVE)
    c = d.run("--publish", "127.0.0.1::7", d.image, "nc", "-ll", "-p", "7", "-e", "cat")
    place = published(c)
    _, port = place
    c.until("answering", lambda: echo(d, "127.0.0.1", port) == b"hello")
    address = c.address
    getattr(d.daemon, death)()
    assert echo(d, "127.0.0.1", port) == b"hello"
    assert echo(d, address) == b"hello"
    recover(d)
    assert c.address == address
    assert published(c) == place
    assert echo(d, "127.0.0.1", port) == b"hello"
    assert echo(d, address) == b"hello"


def published(c):
    """Address and port of the host that lead to a container."""
    return place_of(one(held_ports(c.inspect()["NetworkSettings"]["Ports"])))


def echo(d, address, port=7):
    """What comes back from an address of a daemon's host; nothing where nobody listens."""
    try:
        with connect(d.host, (address, port), 5.0) as line:
            line.sendall(b"hello")
            return line.recv(5)
    except OSError:
        return b""


@claim("rel-053")
def test_a_paused_container_is_paused_after_the_daemon_was_killed(private_daemon, recover):
    d = private_daemon(config=LIVE)
    c = d.run()
    d.cli("pause", c.name)
    kernel = c.kernel
    d.daemon.kill()
    recover(d)
    assert c.status == "paused"
    assert kernel.frozen
    d.cli("unpause", c.name)
    assert c.sh("echo here").text == "here"


@claim("rel-054")
def test_output_goes_into_the_logs_again_after_the_daemon_is_back(private_daemon, recover):
    d = private_daemon(config=LIVE)
    c = d.run(d.image, "sh", "-c", "i=0; while :; do echo $((i=i+1)); sleep 0.2; done")
    c.until_log(r"(?m)^3$")
    d.daemon.kill()
    recover(d)
    seen = int(c.logs().lines[-1])
    c.until("going on", lambda: int(c.logs().lines[-1]) > seen + 3)
    numbers = [int(line) for line in c.logs().lines]
    assert numbers == sorted(set(numbers))
    assert numbers[0] == 1


@claim("rel-055")
def test_health_is_checked_again_after_the_daemon_is_back(private_daemon, recover):
    d = private_daemon(config=LIVE)
    c = d.run("--health-cmd", "test ! -e /sick", "--health-interval", "1s", "--health-retries", "1")
    c.until("healthy", lambda: c.state["Health"]["Status"] == "healthy", 30)
    d.daemon.kill()
    recover(d)
    c.sh("touch /sick")
    c.until("unhealthy", lambda: c.state["Health"]["Status"] == "unhealthy", 30)


@claim("rel-056")
def test_a_container_is_stopped_by_a_daemon_that_did_not_start_it(private_daemon, recover):
    d = private_daemon(config=LIVE)
    c = d.run(d.image, "sh", "-c", "trap 'exit 9' TERM; while :; do sleep 0.1; done")
    kernel = Kernel(c.pid)
    d.daemon.kill()
    recover(d)
    d.cli("stop", c.name)
    assert (c.status, c.state["ExitCode"], kernel.alive) == ("exited", 9, False)


def asked(d, work):
    """Lets four clients work until one of them gets no answer; returns what was acknowledged."""
    done, enough = {}, threading.Event()

    def client(number):
        driver = HttpDriver(d.raw.endpoint)
        for count in range(1000):
            try:
                key, value = work(driver, f"{d.name()}-{number}-{count}")
            except (SilentError, RefusedError):
                break
            done[key] = value
            if len(done) >= 12:
                enough.set()
        driver.close()

    clients = [threading.Thread(target=client, args=(number,)) for number in range(4)]
    for client in clients:
        client.start()
    return done, enough, clients


@claim("rel-057")
@pytest.mark.parametrize("kind", ["network", "volume"])
@pytest.mark.parametrize("death", ["kill", "stop"])
def test_what_was_acknowledged_is_there_though_the_daemon_ended_among_creations(private_daemon, recover, kind, death):
    d = private_daemon("--default-address-pool", "base=10.64.0.0/10,size=28")

    def work(driver, name):
        driver.make(kind, name, d.labels)
        return name, name

    done, enough, clients = asked(d, work)
    assert enough.wait(120)
    getattr(d.daemon, death)()
    for client in clients:
        client.join()
    recover(d)
    listed = d.cli(kind, "ls", "--format", "{{.Name}}").lines
    assert set(done) <= set(listed)
    assert len(listed) == len(set(listed))
    d.cli(kind, "rm", next(iter(done)))


@claim("rel-058")
def test_a_container_whose_removal_was_acknowledged_does_not_come_back(private_daemon, recover):
    d = private_daemon()
    ready = []

    def work(driver, name):
        driver.create(Spec(name, d.image, ("true",), d.labels))
        ready.append(name)
        driver.remove(name)
        return name, name

    done, enough, clients = asked(d, work)
    assert enough.wait(120)
    d.daemon.kill()
    for client in clients:
        client.join()
    recover(d)
    listed = d.cli("ps", "--all", "--format", "{{.Names}}").lines
    assert not set(done) & set(listed)
    assert set(listed) <= set(ready) - set(done)


@claim("rel-059")
@pytest.mark.parametrize("fault", ["vanishes", "stalls"])
def test_a_registry_that_goes_away_fails_a_pull_and_leaves_nothing_half(
    private_daemon, registry_with, data, amid, fault
):
    d = private_daemon()
    source = registry_with(engine=d)
    made = d.build("FROM IMAGE\nCOPY data /data\n", {"data": os.urandom(HEAVY)}).name
    name = source.reference("heavy")
    d.cli("tag", made, name)
    d.cli("push", name, timeout=300)
    d.cli("image", "rm", name, made)
    arriving, talk = data(d) / "tmp", d.spawn("pull", name)
    amid("a layer arrives", talk, lambda: any(file.stat().st_size > 1 << 20 for file in arriving.glob("GetImageBlob*")))
    os.kill(source.process.pid, signal.SIGSTOP)
    try:
        if fault == "vanishes":
            os.kill(source.process.pid, signal.SIGKILL)
            assert talk.wait(timeout=240).code == 1
        else:
            talk.signal(signal.SIGINT)
            assert talk.wait(timeout=60).code != 0
        assert not d.exists(name, "image")
        assert d.once(d.image, "echo", "here").text == "here"
    finally:
        if fault == "stalls":
            os.kill(source.process.pid, signal.SIGCONT)
    if fault == "vanishes":
        source.restart()
        source.admit(d.raw)
    name = source.reference("heavy")
    d.cli("pull", name, timeout=300)
    assert d.once(name, "sh", "-c", "wc -c </data").text == str(HEAVY)


@claim("rel-060")
def test_a_container_that_runs_out_of_memory_is_the_only_one_to_die(private_daemon):
    d = private_daemon()
    other = d.run()
    c = d.run("--memory", "16m", "--memory-swap", "16m", d.image, "sh", "-c", "sleep 0.5; tail /dev/zero")
    c.until("ended", lambda: c.status == "exited", 60)
    assert (c.state["OOMKilled"], c.state["ExitCode"]) == (True, 137)
    assert d.daemon.alive
    assert other.sh("echo here").text == "here"


@claim("rel-061")
def test_a_container_that_forks_without_end_keeps_no_other_from_it(private_daemon):
    d = private_daemon()
    other = d.run()
    c = d.run("--pids-limit", "32", d.image, "sh", "-c", "(while :; do sleep 1000 & done); exec sleep 1000")
    c.until("at its limit", lambda: len(c.kernel.cgroup_processes) >= 30, 60)
    assert len(c.kernel.cgroup_processes) <= 32
    assert other.sh("sleep 0 & sleep 0 & wait; echo here").text == "here"
    assert d.once(d.image, "echo", "new").text == "new"
    d.cli("rm", "--force", c.name)


def starts(c):
    """When a container has written a line, in seconds, as its logs tell."""
    lines = c.logs("--timestamps").lines
    return [datetime.fromisoformat(line.partition(" ")[0][:26] + "+00:00").timestamp() for line in lines]


@claim("rel-062")
def test_a_container_in_a_crash_loop_is_started_ever_later(private_daemon):
    d = private_daemon()
    c = d.run("--restart", "always", d.image, "sh", "-c", "echo up; exit 1")
    c.until("started eight times", lambda: len(starts(c)) >= 8, 120)
    gaps = [later - earlier for earlier, later in itertools.pairwise(starts(c)[:8])]
    assert all(gap >= 0.1 * 2**number for number, gap in enumerate(gaps)), gaps
    assert gaps[-3] < gaps[-2] < gaps[-1], gaps
    assert d.once(d.image, "echo", "here").text == "here"
    d.cli("rm", "--force", c.name)
    assert not d.exists(c.name)

"""Restart policies, and limits and policies that are changed while a container runs."""

import os
import signal
import time

import pytest

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires
case = pytest.param
MIB = 1 << 20


def stays_ended(c, restarts):
    """Watch a container that has ended for longer than an engine waits before it starts one again."""
    began = time.monotonic()
    while time.monotonic() - began < 3:
        seen = c.inspect()
        assert (seen["State"]["Status"], seen["State"]["Pid"], seen["RestartCount"]) == ("exited", 0, restarts)
        time.sleep(0.3)


@claim("cli-256", "cli-080")
@effect("run --restart")
def test_on_failure_restarts_as_often_as_said(engine):
    c = engine.run("--restart", "on-failure:2", engine.image, "sh", "-c", "echo try; exit 7")
    c.until("three tries", lambda: c.logs().stdout.count("try") == 3 and c.status == "exited", 60)
    stays_ended(c, restarts=2)
    assert c.state["ExitCode"] == 7


@claim("cli-256")
def test_on_failure_leaves_success_alone(engine):
    c = engine.run("--restart", "on-failure", engine.image, "sh", "-c", "echo try")
    c.until("exited", lambda: c.status == "exited")
    stays_ended(c, restarts=0)
    assert c.logs().lines == ["try"]


@claim("cli-256")
@pytest.mark.parametrize("policy", ["always", "unless-stopped"])
def test_always_restarts_after_death_but_not_after_stop(engine, policy):
    c = engine.run("--restart", policy)
    first = c.kernel.pid
    os.kill(first, signal.SIGKILL)
    c.until("restarted", lambda: c.status == "running" and c.pid not in (0, first), 60)
    assert c.inspect()["RestartCount"] == 1
    engine.cli("stop", "-t", "0", c.name)
    c.until("exited", lambda: c.status == "exited")
    stays_ended(c, restarts=1)


@claim("cli-256")
def test_without_a_policy_the_dead_stay_dead(engine):
    c = engine.run()
    os.kill(c.kernel.pid, signal.SIGKILL)
    c.until("exited", lambda: c.status == "exited")
    stays_ended(c, restarts=0)
    assert c.state["ExitCode"] == 137


@claim("cli-256", "cli-115")
def test_bad_restart_policies_are_refused(engine):
    for options, says in (
        (("--restart", "sometimes"), "invalid restart policy|unknown policy|is not a valid|not recognized"),
        (("--restart", "on-failure:many"), "retry count must be an integer|parsing restart policy"),
        (("--restart", "on-failure:-1"), "retry count (cannot be negative|as a number greater than 0)"),
        (("--restart", "always:3"), "maximum retry count can(not| only) be used with|retries can only be specified"),
    ):  # fmt: skip
        engine.fails("run", *options, engine.image, "true", says=says)


@claim("cli-256")
@requires("private_daemon")
def test_daemons_start_starts_what_was_not_stopped(private_daemon):
    d = private_daemon()
    kept = {policy: d.run("--restart", policy) for policy in ("always", "unless-stopped", "no")}
    stopped = {policy: d.run("--restart", policy) for policy in ("always", "unless-stopped")}
    d.cli("stop", "-t", "0", *(c.name for c in stopped.values()))
    d.daemon.restart()
    for c in (kept["always"], kept["unless-stopped"], stopped["always"]):
        c.until("running", lambda c=c: c.status == "running", 60)
    assert [kept["no"].status, stopped["unless-stopped"].status] == ["exited", "exited"]


@claim("cli-257")
@effect("update --memory", "update --cpu-shares", "update --cpuset-cpus")
@requires("memory", "swap", "cpu_shares", "cpuset", "cgroup_v1")
def test_update_changes_a_running_containers_cgroup(engine):
    c = engine.run("-m", "100m", "--memory-swap", "200m")
    pid = c.kernel.pid
    engine.cli("update", "--cpu-shares", "512", "--memory", "150m", "--memory-swap", "300m", "--cpuset-cpus", "0",
               c.name)  # fmt: skip
    kernel = c.kernel
    assert [kernel.cgroup(name) for name in ("cpu_shares", "memory", "memory_and_swap")] == [512, 150 * MIB, 300 * MIB]
    assert kernel.cgroup_text("cpus") == "0"
    assert kernel.pid == pid


@claim("cli-257")
@requires("cpu_quota", "cpu_shares", "cgroup_v1")
@effect("create --cpu-shares")
def test_update_of_a_stopped_container_holds_when_it_starts(engine):
    kept, updated = engine.create("--cpu-shares", "100"), engine.create("--cpu-shares", "100")
    assert engine.cli("update", "--cpu-shares", "700", updated.name).text in (updated.name, updated.id)
    for c, shares in ((kept, 100), (updated, 700)):
        engine.cli("start", c.name)
        assert c.kernel.cgroup("cpu_shares") == shares


@claim("cli-257")
@effect("update --restart")
def test_update_changes_the_restart_policy(engine):
    c = engine.run()
    engine.cli("update", "--restart", "on-failure:5", c.name)
    assert c.inspect()["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 5}
    first = c.kernel.pid
    os.kill(first, signal.SIGKILL)
    c.until("restarted", lambda: c.status == "running" and c.pid not in (0, first), 60)


@claim("cli-257", "cli-115")
def test_bad_updates_are_refused_and_change_nothing(engine):
    for options, says in (
        (("--cpu-period", "999"), "CPU cfs period can not be less|cfs_period_us: invalid argument"),
        (("--memory", "1x"), "bad_memory"),
        (("--cpuset-cpus", "4000"), "CPUs are not available|cpuset.cpus: numerical result out of range"),
    ):  # fmt: skip
        c = engine.run("-m", "100m")
        before = {name: c.kernel.cgroup_text(name) for name in ("cpu_period", "memory", "cpus")}
        engine.fails("update", *options, c.name, says=says)
        assert {name: c.kernel.cgroup_text(name) for name in before} == before


@claim("cli-257", "cli-115")
def test_update_of_what_is_not_there_is_refused(engine):
    engine.fails("update", "--cpu-shares", "100", engine.name(), says="no_such_container")
    engine.fails("update", "--cpu-shares", "100",
                 says="requires at least 1 argument|requires a name|accepts 1 arg")  # fmt: skip

"""The monitor samples real processes, and leaks are told from what only varies."""

import os
import random
import subprocess
import threading
import time

import pytest

from seatrial.hosts import LOCAL
from seatrial.stress import leaks, monitor
from seatrial.stress.history import OK, Op
from seatrial.stress.monitor import Monitor, Probe


@pytest.fixture
def dockerd(tmp_path):
    """A process that is called as an engine's daemon is."""
    program = tmp_path / "dockerd"
    program.write_text("#!/bin/sh\nexec 8>/dev/null 9>/dev/null\nsleep 60\n:\n")
    program.chmod(0o755)
    process = subprocess.Popen([str(program)], start_new_session=True)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and (f"{process.pid}", "dockerd") not in [
        (str(pid), name) for pid, name, _ in monitor._stats()
    ]:
        time.sleep(0.02)
    yield process
    os.killpg(process.pid, 9)
    process.wait()


def test_engines_of_this_machine_are_sampled_by_name(dockerd):
    before = Probe(LOCAL).sample()
    assert before["processes:dockerd"] >= 1
    assert before["rss:dockerd"] > 100_000
    assert before["descriptors:dockerd"] >= 5
    assert before["threads:dockerd"] >= 1
    assert before["mounts"] > 3
    assert before["interfaces"] >= 1
    assert not [name for name in before if name.startswith("processes:python")]


def test_samples_are_entries_of_the_history_and_the_cost_is_one_of_them():
    seen = []
    begin = time.monotonic()
    with Monitor(Probe(LOCAL), lambda: time.monotonic() - begin, seen.append, 0.05) as watching:
        while len({op.began for op in seen}) < 3:
            time.sleep(0.02)
    assert watching.problem == ""
    assert {op.kind for op in seen} == {"sample"}
    assert [op.value for op in seen if op.object == monitor.KERNEL][:1] == ([0] if monitor.KernelLog().readable else [])
    costs = [op.value for op in seen if op.object == "cpu of the monitor"]
    assert costs == sorted(costs)
    assert 0 < costs[-1] == watching.cpu
    memory = [op.value for op in seen if op.object == monitor.OWN_MEMORY]
    assert len(memory) == len(costs)
    assert all(1e7 < value < 1e10 for value in memory)


def test_a_probe_that_fails_is_told():
    class Broken(Probe):
        def sample(self):
            raise ZeroDivisionError("no")

    with Monitor(Broken(LOCAL), time.monotonic, lambda _: None, 0.01) as watching:
        threading.Event().wait(0.1)
    assert watching.problem == "ZeroDivisionError: no"


def samples(**shapes):
    """Return the history of a monitor: each series a function of the time, 100 samples two seconds apart."""
    return [
        Op("sample", -1, at, at, at, OK, name.replace("_", ":"), shape(at))
        for at in range(0, 200, 2) for name, shape in shapes.items()
    ]  # fmt: skip


def leaking(ops):
    return [trend.series for trend in leaks.trends(leaks.series(ops), 20, 200) if trend.leaks]


def test_a_leak_names_the_resource_and_its_slope():
    noise = random.Random(1)
    ops = samples(
        descriptors_dockerd=lambda at: 40 + at / 2 + noise.randint(-4, 4),
        rss_dockerd=lambda at: 8e7 + noise.uniform(-3e6, 3e6),
        processes_shim=lambda at: noise.randint(0, 8),
        cpu_dockerd=lambda at: at / 10,
    )
    (found,) = [trend for trend in leaks.trends(leaks.series(ops), 20, 200) if trend.leaks]
    assert found.series == "descriptors:dockerd"
    assert str(found).startswith("descriptors:dockerd: +1")
    assert 1700 < 3600 * found.slope.value < 1900


SELDOM = ("firewall rules", "goroutines")


@pytest.mark.parametrize("word", monitor.TOLERANCES)
def test_each_kind_of_resource_can_leak_at_the_pace_at_which_it_is_sampled(word):
    """Two minutes, as most profiles have them: what is asked for seldom has no samples between."""
    name = f"{word}:x" if word in ("processes", "threads", "descriptors", "rss") else word
    much = monitor.TOLERANCES[word]
    pace = monitor._SELDOM if word in SELDOM else 2.0
    ops = [
        Op("sample", -1, at, at, at, OK, series, value) for at in range(0, 120, 2) for series, value in
        (("processes:dockerd", 1.0), (name, 10 + 2 * much * at / 110)) if series != name or at % pace == 0
    ]  # fmt: skip
    found = leaks.trends(leaks.series(ops), 10, 120)
    assert [trend.series for trend in found if trend.leaks] == [name]
    assert leaks.unknown(leaks.series(ops), found) == []


def test_in_a_run_of_few_containers_less_is_a_leak():
    ops = samples(descriptors_x=lambda at: 10 + at / 12, rss_x=lambda at: 1e7 + at)
    assert leaking(ops) == [], "fifteen of twenty-five that are tolerated"
    for containers, leaks_ in ((16, True), (60, False), (4, True)):
        found = leaks.trends(leaks.series(ops), 20, 200, containers)
        assert [trend.series for trend in found if trend.leaks] == ["descriptors:x"] * leaks_
    assert leaks.tolerance_of("rss:x", 4) == monitor.TOLERANCES["rss"]
    assert leaks.tolerance_of("load", 4) is None


def test_a_series_with_too_few_samples_is_told():
    ops = samples(processes_x=lambda at: 1.0) + [
        Op("sample", -1, at, at, at, OK, "goroutines", at) for at in range(20, 200, 20)
    ]
    found = leaks.trends(leaks.series(ops), 20, 200)
    assert [trend.series for trend in found] == ["processes:x"]
    assert leaks.unknown(leaks.series(ops), found) == ["goroutines"]


def test_a_command_that_is_not_always_there_is_none_then():
    ops = [op for op in samples(processes_shim=lambda at: 5.0, mounts=lambda at: 3) if
           op.object == "mounts" or op.began % 40 < 10]  # fmt: skip
    assert leaking(ops) == []
    (trend,) = [trend for trend in leaks.trends(leaks.series(ops), 20, 200) if trend.series == "processes:shim"]
    assert trend.slope.value == 0.0


def test_a_short_run_has_no_trends():
    assert leaks.trends(leaks.series(samples(mounts=lambda at: at)), 170, 200) == []


def test_of_the_kernels_log_only_what_is_new_and_tells_of_trouble_is_kept(tmp_path):
    path = tmp_path / "kmsg"
    path.write_text("3,1,1,-;BUG: of yesterday\n")
    log = monitor.KernelLog(path)
    assert log.news() == []
    with path.open("a") as file:
        file.write("6,2,2,-;eth0: renamed from veth1\n4,3,3,-;Out of memory: Killed process 7 (tail)\n")
    assert log.news() == ["Out of memory: Killed process 7 (tail)"]
    assert (log.count, log.readable) == (1, True)
    assert log.news() == []
    log.close()
    assert log.news() == []
    assert monitor.KernelLog(tmp_path / "none").news() == []


def test_what_costs_a_process_is_asked_for_seldom():
    class Counting(Probe):
        asked = 0

        def sample(self):
            return {"mounts": 1.0}

        def seldom(self):
            self.asked += 1
            return {"firewall rules": 7.0}

    now, seen, probe = [0.0], [], Counting(LOCAL)

    def clock():
        now[0] += 1.5
        return now[0]

    with Monitor(probe, clock, seen.append, 0.01):
        while sum(op.object == "mounts" for op in seen) < 9:
            time.sleep(0.01)
    count = sum(op.object == "mounts" for op in seen)
    assert probe.asked == sum(op.object == "firewall rules" for op in seen)
    assert 2 <= probe.asked <= count // 3 + 1


def test_seldom_asks_for_rules_and_leaves_out_what_is_not_to_be_had():
    values = Probe(LOCAL).seldom()
    assert set(values) <= {"firewall rules"}

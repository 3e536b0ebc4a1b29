import os
import subprocess
import time

import pytest

from seatrial import proc
from seatrial.waiting import wait_until


@pytest.fixture
def sleeper():
    process = subprocess.Popen(["sleep", "60"], env={**os.environ, "BERTH": "7"})
    wait_until("sleep runs", lambda: proc.command(process.pid) == "sleep")
    yield process
    process.kill()
    process.wait()


def test_a_living_process_is_described(sleeper):
    pid = sleeper.pid
    assert int(proc.started(pid)) <= time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK")
    assert proc.started(pid) != proc.started(os.getpid())
    assert proc.exists(pid)
    assert pid in set(proc.processes())
    assert pid in proc.children(os.getpid())
    assert list(proc.ancestry(pid))[:2] == [pid, os.getpid()]
    assert (proc.variable(pid, "BERTH"), proc.variable(pid, "BERT")) == ("7", "")


def test_a_zombie_is_taken_for_dead_but_its_number_is_not_free(sleeper):
    sleeper.kill()
    wait_until("it is dead", lambda: proc.started(sleeper.pid) == "")
    assert proc.exists(sleeper.pid)
    assert proc.variable(sleeper.pid, "BERTH") == ""


def test_a_process_that_is_gone_is_none():
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert not proc.exists(gone.pid)
    assert [proc.started(gone.pid), proc.command(gone.pid), proc.variable(gone.pid, "PATH")] == ["", "", ""]
    assert proc.children(gone.pid) == []
    assert list(proc.ancestry(gone.pid)) == [gone.pid]


def test_limits_and_status_of_this_process():
    with open("/proc/self/limits") as limits, open("/proc/self/status") as status:
        assert proc.limits(limits.read())["Max core file size"][0].isalnum()
        assert proc.status(status.read())["Pid"] == str(os.getpid())

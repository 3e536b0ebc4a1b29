"""The desk's one thread: what goes wrong is told and survived, and what is cancelled is not run."""

import subprocess
import sys
import time

import pytest

from seatrial import proc
from seatrial.errors import SeatrialError
from seatrial.oct.desk import Desk
from seatrial.waiting import wait_until

FULL = SeatrialError("E706", "the records of cases cannot be written", "disk full")


class World:
    """A desk whose sessions end at once with exit code 3, and what it has told and begun."""

    def __init__(self, directory):
        self.told, self.begun = [], []
        self.desk = Desk(directory, lambda id_: directory / id_, self._session, self.told.append)

    def _session(self, case, target, results):
        self.begun.append(case.name)
        return [sys.executable, "-c", "import sys; sys.exit('it broke')"]

    def queued(self, case="a"):
        id_ = self.desk.add(case, "docker").id
        self.desk.queue(id_)
        return id_

    def finished(self, id_):
        wait_until("the task is finished", lambda: self.desk.job(id_).state == "finished", timeout=30)
        job = self.desk.job(id_)
        return job.ending, job.message


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.desk.close()


@pytest.fixture
def failing(monkeypatch, world):
    """Call it with a method of the desk, a number of calls that raise, and which of them count."""

    def start(name, times, counts=lambda *_: True):
        real, left = getattr(world.desk, name), [FULL] * times

        def method(*args, **options):
            if left and counts(*args):
                raise left.pop()
            return real(*args, **options)

        monkeypatch.setattr(world.desk, name, method)

    return start


def test_a_task_without_a_place_is_told_and_the_next_one_runs(world, tmp_path):
    (tmp_path / "tasks").write_text("in the way")
    world.desk.start()
    ending, message = world.finished(world.queued())
    assert (ending, message.partition(":")[0]) == ("error", "it cannot be started")
    (tmp_path / "tasks").unlink()
    assert world.finished(world.queued("b")) == ("error", "it broke")
    assert world.begun == ["b"]


def test_records_that_cannot_be_read_are_told_once_and_survived(world, failing):
    failing("jobs", 2)
    id_ = world.queued()
    world.desk.start()
    wait_until("it is told", lambda: world.told, timeout=30)
    assert world.desk.job(id_).message == world.told[0]  # seen by who asks after the task
    assert world.finished(id_) == ("error", "it broke")
    assert world.told == [f"tasks cannot be run for now: {FULL}"]


@pytest.mark.parametrize("state", ["running", "finished"])
def test_what_cannot_be_recorded_is_recorded_later_and_run_once(world, failing, state):
    failing("change", 1, lambda _, other, **__: other == state)
    world.desk.start()
    assert world.finished(world.queued()) == ("error", "it broke")
    assert world.begun == ["a"]
    assert world.told == [f"tasks cannot be run for now: {FULL}"]


def test_a_task_that_is_cancelled_while_it_is_taken_up_is_not_run(world, monkeypatch):
    real = world.desk.jobs

    def jobs(*args):
        found = real(*args)
        for job in found:
            world.desk.cancel(job.id)
        return found

    id_ = world.queued()
    monkeypatch.setattr(world.desk, "jobs", jobs)
    world.desk.start()
    world.finished(id_)
    time.sleep(0.5)  # in which it would be begun
    assert world.begun == []
    assert world.desk.job(id_).ending == "cancelled"


@pytest.fixture
def sleeper():
    """A session that an earlier service has left, in which SIGINT ends Python as it should."""
    child = subprocess.Popen([sys.executable, "-c", "print(flush=True); import time; time.sleep(120)"],
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)  # fmt: skip
    child.stdout.readline()
    yield child
    child.kill()
    child.wait()
    child.stdout.close()


def test_a_session_that_outlived_its_service_can_be_ended(tmp_path, world, sleeper):
    id_ = world.desk.add("a", "docker").id
    world.desk.change(id_, "running", pid=sleeper.pid, started=proc.started(sleeper.pid))
    later = World(tmp_path)
    later.desk.cancel(id_)
    try:
        assert later.finished(id_)[0] == "interrupted"
        assert not proc.started(sleeper.pid)
    finally:
        later.desk.close()


def test_a_process_that_only_has_the_number_is_left_alone(world, sleeper):
    id_ = world.desk.add("a", "docker").id
    world.desk.change(id_, "running", pid=sleeper.pid, started="1")
    world.desk.cancel(id_)
    with pytest.raises(subprocess.TimeoutExpired):
        sleeper.wait(0.5)

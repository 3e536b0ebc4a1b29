"""Cleaning without an engine: what belongs to a dead run, and above all what does not."""

import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from seatrial import clean, paths, proc, runs
from seatrial.engines.docker import DockerEngine
from seatrial.errors import SeatrialError
from seatrial.lab import host as hosts
from seatrial.lab import labs
from seatrial.targets import Target

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
DEAD = "20991231-235959-dead01"
LIVING = "20991231-235959-11fe01"


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    for name in ("STATE", "DATA", "CACHE"):
        monkeypatch.setenv(f"SEATRIAL_{name}", str(tmp_path / name.lower()))
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    monkeypatch.delenv("SEATRIAL_RUN", raising=False)
    # whatever is wrong with the cleaning, it must not end the processes of others who run now
    listed = proc.processes
    monkeypatch.setattr(proc, "processes", lambda: (pid for pid in listed() if is_child(pid)))
    yield tmp_path
    for point in paths.mounts_below(tmp_path):
        subprocess.run(["umount", point], check=True)


def is_child(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1] == str(os.getpid())
    except OSError:
        return False


@pytest.fixture
def dead(tmp_path):
    runs.LiveRun(DEAD, 2**22 + 1, "1", str(tmp_path)).save()
    return DEAD


@pytest.fixture
def living(tmp_path):
    return runs.LiveRun(LIVING, os.getpid(), proc.started(os.getpid()), str(tmp_path)).save() or LIVING


@pytest.fixture
def sleeper():
    """Start a process with variables in its environment."""
    started = []

    def start(**variables):
        process = subprocess.Popen(["sleep", "300"], env={"PATH": os.environ["PATH"], **variables})
        started.append(process)
        while "sleep" not in Path(f"/proc/{process.pid}/comm").read_text():
            time.sleep(0.01)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def removed():
    outcomes = list(clean.clean())
    assert not [outcome for outcome in outcomes if outcome.problem]
    return [outcome.words for outcome in outcomes]


def test_nothing_to_do(living):
    assert removed() == []
    assert [run.run for run in runs.noted()] == [living]


def test_only_processes_of_dead_runs_end(dead, living, sleeper):
    orphan, busy, other = sleeper(SEATRIAL_RUN=dead), sleeper(SEATRIAL_RUN=living), sleeper(SEATRIAL_RUN=dead + "0")
    assert removed() == [f"process {orphan.pid} (sleep) of the run {dead}"]
    assert orphan.wait(5) == -9
    assert busy.poll() is None
    assert other.poll() is None


def test_what_serves_containers_of_other_runs_stays(dead, tmp_path):
    shared = tmp_path / "catatonit"
    shutil.copy(shutil.which("sleep"), shared)
    process = subprocess.Popen([shared, "300"], env={"SEATRIAL_RUN": dead})
    try:
        assert removed() == []
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("known", "trouble", "problem"),
    [
        (False, "", ""),
        (True, "", "it is still there"),
        (False, "nothing listens", "docker does not answer: nothing listens"),
    ],
)
def test_only_an_engine_that_answers_says_that_an_object_is_gone(monkeypatch, known, trouble, problem):
    engine = DockerEngine(Target("docker"))
    monkeypatch.setattr(engine, "cli", lambda *_, **__: subprocess.CompletedProcess([], 0))
    monkeypatch.setattr(subprocess.CompletedProcess, "ok", known, raising=False)
    monkeypatch.setattr(engine, "trouble", lambda: trouble)
    ticks = itertools.count(0, 3)
    monkeypatch.setattr(clean.time, "monotonic", lambda: next(ticks))
    assert clean._reap(clean._object(engine, "container", "x", "of a dead run")).problem == problem


def test_a_dead_run_is_forgotten_afterwards(dead):
    removed()
    assert list(runs.noted()) == []


def test_dry_run_changes_nothing(dead, sleeper):
    orphan = sleeper(SEATRIAL_RUN=dead)
    (paths.share_dir() / dead).mkdir(parents=True)
    assert len(list(clean.clean(dry_run=True))) == 2
    assert orphan.poll() is None
    assert (paths.share_dir() / dead).exists()
    assert [run.run for run in runs.noted()] == [dead]


def test_share_directories_and_their_mounts(dead, living, tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    for run in (dead, living):
        (paths.share_dir() / run / "inner").mkdir(parents=True)
    subprocess.run(["mount", "--bind", kept, paths.share_dir() / dead / "inner"], check=True)
    assert removed() == [f"mount {paths.share_dir() / dead / 'inner'}", f"directory {paths.share_dir() / dead}"]
    assert (kept / "file").exists()  # a bind mount was not deleted through
    assert [path.name for path in paths.share_dir().iterdir()] == [living]


def test_what_stays_is_told_and_tried_again(dead, monkeypatch):
    share = paths.share_dir() / dead
    share.mkdir(parents=True)
    subprocess.run(["chattr", "+i", share], check=True)
    try:
        outcome = list(clean.clean())[-1]
        assert outcome.words == f"directory {share}"
        assert "Operation not permitted" in outcome.problem
        assert [run.run for run in runs.noted()] == [dead]  # so that the next call tries again
        command = subprocess.run([sys.executable, "-m", "seatrial", "clean"], capture_output=True, text=True)
        assert command.returncode == 1
        assert f"cannot remove directory {share}" in command.stderr
    finally:
        subprocess.run(["chattr", "-i", share], check=True)
    assert removed() == [f"directory {share}"]


def test_runs_of_before_the_boot_are_dead(living):
    for run in ("20010101-000000-abcdef", living, "20991231-235959-unknown"):
        (paths.share_dir() / run).mkdir(parents=True)
    removed()
    assert {path.name for path in paths.share_dir().iterdir()} == {living, "20991231-235959-unknown"}


def test_remains_of_a_lab_without_a_note(sleeper):
    mine, foreign = hosts.key("docker-bookworm-abcdef"), "docker-bookworm-abcdef.ffffff"
    for key in (mine, foreign, "docker-bookworm-abcdef"):
        (paths.data_dir() / "labs" / key / "data").mkdir(parents=True)
    process = sleeper(SEATRIAL_LAB=mine)
    others = [sleeper(SEATRIAL_LAB=key) for key in (foreign, "docker-bookworm-abcdef", mine + "0")]
    assert len(removed()) == 1
    assert process.wait(5) == -9
    assert [other.poll() for other in others] == [None] * 3
    assert {path.name for path in (paths.data_dir() / "labs").iterdir()} == {foreign, "docker-bookworm-abcdef"}


@pytest.mark.parametrize(
    ("leases", "stays"),
    [([LIVING], True), ([DEAD], False), ([DEAD, LIVING], True), (["20200101-000000-lost00"], False), ([], False)],
)
def test_labs_stay_as_long_as_a_living_run_holds_them(dead, living, sleeper, leases, stays):
    keeper = sleeper(SEATRIAL_LAB=hosts.key("runc-sid"))
    note(labs.Lab("runc-sid", "runc@sid", keeper.pid, "", list(leases)))
    removed()
    assert (keeper.poll() is None) is stays
    lab = labs.find("runc-sid")
    assert (lab is not None) is stays
    if lab is not None:
        assert lab.leases == [living]


def test_labs_of_the_user_stay_while_they_stand(dead, sleeper):
    keeper = sleeper(SEATRIAL_LAB=hosts.key("runc-sid"))
    note(labs.Lab("runc-sid", "runc@sid", keeper.pid, "", [labs.USER, dead]))
    assert removed() == [f"lease of the run {dead} on the lab runc-sid"]
    assert keeper.poll() is None
    keeper.kill()
    keeper.wait()
    assert removed() == ["lab runc-sid (its keeper is gone)"]


def note(lab):
    directory = paths.state_dir() / "labs"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"{lab.name}.json").write_text(json.dumps(vars(lab)))


def test_trees_with_mounts_are_not_deleted(tmp_path):
    (tmp_path / "tree/inner").mkdir(parents=True)
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").touch()
    subprocess.run(["mount", "--bind", tmp_path / "kept", tmp_path / "tree/inner"], check=True)
    try:
        with pytest.raises(SeatrialError) as told:
            paths.remove_tree(tmp_path / "tree")
        assert told.value.code == "E404"
    finally:
        subprocess.run(["umount", tmp_path / "tree/inner"], check=True)
    assert (tmp_path / "kept/file").exists()
    paths.remove_tree(tmp_path / "tree")
    assert not (tmp_path / "tree").exists()


def test_directories_tell_labs_apart(monkeypatch, tmp_path):
    first = hosts.key("docker-sid")
    monkeypatch.setenv("SEATRIAL_DATA", str(tmp_path / "elsewhere"))
    second = hosts.key("docker-sid")
    monkeypatch.setenv("SEATRIAL_STATE", str(tmp_path / "also"))
    third = hosts.key("docker-sid")
    monkeypatch.delenv("SEATRIAL_DATA")
    monkeypatch.delenv("SEATRIAL_STATE")
    assert len({first, second, third, hosts.key("docker-sid")}) == 4
    assert hosts.key("docker-sid") == "docker-sid"  # root's default directories
    assert hosts.named("docker-sid") == "docker-sid"
    assert hosts.named(first) == ""

"""Notes of runs, of which others may go at any moment."""

import os
from pathlib import Path

import pytest

from seatrial import runs


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("SEATRIAL_STATE", str(tmp_path))


def test_a_run_that_ends_while_the_runs_are_listed_is_left_out(monkeypatch):
    first, second = (runs.begin(name, Path(), []) for name in ("a", "b"))
    read = Path.read_text

    def interrupted(path, *args):
        if path.name == "a.json":
            first.forget()
        return read(path, *args)

    monkeypatch.setattr(Path, "read_text", interrupted)
    assert runs.living() == {second.run}


def test_a_run_is_noted_for_the_length_of_a_block():
    def fail():
        with runs.begun("a", Path("reports"), ["docker"]) as live:
            assert (live.pid, live.targets) == (os.getpid(), ["docker"])
            assert runs.living() == {"a"}
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(runs.noted()) == []


def test_a_run_of_which_something_is_left_stays_noted():
    with runs.begun("a", Path("reports"), ["docker"]) as live:
        live.unfinished = True
    assert [(run.run, run.unfinished) for run in runs.noted()] == [("a", True)]

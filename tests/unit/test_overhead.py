"""What is measured, without measuring it."""

import contextlib
import dataclasses
import itertools
import subprocess
from types import SimpleNamespace

import pytest

from seatrial import overhead
from seatrial.errors import SeatrialError
from seatrial.security import surface
from seatrial.security.syscalls import LAST


@pytest.fixture
def commands(monkeypatch):
    noted = []

    def run(argv, **_):
        noted.append(argv)
        nothing = "-n" not in argv and "--help" not in argv  # pytest's exit code without tests is 5
        return subprocess.CompletedProcess(argv, 5 if nothing else 0, "", "")

    monkeypatch.setattr(overhead.subprocess, "run", run)
    return noted


def test_the_start_is_measured_with_the_plugin_at_work(commands):
    figures = overhead.start_cost("docker@sid", pairs=1)
    assert [figure.what for figure in figures] == ["start of a session", "pytest --help, in all"]
    plain, ours = commands[:2]
    assert plain[-2:] == ["-p", "no:seatrial"]
    assert "no:seatrial" not in ours
    assert ours[ours.index("--engine") + 1] == "docker@sid"


def test_a_suite_is_timed_with_eight_workers(commands):
    figure = overhead.suite_duration("docker@sid", ["suites/cli"])
    assert commands[0][3:10] == ["suites/cli", "-q", "-n", "8", "--engine", "docker@sid", "--results"]
    assert (figure.verdict, figure.unit, figure.what) == ("kept", "min", "suites/cli at -n 8")


def test_a_suite_that_takes_too_long_breaks_its_limit(commands, monkeypatch):
    ticks = itertools.count(0, 901)
    monkeypatch.setattr(overhead.time, "perf_counter", lambda: next(ticks))
    figure = overhead.suite_duration("docker@sid", ["suites/cli"])
    assert (figure.verdict, figure.limit) == ("BROKEN", "at most 15 min")
    assert round(figure.value, 2) == 15.02


@pytest.mark.parametrize(("low", "high", "verdict"), [
    (1.0, 4.9, "kept"), (4.0, 5.5, "open"), (5.1, 9.0, "BROKEN"),
])  # fmt: skip
def test_a_limit_is_kept_or_broken_when_the_whole_interval_says_so(low, high, verdict):
    figure = overhead.Figure("x", "", "", (low + high) / 2, low, high, "ms", most=5.0)
    assert figure.verdict == verdict
    assert dataclasses.replace(figure, noise="it was loud").verdict == "open"


def test_figures_of_a_noisy_machine_say_so(monkeypatch):
    class Watch:
        def __init__(self):
            self.ticks = 0

        def tick(self):
            self.ticks += 1

        def end(self):
            assert self.ticks == 20
            return SimpleNamespace(noise=["others used all", "it was hot"])

    monkeypatch.setattr(overhead.quiet, "Watch", Watch)
    (figure,) = overhead.watched(lambda: [overhead.Figure("x", "", "", 1.0, 1.0, 1.0, "ms", most=5.0)])
    assert (figure.noise, figure.verdict) == ("others used all; it was hot", "open")


@pytest.mark.parametrize(
    "measure",
    [lambda: overhead.start_cost("docker@sid"), lambda: overhead.suite_duration("docker@sid", ["x"])],
    ids=["start", "suite"],
)
def test_what_does_not_run_is_no_figure(monkeypatch, measure):
    ended = subprocess.CompletedProcess([], 4, "no such file", "")
    monkeypatch.setattr(overhead.subprocess, "run", lambda *_, **__: ended)
    with pytest.raises(SeatrialError) as caught:
        measure()
    assert (caught.value.code, caught.value.cause) == ("E511", "exit code 4: no such file")


@pytest.fixture
def bench(monkeypatch, tmp_path):
    """Runs the command with figures that are given instead of measured."""
    from seatrial import cli, runs
    from seatrial.engines import drivers
    from seatrial.lab import images, labs

    monkeypatch.setattr(runs, "begun", lambda *args: contextlib.nullcontext())
    monkeypatch.setattr(labs, "acquire", lambda *args: SimpleNamespace(name="x"))
    monkeypatch.setattr(labs, "release", lambda *args: None)
    monkeypatch.setattr(drivers, "in_lab", lambda *args: None)
    monkeypatch.setattr(images, "provide", lambda *args: None)
    monkeypatch.setattr("seatrial.controller.sweep", lambda *args: [])

    def run(*found):
        given = iter([[one] for one in found])
        monkeypatch.setattr(overhead, "watched", lambda measure: next(given))
        arguments = cli.parser().parse_args(["bench", "--gain", "--levels"])
        return arguments.run(arguments)

    return run


def figure(low, high, noise=""):
    return overhead.Figure("a call", "1 ms", "2 ms", (low + high) / 2, low, high, "ms", most=5.0, noise=noise)


def test_the_command_says_what_is_kept_broken_and_open(bench, capsys):
    assert bench(figure(1, 2), figure(1, 3), figure(2, 3), figure(2, 3)) == 0
    assert "open" not in capsys.readouterr().err
    assert bench(figure(1, 2), figure(4, 6), figure(7, 9, "it was loud"), figure(1, 2)) == 0
    told = capsys.readouterr()
    assert "the machine was not quiet: it was loud" in told.err
    assert "2 of 4 figures are open" in told.err
    assert bench(figure(1, 2), figure(7, 9), figure(1, 2), figure(1, 2)) == 1
    assert "BROKEN" in capsys.readouterr().out


@pytest.mark.parametrize(("seconds", "verdict"), [(4.0, "kept"), (12.0, "BROKEN")])
def test_the_table_of_system_calls_has_ten_seconds(monkeypatch, seconds, verdict):
    made = dict.fromkeys(range(LAST + 1), "ok")
    monkeypatch.setattr(overhead.surface, "look", lambda _: surface.Table({}, made))
    monkeypatch.setattr(overhead, "paired", lambda bare, ours, pairs: (ours(), ([0.5] * pairs, [seconds] * pairs))[1])
    engine = SimpleNamespace()
    figure = overhead.surface_time(engine)
    assert (figure.value, figure.limit, figure.verdict) == (seconds, "at most 10 s", verdict)


def test_a_table_that_is_not_whole_is_no_measurement(monkeypatch):
    monkeypatch.setattr(overhead.surface, "look", lambda _: surface.Table({}, {1: "ok"}))
    monkeypatch.setattr(overhead, "paired", lambda bare, ours, pairs: ours())
    with pytest.raises(RuntimeError, match="only 1 calls were made"):
        overhead.surface_time(SimpleNamespace())

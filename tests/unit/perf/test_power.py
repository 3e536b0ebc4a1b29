"""The trial of comparisons on an engine, without one."""

import itertools
from types import SimpleNamespace

import pytest

from seatrial.perf import power
from seatrial.targets import parse


@pytest.fixture
def engine(monkeypatch, tmp_path, simulated):
    """An engine whose starts by the wrapper take as long as the wrapper says."""
    source = simulated.Engine(5)
    times = []

    class Host:
        def path(self, inside):
            return tmp_path / str(inside).lstrip("/")

    made = SimpleNamespace(lab=SimpleNamespace(host=Host(), target="docker@bookworm"), closed=False,
                           daemon=SimpleNamespace(start=lambda: None))  # fmt: skip
    made.close = lambda: setattr(made, "closed", True)
    monkeypatch.setattr(power.labs, "private", lambda *args, **more: made)
    monkeypatch.setattr(power.drivers, "in_lab", lambda target, lab: None)
    monkeypatch.setattr(power.images, "provide", lambda engine: None)

    def sleeps():
        text = (tmp_path / "usr/local/bin/wrapped").read_text()
        return float(text.partition("sleep ")[2].split()[0])

    def start(engine, run, runtime):
        def side():
            value = source.start() + (sleeps() if runtime == "wrapped" else 0.0)
            times.append(value)
            return value

        return side

    monkeypatch.setattr(power, "_start", start)
    monkeypatch.setattr(power, "_times", lambda engine, run, runtime, count: [source.start() for _ in range(count)])
    monkeypatch.setattr(power, "Measure", lambda evidence: simulated.measure(evidence))
    monkeypatch.setattr(power.machine, "facts", lambda: {"cpu": "x", "cpus": 2, "arch": "a", "kernel": "k"})
    return made


def test_the_wrapper_is_found_and_the_unchanged_one_is_not_blamed(engine):
    found, blamed = power.power(parse("docker@bookworm"), "run")
    assert (found.value, found.verdict, found.limit) == (3, "kept", "at least 3 of 3")
    assert found.ours.startswith("x1.0") or found.ours.startswith("x1.1")
    assert (blamed.value, blamed.verdict, blamed.limit) == (0, "kept", "at most 0 of 5")
    assert engine.closed


def test_a_wrapper_that_does_not_sleep_is_not_found_and_that_is_told(engine, monkeypatch):
    monkeypatch.setattr(power, "SLOWER", 0.0)
    found, _ = power.power(parse("docker@bookworm"), "run")
    assert (found.value, found.verdict) == (0, "BROKEN")


def test_a_noisy_machine_gives_no_verdict(engine, monkeypatch, simulated):
    monkeypatch.setattr(power, "Measure", lambda evidence: simulated.measure(evidence, simulated.NOISY, pairs=8))
    found, blamed = power.power(parse("docker@bookworm"), "run")
    assert (found.verdict, blamed.verdict) == ("open", "open")
    assert found.noise.startswith("the baseline is of a noisy machine: others used 85%")


def test_comparisons_on_a_noisy_machine_do_not_count_as_kept(engine, monkeypatch, simulated):
    states = itertools.chain([simulated.QUIET], itertools.repeat(simulated.NOISY))
    monkeypatch.setattr(power, "Measure", lambda evidence: simulated.measure(evidence, next(states), pairs=8))
    _, blamed = power.power(parse("docker@bookworm"), "run")
    assert (blamed.value, blamed.verdict, blamed.noise) == (0, "open", "the machine was noisy now")

"""The trial of comparisons on an engine, without one."""

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
        text = (tmp_path / "usr/local/bin/slower").read_text()
        return float(text.partition("sleep ")[2].split()[0])

    def start(engine, run, runtime):
        def side():
            value = source.start() + (sleeps() if runtime == "slower" else 0.0)
            times.append(value)
            return value

        return side

    monkeypatch.setattr(power, "_start", start)
    monkeypatch.setattr(power, "_times", lambda engine, run, runtime, count: [source.start() for _ in range(count)])
    monkeypatch.setattr(power, "Measure", lambda evidence: simulated.measure(evidence))
    return made


def test_the_wrapper_is_found_and_the_same_runtime_is_not_blamed(engine):
    found, blamed = power.power(parse("docker@bookworm"), "run", pairs=60)
    assert (found.ours, found.kept, found.limit) == ("3 of 3", True, "at least 3 of 3")
    assert 1.05 < found.value < 1.15
    assert (blamed.ours, blamed.kept, blamed.limit) == ("0 of 5", True, "at most 0 of 5")
    assert found.bare == "a quiet machine"
    assert engine.closed


def test_a_wrapper_that_does_not_sleep_is_not_found_and_that_is_told(engine, monkeypatch):
    monkeypatch.setattr(power, "SLOWER", 0.0)
    found, _ = power.power(parse("docker@bookworm"), "run", pairs=60)
    assert (found.ours, found.kept) == ("0 of 3", False)

"""Containers come and go: how long each step takes, alone and at once, and what options cost."""

import contextlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from seatrial.perf.measure import STARTS, Measured, Sample
from seatrial.stress.driver import Spec
from seatrial.stress.over_http import HttpDriver

claim, requires = pytest.mark.claim, pytest.mark.requires
STEPS = ("create", "start", "first instruction", "stop", "remove")


def run(engine, *options):
    """Returns what runs a container to its end."""

    def side():
        engine.once(*options, engine.image, "true")

    return side


@claim("perf-001")
def test_a_start_takes_less_than_two_seconds(engine, measure):
    found = measure.turns("run --rm", {"run": run(engine)}, pairs=STARTS)
    measure.value(found, "run", at_most=2.0)
    measure.value(found, "run", at_most=5.0, percentile=95)


@claim("perf-002")
@requires("api")
def test_each_step_of_a_life_takes_less_than_a_second(engine, measure):
    engine.mark("container")
    fifo = engine.workdir / "fifo"
    os.mkfifo(fifo)
    script = "trap 'exit 0' TERM; echo up >/out/fifo; sleep 3600 & wait"
    taken = {step: [] for step in STEPS}
    with contextlib.closing(HttpDriver(engine.raw.endpoint)) as driver, measure.watched() as watch:
        began = time.monotonic()
        for number in range(measure.rounds(STARTS) + 1):
            watch.tick()
            mounts = {str(engine.workdir): "/out"}
            spec = Spec(engine.name(), engine.image, ("sh", "-c", script), engine.labels, mounts=mounts)
            for step, seconds in steps(driver, spec, fifo):
                if number:  # the first is the warm-up
                    taken[step].append(Sample(time.monotonic() - began, seconds))
    found = measure.keep(Measured("steps of a life", "s", taken, watch.state, paired=False))
    for name in STEPS:
        measure.value(found, name, at_most=1.0)


def steps(driver, spec, fifo):
    """Yields each step of a container's life with the seconds that it took."""

    def timed(function, *args):
        before = time.perf_counter()
        function(*args)
        return time.perf_counter() - before

    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    try:
        yield "create", timed(driver.create, spec)
        asked = time.perf_counter()
        yield "start", timed(driver.start, spec.name)
        assert _first(reader) == b"up\n"
        yield "first instruction", time.perf_counter() - asked
        yield "stop", timed(driver.ask, "POST", f"/containers/{spec.name}/stop", (204,))
        yield "remove", timed(driver.remove, spec.name)
    finally:
        os.close(reader)


def _first(reader, patience=30.0):
    """Read the first line of a pipe that somebody may still have to open."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if data := os.read(reader, 16):
            return data
        time.sleep(0.001)
    return b""


def lives(engine, drivers, count):
    """Run containers by as many clients as there are drivers; return their latencies and how many a second."""

    def life(driver):
        began, name = time.perf_counter(), engine.name()
        driver.create(Spec(name, engine.image, ("true",), engine.labels))
        driver.start(name)
        assert driver.wait(name, 120.0) == 0
        driver.remove(name)
        return time.perf_counter() - began

    def client(driver):
        return [life(driver) for _ in range(max(1, count // len(drivers)))]

    began = time.perf_counter()
    with ThreadPoolExecutor(len(drivers)) as pool:
        latencies = [value for found in pool.map(client, drivers) for value in found]
    return latencies, len(latencies) / (time.perf_counter() - began)


@claim("perf-003")
@requires("api")
@pytest.mark.parametrize("levels", [
    (1, 2, 4), pytest.param((1, 2, 4, 8, 16, 32), marks=pytest.mark.slow),
], ids=["few", "many"])  # fmt: skip
def test_starting_several_at_once_takes_no_longer_in_all(engine, measure, levels):
    engine.mark("container")
    latencies, rates = ({str(level): [] for level in levels} for _ in range(2))
    with contextlib.ExitStack() as stack, measure.watched() as watch:
        drivers = [stack.enter_context(contextlib.closing(HttpDriver(engine.raw.endpoint))) for _ in range(levels[-1])]
        began = time.monotonic()
        for number in range(measure.rounds(20) + 1):
            for level in levels:
                watch.tick()
                seen, rate = lives(engine, drivers[:level], max(level, 4))
                if number:
                    at = time.monotonic() - began
                    latencies[str(level)] += [Sample(at, value) for value in seen]
                    rates[str(level)].append(Sample(at, rate))
    measure.keep(Measured("latency at once", "s", latencies, watch.state, paired=False, levels=True))
    found = measure.keep(
        Measured("containers a second at once", "1/s", rates, watch.state, more_is_better=True, levels=True)
    )
    for level in levels[1:]:
        measure.ratio(found, str(level), at_least=1.0)


@claim("perf-004")
@pytest.mark.parametrize("options", [
    ("--network", "none"), ("--volume", "/v"), ("--memory", "64m", "--cpus", "0.5"),
    ("--health-cmd", "true"), ("--security-opt", "seccomp=unconfined"),
], ids=["no network", "a volume", "limits", "a health check", "no seccomp"])  # fmt: skip
def test_an_option_costs_less_than_half_a_start(engine, measure, options):
    words = " ".join(options)
    found = measure.turns(f"start with {words}", {"plain": run(engine), words: run(engine, *options)}, pairs=STARTS)
    measure.ratio(found, words, at_most=1.5)


@claim("perf-005")
@requires("root", "local_engine")
@pytest.mark.slow
def test_a_cold_start_takes_less_than_ten_seconds(engine, measure):
    def cold():
        os.sync()
        Path("/proc/sys/vm/drop_caches").write_text("3")
        began = time.perf_counter()
        run(engine)()
        return time.perf_counter() - began

    found = measure.turns("cold start", {"warm": run(engine), "cold": cold}, pairs=10)
    measure.value(found, "cold", at_most=10.0)


@claim("perf-006")
@requires("private_daemon")
@pytest.mark.slow
@pytest.mark.parametrize("other", ["crun", "runsc"])
def test_another_runtime_costs_no_more_than_three_starts(private_daemon, measure, other):
    d = private_daemon(config={"runtimes": {other: {"path": other}}})
    plain = ("--network", "none")
    sides = {"runc": run(d, *plain), other: run(d, *plain, "--runtime", other)}
    found = measure.turns(f"start by {other}", sides, pairs=STARTS)
    measure.ratio(found, other, at_most=3.0)


@claim("perf-007")
@requires("private_daemon", "overlay")
@pytest.mark.slow
@pytest.mark.parametrize("other", [{"storage": "vfs"}, {"config": {"userns-remap": "default"}}],
                         ids=["vfs", "user namespaces"])  # fmt: skip
def test_a_start_costs_no_more_than_three_with_other_storage_or_users(private_daemon, measure, other):
    plain, changed = private_daemon(), private_daemon(**other)
    found = measure.turns("start in another daemon", {"plain": run(plain), "changed": run(changed)}, pairs=STARTS)
    measure.ratio(found, "changed", at_most=3.0)

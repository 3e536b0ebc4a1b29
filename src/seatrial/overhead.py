"""What the harness itself costs, measured against bare commands in the same run.

Machines are noisy, so nothing is measured alone: each figure comes from two things done in turns
(A B A B), and what counts is the difference or the ratio, with a bootstrap interval.
"""

from __future__ import annotations

import math
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from seatrial import stats
from seatrial.api.wire import Connection
from seatrial.bench import Bench, Owner
from seatrial.engines.base import CliEngine
from seatrial.errors import Exit, SeatrialError
from seatrial.exec import base_environment
from seatrial.names import new_run_id
from seatrial.paths import remove_tree, share_dir
from seatrial.perf import quiet
from seatrial.security import surface
from seatrial.security.prober import Prober
from seatrial.security.syscalls import BREAKING, LAST

_TICKS = 10  # of fixed work, before and after what is measured
_WATCHED = 20  # files in the directory of a test, as those of a build's context


@dataclass(frozen=True)
class Figure:
    """One result: `bare` and `ours` in their unit, what is compared, its 95% interval, and the limits of it.

    `noise` is why the machine on which it was measured gives no verdict.
    """

    what: str
    bare: str
    ours: str
    value: float
    low: float
    high: float
    unit: str
    least: float = -math.inf
    most: float = math.inf
    noise: str = ""

    @property
    def limit(self) -> str:
        """The limits in words."""
        words = [f"at least {self.least:g} {self.unit}"] if self.least > -math.inf else []
        words += [f"at most {self.most:g} {self.unit}"] if self.most < math.inf else []
        return " and ".join(words) or "none"

    @property
    def verdict(self) -> str:
        """Return "kept" or "BROKEN" when the whole interval says so on a quiet machine, else "open"."""
        if self.noise:
            return "open"
        if self.least <= self.low and self.high <= self.most:
            return "kept"
        return "BROKEN" if self.high < self.least or self.low > self.most else "open"


def watched(measure: Callable[[], Sequence[Figure]]) -> list[Figure]:
    """Watch the machine while figures are measured; those of a noisy one say so."""
    watch = quiet.Watch()
    for _ in range(_TICKS):
        watch.tick()
    found = measure()
    for _ in range(_TICKS):
        watch.tick()
    noise = "; ".join(watch.end().noise)
    return [replace(figure, noise=figure.noise or noise) for figure in found]


def paired(bare: Callable[[], object], ours: Callable[[], object], pairs: int) -> tuple[list[float], list[float]]:
    """Do two things in turns and return the seconds of each; one warm-up pair is not counted."""
    samples: tuple[list[float], list[float]] = ([], [])
    for number in range(pairs + 1):
        for index, function in enumerate((bare, ours)):
            began = time.perf_counter()
            function()
            if number:
                samples[index].append(time.perf_counter() - began)
    return samples


def call_cost(engine: CliEngine, pairs: int = 60) -> Figure:
    """Compare a call through a bench, which watches a directory with files, with a bare subprocess of the same."""
    run = new_run_id()
    bench = Bench(engine, Owner(run, "00000000"))
    for number in range(_WATCHED):
        (bench.workdir / f"{number}").write_text("x" * 1000)
    argv = engine.host.enter([engine.binary, "--version"])
    environment = {**base_environment(), **engine.host.environment, **engine.env}
    try:
        bare, ours = paired(
            lambda: subprocess.run(argv, capture_output=True, check=True, env=environment),
            lambda: bench.cli("--version"),
            pairs,
        )
    finally:
        remove_tree(share_dir() / run)
    differences = [1000 * (b - a) for a, b in zip(bare, ours, strict=True)]
    return _difference("a CLI call", bare, ours, differences, "ms", 5.0)


def request_cost(engine: CliEngine, pairs: int = 200) -> Figure:
    """Compare a request through a bench with one of a bare http.client over the same socket."""
    api = Bench(engine, Owner("bench", "00000000")).api

    def bare() -> None:
        connection = Connection(engine.endpoint, 30)
        connection.request("GET", "/_ping")
        connection.getresponse().read()
        connection.close()

    without, with_bench = paired(bare, lambda: api.get("/_ping"), pairs)
    differences = [1000 * (b - a) for a, b in zip(without, with_bench, strict=True)]
    return _difference("an API request", without, with_bench, differences, "ms", 1.0)


def case_cost(engine: CliEngine, count: int = 500, inside: int = 30) -> list[Figure]:
    """Compare a case of OCT that does nothing with the commands that it runs: on a host, and in a container."""
    from seatrial.oct import cost

    def figure(what: str, found: Sequence[tuple[float, float]]) -> Figure:
        over = [1000 * (whole - commands) for commands, whole in found]
        return _difference(what, [one for one, _ in found], [one for _, one in found], over, "ms", 20.0)

    return [
        figure("a case of OCT", list(cost.samples(engine, count))),
        figure("a case with a container", list(cost.samples(engine, inside, cost.INSIDE))),
    ]


def surface_time(engine: CliEngine, rounds: int = 5) -> Figure:
    """Time how long the table of system calls takes: filters read and followed, and every call made for real.

    Bare is the container alone in which the calls are made. The probe's image has to be in the engine.
    """
    run = new_run_id()
    bench = Bench(engine, Owner(run, "00000000"))
    prober = Prober(bench)

    def look() -> None:
        table = surface.look(prober)
        if len(table.made) < LAST - len(BREAKING):
            raise RuntimeError(f"only {len(table.made)} calls were made")

    try:
        bare, ours = paired(lambda: bench.once(prober.image, "true"), look, rounds)
    finally:
        bench.close()
    bounds = stats.interval(ours)
    value = statistics.median(ours)
    return Figure(
        "the table of system calls", f"{statistics.median(bare):.2f} s", f"{value:.2f} s", value, bounds.low,
        bounds.high, "s", most=10.0,
    )  # fmt: skip


def library_time(target: str, count: int = 10_000, rounds: int = 5) -> Figure:
    """Time how long `seatrial oct list` takes to list many cases and to plan them on a target, all of them new.

    Bare is an interpreter that reads the same files and understands their JSON.
    """
    from seatrial.oct import cost

    reading = "import glob, json, sys\nfor path in glob.iglob(sys.argv[1] + '/*/*/case.json'): json.load(open(path))"
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "cases"
        cost.library(root, count)
        listing = [sys.executable, "-m", "seatrial", "oct", "list", "--library", str(root), "--engine", target]
        listing += ["--state", "new", "--results", str(Path(name) / "reports")]

        def listed() -> None:
            ended = subprocess.run(listing, capture_output=True, text=True, check=True)
            if ended.stdout.splitlines()[-1] != f"{count} cases, {count} variants":
                raise RuntimeError(f"not all cases were listed:\n{ended.stdout[-500:]}")

        bare, ours = paired(
            lambda: subprocess.run([sys.executable, "-c", reading, str(root)], check=True), listed, rounds
        )
    whole = statistics.median(ours)
    bounds = stats.interval(ours)
    return Figure(
        f"listing and planning {count} cases", f"{statistics.median(bare):.2f} s", f"{whole:.2f} s", whole, bounds.low,
        bounds.high, "s", most=3.0,
    )  # fmt: skip


def start_cost(target: str, pairs: int = 7) -> list[Figure]:
    """Compare a session without tests on a target with plain pytest, and time pytest's help."""
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "test_nothing.py").touch()
        (Path(name) / "pyproject.toml").write_text("[tool.pytest]\n")

        def pytest(*args: str) -> Callable[[], object]:
            argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *args]
            expected = Exit.OK if "--help" in args else Exit.NOTHING

            def work() -> None:
                ended = subprocess.run(argv, cwd=name, capture_output=True, text=True, check=False)
                if ended.returncode != expected:
                    raise _failed(argv, ended)

            return work

        session = pytest("--engine", target, "--results", str(Path(name) / "reports"))
        without, with_plugin = paired(pytest("-p", "no:seatrial"), session, pairs)
        plain_help, our_help = paired(pytest("-p", "no:seatrial", "--help"), pytest("--help"), pairs)
    started = [1000 * (b - a) for a, b in zip(without, with_plugin, strict=True)]
    helped = [1000 * seconds for seconds in our_help]
    return [
        _difference("start of a session", without, with_plugin, started, "ms", 1000.0),
        _difference("pytest --help, in all", plain_help, our_help, helped, "ms", 1000.0),
    ]


def _difference(
    what: str, bare: Sequence[float], ours: Sequence[float], values: Sequence[float], unit: str, limit: float
) -> Figure:
    bounds = stats.interval(values)
    value = statistics.median(values)
    return Figure(what, _ms(bare), _ms(ours), value, bounds.low, bounds.high, unit, most=limit)


def _ms(samples: Sequence[float]) -> str:
    return f"{1000 * statistics.median(samples):.1f} ms"


def _run_suite(target: str, suite: Sequence[str], workers: int) -> None:
    command = [sys.executable, "-m", "pytest", *suite, "-q", "-n", str(workers), "--engine", target]
    with tempfile.TemporaryDirectory() as results:
        ended = subprocess.run([*command, "--results", results], capture_output=True, text=True, check=False)
    if ended.returncode:
        raise _failed(command, ended)


def _failed(argv: Sequence[str], ended: subprocess.CompletedProcess[str]) -> SeatrialError:
    said = (ended.stdout + ended.stderr).strip().splitlines() or ["it printed nothing"]
    return SeatrialError(
        "E511", "what is to be timed did not succeed", f"exit code {ended.returncode}: {said[-1]}",
        f"look at it first: {shlex.join(argv)}",
    )  # fmt: skip


def suite_duration(target: str, suite: Sequence[str], workers: int = 8, minutes: float = 15.0) -> Figure:
    """Time one run of a suite; the limit in minutes, by default that of suites/cli, is for two cores.

    Raises `SeatrialError` E511 when the suite is not green: how long a failing one takes says nothing.
    """
    began = time.perf_counter()
    _run_suite(target, suite, workers)
    took = (time.perf_counter() - began) / 60
    return Figure(f"{' '.join(suite)} at -n {workers}", "", f"{took:.1f} min", took, took, took, "min", most=minutes)


def parallel_gain(engine: CliEngine, image: str, suite: Sequence[str], rounds: int = 3, calls: int = 48) -> Figure:
    """Compare what a suite gains from -n 0 to -n 8 with what the engine gains from one to eight bare clients.

    A bare client runs one container after the other; `calls` are shared among the clients. The limit is
    0.8 of the engine's own gain, because on few cores the engine is what is busy.
    """
    argv = engine.host.enter([engine.binary, "run", "--rm", image, "true"])
    environment = {**base_environment(), **engine.host.environment, **engine.env}

    def clients(count: int) -> Callable[[], object]:
        def work() -> None:
            with ThreadPoolExecutor(count) as pool:
                list(pool.map(lambda _: subprocess.run(argv, capture_output=True, check=True, env=environment),
                              range(calls)))  # fmt: skip

        return work

    def run(workers: int) -> Callable[[], object]:
        return lambda: _run_suite(str(engine.target), suite, workers)

    gains: list[tuple[float, float]] = []
    for _ in range(rounds):
        seconds = []
        for work in (clients(1), clients(8), run(0), run(8)):
            began = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - began)
        gains.append((seconds[0] / seconds[1], seconds[2] / seconds[3]))
    shares = [ours / bare for bare, ours in gains]
    value = statistics.median(shares)
    return Figure(
        "gain from -n 0 to -n 8", f"x{statistics.median(bare for bare, _ in gains):.2f}",
        f"x{statistics.median(ours for _, ours in gains):.2f}", value, min(shares), max(shares),
        "of the engine's own", least=0.8,
    )  # fmt: skip

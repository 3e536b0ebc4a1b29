"""Load driven by locust, in child processes: its patching of Python's sockets must not reach the harness.

Each child writes a part of the history of its own, which is taken up while it runs, so that what locust drives is
shown, and ended when the engine dies, and judged like everything else. Everything listens on loopback only.
"""

from __future__ import annotations

import json
import math
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

from seatrial.engines.base import CliEngine
from seatrial.errors import SeatrialError, not_installed
from seatrial.exec import kill_group
from seatrial.stress.activities import World
from seatrial.stress.history import Op
from seatrial.stress.loops import POISSON, moment
from seatrial.stress.profile import OPEN, Load, Profile

VARIABLE = "SEATRIAL_STRESS"  # what a child has to know, as JSON
GRACE = 60  # seconds that a story has to end; without them locust cuts it, and its container stays
_LOOPBACK = "127.0.0.1"
_ENDS = (0, 1)  # with 1 after requests that failed, which the history tells better


class Locust:
    """Runs locust for a profile: alone, with workers, or with its own page."""

    def __init__(self, results: Path, locustfile: Path, workers: int = 0, *, page: int = 0) -> None:
        self._results, self._file, self._workers, self._page = results, locustfile, workers, page
        if find_spec("locust") is None:
            hint = "make setup installs it, or pip install 'seatrial[stress]'"
            raise not_installed("a load by locust", "locust", hint)

    def __call__(self, profile: Profile, engine: CliEngine, world: World) -> str:
        """Drive a load, wait for its end, and merge what was recorded; return why it ended early.

        Raises `SeatrialError` E815 for a load that ends after a number of stories: each process counts its own.
        """
        if profile.count:
            raise SeatrialError(
                "E815", f"locust cannot end the profile {profile.name} after {profile.count} stories",
                "its processes do not count together", "name a time instead, or leave locust away",
            )  # fmt: skip
        with tempfile.TemporaryDirectory(prefix="seatrial-") as name, ExitStack() as stack:
            directory = Path(name)
            told = {  # the epoch is of a clock that all processes of a machine share, and that nobody sets
                "parts": name, "run": world.run, "image": world.image, "labels": dict(world.labels),
                "registry": world.registry, "target": str(engine.target), "epoch": time.monotonic() - world.clock(),
                "profile": profile.as_json(), "host": getattr(engine.host, "pid", 0),
                "socket": str(engine.endpoint.path or "") if engine.api else "", "name": engine.host.name,
            }  # fmt: skip
            environment = {**os.environ, VARIABLE: json.dumps(told), "PYTHONUNBUFFERED": "1"}
            port = _free_port()
            commands = [self._command(profile, self._results / world.run, port)]
            commands += [["--worker", "--master-host", _LOOPBACK, "--master-port", str(port)]] * self._workers
            logs = [self._results / world.run / f"locust-{number}.log" for number in range(len(commands))]
            children = [self._start(words, environment, logs[number])
                        for number, words in enumerate(commands)]  # fmt: skip
            parts = Parts(directory)
            stack.callback(parts.take, world.record)  # also after an interrupt
            for child in children:
                stack.callback(_end, child)
            number = _await(children, world, lambda: parts.take(world.record))
            code = children[number].returncode
            who = f"locust's worker {number}" if number else "locust"
            return "" if code in _ENDS else f"{who} ended with exit code {code}: {_last(logs[number])}"

    def _command(self, profile: Profile, own: Path, port: int) -> list[str]:
        count = users(profile.load)
        words = ["--stop-timeout", str(GRACE), "--users", str(count), "--spawn-rate", str(count)]
        if self._page:
            words += ["--web-host", _LOOPBACK, "--web-port", str(self._page)]
        else:
            words += ["--headless", "--run-time", f"{profile.seconds:.0f}s", "--only-summary",
                      "--html", str(own / "locust.html")]  # fmt: skip
        if self._workers:
            words += ["--master", "--master-bind-host", _LOOPBACK, "--master-bind-port", str(port),
                      "--expect-workers", str(self._workers)]  # fmt: skip
        return words

    def _start(self, words: Sequence[str], environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
        with log.open("wb") as stream:
            return subprocess.Popen(
                [sys.executable, "-m", "locust", "--locustfile", str(self._file), *words], stdin=subprocess.DEVNULL,
                stdout=stream, stderr=subprocess.STDOUT, env=environment, start_new_session=True,
            )  # fmt: skip


def _await(children: Sequence[subprocess.Popen[bytes]], world: World, meanwhile: Callable[[], object]) -> int:
    """Wait for the first child's end, or that of another that dies, or tell all to end when the run stops.

    Return whose end it was. A worker whose part of the load is done ends with 0 or 1 as the master does; one that
    dies takes its part of the load with it, which the others would not tell.
    """
    ended = 0
    while children[0].poll() is None and not world.stop.wait(0.5):
        meanwhile()
        dead = [number for number, child in enumerate(children) if child.poll() not in (None, *_ENDS)]
        if dead:
            ended = dead[0]
            break
    for child in children:  # all at once: each has its time for its stories
        if child.poll() is None:
            child.terminate()
    for child in children:
        _end(child)
    return ended


def _end(child: subprocess.Popen[bytes], patience: float = GRACE) -> None:
    """Ask a child to end, with time for its stories, then make it."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(patience + 10)
        except BaseException as error:  # its time is over, or somebody interrupts again
            kill_group(child)
            child.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def _last(log: Path) -> str:
    lines = log.read_text("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def users(load: Load) -> int:
    """Return how many users drive a load: its clients, or enough for its rate when each takes ten seconds a story."""
    return load.clients if load.loop != OPEN else max(1, min(load.most, math.ceil(10 * load.rate)))


class Due:
    """When a user's stories are to begin, in an open loop: its share of the arrivals, whatever became of those before.

    Shares of a Poisson process are Poisson processes. Fixed intervals begin at random, since no process knows how many
    users others have; each has its own pace, and together they hold the rate.
    """

    def __init__(self, load: Load, source: random.Random, now: float) -> None:
        count = users(load)
        self._rates = [(seconds, rate / count) for seconds, rate in load.rates]
        self._poisson, self._source, self._begin = load.arrivals == POISSON, source, now
        self._expected = self._gap() if self._poisson else source.random()

    def _gap(self) -> float:
        return self._source.expovariate(1.0) if self._poisson else 1.0

    @property
    def at(self) -> float:
        """The time of the next arrival."""
        return self._begin + moment(self._rates, self._expected)

    def take(self) -> float:
        """Return the time of this arrival, and go on to the next."""
        taken = self.at
        self._expected += self._gap()
        return taken


class Parts:
    """What several processes record, each in a file of its own (`*.jsonl`), read while they write."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._places: dict[Path, int] = {}

    def take(self, record: Callable[[Op], object]) -> None:
        """Record the operations that are new, in the order in which they ended; a line that is cut off waits."""
        found: list[Op] = []
        for path in sorted(self._directory.glob("*.jsonl")):
            with path.open("rb") as file:
                file.seek(self._places.get(path, 0))
                while (line := file.readline()).endswith(b"\n"):
                    found.append(Op(*json.loads(line)))
                    self._places[path] = file.tell()
        for op in sorted(found, key=lambda op: op.ended):
            record(op)


def environment() -> dict[str, object]:
    """Return what the parent told; raises KeyError in a process that is no child of a run."""
    value: dict[str, object] = json.loads(os.environ[VARIABLE])
    return value

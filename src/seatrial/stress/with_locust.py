"""Load driven by locust, in child processes: its patching of Python's sockets must not reach the harness.

Each child writes a part of the history of its own, which is taken up while it runs, so that what locust drives is
shown, and ended when the engine dies, and judged like everything else. Everything listens on loopback only.
"""

from __future__ import annotations

import json
import math
import os
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
from seatrial.errors import not_installed
from seatrial.exec import kill_group
from seatrial.stress.activities import World
from seatrial.stress.history import Op
from seatrial.stress.profile import OPEN, Load, Profile

VARIABLE = "SEATRIAL_STRESS"  # what a child has to know, as JSON
GRACE = 60  # seconds that a story has to end; without them locust cuts it, and its container stays
_LOOPBACK = "127.0.0.1"


class Locust:
    """Runs locust for a profile: alone, with workers, or with its own page."""

    def __init__(self, results: Path, locustfile: Path, workers: int = 0, *, page: int = 0) -> None:
        self._results, self._file, self._workers, self._page = results, locustfile, workers, page
        if find_spec("locust") is None:
            hint = "make stress installs it, or pip install 'seatrial[stress]'"
            raise not_installed("a load by locust", "locust", hint)

    def __call__(self, profile: Profile, engine: CliEngine, world: World) -> str:
        """Drive a load, wait for its end, and merge what was recorded; return why it ended early."""
        with tempfile.TemporaryDirectory(prefix="seatrial-") as name, ExitStack() as stack:
            directory = Path(name)
            told = {
                "parts": name, "run": world.run, "image": world.image, "labels": dict(world.labels),
                "registry": world.registry, "target": str(engine.target), "epoch": time.time() - world.clock(),
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
            code = _await(children, world, lambda: parts.take(world.record))
            return "" if code in (0, 1) else f"locust ended with exit code {code}: {_last(logs[0])}"

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
    """Wait for the first child's end, or tell it to end when the run stops; return its exit code."""
    first = children[0]
    while first.poll() is None and not world.stop.wait(0.5):
        meanwhile()
    for child in children:
        _end(child)
    return first.returncode


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

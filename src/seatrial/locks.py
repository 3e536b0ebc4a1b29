"""A fair lock between the tests that share a machine and the one that needs it alone.

A plain shared/exclusive flock starves the exclusive side: new sharers keep coming. Here everyone
passes a gate first, and who waits for exclusiveness holds the gate meanwhile.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seatrial.names import slug
from seatrial.paths import state_dir


class FairLock:
    """Two files in a directory: the gate and the lock itself; both work between processes."""

    def __init__(self, directory: Path, name: str = "machine") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._gate = directory / f"{name}.gate"
        self._lock = directory / f"{name}.lock"

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Hold the lock together with other sharers."""
        with self._held(fcntl.LOCK_SH):
            yield

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the lock alone; who comes later waits behind."""
        with self._held(fcntl.LOCK_EX):
            yield

    @contextmanager
    def _held(self, kind: int) -> Iterator[None]:
        with self._lock.open("w") as lock:
            with self._gate.open("w") as gate:
                fcntl.flock(gate, fcntl.LOCK_EX)
                fcntl.flock(lock, kind)
            yield


@contextmanager
def held(target: str, scope: str = "") -> Iterator[None]:
    """Hold what a test on a target needs: `scope` is "engine" or "machine" for one that must be alone."""
    directory = state_dir() / "locks"
    machine, engine = FairLock(directory), FairLock(directory, f"engine-{slug(target)}")
    with (
        machine.exclusive() if scope == "machine" else machine.shared(),
        engine.exclusive() if scope else engine.shared(),
    ):
        yield

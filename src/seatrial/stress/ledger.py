"""What is counted while a load runs: operations, stories and containers, and the CPU time that driving them costs."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field

from seatrial.perf import quiet
from seatrial.stress import loops
from seatrial.stress.history import OK, UNKNOWN, Op, Recorder
from seatrial.stress.objectives import OBSERVED, STARTS

_DEAD = 12  # operations without an answer, one after the other, that count as the engine's death


@dataclass
class Ledger:
    """Counts what is recorded, and stops a run whose engine answers no more."""

    recorder: Recorder
    stop: threading.Event
    clock: loops.Clock
    done: int = 0  # operations
    failed: int = 0
    failures: int = 0  # stories that did not end as they should
    containers: int = 0
    silent: int = 0
    cause: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, op: Op) -> None:
        """Record an operation."""
        with self._lock:
            self.recorder.add(op)
            if op.kind in OBSERVED:
                return
            if not op.object:  # a story: its steps are what was done
                self.failures += op.outcome != OK
                return
            self.done += op.outcome == OK
            self.failed += op.outcome != OK
            self.containers += op.kind in STARTS and op.outcome == OK
            self.silent = self.silent + 1 if op.outcome == UNKNOWN else 0
            if self.silent >= _DEAD and not self.stop.is_set():
                self.cause = f"the engine answered no more from {op.began:.1f} s on: {op.error}"
                self.stop.set()

    def line(self) -> str:
        """Return the progress in a line."""
        at = self.clock()
        return (f"{at:6.0f} s  {self.done + self.failed} operations, {self.containers} containers "
                f"({self.containers / max(at, 0.001):.2f} a second), {self.failures} failures")  # fmt: skip


class Used:
    """CPU time that the harness uses, of all that is used on the machine; with `children`, that of its commands."""

    def __init__(self, *, children: bool) -> None:
        self._children = children
        self._own, self._all = self._now()

    def _now(self) -> tuple[float, float]:
        times = os.times()
        own = times.user + times.system
        if self._children:
            own += times.children_user + times.children_system
        return own, quiet.counters().busy

    def share(self) -> tuple[float | None, float]:
        """Return the share since the beginning (None when nothing was used), and the seconds themselves."""
        own, every = self._now()
        used = own - self._own
        return (used / (every - self._all) if every > self._all else None), used

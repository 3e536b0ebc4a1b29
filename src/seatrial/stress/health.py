"""Whether an engine still does its work: a container is run, talked to through a published port, and removed.

That is asked over and over by `seatrial monitor`. What an earlier probe had to leave (its engine did not answer) is
found by its label and removed by the next.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from seatrial import runs
from seatrial.engines.base import CliEngine
from seatrial.errors import SeatrialError
from seatrial.names import BUSYBOX, RUN_LABEL
from seatrial.stress import loops
from seatrial.stress.activities import Client, World, service
from seatrial.stress.driver import Driver, RefusedError, SilentError
from seatrial.stress.history import Op

LABEL = "seatrial.monitor"


@dataclass(frozen=True)
class Health:
    """What one probe saw: what went wrong in words, the seconds of each step, and stragglers that were removed."""

    seconds: float
    steps: dict[str, float]
    problem: str = ""
    stragglers: int = 0

    def __str__(self) -> str:
        steps = ", ".join(f"{name} {took:.2f} s" for name, took in self.steps.items())
        words = f"FAILED: {self.problem}" if self.problem else "ok"
        more = f"; removed {self.stragglers} stragglers" if self.stragglers else ""
        return f"{words} after {self.seconds:.2f} s ({steps or 'nothing was done'}){more}"


class Prober:
    """Probes one engine; `make` opens a client's way to it."""

    def __init__(self, engine: CliEngine, make: Callable[[], Driver], run: str) -> None:
        self._engine = engine
        self._make = make
        self._run = run

    def probe(self) -> Health:
        """Ask once; whatever the engine does, this returns."""
        began, ops = time.monotonic(), list[Op]()
        problem, removed = "", 0
        world = World(self._run, BUSYBOX, {LABEL: "probe", RUN_LABEL: self._run}, loops.since(began), ops.append,
                      self._engine.host, mark=f"{time.time_ns():x}-")  # fmt: skip
        try:
            removed = self._sweep()
            driver = self._make()
            try:
                service(Client(world, 0, driver), {"requests": 1})
            finally:
                driver.close()
        except (RefusedError, SilentError, SeatrialError, AssertionError, OSError) as error:
            problem = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        failed = next((op for op in ops if op.outcome != "ok"), None)
        if failed is not None:
            problem = f"{failed.kind}: {failed.error}"
        steps = {op.kind: op.ended - op.began for op in ops if op.outcome == "ok"}
        return Health(time.monotonic() - began, steps, problem, removed)

    def _sweep(self) -> int:
        """Remove what earlier probes have left, except those of others that live; return how many that were."""
        others = {
            name for run in runs.living() - {self._run} for name in self._engine.find("container", f"{RUN_LABEL}={run}")
        }
        left = [name for name in self._engine.find("container", f"{LABEL}=probe") if name not in others]
        self._engine.remove("container", left)
        return len(left)

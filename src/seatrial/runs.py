"""Live runs: who runs now, so that `seatrial clean` can tell a killed run from a busy one."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from seatrial import proc
from seatrial.paths import state_dir


@dataclass
class LiveRun:
    """A run's entry in the state directory."""

    run: str
    pid: int
    started: str  # of the process, in clock ticks: a recycled pid does not pass for the run
    reports: str
    targets: list[str] = field(default_factory=list)
    unfinished: bool = False  # something of it could not be put back: `seatrial clean` has to

    @property
    def alive(self) -> bool:
        """Whether the run's controller still lives."""
        return proc.started(self.pid) == self.started

    def save(self) -> None:
        """Write the entry."""
        path = _path(self.run)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(self)))
        partial.rename(path)  # a reader never meets half an entry

    def forget(self) -> None:
        """Remove the entry."""
        _path(self.run).unlink(missing_ok=True)


def _path(run: str) -> Path:
    return state_dir() / "runs" / f"{run}.json"


def begin(run: str, reports: Path, targets: list[str]) -> LiveRun:
    """Note the current process as the controller of a run."""
    live = LiveRun(run, os.getpid(), proc.started(os.getpid()), str(reports), targets)
    live.save()
    return live


@contextmanager
def begun(run: str, reports: Path, targets: list[str]) -> Iterator[LiveRun]:
    """Note the current process as the controller of a run for the length of a block, or beyond if unfinished."""
    live = begin(run, reports, targets)
    try:
        yield live
    finally:
        if live.unfinished:
            live.save()
        else:
            live.forget()


def noted() -> Iterator[LiveRun]:
    """List the runs that are noted, dead ones included."""
    for path in sorted((state_dir() / "runs").glob("*.json")):
        try:
            yield LiveRun(**json.loads(path.read_text()))
        except FileNotFoundError:
            continue  # it has just ended
        except (ValueError, TypeError):
            path.unlink(missing_ok=True)


def living() -> set[str]:
    """Return the ids of the runs whose controller lives."""
    return {run.run for run in noted() if run.alive}

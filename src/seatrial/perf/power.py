"""What a baseline finds, tried on a real engine: starts that are a tenth slower, and starts that nothing has changed.

A wrapper around the runtime sleeps; the baseline is of the same wrapper that sleeps for no time, so that the sleep is
all that differs. Each start takes turns with one by the bare runtime, as figures with a reference do. That is the same
question as the simulated one of the unit tests, with the machine's own noise; it needs a quiet machine and minutes.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from seatrial.engines import drivers
from seatrial.engines.base import CliEngine
from seatrial.engines.startable import Wishes
from seatrial.lab import images, labs
from seatrial.lab.daemon import configure
from seatrial.names import BUSYBOX, RUN_LABEL
from seatrial.overhead import Figure
from seatrial.perf import baseline
from seatrial.perf.baseline import Row
from seatrial.perf.figures import Kept
from seatrial.perf.measure import STARTS, Measure, Measured
from seatrial.probes import machine
from seatrial.targets import Target

SLOWER = 0.10
_PATH = "/usr/local/bin/wrapped"
_WRAPPER = """\
#!/bin/sh
case " $* " in *" create "*) sleep {seconds:.4f} ;; esac
exec runc "$@"
"""
_FOUND, _BLAMED = f"starts that are {SLOWER:.0%} slower are found", "unchanged starts are blamed"


def power(target: Target, run: str, slowed: int = 3, unchanged: int = 5, pairs: int = STARTS) -> list[Figure]:
    """Return how many comparisons with a baseline find the slow wrapper, and how many blame the one that is not."""
    made = labs.private(target, run, Wishes(config={"runtimes": {"wrapped": {"path": _PATH}}}), start=False)
    try:
        _put(made, 0.0)
        made.daemon.start()
        engine = drivers.in_lab(labs.target_of(made.lab), made.lab)
        images.provide(engine)
        usual = statistics.median(_times(engine, run, "wrapped", 12))
        before = _measured(engine, run, pairs)
        blamed = [_measured(engine, run, pairs) for _ in range(unchanged)]
        _put(made, SLOWER * usual)
        found = [_measured(engine, run, pairs) for _ in range(slowed)]
    finally:
        made.close()
    if before.state.noise:
        noise = f"the baseline is of a noisy machine: {'; '.join(before.state.noise)}"
        return [Figure(what, "", "", 0.0, 0.0, 0.0, "", noise=noise) for what in (_FOUND, _BLAMED)]
    host = machine.facts()
    with tempfile.TemporaryDirectory() as name:
        path = baseline.place(Path(name), "before")
        baseline.save(path, run, host, [_kept(before)])
        rows = [[row for one in seen for row in baseline.compare(baseline.read(path), host, [_kept(one)])]
                for seen in (found, blamed)]  # fmt: skip
    return [_figure(_FOUND, rows[0], least=slowed), _figure(_BLAMED, rows[1], most=0)]


def _measured(engine: CliEngine, run: str, pairs: int) -> Measured:
    evidence: dict[str, Any] = {}
    sides = {runtime: _start(engine, run, runtime) for runtime in ("runc", "wrapped")}
    return Measure(evidence).turns("start", sides, pairs=pairs)


def _kept(measured: Measured) -> Kept:
    return Kept("bench", "engine", measured.as_json())


def _figure(what: str, rows: Sequence[Row], **limits: float) -> Figure:
    """Return how many rows are worse; those without a verdict leave the figure open."""
    count = sum(row.worse for row in rows)
    ratios = [row.found.ratio for row in rows if row.found is not None]
    open_ = "; ".join(dict.fromkeys(row.why for row in rows if not row.compared))
    return Figure(
        what, "", f"x{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})" if ratios else "",
        count, count, count, f"of {len(rows)}", noise=open_, **limits,
    )  # fmt: skip


def _put(made: labs.PrivateEngine, seconds: float) -> None:
    configure(made.lab.host, _PATH, _WRAPPER.format(seconds=seconds))
    made.lab.host.path(_PATH).chmod(0o755)


def _start(engine: CliEngine, run: str, runtime: str) -> Callable[[], None]:
    def side() -> None:
        engine.cli("run", "--rm", "--label", f"{RUN_LABEL}={run}", "--network", "none", "--runtime", runtime, BUSYBOX,
                   "true")  # fmt: skip

    return side


def _times(engine: CliEngine, run: str, runtime: str, count: int) -> list[float]:
    side, taken = _start(engine, run, runtime), []
    for _ in range(count):
        began = time.perf_counter()
        side()
        taken.append(time.perf_counter() - began)
    return taken

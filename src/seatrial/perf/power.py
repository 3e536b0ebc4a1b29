"""What comparisons find, tried on a real engine: a start that is a tenth slower, and one that nothing has changed.

A wrapper around the runtime sleeps; beside it, the same runtime has another name.
That is the same question as the simulated one of the unit tests, with the machine's own noise; it needs a quiet
machine and minutes.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from seatrial import stats
from seatrial.engines import drivers
from seatrial.engines.base import CliEngine
from seatrial.engines.startable import Wishes
from seatrial.lab import images, labs
from seatrial.lab.daemon import configure
from seatrial.names import BUSYBOX, RUN_LABEL
from seatrial.overhead import Figure
from seatrial.perf.measure import Measure
from seatrial.targets import Target

SLOWER = 0.10
_PATH = "/usr/local/bin/slower"
_WRAPPER = """\
#!/bin/sh
case " $* " in *" create "*) sleep {seconds:.4f} ;; esac
exec runc "$@"
"""


def power(target: Target, run: str, slowed: int = 3, unchanged: int = 5, pairs: int = 60) -> list[Figure]:
    """Return how many comparisons find the slow wrapper, and how many blame the same runtime under another name."""
    wishes = Wishes(config={"runtimes": {"slower": {"path": _PATH}, "same": {"path": "runc"}}})
    made = labs.private(target, run, wishes, start=False)
    try:
        _put(made, 0.0)
        made.daemon.start()
        engine = drivers.in_lab(labs.target_of(made.lab), made.lab)
        images.provide(engine)
        usual = statistics.median(_times(engine, run, "runc", 12))
        _put(made, SLOWER * usual)
        found = [_compared(engine, run, "slower", pairs) for _ in range(slowed)]
        blamed = [_compared(engine, run, "same", pairs) for _ in range(unchanged)]
    finally:
        made.close()
    return [
        _figure(f"a start that is {SLOWER:.0%} slower is found", found, slowed, slowed, "at least"),
        _figure("an unchanged start is blamed", blamed, unchanged, 0, "at most"),
    ]


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


def _compared(engine: CliEngine, run: str, other: str, pairs: int) -> tuple[stats.Comparison, list[str]]:
    evidence: dict[str, Any] = {}
    sides = {"runc": _start(engine, run, "runc"), other: _start(engine, run, other)}
    measured = Measure(evidence).turns("start", sides, pairs=pairs)
    return measured.compare(other), measured.state.noise


def _figure(what: str, seen: list[tuple[stats.Comparison, list[str]]], of: int, limit: int, way: str) -> Figure:
    count = sum(comparison.worse for comparison, _ in seen)
    ratios = [comparison.ratio for comparison, _ in seen]
    noisy = sum(bool(noise) for _, noise in seen)
    return Figure(
        what, f"{noisy} of {of} on a noisy machine" if noisy else "a quiet machine", f"{count} of {of}",
        statistics.median(ratios), min(ratios), max(ratios), "ratio", f"{way} {limit} of {of}",
        count >= limit if way == "at least" else count <= limit,
    )  # fmt: skip

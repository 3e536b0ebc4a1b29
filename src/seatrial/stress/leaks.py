"""Which series of a run climb: a leak names the resource and its slope."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from seatrial import stats
from seatrial.stats import Slope
from seatrial.stress.history import Op
from seatrial.stress.monitor import TOLERANCES, UNITS

ENOUGH = 20  # samples
_FEW = 3.0  # of anything that is counted come and go by chance


@dataclass(frozen=True)
class Trend:
    """How one resource developed."""

    series: str
    slope: Slope
    tolerance: float

    @property
    def leaks(self) -> bool:
        """Whether it climbs all the time, beyond its tolerance."""
        return self.slope.climbs(self.tolerance)

    def __str__(self) -> str:
        unit = UNITS.get(self.series.partition(":")[0], "")
        low, high = 3600 * self.slope.interval.low, 3600 * self.slope.interval.high
        words = f"{self.series}: {3600 * self.slope.value:+.4g} {unit}".rstrip()
        return f"{words} an hour ({low:.4g} to {high:.4g}), {self.slope.growth:+.4g} in this run"


Series = Mapping[str, list[tuple[float, float]]]


def series(operations: Iterable[Op]) -> Series:
    """Return the samples of a history by name, as (seconds, value)."""
    found: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    for op in operations:
        if op.kind == "sample":
            found[op.object].append((op.began, op.value))
    return found


def tolerance_of(series: str, containers: float) -> float | None:
    """Return by how much a series may climb in a run of so many containers: in a short one by less.

    What is lost with every second container is a leak however few there were; bytes have no such measure.
    """
    word = series.partition(":")[0]
    much = TOLERANCES.get(word)
    return much if much is None or word in UNITS else min(much, max(_FEW, containers / 2))


def trends(found: Series, begin: float, end: float, containers: float = float("inf")) -> list[Trend]:
    """Return how each resource with a tolerance developed between two times, as far as there are enough samples.

    Each series has its own times. A command that is not there at a moment has no sample then, which is none of it;
    what is of no command is asked for at its own pace, and what lies between two samples is not known.
    """
    looked = sorted({at for name, points in found.items() if ":" in name for at, _ in points if begin <= at <= end})
    made = []
    for name, points in sorted(found.items()):
        command, tolerance = name.partition(":")[2], tolerance_of(name, containers)
        values = {at: value for at, value in points if begin <= at <= end}
        times = looked if command else sorted(values)
        if tolerance is None or len(times) < ENOUGH:
            continue
        made.append(Trend(name, stats.slope(times, [values.get(at, 0.0) for at in times]), tolerance))
    return made


def unknown(found: Series, judged: Sequence[Trend]) -> list[str]:
    """Return the series with a tolerance that had too few samples for a slope."""
    seen = {trend.series for trend in judged}
    return sorted(name for name in found if name.partition(":")[0] in TOLERANCES and name not in seen)

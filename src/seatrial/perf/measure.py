"""Measuring in turns: A B A B, after a warm-up, with every raw sample kept.

A machine changes while it is measured, so nothing is measured alone where a reference can be had: the ratio of two
things done in turns stands, although both became slower. What comes out is a `Measured`; it is evidence of the
test, whatever the verdict. A verdict is given only on a quiet machine and beyond the doubt of the interval.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import pytest

from seatrial import stats
from seatrial.perf.quiet import State, Watch
from seatrial.stats import Comparison, Interval

EVIDENCE = "measured"  # the place of measurements in a result's evidence
PAIRS = 20
STARTS = 100  # pairs that show a slowdown of a tenth in starts, even where it is one figure among a hundred
LEAST = 8  # pairs that can be found worse at all; see `stats.least_p`
_FEW = 4  # of a figure that gives no verdict anyway
# does one thing; returns the sample, or nothing when the time that it took is the sample
Side = Callable[[], float | None]


@dataclass(frozen=True)
class Sample:
    """A value, and when it was taken: seconds from the beginning of the measurement."""

    at: float
    value: float


@dataclass(frozen=True)
class Measured:
    """What was measured of some sides, the first of which is the reference; `paired` when taken in turns."""

    name: str
    unit: str
    sides: Mapping[str, Sequence[Sample]]
    state: State
    more_is_better: bool = False
    paired: bool = True
    levels: bool = False  # the sides are steps of one thing, such as how many at once

    def values(self, side: str) -> list[float]:
        """Return the samples of a side."""
        return [sample.value for sample in self.sides[side]]

    @property
    def reference(self) -> str:
        """The first side's name."""
        return next(iter(self.sides))

    def compare(self, side: str) -> Comparison:
        """Hold a side against the reference."""
        return stats.compare(
            self.values(self.reference), self.values(side), paired=self.paired, more_is_better=self.more_is_better
        )

    def as_json(self) -> dict[str, Any]:
        """Return it as evidence holds it: samples as pairs of time and value."""
        return {
            "name": self.name, "unit": self.unit, "more_is_better": self.more_is_better, "paired": self.paired,
            "levels": self.levels, "state": self.state.as_json(),
            "sides": {name: [[round(sample.at, 4), sample.value] for sample in samples]
                      for name, samples in self.sides.items()},
        }  # fmt: skip


class Measure:
    """Measures for one test; `pairs` overrides what the test asks for (0: it does not)."""

    def __init__(self, evidence: dict[str, Any], pairs: int = 0, watch: Callable[[], Watch] = Watch) -> None:
        self._evidence = evidence
        self._pairs = pairs
        self._watch = watch
        self._noisy = False

    def turns(
        self, name: str, sides: Mapping[str, Side], *, unit: str = "s", more_is_better: bool = False,
        pairs: int = PAIRS, warm_up: int = 1, under: AbstractContextManager[Any] | None = None,
    ) -> Measured:  # fmt: skip
        """Do the sides in turns, `pairs` times after the warm-up, and keep every sample.

        `under` is a load of ours that goes on meanwhile; it begins after the machine was looked at, and no fixed work
        is timed beside it. Raises ValueError when a sample is not positive: it was not measured.
        """
        taken: dict[str, list[Sample]] = {side: [] for side in sides}
        with self.watched() as watch, under or nullcontext():
            began = time.monotonic()
            for number in range(warm_up + self.rounds(pairs)):
                for side, function in sides.items():
                    if under is None:
                        watch.tick()
                    before = time.perf_counter()
                    given = function()
                    value = time.perf_counter() - before if given is None else float(given)
                    _check(name, side, value)  # at once, not after an hour
                    if number >= warm_up:
                        taken[side].append(Sample(time.monotonic() - began, value))
        return self.keep(Measured(name, unit, taken, watch.state, more_is_better))

    def rounds(self, wanted: int) -> int:
        """Return how many rounds to take: those that a test wants, unless `--pairs` says otherwise.

        Within `watched`, few are enough when the machine is noisy already: they give no verdict.
        """
        return self._pairs or (min(wanted, _FEW) if self._noisy else wanted)

    @contextmanager
    def watched(self) -> Iterator[Watched]:
        """Watch the machine for the length of a block; its `state` is known afterwards."""
        watched = Watched(self._watch())
        self._noisy = watched.watch.noisy
        yield watched
        watched.state = watched.watch.end()

    def keep(self, measured: Measured) -> Measured:
        """Make a measurement part of the test's evidence.

        Raises ValueError when a side has no samples, or one that is not positive: it was not measured.
        """
        empty = [side for side, samples in measured.sides.items() if not samples]
        if empty or not measured.sides:
            raise ValueError(f"{measured.name}: there are no samples of {', '.join(empty) or 'anything'}")
        for side in measured.sides:
            for value in measured.values(side):
                _check(measured.name, side, value)
        self._evidence.setdefault(EVIDENCE, []).append(measured.as_json())
        return measured

    # -- verdicts ------------------------------------------------------------------------------

    def ratio(self, measured: Measured, side: str, *, at_most: float = 0.0, at_least: float = 0.0) -> None:
        """Hold the ratio of a side to the reference against a limit; see `_judge`."""
        found = measured.compare(side)
        words = f"{measured.name}: {side} to {measured.reference}"
        _judge(words, found.ratio, found.interval, "x", at_most, at_least, measured.state)

    def value(self, measured: Measured, side: str, *, at_most: float = 0.0, at_least: float = 0.0,
              percentile: float = 50) -> None:  # fmt: skip
        """Hold a percentile of a side against a limit in its unit; too few samples for its interval are no verdict."""
        values = measured.values(side)
        words = f"{measured.name}: {side}"
        if percentile == 50:
            _judge(words, stats.median(values), stats.interval(values), measured.unit, at_most, at_least,
                   measured.state)  # fmt: skip
            return
        seen, bounds = stats.percentile(values, percentile), stats.percentile_interval(values, percentile)
        _judge(f"{words}, p{percentile:g}", seen, bounds, measured.unit, at_most, at_least, measured.state)


def _check(name: str, side: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise ValueError(f"{name}: the sample {value} of {side} was not measured")


@dataclass
class Watched:
    """A watch, and what it saw when it has ended."""

    watch: Watch
    _state: State | None = None

    def tick(self) -> None:
        """Do the fixed work once, between two samples."""
        self.watch.tick()

    @property
    def state(self) -> State:
        """What the machine was like; raises RuntimeError before the end."""
        if self._state is None:
            raise RuntimeError("the watch has not ended")
        return self._state

    @state.setter
    def state(self, value: State) -> None:
        self._state = value


def _judge(
    words: str, seen: float, interval: Interval, unit: str, at_most: float, at_least: float, state: State
) -> None:
    """Raise AssertionError when an interval lies beyond a limit, and skip where it is open or the machine noisy."""
    if not at_most and not at_least:
        raise ValueError("a verdict needs a limit")
    figure = f"{words}: {seen:.4g} {unit} ({interval.low:.4g} to {interval.high:.4g})"
    limit = " and ".join([*([f"at most {at_most:g}"] if at_most else []),
                          *([f"at least {at_least:g}"] if at_least else [])])  # fmt: skip
    if state.noise:
        pytest.skip(f"the machine was not quiet: no verdict\n{figure}; {'; '.join(state.noise)}")
    beyond = (at_most and interval.low > at_most) or (at_least and interval.high < at_least)
    if beyond:
        raise AssertionError(f"{figure}, expected {limit}")
    if (at_most and interval.high > at_most) or (at_least and interval.low < at_least):
        pytest.skip(f"the samples leave it open: more tell (--pairs)\n{figure}, expected {limit}")

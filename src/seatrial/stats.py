"""What samples say: medians with intervals, whether one set is worse than another, whether a series climbs.

Durations of engines are skewed and have outliers, so nothing here assumes a normal distribution: medians,
bootstrap intervals (Efron 1979), the rank tests of Mann and Whitney and of Wilcoxon, the slope of Theil and Sen.
numpy and scipy are imported when they are first needed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from types import ModuleType

from seatrial.errors import SeatrialError, not_installed

THRESHOLD = 0.05  # a smaller change is none that anybody has to act upon
ALPHA = 0.005  # of the rank test, one-sided
CONFIDENCE = 0.95
_RESAMPLES = 2000
_SEED = 1  # the same samples give the same interval
_OF_HALVES = 0.9  # the confidence in the slope of either half of a series, which has less to show
_BLOCKS = 40  # of a series, whose neighbours are not independent


def _numpy() -> ModuleType:
    try:
        import numpy
    except ImportError as error:
        raise _missing(error) from error
    return numpy


def _scipy() -> ModuleType:
    try:
        import scipy.stats
    except ImportError as error:
        raise _missing(error) from error
    module: ModuleType = scipy.stats
    return module


def _missing(error: ImportError) -> SeatrialError:
    hint = "pip install 'seatrial[figures]', or make setup"
    return not_installed("the module for statistics", error.name or "numpy or scipy", hint, str(error))


@dataclass(frozen=True)
class Interval:
    """Where a value lies with a given confidence."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    @property
    def width(self) -> float:
        """High minus low."""
        return self.high - self.low


@dataclass(frozen=True)
class Summary:
    """A set of samples in figures, in the samples' unit; `spread` is the interquartile range over the median."""

    count: int
    median: float
    interval: Interval
    low: float
    high: float
    p90: float
    p95: float
    p99: float
    spread: float


class Judgement(StrEnum):
    """What a comparison comes to."""

    WORSE = "worse"
    BETTER = "better"
    SAME = "same"
    UNCLEAR = "unclear"  # the samples are too scattered to tell
    FEW = "too few samples"  # whatever they had been, the rank test could not have found them different


@dataclass(frozen=True)
class Comparison:
    """A second set of samples held against a first; `ratio` is second to first, `p` the smaller one-sided p-value."""

    ratio: float
    interval: Interval
    p: float
    judgement: Judgement
    counts: tuple[int, int]

    @property
    def worse(self) -> bool:
        """Whether the second is worse beyond doubt."""
        return self.judgement is Judgement.WORSE

    def __str__(self) -> str:
        return (
            f"{self.judgement}: x{self.ratio:.3f} ({self.interval.low:.3f} to {self.interval.high:.3f}, "
            f"p = {self.p:.2g}, {self.counts[0]} and {self.counts[1]} samples)"
        )


@dataclass(frozen=True)
class Slope:
    """How fast a series of `length` seconds climbs: units for each second, with its interval."""

    value: float
    interval: Interval
    length: float
    steady: bool  # it climbs in its first half and in its second

    @property
    def growth(self) -> float:
        """Units that it has gained over its whole length."""
        return self.value * self.length

    def climbs(self, tolerance: float) -> bool:
        """Tell whether it climbs all the time, and beyond doubt by more than `tolerance` units in all."""
        return self.steady and self.interval.low * self.length > tolerance


def median(samples: Sequence[float]) -> float:
    """Return the median; raises ValueError without samples."""
    return percentile(samples, 50)


def percentile(samples: Sequence[float], share: float) -> float:
    """Return the value below which `share` percent of the samples lie; raises ValueError without samples."""
    if not len(samples):
        raise ValueError("there are no samples")
    return float(_numpy().percentile(samples, share))


def interval(samples: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Return the bootstrap interval of the median; that of a single sample is the sample."""
    return _bootstrap((samples,), confidence)


def percentile_interval(samples: Sequence[float], share: float, confidence: float = CONFIDENCE) -> Interval:
    """Return the interval of a percentile by order statistics, which needs no assumption on the distribution.

    How many of n samples lie below the percentile is binomial (David and Nagaraja 2003, 7.1); a bound that so few
    samples do not have is infinite.
    """
    if not len(samples):
        raise ValueError("there are no samples")
    ordered, tail = sorted(samples), (1 - confidence) / 2
    below = _scipy().binom(len(ordered), share / 100)
    lower, upper = int(below.ppf(tail)), int(below.ppf(1 - tail)) + 1
    low = float(ordered[lower - 1]) if lower >= 1 else -math.inf
    return Interval(low, float(ordered[upper - 1]) if upper <= len(ordered) else math.inf)


def summary(samples: Sequence[float]) -> Summary:
    """Return the figures of a set of samples; raises ValueError when there are none."""
    middle = median(samples)
    quarters = percentile(samples, 25), percentile(samples, 75)
    return Summary(
        len(samples), middle, interval(samples), float(min(samples)), float(max(samples)),
        percentile(samples, 90), percentile(samples, 95), percentile(samples, 99),
        (quarters[1] - quarters[0]) / abs(middle) if middle else 0.0,
    )  # fmt: skip


def compare(
    first: Sequence[float], second: Sequence[float], *, threshold: float = THRESHOLD, paired: bool = False,
    more_is_better: bool = False, alpha: float = ALPHA,
) -> Comparison:  # fmt: skip
    """Hold a second set of positive samples against a first.

    Worse is what the rank test (Mann-Whitney; Wilcoxon's signed-rank test when `paired`; one-sided, at `alpha`)
    and the bootstrap interval of the ratio both say to be worse, by more than `threshold`; better likewise. The
    same is what lies within the threshold beyond doubt. All else is unclear, or too few samples. By default a greater
    value is the worse one.
    Raises ValueError with fewer than four samples on a side, of which no interval can be had.
    """
    if min(len(first), len(second)) < 4:
        raise ValueError(f"a comparison needs four samples on each side: there are {len(first)} and {len(second)}")
    if min(*first, *second) <= 0:
        raise ValueError("ratios need positive samples")
    if paired and len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} samples are no pairs")
    if paired:
        ratios = [b / a for a, b in zip(first, second, strict=True)]
        ratio, bounds = median(ratios), _bootstrap((ratios,), CONFIDENCE)
    else:
        ratio, bounds = median(second) / median(first), _bootstrap((first, second), CONFIDENCE)
    greater, less = (_rank_test(first, second, way, paired=paired) for way in ("greater", "less"))
    limit = 1 + threshold
    if least_p(len(first), len(second), paired=paired) > alpha:
        found = Judgement.FEW
    elif greater <= alpha and bounds.low > 1 and ratio > limit:
        found = Judgement.BETTER if more_is_better else Judgement.WORSE
    elif less <= alpha and bounds.high < 1 and ratio < 1 / limit:
        found = Judgement.WORSE if more_is_better else Judgement.BETTER
    elif bounds.high <= limit and bounds.low >= 1 / limit:
        found = Judgement.SAME
    else:
        found = Judgement.UNCLEAR
    return Comparison(ratio, bounds, min(greater, less), found, (len(first), len(second)))


def worsening(first: Sequence[float], second: Sequence[float], *, more_is_better: bool = False) -> float:
    """Return the one-sided p-value of the rank test (Mann-Whitney) for the second set to be the worse one."""
    return _rank_test(first, second, "less" if more_is_better else "greater", paired=False)


@cache
def least_p(first: int, second: int, *, paired: bool = False) -> float:
    """Return the least p-value that the rank test can give with so many samples: that of two sets without overlap."""
    low = [1.0 + number / (10.0 * first) for number in range(first)]
    high = [one * (3.0 + number) for number, one in enumerate(low)] if paired else [
        3.0 + number / (10.0 * second) for number in range(second)]  # fmt: skip
    return _rank_test(low, high, "greater", paired=paired)


def discoveries(values: Sequence[float], rate: float) -> float:
    """Return the level at which p-values are found so that at most `rate` of what is found is not so.

    That is the procedure of Benjamini and Hochberg (1995): the largest p-value of rank k among n that is at most
    rate * k / n. Without one it is that of the first rank, which no value reaches.
    """
    count = len(values)
    level = [rate * rank / count for rank, value in enumerate(sorted(values), 1) if value <= rate * rank / count]
    return max(level, default=rate / max(1, count))


def slope(times: Sequence[float], values: Sequence[float], confidence: float = 0.99) -> Slope:
    """Return the Theil-Sen slope of a series over its times in seconds, in units for each second.

    Neighbouring samples resemble each other, so medians of blocks are what is fitted; raises ValueError with
    fewer than eight samples.
    """
    if len(times) != len(values) or len(times) < 8:
        raise ValueError(f"a slope needs eight samples: there are {len(times)} times and {len(values)} values")
    x, y = _blocks(times, values)
    half = len(x) // 2
    value, interval_ = _theil_sen(x, y, confidence)
    steady = all(_climbs(x[part], y[part]) for part in (slice(half), slice(half, None)))
    return Slope(value, interval_, x[-1] - x[0], steady)


def _climbs(x: Sequence[float], y: Sequence[float]) -> bool:
    """Tell whether part of a series climbs, be it in steps: Kendall's rank test counts ties for nothing."""
    if len(set(y)) == 1:
        return False
    return bool(_scipy().kendalltau(x, y, alternative="greater").pvalue < 1 - _OF_HALVES)


def _blocks(times: Sequence[float], values: Sequence[float]) -> tuple[list[float], list[float]]:
    numpy = _numpy()
    count = min(_BLOCKS, len(times))
    pairs = zip(numpy.array_split(times, count), numpy.array_split(values, count), strict=True)
    medians = [(float(numpy.median(x)), float(numpy.median(y))) for x, y in pairs]
    return [x for x, _ in medians], [y for _, y in medians]


def _theil_sen(x: Sequence[float], y: Sequence[float], confidence: float) -> tuple[float, Interval]:
    found = _scipy().theilslopes(y, x, confidence)
    return float(found[0]), Interval(float(found[2]), float(found[3]))


def _bootstrap(sets: Sequence[Sequence[float]], confidence: float) -> Interval:
    """Return the percentile interval of the median of one set, or of the ratio of medians of a second to a first."""
    numpy = _numpy()
    source = numpy.random.default_rng(_SEED)
    medians = []
    for samples in sets:
        if not len(samples):
            raise ValueError("there are no samples")
        given = numpy.asarray(samples, dtype=float)
        rows = max(1, min(_RESAMPLES, 4_000_000 // len(given)))  # bounds the memory, not the precision that is needed
        drawn = [numpy.median(given[source.integers(0, len(given), (rows, len(given)))], axis=1)
                 for _ in range(math.ceil(_RESAMPLES / rows))]  # fmt: skip
        medians.append(numpy.concatenate(drawn)[:_RESAMPLES])
    values = medians[0] if len(sets) == 1 else medians[1] / medians[0]
    tail = 50 * (1 - confidence)
    low, high = numpy.percentile(values, [tail, 100 - tail])
    return Interval(float(low), float(high))


def _rank_test(first: Sequence[float], second: Sequence[float], way: str, *, paired: bool) -> float:
    """Return the one-sided p-value of the second being `way` than the first."""
    stats = _scipy()
    if not paired:
        return float(stats.mannwhitneyu(second, first, alternative=way).pvalue)
    logarithms = [math.log(b / a) for a, b in zip(first, second, strict=True)]
    if not any(logarithms):
        return 1.0
    # exact wherever there are neither ties nor pairs without a difference
    plain = len(set(map(abs, logarithms))) == len(logarithms) <= 50 and all(logarithms)
    return float(stats.wilcoxon(logarithms, alternative=way, method="exact" if plain else "approx",
                                zero_method="zsplit").pvalue)  # fmt: skip

"""Statistics, proved by seeded simulation: durations skewed and with outliers, as engines have them."""

import sys

import numpy
import pytest

from seatrial import stats
from seatrial.errors import SeatrialError
from seatrial.stats import Judgement

RUNS = 100


def starts(source, count, factor=1.0):
    """Durations of starts in seconds: 320 ms, 6% of scatter, skewed, 3% of outliers half as long again and more."""
    times = 0.3 + source.lognormal(numpy.log(0.02), 0.9, count)
    outliers = source.random(count) < 0.03
    return list(factor * (times + outliers * source.uniform(0.15, 0.6, count)))


def judged(factor, count=40, paired=False, seed=7):
    source = numpy.random.default_rng(seed)
    return [
        stats.compare(starts(source, count), starts(source, count, factor), paired=paired).judgement
        for _ in range(RUNS)
    ]


@pytest.mark.parametrize("paired", [False, True])
def test_a_slowdown_of_a_tenth_is_found(paired):
    assert judged(1.10, paired=paired).count(Judgement.WORSE) >= 95


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_an_unchanged_engine_is_not_blamed(paired, seed):
    assert judged(1.0, paired=paired, seed=seed).count(Judgement.WORSE) <= 2


def test_an_unchanged_engine_is_cleared_with_enough_samples():
    assert judged(1.0, count=120).count(Judgement.SAME) >= 90


def test_a_speedup_is_better_and_no_slowdown():
    found = judged(1 / 1.10)
    assert found.count(Judgement.BETTER) >= 95
    assert Judgement.WORSE not in found


def test_a_change_below_the_threshold_is_none_to_act_upon():
    assert judged(1.02, count=200).count(Judgement.WORSE) <= 2


def test_where_more_is_better_less_is_worse():
    source = numpy.random.default_rng(3)
    many, few = starts(source, 60, 1.3), starts(source, 60)
    assert stats.compare(many, few, more_is_better=True).judgement is Judgement.WORSE
    assert stats.compare(few, many, more_is_better=True).judgement is Judgement.BETTER
    assert stats.compare(many, few).judgement is Judgement.BETTER


def test_few_and_scattered_samples_tell_nothing():
    source = numpy.random.default_rng(5)
    found = [
        stats.compare(list(source.lognormal(0, 0.5, 9)), list(source.lognormal(0.1, 0.5, 9))).judgement
        for _ in range(RUNS)
    ]
    assert found.count(Judgement.UNCLEAR) >= 90


@pytest.mark.parametrize(("count", "paired", "judgement"), [
    (4, False, Judgement.FEW), (5, False, Judgement.WORSE), (7, True, Judgement.FEW), (8, True, Judgement.WORSE),
])  # fmt: skip
def test_so_few_samples_that_no_slowdown_could_be_found_are_called_so(count, paired, judgement):
    first = [1.0 + number / 100 for number in range(count)]
    second = [one * (10 + number) for number, one in enumerate(first)]
    assert stats.compare(first, second, paired=paired).judgement is judgement


def test_with_many_figures_the_level_is_that_of_the_largest_rank():
    assert stats.discoveries([0.001, 0.011, 0.02, 0.9], 0.05) == pytest.approx(0.05 * 3 / 4)
    assert stats.discoveries([0.5, 0.9], 0.05) == 0.025
    assert stats.discoveries([], 0.05) == 0.05


def test_the_interval_of_a_percentile_holds_it_as_often_as_it_says():
    source = numpy.random.default_rng(37)
    truth = numpy.exp(0.4 * 1.6448536)
    held = sum(truth in stats.percentile_interval(source.lognormal(0, 0.4, 80), 95) for _ in range(400))
    assert held / 400 >= 0.94
    assert stats.percentile_interval(range(1, 81), 95).high == 80
    assert stats.percentile_interval(range(1, 60), 95).high == float("inf")
    with pytest.raises(ValueError, match="no samples"):
        stats.percentile_interval([], 95)


def test_pairs_see_through_a_drift_that_hides_the_change():
    source = numpy.random.default_rng(11)
    drift = numpy.linspace(1.0, 2.0, 40)
    before, after = numpy.array(starts(source, 40)) * drift, numpy.array(starts(source, 40, 1.1)) * drift
    assert stats.compare(before, after, paired=True).judgement is Judgement.WORSE
    assert stats.compare(before, after).judgement is Judgement.UNCLEAR


@pytest.mark.parametrize(
    ("first", "second", "paired", "words"),
    [
        ([], [1.0] * 4, False, "there are 0 and 4"),
        ([1.0] * 3, [1.0] * 9, False, "there are 3 and 9"),
        ([1.0] * 4, [1.0] * 5, True, "no pairs"),
        ([1.0] * 4, [1.0, 1.0, 0.0, 1.0], False, "positive"),
    ],
)
def test_what_cannot_be_compared_is_refused(first, second, paired, words):
    with pytest.raises(ValueError, match=words):
        stats.compare(first, second, paired=paired)


@pytest.mark.parametrize("paired", [False, True])
def test_equal_samples_are_the_same(paired):
    found = stats.compare([2.0] * 10, [2.0] * 10, paired=paired)
    assert (found.judgement, found.ratio) == (Judgement.SAME, 1.0)
    assert "same: x1.000" in str(found)


def test_the_interval_holds_the_true_median_as_often_as_it_says():
    source = numpy.random.default_rng(13)
    held = sum(1.0 in stats.interval(source.lognormal(0, 0.4, 30)) for _ in range(400))
    assert 0.91 <= held / 400 <= 0.99


def test_a_summary_has_the_figures():
    found = stats.summary(list(range(1, 101)))
    assert (found.count, found.median, found.low, found.high) == (100, 50.5, 1.0, 100.0)
    assert (round(found.p90, 1), round(found.p99, 2)) == (90.1, 99.01)
    assert found.median in found.interval
    assert 15 < found.interval.width < 40


def test_no_samples_are_no_summary():
    with pytest.raises(ValueError, match="no samples"):
        stats.summary([])


def test_the_same_samples_give_the_same_interval():
    samples = starts(numpy.random.default_rng(1), 50)
    assert stats.interval(samples) == stats.interval(samples)


def series(source, per_second=0.0, noise=1.0, count=300):
    times = numpy.arange(count) * 2.0
    return times, 100 + per_second * times + source.normal(0, noise, count)


def test_a_leak_has_a_slope():
    source = numpy.random.default_rng(17)
    for _ in range(50):
        found = stats.slope(*series(source, per_second=0.05))
        assert found.climbs(tolerance=5.0)
        assert 0.045 < found.value < 0.055
        assert found.value in found.interval


def test_noise_is_no_leak():
    source = numpy.random.default_rng(19)
    assert sum(stats.slope(*series(source)).climbs(tolerance=0.5) for _ in range(200)) <= 2


@pytest.mark.parametrize(
    "shape",
    [
        lambda times: 30 * numpy.minimum(times, 60) / 60,  # a cache that fills
        lambda times: 10 * (times % 50) / 50,  # a heap that is collected
        lambda times: numpy.where(times > 300, 20.0, 0.0),  # one step
        lambda times: -0.05 * times,
    ],
    ids=["plateau", "sawtooth", "step", "falling"],
)
def test_what_does_not_climb_all_the_time_is_no_leak(shape):
    source = numpy.random.default_rng(23)
    times, noise = series(source, noise=0.2)
    assert not stats.slope(times, noise + shape(times)).climbs(tolerance=1.0)


def test_a_climb_within_the_tolerance_is_no_leak():
    found = stats.slope(*series(numpy.random.default_rng(29), per_second=0.05))
    assert 25 < found.growth < 35
    assert not found.climbs(tolerance=40)


def test_a_climb_is_beyond_the_tolerance_when_its_least_is():
    found = stats.slope(*series(numpy.random.default_rng(29), per_second=0.05, noise=20.0))
    least = found.interval.low * found.length
    assert 0 < least < 0.8 * found.growth
    assert not found.climbs(tolerance=(least + found.growth) / 2)
    assert found.climbs(tolerance=0.9 * least)


@pytest.mark.parametrize("steps", [4, 6, 20])
def test_what_grows_in_steps_is_a_leak(steps):
    times, noise = series(numpy.random.default_rng(31), noise=0.0)
    assert stats.slope(times, noise + 10 * numpy.floor(times / times[-1] * steps)).climbs(tolerance=3.0)


def test_a_slope_needs_samples():
    with pytest.raises(ValueError, match="eight samples"):
        stats.slope([1, 2, 3], [1, 2, 3])


@pytest.mark.parametrize("name", ["numpy", "scipy.stats"])
def test_a_library_that_is_missing_is_named(monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SeatrialError, match=f"needs {name}") as caught:
        stats.compare([1.0] * 5, [1.0] * 5) if name == "scipy.stats" else stats.median([1.0])
    assert caught.value.code == "E509"

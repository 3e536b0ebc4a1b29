"""Measuring in turns, and what a verdict needs: a quiet machine and an interval beyond doubt."""

import contextlib
import itertools

import pytest

from seatrial.perf.measure import EVIDENCE, Measure, Measured, Sample
from seatrial.stats import Judgement

RUNS = 100


MANY = [1.0 + number / 10000 for number in range(400)]


def measured(state, first, second):
    sides = {name: [Sample(at, value) for at, value in enumerate(values)]
             for name, values in (("host", first), ("container", second))}  # fmt: skip
    return Measured("work", "s", sides, state)


def test_sides_take_turns_after_a_warm_up_and_every_sample_is_kept(simulated):
    evidence, order, numbers = {}, [], itertools.count(1)

    def side(name):
        order.append(name)
        return float(next(numbers))

    found = simulated.measure(evidence).turns("x", {"a": lambda: side("a"), "b": lambda: side("b")}, unit="u", pairs=3)
    assert order == ["a", "b"] * 4
    assert (found.values("a"), found.values("b")) == ([3, 5, 7], [4, 6, 8])
    (kept,) = evidence[EVIDENCE]
    assert [value for _, value in kept["sides"]["b"]] == [4, 6, 8]
    assert (kept["unit"], kept["paired"], kept["state"]["noise"]) == ("u", True, [])


def test_what_returns_nothing_is_timed(simulated):
    found = simulated.measure().turns("x", {"a": lambda: None}, pairs=4)
    assert len(found.values("a")) == 4
    assert all(0 < value < 1 for value in found.values("a"))


def test_on_a_noisy_machine_few_samples_are_enough_unless_more_are_asked_for(simulated):
    sides = {"a": lambda: 1.0}
    assert len(simulated.measure(state=simulated.NOISY).turns("x", sides, pairs=40).values("a")) == 4
    assert len(simulated.measure(state=simulated.NOISY, pairs=9).turns("x", sides, pairs=40).values("a")) == 9
    assert len(simulated.measure().turns("x", sides, pairs=40).values("a")) == 40


def test_a_load_of_ours_begins_after_the_look_and_no_fixed_work_is_timed_beside_it(simulated):
    order = []

    class Noting(simulated.Watch):
        def __init__(self):
            super().__init__()
            order.append("look")

        def tick(self):
            order.append("tick")

    @contextlib.contextmanager
    def load():
        order.append("load")
        yield
        order.append("end of the load")

    measure = Measure({}, 0, Noting)
    measure.turns("x", {"a": lambda: order.append("a") or 1.0}, pairs=2, under=load())
    assert order == ["look", "load", "a", "a", "a", "end of the load"]
    order.clear()
    measure.turns("x", {"a": lambda: order.append("a") or 1.0}, pairs=1)
    assert order == ["look", "tick", "a", "tick", "a"]


def test_the_number_of_pairs_can_be_asked_for(simulated):
    assert len(simulated.measure(pairs=7).turns("x", {"a": lambda: 1.0}, pairs=3).values("a")) == 7


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_a_sample_that_was_not_measured_is_an_error(simulated, value):
    with pytest.raises(ValueError, match="was not measured"):
        simulated.measure().turns("x", {"a": lambda: value})


@pytest.mark.parametrize("sides", [{}, {"a": []}])
def test_no_samples_are_no_measurement(simulated, sides):
    with pytest.raises(ValueError, match="there are no samples"):
        simulated.measure().keep(Measured("x", "s", sides, simulated.QUIET))


STEADY = [1.0 + number / 1000 for number in range(20)]


def times(factor):
    return [factor * value for value in STEADY]


def test_within_the_limit_nothing_is_said(simulated):
    simulated.measure().ratio(measured(simulated.QUIET, STEADY, times(1.2)), "container", at_most=1.5)
    simulated.measure().value(measured(simulated.QUIET, STEADY, times(1.2)), "container", at_most=2.0, at_least=1.0)
    simulated.measure().value(measured(simulated.QUIET, MANY, MANY), "container", at_most=2.0, percentile=99)


@pytest.mark.parametrize(
    "judge",
    [
        lambda measure, found: measure.ratio(found, "container", at_most=1.5),
        lambda measure, found: measure.ratio(found, "container", at_least=2.5),
        lambda measure, found: measure.value(found, "container", at_most=1.9),
        lambda measure, found: measure.value(found, "container", at_most=1.9, percentile=99),
    ],
    ids=["ratio at most", "ratio at least", "median", "percentile"],
)
def test_beyond_the_limit_is_a_failure(simulated, judge):
    with pytest.raises(AssertionError, match=r"^work: container.*expected at (most|least)"):
        judge(simulated.measure(), measured(simulated.QUIET, STEADY, times(2.0)))


def test_a_noisy_machine_gives_no_verdict_either_way(simulated):
    for factor in (1.0, 9.0):
        with pytest.raises(pytest.skip.Exception, match=r"not quiet: no verdict\nwork: .*; others used 85% of"):
            simulated.measure().ratio(measured(simulated.NOISY, STEADY, times(factor)), "container", at_most=1.5)


def test_an_open_interval_gives_no_verdict(simulated):
    wide = [0.5, 2.5] * 10
    with pytest.raises(pytest.skip.Exception, match="leave it open"):
        simulated.measure().value(measured(simulated.QUIET, STEADY, wide), "container", at_most=1.5)


def test_of_too_few_samples_no_percentile_is_known(simulated):
    with pytest.raises(pytest.skip.Exception, match=r"more tell.*\n.*p95: 1\.018 s \(1\.016 to inf\)"):
        simulated.measure().value(measured(simulated.QUIET, STEADY, STEADY), "container", at_most=5.0, percentile=95)


def test_a_percentile_whose_interval_reaches_over_the_limit_is_open(simulated):
    with pytest.raises(pytest.skip.Exception, match=r"leave it open.*\nwork: container, p95"):
        simulated.measure().value(measured(simulated.QUIET, MANY, MANY), "container", at_most=1.0381, percentile=95)


@pytest.mark.parametrize("value", [0.0, -3.0, float("inf"), float("nan")])
def test_a_sample_that_was_not_measured_is_never_kept(simulated, value):
    evidence, sides = {}, {"a": [Sample(0, 1.0), Sample(1, value)]}
    with pytest.raises(ValueError, match=r"x: the sample .* of a was not measured"):
        simulated.measure(evidence).keep(Measured("x", "s", sides, simulated.QUIET))
    assert evidence == {}


def test_a_verdict_without_a_limit_is_a_mistake(simulated):
    with pytest.raises(ValueError, match="needs a limit"):
        simulated.measure().ratio(measured(simulated.QUIET, STEADY, STEADY), "container")


# -- what it can tell, by seeded simulation ---------------------------------------------------


@pytest.mark.parametrize("seed", [1000, 2000])
def test_a_wrapper_that_sleeps_a_tenth_is_found_in_turns(simulated, seed):
    judged = [simulated.turns(seed + number, 1.10).compare("wrapped").judgement for number in range(RUNS)]
    assert judged.count(Judgement.WORSE) >= 95


@pytest.mark.parametrize("seed", [3000, 4000, 5000])
def test_the_same_engine_twice_is_not_blamed_in_turns(simulated, seed):
    judged = [simulated.turns(seed + number, 1.0).compare("wrapped").judgement for number in range(RUNS)]
    assert judged.count(Judgement.WORSE) <= 2

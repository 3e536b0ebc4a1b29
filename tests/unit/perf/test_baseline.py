"""Baselines: what has become worse is found, and what has not is not blamed."""

import json

import numpy
import pytest

from seatrial import stats
from seatrial.errors import SeatrialError
from seatrial.perf import baseline, measure
from seatrial.perf.figures import Kept
from seatrial.perf.measure import Measured, Sample
from seatrial.report.figures import Figure
from seatrial.stats import Judgement

RUNS = 100
HOST = {"cpu": "x", "cpus": 2, "arch": "x86_64", "kernel": "6.18", "memory": 1}


def kept(measured, name="start"):
    return Kept("suites/perf/test_x.py::test_y", "docker", {**measured.as_json(), "name": name})


@pytest.fixture
def alone(simulated):
    """Makes a figure without a reference."""

    def make(seed, factor=1.0, state=simulated.QUIET, count=40, name="start"):
        engine = simulated.Engine(seed, factor)
        samples = [Sample(number, engine.start(slow=True)) for number in range(count)]
        return kept(Measured("start", "s", {"engine": samples}, state), name)

    return make


def compared(then, now, tmp_path, host=HOST):
    path = baseline.place(tmp_path, "before")
    baseline.save(path, "run-1", HOST, [then])
    return baseline.compare(baseline.read(path), host, [now])


def test_a_slowdown_of_a_tenth_of_a_ratio_is_found_though_the_machine_is_slower_too(simulated, tmp_path):
    rows = [
        row for number in range(RUNS) for row in
        compared(kept(simulated.turns(number, 1.0, pairs=60)),
                 kept(simulated.turns(9000 + number, 1.10, machine=1.5, pairs=60)), tmp_path)
    ]  # fmt: skip
    assert {row.side for row in rows} == {"wrapped to reference"}
    assert sum(row.worse for row in rows) >= 95


def test_an_unchanged_ratio_is_not_blamed_on_a_slower_machine(simulated, tmp_path):
    rows = [
        row for number in range(RUNS) for row in
        compared(kept(simulated.turns(number, 1.0)), kept(simulated.turns(7000 + number, 1.0, machine=1.5)), tmp_path)
    ]  # fmt: skip
    assert len(rows) == RUNS
    assert sum(row.worse for row in rows) <= 2


@pytest.mark.parametrize(("factor", "least", "most"), [(1.25, 95, 100), (1.0, 0, 2)])
def test_a_figure_without_a_reference_is_compared_on_the_same_machine(alone, tmp_path, factor, least, most):
    rows = [row for number in range(RUNS) for row in compared(
        alone(number, count=60), alone(5000 + number, factor, count=60), tmp_path)]  # fmt: skip
    assert len(rows) == RUNS
    assert least <= sum(row.worse for row in rows) <= most


def test_on_another_machine_only_ratios_are_compared(alone, simulated, tmp_path):
    other = {**HOST, "cpu": "y"}
    (row,) = compared(alone(1), alone(2, 3.0), tmp_path, other)
    assert (row.found, row.why) == (None, "measured on another machine, and no ratio")
    (row,) = compared(kept(simulated.turns(1, 1.0)), kept(simulated.turns(2, 3.0)), tmp_path, other)
    assert row.worse


@pytest.mark.parametrize(("then", "now", "why"), [("NOISY", "QUIET", "then"), ("QUIET", "NOISY", "now")])
def test_a_noisy_machine_gives_no_verdict(alone, simulated, tmp_path, then, now, why):
    path = baseline.place(tmp_path, "before")
    baseline.save(path, "run-1", HOST, [alone(1)])
    value = json.loads(path.read_text())
    value["figures"][0]["state"]["noise"] = getattr(simulated, then).noise
    path.write_text(json.dumps(value))
    (row,) = baseline.compare(baseline.read(path), HOST, [alone(2, 3.0, getattr(simulated, now))])
    assert row.found.judgement is Judgement.WORSE
    assert not row.worse
    assert row.why == f"the machine was noisy {why}"


def test_what_cannot_be_compared_is_told(alone, simulated, tmp_path):
    few = kept(Measured("start", "s", {"engine": [Sample(0, 1.0)] * 3}, simulated.QUIET))
    (row,) = compared(few, alone(1), tmp_path)
    assert row.why == "3 and 40 samples are too few to be found worse"
    four = kept(Measured("start", "s", {"engine": [Sample(0, 1.0 + n) for n in range(4)]}, simulated.QUIET))
    (row,) = compared(four, four, tmp_path)
    assert row.why == "4 and 4 samples are too few to be found worse"
    rows = compared(kept(simulated.turns(1, 1.0), "other"), alone(1), tmp_path)
    assert [(row.figure, row.why) for row in rows] == [
        ("start", "the baseline has no such figure"), ("other", "not measured in this run"),
    ]  # fmt: skip
    odd = kept(Measured("start", "s", {"engine": [Sample(0, value) for value in (-1.0, *range(1, 40))]},
                        simulated.QUIET))  # fmt: skip
    rows = baseline.compare(of([alone(1), alone(1, name="b")], tmp_path), HOST, [odd, alone(2, 3.0, name="b")])
    assert (rows[0].why, rows[1].worse) == ("a sample is not positive: it was not measured", True)


def of(figures, tmp_path):
    path = baseline.place(tmp_path, "before")
    baseline.save(path, "run-1", HOST, figures)
    return baseline.read(path)


def test_one_change_among_many_figures_needs_more_evidence(alone, tmp_path):
    """With five samples a side a change of one figure is open among ninety; a change of all is none of chance."""
    names = [f"figure {number}" for number in range(90)]
    then = of([alone(number, count=5, name=name) for number, name in enumerate(names)], tmp_path)

    def rows(factors):
        return baseline.compare(then, HOST, [alone(500 + number, factor, count=5, name=name) for number, (name, factor)
                                             in enumerate(zip(names, factors, strict=True))])  # fmt: skip

    (first, *_) = rows([10.0] + [1.0] * 89)
    assert not first.worse
    assert first.why == "5 and 5 samples are too few to be found worse alone among 90 figures"
    all_ = rows([10.0] * 90)
    assert len(all_) == 90
    assert all(row.worse for row in all_)


# what the suite takes: pairs of starts, of commands, of disks and networks
SIZES = [measure.STARTS] * 24 + [20] * 16 + [8] * 50


def ratios(source, count, factor=1.0):
    """Ratios of two things done in turns, each as skewed and with outliers as starts are."""
    def times():
        return 0.3 + source.lognormal(numpy.log(0.02), 0.9, count) + (source.random(count) < 0.03) * 0.4

    return list(factor * times() / times())


def test_a_slowdown_of_a_tenth_in_one_start_is_found_among_all_figures():
    source, found = numpy.random.default_rng(3), 0
    for _ in range(RUNS):
        then, now = ratios(source, measure.STARTS), ratios(source, measure.STARTS, 1.1)
        family = [stats.worsening(then, now), *[0.5] * (len(SIZES) - 1)]
        alpha = min(stats.ALPHA, stats.discoveries(family, baseline._FALSE))
        found += stats.compare(then, now, alpha=alpha).worse
    assert found >= 95


def test_an_unchanged_engine_is_blamed_in_at_most_two_of_a_hundred_runs():
    source, blamed = numpy.random.default_rng(4), 0
    for _ in range(RUNS):
        pairs = [(ratios(source, size), ratios(source, size)) for size in SIZES]
        family = [stats.worsening(*pair) for pair in pairs]
        alpha = min(stats.ALPHA, stats.discoveries(family, baseline._FALSE))
        blamed += any(p <= alpha and stats.compare(*pair, alpha=alpha).worse
                      for p, pair in zip(family, pairs, strict=True))  # fmt: skip
    assert blamed <= 2


def test_what_a_noisy_machine_has_measured_is_not_kept(alone, simulated, tmp_path):
    path = baseline.place(tmp_path, "x")
    told = baseline.save(path, "r", HOST, [alone(1), alone(1, name="loud", state=simulated.NOISY)])
    assert [one.name for one in baseline.read(path).figures.values()] == ["start"]
    assert told.caption.startswith("1 of 2 figures.")
    assert told.table.rows[0][:2] == ["loud", "docker"]
    with pytest.raises(SeatrialError, match="noisy all the time") as caught:
        baseline.save(path, "r", HOST, [alone(1, state=simulated.NOISY)])
    assert caught.value.code == "E812"


def test_the_table_has_a_row_for_each_figure(alone, tmp_path):
    rows = compared(alone(1), alone(2, 3.0), tmp_path)
    made = baseline.figure(baseline.read(baseline.place(tmp_path, "before")), rows)
    assert isinstance(made, Figure)
    assert made.table.rows[0][0] == "start"
    assert "worse" in made.table.rows[0]


def test_a_baseline_that_is_not_there_names_those_that_are(alone, tmp_path):
    baseline.save(baseline.place(tmp_path, "monday"), "r", HOST, [alone(1)])
    with pytest.raises(SeatrialError, match="cannot read the baseline tuesday") as caught:
        baseline.read(baseline.place(tmp_path, "tuesday"))
    assert "there are: monday" in caught.value.hint


@pytest.mark.parametrize(
    "damage",
    [lambda v: v.pop("figures"), lambda v: v["figures"][0].pop("sides"), lambda v: v["figures"].clear()],
    ids=["no figures", "no sides", "nothing measured"],
)
def test_a_broken_baseline_is_refused(alone, tmp_path, damage):
    path = baseline.place(tmp_path, "x")
    baseline.save(path, "r", HOST, [alone(1)])
    value = json.loads(path.read_text())
    damage(value)
    path.write_text(json.dumps(value))
    with pytest.raises(SeatrialError) as caught:
        baseline.read(path)
    assert caught.value.code == "E810"


@pytest.mark.parametrize("name", ["", "../x", "a b", ".."])
def test_a_name_is_no_path(tmp_path, name):
    with pytest.raises(SeatrialError, match="is no name for a baseline"):
        baseline.place(tmp_path, name)


def test_nothing_is_no_baseline(tmp_path):
    with pytest.raises(SeatrialError, match="nothing to save"):
        baseline.save(baseline.place(tmp_path, "x"), "r", HOST, [])

"""Baselines: what has become worse is found, and what has not is not blamed."""

import json

import pytest

from seatrial.errors import SeatrialError
from seatrial.perf import baseline
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

    def make(seed, factor=1.0, state=simulated.QUIET, count=40):
        engine = simulated.Engine(seed, factor)
        samples = [Sample(number, engine.start(slow=True)) for number in range(count)]
        return kept(Measured("start", "s", {"engine": samples}, state))

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
    (row,) = compared(
        alone(1, state=getattr(simulated, then)), alone(2, 3.0, getattr(simulated, now)), tmp_path
    )
    assert row.found.judgement is Judgement.WORSE
    assert not row.worse
    assert row.why == f"the machine was noisy {why}"


def test_what_cannot_be_compared_is_told(alone, simulated, tmp_path):
    few = kept(Measured("start", "s", {"engine": [Sample(0, 1.0)] * 3}, simulated.QUIET))
    (row,) = compared(few, alone(1), tmp_path)
    assert row.why == "fewer than four samples"
    (row,) = compared(kept(simulated.turns(1, 1.0), "other"), alone(1), tmp_path)
    assert row.why == "the baseline has no such figure"


def test_more_figures_need_more_evidence(alone, tmp_path):
    """A change that one figure alone would show is open among a thousand."""
    slight = [alone(40, count=8), alone(41, 3.0, count=8)]
    assert compared(*slight, tmp_path)[0].worse
    path = baseline.place(tmp_path, "many")
    names = [f"figure {number}" for number in range(1000)]
    baseline.save(path, "run-1", HOST, [Kept(slight[0].test, "docker", {**slight[0].value, "name": n}) for n in names])
    rows = baseline.compare(
        baseline.read(path), HOST, [Kept(slight[1].test, "docker", {**slight[1].value, "name": n}) for n in names]
    )
    assert len(rows) == 1000
    assert not any(row.worse for row in rows)


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

"""What the report gets of measurements: tables, plots, and all samples."""

import csv
import json

import pytest

from seatrial.perf import figures
from seatrial.perf.measure import EVIDENCE, Measured, Sample
from seatrial.report import figures as listed
from seatrial.results import TestResult
from seatrial.verdict import Verdict


@pytest.fixture
def results(simulated):
    """Two tests on a target: sides in turns on a quiet machine, and steps of concurrency on a noisy one."""
    evidence = {}
    made = simulated.Engine(3)
    simulated.measure(evidence).turns(
        "start", {"none": lambda: made.start(), "bridge": lambda: 1.3 * made.start()}, pairs=20
    )
    levels = {str(level): [Sample(at, level * made.start()) for at in range(8)] for level in (1, 2, 4)}
    other = {}
    simulated.measure(other, simulated.NOISY).keep(
        Measured("at once", "s", levels, simulated.NOISY, paired=False, levels=True)
    )
    return [
        TestResult("suites/perf/test_a.py::test_a", "docker@sid", Verdict.PASS, "start", 1.0, evidence=evidence),
        TestResult("suites/perf/test_a.py::test_b", "docker@sid", Verdict.SKIP, "start", 1.0, evidence=other),
        TestResult("suites/perf/test_a.py::test_c", "docker@sid", Verdict.PASS, "start", 1.0),
    ]


def test_every_sample_is_in_the_files(results, tmp_path):
    figures.write(tmp_path, figures.kept(results))
    rows = list(csv.DictReader((tmp_path / "samples.csv").read_text().splitlines()))
    assert len(rows) == 2 * 20 + 3 * 8
    entries = json.loads((tmp_path / "samples.json").read_text())["measured"]
    assert [entry["name"] for entry in entries] == ["start", "at once"]
    assert float(rows[0]["value"]) == entries[0]["sides"]["none"][0][1] == results[0].evidence[EVIDENCE][0][
        "sides"]["none"][0][1]  # fmt: skip


def test_the_tables_have_intervals_and_the_machine(results, tmp_path):
    figures.write(tmp_path, figures.kept(results))
    found = {figure.title: figure for figure in listed.read(tmp_path)}
    (ratio, *levels) = [dict(zip(found["Ratios"].table.columns, row, strict=True)) for row in
                        found["Ratios"].table.rows]  # fmt: skip
    assert (ratio["side"], ratio["to"], ratio["judged"], ratio["quiet"]) == ("bridge", "none", "worse", "yes")
    assert 1.2 < ratio["low"] < ratio["ratio"] < ratio["high"] < 1.4
    assert [row["quiet"] for row in levels] == ["no", "no"]
    assert len(found["Figures"].table.rows) == 5
    machine = [dict(zip(found["The machine meanwhile"].table.columns, row, strict=True)) for row in
               found["The machine meanwhile"].table.rows]  # fmt: skip
    assert [row["observer"] for row in machine] == ["1.0%", "1.0%"]
    assert machine[0]["noise"] == ""
    assert "others used 85%" in machine[1]["noise"]


def test_targets_of_a_run_are_held_against_each_other(simulated, tmp_path):
    def kept(target, factor, state=simulated.QUIET):
        engine = simulated.Engine(7)
        sides = {"run": [Sample(at, factor * engine.start()) for at in range(40)]}
        return figures.Kept("test_a", target, Measured("start", "s", sides, state, paired=False).as_json())

    def table(*measurements):
        figures.write(tmp_path, measurements)
        return {one.title: one for one in listed.read(tmp_path)}["Between targets"].table

    (row,) = [dict(zip(seen.columns, row, strict=True)) for seen in [table(kept("docker", 1.0), kept("podman", 1.5))]
              for row in seen.rows]  # fmt: skip
    assert (row["target"], row["to"], row["side"], row["judged"]) == ("podman", "docker", "run", "worse")
    assert row["ratio"] == pytest.approx(1.5, rel=0.01)
    (row,) = table(kept("docker", 1.0), kept("podman", 1.5, simulated.NOISY)).rows
    assert row[-1] == "no verdict"
    assert figures._engines([kept("docker", 1.0)]) == []


def test_sides_that_are_different_things_have_no_ratio(simulated):
    sides = {step: [Sample(at, 1.0 + at) for at in range(9)] for step in ("create", "remove")}
    one = Measured("steps of a life", "s", sides, simulated.QUIET, paired=False)
    assert list(figures.Kept("t", "docker", one.as_json()).comparisons()) == []
    turns = Measured("start", "s", sides, simulated.QUIET)
    assert [side for side, _ in figures.Kept("t", "docker", turns.as_json()).comparisons()] == ["remove"]


def test_each_measurement_is_drawn(results, tmp_path):
    figures.write(tmp_path, figures.kept(results))
    images = [figure.image for figure in listed.read(tmp_path) if figure.image]
    assert len(images) == 2
    for image in images:
        assert (tmp_path / image).read_bytes().startswith(b"\x89PNG")


def test_without_measurements_nothing_is_written(results, tmp_path):
    figures.write(tmp_path, figures.kept(results[2:]))
    assert list(tmp_path.iterdir()) == []


def test_recoveries_are_a_table_the_longest_first():
    def result(name, **evidence):
        return TestResult(f"suites/reliability/test_a.py::{name}", "docker", Verdict.PASS, "daemon", 1.0,
                          evidence=evidence)  # fmt: skip

    made = figures.recoveries([result("a", recovery=[1.5]), result("b"), result("c", recovery=[0.5, 4.0])])
    assert made.table.rows == [["c", "docker", 0.5, 4.0, 2], ["a", "docker", 1.5, 1.5, 1]]
    assert figures.recoveries([result("b")]) is None


def test_the_plugin_keeps_what_holds_evidence_of_either_kind():
    from seatrial.perf import measure, plugin

    assert {measure.EVIDENCE, figures.RECOVERY} == plugin._MEASURED

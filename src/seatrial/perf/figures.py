"""From the measurements of a run to its report: tables with intervals, plots, and all samples as CSV and JSON."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seatrial import stats
from seatrial.errors import not_installed
from seatrial.names import slug, test_key
from seatrial.perf.measure import EVIDENCE
from seatrial.report import drawing, figures
from seatrial.report.figures import Figure, Table
from seatrial.results import TestResult

RECOVERY = "recovery"  # the place of recoveries in a result's evidence: seconds
CSV, JSON = "samples.csv", "samples.json"
_SHARES = (50, 90, 99)


@dataclass(frozen=True)
class Kept:
    """One measurement of a test on a target, as its result's evidence holds it."""

    test: str
    target: str
    value: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What was measured."""
        return str(self.value["name"])

    @property
    def key(self) -> str:
        """What tells it from others of a target: the test and what was measured."""
        return f"{self.test} {self.name}"

    @property
    def sides(self) -> dict[str, list[float]]:
        """The samples by side, the reference first."""
        return {side: [value for _, value in samples] for side, samples in self.value["sides"].items()}

    @property
    def noise(self) -> list[str]:
        """Why the machine was too noisy for a verdict."""
        return list(self.value["state"]["noise"])

    def comparisons(self) -> Iterator[tuple[str, stats.Comparison]]:
        """Yield each side but the reference with how it compares, as far as it can be and means something.

        Sides that are neither taken in turns nor steps of one thing, such as the steps of a life, have no reference.
        """
        if not self.value["paired"] and not self.value["levels"]:
            return
        (_, first), *others = self.sides.items()
        for side, samples in others:
            with suppress(ValueError):
                yield side, stats.compare(first, samples, paired=self.value["paired"],
                                          more_is_better=self.value["more_is_better"])  # fmt: skip


def kept(results: Iterable[TestResult]) -> list[Kept]:
    """Return the measurements of a run, whatever their tests' verdicts."""
    return [Kept(result.test, result.target, value) for result in results
            for value in result.evidence.get(EVIDENCE, ())]  # fmt: skip


def write(directory: Path, measurements: Sequence[Kept]) -> None:
    """Write tables, plots and data of measurements into a run's directory and list them for its report."""
    if not measurements:
        return
    _samples(directory, measurements)
    made = [
        Figure("Ratios", "Each side against its reference, the first; the interval is a 95% bootstrap.",
               table=_ratios(measurements)),
        *_engines(measurements),
        Figure("Figures", "Medians with their 95% intervals; the spread is the interquartile range over the median.",
               table=_values(measurements), files=[CSV, JSON]),
        Figure("The machine meanwhile", "A figure from a noisy machine is no verdict. The observer is the harness's "
               "share of the CPU time that was used.", table=_machine(measurements)),
    ]  # fmt: skip
    try:
        made += _drawn(directory, measurements)
    except ImportError as error:
        hint = "pip install 'seatrial[figures]', or make setup"
        made.append(Figure("Plots", str(not_installed("a plot", "matplotlib", hint, str(error)))))
    figures.add(directory, made)


def recoveries(results: Iterable[TestResult]) -> Figure | None:
    """Return the table of how long engines needed until they answered again after a fault; None without any."""
    rows = [
        [result.test.rpartition("::")[2], result.target, round(min(seconds), 2), round(max(seconds), 2), len(seconds)]
        for result in results if (seconds := result.evidence.get(RECOVERY))
    ]  # fmt: skip
    if not rows:
        return None
    columns = ["trial", "target", "least s", "most s", "times"]
    return Figure("Time to recover", "From the order to start, or from the fault, until the engine answered.",
                  table=Table(columns, sorted(rows, key=lambda row: -row[3])))  # fmt: skip


def _samples(directory: Path, measurements: Sequence[Kept]) -> None:
    with (directory / CSV).open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["test", "target", "figure", "side", "unit", "seconds", "value"])
        rows.writerows(
            [one.test, one.target, one.name, side, one.value["unit"], at, value]
            for one in measurements for side, samples in one.value["sides"].items() for at, value in samples
        )
    entries = [{"test": one.test, "target": one.target, **one.value} for one in measurements]
    (directory / JSON).write_text(json.dumps({"measured": entries}, indent=1) + "\n", "utf-8")


def _ratios(measurements: Sequence[Kept]) -> Table:
    columns = ["figure", "target", "side", "to", "ratio", "low", "high", "p", "judged", "samples", "quiet"]
    rows = [
        [one.name, one.target, side, next(iter(one.sides)), round(found.ratio, 3), round(found.interval.low, 3),
         round(found.interval.high, 3), float(f"{found.p:.2g}"), str(found.judgement), found.counts[1], _quiet(one)]
        for one in measurements for side, found in one.comparisons()
    ]  # fmt: skip
    return Table(columns, rows)


def _engines(measurements: Sequence[Kept]) -> list[Figure]:
    """Hold each target of a run against the first that has the same figure; nothing where there is but one."""
    by_key: dict[str, list[Kept]] = {}
    for one in measurements:
        by_key.setdefault(one.key, []).append(one)
    rows = []
    for first, *others in by_key.values():
        for other in others:
            for side in first.sides.keys() & other.sides.keys():
                with suppress(ValueError):
                    found = stats.compare(first.sides[side], other.sides[side],
                                          more_is_better=first.value["more_is_better"])  # fmt: skip
                    words = "no verdict" if first.noise or other.noise else str(found.judgement)
                    rows.append([first.name, side, other.target, first.target, round(found.ratio, 3),
                                 round(found.interval.low, 3), round(found.interval.high, 3), words])  # fmt: skip
    if not rows:
        return []
    columns = ["figure", "side", "target", "to", "ratio", "low", "high", "judged"]
    caption = "One target after the other, not in turns: what happened on the machine in between is part of the ratio."
    return [Figure("Between targets", caption, table=Table(columns, sorted(rows)))]


def _values(measurements: Sequence[Kept]) -> Table:
    columns = ["figure", "target", "side", "unit", "samples", "median", "low", "high", "p95", "p99", "spread"]
    rows = []
    for one in measurements:
        for side, samples in one.sides.items():
            seen = stats.summary(samples)
            figures_ = (seen.median, seen.interval.low, seen.interval.high, seen.p95, seen.p99, seen.spread)
            rows.append([one.name, one.target, side, one.value["unit"], seen.count,
                         *(float(f"{value:.4g}") for value in figures_)])  # fmt: skip
    return Table(columns, rows)


def _machine(measurements: Sequence[Kept]) -> Table:
    columns = ["figure", "target", "load", "foreign CPU", "steal", "stretch", "drift", "MHz", "free memory", "observer",
               "seconds", "noise"]  # fmt: skip
    rows = []
    for one in measurements:
        state = one.value["state"]
        low, high = state["frequency"]
        rows.append([
            one.name, one.target, round(state["load"], 2), f"{state['foreign']:.0%}", f"{state['steal']:.1%}",
            state["stretch"], state["drift"], f"{low} to {high}" if high else "not told", f"{state['available']:.0%}",
            f"{state['observer']:.1%}", round(state["seconds"], 1), "; ".join(state["noise"]),
        ])  # fmt: skip
    return Table(columns, rows)


def _quiet(one: Kept) -> str:
    return "no" if one.noise else "yes"


def _drawn(directory: Path, measurements: Sequence[Kept]) -> list[Figure]:
    (directory / "plots").mkdir(exist_ok=True)
    made = []
    for one in measurements:
        path = f"plots/{slug(one.name, 50)}-{test_key(f'{one.key} {one.target}')}.png"
        (_by_level if one.value["levels"] else _side_by_side)(directory / path, one)
        noisy = f"The machine was not quiet: {'; '.join(one.noise)}." if one.noise else ""
        made.append(Figure(f"{one.name} on {one.target}", noisy, image=path,
                           alt=f"samples of {', '.join(one.sides)}: distribution and time line"))  # fmt: skip
    return made


def _side_by_side(path: Path, one: Kept) -> None:
    """Draw the distribution of each side, and the samples at their times."""
    picture, (left, right) = drawing.axes(one.value["unit"], panels=2)
    left.boxplot(list(one.sides.values()), whis=(5, 95), showfliers=True)
    left.set_xticks(range(1, len(one.sides) + 1), list(one.sides), rotation=20, fontsize="small")
    left.set_xlabel("")
    for side, samples in one.value["sides"].items():
        right.plot([at for at, _ in samples], [value for _, value in samples], ".-", markersize=4, label=side)
    drawing.save(picture, right, path)


def _by_level(path: Path, one: Kept) -> None:
    """Draw percentiles by step, and the samples at their times."""
    picture, (left, right) = drawing.axes(one.value["unit"], panels=2)
    for share in _SHARES:
        values = [stats.percentile(samples, share) for samples in one.sides.values()]
        left.plot(range(len(values)), values, "o-", markersize=4, label=f"p{share}")
    left.set_xticks(range(len(one.sides)), list(one.sides))
    left.set_xlabel("at once")
    left.legend(fontsize="small")
    for side, samples in one.value["sides"].items():
        right.plot([at for at, _ in samples], [value for _, value in samples], ".", markersize=4, label=side)
    drawing.save(picture, right, path)

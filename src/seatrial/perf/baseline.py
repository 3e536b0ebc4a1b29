"""Baselines: the measurements of a run under a name, and what has become worse since.

A figure that has a reference is compared by its ratios, pair by pair, which do not depend on how fast the machine
is; one without is compared only on a machine like the baseline's. Worse is what the rank test, the interval and the
threshold all say, on a machine that was quiet both times. The level of the rank test is that of Benjamini and Hochberg
over all figures of a run: an unchanged engine is not blamed for their number, and one that has become slower shows in
many of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema

from seatrial import __version__, stats
from seatrial.errors import SeatrialError
from seatrial.names import slug
from seatrial.perf.figures import Kept
from seatrial.report.figures import Figure, Table
from seatrial.report.files import save as save_file
from seatrial.stats import Comparison

FOLDER = "baseline"
_LIKE = ("cpu", "cpus", "arch", "kernel")  # of the facts of a machine
_FALSE = 0.02  # of what is found worse, at most, is not; with nothing changed, the chance that anything is found
NOT_NOW = "not measured in this run"


def place(results: Path, name: str) -> Path:
    """Return the file of a baseline below the directory of runs; raises `SeatrialError` E811 on an unusable name."""
    if not name or slug(name) != name:
        raise SeatrialError("E811", f"{name!r} is no name for a baseline", "", "letters, digits, dots and dashes")
    return results / FOLDER / f"{name}.json"


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a baseline."""
    text = resources.files("seatrial.schemas").joinpath("baseline.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def save(path: Path, run: str, host: Mapping[str, Any], measurements: Sequence[Kept]) -> Figure:
    """Write measurements of a quiet machine as a baseline; return what was kept and what was not, for the report.

    Raises `SeatrialError` E812 when there are none, E406 when it cannot.
    """
    quiet = [one for one in measurements if not one.noise]
    if not quiet:
        cause = "the machine was noisy all the time" if measurements else "the run has measured nothing"
        raise SeatrialError("E812", f"there is nothing to save as {path.stem}", cause)
    path.parent.mkdir(parents=True, exist_ok=True)
    value = {
        "run": run, "harness": __version__, "machine": machine(host),
        "figures": [{"test": one.test, "target": one.target, **one.value} for one in quiet],
    }  # fmt: skip
    save_file(path, json.dumps(value, indent=1) + "\n")
    left = [[one.name, one.target, "; ".join(one.noise)] for one in measurements if one.noise]
    return Figure(f"Kept as the baseline {path.stem}",
                  f"{len(quiet)} of {len(measurements)} figures. Left out is what a noisy machine has measured.",
                  table=Table(["left out", "target", "noise"], left) if left else None)  # fmt: skip


def machine(host: Mapping[str, Any]) -> dict[str, Any]:
    """Return what makes a machine like another."""
    return {name: host.get(name, "") for name in _LIKE}


@dataclass(frozen=True)
class Baseline:
    """A baseline as read back; its figures by target and key."""

    name: str
    run: str
    machine: Mapping[str, Any]
    figures: Mapping[tuple[str, str], Kept]


def read(path: Path) -> Baseline:
    """Read a baseline; raises `SeatrialError` E810 when there is none or it is broken."""
    try:
        value = json.loads(path.read_text("utf-8"))
        jsonschema.Draft202012Validator(schema()).validate(value)
    except (OSError, ValueError, jsonschema.ValidationError) as error:
        words = f"{error.json_path}: {error.message}" if isinstance(error, jsonschema.ValidationError) else str(error)
        known = ", ".join(sorted(other.stem for other in path.parent.glob("*.json"))) or "none"
        raise SeatrialError(
            "E810", f"cannot read the baseline {path.stem}", words[:300],
            f"there are: {known}; --save-baseline NAME makes one",
        ) from error  # fmt: skip
    entries = [Kept(entry["test"], entry["target"], entry) for entry in value["figures"]]
    return Baseline(path.stem, value["run"], value["machine"], {(one.target, one.key): one for one in entries})


@dataclass(frozen=True)
class Row:
    """One side of a figure then and now; `found` is None where nothing was compared, and `why` says why not.

    With both the figures are told, and give no verdict.
    """

    figure: str
    target: str
    side: str
    found: Comparison | None
    why: str = ""

    @property
    def worse(self) -> bool:
        """Whether it has become worse beyond doubt."""
        return self.compared and self.found is not None and self.found.worse

    @property
    def compared(self) -> bool:
        """Whether there is a verdict."""
        return self.found is not None and not self.why

    def __str__(self) -> str:
        return f"{self.figure}, {self.side}: {self.found}"


def compare(
    baseline: Baseline, host: Mapping[str, Any], measurements: Sequence[Kept], threshold: float = stats.THRESHOLD
) -> list[Row]:
    """Hold a run's measurements against a baseline, a row for each side of each figure, also of those of one only."""
    alike = machine(host) == dict(baseline.machine)
    pairs: list[tuple[Kept, Kept, str, list[float], list[float]]] = []
    rows: list[Row] = []
    for now in measurements:
        then = baseline.figures.get((now.target, now.key))
        if then is None:
            rows.append(Row(now.name, now.target, "", None, "the baseline has no such figure"))
            continue
        for side, (before, after) in _series(then, now).items():
            if min(len(before), len(after)) < 4 or stats.least_p(len(before), len(after)) > stats.ALPHA:
                rows.append(Row(now.name, now.target, side, None, _few(before, after)))
            elif min(*before, *after) <= 0:
                rows.append(Row(now.name, now.target, side, None, "a sample is not positive: it was not measured"))
            elif " to " not in side and not alike:
                rows.append(Row(now.name, now.target, side, None, "measured on another machine, and no ratio"))
            else:
                pairs.append((then, now, side, before, after))
    family = [stats.worsening(before, after, more_is_better=now.value["more_is_better"])
              for then, now, _, before, after in pairs if not then.noise and not now.noise]  # fmt: skip
    alpha = min(stats.ALPHA, stats.discoveries(family, _FALSE))
    for then, now, side, before, after in pairs:
        noisy = [words for words, one in (("then", then), ("now", now)) if one.noise]
        found = stats.compare(before, after, threshold=threshold, alpha=stats.ALPHA if noisy else alpha,
                              more_is_better=now.value["more_is_better"])  # fmt: skip
        why = f"the machine was noisy {' and '.join(noisy)}" if noisy else ""
        if not why and found.judgement is stats.Judgement.FEW:
            why = f"{_few(before, after)} alone among {len(family)} figures"
        rows.append(Row(now.name, now.target, side, found, why))
    seen = {(one.target, one.key) for one in measurements}
    rows += [Row(one.name, one.target, "", None, NOT_NOW) for key, one in baseline.figures.items() if key not in seen]
    return rows


def _few(before: Sequence[float], after: Sequence[float]) -> str:
    return f"{len(before)} and {len(after)} samples are too few to be found worse"


def _series(then: Kept, now: Kept) -> dict[str, tuple[list[float], list[float]]]:
    """Return what is compared: ratios to the reference where sides were taken in turns, else the samples."""
    (first, before), (_, after) = next(iter(then.sides.items())), next(iter(now.sides.items()))
    common = [side for side in now.sides if side in then.sides]
    if not now.value["paired"] or not then.value["paired"] or len(common) < 2 or first != next(iter(now.sides)):
        return {side: (then.sides[side], now.sides[side]) for side in common}
    return {
        f"{side} to {first}": (_ratios(then.sides[side], before), _ratios(now.sides[side], after))
        for side in common[1:]
    }  # fmt: skip


def _ratios(samples: Sequence[float], reference: Sequence[float]) -> list[float]:
    return [sample / base for sample, base in zip(samples, reference, strict=True)]


def figure(baseline: Baseline, rows: Sequence[Row]) -> Figure:
    """Return the table of a comparison for the report."""
    cells: list[list[Any]] = []
    for row in rows:
        if row.found is None:
            cells.append([row.figure, row.target, row.side, None, None, None, None, "not compared", row.why])
            continue
        found = row.found
        words = "no verdict" if row.why else str(found.judgement)
        cells.append([row.figure, row.target, row.side, round(found.ratio, 3), round(found.interval.low, 3),
                      round(found.interval.high, 3), float(f"{found.p:.2g}"), words, row.why])  # fmt: skip
    columns = ["figure", "target", "side", "now to then", "low", "high", "p", "judged", ""]
    caption = "Worse is what the rank test, the interval and the threshold all say."
    return Figure(f"Against the baseline {baseline.name}", f"{caption} The baseline is of the run {baseline.run}.",
                  table=Table(columns, cells))  # fmt: skip

"""What a run under load looks like: figures and tables for its report, and all samples as CSV."""

from __future__ import annotations

import csv
import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seatrial.errors import not_installed
from seatrial.report import drawing, figures
from seatrial.report.figures import Figure, Table
from seatrial.stress.history import History, Op
from seatrial.stress.monitor import OWN_CPU, OWN_MEMORY
from seatrial.stress.objectives import Tally

_DOTS = 4000  # a figure does not get clearer by more
_SHARES = (50, 75, 90, 95, 99, 99.9, 100)
_MONITORED: Mapping[str, str] = {
    "rss": "memory of the engine's processes, MB", "pss": "their share of the memory that they have with others, MB",
    "processes": "processes", "descriptors": "open descriptors",
    "threads": "threads", "cpu": "CPU time so far, s",
}  # fmt: skip
_KERNEL = ("mounts", "cgroups", "network namespaces", "interfaces", "firewall rules", "goroutines")


def write(directory: Path, tally: Tally, history: History) -> None:
    """Write plots, tables and CSV files of a run and list them for its report.

    Without matplotlib the tables and the data are there, and the figures say what is missing.
    """
    (directory / "plots").mkdir(exist_ok=True)
    _operations_csv(directory / "operations.csv", history)
    _samples_csv(directory / "samples.csv", tally)
    rows = [tally.row(kind) for kind in tally.kinds()]
    columns = ["operation", "done", "refused", "unanswered", "p50 s", "p90 s", "p95 s", "p99 s", "max s"]
    cells = [[row["kind"], row["done"], row["refused"], row["unanswered"],
              *(round(row[name], 4) if name in row else None for name in ("p50", "p90", "p95", "p99", "max"))]
             for row in rows]  # fmt: skip
    made = [Figure("Operations", "The latency of a story counts from the moment at which it was to begin, that of a "
                   "step from its own begin.",
                   table=Table(columns, cells), files=["operations.csv"])]  # fmt: skip
    try:
        made += _drawn(directory, tally)
    except ImportError as error:
        hint = "pip install 'seatrial[figures]', or make setup"
        made.append(Figure("Plots", str(not_installed("the module for plots", "matplotlib", hint, str(error)))))
    if tally.errors:
        table = Table(["error", "times"], [[words, count] for words, count in tally.errors.most_common(30)])
        made.append(Figure("Errors", "Names, ids and numbers are folded.", table=table))
    if tally.kernel:
        rows_ = [[round(at, 1), line] for at, line in tally.kernel[:50]]
        caption = f"{len(tally.kernel)} lines that tell of trouble, of the whole machine."
        made.append(Figure("What the kernel has logged", caption, table=Table(["seconds", "line"], rows_)))
    figures.add(directory, made)


def _drawn(directory: Path, tally: Tally) -> list[Figure]:
    made = []
    kinds = [kind for kind in tally.kinds() if tally.latencies.get(kind)]
    if kinds:
        _latencies(directory / "plots/latencies.png", tally, kinds)
        _percentiles(directory / "plots/percentiles.png", tally, kinds)
        _throughput(directory / "plots/throughput.png", tally, kinds)
        _timeline(directory / "plots/timeline.png", tally, kinds)
        made += [
            Figure("What happened when", "Operations, their rate, and what engine, monitor and harness used "
                   "meanwhile, on one axis of time.", image="plots/timeline.png",
                   alt="latency, rate, CPU and memory over the same time"),
            Figure("Latency over time", image="plots/latencies.png", alt="each operation's latency at its end"),
            Figure("Percentiles of latency", image="plots/percentiles.png", alt="latency by percentile and operation"),
            Figure("Operations a second", image="plots/throughput.png", alt="rate of each operation over time"),
        ]
    for word, label in _MONITORED.items():
        names = [name for name in sorted(tally.samples) if name.startswith(f"{word}:")]
        if names:
            scale = 1e-6 if word in ("rss", "pss") else 1.0
            drawn = {name.partition(":")[2]: tally.samples[name] for name in names}
            if word == "cpu" and OWN_CPU in tally.samples:
                drawn["the monitor itself"] = tally.samples[OWN_CPU]
            _series(directory / f"plots/{word}.png", label, drawn, scale)
            made.append(Figure(label[0].upper() + label[1:], image=f"plots/{word}.png", alt=f"{label} over time",
                               files=["samples.csv"]))  # fmt: skip
    if names := [name for name in _KERNEL if name in tally.samples]:
        _series(directory / "plots/kernel.png", "number", {name: tally.samples[name] for name in names})
        made.append(Figure("What the kernel keeps for the engine", image="plots/kernel.png",
                           alt="mounts, cgroups, namespaces and interfaces over time"))  # fmt: skip
    return made


def _latencies(path: Path, tally: Tally, kinds: Sequence[str]) -> None:
    picture, axes = drawing.axes("latency, s")
    for kind in kinds:
        step = max(1, len(tally.latencies[kind]) // _DOTS)
        axes.plot(tally.ended[kind][::step], tally.latencies[kind][::step], ".", markersize=3, alpha=0.6, label=kind)
    axes.set_yscale("log")
    drawing.save(picture, axes, path)


def _percentiles(path: Path, tally: Tally, kinds: Sequence[str]) -> None:
    from seatrial import stats

    picture, axes = drawing.axes("latency, s", "percentile")
    for kind in kinds:
        values = [stats.percentile(tally.latencies[kind], share) for share in _SHARES]
        axes.plot(range(len(_SHARES)), values, "o-", markersize=3, label=kind)
    axes.set_xticks(range(len(_SHARES)), [f"{share:g}" for share in _SHARES])
    axes.set_yscale("log")
    drawing.save(picture, axes, path)


def _timeline(path: Path, tally: Tally, kinds: Sequence[str]) -> None:
    """Draw operations and what was used meanwhile below each other, with one axis of time."""
    labels = ["latency, s", "operations a second", "CPUs in use", "memory, MB"]
    picture, (top, rate, cpu, memory) = drawing.stacked(labels)
    for kind in kinds:
        step = max(1, len(tally.latencies[kind]) // _DOTS)
        top.plot(tally.ended[kind][::step], tally.latencies[kind][::step], ".", markersize=3, alpha=0.6, label=kind)
    top.set_yscale("log")
    _rates(rate, tally, kinds)
    for words, names, axes, scale in (
        ("the engine", [name for name in tally.samples if name.startswith("cpu:")], cpu, 1.0),
        ("the monitor", [OWN_CPU], cpu, 1.0),
        ("the engine", [name for name in tally.samples if name.startswith("rss:")], memory, 1e-6),
        ("the harness", [OWN_MEMORY], memory, 1e-6),
    ):
        points = _sum(tally, names)
        if axes is cpu:  # what was used between two samples; a process that has ended took its share along
            points = [(later, max(0.0, much - before) / (later - at)) for (at, before), (later, much)
                      in itertools.pairwise(points) if later > at]  # fmt: skip
        if points:
            axes.plot([at for at, _ in points], [scale * value for _, value in points], label=words)
    drawing.save(picture, [top, rate, cpu, memory], path)


def _sum(tally: Tally, names: Sequence[str]) -> list[tuple[float, float]]:
    found: defaultdict[float, float] = defaultdict(float)
    for name in names:
        for at, value in tally.samples.get(name, ()):
            found[at] += value
    return sorted(found.items())


def _throughput(path: Path, tally: Tally, kinds: Sequence[str]) -> None:
    picture, axes = drawing.axes("operations a second")
    _rates(axes, tally, kinds)
    drawing.save(picture, axes, path)


def _rates(axes: Any, tally: Tally, kinds: Sequence[str]) -> None:
    width = max(1.0, tally.last / 60)
    for kind in kinds:
        counts = [0] * (int(tally.last / width) + 1)
        for ended in tally.ended[kind]:
            counts[int(ended / width)] += 1
        axes.step([width * number for number in range(len(counts))], [count / width for count in counts],
                  where="post", label=kind)  # fmt: skip


def _series(path: Path, label: str, found: Mapping[str, Sequence[tuple[float, float]]], scale: float = 1.0) -> None:
    picture, axes = drawing.axes(label)
    for name, points in found.items():
        axes.plot([at for at, _ in points], [scale * value for _, value in points], label=name)
    drawing.save(picture, axes, path)


def _operations_csv(path: Path, history: History) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow([*Op._fields[:7], "error"])
        rows.writerows([*op[:7], op.error] for op in history if op.kind != "sample")


def _samples_csv(path: Path, tally: Tally) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["seconds", "series", "value"])
        rows.writerows([at, name, value] for name, points in tally.samples.items() for at, value in points)

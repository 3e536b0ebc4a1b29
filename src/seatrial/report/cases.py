"""What cases of OCT did: their steps with exit codes, durations and output, peaks of cgroups, and where they ran.

Tests that are cases leave all of it in their evidence (`seatrial.oct.record`); whole streams are in the record that
it names. `cases.md` shows every case, as `index.html` does and each case's output in JUnit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from seatrial.report.wording import clean, flat, size, span
from seatrial.results import TestResult
from seatrial.verdict import Verdict

EVIDENCE = "oct"
_PEAKS = {"memory": ("memory", size), "pids": ("processes", lambda count: f"{count:g}"),
          "cpu_nanoseconds": ("CPU time", lambda count: span(count / 1e9))}  # fmt: skip


@dataclass(frozen=True)
class Step:
    """One step in words: what, where, how it ended, how long it took, what it printed last."""

    phase: str
    object: str
    name: str
    what: str
    ended: str
    duration: str
    problem: str
    output: str


@dataclass(frozen=True)
class CaseRun:
    """One case on one target in words."""

    test: str
    target: str
    verdict: Verdict
    ending: str
    duration: str
    steps: list[Step]
    spent: list[tuple[str, str]]  # phase, time
    peaks: list[tuple[str, str]]  # container, what its cgroup has counted at most
    metrics: list[tuple[str, str]]
    hosts: list[tuple[str, str]]  # object, host
    environment: list[tuple[str, str]]
    record: str  # path of the whole record below the run's directory


def case_runs(results: Iterable[TestResult]) -> list[CaseRun]:
    """Return every case of a run; empty where tests are no cases."""
    return [case_run(result) for result in results if "steps" in result.evidence.get(EVIDENCE, {})]


def case_run(result: TestResult) -> CaseRun:
    """Return one case in words."""
    found: Mapping[str, Any] = result.evidence[EVIDENCE]
    return CaseRun(
        result.test.partition("::")[2] or result.test, result.target, result.verdict, found["ending"],
        span(result.duration), [_step(step) for step in found["steps"]],
        [(phase, span(seconds)) for phase, seconds in found.get("spent", {}).items()],
        [(name, peak(counted)) for name, counted in found.get("peaks", {}).items() if counted],
        [(name, f"{one['value']:g} {one['unit']}") for name, one in found.get("metrics", {}).items()],
        list(found.get("hosts", {}).items()), list(found.get("environment", {}).items()), found.get("record", ""),
    )  # fmt: skip


def _step(step: Mapping[str, Any]) -> Step:
    code = "no exit code" if step["code"] is None else f"exit code {step['code']}"
    words = ["timed out" if step["timed_out"] else code, *(["in the container"] if step["evidence"] else [])]
    return Step(
        step["phase"], step["object"], step["name"], step["what"], ", ".join(words), span(step["duration"]),
        step["problem"], clean(step["output"]).rstrip(),
    )  # fmt: skip


def peak(counted: Mapping[str, int]) -> str:
    """Word what a cgroup has counted: `memory 1.2 MiB, processes 3, CPU time 0.120 s`."""
    return ", ".join(f"{word} {shown(counted[name])}" for name, (word, shown) in _PEAKS.items() if name in counted)


def text(case: CaseRun) -> str:
    """Return a case as plain text."""
    lines = [f"{case.ending} after {case.duration}: {listed(case.spent)}"]
    for step in case.steps:
        lines.append(f"{step.phase} {step.name} on {step.object}: {step.ended}, {step.duration}")
        lines.append(f"  $ {flat(step.what, 300)}")
        lines += [f"  ! {step.problem}"] if step.problem else []
        lines += [f"  | {line}" for line in step.output.splitlines()]
    lines += [f"peak of {name}: {words}" for name, words in case.peaks]
    lines += [f"measured {name}: {words}" for name, words in case.metrics]
    lines += [f"host {name}: {where}" for name, where in case.hosts]
    lines += [f"environment: {listed(case.environment)}"] if case.environment else []
    lines += [f"record: {case.record}"] if case.record else []
    return "\n".join(lines)


def listed(pairs: Iterable[tuple[str, str]]) -> str:
    """Return pairs on one line."""
    return ", ".join(f"{name} {value}" for name, value in pairs)

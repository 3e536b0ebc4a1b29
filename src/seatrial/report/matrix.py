"""matrix.json: areas by targets and tests by targets, for programs (schema: schemas/matrix.json)."""

from __future__ import annotations

from typing import Any

from seatrial.report.conclusion import broken_off
from seatrial.report.view import View
from seatrial.results import merge_counts

FORMAT = 1


def matrix(view: View) -> dict[str, Any]:
    """Return the matrix as plain JSON; a target that has no result for a test is absent there."""
    run = view.run
    tests = {
        test: {"area": area.name, "verdicts": {target: one.verdict.value for target, one in found.items()}}
        for area in view.areas
        for test, found in area.tests.items()
    }
    return {
        "schema": FORMAT,
        "run": run.header.run,
        "started": run.header.started,
        "complete": not broken_off(run),
        "verdict": view.conclusion.verdict.value,
        "sentence": view.conclusion.sentence,
        "targets": [
            {
                "name": subject.info.name,
                "engine": subject.info.engine,
                "version": subject.info.version,
                "verdict": subject.conclusion.verdict.value,
                "counts": merge_counts(r for r in run.results if r.target == subject.info.name),
            }
            for subject in view.subjects
        ],
        "areas": {
            area.name: {
                target: {verdict.value: count for verdict, count in cell.counts.items() if count}
                for target, cell in area.cells.items()
            }
            for area in view.areas
        },
        "tests": dict(sorted(tests.items())),
    }

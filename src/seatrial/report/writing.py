"""From a run's directory to its reports."""

from __future__ import annotations

import json
from pathlib import Path

from seatrial.claims import Claim
from seatrial.errors import SeatrialError
from seatrial.history import Changes, Flaky, History
from seatrial.report import figures, html, junit, markdown
from seatrial.report.conclusion import broken_off, targets_of
from seatrial.report.figures import Figure
from seatrial.report.files import save
from seatrial.report.matrix import matrix
from seatrial.report.view import view
from seatrial.results import Run, read
from seatrial.verdict import Level


def write(directory: Path, history: Path | None = None) -> list[Path]:
    """Write the reports of the run in `directory` beside its results.jsonl and return their paths.

    `history` is the database that the run enters and is compared with, by default history.sqlite beside
    the run's directory. Trouble with the history or the claims never costs the reports: they are written,
    say what is missing, and then the `SeatrialError` is raised. Raises E301 for unreadable
    results, E313 for broken ones and E406 when a report cannot be written.
    """
    run = read(directory / "results.jsonl")
    problems: list[SeatrialError] = []
    claims: dict[str, Claim] | None = None
    try:
        claims = read_claims(directory / "claims.json")
    except SeatrialError as error:
        problems.append(error)
    changes: list[Changes] = []
    flaky: list[Flaky] = []
    trouble = ""
    try:
        changes, flaky = _past(run, History(history or directory.absolute().parent / "history.sqlite"))
    except SeatrialError as error:
        problems.append(error)
        trouble = str(error)
    drawn: list[Figure] = []
    try:
        drawn = figures.read(directory)
    except SeatrialError as error:
        problems.append(error)
    shown = view(run, claims, changes, flaky, trouble, drawn)
    paths = junit.write(run, directory, claims or {})
    paths += html.write(shown, directory)
    paths.append(save(directory / "report.md", markdown.render(shown)))
    if shown.cases:
        paths.append(save(directory / "cases.md", markdown.cases(shown.cases)))
    content = json.dumps(matrix(shown), indent=1, ensure_ascii=False)
    paths.append(save(directory / "matrix.json", content + "\n"))
    if problems:
        raise problems[0]
    return paths


def _past(run: Run, history: History) -> tuple[list[Changes], list[Flaky]]:
    if not broken_off(run):
        history.record(run)
    versions = {info.name: info.version for info in run.header.targets}
    targets = targets_of(run)
    changes = [history.changes(run, target) for target in targets]
    flaky = [found for target in targets for found in history.flaky(target, versions.get(target, ""))]
    tests = {(result.target, result.test) for result in run.results}
    return changes, [found for found in flaky if (found.target, found.test) in tests]


def read_claims(path: Path) -> dict[str, Claim] | None:
    """Read the claims that a run was started with; None when there is no such file.

    Raises `SeatrialError` E306 when the file is broken.
    """
    try:
        entries = json.loads(path.read_text("utf-8"))["claims"]
        return {
            entry["id"]: Claim(entry["id"], Level(entry["level"]), entry["claim"], entry["source"],
                               entry["untested"], entry["area"], entry.get("severity", ""))
            for entry in entries
        }  # fmt: skip
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SeatrialError(
            "E306", f"cannot read the claims {path}", f"{type(error).__name__}: {error}",
            "the reports of this run are written without the coverage of claims",
        ) from error  # fmt: skip

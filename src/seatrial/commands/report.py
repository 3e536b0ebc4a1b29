"""`seatrial report` and `seatrial compare`."""

from __future__ import annotations

import argparse
from pathlib import Path

from seatrial.commands import console, tell, verb
from seatrial.errors import Exit, SeatrialError

_REPORT = """\
examples:
  seatrial report reports/latest
  seatrial report reports/20260101-120000-3f2a --history reports/history.sqlite

exit codes: 0 written, 4 the run cannot be read
"""
_COMPARE = """\
A run is named by its directory. Two targets of one run: name the run twice and both targets.

examples:
  seatrial compare reports/20260101-120000-3f2a reports/latest
  seatrial compare reports/latest reports/latest --targets docker@bookworm podman@bookworm

exit codes: 0 nothing is worse, 1 something is worse in the second, 4 a run cannot be read
"""


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verbs."""
    write = verb(verbs, "report", run_report, "write the reports of a run again from its results", _REPORT)
    write.add_argument("directory", metavar="DIR", type=Path, help="the run's directory")
    write.add_argument("--history", metavar="FILE", type=Path, help="the history that the run is put into")
    compare = verb(verbs, "compare", run_compare, "say what differs between two runs", _COMPARE)
    compare.add_argument("left", metavar="A", type=Path, help="the run's directory")
    compare.add_argument("right", metavar="B", type=Path, help="the other run's directory")
    compare.add_argument("--targets", nargs=2, metavar=("TARGET", "OTHER"), help="compare these two targets")


def _directory(path: Path) -> Path:
    if not path.is_dir():
        raise SeatrialError(
            "E314", f"there is no run in {path}", "no such directory", "name a directory below reports/"
        )  # fmt: skip
    return path


def run_report(arguments: argparse.Namespace) -> int:
    """Write the reports and name them."""
    from seatrial.report import write

    for path in write(_directory(arguments.directory), arguments.history):
        tell(str(path))
    return Exit.OK


def run_compare(arguments: argparse.Namespace) -> int:
    """Print what differs."""
    from seatrial.report import compare

    targets = tuple(arguments.targets) if arguments.targets else None
    comparison = compare(_directory(arguments.left), _directory(arguments.right), targets)
    console().print(comparison.text())
    return Exit.FAILED if any(difference.worse for difference in comparison.differences) else Exit.OK

"""`seatrial report`, `seatrial report junit-merge` and `seatrial compare`."""

from __future__ import annotations

import argparse
from pathlib import Path

from seatrial.commands import console, nested, say, tell, verb
from seatrial.errors import Exit, SeatrialError

_REPORT = """\
examples:
  seatrial report reports/latest
  seatrial report reports/20260101-120000-3f2a --history reports/history.sqlite

`seatrial report junit-merge` joins JUnit files (a run called so is ./junit-merge).

exit codes: 0 written, 4 the run cannot be read
"""
_MERGE = """\
JUnit of workers, shards and engines becomes junit-1.xml, junit-2.xml, as Jenkins and GitLab read it: each
test once, with its worst outcome; one that was run again has not passed; no control characters; files below
25 MB.
A file that cannot be read, or holds no test, is an errored test.

examples:
  seatrial report junit-merge --out build/junit reports/latest/junit-*.xml
  seatrial report junit-merge --out build/junit --prefix docker-trixie shard-*/junit.xml

exit codes: 0 written, 5 there was no file to merge, 4 it cannot be done
"""
_COMPARE = """\
A run is named by its directory. Two targets of one run: name the run twice and both targets.

examples:
  seatrial compare reports/20260101-120000-3f2a reports/latest
  seatrial compare reports/latest reports/latest --targets docker@bookworm podman@bookworm

exit codes: 0 nothing is worse, 1 something is worse in the second, 4 a run cannot be read, 6 nothing is
worse in what the second ran, but it was cut off, or lacks tests that ran in the first
"""


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verbs."""
    write = verb(verbs, "report", run_report, "write the reports of a run again from its results", _REPORT)
    write.add_argument("directory", metavar="DIR", type=Path, help="the run's directory")
    write.add_argument("--history", metavar="FILE", type=Path, help="the history that the run is put into")
    merge = nested(write, "junit-merge", run_merge, "join JUnit files for Jenkins and GitLab", _MERGE)
    merge.add_argument("sources", metavar="FILE", nargs="*", type=Path, help="JUnit XML")
    merge.add_argument("--out", metavar="DIR", type=Path, required=True, help="where junit-1.xml ... go")
    merge.add_argument("--prefix", metavar="WORD", default="", help="before the names of suites and classes")
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
    if comparison.worse:
        return Exit.FAILED
    return Exit.GATE if comparison.partial else Exit.OK


def run_merge(arguments: argparse.Namespace) -> int:
    """Write the merged files, name them, and say what they hold."""
    from seatrial.report.merge import merge

    if not arguments.sources:
        say("no JUnit file to merge: nothing was tested")
        return Exit.NOTHING
    merged = merge(arguments.sources, arguments.out, arguments.prefix)
    for path in merged.files:
        tell(str(path))
    say(", ".join(f"{count} {word}" for word, count in merged.counts.items()))
    return Exit.OK

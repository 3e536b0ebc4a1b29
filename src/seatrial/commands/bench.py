"""`seatrial bench`."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path

from seatrial.commands import console, say, verb
from seatrial.errors import Exit

_MORE = """\
Each figure is taken in turns with a bare command, in the same run; the interval is a 95% bootstrap of
the median (of the gain: the least and the greatest of the rounds). A busy machine widens it.

examples:
  seatrial bench                                call, start and help, against docker@bookworm
  seatrial bench --gain suites/cli/test_help.py suites/cli/test_capabilities.py

exit codes: 0 within the limits, 1 beyond one
"""


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verb(verbs, "bench", run, "measure what the harness itself costs", _MORE)
    parser.add_argument("--engine", default="docker@bookworm", metavar="TARGET", help="a lab engine")
    parser.add_argument("--pairs", type=int, default=60, help="pairs of calls (default 60)")
    parser.add_argument("--gain", nargs="+", default=[], metavar="PATH",
                        help="tests that are run with -n 0 and -n 8 (takes minutes)")  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Measure, and print a table."""
    from rich.table import Table

    from seatrial import overhead, runs
    from seatrial.engines import registry as engines
    from seatrial.lab import images, labs
    from seatrial.names import BUSYBOX, new_run_id
    from seatrial.targets import parse

    target = parse(arguments.engine)
    name = new_run_id()
    with contextlib.ExitStack() as stack:
        stack.enter_context(runs.begun(name, Path(), [str(target)]))
        lab = labs.acquire(target, name, say)
        stack.callback(labs.release, lab.name, name)
        engine = engines.in_lab(target, lab)
        images.provide(engine)
        say("measuring calls")
        figures = [overhead.call_cost(engine, arguments.pairs)]
        say("measuring starts")
        figures += overhead.start_cost()
        if arguments.gain:
            say("measuring the gain of workers (minutes)")
            figures.append(overhead.parallel_gain(engine, BUSYBOX, arguments.gain))
    table = Table("what", "bare", "with the harness", "difference or share", "95% interval", "limit", "")
    for figure in figures:
        table.add_row(
            figure.what, figure.bare, figure.ours, f"{figure.value:.2f} {figure.unit}",
            f"{figure.low:.2f} to {figure.high:.2f}", figure.limit, "kept" if figure.kept else "BROKEN",
        )  # fmt: skip
    console().print(table)
    return Exit.OK if all(figure.kept for figure in figures) else Exit.FAILED

"""`seatrial bench`."""

from __future__ import annotations

import argparse
import contextlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.commands import console, say, verb
from seatrial.errors import Exit, SeatrialError

if TYPE_CHECKING:
    from seatrial.overhead import Figure

_MORE = """\
Each figure is taken in turns with a bare command, in the same run; the interval is a 95% bootstrap of
the median (of the gain: the least and the greatest of the rounds). A limit is kept, or broken, when the
whole interval says so and the machine was quiet; all else is open.

examples:
  seatrial bench                                calls, tables, starts, help and gain, against docker@bookworm
  seatrial bench --gain suites/cli/test_help.py suites/cli/test_ports.py
  seatrial bench --gain                         without the gain, which takes minutes
  seatrial bench --levels                       without the driver of loads, which takes minutes
  seatrial bench --gain --levels --power        whether a start that is a tenth slower is found (quiet machine)
  seatrial bench --suite                        and the durations of suites/cli and suites/api

exit codes: 0 no limit is broken (what is open is said), 1 beyond one
"""

# whole suites, and the minutes that each may take on two cores
_SUITES = {"suites/cli": 15.0, "suites/api": 8.0}
_SLICE = ["suites/cli/test_run_command.py", "suites/cli/test_capabilities.py"]


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verb(verbs, "bench", run, "measure what the harness itself costs", _MORE)
    parser.add_argument("--engine", default="docker@bookworm", metavar="TARGET", help="a lab engine")
    parser.add_argument("--pairs", type=int, default=60, help="pairs of calls (default 60)")
    parser.add_argument("--gain", nargs="*", default=_SLICE, metavar="PATH",
                        help=f"tests that are run with -n 0 and -n 8 (default: {' '.join(_SLICE)})")  # fmt: skip
    parser.add_argument("--levels", nargs="*", type=int, default=[1, 2, 4, 8, 16, 32], metavar="N",
                        help="containers at once by the driver of loads, a bare loop, and a process each")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="rounds of those (default 5)")
    parser.add_argument("--power", action="store_true",
                        help="also try what comparisons find: a runtime that is a tenth slower, and one that is not")
    parser.add_argument("--suite", action="store_true", help=f"also time all of {' and '.join(_SUITES)} with -n 8")


def run(arguments: argparse.Namespace) -> int:
    """Measure, and print a table."""
    from rich.table import Table

    from seatrial import overhead, runs
    from seatrial.controller import sweep
    from seatrial.engines import drivers
    from seatrial.lab import images, labs
    from seatrial.names import BUSYBOX, PROBE, new_run_id
    from seatrial.targets import parse

    target = parse(arguments.engine)
    for path in [*arguments.gain, *(_SUITES if arguments.suite else [])]:
        if not Path(path).exists():
            raise SeatrialError(
                "E318", f"there are no tests in {path}", "no such file", "run it in the checkout, or name some: --gain"
            )  # fmt: skip
    name = new_run_id()
    with contextlib.ExitStack() as stack:
        stack.enter_context(runs.begun(name, Path(), [str(target)]))
        lab = labs.acquire(target, name, say)
        stack.callback(labs.release, lab.name, name)
        engine = drivers.in_lab(target, lab)
        images.provide(engine)
        say("measuring calls")
        figures = overhead.watched(lambda: [overhead.call_cost(engine, arguments.pairs), overhead.request_cost(engine)])
        say("measuring the table of system calls")
        images.provide(engine, (PROBE,))
        figures += overhead.watched(lambda: [overhead.surface_time(engine)])
        say("measuring cases")
        stack.callback(sweep, engine, name)
        figures += overhead.watched(lambda: [*overhead.case_cost(engine), overhead.library_time(str(target))])
        if arguments.levels:
            say("measuring the driver of loads (minutes)")
            from seatrial.stress import cost

            figures += overhead.watched(
                lambda: cost.driver_cost(engine, BUSYBOX, name, arguments.levels, arguments.rounds))  # fmt: skip
        say("measuring starts")
        figures += overhead.watched(lambda: overhead.start_cost(str(target)))
        if arguments.gain:
            say("measuring the gain of workers (minutes)")
            figures += overhead.watched(lambda: [overhead.parallel_gain(engine, BUSYBOX, arguments.gain)])
        if arguments.power:
            say("comparing starts by a slower runtime, and by the same (minutes)")
            from seatrial.perf.power import power

            figures += power(target, name)
        for suite, minutes in _SUITES.items() if arguments.suite else ():
            say(f"running {suite} (many minutes)")
            figures += overhead.watched(partial(_timed, str(target), suite, minutes))
    table = Table("what", "bare", "with the harness", "difference or share", "95% interval", "limit", "")
    for figure in figures:
        table.add_row(
            figure.what, figure.bare, figure.ours, f"{figure.value:.2f} {figure.unit}",
            f"{figure.low:.2f} to {figure.high:.2f}", figure.limit, figure.verdict,
        )  # fmt: skip
    console().print(table)
    for noise in dict.fromkeys(figure.noise for figure in figures if figure.noise):
        say(f"the machine was not quiet: {noise}")
    if still := sum(figure.verdict == "open" for figure in figures):
        say(f"{still} of {len(figures)} figures are open: they say nothing about their limits")
    return Exit.FAILED if any(figure.verdict == "BROKEN" for figure in figures) else Exit.OK


def _timed(target: str, suite: str, minutes: float) -> list[Figure]:
    from seatrial import overhead

    return [overhead.suite_duration(target, [suite], minutes=minutes)]

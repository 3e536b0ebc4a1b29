"""The verbs of the `seatrial` command, one module for each group.

A module has `add(verbs)`, which declares its verbs to argparse and imports nothing heavy, and the
functions that those call: `run(arguments) -> exit code`. What they need is imported in there, so that
`seatrial --help` is fast.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from seatrial.diagnostics import Catalogue

# of diagnostics; see seatrial.formats
FORMATS = ("text", "json", "junit", "sarif")

Run = Callable[[argparse.Namespace], int]


def verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], name: str, run: Run, summary: str, more: str
) -> argparse.ArgumentParser:
    """Declare a verb: its name, what it calls, its one sentence, and examples and exit codes."""
    parser = verbs.add_parser(
        name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.", epilog=more,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.set_defaults(run=run, parser=parser)
    return parser


def nested(outer: argparse.ArgumentParser, name: str, run: Run, summary: str, more: str) -> argparse.ArgumentParser:
    """Declare a verb of a verb that takes arguments of its own."""
    parser = type(outer)(
        prog=f"{outer.prog} {name}", description=f"{summary[0].upper()}{summary[1:]}.", epilog=more,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.set_defaults(run=run, parser=parser)
    inner: dict[str, argparse.ArgumentParser] = vars(outer)["inner"]
    inner[name] = parser
    return parser


def console() -> Console:
    """Return a console on standard output: plain, and 100 columns wide, where it is no terminal."""
    from rich.console import Console

    terminal = sys.stdout.isatty()
    return Console(
        file=sys.stdout, width=None if terminal or "COLUMNS" in os.environ else 100, highlight=False,
        markup=False, color_system="auto" if terminal else None,
    )  # fmt: skip


def say(text: str) -> None:
    """Tell the user what is going on, on standard error."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - this is where the command speaks


def tell(text: str) -> None:
    """Print a line of the command's answer on standard output."""
    print(text, flush=True)  # noqa: T201 - this is where the command speaks


def explain(catalogue: Catalogue, codes: Sequence[str]) -> None:
    """Print what codes of diagnostics mean; the list of them where none is named."""
    import textwrap

    if not codes:
        for rule in catalogue.rules.values():
            tell(f"{rule.code} {rule.severity.value:7} {rule.title}")
    for code in codes:
        rule = catalogue.explain(code)
        source = f"\n{rule.section}, {rule.level}" if rule.section else ""
        tell(f"{rule.code} ({rule.severity.value}): {rule.title}{source}\n\n{textwrap.fill(rule.why, 100)}\n")

"""`seatrial clean`."""

from __future__ import annotations

import argparse

from seatrial.commands import say, tell, verb
from seatrial.errors import Exit

_MORE = """\
Removed is only what carries the id of a run whose controller is gone: containers, networks, volumes
and images by their label, labs that no living run holds, processes, mounts, cgroups, directories.
Running runs, labs made by `seatrial lab up`, and anything else of yours stay.

examples:
  seatrial clean --dry-run     what would be removed
  seatrial clean

exit codes: 0 nothing is left, 1 something could not be removed (it is listed)
"""


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verb(verbs, "clean", run, "remove what killed runs left behind", _MORE)
    parser.add_argument("--dry-run", action="store_true", help="only say what would be removed")


def run(arguments: argparse.Namespace) -> int:
    """Remove leftovers, one line each."""
    from seatrial import clean

    count, problems = 0, []
    for outcome in clean.clean(dry_run=arguments.dry_run):
        count += 1
        if outcome.problem:
            problems.append(outcome)
        else:
            tell(f"{'would remove' if arguments.dry_run else 'removed'} {outcome.words}")
    if not count:
        tell("nothing is left of any run")
    for outcome in problems:
        say(f"cannot remove {outcome.words}: {outcome.problem}")
    return Exit.FAILED if problems else Exit.OK

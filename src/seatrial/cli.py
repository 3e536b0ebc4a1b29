"""The `seatrial` command."""

from __future__ import annotations

import argparse
import difflib
import os
import re
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any, NoReturn

from seatrial import __version__, signals
from seatrial.commands import (
    audit,
    bench,
    cases,
    claims,
    clean,
    doctor,
    external,
    gitlab,
    hook,
    image,
    jenkins,
    lab,
    monitor,
    oci,
    report,
    say,
    stress,
)
from seatrial.errors import Exit, SeatrialError, refused_by_machine

INTERRUPTED = 128 + signal.SIGINT

_EPILOG = """\
tests:
  pytest suites/ -n 8 --engine docker@trixie     run the suites; `pytest --help` lists the options

exit codes: 0 done, 1 done but something is left or wrong, 4 the request cannot be carried out
(error code, cause and hint are printed), 130 interrupted
"""


class Parser(argparse.ArgumentParser):
    """A parser that ends with the harness's exit code and names the nearest right word.

    `inner` are verbs of a verb that takes arguments of its own: a first word among them is a verb.
    """

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.inner: dict[str, argparse.ArgumentParser] = {}

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # noqa: D102 - argparse's own
        words = sys.argv[1:] if args is None else list(args)
        if words and words[0] in self.inner:
            return self.inner[words[0]].parse_known_args(words[1:], namespace)
        return super().parse_known_args(words, namespace)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse; what nobody knows is told by the verb that it was given to, which can tell more."""
        found, unknown = self.parse_known_args(args, namespace)
        if unknown:
            getattr(found, "parser", self).error(f"unrecognized arguments: {' '.join(unknown)}")
        return found

    def error(self, message: str) -> NoReturn:
        """Print the problem in two lines and exit with Exit.USAGE."""
        match = re.match(r"argument .*: invalid choice: '(.*?)' \(choose from (.*)\)", message)
        if match:
            choices = re.findall(r"[\w-]+", match[2])
            message = f"there is no `{self.prog} {match[1]}`"
            near = difflib.get_close_matches(match[1], choices, 1, 0.4)
            message += f"; did you mean `{near[0]}`?" if near else f" (there are: {', '.join(choices)})"
        self.exit(Exit.USAGE, f"{self.prog}: {message}\n{self.prog} --help tells more\n")


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    root = Parser(
        prog="seatrial", description="Sea trials for container engines.", epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    root.add_argument("--version", action="version", version=f"seatrial {__version__}")
    root.set_defaults(run=lambda _: _usage(root))
    verbs = root.add_subparsers(title="verbs", metavar="VERB", parser_class=Parser)
    for module in (
        doctor, lab, clean, audit, claims, report, cases, oci, external, bench, stress, monitor, jenkins, gitlab, hook,
        image,
    ):  # fmt: skip
        module.add(verbs)
    return root


def _usage(root: argparse.ArgumentParser) -> int:
    root.print_help()
    return Exit.OK


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; errors a user can cause end in two or three lines."""
    ignored = signals.endure()
    for number in (signal.SIGTERM, signal.SIGHUP):
        if number not in ignored:
            signal.signal(number, _end)
    # a shell that runs us in the background has us ignore ^C as well
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        arguments = parser().parse_args(argv)
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except SeatrialError as error:
        say(str(error))
        return Exit.USAGE
    except AssertionError as error:
        from seatrial.exec import ExpectationError

        if not isinstance(error, ExpectationError):  # a defect of the harness
            raise
        say(f"E109: an engine's command failed\n  cause: {str(error).strip()}")
        return Exit.FAILED
    except KeyboardInterrupt:
        say("\ninterrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # the reader went away; without this, the interpreter complains while it flushes at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.FAILED
    except OSError as error:
        say(str(refused_by_machine(error)))
        return Exit.USAGE
    return int(code)


def _end(number: int, _: FrameType | None) -> NoReturn:
    """End as after an exception, so that what was begun is put back."""
    sys.exit(128 + number)

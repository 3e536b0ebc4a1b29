"""`seatrial docker-py`."""

from __future__ import annotations

import argparse
from pathlib import Path

from seatrial.commands import say, verb

_MORE = """\
The tests get an engine of their own, made from the target's binaries; yours is not touched. The
results are in reports/docker-py-TARGET.xml (JUnit). Failures that the lists in reports/known/docker-py
expect are skipped tests there, with their reason, and do not count.

examples:
  seatrial docker-py ~/docker-py --engine docker@trixie
  seatrial docker-py ~/docker-py --engine podman@sid --pytest -k test_create_network

exit codes: those of pytest; 0 when all failures are known
"""


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verb(verbs, "docker-py", run, "run docker-py's own integration tests against an engine", _MORE)
    parser.add_argument("checkout", metavar="CHECKOUT", type=Path, help="directory of docker-py's sources")
    parser.add_argument("--engine", default="docker@bookworm", metavar="TARGET", help="docker@trixie, podman, ...")
    parser.add_argument("--results", type=Path, default=Path("reports"), metavar="DIR", help="where JUnit goes")
    parser.add_argument("--known", type=Path, default=Path("reports/known/docker-py"), metavar="DIR",
                        help="lists of known failures (default: reports/known/docker-py)")
    parser.add_argument("--pytest", nargs=argparse.REMAINDER, default=[], metavar="ARG",
                        help="last: what follows goes to pytest")  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Run them."""
    from seatrial import external, runs
    from seatrial.targets import parse

    target = parse(arguments.engine)
    name = external.environment_run()
    with runs.begun(name, arguments.results, [str(target)]):
        say(f"docker-py against {target}")
        code, judged = external.docker_py(
            arguments.checkout, target, name, arguments.results, arguments.pytest, arguments.known
        )
    if judged is not None:
        say(f"docker-py against {target}: {judged}")
        for what, tests in (("fails", judged.failed), ("is known to fail, and passed", judged.passing)):
            for test in tests:
                say(f"  {test} {what}")
    return code

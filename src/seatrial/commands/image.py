"""`seatrial image`: the harness as an image, and suites inside a container of it."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.commands import say, tell, verb
from seatrial.errors import Exit, SeatrialError

if TYPE_CHECKING:
    from seatrial.engines.base import CliEngine

_IMAGE = """\
The engine that holds the image is named with --engine: one of this machine, or a lab (it is left standing).

exit codes: those of its verbs
"""
_BUILD = """\
Without --base, no registry is needed: the root file system of the suite is imported, and the wheels come from
this machine's index. With --base, the Dockerfile is built with a network.

examples:
  seatrial image build --engine docker
  seatrial image build --engine docker --base debian:trixie --tag seatrial:trixie

exit codes: 0 built, 4 it cannot be built
"""
_RUN = """\
A container stands with the checkout at /tmp and rights for an engine in it; a second command enters the same
one. What it writes into build/ comes back.

examples:
  seatrial image run --engine docker -- ./autotest.sh
  seatrial image run --engine docker@bookworm --env SEATRIAL_ENGINE=podman -- ./autotest.sh
  seatrial image run --engine docker -- bash

exit codes: the command's own; 4 when no container can be started
"""
_FLAGS = """\
examples:
  eval "set -- $(seatrial image flags --engine docker)"; docker run --rm --init "$@" seatrial:latest ...

exit codes: 0 printed, 4 no container with an engine in it can run there
"""
_STOP = """\
examples:
  seatrial image stop --engine docker

exit codes: 0 it is gone, 1 there was none
"""


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verbs."""
    top = verb(verbs, "image", lambda _: _usage(top), "run the harness and an engine inside a container", _IMAGE)
    inner = top.add_subparsers(title="verbs", metavar="VERB", parser_class=type(top))
    build = _holding(verb(inner, "build", run_build, "build the harness's image", _BUILD))
    build.add_argument("--suite", choices=("bookworm", "trixie", "sid"), default="bookworm",
                       help="the Debian suite of the engines inside (default: bookworm)")  # fmt: skip
    build.add_argument("--base", metavar="IMAGE", default="", help="start from this image, with a network")
    run = _holding(verb(inner, "run", run_inside, "run a command in the harness's container", _RUN))
    run.add_argument("--env", metavar="NAME[=VALUE]", action="append", default=[],
                     help="for the command, from here where there is no value; repeatable")  # fmt: skip
    run.add_argument("argv", metavar="ARGV", nargs=argparse.REMAINDER, help="the command, after --")
    _holding(verb(inner, "flags", run_flags, "print what `docker run` needs for an engine inside", _FLAGS))
    _holding(verb(inner, "stop", run_stop, "remove the harness's container", _STOP))


def _usage(parser: argparse.ArgumentParser) -> int:
    parser.print_help()
    return Exit.OK


def _holding(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--engine", metavar="TARGET", default="docker", help="the engine outside (default: docker)")
    parser.add_argument("--tag", default="seatrial:latest", help="the image's name (default: seatrial:latest)")
    return parser


def _engine(arguments: argparse.Namespace) -> CliEngine:
    from seatrial.engines import drivers
    from seatrial.lab import labs
    from seatrial.targets import parse

    target = parse(arguments.engine)
    if target.is_lab:
        return drivers.in_lab(target, labs.acquire(target, labs.USER, say))
    return drivers.driver(target.engine).here(target)


def _checkout() -> Path:
    here = Path.cwd()
    if not (here / "Dockerfile").is_file() or not (here / "autotest.sh").is_file():
        raise SeatrialError("E655", f"{here} is no checkout of the harness", "it has no Dockerfile and no autotest.sh",
                            "run it in the checkout")  # fmt: skip
    return here


def run_build(arguments: argparse.Namespace) -> int:
    """Build the image."""
    from seatrial.ci import image

    checkout = _checkout()
    image.build(_engine(arguments), checkout, arguments.suite, arguments.tag, arguments.base, say)
    tell(arguments.tag)
    return Exit.OK


def run_inside(arguments: argparse.Namespace) -> int:
    """Run a command in the container, and bring out what it wrote."""
    from seatrial.ci import image

    argv = arguments.argv[1:] if arguments.argv[:1] == ["--"] else arguments.argv
    checkout = _checkout()
    engine = _engine(arguments)
    environment = [pair if "=" in pair else f"{pair}={os.environ.get(pair, '')}" for pair in arguments.env]
    place = image.stand(engine, checkout, arguments.tag, say)
    try:
        return image.enter(engine, argv or ["bash"], environment, tty=sys.stdin.isatty() and sys.stdout.isatty())
    finally:
        image.bring_out(checkout, place)


def run_flags(arguments: argparse.Namespace) -> int:
    """Print the flags on one line, quoted for a shell's eval: one of them may hold spaces."""
    from seatrial.ci import image

    tell(shlex.join(image.flags(_engine(arguments), arguments.tag)))
    return Exit.OK


def run_stop(arguments: argparse.Namespace) -> int:
    """Remove the container."""
    from seatrial.ci import image

    return Exit.OK if image.end(_engine(arguments)) else Exit.FAILED

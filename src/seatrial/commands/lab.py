"""`seatrial lab`: the engines that the harness brings itself."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seatrial.commands import console, say, tell, verb
from seatrial.errors import Exit, SeatrialError

if TYPE_CHECKING:
    from seatrial.lab.labs import Lab

_LAB = """\
A lab is an engine from Debian's packages in namespaces of its own: its network, its storage, its
processes are not this machine's. Engines: docker, podman (as docker@trixie), with another runtime
docker@sid+crun; runtimes: runc, crun, runsc (as crun@sid). Suites: bookworm, trixie, sid.

exit codes: 0 done, 4 it cannot be done (error code, cause and hint are printed)
"""
_UP = """\
A lab that stands is left as it is. The first one of a suite takes about a minute and needs a Debian
mirror (SEATRIAL_MIRROR names another), later ones a second.

examples:
  seatrial lab up docker@trixie
  seatrial lab up docker@sid+crun runc@bookworm

exit codes: 0 all stand, 4 one cannot be made (error code, cause and hint are printed)
"""
_DOWN = """\
examples:
  seatrial lab down docker@trixie
  seatrial lab down --all

exit codes: 0 they are gone, 1 a run still works in one: it goes with that run's end, 4 no such lab
"""
_LIST = """\
examples:
  seatrial lab list
  seatrial lab list --json

exit codes: 0
"""
_RUN = """\
Standard input and the terminal are passed through.

examples:
  seatrial lab run docker@trixie -- docker ps --all
  seatrial lab run runc@bookworm -- runc --version

exit codes: the command's own; 4 when the lab does not stand, 127 when the lab has no such command
"""


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verbs."""
    lab = verb(verbs, "lab", lambda _: _usage(lab), "make, enter, take down the harness's own engines", _LAB)
    inner = lab.add_subparsers(title="verbs", metavar="VERB", parser_class=type(lab))
    up = verb(inner, "up", run_up, "make labs and let them stand", _UP)
    up.add_argument("targets", metavar="TARGET", nargs="+", help="as docker@trixie")
    down = verb(inner, "down", run_down, "take labs down", _DOWN)
    down.add_argument("targets", metavar="TARGET", nargs="*", help="target or name of a lab")
    down.add_argument("--all", action="store_true", help="every lab that no run works in")
    listing = verb(inner, "list", run_list, "list the labs that stand", _LIST)
    listing.add_argument("--json", action="store_true", help="as JSON")
    enter = verb(inner, "run", run_inside, "run a command inside a lab", _RUN)
    enter.add_argument("target", metavar="TARGET", help="target or name of a lab")
    enter.add_argument("argv", metavar="ARGV", nargs=argparse.REMAINDER, help="the command, after --")


def _usage(parser: argparse.ArgumentParser) -> int:
    parser.print_help()
    return Exit.OK


def run_up(arguments: argparse.Namespace) -> int:
    """Make labs; the lease "user" keeps them until `lab down`."""
    from seatrial.engines import drivers
    from seatrial.lab import images, labs
    from seatrial.targets import parse

    targets = [parse(text) for text in arguments.targets]
    for target in targets:
        if not target.is_lab:
            raise SeatrialError(
                "E213", f"{target} is no lab", "it names an engine of this machine",
                f"seatrial lab up {target.in_lab or 'docker@bookworm'}",
            )  # fmt: skip
    for target in targets:
        lab = labs.acquire(target, labs.USER, say)
        if lab.socket:  # so that a test's repro.sh finds its image
            images.provide(drivers.in_lab(target, lab))
        tell(f"{target} stands (lab {lab.name}, keeper {lab.pid})")
        for line in _usage_of(lab):
            tell(f"  {line}")
    return Exit.OK


def _usage_of(lab: Lab) -> list[str]:
    from seatrial.engines import drivers
    from seatrial.lab import labs

    target = labs.target_of(lab)
    if not lab.socket:
        return [f"seatrial lab run {target} -- {target.engine} --version"]
    dialect = drivers.driver(target.engine).dialect
    return [
        f"{dialect.traits['host_variable']}=unix://{lab.host.path(lab.socket)}",
        f"seatrial lab run {target} -- {target.engine} ps",
        f"pytest suites/ --engine {target}",
    ]


def run_down(arguments: argparse.Namespace) -> int:
    """Give the user's lease back; a lab that a living run works in goes with that run's end."""
    from seatrial.lab import labs

    if bool(arguments.targets) == arguments.all:
        raise SeatrialError(
            "E507", "which labs?", hint="name targets (`seatrial lab list` shows them), or else say --all"
        )  # fmt: skip
    chosen = list(labs.standing()) if arguments.all else [_standing(text) for text in arguments.targets]
    if not chosen:
        tell("no lab stands")
    code = Exit.OK
    for lab in chosen:
        labs.release(lab.name, labs.USER)
        left = labs.find(lab.name)
        if left is None:
            tell(f"{lab.target or lab.name} is gone")
        else:
            say(f"{lab.target} stays until the run {', '.join(left.users or left.leases)} ends")
            code = Exit.FAILED
    return code


def _standing(text: str) -> Lab:
    """Return the lab of a target or of a lab's name; raises `SeatrialError` E210 when there is none."""
    from seatrial.lab import labs
    from seatrial.targets import parse

    found = labs.find(text) if "@" not in text else None
    if found is None:
        target = parse(text)
        found = labs.find(target.lab_name) if target.is_lab else None
    if found is None:
        names = ", ".join(lab.target for lab in labs.standing()) or "none"
        raise SeatrialError(
            "E210", f"the lab {target} does not stand", f"standing: {names}",
            f"seatrial lab up {target.in_lab or 'docker@bookworm'}",
        )  # fmt: skip
    return found


def _state(lab: Lab) -> str:
    if not lab.alive:
        hidden = os.geteuid() and Path(f"/proc/{lab.pid}").exists()
        return "needs root" if hidden else "broken"
    return "up" if lab.answers() else "no answer"


def _row(lab: Lab) -> dict[str, Any]:
    socket = str(lab.host.path(lab.socket)) if lab.socket else ""
    return {
        "target": lab.target, "name": lab.name, "state": _state(lab), "pid": lab.pid, "leases": lab.leases,
        "socket": socket, "uptime": round(lab.uptime),
    }  # fmt: skip


def run_list(arguments: argparse.Namespace) -> int:
    """List the labs with state, keeper, leases, socket and uptime."""
    from seatrial.lab import labs

    rows = [_row(lab) for lab in labs.standing()]
    if arguments.json:
        tell(json.dumps(rows, indent=1))
        return Exit.OK
    if not rows:
        tell("no lab stands; `seatrial lab up docker@bookworm` makes one")
        return Exit.OK
    from rich import box
    from rich.table import Table

    from seatrial.targets import parse

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("target", "state", "keeper", "uptime", "leases", "socket"):
        table.add_column(title, overflow="fold", no_wrap=title in ("target", "state"))
    for row in rows:
        cells = (row["pid"], _duration(row["uptime"]), "\n".join(row["leases"]), row["socket"])
        shared = row["target"] and parse(row["target"]).lab_name == row["name"]
        table.add_row(row["target"] if shared else row["name"], row["state"], *map(str, cells))
    console().print(table)
    return Exit.OK


def _duration(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min" if minutes else f"{rest} s"


def run_inside(arguments: argparse.Namespace) -> int:
    """Become a command inside the lab; returns only when that cannot be."""
    from seatrial.exec import base_environment
    from seatrial.lab import rootfs

    argv = arguments.argv[1:] if arguments.argv[:1] == ["--"] else arguments.argv
    if not argv:
        raise SeatrialError(
            "E508", "no command to run", hint=f"seatrial lab run {arguments.target} -- COMMAND [ARGUMENT...]"
        )  # fmt: skip
    rootfs.possible(raise_error=True)
    lab = _standing(arguments.target)
    if not lab.alive:
        raise SeatrialError(
            "E215", f"the lab {lab.target} is broken", "its keeper is gone", f"seatrial lab up {lab.target}"
        )  # fmt: skip
    terminal = {name: os.environ[name] for name in ("TERM", "COLORTERM", "NO_COLOR") if name in os.environ}
    entered = lab.host.enter(argv)
    os.execvpe(entered[0], entered, {**base_environment(), **terminal, **lab.host.environment})  # noqa: S606
    return Exit.INTERNAL

"""`seatrial stress`."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial import __version__
from seatrial.commands import say, tell, verb
from seatrial.errors import Exit, SeatrialError
from seatrial.verdict import Verdict

if TYPE_CHECKING:
    from seatrial.stress.profile import Profile
    from seatrial.stress.run import Loader
    from seatrial.targets import Target

_PROFILES = Path("stress/profiles")
_LOCUSTFILE = Path("stress/locustfile.py")
_CONFIG = "stress.json"
_MORE = f"""\
A profile says what is done, how it comes and what has to hold (stress/README.md). Without a profile the
options mean what they mean to docker-stress: -c workers run --containers containers, of the list in
{_CONFIG} by the command line --binary, or, where there is no such file, containers that sleep until
they are killed after -k, over HTTP.

examples:
  seatrial stress churn --engine docker@bookworm
  seatrial stress churn --engine crun@trixie     a bare runtime
  seatrial stress mixed --duration 10m --rate 2
  seatrial stress -c 100 --containers 10000 -k 8s
  seatrial stress -b /usr/bin/docker --config stress.json -c 8 --containers 200
  seatrial stress --jobs jobs.json -c 2 --containers 20 -k 5s
  seatrial stress --judge reports/latest

exit codes: 0 everything held, 1 something did not, 2 interrupted (what was seen is reported), 4 it cannot run
"""


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verb(verbs, "stress", run, "put an engine under load and judge what it did", _MORE)
    parser.add_argument("profile", nargs="?", metavar="PROFILE", help="a word of stress/profiles, or a .toml file")
    parser.add_argument("--engine", metavar="TARGET", help="as for pytest (default: the one that is found)")
    parser.add_argument("--driver", choices=["http", "cli", "dockerpy"], help="the way to the engine")
    parser.add_argument("--duration", metavar="TIME", help="how long, as 90s or 10m")
    parser.add_argument("--rate", type=_rate, metavar="N", help="arrivals a second, in an open loop")
    parser.add_argument("--locust", action="store_true", help="let locust drive the load, in a child process")
    parser.add_argument("--workers", type=_positive, metavar="N", help="locust with N worker processes")
    parser.add_argument("--ui", type=_positive, nargs="?", const=8089, metavar="PORT",
                        help="open locust's page on loopback and let it begin and end the load")  # fmt: skip
    parser.add_argument("--results", type=Path, default=Path("reports"), metavar="DIR", help="default: reports")
    parser.add_argument("-v", "--version", action="version", version=f"seatrial {__version__}")
    parser.add_argument("--judge", type=Path, metavar="DIR", help="judge a stored run again")
    group = parser.add_argument_group("as docker-stress has them")
    group.add_argument("-b", "--binary", metavar="PATH", help="the docker binary to test (default docker)")
    group.add_argument("--config", metavar="FILE", help=f"the list of containers (default {_CONFIG})")
    group.add_argument("-f", "--jobs", metavar="FILE",
                       help="a list of services (jobs.json): run, connected to, killed and removed")  # fmt: skip
    group.add_argument("-c", "--concurrent", type=_positive, metavar="N", help="concurrent workers (default 1)")
    group.add_argument("--containers", type=_positive, metavar="N", help="containers to run (default 1000)")
    group.add_argument("-k", "--kill", metavar="TIME", help="time to kill a container after it began (default 10s)")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return value


def _rate(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no rate")
    return value


def _fitting(arguments: argparse.Namespace, profile: Profile) -> None:
    """Raise `SeatrialError` E814 where an option has nothing to say to a profile, rather than ignore it."""
    alone = ("its stories say what lives for how long", "leave the profile away to run what docker-stress does")
    found: list[tuple[str, tuple[str, str]]] = [
        (option, alone) for option, value in
        (("-k", arguments.kill), ("--config", arguments.config), ("-b", arguments.binary)) if value
    ]
    if arguments.concurrent and (arguments.rate or profile.load.loop == "open"):
        found.append(("-c", ("in an open loop arrivals come whatever is under way", "choose: -c N, or --rate N")))
    if profile.load.stages:
        own = ("each of its stages says how much comes", "write a profile of your own: stress/README.md")
        said = (("-c", arguments.concurrent), ("--rate", arguments.rate))
        found += [(option, own) for option, value in said if value]
    for option, (cause, hint) in found:
        raise SeatrialError("E814", f"{option} has no meaning for the profile {profile.name}", cause, hint)


def run(arguments: argparse.Namespace) -> int:
    """Put a target under load, or judge a run again."""
    from seatrial.stress import reference
    from seatrial.stress.run import execute

    if arguments.judge:
        return _judge(arguments.judge)
    profile, target = _profile(arguments), _target(arguments.engine)
    command = ["seatrial", *sys.argv[1:]]
    outcome = execute(
        profile, target, arguments.results, command, say, binary=arguments.binary or "",
        loader=_loader(arguments, target),
    )  # fmt: skip
    for line in reference.closing(outcome.containers, outcome.seconds, outcome.failures):
        tell(line)
    _close(outcome.directory)
    return outcome.exit


def _loader(arguments: argparse.Namespace, target: Target) -> Loader | None:
    if not (arguments.locust or arguments.workers or arguments.ui):
        return None
    from seatrial.stress.with_locust import Locust

    if arguments.profile is None or target.is_runtime:
        why = f"{target} is a runtime: locust's loop takes the ends of all processes, those of containers, too"
        raise SeatrialError(
            "E808", "locust needs a profile, and an engine", why if target.is_runtime else "no profile was named",
            "seatrial stress churn --locust --engine docker@bookworm",
        )  # fmt: skip
    if arguments.ui:
        say(f"locust's page: http://127.0.0.1:{arguments.ui}; end with Ctrl-C")
    return Locust(arguments.results, _LOCUSTFILE, arguments.workers or 0, page=arguments.ui or 0)


def _close(directory: Path) -> None:
    from seatrial.report import text
    from seatrial.results import read

    tell(text.closing(read(directory / "results.jsonl")))


def _profile(arguments: argparse.Namespace) -> Profile:
    from seatrial.selection import seconds
    from seatrial.stress import profile as profiles
    from seatrial.stress import reference
    from seatrial.stress.profile import OPEN

    if arguments.jobs:
        chosen = reference.jobs(
            reference.read_jobs(Path(arguments.jobs)), arguments.concurrent or 1, arguments.containers or 10,
            seconds(arguments.kill or "10s"),
        )  # fmt: skip
    elif arguments.profile is None:
        wanted = arguments.config or (_CONFIG if Path(_CONFIG).exists() or arguments.binary else "")
        entries = reference.read(Path(wanted)) if wanted else None
        chosen = reference.profile(
            entries, arguments.concurrent or 1, arguments.containers or 1000, seconds(arguments.kill or "10s")
        )
    else:
        chosen = profiles.load(profiles.find(arguments.profile, _PROFILES))
        _fitting(arguments, chosen)
        if arguments.concurrent:
            chosen = replace(chosen, load=replace(chosen.load, clients=arguments.concurrent))
        if arguments.containers:
            chosen = replace(chosen, count=arguments.containers)
    if arguments.driver:
        chosen = replace(chosen, driver=arguments.driver)
    if arguments.duration:
        chosen = replace(chosen, seconds=seconds(arguments.duration))
    if arguments.rate:
        chosen = replace(chosen, load=replace(chosen.load, loop=OPEN, rate=arguments.rate))
    return chosen


def _target(name: str | None) -> Target:
    from seatrial.targets import discover, parse

    return parse(name) if name else discover()


def _judge(directory: Path) -> int:
    from seatrial.stress.run import rejudge

    results = rejudge(directory)
    for result in results:
        tell(f"{result.verdict.value:7} {result.test.partition('::')[2]}")
        for line in (result.message or result.reason).splitlines():
            tell(f"        {line}")
    tell("What was left behind, and what the harness cost, is not in a history and was not judged again.")
    open_ = any(result.verdict.red or result.verdict is Verdict.UNKNOWN for result in results)
    return Exit.FAILED if open_ or not results else Exit.OK

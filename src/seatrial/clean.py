"""What killed runs left behind, and how it is removed.

Everything a run makes carries its id: objects of engines a label, processes a variable, directories a
name, labs a lease. A run whose controller is gone is dead, and what carries its id is left over. What
a living run or the user holds is never looked at, and of the user's own engines only what is labelled.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from seatrial import exec as command
from seatrial import proc, runs
from seatrial.engines import drivers
from seatrial.engines.base import KINDS, CliEngine
from seatrial.errors import SeatrialError
from seatrial.exec import RUN_VARIABLE, ExpectationError
from seatrial.lab import host as hosts
from seatrial.lab import labs
from seatrial.lab.labs import Lab
from seatrial.names import IMAGE_NAMESPACE, RUN_LABEL
from seatrial.oci import leftovers
from seatrial.paths import locked, mounts_below, remove_tree, share_dir, state_dir
from seatrial.targets import Target, parse, registered


@dataclass(frozen=True)
class Leftover:
    """One thing that a dead run left: what it is in words, how to remove it, whether it is gone."""

    words: str
    remove: Callable[[], object]
    gone: Callable[[], bool]


@dataclass(frozen=True)
class Outcome:
    """What was done about one leftover; `problem` is empty when it is gone (or was only looked at)."""

    words: str
    problem: str = ""


def clean(*, dry_run: bool = False) -> Iterator[Outcome]:
    """Remove what dead runs left, one outcome each; with `dry_run` only name it.

    A dead run is forgotten once nothing of it is left, so that the next call tries the rest again.
    """
    with locked(state_dir() / "clean.lock"):
        dead = dead_runs()
        failed = False
        for leftover in find(dead):
            if dry_run:
                yield Outcome(leftover.words)
                continue
            outcome = _reap(leftover)
            failed = failed or bool(outcome.problem)
            yield outcome
        if not failed and not dry_run:
            for run in runs.noted():
                if run.run in dead:
                    run.forget()
                    (state_dir() / "runs" / f"{run.run}.dead").unlink(missing_ok=True)


def dead_runs() -> dict[str, list[str]]:
    """Return the ids of dead runs with their targets: noted ones, and those from before the last boot."""
    dead = {run.run: run.targets for run in runs.noted() if not run.alive}
    living = runs.living()
    for path in share_dir().glob("[0-9]*-[0-9]*-*"):
        if path.name not in living and _before_boot(path.name):
            dead.setdefault(path.name, [])
    return dead


def _before_boot(run: str) -> bool:
    """Tell whether a run began before this machine did; a reboot empties the state directory."""
    boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return run[:15] < time.strftime("%Y%m%d-%H%M%S", time.gmtime(boot))


def _reap(leftover: Leftover) -> Outcome:
    try:
        leftover.remove()
        deadline = time.monotonic() + 5
        while not leftover.gone():
            if time.monotonic() > deadline:
                return Outcome(leftover.words, "it is still there")
            time.sleep(0.05)
    except SeatrialError as error:
        return Outcome(leftover.words, ": ".join(part for part in (error.message, error.cause) if part))
    except ExpectationError as error:
        return Outcome(leftover.words, str(error).splitlines()[0])
    except OSError as error:
        return Outcome(leftover.words, error.strerror or str(error))
    return Outcome(leftover.words)


def find(dead: dict[str, list[str]]) -> Iterator[Leftover]:
    """Find what dead runs left, in the order in which it can be removed.

    Lazy: what comes later is looked for when what came before is gone.
    """
    yield from _processes(set(dead))
    yield from _labs()
    yield from _lab_remains()
    yield from _objects(dead)
    yield from _bundles(dead)
    yield from _files(dead)


def _processes(dead: set[str]) -> Iterator[Leftover]:
    """Workers and commands of the run: only processes that carry its id."""
    own = set(proc.ancestry(os.getpid()))
    shared = {helper for name in registered() for helper in drivers.driver(name).helpers}
    for pid in proc.processes():
        run = proc.variable(pid, RUN_VARIABLE) if pid not in own else ""
        if run not in dead:
            continue
        name = proc.command(pid)
        if name in shared:
            continue
        started = proc.started(pid)
        yield Leftover(
            f"process {pid} ({name}) of the run {run}",
            partial(_kill, pid, started),
            partial(_ended, pid, started),
        )


def _ended(pid: int, started: str) -> bool:
    return proc.started(pid) != started


def _kill(pid: int, started: str) -> None:
    if not _ended(pid, started):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _labs() -> Iterator[Leftover]:
    """Labs that only dead runs hold, and broken ones that no living run holds."""
    for lab in list(labs.standing()):
        if _is_left(lab):
            why = "held by no living run" if labs.USER not in lab.leases else "its keeper is gone"
            yield Leftover(
                f"lab {lab.name} ({why})",
                partial(_take_down, lab.name),
                partial(_nothing_of, lab.name),
            )
            continue
        for lease in sorted(set(lab.leases) - {labs.USER, *lab.users}):
            yield Leftover(
                f"lease of the run {lease} on the lab {lab.name}",
                partial(labs.release, lab.name, lease),
                partial(_holds_no_lease, lab.name, lease),
            )


def _nothing_of(name: str) -> bool:
    return labs.find(name) is None and name not in hosts.remains()


def _holds_no_lease(name: str, lease: str) -> bool:
    lab = labs.find(name)
    return lab is None or lease not in lab.leases


def _is_left(lab: Lab) -> bool:
    return not lab.users and (labs.USER not in lab.leases or not lab.alive)


def _take_down(name: str) -> None:
    with labs.held(name):
        lab = labs.find(name)
        if lab is not None and _is_left(lab):  # nobody took it meanwhile
            labs.remove(lab)


def _lab_remains() -> Iterator[Leftover]:
    """Storage, cgroups and processes of labs that are not noted any more."""
    for name in sorted(hosts.remains()):
        if labs.find(name) is None:
            yield Leftover(
                f"remains of the lab {name} (storage, cgroups, processes)",
                partial(_remove_remains, name),
                partial(_nothing_of, name),
            )


def _remove_remains(name: str) -> None:
    with labs.held(name):
        if labs.find(name) is None:
            hosts.stop(name, 0)


def _objects(dead: dict[str, list[str]]) -> Iterator[Leftover]:
    """Objects of engines that carry the label of a dead run."""
    if not dead:
        return
    wanted = {target for targets in dead.values() for target in targets}
    for engine, lab in _reachable(wanted):
        if trouble := engine.trouble():
            if str(engine.target) in wanted:
                yield _unanswered(engine, trouble)
            continue
        for kind in KINDS:
            if engine.find(kind, RUN_LABEL):
                for run in dead:
                    for name in engine.find(kind, f"{RUN_LABEL}={run}"):
                        yield _object(engine, kind, name, f"of the run {run}")
        if lab is not None and not lab.users:
            for name in _test_images(engine):
                yield _object(engine, "image", name, "of a dead run")


def _object(engine: CliEngine, kind: str, name: str, whose: str) -> Leftover:
    return Leftover(
        f"{kind} {name.removeprefix('sha256:')[:64]} on {engine.target} {whose}",
        lambda: engine.remove(kind, [name]),
        partial(_is_removed, engine, kind, name),
    )


def _is_removed(engine: CliEngine, kind: str, name: str) -> bool:
    """Tell whether an object is gone; raises `SeatrialError` E106 when the engine cannot say."""
    if engine.cli(kind, "inspect", name, expect=command.ANY).ok:
        return False
    if trouble := engine.trouble():  # a dead engine knows no object either
        raise _silent(engine, trouble)
    return True


def _test_images(engine: CliEngine) -> list[str]:
    """Return the names of images that tests made; imported and tagged ones carry no label."""
    listed = engine.look("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").lines
    return [name for name in listed if name.startswith(f"{IMAGE_NAMESPACE}/") and "<none>" not in name]


def _unanswered(engine: CliEngine, trouble: str) -> Leftover:
    def fail() -> None:
        raise _silent(engine, trouble)

    return Leftover(f"objects on {engine.target}", fail, lambda: False)


def _silent(engine: CliEngine, trouble: str) -> SeatrialError:
    return SeatrialError("E106", f"{engine.target} does not answer", trouble)


def _reachable(wanted: set[str]) -> Iterator[tuple[CliEngine, Lab | None]]:
    """Return the drivers of every standing lab, and of the engines of this machine that answer."""
    for lab in labs.standing():
        if lab.alive and lab.socket:
            yield drivers.in_lab(labs.target_of(lab), lab), lab
    own = [Target(name) for name in registered()]
    own += [parsed for text in sorted(wanted) if not (parsed := parse(text)).is_lab]
    for target in dict.fromkeys(own):
        if not target.is_runtime:
            with contextlib.suppress(SeatrialError):  # not there: nothing of ours is there either
                yield drivers.on_this_machine(target), None


def _bundles(dead: dict[str, list[str]]) -> Iterator[Leftover]:
    """Containers that runtimes have made on labs that others still hold: no engine knows them, their cgroups tell."""
    for run in dead:
        for state in sorted((share_dir() / run).glob("*/state")):
            key = state.parent.name
            for lab in [lab for lab in labs.standing() if lab.alive]:
                if left := _containers(lab, key, state.parent):
                    yield Leftover(
                        f"{', '.join(left)} of the run {run} on the lab {lab.name}",
                        partial(leftovers.clear, lab.host, key, state.parent),
                        partial(_no_containers, lab, key, state.parent),
                    )


def _containers(lab: Lab, key: str, workdir: Path) -> list[str]:
    return [what for what in leftovers.find_all(lab.host, key, workdir, 0) if not what.startswith("state ")]


def _no_containers(lab: Lab, key: str, workdir: Path) -> bool:
    return not _containers(lab, key, workdir)


def _files(dead: dict[str, list[str]]) -> Iterator[Leftover]:
    """Mounts below a run's directory, the directory, and network namespaces named after the run."""
    for run in dead:
        share = share_dir() / run
        for point in mounts_below(share):
            yield Leftover(
                f"mount {point}",
                partial(command.run, ["umount", str(point)]),
                partial(_is_unmounted, point),
            )
        if share.exists():
            yield Leftover(
                f"directory {share}",
                partial(_remove_share, share),
                partial(_is_absent, share),
            )
        for path in Path("/run/netns").glob(f"*{run}*"):
            yield Leftover(
                f"network namespace {path.name}",
                partial(command.run, ["ip", "netns", "delete", path.name]),
                partial(_is_absent, path),
            )


def _is_unmounted(point: Path) -> bool:
    return point not in mounts_below(point)


def _is_absent(path: Path) -> bool:
    return not path.exists()


def _remove_share(share: Path) -> None:
    """Delete a run's directory after ending what a lab has mounted below it in its own namespace."""
    for lab in labs.standing():
        if lab.alive:
            for point in mounts_below(share, lab.pid):
                command.run(["umount", str(point)], host=lab.host)
    remove_tree(share)


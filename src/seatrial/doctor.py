"""What this machine and its targets can do, gathered for `seatrial doctor`."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

from seatrial import __version__, capabilities, runs
from seatrial import exec as command
from seatrial.engines import drivers
from seatrial.errors import SeatrialError
from seatrial.lab import kernel as kernels
from seatrial.lab import labs, rootfs
from seatrial.names import new_run_id
from seatrial.probes import kconfig, machine
from seatrial.results import TargetInfo
from seatrial.targets import RUNTIMES, SUITES, Target, discover, parse, registered

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Possible:
    """A target that could be named: `state` is ready, possible or absent, `detail` says more."""

    target: str
    state: str
    detail: str


@dataclass
class Diagnosis:
    """What the doctor found; `asdict` of this fits schemas/doctor.json."""

    harness: str
    host: dict[str, Any]
    kernel_too_old: str
    kernel_config: dict[str, Any]
    chosen: str = ""  # the target that is taken when none is named; empty when there is none
    chosen_reason: str = ""  # why there is none, or why it was not looked at
    targets: list[TargetInfo] = field(default_factory=list)
    possible: list[Possible] = field(default_factory=list)

    def json(self) -> dict[str, Any]:
        """Return the diagnosis as plain JSON."""
        return asdict(self)


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a diagnosis."""
    text = resources.files("seatrial.schemas").joinpath("doctor.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def examine(names: Sequence[str], progress: Progress) -> tuple[Diagnosis, list[SeatrialError]]:
    """Examine the machine and the named targets; without names, the target that would be chosen.

    Targets that cannot be reached are returned as errors beside the diagnosis. A lab that does not
    stand is started for this and taken down after it.
    """
    targets = [parse(name) for name in names]
    facts = machine.facts()
    config = kconfig.read()
    found = Diagnosis(
        harness=__version__,
        host=facts,
        kernel_too_old=kconfig.too_old(facts["kernel"]),
        kernel_config={
            "source": config.source, "reason": config.reason,
            "options": [asdict(option) for option in config.options()],
        },
    )  # fmt: skip
    if not names:
        found.possible = list(possible())
        targets = _choose(found)
    errors = []
    for target in targets:
        try:
            found.targets.append(examine_target(target, facts, progress))
        except SeatrialError as error:
            errors.append(error)
    return found, errors


def _choose(found: Diagnosis) -> list[Target]:
    try:
        chosen = discover()
    except SeatrialError as error:
        found.chosen_reason = error.cause or error.message
        return []
    found.chosen = str(chosen)
    if chosen.is_lab and not rootfs.location(chosen.suite).is_dir():
        found.chosen_reason = f"not made yet (about a minute); `seatrial doctor {chosen}` makes it"
        return []
    return [chosen]


def examine_target(target: Target, facts: Mapping[str, Any], progress: Progress) -> TargetInfo:
    """Return what a target is and can do; raises `SeatrialError` when it cannot be reached."""
    with reached(target, progress) as lab:
        engine = drivers.in_lab(target, lab) if lab else drivers.on_this_machine(target)
        try:
            return _known(capabilities.probe(engine, facts))
        except command.ExpectationError as error:
            raise SeatrialError(
                "E112", f"{target} answers, but not as it should", str(error).strip(), "see the engine's log"
            ) from error


@contextlib.contextmanager
def reached(target: Target, progress: Progress) -> Iterator[labs.Lab | None]:
    """Keep a target's lab for the length of a block: made for it if need be, and taken down then; None for others."""
    if not target.is_lab:
        yield None
        return
    with runs.begun(new_run_id(), Path(), [str(target)]) as live:
        lab = labs.acquire(target, live.run, progress)
        try:
            yield lab
        finally:
            labs.release(lab.name, live.run)


def _known(info: TargetInfo) -> TargetInfo:
    """Leave out the requirements that could not be judged, because they ask for what only engines have."""
    judged = {name: outcome for name, outcome in info.requirements.items()
              if not outcome.reason.startswith("not probed")}  # fmt: skip
    return replace(info, requirements=judged)


def possible() -> Iterator[Possible]:
    """List the targets that can be named here, and why others cannot."""
    for name in registered():
        why = drivers.absent(name)
        yield Possible(name, "absent" if why else "ready", why or shutil.which(drivers.driver(name).binary) or "")
    for name in RUNTIMES:
        path = shutil.which(name)
        yield Possible(name, "ready" if path else "absent", path or f"there is no {name} command")
    try:
        rootfs.possible(raise_error=True)
        why_not = ""
    except SeatrialError as error:
        why_not = error.cause
    for name in labs.inhabitants():
        for suite in SUITES:
            yield _possible_lab(Target(name, suite), why_not)
    for name in labs.inhabitants():
        for kernel in kernels.KERNELS:
            yield _possible_lab(Target(name, kernels.SUITE, kernel), why_not)


def _possible_lab(target: Target, why_not: str) -> Possible:
    lab = labs.find(target.lab_name) if os.geteuid() == 0 else None
    if lab is not None and lab.alive:
        return Possible(str(target), "ready", "stands")
    if why_not:
        return Possible(str(target), "absent", why_not)
    made = rootfs.location(target.suite).is_dir()
    return Possible(str(target), "possible", "made in seconds" if made else "made in about a minute")

"""Auditing targets: reach each, look, judge."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from seatrial import exec as command
from seatrial.audit.checks import CHECKS
from seatrial.audit.look import look
from seatrial.audit.model import Audit, Check, judge
from seatrial.doctor import reached
from seatrial.engines import drivers
from seatrial.engines.base import CliEngine
from seatrial.errors import SeatrialError
from seatrial.exec import ExpectationError
from seatrial.targets import Target


def selected(level: int) -> list[Check]:
    """Return the checks up to a level of the benchmark."""
    return [check for check in CHECKS if check.level <= level]


def audit(target: Target, level: int, progress: Callable[[str], None]) -> Audit:
    """Audit a target; a lab that does not stand is started for this and taken down after it.

    Raises `SeatrialError`: E115 for what is no engine with checks, E112 when it does not answer as it should.
    """
    checks = selected(level)
    audited = sorted({name for check in checks for name in check.engines})
    if target.is_runtime or target.engine not in audited:
        raise SeatrialError(
            "E115", f"there is no audit of {target}", "its configuration is that of whoever calls it"
            if target.is_runtime else "no check is for this engine", f"engines with checks: {', '.join(audited)}",
        )  # fmt: skip
    with reached(target, progress) as lab:
        engine = drivers.in_lab(target, lab) if lab else drivers.on_this_machine(target)
        try:
            return examine(engine, checks)
        except ExpectationError as error:
            raise SeatrialError(
                "E112", f"{target} answers, but not as it should", str(error).strip(), "see the engine's log"
            ) from error


def examine(engine: CliEngine, checks: Sequence[Check] = CHECKS) -> Audit:
    """Audit an engine that answers."""
    scene = look(engine)
    host = command.run(["uname", "-nsr"], host=engine.host).text
    return Audit(scene.target, scene.engine, scene.version, host, judge(checks, scene))

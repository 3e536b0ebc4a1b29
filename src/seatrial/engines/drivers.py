"""From a target to its driver, by the entry points of the group `seatrial.engines`."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from seatrial.engines.base import CliEngine
from seatrial.engines.runtime import RuntimeEngine
from seatrial.engines.startable import Startable
from seatrial.errors import SeatrialError
from seatrial.targets import DRIVERS, Target, registered

if TYPE_CHECKING:
    from seatrial.lab.labs import Lab


def driver(name: str) -> type[CliEngine]:
    """Load the driver of an engine; raises `SeatrialError` E105 when none is registered."""
    try:
        loaded: type[CliEngine] = registered()[name].load()
    except KeyError:
        raise SeatrialError(
            "E105", f"no driver for the engine {name!r}", f"registered: {', '.join(sorted(registered()))}",
            f"install the package that registers it in the entry point group {DRIVERS}",
        ) from None  # fmt: skip
    return loaded


def startable() -> dict[str, type[Startable]]:
    """Return the drivers, by engine name, whose engine the harness can start itself."""
    loaded = {name: driver(name) for name in registered()}
    return {name: cls for name, cls in loaded.items() if issubclass(cls, Startable)}


def in_lab(target: Target, lab: Lab) -> CliEngine:
    """Return the driver of an engine in a lab."""
    if target.is_runtime:
        return RuntimeEngine(target, lab.host)
    socket = lab.host.path(lab.socket) if lab.socket else None
    return driver(target.engine)(target, lab.host, socket=socket)


def absent(name: str) -> str:
    """Return why this machine's engine of a name cannot be used, empty when it answers (in 5 seconds)."""
    try:
        on_this_machine(Target(name), patience=5.0)
    except SeatrialError as error:
        return error.cause or error.message
    return ""


def on_this_machine(target: Target, patience: float | None = None) -> CliEngine:
    """Return the driver of this machine's engine after seeing that it answers within `patience` seconds.

    Raises `SeatrialError`: E111 without the CLI, E106 when the engine does not answer.
    """
    if target.is_runtime:
        return _runtime(target)
    cls = driver(target.engine)
    if not shutil.which(cls.binary):
        raise SeatrialError(
            "E111", f"{target} is not installed here", f"there is no {cls.binary} command",
            _instead(target, "install it"),
        )  # fmt: skip
    engine = cls.here(target)
    if trouble := engine.trouble(patience):
        raise SeatrialError(
            "E106", f"{target} does not answer", trouble,
            _instead(target, "start it"),
        )  # fmt: skip
    return engine


def _instead(target: Target, step: str) -> str:
    return f"{step}, or test the harness's own: {target.in_lab}" if target.in_lab else step


def _runtime(target: Target) -> RuntimeEngine:
    """Return the driver of this machine's runtime, fit for questions: containers are run on a lab host."""
    program = target.path or target.engine
    if not shutil.which(program):
        raise SeatrialError(
            "E111", f"{target} is not installed here", f"there is no {program} command",
            _instead(target, "is its path right?" if target.path else "install it"),
        )  # fmt: skip
    return RuntimeEngine(target)

"""From a target to its driver, by the entry points of the group `seatrial.engines`."""

from __future__ import annotations

import os
import shutil
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from seatrial.engines.base import CliEngine
from seatrial.engines.runtime import RuntimeEngine
from seatrial.errors import SeatrialError
from seatrial.hosts import LOCAL, LocalHost
from seatrial.lab import daemon as daemons
from seatrial.lab.labs import RUNTIMES, Lab
from seatrial.targets import Target, docker_address, reachable

GROUP = "seatrial.engines"


@cache
def registered() -> dict[str, Any]:
    """Return the registered drivers by engine name, not yet loaded."""
    return {point.name: point for point in entry_points(group=GROUP)}


def driver(name: str) -> type[CliEngine]:
    """Load the driver of an engine; raises `SeatrialError` E105 when none is registered."""
    try:
        loaded: type[CliEngine] = registered()[name].load()
    except KeyError:
        raise SeatrialError(
            "E105", f"no driver for the engine {name!r}", f"registered: {', '.join(sorted(registered()))}",
            "install the package that registers it in the entry point group seatrial.engines",
        ) from None  # fmt: skip
    return loaded


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
            f"install it, or test the harness's own with --engine {target.engine}@bookworm",
        )  # fmt: skip
    engine = _docker(target) if target.engine == "docker" else _other(target, cls)
    if trouble := engine.trouble(patience):
        raise SeatrialError(
            "E106", f"{target} does not answer", trouble,
            f"start it, or test the harness's own with --engine {target.engine}@bookworm",
        )  # fmt: skip
    return engine


def _runtime(target: Target) -> RuntimeEngine:
    """Return the driver of this machine's runtime, fit for questions: containers are run on a lab host."""
    program = target.path or target.engine
    if not shutil.which(program):
        raise SeatrialError(
            "E111", f"{target} is not installed here", f"there is no {program} command",
            f"name the lab's: {target.engine}@bookworm" if target.engine in RUNTIMES else "is its path right?",
        )  # fmt: skip
    return RuntimeEngine(target)


def _docker(target: Target) -> CliEngine:
    address = target.address or docker_address()
    if why := reachable(address):
        raise SeatrialError(
            "E106", f"{target} does not answer", why,
            "start Docker (systemctl start docker), set DOCKER_HOST, or use --engine docker@bookworm",
        )  # fmt: skip
    kind, _, rest = address.partition("://")
    tls = {name: os.environ[name] for name in ("DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH") if name in os.environ}
    return driver("docker")(
        target, LOCAL, socket=Path(rest) if kind == "unix" else None, env={"DOCKER_HOST": address, **tls}
    )


def _other(target: Target, cls: type[CliEngine]) -> CliEngine:
    default = {"podman": Path(daemons.PODMAN_SOCKET)}.get(target.engine)
    env = {"CONTAINER_HOST": target.address} if target.address and target.engine == "podman" else {}
    socket = Path(target.address.removeprefix("unix://")) if target.address else default
    home = {"HOME": os.environ.get("HOME", "/root")}
    return cls(target, LocalHost(home), socket=socket if socket and socket.exists() else None, env=env)

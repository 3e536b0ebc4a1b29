"""Labs that stand: made once, shared by lease, taken down with the last one who needs them.

A lease is a run id, or "user" for what `seatrial lab up` made. The files in the state directory are
the truth: a killed run leaves them behind, and `seatrial clean` takes down what they name.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from seatrial.errors import SeatrialError
from seatrial.hosts import NamespaceHost
from seatrial.lab import daemon as daemons
from seatrial.lab import host as hosts
from seatrial.lab import rootfs
from seatrial.lab.daemon import Daemon
from seatrial.paths import locked, state_dir
from seatrial.targets import Target, parse

USER = "user"


@dataclass
class Lab:
    """A lab that stands; the JSON of this is its file in the state directory."""

    name: str
    target: str
    pid: int
    work: str
    leases: list[str] = field(default_factory=list)
    socket: str = ""
    daemon_pid: int = 0

    @property
    def host(self) -> NamespaceHost:
        """The way into the lab's host."""
        return NamespaceHost(self.name, self.pid, hosts.environment(self.name))

    @property
    def alive(self) -> bool:
        """Whether the lab's keeper still stands (and is no other process with its number)."""
        try:
            return f"{hosts.LAB_VARIABLE}={self.name}".encode() in Path(f"/proc/{self.pid}/environ").read_bytes()
        except OSError:
            return False

    @property
    def log(self) -> Path:
        """The engine's log."""
        return Path(self.work) / "engine.log"


def _directory() -> Path:
    return state_dir() / "labs"


def standing() -> Iterator[Lab]:
    """List the labs of this machine, broken ones included."""
    for path in sorted(_directory().glob("*.json")):
        yield Lab(**json.loads(path.read_text()))


def acquire(target: Target, lease: str, progress: rootfs.Progress = lambda _: None) -> Lab:
    """Return the shared lab of a target, making it when it does not stand, and note the lease."""
    if target.kernel:
        raise SeatrialError(
            "E206", f"the lab {target} needs another kernel", "labs on user-mode Linux are not made yet",
            f"use {target.engine}@{target.suite}",
        )  # fmt: skip
    name = target.lab_name
    rootfs.possible(raise_error=True)
    root = rootfs.ensure(target.suite, progress)
    with locked(_directory() / f".{name}.lock"):
        lab = _load(name)
        if lab is not None and not _usable(lab):
            _remove(lab)
            lab = None
        if lab is None:
            progress(f"starting {target}")
            lab = _make(name, target, root)
        if lease not in lab.leases:
            lab.leases.append(lease)
        _save(lab)
    return lab


def release(name: str, lease: str) -> None:
    """Give a lease back; the lab is taken down with the last one."""
    with locked(_directory() / f".{name}.lock"):
        lab = _load(name)
        if lab is None:
            return
        lab.leases = [other for other in lab.leases if other != lease]
        if lab.leases:
            _save(lab)
        else:
            _remove(lab)


def take_down(name: str) -> bool:
    """Take a lab down whoever holds it; False when there is none of that name."""
    with locked(_directory() / f".{name}.lock"):
        lab = _load(name)
        if lab is not None:
            _remove(lab)
    return lab is not None


@dataclass
class PrivateEngine:
    """A lab of one test: its host, its daemon, and how to end both."""

    lab: Lab
    daemon: Daemon

    def close(self) -> None:
        """Take the lab down."""
        take_down(self.lab.name)


def private(
    target: Target,
    lease: str,
    *,
    options: Sequence[str] = (),
    config: Mapping[str, Any] | None = None,
    storage: str = "",
    runtime: str = "",
    env: Mapping[str, str] | None = None,
    start: bool = True,
) -> PrivateEngine:
    """Make an engine for one test alone, from the same root file system as its target.

    The engine of this machine gets this machine's root below an overlay, so that its own binaries
    are what is tested; its storage and network are new either way.
    """
    root = rootfs.ensure(target.suite) if target.suite else Path("/")
    name = f"{target.engine}-{target.suite or 'own'}-{secrets.token_hex(3)}"
    made = hosts.start(name, root)
    lab = Lab(name, str(target), made.pid, str(made.work), [lease])
    _save(lab)
    runtime = runtime or target.runtime
    if target.engine == "docker":
        daemon = daemons.docker(
            lab.host, lab.log, options=options, config=config, runtime=runtime, storage=storage, env=env
        )
    else:
        daemon = daemons.podman(lab.host, lab.log, runtime=runtime, storage=storage)
    lab.socket = daemon.socket
    engine = PrivateEngine(lab, daemon)
    if start:
        try:
            daemon.start()
        except BaseException:
            engine.close()
            raise
    return engine


def _make(name: str, target: Target, root: Path) -> Lab:
    made = hosts.start(name, root)
    lab = Lab(name, str(target), made.pid, str(made.work))
    _save(lab)
    try:
        if not target.is_runtime:
            describe = daemons.docker if target.engine == "docker" else daemons.podman
            daemon = describe(lab.host, lab.log, runtime=target.runtime)
            daemon.start()
            lab.socket, lab.daemon_pid = daemon.socket, daemon.pid
    except BaseException:
        _remove(lab)
        raise
    return lab


def _usable(lab: Lab) -> bool:
    return lab.alive and (not lab.socket or daemons.answers(lab.host.path(lab.socket), 5.0))


def _remove(lab: Lab) -> None:
    hosts.stop(lab.name, lab.pid)
    (_directory() / f"{lab.name}.json").unlink(missing_ok=True)


def _load(name: str) -> Lab | None:
    try:
        return Lab(**json.loads((_directory() / f"{name}.json").read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        return Lab(name, "", 0, "")  # half-written by a killed run: known by name, taken down as any other


def _save(lab: Lab) -> None:
    path = _directory() / f"{lab.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(asdict(lab)))
    partial.rename(path)


def target_of(lab: Lab) -> Target:
    """Return the target a lab was made for."""
    return parse(lab.target)

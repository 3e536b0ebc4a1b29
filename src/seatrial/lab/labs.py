"""Labs that stand: made once, shared by lease, taken down with the last one who needs them.

A lease is a run id, or "user" for what `seatrial lab up` made. The files in the state directory are
the truth: a killed run leaves them behind, and `seatrial clean` takes down what they name.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from seatrial import proc, runs
from seatrial.engines import drivers
from seatrial.engines.startable import Startable, Wishes
from seatrial.errors import SeatrialError
from seatrial.hosts import NamespaceHost
from seatrial.lab import host as hosts
from seatrial.lab import kernel, rootfs
from seatrial.lab.daemon import Daemon
from seatrial.paths import locked, state_dir
from seatrial.targets import PACKAGED, SUITES, Target, parse

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
        own = self.target and target_of(self).kernel
        return kernel.way_in(self.name, self.pid) if own else hosts.way_in(self.name, self.pid)

    @property
    def alive(self) -> bool:
        """Whether the lab's keeper still stands (and is no other process with its number)."""
        return self.pid > 0 and hosts.lab_of(self.pid) == hosts.key(self.name)

    def answers(self, timeout: float = 2.0) -> bool:
        """Tell whether the lab's engine answers; a lab of a runtime has none that could keep silent."""
        return not self.socket or _starter(target_of(self)).answers(self.host.path(self.socket), timeout)

    @property
    def uptime(self) -> float:
        """Seconds since the keeper started, 0 when it does not stand."""
        started = proc.started(self.pid) if self.alive else ""
        if not started:
            return 0.0
        return time.clock_gettime(time.CLOCK_BOOTTIME) - int(started) / os.sysconf("SC_CLK_TCK")

    @property
    def users(self) -> list[str]:
        """The living runs that hold a lease."""
        living = runs.living()
        return [lease for lease in self.leases if lease in living]

    @property
    def log(self) -> Path:
        """The engine's log."""
        return Path(self.work) / "engine.log"


def _directory() -> Path:
    return state_dir() / "labs"


def standing() -> Iterator[Lab]:
    """List the labs of this machine, broken ones included."""
    for path in sorted(_directory().glob("*.json")):
        if (lab := find(path.stem)) is not None:
            yield lab


def acquire(target: Target, lease: str, progress: rootfs.Progress = lambda _: None) -> Lab:
    """Return the shared lab of a target, making it when it does not stand, and note the lease.

    A lab whose engine died is made anew, unless another living run works in it (`SeatrialError` E208);
    the user's lease stays.
    """
    root = _root_for(target, progress)
    name = target.lab_name
    leases = [lease]
    with held(name, lambda: progress(f"waiting: another process is working on {target}")):
        lab = find(name)
        if lab is not None and not _usable(lab):
            others = [run for run in lab.users if run != lease]
            if others:
                raise SeatrialError(
                    "E208", f"the lab {target} is broken and still in use",
                    f"its engine does not answer, and the run {', '.join(others)} works in it",
                    "wait for that run to end, or end it: the lab is then made anew",
                )  # fmt: skip
            leases = list(dict.fromkeys([lease, *(kept for kept in lab.leases if kept == USER)]))
            remove(lab)
            lab = None
        if lab is None:
            progress(f"starting {target}")
            lab = _make(name, target, root, leases)
        if lease not in lab.leases:
            lab.leases.append(lease)
        _save(lab)
    return lab


def inhabitants() -> tuple[str, ...]:
    """Return what labs are made of: the engines and runtimes that Debian has packages of."""
    return (*(name for name, cls in drivers.startable().items() if cls.packages(SUITES[0])), *PACKAGED)


def _root_for(target: Target, progress: rootfs.Progress) -> Path:
    """Return the root file system for a target; raises `SeatrialError` where there is no such lab."""
    if target.kernel and (target.kernel not in kernel.KERNELS or target.suite != kernel.SUITE):
        raise SeatrialError(
            "E206", f"there is no lab {target}", f"kernels of their own have labs of {kernel.SUITE} only",
            f"for example {target.engine}@{kernel.SUITE}/{next(iter(kernel.KERNELS))}; kernels: "
            f"{', '.join(kernel.KERNELS)}",
        )  # fmt: skip
    if target.suite and not target.path and target.engine not in inhabitants():
        raise SeatrialError(
            "E201", f"there is no lab of {target.engine}", f"Debian has no package of {target.engine}",
            f"labs are made of: {', '.join(inhabitants())}",
        )  # fmt: skip
    rootfs.possible(raise_error=True)
    if not target.suite:
        return Path("/")  # a runtime of this machine, whose own root it gets
    root = _root_of(target, progress)
    for program in (target.runtime, target.engine if target.is_runtime and not target.path else ""):
        if program and not _installed(root, program):
            raise SeatrialError(
                "E201", f"there is no lab of {target}", f"Debian {target.suite} has no runtime {program}",
                f"runtimes of labs: {', '.join(PACKAGED)}",
            )  # fmt: skip
    return root


def _root_of(target: Target, progress: rootfs.Progress = lambda _: None) -> Path:
    """Return the root file system of a target's suite; that for labs with a kernel of their own has more in it."""
    return rootfs.ensure(target.suite, progress, kernel.PACKAGES if target.kernel else ())


def _installed(root: Path, program: str) -> bool:
    """Tell whether a root file system has a program: by its path, or where packages install them."""
    places = ("",) if "/" in program else ("usr/bin", "usr/sbin", "usr/local/bin", "usr/local/sbin")
    return any((root / place / program.lstrip("/")).exists() for place in places)


def _starter(target: Target) -> type[Startable]:
    """Return the driver that can start a target's engine; raises `SeatrialError` E201 when it cannot."""
    if target.engine not in drivers.startable():
        raise SeatrialError("E201", f"there is no lab of {target.engine}", "its driver cannot start it")
    return drivers.startable()[target.engine]


@contextmanager
def held(name: str, waiting: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Keep other processes from changing a lab for the length of a block."""
    with locked(_directory() / f".{name}.lock", waiting):
        yield


def release(name: str, lease: str) -> None:
    """Give a lease back, and those of dead runs with it; the lab is taken down with the last one."""
    with held(name):
        lab = find(name)
        if lab is None:
            return
        over = {lease, *(run.run for run in runs.noted() if not run.alive)}
        lab.leases = [other for other in lab.leases if other not in over]
        if lab.leases:
            _save(lab)
        else:
            remove(lab)


def take_down(name: str) -> bool:
    """Take a lab down whoever holds it; False when there is none of that name."""
    with held(name):
        lab = find(name)
        if lab is not None:
            remove(lab)
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
    wishes: Wishes = Wishes(),  # noqa: B008 - frozen
    *,
    start: bool = True,
) -> PrivateEngine:
    """Make an engine for one test alone, from the same root file system as its target.

    The engine of this machine gets this machine's root below an overlay, so that its own binaries
    are what is tested; its storage and network are new either way. DOCKER_GRAPHDRIVER (storage
    driver) and DOCKER_EXECDRIVER (runtime) count where neither wish nor target says.
    """
    starter = _starter(target)
    if (wishes.options or wishes.config or wishes.env) and not starter.takes_options:
        raise ValueError(f"{target.engine} has no daemon with options: the test needs the requirement private_daemon")
    wishes = replace(
        wishes,
        runtime=wishes.runtime or target.runtime or os.environ.get("DOCKER_EXECDRIVER", ""),
        storage=wishes.storage or os.environ.get("DOCKER_GRAPHDRIVER", ""),
    )
    root = _root_of(target) if target.suite else Path("/")
    if wishes.runtime and not _installed(root, wishes.runtime):
        wanted = replace(target, runtime=wishes.runtime)
        raise SeatrialError(
            "E201", f"there is no lab of {wanted}", f"it has no program {wishes.runtime}",
            "DOCKER_EXECDRIVER names the runtime of private engines: runc, crun, or a path",
        )  # fmt: skip
    name = "-".join((target.engine, target.suite or "own", *filter(None, [target.kernel]), secrets.token_hex(3)))
    lab = _stand(Lab(name, str(target), 0, str(hosts.storage(name)), [lease]), root)
    try:
        daemon = starter.daemon(lab.host, lab.log, wishes)
        lab.socket = daemon.socket
        if start:
            daemon.start()
    except BaseException:
        take_down(name)
        raise
    return PrivateEngine(lab, daemon)


@contextmanager
def workbench(suite: str, lease: str, extra: tuple[str, ...]) -> Iterator[NamespaceHost]:
    """Return a host without an engine whose root file system has more packages; it goes with the block."""
    name = f"tools-{suite}-{secrets.token_hex(3)}"
    root = rootfs.ensure(suite, extra=extra)
    lab = _stand(Lab(name, f"runc@{suite}", 0, str(hosts.storage(name)), [lease]), root)
    try:
        yield lab.host
    finally:
        take_down(name)


def _stand(lab: Lab, root: Path, program: str = "") -> Lab:
    """Start a lab's host; the lab is noted before, so that a kill at any moment leaves a trace."""
    _save(lab)
    try:
        lab.pid = hosts.start(lab.name, root, program)
        if own := target_of(lab).kernel:
            _boot(lab, own)
    except BaseException:
        _forget(lab)
        raise
    _save(lab)
    return lab


def _boot(lab: Lab, own: str) -> None:
    try:
        kernel.start(lab.name, lab.pid, own)
    except BaseException:
        hosts.stop(lab.name, lab.pid)
        raise


def _make(name: str, target: Target, root: Path, leases: list[str]) -> Lab:
    lab = _stand(Lab(name, str(target), 0, str(hosts.storage(name)), leases), root, target.path)
    try:
        if not target.is_runtime:
            daemon = _starter(target).daemon(lab.host, lab.log, Wishes(runtime=target.runtime))
            daemon.start()
            lab.socket, lab.daemon_pid = daemon.socket, daemon.pid
    except BaseException:
        remove(lab)
        raise
    return lab


def _usable(lab: Lab, patience: float = 30.0) -> bool:
    """Tell whether a lab's engine answers; one that lives gets `patience` seconds on a busy machine."""
    deadline = time.monotonic() + patience
    while lab.alive:
        if lab.answers(5.0):
            return True
        if hosts.lab_of(lab.daemon_pid) != hosts.key(lab.name) or time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return False


def remove(lab: Lab) -> None:
    """Take a lab down; the caller holds it (see `held`) or has just made it."""
    hosts.stop(lab.name, lab.pid)
    _forget(lab)


def _forget(lab: Lab) -> None:
    (_directory() / f"{lab.name}.json").unlink(missing_ok=True)


def find(name: str) -> Lab | None:
    """Return the lab of a name, None when there is none."""
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

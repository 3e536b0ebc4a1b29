"""Lab hosts: a root file system in mount, network, UTS and IPC namespaces of its own."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from importlib import resources
from pathlib import Path

from seatrial import proc
from seatrial.errors import SeatrialError
from seatrial.exec import RUN_VARIABLE, background, base_environment
from seatrial.hosts import NamespaceHost
from seatrial.paths import data_dir, remove_tree, scope, share_dir

LAB_VARIABLE = "SEATRIAL_LAB"
_CGROUP = Path("/sys/fs/cgroup")
_NAME = r"[a-z0-9][a-z0-9-]{0,40}"

# Writes the shell itself into the lab's cgroups before it becomes the command, so that everything the
# command starts is found there, and a runtime that places containers beside itself sees the place.
JOIN_CGROUP = (
    'if [ -f /sys/fs/cgroup/cgroup.controllers ]; then mkdir -p /sys/fs/cgroup/daemon; '
    "echo $$ >/sys/fs/cgroup/daemon/cgroup.procs; "
    'else for f in /sys/fs/cgroup/*/cgroup.procs; do echo $$ >"$f"; done; fi; exec "$@"'
)


def way_in(name: str, pid: int) -> NamespaceHost:
    """Return the host that a keeper process holds open."""
    return NamespaceHost(name, pid, environment(name), ("sh", "-c", JOIN_CGROUP, "sh"))


def key(name: str) -> str:
    """Return the lab's name on this machine: in cgroups, in storage, in its processes' environment.

    Labs of other data or state directories have the same names but other keys.
    """
    own = scope()
    return f"{name}.{own}" if own else name


def named(key_: str) -> str:
    """Return the name of the lab with a key, empty when the key is one of other directories."""
    name, _, own = key_.partition(".")
    return name if own == scope() and re.fullmatch(_NAME, name) else ""


def environment(name: str) -> Mapping[str, str]:
    """Return what every process of a lab carries in its environment."""
    return {LAB_VARIABLE: key(name), "HOME": "/root"}


def own_environment(name: str) -> dict[str, str]:
    """Return the environment of what belongs to a lab itself and not to the run that starts it."""
    return {word: value for word, value in {**base_environment(), **environment(name)}.items()
            if word != RUN_VARIABLE}  # fmt: skip


def storage(name: str) -> Path:
    """Return the directory of a lab's storage."""
    return data_dir() / "labs" / key(name)


def start(name: str, root: Path, program: str = "") -> int:
    """Make a lab host from a root file system and return the process id of its keeper.

    The root `/` is this machine's own, below an overlay.
    `program` is the path of one that is seen inside, although it is on another file system or in /tmp.
    Raises `SeatrialError` E204 with the failing step when this machine does not allow it.
    """
    if not re.fullmatch(_NAME, name):
        raise ValueError(f"not a lab name: {name!r}")
    stop(name, 0)  # what a killed start left
    work = storage(name)
    work.mkdir(parents=True)
    share = share_dir()
    share.mkdir(parents=True, exist_ok=True)
    script = resources.files("seatrial.lab").joinpath("host.sh")
    pid = 0
    try:
        with resources.as_file(script) as path, (work / "host.log").open("wb") as log:
            keeper = background(
                ["unshare", "--mount", "--net", "--uts", "--ipc", "--propagation", "private",
                 "sh", str(path), str(root), str(work), name, key(name), str(share), program],
                stdout=subprocess.PIPE, stderr=log, env=own_environment(name),
            )  # fmt: skip
            pid = keeper.pid
            assert keeper.stdout is not None  # noqa: S101 - for the type checker
            ready = keeper.stdout.readline()
            keeper.stdout.close()
        if ready.strip() != b"ready":
            raise _refused(name, work / "host.log")
    except BaseException:
        stop(name, pid)
        raise
    return pid


def _refused(name: str, log: Path) -> SeatrialError:
    cause = log.read_text("utf-8", "replace").strip().splitlines()[-1:]
    return SeatrialError(
        "E204",
        f"cannot make the lab host {name}",
        cause[0] if cause else "no message",
        "labs need root with mount and network namespaces; `seatrial doctor` shows what is allowed here",
    )


def stop(name: str, pid: int) -> None:
    """End every process of a lab; its mounts and network go with the last one, then its storage.

    Raises `SeatrialError` E209 when a process cannot be ended: what it has mounted is then left alone.
    """
    deadline = time.monotonic() + 10
    while left := set(processes(name)) | ({pid} if lab_of(pid) == key(name) else set()):
        if time.monotonic() > deadline:
            raise SeatrialError(
                "E209", f"cannot end the lab {name}", f"these processes do not die: {sorted(left)}",
                "wait until the kernel lets go of them, then run `seatrial clean`",
            )  # fmt: skip
        thaw(cgroups(name))
        for process in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        _reap(pid)
        time.sleep(0.02)
    _reap(pid)
    remove_cgroups(name)
    remove_tree(storage(name))


def lab_of(pid: int) -> str:
    """Return the key of the lab that a living process belongs to by its environment, or nothing."""
    return proc.variable(pid, LAB_VARIABLE)


def _reap(pid: int) -> None:
    if pid > 0:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def processes(name: str) -> Iterator[int]:
    """Find the living processes of a lab: by cgroup (containers, too) and by their environment."""
    seen: set[int] = set()
    for group in cgroups(name):
        with contextlib.suppress(OSError):
            seen.update(int(pid) for pid in (group / "cgroup.procs").read_text().split())
    wanted = key(name)
    seen.update(pid for pid in proc.processes() if lab_of(pid) == wanted)
    seen.discard(os.getpid())
    yield from (pid for pid in seen if proc.started(pid))


def cgroups(name: str) -> list[Path]:
    """Return the cgroup directories of a lab, deepest first."""
    tops = [parent / key(name) for parent in _parents()]
    found = [Path(parent) for top in tops if top.is_dir() for parent, _, _ in os.walk(top)]
    return sorted(found, key=lambda path: len(path.parts), reverse=True)


def thaw(groups: Iterable[Path]) -> None:
    """Let frozen processes go on: on cgroup v1 they do not even die before that."""
    for group in groups:
        if (state := group / "freezer.state").exists():
            with contextlib.suppress(OSError):
                state.write_text("THAWED")


def remove_cgroups(name: str) -> None:
    """Remove the lab's cgroups; the kernel keeps one as long as a process is dying in it."""
    deadline = time.monotonic() + 5
    while (left := cgroups(name)) and time.monotonic() < deadline:
        for group in left:
            with contextlib.suppress(OSError):
                group.rmdir()
        time.sleep(0.02)
    for parent in _parents():
        with contextlib.suppress(OSError):
            parent.rmdir()


def _parents() -> list[Path]:
    return [_CGROUP / "seatrial", *_CGROUP.glob("*/seatrial")]


def remains() -> set[str]:
    """Return the names of labs of which anything is there: storage, cgroups or processes."""
    keys = {path.name for path in (data_dir() / "labs").glob("*")}
    keys |= {path.name for parent in _parents() for path in parent.glob("*") if path.is_dir()}
    keys |= {lab_of(pid) for pid in proc.processes() if pid != os.getpid()}
    return {name for name in map(named, keys) if name}

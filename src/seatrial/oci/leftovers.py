"""What containers leave on their host: state directories, processes, mounts, cgroups; all by a word in their names."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from seatrial import exec as command
from seatrial import proc
from seatrial.hosts import Host, NamespaceHost
from seatrial.lab import host as lab_host
from seatrial.paths import mounts_below

# in the environment of every command of a test; a hook or a helper that stays behind has inherited it
MARK = "SEATRIAL_TEST"


def find(host: Host, id_: str, workdir: Path, patience: float) -> list[str]:
    """Return in words what is there of a container after `patience` seconds."""
    deadline = time.monotonic() + patience
    while left := [what for what in _all(host, id_, workdir) if is_of(what, id_)]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.02)
    return left


def find_all(host: Host, key: str, workdir: Path, patience: float = 2.0) -> list[str]:
    """Return in words what is there of a test's containers after `patience` seconds."""
    deadline = time.monotonic() + patience
    while left := list(_all(host, key, workdir)):
        if time.monotonic() > deadline:
            break
        time.sleep(0.02)
    return left


def is_of(what: str, id_: str) -> bool:
    """Tell whether a leftover is that of a container; ids end in a number."""
    return re.search(rf"{re.escape(id_)}(?!\d)", what) is not None


def _all(host: Host, word: str, workdir: Path) -> Iterator[str]:
    yield from (f"state {path.name}" for path in sorted((workdir / "state").iterdir()) if word in path.name)
    for group in _cgroups(host, word):
        yield f"cgroup {group}"
    for pid, place in _processes(host, word):
        yield f"process {pid} ({proc.command(pid)}) in {place}"
    if isinstance(host, NamespaceHost):
        yield from (f"mount {point}" for point in mounts_below(workdir, host.pid))


def _cgroups(host: Host, word: str) -> list[Path]:
    if not isinstance(host, NamespaceHost):
        return []
    return [group for group in lab_host.cgroups(host.name) if word in str(group)]


def _processes(host: Host, word: str) -> Iterator[tuple[int, str]]:
    """Find living processes in the cgroups of a name, and those that a command of the test started."""
    found: dict[int, str] = {}
    for group in _cgroups(host, word):
        with contextlib.suppress(OSError):
            found |= {int(pid): str(group) for pid in (group / "cgroup.procs").read_text().split()}
    for pid in proc.processes():
        if pid not in found and proc.variable(pid, MARK) == word:
            found[pid] = "a command of the test"
    yield from ((pid, place) for pid, place in found.items() if proc.started(pid))


def remove_groups(groups: list[Path], patience: float = 5.0) -> None:
    """End what is in cgroups of a test's own and remove them, last first."""
    deadline = time.monotonic() + patience
    for group in groups[::-1]:
        while group.is_dir():
            lab_host.thaw([group])
            with contextlib.suppress(OSError):
                for pid in (group / "cgroup.procs").read_text().split():
                    os.kill(int(pid), signal.SIGKILL)
                group.rmdir()
            if time.monotonic() > deadline:
                return
            time.sleep(0.02)


def end(host: Host, key: str, patience: float = 5.0) -> None:
    """End the processes of a test's containers and commands, and wait until they are gone."""
    deadline = time.monotonic() + patience
    while left := [pid for pid, _ in _processes(host, key)]:
        lab_host.thaw(_cgroups(host, key))
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            return
        time.sleep(0.01)


def clear(host: Host, key: str, workdir: Path) -> None:
    """Take away by force what a test's containers left."""
    end(host, key)
    if isinstance(host, NamespaceHost):
        for point in mounts_below(workdir, host.pid):
            command.run(["umount", "-l", str(point)], host=host, expect=command.ANY, timeout=20)
    for group in _cgroups(host, key):
        with contextlib.suppress(OSError):
            group.rmdir()

"""Lab hosts: a root file system in mount, network, UTS and IPC namespaces of its own."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from seatrial.errors import SeatrialError
from seatrial.exec import base_environment
from seatrial.hosts import NamespaceHost
from seatrial.paths import data_dir, share_dir

LAB_VARIABLE = "SEATRIAL_LAB"
_CGROUP = Path("/sys/fs/cgroup")

# Writes the shell itself into the lab's cgroups before it becomes the daemon, so that everything
# the daemon starts is found there.
JOIN_CGROUP = (
    'if [ -f /sys/fs/cgroup/cgroup.controllers ]; then mkdir -p /sys/fs/cgroup/daemon; '
    "echo $$ >/sys/fs/cgroup/daemon/cgroup.procs; "
    'else for f in /sys/fs/cgroup/*/cgroup.procs; do echo $$ >"$f"; done; fi; exec "$@"'
)


@dataclass(frozen=True)
class LabHost:
    """A lab host that stands: its keeper process, its storage, and how to enter it."""

    name: str
    pid: int
    work: Path

    @property
    def host(self) -> NamespaceHost:
        """The way in."""
        return NamespaceHost(self.name, self.pid, environment(self.name))


def environment(name: str) -> Mapping[str, str]:
    """Return what every process of a lab carries in its environment."""
    return {LAB_VARIABLE: name, "HOME": "/root"}


def start(name: str, root: Path) -> LabHost:
    """Make a lab host from a root file system (`/` shares this machine's own, below an overlay).

    Raises `SeatrialError` E204 with the failing step when this machine does not allow it.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,40}", name):
        raise ValueError(f"not a lab name: {name!r}")
    work = data_dir() / "labs" / name
    remove_storage(name)
    work.mkdir(parents=True)
    share = share_dir()
    share.mkdir(parents=True, exist_ok=True)
    script = resources.files("seatrial.lab").joinpath("host.sh")
    with resources.as_file(script) as path, (work / "host.log").open("wb") as log:
        keeper = subprocess.Popen(
            ["unshare", "--mount", "--net", "--uts", "--ipc", "--propagation", "private",
             "sh", str(path), str(root), str(work), name, str(share)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
            env={**base_environment(), **environment(name)}, start_new_session=True,
        )  # fmt: skip
        assert keeper.stdout is not None  # noqa: S101 - for the type checker
        ready = keeper.stdout.readline()
        keeper.stdout.close()
    if ready.strip() != b"ready":
        with contextlib.suppress(ProcessLookupError):
            os.killpg(keeper.pid, signal.SIGKILL)
        keeper.wait()
        cause = (work / "host.log").read_text("utf-8", "replace").strip().splitlines()[-1:]
        stop(name, keeper.pid)
        raise SeatrialError(
            "E204",
            f"cannot make the lab host {name}",
            cause[0] if cause else "no message",
            "labs need root with mount and network namespaces; `seatrial doctor` shows what is allowed here",
        )
    return LabHost(name, keeper.pid, work)


def stop(name: str, pid: int) -> None:
    """End every process of a lab; its mounts and network go with the last one, then its storage."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        left = set(processes(name)) | ({pid} if _is_keeper(pid, name) else set())
        if not left:
            break
        for process in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        _reap(pid)
        time.sleep(0.02)
    remove_cgroups(name)
    remove_storage(name)


def _is_keeper(pid: int, name: str) -> bool:
    return name in _lab_of(pid)


def _lab_of(pid: int) -> str:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except (OSError, IndexError):
        return ""
    wanted = f"{LAB_VARIABLE}=".encode()
    found = next((item[len(wanted) :].decode() for item in variables if item.startswith(wanted)), "")
    return "" if state == "Z" else found


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def processes(name: str) -> Iterator[int]:
    """Find the living processes of a lab: by cgroup (containers, too) and by their environment."""
    seen: set[int] = set()
    for group in cgroups(name):
        with contextlib.suppress(OSError):
            seen.update(int(pid) for pid in (group / "cgroup.procs").read_text().split())
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _lab_of(int(entry.name)) == name:
            seen.add(int(entry.name))
    seen.discard(os.getpid())
    for pid in seen:
        with contextlib.suppress(OSError, IndexError):
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                yield pid


def cgroups(name: str) -> list[Path]:
    """Return the cgroup directories of a lab, deepest first."""
    tops = [_CGROUP / "seatrial" / name, *_CGROUP.glob(f"*/seatrial/{name}")]
    found = [Path(parent) for top in tops if top.is_dir() for parent, _, _ in os.walk(top)]
    return sorted(found, key=lambda path: len(path.parts), reverse=True)


def remove_cgroups(name: str) -> None:
    """Remove the lab's cgroups; the kernel keeps one as long as a process is dying in it."""
    deadline = time.monotonic() + 5
    while (left := cgroups(name)) and time.monotonic() < deadline:
        for group in left:
            with contextlib.suppress(OSError):
                group.rmdir()
        time.sleep(0.02)
    for parent in [_CGROUP / "seatrial", *_CGROUP.glob("*/seatrial")]:
        with contextlib.suppress(OSError):
            parent.rmdir()


def remove_storage(name: str) -> None:
    """Delete the lab's storage without crossing into another file system."""
    work = data_dir() / "labs" / name
    if work.exists():
        subprocess.run(["rm", "-rf", "--one-file-system", str(work)], check=True)

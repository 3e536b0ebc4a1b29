"""Where the harness keeps what it makes on this machine.

cache   root file systems and images; can be deleted at any time, costs a minute to make again
state   what runs now: leases of labs, live runs, locks, sockets (emptied by a reboot)
data    the labs' own storage; on a real file system because overlay does not stack on overlay
share   the one directory that has the same path here and in every lab: build contexts, bind mounts
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from seatrial import proc
from seatrial.errors import SeatrialError

_DATA = Path("/var/lib/seatrial")
_STATE = Path("/run/seatrial")


def cache_dir() -> Path:
    """Return the cache: $SEATRIAL_CACHE, or below $XDG_CACHE_HOME, or ~/.cache/seatrial."""
    if explicit := os.environ.get("SEATRIAL_CACHE"):
        return Path(explicit)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seatrial"


def state_dir() -> Path:
    """Return the state directory: $SEATRIAL_STATE, /run/seatrial for root, else the user's own."""
    if explicit := os.environ.get("SEATRIAL_STATE"):
        return Path(explicit)
    if os.geteuid() == 0:
        return _STATE
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(runtime) / "seatrial"
    return Path(f"/tmp/seatrial-{os.geteuid()}")  # noqa: S108


def data_dir() -> Path:
    """Return the labs' storage: $SEATRIAL_DATA or /var/lib/seatrial."""
    return Path(os.environ.get("SEATRIAL_DATA") or _DATA)


def share_dir() -> Path:
    """Return the directory that every lab sees under the same path."""
    return data_dir() / "share" if os.geteuid() == 0 else state_dir() / "share"


def scope() -> str:
    """Return what tells this user's labs from those of other data or state directories.

    Empty for the default directories, else six hex digits.
    """
    places = (data_dir().absolute(), state_dir().absolute())
    if places == (_DATA, _STATE):
        return ""
    return hashlib.sha256("\n".join(map(str, places)).encode()).hexdigest()[:6]


@contextmanager
def locked(path: Path, waiting: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Hold an exclusive lock on a file for the length of a block; `waiting` is called if others hold it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def mounts_below(directory: Path, pid: int | None = None) -> list[Path]:
    """Return the mount points at and below a directory, latest first, as a process sees them.

    A directory below /proc/PID/root is one of that process and so are its mounts, which are named
    below /proc/PID/root, too.
    """
    seen = re.fullmatch(r"(/proc/(\d+)/root)(/.*)?", str(directory))
    if seen:
        return [Path(f"{seen[1]}{point}") for point in _mounts_below(seen[3] or "/", int(seen[2]))]
    return _mounts_below(str(directory.resolve()), pid)


def _mounts_below(directory: str, pid: int | None) -> list[Path]:
    below = f"{directory.rstrip('/')}/"
    points = [mount.target for mount in proc.mounts_of(pid or "self")]
    return [Path(point) for point in reversed(points) if f"{point}/".startswith(below)]


def remove_tree(directory: Path) -> None:
    """Delete a tree, but never through a mount; raises `SeatrialError` E404 when something stays.

    A bind mount of the same file system is invisible to `rm --one-file-system`, so the mount table
    is asked first.
    """
    if not os.path.lexists(directory):
        return
    if mounts := mounts_below(directory):
        raise SeatrialError(
            "E404", f"cannot delete {directory}", f"{mounts[0]} is mounted", f"umount {mounts[0]}"
        )  # fmt: skip
    done = subprocess.run(
        ["rm", "-rf", "--one-file-system", "--", str(directory)], capture_output=True, text=True, timeout=600,
        check=False,
    )  # fmt: skip
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or [f"rm ended with exit code {done.returncode}"]
        raise SeatrialError("E404", f"cannot delete {directory}", last[0])

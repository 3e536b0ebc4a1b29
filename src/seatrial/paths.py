"""Where the harness keeps what it makes on this machine.

    cache   root file systems and images; can be deleted at any time, costs a minute to make again
    state   what runs now: leases of labs, live runs, locks, sockets (emptied by a reboot)
    data    the labs' own storage; on a real file system because overlay does not stack on overlay
    share   the one directory that has the same path here and in every lab: build contexts, bind mounts
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
        return Path("/run/seatrial")
    return Path(os.environ.get("XDG_RUNTIME_DIR") or f"/tmp/seatrial-{os.geteuid()}")  # noqa: S108


def data_dir() -> Path:
    """Return the labs' storage: $SEATRIAL_DATA or /var/lib/seatrial."""
    return Path(os.environ.get("SEATRIAL_DATA") or "/var/lib/seatrial")


def share_dir() -> Path:
    """Return the directory that every lab sees under the same path."""
    return data_dir() / "share" if os.geteuid() == 0 else state_dir() / "share"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file for the length of a block."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield

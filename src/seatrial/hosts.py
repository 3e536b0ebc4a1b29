"""Where commands run and where kernel files are read: this machine, or a lab beside it.

How a target is reached (host) and what is asked of it (engine) are two axes. A host answers three
questions: how do I start a command there, where are its files seen from here, and how do I open a
connection in its network.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

_CLONE_NEWNET = 0x40000000
_MAX_LINKS = 40  # as the kernel counts
_T = TypeVar("_T")


class Host(Protocol):
    """A place where commands run."""

    name: str
    environment: Mapping[str, str]
    hidden: str  # why its processes are not seen in this machine's /proc, empty where they are

    @property
    def root(self) -> Path:
        """The host's root directory as seen from here."""

    def enter(self, argv: Sequence[str], cwd: Path | str | None = None) -> list[str]:
        """Return the command line that runs `argv` on this host, in directory `cwd`."""

    def path(self, inside: str | Path) -> Path:
        """Return where a path of the host is seen from here, with the host's own links followed."""

    def call(self, function: Callable[[], _T]) -> _T:
        """Run a function inside the host's network namespace and return its result."""


class LocalHost:
    """This machine."""

    name = "local"
    hidden = ""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self.environment: Mapping[str, str] = environment or {}
        self.root = Path("/")

    def enter(self, argv: Sequence[str], cwd: Path | str | None = None) -> list[str]:
        """Return `argv` unchanged."""
        return list(argv)

    def path(self, inside: str | Path) -> Path:
        """Return the path unchanged."""
        return Path(inside)

    def call(self, function: Callable[[], _T]) -> _T:
        """Call the function."""
        return function()


class NamespaceHost:
    """A host made of namespaces that the process `pid` holds open.

    The process ids are this machine's, so a container's pid as its engine reports it is found in
    this machine's /proc; signals reach the command itself because nsenter does not fork.
    """

    hidden = ""

    def __init__(
        self, name: str, pid: int, environment: Mapping[str, str] | None = None, prefix: Sequence[str] = ()
    ) -> None:
        self.name = name
        self.pid = pid
        self.prefix = tuple(prefix)  # a command that does what is left to do and then becomes the other
        self.environment: Mapping[str, str] = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            **(environment or {}),
        }

    @property
    def root(self) -> Path:
        """The root directory through /proc."""
        return Path(f"/proc/{self.pid}/root")

    def enter(self, argv: Sequence[str], cwd: Path | str | None = None) -> list[str]:
        """Return an nsenter command line."""
        flags = ["--mount", "--uts", "--ipc", "--net", f"--wdns={cwd or '/'}"]
        return ["nsenter", f"--target={self.pid}", *flags, "--", *self.prefix, *argv]

    def path(self, inside: str | Path) -> Path:
        """Return the path below the host's root, which no link inside leads out of."""
        return resolve(self.root, inside)

    def call(self, function: Callable[[], _T]) -> _T:
        """Run a function in a thread that has joined the network namespace."""
        outcome: dict[str, Any] = {}

        def body() -> None:
            try:
                with open(f"/proc/{self.pid}/ns/net") as namespace:
                    _setns(namespace.fileno())
                outcome["value"] = function()
            except BaseException as error:  # handed to the caller's thread, not swallowed
                outcome["error"] = error

        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
        if "error" in outcome:
            raise outcome["error"]
        value: _T = outcome["value"]
        return value


def _setns(descriptor: int) -> None:
    # os.setns appeared in Python 3.12 only.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "setns")


def resolve(root: Path, inside: str | Path) -> Path:
    """Return where a path below a root directory is, links followed as if that root were `/`.

    The kernel would follow an absolute link in /proc/PID/root from this machine's own root. What does
    not exist is taken as it is written; raises OSError (ELOOP) after 40 links.
    """
    done: list[str] = []
    left = [part for part in str(inside).split("/")[::-1] if part not in ("", ".")]
    links = 0
    while left:
        part = left.pop()
        if part == "..":
            del done[-1:]
            continue
        try:
            link = os.readlink(root.joinpath(*done, part))
        except OSError:  # no link, or nothing there
            done.append(part)
            continue
        links += 1
        if links > _MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(inside))
        if link.startswith("/"):
            done.clear()
        left += [word for word in link.split("/")[::-1] if word not in ("", ".")]
    return root.joinpath(*done)


def connect(host: Host, address: tuple[str, int], timeout: float = 5.0) -> socket.socket:
    """Open a TCP connection from inside a host's network; raises OSError as `socket` does."""
    return host.call(lambda: socket.create_connection(address, timeout))


LOCAL = LocalHost()

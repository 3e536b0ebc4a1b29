"""The small protocol by which a workload speaks to an engine, whatever the way: HTTP, docker-py or CLI.

A driver belongs to one client and one thread. What the engine refuses is `RefusedError`, what it does not answer is
`SilentError`: it may or may not have been done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

ABORTED = "nobody waits for an answer any more"


def place_of(held: str) -> tuple[str, int]:
    """Return address and port of a published port that is held as "address:port/protocol"; ValueError for another."""
    address, _, rest = held.rpartition(":")
    return address, int(rest.partition("/")[0])


class RefusedError(Exception):
    """The engine said no, in its own words."""


class SilentError(Exception):
    """No answer came, or none that can be read."""


@dataclass(frozen=True)
class Spec:
    """A container that is wanted; `ports` are ports of the container that are published on free ones of loopback."""

    name: str
    image: str
    command: tuple[str, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[int, ...] = ()
    network: str = ""
    mounts: Mapping[str, str] = field(default_factory=dict)  # volume to path


class Driver(Protocol):
    """One client's way to an engine."""

    def create(self, spec: Spec) -> str:
        """Create a container and return its id."""

    def start(self, name: str, *, ports: bool = False) -> list[str]:
        """Start a container; return what it holds of published ports, as "address:port/protocol", when asked."""

    def wait(self, name: str, timeout: float) -> int:
        """Wait for the end of a container and return its exit code."""

    def logs(self, name: str) -> bytes:
        """Return what a container has written on standard output."""

    def execute(self, name: str, command: tuple[str, ...]) -> tuple[int, bytes]:
        """Run a command in a container; return its exit code and standard output."""

    def kill(self, name: str) -> None:
        """Kill a container."""

    def remove(self, name: str) -> None:
        """Remove a container by force, with its anonymous volumes."""

    def exists(self, name: str) -> bool:
        """Tell whether the engine knows a container; anything but a yes and a no is an error."""

    def make(self, kind: str, name: str, labels: Mapping[str, str]) -> None:
        """Create a network or a volume."""

    def unmake(self, kind: str, name: str) -> None:
        """Remove a network, a volume or an image."""

    def build(self, name: str, context: bytes, labels: Mapping[str, str]) -> None:
        """Build an image from a context (a tar archive)."""

    def tag(self, image: str, name: str) -> None:
        """Give an image another name."""

    def push(self, name: str) -> None:
        """Push an image to the registry in its name."""

    def pull(self, name: str) -> None:
        """Pull an image from the registry in its name."""

    def abort(self) -> None:
        """Wait for no answer any more, be it by another thread: what is under way and all that follows is unanswered.

        A command that runs is left to its own end.
        """

    def close(self) -> None:
        """Give back what the driver holds open."""

"""Evidence: what only a process inside the container of this very run can say.

A command in a container is started through a shell that first prints a product of two numbers drawn for this run and
the mount namespace that it is in. A runtime that prints its help and exits with 0, an echo of the command line, or a
command that runs on the host cannot print that line.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

_WORD = "oct-evidence"
_LINE = re.compile(rf"^{_WORD} (\d+) (\S+)\r?\n", re.MULTILINE)
# ends with the signal that asks for it, which a first process would otherwise ignore
KEEPER = ("/bin/sh", "-c", "trap 'exit 0' TERM INT; while :; do sleep 3600 & wait $!; done")


def _factor() -> int:
    return secrets.randbelow(90_000) + 10_000


@dataclass(frozen=True)
class Nonce:
    """The two numbers of a run, and the namespaces that are not a container's."""

    first: int = field(default_factory=_factor)
    second: int = field(default_factory=_factor)
    outside: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """A word that is this run's own, for cases that carry it through a container."""
        return f"n{self.first}x{self.second}"

    @property
    def proof(self) -> str:
        """The shell command that prints the evidence."""
        return f'echo "{_WORD} $(({self.first} * {self.second})) $(readlink /proc/self/ns/mnt)"'

    def wrap(self, argv: Sequence[str]) -> list[str]:
        """Return a command that prints the evidence and becomes another."""
        return ["/bin/sh", "-c", f'{self.proof}; exec "$@"', "sh", *argv]

    def take(self, text: str) -> tuple[str, bool]:
        """Return a text without the lines of evidence, and whether a true one was among them."""
        found = any(
            int(match[1]) == self.first * self.second and match[2].startswith("mnt:") and match[2] not in self.outside
            for match in _LINE.finditer(text)
        )
        return _LINE.sub("", text), found


def outside(*pids: int) -> tuple[str, ...]:
    """Return the mount namespaces of this process and of others, which are no container's."""
    found = [os.readlink("/proc/self/ns/mnt")]
    found += [os.readlink(f"/proc/{pid}/ns/mnt") for pid in pids]
    return tuple(found)

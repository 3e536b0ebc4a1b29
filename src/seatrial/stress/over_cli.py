"""Load through an engine's command line: a process for each operation, as users and scripts have it."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence

from seatrial.engines.base import CliEngine
from seatrial.errors import SeatrialError
from seatrial.exec import ANY, Result, popen
from seatrial.stress.driver import ABORTED, RefusedError, SilentError, Spec
from seatrial.stress.over_http import held_ports

_FORCE: Mapping[str, tuple[str, ...]] = {"image": ("--force",), "network": (), "volume": ()}


class CliDriver:
    """The command line of an engine."""

    def __init__(self, engine: CliEngine, timeout: float = 60.0) -> None:
        self._engine = engine
        self._timeout = timeout
        self._aborted = False

    def ask(self, *args: str, stdin: bytes | None = None, timeout: float = 0.0) -> Result:
        """Run a command, which must end with 0."""
        result = self.ran(*args, stdin=stdin, timeout=timeout)
        if not result.ok:
            raise RefusedError("; ".join(result.stderr.strip().splitlines()[-2:]) or f"exit code {result.code}")
        return result

    def ran(self, *args: str, stdin: bytes | None = None, timeout: float = 0.0) -> Result:
        """Run a command to its end, however it ends."""
        if self._aborted:
            raise SilentError(ABORTED)
        try:
            result = self._engine.cli(*args, expect=ANY, stdin=stdin, timeout=timeout or self._timeout)
        except AssertionError as error:  # it did not end in time
            raise SilentError(str(error).splitlines()[0]) from error
        except SeatrialError as error:
            raise SilentError(f"{error.message}: {error.cause}") from error
        return result

    def spawn(self, args: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start a command in the foreground; its standard output is let go."""
        engine = self._engine
        try:
            return popen([engine.binary, *args], engine.host, engine.env, None, stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)  # fmt: skip
        except SeatrialError as error:
            raise SilentError(f"{error.message}: {error.cause}") from error

    def create(self, spec: Spec) -> str:
        """Create a container and return its id."""
        words = [word for port in spec.ports for word in ("--publish", f"127.0.0.1::{port}")]
        words += [word for volume, path in spec.mounts.items() for word in ("--volume", f"{volume}:{path}")]
        words += ["--network", spec.network] if spec.network else []
        done = self.ask("create", "--name", spec.name, *_labels(spec.labels), *words, spec.image, *spec.command)
        return done.text

    def start(self, name: str, *, ports: bool = False) -> list[str]:
        """Start a container; with `ports`, look which ones it got."""
        self.ask("start", name)
        if not ports:
            return []
        (shown,) = self.ask("container", "inspect", name).json()
        return held_ports(shown["NetworkSettings"]["Ports"])

    def wait(self, name: str, timeout: float) -> int:
        """Wait for the end of a container and return its exit code."""
        return int(self.ask("wait", name, timeout=timeout).text)

    def logs(self, name: str) -> bytes:
        """Return what a container has written on standard output."""
        return self.ask("logs", name).out

    def execute(self, name: str, command: tuple[str, ...]) -> tuple[int, bytes]:
        """Run a command in a container; an exit code from 125 on may be the engine's own and is taken for its no."""
        result = self.ran("exec", name, *command)
        if result.code >= 125:
            raise RefusedError(result.stderr.strip() or f"exit code {result.code}")
        return result.code, result.out

    def kill(self, name: str) -> None:
        """Kill a container."""
        self.ask("kill", name)

    def remove(self, name: str) -> None:
        """Remove a container by force, with its anonymous volumes."""
        self.ask("rm", "--force", "--volumes", name)

    def exists(self, name: str) -> bool:
        """Tell whether the engine knows a container, as its list of them says, which has no words for a no."""
        listed = self.ask("ps", "--all", "--filter", f"name=^{name}$", "--format", "{{.Names}}")
        return name in listed.lines

    def make(self, kind: str, name: str, labels: Mapping[str, str]) -> None:
        """Create a network or a volume."""
        self.ask(kind, "create", *_labels(labels), name)

    def unmake(self, kind: str, name: str) -> None:
        """Remove a network, a volume or an image."""
        self.ask(kind, "rm", *_FORCE[kind], name)

    def build(self, name: str, context: bytes, labels: Mapping[str, str]) -> None:
        """Build an image from a context (a tar archive)."""
        self.ask("build", "--no-cache", "--tag", name, *_labels(labels), "-", stdin=context, timeout=300.0)

    def tag(self, image: str, name: str) -> None:
        """Give an image another name."""
        self.ask("tag", image, name)

    def push(self, name: str) -> None:
        """Push an image to the registry in its name."""
        self.ask("push", name, timeout=300.0)

    def pull(self, name: str) -> None:
        """Pull an image from the registry in its name."""
        self.ask("pull", name, timeout=300.0)

    def abort(self) -> None:
        """Start no command any more."""
        self._aborted = True

    def close(self) -> None:
        """Hold nothing open."""


def _labels(labels: Mapping[str, str]) -> list[str]:
    return [word for name, value in labels.items() for word in ("--label", f"{name}={value}")]

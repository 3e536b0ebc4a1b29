"""Processes that serve an engine inside a lab host."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from seatrial import proc
from seatrial.api.client import Client
from seatrial.api.wire import Endpoint
from seatrial.errors import SeatrialError
from seatrial.exec import ExpectationError, background, run
from seatrial.hosts import NamespaceHost
from seatrial.lab.host import own_environment


@dataclass
class Daemon:
    """A process of an engine in a lab host; it can be stopped, killed and started again."""

    host: NamespaceHost
    argv: tuple[str, ...]
    socket: str
    log: Path
    extra_environment: Mapping[str, str] = field(default_factory=dict)
    ready: Callable[[Path], bool] = lambda socket: answers(socket, 10.0)
    pid: int = 0

    def start(self, timeout: float = 60.0) -> None:
        """Start and wait until the API answers; raises `SeatrialError` E205 with the log's last words."""
        # by a command in the host: below a kernel of its own, /run is not what is seen from here
        run(["mkdir", "-p", str(Path(self.socket).parent)], host=self.host, timeout=timeout)
        with self.log.open("ab") as log:
            process = background(
                self.host.enter(self.argv), stdout=log, stderr=log,
                env={**own_environment(self.host.name), **self.host.environment, **self.extra_environment},
            )  # fmt: skip
        self.pid = process.pid
        # user-mode Linux has one processor, and each system call costs it a switch of processes
        deadline = time.monotonic() + (3 * timeout if self.host.hidden else timeout)
        while not self.ready(self.host.path(self.socket)):
            if process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise self._failed()
            time.sleep(0.05)

    def stop(self, timeout: float = 30.0) -> None:
        """Ask the daemon to end and wait for it."""
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + timeout
        while self.alive and time.monotonic() < deadline:
            time.sleep(0.02)
        if self.alive:
            self._signal(signal.SIGKILL)
        self._reap()

    def kill(self, timeout: float = 60.0) -> None:
        """Kill the daemon without warning, and wait until what dies with it (its containerd) is gone."""
        children = proc.children(self.pid)
        self._signal(signal.SIGKILL)
        self._reap()
        # A containerd that nobody has reaped yet looks alive to the next daemon, which waits for it in vain.
        deadline = time.monotonic() + timeout
        while any(proc.exists(pid) for pid in children) and time.monotonic() < deadline:
            time.sleep(0.02)

    def _reap(self) -> None:
        # The next daemon looks for the process id of the last one, and finds it as long as a thread dies.
        if self.pid:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.pid, 0)
        while self.alive:
            time.sleep(0.01)

    def restart(self) -> None:
        """Stop, then start."""
        self.stop()
        self.start()

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)
        return bool(proc.started(self.pid))

    def _signal(self, number: int) -> None:
        if self.pid:  # not started: 0 would be the harness itself and all its workers
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def _failed(self) -> SeatrialError:
        lines = self.log.read_text("utf-8", "replace").strip().splitlines()
        words = next(
            (line for line in reversed(lines) if "failed to start" in line or "level=error" in line or
             "unable to configure" in line), lines[-1] if lines else "no message",
        )  # fmt: skip
        return SeatrialError(
            "E205", f"{self.argv[0]} did not start in the lab {self.host.name}", words, f"see {self.log}"
        )


def configure(host: NamespaceHost, inside: str, text: str) -> None:
    """Write a file of the host's, found from the host's root: its links do not lead to this machine's files."""
    path = host.path(inside)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def answers(path: Path, timeout: float = 2.0) -> bool:
    """Tell whether a Docker-compatible API answers on a unix socket."""
    return ping(path, timeout) is not None


def ping(path: Path, timeout: float = 2.0) -> dict[str, str] | None:
    """Return the headers of `GET /_ping` on a unix socket, or None when nothing answers."""
    try:
        return dict(Client(Endpoint(path=path)).get("/_ping", timeout=timeout).headers)
    except ExpectationError:
        return None

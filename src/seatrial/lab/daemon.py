"""Engines inside lab hosts: dockerd with options, Podman with its configuration and API service."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seatrial.api.client import Client
from seatrial.api.wire import Endpoint
from seatrial.errors import SeatrialError
from seatrial.exec import ExpectationError, background, run
from seatrial.hosts import NamespaceHost
from seatrial.lab.host import own_environment

DOCKER_SOCKET = "/run/docker.sock"
PODMAN_SOCKET = "/run/podman/podman.sock"

# The hard limits that a root without CAP_SYS_RESOURCE can still set for containers.
_CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile={nofile}:{nofile}", "nproc={nproc}:{nproc}"]

[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "{runtime}"

[network]
firewall_driver = "iptables"
"""
_STORAGE_CONF = """\
[storage]
driver = "{storage}"
runroot = "/run/containers/storage"
graphroot = "/var/lib/containers/storage"
"""


@dataclass
class Daemon:
    """A process of an engine in a lab host; it can be stopped, killed and started again."""

    host: NamespaceHost
    argv: tuple[str, ...]
    socket: str
    log: Path
    extra_environment: Mapping[str, str]
    pid: int = 0

    def start(self, timeout: float = 60.0) -> None:
        """Start and wait until the API answers; raises `SeatrialError` E205 with the log's last words."""
        with self.log.open("ab") as log:
            process = background(
                self.host.enter(self.argv), stdout=log, stderr=log,
                env={**own_environment(self.host.name), **self.host.environment, **self.extra_environment},
            )  # fmt: skip
        self.pid = process.pid
        deadline = time.monotonic() + timeout
        while not answers(self.host.path(self.socket)):
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
        children = self._children()
        self._signal(signal.SIGKILL)
        self._reap()
        # A containerd that nobody has reaped yet looks alive to the next daemon, which waits for it in vain.
        deadline = time.monotonic() + timeout
        while any(Path(f"/proc/{pid}").exists() for pid in children) and time.monotonic() < deadline:
            time.sleep(0.02)

    def _children(self) -> list[str]:
        found: list[str] = []
        for path in Path(f"/proc/{self.pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += path.read_text().split()
        return found

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
        try:
            state = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return False
        return state != "Z"

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


def docker(
    host: NamespaceHost,
    log: Path,
    *,
    options: Sequence[str] = (),
    config: Mapping[str, Any] | None = None,
    runtime: str = "",
    storage: str = "",
    env: Mapping[str, str] | None = None,
) -> Daemon:
    """Describe a dockerd: command line options, daemon.json, default runtime, storage driver."""
    settings = dict(config or {})
    if runtime and runtime != "runc":
        settings["runtimes"] = {runtime: {"path": runtime}}
        settings["default-runtime"] = runtime
    if storage:
        settings["storage-driver"] = storage
    _configure(host, "/etc/docker/daemon.json", json.dumps(settings, indent=1) + "\n")
    return Daemon(host, ("dockerd", *options), DOCKER_SOCKET, log, env or {})


def podman(host: NamespaceHost, log: Path, *, runtime: str = "runc", storage: str = "overlay") -> Daemon:
    """Configure Podman in a lab host and describe its API service."""
    limits = {"nofile": _hard_limit("Max open files", 20000), "nproc": _hard_limit("Max processes", 32768)}
    etc = "/etc/containers"
    _configure(host, f"{etc}/containers.conf", _CONTAINERS_CONF.format(runtime=runtime or "runc", **limits))
    _configure(host, f"{etc}/storage.conf", _STORAGE_CONF.format(storage=storage or "overlay"))
    host.path(f"{etc}/registries.conf.d").mkdir(exist_ok=True)
    argv = ("podman", "system", "service", "--time=0", f"unix://{PODMAN_SOCKET}")
    host.path(PODMAN_SOCKET).parent.mkdir(parents=True, exist_ok=True)
    # Only Docker loads br_netfilter on a real machine. Where it is part of the kernel, a bridge would send a
    # container's own published port back through iptables, and lose it.
    filtered = "/proc/sys/net/bridge/bridge-nf-call-iptables"
    if host.path(filtered).exists():
        run(["tee", filtered], host=host, stdin="0\n")
    return Daemon(host, argv, PODMAN_SOCKET, log, {})


def _configure(host: NamespaceHost, inside: str, text: str) -> None:
    """Write a file of the host's, found from the host's root: its links do not lead to this machine's files."""
    path = host.path(inside)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _hard_limit(name: str, most: int) -> int:
    line = next(line for line in Path("/proc/self/limits").read_text().splitlines() if line.startswith(name))
    value = line[len("Max realtime timeout ") :].split()[1]
    return most if value == "unlimited" else min(most, int(value))


def answers(path: Path, timeout: float = 2.0) -> bool:
    """Tell whether a Docker-compatible API answers on a unix socket."""
    return ping(path, timeout) is not None


def ping(path: Path, timeout: float = 2.0) -> dict[str, str] | None:
    """Return the headers of `GET /_ping` on a unix socket, or None when nothing answers."""
    try:
        return dict(Client(Endpoint(path=path)).get("/_ping", timeout=timeout).headers)
    except ExpectationError:
        return None

"""A container in the hands of a test."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from seatrial.exec import ExpectationError, Result
from seatrial.probes.kernel import Kernel
from seatrial.waiting import wait_until

if TYPE_CHECKING:
    from seatrial.bench import Bench


class Container:
    """A container of a test."""

    def __init__(self, bench: Bench, name: str, id_: str) -> None:
        self.bench = bench
        self.name = name
        self.id = id_

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<container {self.name}>"

    def inspect(self) -> dict[str, Any]:
        """Return the engine's description of the container."""
        return self.bench.inspect(self.name)

    @property
    def state(self) -> dict[str, Any]:
        """The `State` part of the description."""
        state: dict[str, Any] = self.inspect()["State"]
        return state

    @property
    def status(self) -> str:
        """The state in one word: created, running, paused, exited, ..."""
        return str(self.state["Status"])

    @property
    def pid(self) -> int:
        """Process id of the container's init, 0 when it does not run."""
        return int(self.state["Pid"])

    @property
    def kernel(self) -> Kernel:
        """The kernel's view of the running container; raises `ExpectationError` when it does not run.

        A test that asks for it is skipped where another kernel has the processes.
        """
        if hidden := self.bench.raw.host.hidden:
            pytest.skip(hidden)
        pid = self.pid
        if not pid:
            raise ExpectationError(f"{self.name} does not run: {self.state}\n{self.logs()}")
        return Kernel(pid)

    @property
    def address(self) -> str:
        """IPv4 address on its first network."""
        networks = self.inspect()["NetworkSettings"]["Networks"]
        return str(next(iter(networks.values()))["IPAddress"])

    def exec(self, *command: str, **options: Any) -> Result:
        """Run a command in the container."""
        return self.bench.cli("exec", self.name, *command, **options)

    def sh(self, script: str, **options: Any) -> Result:
        """Run a shell script in the container."""
        return self.exec("sh", "-c", script, **options)

    def read(self, path: str) -> str:
        """Return a file of the container, read inside."""
        return self.exec("cat", path).stdout

    def logs(self, *options: str) -> Result:
        """Return the container's logs."""
        return self.bench.cli("logs", *options, self.name)

    def wait(self, timeout: float = 30.0) -> int:
        """Wait for the container's end and return its exit code."""
        return int(self.bench.cli("wait", self.name, timeout=timeout).text)

    def until(self, what: str, condition: Callable[[], Any], timeout: float = 20.0) -> Any:
        """Wait until a condition holds; see `wait_until`."""
        return wait_until(f"{self.name}: {what}", condition, timeout)

    def until_log(self, pattern: str, timeout: float = 20.0) -> str:
        """Wait until a pattern appears in the logs; return the logs."""
        def matching() -> str:
            text = self.logs().output
            return text if re.search(pattern, text) else ""

        return str(self.until(f"/{pattern}/ in the logs", matching, timeout))

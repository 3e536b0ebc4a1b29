"""One host of a case, with its engine: all that a task does there goes through here, whatever machine it is.

Arguments and results are plain values, so that a site on another machine is spoken to in the same words.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from seatrial.exec import ExpectationError, Result
from seatrial.hosts import NamespaceHost
from seatrial.oct import evidence, waiting
from seatrial.oct.bundle import Bundle
from seatrial.oct.containers import Containers
from seatrial.oct.hostside import HostSide
from seatrial.oct.model import Container, HostPart, Require, Wait
from seatrial.oct.peaks import peaks


class Site:
    """The containers and commands of one task on one host."""

    def __init__(self, containers: Containers, bundle: Bundle, task: str) -> None:
        self._containers = containers
        self._bundle = bundle
        self._side = HostSide(containers, task)

    def words(self) -> dict[str, str]:
        """Return what variables stand for here: engine, image, label."""
        here = self._containers
        return {"engine": here.engine, "image": here.image, "label": here.label}

    def outside(self) -> tuple[str, ...]:
        """Return the mount namespaces here that are no container's."""
        host = self._containers.host
        return evidence.outside(*([host.pid] if isinstance(host, NamespaceHost) else []))

    # -- containers ----------------------------------------------------------------------------

    def prepare(self, require: Require) -> None:
        """Bring in the image of a class."""
        self._containers.prepare(require, self._bundle)

    def create(self, container: Container, argv: Sequence[str], paths: Sequence[str]) -> Result:
        """Create a container that will run a command; the files of `paths` are put into it."""
        return self._containers.create(container, argv, self._bundle, paths)

    def operate(self, name: str, operation: str, signal: str, timeout: float) -> Result:
        """Do an operation to a container."""
        return self._containers.operate(name, operation, signal, timeout)

    def exec(self, name: str, argv: Sequence[str], env: Mapping[str, str], user: str, cwd: str, stdin: str,
             timeout: float) -> Result:  # fmt: skip
        """Run a command in a container, to its end."""
        return self._containers.exec(name, argv, env, user, cwd, stdin, timeout)

    def state(self, name: str) -> str:
        """Return created, running, paused, stopped or absent."""
        return self._containers.state(name)

    def logs(self, name: str) -> tuple[str, str]:
        """Return what a container's own command has printed."""
        return self._containers.logs(name)

    def exit_code(self, name: str) -> int | None:
        """Return the exit code of a container that has ended, None where that cannot be told."""
        return self._containers.exit_code(name)

    def variables(self, name: str) -> dict[str, str]:
        """Return name, id and address of a container."""
        return self._containers.variables(name)

    def peaks(self, name: str) -> dict[str, int]:
        """Return what a container's cgroup has counted; nothing of one that ends while it is looked at."""
        try:
            return peaks(self._containers.pid(name))
        except ExpectationError:
            return {}

    # -- commands of the host ------------------------------------------------------------------

    def lay_out(self, part: HostPart) -> None:
        """Copy the files of a host object."""
        self._side.lay_out(part, self._bundle)

    def run(self, name: str, argv: Sequence[str], cwd: str, env: Mapping[str, str], stdin: str,
            timeout: float) -> Result:  # fmt: skip
        """Run a command on a host object, to its end."""
        return self._side.run(name, argv, cwd, env, stdin, timeout)

    def engine_used(self) -> None:
        """Take in that a command of the host speaks to the engine."""
        self._containers.engine_used()

    def start(self, step: str, name: str, argv: Sequence[str], cwd: str, env: Mapping[str, str]) -> None:
        """Start a command of a host object that runs beside the others."""
        self._side.start(step, name, argv, cwd, env)

    def start_inside(self, step: str, name: str, argv: Sequence[str], env: Mapping[str, str], user: str,
                     cwd: str) -> None:  # fmt: skip
        """Start a command in a container that runs beside the others."""
        self._side.start(step, name, self._containers.background(name, argv, env, user, cwd), "-", {})

    def ended(self, step: str) -> tuple[int | None, str, str]:
        """End what was started in the background; return its exit code, None when we ended it, and its streams."""
        background = self._side.backgrounds[step]
        background.end()
        return (background.code, *background.output())

    # -- both ----------------------------------------------------------------------------------

    def ready(self, wait: Wait, name: str, patience: float, step: str = "", *, host: bool = False) -> str:
        """Wait until something is ready; return what is not, empty when all is."""
        deadline = time.monotonic() + patience
        return waiting.wait_for(wait, name, self._containers, self._side, deadline, step, host=host)

    def read(self, name: str, path: str, limit: int, *, host: bool) -> bytes | None:
        """Return a file, None when it is not there; raises `ValueError` when it is refused."""
        return self._side.read(name, path, limit) if host else self._containers.read(name, path, limit)

    # -- the end -------------------------------------------------------------------------------

    def end(self) -> None:
        """End what runs in the background."""
        self._side.end()

    def close(self) -> list[str]:
        """Remove the containers and look whether they are gone; return what is left, in words."""
        return self._containers.close()

    def leaks(self) -> list[str]:
        """End the processes that are left; return those that nobody had declared, in words."""
        return self._side.leaks()

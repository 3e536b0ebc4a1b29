"""Load on a bare OCI runtime: create, start, wait, delete, with nothing around it.

A runtime's container outlives the command that made it, and nobody is told of its end but its parent: so this
process takes orphans in (PR_SET_CHILD_SUBREAPER, prctl(2)) and waits for containers as for children of its own.
All bundles share one read-only root file system.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import shutil
from collections.abc import Mapping, Sequence

from seatrial.engines.runtime import RuntimeEngine
from seatrial.errors import SeatrialError
from seatrial.exec import ANY, Result
from seatrial.oci.bundle import Bundle, minimal
from seatrial.oci.rootfs import template
from seatrial.paths import share_dir
from seatrial.stress.driver import ABORTED, RefusedError, SilentError, Spec

_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER

# the stories that a runtime can tell, and what is judged of them
STORIES = frozenset(("container", "hold", "exec"))
JUDGED = frozenset(("exits", "codes", "names"))


class RuntimeDriver:
    """The command line of a runtime; its state is in a directory of the run's own."""

    def __init__(self, engine: RuntimeEngine, run: str, timeout: float = 60.0) -> None:
        self._engine = engine
        self._timeout = timeout
        self._place = share_dir() / run / "runtime"
        (self._place / "state").mkdir(parents=True, exist_ok=True)
        self._root = template(self._place / "rootfs")
        self._aborted = False
        self._there: dict[str, int] = {}  # containers of this client and their process
        adopt()

    def _ask(self, *args: str, timeout: float = 0.0, good: Sequence[int] | None = (0,)) -> Result:
        if self._aborted and args[0] != "delete":  # what is there has to go
            raise SilentError(ABORTED)
        try:
            result = self._engine.cli("--root", str(self._place / "state"), *self._engine.options, *args, expect=ANY,
                                      timeout=timeout or self._timeout)  # fmt: skip
        except SeatrialError as error:
            raise SilentError(f"{error.message}: {error.cause}") from error
        if result.timed_out:
            raise SilentError(f"{args[0]} did not end within {timeout or self._timeout:.0f} s")
        if good is not None and result.code not in good:
            raise RefusedError("; ".join(result.stderr.strip().splitlines()[-2:]) or f"exit code {result.code}")
        return result

    def create(self, spec: Spec) -> str:
        """Create a container and return its name, which is all the id that it has."""
        bundle = Bundle(minimal()).args(*_found(spec.command)).with_(root={"path": str(self._root), "readonly": True})
        directory, pid = self._place / f"bundle-{spec.name}", self._place / f"{spec.name}.pid"
        bundle.write(directory, None, {"ID": spec.name})
        self._there[spec.name] = 0
        try:
            self._ask("create", "--bundle", str(directory), "--pid-file", str(pid), spec.name)
            self._there[spec.name] = int(pid.read_text())
        except (OSError, ValueError) as error:
            raise SilentError(f"no process id of {spec.name}: {error}") from error
        finally:
            shutil.rmtree(directory, ignore_errors=True)
            pid.unlink(missing_ok=True)
        return spec.name

    def start(self, name: str, *, ports: bool = False) -> list[str]:
        """Start a container, which publishes nothing."""
        del ports
        self._ask("start", name)
        return []

    def wait(self, name: str, timeout: float) -> int:
        """Wait for the end of a container's process; one that a signal has ended counts 128 and its number."""
        pid = self._there.get(name)
        if not pid:
            raise RefusedError(f"{name} has no process")
        code = ended(pid, timeout)
        self._there[name] = 0
        return code

    def logs(self, name: str) -> bytes:
        """Refuse: a runtime keeps no logs."""
        raise RefusedError("a runtime keeps no logs")

    def execute(self, name: str, command: tuple[str, ...]) -> tuple[int, bytes]:
        """Run a command in a container; return its exit code and standard output."""
        result = self._ask("exec", name, *_found(command), good=None)
        return result.code, result.out

    def kill(self, name: str) -> None:
        """Kill a container."""
        self._ask("kill", name, "KILL")

    def remove(self, name: str) -> None:
        """Delete a container by force, and take its end."""
        self._ask("delete", "--force", name)
        if pid := self._there.pop(name, 0):
            with contextlib.suppress(SilentError):
                ended(pid, 10.0)

    def exists(self, name: str) -> bool:
        """Tell whether the runtime knows a container, as its list says."""
        return name in self._ask("list", "--quiet").lines

    def make(self, kind: str, name: str, labels: Mapping[str, str]) -> None:
        """Refuse: a runtime has containers only."""
        raise RefusedError(f"a runtime makes no {kind}")

    def unmake(self, kind: str, name: str) -> None:
        """Refuse likewise."""
        raise RefusedError(f"a runtime has no {kind}")

    def build(self, name: str, context: bytes, labels: Mapping[str, str]) -> None:
        """Refuse likewise."""
        raise RefusedError("a runtime builds nothing")

    def tag(self, image: str, name: str) -> None:
        """Refuse likewise."""
        raise RefusedError("a runtime has no images")

    def push(self, name: str) -> None:
        """Refuse likewise."""
        self.tag(name, name)

    def pull(self, name: str) -> None:
        """Refuse likewise."""
        self.tag(name, name)

    def abort(self) -> None:
        """Start no command any more."""
        self._aborted = True

    def close(self) -> None:
        """Delete what is still there."""
        for name in list(self._there):
            with contextlib.suppress(RefusedError, SilentError):
                self.remove(name)


def _found(command: Sequence[str]) -> list[str]:
    """Return a command whose program is looked for in a shell's way, by a shell."""
    return ["/bin/sh", "-c", 'exec "$@"', "sh", *command]


def adopt() -> None:
    """Take in the processes below this one whose parents end; raises OSError where the kernel refuses."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_SUBREAPER, 1, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "prctl")


def ended(pid: int, timeout: float) -> int:
    """Wait for the end of a child and return its code as a shell counts it; raises `SilentError` after a time."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError as error:
        raise SilentError(f"process {pid}: {error.strerror}") from error
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        if not poll.poll(1000 * timeout):
            raise SilentError(f"process {pid} did not end within {timeout:.0f} s")
    finally:
        os.close(descriptor)
    try:
        _, status = os.waitpid(pid, 0)
    except ChildProcessError as error:
        raise SilentError(f"process {pid} ended as somebody else's child") from error
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code

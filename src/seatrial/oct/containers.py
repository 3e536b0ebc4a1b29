"""Containers of a case as the engine of OCT sees them: made, started, asked and removed by engine or by runtime."""

from __future__ import annotations

import contextlib
import io
import posixpath
import tarfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.exec import ExpectationError, Journal, Result
from seatrial.hosts import Host
from seatrial.oct.bundle import Bundle
from seatrial.oct.model import Container, Require

if TYPE_CHECKING:
    from seatrial.bench import Owner
    from seatrial.engines.base import CliEngine

INSIDE = "/oct"  # where the files of a container lie in it
OPERATIONS = ("create", "start", "stop", "kill", "pause", "resume", "restart", "delete", "state")


class Containers(ABC):
    """The containers of one task on one host."""

    journal: Journal
    host: Host
    engine: str  # the command that reaches the engine from the host
    image: str
    label: str
    workdir: Path  # a directory that has the same path on the host
    helpers: Collection[str] = ()  # processes of the engine that serve containers of others as well

    @abstractmethod
    def prepare(self, require: Require, files: Bundle) -> None:
        """Bring in the image of a class."""

    @abstractmethod
    def create(self, container: Container, argv: Sequence[str], files: Bundle, paths: Sequence[str]) -> Result:
        """Create a container that will run a command; the files of `paths` are put into it."""

    @abstractmethod
    def operate(self, name: str, operation: str, signal: str, timeout: float) -> Result:
        """Do one of `OPERATIONS` to a container that was created."""

    @abstractmethod
    def exec(self, name: str, argv: Sequence[str], env: Mapping[str, str], user: str, cwd: str, stdin: str,
             timeout: float) -> Result:  # fmt: skip
        """Run a command in a container, to its end."""

    @abstractmethod
    def background(self, name: str, argv: Sequence[str], env: Mapping[str, str], user: str, cwd: str) -> list[str]:
        """Return the command of the host that runs a command in a container."""

    @abstractmethod
    def state(self, name: str) -> str:
        """Return created, running, paused, stopped or absent."""

    @abstractmethod
    def logs(self, name: str) -> tuple[str, str]:
        """Return what the container's own command has printed."""

    @abstractmethod
    def exit_code(self, name: str) -> int | None:
        """Return the exit code of a container that has ended, None where that cannot be told."""

    @abstractmethod
    def pid(self, name: str) -> int:
        """Return the container's first process as this machine numbers it, 0 when it does not run."""

    @abstractmethod
    def read(self, name: str, path: str, limit: int) -> bytes | None:
        """Return a file of a container, None when it is not there; raises `ValueError` when it is too large."""

    @abstractmethod
    def variables(self, name: str) -> dict[str, str]:
        """Return name, id and address of a container."""

    def engine_used(self) -> None:
        """Take in that a command of a host speaks to the engine, and may make what carries the label."""
        return

    @abstractmethod
    def close(self) -> list[str]:
        """Remove everything and look whether it is gone; return what is left, in words."""


def made_by(driver: CliEngine, owner: Owner) -> Containers:
    """Return the containers of an engine or runtime in the hands of one task."""
    from seatrial.bench import Bench
    from seatrial.engines.runtime import RuntimeEngine
    from seatrial.oci.bench import Runtime
    from seatrial.oct.by_engine import EngineContainers
    from seatrial.oct.by_runtime import RuntimeContainers

    if isinstance(driver, RuntimeEngine):
        return RuntimeContainers(Runtime(driver, owner))
    return EngineContainers(Bench(driver, owner))


def attempt(journal: Journal, call: Callable[[], Result]) -> Result:
    """Return a command's result also where it was ended by its time-out."""
    try:
        return call()
    except ExpectationError:
        last = journal.calls[-1].result if journal.calls else None
        if isinstance(last, Result) and last.timed_out:
            return last
        raise


def placed(files: Bundle, paths: Sequence[str]) -> dict[str, str]:
    """Return where the files of a bundle lie in a container: path there -> path in the bundle."""
    found = {}
    for path in paths:
        plain = posixpath.normpath(path)
        for name in files.entries:
            if name == plain or name.startswith(f"{plain}/"):
                found[f"{INSIDE}/{name.removeprefix('source/')}"] = name
    return found


def packed(files: Bundle, paths: Sequence[str]) -> bytes:
    """Return files of a bundle as the archive that puts them into a container."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for inside, name in placed(files, paths).items():
            data = (files.root / name).read_bytes()
            info = tarfile.TarInfo(inside.lstrip("/"))
            info.size, info.mode = len(data), 0o755 if files.entries[name].executable else 0o644
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def regular_file(archive: bytes, limit: int) -> bytes | None:
    """Return the one regular file of an archive as `cp` writes it."""
    with contextlib.suppress(tarfile.TarError), tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            stream = tar.extractfile(member) if member.isfile() else None
            if stream is not None:
                if member.size > limit:
                    raise ValueError(f"it has {member.size} bytes, at most {limit} are taken")
                return stream.read()
    return None

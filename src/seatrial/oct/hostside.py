"""What a case does on its hosts: files laid out, commands run, processes that must not outlive it."""

from __future__ import annotations

import contextlib
import os
import posixpath
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from seatrial import exec as command
from seatrial import proc
from seatrial.exec import ANY, Result
from seatrial.hosts import NamespaceHost, resolve
from seatrial.oct.bundle import Bundle
from seatrial.oct.containers import Containers, attempt
from seatrial.oct.model import SOURCE, HostPart

MARK = "SEATRIAL_OCT"  # in the environment of every command of a task, and of what it leaves behind
_GRACE = 1.0


@dataclass
class Background:
    """A command that runs beside the others."""

    process: subprocess.Popen[bytes]
    stdout: Path
    stderr: Path
    code: int | None = None  # None also when it was ended by us: it has no exit code of its own
    ended: bool = False

    def end(self) -> None:
        """End its whole process group."""
        if self.ended:
            return
        self.ended = True
        try:
            if self.process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(_GRACE)
            else:
                self.code = self.process.returncode
        finally:
            command.kill_group(self.process)
            self.process.wait()

    def output(self) -> tuple[str, str]:
        """Return what it has printed so far."""
        out, err = (path.read_bytes()[: 1 << 20].decode("utf-8", "backslashreplace")
                    for path in (self.stdout, self.stderr))  # fmt: skip
        return out, err


class HostSide:
    """The hosts of one task: directories and processes on the machine that the engine runs on."""

    def __init__(self, containers: Containers, task: str) -> None:
        self.containers = containers
        self.task = task
        self.backgrounds: dict[str, Background] = {}
        self._before: set[int] | None = None  # the processes of this machine when the first command was started

    def directory(self, name: str) -> Path:
        """Return the working directory of a host object: the bundle's files lie in it as in the bundle."""
        return self.containers.workdir / f"oct-{name}"

    def lay_out(self, part: HostPart, files: Bundle) -> None:
        """Copy the files of a host object, and make source/."""
        place = self.directory(part.object)
        if part.step is None and not part.files:
            return
        (place / SOURCE).mkdir(parents=True, exist_ok=True)
        for path in part.files:
            plain = posixpath.normpath(path)
            for name, entry in files.entries.items():
                if name == plain or name.startswith(f"{plain}/"):
                    target = place / name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(files.root / name, target)
                    target.chmod(0o755 if entry.executable else 0o644)

    def _cwd(self, name: str, cwd: str) -> Path:
        place = self.directory(name) / (cwd or SOURCE)
        place.mkdir(parents=True, exist_ok=True)
        return place

    def _environment(self, env: Mapping[str, str]) -> dict[str, str]:
        if self._before is None:
            self._before = set(proc.processes())
        return {MARK: self.task, "OCT_ENGINE": self.containers.engine, "OCT_LABEL": self.containers.label, **env}

    def run(self, name: str, argv: Sequence[str], cwd: str, env: Mapping[str, str], stdin: str,
            timeout: float) -> Result:  # fmt: skip
        """Run a command on a host object to its end, or to its time-out, which ends its process group."""
        return attempt(self.containers.journal, lambda: command.run(
            argv, host=self.containers.host, expect=ANY, stdin=stdin or None, timeout=timeout,
            env=self._environment(env), cwd=self._cwd(name, cwd), journal=self.containers.journal,
        ))  # fmt: skip

    def start(self, step: str, name: str, argv: Sequence[str], cwd: str, env: Mapping[str, str]) -> Background:
        """Start a command of a step on an object that runs beside the others."""
        place = self._cwd(name, cwd) if cwd != "-" else None
        spool = self.containers.workdir / "background"
        spool.mkdir(exist_ok=True)
        paths = [spool / f"{step}.{kind}" for kind in ("out", "err")]
        with paths[0].open("wb") as out, paths[1].open("wb") as err:
            process = command.popen(
                argv, self.containers.host, self._environment(env), place, stdin=subprocess.DEVNULL,
                stdout=out.fileno(), stderr=err.fileno(),
            )  # fmt: skip
        found = Background(process, paths[0], paths[1])
        self.backgrounds[step] = found
        return found

    def read(self, name: str, path: str, limit: int) -> bytes | None:
        """Return a file of a host object, an absolute path only below /tmp; raises `ValueError` when it is refused."""
        if path.startswith("/"):
            host = self.containers.host
            root = host.root if isinstance(host, NamespaceHost) else Path("/")
            real = resolve(root, path)
            if not real.is_relative_to(root / "tmp"):  # old cases collect from there
                raise ValueError("absolute paths of hosts are taken from /tmp only")
        else:
            real = Path(os.path.realpath(self.directory(name) / SOURCE / path))
            if not real.is_relative_to(os.path.realpath(self.directory(name))):
                raise ValueError("it lies outside of the working directory")
        if not real.is_file():
            return None
        if real.stat().st_size > limit:
            raise ValueError(f"it has {real.stat().st_size} bytes, at most {limit} are taken")
        return real.read_bytes()

    def end(self) -> None:
        """End what was started in the background, the last first; an error of one does not spare the others."""
        with contextlib.ExitStack() as stack:
            for background in self.backgrounds.values():
                stack.callback(background.end)

    def leaks(self) -> list[str]:
        """End every other process of the task; return in words those that nobody had declared.

        To be asked when the containers are gone: their helpers are processes of the task as well, and end with them.
        """
        if self._before is None:
            return []
        deadline = time.monotonic() + _GRACE
        while (left := self._processes()) and time.monotonic() < deadline:
            time.sleep(0.02)
        found = [f"process {pid} ({proc.command(pid)})" for pid in left]
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 5
        while (left := self._processes()) and time.monotonic() < deadline:
            time.sleep(0.02)
        return found + [f"process {pid} cannot be ended" for pid in left]

    def _processes(self) -> list[int]:
        mark = f"{MARK}={self.task}".encode()
        found = []
        for pid in set(proc.processes()) - (self._before or set()):
            with contextlib.suppress(OSError):
                mine = mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") and proc.started(pid)
                if mine and proc.command(pid) not in self.containers.helpers:
                    found.append(pid)
        return found

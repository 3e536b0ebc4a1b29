"""Running commands that leave a process behind: their streams are files, their end is their own."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from seatrial.exec import kill_group, popen
from seatrial.hosts import Host


@dataclass(frozen=True)
class Spool:
    """Streams of a command that leaves a process behind: files, or descriptors that the caller holds.

    A process that lives on would keep pipes open, and who waits for their end waits for it. The command
    gets the descriptors of `passed` beside its streams, under the same numbers. At most `limit` bytes
    of each stream are kept.
    """

    stdin: int | None = None
    stdout: int | None = None
    stderr: int | None = None
    passed: tuple[int, ...] = ()
    limit: int = 1 << 20

    def run(
        self, argv: Sequence[str], host: Host, env: Mapping[str, str] | None, cwd: Path | str | None,
        stdin: bytes | None, timeout: float,
    ) -> tuple[int, bytes, bytes, bool]:  # fmt: skip
        """Run a command to its end or its time-out; return its exit code, output, errors, and whether it was killed."""
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            given.write(stdin or b"")
            given.seek(0)
            process = popen(
                argv, host, env, cwd,
                # never /dev/null: there are runtimes that change the owner of what they are given
                stdin=given.fileno() if self.stdin is None else self.stdin,
                stdout=out.fileno() if self.stdout is None else self.stdout,
                stderr=err.fileno() if self.stderr is None else self.stderr,
                passed=self.passed,
            )  # fmt: skip
            timed_out = False
            try:
                process.wait(timeout)
            except subprocess.TimeoutExpired:
                timed_out = True
                kill_group(process)
                process.wait()
            except BaseException:
                kill_group(process)
                raise
            return process.returncode, self._read(out), self._read(err), timed_out

    def _read(self, stream: IO[bytes]) -> bytes:
        stream.seek(0)
        return stream.read(self.limit)

"""Talking to a running command, through pipes or on a terminal."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import selectors
import shlex
import signal
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from seatrial import proc
from seatrial.exec import ANY, Call, Expect, ExpectationError, Journal, Result, check, indent, popen
from seatrial.hosts import LOCAL, Host


class Conversation:
    """A running command that a test talks to: attach, logs --follow, events, a terminal.

    Without a terminal, standard output and standard error are read apart; with one they are the
    same stream. All waits have a deadline in seconds and fail with what was seen until then.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        host: Host = LOCAL,
        tty: bool = False,
        env: Mapping[str, str] | None = None,
        cwd: Path | str | None = None,
        journal: Journal | None = None,
    ) -> None:
        self.argv = tuple(argv)
        self.call = Call(
            self.argv, time.time(), str(cwd) if cwd else None, dict(env or {}), talk=True, tty=tty
        )  # fmt: skip
        self._result: Result | None = None
        self._journal = journal
        if journal is not None:
            journal.begin(self.call)
        self._began = time.perf_counter()
        self._buffers: dict[str, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
        self._cursor = 0
        self._selector = selectors.DefaultSelector()
        self._master: int | None = None
        if tty:
            self._open_terminal(host, env, cwd)
        else:
            self._open_pipes(host, env, cwd)

    def _open_pipes(self, host: Host, env: Mapping[str, str] | None, cwd: Path | str | None) -> None:
        pipe = subprocess.PIPE
        self.process = popen(self.argv, host, env, cwd, stdin=pipe, stdout=pipe, stderr=pipe)
        assert self.process.stdin is not None  # noqa: S101 - for the type checker: a pipe
        os.set_blocking(self.process.stdin.fileno(), False)
        for name, stream in (("stdout", self.process.stdout), ("stderr", self.process.stderr)):
            assert stream is not None  # noqa: S101 - for the type checker: both are pipes
            os.set_blocking(stream.fileno(), False)
            self._selector.register(stream.fileno(), selectors.EVENT_READ, name)

    def _open_terminal(self, host: Host, env: Mapping[str, str] | None, cwd: Path | str | None) -> None:
        self._master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (24, 80))
        try:
            # setsid makes the terminal the controlling one, so that ^C becomes a signal where a
            # client leaves the terminal cooked.
            entered = host.enter(self.argv, cwd)
            wrapped = ["setsid", "--ctty", "--wait", *entered]
            self.process = popen(
                wrapped, LOCAL, {**host.environment, "TERM": "xterm", **(env or {})},
                cwd if entered == list(self.argv) else None, stdin=slave, stdout=slave, stderr=slave,
            )  # fmt: skip
        finally:
            os.close(slave)
        os.set_blocking(self._master, False)
        self._selector.register(self._master, selectors.EVENT_READ, "stdout")

    @property
    def stdout(self) -> str:
        """Everything read from standard output (or the terminal) so far."""
        self._pump(0)
        return self._buffers["stdout"].decode("utf-8", "backslashreplace")

    @property
    def stderr(self) -> str:
        """Everything read from standard error so far."""
        self._pump(0)
        return self._buffers["stderr"].decode("utf-8", "backslashreplace")

    def send(self, text: str | bytes, timeout: float = 20.0) -> None:
        """Write all of it to standard input or type it on the terminal.

        Raises `ExpectationError` with what was seen when the command has closed its end, or does not
        take all of it within `timeout` seconds.
        """
        rest = text.encode() if isinstance(text, str) else text
        self.call.stdin = (self.call.stdin or b"") + rest
        place = self._master
        if place is None:
            if self.process.stdin is None:
                raise ValueError("standard input is closed")
            place = self.process.stdin.fileno()
        deadline = time.monotonic() + timeout
        while rest:
            if self._master is not None and self.process.poll() is not None:  # a terminal takes it all the same
                raise ExpectationError(f"nobody listens any more\n{self._seen()}")
            try:
                rest = rest[os.write(place, rest) :]
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise ExpectationError(
                        f"{len(rest)} bytes were not taken within {timeout:.0f} s\n{self._seen()}"
                    ) from None
                self._pump(0)  # a command may have to be heard before it listens
                select.select([], [place], [], 0.1)
            except OSError as error:  # EPIPE of a pipe, EIO of a terminal
                raise ExpectationError(f"nobody listens any more: {error.strerror}\n{self._seen()}") from error

    def close_stdin(self) -> None:
        """Close standard input."""
        self.call.ended = True
        if self.process.stdin:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
            self.process.stdin = None

    def close_stdout(self) -> None:
        """Close the reading end of standard output, as a pager that quits does."""
        if self.process.stdout:
            self._selector.unregister(self.process.stdout.fileno())
            self.process.stdout.close()

    def resize(self, rows: int, columns: int) -> None:
        """Change the size of the terminal."""
        if self._master is None:
            raise ValueError("no terminal to resize")
        termios.tcsetwinsize(self._master, (rows, columns))
        os.killpg(os.getpgid(self.pid), signal.SIGWINCH)

    @property
    def pid(self) -> int:
        """Process id of the command itself."""
        if self._master is None:
            return self.process.pid
        return next(iter(proc.children(self.process.pid)), self.process.pid)

    def signal(self, number: int) -> None:
        """Send a signal to the command."""
        if self._journal is not None:
            self._journal.note(f"signal {number} was sent to: {shlex.join(self.argv)}")
        os.kill(self.pid, number)

    def wait_for(self, pattern: str, timeout: float = 20.0) -> str:
        """Wait until a regular expression appears in what was not yet matched; return the match."""
        deadline = time.monotonic() + timeout
        while True:
            text = self.stdout
            if found := re.search(pattern, text[self._cursor :], re.MULTILINE):
                self._cursor += found.end()
                return found.group(0)
            left = deadline - time.monotonic()
            if left <= 0 or not self._pump(min(left, 0.25)):
                if found := re.search(pattern, self.stdout[self._cursor :], re.MULTILINE):
                    self._cursor += found.end()
                    return found.group(0)
                raise ExpectationError(f"/{pattern}/ did not appear within {timeout:.0f} s\n{self._seen()}")

    def wait(self, expect: Expect = ANY, timeout: float = 20.0) -> Result:
        """Wait for the command's end and return its result; `expect` as for `run`."""
        deadline = time.monotonic() + timeout
        while self.process.poll() is None and time.monotonic() < deadline:
            if not self._pump(0.05):
                time.sleep(0.01)
        timed_out = self.process.poll() is None
        if timed_out:
            self.kill()
        self._pump(0)
        return check(self._finish(timed_out), expect)

    def _finish(self, timed_out: bool) -> Result:
        if self._result is None:
            self._result = self.call.result = Result(
                self.argv,
                self.process.returncode,
                bytes(self._buffers["stdout"]),
                bytes(self._buffers["stderr"]),
                time.perf_counter() - self._began,
                timed_out,
            )
        return self._result

    def kill(self) -> None:
        """End the command and its group at once."""
        for pid in {self.process.pid, self.pid if self.process.poll() is None else self.process.pid}:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(os.getpgid(pid), signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=10)

    def close(self) -> None:
        """End the command if it still runs and give back its descriptors."""
        if self.process.poll() is None:
            self.kill()
        self._pump(0)
        self._finish(timed_out=False)
        self._selector.close()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()
        if self._master is not None:
            os.close(self._master)
            self._master = None

    def __enter__(self) -> Conversation:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _seen(self) -> str:
        return f"$ {shlex.join(self.argv)}\n{indent('stdout', self.stdout)}\n{indent('stderr', self.stderr)}"

    def _pump(self, timeout: float) -> bool:
        """Read what is there; False when every stream has ended."""
        while self._selector.get_map():
            ready = self._selector.select(timeout)
            if not ready:
                return True
            for key, _ in ready:
                try:
                    data = os.read(key.fd, 65536)
                except BlockingIOError:
                    continue
                except OSError:
                    data = b""  # a terminal whose other side is closed reads as EIO
                if data:
                    self._buffers[key.data] += data
                else:
                    self._selector.unregister(key.fd)
            timeout = 0
        return False

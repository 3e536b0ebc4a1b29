"""The one way to run a command: argv, timeout, environment, log, expected exit code.

`run` waits for a command, a `conversation.Conversation` talks to one. Both take the host that the
command runs on, both write what happened into a `Journal`, from which a failing test prints its last
commands and leaves `repro.sh`.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from seatrial import repro
from seatrial.errors import SeatrialError
from seatrial.hosts import LOCAL, Host
from seatrial.repro import Files

if TYPE_CHECKING:
    from seatrial.spool import Spool

# The mark by which `seatrial clean` recognises processes of a run that was killed.
RUN_VARIABLE = "SEATRIAL_RUN"

Stdin = bytes | str | None


class Failure:
    """The expectation of any exit code but zero."""

    def __repr__(self) -> str:
        return "any exit code but 0"


FAILURE = Failure()
ANY = None
Expect = int | Collection[int] | Failure | None


class ExpectationError(AssertionError):
    """A command ended otherwise than the test said it would."""


class MissingFieldError(ExpectationError, KeyError):
    """A field is not there in what an engine told."""

    def __str__(self) -> str:
        return str(self.args[0])  # a KeyError would quote it


class Told(dict[str, Any]):
    """A JSON object that an engine wrote: a field that it lacks is the engine's failure, not that of the test."""

    def __missing__(self, name: object) -> Any:
        raise MissingFieldError(f"there is no {name!r} among {', '.join(sorted(self)) or 'no fields'}")


@dataclass(frozen=True, repr=False)
class Result:
    """What a command did: exit code (negative: ended by that signal), output, duration in seconds."""

    argv: tuple[str, ...]
    code: int
    out: bytes
    err: bytes
    duration: float
    timed_out: bool = False

    @cached_property
    def stdout(self) -> str:
        """Standard output as text; bytes that are not UTF-8 are shown escaped."""
        return self.out.decode("utf-8", "backslashreplace")

    @cached_property
    def stderr(self) -> str:
        """Standard error as text; bytes that are not UTF-8 are shown escaped."""
        return self.err.decode("utf-8", "backslashreplace")

    @property
    def text(self) -> str:
        """Standard output without surrounding white space."""
        return self.stdout.strip()

    @property
    def lines(self) -> list[str]:
        """The lines of standard output."""
        return self.stdout.splitlines()

    @property
    def output(self) -> str:
        """Standard output, then standard error."""
        return self.stdout + self.stderr

    @property
    def ok(self) -> bool:
        """Whether the exit code is zero."""
        return self.code == 0

    def json(self) -> Any:
        """Return standard output as JSON; raises `ExpectationError` when it is none."""
        return parsed(self.stdout, str(self))

    def __repr__(self) -> str:
        command = shlex.join(self.argv)
        return f"<exit {self.code}: {command if len(command) < 120 else command[:117] + '...'}>"

    def __str__(self) -> str:
        ending = "timed out" if self.timed_out else f"exit {self.code}"
        parts = [f"$ {shlex.join(self.argv)}", f"  {ending} after {self.duration:.2f} s"]
        for name, text in (("stdout", self.stdout), ("stderr", self.stderr)):
            if text:
                parts.append(indent(name, text))
        return "\n".join(parts)


def parsed(text: str | bytes, evidence: str = "", name: str = "this") -> Any:
    """Return as JSON what an engine wrote, its objects as `Told`.

    Raises `ExpectationError` with the evidence (the text) when it is none; `name` is what the text is called there.
    """
    try:
        return json.loads(text, object_hook=Told)
    except ValueError as error:
        shown = text if isinstance(text, str) else text.decode("utf-8", "backslashreplace")
        raise ExpectationError(f"{name} is no JSON: {error}\n{evidence or indent('text', shown)}") from error


def indent(name: str, text: str, limit: int = 4000) -> str:
    """Return a stream's text as messages show it: each line with its name, the middle of long ones left out."""
    if len(text) > limit:
        half = limit // 2
        text = f"{text[:half]}\n[... {len(text) - limit} characters ...]\n{text[-half:]}"
    return "\n".join(f"  {name}| {line}" for line in text.splitlines())


class Outcome(Protocol):
    """What a journal keeps of an ended call: a command's `Result`, or the answer to a request; `str` tells all."""

    @property
    def ok(self) -> bool:
        """Whether it was done and not refused."""

    @property
    def duration(self) -> float:
        """Seconds that it took."""

    @property
    def timed_out(self) -> bool:
        """Whether it did not end by itself."""


@dataclass
class Call:
    """One journal entry: how a command was called and what came of it."""

    argv: tuple[str, ...]
    started: float
    cwd: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    stdin: bytes | None = None
    result: Outcome | None = None
    before: list[str] = field(default_factory=list)  # shell lines that make the files it may need
    talk: bool = False  # it runs beside the others; `stdin` is what was typed so far
    tty: bool = False
    ended: bool = False  # its standard input was closed


class Journal:
    """Every command of one test, in order, with the files that the test made for them."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.notes: list[str] = []
        self._files = Files()
        self._watched: list[Path] = []

    def watch(self, directory: Path) -> None:
        """Keep what the test puts into a directory before each command, so that `repro` can put it there."""
        if directory not in self._watched:
            self._watched.append(directory)

    def ignore(self, directory: Path) -> None:
        """Leave out a part of a watched directory."""
        self._files.ignore(directory)

    def note(self, text: str) -> None:
        """Say once at the head of `repro` what a script cannot repeat, so that whoever runs it knows before."""
        if text not in self.notes:
            self.notes.append(text)

    def begin(self, call: Call) -> None:
        """Take in a command that is about to start."""
        call.before = [line for directory in self._watched for line in self._files.changes(directory)]
        self.calls.append(call)

    def end(self) -> None:
        """Take in that a command has ended: files that it wrote, it will write again."""
        for directory in self._watched:
            self._files.note(directory)

    def log(self) -> str:
        """Return the whole journal as text, with UTC times."""
        return "\n".join(_render(call) for call in self.calls)

    def tail(self, count: int = 4) -> str:
        """Return the last commands as text."""
        return "\n".join(_render(call) for call in self.calls[-count:])

    def repro(self, preamble: str = "") -> str:
        """Return a shell script that repeats the commands in order, without the harness.

        Commands that ended in failure do not stop it: the point of the script is to get as far as
        the test did. What it cannot repeat, it says at its end.
        """
        head = [*preamble.splitlines(), *(["What this script does not make:"] if self.notes else []), *self.notes]
        lines = ["#!/bin/sh", *(f"# {line}" for line in head), "set -x", "{"]
        talks = 0
        for call in self.calls:
            talks += call.talk
            lines += [*call.before, _shell(call, talks)]
        if talks:
            lines += ["code=$?", f"kill {' '.join(f'$p{number}' for number in range(1, talks + 1))}", "(exit $code)"]
        # one block, read as a whole: no command can take the rest of the script for its input
        lines += [":" if not self.calls else "", "} </dev/null"]
        return "\n".join([*filter(None, lines), *(f"# {line}" for line in self._unrepeated())]) + "\n"

    def _unrepeated(self) -> list[str]:
        lines = [f"missing: {what}" for what in self._files.missing]
        if any(call.talk and call.stdin for call in self.calls):
            lines.append("what was typed, in turns with what was seen, is typed at once")
        if any(_ID.search(word) for call in self.calls for word in call.argv):
            lines.append("ids in the commands are those of the test; the engine gives out others")
        lines += [f"remains: {directory}" for directory in self._watched]
        return ["", "Not repeated: what the test did itself (waiting, reading files, asking the kernel)", *lines]


_ID = re.compile(r"\b[0-9a-f]{64}\b")


def _render(call: Call) -> str:
    stamp = time.strftime("%H:%M:%S", time.gmtime(call.started)) + f".{int(call.started % 1 * 1000):03d}"
    body = str(call.result) if call.result else f"$ {shlex.join(call.argv)}\n  did not end"
    return f"[{stamp}] {body}"


def _shell(call: Call, talks: int) -> str:
    if call.talk:
        return repro.spawned(
            call.argv, call.env, call.cwd, call.stdin or b"", tty=call.tty, ended=call.ended, number=talks
        )  # fmt: skip
    # a command that did not end would hold up the script as it held up the test
    timeout = max(1, round(call.result.duration)) if call.result and call.result.timed_out else 0
    return repro.command(call.argv, call.env, call.cwd, call.stdin, timeout)


def base_environment() -> dict[str, str]:
    """Return the environment that every command starts from: nothing of the user's but the path."""
    kept = {name: os.environ[name] for name in ("PATH", RUN_VARIABLE) if name in os.environ}
    home = "/root" if os.geteuid() == 0 else str(Path.home())
    return {"LANG": "C.UTF-8", "HOME": home, **kept}


def run(
    argv: Sequence[str],
    *,
    host: Host = LOCAL,
    expect: Expect = 0,
    stdin: Stdin = None,
    timeout: float = 60.0,
    env: Mapping[str, str] | None = None,
    cwd: Path | str | None = None,
    journal: Journal | None = None,
    stdout: str | None = None,
    stderr: str | None = None,
    spool: Spool | None = None,
) -> Result:
    """Run a command to its end and return its `Result`.

    `argv` is a list, never a shell string. `expect` is the exit code (or several, `FAILURE`, or
    `ANY`); `stdout` and `stderr` are regular expressions that must be found in the streams. Anything
    else raises `ExpectationError` with the command, its streams and its duration. After `timeout`
    seconds the whole process group is killed and the result is marked. With `spool` the streams are
    files or what it names, so that the end of the command is its own and not that of its children.
    """
    call = Call(tuple(argv), time.time(), str(cwd) if cwd else None, dict(env or {}), _bytes(stdin))
    if journal is not None:
        journal.begin(call)
    began = time.perf_counter()
    if spool is not None:
        code, out, err, timed_out = spool.run(argv, host, env, cwd, call.stdin, timeout)
    else:
        code, out, err, timed_out = _piped(argv, host, env, cwd, call.stdin, timeout)
    result = Result(call.argv, code, out, err, time.perf_counter() - began, timed_out)
    call.result = result
    if journal is not None:
        journal.end()
    check(result, expect, stdout, stderr)
    return result


def _piped(
    argv: Sequence[str], host: Host, env: Mapping[str, str] | None, cwd: Path | str | None, stdin: bytes | None,
    timeout: float,
) -> tuple[int, bytes, bytes, bool]:  # fmt: skip
    process = popen(
        argv,
        host,
        env,
        cwd,
        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    timed_out = False
    try:
        out, err = process.communicate(stdin, timeout=timeout)
    except subprocess.TimeoutExpired:
        timed_out = True
        kill_group(process)
        out, err = _drain(process)
    except BaseException:
        kill_group(process)
        _drain(process)
        raise
    return process.returncode, out, err, timed_out


_BACKGROUND: list[subprocess.Popen[bytes]] = []


def background(
    argv: Sequence[str], *, stdout: int | IO[bytes], stderr: int | IO[bytes], env: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start a process of our own (a lab's keeper, a daemon) that goes on when its caller returns; `env` is whole."""
    _BACKGROUND[:] = [process for process in _BACKGROUND if process.poll() is None]
    process = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, env=env, start_new_session=True,
    )  # fmt: skip
    _BACKGROUND.append(process)  # kept, because a forgotten process is reported as lost by Python
    return process


@atexit.register
def _let_go() -> None:
    """Have Python not report at its end what was meant to go on."""
    for process in _BACKGROUND:
        if process.poll() is None:
            process.returncode = 0


def check(
    result: Result, expect: Expect = 0, stdout: str | None = None, stderr: str | None = None
) -> Result:
    """Hold a result against an expectation; raises `ExpectationError` with both."""
    problem = _problem(result, expect, stdout, stderr)
    if problem:
        raise ExpectationError(f"{problem}\n{result}")
    return result


def _problem(result: Result, expect: Expect, stdout: str | None, stderr: str | None) -> str:
    if result.timed_out:
        return f"the command did not end within {result.duration:.0f} s"
    if not _matches(result.code, expect):
        return f"expected {_words(expect)}, seen exit code {result.code}"
    for name, pattern, text in (("stdout", stdout, result.stdout), ("stderr", stderr, result.stderr)):
        if pattern is not None and not re.search(pattern, text, re.MULTILINE):
            return f"expected {name} to match /{pattern}/"
    return ""


def _matches(code: int, expect: Expect) -> bool:
    if expect is None:
        return True
    if isinstance(expect, Failure):
        return code != 0
    return code == expect if isinstance(expect, int) else code in expect


def _words(expect: Expect) -> str:
    return f"exit code {expect}" if isinstance(expect, int) else str(expect)


def _bytes(stdin: Stdin) -> bytes | None:
    return stdin.encode() if isinstance(stdin, str) else stdin


def popen(
    argv: Sequence[str],
    host: Host,
    env: Mapping[str, str] | None,
    cwd: Path | str | None,
    *,
    stdin: int,
    stdout: int,
    stderr: int,
    passed: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a command on a host as all commands are started; raises `SeatrialError` E101 when it cannot."""
    environment = {**base_environment(), **host.environment, **(env or {})}
    entered = host.enter(argv, cwd)
    try:
        return subprocess.Popen(
            entered,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=environment,
            cwd=cwd if entered == list(argv) else None,
            start_new_session=True,
            pass_fds=tuple(passed),
        )
    except OSError as error:
        raise SeatrialError(
            "E101",
            f"cannot start {argv[0]}",
            error.strerror or str(error),
            f"install {argv[0]} or name another target with --engine",
        ) from error


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and its group at once."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _drain(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    # A child that left the group may hold the pipes open for ever; what was read so far is enough.
    try:
        return process.communicate(timeout=2)
    except subprocess.TimeoutExpired as error:
        for pipe in (process.stdout, process.stderr, process.stdin):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()
        process.wait()
        return error.stdout or b"", error.stderr or b""

"""Talking to the probe: requests in, one line of JSON out, each with the nonce that proves who answers."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import quote

from seatrial.exec import ExpectationError
from seatrial.oci.observe import Node, Seen, name_of, parse

# what the probe gets to answer; an act that lasts says so itself
PATIENCE = 15.0

Request = Sequence[str | int | bytes]
_LIMIT = 1 << 22  # more than this on one line is no answer


def request(*words: str | int | bytes) -> bytes:
    """Return the line that asks the probe for something: the name of an act and its words."""
    quoted = (quote(word if isinstance(word, bytes) else str(word), safe="/ ") for word in words)
    return "\t".join(quoted).encode() + b"\n"


class Answers:
    """What the probe of one container said: its report, then an answer a request."""

    def __init__(self, seen: Seen, values: Sequence[Any]) -> None:
        self.seen = seen
        self.values = list(values)

    def names(self) -> list[str]:
        """Return the answers of acts that end with an error number, by name; "ok" is none."""
        return [name_of(value["error"] if isinstance(value, Mapping) else value) for value in self.values]


def requests(acts: Sequence[Request]) -> bytes:
    """Return the lines of requests; the last one ends the probe, because an engine may lose the end of its input."""
    return b"".join(request(*act) for act in (*acts, ("exit", 0)))


def answers(text: str, nonce: str, count: int) -> Answers:
    """Read a report and so many answers; raises `ExpectationError` when any is missing."""
    lines = [line for line in text.splitlines(keepends=True) if line.startswith(f"{nonce} ")]
    if len(lines) != count + 1:
        raise ExpectationError(f"the probe gave {len(lines)} answers instead of {count + 1}:\n{text[:500]}")
    report, *values = (parse(line, nonce) for line in lines)
    return Answers(Seen(report), values)


@dataclass(frozen=True)
class Ended:
    """How a program that the probe started ended: exit code (negative: the signal), output, error by name."""

    code: int
    out: str
    error: str


class Probe:
    """The probe of one container, at the other end of two descriptors of ours."""

    def __init__(self, nonce: str, requests: int, answers: int) -> None:
        self._nonce = nonce
        self._requests = requests
        self._answers = answers
        self._pending = b""
        self.noise = ""  # what came before an answer and was none

    @cached_property
    def seen(self) -> Seen:
        """The report that the probe gives when it starts."""
        return Seen(self._answer(PATIENCE))

    def ask(self, act: str, *words: str | int | bytes, patience: float = PATIENCE) -> Any:
        """Have the probe do something and return its answer."""
        _ = self.seen
        try:
            os.write(self._requests, request(act, *words))
        except BrokenPipeError:
            raise ExpectationError(f"the probe is gone before it was asked to {act}") from None
        answer = self._answer(patience)
        if isinstance(answer, dict) and "unknown" in answer:
            raise ValueError(f"the probe knows no act {act!r}")
        return answer

    def report(self) -> Seen:
        """Return a report of now."""
        return Seen(self.ask("report"))

    def _answer(self, patience: float) -> Any:
        deadline = time.monotonic() + patience
        while (line := self._next_line()) is None:
            if len(self._pending) + len(self.noise) > _LIMIT:
                raise ExpectationError(f"the probe's place is taken by something that does not end{self._heard()}")
            if not select.select([self._answers], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise ExpectationError(f"the probe did not answer within {patience:.0f} s{self._heard()}")
            self._pending += self._read()
        return parse(line.decode("utf-8", "backslashreplace").rstrip("\r") + "\n", self._nonce)

    def _next_line(self) -> bytes | None:
        """Take the next line that has the nonce from what was read; everything before it is noise."""
        *lines, rest = self._pending.split(b"\n")
        for number, line in enumerate(lines):
            if line.startswith(self._nonce.encode() + b" "):
                self._note(lines[:number])
                self._pending = b"\n".join([*lines[number + 1 :], rest])
                return line
        self._note(lines)
        self._pending = rest
        return None

    def _note(self, lines: list[bytes]) -> None:
        self.noise += "".join(line.decode("utf-8", "backslashreplace") + "\n" for line in lines)

    def _read(self) -> bytes:
        try:
            chunk = os.read(self._answers, 1 << 16)
        except OSError:  # a terminal whose other end is closed
            chunk = b""
        if not chunk:
            raise ExpectationError(f"the probe ended without an answer{self._heard()}")
        return chunk

    def _heard(self) -> str:
        text = self.noise + self._pending.decode("utf-8", "backslashreplace")
        return f"; heard instead: {text[:500]!r}" if text else ""

    def close(self) -> None:
        """Let go of the descriptors; the probe ends with its input."""
        for descriptor in {self._requests, self._answers}:
            os.close(descriptor)

    # -- acts, in words ------------------------------------------------------------------------

    def open(self, path: str, flags: int = os.O_RDONLY) -> str:
        """Open a file; "ok" or the error's name."""
        return name_of(self.ask("open", path, flags))

    def read(self, path: str) -> str:
        """Return a file's text; raises `ExpectationError` with the error's name when it cannot be read."""
        answer = self.ask("read", path)
        if answer["text"] is None:
            raise ExpectationError(f"{path} cannot be read in the container: {name_of(answer['error'])}")
        return str(answer["text"])

    def write(self, path: str, text: str = "x", flags: int = os.O_WRONLY | os.O_CREAT) -> str:
        """Write into a file, made when it is not there; "ok" or the error's name."""
        return name_of(self.ask("write", path, text, flags))

    def names(self, path: str) -> set[str]:
        """Return the names in a directory; raises `ExpectationError` when it cannot be read."""
        found = self.ask("list", path)
        if found is None:
            raise ExpectationError(f"{path} cannot be listed in the container")
        return set(found)

    def stat(self, path: str) -> Node:
        """Look at a file, not following a link; raises `ExpectationError` when it is not there."""
        fields = self.ask("stat", path)
        if fields is None:
            raise ExpectationError(f"there is no {path} in the container")
        return Node.read(fields)

    def exists(self, path: str) -> bool:
        """Tell whether there is a file of this name."""
        return self.ask("stat", path) is not None

    def act(self, name: str, *words: str | int) -> str:
        """Do mkdir, unlink, chmod, chown; "ok" or the error's name."""
        return name_of(self.ask(name, *words))

    def call(self, number: int, *words: str | int) -> str:
        """Make a system call by its number; texts are passed as such; "ok" or the error's name."""
        given = [word if isinstance(word, int) else f"={word}" for word in words]
        return name_of(self.ask("syscall", number, *given)["error"])

    def exec(self, *argv: str, patience: float = PATIENCE) -> Ended:
        """Run a program in the container as a child of the probe."""
        return _ended(self.ask("exec", *argv, patience=patience))

    def take(self, size: int) -> Ended:
        """Have a child use so many bytes of memory."""
        return _ended(self.ask("take", size, patience=60))

    def fork(self, most: int) -> tuple[int, str]:
        """Return how many children could be had at once, and the error of the first that could not."""
        answer = self.ask("fork", most)
        return int(answer["children"]), name_of(answer["error"])

    def spin(self, seconds: int) -> float:
        """Return which part of a processor a child gets that wants it for so many seconds."""
        words = _ended(self.ask("spin", seconds, patience=seconds + 2 * PATIENCE)).out.split()
        user, system, elapsed = (float(word) for word in words)
        return (user + system) / elapsed

    def signals(self) -> list[str]:
        """Return the signals that arrived so far, by name, in order."""
        names: list[str] = self.ask("signals")
        return names


def _ended(answer: dict[str, Any]) -> Ended:
    if "error" in answer:
        raise ExpectationError(f"the probe could not start a child: {name_of(answer['error'])}")
    status, out = int(answer["status"]), str(answer["out"])
    head, mark, number = out.rpartition("errno=")
    if mark and number.isdigit():
        return Ended(os.waitstatus_to_exitcode(status), head, name_of(number))
    return Ended(os.waitstatus_to_exitcode(status), out, "ok")

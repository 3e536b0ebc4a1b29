"""What engines put into bodies that do not end: frames, JSON values, and the reader of a live connection."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any

from seatrial.exec import Call, ExpectationError, Told, indent

if TYPE_CHECKING:
    from seatrial.api.messages import Response

STDIN, STDOUT, STDERR = 0, 1, 2
_HEADER = 8
_PIECE = 65536


@dataclass(frozen=True)
class Frame:
    """One frame of a multiplexed stream: 0 is standard input, 1 output, 2 error."""

    stream: int
    data: bytes


class Frames(list[Frame]):
    """The frames of a stream, in order."""

    @property
    def stdout(self) -> bytes:
        """What standard output carried."""
        return b"".join(frame.data for frame in self if frame.stream == STDOUT)

    @property
    def stderr(self) -> bytes:
        """What standard error carried."""
        return b"".join(frame.data for frame in self if frame.stream == STDERR)

    @property
    def streams(self) -> set[int]:
        """Which streams spoke."""
        return {frame.stream for frame in self}


class Demultiplexer:
    """Takes a multiplexed stream in pieces of any size and gives out its frames.

    A frame is a byte with the stream's number, three zero bytes, the length as four bytes big endian, the
    data (Docker's API reference, ContainerAttach, "Stream format").
    """

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield the frames that are whole by now; raises `ExpectationError` on a header that is none."""
        self._rest += data
        while len(self._rest) >= _HEADER:
            stream, padding = self._rest[0], bytes(self._rest[1:4])
            if stream > STDERR or padding != b"\0\0\0":
                raise ExpectationError(f"no frame begins with {bytes(self._rest[:_HEADER])!r}")
            end = _HEADER + int.from_bytes(self._rest[4:_HEADER], "big")
            if len(self._rest) < end:
                return
            yield Frame(stream, bytes(self._rest[_HEADER:end]))
            del self._rest[:end]

    def finish(self) -> None:
        """Raise `ExpectationError` when the stream ended within a frame."""
        if self._rest:
            raise ExpectationError(f"the stream ends within a frame: {bytes(self._rest[:80])!r}")


def demultiplex(data: bytes) -> Frames:
    """Return the frames of a whole stream; raises `ExpectationError` on a broken or cut one."""
    parser = Demultiplexer()
    frames = Frames(parser.feed(data))
    parser.finish()
    return frames


def json_values(data: bytes, *, whole: bool = True) -> list[Any]:
    """Return the JSON values that follow each other in a body, with or without line breaks between.

    Raises `ExpectationError` on what is no JSON; without `whole` a cut-off last value is left out.
    """
    text = data.decode("utf-8", "backslashreplace")
    decoder = json.JSONDecoder(object_hook=Told)
    values: list[Any] = []
    place = 0
    while match := re.compile(r"\s*(?=\S)").match(text, place):
        try:
            value, place = decoder.raw_decode(text, match.end())
        except ValueError as error:
            if not whole:
                break
            raise ExpectationError(f"no JSON: {error}\n{indent('body', text)}") from None
        values.append(value)
    return values


class Stream:
    """A live body, or after an upgrade the connection itself: what arrives is read beside the test.

    All waits have a deadline in seconds and fail with what was seen until then.
    """

    def __init__(
        self, response: Response, connection: socket.socket, body: HTTPResponse, call: Call, *, hijacked: bool
    ) -> None:  # fmt: skip
        self.response = response
        self._connection = connection
        self._body = body
        # what follows an upgrade is no body, but some of it may have been read with the head
        self._source = body.fp if hijacked else body
        self._call = call
        self._data = bytearray()
        self._cursor = 0
        self._ended = False
        self._trouble = ""
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._pump, daemon=True)
        self._thread.start()

    def _pump(self) -> None:
        trouble = ""
        try:
            while piece := self._source.read1(_PIECE):
                with self._news:
                    self._data += piece
                    self._news.notify_all()
        except Exception as error:  # whatever breaks a stream is told to who waits for it
            trouble = f"{type(error).__name__}: {error}"
        with self._news:
            self._ended, self._trouble = True, trouble
            self._news.notify_all()

    @property
    def data(self) -> bytes:
        """All that arrived so far."""
        with self._news:
            return bytes(self._data)

    @property
    def ended(self) -> bool:
        """Whether the other side has finished."""
        with self._news:
            return self._ended

    def wait(self, what: str, condition: Callable[[bytes], Any], timeout: float = 20.0) -> Any:
        """Wait until a condition of all data so far is true; return its value.

        Raises `ExpectationError` when the stream ends or the time is over before that.
        """
        deadline = time.monotonic() + timeout
        with self._news:
            while True:
                if value := condition(bytes(self._data)):
                    return value
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    how = f"ended{f' ({self._trouble})' if self._trouble else ''}" if self._ended else "went on"
                    raise ExpectationError(f"waited for {what}; the stream {how}\n{self._seen()}")
                self._news.wait(left)

    def until(self, pattern: bytes, timeout: float = 20.0) -> re.Match[bytes]:
        """Wait for a pattern after what was found last; return the match."""
        match: re.Match[bytes] = self.wait(
            repr(pattern), lambda data: re.compile(pattern, re.DOTALL).search(data, self._cursor), timeout
        )
        self._cursor = match.end()
        return match

    def rest(self, timeout: float = 20.0) -> bytes:
        """Wait for the end and return all data; raises `ExpectationError` on a broken end."""
        deadline = time.monotonic() + timeout
        with self._news:
            while not self._ended:
                if (left := deadline - time.monotonic()) <= 0:
                    raise ExpectationError(f"no end within {timeout:.0f} s\n{self._seen()}")
                self._news.wait(left)
            if self._trouble:
                raise ExpectationError(f"the stream broke: {self._trouble}\n{self._seen()}")
            return bytes(self._data)

    def frames(self, timeout: float = 20.0) -> Frames:
        """Wait for the end and return the frames."""
        return demultiplex(self.rest(timeout))

    def records(self, count: int, timeout: float = 20.0) -> list[Any]:
        """Wait for a number of JSON values and return all that are whole by then."""
        found: list[Any] = self.wait(
            f"{count} JSON values",
            lambda data: seen if len(seen := json_values(data, whole=False)) >= count else None, timeout,
        )  # fmt: skip
        return found

    def record(self, what: str, condition: Callable[[Any], object], timeout: float = 20.0) -> Any:
        """Wait for a JSON value for which a condition holds and return it."""
        return self.wait(what, lambda data: next(filter(condition, json_values(data, whole=False)), None), timeout)

    def send(self, data: bytes) -> None:
        """Send bytes; raises `ExpectationError` when the other side is gone."""
        self._call.stdin = (self._call.stdin or b"") + data
        try:
            self._connection.sendall(data)
        except OSError as error:
            raise ExpectationError(f"nobody listens any more: {error.strerror}\n{self._seen()}") from error

    def end_input(self) -> None:
        """Close this side of the connection and go on reading the other (a half-close)."""
        self._call.ended = True
        self._connection.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Cut the connection."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._thread.join(timeout=10)
        self._body.close()
        self._connection.close()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _seen(self) -> str:
        return f"{self.response}\n" + indent("seen", bytes(self._data).decode("utf-8", "backslashreplace"))

"""A stub log driver; see `plugins`.

The daemon writes frames into a fifo: four bytes of length (big endian), then a protocol buffer with
1 source, 2 time in nanoseconds, 3 line, 4 partial, 5 of a part: 1 whether it is the last, 3 its number.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from seatrial.hosts import Host
from seatrial.lab.plugins import Answer, Body, PluginStub

_VARINT, _BYTES = 0, 2


@dataclass(frozen=True)
class Entry:
    """One log entry: stream (stdout or stderr), time in nanoseconds, line; of a part its number and whether it ends."""

    source: str
    nanoseconds: int
    line: bytes
    partial: bool
    ordinal: int = 0
    last: bool = False


class LogStub(PluginStub):
    """A log driver that reads and keeps what containers write; `docker logs` reads it back."""

    implements: ClassVar[tuple[str, ...]] = ("LogDriver",)

    def __init__(
        self, host: Host, name: str, *, found_by: Literal["sock", "spec", "json"] = "sock", readable: bool = True
    ) -> None:
        self.readable = readable
        self.info: dict[str, Body] = {}  # container id -> what the daemon told about it
        self._frames: dict[str, list[bytes]] = {}
        self._readers: dict[str, tuple[threading.Thread, threading.Event]] = {}
        super().__init__(host, name, found_by=found_by)

    def routes(self) -> dict[str, Answer]:
        """Answer the log driver's methods."""
        return {
            "LogDriver.StartLogging": self._start_logging,
            "LogDriver.StopLogging": self._stop_logging,
            "LogDriver.Capabilities": lambda _: {"Cap": {"ReadLogs": self.readable}},
            "LogDriver.ReadLogs": self._read_logs,
        }

    def entries(self, container: str) -> list[Entry]:
        """Return what a container (by its full id) has logged so far."""
        return [_decode(frame) for frame in list(self._frames.get(container, []))]

    def await_line(self, container: str, line: bytes, timeout: float = 20.0) -> Entry:
        """Wait until a container has logged a line."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            for entry in self.entries(container):
                if entry.line.rstrip(b"\n") == line:
                    return entry
            time.sleep(0.05)
        raise AssertionError(f"{line!r} was not logged in {timeout:.0f} s; seen: {self.entries(container)}")

    def _start_logging(self, body: Body) -> Body:
        container = body["Info"]["ContainerID"]
        self.info[container] = body["Info"]
        frames = self._frames.setdefault(container, [])
        ended = threading.Event()
        # opened before the answer: the daemon writes as soon as it has one
        descriptor = os.open(self.host.path(body["File"]), os.O_RDONLY | os.O_NONBLOCK)
        reader = threading.Thread(target=_read, args=(descriptor, frames, ended), daemon=True)
        self._readers[body["File"]] = reader, ended
        reader.start()
        return {"Err": ""}

    def _stop_logging(self, body: Body) -> Body:
        reader, ended = self._readers.pop(body["File"])
        ended.set()
        reader.join()
        return {"Err": ""}

    def _read_logs(self, body: Body) -> bytes:
        frames = list(self._frames.get(body["Info"]["ContainerID"], []))
        tail = int((body.get("Config") or {}).get("Tail") or 0)
        chosen = frames[-tail:] if tail > 0 else frames
        ended = [_ended(frame) for frame in chosen]
        return b"".join(len(frame).to_bytes(4, "big") + frame for frame in ended)

    def close(self) -> None:
        """Stop, and stop reading."""
        super().close()
        for reader, ended in self._readers.values():
            ended.set()
            reader.join()


def _read(descriptor: int, frames: list[bytes], ended: threading.Event) -> None:
    """Read frames until the daemon has closed the fifo, or, once asked to end, until it is empty."""
    buffer = bytearray()
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    try:
        while True:
            if not poll.poll(100):
                if ended.is_set():
                    return
                continue
            data = os.read(descriptor, 65536)
            if not data:
                return
            buffer += data
            while len(buffer) >= 4 and len(buffer) >= 4 + (size := int.from_bytes(buffer[:4], "big")):
                frames.append(bytes(buffer[4 : 4 + size]))
                del buffer[: 4 + size]
    finally:
        os.close(descriptor)


def _decode(frame: bytes) -> Entry:
    found: dict[int, Any] = dict(_fields(frame))
    part: dict[int, Any] = dict(_fields(found.get(5, b"")))
    return Entry(
        source=found.get(1, b"").decode(), nanoseconds=found.get(2, 0), line=found.get(3, b""),
        partial=bool(found.get(4, 0)), ordinal=part.get(3, 0), last=bool(part.get(1, 0)),
    )  # fmt: skip


def _ended(frame: bytes) -> bytes:
    """Return the frame with the end of its line, which the daemon takes away and wants back, unless it goes on.

    Of a field that stands twice the last counts.
    """
    entry = _decode(frame)
    if entry.partial and not entry.last:
        return frame
    line = entry.line + b"\n"
    return frame + _number(3 << 3 | _BYTES) + _number(len(line)) + line


def _number(value: int) -> bytes:
    """Encode a number in groups of seven bits."""
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    data.append(value)
    return bytes(data)


def _fields(frame: bytes) -> Iterator[tuple[int, int | bytes]]:
    position = 0
    while position < len(frame):
        tag, position = _varint(frame, position)
        value, position = _varint(frame, position)
        if tag & 7 == _BYTES:
            yield tag >> 3, frame[position : position + value]
            position += value
        elif tag & 7 == _VARINT:
            yield tag >> 3, value
        else:
            raise ValueError(f"a log entry has no field of wire type {tag & 7}")


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position

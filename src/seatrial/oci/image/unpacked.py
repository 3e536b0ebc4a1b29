"""The content of a blob as it comes: hashed as it is and without its compression, never more than a limit of it."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

import zstandard

PIECE = 1 << 16
# a piece of zstd may say the same block of 128 KiB in four bytes
_ZSTD_PIECE = 1 << 9
_WINDOW = 1 << 27
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2", b"\xfd7zXZ": "xz"}
_SKIPPABLE = tuple(bytes((0x50 + number, 0x2A, 0x4D, 0x18)) for number in range(16))
_HASHES: dict[str, Callable[[], hashlib._Hash]] = {"sha256": hashlib.sha256, "sha512": hashlib.sha512}
ALGORITHMS = tuple(_HASHES)


class TooLargeError(Exception):
    """More came out than the limit allows."""


class DamagedError(Exception):
    """The compression does not hold together."""


def compression(head: bytes) -> str:
    """Return what the first bytes of a file say that it is packed by, empty for none."""
    if head.startswith(_SKIPPABLE):
        return "zstd"
    return next((name for magic, name in _MAGIC.items() if head.startswith(magic)), "")


class Unpacked:
    """A blob that is read once, from its begin; `limit` bounds what comes out, in bytes."""

    def __init__(self, raw: BinaryIO, limit: int, algorithms: frozenset[str] = frozenset(("sha256",))) -> None:
        self.limit = limit
        self.size = 0  # of what was read
        self.plain_size = 0  # of what came out
        self._raw = raw
        self._hashes = {name: _HASHES[name]() for name in algorithms | {"sha256"} if name in _HASHES}
        self._plain_hashes = {name: _HASHES[name]() for name in self._hashes}
        self._first = self._piece(PIECE)
        self.compression = compression(self._first)
        unpack = {"gzip": self._gzip, "zstd": self._zstd}.get(self.compression, self._as_it_is)
        self._pieces = unpack()
        self._rest = b""

    def digest(self, algorithm: str = "sha256") -> str:
        """Return the digest of what was read."""
        return f"{algorithm}:{self._hashes[algorithm].hexdigest()}"

    def plain_digest(self, algorithm: str = "sha256") -> str:
        """Return the digest of what came out."""
        return f"{algorithm}:{self._plain_hashes[algorithm].hexdigest()}"

    def read(self, size: int) -> bytes:
        """Return so many bytes, fewer only at the end; raises `TooLargeError` and `DamagedError`."""
        parts: list[bytes] = []
        while size > 0:
            if not self._rest:
                self._rest = next(self._pieces, b"")
                if not self._rest:
                    break
                self._count(self._rest)
            part, self._rest = self._rest[:size], self._rest[size:]
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def skip(self, size: int) -> int:
        """Leave out so many bytes; return how many there were."""
        done = 0
        while done < size and (part := self.read(min(PIECE, size - done))):
            done += len(part)
        return done

    def drain(self) -> bool:
        """Read to the end; return whether anything but zeros came."""
        other = False
        while part := self.read(PIECE):
            other = other or bool(part.strip(b"\0"))
        return other

    def drain_raw(self) -> None:
        """Read what is left without unpacking it, so that size and digest of the blob are known."""
        while self._piece(PIECE):
            pass

    def _piece(self, size: int) -> bytes:
        data = self._raw.read(size)
        self.size += len(data)
        for one in self._hashes.values():
            one.update(data)
        return data

    def _count(self, data: bytes) -> None:
        self.plain_size += len(data)
        if self.plain_size > self.limit:
            raise TooLargeError
        for one in self._plain_hashes.values():
            one.update(data)

    def _raw_pieces(self, size: int = PIECE) -> Iterator[bytes]:
        for start in range(0, len(self._first), size):
            yield self._first[start : start + size]
        while data := self._piece(size):
            yield data

    def _as_it_is(self) -> Iterator[bytes]:
        yield from self._raw_pieces()

    def _gzip(self) -> Iterator[bytes]:
        unpacker = zlib.decompressobj(31)
        left = b""
        for piece in self._raw_pieces():
            left += piece
            while left:
                if unpacker.eof:
                    if not left.startswith(b"\x1f\x8b") and len(left) > 1:
                        raise DamagedError("something follows the end of the gzip stream")
                    if len(left) == 1:
                        break
                    unpacker = zlib.decompressobj(31)
                try:
                    data = unpacker.decompress(left, PIECE)
                except zlib.error as error:
                    raise DamagedError(str(error)) from error
                left = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
                if data:
                    yield data
        if left or not unpacker.eof:
            raise DamagedError("the gzip stream is cut off")

    def _zstd(self) -> Iterator[bytes]:
        factory = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
        unpacker = factory.decompressobj()
        fresh = True
        for piece in self._raw_pieces(_ZSTD_PIECE):
            left = piece
            while left:
                if unpacker.eof:
                    unpacker, fresh = factory.decompressobj(), True
                try:
                    data = unpacker.decompress(left)
                except zstandard.ZstdError as error:
                    raise DamagedError(str(error)) from error
                fresh = False
                left = unpacker.unused_data if unpacker.eof else b""
                if data:
                    yield data
        if not unpacker.eof and not fresh:
            raise DamagedError("the zstd stream is cut off")

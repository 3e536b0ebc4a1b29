"""Tar archives of others, entry by entry, with everything that is wrong with them.

Python's own reader takes pax headers of any size into memory and ends without a word at a damaged header; this one
reads the same header blocks (`TarInfo.frombuf`), in bounded memory, and says what it saw. Nothing is unpacked.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

BLOCK = tarfile.BLOCKSIZE
# of one pax header or long name; the largest extended attribute of Linux has 64 KiB
HEADER = 1 << 20
NAME = 4096

# of a pax record: digits of ASCII, for times with a sign and a fraction
_WHOLE = re.compile(r"[0-9]{1,300}")
_TIME = re.compile(r"-?[0-9]{1,300}(\.[0-9]*)?")
_NAMES = ("GNU.sparse.name", "path", "linkpath")

# code of a rule, what was seen, at which byte
Tell = Callable[[str, str, int], None]

_KINDS = {
    tarfile.REGTYPE: "file", tarfile.AREGTYPE: "file", tarfile.CONTTYPE: "file", tarfile.LNKTYPE: "link",
    tarfile.SYMTYPE: "symlink", tarfile.CHRTYPE: "char", tarfile.BLKTYPE: "block", tarfile.DIRTYPE: "directory",
    tarfile.FIFOTYPE: "fifo", tarfile.GNUTYPE_SPARSE: "file",
}  # fmt: skip


class Source(Protocol):
    """Where the archive comes from."""

    def read(self, size: int) -> bytes:
        """Return so many bytes, fewer only at the end."""

    def skip(self, size: int) -> int:
        """Leave out so many bytes; return how many there were."""


@dataclass
class Entry:
    """One entry: its name as written, its kind, and where its content begins."""

    name: str
    kind: str  # file, directory, symlink, link, char, block, fifo, or the type's letter in quotes
    size: int = 0
    mode: int = 0
    uid: int = 0
    gid: int = 0
    mtime: float = 0
    target: str = ""
    offset: int = 0
    sparse: bool = False
    pax: dict[str, str] = field(default_factory=dict)
    device: tuple[int, int] = (0, 0)


class TarStream:
    """Iterate over it for the entries; `ended` tells afterwards whether the end of the archive was there."""

    def __init__(self, source: Source, tell: Tell) -> None:
        self._source = source
        self._tell = tell
        self._at = 0
        self._global: dict[str, str] = {}
        self.ended = False
        self.damaged = False

    def __iter__(self) -> Iterator[Entry]:
        pax: dict[str, str] = {}
        long: dict[bytes, str] = {}
        while (header := self._header()) is not None:
            at = self._at - BLOCK
            if header.type in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.XGLTYPE):
                data = self._content(header, at)
                if data is None:
                    return
                records = self._records(data, at)
                if header.type == tarfile.XGLTYPE:
                    self._global |= records
                else:
                    pax |= records
                continue
            if header.type in (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK):
                data = self._content(header, at)
                if data is None:
                    return
                long[header.type] = data.rstrip(b"\0").decode("utf-8", "surrogateescape")
                continue
            entry = self._entry(header, {**self._global, **pax}, long, at)
            pax, long = {}, {}
            if entry is None:
                return
            yield entry
            padded = -(-entry.size // BLOCK) * BLOCK
            if self._source.skip(padded) < padded:
                self._broken(f"the content of {entry.name!r} is cut off", at)
                return
            self._at += padded

    def _header(self) -> tarfile.TarInfo | None:
        at = self._at
        block = self._source.read(BLOCK)
        self._at += len(block)
        if not block:
            if at == 0:
                self._broken("it is empty", at)
            return None
        if len(block) < BLOCK:
            self._broken("a header is cut off", at)
            return None
        if not block.strip(b"\0"):
            following = self._source.read(BLOCK)
            self._at += len(following)
            self.ended = len(following) == BLOCK and not following.strip(b"\0")
            if following.strip(b"\0"):
                self._broken("one block of zeros stands between entries", at)
            return None
        try:
            return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except (tarfile.HeaderError, ValueError, OverflowError) as error:
            self._broken(f"a header is damaged: {error}", at)
            return None

    def _broken(self, words: str, at: int) -> None:
        self.damaged = True
        self._tell("OCI102", words, at)

    def _content(self, header: tarfile.TarInfo, at: int) -> bytes | None:
        """Return what an extended header holds; None when it cannot be had."""
        if not 0 <= header.size <= HEADER:
            self.damaged = True
            self._tell("OCI005", f"a header of {header.size} bytes, at most {HEADER} are read", at)
            return None
        padded = -(-header.size // BLOCK) * BLOCK
        data = self._source.read(padded)
        self._at += len(data)
        if len(data) < padded:
            self._broken("an extended header is cut off", at)
            return None
        return data[: header.size]

    def _records(self, data: bytes, at: int) -> dict[str, str]:
        records: dict[str, str] = {}
        rest = data
        while rest and rest.strip(b"\0"):
            number, _, _ = rest[:24].partition(b" ")
            length = int(number) if number.isdigit() else 0
            record = rest[len(number) + 1 : length]
            key, equals, value = record.partition(b"=")
            if not length or length > len(rest) or not record.endswith(b"\n") or not equals or not key:
                self._tell("OCI120", "a record is not LENGTH KEY=VALUE", at)
                return records
            records[key.decode("utf-8", "surrogateescape")] = value[:-1].decode("utf-8", "surrogateescape")
            rest = rest[length:]
        return records

    def _entry(
        self, header: tarfile.TarInfo, pax: dict[str, str], long: dict[bytes, str], at: int
    ) -> Entry | None:  # fmt: skip
        for key in _NAMES:
            if key in pax and (not pax[key] or "\0" in pax[key]):
                self._tell("OCI120", f"{key} is no name: {pax.pop(key)[:40]!r}", at)
        kind = _KINDS.get(header.type, repr(header.type.decode("latin-1")))
        entry = Entry(
            long.get(tarfile.GNUTYPE_LONGNAME, header.name), kind, header.size, header.mode, header.uid, header.gid,
            header.mtime, long.get(tarfile.GNUTYPE_LONGLINK, header.linkname), at,
            header.type == tarfile.GNUTYPE_SPARSE or any(key.startswith("GNU.sparse.") for key in pax), pax,
            (header.devmajor, header.devminor),
        )  # fmt: skip
        entry.name = pax.get("GNU.sparse.name", pax.get("path", entry.name))
        entry.target = pax.get("linkpath", entry.target)
        for key in ("size", "uid", "gid", "mtime"):
            if key in pax:
                if (_TIME if key == "mtime" else _WHOLE).fullmatch(pax[key]):
                    setattr(entry, key, float(pax[key]) if key == "mtime" else int(pax[key]))
                else:
                    self._tell("OCI120", f"{key} is no number: {pax[key][:40]!r}", at)
        if kind in ("link", "symlink", "char", "block", "directory", "fifo"):
            entry.size = 0  # whatever is written there
        if not 0 <= entry.size < 1 << 62:
            self._broken(f"{entry.name[:80]!r} has the size {entry.size}", at)
            return None
        if header.type == tarfile.GNUTYPE_SPARSE and not self._sparse_map(header, at):
            return None
        return entry

    def _sparse_map(self, header: tarfile.TarInfo, at: int) -> bool:
        """Read over the blocks that go on with the map of an old sparse file."""
        more = bool(header._sparse_structs[1])  # type: ignore[attr-defined]
        while more:
            block = self._source.read(BLOCK)
            self._at += len(block)
            if len(block) < BLOCK:
                self._broken("the map of a sparse file is cut off", at)
                return False
            more = bool(block[504])
        return True

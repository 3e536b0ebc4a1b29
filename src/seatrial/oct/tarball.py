"""Bundles that travel as tar.gz: checked as a whole before a single byte is written.

Nothing of tarfile's own extraction is used: only regular files and directories are made, with modes of our own.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from seatrial.oct.diagnostics import Report

TOTAL = 64 << 20  # bytes unpacked, headers included
FILE = 16 << 20
ENTRIES = 2000
PACKED = 32 << 20
_PATH = 240
_DEPTH = 16

_KINDS = {tarfile.SYMTYPE: "a symbolic link", tarfile.LNKTYPE: "a hard link", tarfile.CHRTYPE: "a device",
          tarfile.BLKTYPE: "a device", tarfile.FIFOTYPE: "a pipe"}  # fmt: skip


class _TooLargeError(Exception):
    pass


class _Limited(io.RawIOBase):
    """A stream that ends with an exception after so many bytes, whatever it claims to hold."""

    def __init__(self, stream: BinaryIO, limit: int) -> None:
        self._stream = stream
        self._left = limit

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(min(size, self._left + 1) if size >= 0 else self._left + 1)
        self._left -= len(data)
        if self._left < 0:
            raise _TooLargeError
        return data


def is_archive(path: Path) -> bool:
    """Tell whether a file's name says that it is a packed bundle."""
    return path.name.endswith((".tar.gz", ".tgz", ".tar"))


def unpack(path: Path, target: Path, report: Report) -> bool:
    """Unpack an archive into a directory that is there and empty; False, with diagnostics, when it is refused."""
    try:
        if path.stat().st_size > PACKED:
            report.add("OCT038", f"the archive has {path.stat().st_size} bytes, at most {PACKED} are allowed")
            return False
        if not _checked(path, report):
            return False
        with _opened(path) as archive:
            for member in archive:
                _write(archive, member, target)
    except _TooLargeError:
        report.add("OCT038", f"unpacked it has more than {TOTAL >> 20} MiB")
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        report.add("OCT039", f"the archive is cut off or damaged: {error}")
    except OSError as error:
        report.add("OCT006", f"the archive cannot be unpacked: {error.strerror or error}")
    return not report.errors


@contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        stream: Any = gzip.GzipFile(fileobj=raw) if packed else raw
        with tarfile.open(fileobj=_Limited(stream, TOTAL), mode="r|") as archive:
            yield archive


def _checked(path: Path, report: Report) -> bool:
    seen: set[str] = set()
    count = 0
    with _opened(path) as archive:
        for member in archive:
            count += 1
            if count > ENTRIES:
                report.add("OCT038", f"it has more than {ENTRIES} entries")
                return False
            _check(member, seen, report)
        _ended(archive)
    if not count:
        report.add("OCT039", "the archive is empty")
    return not report.errors


def _ended(archive: tarfile.TarFile) -> None:
    """Read to the end of the stream, where gzip keeps its checksum; tar alone would stop before it."""
    while archive.fileobj.read(1 << 16):
        pass


def _check(member: tarfile.TarInfo, seen: set[str], report: Report) -> None:
    name = member.name
    parts = PurePosixPath(name).parts
    shown = name if name.isprintable() else repr(name)
    if name.startswith("/") or ".." in parts or "\\" in name or "\0" in name:
        report.add("OCT037", f"{shown} would be written outside of the bundle")
    elif len(name) > _PATH or len(parts) > _DEPTH or not name.isprintable():
        report.add("OCT037", f"{shown[:80]} is no usable path")
    elif not member.isfile() and not member.isdir():
        report.add("OCT036", f"{shown} is {_KINDS.get(member.type, 'an entry of a special kind')}")
    elif member.sparse is not None:
        report.add("OCT036", f"{shown} is a sparse file")
    elif member.mode & 0o6000:
        report.add("OCT036", f"{shown} is a set-uid or set-gid file")
    elif member.size > FILE:
        report.add("OCT038", f"{shown} has {member.size} bytes, at most {FILE} are allowed")
    plain = str(PurePosixPath(name))
    if plain in seen and member.isfile():
        report.add("OCT037", f"{shown} is in the archive twice")
    seen.add(plain)


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    place = target / PurePosixPath(member.name)
    if member.isdir():
        place.mkdir(parents=True, exist_ok=True)
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    stream = archive.extractfile(member)
    data = stream.read(FILE + 1) if stream is not None else b""
    with place.open("xb") as out:
        out.write(data)
    place.chmod(0o755 if member.mode & 0o100 else 0o644)


def pack(root: Path, out: Path) -> None:
    """Pack a bundle: sorted, without owners and times, so that the same bundle is the same archive."""
    with (
        out.open("wb") as raw,
        gzip.GzipFile(fileobj=raw, mode="wb", filename="", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in sorted(root.rglob("*")):
            if path.is_file() and not path.is_symlink():
                info = tarfile.TarInfo(str(path.relative_to(root)))
                info.mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
                info.size = path.stat().st_size
                with path.open("rb") as stream:
                    archive.addfile(info, stream)

"""The files of an image, wherever they are: a directory, or an archive that is never unpacked."""

from __future__ import annotations

import contextlib
import io
import os
import posixpath
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, Protocol

from seatrial.oci.image.layer import clean
from seatrial.oci.image.rules import Report
from seatrial.oci.image.tarstream import TarStream
from seatrial.oci.image.unpacked import PIECE, DamagedError, TooLargeError, Unpacked

ENTRIES = 100_000
_LINKS = 8


class Files(Protocol):
    """Files by their path; what is no regular file is not opened."""

    def open(self, path: str) -> BinaryIO | None:
        """Open a file, None when there is none; raises OSError when it is something else."""

    def names(self) -> Iterator[str]:
        """List the files."""

    def holds(self, path: str) -> bool:
        """Tell whether there is a file or a directory of a path."""


class Directory:
    """A directory; no link in it is followed, so that nothing outside of it is read."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def open(self, path: str) -> BinaryIO | None:
        """Open a regular file; a link or a special file is an OSError."""
        *parents, name = path.split("/")
        if "\0" in path:
            return None
        with ExitStack() as stack:
            try:
                here = self._enter(stack, str(self._root), None)
                for part in parents:
                    here = self._enter(stack, part, here)
                handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=here)
            except FileNotFoundError:
                return None
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise OSError("it is no regular file")
        return os.fdopen(handle, "rb")

    def _enter(self, stack: ExitStack, name: str, above: int | None) -> int:
        follow = 0 if above is None else os.O_NOFOLLOW
        handle = os.open(name, os.O_RDONLY | os.O_DIRECTORY | follow, dir_fd=above)
        stack.callback(os.close, handle)
        return handle

    def names(self) -> Iterator[str]:
        """List what is in the directory, at most so many, without following links."""
        count = 0
        for place, directories, files in os.walk(self._root):
            links = [name for name in directories if os.path.islink(os.path.join(place, name))]
            for name in (*files, *links):
                count += 1
                if count > ENTRIES:
                    return
                yield os.path.relpath(os.path.join(place, name), self._root)

    def holds(self, path: str) -> bool:
        """Tell whether something is there."""
        return os.path.lexists(self._root / path)


class _Part(io.RawIOBase):
    """A stretch of a file."""

    def __init__(self, whole: BinaryIO, offset: int, size: int) -> None:
        self._whole, self._at, self._end = whole, offset, offset + size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        self._whole.seek(self._at)
        data = self._whole.read(min(len(buffer), self._end - self._at))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


class _Seekable:
    """A plain archive that is skipped through and not read."""

    def __init__(self, whole: BinaryIO) -> None:
        self._whole = whole
        self._size = whole.seek(0, os.SEEK_END)
        whole.seek(0)

    def read(self, size: int) -> bytes:
        return self._whole.read(size)

    def skip(self, size: int) -> int:
        at = self._whole.tell()
        self._whole.seek(min(at + size, self._size))
        return self._whole.tell() - at


class Archive:
    """A tar archive, plain or packed by gzip or zstd; a packed one becomes a nameless file of at most `limit` bytes."""

    def __init__(self, path: Path, report: Report, limit: int) -> None:
        self._places: dict[str, tuple[int, int]] = {}
        self._links: dict[str, str] = {}
        self._kinds: dict[str, str] = {}
        self._whole: BinaryIO = path.open("rb")
        try:
            self._whole = self._plain(report, limit)
            self._index(report)
        except TooLargeError:
            report.add("OCI005", f"unpacked it has more than {limit} bytes")
        except DamagedError as error:
            report.add("OCI003", str(error))

    def close(self) -> None:
        """Close the file."""
        self._whole.close()

    def _plain(self, report: Report, limit: int) -> BinaryIO:
        source = Unpacked(self._whole, limit)
        if not source.compression:
            return self._whole
        if source.compression not in ("gzip", "zstd"):
            report.add("OCI003", f"it is packed by {source.compression}, which is not read")
        with self._whole, ExitStack() as stack:
            made = stack.enter_context(tempfile.TemporaryFile())
            while data := source.read(PIECE):
                made.write(data)
            stack.pop_all()  # it is closed with the archive
        return made

    def _index(self, report: Report) -> None:
        def tell(code: str, message: str, at: int) -> None:
            report.add(code if code == "OCI005" else "OCI003", f"{message} (at byte {at})")

        for entry in TarStream(_Seekable(self._whole), tell):
            name = clean(entry.name)
            if name is None or entry.name.startswith("/"):
                report.add("OCI004", f"{entry.name[:200]!r} would be written outside")
            elif len(self._places) + len(self._links) >= ENTRIES:
                report.add("OCI005", f"it has more than {ENTRIES} entries")
                return
            elif self._kinds.setdefault(name, entry.kind) != entry.kind or (
                entry.kind != "directory" and (name in self._places or name in self._links)
            ):
                report.add("OCI004", f"{name!r} stands twice in the archive")
            elif entry.kind == "file" and not entry.sparse:
                self._places[name] = (self._whole.tell(), entry.size)
            elif entry.kind in ("link", "symlink"):
                base = posixpath.dirname(name) if entry.kind == "symlink" else ""
                target = posixpath.normpath(posixpath.join(base, entry.target))
                if target.startswith(("/", "..")):
                    report.add("OCI004", f"{name!r} links to {entry.target[:200]!r}, outside of the archive")
                else:
                    self._links[name] = target
            elif entry.kind != "directory":
                report.add("OCI004", f"{name!r} is a {entry.kind}")

    def open(self, path: str) -> BinaryIO | None:
        """Open a file of the archive, through links inside of it."""
        for _ in range(_LINKS):
            if path in self._places:
                return io.BufferedReader(_Part(self._whole, *self._places[path]))
            if path not in self._links:
                return None
            path = self._links[path]
        raise OSError("too many links")

    def names(self) -> Iterator[str]:
        """List files and links."""
        yield from self._places
        yield from self._links

    def holds(self, path: str) -> bool:
        """Tell whether there is a file of that path, or below it."""
        return path in self._places or path in self._links or any(
            name.startswith(f"{path}/") for name in self._places
        )  # fmt: skip


@contextlib.contextmanager
def opened(path: Path, report: Report, limit: int) -> Iterator[Files]:
    """Open a directory or an archive; raises OSError when it cannot be read."""
    if path.is_dir():
        os.listdir(path)
        yield Directory(path)
        return
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError("it is neither a directory nor a file")
    archive = Archive(path, report, limit)
    with contextlib.closing(archive):
        yield archive

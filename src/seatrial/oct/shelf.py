"""Putting imported cases into a library: cases/<group>/<name>/case.json, with their files beside them.

A case is made whole in a hidden directory of the library, examined there as what it has become, and only then put in
its place: what has errors, or would not be what was imported, is never in the library.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from pathlib import Path

from seatrial.diagnostics import Severity
from seatrial.errors import SeatrialError
from seatrial.oct import tarball
from seatrial.oct.bundle import CASE, Bundle
from seatrial.oct.diagnostics import Report
from seatrial.oct.importer import Imported, beside, render
from seatrial.oct.validate import examine


def put(imported: Imported, library: Path) -> Path | None:
    """Write a case without errors, else return None; one of a name that is taken gets a number, and a repair says so.

    Errors of the bundle as it was written are added to the report of the case.
    """
    if imported.document is None or imported.report.errors:
        return None
    group, name = str(imported.document["Group"]), str(imported.document["Name"])
    number = 1
    place = library / group.partition("/")[0].lower() / name
    while os.path.lexists(place):
        number += 1
        place = place.with_name(f"{name}-{number}")
    if number > 1:
        imported.document["Name"] = place.name
        words = f'repair {len(imported.repairs) + 1}: the name "{name}" is taken in {library}: it is {place.name}'
        imported.report.add("OCT061", words, ("Name",), severity=Severity.REPAIR)
    there = library.is_dir()
    try:
        library.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".import-", dir=library) as scratch:
            made = Path(scratch, place.name)
            made.mkdir(mode=0o755)
            if _filled(imported, made):
                place.parent.mkdir(exist_ok=True)
                made.rename(place)
                return place
        if not there:
            library.rmdir()
    except OSError as error:
        raise SeatrialError("E703", f"cannot make a bundle in {place}",
            f"{error.filename}: {error.strerror}") from error
    return None


def _filled(imported: Imported, made: Path) -> bool:
    """Write a bundle into a directory; False, with diagnostics, when it is not what it should be."""
    assert imported.document is not None  # noqa: S101 - `put` has looked
    report = imported.report
    file = Path(report.file)
    _copy_files(beside(file, imported.document), made, report)
    if not report.errors:
        (made / CASE).write_text(render(imported.document), "utf-8")
        written = Report(f"{file} (as written)")
        examine(Bundle(made), written)
        report.diagnostics += written.errors
    return not report.errors


def _copy_files(bundle: Bundle, made: Path, report: Report) -> None:
    """Copy the plain files of a bundle, in the limits of those that travel as archives."""
    entries = {path: entry for path, entry in bundle.entries.items() if entry.plain}
    if len(entries) > tarball.ENTRIES:
        report.add("OCT038", f"it has {len(entries)} files, at most {tarball.ENTRIES} are allowed")
        return
    left = tarball.TOTAL
    for path, entry in entries.items():
        data = _content(bundle.root / path)
        left -= len(data)
        if len(data) > tarball.FILE:
            report.add("OCT038", f"{path} has {entry.size} bytes, at most {tarball.FILE} are allowed")
            return
        if left < 0:
            report.add("OCT038", f"its files have more than {tarball.TOTAL >> 20} MiB")
            return
        (made / path).parent.mkdir(parents=True, exist_ok=True)
        (made / path).write_bytes(data)
        (made / path).chmod(0o755 if entry.executable else 0o644)


def _content(path: Path) -> bytes:
    """Return the bytes of a regular file, one more than is allowed at most; OSError for what has become a link."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise OSError(errno.EINVAL, "no regular file", str(path))
        return stream.read(tarball.FILE + 1)

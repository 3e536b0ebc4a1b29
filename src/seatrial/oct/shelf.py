"""Putting imported cases into a library: cases/<group>/<name>/case.json, with their files beside them."""

from __future__ import annotations

import shutil
from pathlib import Path

from seatrial.diagnostics import Severity
from seatrial.errors import SeatrialError
from seatrial.oct.bundle import CASE, Bundle
from seatrial.oct.importer import Imported, render


def put(imported: Imported, library: Path) -> Path | None:
    """Write a case that was not refused; one of a name that is taken gets a number, and a repair that says so."""
    if imported.document is None:
        return None
    group, name = str(imported.document["Group"]), str(imported.document["Name"])
    number = 1
    place = library / group.partition("/")[0].lower() / name
    while (place / CASE).exists():
        number += 1
        place = place.with_name(f"{name}-{number}")
    if number > 1:
        imported.document["Name"] = place.name
        words = f'repair {len(imported.repairs) + 1}: the name "{name}" is taken in {library}: it is {place.name}'
        imported.report.add("OCT061", words, ("Name",), severity=Severity.REPAIR)
    try:
        place.mkdir(parents=True, exist_ok=True)
        _copy_files(Path(imported.report.file), place)
        (place / CASE).write_text(render(imported.document), "utf-8")
    except OSError as error:
        raise SeatrialError("E703", f"cannot make a bundle in {place}",
            f"{error.filename}: {error.strerror}") from error
    return place


def _copy_files(file: Path, place: Path) -> None:
    """Copy the plain files of source/ that lay beside the old case."""
    if not (file.parent / "source").is_dir():
        return
    bundle = Bundle(file.parent, file.name)
    for path, entry in bundle.entries.items():
        if entry.plain and path.startswith("source/"):
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file.parent / path, place / path)
            (place / path).chmod(0o755 if entry.executable else 0o644)

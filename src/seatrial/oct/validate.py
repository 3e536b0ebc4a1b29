"""Checking what a user names: a file, a bundle, an archive, a whole library."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from seatrial.diagnostics import did_you_mean
from seatrial.jsontext import Document
from seatrial.oct import structure, tarball
from seatrial.oct.bundle import CASE, Bundle, candidates
from seatrial.oct.diagnostics import Report
from seatrial.oct.meaning import Check
from seatrial.oct.model import GROUPS


def examine(bundle: Bundle, report: Report) -> Document | None:
    """Check one case with its files; returns its document, None where there is none."""
    try:
        document = structure.read(structure.load(bundle.path), report)
        if document is None:
            return None
        examine_document(document, report, bundle)
    except OSError as error:
        report.add("OCT006", f"cannot be read: {error.strerror or error}")
        return None
    report.sort()
    return document


def examine_document(document: Document, report: Report, bundle: Bundle | None) -> Report:
    """Check a document: its form, then its meaning as far as it can be told."""
    value = structure.check(document, report)
    if value is not None:
        Check(document, value, report, bundle).all()
    return report


def validate(paths: list[Path]) -> list[Report]:
    """Check everything below the paths; each case, and each place where one should be, has a report."""
    reports: list[Report] = []
    for path in paths:
        reports += _one(path)
    return reports


def _one(path: Path) -> Iterator[Report]:
    if path.is_dir():
        yield from directory(path)
    elif tarball.is_archive(path):
        yield from _archive(path)
    else:
        report = Report(str(path))
        examine(Bundle(path.parent, path.name), report)
        yield report


def _archive(path: Path) -> Iterator[Report]:
    report = Report(str(path))
    with tempfile.TemporaryDirectory(prefix="seatrial-oct-") as name:
        if not path.is_file():
            report.add("OCT006", "cannot be read: no such file")
        elif tarball.unpack(path, Path(name), report):
            for found in directory(Path(name)):
                shown = found.file.replace(name, f"{path}!", 1).replace("!/", "!")
                yield Report(shown, [replace(one, file=shown) for one in found.diagnostics])
            return
    yield report.sort()


def bundles(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """List the directories below a root that hold cases, with the files that could be them."""
    for directory_ in [root, *sorted(path for path in root.rglob("*") if path.is_dir() and not path.is_symlink())]:
        inside = directory_.relative_to(root).parts
        if "source" in inside or any(part.startswith(".") for part in inside):
            continue
        if names := candidates(directory_):
            yield directory_, names


def directory(root: Path) -> Iterator[Report]:
    """Check a bundle, or every one in a library, and the library as a whole."""
    found: list[tuple[Path, Report, Document]] = []
    nothing = True
    for place, names in bundles(root):
        nothing = False
        for name in names:
            report = Report(str(place / name))
            if len(names) > 1:
                words = f"{len(names)} files in {place} could be the case: {', '.join(names[:4])}"
                report.add("OCT060", words + (", ..." if len(names) > 4 else ""), hint=f"keep one {CASE} per bundle")
            document = examine(Bundle(place, name), report)
            if document is not None and isinstance(document.value, dict):
                found.append((place, report, document))
            if len(names) > 1 or document is None:
                yield report.sort()
            elif document is not None and not isinstance(document.value, dict):
                yield report
    if nothing:
        report = Report(str(root))
        report.add("OCT006", f"there is no case in {root}", hint=f"cases are <group>/<name>/{CASE}")
        yield report
    yield from _library(root, found)


def _library(root: Path, found: list[tuple[Path, Report, Document]]) -> Iterator[Report]:
    by_name: dict[str, list[Path]] = {}
    for place, _, document in found:
        name = document.value.get("Name")
        if isinstance(name, str):
            by_name.setdefault(name, []).append(place)
    for place, report, document in found:
        name = document.value.get("Name")
        if isinstance(name, str) and len(by_name[name]) > 1:
            words = f'the name "{name}" is used by {len(by_name[name])} cases'
            others = ", ".join(str(other) for other in by_name[name] if other != place)[:200]
            report.add("OCT061", words, ("Name",), document.place(("Name",)), f"also in {others}" if others else "")
        _group(root, place, report, document)
        if report.file.endswith(CASE) or len(candidates(place)) == 1:
            yield report.sort()


def _group(root: Path, place: Path, report: Report, document: Document) -> None:
    """Compare the group with the directory, where the library is laid out as cases/<group>/<name>."""
    group = document.value.get("Group")
    parts = place.relative_to(root).parts
    if not isinstance(group, str) or len(parts) < 2:
        return
    first = group.partition("/")[0]
    named = next((one for one in GROUPS if one.casefold() == parts[0].casefold()), "")
    if named and first in GROUPS and named != first:
        words = f'Group says "{first}", the directory says "{parts[0]}"'
        report.add("OCT062", words, ("Group",), document.place(("Group",)), did_you_mean(first, GROUPS))

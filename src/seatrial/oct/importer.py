"""Reading the older dialects: each becomes a case of today, each change is a repair with number and place.

    D0  everything below "root", steps keyed by the names of their objects
    D1  D2  D3  the five parts, under changing names of Deploys and Collects
    D4  Units
    D5  lines of `name= options;options` (see `conf`)

What cannot be told for sure is refused: a key that stands twice, a file that is cut off, a field that nobody knows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from seatrial.diagnostics import Diagnostic, Severity
from seatrial.jsontext import Document
from seatrial.oct import conf, dialects, files, structure
from seatrial.oct.bundle import Bundle
from seatrial.oct.diagnostics import Report
from seatrial.oct.model import SOURCE
from seatrial.oct.repairs import Repairs
from seatrial.oct.validate import examine_document

_MISSING = "OCT030"
_AS_IMPORTED = " (as imported)"  # after the name of a file: the place is one of what was made of it


@dataclass(frozen=True)
class Imported:
    """One case that was read: its document (None when it was refused), its dialect, what was changed.

    One whose report has errors is shown, so that it can be mended, and not imported.
    """

    document: dict[str, Any] | None
    dialect: str
    report: Report

    @property
    def repairs(self) -> list[Diagnostic]:
        """What was changed, in the order of its places."""
        return [one for one in self.report.diagnostics if one.severity is Severity.REPAIR]

    @property
    def text(self) -> str:
        """The case as it is written to a file."""
        return render(self.document or {})

    @property
    def outcome(self) -> str:
        """In a word or two what became of it."""
        if self.document is None:
            return "refused"
        if self.report.errors:
            return f"not imported, {len(self.report.errors)} errors remain"
        missing = sum(one.code == _MISSING for one in self.report.diagnostics)
        return f"imported without {missing} of its files" if missing else "imported"


def render(document: Mapping[str, Any]) -> str:
    """Return a document as cases are written: two spaces, fields in the order in which they are there."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def load(path: Path) -> list[Imported]:
    """Read a file of any dialect; a list, because one line of cases.conf is one case."""
    report = Report(str(path))
    try:
        data = structure.load(path)
    except OSError as error:
        report.add("OCT006", f"cannot be read: {error.strerror or error}")
        return [Imported(None, "", report)]
    return read(data, str(path), conf_lines=path.suffix == ".conf", root=path.parent)


def beside(file: Path, document: Mapping[str, Any]) -> Bundle:
    """Return the files of a case that lies in a file, maybe among others: those it lists, and source/ as a whole."""
    return Bundle(file.parent, file.name, only={SOURCE, *files.listed(document)})


def read(data: bytes, file: str, *, conf_lines: bool = False, root: Path | None = None) -> list[Imported]:
    """Read the bytes of a file; with `conf_lines` as lines of cases.conf, else as JSON.

    `root` is the directory in which the files of its cases are looked for; without one they are not.
    """
    report = Report(file)
    if conf_lines:
        text = structure.decode(data, report)
        found = conf.cases(text, report) if text is not None else []
        return [_finish(document, "D5", one, root) for document, one in found] or [Imported(None, "D5", report)]
    document = structure.read(data, report, lenient=True)
    if document is None:
        return [Imported(None, "", report.sort())]
    return [_convert(document, report, root)]


def _convert(document: Document, report: Report, root: Path | None) -> Imported:
    kind = structure.dialect(document.value)
    if kind == "canonical":
        if any(flaw.mended for flaw in document.flaws):
            return _finish(document.value, kind, report, root)
        return Imported(document.value, kind, _examined(document, report, root).sort())
    if not kind:
        words = "this is no case of any dialect: it has neither Requires nor Deploys nor Units"
        report.add("OCT018", words, (), document.place(()))
        return Imported(None, "", report.sort())
    if any(flaw.mended == "} added" for flaw in document.flaws) and not _whole(document.value):
        report.add("OCT001", "the file seems to be cut off: its last parts are missing", (), document.place(()))
        return Imported(None, kind, report.sort())
    repairs = Repairs(document, report)
    found = dialects.canonical(document.value, kind, repairs)
    if report.errors:
        return Imported(None, kind, report.sort())
    return _finish(found, kind, report, root)


def _examined(document: Document, report: Report, root: Path | None) -> Report:
    """Check a document with the files below `root`; of one that came alone, without source/, a missing one is no fault.

    It makes no bundle, which `shelf` tells.
    """
    if root is None:
        return examine_document(document, report, None)
    bundle = beside(root / Path(report.file.removesuffix(_AS_IMPORTED)).name, document.value)
    examine_document(document, report, bundle)
    if not (root / SOURCE).is_dir():
        report.diagnostics[:] = [replace(one, severity=Severity.WARNING) if one.code == _MISSING else one
                                 for one in report.diagnostics]  # fmt: skip
    return report


def _whole(value: Mapping[str, Any]) -> bool:
    """Tell whether a document has its last part; where the last brace is missing, more may be."""
    inner = next((item for key, item in value.items() if key.casefold() == "root"), value)
    names = {key.casefold() for key in [*value, *(inner if isinstance(inner, dict) else ())]}
    return bool(names & {"collects", "collect", "units"})


def _finish(found: dict[str, Any], kind: str, report: Report, root: Path | None) -> Imported:
    """Check the new document and number the repairs."""
    report.sort()
    number = 0
    numbered = []
    for one in report.diagnostics:
        if one.severity is Severity.REPAIR:
            number += 1
            one = replace(one, message=f"repair {number}: {one.message}")
        numbered.append(one)
    report.diagnostics[:] = numbered
    written = structure.read(render(found).encode(), Report(report.file))
    assert written is not None  # noqa: S101 - what json has written can be read
    after = _examined(written, Report(report.file + _AS_IMPORTED), root).sort()
    report.diagnostics += [one for one in after.diagnostics if one not in report.diagnostics]
    return Imported(found, kind, report)

"""Diagnostics as text, JSON, JUnit and SARIF."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from seatrial import sarif
from seatrial.diagnostics import Catalogue, Diagnostic, Report, Severity

_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.REPAIR: "note",
           Severity.NOTE: "note"}  # fmt: skip


def render(reports: Sequence[Report], form: str, catalogue: Catalogue) -> str:
    """Return reports in one of the forms text, json, junit and sarif."""
    if form == "junit":
        return _junit(reports, catalogue)
    return _sarif(reports, catalogue) if form == "sarif" else {"text": _text, "json": _json}[form](reports)


def summary(reports: Sequence[Report]) -> str:
    """Return in a line how many documents have errors and warnings."""
    errors = sum(len(report.errors) for report in reports)
    warnings = sum(len(report.warnings) for report in reports)
    good = sum(not report.errors for report in reports)
    return f"{len(reports)} checked, {good} without errors; {errors} errors, {warnings} warnings"


def _text(reports: Sequence[Report]) -> str:
    lines = [str(one) for report in reports for one in report.diagnostics]
    return "\n".join([*lines, summary(reports)])


def _plain(one: Diagnostic) -> dict[str, Any]:
    return {
        "code": one.code, "severity": one.severity.value, "file": one.file, "line": one.line, "column": one.column,
        "path": one.path, "message": one.message, "hint": one.hint,
        **({"section": one.rule.section, "level": one.rule.level} if one.rule and one.rule.section else {}),
    }  # fmt: skip


def _json(reports: Sequence[Report]) -> str:
    files = [
        {"file": report.file, "valid": not report.errors, "diagnostics": [_plain(one) for one in report.diagnostics]}
        for report in reports
    ]
    return json.dumps({"checked": len(reports), "files": files}, indent=1)


def _junit(reports: Sequence[Report], catalogue: Catalogue) -> str:
    import junit_xml

    from seatrial.report.wording import clean

    cases = []
    for report in reports:
        case = junit_xml.TestCase(clean(report.file), classname=f"{catalogue.letters.lower()}.validate")
        if report.errors:
            text = "\n".join(clean(str(one)) for one in report.diagnostics)
            case.add_failure_info(clean(str(report.errors[0])), text, report.errors[0].code)
        elif report.diagnostics:
            case.stdout = "\n".join(clean(str(one)) for one in report.diagnostics)
        cases.append(case)
    xml: str = junit_xml.to_xml_report_string([junit_xml.TestSuite(f"{catalogue.tool} validate", cases)])
    return xml


def _sarif(reports: Sequence[Report], catalogue: Catalogue) -> str:
    """Return a log of SARIF, as code hosts show it beside the lines."""
    found = [
        sarif.Found(
            one.code, _LEVELS[one.severity], f"{one.path}: {one.message}" if one.where else one.message,
            one.file, one.line, one.column, (one.path,),
        )
        for report in reports for one in report.diagnostics
    ]  # fmt: skip
    rules = [
        sarif.Rule(
            rule.code, rule.title, rule.why, _LEVELS[rule.severity],
            properties={"section": rule.section, "level": rule.level} if rule.section else {},
        )
        for rule in catalogue.rules.values()
    ]  # fmt: skip
    return sarif.log(catalogue.tool, rules, found)

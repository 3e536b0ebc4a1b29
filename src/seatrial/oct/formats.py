"""Diagnostics as text, JSON, JUnit and SARIF."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from seatrial.oct.diagnostics import RULES, Diagnostic, Report, Severity

FORMATS = ("text", "json", "junit", "sarif")
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.REPAIR: "note"}


def render(reports: Sequence[Report], form: str) -> str:
    """Return reports in one of `FORMATS`."""
    return {"text": _text, "json": _json, "junit": _junit, "sarif": _sarif}[form](reports)


def summary(reports: Sequence[Report]) -> str:
    """Return in a line how many cases have errors and warnings."""
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
    }  # fmt: skip


def _json(reports: Sequence[Report]) -> str:
    files = [
        {"file": report.file, "valid": not report.errors, "diagnostics": [_plain(one) for one in report.diagnostics]}
        for report in reports
    ]
    return json.dumps({"checked": len(reports), "files": files}, indent=1)


def _junit(reports: Sequence[Report]) -> str:
    import junit_xml

    from seatrial.report.wording import clean

    cases = []
    for report in reports:
        case = junit_xml.TestCase(clean(report.file), classname="oct.validate")
        if report.errors:
            text = "\n".join(clean(str(one)) for one in report.diagnostics)
            case.add_failure_info(clean(str(report.errors[0])), text, report.errors[0].code)
        elif report.diagnostics:
            case.stdout = "\n".join(clean(str(one)) for one in report.diagnostics)
        cases.append(case)
    xml: str = junit_xml.to_xml_report_string([junit_xml.TestSuite("seatrial oct validate", cases)])
    return xml


def _sarif(reports: Sequence[Report]) -> str:
    """Return a log of SARIF 2.1.0, as code hosts show it beside the lines."""
    from seatrial import __version__

    results = [
        {
            "ruleId": one.code,
            "level": _LEVELS[one.severity],
            "message": {"text": f"{one.path}: {one.message}" if one.where else one.message},
            "locations": [{
                "physicalLocation": {
                    "artifactLocation": {"uri": one.file},
                    "region": {"startLine": one.line, "startColumn": one.column},
                },
                "logicalLocations": [{"fullyQualifiedName": one.path}],
            }],
        }
        for report in reports for one in report.diagnostics
    ]  # fmt: skip
    rules = [
        {"id": rule.code, "shortDescription": {"text": rule.title}, "fullDescription": {"text": rule.why},
         "defaultConfiguration": {"level": _LEVELS[rule.severity]}}
        for rule in RULES.values()
    ]  # fmt: skip
    driver = {"name": "seatrial oct", "version": __version__, "rules": rules}
    log = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results}],
    }  # fmt: skip
    return json.dumps(log, indent=1)

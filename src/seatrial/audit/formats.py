"""An audit as JSON, SARIF, JUnit and HTML; the table for terminals is the command's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import jinja2
import junit_xml

from seatrial import __version__, sarif
from seatrial.audit.model import BENCHMARK, Audit, Check, Finding, Severity, State
from seatrial.report.wording import clean

FORMATS = ("table", "json", "sarif", "junit", "html")
_LEVELS = {Severity.CRITICAL: "error", Severity.HIGH: "error", Severity.MEDIUM: "warning", Severity.LOW: "note",
           Severity.INFO: "note"}  # fmt: skip
SIGNS = {State.PASS: "✓", State.FAIL: "✗", State.MANUAL: "○", State.NOT_APPLICABLE: "◇", State.INCONCLUSIVE: "?"}


def render(audits: Sequence[Audit], form: str) -> str:
    """Return audits in one of `FORMATS` but the table."""
    return {"json": as_json, "sarif": as_sarif, "junit": as_junit, "html": as_html}[form](audits)


def summary(audit: Audit) -> str:
    """Return in a line how the checks ended."""
    counts = ", ".join(f"{audit.count(state)} {state.value}" for state in State if audit.count(state))
    return f"{audit.target} ({audit.engine} {audit.version}): {counts or 'nothing was looked at'}"


def place(one: Finding) -> str:
    """Return what a finding is about in a few words: what is wrong, and with what."""
    outcome = one.outcome
    return clean(outcome.detail + (f": {'; '.join(outcome.items)}" if outcome.items else ""))


def as_json(audits: Sequence[Audit]) -> str:
    """Return what schemas/audit.json describes."""
    whole = {
        "harness": __version__, "benchmark": BENCHMARK,
        "audits": [
            {"target": audit.target, "engine": audit.engine, "version": audit.version, "host": audit.host,
             "counts": {state.value: audit.count(state) for state in State},
             "findings": [one.json() for one in audit.findings]}
            for audit in audits
        ],
    }  # fmt: skip
    return json.dumps(whole, indent=1)


def _rule(check: Check) -> sarif.Rule:
    tags = ["security", check.area, *([f"CIS-{check.cis}"] if check.cis else [])]
    properties = {"security-severity": f"{check.severity.score}", "tags": tags, "precision": "high",
                  "level": check.level, "scored": check.scored}  # fmt: skip
    why = check.why or check.title
    return sarif.Rule(check.id, check.title, why, _LEVELS[check.severity], check.remedy, properties)


def as_sarif(audits: Sequence[Audit]) -> str:
    """Return a log of the checks that failed; what passed is no result, because code hosts show each as a problem."""
    rules = {one.check.id: _rule(one.check) for audit in audits for one in audit.findings}
    found = [
        sarif.Found(
            one.check.id, _LEVELS[one.check.severity],
            f"{one.check.title}: {place(one)}. {one.check.remedy}",
            # code hosts take only results that have a file; what is about none is put to the engine's name
            one.outcome.path.lstrip("/") or audit.target,
            names=(f"{audit.target}/{one.check.area}", *(f"{audit.target}/{item}" for item in one.outcome.items)),
        )
        for audit in audits for one in audit.failures()
    ]  # fmt: skip
    return sarif.log("seatrial audit", rules.values(), found)


def as_junit(audits: Sequence[Audit]) -> str:
    """Return JUnit XML: a suite for each target; what came to no verdict is skipped, and never green."""
    suites = []
    for audit in audits:
        cases = []
        for one in audit.findings:
            check, state = one.check, one.outcome.state
            case = junit_xml.TestCase(
                f"{check.id} {check.title}", classname=f"{audit.target.replace('.', '_')}.audit.{check.area}"
            )
            if state is State.FAIL:
                body = f"{place(one)}\n\nremedy: {check.remedy}\nCIS: {check.cis or 'none'}, level {check.level}"
                case.add_failure_info(place(one), body, check.severity.value)
            elif state is not State.PASS:
                case.add_skipped_info(f"{state.value}: {place(one)}")
            cases.append(case)
        suites.append(junit_xml.TestSuite(clean(audit.target), cases))
    xml: str = junit_xml.to_xml_report_string(suites)
    return xml


def as_html(audits: Sequence[Audit]) -> str:
    """Return a page; its look is in report.css beside it, and it can be read without."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("seatrial.report", "templates"), autoescape=True,
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        finalize=lambda value: clean(value) if isinstance(value, str) else value,
    )  # fmt: skip
    page: str = environment.get_template("audit.html.j2").render(
        audits=audits, signs=SIGNS, State=State, summary=summary, areas=areas, version=__version__,
        benchmark=BENCHMARK,
    )  # fmt: skip
    return page


def areas(audit: Audit) -> list[tuple[str, list[Finding]]]:
    """Return the findings by area, in the order of the checks."""
    return [(area, list(group)) for area, group in groupby(audit.findings, lambda one: one.check.area)]


def row(one: Finding) -> tuple[Any, ...]:
    """Return a finding as a line of a table: sign, id, number, severity, title, what was seen."""
    check = one.check
    return (SIGNS[one.outcome.state], check.id, check.cis or "-", check.severity.value, check.title, place(one))

"""The results of another project's suite, judged by a list of its failures that are known."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from seatrial import foreign
from seatrial.errors import SeatrialError
from seatrial.known import Deviations, Known, match
from seatrial.report.files import save

_FAILED = ("failure", "error")


@dataclass
class Judged:
    """Ids of tests by what came of them; `passing` are known failures that did not fail."""

    passed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    passing: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        counts = {"failed": self.failed, "known failures": self.known, "passed": self.passed, "skipped": self.skipped}
        return ", ".join(f"{len(tests)} {name}" for name, tests in counts.items() if tests) or "no tests ran"


def judge(junit: Path, deviations: Deviations) -> Judged:
    """Judge a JUnit file of pytest and write it anew: known failures become skipped tests with their reason.

    Raises `SeatrialError` E329 when it is none.
    """
    try:
        root = foreign.parse(foreign.legal(junit.read_text("utf-8", "replace")), most=50 * foreign.MIB)
    except (OSError, ValueError) as error:
        raise SeatrialError("E329", f"{junit} cannot be read as JUnit", str(error)) from error
    judged = Judged()
    for case in root.iter("testcase"):
        name = id_of(case.get("classname", ""), case.get("name", ""))
        entry = match(deviations.tests, name)
        failures = [child for child in case if child.tag in _FAILED]
        if failures and _expected(entry, deviations, failures):
            _forgive(case, failures, _expected(entry, deviations, failures))
            judged.known.append(name)
        elif failures:
            judged.failed.append(name)
        elif case.find("skipped") is not None:
            judged.skipped.append(name)
        else:
            judged.passed.append(name)
            judged.passing += [name] if entry else []
    for suite in root.iter("testsuite"):
        cases = list(suite.iter("testcase"))
        for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            suite.set(attribute, str(sum(case.find(tag) is not None for case in cases)))
    save(junit, ET.tostring(root, "unicode", xml_declaration=True))
    return judged


def id_of(classname: str, name: str) -> str:
    """Return pytest's id of a test from what it writes into JUnit: modules begin in lower case, classes do not."""
    parts = classname.split(".")
    classes = [part for part in parts if part[:1].isupper()]
    modules = parts[: len(parts) - len(classes)]
    return "::".join(["/".join(modules) + ".py", *classes, name])


def _expected(entry: Known | None, deviations: Deviations, failures: list[ET.Element]) -> Known | None:
    """Return the entry that expects all failures of a test, or None."""
    entries = [*([entry] if entry else []), *deviations.races]
    words = list(_words(failures))
    return next((one for one in entries if all(one.expects(said) for said in words)), None)


def _words(failures: list[ET.Element]) -> Iterator[str]:
    for failure in failures:
        yield f"{failure.get('message', '')}\n{failure.text or ''}"


def _forgive(case: ET.Element, failures: list[ET.Element], known: Known | None) -> None:
    for failure in failures:
        case.remove(failure)
    if known is not None and case.find("skipped") is None:
        ET.SubElement(case, "skipped", message=f"known: {known.reason}").text = known.link

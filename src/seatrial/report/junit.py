"""JUnit XML for Jenkins and GitLab, one file for each target.

GitLab knows a test by classname and name and drops doubles, so the target stands in the classname.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import junit_xml

from seatrial.claims import Claim
from seatrial.names import slug
from seatrial.report.cases import case_runs
from seatrial.report.cases import text as cases_text
from seatrial.report.conclusion import NOT_RUN, broken_off, targets_of
from seatrial.report.files import save
from seatrial.report.wording import carried, clean, first_line, function, rerun, why
from seatrial.results import Finding, Run, TestResult, passing_again
from seatrial.verdict import Verdict

_MACHINE = ("kernel", "system", "arch", "cpus", "cpu", "memory", "cgroup", "lsm")
_TARGET = ("engine", "version", "api", "runtime", "storage")


def write(run: Run, directory: Path, claims: Mapping[str, Claim]) -> list[Path]:
    """Write junit-<target>.xml for every target of a run; raises `SeatrialError` E406."""
    return [save(directory / name, render(run, target, claims)) for target, name in file_names(run).items()]


def file_names(run: Run) -> dict[str, str]:
    """Return the file's name for each target; targets that look alike are numbered."""
    names: dict[str, str] = {}
    for target in targets_of(run):
        stem = slug(target)
        alike = sum(slug(other) == stem for other in names)
        names[target] = f"junit-{stem}~{alike + 1}.xml" if alike else f"junit-{stem}.xml"
    return names


def render(run: Run, target: str, claims: Mapping[str, Claim]) -> str:
    """Return the XML of one target. What must not look green gets an errored or failed case of its own."""
    results = [result for result in run.results if result.target == target]
    options, again = carried(run.header.command), passing_again(run.results)
    cases = [_case(result, claims, options, listed=result in again) for result in results]
    findings = [finding for finding in run.findings if finding.target in ("", target)]
    cases += [_finding_case(finding, target) for finding in findings]
    doubt = broken_off(run) or ("" if results else f"nothing was tested on {target}")
    if doubt:
        case = junit_xml.TestCase("the run is complete", classname=_classname(target, "seatrial.run"))
        case.add_error_info(message=clean(doubt), output=clean(doubt), error_type="UNKNOWN")
        cases.append(case)
    seen: Counter[tuple[str, str]] = Counter()
    for case in cases:
        seen[case.classname, case.name] += 1
        if seen[case.classname, case.name] > 1:
            case.name += f" ({seen[case.classname, case.name]})"
    suite = junit_xml.TestSuite(clean(target), cases, timestamp=run.header.started, id=run.header.run,
                                properties=_properties(run, target))  # fmt: skip
    xml: str = junit_xml.to_xml_report_string([suite])
    return xml


def _classname(target: str, module: str) -> str:
    # dots part packages in Jenkins: those of an address must not
    return clean(f"{target.replace('.', '_')}.{module}")


def _case(
    result: TestResult, claims: Mapping[str, Claim], options: Sequence[str] = (), *, listed: bool = False
) -> junit_xml.TestCase:  # fmt: skip
    path = result.test.partition("::")[0].removeprefix("suites/").removesuffix(".py")
    case = junit_xml.TestCase(
        clean(function(result.test)),
        classname=_classname(result.target, re.sub(r"/+", ".", path)),
        elapsed_sec=result.duration,
        file=clean(result.file) or None,
        line=result.line or None,
    )
    text = clean(result.message)
    head = first_line(text) or why(result)
    if listed:
        case.stdout = f"PASSES AGAIN: listed as a {why(result)}"
    elif result.verdict is Verdict.FAIL:
        case.add_failure_info(head, _body(result, text, claims, options), str(result.level))
    elif result.verdict in (Verdict.ERROR, Verdict.UNKNOWN):
        head = head if text else f"no verdict: {why(result)}"
        case.add_error_info(head, _body(result, text, claims, options), str(result.verdict))
    elif result.verdict is Verdict.KNOWN:
        case.add_skipped_info(message=clean(why(result)), output=text or None)
    elif result.verdict in NOT_RUN:
        case.add_skipped_info(message=clean(f"{result.verdict}: {why(result)}"))
    elif result.verdict is Verdict.WARN:
        case.stdout = f"WARN: {_body(result, text, claims, options)}"
    for done in case_runs([result]):
        case.stdout = "\n\n".join(filter(None, (case.stdout, clean(cases_text(done)))))
    return case


def _properties(run: Run, target: str) -> dict[str, str]:
    """Return what a target and its machine are, as far as it is known."""
    info = next((info for info in run.header.targets if info.name == target), None)
    found = {"harness": run.header.harness}
    found |= {name: str(run.header.host[name]) for name in _MACHINE if run.header.host.get(name) not in (None, "")}
    if info is not None:
        found |= {name: str(info.facts[name]) for name in _MACHINE if info.facts.get(name) not in (None, "")}
        found |= {name: getattr(info, name) for name in _TARGET if getattr(info, name)}
    return {name: clean(value) for name, value in found.items()}


def _body(result: TestResult, text: str, claims: Mapping[str, Claim], options: Sequence[str]) -> str:
    lines = [text or why(result), ""]
    for id_ in result.claims:
        claim = claims.get(id_)
        words = f" ({claim.level}): {claim.sentence} [{claim.source}]" if claim else ""
        lines.append(f"claim {id_}{words}")
    lines.append(f"run again: {rerun(result.test, [result.target], options)}")
    lines += [f"{word}: {path}" for word, path in (("commands", result.repro), ("log", result.log)) if path]
    return clean("\n".join(lines))


def _finding_case(finding: Finding, target: str) -> junit_xml.TestCase:
    name = f"{finding.kind}: {function(finding.test)}" if finding.test else finding.kind
    case = junit_xml.TestCase(clean(name), classname=_classname(target, "seatrial.findings"))
    text = clean(finding.message) or finding.kind
    if finding.reason:
        case.add_skipped_info(message=clean(f"known: {finding.reason} {finding.link}").strip(), output=text)
        return case
    case.add_failure_info(message=first_line(text) or finding.kind, output=text, failure_type=finding.kind)
    return case

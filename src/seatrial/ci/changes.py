"""How a build ended, in words: a few for a status, a note on the verdicts that differ from the target branch.

Names and messages of tests come from code of the merge request: they are shown as code, one line each.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seatrial.ci.jenkins import Controller
from seatrial.report.markdown import code
from seatrial.verdict import Verdict

Report = Mapping[str, Any]  # as Jenkins shows the tests of a build
_MOST = 20
_RED = ("FAILED", "REGRESSION")
_RESULTS = {
    "SUCCESS": ("success", "all tests passed"), "UNSTABLE": ("failed", "tests failed"),
    "ABORTED": ("canceled", "the build was aborted"),
}  # fmt: skip


def ended(result: str, report: Report | None = None) -> tuple[str, str]:
    """Return GitLab's state for a build's result, and words for it.

    A step that fails because tests failed makes a build a FAILURE, as any other step does: the tests tell which it was.
    """
    if result == "FAILURE" and "red" in verdicts(report).values():
        result = "UNSTABLE"
    return _RESULTS.get(result, ("failed", f"the build ended: {result}"))


def baseline(jenkins: Controller, job: str) -> Report | None:
    """Return the test report of a job's last build that published one and was not aborted, None when there is none.

    Of the last five at most: a branch whose builds have long ended without tests is nothing to compare with.
    """
    done = [one for one in jenkins.builds(job) if one.get("result") not in (None, "ABORTED", "NOT_BUILT")]
    reports = (jenkins.test_report(job, int(one["number"])) for one in done[:5])
    return next((report for report in reports if report is not None), None)


def verdicts(report: Report | None) -> dict[str, str]:
    """Return the tests of a Jenkins test report: class and name -> red, disabled, skipped, green.

    Disabled are those that the run's own selection left out, as the slow ones: JUnit knows them as skipped.
    """
    found: dict[str, str] = {}
    for suite in (report or {}).get("suites") or []:
        for case in suite.get("cases") or []:
            status = str(case.get("status"))
            colour = "red" if status in _RED else _left_out(case) if status == "SKIPPED" else "green"
            name = f"{case.get('className', '')}::{case.get('name', '')}"
            if found.get(name) != "red":
                found[name] = colour
    return found


def _left_out(case: Mapping[str, Any]) -> str:
    return "disabled" if str(case.get("skippedMessage") or "").startswith(f"{Verdict.DISABLED}:") else "skipped"


def _comparable(tests: Mapping[str, str], others: Mapping[str, str]) -> dict[str, str]:
    """Return the tests that neither run left out by its selection."""
    return {name: colour for name, colour in tests.items() if "disabled" not in (colour, others.get(name))}


def note(commit: str, target: str, result: str, url: str, report: Report | None, base: Report | None) -> str:
    """Say how a build ended, and what differs from the last build of the branch that it goes into."""
    tests, before = verdicts(report), verdicts(base)
    counts = {colour: list(tests.values()).count(colour) for colour in ("green", "red", "skipped", "disabled")}
    what = f"{code(commit[:12])} merged into {code(target)}"
    lines = [f"**Seatrial: {ended(result, report)[1]}** for {what} ([build]({url}))", ""]
    if tests:
        skipped = counts["skipped"] + counts["disabled"]
        lines += [f"{counts['green']} passed, {counts['red']} failed, {skipped} skipped.", ""]
    else:
        lines += ["No tests were published: see the build's console.", ""]
    red = [name for name, colour in tests.items() if colour == "red"]
    if base is None:
        lines += _list("Failed", red)
    else:
        now, then = _comparable(tests, before), _comparable(before, tests)
        newly = [name for name in red if before.get(name) != "red"]
        lines += _list("Newly failing", newly)
        lines += _list("Failed before, too", [name for name in red if before.get(name) == "red"])
        lines += _list("Fixed", [n for n, colour in before.items() if colour == "red" and tests.get(n) == "green"])
        gone = [n for n, colour in then.items() if colour == "green" and tests.get(n, "skipped") == "skipped"]
        lines += _list("No longer run", gone)
        if tests and now == then and not newly:
            lines.append("No verdict differs from the target branch.")
    return "\n".join(lines).rstrip() + "\n"


def _list(title: str, names: list[str]) -> list[str]:
    if not names:
        return []
    shown = [f"- {code(name, 200)}" for name in sorted(names)[:_MOST]]
    more = [f"- and {len(names) - _MOST} more"] if len(names) > _MOST else []
    return [f"{title} ({len(names)}):", "", *shown, *more, ""]

"""What a merge request is told: a few words for the status, a note for its page.

Names and messages of tests come from code of the merge request: they are shown as code, one line each.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seatrial.ci.hook.store import Build
from seatrial.report.markdown import code
from seatrial.verdict import Verdict

_MOST = 20
_RED = ("FAILED", "REGRESSION")
_RESULTS = {
    "SUCCESS": ("success", "all tests passed"), "UNSTABLE": ("failed", "tests failed"),
    "ABORTED": ("canceled", "the build was aborted"),
}  # fmt: skip


def state(build: Build) -> tuple[str, str]:
    """Return GitLab's state of a build, and words for it."""
    if build.state == "done":
        return _RESULTS.get(build.result or "", ("failed", f"the build ended: {build.result}"))
    return {
        "gated": ("pending", "waits for a maintainer, see the note"),
        "queued": ("pending", "waits for Jenkins"), "launching": ("pending", "waits for Jenkins"),
        "waiting": ("pending", "waits for an agent"), "running": ("running", "runs"),
        "superseded": ("canceled", "a newer commit is tested, or the request is closed"),
        "cancelled": ("canceled", "it was taken out of Jenkins' queue"),
        "refused": ("canceled", "commits from forks are not built here"),
    }[build.state]  # fmt: skip


def gate_note(build: Build) -> str:
    """Ask a maintainer to let one commit through."""
    return (
        f"**Seatrial waits.** Commit {code(build.commit[:12])} comes from another project and would run on this "
        "project's machines. A maintainer who has read it lets exactly this commit through with the comment\n\n"
        f"```\nseatrial ok {build.commit}\n```\n"
    )


def verdicts(report: Mapping[str, Any] | None) -> dict[str, str]:
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


def result_note(build: Build, url: str, report: Mapping[str, Any] | None, base: Mapping[str, Any] | None) -> str:
    """Say how a build ended, and what differs from the last build of the branch that it goes into."""
    tests, before = verdicts(report), verdicts(base)
    counts = {colour: list(tests.values()).count(colour) for colour in ("green", "red", "skipped", "disabled")}
    words = state(build)[1]
    what = f"{code(build.commit[:12])} merged into {code(build.target)}"
    lines = [f"**Seatrial: {words}** for {what} ([build]({url}))", ""]
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

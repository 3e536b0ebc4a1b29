"""report.md: the run in at most 60 lines, for notes on merge requests; cases.md: every case of it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from seatrial.report import cases as cases_
from seatrial.report import wording
from seatrial.report.cases import CaseRun
from seatrial.report.view import Group, View, turns
from seatrial.report.wording import SIGNS, counts, flat, listed, many, moment, span

LINES = 60
_TARGETS = 6  # columns of the matrix
# What Markdown, GitLab or GitHub would take for markup, mention, reference or emoji. An underscore within a
# word is none, and test names are full of them.
_SPECIAL = re.compile(
    r"[\\`*\[\]#|<>~$&]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|(?<!\w)@|!(?=[\d\[])|:(?=[A-Za-z_+-]+\d*:)"
)


def escape(text: str, width: int = 200) -> str:
    """Return text on one line such that Markdown (GitLab's and GitHub's too) shows it as it is."""
    line = _SPECIAL.sub(r"\\\g<0>", flat(text, width))
    return re.sub(r"^(?:(\d+)(?=[.)](?:\s|$))|(?=[+=-]))", r"\1\\", line)  # else a list, a heading, a rule


def code(text: str, width: int = 300) -> str:
    """Return text as a code span."""
    line = flat(text, width).replace("|", "¦")  # a bar would part table cells even here
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    pad = " " if line.startswith("`") or line.endswith("`") or not line else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def render(view: View) -> str:
    """Return the page's content in the page's order; what does not fit is counted."""
    head = [*_verdict(view), *_subjects(view)]
    before = [_changes(view), _matrix(view)]
    after = [_reasons(view), _rest(view)]
    used = sum(map(len, (head, *before, *after)))
    lines = [*head, *before[0], *before[1], *_failures(view, LINES - used), *after[0], *after[1]]
    while lines and not lines[-1]:
        lines.pop()
    return "\n".join(lines) + "\n"


def cases(found: Sequence[CaseRun]) -> str:
    """Return cases.md: each case with its steps, what its containers took at most, and where it ran."""
    lines = ["# Cases", ""]
    for case in found:
        lines += [f"## {SIGNS[case.verdict]} {escape(case.test)} on {escape(case.target)}", ""]
        lines += [f"{escape(case.ending)} after {case.duration}: {escape(cases_.listed(case.spent))}.", ""]
        lines += ["| phase | step | object | ended | time | command |", "|---|---|---|---|---:|---|"]
        lines += [
            f"| {step.phase} | {escape(step.name)} | {escape(step.object)} | {step.ended} | {step.duration} "
            f"| {code(step.what, 160)} |"
            for step in case.steps
        ]
        lines += ["", *(f"- {escape(step.name)}: {escape(step.problem, 400)}" for step in case.steps if step.problem)]
        facts = [*((f"peak of {name}", words) for name, words in case.peaks), *case.metrics,
                 *((f"host {name}", where) for name, where in case.hosts)]  # fmt: skip
        lines += [f"- {escape(name)}: {escape(words)}" for name, words in facts]
        lines += [f"- environment: {escape(cases_.listed(case.environment), 500)}"] if case.environment else []
        lines += [f"- record: {code(case.record)}"] if case.record else []
        for step in [one for one in case.steps if one.output]:
            lines += ["", f"Output of {escape(step.name)}:", "", *(f"    {row}" for row in step.output.splitlines())]
        lines.append("")
    return "\n".join(lines)


def _cut(rows: Sequence[str], limit: int, more: str) -> list[str]:
    if len(rows) <= limit:
        return list(rows)
    return [*rows[: limit - 1], more.format(f"{len(rows) - limit + 1:,}")]


def _verdict(view: View) -> list[str]:
    header, footer = view.run.header, view.run.footer
    facts = [f"Run {code(header.run)}", f"started {escape(moment(header.started))}"]
    facts += [f"took {span(footer.duration)}"] if footer else ["without an end"]
    facts += [many(header.workers, "worker"), f"Seatrial {escape(header.harness)}"]
    facts += [code(shlex.join(header.command), 160)]
    notes = "".join(f" {escape(note)}." for note in view.conclusion.notes)
    sign = SIGNS[view.conclusion.verdict]
    title = f"## {sign} {view.conclusion.verdict}: {escape(view.conclusion.sentence)}"
    return [title, "", f"{', '.join(facts)}.{notes}", ""]


def _subjects(view: View) -> list[str]:
    rows = [
        f"| {escape(subject.info.name)} | {escape(subject.info.version)} "
        f"| {SIGNS[subject.conclusion.verdict]} {subject.conclusion.verdict} | {counts(subject.counts)} |"
        for subject in view.subjects
    ]
    head = ["| target | version | verdict | counts |", "|---|---|---|---|"]
    return [*head, *_cut(rows, 7, "| and {} more | | | |"), ""]


def _changes(view: View) -> list[str]:
    head = "### Since the last run"
    if view.history_problem:
        return [head, "", f"Not known: {escape(view.history_problem)}", ""]
    if not any(changes.since for changes in view.changes):
        return [head, "", "No earlier complete run of these targets is on record.", ""]
    kinds = {title: [turn.test for turn in found] for title, found in turns(view.changes).items()}
    kinds["Known failures that pass"] = sorted({test for one in view.changes for test in one.known_passes})
    kinds["Flaky"] = sorted({found.test for found in view.flaky})
    rows = [
        f"- **{title}** ({len(tests):,}): {listed([escape(test, 100) for test in tests])}"
        for title, tests in kinds.items()
        if tests
    ]
    return [head, "", *(rows or ["Nothing changed."]), ""]


def _matrix(view: View) -> list[str]:
    targets = view.targets[:_TARGETS]
    if not view.areas:
        return []
    rows = []
    for area in view.areas:
        cells = []
        for target in targets:
            cell = area.cells.get(target)
            numbers = cell.counts if cell else {}
            found = [verdict for verdict in wording.ORDER if numbers.get(verdict)]
            cells.append(" ".join(f"{SIGNS[verdict]} {numbers[verdict]}" for verdict in found))
        rows.append(f"| {escape(area.name)} | {' | '.join(cells)} |")
    blank = " |" * len(targets)
    return [
        f"| area | {' | '.join(map(escape, targets))} |", "|---|" + "---|" * len(targets),
        *_cut(rows, 9, "| and {} more |" + blank), "",
    ]  # fmt: skip


def _failures(view: View, room: int) -> list[str]:
    groups = [*view.failures, *view.warnings]
    if not groups:
        return []
    rows = [_failure(group) for group in groups]
    return ["### Failures", "", *_cut(rows, max(room - 3, 2), "- and {} more groups, see index.html"), ""]


def _failure(group: Group) -> str:
    case = group.cases[0]
    more = f" and {many(len(group.cases) - 1, 'more test')}" if len(group.cases) > 1 else ""
    return (
        f"- {SIGNS[group.verdict]} **{group.verdict}** {escape(group.title, 140)} "
        f"({escape(listed(group.targets), 120)}): {code(case.command, 240)}{more}"
    )


def _reasons(view: View) -> list[str]:
    if not view.reasons:
        return []
    rows = [f"- {reason.count:,} {reason.verdict}: {escape(reason.text, 140)}" for reason in view.reasons]
    return ["### Not tested", "", *_cut(rows, 5, "- and {} more reasons, see index.html"), ""]


def _rest(view: View) -> list[str]:
    rows = []
    if view.claims is None:
        rows.append("- Claims: not recorded for this run")
    elif view.coverage:
        checked = sum(len(row.checked) for row in view.coverage)
        total = sum(row.total for row in view.coverage)
        rows.append(f"- Claims: {checked:,} of {total:,} checked on at least one target")
    if ignored := [option.name for option in view.options if option.ignored]:
        rows.append(f"- Accepted without effect: {listed([code(name, 60) for name in ignored], 6)}")
    if view.posture:
        open_ = [row.name for row in view.posture if row.is_open]
        words = f"open: {listed([escape(name, 60) for name in open_], 6)}" if open_ else "all that were looked at hold"
        rows.append(f"- Isolation: {many(len(view.posture), 'row')} in index.html, {words}")
    if view.known:
        rows.append(f"- Known failures: {listed([escape(group.title, 80) for group in view.known], 3)}")
    if unexpected := [finding for finding in view.run.findings if not finding.reason]:
        found = [escape(f"{finding.kind}: {finding.message}", 120) for finding in unexpected]
        rows.append(f"- Findings: {listed(found, 3)}")
    if view.slowest:
        slow = [(wording.function(result.test), span(result.duration)) for result in view.slowest[:3]]
        rows.append(f"- Slowest: {listed([f'{escape(name, 60)} {time}' for name, time in slow])}")
    return ["### Besides", "", *rows] if rows else []

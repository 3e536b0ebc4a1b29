"""What differs between two runs, or between two targets of one run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from seatrial.errors import SeatrialError
from seatrial.report.conclusion import broken_off, targets_of
from seatrial.report.markdown import escape
from seatrial.report.wording import first_line, many, why
from seatrial.results import Run, TestResult, read
from seatrial.verdict import Verdict


@dataclass(frozen=True)
class Difference:
    """A test that both sides have, with different verdicts; the notes say why it was so."""

    test: str
    area: str
    left: Verdict
    right: Verdict
    left_target: str
    right_target: str
    left_note: str
    right_note: str

    @property
    def worse(self) -> bool:
        """Whether the right side is red and the left is not."""
        return self.right.red and not self.left.red

    @property
    def better(self) -> bool:
        """Whether the left side is red and the right ran without being so."""
        return self.left.red and self.right.ran and not self.right.red


@dataclass(frozen=True)
class Comparison:
    """Two sides, compared test by test; `caveats` are sentences about sides that are incomplete."""

    left: str
    right: str
    pairs: list[tuple[str, str]]  # targets that were set against each other
    differences: list[Difference]
    only_left: list[str]
    only_right: list[str]
    same: int
    caveats: list[str]
    partial: bool  # the right side did not run to its end, or lacks tests that ran on the left

    @property
    def worse(self) -> bool:
        """Whether anything is worse on the right."""
        return any(difference.worse for difference in self.differences)

    def summary(self) -> str:
        """Return the comparison in one sentence."""
        worse = sum(difference.worse for difference in self.differences)
        better = sum(difference.better for difference in self.differences)
        parts = [
            f"{many(len(self.differences), 'test')} differ" + ("s" if len(self.differences) == 1 else ""),
            f"{worse:,} newly red" if worse else "",
            f"{better:,} no longer red" if better else "",
            f"{self.same:,} alike",
            f"{len(self.only_left):,} only on the left" if self.only_left else "",
            f"{len(self.only_right):,} only on the right" if self.only_right else "",
        ]
        return ", ".join(part for part in parts if part)

    def _rows(self) -> Iterator[Difference]:
        rank = {verdict: number for number, verdict in enumerate(Verdict)}
        worst = sorted(self.differences, key=lambda row: (rank[row.right], row.area, row.test))
        return iter(sorted(worst, key=lambda row: (not row.worse, not row.better)))

    def _name(self, difference: Difference) -> str:
        if len(self.pairs) < 2:
            return difference.test
        return f"{difference.test} [{difference.right_target}]"

    def text(self) -> str:
        """Return the comparison for a console."""
        lines = [f"left   {self.left}", f"right  {self.right}", f"{self.summary()}."]
        lines += [f"note: {caveat}" for caveat in self.caveats]
        for row in self._rows():
            lines.append(f"  {row.left:<11} -> {row.right:<11} {self._name(row)}")
            note = row.right_note or row.left_note
            if note:
                lines.append(f"  {'':27} {note}")
        for side, tests in (("left", self.only_left), ("right", self.only_right)):
            lines += [f"  only {side}: {test}" for test in tests]
        return "\n".join(lines)

    def markdown(self) -> str:
        """Return the comparison as Markdown."""
        lines = [f"## {escape(self.left)} against {escape(self.right)}", "", f"{self.summary()}."]
        lines += ["", *(f"> {escape(caveat)}" for caveat in self.caveats)] if self.caveats else []
        if self.differences:
            lines += ["", "| test | left | right | why |", "|---|---|---|---|"]
            lines += [
                f"| {escape(self._name(row))} | {row.left} | {row.right} | {escape(note)} |"
                for row in self._rows()
                for note in (row.right_note or row.left_note,)
            ]
        for side, tests in (("left", self.only_left), ("right", self.only_right)):
            if tests:
                lines += ["", f"Only on the {side}:", "", *(f"- {escape(test)}" for test in tests)]
        return "\n".join(lines) + "\n"


def compare(left: Path, right: Path, targets: tuple[str, str] | None = None) -> Comparison:
    """Compare the runs in two directories; the same directory twice compares two targets of one run.

    `targets` names the target of each side. Without it, every target that both runs have is compared with
    itself, or the only one of each side with the other. Raises `SeatrialError` E301 or E313 for unreadable results
    and E307 when there is nothing to compare.
    """
    runs = read(left / "results.jsonl"), read(right / "results.jsonl")
    pairs = _pairs(runs[0], runs[1], targets)
    differences: list[Difference] = []
    only_left: list[str] = []
    only_right: list[str] = []
    same = 0
    lacking = broken_off(runs[1]) != ""
    for a, b in pairs:
        first, second = _of(runs[0], a), _of(runs[1], b)
        suffix = f" [{a}]" if len(pairs) > 1 else ""
        missing = [test for test in first if test not in second]
        lacking = lacking or any(first[test].verdict.ran for test in missing)
        only_left += [test + suffix for test in missing]
        only_right += [test + suffix for test in second if test not in first]
        for test in first.keys() & second.keys():
            x, y = first[test], second[test]
            if x.verdict is y.verdict:
                same += 1
            else:
                differences.append(Difference(test, y.area, x.verdict, y.verdict, a, b, _note(x), _note(y)))
    labels = [_label(run, [pair[side] for pair in pairs]) for side, run in enumerate(runs)]
    caveats = dict.fromkeys(f"{run.header.run}: {broken}" for run in runs if (broken := broken_off(run)))
    first_label, second_label = labels
    return Comparison(
        first_label, second_label, pairs, differences, only_left, only_right, same, list(caveats), lacking
    )  # fmt: skip


def _pairs(left: Run, right: Run, targets: tuple[str, str] | None) -> list[tuple[str, str]]:
    have = targets_of(left), targets_of(right)
    if targets is not None:
        for run, names, target in zip((left, right), have, targets, strict=True):
            if target not in names:
                missing = f"the run {run.header.run} has no target {target}"
                raise _nothing(missing, f"it has: {', '.join(names)}")
        return [targets]
    common = [name for name in have[0] if name in have[1]]
    if common and left.header.run != right.header.run:
        return [(name, name) for name in common]
    if left.header.run == right.header.run:
        if len(have[0]) == 2:
            return [(have[0][0], have[0][1])]
        hint = f"name two of its targets: {', '.join(have[0])}"
        raise _nothing("a run cannot be compared with itself", hint)
    if len(have[0]) == len(have[1]) == 1:
        return [(have[0][0], have[1][0])]
    raise _nothing(
        f"the runs {left.header.run} and {right.header.run} have no target in common",
        f"name one of each: {', '.join(have[0])}; {', '.join(have[1])}",
    )


def _nothing(message: str, hint: str) -> SeatrialError:
    return SeatrialError("E307", f"nothing to compare: {message}", "", hint)


def _of(run: Run, target: str) -> dict[str, TestResult]:
    return {result.test: result for result in run.results if result.target == target}


def _note(result: TestResult) -> str:
    if result.verdict is Verdict.PASS:
        return ""
    return first_line(result.message) or why(result)


def _label(run: Run, targets: list[str]) -> str:
    versions = {info.name: f"{info.name} {info.version}" for info in run.header.targets}
    return f"{run.header.run}: {', '.join(versions.get(target, target) for target in targets)}"

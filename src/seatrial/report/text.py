"""Plain text: Docker's own lines (those of go-check), and the closing words of a run on the console."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import PurePosixPath

from seatrial.names import gocheck_id
from seatrial.report.conclusion import NOT_RUN, conclude, targets_of
from seatrial.report.wording import counts, flat, span, why
from seatrial.results import Run, TestResult
from seatrial.verdict import Verdict

_FINDINGS = 5  # that the console names
_LABELS: Mapping[Verdict, str] = {
    Verdict.PASS: "PASS",
    Verdict.WARN: "PASS",
    Verdict.FAIL: "FAIL",
    Verdict.ERROR: "PANIC",
    Verdict.KNOWN: "FAIL EXPECTED",
    Verdict.UNKNOWN: "MISS",
} | dict.fromkeys(NOT_RUN, "SKIP")


def line(result: TestResult) -> str:
    """Return a result as go-check prints it: `PASS: test_run.py:35: Cli.TestX 0.439s`.

    As there, only what ended as it should carries its duration, and a reason stands in parentheses.
    """
    label = "PASS" if result.known_passes else _LABELS[result.verdict]
    path = result.file or result.test.partition("::")[0]
    head = f"{label}: {PurePosixPath(path).name}:{result.line}: {flat(gocheck_id(result.test))}"
    if label in ("SKIP", "FAIL EXPECTED"):
        head += f" ({flat(result.reason or why(result))})"
    return f"{head} {result.duration:.3f}s" if label in ("PASS", "FAIL EXPECTED") else head


def summary(numbers: Mapping[Verdict, int], missed: int = 0) -> str:
    """Return go-check's last line: `OK: 887 passed, 10 skipped`, or OOPS when anything went wrong.

    `missed` counts selected tests that have no result. Unlike go-check's, a run in which nothing
    passed is not OK.
    """
    count = {verdict: numbers.get(verdict, 0) for verdict in Verdict}
    passed = count[Verdict.PASS] + count[Verdict.WARN]
    missed += count[Verdict.UNKNOWN]
    rest = (
        (sum(count[verdict] for verdict in NOT_RUN), "skipped"),
        (count[Verdict.KNOWN], "expected failures"),
        (count[Verdict.FAIL], "FAILED"),
        (count[Verdict.ERROR], "PANICKED"),
        (missed, "MISSED"),
    )
    good = passed and not (count[Verdict.FAIL] or count[Verdict.ERROR] or missed)
    fields = [f"{passed} passed", *(f"{number} {word}" for number, word in rest if number)]
    return f"{'OK' if good else 'OOPS'}: {', '.join(fields)}"


def closing(run: Run) -> str:
    """Return what the console says at the end: verdict, counts by target, where the reports are."""
    conclusion = conclude(run)
    lines = [f"{conclusion.verdict}: {conclusion.sentence}."]
    lines += [f"  {note}" for note in conclusion.notes]
    found = [finding for finding in run.findings if not finding.reason]
    lines += [f"  ! {flat(finding.message, 160)}" for finding in found[:_FINDINGS]]
    if len(found) > _FINDINGS:
        lines.append(f"  ! and {len(found) - _FINDINGS} more, which the report shows")
    targets = targets_of(run)
    width = max((len(target) for target in targets), default=0)
    for target in targets:
        numbers = Counter(result.verdict for result in run.results if result.target == target)
        lines.append(f"  {target:{width}}  {conclude(run, target).verdict:<8} {counts(numbers)}")
    if run.footer is not None:
        lines.append(f"  took {span(run.footer.duration)}")
    if run.directory is not None:
        page = run.directory / "index.html"
        lines.append(f"  report  {page if page.exists() else 'could not be written'}")
        if list(run.directory.glob("junit-*.xml")):
            lines.append(f"  JUnit   {run.directory}/junit-*.xml")
    return "\n".join(lines)

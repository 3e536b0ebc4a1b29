"""What a run says in one sentence.

Every reason not to be green is looked for: a missing footer, an early end, tests without a verdict,
counts that do not add up, a failed gate, leftovers, and a run in which nothing reached an engine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from seatrial.errors import Exit
from seatrial.report.wording import listed, many
from seatrial.results import Run, merge_counts
from seatrial.verdict import Verdict

NOT_RUN = (Verdict.UNSUPPORTED, Verdict.SKIP, Verdict.DISABLED)


@dataclass(frozen=True)
class Conclusion:
    """The verdict of a run or of one target in it; `notes` are sentences that qualify it."""

    verdict: Verdict
    sentence: str
    notes: list[str]

    @property
    def green(self) -> bool:
        """Whether nothing speaks against the target."""
        return self.verdict in (Verdict.PASS, Verdict.WARN)


def targets_of(run: Run) -> list[str]:
    """List the targets of a run: those of the header, then any that only results name."""
    names = [target.name for target in run.header.targets]
    return list(dict.fromkeys([*names, *(result.target for result in run.results)]))


def broken_off(run: Run) -> str:
    """Return the sentence that says why a run is incomplete, empty when it is whole."""
    if run.footer is None:
        return "The run was cut off: its results have no closing line, so tests may be missing"
    if run.footer.cause:
        return f"The run ended early: {run.footer.cause}".rstrip(".")
    counted = {name: count for name, count in run.footer.counts.items() if count}
    if counted != merge_counts(run.results):
        return "The results are damaged: the closing line counts other verdicts than the stream holds"
    missing = run.footer.selected - len(run.results)
    if missing > 0:
        return f"{many(missing, 'selected test')} ended without a result"
    return ""


def conclude(run: Run, target: str = "") -> Conclusion:
    """Conclude a run, or only what it says about one target."""
    results = [result for result in run.results if target in ("", result.target)]
    mine = [finding for finding in run.findings if target in ("", finding.target) or not finding.target]
    findings = [finding for finding in mine if not finding.reason]
    numbers = Counter(result.verdict for result in results)
    where = "" if target else _where(result.target for result in results)
    broken = broken_off(run)
    without = run.footer.selected - len(run.results) if run.footer is not None and not target else 0
    notes = _notes(numbers, len(findings), without)
    if red := _red(numbers, len(results)):
        guilty = "" if target else _where(result.target for result in results if result.verdict.red)
        verdict = Verdict.FAIL if numbers[Verdict.FAIL] else Verdict.ERROR
        return Conclusion(verdict, red + guilty, [broken, *notes] if broken else notes)
    if doubt := broken or _doubt(numbers, run.footer.selected if run.footer else 0):
        return Conclusion(Verdict.UNKNOWN, doubt, notes)
    if findings:
        sentence = f"No test failed{where}, but {many(len(findings), 'thing')} outside the tests went wrong"
        return Conclusion(Verdict.FAIL, sentence, notes)
    if run.footer is not None and run.footer.exit and not target:
        gate = run.footer.exit == Exit.GATE
        why = "the gate failed" if gate else f"the session ended with exit code {run.footer.exit}"
        return Conclusion(Verdict.FAIL, f"No test failed{where}, but {why}", notes)
    if numbers[Verdict.WARN]:
        warned = f"No test failed{where}, {many(numbers[Verdict.WARN], 'test')} warned"
        return Conclusion(Verdict.WARN, warned, notes)
    passed = numbers[Verdict.PASS]
    rest = " besides known failures" if numbers[Verdict.KNOWN] else " that ran"
    words = f"All {passed:,} tests{rest} passed" if passed > 1 else f"The one test{rest} passed"
    return Conclusion(Verdict.PASS, words + where, notes)


def _red(numbers: Counter[Verdict], total: int) -> str:
    failed, errors = numbers[Verdict.FAIL], numbers[Verdict.ERROR]
    of = f" of {many(total, 'test')}"
    if failed and errors:
        return f"{failed:,}{of} failed and {errors:,} met a harness error"
    if failed:
        return f"{failed:,}{of} failed"
    return f"{errors:,}{of} met a harness error" if errors else ""


def _doubt(numbers: Counter[Verdict], selected: int) -> str:
    if not numbers.total() and not selected:
        return "Nothing was tested: no test was collected, or every one was deselected"
    if not numbers.total():
        return "Nothing was tested: there is no result"
    if numbers[Verdict.UNKNOWN]:
        return f"{many(numbers[Verdict.UNKNOWN], 'test')} ended without a conclusion"
    if not any(verdict.ran for verdict in numbers):
        return "Nothing was tested: no test could run"
    if not numbers[Verdict.PASS] and not numbers[Verdict.WARN]:
        return "Nothing passed: every test that ran is a known failure"
    return ""


def _notes(numbers: Counter[Verdict], findings: int, without: int) -> list[str]:
    not_run = sum(numbers[verdict] for verdict in NOT_RUN)
    notes = {
        many(numbers[Verdict.KNOWN], "known failure"): numbers[Verdict.KNOWN],
        f"{many(not_run, 'test')} not run": not_run,
        f"{many(without, 'selected test')} without a result": max(without, 0),
        many(findings, "finding"): findings,
    }
    return [note for note, count in notes.items() if count]


def _where(targets: Iterable[str]) -> str:
    names = list(dict.fromkeys(targets))
    return f" on {listed(names)}" if len(names) <= 2 else f" on {len(names)} targets"

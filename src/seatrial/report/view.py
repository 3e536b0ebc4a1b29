"""What a report says about a run, in the order in which it says it; HTML and Markdown only render it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from seatrial.claims import Claim
from seatrial.history import Changes, Flaky
from seatrial.names import slug
from seatrial.report import wording
from seatrial.report.cases import EVIDENCE, CaseRun, case_runs
from seatrial.report.conclusion import NOT_RUN, Conclusion, conclude, targets_of
from seatrial.report.figures import Figure
from seatrial.report.posture import Row, posture
from seatrial.results import Run, TargetInfo, TestResult, passing_again
from seatrial.verdict import Verdict

SLOWEST = 15
_WORRYING = (Verdict.ERROR, Verdict.FAIL, Verdict.UNKNOWN, Verdict.WARN)


@dataclass(frozen=True)
class Case:
    """One test on one or several targets, alike in verdict."""

    test: str
    results: list[TestResult]
    options: Sequence[str] = ()  # of the run, that the test needs as well

    @property
    def targets(self) -> list[str]:
        """Names of the targets."""
        return list(dict.fromkeys(result.target for result in self.results))

    @property
    def message(self) -> str:
        """What was seen first, cut to what a page can show."""
        return wording.clip(next((result.message for result in self.results if result.message), ""))[0]

    @property
    def details(self) -> str:
        """What beside the reason is of this test alone: the further lines of it."""
        return wording.flat("; ".join(result.reason.partition("\n")[2] for result in self.results).strip("; "))

    @property
    def command(self) -> str:
        """The command line that runs it again."""
        return wording.rerun(self.test, self.targets, self.options)


@dataclass(frozen=True)
class Group:
    """Results that failed in the same way, on whatever targets."""

    verdict: Verdict
    anchor: str
    title: str
    message: str
    left_out: int  # lines of the message that are only in the log
    cases: list[Case]
    targets: list[str]
    claims: list[str]


@dataclass(frozen=True)
class Reason:
    """Tests that were not run for the same reason."""

    verdict: Verdict
    text: str
    cases: list[Case]
    targets: list[str]
    count: int


@dataclass(frozen=True)
class Cell:
    """Counts of one area on one target."""

    counts: Mapping[Verdict, int]
    worst: Verdict


@dataclass(frozen=True)
class Area:
    """One row of the matrix, with the tests behind it."""

    name: str
    anchor: str
    cells: dict[str, Cell]
    tests: dict[str, dict[str, TestResult]]  # test -> target -> result

    @property
    def ran(self) -> bool:
        """Whether anything of it ran on any target."""
        return any(cell.worst not in NOT_RUN for cell in self.cells.values())


@dataclass(frozen=True)
class Coverage:
    """The claims of one area by what the run says about them."""

    area: str
    checked: list[Claim]
    broken: list[Claim]  # part of `checked`: some target broke it
    not_run: list[Claim]  # named only by tests that did not run
    excused: list[Claim]  # untested, with a reason
    unnamed: list[Claim]  # named by no test of this run, without a reason

    @property
    def total(self) -> int:
        """Number of claims."""
        return len(self.checked) + len(self.not_run) + len(self.excused) + len(self.unnamed)


@dataclass(frozen=True)
class Option:
    """An option whose effect was looked for: on which targets it acts, is accepted without effect, was not seen."""

    name: str
    acts: list[str]
    ignored: list[str]
    fails: list[str]  # refused, or the test failed before
    not_run: list[str]


@dataclass(frozen=True)
class Subject:
    """One target: who it is and how it did."""

    info: TargetInfo
    conclusion: Conclusion
    counts: Mapping[Verdict, int]
    kernel: str
    modules: str


@dataclass(frozen=True)
class View:
    """Everything that a report shows."""

    run: Run
    conclusion: Conclusion
    subjects: list[Subject]
    counts: Mapping[Verdict, int]
    changes: list[Changes]
    flaky: list[Flaky]
    history_problem: str
    areas: list[Area]
    failures: list[Group]
    warnings: list[Group]
    reasons: list[Reason]
    claims: dict[str, Claim] | None
    coverage: list[Coverage]
    options: list[Option]
    known: list[Group]
    passing_again: list[TestResult]
    slowest: list[TestResult]
    figures: list[Figure] = field(default_factory=list)
    posture: list[Row] = field(default_factory=list)
    cases: list[CaseRun] = field(default_factory=list)
    files: set[str] = field(default_factory=set)  # paths below the run's directory that a page may link

    @property
    def targets(self) -> list[str]:
        """Names of the targets."""
        return [subject.info.name for subject in self.subjects]


def view(
    run: Run, claims: dict[str, Claim] | None, changes: Sequence[Changes], flaky: Sequence[Flaky],
    history_problem: str = "", figures: Sequence[Figure] = (),
) -> View:  # fmt: skip
    """Arrange a run for the reports; `claims` is None when claims.json is absent."""
    worrying = groups(run.results, _WORRYING, wording.carried(run.header.command))
    return View(
        run=run,
        conclusion=conclude(run),
        subjects=[_subject(run, name) for name in targets_of(run)],
        counts=run.counts(),
        changes=list(changes),
        flaky=list(flaky),
        history_problem=history_problem,
        areas=areas(run),
        failures=[group for group in worrying if group.verdict is not Verdict.WARN],
        warnings=[group for group in worrying if group.verdict is Verdict.WARN],
        reasons=reasons(run.results),
        claims=claims,
        coverage=coverage(claims or {}, run.results),
        options=options(run.results),
        known=groups(run.results, (Verdict.KNOWN,)),
        passing_again=passing_again(run.results),
        slowest=sorted(run.results, key=lambda result: -result.duration)[:SLOWEST],
        figures=list(figures),
        posture=posture(run.results),
        cases=case_runs(run.results),
        files=_files(run, figures),
    )


def _subject(run: Run, name: str) -> Subject:
    info = next((info for info in run.header.targets if info.name == name), TargetInfo(name, "", ""))
    facts = {**run.header.host, **info.facts}
    modules: Any = facts.get("lsm", [])
    return Subject(
        info=info,
        conclusion=conclude(run, name),
        counts=Counter(result.verdict for result in run.results if result.target == name),
        kernel=str(facts.get("kernel", "")),
        modules=", ".join(modules) if isinstance(modules, list) else str(modules),
    )


def _files(run: Run, figures: Sequence[Figure]) -> set[str]:
    if run.directory is None:
        return set()
    paths = {path for result in run.results for path in (result.log, result.repro) if path}
    paths |= {path for result in run.results if (path := result.evidence.get(EVIDENCE, {}).get("record"))}
    paths |= {path for figure in figures for path in (figure.image, *figure.files) if path}
    return {path for path in paths if (run.directory / path).is_file()}


def _cases(results: Iterable[TestResult], options: Sequence[str] = ()) -> list[Case]:
    by_test: dict[str, list[TestResult]] = {}
    for result in results:
        by_test.setdefault(result.test, []).append(result)
    return [Case(test, found, options) for test, found in by_test.items()]


def groups(
    results: Iterable[TestResult], verdicts: Sequence[Verdict], options: Sequence[str] = ()
) -> list[Group]:  # fmt: skip
    """Group results by verdict and signature: worst verdict first, then those with most results."""
    found: dict[tuple[Verdict, str], list[TestResult]] = {}
    for result in results:
        if result.verdict in verdicts:
            sign = result.signature or wording.first_line(result.message) or wording.why(result)
            if result.verdict is Verdict.KNOWN:
                sign = wording.why(result)  # the listed reason, whatever was seen this time
            found.setdefault((result.verdict, sign), []).append(result)
    order = sorted(found.items(), key=lambda item: (verdicts.index(item[0][0]), -len(item[1]), item[0][1]))
    made = []
    for number, ((verdict, _), alike) in enumerate(order, 1):
        first = next((result for result in alike if result.message), alike[0])
        message, left_out = wording.clip(first.message or wording.why(first))
        made.append(Group(
            verdict=verdict,
            anchor=f"{verdict.lower()}-{number}",
            title=_title(first),
            message=message,
            left_out=left_out,
            cases=_cases(alike, options),
            targets=list(dict.fromkeys(result.target for result in alike)),
            claims=list(dict.fromkeys(id_ for result in alike for id_ in result.claims)),
        ))  # fmt: skip
    return made


def _title(result: TestResult) -> str:
    if result.verdict is Verdict.KNOWN:
        return wording.flat(result.reason or wording.why(result))
    what, *kind = result.signature.split(" · ")
    words = wording.first_line(result.message) or wording.flat(wording.why(result))
    return " · ".join([words, *kind]) if what else words


def reasons(results: Iterable[TestResult]) -> list[Reason]:
    """Group what was not run by verdict and the first line of its reason, most tests first."""
    found: dict[tuple[Verdict, str], list[TestResult]] = {}
    for result in results:
        if result.verdict in NOT_RUN:
            found.setdefault((result.verdict, wording.first_line(wording.why(result), 0)), []).append(result)
    order = sorted(found.items(), key=lambda item: (NOT_RUN.index(item[0][0]), -len(item[1]), item[0][1]))
    return [
        Reason(verdict, text, _cases(alike), list(dict.fromkeys(one.target for one in alike)), len(alike))
        for (verdict, text), alike in order
    ]


def areas(run: Run) -> list[Area]:
    """Build the matrix, areas in alphabetical order."""
    tables: dict[str, dict[str, dict[str, TestResult]]] = {}
    for result in run.results:
        tables.setdefault(result.area or "(none)", {}).setdefault(result.test, {})[result.target] = result
    made = []
    for name, tests in sorted(tables.items()):
        cells = {}
        for target in targets_of(run):
            numbers = Counter(found[target].verdict for found in tests.values() if target in found)
            if numbers:
                cells[target] = Cell(numbers, next(verdict for verdict in wording.ORDER if numbers[verdict]))
        made.append(Area(name, f"area-{slug(name)}", cells, dict(sorted(tests.items()))))
    return made


def coverage(claims: Mapping[str, Claim], results: Iterable[TestResult]) -> list[Coverage]:
    """Tell for each area what the run says about its claims."""
    ran: set[str] = set()
    named: set[str] = set()
    broken: set[str] = set()
    for result in results:
        named.update(result.claims)
        if result.verdict.ran:
            ran.update(result.claims)
        if result.verdict in (Verdict.FAIL, Verdict.WARN, Verdict.KNOWN) and not result.known_passes:
            broken.update(result.claims)
    made: dict[str, Coverage] = {}
    for claim in claims.values():
        row = made.setdefault(claim.area, Coverage(claim.area, [], [], [], [], []))
        if claim.id in ran:
            row.checked.append(claim)
            if claim.id in broken:
                row.broken.append(claim)
        elif claim.id in named:
            row.not_run.append(claim)
        elif claim.untested:
            row.excused.append(claim)
        else:
            row.unnamed.append(claim)
    return [made[name] for name in sorted(made)]


def options(results: Iterable[TestResult]) -> list[Option]:
    """Tell for each option whose effect some test looked for what came of it, ignored ones first."""
    seen: dict[str, dict[str, set[str]]] = {}
    for result in results:
        for name in result.effects:
            if name in result.ignored:
                fate = "ignored"
            elif result.verdict is Verdict.PASS:
                fate = "acts"
            else:
                fate = "fails" if result.verdict.ran else "not_run"
            seen.setdefault(name, {}).setdefault(result.target, set()).add(fate)
    made = []
    for name, by_target in seen.items():
        lists: dict[str, list[str]] = {"ignored": [], "fails": [], "acts": [], "not_run": []}
        for target, fates in by_target.items():  # several tests: the worst counts
            next(targets for fate, targets in lists.items() if fate in fates).append(target)
        made.append(Option(name, **lists))
    return sorted(made, key=lambda option: (not option.ignored, not option.fails, option.name))


@dataclass(frozen=True)
class Turn:
    """One test that changed in the same way on some targets: `before` and `after` by target."""

    test: str
    steps: dict[str, tuple[Verdict | None, Verdict | None]]


def turns(changes: Sequence[Changes]) -> dict[str, list[Turn]]:
    """Join the changes of all targets by kind (newly failing, fixed, ...) and test, without empty kinds."""
    kinds = {
        "Newly failing": "failing", "Fixed": "fixed", "New": "new", "Otherwise changed": "other",
        "Gone": "gone",
    }  # fmt: skip
    found: dict[str, list[Turn]] = {}
    for title, name in kinds.items():
        by_test: dict[str, dict[str, tuple[Verdict | None, Verdict | None]]] = {}
        for change_list in changes:
            for change in getattr(change_list, name):
                by_test.setdefault(change.test, {})[change_list.target] = (change.before, change.after)
        if by_test:
            found[title] = [Turn(test, steps) for test, steps in sorted(by_test.items())]
    return found

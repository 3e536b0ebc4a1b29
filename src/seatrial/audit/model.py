"""Words of an audit: checks, what they find, and the audit as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seatrial.audit.scene import Scene

BENCHMARK = "CIS Docker Benchmark 1.6.0"


class Severity(StrEnum):
    """What follows from a check that fails, worst first: the host taken over, others harmed, less hardened..."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"

    @property
    def score(self) -> float:
        """The number that code hosts sort by (SARIF's property security-severity), 0 to 10."""
        return {"critical": 9.5, "high": 8.0, "medium": 5.0, "low": 3.0, "info": 0.0}[self.value]

    def at_least(self, other: Severity) -> bool:
        """Tell whether this is as bad as the other, or worse."""
        return self.score >= other.score


class State(StrEnum):
    """How a check ended."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    MANUAL = "manual"  # a person has to decide; what there is to see is shown
    NOT_APPLICABLE = "not applicable"  # what it is about is not there
    INCONCLUSIVE = "inconclusive"  # it could not be looked at; never taken for a pass


@dataclass(frozen=True)
class Outcome:
    """What a judge says: how the check ended, why in one sentence, and what it is about (containers, files)."""

    state: State
    detail: str = ""
    items: tuple[str, ...] = ()
    path: str = ""  # the file to look into, empty where there is none


Judge = Callable[["Scene"], Outcome]


@dataclass(frozen=True)
class Check:
    """One thing that is looked at.

    `level` is the benchmark's profile: 1 is for everyone, 2 costs something. A check that is not `scored` asks for
    a decision of a person. `cis` is its number in the Docker benchmark, empty where it has none.
    """

    id: str
    area: str
    title: str
    judge: Judge
    severity: Severity
    remedy: str
    why: str = ""
    level: int = 1
    scored: bool = True
    cis: str = ""
    engines: tuple[str, ...] = ("docker",)


@dataclass(frozen=True)
class Finding:
    """A check and how it ended."""

    check: Check
    outcome: Outcome

    @property
    def failed(self) -> bool:
        """Whether the check failed."""
        return self.outcome.state is State.FAIL

    def json(self) -> dict[str, Any]:
        """Return what schemas/audit.json describes."""
        check, outcome = self.check, self.outcome
        return {
            "id": check.id, "cis": check.cis, "area": check.area, "title": check.title, "level": check.level,
            "scored": check.scored, "severity": check.severity.value, "state": outcome.state.value,
            "detail": outcome.detail, "items": list(outcome.items), "path": outcome.path, "why": check.why,
            "remediation": check.remedy,
        }  # fmt: skip


@dataclass
class Audit:
    """All findings of one target, in the order of the checks."""

    target: str
    engine: str
    version: str
    host: str
    findings: list[Finding] = field(default_factory=list)

    def count(self, state: State) -> int:
        """Return how many checks ended so."""
        return sum(one.outcome.state is state for one in self.findings)

    @property
    def judged(self) -> int:
        """How many checks came to a verdict."""
        return self.count(State.PASS) + self.count(State.FAIL)

    def failures(self, least: Severity = Severity.INFO) -> list[Finding]:
        """Return the checks that failed and are at least so bad, worst first."""
        failed = [one for one in self.findings if one.failed and one.check.severity.at_least(least)]
        return sorted(failed, key=lambda one: -one.check.severity.score)


def judge(checks: Iterable[Check], scene: Scene) -> list[Finding]:
    """Judge a scene by the checks that are for its engine."""
    return [Finding(check, check.judge(scene)) for check in checks if scene.engine in check.engines]


def passed(detail: str = "", path: str = "") -> Outcome:
    """Return a pass."""
    return Outcome(State.PASS, detail, path=path)


def failed(detail: str, items: Sequence[str] = (), path: str = "") -> Outcome:
    """Return a failure."""
    return Outcome(State.FAIL, detail, tuple(items), path)


def absent(detail: str, path: str = "") -> Outcome:
    """Return that what is looked for is not there."""
    return Outcome(State.NOT_APPLICABLE, detail, path=path)


def unseen(detail: str, path: str = "") -> Outcome:
    """Return that it could not be looked at."""
    return Outcome(State.INCONCLUSIVE, detail, path=path)


def manual(detail: str, items: Sequence[str] = (), path: str = "") -> Outcome:
    """Return that a person has to decide."""
    return Outcome(State.MANUAL, detail, tuple(items), path)

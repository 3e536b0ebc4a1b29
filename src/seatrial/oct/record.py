"""What happened when a case was run: steps, files, measurements, and the verdict that follows."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from seatrial.verdict import Verdict

PROGRESS = "SEATRIAL_OCT_PROGRESS"  # the file in which a session tells how far its case is
_BRIEF = 1000  # characters of a stream that reports show
_SHOWN = 64 << 10  # characters of a stream that a record keeps


class Ending(StrEnum):
    """How a case ended."""

    PASSED = "passed"
    FAILED = "failed"
    WARNED = "warned"  # only what SHOULD hold does not
    TIMEOUT = "timeout"
    LEAKED = "leaked"
    UNVERIFIED = "unverified"  # nothing was expected, or nothing ran in a container
    UNPLACED = "unplaced"  # no host has what it wants
    UNSUPPORTED = "unsupported"
    LOST = "lost"  # its host went away
    ERROR = "error"
    INTERRUPTED = "interrupted"

    @property
    def verdict(self) -> Verdict:
        """The verdict of the harness that it is."""
        return _VERDICTS[self]


_VERDICTS = {
    Ending.PASSED: Verdict.PASS, Ending.FAILED: Verdict.FAIL, Ending.WARNED: Verdict.WARN, Ending.TIMEOUT: Verdict.FAIL,
    Ending.LEAKED: Verdict.FAIL, Ending.UNVERIFIED: Verdict.UNKNOWN, Ending.UNPLACED: Verdict.SKIP,
    Ending.UNSUPPORTED: Verdict.UNSUPPORTED, Ending.LOST: Verdict.ERROR, Ending.ERROR: Verdict.ERROR,
    Ending.INTERRUPTED: Verdict.ERROR,
}  # fmt: skip


@dataclass
class StepRecord:
    """One command or operation as it went."""

    phase: str
    object: str
    name: str
    what: str  # the command or operation in words
    code: int | None = None
    stdout: str = ""
    stderr: str = ""
    duration: float = 0.0  # seconds
    timed_out: bool = False
    evidence: bool = False  # it proved that it ran in a container
    problem: str = ""  # why it did not go as it should

    @property
    def brief(self) -> dict[str, Any]:
        """What reports show of a step, as JSON."""
        kept = ("phase", "object", "name", "what", "code", "duration", "timed_out", "evidence", "problem")
        streams = [text if len(text) <= _BRIEF else f"[...]{text[-_BRIEF:]}" for text in (self.stdout, self.stderr)]
        return {**{name: getattr(self, name) for name in kept}, "what": self.what[:_BRIEF], "output": "".join(streams)}


@dataclass
class TaskRecord:
    """A case on one target."""

    case: str
    digest: str
    target: str
    task: str
    state: str = "planned"
    ending: Ending = Ending.ERROR
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)
    steps: list[StepRecord] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)  # name -> text
    states: dict[str, str] = field(default_factory=dict)  # container -> its last state
    metrics: dict[str, dict[str, Any]] = field(default_factory=dict)
    peaks: dict[str, dict[str, int]] = field(default_factory=dict)  # container -> what its cgroup has counted
    hosts: dict[str, str] = field(default_factory=dict)  # host object -> where it was placed
    spent: dict[str, float] = field(default_factory=dict)  # phase -> seconds
    environment: dict[str, str] = field(default_factory=dict)  # what of engine, host and harness results depend on
    duration: float = 0.0

    @property
    def proved(self) -> bool:
        """Whether anything ran in a container."""
        return any(step.evidence for step in self.steps)

    @property
    def message(self) -> str:
        """What went wrong, in words."""
        return "\n".join([*self.problems, *(f"leaked: {leak}" for leak in self.leaks), *self.warnings])

    @property
    def brief(self) -> dict[str, Any]:
        """What reports show of the record, as JSON: of streams the end."""
        kept = ("task", "metrics", "peaks", "spent", "hosts", "environment")
        told = {name: getattr(self, name) for name in kept}
        return {**told, "ending": self.ending.value, "steps": [step.brief for step in self.steps]}

    def plain(self) -> dict[str, Any]:
        """Return the record as JSON."""
        value = asdict(self)
        for step in value["steps"]:
            for name in ("stdout", "stderr"):
                step[name] = step[name][:_SHOWN]
        return value

"""The results stream of a run: JSON lines, header first, footer last.

    header   who ran what, where, against which targets
    result   one line for each test on each target
    finding  what the session itself noticed: leftovers, a dead engine
    footer   counts and exit code; a stream without one was cut off and is never green

The stream is the only interface between running and reporting. Its schema is `schemas/results.json`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import IO, Any

import jsonschema

from seatrial.errors import SeatrialError
from seatrial.verdict import Verdict

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Requirement:
    """Whether a named requirement holds, and the sentence that says why not."""

    holds: bool
    reason: str = ""


@dataclass(frozen=True)
class TargetInfo:
    """Identity and capabilities of one target as probed at the start of a run."""

    name: str
    engine: str
    version: str
    api: str = ""
    runtime: str = ""
    storage: str = ""
    cgroup: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    requirements: dict[str, Requirement] = field(default_factory=dict)

    @property
    def identity(self) -> str:
        """What it is, in a line."""
        runtime = self.runtime if self.runtime != self.engine else ""
        parts = (f"{self.engine} {self.version}", self.api and f"API {self.api}", runtime, self.storage,
                 self.cgroup and f"cgroup {self.cgroup}")  # fmt: skip
        return ", ".join(filter(None, parts))


@dataclass(frozen=True)
class Header:
    """First line of the stream."""

    run: str
    started: str
    command: list[str]
    harness: str
    host: dict[str, Any]
    targets: list[TargetInfo]
    workers: int


@dataclass(frozen=True)
class TestResult:
    """One verdict: `test` is the pytest id without the target's brackets, `duration` is in seconds."""

    __test__ = False  # the name starts with Test; pytest must not collect it

    test: str
    target: str
    verdict: Verdict
    area: str
    duration: float
    claims: list[str] = field(default_factory=list)
    level: str = "MUST"
    file: str = ""
    line: int = 0
    reason: str = ""  # why it was not run, or why a failure was expected
    requirement: str = ""  # the requirement that did not hold
    link: str = ""  # of the known failure
    message: str = ""  # what failed: expected, seen, and the last commands
    signature: str = ""  # the message with ids, times and names taken out; groups like failures
    known_passes: bool = False  # a known failure that passed
    effects: list[str] = field(default_factory=list)  # options whose effect was looked for: `run --memory`
    ignored: list[str] = field(default_factory=list)  # those of them that the engine accepted without it
    log: str = ""  # path relative to the run's directory
    repro: str = ""
    worker: str = ""
    evidence: dict[str, Any] = field(default_factory=dict)


def passing_again(results: Iterable[TestResult]) -> list[TestResult]:
    """Return the known failures that passed, where none of the test's other parameters failed for the same reason.

    One entry of a list may stand for all parameters of a test: it is needed as long as one of them fails.
    """
    def entry(result: TestResult) -> tuple[str, str, str]:
        return result.target, result.test.partition("[")[0], result.reason

    listed = list(results)
    needed = {entry(result) for result in listed if result.verdict is Verdict.KNOWN}
    return [result for result in listed if result.known_passes and entry(result) not in needed]


@dataclass(frozen=True)
class Finding:
    """Something the session noticed outside any single test; one with a `reason` is known and fails nothing."""

    kind: str
    target: str
    message: str
    test: str = ""
    reason: str = ""
    link: str = ""


@dataclass(frozen=True)
class Footer:
    """Last line of the stream; `cause` says in a sentence why a run ended early."""

    finished: str
    duration: float
    exit: int
    counts: dict[str, int]
    selected: int
    cause: str = ""


@dataclass
class Run:
    """A run as read back from its stream."""

    header: Header
    results: list[TestResult]
    findings: list[Finding]
    footer: Footer | None
    directory: Path | None = None

    @property
    def complete(self) -> bool:
        """Whether the stream has its footer."""
        return self.footer is not None

    def counts(self) -> Counter[Verdict]:
        """Count the verdicts."""
        return Counter(result.verdict for result in self.results)


_KINDS: dict[str, type] = {
    "header": Header,
    "result": TestResult,
    "finding": Finding,
    "footer": Footer,
}


def schema() -> dict[str, Any]:
    """Return the JSON Schema of one line of the stream."""
    text = resources.files("seatrial.schemas").joinpath("results.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def make_directory(path: Path) -> None:
    """Make a run's directory; raises `SeatrialError` E401 when that cannot be done."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from error


class Stream:
    """Append-only writer of a results stream; every line is flushed as it is written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        make_directory(path.parent)
        try:
            self._file: IO[str] = path.open("x", encoding="utf-8")
        except OSError as error:
            raise _unwritable(path, error) from error

    def write(self, record: Header | TestResult | Finding | Footer) -> None:
        """Append one record; a full disk is an error here and leaves the stream without a footer."""
        kind = next(name for name, cls in _KINDS.items() if isinstance(record, cls))
        line = {"type": kind, **asdict(record)}
        if kind == "header":
            line["schema"] = SCHEMA_VERSION
        try:
            self._file.write(json.dumps(line) + "\n")  # in ASCII: what an engine prints may be no valid text
            self._file.flush()
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def close(self) -> None:
        """Close the file."""
        try:
            self._file.close()
        except OSError as error:
            raise _unwritable(self.path, error) from error


def read(path: Path) -> Run:
    """Read a stream back, checking each line against the schema.

    A missing footer is allowed here and visible as `run.complete`; an unreadable file raises
    `SeatrialError` E301, a missing header, an unreadable line or a line after the footer E313.
    """
    try:
        # not splitlines(): it also parts lines at characters that JSON leaves as they are, such as U+2028
        lines = path.read_text("utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SeatrialError(
            "E301", f"cannot read the results {path}", str(error), "name the directory of a run, which holds it"
        ) from error
    validator = jsonschema.Draft202012Validator(schema())
    records: list[Any] = []
    for number, line in enumerate(lines, 1):
        cut_off = number == len(lines)
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            if cut_off and records and not isinstance(records[-1], Footer):
                break  # the process died while writing its last line: the footer is missing, which says so
            raise _broken(path, number, str(error)) from error
        problem = next(iter(validator.iter_errors(value)), None)
        if problem is not None:
            raise _broken(path, number, f"{problem.json_path}: {problem.message}")
        records.append(_parse(value))
    if not records or not isinstance(records[0], Header):
        raise _broken(path, 1, "the first line is not a header")
    footers = [index for index, record in enumerate(records) if isinstance(record, Footer)]
    if footers and footers != [len(records) - 1]:
        raise _broken(path, footers[0] + 1, "the footer is not the last line")
    if sum(isinstance(record, Header) for record in records) > 1:
        raise _broken(path, 2, "more than one header")
    return Run(
        header=records[0],
        results=[record for record in records if isinstance(record, TestResult)],
        findings=[record for record in records if isinstance(record, Finding)],
        footer=records[-1] if footers else None,
        directory=path.parent,
    )


def _parse(value: dict[str, Any]) -> Any:
    fields = {key: item for key, item in value.items() if key not in ("type", "schema")}
    cls = _KINDS[value["type"]]
    if cls is Header:
        fields["targets"] = [target_from(item) for item in fields["targets"]]
    if cls is TestResult:
        fields["verdict"] = Verdict(fields["verdict"])
    return cls(**fields)


def target_from(value: dict[str, Any]) -> TargetInfo:
    """Build a `TargetInfo` from its JSON form."""
    requirements = {name: Requirement(**item) for name, item in value.get("requirements", {}).items()}
    return TargetInfo(**{**value, "requirements": requirements})


def _broken(path: Path, line: int, cause: str) -> SeatrialError:
    return SeatrialError(
        "E313", f"the results {path} are broken in line {line}", cause, "run the suite again; nothing was reported"
    )


def _unwritable(path: Path, error: OSError) -> SeatrialError:
    return SeatrialError(
        "E401",
        f"cannot write the results {path}",
        error.strerror or str(error),
        "free space or name another directory with --results DIR; this run is incomplete and says so",
    )


def merge_counts(results: Iterable[TestResult]) -> dict[str, int]:
    """Count verdicts by name, in the order of the verdict table."""
    counted = Counter(result.verdict for result in results)
    return {verdict.value: counted[verdict] for verdict in Verdict if counted[verdict]}

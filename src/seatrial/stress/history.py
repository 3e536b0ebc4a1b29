"""The history of a run under load: what was asked of the engine, when, and what came of it.

JSON lines: a header, one array for each operation in the order in which they ended, a footer. A history
without a footer was cut off and is never judged as whole. The arrays have the columns of `Op`, which the header
names; a million of them are read in seconds. Header and footer are objects, by the schema `history.json`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import IO, Any, NamedTuple

import jsonschema

from seatrial.errors import SeatrialError

SCHEMA_VERSION = 1

OK = "ok"  # done, and the engine said so
FAIL = "fail"  # refused: nothing was done
UNKNOWN = "unknown"  # no answer: it may or may not have been done


class Op(NamedTuple):
    """One operation, or something observed (`event`, `sample`); times in seconds since the header's start.

    `intended` is when it was to begin: where arrivals are planned, latency counts from there.
    """

    kind: str
    client: int
    intended: float
    began: float
    ended: float
    outcome: str
    object: str  # the container's name, or what else it was done to
    value: Any = None  # what it returned, by kind: see `checkers`
    error: str = ""

    @property
    def latency(self) -> float:
        """Seconds from the intended start to the end."""
        return self.ended - self.intended


@dataclass(frozen=True)
class HistoryHeader:
    """First line: `started` in UTC (ISO 8601), and again in seconds since 1970, to which all times are relative.

    `judged` names the checkers that the workload promises something to.
    """

    run: str
    target: str
    started: str
    epoch: float
    profile: dict[str, Any]
    judged: list[str]
    columns: list[str] = field(default_factory=lambda: list(Op._fields))


@dataclass(frozen=True)
class HistoryFooter:
    """Last line; `cause` says in a sentence why a run ended early."""

    operations: int
    duration: float
    cause: str = ""


class Recorder:
    """Append-only writer of a history, for many threads; what is not on disk at a crash are at most seconds of it."""

    def __init__(self, path: Path, header: HistoryHeader) -> None:
        self.path = path
        self.count = 0
        self._lock = threading.Lock()
        try:
            self._file: IO[str] = path.open("x", encoding="ascii", buffering=1 << 16)
        except OSError as error:
            raise _unwritable(path, error) from error
        self._line({"type": "header", "schema": SCHEMA_VERSION, **asdict(header)})

    def add(self, op: Op) -> None:
        """Append an operation that has ended."""
        text = json.dumps(op, separators=(",", ":"))  # as an array
        with self._lock:
            self._write(text)
            self.count += 1

    def flush(self) -> None:
        """Bring what was recorded to the file."""
        with self._lock:
            try:
                self._file.flush()
            except OSError as error:
                raise _unwritable(self.path, error) from error

    def close(self, duration: float, cause: str = "") -> None:
        """Write the footer and close the file."""
        self._line({"type": "footer", **asdict(HistoryFooter(self.count, duration, cause))})
        try:
            self._file.close()
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def _line(self, value: dict[str, Any]) -> None:
        with self._lock:
            self._write(json.dumps(value))
        self.flush()

    def _write(self, text: str) -> None:
        try:
            self._file.write(text + "\n")
        except OSError as error:
            raise _unwritable(self.path, error) from error


class History:
    """A history on disk: its header, then its operations one by one; after them `footer` is known."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.footer: HistoryFooter | None = None
        try:
            with path.open(encoding="ascii") as file:
                value = json.loads(file.readline() or "null")
        except (OSError, UnicodeDecodeError) as error:
            raise SeatrialError(
                "E801", f"cannot read the history {path}", str(error), "name a run's history.jsonl"
            ) from error
        except ValueError as error:
            raise _broken(path, 1, str(error)) from error
        self.header = HistoryHeader(**_checked(path, 1, value, "header"))
        if self.header.columns != list(Op._fields):
            raise _broken(path, 1, f"its columns are {', '.join(self.header.columns)}")

    def __iter__(self) -> Iterator[Op]:
        """Read the operations; raises `SeatrialError` E320 at a line that is none."""
        load, make, width, number = json.loads, tuple.__new__, len(Op._fields), 1
        self.footer = None
        with self.path.open(encoding="ascii") as file:
            file.readline()
            for number, last in enumerate(file, 2):
                if self.footer is not None:
                    raise _broken(self.path, number, "the footer is not the last line")
                try:
                    value = load(last)
                except ValueError as error:
                    if not last.endswith("\n"):
                        return  # the process died while writing: the footer is missing, which says so
                    raise _broken(self.path, number, str(error)) from error
                if type(value) is dict:
                    self.footer = HistoryFooter(**_checked(self.path, number, value, "footer"))
                    continue
                if type(value) is not list or len(value) != width or value[5] not in _OUTCOMES:
                    raise _broken(self.path, number, f"no operation: {last[:80].strip()}")
                try:
                    late = not value[2] <= value[3] <= value[4]
                except TypeError as error:
                    raise _broken(self.path, number, "times are numbers") from error
                if late:
                    raise _broken(self.path, number, "an operation ended before it began")
                yield make(Op, value)
        if self.footer is not None and self.footer.operations != number - 2:
            raise _broken(
                self.path, number, f"the footer counts {self.footer.operations} operations, {number - 2} are there"
            )  # fmt: skip


_OUTCOMES = frozenset((OK, FAIL, UNKNOWN))


def schema() -> dict[str, Any]:
    """Return the JSON Schema of header and footer."""
    text = resources.files("seatrial.schemas").joinpath("history.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def _checked(path: Path, number: int, value: Any, kind: str) -> dict[str, Any]:
    problem = next(iter(jsonschema.Draft202012Validator(schema()).iter_errors(value)), None)
    if problem is not None:
        raise _broken(path, number, f"{problem.json_path}: {problem.message[:200]}")
    if value["type"] != kind:
        raise _broken(path, number, f"a {value['type']} where a {kind} should be")
    return {key: item for key, item in value.items() if key not in ("type", "schema")}


def _broken(path: Path, line: int, cause: str) -> SeatrialError:
    return SeatrialError("E802", f"the history {path} is broken in line {line}", cause, "run the workload again")


def _unwritable(path: Path, error: OSError) -> SeatrialError:
    return SeatrialError(
        "E803", f"cannot write the history {path}", error.strerror or str(error),
        "free space or name another directory with --results DIR; this run is incomplete and says so",
    )  # fmt: skip

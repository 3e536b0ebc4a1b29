"""Which results of cases are known, in one SQLite file: so that only those are run that are new, changed or failed.

A result is known for a case (by its digest), an engine and its version, the image, the host, and the harness. Time
stamps of files play no part: right after a clone nothing but the records counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from seatrial.database import Database, Trouble
from seatrial.errors import SeatrialError
from seatrial.oct.library import Entry
from seatrial.results import TargetInfo

FORMAT = 1
NAME = "oct.sqlite"

_TABLES = """
create table if not exists results (
    case_name text not null,
    target text not null,
    digest text not null,
    engine text not null,      -- name and version
    image text not null,
    host text not null,
    harness text not null,
    ending text not null,
    run text not null,
    recorded text not null default current_timestamp,
    primary key (case_name, target)
) without rowid
"""
_GOOD = ("passed", "warned", "unsupported", "unplaced")


class State(StrEnum):
    """What is known of a case on a target."""

    NEW = "new"
    CHANGED = "changed"
    FAILED = "failed"
    CURRENT = "current"


@dataclass(frozen=True)
class Surroundings:
    """What a result holds for besides its case."""

    engine: str
    image: str
    host: str
    harness: str

    @classmethod
    def of(cls, info: TargetInfo, image: str, host: Mapping[str, Any], harness: str) -> Surroundings:
        """Return those of a probed target; a host is what its kernel, its architecture and its distribution are."""
        machine = (str(host.get(name)) for name in ("kernel", "arch", "ID", "VERSION_ID"))
        facts = (info.runtime, info.storage, info.cgroup, *machine)
        print_ = hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]
        return cls(f"{info.engine} {info.version}", image, print_, harness)


@dataclass(frozen=True)
class Known:
    """The last result of a case on a target."""

    digest: str
    surroundings: Surroundings
    ending: str

    def state(self, digest: str, now: Surroundings | None) -> tuple[State, str]:
        """Return what the result is worth for a digest in surroundings (None: wherever), and why."""
        if self.digest != digest:
            return State.CHANGED, "the case or its files have changed"
        for name, was, is_ in zip(("engine", "image", "host", "harness"), astuple(self.surroundings),
                                  astuple(now or self.surroundings), strict=True):  # fmt: skip
            if was != is_:
                shown = f"{was} -> {is_}" if name in ("engine", "harness") else f"{was[:12]} -> {is_[:12]}"
                return State.CHANGED, f"another {name}: {shown}"
        if self.ending not in _GOOD:
            return State.FAILED, f"it {'was' if self.ending.endswith('d') else 'ended as'} {self.ending}"
        return State.CURRENT, f"it {self.ending} as it is"


@dataclass(frozen=True)
class Planned:
    """A case on a target, with what is known of it."""

    entry: Entry
    target: str
    state: State
    reason: str


class Store:
    """The database; raises `SeatrialError` E705 when it is broken, E706 when it cannot be read or written."""

    def __init__(self, path: Path) -> None:
        self._file = records(path, _TABLES, FORMAT)

    def record(self, case: str, target: str, digest: str, now: Surroundings, ending: str, run: str) -> None:
        """Keep the result of a case on a target; of several variants the worst one of the run stays."""
        with self._file.open() as db, db:
            db.execute("begin immediate")
            old = db.execute(
                "select ending from results where case_name = ? and target = ? and run = ? and digest = ?",
                (case, target, run, digest),
            ).fetchone()
            if old is not None and old[0] not in _GOOD:
                return
            db.execute(
                "insert or replace into results (case_name, target, digest, engine, image, host, harness, ending, run) "
                "values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (case, target, digest, *astuple(now), ending, run),
            )

    def known(self, target: str) -> dict[str, Known]:
        """Return the last results on a target by the names of their cases."""
        with self._file.open() as db:
            rows = db.execute(
                "select case_name, digest, engine, image, host, harness, ending from results where target = ?",
                (target,),
            )
            return {name: Known(digest, Surroundings(*rest), ending) for name, digest, *rest, ending in rows}

    def of_case(self, name: str) -> dict[str, Known]:
        """Return the last results of a case by target."""
        with self._file.open() as db:
            rows = db.execute(
                "select target, digest, engine, image, host, harness, ending from results where case_name = ?", (name,)
            )
            return {target: Known(digest, Surroundings(*rest), ending) for target, digest, *rest, ending in rows}

    def plan(self, entries: Iterable[Entry], target: str, now: Surroundings | None = None) -> list[Planned]:
        """Tell for each case what is known of it on a target."""
        known = self.known(target)
        found = []
        for entry in entries:
            last = known.get(entry.name)
            state, why = last.state(entry.digest, now) if last else (State.NEW, f"it never ran on {target}")
            found.append(Planned(entry, target, state, why))
        return found


def records(path: Path, tables: str, version: int) -> Database:
    """Return a file of records about cases, whose troubles are told as E705 and E706."""

    def told(trouble: Trouble, cause: str) -> SeatrialError:
        if trouble is Trouble.CLOSED:
            return SeatrialError(
                "E706", f"the records of cases {path} cannot be read or written", cause,
                "free space, mend its permissions, or wait for the other writer; results are in the run's own files",
            )  # fmt: skip
        return SeatrialError(
            "E705", f"the records of cases {path} are broken", cause,
            "move the file away: a new one is begun, and every case counts as new",
        )  # fmt: skip

    return Database(path, tables, version, told)


def states(text: str) -> frozenset[State]:
    """Read a list such as new,changed,failed; raises `SeatrialError` E707."""
    try:
        return frozenset(State(word.strip()) for word in text.split(",") if word.strip())
    except ValueError as error:
        raise SeatrialError(
            "E707", f"{text!r} is no list of states", str(error), f"states are: {', '.join(State)}"
        ) from error

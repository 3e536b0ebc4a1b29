"""Which results of cases are known, in one SQLite file: so that only those are run that are new, changed or failed.

A result is known for a variant of a case (by the case's digest) with its parameters, an engine and its version, the
image, the host, and the harness. Time stamps of files play no part: right after a clone only the records count.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from seatrial.errors import SeatrialError
from seatrial.oct.library import Entry
from seatrial.oct.records import records
from seatrial.results import TargetInfo

FORMAT = 2
NAME = "oct.sqlite"

_TABLES = """
create table if not exists results (
    case_name text not null,
    target text not null,
    variant text not null,     -- the values of Matrix, joined by dashes
    parameters text not null,  -- those that were set to another value than the case has
    digest text not null,
    engine text not null,      -- name and version
    image text not null,
    host text not null,
    harness text not null,
    ending text not null,
    run text not null,
    recorded text not null default current_timestamp,
    primary key (case_name, target, variant, parameters)
) without rowid
"""
# variants and parameters were not told apart: such a result is known, and none of today's is as it was
_FROM_1 = f"""
alter table results rename to format_1;
{_TABLES};
insert into results
    (case_name, target, variant, parameters, digest, engine, image, host, harness, ending, run, recorded)
    select case_name, target, '', '', digest, engine, image, host, harness || ' (old records)', ending, run, recorded
    from format_1;
drop table format_1
"""  # noqa: S608 - all of it stands here
_HINT = "move the file away: a new one is begun, and every case counts as new"
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
class Variant:
    """What of a case was run: the label of its variant, and the parameters that were set."""

    label: str = ""
    parameters: str = ""

    @classmethod
    def of(cls, label: str, defaults: Mapping[str, str], settings: Mapping[str, str]) -> Variant:
        """Return a variant; what the case does not know, or has as its default, is nothing that was set."""
        changed = {name: value for name, value in settings.items() if defaults.get(name, value) != value}
        return cls(label, shlex.join(f"{name}={changed[name]}" for name in sorted(changed)))

    def __str__(self) -> str:
        return " ".join(filter(None, (f"[{self.label}]" if self.label else "", self.parameters)))


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
        self._file = records(path, _TABLES, FORMAT, "the records of cases", _HINT, {1: _FROM_1})

    def record(
        self, case: str, target: str, variant: Variant, digest: str, now: Surroundings, ending: str, run: str
    ) -> None:
        """Keep the result of a variant of a case on a target; of several in one run the worst one stays."""
        key = (case, target, *astuple(variant))
        with self._file.open() as db, db:
            db.execute("begin immediate")
            old = db.execute(
                "select ending from results where case_name = ? and target = ? and variant = ? and parameters = ? "
                "and run = ? and digest = ?",
                (*key, run, digest),
            ).fetchone()
            if old is not None and old[0] not in _GOOD:
                return
            db.execute(
                "insert or replace into results (case_name, target, variant, parameters, "
                "digest, engine, image, host, harness, ending, run) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*key, digest, *astuple(now), ending, run),
            )

    def known(self, target: str) -> dict[str, dict[Variant, Known]]:
        """Return the last results on a target by the names of their cases."""
        found: dict[str, dict[Variant, Known]] = {}
        for name, _, variant, known in self._rows("target = ?", target):
            found.setdefault(name, {})[variant] = known
        return found

    def of_case(self, name: str) -> list[tuple[str, Variant, Known]]:
        """Return the last results of a case: target, variant, result."""
        return [(target, variant, known) for _, target, variant, known in self._rows("case_name = ?", name)]

    def _rows(self, condition: str, value: str) -> list[tuple[str, str, Variant, Known]]:
        with self._file.open() as db:
            rows = db.execute(
                "select case_name, target, variant, parameters, digest, engine, image, host, harness, ending "  # noqa: S608
                f"from results where {condition}", (value,),
            )  # fmt: skip
            return [(name, target, Variant(label, parameters), Known(digest, Surroundings(*rest), ending))
                    for name, target, label, parameters, digest, *rest, ending in rows]  # fmt: skip

    def plan(self, entries: Iterable[Entry], target: str, now: Surroundings | None = None) -> list[Planned]:
        """Tell for each case, as it is without parameters set, what is known of its variants on a target."""
        known = self.known(target)
        return [Planned(entry, target, *state_of(entry, target, known.get(entry.name, {}), now)) for entry in entries]


def state_of(
    entry: Entry, target: str, known: Mapping[Variant, Known], now: Surroundings | None
) -> tuple[State, str]:  # fmt: skip
    """Return the state of a case that is the most pressing one of its variants, and why."""
    plain = {variant: last for variant, last in known.items() if not variant.parameters}
    # a digest says which variants there are, so those of this one are all of the case's own
    present = {variant: last for variant, last in plain.items() if last.digest == entry.digest}
    found = []
    for variant, last in (present or plain).items():
        state, why = last.state(entry.digest, now)
        found.append((state, f"{variant}: {why}" if variant.label else why))
    for wanted in (State.FAILED, State.CHANGED):
        if reason := next((why for state, why in found if state is wanted), ""):
            return wanted, reason
    if not found:
        return State.NEW, f"it never ran on {target}"
    if len(found) < entry.variants:
        return State.NEW, f"{entry.variants - len(found)} of its {entry.variants} variants never ran on {target}"
    return found[0][0], found[0][1].removeprefix(f"{next(iter(present))}: ")


def states(text: str) -> frozenset[State]:
    """Read a list such as new,changed,failed; raises `SeatrialError` E707."""
    try:
        return frozenset(State(word.strip()) for word in text.split(",") if word.strip())
    except ValueError as error:
        raise SeatrialError(
            "E707", f"{text!r} is no list of states", str(error), f"states are: {', '.join(State)}"
        ) from error

"""What earlier runs found: each complete run of a target, kept in one SQLite file beside the runs.

    record   one complete run, once; writing it again changes nothing
    changes  what differs from the last earlier complete run of the same target
    flaky    tests whose verdict went and came back on one engine version

Several sessions may write at the same time: a writer waits for the other.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from seatrial.database import Database, Trouble
from seatrial.errors import SeatrialError
from seatrial.results import Run, TestResult, passing_again
from seatrial.verdict import Verdict

FORMAT = 1
WINDOW = 10  # runs that `flaky` looks back on

_TABLES = """
create table if not exists runs (
    id integer primary key,
    run text not null,
    target text not null,
    started text not null,     -- UTC, ISO 8601
    version text not null,     -- of the engine
    harness text not null,
    command text not null,     -- a JSON list
    unique (run, target)
);
create index if not exists runs_by_target on runs (target, started);
create table if not exists tests (id integer primary key, test text not null unique);
create table if not exists results (
    run integer not null references runs (id),
    test integer not null references tests (id),
    verdict text not null,
    duration real not null,    -- seconds
    primary key (run, test)
) without rowid;
"""


@dataclass(frozen=True)
class Change:
    """A test whose verdict is not what it was: `before` is None for a new test, `after` for one gone."""

    test: str
    before: Verdict | None
    after: Verdict | None


@dataclass(frozen=True)
class Changes:
    """What differs from an earlier run of a target; `since` is that run's id, empty when there is none.

    `other` holds verdicts that changed without turning red or green, such as from SKIP to PASS.
    """

    target: str
    since: str = ""
    started: str = ""
    version: str = ""
    command: list[str] = field(default_factory=list)
    failing: list[Change] = field(default_factory=list)
    fixed: list[Change] = field(default_factory=list)
    new: list[Change] = field(default_factory=list)
    gone: list[Change] = field(default_factory=list)
    other: list[Change] = field(default_factory=list)
    known_passes: list[str] = field(default_factory=list)

    @property
    def any(self) -> bool:
        """Whether anything differs."""
        return bool(self.failing or self.fixed or self.new or self.gone or self.other)


@dataclass(frozen=True)
class Flaky:
    """A test that went and came back: its verdicts on one engine version, oldest first."""

    test: str
    target: str
    verdicts: list[Verdict]


class History:
    """The database; raises `SeatrialError`: E305 broken, E309 newer than this, E403 not writable."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = Database(path, _TABLES, FORMAT, self._trouble)

    def record(self, run: Run) -> bool:
        """Keep a run; an incomplete one (no footer, or an early end) is not kept and gives False."""
        if run.footer is None or run.footer.cause or not run.results:
            return False
        infos = {info.name: info for info in run.header.targets}
        command = json.dumps(run.header.command)
        started = _instant(run.header.started)
        with self._file.open() as db, db:
            db.execute("begin immediate")
            for target in {result.target for result in run.results}:
                version = infos[target].version if target in infos else ""
                row = db.execute(
                    "insert into runs (run, target, started, version, harness, command) "
                    "values (?, ?, ?, ?, ?, ?) on conflict do nothing returning id",
                    (run.header.run, target, started, version, run.header.harness, command),
                ).fetchone()
                if row is not None:
                    self._results(db, row[0], (result for result in run.results if result.target == target))
        return True

    def _results(self, db: sqlite3.Connection, row: int, results: Iterable[TestResult]) -> None:
        for result in results:
            db.execute("insert into tests (test) values (?) on conflict do nothing", (result.test,))
            db.execute(
                "insert into results select ?, id, ?, ? from tests where test = ? on conflict do nothing",
                (row, result.verdict.value, result.duration, result.test),
            )

    def changes(self, run: Run, target: str) -> Changes:
        """Return the difference between a run and the last earlier complete run of the same target.

        A test that the earlier run left out is compared with its own last verdict, so that a run of one
        test does not make all others new. Tests count as gone only when this run is complete.
        """
        now = {result.test: result for result in run.results if result.target == target}
        with self._file.open() as db:
            base = db.execute(
                "select id, run, started, version, command from runs "
                "where target = ? and (started, run) < (?, ?) order by started desc, run desc limit 1",
                (target, _instant(run.header.started), run.header.run),
            ).fetchone()
            if base is None:
                return Changes(target, known_passes=_known_passes(now))
            last = dict(self._last(db, target, base[2]))
            rows = db.execute(
                "select tests.test from results join tests on tests.id = results.test where run = ?",
                (base[0],),
            )
            there = {test for (test,) in rows}
        complete = bool(now) and run.footer is not None and not run.footer.cause
        return _difference(target, base, now, last, there, complete=complete)

    def _last(self, db: sqlite3.Connection, target: str, until: str) -> Iterator[tuple[str, Verdict]]:
        # with max(), SQLite takes the bare column from the row that holds the maximum
        rows = db.execute(
            "select tests.test, verdict, max(runs.started) from results "
            "join runs on runs.id = results.run join tests on tests.id = results.test "
            "where target = ? and started <= ? group by tests.id",
            (target, until),
        )
        return ((test, Verdict(verdict)) for test, verdict, _ in rows)

    def flaky(self, target: str, version: str, window: int = WINDOW) -> list[Flaky]:
        """List the tests that turned red and green more than once in the last runs of an engine version.

        One change is a change; there and back without another engine is a test or an engine that wavers.
        """
        seen: dict[str, list[Verdict]] = {}
        with self._file.open() as db:
            rows = db.execute(
                "select tests.test, verdict from results join tests on tests.id = results.test "
                "join (select id, started, run as name from runs where target = ? and version = ? "
                "      order by started desc, name desc limit ?) as latest on latest.id = results.run "
                "order by latest.started, latest.name",
                (target, version, window),
            )
            for test, verdict in rows:
                seen.setdefault(test, []).append(Verdict(verdict))
        found = []
        for test, verdicts in sorted(seen.items()):
            judged = [verdict.red for verdict in verdicts if verdict.ran or verdict.red]
            if sum(before != after for before, after in pairwise(judged)) > 1:
                found.append(Flaky(test, target, verdicts))
        return found

    def _trouble(self, trouble: Trouble, cause: str) -> SeatrialError:
        if trouble is Trouble.NEWER:
            return SeatrialError(
                "E309", f"the history {self.path} was written by a newer Seatrial", cause,
                "use that version, or move the file away: a new one is begun",
            )  # fmt: skip
        if trouble is Trouble.BROKEN:
            return SeatrialError(
                "E305", f"the history {self.path} is broken", cause,
                "move the file away: the next run begins a new one; the reports of this run are whole",
            )  # fmt: skip
        return SeatrialError(
            "E403", f"cannot write the history {self.path}", cause,
            "free space, mend its permissions, or wait for the other writer; this run's reports are whole",
        )  # fmt: skip


def _instant(text: str) -> str:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return text
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).astimezone(UTC).isoformat()


def _known_passes(now: Mapping[str, TestResult]) -> list[str]:
    return [result.test for result in passing_again(now.values())]


def _difference(
    target: str, base: tuple[int, str, str, str, str], now: dict[str, TestResult], last: dict[str, Verdict],
    there: set[str], *, complete: bool,
) -> Changes:  # fmt: skip
    _, since, started, version, command = base
    changes = Changes(target, since, started, version, json.loads(command), known_passes=_known_passes(now))
    for test, result in now.items():
        before, after = last.get(test), result.verdict
        if before == after:
            continue
        change = Change(test, before, after)
        if before is None:
            (changes.failing if after.red else changes.new).append(change)
        elif after.red and not before.red:
            changes.failing.append(change)
        elif before.red and after in (Verdict.PASS, Verdict.WARN):
            changes.fixed.append(change)
        else:
            changes.other.append(change)
    if complete:
        changes.gone.extend(Change(test, last[test], None) for test in sorted(there - now.keys()))
    return changes

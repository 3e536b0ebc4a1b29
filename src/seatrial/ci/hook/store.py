"""What is to be built and what became of it, in one sqlite file: what was answered with 202 is in it."""

from __future__ import annotations

import contextlib
import functools
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seatrial.ci.hook.config import Project
from seatrial.ci.hook.events import Asked
from seatrial.database import Database, Trouble
from seatrial.errors import SeatrialError

PAGE = 200
REMEMBERED = 7 * 86400.0
_VERSION = 1
_SCHEMA = """
CREATE TABLE deliveries (project TEXT, key TEXT, at REAL, PRIMARY KEY (project, key)) WITHOUT ROWID;
CREATE INDEX deliveries_at ON deliveries (at);
CREATE TABLE builds (
    id INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT UNIQUE NOT NULL, project TEXT NOT NULL, number INTEGER NOT NULL,
    "commit" TEXT NOT NULL, target TEXT NOT NULL, gitlab INTEGER NOT NULL, fork INTEGER NOT NULL,
    state TEXT NOT NULL, doomed INTEGER NOT NULL DEFAULT 0, item INTEGER, build INTEGER, result TEXT,
    told TEXT NOT NULL DEFAULT '', noted TEXT NOT NULL DEFAULT '', at REAL NOT NULL, since REAL NOT NULL
);
CREATE INDEX builds_request ON builds (project, number, state);
CREATE INDEX builds_state ON builds (state);
CREATE TABLE wishes (
    id INTEGER PRIMARY KEY AUTOINCREMENT, project TEXT, note INTEGER, number INTEGER, what TEXT, "commit" TEXT,
    gitlab INTEGER, author INTEGER, state TEXT NOT NULL DEFAULT 'new', at REAL, UNIQUE (project, note)
);
"""
# gated: waits for a maintainer. launching: Jenkins was perhaps asked. waiting: in its queue. The last four are ends.
STATES = ("gated", "queued", "launching", "waiting", "running", "done", "superseded", "cancelled", "refused")
_LIVE = ("launching", "waiting", "running")


@dataclass(frozen=True)
class Build:
    """One row of what is built; `event` is the parameter by which Jenkins' build is found again."""

    id: int
    event: str
    project: str
    number: int
    commit: str
    target: str
    gitlab: int
    fork: bool
    state: str
    doomed: bool
    item: int | None
    build: int | None
    result: str | None
    told: str
    noted: str
    at: float
    since: float


@dataclass(frozen=True)
class Wish:
    """A comment that asks for something, until its author's rights are known."""

    id: int
    project: str
    note: int
    number: int
    what: str
    commit: str
    gitlab: int
    author: int


def _trouble(path: Path, _: Trouble, cause: str) -> SeatrialError:
    return SeatrialError(
        "E642", f"the events in {path} cannot be opened", cause,
        "name another file with `store` in the configuration, or put this one aside",
    )  # fmt: skip


class Store:
    """The file. One writer at a time; every method is one transaction."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._db = Database(path, _SCHEMA, _VERSION, functools.partial(_trouble, path)).keep_open()
        self._db.row_factory = sqlite3.Row
        self._accepted = 0

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # sqlite may have rolled back by itself, as it does on a full disk
                    self._db.execute("ROLLBACK")
                raise

    def accept(self, project: Project, key: str, wanted: Asked, now: float) -> str:
        """Write an event down, once; return what became of it: one word for the answer and the metrics."""
        with self._transaction() as db:
            try:
                db.execute("INSERT INTO deliveries VALUES (?, ?, ?)", (project.name, key, now))
            except sqlite3.IntegrityError:
                return "duplicate"
            self._accepted += 1
            if self._accepted % 500 == 0:
                db.execute("DELETE FROM deliveries WHERE at < ?", (now - REMEMBERED,))
            if wanted.what == "build":
                return self._build(db, project, wanted, now)
            if wanted.what == "close":
                return "closed" if self._supersede(db, project.name, wanted.number, now) else "ignored"
            if wanted.what in ("gate", "again"):
                changed = db.execute(
                    'INSERT OR IGNORE INTO wishes (project, note, number, what, "commit", gitlab, author, at) '
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (project.name, wanted.note, wanted.number, wanted.what, wanted.commit, wanted.project,
                     wanted.author, now),
                ).rowcount  # fmt: skip
                return "asked" if changed else "duplicate"
            return "ignored"

    def _build(self, db: sqlite3.Connection, project: Project, wanted: Asked, now: float) -> str:
        there, last = (
            db.execute(f"SELECT max(id) FROM builds WHERE project=? AND number=? {more}", values).fetchone()[0]  # noqa: S608
            for more, values in (
                ("AND \"commit\"=? AND target=? AND doomed=0 AND state NOT IN ('superseded', 'cancelled')",
                 (project.name, wanted.number, wanted.commit, wanted.target)),
                ("", (project.name, wanted.number)),
            )
        )  # fmt: skip
        # a branch that was pushed back to what was built before is built again: the latest build is of what it left
        if there is not None and (there == last or not wanted.moved):
            return "known"
        self._supersede(db, project.name, wanted.number, now)
        state = {"gate": "gated", "never": "refused", "always": "queued"}[project.forks] if wanted.fork else "queued"
        row = (project.name, wanted.number, wanted.commit, wanted.target, wanted.project, wanted.fork)
        self._insert(db, *row, state, now)
        return state

    def _insert(self, db: sqlite3.Connection, *values: Any) -> None:
        *row, state, now = values
        db.execute(
            'INSERT INTO builds (event, project, number, "commit", target, gitlab, fork, state, at, since) '
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (secrets.token_hex(12), *row, state, now, now),
        )  # fmt: skip

    def _supersede(self, db: sqlite3.Connection, project: str, number: int, now: float) -> int:
        """End the older builds of a merge request: those that Jenkins may know of are marked for the worker."""
        waiting = db.execute(
            "UPDATE builds SET state='superseded', since=? WHERE project=? AND number=? "
            "AND state IN ('gated', 'queued')",
            (now, project, number),
        ).rowcount
        running = db.execute(
            f"UPDATE builds SET doomed=1 WHERE project=? AND number=? AND doomed=0 AND state IN {_LIVE}",  # noqa: S608
            (project, number),
        ).rowcount
        return waiting + running

    def select(self, where: str, *values: Any, after: int = 0, limit: int = PAGE) -> list[Build]:
        """Return the first builds above a number, oldest first, by a condition in SQL."""
        query = f"SELECT * FROM builds WHERE id > {after} AND ({where}) ORDER BY id LIMIT {limit}"  # noqa: S608
        with self._lock:
            rows = self._db.execute(query, values).fetchall()
        return [Build(**{**dict(row), "fork": bool(row["fork"]), "doomed": bool(row["doomed"])}) for row in rows]

    def update(self, row: Build, now: float, /, **fields: Any) -> None:
        """Set fields of a build; a new state sets the time since which it has it."""
        if "state" in fields:
            fields["since"] = now
        names = ", ".join(f"{name}=?" for name in fields)
        with self._transaction() as db:
            db.execute(f"UPDATE builds SET {names} WHERE id=?", (*fields.values(), row.id))  # noqa: S608

    def claim(self, row: Build, now: float) -> bool:
        """Take a build for launching; False when it is no longer queued, or no longer wanted.

        What was selected may be old: a newer commit can have come while others were worked on.
        """
        with self._transaction() as db:
            return db.execute(
                "UPDATE builds SET state='launching', since=? WHERE id=? AND state='queued' AND doomed=0", (now, row.id)
            ).rowcount == 1  # fmt: skip

    def wishes(self, after: int = 0) -> list[Wish]:
        """Return the first `PAGE` comments above a number that nobody has judged yet."""
        with self._lock:
            rows = self._db.execute(
                'SELECT id, project, note, number, what, "commit", gitlab, author FROM wishes WHERE state=\'new\' '
                "AND id > ? ORDER BY id LIMIT ?", (after, PAGE),
            ).fetchall()  # fmt: skip
        return [Wish(**dict(row)) for row in rows]

    def grant(self, wish: Wish, now: float, *, granted: bool) -> int:
        """Judge a comment and do what it asks for; return how many builds that concerns.

        A gate opens for the commit that the comment names in full and for no other: a prefix could be met by chance
        or by design.
        """
        with self._transaction() as db:
            db.execute("UPDATE wishes SET state=? WHERE id=?", ("granted" if granted else "refused", wish.id))
            if not granted:
                return 0
            if wish.what == "gate":
                return db.execute(
                    "UPDATE builds SET state='queued', since=? WHERE project=? AND number=? AND state='gated' "
                    'AND "commit"=?',
                    (now, wish.project, wish.number, wish.commit),
                ).rowcount
            last = db.execute(
                "SELECT * FROM builds WHERE project=? AND number=? ORDER BY id DESC LIMIT 1",
                (wish.project, wish.number),
            ).fetchone()
            if last is None or last["state"] not in ("done", "cancelled"):
                return 0
            self._insert(db, wish.project, wish.number, last["commit"], last["target"], last["gitlab"], last["fork"],
                         "queued", now)  # fmt: skip
            return 1

    def counts(self) -> dict[str, int]:
        """Return how many builds there are in each state."""
        with self._lock:
            rows = self._db.execute("SELECT state, count(*) FROM builds GROUP BY state").fetchall()
        return dict.fromkeys(STATES, 0) | {row[0]: row[1] for row in rows}

    def oldest(self) -> float | None:
        """Return since when the oldest queued build waits, None when none does."""
        with self._lock:
            found: float | None = self._db.execute("SELECT min(since) FROM builds WHERE state='queued'").fetchone()[0]
        return found

"""A SQLite file that several processes may use at once: opened, brought to its format, its troubles told apart."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from enum import Enum, auto
from pathlib import Path

from seatrial.errors import SeatrialError

WAIT = 20.0  # seconds for another writer

# Errors that say nothing against the content of the file.
_PASSING = {
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PERM,
}  # fmt: skip


class Trouble(Enum):
    """What is wrong with a file."""

    BROKEN = auto()
    NEWER = auto()  # written by a later version of the harness
    CLOSED = auto()  # cannot be read or written for now: full disk, permissions, another writer


class Database:
    """One file with its tables, in the format `version`.

    `told` gives the error that the user sees for a trouble with its cause; `upgrades` the statements that bring a
    file of an earlier format to this one.
    """

    def __init__(
        self, path: Path, tables: str, version: int, told: Callable[[Trouble, str], SeatrialError],
        upgrades: Mapping[int, str] | None = None,
    ) -> None:  # fmt: skip
        self.path = path
        self._upgrades = upgrades or {}
        self._tables = tables
        self._version = version
        self._told = told

    @contextmanager
    def open(self) -> Iterator[sqlite3.Connection]:
        """Open the file for some statements, in autocommit mode; a `ValueError` in them says that it is broken."""
        with self._telling(), closing(self._connect()) as db:
            yield db

    def keep_open(self) -> sqlite3.Connection:
        """Return a connection for several threads, which the caller locks and closes; the file is the user's own.

        What a transaction has written is on the disk when it returns.
        """
        with self._telling():
            db = self._connect(threads=True)
            self.path.chmod(0o600)
            db.execute("pragma journal_mode = wal")
            db.execute("pragma synchronous = full")
            return db

    def _connect(self, *, threads: bool = False) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(self.path, timeout=WAIT, isolation_level=None, check_same_thread=not threads)
        try:
            self._prepare(db)
        except BaseException:
            db.close()
            raise
        return db

    def _prepare(self, db: sqlite3.Connection) -> None:
        if self._format(db) == self._version:
            return
        db.execute("begin immediate")
        if (written := self._format(db)) != self._version:  # nobody was quicker
            for statement in f"{self._upgrades.get(written, '')};{self._tables}".split(";"):
                db.execute(statement)
            db.execute(f"pragma user_version = {self._version}")
        db.execute("commit")

    def _format(self, db: sqlite3.Connection) -> int:
        written = int(db.execute("pragma user_version").fetchone()[0])
        if written > self._version:
            raise self._told(Trouble.NEWER, f"it has format {written}, this harness knows {self._version}")
        return written

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, ValueError) as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the low byte is the primary code
            passing = isinstance(error, OSError) or code in _PASSING
            raise self._told(Trouble.CLOSED if passing else Trouble.BROKEN, str(error)) from error

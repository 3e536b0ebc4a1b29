"""The files that say what cases have done: results by case, tasks of the service."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from seatrial.database import Database, Trouble
from seatrial.errors import SeatrialError


def records(
    path: Path, tables: str, version: int, what: str, hint: str, upgrades: Mapping[int, str] | None = None
) -> Database:
    """Return a file of what cases have done, called `what`: E705 when it is broken, with `hint`, E706 when closed."""

    def told(trouble: Trouble, cause: str) -> SeatrialError:
        if trouble is Trouble.CLOSED:
            return SeatrialError(
                "E706", f"{what} {path} cannot be read or written", cause,
                "free space, mend its permissions, or wait for the other writer; results are in the run's own files",
            )  # fmt: skip
        return SeatrialError("E705", f"{what} {path} are broken", cause, hint)

    return Database(path, tables, version, told, upgrades)

"""Tokens and passwords come from files: never from the command line, where every user of the machine reads them."""

from __future__ import annotations

import stat
from pathlib import Path

from seatrial.errors import SeatrialError

_LONGEST = 4096


def read(path: Path, what: str = "the token") -> str:
    """Return the one line of a secret's file; raises `SeatrialError` E610 when it holds none or anyone may read it."""
    try:
        with path.open("rb") as handle:
            readable = handle.seekable() and path.stat().st_mode & stat.S_IROTH
            token = handle.read(_LONGEST).decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise _unfit(path, what, getattr(error, "strerror", None) or "it is no text") from error
    if readable:
        raise _unfit(path, what, "everyone on this machine may read it")
    if not token or not token.isprintable() or " " in token:
        raise _unfit(path, what, "it does not hold one line with one word")
    return token


def _unfit(path: Path, what: str, cause: str) -> SeatrialError:
    return SeatrialError(
        "E610", f"the token file {path} cannot be used", cause,
        f"write {what}, and nothing else, into a file of your own: install -m 600 /dev/stdin {path}",
    )  # fmt: skip

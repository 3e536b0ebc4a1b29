"""Writing files whole: beside the final name, then renamed, so that half a report never passes for one."""

from __future__ import annotations

import os
from pathlib import Path

from seatrial.errors import SeatrialError


def save(path: Path, text: str) -> Path:
    """Write a text file whole or not at all; raises `SeatrialError` E406 and keeps an older file."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        try:
            with beside.open("w", encoding="utf-8", errors="replace", newline="\n") as handle:
                handle.write(text)
                handle.flush()
                os.fsync(handle.fileno())
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise SeatrialError(
            "E406",
            f"cannot write the report {path}",
            error.strerror or str(error),
            "free space or name another directory with --results DIR; the results stream is kept and the "
            "reports can be made from it with `seatrial report`",
        ) from error
    return path

"""Figures and tables that a run brings along: what `figures.json` beside its results names.

Who measures writes images, tables and data files into the run's directory and lists them with `add`; every
report shows them in that order. The list's schema is `schemas/figures.json`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema

from seatrial.errors import SeatrialError
from seatrial.report.files import save

NAME = "figures.json"


@dataclass(frozen=True)
class Table:
    """Rows of words and numbers under their columns."""

    columns: list[str]
    rows: list[list[Any]]


@dataclass(frozen=True)
class Figure:
    """One figure: `image` and `files` are paths below the run's directory; `alt` says what the image shows."""

    title: str
    caption: str = ""
    image: str = ""
    alt: str = ""
    table: Table | None = None
    files: list[str] = field(default_factory=list)


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the list."""
    text = resources.files("seatrial.schemas").joinpath(NAME).read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def read(directory: Path) -> list[Figure]:
    """Return the figures of a run, none where it has no list; raises `SeatrialError` E319 on a broken one."""
    path = directory / NAME
    try:
        value = json.loads(path.read_text("utf-8"))
        jsonschema.Draft202012Validator(schema()).validate(value)
    except FileNotFoundError:
        return []
    except (OSError, ValueError, jsonschema.ValidationError) as error:
        words = error.message if isinstance(error, jsonschema.ValidationError) else str(error)
        raise SeatrialError(
            "E319", f"cannot read the list of figures {path}", words, "the reports are written without figures"
        ) from error
    return [Figure(**{**entry, "table": Table(**entry["table"]) if entry.get("table") else None})
            for entry in value["figures"]]  # fmt: skip


def add(directory: Path, figures: Sequence[Figure]) -> None:
    """Put figures at the end of a run's list."""
    entries = [asdict(figure) for figure in (*read(directory), *figures)]
    save(directory / NAME, json.dumps({"figures": entries}, indent=1) + "\n")

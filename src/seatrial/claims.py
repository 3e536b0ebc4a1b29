"""Claims: the behaviours of a correct engine that tests check, in tables beside the suites.

A table is `suites/<suite>/claims/<area>.tsv` with the columns id, level, claim, source, untested.
`untested` holds the reason why no test names the claim; it is empty for the others.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from seatrial.errors import SeatrialError
from seatrial.verdict import Level

COLUMNS = ("id", "level", "claim", "source", "untested")


@dataclass(frozen=True)
class Claim:
    """One row of a claims table; `area` is the table's name."""

    id: str
    level: Level
    sentence: str
    source: str
    untested: str
    area: str


@dataclass(frozen=True)
class Coverage:
    """How the claims of one area are covered."""

    area: str
    tested: list[Claim]
    excused: list[Claim]  # untested, with a reason
    missing: list[Claim]  # untested, without one


def load(suites: Path) -> dict[str, Claim]:
    """Read every table below a suites directory; raises `SeatrialError` E302 on a broken row."""
    claims: dict[str, Claim] = {}
    for path in sorted(suites.glob("*/claims/*.tsv")):
        for claim in _table(path):
            if claim.id in claims:
                raise _broken(path, f"the id {claim.id} stands twice")
            claims[claim.id] = claim
    return claims


def _table(path: Path) -> Iterable[Claim]:
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            rows = list(csv.reader(handle, delimiter="\t", quoting=csv.QUOTE_NONE))
    except (OSError, UnicodeDecodeError) as error:
        raise _broken(path, str(error)) from error
    if not rows or tuple(rows[0]) != COLUMNS:
        raise _broken(path, f"the first line is not: {' '.join(COLUMNS)} (separated by tabs)")
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(COLUMNS):
            raise _broken(path, f"line {number} has {len(row)} columns instead of {len(COLUMNS)}")
        id_, level, sentence, source, untested = row
        if level not in [known.value for known in Level]:
            raise _broken(path, f"line {number}: unknown level {level!r} (one of {', '.join(Level)})")
        if not id_ or not sentence or not source:
            raise _broken(path, f"line {number}: id, claim and source must not be empty")
        yield Claim(id_, Level(level), sentence, source, untested, path.stem)


def _broken(path: Path, cause: str) -> SeatrialError:
    return SeatrialError("E302", f"the claims table {path} is broken", cause, "see CONTRIBUTING.md, claims")


def coverage(claims: Mapping[str, Claim], named: Iterable[str]) -> list[Coverage]:
    """Return the coverage of each area; `named` are the ids that tests name."""
    tested = set(named)
    areas: dict[str, Coverage] = {}
    for claim in claims.values():
        area = areas.setdefault(claim.area, Coverage(claim.area, [], [], []))
        if claim.id in tested:
            area.tested.append(claim)
        elif claim.untested:
            area.excused.append(claim)
        else:
            area.missing.append(claim)
    return [areas[name] for name in sorted(areas)]


def level_of(claims: Mapping[str, Claim], ids: Iterable[str]) -> Level:
    """Return the most binding level among claims; MUST when none is known."""
    levels = {claims[id_].level for id_ in ids if id_ in claims}
    return next((level for level in (Level.MUST, Level.DOC, Level.SHOULD) if level in levels), Level.MUST)

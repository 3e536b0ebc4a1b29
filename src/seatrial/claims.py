"""Claims: the behaviours of a correct engine that tests check, in tables beside the suites.

A table is `suites/<suite>/claims/<area>.tsv` with the columns id, level, claim, source, untested.
`untested` holds the reason why no test names the claim; it is empty for the others. Tables of protections
have a sixth column, severity.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from seatrial.errors import SeatrialError
from seatrial.verdict import Level

COLUMNS = ("id", "level", "claim", "source", "untested")
# A sixth column, where a table has one: how much is lost when the claim does not hold.
SEVERITY = "severity"


class Severity(StrEnum):
    """What a broken protection costs, worst first."""

    CRITICAL = "critical"  # the host, or all of its containers
    HIGH = "high"  # another container, or the host's health
    MEDIUM = "medium"  # one line of defence, others stand
    LOW = "low"  # knowledge about the host
    INFO = "info"  # nothing by itself


@dataclass(frozen=True)
class Claim:
    """One row of a claims table; `area` is the table's name."""

    id: str
    level: Level
    sentence: str
    source: str
    untested: str
    area: str
    severity: str = ""  # of `Severity`; empty where the table has no such column


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
    head = tuple(rows[0]) if rows else ()
    if head not in (COLUMNS, (*COLUMNS, SEVERITY)):
        raise _broken(path, f"the first line is not: {' '.join(COLUMNS)} (separated by tabs)")
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(head):
            raise _broken(path, f"line {number} has {len(row)} columns instead of {len(head)}")
        id_, level, sentence, source, untested = row[: len(COLUMNS)]
        severity = row[len(COLUMNS)] if len(head) > len(COLUMNS) else ""
        if severity not in [known.value for known in Severity] and len(head) > len(COLUMNS):
            raise _broken(path, f"line {number}: unknown severity {severity!r} (one of {', '.join(Severity)})")
        if level not in [known.value for known in Level]:
            raise _broken(path, f"line {number}: unknown level {level!r} (one of {', '.join(Level)})")
        if not id_ or not sentence or not source:
            raise _broken(path, f"line {number}: id, claim and source must not be empty")
        yield Claim(id_, Level(level), sentence, source, untested, path.stem, severity)


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

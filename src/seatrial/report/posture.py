"""The table of isolation: rows are protections, columns targets, cells what was seen, in which mode of the engine.

Tests of isolation leave rows in their evidence (`seatrial.security.guard`): the protection, the mode, what was seen,
and how that is to be taken.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from seatrial.results import TestResult

EVIDENCE = "posture"
# Worst first: a cell with several entries shows them in this order.
STATES = ("open", "inconclusive", "holds", "fact")
_SEVERITIES = ("critical", "high", "medium", "low", "info", "")


@dataclass(frozen=True)
class Entry:
    """What was seen on one target in one mode; `state` is one of STATES."""

    value: str
    state: str


@dataclass(frozen=True)
class Row:
    """One protection in one mode, on all targets where it was looked at."""

    name: str
    mode: str
    severity: str
    cells: dict[str, list[Entry]]

    @property
    def is_open(self) -> bool:
        """Whether the protection did not hold on some target."""
        return any(entry.state == "open" for cell in self.cells.values() for entry in cell)


def posture(results: Iterable[TestResult]) -> list[Row]:
    """Return the rows of the table, by severity and name; none where no test of isolation ran."""
    rows: dict[tuple[str, str], Row] = {}
    for result in results:
        for seen in result.evidence.get(EVIDENCE, []):
            name, mode = seen["property"], seen["mode"]
            row = rows.setdefault((name, mode), Row(name, mode, seen["severity"], {}))
            cell = row.cells.setdefault(result.target, [])
            entry = Entry(seen["value"], seen["state"])
            if entry not in cell:
                cell.append(entry)
                cell.sort(key=lambda one: STATES.index(one.state))
    return sorted(rows.values(), key=lambda row: (_SEVERITIES.index(row.severity), row.name, row.mode))

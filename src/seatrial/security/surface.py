"""Tables of what a filter does with every system call, by each entry of the kernel, side by side for a report.

A run's directory gets `system-calls.tsv`, a line for each number of each entry and a column for each target, and
the report a table in which calls that fare alike on all targets stand together.
"""

from __future__ import annotations

import csv
import errno
import io
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from seatrial.paths import locked, state_dir
from seatrial.probes import seccomp
from seatrial.report import figures
from seatrial.report.files import save
from seatrial.security.prober import Prober
from seatrial.security.syscalls import LAST, LAST_X32, name

FILE = "system-calls.tsv"
TITLE = "System calls under the default filter"
_CAPTION = (
    "What the filter of a container without options answers, read from the kernel and followed on all paths that "
    "arguments can take; where there are several answers, the arguments decide. A call with a star is documented "
    "as refused. Calls that fare alike on all targets stand together; the file has a line for each."
)
# entry -> architecture as a filter sees it, bits in the number, last number
ENTRIES = {
    "x86_64": (seccomp.X86_64, 0, LAST), "i386": (seccomp.I386, 0, LAST),
    "x32": (seccomp.X86_64, seccomp.X32, LAST_X32),
}  # fmt: skip
_COLUMNS = ("entry", "number", "name", "documented")


@dataclass(frozen=True)
class Table:
    """What a filter says of each number, by entry, and what became of each that was called for real on x86-64."""

    says: Mapping[str, Mapping[int, frozenset[str]]]
    made: Mapping[int, str]


def look(prober: Prober, *options: str) -> Table:
    """Read the filters of a container and follow them for every number; have every call made in another one."""
    return Table(followed(seccomp.read(prober.start(*options).pid)), prober.call_table(*options))


def followed(filters: seccomp.Filters) -> dict[str, dict[int, frozenset[str]]]:
    """Return entry -> number -> what may become of a call, as `Filters.actions` tells it."""
    return {
        entry: {number: filters.actions(number | bits, arch) for number in range(last + 1)}
        for entry, (arch, bits, last) in ENTRIES.items()
    }


def words(actions: Collection[str]) -> str:
    """Return what may become of a call in words: `allow`, `EPERM`, `EPERM or allow`."""
    return " or ".join(sorted(_word(action) for action in actions))


def _word(action: str) -> str:
    number = action.removeprefix("errno ")
    return errno.errorcode.get(int(number), action) if number != action else action


def keep(directory: Path, target: str, says: Mapping[str, Mapping[int, frozenset[str]]],
         documented: Collection[str]) -> None:  # fmt: skip
    """Put a target's column into the table of a run, and the table into its report.

    `documented` are the names that the target's documentation lists as refused.
    """
    with locked(state_dir() / "locks" / "system-calls.lock"):
        rows = _read(directory / FILE)
        for entry, found in says.items():
            for number, actions in found.items():
                row = rows.setdefault((entry, number), {"entry": entry, "number": str(number)})
                row["name"] = name(number, entry)
                row[target] = words(actions)
                if row["name"] in documented:
                    row["documented"] = " ".join(sorted({*row.get("documented", "").split(), target}))
        targets = sorted({column for row in rows.values() for column in row} - set(_COLUMNS))
        save(directory / FILE, _written(rows.values(), targets))
        others = [figure for figure in figures.read(directory) if figure.title != TITLE]
        (directory / figures.NAME).unlink(missing_ok=True)
        figures.add(directory, [*others, figures.Figure(TITLE, _CAPTION, table=_table(rows, targets), files=[FILE])])


def _read(path: Path) -> dict[tuple[str, int], dict[str, str]]:
    if not path.exists():
        return {}
    rows = csv.DictReader(path.read_text("utf-8").splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    return {(row["entry"], int(row["number"])): row for row in rows}


def _written(rows: Collection[Mapping[str, str]], targets: list[str]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, [*_COLUMNS, *targets], restval="", delimiter="\t", lineterminator="\n",
                            quoting=csv.QUOTE_NONE)  # fmt: skip
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _table(rows: Mapping[tuple[str, int], Mapping[str, str]], targets: list[str]) -> figures.Table:
    """Put calls of an entry together that fare alike on all targets, the fewest first."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for (entry, _), row in sorted(rows.items()):
        called = f"{row['name']}{'*' if row.get('documented') else ''}"
        alike.setdefault((entry, *(row.get(target) or "not seen" for target in targets)), []).append(called)
    order = sorted(alike.items(), key=lambda one: (list(ENTRIES).index(one[0][0]), len(one[1]), one[0]))
    return figures.Table(
        ["calls", "entry", "number of calls", *targets],
        [[_ranges(calls), entry, len(calls), *fates] for (entry, *fates), calls in order],
    )  # fmt: skip


def _ranges(calls: list[str]) -> str:
    """Return names in their order; numbers without a name as ranges behind them."""
    parts: list[str] = sorted(call for call in calls if not call.isdecimal())
    first = last = -2
    for number in [*sorted(int(call) for call in calls if call.isdecimal()), -1]:
        if number != last + 1:
            if last >= 0:
                parts.append(f"{first}" if first == last else f"{first} to {last}")
            first = number
        last = number
    return ", ".join(parts)

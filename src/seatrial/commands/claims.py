"""`seatrial claims`: which behaviours the suites check, and which they do not."""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seatrial.commands import console, tell, verb
from seatrial.errors import Exit, SeatrialError

if TYPE_CHECKING:
    from seatrial.claims import Coverage

_MORE = """\
A claim is tested when a test names it, excused when its table gives a reason, and missing otherwise.

examples:
  seatrial claims
  seatrial claims --area volume          every claim of one area, with tests and reasons
  seatrial claims --json

exit codes: 0 every claim is tested or excused, 1 some are missing, 4 tables or tests cannot be read
"""


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verb(verbs, "claims", run, "show which claims the suites test", _MORE)
    parser.add_argument("suites", metavar="SUITES_DIR", nargs="?", type=Path, default=Path("suites"),
                        help="where the suites are (default: suites)")  # fmt: skip
    parser.add_argument("--area", metavar="A", help="only this area, claim by claim")
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print coverage by area, or one area in full."""
    from seatrial import claims

    if not arguments.suites.is_dir():
        raise SeatrialError(
            "E315", f"there are no suites in {arguments.suites}", "no such directory",
            "run it in the checkout, or name the directory of the suites",
        )  # fmt: skip
    tables = claims.load(arguments.suites)
    named = collect(arguments.suites)
    areas = claims.coverage(tables, named)
    if arguments.area is not None:
        areas = [area for area in areas if area.area == arguments.area]
        if not areas:
            known = ", ".join(sorted({claim.area for claim in tables.values()})) or "none"
            raise SeatrialError("E316", f"there is no area {arguments.area!r}", hint=f"areas: {known}")
    if not areas:
        raise SeatrialError(
            "E317", f"there are no claims tables in {arguments.suites}", hint="they are SUITE/claims/AREA.tsv"
        )  # fmt: skip
    unknown = sorted(set(named) - set(tables))
    if arguments.json:
        tell(json.dumps(_as_json(areas, named, unknown), indent=1))
    else:
        _print(areas, named, unknown, full=arguments.area is not None)
    return Exit.FAILED if unknown or any(area.missing for area in areas) else Exit.OK


def collect(suites: Path) -> dict[str, list[str]]:
    """Return the claims that tests name: id -> pytest ids. Asks pytest, in a process of its own.

    Raises `SeatrialError` E308 with pytest's words when the suites cannot be collected.
    """
    from seatrial import exec as command

    with tempfile.TemporaryDirectory(prefix="seatrial-claims-") as scratch:
        out = Path(scratch) / "claims.json"
        result = command.run(
            [sys.executable, "-m", "pytest", "--collect-only", "-q", "--claims-out", str(out), str(suites)],
            timeout=300, expect=command.ANY,
        )  # fmt: skip
        try:
            named: dict[str, list[str]] = json.loads(out.read_text("utf-8"))["named"]
        except (OSError, ValueError, KeyError) as error:
            raise SeatrialError("E308", "cannot collect the suites", _reason(result.output, error)) from error
        if result.code not in (Exit.OK, Exit.NOTHING):
            raise SeatrialError("E308", "cannot collect the suites", _reason(result.output, None))
    return named


def _reason(output: str, error: Exception | None) -> str:
    """Return what pytest complained of: the file and the error in it, or the last words."""
    lines = output.splitlines()
    file = next((line.split(" - ")[0] for line in lines if line.startswith("ERROR ")), "")
    told = next((line for line in lines if re.match(r"E  |E\d{3}: |\S+: error:", line)), "")
    parts = [file.removeprefix("ERROR "), told.removeprefix("E  ").strip()]
    return ": ".join(part for part in parts if part) or str(error or "") or output.strip()[-200:]


def _as_json(areas: list[Coverage], named: dict[str, list[str]], unknown: list[str]) -> dict[str, Any]:
    return {
        "areas": {
            area.area: {
                "tested": {claim.id: named[claim.id] for claim in area.tested},
                "untested": {claim.id: claim.untested for claim in area.excused},
                "missing": [claim.id for claim in area.missing],
            }
            for area in areas
        },
        "unknown": {id_: named[id_] for id_ in unknown},
    }


def _print(areas: list[Coverage], named: dict[str, list[str]], unknown: list[str], *, full: bool) -> None:
    from rich import box
    from rich.table import Table

    out = console()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("area")
    for title in ("claims", "tested", "untested", "missing"):
        table.add_column(title, justify="right")
    for area in areas:
        counts = [len(area.tested), len(area.excused), len(area.missing)]
        table.add_row(area.area, str(sum(counts)), *map(str, counts))
    if len(areas) > 1:
        sums = [sum(len(kind(area)) for area in areas) for kind in _KINDS]
        table.add_section()
        table.add_row("all", str(sum(sums)), *map(str, sums))
    out.print(table)
    rows = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("claim", "level", "what", "tests or reason"):
        rows.add_column(title, overflow="fold", no_wrap=title in ("claim", "level"))
    for area in areas:
        for claim in area.tested if full else ():
            rows.add_row(claim.id, claim.level.value, claim.sentence, "\n".join(named[claim.id]))
        for claim in area.excused:
            rows.add_row(claim.id, claim.level.value, claim.sentence, f"untested: {claim.untested}")
        for claim in area.missing:
            rows.add_row(claim.id, claim.level.value, claim.sentence, "missing")
    if rows.row_count:
        out.print(rows)
    for id_ in unknown:
        out.print(f"unknown claim {id_}, named by {', '.join(named[id_])}")


_KINDS = (attrgetter("tested"), attrgetter("excused"), attrgetter("missing"))

"""`seatrial audit`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.commands import console, say, tell, verb
from seatrial.errors import Exit

if TYPE_CHECKING:
    from rich.console import Console

    from seatrial.audit.model import Audit

FORMATS = ("table", "json", "sarif", "junit", "html")
SEVERITIES = ("critical", "high", "medium", "low", "info")

_MORE = """\
Looks at the options of the daemon, at files and their modes, at sockets, TLS, images and the containers
that run, and changes nothing. In the manner of the CIS Docker Benchmark 1.6.0 and its equivalents for
Podman; docs/audit.md lists the checks. Without TARGET: the engine that would be tested.

examples:
  seatrial audit
  seatrial audit docker@trixie podman@sid --fail-on medium
  seatrial audit --format sarif --output audit.sarif
  seatrial audit --format html --output reports/audit.html

exit codes: 0 no check failed that is as bad as --fail-on, 1 one did, 4 a target cannot be reached
(error code, cause and hint are printed), 5 nothing could be judged
"""


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verb(verbs, "audit", run, "audit how an engine and its host are configured", _MORE)
    parser.add_argument("targets", metavar="TARGET", nargs="*", help="as docker, podman@sid")
    parser.add_argument("--format", choices=FORMATS, default="table", help="default: table")
    parser.add_argument("--output", metavar="FILE", type=Path, help="write there instead of standard output")
    parser.add_argument("--fail-on", metavar="LEVEL", choices=(*SEVERITIES, "never"), default="high",
                        help=f"{', '.join(SEVERITIES)}, or never; default: high")  # fmt: skip
    parser.add_argument("--level", type=int, choices=(1, 2), default=2, help="the benchmark's profile; default: 2")
    parser.add_argument("--all", action="store_true", help="list in the table what passed, too")


def run(arguments: argparse.Namespace) -> int:
    """Audit, print, and say by the exit code whether something failed."""
    from seatrial.audit.formats import render, summary
    from seatrial.audit.model import Severity
    from seatrial.audit.run import audit
    from seatrial.targets import discover, parse

    targets = [parse(text) for text in arguments.targets] or [discover()]
    audits = [audit(target, arguments.level, say) for target in targets]
    if arguments.format == "table":
        _write_table(audits, arguments.output, everything=arguments.all)
    else:
        _write(render(audits, arguments.format), arguments.output, arguments.format)
    for one in audits:
        say(summary(one))
    if not all(one.judged for one in audits):
        return Exit.NOTHING
    if arguments.fail_on == "never":
        return Exit.OK
    least = Severity(arguments.fail_on)
    return Exit.FAILED if any(one.failures(least) for one in audits) else Exit.OK


def _write(text: str, output: Path | None, form: str) -> None:
    if output is None:
        tell(text)
        return
    from importlib import resources

    from seatrial.report.files import save

    save(output, text + "\n")
    if form == "html":  # the page's look, which a page from standard output does without
        style = resources.files("seatrial.report").joinpath("templates/report.css").read_text("utf-8")
        save(output.parent / "report.css", style)


def _write_table(audits: list[Audit], output: Path | None, *, everything: bool) -> None:
    out = console()
    if output is None:
        for one in audits:
            _table(one, out, everything=everything)
        return
    with out.capture() as captured:
        for one in audits:
            _table(one, out, everything=everything)
    _write(captured.get().rstrip("\n"), output, "table")


def _table(one: Audit, out: Console, *, everything: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    from seatrial.audit.formats import areas, row
    from seatrial.audit.model import State

    out.print(Text(f"\n{one.target}: {one.engine} {one.version} on {one.host}", style="bold"))
    quiet = () if everything else (State.PASS, State.NOT_APPLICABLE)
    for area, findings in areas(one):
        shown = [finding for finding in findings if finding.outcome.state not in quiet]
        if not shown:
            continue
        out.print(Text(f"  {area}", style="bold"))
        table = Table(box=None, show_header=False, padding=(0, 0, 0, 2))
        for name in ("sign", "id", "cis", "severity"):
            table.add_column(name, no_wrap=True)
        table.add_column("seen", overflow="fold")
        for finding in shown:
            sign, id_, cis, severity, title, seen = row(finding)
            style = "red" if finding.failed and finding.check.severity.score >= 8 else ""
            table.add_row(sign, id_, cis, severity if finding.failed else finding.outcome.state.value,
                          f"{title}: {seen}", style=style)  # fmt: skip
        out.print(table)

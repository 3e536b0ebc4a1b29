"""`seatrial oct`: cases as JSON documents: read old ones, check, explain, begin new ones."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.commands import say, tell, verb
from seatrial.errors import Exit, SeatrialError

if TYPE_CHECKING:
    from seatrial.oct.importer import Imported

CASES = Path("oct/cases")
FORMATS = ("text", "json", "junit", "sarif")

_OCT = """\
A case is a directory with a case.json and the files that it needs; oct/README.md describes the format.

exit codes: 0 done, 1 something is wrong with a case, 4 the request cannot be carried out
"""
_VALIDATE = """\
A path is a case, a bundle (a directory with case.json), an archive (bundle.tar.gz), or a library of bundles.

examples:
  seatrial oct validate oct/cases
  seatrial oct validate bundle.tar.gz --format sarif

exit codes: 0 no errors, 1 errors (with --strict also warnings)
"""
_IMPORT = """\
Reads the dialects D0 to D4 (JSON) and D5 (cases.conf). Each change is a numbered repair with its place; what
cannot be told for sure is refused. Without --out, a single case is printed.

examples:
  seatrial oct import Network-iperf.json
  seatrial oct import old-cases/ --out oct/cases

exit codes: 0 all imported, 1 something was refused or has errors left
"""
_EXPLAIN = """\
examples:
  seatrial oct explain OCT033
  seatrial oct explain              all codes

exit codes: 0 explained, 4 there is no such code
"""
_NEW = """\
examples:
  seatrial oct new oct/cases/security/no-raw-sockets --group Security/Capabilities

exit codes: 0 made, 4 it is there already
"""
_SCHEMA = """\
examples:
  seatrial oct schema > case.schema.json

exit codes: 0 printed
"""


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verbs."""
    parser = verb(verbs, "oct", lambda _: _usage(parser), "open container tests: cases as JSON documents", _OCT)
    inner = parser.add_subparsers(title="verbs", metavar="VERB", parser_class=type(parser))
    check = verb(inner, "validate", run_validate, "check cases, bundles, archives and libraries", _VALIDATE)
    check.add_argument("paths", metavar="PATH", nargs="+", type=Path, help="what is checked")
    check.add_argument("--format", choices=FORMATS, default="text", help="of the diagnostics (default: text)")
    check.add_argument("--strict", action="store_true", help="let warnings count as errors")
    take = verb(inner, "import", run_import, "turn cases of older dialects into ones of today", _IMPORT)
    take.add_argument("paths", metavar="PATH", nargs="+", type=Path, help="files, archives or directories of cases")
    take.add_argument("--out", metavar="DIR", type=Path, help="the library that they are written into")
    take.add_argument("--format", choices=FORMATS, default="text", help="of repairs and diagnostics (default: text)")
    why = verb(inner, "explain", run_explain, "explain a diagnostic", _EXPLAIN)
    why.add_argument("codes", metavar="CODE", nargs="*", help="as OCT033")
    begin = verb(inner, "new", run_new, "make a new bundle that validates", _NEW)
    begin.add_argument("directory", metavar="NAME", type=Path, help="its directory; the last part is its name")
    begin.add_argument("--group", default="Function", help="where it belongs (default: Function)")
    verb(inner, "schema", run_schema, "print the JSON Schema of a case", _SCHEMA)


def _usage(parser: argparse.ArgumentParser) -> int:
    parser.print_help()
    return Exit.OK


def run_validate(arguments: argparse.Namespace) -> int:
    """Print the diagnostics."""
    from seatrial.oct import formats, validate

    reports = validate.validate(arguments.paths)
    tell(formats.render(reports, arguments.format))
    bad = any(report.errors or (arguments.strict and report.warnings) for report in reports)
    return Exit.FAILED if bad else Exit.OK


def run_explain(arguments: argparse.Namespace) -> int:
    """Print what codes mean."""
    import textwrap

    from seatrial.oct.diagnostics import RULES, explain

    if not arguments.codes:
        for rule in RULES.values():
            tell(f"{rule.code} {rule.severity.value:7} {rule.title}")
    for code in arguments.codes:
        rule = explain(code)
        tell(f"{rule.code} ({rule.severity.value}): {rule.title}\n\n{textwrap.fill(rule.why, 100)}\n")
    return Exit.OK


def run_new(arguments: argparse.Namespace) -> int:
    """Make the bundle and name its files."""
    from seatrial.oct import template, validate

    for path in template.make(arguments.directory, arguments.group):
        tell(str(path))
    problems = [one for report in validate.validate([arguments.directory]) for one in report.errors]
    for one in problems:  # a group that is none
        say(str(one))
    return Exit.FAILED if problems else Exit.OK


def run_schema(_: argparse.Namespace) -> int:
    """Print the schema."""
    import json

    from seatrial.oct.model import schema

    tell(json.dumps(schema(), indent=1))
    return Exit.OK


def run_import(arguments: argparse.Namespace) -> int:
    """Import, and say what became of each file."""
    from seatrial.oct import formats

    found: list[Imported] = []
    with tempfile.TemporaryDirectory(prefix="seatrial-oct-") as scratch:
        for path in arguments.paths:
            found += _imported(path, Path(scratch), arguments.out)
    reports = [one.report for one in found]
    lonely = len(found) == 1 and arguments.out is None
    if arguments.format != "text":
        tell(formats.render(reports, arguments.format))
    else:
        for one in found:
            for line in one.report.diagnostics:
                say(str(line))
            name = (one.document or {}).get("Name", "")
            summary = f"{one.outcome}{f' as {name}' if name else ''} ({one.dialect or 'no dialect'}"
            say(f"{one.report.file}: {summary}, {len(one.repairs)} repairs)")
        if lonely and found[0].document is not None:
            tell(found[0].text.rstrip("\n"))
    return Exit.FAILED if any(one.document is None or one.report.errors for one in found) else Exit.OK


def _imported(path: Path, scratch: Path, out: Path | None) -> list[Imported]:
    from seatrial.oct import importer, tarball, validate
    from seatrial.oct.diagnostics import Report

    if tarball.is_archive(path):
        report = Report(str(path))
        inside = Path(tempfile.mkdtemp(dir=scratch))
        if not path.is_file():
            report.add("OCT006", "cannot be read: no such file")
        if report.errors or not tarball.unpack(path, inside, report):
            return [importer.Imported(None, "", report)]
        return _imported(inside, scratch, out)
    files = [path]
    if path.is_dir():
        files = [place / name for place, names in validate.bundles(path) for name in names]
        files += sorted(path.rglob("*.conf"))
        if not files:
            hint = "name files, archives or directories of cases"
            raise SeatrialError("E702", f"there is no case in {path}", "", hint)
    found = [one for file in files for one in importer.load(file)]
    if out is not None:
        from seatrial.oct import shelf

        for one in found:
            shelf.put(one, out)
    return found

"""`seatrial oct`: cases as JSON documents: read old ones, check, explain, begin new ones."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.commands import FORMATS, cluster, explain, say, tell, verb
from seatrial.errors import Exit, SeatrialError

if TYPE_CHECKING:
    from seatrial.oct.importer import Imported
    from seatrial.oct.library import Filter

CASES = Path("oct/cases")

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
cannot be told for sure is refused. Without --out, a single case is printed. With it, a case goes into the
library with the files that it lists and with source/; one that would not validate there is not written.

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
_LIST = """\
A state is new, changed (the case or its files), failed or current, as the last run on a target has left it.
Whether engine, image, host or harness are others since then only `seatrial oct run --only` asks.

examples:
  seatrial oct list --group Security
  seatrial oct list --engine docker@bookworm --state new,changed

exit codes: 0 listed, 1 some cases cannot be read
"""
_SHOW = """\
examples:
  seatrial oct show root-readonly

exit codes: 0 shown, 4 there is no such case
"""
_RUN = """\
Cases are pytest items: the same as pytest oct/cases --engine TARGET, with the same reports.

examples:
  seatrial oct run --engine docker@bookworm -n 4
  seatrial oct run --engine podman@sid --only new,changed,failed --group Spec
  seatrial oct run --engine docker --name 'network-*' --set seconds=10
  seatrial oct run --engine docker@bookworm --scheduler 127.0.0.1:8786

With --scheduler each case runs on a host of the cluster that offers the target and has what the case
wishes; one that has no such host is skipped, and says which wish failed on which. A case whose host is lost
is run again.

exit codes: pytest's: 0 all passed, 1 some failed, 2 interrupted, 5 nothing to run
"""
_SERVE = """\
The paths are those of the original OCT: /repo, /case, /task, /resource; /docs describes them. An address
that others can reach needs a token.

examples:
  seatrial oct serve --engine docker@bookworm
  curl -d CASE_ID localhost:8011/task        answers with the id of a task
  curl -d run localhost:8011/task/TASK_ID
  curl -F tcfile=@bundle.tar.gz localhost:8011/case
  seatrial oct serve --engine docker@bookworm --scheduler 127.0.0.1:8786

exit codes: 0 ended by a signal, 4 it cannot start
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
    known = verb(inner, "list", run_list, "list the cases of a library, and what is known of them", _LIST)
    show = verb(inner, "show", run_show, "show a case and its last results", _SHOW)
    show.add_argument("case", metavar="NAME", help="of the case")
    start = verb(inner, "run", run_run, "run cases: all, those of a group, those that are new or changed", _RUN)
    for parser_ in (known, show, start):
        parser_.add_argument("--library", metavar="DIR", type=Path, default=CASES, help=f"of cases (default: {CASES})")
        parser_.add_argument("--results", metavar="DIR", type=Path, default=Path("reports"),
                             help="where runs and records are (default: reports)")  # fmt: skip
    for parser_ in (known, start):
        _selection(parser_)
    known.add_argument("--engine", metavar="TARGET", default="",
        help="only cases for this target, with their state on it")
    known.add_argument("--state", metavar="STATES", default="", help="only in these states: new,changed,failed,current")
    known.add_argument("--json", action="store_true", help="as JSON")
    start.add_argument("--engine", action="append", metavar="TARGET", help="what is tested; repeat for several")
    start.add_argument("--only", metavar="STATES", default="", help="only in these states: new,changed,failed")
    start.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter of cases")
    start.add_argument("-n", "--workers", metavar="N", type=int, default=0, help="how many run at once (default: one)")
    serve = verb(inner, "serve", run_serve, "serve cases and tasks over HTTP", _SERVE)
    serve.add_argument("--listen", metavar="ADDRESS", default="127.0.0.1:8011",
                       help="HOST:PORT, or a path for a unix socket (default: 127.0.0.1:8011)")  # fmt: skip
    serve.add_argument("--engine", metavar="TARGET", default="", help="of tasks that name none")
    serve.add_argument("--library", metavar="DIR", type=Path, action="append", help=f"of cases (default: {CASES})")
    serve.add_argument("--data", metavar="DIR", type=Path, default=Path("reports/oct-service"),
                       help="where bundles, tasks and reports are kept (default: reports/oct-service)")  # fmt: skip
    serve.add_argument("--token-file", metavar="FILE", type=Path, help="a token that every request has to carry")
    cluster.add(inner, start, serve)
    verb(inner, "schema", run_schema, "print the JSON Schema of a case", _SCHEMA)


def _selection(parser: argparse.ArgumentParser) -> None:
    """Declare the options that say which cases are meant."""
    parser.add_argument("--group", action="append", default=[], metavar="G",
        help="only of this group, as Security/Paths")
    parser.add_argument("--tag", action="append", default=[], metavar="T",
        help="only with this tag; repeat for several")
    parser.add_argument("--name", action="append", default=[], metavar="PATTERN", help="only of this name, as 'root-*'")


def _filter(arguments: argparse.Namespace, engine: str = "") -> Filter:
    from seatrial.oct.library import Filter
    from seatrial.targets import parse

    kind = ("runtime" if parse(engine).is_runtime else "engine") if engine else ""
    return Filter(tuple(arguments.group), tuple(arguments.tag), tuple(arguments.name), kind)


def run_list(arguments: argparse.Namespace) -> int:
    """Print the cases that are meant, and with a target what is known of each."""
    from seatrial.oct import freshness, library

    entries = library.select(library.load(arguments.library), _filter(arguments, arguments.engine))
    states: dict[str, tuple[str, str]] = {}
    if arguments.state and not arguments.engine:
        raise SeatrialError(
            "E708", "a state is that of a case on a target, and none is named", "", "add --engine TARGET"
        )  # fmt: skip
    if arguments.engine:
        plan = freshness.Store(arguments.results / freshness.NAME).plan(entries, arguments.engine)
        wanted = freshness.states(arguments.state) if arguments.state else frozenset(freshness.State)
        plan = [one for one in plan if one.state in wanted or one.entry.broken]
        states = {one.entry.path: (one.state.value, one.reason) for one in plan}
        entries = [one.entry for one in plan]
    if arguments.json:
        rows = [{**asdict(entry), **dict(zip(("state", "reason"), states.get(entry.path, ()), strict=False))}
                for entry in entries]  # fmt: skip
        tell(json.dumps(rows, indent=1))
    else:
        for entry in entries:
            state = "  ".join(states.get(entry.path, ()))
            words = f"BROKEN: {entry.broken}" if entry.broken else entry.summary
            tell("  ".join(filter(None, (f"{entry.name:32} {entry.group:26}", state, words))))
        tell(f"{len(entries)} cases, {sum(entry.variants for entry in entries)} variants")
    return Exit.FAILED if any(entry.broken for entry in entries) else Exit.OK


def run_show(arguments: argparse.Namespace) -> int:
    """Print one case: what it is, what it does and expects, and its last results."""
    from seatrial.oct import freshness, library
    from seatrial.oct.bundle import CASE

    entries = library.load(arguments.library)
    entry = next((one for one in entries if one.name == arguments.case), None)
    if entry is None:
        from seatrial.diagnostics import did_you_mean

        hint = did_you_mean(arguments.case, [one.name for one in entries]) or "seatrial oct list"
        raise SeatrialError("E709", f"there is no case {arguments.case!r} in {arguments.library}", "", hint)
    tell(f"{entry.name} ({entry.group}): {entry.summary}")
    tell(f"path    {arguments.library / entry.path / CASE}\nsha256  {entry.digest}")
    results = freshness.Store(arguments.results / freshness.NAME).of_case(entry.name)
    for target, variant, known in results:
        state, why = known.state(entry.digest, None)
        shown = " ".join(filter(None, (target, str(variant))))
        tell(f"result  {shown}: {known.ending} ({known.surroundings.engine}); {state}: {why}")
    tell((arguments.library / entry.path / CASE).read_text("utf-8"))
    return Exit.OK


def run_run(arguments: argparse.Namespace) -> int:
    """Become pytest on the cases that are meant."""
    from seatrial.oct import library
    from seatrial.oct.bundle import CASE

    engines = arguments.engine or []
    wanted = _filter(arguments, engines[0] if len(engines) == 1 else "")
    entries = library.select(library.load(arguments.library), wanted)
    if not entries:
        raise SeatrialError("E710", f"no case in {arguments.library} is meant", "", "seatrial oct list shows all")
    if arguments.scheduler:
        return cluster.run_across(arguments, entries)
    words = [sys.executable, "-m", "pytest", "-n", str(arguments.workers), "--results", str(arguments.results)]
    words += [word for name in engines for word in ("--engine", name)]
    words += ["--only", arguments.only] if arguments.only else []
    words += [word for pair in arguments.set for word in ("--set", pair)]
    whole = not (arguments.group or arguments.tag or arguments.name)
    paths = [arguments.library] if whole else [arguments.library / entry.path / CASE for entry in entries]
    sys.stdout.flush()
    os.execv(words[0], [*words, *map(str, paths)])  # noqa: S606
    return Exit.INTERNAL


def run_serve(arguments: argparse.Namespace) -> int:
    """Serve until a signal ends it."""
    from seatrial.errors import not_installed
    from seatrial.listening import Address
    from seatrial.targets import discover, parse

    try:
        from seatrial.oct import serving
    except ModuleNotFoundError as error:
        hint = "pip install 'seatrial[service]'"
        raise not_installed("`seatrial oct serve`", error.name or "fastapi", hint) from error
    token = ""
    if arguments.token_file is not None:
        from seatrial import secret

        token = secret.read(arguments.token_file)
    target = str(parse(arguments.engine) if arguments.engine else discover())
    libraries = arguments.library or [CASES]
    serving.serve(Address.parse(arguments.listen), arguments.data.absolute(), libraries, target, token, say,
                  arguments.scheduler, arguments.tls)  # fmt: skip
    return Exit.OK


def _usage(parser: argparse.ArgumentParser) -> int:
    parser.print_help()
    return Exit.OK


def run_validate(arguments: argparse.Namespace) -> int:
    """Print the diagnostics."""
    from seatrial import formats
    from seatrial.oct import validate
    from seatrial.oct.diagnostics import CATALOGUE

    reports = validate.validate(arguments.paths)
    tell(formats.render(reports, arguments.format, CATALOGUE))
    bad = any(report.errors or (arguments.strict and report.warnings) for report in reports)
    return Exit.FAILED if bad else Exit.OK


def run_explain(arguments: argparse.Namespace) -> int:
    """Print what codes mean."""
    from seatrial.oct.diagnostics import CATALOGUE

    explain(CATALOGUE, arguments.codes)
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
    from seatrial.oct.model import schema

    tell(json.dumps(schema(), indent=1))
    return Exit.OK


def run_import(arguments: argparse.Namespace) -> int:
    """Import, and say what became of each file."""
    from seatrial import formats
    from seatrial.oct.diagnostics import CATALOGUE

    found: list[Imported] = []
    with tempfile.TemporaryDirectory(prefix="seatrial-oct-") as scratch:
        for path in arguments.paths:
            found += _imported(path, Path(scratch), arguments.out)
    reports = [one.report for one in found]
    lonely = len(found) == 1 and arguments.out is None
    if arguments.format != "text":
        tell(formats.render(reports, arguments.format, CATALOGUE))
    else:
        for one in found:
            for line in one.report.diagnostics:
                say(str(line))
            name = one.document["Name"] if one.document and not one.report.errors else ""
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

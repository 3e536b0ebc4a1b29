"""The dialect D5: lines of `name= options;options`, where each set of options was a bundle of its own."""

from __future__ import annotations

import re
import shlex
from typing import Any

from seatrial.diagnostics import Severity
from seatrial.oct.diagnostics import Report
from seatrial.oct.model import SCHEMA_VERSION

Json = dict[str, Any]

_LINE = re.compile(r"\s*([A-Za-z0-9][\w.+-]*)\s*=(.*)")


def cases(text: str, report: Report) -> list[tuple[Json, Report]]:
    """Return each case of a file with a report of its own; a line that is none is refused with its place."""
    found: list[tuple[Json, Report]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            column = len(line) - len(line.lstrip()) + 1
            report.add("OCT001", f"line {number} is not of the form name= options;options", (), (number, column))
            continue
        start = match.start(2)
        for index, options in enumerate(match[2].split(";")):
            column = start + 1 + len(options) - len(options.lstrip())
            start += len(options) + 1
            one = Report(report.file)
            document = _case(f"{match[1]}{index}", options, (number, column), one)
            if one.errors:
                report.diagnostics += one.errors
            elif document is not None:
                found.append((document, one))
    return [] if report.errors else found


def _case(name: str, options: str, place: tuple[int, int], report: Report) -> Json | None:
    try:
        words = shlex.split(options)
    except ValueError as error:
        report.add("OCT001", f"the options of {name} cannot be read: {error}", (), place)
        return None
    command: list[str] = []
    arguments: Json = {}
    bundle: Json = {}
    for word in words:
        option, _, value = word.partition("=")
        if option == "--args":
            command.append(value)
        elif not _option(option, value, arguments, bundle):
            report.add("OCT011", f'{name}: nobody knows the option "{word}"', (), place)
    if not command:
        report.add("OCT040", f"{name} runs no command (--args)", (), place)
        return None
    if bundle:
        arguments["Bundle"] = bundle
    report.add("OCT018", f"the options are the case {name} with a container of their own", (), place,
               severity=Severity.REPAIR)  # fmt: skip
    container: Json = {"Object": "box", "Class": "image", "Cmd": command}
    if command[0].startswith("./"):
        container["Files"] = [f"source/{command[0][2:]}"]
    if arguments:
        container["Args"] = arguments
    return {
        "SchemaVersion": SCHEMA_VERSION, "Name": name, "Summary": f"{name}: {' '.join(words)[:100]}",
        "Group": "Spec/Runtime",
        "Requires": [{"Class": "host", "Type": "os"}, {"Class": "image", "Type": "container"},
                     {"Class": "target", "Type": "engine", "Needs": ["runtime"]}],
        "Deploys": [{"Object": "hostA", "Class": "host", "Containers": [container]}],
        "Run": [], "Collects": [],
    }  # fmt: skip


def _option(option: str, value: str, arguments: Json, bundle: Json) -> bool:
    """Take in an option of the old generator; False when there is no such one."""
    first, _, second = value.partition(":")
    if option == "--cap-add":
        arguments.setdefault("CapAdd", []).append(value.removeprefix("CAP_"))
    elif option == "--hostname":
        arguments["Hostname"] = value
    elif option == "--rlimit":
        arguments.setdefault("Ulimits", {})[first.removeprefix("RLIMIT_").lower()] = second
    elif option == "--read-only":
        arguments["ReadOnly"] = value == "true"
    elif option == "--sysctl":
        arguments.setdefault("Sysctls", {})[first] = second
    elif option == "--os":
        bundle["platform"] = {"os": value, "arch": "amd64"}
    elif option == "--terminal":
        bundle.setdefault("process", {})["terminal"] = value == "true"
    elif option in ("--uidmappings", "--gidmappings"):
        numbers = [int(word) for word in value.split(":") if word.isdigit()]
        if len(numbers) != 3:
            return False
        mapping = dict(zip(("hostID", "containerID", "size"), numbers, strict=True))
        bundle.setdefault("linux", {}).setdefault(f"{option[2:5]}Mappings", []).append(mapping)
    elif option in ("--ipc", "--net", "--pid", "--uts"):
        kind = "network" if option == "--net" else option[2:]
        bundle.setdefault("linux", {}).setdefault("namespaces", []).append({"type": kind, "path": value})
    else:
        return option in ("--rootfs", "--mount-cgroups")  # every container has both
    return True

"""A new bundle: small, whole, and green on every engine, to be changed from there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seatrial.errors import SeatrialError
from seatrial.oct import conversion
from seatrial.oct.bundle import CASE
from seatrial.oct.importer import render
from seatrial.oct.model import SCHEMA_VERSION

_SCRIPT = """\
#!/bin/sh
# What the case looks at, inside the container; what it prints is judged by Expect in case.json.
set -e
echo "hello from $(hostname)"
"""


def document(name: str, group: str) -> dict[str, Any]:
    """Return the case of a new bundle."""
    return {
        "SchemaVersion": SCHEMA_VERSION, "Name": name, "Version": "1",
        "Summary": "one sentence: what a correct engine does", "Owner": "", "License": "Apache-2.0", "Group": group,
        "Requires": [{"Class": "host", "Type": "os"},
                     {"Class": "box", "Type": "container", "Image": {"Name": "busybox"}}],
        "Deploys": [{"Object": "hostA", "Class": "host", "Containers": [
            {"Object": "boxA", "Class": "box", "Files": ["source/check.sh"], "Args": {"Hostname": "${word}"}}]}],
        "Parameters": {"word": "somewhere"},
        "Run": [{"Name": "check", "Object": "boxA", "Cmd": ["/oct/check.sh"], "Timeout": 30}],
        "Collects": [],
        "Expect": [{"Step": "check", "From": "stdout", "Match": "^hello from ${word}$", "Level": "MUST"}],
    }  # fmt: skip


def make(directory: Path, group: str) -> list[Path]:
    """Write a new bundle and return its files; raises `SeatrialError` E703 when there is something already."""
    name = conversion.name(directory.name)
    if not name:
        raise SeatrialError(
            "E703", f"cannot make a bundle in {directory}", f"{directory.name!r} is no name of a case",
            "names have letters, digits, _ . + and -",
        )  # fmt: skip
    case, script = directory / CASE, directory / "source" / "check.sh"
    try:
        script.parent.mkdir(parents=True, exist_ok=True)
        for path, text in ((case, render(document(name, group))), (script, _SCRIPT)):
            with path.open("x", encoding="utf-8") as out:
                out.write(text)
        script.chmod(0o755)
    except OSError as error:
        raise SeatrialError(
            "E703", f"cannot make a bundle in {directory}", f"{error.filename}: {error.strerror}",
            "name a directory that is not there yet",
        ) from error  # fmt: skip
    return [case, script]

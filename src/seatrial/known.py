"""Expected failures by engine and version, each with a reason and a link.

`reports/known/<name>.toml`:

    engine = "podman"
    version = "4.3"               # a prefix of the engine's version

    [[known]]
    test = "suites/cli/test_run.py::test_x"   # a pytest id without the target; `[param]` narrows it
    reason = "one sentence: what the engine does instead"
    link = "https://..."
    says = "seen 500$"            # a regular expression; a failure in other words is not the expected one

    [[race]]                      # what goes wrong now and then in any test that the engine runs beside others
    says = "unpacking failed"     # a regular expression; a failure in these words is expected
    reason = "..."
    link = "https://..."

    [[leftover]]                  # what the engine itself leaves behind, whatever ran
    kind = "mount"                # as the finding says it
    name = "/var/lib/x/*/merged"  # a shell pattern
    reason = "..."
    link = "https://..."
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib import resources
from pathlib import Path
from typing import Any, cast

import jsonschema

from seatrial.errors import SeatrialError
from seatrial.results import TargetInfo

# a list as it stands in its file, in the form of schemas/known.json
KnownList = Mapping[str, Any]


@dataclass(frozen=True)
class Known:
    """One expected failure."""

    test: str  # empty: any
    reason: str
    link: str
    says: str = ""  # a regular expression; ^ and $ are those of a line

    def expects(self, words: str) -> bool:
        """Tell whether a failure in these words is the expected one."""
        return re.search(self.says, words, re.MULTILINE) is not None


@dataclass(frozen=True)
class Leftover:
    """What an engine is known to leave behind."""

    kind: str
    name: str  # a shell pattern
    reason: str
    link: str

    def covers(self, kind: str, name: str) -> bool:
        """Tell whether this is what was left."""
        return kind == self.kind and fnmatchcase(name, self.name)


@dataclass(frozen=True)
class Deviations:
    """What is known of one target: its expected failures by test id, those of any test, and what it leaves behind."""

    tests: dict[str, Known]
    races: list[Known]
    leftovers: list[Leftover]


def read(paths: Iterable[Path]) -> list[KnownList]:
    """Read lists, whatever they are about; raises `SeatrialError` E303 on a broken one."""
    return [_read(path) for path in paths]


def deviations(lists: Iterable[KnownList], target: TargetInfo) -> Deviations:
    """Return what lists say about a target."""
    found = Deviations({}, [], [])
    for content in lists:
        if content["engine"] == target.engine and _covers(content["version"], target.version):
            found.tests.update({entry["test"]: Known(**entry) for entry in content.get("known", [])})
            found.races.extend(Known("", **entry) for entry in content.get("race", []))
            found.leftovers.extend(Leftover(**entry) for entry in content.get("leftover", []))
    return found


def _covers(prefix: str, version: str) -> bool:
    return version == prefix or version.startswith(f"{prefix}.")


def match(known: Mapping[str, Known], test: str) -> Known | None:
    """Find the entry of a test: by its whole id, else by its id without parameters."""
    return known.get(test) or known.get(test.partition("[")[0])


def _read(path: Path) -> KnownList:
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _broken(path, str(error)) from error
    schema = json.loads(resources.files("seatrial.schemas").joinpath("known.json").read_text("utf-8"))
    problem = next(iter(jsonschema.Draft202012Validator(schema).iter_errors(content)), None)
    if problem is not None:
        raise _broken(path, f"{problem.json_path}: {problem.message}")
    for entry in [*content.get("known", []), *content.get("race", [])]:
        try:
            re.compile(entry["says"])
        except re.error as error:
            raise _broken(path, f"{entry.get('test', 'race')}: says {entry['says']!r}: {error}") from error
    return cast("KnownList", content)


def _broken(path: Path, cause: str) -> SeatrialError:
    return SeatrialError(
        "E303", f"the known list {path} is broken", cause, "see the form of lists in reports/README.md"
    )

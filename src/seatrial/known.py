"""Expected failures by engine and version, each with a reason and a link.

`reports/known/<name>.toml`:

    engine = "podman"
    version = "4.3"               # a prefix of the engine's version

    [[known]]
    test = "suites/cli/test_run.py::test_x"   # a pytest id without the target; `[param]` narrows it
    reason = "one sentence: what the engine does instead"
    link = "https://..."
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema

from seatrial.errors import SeatrialError
from seatrial.results import TargetInfo


@dataclass(frozen=True)
class Known:
    """One expected failure."""

    test: str
    reason: str
    link: str


def load(paths: Iterable[Path], target: TargetInfo) -> dict[str, Known]:
    """Return the expected failures of a target by test id; raises `SeatrialError` E303 on a broken list."""
    found: dict[str, Known] = {}
    for path in paths:
        content = _read(path)
        if content["engine"] == target.engine and _covers(content["version"], target.version):
            found.update({entry["test"]: Known(**entry) for entry in content.get("known", [])})
    return found


def _covers(prefix: str, version: str) -> bool:
    return version == prefix or version.startswith(f"{prefix}.")


def match(known: Mapping[str, Known], test: str) -> Known | None:
    """Find the entry of a test: by its whole id, else by its id without parameters."""
    return known.get(test) or known.get(test.partition("[")[0])


def _read(path: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _broken(path, str(error)) from error
    schema = json.loads(resources.files("seatrial.schemas").joinpath("known.json").read_text("utf-8"))
    problem = next(iter(jsonschema.Draft202012Validator(schema).iter_errors(content)), None)
    if problem is not None:
        raise _broken(path, f"{problem.json_path}: {problem.message}")
    return content


def _broken(path: Path, cause: str) -> SeatrialError:
    return SeatrialError(
        "E303", f"the known list {path} is broken", cause, "each entry has test, reason and link; see reports/README.md"
    )

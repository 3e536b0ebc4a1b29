"""Profiles: what a load consists of, how it comes, and what has to hold, as TOML (`stress/profiles/*.toml`).

Durations are written as Go writes them. The schema is `schemas/profile.json`; what it cannot say is checked here.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema

from seatrial.errors import SeatrialError
from seatrial.selection import seconds
from seatrial.stress.loops import FIXED

CLOSED, OPEN = "closed", "open"


@dataclass(frozen=True)
class Load:
    """How operations come: `clients` at once, or `rate` a second; `most` is how many may be under way then."""

    loop: str = CLOSED
    clients: int = 4
    rate: float = 0.0
    arrivals: str = FIXED
    most: int = 64


@dataclass(frozen=True)
class Activity:
    """What a client does: an activity by `kind`, how often among the others, and its options."""

    kind: str
    weight: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Objectives:
    """What has to hold: the share of failed operations, 99th percentiles in seconds by operation, leaks, leftovers."""

    error_rate: float = 0.0
    p99: Mapping[str, float] = field(default_factory=dict)
    leaks: bool = True
    leftovers: bool = True


@dataclass(frozen=True)
class Profile:
    """A workload: at most `seconds` long, at most `count` stories; 0 is no limit."""

    name: str
    about: str
    activities: tuple[Activity, ...]
    driver: str = "http"
    seconds: float = 60.0
    count: int = 0
    warm_up: float = 0.0  # seconds from the start whose samples do not count
    load: Load = field(default_factory=Load)
    objectives: Objectives = field(default_factory=Objectives)
    judged: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the profile as the history's header holds it."""
        value: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return value


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a profile."""
    text = resources.files("seatrial.schemas").joinpath("profile.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def load(path: Path) -> Profile:
    """Read a profile; raises `SeatrialError` E804 that names the place and what is wrong with it."""
    try:
        value = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _wrong(path, str(error)) from error
    return parse(value, path)


def parse(value: Mapping[str, Any], path: Path) -> Profile:
    """Make a profile of what stands in a file; raises `SeatrialError` E804."""
    errors = jsonschema.Draft202012Validator(schema()).iter_errors(value)
    if (problem := jsonschema.exceptions.best_match(errors)) is not None:
        raise _wrong(path, f"{problem.json_path.removeprefix('$').lstrip('.') or 'the file'}: {problem.message}")
    shape = value.get("load", {})
    if shape.get("loop") == OPEN and "rate" not in shape:
        raise _wrong(path, "load: an open loop needs a rate")
    if shape.get("loop", CLOSED) == CLOSED and {"rate", "arrivals", "most"} & shape.keys():
        raise _wrong(path, "load: rate, arrivals and most are of an open loop")
    wanted = value.get("objectives", {})
    try:
        return Profile(
            name=path.stem, about=value["about"],
            activities=tuple(
                Activity(entry["kind"], entry.get("weight", 1),
                         {key: item for key, item in entry.items() if key not in ("kind", "weight")})
                for entry in value["activity"]
            ),
            driver=value.get("driver", "http"), seconds=seconds(value.get("duration", "60s")),
            count=value.get("count", 0), warm_up=seconds(value.get("warm_up", "0s")), load=Load(**shape),
            objectives=Objectives(
                **{**wanted, "p99": {kind: seconds(text) for kind, text in wanted.get("p99", {}).items()}}
            ),
            judged=tuple(value.get("judged", ())),
        )  # fmt: skip
    except SeatrialError as error:
        raise _wrong(path, error.message) from error


def _wrong(path: Path, cause: str) -> SeatrialError:
    return SeatrialError("E804", f"cannot use the profile {path}", cause, "stress/README.md says what a profile holds")


def find(name: str, directory: Path) -> Path:
    """Return the file of a profile that is named by its path, or by its word in a directory; E805 without one."""
    for path in (Path(name), directory / f"{name}.toml"):
        if path.suffix == ".toml" and path.is_file():
            return path
    known = ", ".join(sorted(path.stem for path in directory.glob("*.toml"))) or "none"
    raise SeatrialError("E805", f"there is no profile {name!r}", f"in {directory} there are: {known}")

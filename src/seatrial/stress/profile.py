"""Profiles: what a load consists of, how it comes, and what has to hold, as TOML (`stress/profiles/*.toml`).

Durations are written as Go writes them. The schema is `schemas/profile.json`; what it cannot say is checked here.
"""

from __future__ import annotations

import json
import math
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
class Stage:
    """A part of a load, so many seconds long: with so many clients at once, or with a rate of its own."""

    seconds: float
    clients: int = 0
    rate: float = 0.0


@dataclass(frozen=True)
class Load:
    """How operations come: `clients` at once, or `rate` a second; `most` is how many may be under way then.

    With stages they are the most of any; the last one lasts until the end.
    """

    loop: str = CLOSED
    clients: int = 4
    rate: float = 0.0
    arrivals: str = FIXED
    most: int = 64
    stages: tuple[Stage, ...] = ()

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> Load:
        """Return the load that `Profile.as_json` has told."""
        return cls(**{**value, "stages": tuple(Stage(**stage) for stage in value.get("stages", ()))})

    def clients_at(self, seconds: float) -> int:
        """Return how many clients there are so many seconds after the begin."""
        for stage in self.stages:
            if seconds < stage.seconds:
                return stage.clients
            seconds -= stage.seconds
        return self.stages[-1].clients if self.stages else self.clients

    @property
    def rates(self) -> list[tuple[float, float]]:
        """The rates one after the other, each with its seconds; the last one lasts for ever."""
        return [(stage.seconds, stage.rate) for stage in self.stages] or [(math.inf, self.rate)]


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
    wanted = value.get("objectives", {})
    if why := _misfit(value.get("load", {})):
        raise _wrong(path, f"load: {why}")
    try:
        load = _load(value.get("load", {}))
        whole = sum(stage.seconds for stage in load.stages) or 60.0
        return Profile(
            name=path.stem, about=value["about"],
            activities=tuple(
                Activity(entry["kind"], entry.get("weight", 1),
                         {key: item for key, item in entry.items() if key not in ("kind", "weight")})
                for entry in value["activity"]
            ),
            driver=value.get("driver", "http"),
            seconds=seconds(value["duration"]) if "duration" in value else whole,
            count=value.get("count", 0), warm_up=seconds(value.get("warm_up", "0s")), load=load,
            objectives=Objectives(
                **{**wanted, "p99": {kind: seconds(text) for kind, text in wanted.get("p99", {}).items()}}
            ),
            judged=tuple(value.get("judged", ())),
        )  # fmt: skip
    except SeatrialError as error:
        raise _wrong(path, error.message) from error


def _misfit(value: Mapping[str, Any]) -> str:
    """Return what of a load does not go together, in words; empty when all does."""
    parts = value.get("stage", [])
    opened = value.get("loop", CLOSED) == OPEN
    mine, other = ("rate", "clients") if opened else ("clients", "rate")
    if parts and {mine, other} & value.keys():
        return "with stages each has its own clients or its own rate"
    if any(mine not in part or other in part for part in parts):
        return f"a stage of {'an open' if opened else 'a closed'} loop has {mine}, and no {other}"
    if opened and not parts and "rate" not in value:
        return "an open loop needs a rate"
    if not opened and {"rate", "arrivals", "most"} & value.keys():
        return "rate, arrivals and most are of an open loop"
    return ""


def _load(value: Mapping[str, Any]) -> Load:
    parts = value.get("stage", [])
    mine = "rate" if value.get("loop", CLOSED) == OPEN else "clients"
    stages = tuple(Stage(seconds(part["lasts"]), part.get("clients", 0), part.get("rate", 0.0)) for part in parts)
    most = {mine: max(part[mine] for part in parts)} if parts else {}
    return Load(**{key: item for key, item in value.items() if key != "stage"}, **most, stages=stages)


def _wrong(path: Path, cause: str) -> SeatrialError:
    return SeatrialError("E804", f"cannot use the profile {path}", cause, "stress/README.md says what a profile holds")


def find(name: str, directory: Path) -> Path:
    """Return the file of a profile that is named by its path, or by its word in a directory; E805 without one."""
    for path in (Path(name), directory / f"{name}.toml"):
        if path.suffix == ".toml" and path.is_file():
            return path
    known = ", ".join(sorted(path.stem for path in directory.glob("*.toml"))) or "none"
    raise SeatrialError("E805", f"there is no profile {name!r}", f"in {directory} there are: {known}")

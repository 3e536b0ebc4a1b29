"""What the receiver is told: addresses, projects, secrets (by file)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seatrial import secret
from seatrial.errors import SeatrialError
from seatrial.listening import Address

FORKS = ("gate", "never", "always")


@dataclass(frozen=True)
class Project:
    """One project whose merge requests are built. Either tokens or signing keys are set, two while they rotate.

    `forks`: gate (a maintainer lets each commit through), never, always. `level` is the access level that lets
    commits through (40: Maintainer).
    """

    name: str
    path: str
    job: str
    baseline: str
    tokens: tuple[str, ...]
    signing: tuple[str, ...]
    forks: str
    level: int


@dataclass(frozen=True)
class Config:
    """The whole: Jenkins, GitLab, projects by name, and where events are kept."""

    listen: Address
    store: Path
    jenkins: Mapping[str, str]
    gitlab: Mapping[str, str]
    projects: Mapping[str, Project]


def load(path: Path) -> Config:
    """Read hook.toml; files in it are found beside it. Raises `SeatrialError` E641 for what cannot be used."""
    try:
        with path.open("rb") as handle:
            raw = tomllib.load(handle)
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise _broken(path, getattr(error, "strerror", None) or str(error)) from error
    base = path.resolve().parent
    try:
        projects = {name: _project(name, table, base) for name, table in raw["projects"].items()}
        if not projects:
            raise ValueError("it names no project")
        return Config(
            _listen(path, raw), base / raw.get("store", "hook.sqlite"),
            _service(raw["jenkins"], base), _service(raw["gitlab"], base), projects,
        )  # fmt: skip
    except KeyError as error:
        raise _broken(path, f"it lacks {error.args[0]}") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise _broken(path, str(error)) from error


def _listen(path: Path, raw: Mapping[str, Any]) -> Address:
    try:
        return Address.parse(str(raw.get("listen", "127.0.0.1:8077")))
    except SeatrialError as error:
        raise _broken(path, f"{error.message}: {error.cause}") from error


def _broken(path: Path, cause: str) -> SeatrialError:
    return SeatrialError(
        "E641", f"the configuration {path} cannot be used", cause,
        "docs/ci.md shows a whole one; files that it names are found beside it",
    )  # fmt: skip


def _service(table: Mapping[str, Any], base: Path) -> Mapping[str, str]:
    known = {"url", "user", "token_file", "ca"}
    if unknown := set(table) - known:
        raise ValueError(f"{sorted(unknown)[0]!r} is no setting of a service")
    found = {"url": str(table["url"]), "user": str(table.get("user", ""))}
    found["token"] = secret.read(base / table["token_file"])
    if "ca" in table:
        found["ca"] = str(base / table["ca"])
    return found


def _project(name: str, table: Mapping[str, Any], base: Path) -> Project:
    known = {"path", "job", "baseline", "token_files", "signing_token_files", "forks", "level"}
    if unknown := set(table) - known:
        raise ValueError(f"{sorted(unknown)[0]!r} is no setting of a project")
    tokens = tuple(secret.read(base / file) for file in table.get("token_files", []))
    signing = tuple(secret.read(base / file) for file in table.get("signing_token_files", []))
    if not tokens and not signing:
        raise ValueError(f"the project {name} has no token: anyone could trigger it")
    if len(tokens) > 2 or len(signing) > 2:
        raise ValueError(f"the project {name} has more than the two tokens of a rotation")
    if short := [token for token in (*tokens, *signing) if len(token) < 16]:
        raise ValueError(f"a token of {name} has {len(short[0])} characters, fewer than 16")
    forks = str(table.get("forks", "gate"))
    if forks not in FORKS:
        raise ValueError(f"forks = {forks!r} is none of {', '.join(FORKS)}")
    return Project(
        name, str(table["path"]), str(table["job"]), str(table.get("baseline", "")), tokens, signing, forks,
        int(table.get("level", 40)),
    )  # fmt: skip

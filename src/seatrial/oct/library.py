"""A library of cases: listed by what stands in them, without checking each; identity by content."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from seatrial.errors import SeatrialError
from seatrial.oct.bundle import CASE, Bundle, canonical


@dataclass(frozen=True)
class Entry:
    """One case of a library; `broken` says why it is none."""

    path: str
    name: str
    digest: str = ""
    group: str = ""
    summary: str = ""
    version: str = ""
    tags: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    variants: int = 1
    broken: str = ""


@dataclass(frozen=True)
class Filter:
    """Which cases are meant: all that match every part that is given."""

    groups: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    engine: str = ""  # "engine" or "runtime": the kind of target that a case must be for

    def takes(self, entry: Entry) -> bool:
        """Tell whether an entry matches."""
        other = {"engine": "runtime", "runtime": "engine"}.get(self.engine, "")
        return (
            (not self.groups or any(_below(entry.group, group) for group in self.groups))
            and set(self.tags) <= set(entry.tags)
            and (not self.names or any(fnmatchcase(entry.name, name) for name in self.names))
            and other not in entry.needs
        )


def _below(group: str, wanted: str) -> bool:
    group, wanted = group.casefold(), wanted.casefold().rstrip("/")
    return group == wanted or group.startswith(f"{wanted}/")


def load(root: Path) -> list[Entry]:
    """Return the cases below a directory, sorted by path; raises `SeatrialError` E702 when there is none."""
    if not root.is_dir():
        raise SeatrialError("E702", f"there is no case in {root}", "no such directory", "name a library of cases")
    entries = [read(root, directory, names) for directory, names in _walk(str(root))]
    if not entries:
        raise SeatrialError("E702", f"there is no case in {root}", "", "name files, archives or directories of cases")
    return sorted(entries, key=lambda entry: entry.path)


def _walk(root: str) -> Iterator[tuple[str, list[str]]]:
    """List the directories with a case.json, with the names of what else is in them."""
    stack = [root]
    while stack:
        directory = stack.pop()
        with os.scandir(directory) as listing:
            found = list(listing)
        names = [one.name for one in found if one.name != CASE or one.is_file()]
        below = [one.path for one in found if one.is_dir(follow_symlinks=False) and not one.name.startswith(".")]
        if CASE in names:
            yield directory, [name for name in names if name != CASE]
            below = [path for path in below if os.path.basename(path) != "source"]
        stack += below


def read(root: Path, directory: str, others: list[str]) -> Entry:
    """Return the case of one directory, given the names of what else is in it."""
    place = os.path.relpath(directory, root)
    try:
        with open(os.path.join(directory, CASE), "rb") as stream:
            data = stream.read()
        document = json.loads(data)
        if not isinstance(document, dict):
            raise ValueError("it is no object")
        needs = {need for require in document["Requires"] for need in require.get("Needs", ())}
        variants = 1
        for values in document.get("Matrix", {}).values():
            variants *= len(values)
        return Entry(
            place, str(document["Name"]), _digest(directory, document, others), str(document["Group"]),
            str(document["Summary"]), str(document.get("Version", "")), tuple(map(str, document.get("Tags", ()))),
            tuple(sorted(needs)), variants,
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        words = f"no {error}" if isinstance(error, KeyError) else str(error)
        return Entry(place, os.path.basename(directory), broken=words)


def _digest(directory: str, document: Any, others: list[str]) -> str:
    if not others:
        return hashlib.sha256(canonical(document)).hexdigest()
    return Bundle(Path(directory)).digest(document)


def select(entries: Iterable[Entry], wanted: Filter) -> list[Entry]:
    """Return the entries that match, broken ones always: nobody knows what they would have been."""
    return [entry for entry in entries if entry.broken or wanted.takes(entry)]

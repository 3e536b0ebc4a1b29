"""Bundles: a directory with one case and the files that it needs, and its identity.

The identity is a SHA-256 over the case in canonical JSON and over path, executable bit and content of every file: the
same in two clones, whatever their time stamps, owners and umasks are.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

CASE = "case.json"
# written by runs and tools, never part of a case
_IGNORED = {"report.md", "__pycache__", "node_modules"}
_HEAD = 1 << 16


@dataclass(frozen=True)
class Entry:
    """A file of a bundle as it lies there."""

    mode: int
    size: int

    @property
    def plain(self) -> bool:
        """Whether it is a regular file without set-uid or set-gid bits."""
        return stat.S_ISREG(self.mode) and not self.mode & (stat.S_ISUID | stat.S_ISGID)

    @property
    def executable(self) -> bool:
        """Whether its owner may start it."""
        return bool(self.mode & stat.S_IXUSR)

    @property
    def kind(self) -> str:
        """What it is, in words."""
        names = {stat.S_IFLNK: "a symbolic link", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket",
                 stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}  # fmt: skip
        return names.get(stat.S_IFMT(self.mode), "a set-uid or set-gid file")


class Bundle:
    """A directory with a case in it; with `only`, of what is beside the case nothing but these paths is its."""

    def __init__(self, root: Path, case: str = CASE, only: Iterable[str] | None = None) -> None:
        self.root = root
        self.case = case
        self._only = None if only is None else set(only)

    @property
    def path(self) -> Path:
        """The file of the case."""
        return self.root / self.case

    @cached_property
    def entries(self) -> dict[str, Entry]:
        """Everything in the bundle but directories and the case itself, by path from its root, sorted."""
        if self._only is None:
            return dict(sorted(_walk(self.root, "", self.case)))
        return dict(sorted(entry for path in self._only for entry in _below(self.root, path, self.case)))

    def text(self, path: str) -> str:
        """Return the beginning of a file as text."""
        with (self.root / path).open("rb") as stream:
            return stream.read(_HEAD).decode("utf-8", "replace")

    def digest(self, document: Any) -> str:
        """Return the identity of the bundle with a document as its case: 64 hexadecimal digits.

        Raises OSError when a file of it cannot be read.
        """
        whole = hashlib.sha256(canonical(document))
        for path, entry in self.entries.items():
            if entry.plain:
                content = hashlib.sha256((self.root / path).read_bytes()).hexdigest()
                whole.update(f"\n{path}\0{'x' if entry.executable else '-'}\0{content}".encode())
        return whole.hexdigest()


def canonical(document: Any) -> bytes:
    """Return a document in the one form that its identity is taken from: sorted keys, no spaces, UTF-8.

    What only a reader sees (keys that begin with x-) counts as well: a changed note is a changed case.
    """
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")


def _walk(root: Path, below: str, case: str) -> Iterator[tuple[str, Entry]]:
    with os.scandir(root / below) as listing:
        for one in listing:
            path = f"{below}{one.name}"
            if path == case or _ignored(one.name):
                continue
            if one.is_dir(follow_symlinks=False):
                if not (below == "" and (root / path / CASE).exists()):  # another bundle below this one
                    yield from _walk(root, f"{path}/", case)
                continue
            found = one.stat(follow_symlinks=False)
            yield path, Entry(found.st_mode, found.st_size)


def _below(root: Path, path: str, case: str) -> Iterator[tuple[str, Entry]]:
    """List what lies at one path; a link on the way is what is there, and is not followed."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts or any(map(_ignored, parts)) or "/".join(parts) == case:
        return
    for count in range(1, len(parts) + 1):
        place = "/".join(parts[:count])
        try:
            found = (root / place).lstat()
        except (OSError, ValueError):  # nothing is there, or nothing can be
            return
        if not stat.S_ISDIR(found.st_mode):
            yield place, Entry(found.st_mode, found.st_size)
            return
    if parts and not (root / path / CASE).exists():
        yield from _walk(root, f"{'/'.join(parts)}/", case)


def _ignored(name: str) -> bool:
    return name in _IGNORED or name.startswith(".")


def candidates(directory: Path) -> list[str]:
    """Return the files of a directory that could be its case, the one that is meant first.

    case.json is; else config.json beside source/; else every other *.json.
    """
    names = sorted(path.name for path in directory.glob("*.json") if path.is_file())
    if CASE in names:
        return [CASE]
    if "config.json" in names and (len(names) == 1 or (directory / "source").is_dir()):
        return ["config.json"]
    return names

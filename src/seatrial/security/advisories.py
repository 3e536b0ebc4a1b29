"""Published vulnerabilities by class, and what the versions that are installed let expect of them.

A class is what a test looks for; each advisory of it names a software and the versions that are affected. What was
seen has to agree with the versions: an affected one that refuses was fixed by its distribution, and that is noted.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from seatrial.exec import ExpectationError


@dataclass(frozen=True)
class Advisory:
    """One advisory: `affected` are ranges of upstream's versions, each from one (empty: the first) to before another.

    `backports` are the versions of packages with which a distribution fixed an affected version.
    """

    number: str
    software: str
    package: str
    affected: tuple[tuple[str, str], ...]
    backports: tuple[str, ...] = ()

    def __str__(self) -> str:
        ends = ", ".join(end for _, end in self.affected)
        return f"{self.number} of {self.software}, fixed in {ends}"


@dataclass(frozen=True)
class Class:
    """A class of vulnerabilities: what happens, its advisories, and why versions say nothing of it, if they do not."""

    id: str
    what: str
    advisories: tuple[Advisory, ...]
    unjudged: str = ""

    @property
    def words(self) -> str:
        """What happens, and the advisories."""
        return f"{self.what} ({'; '.join(map(str, self.advisories))})"


def load(path: Path) -> dict[str, Class]:
    """Read a table of classes; raises KeyError, TypeError or ValueError where it is none."""
    found = {}
    for id_, row in tomllib.loads(path.read_text("utf-8")).items():
        advisories = tuple(_advisory(one) for one in row["advisory"])
        if not advisories or set(row) - {"what", "advisory", "unjudged"}:
            raise ValueError(f"{id_}: what, advisory and unjudged belong there: {sorted(row)}")
        found[id_] = Class(id_, str(row["what"]), advisories, str(row.get("unjudged", "")))
    return found


def _advisory(row: Mapping[str, Any]) -> Advisory:
    affected = tuple((str(first), str(end)) for first, end in row["affected"])
    if not affected or any(first and compare(first, end) >= 0 for first, end in affected):
        raise ValueError(f"{row['number']}: no range of versions: {affected}")
    return Advisory(
        str(row["number"]), str(row["software"]), str(row.get("package") or row["software"].lower()), affected,
        tuple(map(str, row.get("backports", ()))),
    )  # fmt: skip


def compare(one: str, other: str) -> int:
    """Compare versions as dpkg does (deb-version(7), without epochs): negative, 0 or positive; -rcN is before."""
    for (left, left_number), (right, right_number) in zip_longest(_parts(one), _parts(other), fillvalue=("", 0)):
        if left != right:
            return 1 if _order(left) > _order(right) else -1
        if left_number != right_number:
            return left_number - right_number
    return 0


def _parts(version: str) -> list[tuple[str, int]]:
    plain = re.sub(r"-(?=(rc|alpha|beta)\b|(rc|alpha|beta)\d|(rc|alpha|beta)\.)", "~", version)
    return [(word, int(number or 0)) for word, number in re.findall(r"(\D*)(\d*)", plain) if word or number]


def _order(word: str) -> list[int]:
    """A tilde is before the end, letters are before all other characters."""
    return [*(-1 if letter == "~" else ord(letter) + (0 if letter.isalpha() else 256) for letter in word), 0]


def upstream(version: str) -> str:
    """Return upstream's part of a package's version: without epoch, revision, and what was repacked."""
    plain = version.partition(":")[2] or version
    if "-" in plain:
        plain = plain.rpartition("-")[0] if not re.search(r"-(rc|alpha|beta)[.\d]*$", plain) else plain
    return re.split(r"[+~](?:ds|dfsg)", plain)[0].partition("+")[0]


def affected(advisory: Advisory, version: str) -> bool:
    """Tell whether a package's version is affected, to go by the advisory and by what distributions fixed."""
    plain = upstream(version)
    if not any(compare(first or "0", plain) <= 0 and compare(plain, end) < 0 for first, end in advisory.affected):
        return False
    fixed = [one for one in advisory.backports if upstream(one) == plain]
    return not any(compare(version, one) >= 0 for one in fixed)


@dataclass(frozen=True)
class Advised:
    """A class in the hands of one test; `installed` are the versions of packages, none where they are not known."""

    kind: Class
    installed: Mapping[str, str]

    @property
    def words(self) -> str:
        """What happens, and the advisories."""
        return self.kind.words

    def agrees(self) -> None:
        """See that the versions agree with a refusal; raises `ExpectationError` when one of them is affected."""
        open_ = [] if self.kind.unjudged else self.expected()
        if open_:
            raise ExpectationError(
                f"{self.kind.what}: refused, where {'; '.join(open_)} is affected: name the package's fix in the table"
            )

    def expected(self) -> Sequence[str]:
        """Return what is installed and affected, each with the advisory."""
        return [f"{one.package} {self.installed[one.package]} ({one.number})" for one in self.kind.advisories
                if one.package in self.installed and affected(one, self.installed[one.package])]  # fmt: skip

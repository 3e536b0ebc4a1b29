"""What stands in for what: the words and values of older dialects in today's.

Pure functions of single values; `importer` decides where they apply and tells what they changed.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from itertools import pairwise
from typing import Any

from seatrial.oct.model import GROUPS, SOURCE

_GROUPS = {
    "specstest": "Spec", "spec": "Spec", "network": "Performance/Network", "benchmark": "Performance/Benchmark",
    "performance": "Performance", "function": "Function", "security": "Security", "reliability": "Reliability",
    "boundary": "Boundary", "bundle": "Spec/Bundle",
}  # fmt: skip
_LICENSES = {
    "apache 2.0": "Apache-2.0", "apache2.0": "Apache-2.0", "apache-2": "Apache-2.0", "apache": "Apache-2.0",
    "gpl": "GPL-2.0-only", "gplv2": "GPL-2.0-only", "gpl2": "GPL-2.0-only",
    "gplv3": "GPL-3.0-only", "bsd": "BSD-3-Clause", "mit license": "MIT",
}  # fmt: skip
_ENGINE = re.compile(r"(?i)docker|rkt|rocket|runc|crun|podman")


def group(text: str) -> str:
    """Return a group of today, empty when there is none that is meant."""
    parts = [re.sub(r"[^A-Za-z0-9._-]+", "-", part) for part in text.strip("/ ").split("/") if part.strip()]
    if parts[:1] and parts[0].casefold() == "cases":
        parts = parts[1:]
    if not parts:
        return ""
    first = _GROUPS.get(parts[0].casefold(), parts[0])
    if first.partition("/")[0] not in GROUPS:
        return ""
    if first.endswith("/" + "".join(parts[1:2])) and parts[1:]:
        parts = parts[1:]
    return "/".join([first, *parts[1:]])


def license_(text: str) -> str:
    """Return the SPDX identifier of a licence that has been written otherwise, else the text."""
    return _LICENSES.get(text.strip().casefold(), text)


def name(text: str) -> str:
    """Return a name in the allowed form."""
    return re.sub(r"[^A-Za-z0-9_.+-]+", "-", text).strip("-.+_")[:80]


def identifier(text: str) -> str:
    """Return a name of an object or a class in the allowed form."""
    word = re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-")[:40]
    return word if re.match(r"[A-Za-z]", word) else f"c-{word}"[:40]


def quantity(value: Any) -> str:
    """Return a size with its unit, empty when it cannot be told; a bare number meant gigabytes."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value}GB"
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kmgt])?(i?b)?\s*", str(value), re.IGNORECASE)
    if not match:
        return ""
    unit = (match[2] or "").upper()
    middle = "i" if (match[3] or "").casefold() == "ib" else ""
    return f"{match[1]}{unit}{middle if unit else ''}B" if unit or match[3] else f"{match[1]}GB"


def distribution(text: str) -> tuple[str, str]:
    """Part a distribution from the version that is glued to it: Ubuntu14.04 -> Ubuntu, 14.04."""
    match = re.fullmatch(r"([A-Za-z]+)[ -]?v?([0-9][\w.]*)", text.strip())
    return (match[1], match[2]) if match else (text, "")


def is_engine(text: str) -> bool:
    """Tell whether a word names an engine."""
    return bool(_ENGINE.match(text))


def collected(path: str) -> tuple[str, str]:
    """Return a collected path relative to source/, and why it was changed (empty when it was not)."""
    if path.startswith("~/"):
        return f"/root/{path[2:]}", "~ is the home directory of root"
    if path.startswith("/"):
        return path, ""
    plain = posixpath.normpath(path)
    if plain.startswith(f"{SOURCE}/"):
        return plain.removeprefix(f"{SOURCE}/"), f"paths are relative to {SOURCE}/"
    return path, ""


def listed(path: str) -> tuple[str, str]:
    """Return the path of a file inside the bundle, and why it was changed."""
    plain = posixpath.normpath(path)
    if plain.split("/")[0] == "..":
        inner = re.sub(r"^(?:\.\./)+", "", plain)
        inner = inner if inner.startswith(f"{SOURCE}/") else f"{SOURCE}/{posixpath.basename(inner)}"
        return inner, "it lay outside of the bundle; copy it there"
    if path.startswith("/"):
        return f"{SOURCE}/{posixpath.basename(plain)}", "it was absolute; copy it into the bundle"
    return path, ""


def fetched(command: str) -> list[str]:
    """Return the files that `octf_cli -f FILE` fetched; raises `ValueError` for any other command."""
    words = shlex.split(command)
    if not words or words[0] != "octf_cli":
        raise ValueError(command)
    found = [word for flag, word in pairwise(words[1:]) if flag == "-f"]
    if not found:
        raise ValueError(command)
    return found


def is_dockerfile(path: str) -> bool:
    """Tell whether a file is a Dockerfile by its name."""
    return "dockerfile" in posixpath.basename(path).casefold()

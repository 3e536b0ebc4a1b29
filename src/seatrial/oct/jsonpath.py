"""Paths into JSON as cases write them: end.sum_received.bits_per_second, items[0].name."""

from __future__ import annotations

import re
from typing import Any

_STEP = re.compile(r"(?:^|\.)([A-Za-z0-9_$-]+)|\[(-?\d+)\]|\[\"([^\"]+)\"\]")


def steps(path: str) -> list[str | int]:
    """Return the steps of a path; raises `ValueError` when it is none."""
    found: list[str | int] = []
    at = 0
    text = path.removeprefix("$.").removeprefix("$")
    while at < len(text):
        match = _STEP.match(text, at)
        if match is None or match.end() == at:
            raise ValueError(f"{path!r} is no path into JSON (at {text[at:at + 10]!r})")
        found.append(int(match[2]) if match[2] else match[1] or match[3])
        at = match.end()
    if not found:
        raise ValueError("an empty path into JSON")
    return found


def look_up(document: Any, path: str) -> Any:
    """Return what is at a path; raises `LookupError` with words when there is nothing."""
    value = document
    seen = ""
    for step in steps(path):
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError) as error:
            kind = "an object" if isinstance(value, dict) else "a list" if isinstance(value, list) else repr(value)
            raise LookupError(f"there is no {step!r} in {seen or 'the document'}, which is {kind}") from error
        seen = f"{seen}[{step}]" if isinstance(step, int) else f"{seen}.{step}".removeprefix(".")
    return value

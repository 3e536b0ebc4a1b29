"""What a test takes out of an engine's words: a row, a number, a match; what is not there fails the test.

Unpacking and indexing say so with a ValueError or a TypeError, which count as errors of the harness.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeVar

from seatrial.exec import ExpectationError

_T = TypeVar("_T")


def exactly(count: int, rows: Iterable[_T]) -> list[_T]:
    """Return the rows; raises `ExpectationError` with what was seen when they are not `count`."""
    seen = list(rows)
    if len(seen) != count:
        raise ExpectationError(f"expected {count}, seen {len(seen)}: {seen!r}")
    return seen


def one(rows: Iterable[_T]) -> _T:
    """Return the only row; raises `ExpectationError` with what was seen when there are none or several."""
    return exactly(1, rows)[0]


def matched(pattern: str, text: str) -> re.Match[str]:
    """Return the first match, where `^` and `$` are those of a line; raises `ExpectationError` with the text."""
    found = re.search(pattern, text, re.MULTILINE)
    if found is None:
        raise ExpectationError(f"expected a match of /{pattern}/, seen {text!r}")
    return found

"""The verdict algebra: what a test may conclude, and how conclusions combine.

The default is UNKNOWN, and an empty set of verdicts is UNKNOWN: nothing passes because nothing ran.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Level(StrEnum):
    """How binding a claim is: MUST and SHOULD as in RFC 2119, DOC for what documentation promises."""

    MUST = "MUST"
    SHOULD = "SHOULD"
    DOC = "DOC"


class Verdict(StrEnum):
    """The conclusion of one test on one target."""

    UNKNOWN = "UNKNOWN"
    PASS = "PASS"  # noqa: S105 - a verdict, not a password
    FAIL = "FAIL"
    WARN = "WARN"
    UNSUPPORTED = "UNSUPPORTED"
    SKIP = "SKIP"
    DISABLED = "DISABLED"
    KNOWN = "KNOWN"
    ERROR = "ERROR"

    @property
    def ran(self) -> bool:
        """Whether the test reached the engine and judged it."""
        return self in (Verdict.PASS, Verdict.FAIL, Verdict.WARN, Verdict.KNOWN)

    @property
    def red(self) -> bool:
        """Whether this verdict alone makes a run fail."""
        return self in (Verdict.FAIL, Verdict.ERROR)


# Worst first: the order in which verdicts of one group are reduced to one.
_SEVERITY = (
    Verdict.ERROR,
    Verdict.FAIL,
    Verdict.UNKNOWN,
    Verdict.WARN,
    Verdict.KNOWN,
    Verdict.PASS,
    Verdict.UNSUPPORTED,
    Verdict.SKIP,
    Verdict.DISABLED,
)


def reduce(verdicts: Iterable[Verdict]) -> Verdict:
    """Combine verdicts into the worst of them; none at all is UNKNOWN.

    A group in which nothing ran never reads as PASS: it takes the reason why it did not run.
    """
    present = set(verdicts)
    return next((verdict for verdict in _SEVERITY if verdict in present), Verdict.UNKNOWN)

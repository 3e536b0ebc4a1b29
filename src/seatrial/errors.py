"""What can go wrong, and how it is told: code, message, cause, hint.

Every error that a user can cause is a `SeatrialError`. It renders itself in full, so neither the
command line nor the pytest plugin needs to know more than how to print it.

    E1xx  targets and engines      E2xx  labs                E3xx  files we read
    E4xx  files we write           E5xx  the running session
"""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes: pytest's own, and one for the gate."""

    OK = 0
    FAILED = 1
    INTERRUPTED = 2
    INTERNAL = 3
    USAGE = 4
    NOTHING = 5
    GATE = 6


class SeatrialError(Exception):
    """An error with a stable code, what happened, why, and what to do about it.

    `code` is one of the table above, `message` one sentence, `cause` the underlying reason
    (empty when the message says it all), `hint` the user's next step.
    """

    def __init__(self, code: str, message: str, cause: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.cause = cause
        self.hint = hint

    def __str__(self) -> str:
        lines = [f"{self.code}: {self.message}"]
        if self.cause:
            lines.append(f"  cause: {self.cause}")
        if self.hint:
            lines.append(f"  hint:  {self.hint}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[type[SeatrialError], tuple[str, str, str, str]]:
        return type(self), (self.code, self.message, self.cause, self.hint)

"""Waiting for what takes its time, with a deadline instead of a sleep."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from seatrial.exec import ExpectationError


def wait_until(what: str, condition: Callable[[], Any], timeout: float = 20.0, pause: float = 0.1) -> Any:
    """Call a condition until it is true and return its value; say what was awaited when it never is."""
    deadline = time.monotonic() + timeout
    while True:
        if value := condition():
            return value
        if time.monotonic() >= deadline:
            raise ExpectationError(f"waited {timeout:.0f} s in vain for: {what}")
        time.sleep(pause)

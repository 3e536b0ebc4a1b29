"""Hooks that the harness offers to plugins of pytest beside pytest's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seatrial.results import TestResult
    from seatrial.session import Session


def pytest_seatrial_recorded(session: Session, result: TestResult) -> None:
    """A result is in the stream of the run; called in the process that the user started."""

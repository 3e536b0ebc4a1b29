"""Tells in one sentence that the package is not installed: drivers and plugin come from its entry points."""

from importlib.metadata import entry_points

import pytest


def pytest_addoption() -> None:
    if not entry_points(group="seatrial.engines"):
        raise pytest.UsageError("seatrial is not installed in this Python: run `make setup`, then .venv/bin/pytest")

"""A pytest plugin that weakens the engine of a test in one way: `-p inject_weakened`, SEATRIAL_FAULTS=DIR.

Only what tests make is weak: cleaning, canaries and images have no journal.
"""

from __future__ import annotations

import pytest
from matrix import NONE, fault_id, pytest_generate_tests, pytest_runtest_makereport
from weakened import MAKERS, PROFILES, every

from seatrial.engines.base import CliEngine
from seatrial.paths import share_dir

__all__ = ["fault", "fault_id", "pytest_generate_tests", "pytest_runtest_makereport"]

FAULTS = every()


@pytest.fixture(autouse=True)
def fault(fault_id, monkeypatch):
    if fault_id == NONE:
        yield
        return
    apply, plain = FAULTS[fault_id].apply, CliEngine.cli

    def weak(self, *args, journal=None, **options):
        if journal is not None and args and args[0] in MAKERS:
            args = (args[0], *apply(list(args[1:])))
        return plain(self, *args, journal=journal, **options)

    monkeypatch.setattr(CliEngine, "cli", weak)
    yield
    for path in share_dir().glob(f"{PROFILES}*"):
        path.unlink()

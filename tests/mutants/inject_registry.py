"""A pytest plugin that puts a fault between tests and their registry: `-p inject_registry`, SEATRIAL_FAULTS=DIR."""

from __future__ import annotations

import pytest
from matrix import NONE, fault_id, pytest_generate_tests, pytest_runtest_makereport
from registry_faults import answering

from seatrial.lab.harbour import Harbour

__all__ = ["fault", "fault_id", "pytest_generate_tests", "pytest_runtest_makereport"]


@pytest.fixture(autouse=True)
def fault(fault_id, monkeypatch):
    if fault_id != NONE:
        monkeypatch.setattr(Harbour, "answer", answering(Harbour.answer, fault_id))

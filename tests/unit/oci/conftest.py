"""What the tests of faults share."""

import importlib
from pathlib import Path

import pytest

from seatrial import claims

ROOT = Path(__file__).parents[3]


@pytest.fixture
def kit(monkeypatch):
    """Call it with the name of a module of faults to get that module."""
    monkeypatch.syspath_prepend(str(ROOT / "tests/mutants"))
    return importlib.import_module


@pytest.fixture
def sound():
    """Call it with faults by id: each has to break claims that there are."""

    def see(faults):
        known = claims.load(ROOT / "suites")
        assert {one for fault in faults.values() for one in fault.claims} <= set(known)
        assert [id_ for id_, fault in faults.items() if not fault.claims] == []

    return see

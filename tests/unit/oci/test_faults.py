"""The faults of runtimes: each breaks claims that there are."""

import sys
from pathlib import Path

import pytest

from seatrial import claims

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def faults():
    sys.path.insert(0, str(ROOT / "tests/mutants"))
    try:
        import runtime_faults

        yield runtime_faults
    finally:
        sys.path.pop(0)


def test_each_fault_breaks_claims_that_there_are(faults):
    known = claims.load(ROOT / "suites")
    found = faults.every()
    assert len(found) > 150
    assert {one for fault in found.values() for one in fault.claims} <= set(known)
    assert [id_ for id_, fault in found.items() if not fault.claims] == []


def test_a_call_is_taken_apart(faults):
    call = faults.Call(["--root", "/r", "create", "--bundle", "/b", "--pid-file", "/p", "id"], 2, "", Path("/"), None)
    assert (call.verb, call.id, str(call.bundle), str(call.state_dir)) == ("create", "id", "/b", "/r")
    kill = faults.Call(["--root", "/r", "--network=none", "kill", "id", "TERM"], 3, "", Path("/"), None)
    assert (kill.verb, kill.id) == ("kill", "id")

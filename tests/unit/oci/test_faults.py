"""The faults of runtimes: each breaks claims that there are."""

from pathlib import Path

import pytest


@pytest.fixture
def faults(kit):
    return kit("runtime_faults")


def test_each_fault_breaks_claims_that_there_are(faults, sound):
    found = faults.every()
    assert len(found) > 150
    sound(found)


def test_a_call_is_taken_apart(faults):
    call = faults.Call(["--root", "/r", "create", "--bundle", "/b", "--pid-file", "/p", "id"], 2, "", Path("/"), None)
    assert (call.verb, call.id, str(call.bundle), str(call.state_dir)) == ("create", "id", "/b", "/r")
    kill = faults.Call(["--root", "/r", "--network=none", "kill", "id", "TERM"], 3, "", Path("/"), None)
    assert (kill.verb, kill.id) == ("kill", "id")

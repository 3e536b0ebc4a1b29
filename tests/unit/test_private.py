from types import SimpleNamespace

import pytest

from seatrial import private
from seatrial.bench import Owner


@pytest.fixture
def closed(monkeypatch):
    closed = []
    made = SimpleNamespace(lab=SimpleNamespace(host=None), daemon=None, close=lambda: closed.append("engine"))
    monkeypatch.setattr(private.labs, "private", lambda *_, **__: made)
    monkeypatch.setattr(private.labs, "target_of", lambda lab: None)
    monkeypatch.setattr(private.drivers, "in_lab", lambda target, lab: None)
    return closed


def test_what_could_not_be_undone_is_told_and_the_engine_goes_all_the_same(closed):
    factory = private.PrivateFactory("docker@bookworm", Owner("run", "0123abcd"))
    bench = factory(start=False)
    bench.defer(closed.append, "deferred")
    bench.defer(lambda: 1 / 0)
    with pytest.raises(AssertionError, match=r"left behind: .*ZeroDivisionError"):
        factory.__exit__(None, None, None)
    assert closed == ["deferred", "engine"]


def test_a_script_cannot_make_the_engine_and_says_how_it_was_made(closed):
    owner = Owner("run", "0123abcd")
    with private.PrivateFactory("docker@bookworm", owner) as factory:
        factory("--icc=false", config={"debug": True}, start=False)
    assert closed == ["engine"]
    told = '# the test had an engine of its own: options --icc=false, daemon.json {"debug": true}'
    assert told in owner.journal.repro()

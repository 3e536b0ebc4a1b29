from types import SimpleNamespace

import pytest

from seatrial import bench as benches
from seatrial import private
from seatrial.bench import Bench, Owner
from seatrial.errors import SeatrialError


@pytest.fixture
def closed(monkeypatch):
    closed = []
    lab = SimpleNamespace(host=None, name="docker-sid-c0ffee")
    made = SimpleNamespace(lab=lab, daemon=None, close=lambda: closed.append("engine"))
    monkeypatch.setattr(private.labs, "private", lambda *_, **__: made)
    monkeypatch.setattr(private.labs, "target_of", lambda lab: None)
    monkeypatch.setattr(private.drivers, "in_lab", lambda target, lab: None)
    return closed


def test_what_could_not_be_undone_is_told_and_the_engine_goes_all_the_same(closed):
    factory = private.PrivateFactory("docker@bookworm", Owner("run", "0123abcd"))
    bench = factory(start=False)
    bench.defer(closed.append, "deferred")
    bench.defer(lambda: 1 / 0)
    with pytest.raises(ExceptionGroup, match=r"cleaning up broke") as broken:
        factory.__exit__(None, None, None)
    assert [type(error) for error in broken.value.exceptions] == [ZeroDivisionError]
    assert closed == ["deferred", "engine"]


def test_a_script_cannot_make_the_engine_and_says_how_it_was_made(closed):
    owner = Owner("run", "0123abcd")
    with private.PrivateFactory("docker@bookworm", owner) as factory:
        factory("--icc=false", config={"debug": True}, start=False)
    assert closed == ["engine"]
    told = '# the test had an engine of its own: options --icc=false, daemon.json {"debug": true}'
    assert told in owner.journal.repro()


def test_its_files_go_with_it_and_no_others(closed, monkeypatch, tmp_path):
    monkeypatch.setattr(benches, "share_dir", lambda: tmp_path)
    shared = Bench(None, Owner("run", "0123abcd"))
    with private.PrivateFactory("docker@bookworm", Owner("run", "0123abcd")) as factory:
        bench = factory(start=False)
        (bench.workdir / "file").touch()
        (shared.workdir / "file").touch()
    assert not bench.workdir.exists()
    assert (shared.workdir / "file").exists()


def test_an_engine_that_cannot_be_taken_down_costs_nothing_else(closed, monkeypatch, tmp_path):
    monkeypatch.setattr(benches, "share_dir", lambda: tmp_path)
    factory = private.PrivateFactory("docker@bookworm", Owner("run", "0123abcd"))
    bench = factory(start=False)
    bench._made_lab.close = lambda: (_ for _ in ()).throw(SeatrialError("E209", "cannot end the lab"))
    assert bench.workdir.is_dir()
    with pytest.raises(AssertionError, match=r"taking the engine down failed: .*cannot end the lab"):
        factory.__exit__(None, None, None)
    assert not bench.workdir.exists()

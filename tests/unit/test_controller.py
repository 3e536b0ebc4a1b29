"""Whatever ends a session, its run is put back, or stays noted for `seatrial clean`."""

import pytest

from seatrial import controller as controllers
from seatrial import runs
from seatrial.controller import Controller
from seatrial.errors import Exit, SeatrialError
from seatrial.paths import share_dir
from seatrial.results import Finding, TargetInfo, TestResult
from seatrial.targets import Target
from seatrial.verdict import Verdict


class Engine:
    """An engine that makes nothing and can be told to fail at a step."""

    target = Target("docker", "sid")

    def __init__(self, failing=""):
        self.failing = failing
        self.swept = False

    def make_ready(self, run, image):
        (share_dir() / run).mkdir(parents=True)
        self._step("make_ready")

    def find(self, kind, label=""):
        self._step("sweep")
        self.swept = True
        return []

    def remove(self, kind, names):
        assert names == []

    def _step(self, name):
        if name == self.failing:
            raise KeyboardInterrupt if name == "make_ready" else SeatrialError("E106", "does not answer")


@pytest.fixture
def released(monkeypatch, tmp_path):
    """The labs that were given back."""
    for name in ("STATE", "DATA"):
        monkeypatch.setenv(f"SEATRIAL_{name}", str(tmp_path / name.lower()))
    given = []
    monkeypatch.setattr(controllers.machine, "facts", dict)
    monkeypatch.setattr(controllers.capabilities, "probe", lambda *_: TargetInfo("docker@sid", "docker", "28.5"))
    monkeypatch.setattr(controllers.snapshot, "take", lambda _: {})
    monkeypatch.setattr(controllers.labs, "release", lambda name, _: given.append(name))
    return given


def prepare(monkeypatch, tmp_path, engine, stop=None):
    controller = Controller(["docker@sid"], tmp_path / "reports", "", ["pytest"], 0)

    def acquire(target, *_):
        assert {run.run for run in runs.noted()} == {controller.plan.run}
        raise stop

    if stop:
        monkeypatch.setattr(controllers.labs, "acquire", acquire)
    else:
        monkeypatch.setattr(Controller, "_reach", lambda self, target, _: engine)
    monkeypatch.setattr(controllers, "Stream", lambda path: (_ for _ in ()).throw(SeatrialError("E401", "disk full")))
    return controller, lambda: controller.prepare(lambda _: None, tmp_path, {})


def test_an_interrupt_while_a_lab_is_made_gives_its_lease_back(released, monkeypatch, tmp_path):
    _, begin = prepare(monkeypatch, tmp_path, None, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        begin()
    assert released == ["docker-sid"]
    assert list(runs.noted()) == []


@pytest.mark.parametrize(("failing", "raised", "noted"), [
    ("make_ready", KeyboardInterrupt, False), ("", SeatrialError, False), ("sweep", SeatrialError, True)])  # fmt: skip
def test_what_cannot_be_put_back_keeps_the_run_noted(released, monkeypatch, tmp_path, failing, raised, noted):
    engine = Engine(failing)
    controller, begin = prepare(monkeypatch, tmp_path, engine)
    with pytest.raises(raised):
        begin()
    assert not (share_dir() / controller.plan.run).exists()
    assert engine.swept is (failing == "")
    assert [run.unfinished for run in runs.noted()] == ([True] if noted else [])


def test_a_failure_at_the_end_puts_the_run_back_all_the_same(released, monkeypatch, tmp_path):
    engine = Engine()
    controller, begin = prepare(monkeypatch, tmp_path, engine)
    controller.directory.mkdir(parents=True)
    monkeypatch.setattr(controllers, "Stream", lambda path: type("Stream", (), {"write": lambda *_: None})())
    monkeypatch.setattr(controllers, "Header", lambda **_: None)
    begin()
    assert [run.run for run in runs.noted()] == [controller.plan.run]
    monkeypatch.setattr(Controller, "_death", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        controller.finish(Exit.OK)
    assert engine.swept
    assert list(runs.noted()) == []


@pytest.mark.parametrize(("reason", "status"), [("", Exit.FAILED), ("known", Exit.OK)])
def test_a_finding_makes_the_run_fail_unless_it_is_known(tmp_path, reason, status):
    controller = Controller(["docker"], tmp_path, "", [], 0)
    controller.record(TestResult("t", "docker", Verdict.PASS, "a", 1.0))
    controller.note(Finding("slower", "docker", "worse", reason=reason))
    assert controller.finish(Exit.OK) == status


@pytest.mark.parametrize("status", [Exit.OK, Exit.FAILED])
def test_a_required_test_that_did_not_run_is_told_whatever_else_failed(tmp_path, status):
    controller = Controller(["docker"], tmp_path, "", [], 0)
    controller.plan.targets = [TargetInfo("docker", "docker", "1"), TargetInfo("podman", "podman", "1")]
    controller.record(TestResult("s.py::t", "docker", Verdict.PASS, "a", 1.0))
    noted = []
    controller.note = noted.append
    required = ["s.py::t", "s.py::u[docker]", "s.py::t[docker]"]
    assert controller.finish(status, required) == (Exit.GATE if status == Exit.OK else status)
    assert [(finding.test, finding.target) for finding in noted] == [("s.py::t", "podman"), ("s.py::u", "docker")]

"""Options of measurements, and a session's way from samples to a finding."""

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from seatrial.errors import Exit
from seatrial.perf import baseline, plugin
from seatrial.report import figures as listed
from seatrial.results import TestResult
from seatrial.verdict import Verdict


def run(tmp_path, *args):
    (tmp_path / "test_x.py").write_text("def test_x(): pass\n")
    (tmp_path / "pyproject.toml").write_text("[tool.pytest]\n")
    return subprocess.run([sys.executable, "-m", "pytest", "-q", *args], cwd=tmp_path, capture_output=True, text=True,
                          timeout=60)  # fmt: skip


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--pairs", "7"], "8 are the least that can be found worse"),
        (["--save-baseline", "../x"], "E811: '../x' is no name for a baseline"),
        (["--baseline", "monday"], "E810: cannot read the baseline monday"),
    ],
    ids=["pairs", "name", "none"],
)
def test_what_cannot_be_used_is_refused_before_anything_is_measured(tmp_path, args, words):
    ended = run(tmp_path, *args)
    assert ended.returncode == Exit.USAGE
    assert words in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr


class Controller:
    """Takes findings."""

    def __init__(self, directory):
        self.directory, self.facts, self.notes = directory, {"cpu": "x", "cpus": 2, "arch": "a", "kernel": "k"}, []
        self.plan = SimpleNamespace(run=directory.name)

    def note(self, finding):
        self.notes.append(finding)


@pytest.fixture
def session(simulated, tmp_path):
    """Concludes a run that measured starts by a wrapper that takes `factor` times as long."""

    def conclude(run, factor, state=simulated.QUIET, **options):
        directory = tmp_path / "reports" / run
        directory.mkdir(parents=True)
        made, evidence = simulated.Engine(len(run) + 5), {}
        simulated.measure(evidence, state, pairs=60).turns(
            "start", {"none": lambda: made.start(), "bridge": lambda: factor * made.start()}, pairs=60
        )
        result = TestResult("suites/perf/test_a.py::test_a", "docker", Verdict.PASS, "perf", 1.0, evidence=evidence)
        given = {"results": "reports", "baseline": "", "save_baseline": "", **options}
        config = SimpleNamespace(stash={plugin._RESULTS: [result]}, rootpath=tmp_path, getoption=given.get)
        controller = Controller(directory)
        plugin._conclude(config, controller)
        return controller

    return conclude


def test_a_slowdown_against_a_baseline_is_a_finding_and_in_the_report(session, tmp_path):
    assert session("one", 1.3, save_baseline="monday").notes == []
    assert json.loads((tmp_path / "reports/baseline/monday.json").read_text())["run"] == "one"
    seen = session("second", 1.6, baseline="monday")
    (finding,) = seen.notes
    assert (finding.kind, finding.target) == ("slower", "docker")
    assert finding.message.startswith("worse than the baseline monday: start, bridge to none: worse: x1.2")
    titles = [figure.title for figure in listed.read(seen.directory)]
    assert titles[:3] == ["Ratios", "Figures", "The machine meanwhile"]
    assert titles[-1] == "Against the baseline monday"


def test_where_nothing_can_be_compared_the_run_is_not_green(session, simulated):
    session("one", 1.3, save_baseline="monday")
    (finding,) = session("noisy", 1.6, simulated.NOISY, baseline="monday").notes
    assert finding.message == "nothing was compared with the baseline monday: 1 x the machine was noisy now"


def test_a_noisy_run_is_no_baseline(session, simulated, tmp_path):
    (finding,) = session("noisy", 1.3, simulated.NOISY, save_baseline="monday").notes
    assert "E812" in finding.message
    assert "the machine was noisy all the time" in finding.message
    assert not (tmp_path / "reports/baseline/monday.json").exists()


def test_what_is_kept_is_told(session):
    titles = {figure.title: figure for figure in listed.read(session("one", 1.3, save_baseline="monday").directory)}
    assert titles["Kept as the baseline monday"].caption.startswith("1 of 1 figures.")


def test_an_unchanged_engine_is_no_finding(session):
    session("one", 1.3, save_baseline="monday")
    assert session("third", 1.3, baseline="monday").notes == []


def test_a_baseline_that_goes_meanwhile_is_a_finding(session, tmp_path):
    session("one", 1.3, save_baseline="monday")
    baseline.place(tmp_path / "reports", "monday").unlink()
    (finding,) = session("fourth", 1.3, baseline="monday").notes
    assert "E810" in finding.message


def test_a_figure_that_cannot_be_made_hides_nothing(session, monkeypatch):
    def broken(directory, measurements):
        raise ZeroDivisionError("no")

    monkeypatch.setattr("seatrial.perf.figures.write", broken)
    (finding,) = session("one", 1.3).notes
    assert finding.message == "the figures could not be written: ZeroDivisionError: no"

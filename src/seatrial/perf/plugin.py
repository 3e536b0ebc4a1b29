"""Measurements in a session of pytest: the fixture `measure`, baselines, and what the report gets."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from seatrial.session import SESSION, TRIAL, usable

if TYPE_CHECKING:
    from seatrial.controller import Controller
    from seatrial.perf.baseline import Baseline
    from seatrial.perf.measure import Measure
    from seatrial.results import TestResult
    from seatrial.session import Session

LEAST = 8  # see `measure.LEAST`
_MEASURED = {"measured", "recovery"}  # in a result's evidence; see `measure.EVIDENCE` and `figures.RECOVERY`
_RESULTS = pytest.StashKey[list["TestResult"]]()


def _pairs(text: str) -> int:
    if not text.isdecimal() or int(text) < LEAST:
        raise argparse.ArgumentTypeError(f"{text!r}: {LEAST} are the least that can be found worse")
    return int(text)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options for measurements."""
    group = parser.getgroup("seatrial-perf", "measurements (suites/perf)")
    group.addoption("--pairs", type=_pairs, default=0, metavar="N",
                    help="samples of each side of a measurement (default: as many as its test asks for)")  # fmt: skip
    group.addoption("--save-baseline", default="", metavar="NAME",
                    help="keep what is measured under this name (reports/baseline/NAME.json)")  # fmt: skip
    group.addoption("--baseline", default="", metavar="NAME",
                    help="fail when something has become worse since the baseline of this name")  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """Look at baselines before the hours of measuring."""
    config.stash[_RESULTS] = []
    if config.getoption("save_baseline"):
        usable(lambda: _place(config, config.getoption("save_baseline")))
    if config.getoption("baseline"):
        usable(lambda: _baseline(config))


def _place(config: pytest.Config, name: str) -> Path:
    from seatrial.perf import baseline

    return baseline.place(Path(config.rootpath / config.getoption("results")), name)


def _baseline(config: pytest.Config) -> Baseline:
    from seatrial.perf import baseline

    return baseline.read(_place(config, config.getoption("baseline")))


@pytest.fixture
def measure(request: pytest.FixtureRequest) -> Measure:
    """Measures in turns and keeps every sample as evidence of the test; see `seatrial.perf.measure.Measure`."""
    from seatrial.perf.measure import Measure

    return Measure(request.node.stash[TRIAL].evidence, request.config.getoption("pairs"))


def pytest_seatrial_recorded(session: Session, result: TestResult) -> None:
    """Keep results with measurements until the end."""
    if _MEASURED & result.evidence.keys():
        session.config.stash[_RESULTS].append(result)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write figures and baselines, and tell what has become worse."""
    controller = session.config.stash[SESSION].controller
    if controller is not None:
        _conclude(session.config, controller)


def _conclude(config: pytest.Config, controller: Controller) -> None:
    from seatrial.errors import SeatrialError
    from seatrial.perf import baseline, figures
    from seatrial.report.figures import add
    from seatrial.results import Finding

    recorded: list[TestResult] = config.stash[_RESULTS]
    measurements = figures.kept(recorded)
    host = controller.facts
    try:
        figures.write(controller.directory, measurements)
        if (table := figures.recoveries(recorded)) is not None:
            add(controller.directory, [table])
        if name := config.getoption("baseline"):
            then = _baseline(config)
            rows = baseline.compare(then, host, measurements)
            add(controller.directory, [baseline.figure(then, rows)])
            for row in rows:
                if row.worse:
                    words = f"worse than the baseline {name}: {row}"
                    controller.note(Finding("slower", row.target, words))
            if not any(row.compared for row in rows):
                counts = Counter(row.why for row in rows).most_common(5)
                reasons = "; ".join(f"{count} x {why}" for why, count in counts)
                words = f"nothing was compared with the baseline {name}: {reasons or 'the run has measured nothing'}"
                controller.note(Finding("baseline", "", words))
        if name := config.getoption("save_baseline"):
            add(controller.directory, [baseline.save(_place(config, name), controller.plan.run, host, measurements)])
    except SeatrialError as error:
        controller.note(Finding("figures", "", str(error)))
    except Exception as error:  # a bug in a figure must not hide what the tests said
        controller.note(Finding("figures", "", f"the figures could not be written: {type(error).__name__}: {error}"))

"""The cases of OCT in a session of pytest: their options, their files, and what is known of them from earlier runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from seatrial.session import SESSION, usable

if TYPE_CHECKING:
    from seatrial.results import TestResult
    from seatrial.session import Session


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options for cases."""
    group = parser.getgroup("seatrial-oct", "cases of OCT (oct/cases)")
    group.addoption("--only", default="", metavar="STATES",
                    help="only those in these states on their target: new,changed,failed")  # fmt: skip
    group.addoption("--set", action="append", default=[], dest="parameters", metavar="NAME=VALUE",
                    help="a parameter of cases, such as seconds=10; repeat for several")  # fmt: skip


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Pass by the cases of a library that are not due."""
    if not config.getoption("only") or not (collection_path / "case.json").is_file():
        return None
    from seatrial.oct import selecting

    if not usable(lambda: selecting.passed_by(config.stash[SESSION], collection_path)):
        return None
    config.stash[selecting.PASSED_BY] = config.stash.get(selecting.PASSED_BY, 0) + 1
    return True


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Take the cases for files of tests."""
    if file_path.name != "case.json":
        return None
    from seatrial.oct.items import CaseFile

    return CaseFile.from_parent(parent, path=file_path)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the cases whose state is asked for."""
    if config.getoption("only"):
        from seatrial.oct import selecting

        usable(lambda: selecting.keep_only(config.stash[SESSION], items))


@pytest.hookimpl(tryfirst=True)  # before xdist sends what a worker has to say
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let a worker say why its cases were due."""
    if session.config.getoption("only") and hasattr(session.config, "workeroutput"):
        from seatrial.oct import selecting

        selecting.hand_over(session.config)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take from a worker why its cases were due."""
    if node.config.getoption("only"):
        from seatrial.oct import selecting

        selecting.take_over(node.config, node)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say how many cases were not due, and why the others were, where workers collected them."""
    if not config.getoption("only"):
        return
    from seatrial.oct import selecting

    reasons = config.stash.get(selecting.REASONS, [])
    if reasons and config.getoption("numprocesses", None):
        terminalreporter.section("why cases were due")
        selecting.show(terminalreporter, reasons)
    if count := config.stash.get(selecting.PASSED_BY, 0):
        terminalreporter.write_line(f"not due, for they ran on every target as they are: {count}")


def pytest_seatrial_recorded(session: Session, result: TestResult) -> None:
    """Remember how a case ended."""
    if "oct" in result.evidence:
        from seatrial.oct import selecting

        selecting.remember(session, result)

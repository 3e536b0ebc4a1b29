"""Which cases a session runs by what is known of them, and keeping what it finds."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from seatrial import __version__
from seatrial.errors import SeatrialError
from seatrial.lab import images
from seatrial.names import BUSYBOX
from seatrial.oct.freshness import NAME, Known, State, Store, Surroundings, states
from seatrial.oct.offers import os_release

if TYPE_CHECKING:
    from seatrial.oct.items import CaseItem
    from seatrial.results import TestResult
    from seatrial.session import Session

_TOLD: set[str] = set()


def store(config: pytest.Config) -> Store:
    """Return the records beside the runs."""
    return Store(config.rootpath / config.getoption("results") / NAME)


def surroundings(session: Session, target: str) -> Surroundings:
    """Return what results on a target hold for; the image is the one that containers are made of."""
    assert session.plan is not None  # noqa: S101 - a session that runs has one
    machine = os.uname()
    host = {"kernel": machine.release, "arch": machine.machine, **os_release(Path("/"))}
    image = session.plan.image
    version = f"{image} {images.key()}" if image == BUSYBOX else image
    return Surroundings.of(session.info(target), version, host, __version__)


def keep_only(session: Session, items: list[pytest.Item]) -> None:
    """Deselect the cases whose state is not asked for; what is no case stays out. Says why for each that stays."""
    from seatrial.oct.items import CaseItem

    wanted = states(session.config.getoption("only"))
    kept: list[pytest.Item] = []
    reasons: dict[tuple[str, str], str] = {}
    known: dict[str, dict[str, Known]] = {}
    for item in items:
        if not isinstance(item, CaseItem):
            continue
        if item.target not in known:
            known[item.target] = store(session.config).known(item.target)
        state, why = _state(session, item, known[item.target])
        if state in wanted:
            kept.append(item)
            reasons[item.case.name, item.target] = f"{state}: {why}"
    session.config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and not session.worker:
        for (name, target), why in reasons.items():
            reporter.write_line(f"  {name} on {target}: {why}")


def _state(session: Session, item: CaseItem, known: dict[str, Known]) -> tuple[State, str]:
    last = known.get(item.case.name)
    if last is None:
        return State.NEW, f"it never ran on {item.target}"
    now = surroundings(session, item.target) if session.plan is not None else None
    return last.state(item.digest, now)


def remember(session: Session, result: TestResult) -> None:
    """Keep the result of a case; trouble with the records is told once and costs no result."""
    found = result.evidence["oct"]
    name = str(found["case"]).partition("[")[0]
    assert session.plan is not None  # noqa: S101 - a recorded result has a plan
    try:
        now = surroundings(session, result.target)
        store(session.config).record(name, result.target, found["digest"], now, found["ending"], session.plan.run)
    except SeatrialError as error:
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None and str(error) not in _TOLD:
            _TOLD.add(str(error))
            reporter.write_line(str(error))

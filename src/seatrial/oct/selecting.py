"""Which cases a session runs by what is known of them, and keeping what it finds."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from seatrial import __version__
from seatrial.errors import SeatrialError
from seatrial.exec import ANY, ExpectationError, run
from seatrial.lab import images
from seatrial.names import BUSYBOX
from seatrial.oct import library
from seatrial.oct.bundle import CASE
from seatrial.oct.freshness import NAME, Known, State, Store, Surroundings, Variant, state_of, states
from seatrial.oct.offers import os_release

if TYPE_CHECKING:
    from seatrial.engines.base import CliEngine
    from seatrial.oct.items import CaseItem
    from seatrial.results import TestResult
    from seatrial.session import Session

REASONS = pytest.StashKey[list[str]]()  # why each case runs
PASSED_BY = pytest.StashKey[int]()  # how many cases were not even collected
_REASONS, _PASSED_BY = "seatrial_oct_reasons", "seatrial_oct_passed_by"
_RECORDS = pytest.StashKey[dict[str, dict[str, dict[Variant, Known]]]]()  # by target and name
_TOLD: set[str] = set()
_SEEN: dict[tuple[str, str], Surroundings] = {}  # by run and target


def store(config: pytest.Config) -> Store:
    """Return the records beside the runs."""
    return Store(config.rootpath / config.getoption("results") / NAME)


def surroundings(session: Session, target: str) -> Surroundings:
    """Return what results on a target hold for; the image is the one that containers are made of."""
    assert session.plan is not None  # noqa: S101 - a session that runs has one
    key = (session.plan.run, target)
    if key not in _SEEN:
        info, driver = session.info(target), session.engine(target, check=False)
        host = host_facts(driver, info.facts) if driver is not None else {}
        _SEEN[key] = Surroundings.of(info, _image(driver, session.plan.image), host, __version__)
    return _SEEN[key]


def host_facts(driver: CliEngine, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the host of a target is: kernel, arch, ID and VERSION_ID, as far as it can be asked."""
    if not driver.local:  # this machine says nothing of it; its engine does
        return {"kernel": f"{facts.get('os')} at {driver.address}", "arch": facts.get("architecture")}
    try:
        kernel, arch = run(["uname", "-r", "-m"], host=driver.host).stdout.split()
    except (SeatrialError, ExpectationError, ValueError):
        return {}
    return {"kernel": kernel, "arch": arch, **os_release(driver.host.root)}


def _image(driver: CliEngine | None, image: str) -> str:
    """Return an image with what tells its content: the key of the harness's own, the digest of any other."""
    if image == BUSYBOX or driver is None or driver.kind == "runtime":
        return f"{image} {images.key()}"
    try:
        shown = driver.cli("image", "inspect", image, expect=ANY)
        digest = str(shown.json()[0]["Id"]) if shown.ok else ""
    except (SeatrialError, ExpectationError, ValueError, LookupError, TypeError):
        digest = ""
    # the digest first: reasons show the beginning
    return f"{digest.removeprefix('sha256:')} {image}" if digest else f"unknown {image}"


def passed_by(session: Session, directory: Path) -> bool:
    """Tell whether a directory holds a case that is not due: all of it ran here as it is, on every target.

    Asked before pytest makes anything of the directory: of a large library, few cases are due. Whether others are,
    `keep_only` tells, variant by variant.
    """
    config = session.config
    if State.CURRENT in states(config.getoption("only")) or config.getoption("parameters") or session.plan is None:
        return False
    if list(directory.rglob(CASE)) != [directory / CASE]:  # a case below this one may be due
        return False
    entry = library.read(directory, str(directory), [name for name in os.listdir(directory) if name != CASE])
    return not entry.broken and all(
        state_of(entry, target, _known(session, target).get(entry.name, {}), surroundings(session, target))[0]
        is State.CURRENT
        for target in session.names
    )


def _known(session: Session, target: str) -> dict[str, dict[Variant, Known]]:
    """Return the last results on a target by the names of their cases, read once."""
    records = session.config.stash.setdefault(_RECORDS, {})
    if target not in records:
        records[target] = store(session.config).known(target)
    return records[target]


def keep_only(session: Session, items: list[pytest.Item]) -> None:
    """Deselect the cases whose state is not asked for; what is no case stays out. Says why for each that stays."""
    from seatrial.oct.items import CaseItem

    wanted = states(session.config.getoption("only"))
    kept: list[pytest.Item] = []
    left: list[pytest.Item] = []
    reasons: list[str] = []
    for item in items:
        if not isinstance(item, CaseItem):
            left.append(item)
            continue
        last = _known(session, item.target).get(item.case.name, {}).get(item.variant)
        state, why = _state(session, item, last)
        if state in wanted:
            kept.append(item)
            shown = " ".join(filter(None, (item.case.name, str(item.variant))))
            reasons.append(f"{shown} on {item.target}: {state}: {why}")
        else:
            left.append(item)
    session.config.hook.pytest_deselected(items=left)
    items[:] = kept
    session.config.stash[REASONS] = reasons
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        show(reporter, reasons)


def show(reporter: Any, reasons: Iterable[str]) -> None:
    """Say why cases stay."""
    for words in reasons:
        reporter.write_line(f"  {words}")


def hand_over(config: pytest.Config) -> None:
    """Give the reasons of this worker to the controller, which collects nothing itself."""
    output: dict[str, Any] = config.workeroutput  # type: ignore[attr-defined]
    output[_REASONS], output[_PASSED_BY] = config.stash.get(REASONS, []), config.stash.get(PASSED_BY, 0)


def take_over(config: pytest.Config, node: Any) -> None:
    """Take the reasons of a worker that has ended; all collect the same, so each is kept once."""
    output = getattr(node, "workeroutput", {})
    config.stash[REASONS] = list(dict.fromkeys([*config.stash.get(REASONS, []), *output.get(_REASONS, [])]))
    config.stash[PASSED_BY] = max(config.stash.get(PASSED_BY, 0), output.get(_PASSED_BY, 0))


def _state(session: Session, item: CaseItem, last: Known | None) -> tuple[State, str]:
    if last is None:
        return State.NEW, f"it never ran on {item.target}"
    now = surroundings(session, item.target) if session.plan is not None else None
    return last.state(item.digest, now)


def remember(session: Session, result: TestResult) -> None:
    """Keep the result of a case; trouble with the records is told once and costs no result."""
    found = result.evidence["oct"]
    assert session.plan is not None  # noqa: S101 - a recorded result has a plan
    try:
        now, variant = surroundings(session, result.target), Variant(**found["variant"])
        where = store(session.config)
        where.record(found["name"], result.target, variant, found["digest"], now, found["ending"], session.plan.run)
    except SeatrialError as error:
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None and str(error) not in _TOLD:
            _TOLD.add(str(error))
            reporter.write_line(str(error))

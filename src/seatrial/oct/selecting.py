"""Which cases a session runs by what is known of them, and keeping what it finds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pytest

from seatrial import __version__
from seatrial.errors import SeatrialError
from seatrial.exec import ANY, ExpectationError, run
from seatrial.lab import images
from seatrial.names import BUSYBOX
from seatrial.oct.freshness import NAME, Known, State, Store, Surroundings, Variant, states
from seatrial.oct.offers import os_release

if TYPE_CHECKING:
    from seatrial.engines.base import CliEngine
    from seatrial.oct.items import CaseItem
    from seatrial.results import TestResult
    from seatrial.session import Session

REASONS = pytest.StashKey[list[str]]()  # why each case runs
_REASONS = "seatrial_oct_reasons"
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


def keep_only(session: Session, items: list[pytest.Item]) -> None:
    """Deselect the cases whose state is not asked for; what is no case stays out. Says why for each that stays."""
    from seatrial.oct.items import CaseItem

    wanted = states(session.config.getoption("only"))
    kept: list[pytest.Item] = []
    reasons: list[str] = []
    known: dict[str, dict[str, dict[Variant, Known]]] = {}
    for item in items:
        if not isinstance(item, CaseItem):
            continue
        if item.target not in known:
            known[item.target] = store(session.config).known(item.target)
        state, why = _state(session, item, known[item.target].get(item.case.name, {}).get(item.variant))
        if state in wanted:
            kept.append(item)
            shown = " ".join(filter(None, (item.case.name, str(item.variant))))
            reasons.append(f"{shown} on {item.target}: {state}: {why}")
    session.config.hook.pytest_deselected(items=[item for item in items if item not in kept])
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
    config.workeroutput[_REASONS] = config.stash.get(REASONS, [])  # type: ignore[attr-defined]


def take_over(config: pytest.Config, node: Any) -> None:
    """Take the reasons of a worker that has ended; all collect the same, so each is kept once."""
    told = getattr(node, "workeroutput", {}).get(_REASONS, [])
    config.stash[REASONS] = list(dict.fromkeys([*config.stash.get(REASONS, []), *told]))


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

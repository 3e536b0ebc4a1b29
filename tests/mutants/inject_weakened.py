"""A pytest plugin that weakens the engine of a test in one way: `-p inject_weakened`, SEATRIAL_FAULTS=DIR.

Only what tests make is weak: cleaning, canaries and images have no journal. A fault whose options the engine refuses
weakens nothing: its tests are errors, and it counts as noticed by nobody.
"""

from __future__ import annotations

import shutil

import pytest
from matrix import NONE, fault_id, pytest_generate_tests, pytest_runtest_makereport
from weakened import MAKERS, PROFILES, Call, every
from weakened_runtimes import forget, use

from seatrial.engines.base import CliEngine
from seatrial.exec import ANY
from seatrial.names import BUSYBOX
from seatrial.paths import share_dir
from seatrial.private import PrivateFactory
from seatrial.session import SESSION

__all__ = ["fault", "fault_id", "pytest_generate_tests", "pytest_runtest_makereport"]

FAULTS = every()
PLAIN, FACTORY = CliEngine.cli, PrivateFactory.__call__
# fault -> why the engine refuses what it adds, empty when it does not
REFUSED: dict[str, str] = {}
# engines that know runtimes of faults
USED: dict[int, CliEngine] = {}


def refused(id_, driver):
    """Run `true` in a container of a weakened engine; return what the engine says against it."""
    words = ["run", "--rm", BUSYBOX, "true"]
    if id_ not in REFUSED:
        weak = weakened(driver, id_, words)
        result = PLAIN(driver, *weak, expect=ANY) if weak != words else None
        REFUSED[id_] = "" if result is None or result.ok else result.stderr.strip() or str(result.code)
    return REFUSED[id_]


def weakened(driver, id_, words):
    """Return a command that makes a container, as a weak engine would be asked."""
    verb, *rest = words
    before, after = use(driver, id_) if any(FAULTS[id_].runtime) else ([], [])
    USED.update({id(driver): driver} if any(FAULTS[id_].runtime) else {})
    return [*before, verb, *after, *FAULTS[id_].apply(rest)]


def pytest_sessionfinish():
    forget(list(USED.values()))


@pytest.fixture(autouse=True)
def fault(fault_id, target, request, monkeypatch):
    if fault_id == NONE:
        yield
        return
    driver, weakness = request.config.stash[SESSION].engine(target.name), FAULTS[fault_id]
    if isinstance(driver, CliEngine) and (why := refused(fault_id, driver)):
        raise RuntimeError(f"the engine refuses to be weak: {weakness}: {why}")

    def weak(self, *args, journal=None, **options):
        def plain(*words, **given):
            return PLAIN(self, *words, **given)

        if journal is not None and args and args[0] in MAKERS:
            args = weakened(self, fault_id, args)
        if journal is not None and args and args[0] in weakness.acts:
            return weakness.acts[args[0]](Call(list(args), {**options, "journal": journal}, plain))
        return plain(*args, journal=journal, **options)

    def start(self, *options, **more):
        return FACTORY(self, *weakness.daemon(list(options)), **more)

    monkeypatch.setattr(CliEngine, "cli", weak)
    monkeypatch.setattr(PrivateFactory, "__call__", start)
    yield
    for path in share_dir().glob(f"{PROFILES}*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()

"""What the tests of isolation share."""

from functools import partial
from pathlib import Path

import pytest

from seatrial.security import surface
from seatrial.security.advisories import Advised, load
from seatrial.session import SESSION


@pytest.fixture
def unconfined(engine):
    """Options that take filters and mandatory access control away, and nothing else."""
    modules = {"apparmor": "apparmor=unconfined", "selinux": "label=disable"}
    words = ["seccomp=unconfined", *(word for name, word in modules.items() if name in engine.facts["security"])]
    return tuple(part for word in words for part in ("--security-opt", word))


@pytest.fixture
def bare(engine, unconfined):
    """Call it with capabilities to get the options of a container that has them and no filter."""
    return lambda *names: (*unconfined, *(part for name in names for part in ("--cap-add", name)))


@pytest.fixture(scope="session")
def advisories():
    """Classes of published vulnerabilities by their id."""
    return load(Path(__file__).parent / "advisories.toml")


@pytest.fixture
def advisory(advisories, installed):
    """Call it with a class; the words are for the row of the report, `agrees` holds the versions against a refusal."""
    return lambda id_: Advised(advisories[id_], installed)


@pytest.fixture
def keep_calls(request, target):
    """Call it with what filters say, by entry, and what is documented: a column of the table in the report."""
    return partial(surface.keep, Path(request.config.stash[SESSION].plan.directory), target.name)

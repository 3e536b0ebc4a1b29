"""What the tests of isolation share."""

import tomllib
from pathlib import Path

import pytest


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
    """Published vulnerabilities by their number: software, the first version with a fix, what it was."""
    return tomllib.loads((Path(__file__).parent / "advisories.toml").read_text())


@pytest.fixture
def advisory(advisories):
    """Call it with a number to get the words for the row of the report."""
    return lambda number: "{}: {what} (fixed in {software} {fixed})".format(number, **advisories[number])

"""What a result holds for: the image by its content, the host of the target and not this machine."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from seatrial.exec import ExpectationError, run
from seatrial.oct import selecting
from seatrial.oct.freshness import Variant
from seatrial.oct.items import CaseItem
from seatrial.results import TargetInfo


class Host:
    """A host whose commands say what they are given to say."""

    name, environment, hidden = "lab", {}, ""

    def __init__(self, root: Path, uname: str) -> None:
        self.root = root
        self.uname = uname

    def enter(self, argv, cwd=None):
        assert argv == ["uname", "-r", "-m"]
        return ["echo", self.uname]


@pytest.fixture
def driver(tmp_path):
    """A driver on a host of its own, with one image."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text('ID=plan9\nVERSION_ID="4"\n')
    answer = SimpleNamespace(ok=True, json=lambda: [{"Id": driver.id}])
    driver = SimpleNamespace(
        kind="engine", local=True, host=Host(tmp_path, "9.9.9-lab mips"), id="sha256:aaaa", cli=lambda *_, **__: answer,
        address="tcp://far:2375",
    )  # fmt: skip
    return driver


def around(driver, image="alpine", run="run"):
    info = TargetInfo("docker@lab", "docker", "20.10", runtime="runc")
    plan = SimpleNamespace(run=f"{run} of {id(driver)} {driver.id}", image=image)
    session = SimpleNamespace(plan=plan, info=lambda _: info, engine=lambda *_, **__: driver)
    return selecting.surroundings(session, "docker@lab")


def test_the_host_is_the_one_of_the_target(driver):
    assert selecting.host_facts(driver, {}) == {
        "kernel": "9.9.9-lab", "arch": "mips", "ID": "plan9", "VERSION_ID": "4",
    }  # fmt: skip
    before = around(driver)
    driver.host.uname = "9.9.10-lab mips"
    assert around(driver, run="next").host != before.host


def test_a_host_that_is_far_is_not_this_machine(driver):
    driver.local = False
    assert selecting.host_facts(driver, {"os": "linux", "architecture": "s390x"}) == {
        "kernel": "linux at tcp://far:2375", "arch": "s390x",
    }  # fmt: skip


def test_an_image_counts_by_its_digest(driver):
    assert around(driver).image == "aaaa alpine"
    driver.id = "sha256:bbbb"
    assert around(driver).image == "bbbb alpine"


def test_an_image_that_cannot_be_asked_for_is_never_the_same_as_one_that_can(driver):
    def fail(*_, **__):
        raise ExpectationError("gone")

    driver.cli = fail
    assert around(driver).image == "unknown alpine"


@pytest.mark.parametrize(
    ("settings", "variant"),
    [([], Variant("1-x")), (["seconds=10"], Variant("1-x")), (["seconds=3"], Variant("1-x", "seconds=3")),
     (["other=3"], Variant("1-x"))],
)  # fmt: skip
def test_an_item_is_known_by_its_variant_and_the_parameters_that_were_set(settings, variant):
    case = SimpleNamespace(label="1-x", parameters={"seconds": "10"})
    item = SimpleNamespace(case=case, config=SimpleNamespace(getoption=lambda _: settings))
    assert CaseItem.variant.fget(item) == variant


CASES = """
import pytest
from seatrial.oct import selecting

class Due(pytest.Item):
    def runtest(self):
        pass

class Cases(pytest.File):
    def collect(self):
        yield Due.from_parent(self, name="due")

def pytest_collect_file(file_path, parent):
    return Cases.from_parent(parent, path=file_path) if file_path.name == "due.txt" else None

def keep_only(session, items):
    session.config.stash[selecting.REASONS] = ["due on docker: new: it never ran on docker"]

selecting.keep_only = keep_only
"""


def test_workers_say_why_their_cases_are_due(tmp_path):
    (tmp_path / "conftest.py").write_text(CASES)
    (tmp_path / "due.txt").write_text("")
    argv = [sys.executable, "-m", "pytest", "-n", "2", "--only", "new", "-p", "no:cacheprovider", "-c", os.devnull]
    result = run([*argv, "--rootdir", str(tmp_path), str(tmp_path)], cwd=tmp_path, timeout=120)
    assert result.stdout.count("  due on docker: new: it never ran on docker\n") == 1

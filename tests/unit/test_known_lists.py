"""The lists of known deviations as they are: each entry names a test that there is."""

import tomllib
from pathlib import Path

import pytest

from seatrial import known
from seatrial.commands.claims import collect
from seatrial.targets import PREFERRED, SUITES

ROOT = Path(__file__).parents[2]
LISTS = sorted((ROOT / "reports/known").glob("*.toml"))


@pytest.fixture(scope="module")
def collected():
    """The ids of all tests of the suites, whole and without their parameters, from one collection."""
    whole = {test for tests in collect(ROOT / "suites").values() for test in tests}
    assert len(whole) > 1000
    return whole | {test.partition("[")[0] for test in whole}


def strangers(text: str, collected: set[str]) -> list[str]:
    return [entry["test"] for entry in tomllib.loads(text)["known"] if entry["test"] not in collected]


def test_every_target_of_the_labs_has_a_list():
    names = {path.stem for path in LISTS}
    assert {f"{name}@{suite}" for name in (*PREFERRED, "runc", "crun") for suite in SUITES} <= names


@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.stem)
def test_every_entry_names_a_test_that_is_collected(path, collected):
    assert strangers(path.read_text("utf-8"), collected) == []


def test_an_entry_without_its_test_is_found(collected):
    entry = next(e for path in LISTS for e in tomllib.loads(path.read_text("utf-8"))["known"] if "[" in e["test"])
    assert strangers(f"[[known]]\ntest = '{entry['test']}'\n", collected) == []
    for wrong in (entry["test"].replace("::test_", "::test_no_"), entry["test"].replace("[", "[no-")):
        assert strangers(f"[[known]]\ntest = '{wrong}'\n", collected) == [wrong]


@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.stem)
def test_no_test_stands_twice_in_a_list(path):
    tests = [entry["test"] for entry in tomllib.loads(path.read_text("utf-8"))["known"]]
    assert sorted(set(tests)) == sorted(tests)


def test_lists_of_docker_pys_tests_are_well_formed():
    lists = known.read(sorted((ROOT / "reports/known/docker-py").glob("*.toml")))
    tests = [entry["test"] for content in lists for entry in content["known"]]
    assert tests
    assert all(test.startswith("tests/integration/") for test in tests)

"""The cases that are shipped: enough of them, of every group, without a fault, and without an engine's name."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from seatrial.oct import library, validate
from seatrial.oct.model import GROUPS, Case

CASES = Path(__file__).parents[3] / "oct/cases"


@pytest.fixture(scope="module")
def entries():
    return library.load(CASES)


def test_no_case_has_a_fault_or_a_doubt():
    reports = validate.validate([CASES])
    assert len(reports) >= 60
    assert [str(one) for report in reports for one in report.diagnostics] == []


def test_every_group_has_cases_and_the_directory_is_the_name(entries):
    found = Counter(entry.group.partition("/")[0] for entry in entries)
    assert set(found) == set(GROUPS)
    assert min(found.values()) >= 9
    for entry in entries:
        assert entry.path == f"{entry.group.partition('/')[0].lower()}/{entry.name}"


def test_no_case_names_an_engine_in_what_it_does(entries):
    assert len(entries) >= 60
    for entry in entries:
        document = json.loads((CASES / entry.path / "case.json").read_text())
        text = json.dumps({name: document[name] for name in ("Deploys", "Run", "Collects", "Expect")})
        assert not re.search(r"\b(docker|podman|runc|crun|nerdctl)\b", text), entry.name


def test_every_case_says_where_its_expectation_comes_from(entries):
    for entry in entries:
        case = Case.load(json.loads((CASES / entry.path / "case.json").read_text()))
        assert case.refs, entry.name
        assert all(ref.spec and ref.anchor for ref in case.refs), entry.name
        assert case.expect, entry.name


def test_some_speak_of_bundles_and_most_of_anything(entries):
    kinds = Counter(next((need for need in entry.needs if need in ("engine", "runtime")), "any") for entry in entries)
    assert kinds["any"] >= 40
    assert kinds["runtime"] >= 5
    assert kinds["engine"] >= 25


def test_each_idea_of_the_original_is_a_case_that_is_there(entries):
    text = (CASES.parents[1] / "docs/oct.md").read_text()
    rows = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("| ") and "---" not in line][1:]
    assert len(rows) >= 22
    names = {entry.name for entry in entries}
    for idea, _, cases in rows:
        named = re.findall(r"`([a-z0-9-]+)`", cases)
        assert named, idea
        assert [name for name in named if name not in names] == [], idea


@pytest.mark.parametrize(("name", "field"), [
    ("distribution-of-the-host", '"Distribution"'), ("hosts-of-their-own", '"Amount": 2'),
    ("processes-at-start", '"Baseline"'), ("oci-version-unknown", '"KnownFail"'),
])  # fmt: skip
def test_fields_that_few_cases_need_are_shown_by_one(entries, name, field):
    (entry,) = [entry for entry in entries if entry.name == name]
    assert field in (CASES / entry.path / "case.json").read_text()
    assert f"`{name}`" in (CASES.parents[1] / "docs/oct.md").read_text()

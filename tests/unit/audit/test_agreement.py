"""Verdicts held against those of docker-bench-security on the same labs (record.py recorded both)."""

import json
import re
from pathlib import Path

import pytest

from seatrial.audit.checks import CHECKS
from seatrial.audit.model import State, judge

HERE = Path(__file__).parent
DOCS = HERE.parents[2] / "docs/audit.md"
SAME = {
    "PASS": {State.PASS},
    "WARN": {State.FAIL, State.MANUAL},
    "INFO": {State.MANUAL, State.NOT_APPLICABLE},
    "NOTE": {State.MANUAL, State.NOT_APPLICABLE},
}


def explained():
    """Return the numbers that the page explains differences of."""
    section = DOCS.read_text().partition("## Where the two differ")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([0-9., ]+) \|", section, re.M)
    return {number for row in rows for number in row.split(", ")}


def differences(scenes, name):
    told = json.loads((HERE / f"recorded/{name}-bench.json").read_text())
    found = {one.check.cis: one.outcome.state for one in judge(CHECKS, scenes.load(HERE / f"recorded/{name}.json"))}
    both = [number for number in told if number in found]
    assert len(both) > 110
    return {number for number in both if found[number] not in SAME[told[number]]}, set(told) - set(found)


@pytest.mark.parametrize("name", ["open", "hardened"])
def test_verdicts_agree_or_the_difference_is_explained(scenes, name):
    differ, missing = differences(scenes, name)
    assert differ - explained() == set()
    assert missing == set()


def test_no_explanation_is_out_of_date(scenes):
    seen = differences(scenes, "open")[0] | differences(scenes, "hardened")[0]
    assert explained() - seen == set()


def test_the_page_lists_every_check():
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| ([0-9.]+|-) \| (\d)(, by hand)? \| (\w+) \|", DOCS.read_text(), re.M)
    assert rows == [
        (check.id, check.cis or "-", str(check.level), "" if check.scored else ", by hand", check.severity.value)
        for check in CHECKS
    ]

"""Verdicts held against those of docker-bench-security on the same labs (record.py recorded both)."""

import json
import re
from pathlib import Path

import pytest

from seatrial.audit.checks import CHECKS
from seatrial.audit.model import State, judge

HERE = Path(__file__).parent
RECORDED = ["open", "hardened", "tls"]
DOCS = HERE.parents[2] / "docs/audit.md"
SAME = {
    "PASS": {State.PASS},
    "WARN": {State.FAIL},
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
    found = {one.check.cis: one for one in judge(CHECKS, scenes.load(HERE / f"recorded/{name}.json"))}
    both = [number for number in told if number in found]
    assert len(both) > 110
    return {number for number in both if not same(found[number], told[number])}, set(told) - set(found)


def same(finding, verdict):
    """Whether the two agree; what the benchmark leaves to a person may be left to one here, where the script warns."""
    by_hand = verdict == "WARN" and not finding.check.scored and finding.outcome.state is State.MANUAL
    return by_hand or finding.outcome.state in SAME[verdict]


@pytest.mark.parametrize("name", RECORDED)
def test_verdicts_agree_or_the_difference_is_explained(scenes, name):
    differ, missing = differences(scenes, name)
    assert differ - explained() == set()
    assert missing == set()


def test_no_explanation_is_out_of_date(scenes):
    seen = set().union(*(differences(scenes, name)[0] for name in RECORDED))
    assert explained() - seen == set()


def test_the_page_lists_every_check():
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| ([0-9.]+|-) \| (\d)(, by hand)? \| (\w+) \|", DOCS.read_text(), re.M)
    assert rows == [
        (check.id, check.cis or "-", str(check.level), "" if check.scored else ", by hand", check.severity.value)
        for check in CHECKS
    ]

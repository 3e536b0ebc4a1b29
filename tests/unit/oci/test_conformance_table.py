"""The comparison with the reference program names claims that there are and that tests name."""

import csv
import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/registries.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines()
    if line.startswith("| ") and not line.startswith(("| its test", "| **"))
]  # fmt: skip


def claims():
    with (ROOT / "suites/oci/claims/distribution.tsv").open() as table:
        return {row["id"]: row for row in csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE)}


def test_every_row_has_a_test_of_theirs_and_claims_of_ours():
    assert len(ROWS) == 52
    known = claims()
    for theirs, ours, difference in ROWS:
        assert theirs
        assert ours == "none" or all(claim in known for claim in ours.split()), theirs
        assert ours != "none" or difference, f"{theirs}: why not"
        assert ours == "none" or not [claim for claim in ours.split() if known[claim]["untested"]], theirs


def test_claims_that_the_page_names_are_named_by_tests():
    tests = "".join(path.read_text() for path in sorted((ROOT / "suites/oci/distribution").glob("test_*.py")))
    named = set(re.findall(r"dist-\d{3}", PAGE))
    assert len(named) > 50
    assert [claim for claim in sorted(named) if f'"{claim}"' not in tests] == []


def test_the_page_counts_the_faults_that_there_are(kit):
    faults = kit("registry_faults").every()
    assert f": {len(faults)} faults, from" in PAGE

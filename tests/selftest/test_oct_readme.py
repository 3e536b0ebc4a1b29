"""The example of oct/README.md is checked and run as it stands there."""

import json
import re
from pathlib import Path

README = Path(__file__).parents[2] / "oct/README.md"


def test_the_example_validates_without_a_warning_and_passes(project):
    (example,) = re.findall(r"```json\n(.*?)```", README.read_text(), re.DOTALL)
    name = json.loads(example)["Name"]
    place = project.root / "cases/function" / name
    place.mkdir(parents=True)
    (place / "case.json").write_text(example)
    checked = project.seatrial("oct", "validate", "--strict", "cases")
    assert checked.returncode == 0, checked.stdout
    ran = project.seatrial("oct", "run", "--library", "cases", "--engine", "podman@bookworm")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert sorted((result.test.partition("[")[2], result.verdict.value) for result in project.run.results) == [
        ("good day]", "PASS"), ("hello]", "PASS"),
    ]  # fmt: skip

"""What a test is run again with: itself, its targets, and what of the run it cannot do without."""

import pytest

from seatrial.report.wording import carried, rerun


@pytest.mark.parametrize(
    ("command", "kept"),
    [
        (["pytest", "suites", "-n", "8", "--engine", "docker"], []),
        (["pytest", "suites", "--slow", "--deadline", "60m"], ["--slow"]),
        (["pytest", "--image", "my:1", "--set", "a=1", "--set=b=2"], ["--image", "my:1", "--set", "a=1", "--set=b=2"]),
        (["pytest", "--registry-ca=ca.pem", "--registry", "http://h:1"],
         ["--registry-ca=ca.pem", "--registry", "http://h:1"]),
        (["pytest", "--image"], ["--image"]),
    ],
)  # fmt: skip
def test_options_that_a_test_needs_are_carried_over(command, kept):
    assert carried(command) == kept


def test_what_runs_a_test_again_is_fit_for_a_shell():
    line = rerun("t.py::test_x[it's]", ["docker"], ["--slow", "--image", "a b"])
    assert line == "pytest 't.py::test_x[docker-it'\\''s]' --engine docker --slow --image 'a b'"

"""Targets of make that take one engine say so."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="needs make")


def make(*args):
    return subprocess.run(["make", "--dry-run", *args], cwd=ROOT, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("goal", ["bench", "mutants", "test-docker-py"])
def test_one_engine_is_taken_and_several_are_refused(goal):
    one = make(goal, "ENGINE=docker@sid", "DOCKER_PY=checkout")
    assert one.returncode == 0, one.stderr
    assert "--engine 'docker@sid'" in one.stdout
    several = make(goal, "ENGINE=docker@sid podman@sid", "DOCKER_PY=checkout")
    assert several.returncode == 2
    assert f"make {goal} takes one ENGINE, not several: docker@sid podman@sid" in several.stderr


def test_suites_take_several():
    assert "--engine 'docker@sid' --engine 'podman@sid'" in make("suites", "ENGINE=docker@sid podman@sid").stdout


@pytest.mark.parametrize(("goal", "deadline"), [("suites", "60m"), ("suite-cli", "60m"), ("suites-full", "8h")])
def test_all_engines_get_more_time_and_timeout_overrides(goal, deadline):
    assert f"--deadline {deadline} " in make(goal).stdout
    assert "--deadline 90m " in make(goal, "TIMEOUT=90m").stdout


def test_each_engine_gets_an_hour():
    assert "--deadline 120m " in make("suites", "ENGINE=docker@sid podman@sid").stdout


@pytest.mark.parametrize("regex", ["A|B", "it's", "Run.*$$"])
def test_a_regex_reaches_pytest_in_one_piece_whatever_a_shell_thinks_of_it(regex, tmp_path):
    """The recipe is run with a python that prints its words."""
    words = tmp_path / "python"
    words.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    words.chmod(0o755)
    ended = subprocess.run(
        ["make", "--silent", "-o", ".venv/.ready", "suite-cli", f"PY={words}", f"TESTFLAGS=-check.f {regex}"],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert f"--testflags=-check.f {regex.replace('$$', '$')}" in ended.stdout.splitlines()

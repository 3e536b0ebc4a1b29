"""Runtimes that are broken on purpose: each is told as broken in time, and none passes."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# the lab's own runtime does what the script does not
SCRIPT = """#!/bin/sh
verb=
for word; do
    case $word in
    create | start | state | kill | delete | run | exec | list | features | --version) verb=$word; break ;;
    esac
done
FAULT
exec /usr/sbin/runc "$@"
"""
TESTS = "test_state_has_the_id or test_pid_is_the_process or test_a_namespace_without or test_a_container_can_be"
FAULTS = {
    "hangs in create": ("create", "sleep 600"),
    "hangs in state": ("state", "exec sleep 600"),
    "crashes in create": ("create", "kill -SEGV $$"),
    "prints help and exits with 0": ("create|start|state|kill|delete", 'echo "Usage: runtime [OPTION]..."; exit 0'),
    "does nothing and exits with 0": ("create|start|state|kill|delete", "exit 0"),
    "writes rubbish to state": ("state", "head -c 100000 /dev/urandom; exit 0"),
    "eats all output": ("create|start|state", 'exec /usr/sbin/runc "$@" >/dev/null 2>&1'),
    "says no version": ("--version", "exit 0"),
}


@pytest.fixture
def suite(tmp_path, places):
    """A copy of the suites' tests of runtimes, small enough to be run in a moment."""
    shutil.copytree(ROOT / "suites/oci", tmp_path / "suites/oci")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copy(ROOT / "conftest.py", tmp_path)
    return tmp_path


def run(suite, places, runtime, timeout):
    environment = {**{k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}, **places}
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "suites/oci/runtime", "-k", TESTS, "--engine", f"runtime:{runtime}@bookworm"],
        cwd=suite, env=environment, capture_output=True, text=True, timeout=timeout,
    )  # fmt: skip
    return done, time.monotonic() - began


def script(suite, fault):
    path = suite / "broken-runtime"
    path.write_text(SCRIPT.replace("FAULT", fault))
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("name", FAULTS)
def test_a_broken_runtime_never_passes(suite, places, name):
    verbs, act = FAULTS[name]
    done, duration = run(suite, places, script(suite, f"case $verb in {verbs}) {act} ;; esac"), 150)
    assert done.returncode in (1, 4), done.stdout[-2000:]
    assert duration < 120
    assert " passed" not in done.stdout
    said = done.stdout + done.stderr
    assert "E106" in said or "E110" in said, said[-2000:]
    assert "Traceback" not in said


@pytest.mark.parametrize(("verbs", "act"), [
    ("kill", "sleep 600"), ("state", '/usr/sbin/runc "$@" | tr a-z A-Z; exit 0'), ("delete", "exit 0"),
])  # fmt: skip
def test_a_runtime_that_breaks_later_fails_its_tests(suite, places, verbs, act):
    """The session's own container is not spoilt, only those of the tests are: the first id that is seen is its."""
    seen = suite / "first"
    guard = (f'id=$(printf %s "$*" | grep -o "st-[0-9a-f]*" | tail -1)\n'
             f'[ -z "$id" ] || [ -s {seen} ] || echo "$id" >{seen}\n'
             f'case "$id" in ""|$(cat {seen} 2>/dev/null)) ;; *) case $verb in {verbs}) {act} ;; esac ;; esac')
    done, duration = run(suite, places, script(suite, guard), 250)
    assert done.returncode == 1, done.stdout[-2000:] + done.stderr[-500:]
    assert duration < 220
    assert "FAIL" in done.stdout


def test_the_same_script_without_a_fault_passes(suite, places):
    done, _ = run(suite, places, script(suite, ":"), 150)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-500:]
    assert "passed" in done.stdout

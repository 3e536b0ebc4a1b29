"""Signals that are ignored here reach what is started from here, and still do nothing here."""

import subprocess
import sys

PROGRAM = """
import os, signal, subprocess, sys
from seatrial import signals

assert signals.endure() == ([signal.SIGHUP] if sys.argv[1] == "ignored" else [])
child = ["sh", "-c", "trap 'echo trapped' HUP; kill -HUP $$; echo on"]
print(subprocess.run(child, capture_output=True, text=True, check=True).stdout.split(), flush=True)
os.kill(os.getpid(), signal.SIGHUP)
print("alive", flush=True)
"""


def started(how):
    """Run the program, with hang-ups ignored or not."""
    trap = "trap '' HUP; " if how == "ignored" else ""
    return subprocess.run(["sh", "-c", trap + 'exec "$@"', "sh", sys.executable, "-c", PROGRAM, how],
                          capture_output=True, text=True, check=False)  # fmt: skip


def test_an_ignored_hangup_reaches_what_is_started_and_ends_nothing_here():
    assert started("ignored").stdout.splitlines() == ["['trapped', 'on']", "alive"]


def test_a_hangup_that_is_not_ignored_ends_us_as_ever():
    assert started("heeded").stdout.splitlines() == ["['trapped', 'on']"]

"""Commands that leave a process behind end when they end."""

import os
import sys
import time

import pytest

from seatrial.exec import ExpectationError, run
from seatrial.spool import Spool


def test_a_process_that_stays_holds_nobody_up():
    began = time.monotonic()
    result = run(["sh", "-c", "echo done; sleep 3 & echo err >&2"], spool=Spool())
    assert time.monotonic() - began < 2
    assert (result.stdout, result.stderr) == ("done\n", "err\n")


def test_input_is_handed_on_and_none_is_empty():
    assert run(["cat"], spool=Spool(), stdin="words\n").stdout == "words\n"
    assert run(["cat"], spool=Spool()).stdout == ""


def test_one_that_hangs_is_killed():
    with pytest.raises(ExpectationError, match="did not end within"):
        run(["sleep", "60"], spool=Spool(), timeout=0.3)


def test_no_more_than_the_limit_is_kept():
    result = run(["head", "-c", "100000", "/dev/zero"], spool=Spool(limit=1000))
    assert len(result.out) == 1000


def test_streams_and_descriptors_of_the_caller_are_used():
    reader, writer = os.pipe()
    try:
        script = f"import os; os.write(1, b'out\\n'); os.write({writer}, b'passed\\n')"
        result = run([sys.executable, "-c", script], spool=Spool(stdout=writer, passed=(writer,)))
    finally:
        os.close(writer)
    assert result.stdout == ""
    assert os.read(reader, 100) == b"out\npassed\n"
    os.close(reader)

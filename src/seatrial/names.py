"""Names and labels of everything the harness makes, so that what is left over names its culprit."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import time
from pathlib import PurePosixPath

RUN_LABEL = "seatrial.run"
TEST_LABEL = "seatrial.test"
IMAGE_NAMESPACE = "localhost/seatrial-test"

BUSYBOX = "localhost/seatrial/busybox:latest"
TOOLBOX = "localhost/seatrial/toolbox:latest"
PROBE = "localhost/seatrial/probe:latest"


def new_run_id() -> str:
    """Return a run id that sorts by time and is valid in labels, names and paths."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{os.getpid() % 0x10000:04x}{secrets.token_hex(1)}"


def test_key(node: str) -> str:
    """Return the short id of a test on a target in a run: eight hex digits, the same in all its names."""
    return hashlib.sha256(node.encode()).hexdigest()[:8]


def slug(text: str, length: int = 80) -> str:
    """Turn any text into a file name: letters, digits, dots and dashes."""
    return re.sub(r"[^A-Za-z0-9.@+-]+", "-", text).strip("-.")[:length] or "x"


def gocheck(name: str) -> str:
    """Turn a Python name into the one that Docker's own suite would use: test_run_echo is TestRunEcho."""
    return "".join(word[:1].upper() + word[1:] for word in name.split("_"))


def gocheck_id(test: str) -> str:
    """Turn a pytest id into Docker's Suite.Test: the class, or else the directory, is the suite.

    suites/cli/test_run.py::test_echo[a] is Cli.TestEcho[a].
    """
    path, _, rest = test.partition("::")
    body, bracket, parameters = rest.partition("[")
    *classes, function = body.split("::")
    suite = classes[-1] if classes else gocheck(PurePosixPath(path).parent.name or "suites")
    return f"{suite}.{gocheck(function)}{bracket}{parameters}"

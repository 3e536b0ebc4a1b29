"""What tests of several suites share."""

import pytest


@pytest.fixture
def greeter():
    """Call it with an engine and options of `run` to have a container say hello on port 80."""

    def start(bench, *options):
        c = bench.run(*options, bench.image, "sh", "-c", "while :; do echo hello | nc -l -p 80; done")
        c.until("listening", lambda: 80 in c.kernel.listeners())
        return c

    return start

"""What tests of several suites share."""

import pytest

from seatrial.exec import run


@pytest.fixture
def greeter():
    """Call it with an engine and options of `run` to have a container say hello on port 80."""

    def start(bench, *options):
        c = bench.run(*options, bench.image, "sh", "-c", "while :; do echo hello | nc -l -p 80; done")
        c.until("listening", lambda: 80 in c.kernel.listeners())
        return c

    return start


@pytest.fixture
def remapping(private_engine):
    """Call it with a number to get a daemon of the test's own whose containers have users from that number on."""

    def start(first):
        d = private_engine("--userns-remap", "daemon", start=False)
        for file in ("subuid", "subgid"):
            d.host.path(f"/etc/{file}").write_text(f"daemon:{first}:65536\n")
        d.daemon.start()
        d.provide_image()
        return d

    return start


@pytest.fixture
def host_namespace(engine):
    """Call it with a kind (pid, net, ...) to get the namespace of the engine's host, as `kernel.namespace` names it."""

    def get(kind):
        return run(["readlink", f"/proc/self/ns/{kind}"], host=engine.raw.host, journal=engine.journal).text

    return get


@pytest.fixture
def small(private_daemon):
    """Makes a daemon whose data is on a small tmpfs with the given options of mount(8)."""

    def make(options, **more):
        d = private_daemon("--data-root", "/small", start=False, **more)
        d.host.path("/small").mkdir()
        run(["mount", "-t", "tmpfs", "-o", options, "small", "/small"], host=d.host, journal=d.journal)
        d.daemon.start()
        d.provide_image()
        return d

    return make

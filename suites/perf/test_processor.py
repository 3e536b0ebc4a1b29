"""Work in a container is as fast as beside it: no hypervisor lies between."""

import os

import pytest

from seatrial.perf import tools

claim, requires = pytest.mark.claim, pytest.mark.requires
CPUS = len(os.sched_getaffinity(0))


@claim("perf-010")
@requires("root")
@pytest.mark.parametrize("threads", sorted({1, CPUS}))
def test_computing_is_as_fast_as_on_the_host(engine, box, measure, threads):
    found = measure.turns(
        f"prime numbers, threads: {threads}",
        {"host": lambda: tools.processor(tools.outside(engine), threads),
         "container": lambda: tools.processor(tools.inside(engine, box.name), threads)},
        unit="1/s", more_is_better=True, pairs=12,
    )  # fmt: skip
    measure.ratio(found, "container", at_least=0.95)


@claim("perf-011")
@requires("root")
def test_memory_is_as_fast_as_on_the_host(engine, box, measure):
    found = measure.turns(
        "memory bandwidth",
        {"host": lambda: tools.memory(tools.outside(engine)),
         "container": lambda: tools.memory(tools.inside(engine, box.name))},
        unit="MiB/s", more_is_better=True, pairs=12,
    )  # fmt: skip
    measure.ratio(found, "container", at_least=0.9)


COUNT = 500_000
SCRIPT = f"""\
read began rest </proc/uptime
{{busybox}}dd if=/dev/zero of=/dev/null bs=1 count={COUNT} 2>/dev/null
read ended rest </proc/uptime
echo $began $ended"""


def calls(text):
    """System calls a second of a dd that copies byte by byte, two calls each; /proc/uptime tells hundredths."""
    began, ended = map(float, text.split())
    return 2 * COUNT / (ended - began)


@claim("perf-012")
@requires("root", "seccomp")
def test_the_filter_of_system_calls_costs_less_than_half(engine, measure):
    confined = engine.run()
    free = engine.run("--security-opt", "seccomp=unconfined")
    outside = tools.outside(engine)

    def host():
        return calls(outside("busybox", "sh", "-c", SCRIPT.format(busybox="busybox ")))

    def inside(container):
        return lambda: calls(container.sh(SCRIPT.format(busybox="")).stdout)

    sides = {"no filter": inside(free), "filter": inside(confined), "host": host}
    found = measure.turns("system calls", sides, unit="1/s", more_is_better=True, pairs=12)
    measure.ratio(found, "filter", at_least=0.5)
    measure.ratio(found, "host", at_most=2.0)

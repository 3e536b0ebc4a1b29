"""What containers and the engine use: the engine's own figures against the kernel's, and the cost of being idle."""

import time

import pytest

from seatrial.hosts import connect
from seatrial.perf.measure import Measured, Sample
from seatrial.stress.monitor import Probe

claim, requires = pytest.mark.claim, pytest.mark.requires
SPIN = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; sleep 3600"


def usage(container):
    """The container's CPU time in nanoseconds as the kernel counts it."""
    group = container.kernel.cgroup_path("cpuacct")
    if (group / "cpuacct.usage").exists():
        return int((group / "cpuacct.usage").read_text())
    fields = dict(line.split() for line in (group / "cpu.stat").read_text().splitlines())
    return 1000 * int(fields["usage_usec"])


@claim("perf-040")
@requires("api", "cgroup_watch")
def test_the_cpu_time_in_stats_is_the_kernels(engine):
    c = engine.run(engine.image, "sh", "-c", SPIN)
    for _ in range(5):
        before = usage(c)
        told = engine.api.get(f"/containers/{c.name}/stats", query={"stream": False}).json()["cpu_stats"]["cpu_usage"]
        after = usage(c)
        assert before <= told["total_usage"] <= after
    assert after > 10_000_000


@claim("perf-041")
@requires("api", "memory", "cgroup_watch")
def test_the_memory_in_stats_is_within_the_kernels(engine):
    c = engine.run("--memory", "64m", engine.image, "sh", "-c", "head -c 8000000 /dev/zero | tail; sleep 3600")
    c.until("holding memory", lambda: c.kernel.cgroup("memory_usage") > 100_000)
    told = engine.api.get(f"/containers/{c.name}/stats", query={"stream": False}).json()["memory_stats"]
    assert told["limit"] == 64 << 20
    assert 0 < told["usage"] <= told["limit"]
    assert abs(told["usage"] - c.kernel.cgroup("memory_usage")) < 4 << 20


@claim("perf-042")
@requires("api", "local_engine", "cgroup_watch")
def test_the_bytes_in_stats_are_the_interfaces(engine):
    c = engine.run(engine.image, "nc", "-ll", "-p", "7", "-e", "cat")
    c.until("listening", lambda: 7 in c.kernel.listeners())
    with connect(engine.raw.host, (c.address, 7)) as line:
        for _ in range(3):
            line.sendall(b"x" * 1000)
            seen = b""
            while len(seen) < 1000:
                part = line.recv(1000)
                assert part, "the echo ended"
                seen += part
    told = engine.api.get(f"/containers/{c.name}/stats", query={"stream": False}).json()["networks"]["eth0"]
    rows = {line.split(":")[0].strip(): line.split(":")[1].split() for line in
            (c.kernel.proc / "net/dev").read_text().splitlines()[2:]}  # fmt: skip
    received, sent = int(rows["eth0"][0]), int(rows["eth0"][8])
    assert sent >= 3 * 1000
    assert 3000 <= told["tx_bytes"] <= sent
    assert 3000 <= told["rx_bytes"] <= received


def written(container):
    """The bytes that the kernel has counted as written by a container to disks."""
    group = container.kernel.cgroup_path("blkio")
    old = group / "blkio.throttle.io_service_bytes_recursive"
    if old.exists():
        rows = [line.split() for line in old.read_text().splitlines()]
        return sum(int(row[2]) for row in rows if row[1:2] == ["Write"])
    return sum(int(word.partition("=")[2]) for word in (group / "io.stat").read_text().split()
               if word.startswith("wbytes="))  # fmt: skip


@claim("perf-045")
@requires("api", "cgroup_watch")
def test_the_bytes_to_disks_in_stats_are_the_kernels(engine, toolbox):
    c = engine.run("--volume", f"{engine.volume()}:/v", toolbox, "sleep", "3600")
    c.sh("dd if=/dev/zero of=/v/f bs=1M count=8 oflag=direct")
    before = written(c)
    assert before >= 8 << 20
    told = engine.api.get(f"/containers/{c.name}/stats", query={"stream": False}).json()["blkio_stats"]
    rows = [row["value"] for row in told["io_service_bytes_recursive"] if row["op"].lower() == "write"]
    assert rows, "the bytes of each disk are told"
    assert before <= sum(rows) <= written(c)


def engines(sample, word):
    """The sum of a figure over the processes of an engine; those of containers are not among them."""
    values = [value for name, value in sample.items() if name.startswith(f"{word}:")]
    assert values, "the engine has processes"
    return sum(values)


@claim("perf-043")
@requires("local_engine", "root")
@pytest.mark.parametrize("each", [2, pytest.param(6, marks=pytest.mark.slow)])
def test_an_idle_container_costs_the_engine_less_than_thirty_megabytes(engine, measure, each):
    """Each sample is what half of all containers have added: points that far apart share none (Theil 1950)."""
    probe, seen = Probe(engine.raw.host), []
    with measure.watched() as watch:
        began, rounds = time.monotonic(), measure.rounds(8)
        for _ in range(2 * rounds):
            seen.append(Sample(time.monotonic() - began, engines(probe.sample(), "pss")))
            watch.tick()
            for _ in range(each):
                engine.run()
    # one that gave memory back meanwhile paid nothing: a kB, since ratios need something
    costs = [Sample(last.at, max(0.001, (last.value - first.value) / (each * rounds) / 1e6))
             for first, last in zip(seen[:rounds], seen[rounds:], strict=True)]  # fmt: skip
    found = measure.keep(Measured(f"memory of the engine per container, of {2 * each * rounds}", "MB",
                                  {"engine": costs}, watch.state))  # fmt: skip
    assert engine.cli("version").ok
    measure.value(found, "engine", at_most=30.0)


@claim("perf-044")
@requires("local_engine", "root")
def test_an_engine_with_idle_containers_is_idle(engine, measure):
    for _ in range(5):
        engine.run()
    probe = Probe(engine.raw.host)

    def share():
        before, began = engines(probe.sample(), "cpu"), time.monotonic()
        time.sleep(2)
        return max(0.01, 100 * (engines(probe.sample(), "cpu") - before) / (time.monotonic() - began))

    found = measure.turns("CPU of the engine with five idle containers", {"engine": share}, unit="%", pairs=8)
    measure.value(found, "engine", at_most=5.0)

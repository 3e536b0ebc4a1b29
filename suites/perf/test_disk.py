"""Files: on a volume, a bind mount and the container's own layer against the host, and what layers cost and save."""

import os
import tempfile
import time
from pathlib import Path

import pytest

from seatrial import proc
from seatrial.perf import tools
from seatrial.perf.measure import Measured, Sample

claim, requires = pytest.mark.claim, pytest.mark.requires
SLOW = pytest.mark.slow
MEGABYTES = 48


@claim("perf-020")
@requires("root")
@pytest.mark.parametrize("job", [
    pytest.param(job, marks=() if job in ("random reads", "synced writes") else SLOW) for job in tools.JOBS
])  # fmt: skip
def test_mounts_are_half_as_fast_as_the_host_or_faster(engine, box, measure, job):
    outside, inside = tools.outside(engine), tools.inside(engine, box.name)
    sides = {"host": lambda: tools.disk(outside, job, str(engine.workdir / "beside"))}
    for place in ("bind", "volume", "layer"):
        sides[place] = lambda place=place: tools.disk(inside, job, f"/{place}")
    found = measure.turns(f"fio: {job}", sides, unit="1/s", more_is_better=True, pairs=8)
    measure.ratio(found, "bind", at_least=0.5)
    measure.ratio(found, "volume", at_least=0.5)


@claim("perf-021")
@requires("root")
def test_a_tmpfs_is_faster_than_a_synced_disk(engine, box, measure):
    inside = tools.inside(engine, box.name)
    sides = {place: lambda place=place: tools.disk(inside, "synced writes", f"/{place}") for place in
             ("volume", "tmpfs")}  # fmt: skip
    found = measure.turns("synced writes in memory", sides, unit="1/s", more_is_better=True, pairs=8)
    measure.ratio(found, "tmpfs", at_least=2.0)


@claim("perf-024")
@requires("root", "overlay")
@pytest.mark.slow
@pytest.mark.parametrize("job", ["random reads", "random writes", "buffered writes"])
def test_a_layer_is_half_as_fast_as_the_host_or_faster(engine, box, measure, job):
    outside, inside = tools.outside(engine), tools.inside(engine, box.name)
    sides = {"host": lambda: tools.disk(outside, job, str(engine.workdir / "beside")),
             "layer": lambda: tools.disk(inside, job, "/layer")}  # fmt: skip
    found = measure.turns(f"fio on a layer: {job}", sides, unit="1/s", more_is_better=True, pairs=12)
    measure.ratio(found, "layer", at_least=0.5)


@pytest.fixture
def shared_memory():
    """A directory of this machine's own tmpfs."""
    with tempfile.TemporaryDirectory(prefix="seatrial-", dir="/dev/shm") as name:
        place = Path(name) / "tmpfs"
        place.mkdir()
        yield place


@claim("perf-025")
@requires("root")
def test_a_tmpfs_is_half_as_fast_as_the_hosts_or_faster(engine, box, measure, shared_memory):
    outside, inside = tools.outside(engine), tools.inside(engine, box.name)
    sides = {"host": lambda: tools.disk(outside, "synced writes", str(shared_memory)),
             "tmpfs": lambda: tools.disk(inside, "synced writes", "/tmpfs")}  # fmt: skip
    found = measure.turns("writes to a tmpfs", sides, unit="1/s", more_is_better=True, pairs=12)
    measure.ratio(found, "tmpfs", at_least=0.5)


@pytest.fixture
def large(engine):
    """An image with one large file of random bytes."""
    (engine.workdir / "data").write_bytes(os.urandom(MEGABYTES << 20))
    return engine.build("FROM IMAGE\nCOPY data /data\n", {"data": (engine.workdir / "data").read_bytes()}).name


@claim("perf-022")
@requires("overlay")
def test_the_first_write_copies_the_whole_file_and_the_second_does_not(engine, large, measure):
    taken = {"second write": [], "first write": []}
    with measure.watched() as watch:
        began = time.monotonic()
        for _ in range(measure.rounds(8)):
            c = engine.run(large, "sleep", "3600")
            file = c.kernel.file("/data")
            for side in ("first write", "second write"):
                watch.tick()
                before = time.perf_counter()
                with file.open("r+b", buffering=0) as stream:
                    stream.write(b"x")
                taken[side].append(Sample(time.monotonic() - began, time.perf_counter() - before))
            size = int(engine.cli("inspect", "--size", "--format", "{{.SizeRw}}", c.name).text)
            assert MEGABYTES << 20 <= size < (MEGABYTES + 1) << 20
            engine.cli("rm", "--force", c.name)
    found = measure.keep(Measured("writing a byte into a large file of the image", "s", taken, watch.state))
    measure.ratio(found, "first write", at_least=5.0)


@claim("perf-023")
@requires("overlay", "root")
def test_containers_of_one_image_share_its_pages(engine, large):
    first, second = engine.run(large, "sleep", "3600"), engine.run(large, "sleep", "3600")
    first.sh("cat /data >/dev/null")
    before = _cached()
    second.sh("cat /data >/dev/null")
    assert _cached() - before < 0.5 * (MEGABYTES << 20)
    inodes = {(os.stat(c.kernel.file("/data")).st_ino) for c in (first, second)}
    assert len(inodes) == 1, "both containers have the same file of the lower layer"


def _cached():
    return 1024 * int(proc.status(Path("/proc/meminfo").read_text())["Cached"].split()[0])

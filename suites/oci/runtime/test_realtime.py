"""Scheduling of a container's processes: real time, idle, bursts above the quota."""

import struct

import pytest

claim, requires = pytest.mark.claim, pytest.mark.requires

pytestmark = pytest.mark.requires("cgroup_v1")

# of one second; a group can have no more than the one above it
HARNESS, LAB, CONTAINER = 200_000, 30_000, 3_000
SCHED_SETSCHEDULER, FIFO = 144, 1


@pytest.fixture
def budget(runtime, bundle):
    """Real time for the groups above the containers; the harness's own keeps it, for other labs may have of it."""
    lab = runtime.create(bundle).kernel.cgroup_path("cpu").parent
    assert lab.parent.name == "seatrial"
    for group, share in ((lab.parent, HARNESS), (lab, LAB)):
        (group / "cpu.rt_runtime_us").write_text(str(share))


def scheduled(bundle, **cpu):
    """Return a bundle whose processes may ask for real time."""
    kinds = ("bounding", "effective", "permitted")
    allowed = {kind: [*bundle.config["process"]["capabilities"][kind], "CAP_SYS_NICE"] for kind in kinds}
    return bundle.with_(process={"capabilities": allowed}, linux={"resources": {"cpu": cpu}})


@claim("CL-cpu-rt")
@requires("realtime_groups")
def test_the_period_of_real_time_is_set(runtime, bundle):
    assert runtime.observe(bundle).host.cgroup("cpu.rt_period_us") == "1000000"
    assert runtime.observe(scheduled(bundle, realtimePeriod=800_000)).host.cgroup("cpu.rt_period_us") == "800000"


@claim("CL-cpu-rt")
@requires("realtime_groups")
@pytest.mark.usefixtures("budget")
def test_the_real_time_is_set(runtime, bundle):
    host = runtime.observe(scheduled(bundle, realtimeRuntime=CONTAINER, realtimePeriod=900_000)).host
    assert (host.cgroup("cpu.rt_runtime_us"), host.cgroup("cpu.rt_period_us")) == (str(CONTAINER), "900000")
    assert runtime.observe(bundle).host.cgroup("cpu.rt_runtime_us") == "0"


@claim("CL-cpu-rt")
@requires("realtime_groups", "amd64", "host_kernel")
@pytest.mark.usefixtures("budget")
def test_with_real_time_a_process_can_have_it_and_without_it_none(runtime, bundle):
    first = struct.pack("i", 1).decode()
    some, none = (runtime.run(scheduled(bundle, realtimeRuntime=share)) for share in (CONTAINER, 0))
    assert some.probe.call(SCHED_SETSCHEDULER, 0, FIFO, first) == "ok"
    assert none.probe.call(SCHED_SETSCHEDULER, 0, FIFO, first) == "EPERM"


@claim("CL-cpu-rt", "CF-valid")
@requires("realtime_groups")
@pytest.mark.usefixtures("budget")
def test_more_real_time_than_there_is_is_an_error(runtime, bundle):
    box = runtime.refuses(scheduled(bundle, realtimeRuntime=900_000))
    assert not box.known


@claim("CL-cpu-rt")
@requires("oci_1_1", "idle_groups")
def test_idle_scheduling_is_set(runtime, bundle):
    assert runtime.observe(bundle).host.cgroup("cpu.idle") == "0"
    assert runtime.observe(scheduled(bundle, idle=1)).host.cgroup("cpu.idle") == "1"


@claim("CL-cpu-burst-set")
@requires("oci_1_1", "burst_groups")
def test_a_burst_is_set(runtime, bundle):
    cpu = {"quota": 50_000, "period": 100_000}
    assert runtime.observe(scheduled(bundle, **cpu)).host.cgroup("cpu.cfs_burst_us") == "0"
    assert runtime.observe(scheduled(bundle, **cpu, burst=20_000)).host.cgroup("cpu.cfs_burst_us") == "20000"

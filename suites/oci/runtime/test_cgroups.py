"""Control groups: where the container is, what its limits are, and what they do."""

import os
import signal
import time

import pytest

from seatrial.exec import FAILURE
from seatrial.expecting import one
from seatrial.oci.bundle import NAMESPACES, device

claim, requires = pytest.mark.claim, pytest.mark.requires

MB = 1 << 20
# one container that answers for most limits
LIMITS = {
    "memory": {"limit": 96 * MB, "reservation": 48 * MB, "swappiness": 11, "disableOOMKiller": True},
    "cpu": {"shares": 333, "quota": 45000, "period": 90000, "cpus": "0", "mems": "0"},
    "pids": {"limit": 77},
}


def limited(bundle, **resources):
    return bundle.with_(linux={"resources": resources})


@pytest.fixture
def host(runtime, bundle):
    """What the host shows of a container with many limits."""
    return runtime.observe(limited(bundle, **LIMITS)).host


@pytest.fixture
def free(runtime, bundle):
    """What the host shows of a container without limits."""
    return runtime.observe(bundle).host


# -- where it is -------------------------------------------------------------------------------


@claim("CL-cg-path-abs", "RT-life-2-res")
@requires("cgroup_v1")
def test_an_absolute_path_is_the_cgroup_in_every_hierarchy(runtime, bundle):
    observed = runtime.observe(bundle)
    tops = {path.name: path for path in runtime.hierarchies()}
    assert len(tops) > 5
    found = {name: path for name, path in observed.host.cgroups.items() if name in tops}
    assert sorted(found) == sorted(tops)
    assert {path.rpartition("/")[2] for path in found.values()} == {observed.created["id"]}


@claim("CL-cg-path-abs")
@requires("cgroup_v1")
def test_an_absolute_path_may_be_deep(runtime, bundle):
    name = runtime.name()
    box = runtime.run(bundle.with_(linux={"cgroupsPath": f"/{name}-deep/er/est"}))
    for path in runtime.hierarchies():
        runtime.adopt_groups(path / f"{name}-deep", path / f"{name}-deep/er")
    files = [path / f"{name}-deep/er/est/cgroup.procs" for path in runtime.hierarchies()]
    assert len(files) > 5
    assert [str(file) for file in files if not file.exists()] == []
    assert [str(file) for file in files if str(box.pid) not in file.read_text().split()] == []
    box.end()


@claim("CL-cg-path-same")
@requires("cgroup_v1")
@pytest.mark.parametrize("slash", ["/", ""], ids=["absolute", "relative"])
def test_the_same_path_is_the_same_cgroup(runtime, bundle, slash):
    named = bundle.with_(linux={"cgroupsPath": f"{slash}{runtime.name()}-same"})
    places = []
    for _ in range(2):
        box = runtime.run(named)
        places.append(box.kernel.cgroup_paths())
        box.end()
    assert places[0]["pids"].endswith("-same")
    assert places[0] == places[1]


@claim("CL-cg-path-same", "RT-life-2-res")
@requires("cgroup_v1")
def test_without_a_path_there_is_a_cgroup_of_its_own(runtime, bundle):
    box = runtime.run(bundle.without("linux.cgroupsPath"))
    assert box.kernel.cgroup_paths()["pids"] != runtime.keeper.cgroup_paths()["pids"]
    other = runtime.run(bundle.without("linux.cgroupsPath"))
    ours, theirs = box.kernel.cgroup_processes, other.kernel.cgroup_processes
    assert box.pid in ours
    assert other.pid in theirs
    assert ours & theirs == set()
    box.end()
    other.end()


@claim("CL-cgown-v1")
@requires("cgroup_v1")
def test_the_cgroup_is_the_hosts(runtime, bundle):
    box = runtime.run(bundle.in_namespaces(*NAMESPACES, "cgroup"))
    for controller in ("memory", "pids", "devices"):
        place = box.kernel.cgroup_path(controller)
        assert {(path.stat().st_uid, path.stat().st_gid) for path in (place, place / "cgroup.procs")} == {(0, 0)}


@claim("CL-ns-new", "CL-cg-path-abs")
def test_in_a_cgroup_namespace_of_its_own_the_cgroup_is_the_root(runtime, bundle):
    seen = runtime.observe(bundle.in_namespaces(*NAMESPACES, "cgroup")).seen
    lines = dict(line.split(":", 2)[1:] for line in seen.text("/proc/self/cgroup").splitlines())
    assert lines.get("pids", lines.get("")) == "/"


@claim("CL-cg-path-bad", "RT-err-atomic")
def test_a_path_that_cannot_be_made_is_an_error(runtime, bundle):
    box = runtime.refuses(bundle.with_(linux={"cgroupsPath": "/cgroup.procs/@ID@"}))
    assert not box.known


# -- values ------------------------------------------------------------------------------------


@claim("CL-mem-limit")
@requires("cgroup_v1")
def test_memory_limit_and_reservation_are_set(host, free):
    assert host.cgroup("memory.limit_in_bytes") == str(96 * MB)
    assert host.cgroup("memory.soft_limit_in_bytes") == str(48 * MB)
    assert int(free.cgroup("memory.limit_in_bytes")) > 1 << 60


@claim("CL-mem-limit")
@requires("cgroup_v1", "swap_accounting")
def test_the_limit_of_memory_with_swap_is_set(runtime, bundle):
    host = runtime.observe(limited(bundle, memory={"limit": 64 * MB, "swap": 80 * MB})).host
    assert host.cgroup("memory.memsw.limit_in_bytes") == str(80 * MB)


@claim("CL-mem-limit")
@requires("cgroup_v1")
def test_no_limit_can_be_asked_for(runtime, bundle):
    host = runtime.observe(limited(bundle, memory={"limit": -1}, pids={"limit": -1}, cpu={"quota": -1})).host
    assert int(host.cgroup("memory.limit_in_bytes")) > 1 << 60
    assert host.cgroup("pids.max") == "max"
    assert host.cgroup("cpu.cfs_quota_us") == "-1"


@claim("CL-mem-swappiness")
@requires("cgroup_v1")
def test_swappiness_and_the_oom_killer_are_set(host, free):
    assert host.cgroup("memory.swappiness") == "11"
    assert "oom_kill_disable 1" in host.cgroup("memory.oom_control")
    assert "oom_kill_disable 0" in free.cgroup("memory.oom_control")


@claim("CL-mem-swappiness")
@requires("cgroup_v1")
def test_a_swappiness_of_zero_is_one_as_any_other(runtime, bundle):
    assert runtime.observe(limited(bundle, memory={"swappiness": 0})).host.cgroup("memory.swappiness") == "0"


@claim("CL-cpu-shares")
@requires("cgroup_v1")
def test_shares_quota_and_period_are_set(host):
    assert host.cgroup("cpu.shares") == "333"
    assert host.cgroup("cpu.cfs_quota_us") == "45000"
    assert host.cgroup("cpu.cfs_period_us") == "90000"


@claim("CL-cpu-shares")
@requires("cgroup_v1")
def test_a_quota_without_a_period_is_of_the_periods_default(runtime, bundle):
    host = runtime.observe(limited(bundle, cpu={"quota": 33000})).host
    assert (host.cgroup("cpu.cfs_quota_us"), host.cgroup("cpu.cfs_period_us")) == ("33000", "100000")


@claim("CL-cpu-cpus")
@requires("cgroup_v1")
def test_processors_and_memory_nodes_are_set(runtime, bundle, host, free):
    assert (host.cgroup("cpuset.cpus"), host.cgroup("cpuset.mems")) == ("0", "0")
    assert host.status["Cpus_allowed_list"] == "0"
    assert free.cgroup("cpuset.cpus") == f"0-{os.cpu_count() - 1}"


@claim("CL-pids")
@requires("cgroup_v1")
def test_the_limit_of_processes_is_set(host, free):
    assert host.cgroup("pids.max") == "77"
    assert free.cgroup("pids.max") == "max"


@claim("CL-pids-zero")
@requires("cgroup_v1", "oci_1_3")
def test_a_limit_of_no_processes_is_one_as_any_other(runtime, bundle):
    box = runtime.create(limited(bundle, pids={"limit": 0}))
    assert box.kernel.cgroup("pids") == 0


@claim("CL-blk-throttle")
@requires("cgroup_v1", "blkio")
@pytest.mark.parametrize(("name", "file"), [
    ("throttleReadBpsDevice", "read_bps_device"), ("throttleWriteBpsDevice", "write_bps_device"),
    ("throttleReadIOPSDevice", "read_iops_device"), ("throttleWriteIOPSDevice", "write_iops_device"),
])  # fmt: skip
def test_a_throttle_is_set(runtime, bundle, name, file):
    major, minor = disk_of(runtime.workdir)
    entry = {"major": major, "minor": minor, "rate": 7654321}
    host = runtime.observe(limited(bundle, blockIO={name: [entry]})).host
    assert host.cgroup(f"blkio.throttle.{file}").split() == [f"{major}:{minor}", "7654321"]


@claim("CL-blk-weight")
@requires("cgroup_v1", "blkio_weight")
def test_the_weight_of_block_devices_is_set(runtime, bundle):
    assert runtime.observe(limited(bundle, blockIO={"weight": 123})).host.cgroup("blkio.weight") == "123"


@claim("CL-huge")
@requires("hugetlb")
def test_the_limit_of_huge_pages_is_set(runtime, bundle):
    entry = {"pageSize": "2MB", "limit": 4 * MB}
    host = runtime.observe(limited(bundle, hugepageLimits=[entry])).host
    files = {name: text.strip() for name, text in host.cgroup_files.items() if name.startswith("hugetlb.2MB")}
    assert str(4 * MB) in (files.get("hugetlb.2MB.limit_in_bytes"), files.get("hugetlb.2MB.max"))


@claim("CL-net-cls")
@requires("net_cls")
def test_the_class_of_network_packets_is_set(runtime, bundle):
    assert runtime.observe(limited(bundle, network={"classID": 1048577})).host.cgroup("net_cls.classid") == "1048577"


@claim("CL-cpu-cpus", "CF-valid")
@pytest.mark.parametrize("what", ["cpus", "memory", "pids", "shares"])
def test_a_limit_that_is_none_is_refused(runtime, bundle, what):
    broken = {
        "cpus": {"cpu": {"cpus": "first"}}, "memory": {"memory": {"limit": "much"}},
        "pids": {"pids": {"limit": "many"}}, "shares": {"cpu": {"shares": -5}},
    }[what]  # fmt: skip
    box = runtime.refuses(limited(bundle, **broken))
    assert not box.known


@claim("CL-cpu-burst", "CF-valid")
@requires("oci_1_1")
def test_a_burst_above_the_quota_is_refused(runtime, bundle):
    runtime.refuses(limited(bundle, cpu={"quota": 20000, "period": 100000, "burst": 30000}))


@claim("CL-blk-one", "CF-valid")
@requires("blkio_weight")
def test_a_weight_of_a_device_without_a_weight_is_refused(runtime, bundle):
    runtime.refuses(limited(bundle, blockIO={"weightDevice": [{"major": 8, "minor": 0}]}))


# -- effects -----------------------------------------------------------------------------------


def disk_of(path):
    """Major and minor number of the whole disk that a path is on."""
    number = os.stat(path).st_dev
    entry = os.path.realpath(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
    if os.path.exists(f"{entry}/partition"):
        entry = os.path.dirname(entry)
    with open(f"{entry}/dev") as file:
        return [int(word) for word in file.read().split(":")]


TAKE = ("/usr/bin/perl", "-e", "my $all = 'x' x (200 << 20); print length $all")


@claim("CL-mem-limit")
def test_no_more_memory_can_be_had_than_the_limit(runtime, bundle):
    small = limited(bundle, memory={"limit": 48 * MB, "swap": 48 * MB})
    assert runtime.foreground(small.args(*TAKE), expect=FAILURE).stdout == ""
    assert runtime.foreground(bundle.args(*TAKE)).stdout == str(200 * MB)


@claim("CL-mem-limit")
@requires("host_kernel")
def test_who_takes_more_memory_than_the_limit_is_killed(runtime, bundle):
    box = runtime.run(limited(bundle, memory={"limit": 48 * MB, "swap": 48 * MB}))
    assert box.probe.take(4 * MB).out == str(4 * MB)
    assert box.probe.take(200 * MB).code == -signal.SIGKILL
    free = runtime.run(bundle)
    assert free.probe.take(200 * MB).out == str(200 * MB)


@claim("CL-pids")
def test_no_more_processes_can_be_had_than_the_limit(runtime, bundle):
    box = runtime.run(limited(bundle, pids={"limit": 20}))
    assert box.seen.pid == 1
    assert box.probe.fork(40) == (19, "EAGAIN")
    free = runtime.run(bundle)
    assert free.probe.fork(40) == (40, "ok")


def used(box):
    """Seconds of processor time that the container has had."""
    group = box.kernel.cgroup_path("cpuacct")
    if (group / "cpuacct.usage").exists():
        return int((group / "cpuacct.usage").read_text()) / 1e9
    return int((group / "cpu.stat").read_text().split()[1]) / 1e6


@claim("CL-cpu-shares")
def test_no_more_processor_time_can_be_had_than_the_quota(runtime, bundle):
    box = runtime.run(limited(bundle, cpu={"quota": 10000, "period": 100000}))
    assert box.seen.pid == 1
    usage, began = used(box), time.monotonic()
    box.probe.spin(2)
    assert (used(box) - usage) / (time.monotonic() - began) < 0.2


@claim("CL-cpu-cpus")
def test_the_container_runs_on_its_processors_only(runtime, bundle):
    box = runtime.run(limited(bundle, cpu={"cpus": "0"}))
    assert box.probe.report().affinity == [0]


@claim("CL-blk-throttle")
@requires("cgroup_v1", "blkio")
def test_a_throttle_slows_writing_down(runtime, bundle):
    major, minor = disk_of(runtime.workdir)
    entry = {"major": major, "minor": minor, "rate": MB}
    box = runtime.run(limited(bundle, blockIO={"throttleWriteBpsDevice": [entry]}))
    assert box.seen.pid == 1
    began = time.monotonic()
    words = ["if=/dev/zero", "of=/big", "bs=1M", "count=2", "oflag=direct"]
    assert box.probe.exec("/bin/busybox", "dd", *words, patience=60).code == 0
    assert time.monotonic() - began > 1.0


RULES = [
    {"allow": False, "access": "rwm"},
    {"allow": True, "type": "c", "major": 1, "minor": 11, "access": "rwm"},
    {"allow": False, "type": "c", "major": 1, "minor": 11, "access": "w"},
    {"allow": True, "type": "c", "major": 10, "minor": 237, "access": "m"},
]


def with_nodes(bundle, *rules):
    """A bundle with rules, in which /node is c 1:11 and MKNOD and SYSLOG are given."""
    capabilities = ["CAP_MKNOD", "CAP_SYSLOG", "CAP_SYS_ADMIN"]
    return limited(bundle, devices=list(rules)).with_(
        process={"capabilities": dict.fromkeys(("bounding", "effective", "permitted"), capabilities)},
        linux={"devices": [device("/dev/node", "c", 1, 11, fileMode=0o666)]},
    )


@claim("CL-devlist-order")
def test_rules_for_devices_are_applied_in_their_order(runtime, bundle):
    box = runtime.run(with_nodes(bundle, *RULES))
    assert box.probe.open("/dev/node", os.O_RDONLY) == "ok"
    assert box.probe.open("/dev/node", os.O_WRONLY) == "EPERM"


@claim("CL-devlist-order")
def test_the_last_rule_for_a_device_counts(runtime, bundle):
    again = {"allow": True, "type": "c", "major": 1, "minor": 11, "access": "w"}
    box = runtime.run(with_nodes(bundle, *RULES, again))
    assert box.probe.open("/dev/node", os.O_WRONLY) == "ok"


@claim("CL-devlist-order")
def test_a_device_that_is_denied_cannot_be_opened(runtime, bundle):
    box = runtime.run(with_nodes(bundle, {"allow": False, "access": "rwm"}))
    assert box.probe.open("/dev/node", os.O_WRONLY) == "EPERM"
    assert box.probe.open("/dev/null", os.O_RDWR) == "ok"


@claim("CL-devlist-order")
@requires("host_kernel")
def test_the_list_of_the_cgroup_is_that_of_the_rules(runtime, bundle):
    box = runtime.run(with_nodes(bundle, *RULES))
    assert box.seen.pid == 1
    listed = (box.kernel.cgroup_path("devices") / "devices.list").read_text().splitlines()
    assert [line for line in listed if line.startswith("c 1:11 ")] == ["c 1:11 rm"]
    assert "a *:* rwm" not in listed


@claim("CL-devlist-order")
@pytest.mark.parametrize("allow", [True, False])
def test_a_rule_for_a_default_device_is_applied(runtime, bundle, allow):
    rules = [
        {"allow": False, "access": "rwm"}, {"allow": allow, "type": "c", "major": 1, "minor": 9, "access": "rwm"},
    ]  # fmt: skip
    box = runtime.run(limited(bundle, devices=rules))
    assert box.probe.open("/dev/urandom", os.O_RDONLY) == ("ok" if allow else "EPERM")


@claim("CL-devlist-allow", "CF-valid")
@pytest.mark.parametrize("rule", [{"allow": True, "type": "x"}, {"allow": True, "access": "rwq"}], ids=str)
def test_a_rule_that_is_none_is_refused(runtime, bundle, rule):
    runtime.refuses(limited(bundle, devices=[rule]))


@claim("CL-cg-fit")
@requires("cgroup_v1", "oci_1_1")
def test_a_frozen_cgroup_is_refused(runtime, bundle):
    name = f"{runtime.name()}-cold"
    top = one(path for path in runtime.hierarchies() if path.name == "freezer")
    runtime.make_group(top / name)
    (top / name / "freezer.state").write_text("FROZEN")
    runtime.refuses(bundle.with_(linux={"cgroupsPath": f"/{name}"}), timeout=8)

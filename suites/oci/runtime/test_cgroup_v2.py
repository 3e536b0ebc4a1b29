"""Control groups of version 2: unified, ownership, limits by their new names."""

import pytest

from seatrial.oci.bundle import NAMESPACES

claim, requires = pytest.mark.claim, pytest.mark.requires

pytestmark = pytest.mark.requires("cgroup_v2")

MB = 1 << 20
CGROUP = {
    "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", "nodev", "noexec"],
}  # fmt: skip
MAPS = {
    "uidMappings": [{"containerID": 0, "hostID": 100000, "size": 2000}],
    "gidMappings": [{"containerID": 0, "hostID": 200000, "size": 2000}],
}


def limited(bundle, **resources):
    return bundle.with_(linux={"resources": resources})


def mapped(bundle, access, *more):
    mount = {**CGROUP, "options": [*CGROUP["options"], access]}
    return bundle.in_namespaces(*NAMESPACES, "user", *more).with_(linux=MAPS).mounted(mount)


@claim("CL-cg-path-abs")
def test_an_absolute_path_is_the_cgroup(runtime, bundle):
    observed = runtime.observe(bundle)
    assert observed.host.cgroups[""].endswith(f"/{observed.created['id']}")


@claim("CL-mem-limit", "CL-pids", "CL-cpu-shares", "CL-cpu-cpus")
def test_limits_are_set_under_their_new_names(runtime, bundle):
    host = runtime.observe(limited(
        bundle, memory={"limit": 96 * MB, "reservation": 48 * MB, "swap": 128 * MB}, pids={"limit": 77},
        cpu={"shares": 1024, "quota": 45000, "period": 90000, "cpus": "0", "mems": "0"},
    )).host  # fmt: skip
    assert host.cgroup("memory.max") == str(96 * MB)
    assert host.cgroup("memory.low") == str(48 * MB)
    assert host.cgroup("memory.swap.max") == str(32 * MB)
    assert host.cgroup("pids.max") == "77"
    assert host.cgroup("cpu.max") == "45000 90000"
    assert host.cgroup("cpuset.cpus") == "0"


@claim("CL-uni-ctrl", "CL-uni-unknown")
def test_keys_of_unified_are_written_as_they_are(runtime, bundle):
    host = runtime.observe(limited(bundle, unified={"memory.high": str(64 * MB), "pids.max": "55"})).host
    assert host.cgroup("memory.high") == str(64 * MB)
    assert host.cgroup("pids.max") == "55"


@claim("CL-uni-err")
@pytest.mark.parametrize("key", ["nosuch.max", "memory.nosuch", "../memory.max"])
def test_a_key_of_unified_that_is_not_there_is_an_error(runtime, bundle, key):
    box = runtime.refuses(limited(bundle, unified={key: "1"}))
    assert not box.known


@claim("CL-cgown-iff", "CL-cgown-files")
@requires("oci_1_1")
def test_a_writable_cgroup_belongs_to_the_container(runtime, bundle):
    box = runtime.run(mapped(bundle, "rw", "cgroup"))
    place = box.kernel.cgroup_path("")
    listed = runtime.host.path("/sys/kernel/cgroup/delegate").read_text().split()
    assert place.stat().st_uid == 100000
    assert {name for name in listed if (place / name).exists() and (place / name).stat().st_uid != 100000} == set()
    assert (place / "memory.max").stat().st_uid == 0


@claim("CL-cgown-iff")
@requires("oci_1_1")
def test_a_read_only_cgroup_stays_the_hosts(runtime, bundle):
    box = runtime.run(mapped(bundle, "ro", "cgroup"))
    assert box.kernel.cgroup_path("").stat().st_uid == 0


@claim("CL-cgown-ns")
@requires("oci_1_1")
def test_without_a_cgroup_namespace_the_cgroup_stays_the_hosts(runtime, bundle):
    box = runtime.run(mapped(bundle, "rw"))
    assert box.kernel.cgroup_path("").stat().st_uid == 0


@claim("CL-devlist-order")
def test_a_device_that_is_denied_cannot_be_opened(runtime, bundle):
    rules = [{"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "major": 1, "minor": 5, "access": "rwm"}]
    box = runtime.run(limited(bundle, devices=rules))
    assert box.probe.open("/dev/zero") == "ok"

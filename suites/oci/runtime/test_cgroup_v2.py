"""Control groups of version 2: unified, ownership, limits by their new names.

What the container's cgroup is, the probe reads in a cgroup namespace of its own: a host with cgroup v2 may be one with
a kernel of its own, whose processes are not seen from here.
"""

import os

import pytest

from seatrial.exec import FAILURE
from seatrial.oci.bench import refused
from seatrial.oci.bundle import NAMESPACES, device

claim, requires = pytest.mark.claim, pytest.mark.requires

pytestmark = pytest.mark.requires("cgroup_v2")

MB = 1 << 20
TOP = "/sys/fs/cgroup"
CGROUP = {"destination": TOP, "type": "cgroup", "source": "cgroup", "options": ["nosuid", "nodev", "noexec"]}
MAPS = {
    "uidMappings": [{"containerID": 0, "hostID": 100000, "size": 2000}],
    "gidMappings": [{"containerID": 0, "hostID": 200000, "size": 2000}],
}
NOBODY = 65534  # whom an owner is that has no number in the container


def limited(bundle, **resources):
    """Return a bundle with limits, whose processes see their own cgroup."""
    return bundle.in_namespaces(*NAMESPACES, "cgroup").mounted(CGROUP).with_(linux={"resources": resources})


def files(runtime, bundle, *names):
    """The texts of files of the container's cgroup; one that is not there is a failure."""
    said = runtime.told(bundle, *(("read", f"{TOP}/{name}") for name in names))
    missing = [name for name, value in zip(names, said.values, strict=True) if value["text"] is None]
    assert missing == []
    return [value["text"].strip() for value in said.values]


def refuses(runtime, bundle):
    box = runtime.place(bundle)
    refused(runtime.cli("run", "--bundle", str(box.directory), box.id, stdin=b"", expect=FAILURE))
    assert not box.known


@claim("CL-cg-path-abs")
def test_an_absolute_path_is_the_cgroup(runtime, bundle):
    name = runtime.name()
    seen = runtime.told(bundle.with_(linux={"cgroupsPath": f"/{name}-deep/er"})).seen
    assert seen.text("/proc/self/cgroup") == f"0::/{name}-deep/er\n"


@claim("CL-mem-limit", "CL-pids", "CL-cpu-shares")
def test_limits_are_set_under_their_new_names(runtime, bundle):
    names = ("memory.max", "memory.low", "pids.max", "cpu.max")
    asked = limited(bundle, memory={"limit": 96 * MB, "reservation": 48 * MB}, pids={"limit": 77},
                    cpu={"quota": 45000, "period": 90000})  # fmt: skip
    assert files(runtime, limited(bundle), *names) == ["max", "0", "max", "max 100000"]
    assert files(runtime, asked, *names) == [str(96 * MB), str(48 * MB), "77", "45000 90000"]


@claim("CL-mem-limit")
@requires("swap_accounting")
def test_the_limit_of_swap_is_that_of_memory_with_swap_less_that_of_memory(runtime, bundle):
    asked = limited(bundle, memory={"limit": 96 * MB, "swap": 128 * MB})
    assert files(runtime, asked, "memory.swap.max") == [str(32 * MB)]


@claim("CL-cpu-shares")
def test_shares_are_a_weight(runtime, bundle):
    low, default, high = (
        int(*files(runtime, limited(bundle, cpu=cpu), "cpu.weight")) for cpu in ({"shares": 64}, {}, {"shares": 65536})
    )
    assert default == 100
    assert 1 <= low < default < high <= 10000


@claim("CL-cpu-cpus")
@requires("cpuset_controller")
def test_processors_are_set(runtime, bundle):
    assert files(runtime, limited(bundle, cpu={"cpus": "0", "mems": "0"}), "cpuset.cpus", "cpuset.mems") == ["0", "0"]


@claim("CL-uni-ctrl", "CL-uni-unknown")
def test_keys_of_unified_are_written_as_they_are(runtime, bundle):
    names = ("memory.high", "pids.max", "memory.oom.group")
    assert files(runtime, limited(bundle), *names) == ["max", "max", "0"]
    unified = {"memory.high": str(64 * MB), "pids.max": "55", "memory.oom.group": "1"}
    assert files(runtime, limited(bundle, unified=unified), *names) == [str(64 * MB), "55", "1"]


@claim("CL-uni-err")
@pytest.mark.parametrize("unified", [
    {"nosuch.max": "1"}, {"memory.nosuch": "1"}, {"../memory.max": "1"}, {"memory.max": "much"}, {"memory.max": 5},
], ids=str)  # fmt: skip
def test_a_key_of_unified_that_is_not_there_or_a_value_that_is_none_is_an_error(runtime, bundle, unified):
    refuses(runtime, limited(bundle, unified=unified))


def owners(runtime, bundle, *names):
    """The user of the container's cgroup and of files of it, as the container sees them."""
    said = runtime.told(bundle, *(("stat", f"{TOP}/{name}") for name in ("", *names)))
    assert None not in said.values
    return [int(fields[1]) for fields in said.values]


def mapped(bundle, access, *more):
    mount = {**CGROUP, "options": [*CGROUP["options"], access]}
    return bundle.in_namespaces(*NAMESPACES, "user", *more).with_(linux=MAPS).mounted(mount)


@claim("CL-cgown-iff", "CL-cgown-files")
@requires("oci_1_1")
def test_a_writable_cgroup_belongs_to_the_container(runtime, bundle):
    listed = runtime.on_host("cat", "/sys/kernel/cgroup/delegate").lines
    there = [name for name in listed if name in ("cgroup.procs", "cgroup.threads", "cgroup.subtree_control")]
    assert there
    asked = mapped(bundle, "rw", "cgroup")
    assert owners(runtime, asked, *there) == [0] * (1 + len(there))
    assert owners(runtime, asked, "memory.max", "pids.max") == [0, NOBODY, NOBODY]


@claim("CL-cgown-iff")
@requires("oci_1_1")
def test_a_read_only_cgroup_stays_the_hosts(runtime, bundle):
    assert owners(runtime, mapped(bundle, "ro", "cgroup"), "cgroup.procs") == [NOBODY, NOBODY]


@claim("CL-cgown-ns")
@requires("oci_1_1")
def test_without_a_cgroup_namespace_the_cgroup_stays_the_hosts(runtime, bundle):
    said = runtime.told(mapped(bundle, "rw"), ("read", "/proc/self/cgroup"), ("stat", TOP))
    place = said.values[0]["text"].strip().removeprefix("0::")
    assert place != "/"
    assert int(said.values[1][1]) == NOBODY


def with_node(bundle, *rules):
    """Return a bundle with rules for devices, in which /dev/node is c 1:11."""
    capabilities = ["CAP_MKNOD", "CAP_SYSLOG", "CAP_SYS_ADMIN"]
    return bundle.with_(
        process={"capabilities": dict.fromkeys(("bounding", "effective", "permitted"), capabilities)},
        linux={"devices": [device("/dev/node", "c", 1, 11, fileMode=0o666)], "resources": {"devices": list(rules)}},
    )


NONE = {"allow": False, "access": "rwm"}
READ, ALL = ({"allow": True, "type": "c", "major": 1, "minor": 11, "access": access} for access in ("r", "rw"))


@claim("CL-devlist-order")
@pytest.mark.parametrize(("rules", "read", "write"), [
    ([NONE], "EPERM", "EPERM"), ([NONE, READ], "ok", "EPERM"), ([NONE, READ, ALL], "ok", "ok"),
    ([NONE, ALL, {**ALL, "allow": False}], "EPERM", "EPERM"),
], ids=["none", "read", "all", "taken-back"])  # fmt: skip
def test_a_device_can_be_opened_as_its_rules_say(runtime, bundle, rules, read, write):
    tries = [("open", "/dev/node", os.O_RDONLY), ("open", "/dev/node", os.O_WRONLY), ("open", "/dev/null", os.O_RDWR)]
    assert runtime.told(with_node(bundle, *rules), *tries).names() == [read, write, "ok"]

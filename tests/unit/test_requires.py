"""Every requirement holds on facts that speak for it, and on no others."""

import copy

import pytest

from seatrial import requires
from seatrial.requires import REQUIREMENTS, Kind

V1 = {"version": "v1", "controllers": ["blkio", "cpu", "freezer", "memory"]}
HYBRID = {"version": "hybrid", "controllers": V1["controllers"]}
V2 = {"version": "v2", "controllers": ["cpu", "io", "memory", "pids"]}
BARE_V1 = {"version": "v1", "controllers": ["cpu"]}
BARE_V2 = {"version": "v2", "controllers": ["cpu"]}
NONE = {"version": "none", "controllers": []}


def host(**facts):
    return {"host": facts, "engine": {}}


def engine(**facts):
    return {"host": {}, "engine": facts}


def limit(name):
    return [engine(limits={name: True})], [engine(limits={name: False})]


def both(on_host, on_engine):
    return {"host": on_host, "engine": on_engine}


def served(minor):
    ranges = [("1.12", "1.51"), (f"1.{minor - 1}", f"1.{minor}")]
    others = [(f"1.{minor}", "1.51"), ("1.12", f"1.{minor - 1}"), ("", "")]
    return tuple([engine(api_oldest=oldest, api_newest=newest) for oldest, newest in rows] for rows in (ranges, others))


# requirement -> (facts with which it holds, facts with which it does not)
def specification(*versions, against):
    return (
        [engine(kind="runtime", spec=version) for version in versions],
        [engine(kind="runtime", spec=against), engine(kind="engine")],
    )


def listing(features, reason=""):
    return engine(kind="runtime", features=features, features_reason=reason)


def feature(key, value, off=None):
    return (
        [listing({"linux": {key: value}})],
        [listing({"linux": {key: off}}), listing({"linux": {}}), listing({}, "no `features` command"),
         engine(kind="engine")],
    )  # fmt: skip


def mount_option(name, before, since):
    return (
        [engine(kind="runtime", features={"mountOptions": [name]}, spec=before),
         engine(kind="runtime", features={}, spec=since)],
        [engine(kind="runtime", features={"mountOptions": ["rw"]}, spec=before),
         engine(kind="engine", features={})],
    )  # fmt: skip


def option(command, name):
    return (
        [engine(kind="runtime", commands={command: ["bundle", name]})],
        [engine(kind="runtime", commands={command: ["bundle", f"{name}-not"]}), engine(kind="engine")],
    )


TABLE = {
    "amd64": ([host(arch="x86_64")], [host(arch="aarch64")]),
    **{f"api_change_1_{minor}": served(minor) for minor in (19, 21, 25, 28, 30, 42, 43, 44, 45)},
    "api_before_1_24": ([engine(api_oldest="1.12")], [engine(api_oldest="1.24"), engine(api_oldest="")]),
    "apparmor": ([host(lsm=["apparmor", "yama"])], [host(lsm=["selinux"]), host(lsm=[])]),
    "before_oci_1_3": specification("1.0.2-dev", "1.1.0+dev", "1.2.1", against="1.3.0"),
    "blkio": (
        [host(cgroup=V1), host(cgroup=V2)],
        [host(cgroup=BARE_V1), host(cgroup=BARE_V2), host(cgroup=NONE)],
    ),
    "blkio_weight": ([host(blkio_weight=True)], [host(blkio_weight=False)]),
    "btrfs": ([host(filesystems=["ext4", "btrfs"])], [host(filesystems=["ext4"])]),
    "btrfs_volume": ([host(btrfs_volume="")], [host(btrfs_volume="there is no mkfs.btrfs")]),
    "slow_disk": ([host(slow_disk="")], [host(slow_disk="/var/lib is on no disk of its own")]),
    "fuse_overlayfs": ([engine(fuse_overlayfs="")], [engine(fuse_overlayfs="there is no /dev/fuse")]),
    "burst_groups": (
        [host(processor_files=["cpu.cfs_burst_us"]), host(processor_files=["cpu.max.burst"])],
        [host(processor_files=["cpu.shares"])],
    ),
    "buildkit": ([engine(buildkit=True)], [engine(buildkit=False)]),
    "cgroup_v1": ([host(cgroup=V1), host(cgroup=HYBRID)], [host(cgroup=V2), host(cgroup=NONE)]),
    "cgroup_v2": ([host(cgroup=V2)], [host(cgroup=V1), host(cgroup=HYBRID), host(cgroup=NONE)]),
    "cpu_period": limit("cpu_period"),
    "cpu_quota": limit("cpu_quota"),
    "cpu_shares": limit("cpu_shares"),
    "cpuset": limit("cpuset"),
    "cpuset_controller": ([host(cgroup={**V2, "controllers": ["cpuset"]})], [host(cgroup=V2), host(cgroup=V1)]),
    "crun": ([engine(runtimes=["crun", "runc"])], [engine(runtimes=["runc"])]),
    "client_settings": ([engine(client_settings=True)], [engine(client_settings=False)]),
    "daemon": ([engine(daemon=True)], [engine(daemon=False)]),
    "daemon_command": ([engine(service="dockerd")], [engine(service="")]),
    "engine": ([engine(kind="engine")], [engine(kind="runtime")]),
    "exec_support": ([engine(exec=True)], [engine(exec=False)]),
    "cgroup_watch": ([engine(cgroup_watch=True)], [engine(cgroup_watch=False)]),
    **{
        f"log_{name.replace('-', '_')}": ([engine(plugins={"log": [name]})], [engine(plugins={"log": []})])
        for name in ("json-file", "local", "syslog", "gelf", "fluentd")
    },
    "experimental": ([engine(experimental=True)], [engine(experimental=False)]),
    "features_command": (
        [engine(kind="runtime", features_reason="")],
        [engine(kind="runtime", features_reason="crun has no `features` command"), engine(kind="engine")],
    ),
    "exec_no_new_privs": option("exec", "no-new-privs"),
    "freezer": ([host(cgroup=V1), host(cgroup=V2)], [host(cgroup=BARE_V1), host(cgroup=NONE)]),
    "healthcheck": (
        [engine(healthcheck=True), both({"systemd": True}, {"healthcheck": "systemd"})],
        [
            both({"systemd": True}, {"healthcheck": False}),
            both({"systemd": False}, {"healthcheck": "systemd"}),
        ],
    ),
    "api": ([engine(api=True)], [engine(api=False)]),
    "host_kernel": (
        [engine(kind="runtime", own_kernel=False)],
        [engine(kind="runtime", own_kernel=True), engine(kind="engine")],
    ),
    "hugetlb": ([host(cgroup={**V1, "controllers": ["hugetlb"]})], [host(cgroup=BARE_V1)]),
    "idle_groups": ([host(processor_files=["cpu.idle"])], [host(processor_files=["cpu.shares"])]),
    "idmapped_mounts": mount_option("idmap", "1.1.0", "1.2.0"),
    "ipv6": ([host(ipv6=True)], [host(ipv6=False)]),
    "kernel": (
        [host(kernel="6.18.44-fc"), host(kernel="3.10.0"), host(kernel="10.0")],
        [host(kernel="3.9.11"), host(kernel="2.6.32-754"), host(kernel="unknown")],
    ),
    "kernel_memory": limit("kernel_memory"),
    "legacy_builder": ([engine(legacy_builder=True)], [engine(legacy_builder=False)]),
    "lab": ([engine(lab=True)], [engine(lab=False)]),
    "links": ([engine(links=True)], [engine(links=False)]),
    "linux": ([engine(os="linux")], [engine(os="windows"), engine(os="")]),
    "local_engine": ([engine(local=True)], [engine(local=False)]),
    "memory": limit("memory"),
    "memory_nodes": ([host(memory_policies=True)], [host(memory_policies=False)]),
    "memory_policy": feature("memoryPolicy", {"modes": ["MPOL_BIND"]}),
    "memory_reservation": (
        [both({"cgroup": V2}, {"limits": {"memory": True}}), both({"cgroup": V1}, {"limits": {"memory": True}})],
        [both({"cgroup": V2}, {"limits": {"memory": False}}), both({"cgroup": BARE_V1}, {"limits": {"memory": True}})],
    ),
    "not_gccgo": ([engine(compiler="go1.24.4"), engine(compiler="")], [engine(compiler="go1.10 gccgo (GCC) 8.3")]),
    "module": ([host(modules=True)], [host(modules=False)]),
    "numa": ([host(numa=True)], [host(numa=False)]),
    "mount_extensions": feature("mountExtensions", {"idmap": {"enabled": True}}),
    "multi_host": ([host(peers=["other:22"])], [host(peers=[])]),
    "native_runtime": (
        [engine(runtime="runc"), engine(runtime="crun")],
        [engine(runtime="runsc"), engine(runtime="")],
    ),
    "netem": ([host(netem=True)], [host(netem=False)]),
    "vxlan": ([host(vxlan=True)], [host(vxlan=False)]),
    "net_cls": ([host(cgroup={**V1, "controllers": ["net_cls"]})], [host(cgroup=BARE_V1)]),
    "network": ([host(network="")], [host(network="registry-1.docker.io:443: no route")]),
    "network_devices": feature("netDevices", {"enabled": True}, {"enabled": False}),
    "not_overlay": ([engine(storage="vfs")], [engine(storage="overlay2"), engine(storage="overlay")]),
    "not_project_quota": ([engine(project_quota=False)], [engine(project_quota=True)]),
    "not_userns_remap": ([engine(userns_remap=False)], [engine(userns_remap=True)]),
    "notary": ([host(notary="https://notary:4443")], [host(notary="")]),
    "oci_1_1": specification("1.1.0", "1.1.0+dev", "1.2.1", against="1.0.2-dev"),
    "oci_1_2": specification("1.2.0", "1.3.0", against="1.1.0"),
    "oci_1_2_1": specification("1.2.1", "1.3.0", against="1.2.0"),
    "oci_1_3": specification("1.3.0", against="1.2.1"),
    "oom_control": limit("oom_control"),
    "overlay": (
        [engine(storage="overlay2"), engine(storage="overlay")],
        [engine(storage="vfs"), engine(storage="")],
    ),
    "pids": limit("pids"),
    "plugin": ([engine(plugin_protocol=True)], [engine(plugin_protocol=False)]),
    "preserve_fds": option("create", "preserve-fds"),
    "private_daemon": ([engine(private="")], [engine(private="a private engine needs root")]),
    "private_engine": ([engine(private_engine="")], [engine(private_engine="a private engine needs root")]),
    "privileged": ([host(all_capabilities=True)], [host(all_capabilities=False)]),
    "processors": ([host(cpus=2)], [host(cpus=1)]),
    "project_quota": ([engine(project_quota=True)], [engine(project_quota=False)]),
    "realtime_groups": ([host(processor_files=["cpu.rt_runtime_us"])], [host(processor_files=["cpu.shares"])]),
    "recursive_idmap": mount_option("ridmap", "1.1.0", "1.2.0"),
    "recursive_mount_options": mount_option("rro", "1.0.2", "1.1.0"),
    "registry": ([engine(registry="")], [engine(registry="labs need root")]),
    "root": ([host(root=True)], [host(root=False)]),
    "rootful": ([engine(rootless=False)], [engine(rootless=True)]),
    "seccomp_notify": (
        [both({"seccomp": True}, {"kind": "runtime", "security": ["seccomp"], "features_reason": "", "features": {
            "linux": {"seccomp": {"actions": ["SCMP_ACT_NOTIFY"]}}}})],
        [both({"seccomp": True}, {"kind": "runtime", "security": ["seccomp"], "features_reason": "", "features": {
            "linux": {"seccomp": {"actions": []}}}})],
    ),
    "seccomp_archs": (
        [listing({"linux": {"seccomp": {"archs": ["SCMP_ARCH_X86_64"]}}})],
        [listing({"linux": {"seccomp": {}}}), listing({}, "no `features` command"), engine(kind="engine")],
    ),
    "seccomp_flags": (
        [listing({"linux": {"seccomp": {"supportedFlags": ["SECCOMP_FILTER_FLAG_LOG"]}}})],
        [listing({"linux": {"seccomp": {}}}), listing({}, "no `features` command"), engine(kind="engine")],
    ),
    "second_builder": (
        [engine(builders=["buildkit", "legacy"])],
        [engine(builders=["buildah"]), engine(builders=[])],
    ),
    "seccomp_filters": (
        [both({"seccomp": True, "seccomp_filters": ""}, {"security": ["seccomp"]})],
        [both({"seccomp": True, "seccomp_filters": "ptrace: not permitted"}, {"security": ["seccomp"]}),
         both({"seccomp": False, "seccomp_filters": ""}, {"security": ["seccomp"]})],
    ),
    "entry32": ([host(entry32="")], [host(entry32="Exec format error")]),
    "seccomp": (
        [both({"seccomp": True}, {"security": ["seccomp"]})],
        [
            both({"seccomp": False}, {"security": ["seccomp"]}),
            both({"seccomp": True}, {"security": ["selinux"]}),
        ],
    ),
    "not_apparmor": ([host(lsm=["yama"])], [host(lsm=["apparmor"])]),
    "not_selinux": ([host(lsm=[])], [host(lsm=["apparmor", "selinux"])]),
    "selinux": ([host(lsm=["selinux"])], [host(lsm=["apparmor"]), host(lsm=[])]),
    "swap": limit("swap"),
    "swap_accounting": ([host(swap_accounting=True)], [host(swap_accounting=False)]),
    "swap_device": ([host(swap=True)], [host(swap=False)]),
    "swappiness": ([host(cgroup=V1), host(cgroup=HYBRID)], [host(cgroup=V2), host(cgroup=NONE), host(cgroup=BARE_V1)]),
    "swarm": ([engine(swarm_capable=True)], [engine(swarm_capable=False)]),
    "swarm_inactive": ([engine(swarm="inactive"), engine(swarm="unsupported")], [engine(swarm="active")]),
    "runtime": ([engine(kind="runtime")], [engine(kind="engine")]),
    "sys_resource": (
        [host(capabilities={"CAP_SYS_RESOURCE": True})], [host(capabilities={"CAP_SYS_RESOURCE": False})],
    ),
    "systemd": ([host(systemd=True)], [host(systemd=False)]),
    "unix_cli": ([engine(local=True)], [engine(local=False)]),
    "userns": ([host(userns=True)], [host(userns=False)]),
    "windows": ([engine(os="windows")], [engine(os="linux"), engine(os="")]),
}  # fmt: skip


class Recorder(dict):
    """Facts that note which of them were read, as paths."""

    def __init__(self, facts, path=(), read=None):
        super().__init__(facts)
        self.path, self.read = path, read if read is not None else set()

    def __getitem__(self, key):
        value = super().__getitem__(key)
        if isinstance(value, dict):
            return Recorder(value, (*self.path, key), self.read)
        self.read.add((*self.path, key))
        return value

    def get(self, key, default=None):
        self.read.add(self.path)  # a key with a default may be absent, but not what holds it
        return super().get(key, default)


def without(facts, path):
    left = copy.deepcopy(facts)
    inner = left
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return left


def rows(side):
    return [pytest.param(name, facts, id=f"{name}-{number}") for name, row in TABLE.items()
            for number, facts in enumerate(row[side])]  # fmt: skip


def test_every_requirement_has_a_row():
    assert set(TABLE) == set(REQUIREMENTS)


@pytest.mark.parametrize(("name", "facts"), rows(0))
def test_holds_on_facts_for_it(name, facts):
    outcome = REQUIREMENTS[name].judge(facts)
    assert outcome.holds, outcome.reason


@pytest.mark.parametrize(("name", "facts"), rows(1))
def test_does_not_hold_on_facts_against_it(name, facts):
    outcome = REQUIREMENTS[name].judge(facts)
    assert not outcome.holds
    assert len(outcome.reason.split()) > 2, f"a reason is a sentence, not {outcome.reason!r}"


@pytest.mark.parametrize(("name", "facts"), rows(0))
def test_a_missing_fact_never_holds(name, facts):
    recorder = Recorder(facts)
    REQUIREMENTS[name].judge(recorder)
    assert recorder.read, "the requirement reads no fact at all"
    for path in recorder.read:
        outcome = REQUIREMENTS[name].judge(without(facts, path))
        assert not outcome.holds, f"holds without {path}"
        assert "not probed" in outcome.reason


def test_nothing_holds_without_facts():
    judged = requires.judge_all({"host": {}, "engine": {}})
    assert [name for name, outcome in judged.items() if outcome.holds] == []


def test_an_unprobed_value_is_no_reason():
    assert not REQUIREMENTS["private_daemon"].judge(engine(private=None)).holds


@pytest.mark.parametrize("name", sorted(REQUIREMENTS))
def test_has_a_kind_and_a_meaning(name):
    requirement = REQUIREMENTS[name]
    assert requirement.name == name
    assert requirement.kind in Kind
    assert requirement.meaning

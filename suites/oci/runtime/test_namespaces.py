"""Namespaces: new, joined, inherited; names and parameters that live in them."""

import pytest

from seatrial.oci.bundle import NAMESPACES, namespaces

claim, requires = pytest.mark.claim, pytest.mark.requires

NEW = ("pid", "network", "ipc", "uts", "mount", "cgroup")
# without a mount namespace of its own, a container would change the root of the host
INHERITED = ("pid", "network", "ipc", "uts", "cgroup")
FILES = {"pid": "pid", "network": "net", "ipc": "ipc", "uts": "uts", "mount": "mnt", "cgroup": "cgroup", "user": "user"}


def without(kind):
    return [one for one in NEW if one != kind]


def fit(bundle, *kinds):
    """Return a bundle for exactly these namespaces, without the mounts that a missing one does not allow."""
    mounts = [one for one in bundle.config["mounts"]
              if not (one["type"] == "sysfs" and "network" not in kinds)
              and not (one["type"] == "mqueue" and "ipc" not in kinds)]  # fmt: skip
    return bundle.with_(mounts=mounts).in_namespaces(*kinds)


@claim("CL-ns-new", "CL-ns-type", "RT-life-2-res")
@requires("host_kernel")
@pytest.mark.parametrize("kind", NEW)
def test_a_namespace_without_a_path_is_new(runtime, bundle, kind):
    observed = runtime.observe(fit(bundle, *NEW))
    ours = runtime.keeper.namespace(FILES[kind])
    assert observed.host.namespace(kind) != ours
    assert observed.seen.namespace(FILES[kind]) == observed.host.namespace(kind)


@claim("CL-ns-new")
@requires("host_kernel")
@pytest.mark.parametrize("kind", NAMESPACES)
def test_each_container_has_its_own(runtime, bundle, kind):
    one, two = runtime.create(bundle), runtime.create(bundle)
    assert one.kernel.namespace(FILES[kind]) != two.kernel.namespace(FILES[kind])


@claim("CL-ns-inherit")
@requires("host_kernel")
@pytest.mark.parametrize("kind", INHERITED)
def test_a_namespace_that_is_not_listed_is_the_runtimes(runtime, bundle, kind):
    observed = runtime.observe(fit(bundle, *without(kind)))
    assert observed.host.namespace(kind) == runtime.keeper.namespace(FILES[kind])
    others = {one: observed.host.namespace(one) for one in without(kind)}
    assert not [one for one, identity in others.items() if identity == runtime.keeper.namespace(FILES[one])]


@claim("CL-ns-inherit")
@requires("host_kernel")
def test_the_user_namespace_is_the_runtimes_when_it_is_not_listed(runtime, bundle):
    observed = runtime.observe(bundle)
    assert observed.host.namespace("user") == runtime.keeper.namespace("user")


@claim("CL-ns-path-join", "RT-d-foreign")
@requires("host_kernel")
@pytest.mark.parametrize("kind", ["network", "ipc", "uts", "pid", "cgroup"])
def test_a_namespace_with_a_path_is_joined(runtime, bundle, kind):
    first = runtime.run(bundle.in_namespaces(*NEW))
    assert first.seen.pid == 1
    path = f"/proc/{first.pid}/ns/{FILES[kind]}"
    entries = [*namespaces(*without(kind)), {"type": kind, "path": path}]
    second = runtime.run(fit(bundle, *NEW).with_(linux={"namespaces": entries}))
    assert second.seen.namespace(FILES[kind]) == first.seen.namespace(FILES[kind])
    assert second.seen.namespace("mnt") != first.seen.namespace("mnt")
    second.end()
    assert first.probe.report().namespace(FILES[kind]) == first.seen.namespace(FILES[kind])


@claim("CL-ns-path-type", "CL-ns-path-join")
@pytest.mark.parametrize(("kind", "other"), [
    ("ipc", "net"), ("network", "uts"), ("uts", "ipc"), ("pid", "net"), ("mount", "uts"), ("cgroup", "net"),
])  # fmt: skip
def test_a_path_to_another_type_is_refused(runtime, bundle, kind, other):
    path = f"/proc/{runtime.host.pid}/ns/{other}"
    entries = [*namespaces(*without(kind)), {"type": kind, "path": path}]
    box = runtime.refuses(fit(bundle, *NEW).with_(linux={"namespaces": entries}))
    assert not box.known


@claim("CL-ns-path-type", "CL-ns-path-join")
@pytest.mark.parametrize("path", ["/etc/hostname", "/no/such/namespace"])
def test_a_path_that_leads_to_no_namespace_is_refused(runtime, bundle, path):
    runtime.refuses(bundle.in_namespaces("pid", "mount", "ipc", "uts", network=path))


@claim("CL-ns-path-abs")
def test_a_relative_path_is_refused(runtime, bundle):
    entries = [*namespaces(*without("network")), {"type": "network", "path": "../../proc/self/ns/net"}]
    runtime.refuses(bundle.with_(linux={"namespaces": entries}))


@claim("CL-ns-dup", "CF-valid")
@pytest.mark.parametrize("kind", NAMESPACES)
def test_a_namespace_that_is_listed_twice_is_refused(runtime, bundle, kind):
    box = runtime.refuses(bundle.adding("linux.namespaces", {"type": kind}))
    assert not box.known


@claim("CL-ns-type", "CF-valid")
@pytest.mark.parametrize("kind", ["mnt", "net", "nosuch", ""])
def test_an_unknown_type_is_refused(runtime, bundle, kind):
    runtime.refuses(bundle.adding("linux.namespaces", {"type": kind}))


@claim("CL-ns-new")
def test_a_new_network_has_only_a_loopback(runtime, bundle):
    assert runtime.observe(bundle).seen.interfaces == {"lo"}


@claim("CL-ns-new", "CL-ns-path-join")
def test_processes_of_other_namespaces_are_not_seen(runtime, bundle):
    box = runtime.run(bundle)
    assert box.seen.pid == 1
    assert {name for name in box.probe.names("/proc") if name.isdigit()} == {"1"}


# -- user namespaces ---------------------------------------------------------------------------

MAPS = {
    "uidMappings": [
        {"containerID": 0, "hostID": 100000, "size": 2000}, {"containerID": 5000, "hostID": 300000, "size": 1},
    ],
    "gidMappings": [{"containerID": 0, "hostID": 200000, "size": 3000}],
}  # fmt: skip


@pytest.fixture
def mapped(bundle):
    return bundle.in_namespaces(*NAMESPACES, "user").with_(linux=MAPS)


@claim("CL-userns-map", "CL-ns-new")
@requires("userns")
def test_the_mappings_are_those_of_the_list(runtime, mapped):
    observed = runtime.observe(mapped)
    rows = [line.split() for line in observed.seen.text("/proc/self/uid_map").splitlines()]
    assert rows == [["0", "100000", "2000"], ["5000", "300000", "1"]]
    assert observed.seen.text("/proc/self/gid_map").split() == ["0", "200000", "3000"]
    assert observed.host.namespace("user") != runtime.keeper.namespace("user")


@claim("CL-userns-map", "CF-user-uid", "CF-user-gid")
@requires("userns")
def test_users_are_those_of_the_container_inside_and_mapped_outside(runtime, mapped):
    observed = runtime.observe(mapped.with_(process={"user": {"uid": 7, "gid": 9}}))
    assert (observed.seen.uids[0], observed.seen.gids[0]) == (7, 9)
    assert observed.host.status["Uid"].split() == ["100007"] * 4
    assert observed.host.status["Gid"].split() == ["200009"] * 4


@claim("CL-userns-nochown")
@requires("userns")
def test_the_owners_in_the_root_file_system_stay(runtime, mapped):
    box = runtime.place(mapped)
    marked = box.rootfs / "home" / "mine"
    marked.write_text("")
    box.create()
    box.start()
    assert box.seen.pid == 1
    assert [(path.stat().st_uid, path.stat().st_gid) for path in (marked, box.rootfs / "etc/motd", box.rootfs)] == [
        (0, 0)] * 3  # fmt: skip


@claim("CL-userns-map", "CF-valid")
@requires("userns")
def test_a_user_that_is_not_mapped_is_refused(runtime, mapped):
    box = runtime.place(mapped.with_(process={"user": {"uid": 4000, "gid": 0}}))
    created = box.create(expect=None)
    assert not (created if not created.ok else box.start(expect=None)).ok or box.status == "stopped"


# -- names and parameters ----------------------------------------------------------------------


@claim("CF-hostname")
def test_the_host_name_is_the_one_that_was_asked_for(runtime, bundle):
    observed = runtime.observe(bundle.with_(hostname="sea-trial.example"))
    assert observed.seen.hostname == "sea-trial.example"
    assert runtime.keeper.file("/proc/sys/kernel/hostname").read_text().strip() != "sea-trial.example"


@claim("CF-hostname")
def test_without_a_host_name_there_is_no_other(runtime, bundle):
    name = runtime.observe(bundle).seen.hostname
    assert name in (runtime.host.name, "", "(none)")


@claim("CF-hostname", "CF-valid")
def test_a_host_name_without_a_namespace_for_it_is_refused(runtime, bundle):
    runtime.refuses(fit(bundle, *without("uts")).with_(hostname="not-the-hosts"))


@claim("CF-domainname")
@requires("oci_1_1")
def test_the_domain_name_is_the_one_that_was_asked_for(runtime, bundle):
    seen = runtime.observe(bundle.with_(domainname="sea.example")).seen
    assert seen.text("/proc/sys/kernel/domainname").strip() == "sea.example"


SYSCTLS = {
    "net.ipv4.ip_default_ttl": "77", "net.ipv4.tcp_keepalive_time": "4711", "kernel.shm_rmid_forced": "1",
    "kernel.msgmax": "9001", "fs.mqueue.msg_max": "21",
}  # fmt: skip


def parameters(box):
    return {name: box.probe.read(f"/proc/sys/{name.replace('.', '/')}").strip() for name in SYSCTLS}


@claim("CL-sysctl")
def test_kernel_parameters_are_set_in_the_container(runtime, bundle):
    box = runtime.run(bundle.with_(linux={"sysctl": SYSCTLS}))
    assert parameters(box) == SYSCTLS
    before = parameters(runtime.run(bundle))
    assert [name for name in SYSCTLS if before[name] == SYSCTLS[name]] == []


@claim("CL-sysctl", "CF-valid")
@pytest.mark.parametrize(("name", "missing"), [("net.ipv4.ip_default_ttl", "network"), ("kernel.msgmax", "ipc")])
def test_a_parameter_of_a_namespace_of_the_host_is_refused(runtime, bundle, name, missing):
    runtime.refuses(fit(bundle, *without(missing)).with_(linux={"sysctl": {name: "77"}}))


@claim("CL-sysctl", "CF-valid")
def test_a_parameter_without_a_namespace_is_refused(runtime, bundle):
    runtime.refuses(bundle.with_(linux={"sysctl": {"vm.swappiness": "10"}}))


@claim("CL-time", "CL-ns-new")
@requires("oci_1_1")
def test_clocks_are_set_off(runtime, bundle):
    offsets = {"monotonic": {"secs": 7200, "nanosecs": 5}, "boottime": {"secs": 1_000_000}}
    timed = bundle.in_namespaces(*NAMESPACES, "time").with_(linux={"timeOffsets": offsets})
    seen = runtime.observe(timed).seen
    assert [line.split() for line in seen.text("/proc/self/timens_offsets").splitlines()] == [
        ["monotonic", "7200", "5"], ["boottime", "1000000", "0"],
    ]  # fmt: skip
    assert float(seen.text("/proc/uptime").split()[0]) > 1_000_000

"""Namespaces of a container: its own, the host's, another container's."""

import pytest

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires
case = pytest.param
KINDS = ("pid", "ipc", "uts", "net", "mnt")


@claim("cli-083")
def test_container_has_namespaces_of_its_own(engine, host_namespace):
    one, two = engine.run().kernel, engine.run().kernel
    for kind in KINDS:
        assert len({one.namespace(kind), two.namespace(kind), host_namespace(kind)}) == 3, kind


@claim("cli-083")
@effect("run --ipc", "run --pid", "run --uts", "run --network")
@pytest.mark.parametrize(
    ("option", "kind"),
    [case("--pid", "pid", id="pid"), case("--ipc", "ipc", id="ipc"), case("--uts", "uts", id="uts"),
     case("--network", "net", id="net"), case("--userns", "user", id="userns"), case("--cgroupns", "cgroup",
                                                                                     id="cgroupns")],
)  # fmt: skip
def test_hosts_namespace_can_be_shared(engine, option, kind, host_namespace):
    kernel = engine.run(option, "host").kernel
    assert kernel.namespace(kind) == host_namespace(kind)
    for other in KINDS:
        assert other == kind or kernel.namespace(other) != host_namespace(other)


@claim("cli-083")
@effect("run --userns")
@requires("private_daemon")
def test_remapped_users_are_left_for_the_hosts_by_an_option(remapping):
    d = remapping(200000)
    remapped, hosts = d.run(), d.run("--userns", "host")
    assert remapped.kernel.status["Uid"].split()[0] == "200000"
    assert hosts.kernel.status["Uid"].split()[0] == "0"
    assert [c.sh("id -u").text for c in (remapped, hosts)] == ["0", "0"]
    assert remapped.kernel.namespace("user") != hosts.kernel.namespace("user")


@claim("cli-083")
@pytest.mark.parametrize(
    ("option", "kind"),
    [case("--pid", "pid", id="pid"), case("--ipc", "ipc", id="ipc"), case("--network", "net", id="net")],
)  # fmt: skip
def test_namespace_of_another_container_can_be_shared(engine, option, kind):
    owner = engine.run("--ipc", "shareable")
    guest = engine.run(option, f"container:{owner.name}").kernel
    for other in KINDS:
        assert (guest.namespace(other) == owner.kernel.namespace(other)) is (other == kind), other


@claim("cli-083")
def test_sharing_that_only_some_engines_have(engine):
    for option in ("--uts", "--cgroupns"):
        owner = engine.run()
        name = engine.name()
        result = engine.cli("run", "--detach", "--name", name, option, f"container:{owner.name}", engine.image,
                            "sleep", "60",
                            expect=None)  # fmt: skip
        assert result.ok is engine.trait("shares_uts_and_cgroup")
        assert result.ok or "invalid" in result.stderr


@claim("cli-083")
def test_shared_pid_namespace_shows_and_reaches_the_others_processes(engine):
    owner = engine.run(engine.image, "sh", "-c", "trap 'echo reached' USR1; echo ready; while :; do sleep 0.1; done")
    guest = engine.run("--pid", f"container:{owner.name}", engine.image, "sleep", "4242")
    owner.until_log("ready")
    assert "trap 'echo reached'" in guest.exec("ps", "-o", "args").stdout
    assert "sleep 4242" in owner.exec("ps", "-o", "args").stdout
    assert "sleep 4242" not in engine.run().exec("ps", "-o", "args").stdout
    guest.exec("kill", "-USR1", "1")
    owner.until_log("reached")


@claim("cli-083")
def test_shared_ipc_namespace_shares_memory(engine):
    owner = engine.run("--ipc", "shareable")
    guest = engine.run("--ipc", f"container:{owner.name}")
    owner.sh("echo word >/dev/shm/file")
    assert guest.read("/dev/shm/file") == "word\n"
    assert "No such file" in engine.run().sh("cat /dev/shm/file", expect=1).stderr


@claim("cli-083", "cli-115")
def test_private_ipc_namespace_cannot_be_shared(engine):
    owner = engine.run("--ipc", "private")
    engine.fails("run", "--rm", "--ipc", f"container:{owner.name}", engine.image, "true",
                 says="non-shareable IPC")  # fmt: skip


@claim("cli-083")
def test_shared_network_shares_loopback(engine):
    owner = engine.run(engine.image, "sh", "-c", "while :; do echo served | nc -l -p 9000; done")
    guest = engine.run("--network", f"container:{owner.name}")
    owner.until("listening", lambda: 9000 in owner.kernel.listeners())
    assert guest.sh("nc 127.0.0.1 9000").text == "served"


@claim("cli-083", "cli-115")
@pytest.mark.parametrize("option", ["--pid", "--ipc", "--network"])
def test_bad_namespace_modes_are_refused(engine, option):
    for mode, says in (
        ("container:st-nobody", "no such container|no container with name"),
        ("container:", "invalid (name or ID supplied|container format|PID mode)|mode container requires a value"),
        ("bogus", "invalid (PID|IPC) mode|unrecognized namespace mode|network bogus not found|"
         "unable to find network"),
    ):  # fmt: skip
        engine.fails("run", "--rm", option, mode, engine.image, "true", says=says)


@claim("cli-083", "cli-115")
def test_hostname_conflicts_with_the_hosts_uts_namespace(engine):
    engine.fails("run", "--rm", "--uts", "host", "--hostname", "other", engine.image, "true",
                 says="conflicting options: hostname|cannot set hostname")  # fmt: skip


@claim("cli-083", "cli-115")
def test_namespace_of_a_container_that_does_not_run(engine):
    owner = engine.create()
    result = engine.once("--pid", f"container:{owner.name}", engine.image, "true", expect=None)
    assert result.ok is engine.trait("starts_what_is_shared")
    assert owner.status == ("running" if engine.trait("starts_what_is_shared") else "created")


@claim("cli-083")
@effect("run --cgroupns")
def test_cgroup_namespace_hides_the_path(engine):
    inside = engine.run("--cgroupns", "private").read("/proc/self/cgroup").splitlines()
    assert {line.split(":", 2)[2] for line in inside} == {"/"}
    c = engine.run("--cgroupns", "host")
    assert c.id in c.read("/proc/self/cgroup")

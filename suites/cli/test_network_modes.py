"""Modes of a container's network: its own stack, none, the host's, another container's."""

import socket

import pytest

from seatrial.exec import run
from seatrial.hosts import connect

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires
case = pytest.param

# what the kernel itself puts into every new network namespace of this machine
RAW = ["unshare", "--net", "ip", "-o", "link"]


@claim("network-002", "network-003", "network-006", "network-016")
def test_containers_have_stacks_of_their_own_and_may_use_the_same_port(engine, serve, host_namespace, ask):
    one, two = serve("port"), serve("starboard")
    assert len({one.kernel.namespace("net"), two.kernel.namespace("net"), host_namespace("net")}) == 3
    assert one.address != two.address
    for c in (one, two):
        assert sorted(c.kernel.links()) == ["eth0", "lo"]
        assert c.kernel.listeners() == {80}
        assert {route[0] for route in c.kernel.routes()} == {"eth0"}
        assert c.read("/proc/net/dev").count("eth0") == 1
    assert ask(one, "127.0.0.1") == "port"
    assert ask(two, "127.0.0.1") == "starboard"
    assert ask(one, two.address) == "starboard"
    assert ask(two, one.address) == "port"


@claim("network-004", "network-005", "network-013", "network-017", "network-018")
def test_none_has_the_loopback_alone_and_it_is_up(engine, serve, host_namespace, ask):
    raw = run(RAW, host=engine.raw.host, journal=engine.journal).lines
    links = [line.split(":")[1].strip().partition("@")[0] for line in raw]
    assert "LOOPBACK,UP" not in "".join(raw), "a raw namespace has its loopback down"
    c = serve("alone", "--network", "none")
    assert sorted(c.kernel.links()) == sorted(links)
    assert c.kernel.routes() == []
    assert c.kernel.namespace("net") != host_namespace("net")
    up = c.exec("ip", "-o", "addr", "show", "dev", "lo").stdout
    assert "127.0.0.1/8" in up
    assert "LOOPBACK,UP" in c.exec("ip", "link", "show", "dev", "lo").stdout
    assert ask(c, "127.0.0.1") == "alone"
    assert "unreachable" in c.sh("nc -w 5 198.51.100.1 80", expect=1).stderr
    assert (c.inspect()["NetworkSettings"].get("Networks") or {}).get("none", {}).get("IPAddress", "") == ""


@claim("network-012", "network-023")
def test_host_shares_the_hosts_stack(engine, host_namespace, host_links):
    c = engine.run("--network", "host", engine.image, "sh", "-c", "nc -l -p 0 & sleep 3600")
    assert c.kernel.namespace("net") == host_namespace("net")
    hostname = run(["hostname"], host=engine.raw.host, journal=engine.journal).text
    assert c.exec("hostname").text == hostname

    def routes():
        return len(run(["ip", "route"], host=engine.raw.host, journal=engine.journal).lines)

    # others add and remove networks: both are read anew until no one came between
    c.until("the host's routes", lambda: len(c.kernel.routes()) == routes())
    c.until("the host's links", lambda: set(c.kernel.links()) == host_links())


@claim("network-012", "network-023")
def test_port_of_a_container_on_the_hosts_stack_is_a_port_of_the_host(engine, serve):
    host = engine.raw.host
    with host.call(lambda: socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    serve("hello", "--network", "host", port=port)
    with connect(host, ("127.0.0.1", port)) as client:
        client.sendall(b"GET /word HTTP/1.0\r\n\r\n")
        assert client.makefile("rb").read().endswith(b"\nhello\n")


@claim("network-012", "network-017", "network-020")
@pytest.mark.parametrize("mode", ["host", "none"])
def test_published_port_is_discarded_without_a_stack_of_its_own(engine, mode):
    c = engine.run("--network", mode, "--publish", "80")
    assert engine.cli("port", c.name).lines == []
    assert not (c.inspect()["NetworkSettings"]["Ports"] or {}).get("80/tcp")


@claim("network-012")
def test_host_says_that_a_published_port_is_discarded(engine):
    result = engine.once("--network", "host", "--publish", "80", engine.image, "true", stderr="(?i)port.* discarded")
    assert result.stdout == ""


@claim("network-021", "network-006")
@effect("run --hostname")
def test_hostname_and_name_servers_are_what_the_options_say(engine):
    c = engine.run("--hostname", "keel", "--dns", "192.0.2.9", "--dns", "192.0.2.10", "--dns-search", "berth.example")
    assert c.exec("hostname").text == c.read("/etc/hostname").strip() == "keel"
    assert f"{c.address}\tkeel" in c.read("/etc/hosts")
    lines = [line.split() for line in c.read("/etc/resolv.conf").splitlines()]
    assert [line[1] for line in lines if line[:1] == ["nameserver"]] == ["192.0.2.9", "192.0.2.10"]
    assert ["search", "berth.example"] in lines


@claim("network-016", "network-020", "network-022")
@pytest.mark.parametrize("by", ["name", "id"])
def test_stack_of_another_container_is_shared(engine, serve, by, ask):
    owner = serve("shared", "--hostname", "keel", "--dns", "192.0.2.9", "--dns-search", "berth.example")
    guest = engine.run("--network", f"container:{getattr(owner, by)}")
    assert guest.kernel.namespace("net") == owner.kernel.namespace("net")
    for kind in ("mnt", "pid"):
        assert guest.kernel.namespace(kind) != owner.kernel.namespace(kind)
    assert guest.kernel.links() == owner.kernel.links()
    assert guest.exec("ip", "-o", "-4", "addr").stdout == owner.exec("ip", "-o", "-4", "addr").stdout
    assert owner.address in guest.exec("ip", "-o", "-4", "addr").stdout
    assert ask(guest, "127.0.0.1") == "shared"
    assert guest.read("/etc/resolv.conf") == owner.read("/etc/resolv.conf")
    assert "keel" in guest.read("/etc/hosts").split()
    assert (guest.exec("hostname").text == "keel") is engine.trait("network_guest_has_owners_hostname")


@claim("network-022")
@pytest.mark.parametrize(
    ("options", "situation"),
    [case(["--hostname", "other"], "guest_hostname", id="hostname"),
     case(["--publish", "80"], "guest_port", id="port"),
     case(["--publish-all"], "guest_port", id="all-ports"),
     case(["--expose", "80"], "guest_expose", id="expose"),
     case(["--dns", "192.0.2.9"], "guest_dns", id="dns"),
     case(["--add-host", "a:192.0.2.1"], "guest_hosts", id="add-host")],
)  # fmt: skip
def test_option_that_would_change_the_others_stack_has_no_effect_on_it(engine, options, situation):
    owner = engine.run()
    before = owner.kernel.links(), owner.read("/etc/hosts"), owner.read("/etc/resolv.conf")
    args = ("run", "--rm", "--network", f"container:{owner.name}", *options, engine.image, "true")
    if situation in engine.trait("network_guest_refuses"):
        engine.fails(*args, says=f"network_{situation}", code=engine.code("usage"))
    else:
        engine.cli(*args)
    assert (owner.kernel.links(), owner.read("/etc/hosts"), owner.read("/etc/resolv.conf")) == before
    assert engine.cli("port", owner.name).lines == []


@claim("network-020", "network-022")
def test_stack_of_a_container_that_does_not_run_is_refused_or_it_is_started(engine):
    owner = engine.create()
    args = ("run", "--name", engine.name(), "--network", f"container:{owner.name}", engine.image, "true")
    if engine.trait("network_starts_the_owner"):
        engine.cli(*args)
        assert owner.status == "running"
    else:
        engine.fails(*args, says="network_owner_not_running", code=engine.code("usage"))
        assert owner.status == "created"


@claim("network-020")
@pytest.mark.parametrize(("stack", "says"), [case("container:st-no-such-container", "no_such_container", id="unknown"),
                                              case("container:", "network_empty_owner", id="empty")])  # fmt: skip
def test_stack_of_nobody_is_refused(engine, stack, says):
    engine.fails("run", "--rm", "--network", stack, engine.image, "true", says=says, code=engine.code("usage"))


@claim("network-020")
def test_guest_outlives_the_owner_of_its_stack(engine):
    owner = engine.run()
    guest = engine.run("--network", f"container:{owner.name}")
    namespace = guest.kernel.namespace("net")
    engine.cli("stop", "-t", "0", owner.name)
    assert guest.status == "running"
    assert guest.kernel.namespace("net") == namespace
    assert "127.0.0.1/8" in guest.exec("ip", "-o", "addr").stdout


@claim("network-017", "network-012", "network-020")
@pytest.mark.parametrize("mode", ["none", "host", "container"])
def test_network_cannot_be_added_to_a_stack_that_is_not_on_one(engine, mode):
    owner = engine.run()
    c = engine.run("--network", f"container:{owner.name}" if mode == "container" else mode)
    network = engine.network()
    engine.fails("network", "connect", network, c.name, says="network_mode_excludes", code=engine.code("error"))
    assert network not in (c.inspect()["NetworkSettings"].get("Networks") or {})
    assert "eth1" not in c.kernel.links()


@claim("network-012", "network-017")
@pytest.mark.parametrize("modes", [("host", "none"), ("none", "none")], ids=["host", "twice"])
def test_modes_exclude_one_another(engine, modes):
    options = [word for mode in modes for word in ("--network", mode)]
    engine.fails("run", "--rm", *options, engine.image, "true", says="network_modes_conflict",
                 code=engine.code("usage"))  # fmt: skip


@claim("network-020", "network-048")
def test_unknown_network_is_refused_and_not_made(engine):
    name = engine.name()
    engine.fails("run", "--name", name, "--network", "st-no-such-network", engine.image, "true", says="no_such_network",
                 code=engine.code("usage"))  # fmt: skip
    assert not engine.exists("st-no-such-network", "network")
    # what only its start refuses has been made, and stays without `--rm`
    assert engine.exists(name) is (engine.trait("unknown_network_is_refused_by") == "start")
    engine.fails("run", "--rm", "--name", other := engine.name(), "--network", "st-no-such-network", engine.image,
                 "true", says="no_such_network", code=engine.code("usage"))  # fmt: skip
    assert not engine.exists(other)

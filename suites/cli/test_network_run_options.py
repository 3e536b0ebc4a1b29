"""Options of `run` that set what a container finds in its network: names, servers, addresses."""

import socket
import threading

import pytest

from seatrial.expecting import one
from seatrial.hosts import NamespaceHost

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires
case = pytest.param


def entries(c):
    """The lines of /etc/hosts as [address, name, ...]."""
    return [line.split() for line in c.read("/etc/hosts").splitlines() if line.split()]


def question(c, script):
    """Run a script in the container and return the first name that it asks a name server there for."""
    def listen():
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.settimeout(15)
        server.bind(("127.0.0.1", 53))
        return server

    with NamespaceHost("inside", c.pid).call(listen) as server:
        asking = threading.Thread(target=c.sh, args=(script,), kwargs={"expect": None})
        asking.start()
        try:
            packet = server.recv(512)
        except TimeoutError:
            packet = b""
        asking.join()
    assert packet, "no name server was asked"
    labels, place = [], 12
    while packet[place]:
        labels.append(packet[place + 1 : place + 1 + packet[place]].decode())
        place += 1 + packet[place]
    return ".".join(labels)


@claim("network-071")
@effect("run --add-host")
def test_added_hosts_are_in_the_hosts_file_and_lead_there(engine, serve, ask):
    there = serve("keel")
    c = engine.run("--add-host", f"keel:{there.address}", "--add-host", "twice:192.0.2.1",
                   "--add-host", "twice:192.0.2.2", "--add-host", "six:2001:db8::1")  # fmt: skip
    lines = entries(c)
    for line in ([there.address, "keel"], ["192.0.2.1", "twice"], ["192.0.2.2", "twice"], ["2001:db8::1", "six"]):
        assert line in lines
    assert ask(c, "keel") == "keel"


@claim("network-071")
def test_host_gateway_stands_for_the_engines_host(engine):
    c = engine.run("--add-host", "harbour:host-gateway")
    gateway = one(gate for _, to, gate, _ in c.kernel.routes() if to == "0.0.0.0")
    assert [gateway, "harbour"] in entries(c)


@claim("network-071")
@pytest.mark.parametrize("host", ["bad", "name:not-an-address", ":192.0.2.1", "name:", "name:300.1.1.1"])
def test_bad_added_host_is_refused(engine, host):
    name = engine.name()
    engine.fails("run", "--name", name, f"--add-host={host}", engine.image, "true", says="run_bad_host",
                 code=engine.code("usage"))  # fmt: skip
    assert not engine.exists(name)


@claim("network-072", "network-073")
@effect("run --dns", "run --dns-search", "run --dns-option")
def test_name_server_and_search_domain_are_what_programs_use(engine):
    c = engine.run("--dns", "127.0.0.1", "--dns-search", "berth.example", "--dns-option", "ndots:3")
    lines = [line.split() for line in c.read("/etc/resolv.conf").splitlines()]
    assert [line for line in lines if line[:1] == ["nameserver"]] == [["nameserver", "127.0.0.1"]]
    assert ["search", "berth.example"] in lines
    assert ["options", "ndots:3"] in lines
    assert question(c, "timeout 5 nc -w 2 keel 80 </dev/null") == "keel.berth.example"


@claim("network-073")
def test_search_of_a_dot_takes_the_search_domains_away(engine):
    c = engine.run("--dns", "127.0.0.1", "--dns-search", ".")
    assert "example" not in c.read("/etc/resolv.conf")
    assert [line for line in c.read("/etc/resolv.conf").splitlines() if line.startswith("search")] in ([], ["search ."])
    assert question(c, "timeout 5 nc -w 2 keel 80 </dev/null") == "keel"


@claim("network-072")
@pytest.mark.parametrize("server", ["banana", "300.1.1.1", "192.0.2", "192.0.2.1:53"])
def test_bad_name_server_is_refused(engine, server):
    name = engine.name()
    engine.fails("run", "--name", name, "--dns", server, engine.image, "true", says="run_bad_dns",
                 code=engine.code("usage"))  # fmt: skip
    assert not engine.exists(name)


@claim("network-075", "network-089")
@pytest.mark.parametrize("name", ["keel", "keel.berth.example", "k", "a" * 63, "9-keel"], ids=str)
def test_hostname_is_the_containers_and_leads_to_its_address(engine, name):
    c = engine.run("-h", name)
    assert c.exec("hostname").text == c.read("/etc/hostname").strip() == name
    line = one(line for line in entries(c) if line[0] == c.address)
    assert name in line
    assert c.kernel.namespace("uts") != engine.run().kernel.namespace("uts")


@claim("network-089")
def test_without_a_hostname_the_short_id_leads_to_the_containers_address(engine):
    c = engine.run()
    assert c.exec("hostname").text == c.id[:12]
    line = one(line for line in entries(c) if line[0] == c.address)
    assert c.id[:12] in line
    assert ["127.0.0.1", "localhost"] in [line[:2] for line in entries(c)]


@claim("network-075")
def test_hostname_that_the_kernel_cannot_hold_is_refused(engine):
    engine.fails("run", "--name", engine.name(), "-h", "a" * 65, engine.image, "true", says="run_long_hostname")


@claim("network-077")
@effect("run --mac-address")
def test_mac_address_is_the_interfaces(engine):
    c = engine.run("--mac-address", "92:d0:c6:0a:29:33")
    assert c.read("/sys/class/net/eth0/address").strip() == "92:d0:c6:0a:29:33"
    others = {engine.run().read("/sys/class/net/eth0/address").strip() for _ in range(2)}
    assert len(others) == 2


@claim("network-077")
@pytest.mark.parametrize("mac", ["banana", "02:42", "02:42:ac:11:00:zz", "02:42:ac:11:00:02:03"])
def test_bad_mac_address_is_refused(engine, mac):
    name = engine.name()
    engine.fails("run", "--name", name, "--mac-address", mac, engine.image, "true", says="run_bad_mac",
                 code=engine.code("usage"))  # fmt: skip
    assert not engine.exists(name)


@claim("network-077")
def test_group_address_as_mac_address_is_refused(engine):
    engine.fails("run", "--name", engine.name(), "--mac-address", "93:d0:c6:0a:29:33", engine.image, "true",
                 says="run_group_mac", code=engine.code("port_run_error"))  # fmt: skip


@claim("network-078")
@pytest.mark.parametrize("mode", ["bridge", "none", "host"])
def test_mode_of_the_network_is_in_the_description_and_decides_the_interfaces(engine, mode, host_namespace):
    c = engine.run("--net", mode)
    assert c.inspect()["HostConfig"]["NetworkMode"] == mode
    assert (c.kernel.namespace("net") == host_namespace("net")) is (mode == "host")
    if mode == "host":
        assert "lo" in c.kernel.links()
    else:
        assert sorted(c.kernel.links()) == {"bridge": ["eth0", "lo"], "none": ["lo"]}[mode]

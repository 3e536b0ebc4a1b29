"""Options of the daemon for its default bridge: what they do, and what is refused."""

import re

import pytest

from seatrial.exec import run
from seatrial.expecting import one
from seatrial.hosts import connect
from seatrial.probes.firewall import Firewall, Packet

claim, requires = pytest.mark.claim, pytest.mark.requires
case = pytest.param
pytestmark = requires("private_daemon")


def host_run(d, *argv, **options):
    return run(argv, host=d.host, journal=d.journal, **options)


def start(d, *options):
    d.daemon.argv = (d.raw.service, *options)
    d.daemon.start()
    d.provide_image()


def processes(d, name):
    """Process ids of a program in the lab of a daemon, known by the network namespace."""
    namespace = host_run(d, "readlink", "/proc/self/ns/net").text
    script = 'for p in $(pgrep -x "$1"); do [ "$(readlink /proc/$p/ns/net)" = "$2" ] && echo $p; done; true'
    return host_run(d, "sh", "-c", script, "sh", name, namespace).lines


@claim("network-055", "network-024")
def test_bridge_of_ones_own_is_used_and_no_other_is_made(private_daemon):
    d = private_daemon(start=False)
    host_run(d, "ip", "link", "add", "keel0", "type", "bridge")
    host_run(d, "ip", "addr", "add", "10.77.0.1/24", "dev", "keel0")
    host_run(d, "ip", "link", "set", "keel0", "up")
    start(d, "--bridge", "keel0")
    c = d.run()
    assert c.address.startswith("10.77.0.")
    assert ("eth0", "0.0.0.0", "10.77.0.1", 0) in c.kernel.routes()
    assert host_run(d, "ip", "-o", "link", "show", "master", "keel0").text.count("\n") == 0
    assert "veth" in host_run(d, "ip", "-o", "link", "show", "master", "keel0").stdout
    host_run(d, "ip", "link", "show", "docker0", expect=1)


@claim("network-055")
def test_bridge_none_leaves_the_daemon_without_a_default_network(private_daemon):
    d = private_daemon("--bridge", "none")
    assert sorted(d.cli("network", "ls", "--format", "{{.Name}}").lines) == ["host", "none"]
    host_run(d, "ip", "link", "show", "docker0", expect=1)
    for options in ([], ["--network", "bridge"]):
        c = d.run(*options)
        assert (c.kernel.links(), c.kernel.routes()) == (["lo"], [])


@claim("network-056", "network-057", "network-061", "network-069", "network-029", "network-030")
def test_addresses_route_and_mtu_are_what_the_options_say(private_daemon, greeter, reaches):
    d = private_daemon("--bip", "10.66.0.1/24", "--fixed-cidr", "10.66.0.128/29", "--default-gateway", "10.66.0.254",
                       "--mtu", "1234")  # fmt: skip
    assert "10.66.0.1/24" in host_run(d, "ip", "-o", "-4", "addr", "show", "docker0").stdout
    assert "10.66.0.0/24 dev docker0" in host_run(d, "ip", "route").stdout
    one, two = greeter(d), d.run()
    assert all(re.fullmatch(r"10\.66\.0\.1(2[89]|3[0-5])", c.address) for c in (one, two))
    assert ("eth0", "0.0.0.0", "10.66.0.254", 0) in one.kernel.routes()
    assert ("eth0", "10.66.0.0", "0.0.0.0", 24) in one.kernel.routes()
    assert one.sh("cat /sys/class/net/eth0/mtu").text == "1234"
    assert two.exec("ping", "-c", "1", "-s", "3000", one.address).stdout.count("3008 bytes") == 1
    assert reaches(two, one.address)


@claim("network-061", "network-039")
def test_fixed_range_runs_out_and_an_ended_container_gives_its_address_back(private_daemon):
    d = private_daemon("--bip", "10.66.0.1/24", "--fixed-cidr", "10.66.0.8/30")
    made = [d.run() for _ in range(4)]
    assert {c.address for c in made} == {f"10.66.0.{last}" for last in range(8, 12)}
    d.fails("run", "--name", "more", d.image, "true", says="network_no_address", code=125, stdout=None)
    freed = made[2].address
    d.cli("stop", "-t", "0", made[2].name)
    assert d.run().address == freed


@claim("network-059", "network-060", "network-064")
def test_name_servers_and_address_of_ports_are_defaults_of_containers(private_daemon):
    d = private_daemon("--dns", "192.0.2.7", "--dns-search", "berth.example", "--ip", "127.0.0.1")
    c = d.run("--publish", "80", "--publish", "0.0.0.0:4242:81")
    lines = [line.split() for line in c.read("/etc/resolv.conf").splitlines()]
    assert [line[1] for line in lines if line[:1] == ["nameserver"]] == ["192.0.2.7"]
    assert ["search", "berth.example"] in lines
    bound = one(d.cli("port", c.name, "80").lines)
    assert bound.startswith("127.0.0.1:")
    listening = host_run(d, "cat", "/proc/net/tcp").stdout
    assert f"0100007F:{int(bound.rpartition(':')[2]):04X}" in listening
    assert f"00000000:{4242:04X}" in listening
    other = d.run("--dns", "192.0.2.8", "--dns-search", "quay.example")
    assert "192.0.2.8" in other.read("/etc/resolv.conf")
    assert "192.0.2.7" not in other.read("/etc/resolv.conf")
    assert "berth.example" not in other.read("/etc/resolv.conf")


@claim("network-063", "network-033")
def test_icc_off_keeps_containers_from_one_another(private_daemon, greeter, reaches):
    d = private_daemon("--icc=false", "--userland-proxy=false")
    one, two = greeter(d), d.run()
    assert not reaches(two, one.address)
    packet = Packet(source=two.address, target=one.address, came="docker0", goes="docker0")
    assert Firewall.of(d.host, d.journal).verdict("filter", "FORWARD", packet) == "DROP"
    with connect(d.host, (one.address, 80)) as client:
        assert client.recv(5) == b"hello"
    d.daemon.stop()
    start(d, "--icc=true")
    one, two = greeter(d), d.run()
    assert reaches(two, one.address)


@claim("network-065")
@pytest.mark.parametrize(("option", "value"), [("true", "1"), ("false", "0")], ids=["on", "off"])
def test_forwarding_is_turned_on_where_it_is_asked_for(private_daemon, option, value):
    d = private_daemon(start=False)
    host_run(d, "sh", "-c", "echo 0 >/proc/sys/net/ipv4/ip_forward")
    d.daemon.argv = (d.raw.service, f"--ip-forward={option}")
    d.daemon.start()
    assert host_run(d, "cat", "/proc/sys/net/ipv4/ip_forward").text == value


@claim("network-066", "network-031")
def test_without_masquerading_the_source_stays(private_daemon):
    d = private_daemon("--ip-masq=false")
    rules = Firewall.of(d.host, d.journal)
    out = Packet(source="172.17.0.2", target="198.51.100.2", came="docker0", goes="outside0")
    assert rules.verdict("nat", "POSTROUTING", out) == "ACCEPT"
    assert rules.verdict("filter", "FORWARD", out) == "ACCEPT"
    assert not [rule for rule in rules.rules if "MASQUERADE" in rule]


@claim("network-067", "network-026", "network-066")
def test_iptables_off_adds_no_rule(private_daemon, greeter, reaches):
    d = private_daemon("--iptables=false", "--ip6tables=false", start=False)
    before = Firewall.of(d.host, d.journal)
    assert before.rules == []
    d.daemon.start()
    d.provide_image()
    one, two = greeter(d, "--publish", "80"), d.run()
    assert reaches(two, one.address)
    after = Firewall.of(d.host, d.journal)
    assert after.rules == []
    assert not [chain for _, chain in after.chains if "DOCKER" in chain]
    port = int(d.cli("port", one.name, "80").lines[0].rpartition(":")[2])
    with connect(d.host, ("127.0.0.1", port)) as client:
        assert client.recv(5) == b"hello"


@claim("network-068", "network-062", "network-058")
@requires("ipv6")
def test_ipv6_addresses_and_route_are_what_the_options_say(private_daemon):
    d = private_daemon("--ipv6", "--fixed-cidr-v6", "fd00:5ea::/64", "--default-gateway-v6", "fd00:5ea::fe")
    one, two = d.run(), d.run()
    addresses = [c.inspect()["NetworkSettings"]["Networks"]["bridge"]["GlobalIPv6Address"] for c in (one, two)]
    assert len(set(addresses)) == 2
    assert all(address.startswith("fd00:5ea::") for address in addresses)
    assert f"{addresses[0]}/64" in one.exec("ip", "-o", "-6", "addr", "show", "eth0").stdout
    assert "default via fd00:5ea::fe dev eth0" in one.exec("ip", "-6", "route").stdout
    one.until("an answer", lambda: two.exec("ping", "-c", "1", "-w", "2", addresses[0], expect=None).ok)


@claim("network-070", "network-032")
@pytest.mark.parametrize("proxy", [True, False], ids=["on", "off"])
def test_proxy_is_one_process_for_each_address_of_a_port_or_none(private_daemon, proxy, greeter):
    d = private_daemon(f"--userland-proxy={str(proxy).lower()}")
    assert processes(d, "docker-proxy") == []
    c = greeter(d, "--publish", "127.0.0.1::80", "--publish", "127.0.0.1::81")
    assert len(processes(d, "docker-proxy")) == (2 if proxy else 0)
    local = Packet(source="127.0.0.1", target=c.address, goes="docker0", own=True)
    verdict = Firewall.of(d.host, d.journal).verdict("nat", "POSTROUTING", local)
    assert verdict == ("ACCEPT" if proxy else "MASQUERADE")
    port = int(d.cli("port", c.name, "80").lines[0].rpartition(":")[2])
    with connect(d.host, ("127.0.0.1", port)) as client:
        assert client.recv(5) == b"hello"
    d.cli("rm", "--force", c.name)
    assert processes(d, "docker-proxy") == []


REFUSED = {
    "both-bridges": (("--bridge", "lo", "--bip", "10.66.0.1/24"), "mutually exclusive"),
    "icc-without-iptables": (("--icc=false", "--iptables=false"), "icc=false.*iptables|iptables.*icc"),
    "unknown-bridge": (("--bridge", "nosuch0"), "nosuch0|not found|no such"),
    "bad-bip": (("--bip", "banana"), "banana|invalid CIDR"),
    "range-outside": (("--bip", "10.66.0.1/24", "--fixed-cidr", "10.67.0.0/24"),
                      "10.67.0.0|does not (belong|contain)|range"),
    "bad-range": (("--fixed-cidr", "banana"), "banana|invalid CIDR"),
    "bad-gateway": (("--default-gateway", "banana"), "banana. for .--default-gateway. flag"),
    "gateway-outside": (("--bip", "10.66.0.1/24", "--default-gateway", "10.67.0.1"),
                        "10.67.0.1|outside|out of range|not (in|within)"),
    "bad-dns": (("--dns", "banana"), "banana. for .--dns. flag"),
    "bad-search": (("--dns-search", "-.-"), "-.- is not a valid domain"),
    "bad-ip": (("--ip", "banana"), "banana. for .--ip. flag"),
    "bad-mtu": (("--mtu", "banana"), "banana. for .--mtu. flag"),
}  # fmt: skip


@claim("network-055", "network-056", "network-057", "network-059", "network-060", "network-061", "network-063",
       "network-064", "network-069")  # fmt: skip
@pytest.mark.parametrize("name", REFUSED)
def test_daemon_refuses_to_start(private_daemon, name):
    options, says = REFUSED[name]
    d = private_daemon(start=False)
    said = host_run(d, "timeout", "20", d.raw.service, *options, expect=1, timeout=45).stderr
    # a flag is refused before the daemon starts, with its usage; the rest by its last words
    words = next((line for line in said.splitlines() if "invalid argument" in line), said.splitlines()[-1])
    assert re.search(says, words, re.IGNORECASE), said
    d.fails("ps", says="unreachable")


@claim("network-044", "network-047", "network-049")
def test_options_of_the_first_multi_host_networks_are_unknown_now(private_daemon):
    d = private_daemon(start=False)
    old = host_run(d, "timeout", "30", d.raw.service, "--kv-store=consul:192.0.2.1:8500", expect=[1, 125], timeout=45)
    assert "unknown flag: --kv-store" in old.stderr
    for option in ("--publish-service=a.b", "--publish-service=a.b.overlay"):
        d.fails("run", option, d.image, "true", says="unknown_flag", code=d.code("usage"))

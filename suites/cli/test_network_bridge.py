"""The default bridge: its addresses, links, routes and rules, and the sandboxes of its containers."""

import ipaddress
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from seatrial.exec import run
from seatrial.expecting import one
from seatrial.probes.firewall import Firewall, Packet

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires
OUTSIDE = "198.51.100.2"


def ip(host, journal, *args):
    return json.loads(run(["ip", "-json", *args], host=host, journal=journal).stdout or "[]")


def ports_of(engine, bridge):
    """The numbers of a bridge's ports: names are given again."""
    links = ip(engine.raw.host, engine.journal, "link", "show", "master", bridge)
    return {link["ifindex"] for link in links if link}


def peer(engine, container, inside="eth0"):
    """The host's end of the pair whose other end is the container's interface."""
    number = int(container.sh(f"cat /sys/class/net/{inside}/iflink").text)
    return one(link for link in ip(engine.raw.host, engine.journal, "link") if link["ifindex"] == number)


@claim("network-011", "network-025", "network-030", "network-039", "network-048")
def test_container_has_an_address_of_the_bridge_and_a_pair_into_it(engine):
    bridge = engine.trait("network_default_link")
    subnet = ipaddress.ip_network(
        engine.cli("network", "inspect", "--format", engine.trait("network_subnet_format"),
                   engine.trait("network_default")).text)  # fmt: skip
    c = engine.run()
    assert ipaddress.ip_address(c.address) in subnet
    assert f"{c.address}/{subnet.prefixlen}" in c.exec("ip", "-o", "-4", "addr", "show", "eth0").stdout
    own = one(ip(engine.raw.host, engine.journal, "-4", "addr", "show", "dev", bridge))
    gateway = own["addr_info"][0]["local"]
    assert ipaddress.ip_address(gateway) in subnet
    assert ("eth0", "0.0.0.0", gateway, 0) in c.kernel.routes()
    assert ("eth0", str(subnet.network_address), "0.0.0.0", subnet.prefixlen) in c.kernel.routes()
    assert any(route["dst"] == str(subnet) and route["dev"] == bridge
               for route in ip(engine.raw.host, engine.journal, "route"))  # fmt: skip
    link = peer(engine, c)
    assert link["ifindex"] in ports_of(engine, bridge)
    assert (link["master"], "UP" in link["flags"]) == (bridge, True)
    assert int(c.sh("cat /sys/class/net/eth0/ifindex").text) == link["link_index"]
    engine.cli("rm", "--force", c.name)
    # with the last container, an engine may remove the bridge itself
    assert link["ifindex"] not in {left["ifindex"] for left in ip(engine.raw.host, engine.journal, "link")}


@claim("network-026", "network-033", "network-034", "network-035", "network-031")
def test_rules_let_containers_talk_out_and_answers_in(engine):
    bridge = engine.trait("network_default_link")
    c = engine.run()
    rules = Firewall.of(engine.raw.host, engine.journal)
    there = Packet(source=c.address, target=OUTSIDE, came=bridge, goes="outside0")
    answer = Packet(source=OUTSIDE, target=c.address, came="outside0", goes=bridge, state="ESTABLISHED")
    among = Packet(source=c.address, target=c.address, came=bridge, goes=bridge)
    for packet in (there, answer, among):
        assert rules.verdict("filter", "FORWARD", packet) == "ACCEPT", packet
    assert rules.verdict("nat", "POSTROUTING", there) == "MASQUERADE"
    assert rules.verdict("nat", "POSTROUTING", among) == "ACCEPT"


@claim("network-043", "network-026")
@effect("network create --internal")
@pytest.mark.parametrize("options", [(), ("--internal",)], ids=["ordinary", "internal"])
def test_only_an_internal_network_has_no_way_out(engine, options):
    c = engine.run("--network", engine.network(*options))
    out = Packet(source=c.address, target=OUTSIDE, came=peer(engine, c)["master"], goes="outside0")
    leaves = Firewall.of(engine.raw.host, engine.journal).verdict("filter", "FORWARD", out) == "ACCEPT"
    routed = any(route[:2] == ("eth0", "0.0.0.0") for route in c.kernel.routes())
    assert (leaves and routed) is not bool(options)


@claim("network-006", "network-051", "network-052")
def test_sandbox_is_a_file_that_leads_into_the_stack_and_goes_with_the_container(engine):
    c = engine.run()
    key = c.inspect()["NetworkSettings"]["SandboxKey"]
    # /var/run is a link, which would lead back to this machine
    path = engine.raw.host.path(key.removeprefix("/var"))
    assert path.exists()
    assert f"net:[{path.stat().st_ino}]" == c.kernel.namespace("net")
    inside = ["nsenter", f"--net={key}", "ip", "-o", "-4", "addr"]
    assert c.address in run(inside, host=engine.raw.host, journal=engine.journal).stdout
    number = path.stat().st_ino
    engine.cli("rm", "--force", c.name)
    # a daemon may collect the empty file later
    c.until("left", lambda: not path.exists() or path.stat().st_ino != number)


@claim("network-039", "network-003")
def test_containers_started_at_once_get_addresses_of_their_own(engine):
    with ThreadPoolExecutor(8) as pool:
        containers = list(pool.map(lambda _: engine.run(timeout=120), range(16)))
    addresses = [c.address for c in containers]
    assert all(addresses)
    assert len(set(addresses)) == 16
    for c in containers[::5]:
        assert f"{c.address}/" in c.exec("ip", "-o", "-4", "addr", "show", "eth0").stdout


@claim("network-024", "network-027", "network-028", "network-029", "network-030")
@requires("private_daemon")
def test_daemon_makes_its_bridge_with_address_and_route(private_daemon):
    d = private_daemon(start=False)
    assert [link["ifname"] for link in ip(d.host, d.journal, "link")] == ["lo"]
    assert Firewall.of(d.host, d.journal).rules == []
    d.daemon.start()
    bridge = one(ip(d.host, d.journal, "-4", "addr", "show", "dev", "docker0"))
    assert [(a["local"], a["prefixlen"]) for a in bridge["addr_info"]] == [("172.17.0.1", 16)]
    assert [(r["dst"], r["dev"]) for r in ip(d.host, d.journal, "route")] == [("172.17.0.0/16", "docker0")]
    assert ports_of(d, "docker0") == set()
    assert Firewall.of(d.host, d.journal).rules
    d.provide_image()
    c = d.run()
    assert (c.address, len(ports_of(d, "docker0"))) == ("172.17.0.2", 1)
    d.cli("rm", "--force", c.name)
    assert ports_of(d, "docker0") == set()
    assert d.run().address == "172.17.0.2"


@claim("network-026", "network-031", "network-033", "network-034", "network-035", "network-036",
       "network-037", "network-038")  # fmt: skip
@requires("private_daemon")
def test_rules_of_the_daemon_lead_published_ports_in_and_keep_others_out(private_daemon):
    d = private_daemon()
    c = d.run("--publish", "4242:80")
    rules = Firewall.of(d.host, d.journal)
    out = Packet(source=c.address, target=OUTSIDE, came="docker0", goes="outside0")
    assert rules.verdict("filter", "FORWARD", out) == "ACCEPT"
    assert rules.verdict("nat", "POSTROUTING", out) == "MASQUERADE"
    stranger = Packet(source=OUTSIDE, target=c.address, came="outside0", goes="docker0", port=81)
    assert rules.verdict("filter", "FORWARD", stranger) == "DROP"
    published = Packet(source=OUTSIDE, target=c.address, came="outside0", goes="docker0", port=80)
    assert rules.verdict("filter", "FORWARD", published) == "ACCEPT"
    for state in ("RELATED", "ESTABLISHED"):
        answer = Packet(source=OUTSIDE, target=c.address, came="outside0", goes="docker0", port=81, state=state)
        assert rules.verdict("filter", "FORWARD", answer) == "ACCEPT"
    called = Packet(source=OUTSIDE, target="198.51.100.1", came="outside0", port=4242, local=True)
    for chain, packet in (("PREROUTING", called), ("OUTPUT", Packet(target="198.51.100.1", port=4242, local=True))):
        decided = rules.decide("nat", chain, packet)
        assert (decided.target, decided.options["--to-destination"]) == ("DNAT", f"{c.address}:80")
    for missed in (Packet(came="outside0", port=4242), Packet(came="outside0", port=4243, local=True)):
        assert rules.verdict("nat", "PREROUTING", missed) == "ACCEPT"
    d.cli("rm", "--force", c.name)
    rules = Firewall.of(d.host, d.journal)
    assert rules.verdict("nat", "PREROUTING", called) == "ACCEPT"
    assert rules.verdict("filter", "FORWARD", published) == "DROP"


@claim("network-019", "network-026", "network-031", "network-035")
@requires("private_engine")
def test_container_without_network_can_be_wired_by_hand_and_is_reached_by_others(private_engine):
    e = private_engine()
    host, journal = e.raw.host, e.journal
    script = "while :; do nc -l -p 80 -e sh -c 'netstat -tn | grep :80 >/peer; echo outside'; done"
    outside = e.run("--network", "none", e.image, "sh", "-c", script)
    for argv in (
        ["ip", "link", "add", "outside0", "type", "veth", "peer", "name", "hand0"],
        ["ip", "link", "set", "hand0", "netns", str(outside.pid)],
        ["ip", "addr", "add", "198.51.100.1/24", "dev", "outside0"],
        ["ip", "link", "set", "outside0", "up"],
    ):
        run(argv, host=host, journal=journal)
    inside = ["nsenter", f"--target={outside.pid}", "--net", "ip"]
    run([*inside, "addr", "add", f"{OUTSIDE}/24", "dev", "hand0"], journal=journal)
    run([*inside, "link", "set", "hand0", "up"], journal=journal)
    assert "hand0" in outside.kernel.links()
    outside.until("listening", lambda: 80 in outside.kernel.listeners())
    c = e.run()
    assert c.sh(f"nc -w 5 {OUTSIDE} 80 </dev/null").text == "outside"
    seen = outside.read("/peer")
    assert "198.51.100.1:" in seen
    assert c.address not in seen

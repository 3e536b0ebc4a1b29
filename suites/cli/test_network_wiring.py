"""Interfaces put in by hand, addresses that are nobody else's, and the first packets."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from seatrial.exec import run

claim, requires = pytest.mark.claim, pytest.mark.requires


@pytest.fixture
def ip(engine):
    """Call it with the words of an `ip` command to run it on the engine's host."""
    return lambda *words, **options: run(["ip", *words], host=engine.raw.host, journal=engine.journal, **options)


@pytest.fixture
def wire(engine, ip):
    """Call it to lay a cable from the host into a container; returns the name of the host's end."""

    def lay(c, address, bridge="", mtu=1500):
        space = f"st-{engine.key}-{c.pid}"
        run(["mkdir", "-p", "/run/netns"], host=engine.raw.host)
        run(["ln", "-s", f"/proc/{c.pid}/ns/net", f"/run/netns/{space}"], host=engine.raw.host, journal=engine.journal)
        engine.defer(lambda: run(["rm", "-f", f"/run/netns/{space}"], host=engine.raw.host))
        near, far = f"n{engine.key[:6]}{c.pid}"[:15], f"f{engine.key[:6]}{c.pid}"[:15]
        ip("link", "add", near, "mtu", str(mtu), "type", "veth", "peer", "name", far, "mtu", str(mtu))
        engine.defer(lambda: ip("link", "del", near, expect=None))
        ip("link", "set", far, "netns", space)
        ip("-n", space, "link", "set", far, "name", "eth0")
        ip("-n", space, "addr", "add", address, "dev", "eth0")
        ip("-n", space, "link", "set", "eth0", "up")
        if bridge:
            ip("link", "set", near, "master", bridge)
        ip("link", "set", near, "up")
        return near

    return lay


@claim("network-094", "network-095", "network-097")
def test_container_without_a_network_is_wired_by_hand(engine, serve, fetch, ip, wire):
    c = serve("wired", "--network", "none")
    net = f"100.{64 + int(engine.key, 16) % 64}.{int(engine.key, 16) // 64 % 256}"
    near = wire(c, f"{net}.2/24", mtu=1400)
    assert f"st-{engine.key}-{c.pid}" in ip("netns", "list").stdout
    ip("addr", "add", f"{net}.1/24", "dev", near)
    assert sorted(c.kernel.links()) == ["eth0", "lo"]
    assert c.read("/sys/class/net/eth0/mtu").strip() == "1400"
    assert f"inet {net}.2/24" in c.exec("ip", "-4", "addr", "show", "dev", "eth0").stdout
    assert fetch(f"{net}.2", 80) == "wired"
    engine.cli("rm", "--force", c.name)
    c.until("the cable is gone", lambda: not ip("link", "show", near, expect=None).ok)


@claim("network-097", "network-099")
def test_containers_wired_to_one_bridge_meet_and_others_do_not(engine, serve, ask, ip, wire):
    number = int(engine.key, 16)
    net = f"100.{64 + number % 64}.{number // 64 % 256}"
    bridges = [f"b{engine.key}{side}"[:15] for side in "pq"]
    for bridge in bridges:
        ip("link", "add", bridge, "type", "bridge")
        engine.defer(lambda bridge=bridge: ip("link", "del", bridge))
        ip("link", "set", bridge, "up")
        # where bridged packets pass the host's filter, an engine's policy drops what it does not know
        rule = ["FORWARD", "-i", bridge, "-o", bridge, "-j", "ACCEPT"]
        run(["iptables", "-w", "-I", *rule], host=engine.raw.host, journal=engine.journal)
        engine.defer(lambda rule=rule: run(["iptables", "-w", "-D", *rule], host=engine.raw.host))
    there, friend, stranger = serve("met", "--network", "none"), *(engine.run("--network", "none") for _ in range(2))
    for place, (c, bridge) in enumerate([(there, bridges[0]), (friend, bridges[0]), (stranger, bridges[1])], 2):
        wire(c, f"{net}.{place}/24", bridge)

    friend.until("an answer", lambda: ask(friend, f"{net}.2") == "met")
    assert ask(stranger, f"{net}.2") == ""


@claim("network-102")
def test_address_that_another_container_has_is_refused_until_it_is_free(engine):
    number = int(engine.key, 16)
    net = f"10.{128 + number % 64}.{number // 64 % 256}"
    network, address = engine.network("--subnet", f"{net}.0/24"), f"{net}.50"
    first = engine.run("--network", network, "--ip", address)
    assert first.address == address
    second = engine.create("--network", network, "--ip", address)
    engine.fails("start", second.name, says="network_address_taken")
    engine.cli("rm", "--force", first.name)
    engine.cli("start", second.name)
    assert f"inet {address}/" in second.exec("ip", "-4", "addr", "show", "dev", "eth0").stdout


@claim("network-106")
def test_containers_started_at_once_get_different_addresses(engine):
    with ThreadPoolExecutor(4) as pool:
        started = list(pool.map(lambda _: engine.run(), range(4)))
    assert len({c.address for c in started}) == len({c.name for c in started}) == 4
    for c in started:
        assert f"inet {c.address}/" in c.exec("ip", "-4", "addr", "show", "dev", "eth0").stdout


@claim("network-107")
def test_first_packet_after_the_start_arrives(engine):
    script = "ping -c 1 -W 10 $(ip route | sed -n 's/^default via \\([^ ]*\\).*/\\1/p')"
    said = engine.sh(script, "--cap-add", "NET_RAW").stdout
    assert "1 packets transmitted, 1 packets received, 0% packet loss" in said
    assert "seq=0" in said


@claim("network-083", "network-104")
@requires("private_daemon")
def test_bridge_of_the_daemon_gives_addresses_and_mtu(private_daemon):
    d = private_daemon("--bip=10.213.7.1/24", "--fixed-cidr=10.213.7.64/27", "--mtu=1472")
    c = d.run()
    first, _, last = c.address.rpartition(".")
    assert first == "10.213.7"
    assert 64 <= int(last) < 96
    assert c.read("/sys/class/net/eth0/mtu").strip() == "1472"
    assert [gate for _, to, gate, _ in c.kernel.routes() if to == "0.0.0.0"] == ["10.213.7.1"]

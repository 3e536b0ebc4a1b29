"""Networks: who reaches whom, and what a container can do to its own."""

import pytest

from seatrial.expecting import one
from seatrial.security.syscalls import numbers

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires

CALLS = numbers()
NO_ANSWER = "refused"


def hears(c, address, port=80):
    said = c.sh(f"nc -w 3 {address} {port} </dev/null", expect=None).stdout
    return "answers" if said == "hello\n" else NO_ANSWER


def gateway_of(c):
    return one(gateway for _, _, gateway, prefix in c.kernel.routes() if prefix == 0)


def address_on(c, network):
    return c.inspect()["NetworkSettings"]["Networks"][network]["IPAddress"]


@claim("security-041", "security-055")
def test_networks_do_not_reach_each_other(engine, guard, greeter):
    isolated = engine.trait("isolated_network")
    first, second = engine.network(*isolated), engine.network(*isolated)
    served = greeter(engine, "--network", first)
    address = address_on(served, first)
    stranger, neighbour = engine.run("--network", second), engine.run("--network", first)
    free = hears(neighbour, address)
    guard.holds("a container on another network", hears(stranger, address), free, mode=" ".join(isolated) or "default")


@claim("security-055")
def test_no_network_reaches_nobody(engine, guard, greeter):
    network = engine.network()
    served = greeter(engine, "--network", network)
    address = address_on(served, network)
    alone, neighbour = engine.run("--network", "none"), engine.run("--network", network)
    guard.holds("a container with no network", hears(alone, address), hears(neighbour, address), mode="--network none")
    assert [link for link in alone.kernel.links() if link != "lo"] == []


@claim("security-172")
@effect("run --publish")
def test_port_published_to_loopback_is_had_nowhere_else(engine, guard, greeter):
    outside = engine.run("--network", engine.network())
    gateway = gateway_of(outside)
    seen = {}
    for which, host in (("shut", "127.0.0.1"), ("free", "0.0.0.0")):
        c = greeter(engine, "--publish", f"{host}::80")
        port = int(engine.cli("port", c.name, "80").lines[0].rpartition(":")[2])
        seen[which] = hears(outside, gateway, port)
    guard.holds("a port of loopback, from elsewhere", seen["shut"], seen["free"])


@claim("security-174", "security-040")
@effect("run --cap-add")
def test_network_of_a_container_is_changed_with_net_admin_only(engine, guard):
    ways = {
        "address": "ip addr add 192.0.2.9/32 dev lo",
        "route": "ip route add 192.0.2.0/24 dev lo",
        "mac": "ip link set lo address 02:00:00:00:00:09",
        "link": "ip link set lo mtu 1400",
    }
    script = "; ".join(f"{command} 2>/dev/null && echo ok || echo refused" for command in ways.values())
    shut, free = engine.sh(script), engine.sh(script, "--cap-add", "NET_ADMIN")
    proved = guard.each("changes of addresses, routes and links", dict(zip(ways, shut.lines, strict=True)),
                        dict(zip(ways, free.lines, strict=True)))  # fmt: skip
    assert {"address", "route", "link"} <= set(proved)


@claim("security-040")
def test_network_of_the_host_is_not_changed_either(engine, guard):
    command = "ip addr add 192.0.2.77/32 dev lo 2>/dev/null && echo ok || echo refused"
    shut = engine.sh(command, "--network", "host").text
    free = engine.sh(command, "--cap-add", "NET_ADMIN").text
    guard.holds("an address of the host changed", shut, free, mode="--network host")


@claim("security-173")
@requires("private_daemon")
@effect("dockerd --host")
def test_api_is_not_to_be_had_by_tcp(engine, private_daemon, guard):
    """The control is a daemon of this test that was told to listen there."""
    def answers(which):
        c = which.run()
        gateway = gateway_of(c)
        said = [c.sh(f"printf 'GET /_ping HTTP/1.0\\r\\n\\r\\n' | nc -w 2 {gateway} {port}", expect=None).stdout
                for port in (2375, 2376, 2377, 4243)]  # fmt: skip
        return "answers" if any(word.endswith("OK") for word in said) else NO_ANSWER

    told = private_daemon("--host=unix:///run/docker.sock", "--host=tcp://0.0.0.0:2375", "--tls=false")
    shut = {"the engine under test": answers(engine), "a daemon that was told nothing": answers(private_daemon())}
    guard.each("the API from a container", shut, dict.fromkeys(shut, answers(told)))


@claim("security-171")
@requires("private_daemon")
@effect("dockerd --icc")
def test_containers_of_the_default_bridge_are_parted_without_icc(private_daemon, guard, greeter):
    seen = {}
    for which, value in (("shut", "false"), ("free", "true")):
        d = private_daemon(f"--icc={value}", "--userland-proxy=false")
        served = greeter(d)
        seen[which] = hears(d.run(), served.address)
    guard.holds("another container of the default bridge", seen["shut"], seen["free"], mode="--icc=false")

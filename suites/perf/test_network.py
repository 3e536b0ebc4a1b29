"""Packets: between containers, through a bridge, through a published port, and by the host's own network."""

import contextlib
import time

import pytest

from seatrial.expecting import one
from seatrial.hosts import connect
from seatrial.perf import tools
from seatrial.perf.measure import Measured, Sample
from seatrial.stress.driver import place_of
from seatrial.stress.over_http import held_ports

claim, requires = pytest.mark.claim, pytest.mark.requires
PORT = 5201


@pytest.fixture
def server(engine, toolbox):
    """Starts an iperf3 server in a container with the given options, and waits until it listens."""

    def start(*options, bench=engine, image=toolbox):
        c = bench.run(*options, image, "iperf3", "--server", "--port", str(PORT))
        c.until("listening", lambda: PORT in c.kernel.listeners())
        return c

    return start


def published(container):
    """The port of the host that leads to the server."""
    return place_of(one(held_ports(container.inspect()["NetworkSettings"]["Ports"])))[1]


@claim("perf-030")
@requires("root")
def test_a_bridge_carries_a_tenth_of_loopback_or_more(engine, box, server, measure):
    far, near = server("--publish", f"127.0.0.1::{PORT}"), server("--network", "host")
    outside = tools.outside(engine, network=True)
    inside, port = tools.inside(engine, box.name), published(far)
    sides = {
        "loopback": lambda: tools.bits(outside, "127.0.0.1", PORT),
        "host to container": lambda: tools.bits(outside, far.address, PORT),
        "container to container": lambda: tools.bits(inside, far.address, PORT),
        "published port": lambda: tools.bits(outside, "127.0.0.1", port),
    }
    assert near.status == "running"
    found = measure.turns("TCP throughput", sides, unit="Mbit/s", more_is_better=True, pairs=8)
    for side in list(sides)[1:]:
        measure.ratio(found, side, at_least=0.1)


@claim("perf-031")
@requires("root")
def test_the_hosts_network_costs_nothing(engine, toolbox, server, measure):
    server("--network", "host")
    client = engine.run("--network", "host", toolbox, "sleep", "3600")
    outside, inside = tools.outside(engine, network=True), tools.inside(engine, client.name)
    sides = {"host": lambda: tools.bits(outside, "127.0.0.1", PORT),
             "container": lambda: tools.bits(inside, "127.0.0.1", PORT)}  # fmt: skip
    found = measure.turns("TCP throughput in the host's network", sides, unit="Mbit/s", more_is_better=True, pairs=8)
    measure.ratio(found, "container", at_least=0.9)


@claim("perf-032")
@requires("root")
def test_an_echo_over_a_bridge_takes_less_than_a_millisecond_and_none_is_lost(engine, box, measure):
    other, lost = engine.run(), []
    outside, inside = tools.outside(engine, network=True), tools.inside(engine, box.name)

    def side(run, address):
        def once():
            trip, missing = tools.echoes(run, address)
            lost.append(missing)
            return trip

        return once

    sides = {"loopback": side(outside, "127.0.0.1"), "bridge": side(outside, other.address),
             "container to container": side(inside, other.address)}  # fmt: skip
    found = measure.turns("round trip", sides, unit="ms", pairs=10)
    assert len(lost) >= 3 * len(found.values("bridge"))
    assert set(lost) == {0.0}
    measure.value(found, "container to container", at_most=1.0)
    measure.value(found, "bridge", at_most=1.0)


@claim("perf-033")
def test_datagrams_over_a_bridge_arrive(engine, box, server, measure):
    far = server()
    datagrams_arrive(measure, "container to container", tools.inside(engine, box.name), far.address, PORT)


@claim("perf-037")
@requires("root")
def test_datagrams_to_a_published_port_arrive(engine, server, measure):
    first = server("--publish", f"127.0.0.1::{PORT}")
    port = published(first)
    engine.cli("rm", "--force", first.name)
    server("--publish", f"127.0.0.1:{port}:{PORT}/tcp", "--publish", f"127.0.0.1:{port}:{PORT}/udp")  # it talks by both
    datagrams_arrive(measure, "published port", tools.outside(engine, network=True), "127.0.0.1", port)


def datagrams_arrive(measure, side, run, address, port):
    taken, rates, jitters = {side: []}, {side: []}, {side: []}
    with measure.watched() as watch:
        began = time.monotonic()
        for _ in range(measure.rounds(8)):
            watch.tick()
            seen = tools.stream(run, address, port, "--udp", "--bitrate", "20M", "--length", "512", seconds=2)
            at, total = time.monotonic() - began, seen["sum"]
            assert total["packets"] > 5000
            taken[side].append(Sample(at, max(1 - total["lost_percent"] / 100, 1e-6)))
            jitters[side].append(Sample(at, max(total["jitter_ms"], 1e-6)))
            rates[side].append(Sample(at, tools.datagrams(run, address, port)))
    found = measure.keep(Measured("datagrams that arrive", "share", taken, watch.state, more_is_better=True))
    measure.keep(Measured("datagrams a second, the most that arrive", "1/s", rates, watch.state, more_is_better=True))
    measure.keep(Measured("jitter of datagrams", "ms", jitters, watch.state))
    measure.value(found, side, at_least=0.99)


@claim("perf-034", "perf-036")
@requires("local_engine")
def test_a_connection_to_a_published_port_is_made_within_ten_milliseconds(engine, measure):
    far = engine.run("--publish", f"127.0.0.1::{PORT}", engine.image, "nc", "-ll", "-p", str(PORT), "-e", "cat")
    far.until("listening", lambda: PORT in far.kernel.listeners())
    host, port, address = engine.raw.host, published(far), far.address

    each = {"to the container": [], "published port": []}
    begin = time.monotonic()

    def echo(side, where):
        with contextlib.closing(connect(host, where, 10.0)) as line:
            began = time.perf_counter()
            for _ in range(100):
                before = time.perf_counter()
                line.sendall(b"x")
                assert line.recv(1) == b"x"
                each[side].append(Sample(time.monotonic() - begin, 1000 * (time.perf_counter() - before)))
            return 1000 * (time.perf_counter() - began) / 100

    sides = {"to the container": lambda: echo("to the container", (address, PORT)),
             "published port": lambda: echo("published port", ("127.0.0.1", port))}  # fmt: skip
    found = measure.turns("echo of a byte", sides, unit="ms", pairs=15)
    single = measure.keep(Measured("echoes of a byte, each", "ms", each, found.state, paired=False))
    measure.value(found, "published port", at_most=10.0)
    measure.value(single, "published port", at_most=10.0, percentile=99)


@claim("perf-035")
@requires("private_daemon", "root")
@pytest.mark.slow
def test_the_userland_proxy_costs_throughput_and_its_lack_does_not(private_daemon, toolbox, server, measure):
    from seatrial.lab import images

    sides = {}
    for word, options in (("by the kernel", ["--userland-proxy=false"]), ("by the proxy", [])):
        d = private_daemon(*options)
        images.provide(d.raw, (toolbox,))
        far = server("--publish", f"127.0.0.1::{PORT}", bench=d)
        run, port = tools.outside(d, network=True), published(far)
        sides[word] = lambda run=run, port=port: tools.bits(run, "127.0.0.1", port)
    found = measure.turns("TCP throughput from loopback", sides, unit="Mbit/s", more_is_better=True, pairs=8)
    measure.ratio(found, "by the proxy", at_most=1.1)

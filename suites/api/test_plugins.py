"""Plugins for networks, addresses and logs that are slow, refuse, vanish or talk nonsense, over the API."""

import time

import pytest

from seatrial.lab.plugins_log import LogStub
from seatrial.lab.plugins_net import IpamStub, NetworkStub

claim, requires = pytest.mark.claim, pytest.mark.requires
pytestmark = requires("private_daemon", "plugin")
POOL = {"Config": [{"Subnet": "198.18.41.0/24", "Gateway": "198.18.41.1"}]}
SLOW = 3.0  # seconds


@pytest.fixture
def d(private_daemon):
    """An engine of the test's own: a daemon does not forget a plugin that it has used."""
    return private_daemon()


@pytest.fixture
def wire(d):
    """A plugin for networks beside it."""
    with NetworkStub(d.host, "wire") as plugin:
        yield plugin


@pytest.fixture
def purser(d):
    """A plugin for addresses beside it."""
    with IpamStub(d.host, "purser", pool="198.18.42.0/24") as plugin:
        yield plugin


def usable(d):
    """Look whether the daemon does what needs no plugin, in time."""
    began = time.monotonic()
    d.api.get("/networks", timeout=20)
    d.api.run(HostConfig={"NetworkMode": "none"})
    assert time.monotonic() - began < 20


def nothing_of(d, name):
    d.api.get(f"/networks/{name}", expect=404)
    assert name not in [network["Name"] for network in d.api.get("/networks").json()]


@claim("api-194")
@pytest.mark.parametrize("method", ["CreateNetwork", "CreateEndpoint", "Join"])
def test_a_slow_network_plugin_is_waited_for(d, wire, method):
    wire.misbehave(f"NetworkDriver.{method}", delay=SLOW, times=1)
    began = time.monotonic()
    network = d.api.network(Driver="wire", IPAM=POOL)
    c = d.api.create(HostConfig={"NetworkMode": network})
    c.start()
    assert time.monotonic() - began >= SLOW
    address = c.inspect()["NetworkSettings"]["Networks"][network]["IPAddress"]
    assert f"{address}/24" in c.execute("ip", "-o", "-4", "addr", "show", "eth0").frames.stdout.decode()


@claim("api-194")
def test_others_do_not_wait_for_a_slow_network_plugin(d, wire):
    network = d.api.network(Driver="wire", IPAM=POOL)
    c, other = d.api.create(HostConfig={"NetworkMode": network}), d.api.create(HostConfig={"NetworkMode": "none"})
    wire.misbehave("NetworkDriver.Join", delay=8.0, times=1)
    with d.api.dial(timeout=30) as line:
        line.send(f"POST /containers/{c.name}/start HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n".encode())
        wire.await_call("NetworkDriver.Join")
        began = time.monotonic()
        other.start()
        d.api.get("/containers/json")
        assert time.monotonic() - began < 6
        line.answer("POST").check(204)
    assert c.kernel.alive


@claim("api-194")
@pytest.mark.parametrize(
    ("how", "says"),
    [({"vanish": True}, "wire"), ({"garbage": True}, "invalid character"), ({"error": "no berth"}, "no berth")],
    ids=["vanishes", "nonsense", "refuses"],
)  # fmt: skip
def test_a_network_that_its_plugin_does_not_make_is_not_there(d, wire, how, says):
    wire.misbehave("NetworkDriver.CreateNetwork", **how)
    began = time.monotonic()
    body = {"Name": "lost", "Driver": "wire", "IPAM": POOL}
    answer = d.api.post("/networks/create", expect=None, json=body, timeout=90)
    assert answer.status >= 400 and says in answer.message
    assert time.monotonic() - began < 60
    nothing_of(d, "lost")
    usable(d)
    wire.behave("NetworkDriver.CreateNetwork")
    if how.get("vanish"):
        wire.start()
    d.api.network(Driver="wire", IPAM=POOL)


@claim("api-194")
@pytest.mark.parametrize("method", ["CreateEndpoint", "Join"])
@pytest.mark.parametrize("how", [{"vanish": True}, {"garbage": True}], ids=["vanishes", "nonsense"])
def test_a_container_whose_network_plugin_fails_does_not_run_and_may_later(d, wire, method, how):
    network = d.api.network(Driver="wire", IPAM=POOL)
    c = d.api.create(HostConfig={"NetworkMode": network})
    wire.misbehave(f"NetworkDriver.{method}", **how)
    began = time.monotonic()
    assert c.post("start", expect=None, timeout=90).message
    assert time.monotonic() - began < 60
    state = c.inspect()["State"]
    assert (state["Running"], state["Pid"]) == (False, 0)
    assert state["Error"]
    usable(d)
    wire.behave(f"NetworkDriver.{method}")
    if how.get("vanish"):
        wire.start()
    c.start()
    assert c.kernel.alive


@claim("api-194")
def test_a_running_container_outlives_its_network_plugin(d, wire):
    network = d.api.network(Driver="wire", IPAM=POOL)
    c = d.api.run(HostConfig={"NetworkMode": network})
    pid = c.pid
    wire.stop()
    assert c.execute("true").code == 0
    c.post("kill", expect=204)
    c.wait()
    assert c.inspect()["State"]["Status"] == "exited"
    wire.start()
    c.start()
    assert c.pid not in (0, pid)


@claim("api-194")
@pytest.mark.parametrize(("method", "how"),
                         [("RequestPool", {"error": "no pool left"}), ("RequestPool", {"garbage": True}),
                          ("RequestPool", {"vanish": True}), ("RequestAddress", {"error": "no address left"})],
                         ids=["refuses-a-pool", "nonsense", "vanishes", "refuses-the-gateway"])  # fmt: skip
def test_a_network_without_addresses_is_not_made(d, purser, method, how):
    purser.misbehave(f"IpamDriver.{method}", **how)
    began = time.monotonic()
    body = {"Name": "lost", "IPAM": {"Driver": "purser"}}
    answer = d.api.post("/networks/create", expect=None, json=body, timeout=90)
    assert answer.status >= 400
    assert how.get("error", "") in answer.message
    assert time.monotonic() - began < 60
    nothing_of(d, "lost")
    assert (purser.pools, purser.taken) == ({}, set())
    usable(d)
    purser.behave(f"IpamDriver.{method}")
    if how.get("vanish"):
        purser.start()
    d.api.network(IPAM={"Driver": "purser"})
    assert len(purser.pools) == 1


@claim("api-194")
def test_a_container_without_an_address_does_not_run_and_others_do(d, purser):
    network = d.api.network(IPAM={"Driver": "purser"})
    first = d.api.run(HostConfig={"NetworkMode": network})
    c = d.api.create(HostConfig={"NetworkMode": network})
    taken = set(purser.taken)
    purser.misbehave("IpamDriver.RequestAddress", error="no address left", times=1)
    assert "no address left" in c.post("start", expect=None).message
    assert (c.status, first.kernel.alive) == ("created", True)
    assert purser.taken == taken
    c.start()
    assert len(purser.taken) == len(taken) + 1


@claim("api-194")
def test_a_slow_address_plugin_is_waited_for(d, purser):
    network = d.api.network(IPAM={"Driver": "purser"})
    purser.misbehave("IpamDriver.RequestAddress", delay=SLOW, times=1)
    c = d.api.create(HostConfig={"NetworkMode": network})
    began = time.monotonic()
    c.start()
    assert time.monotonic() - began >= SLOW
    assert c.inspect()["NetworkSettings"]["Networks"][network]["IPAddress"] in purser.taken


@claim("api-194")
def test_addresses_go_back_to_the_plugin(d, purser):
    network = d.api.network(IPAM={"Driver": "purser"})
    c = d.api.run(HostConfig={"NetworkMode": network})
    address = c.inspect()["NetworkSettings"]["Networks"][network]["IPAddress"]
    c.post("kill", expect=204)
    c.wait()
    purser.await_call("IpamDriver.ReleaseAddress")
    assert address not in purser.taken
    c.delete(expect=204)
    d.api.delete(f"/networks/{network}", expect=204)
    assert (purser.pools, purser.taken) == ({}, set())


@pytest.fixture
def scribe(d):
    """A log driver beside it, which can read back."""
    with LogStub(d.host, "scribe") as plugin:
        yield plugin


def logged(d, script, **options):
    """Run a script to its end with the log driver."""
    config = {"Type": "scribe", "Config": options}
    c = d.api.sh(script, HostConfig={"LogConfig": config, "NetworkMode": "none"})
    c.wait()
    return c


@claim("api-195")
def test_a_log_plugin_gets_both_streams_and_is_told_beginning_and_end(d, scribe):
    before = time.time_ns()
    c = logged(d, "echo out; sleep 1; echo err >&2", tag="{{.Name}}", labels="hull")
    scribe.await_call("LogDriver.StopLogging")
    entries = scribe.entries(c.id)
    assert [(entry.source, entry.line) for entry in entries] == [("stdout", b"out"), ("stderr", b"err")]
    assert before < entries[0].nanoseconds < entries[1].nanoseconds < time.time_ns()
    info = scribe.info[c.id]
    assert (info["ContainerName"], info["ContainerID"]) == (f"/{c.name}", c.id)
    assert info["Config"] == {"tag": "{{.Name}}", "labels": "hull"}
    order = [method for method in scribe.methods() if "Logging" in method]
    assert order == ["LogDriver.StartLogging", "LogDriver.StopLogging"]


@claim("api-195")
def test_logs_are_read_back_through_the_plugin(d, scribe):
    c = logged(d, "for n in 1 2 3; do echo out$n; done; sleep 1; echo err >&2")
    query = {"stdout": True, "stderr": True}
    frames = c.get("logs", query=query).frames()
    assert (frames.stdout, frames.stderr) == (b"out1\nout2\nout3\n", b"err\n")
    assert c.get("logs", query={"stdout": True, "tail": "2"}).frames().stdout == b"out3\n"
    asked = scribe.called("LogDriver.ReadLogs")
    assert [(call.body["Info"]["ContainerID"], call.body["Config"].get("Tail")) for call in asked][-1] == (c.id, 2)
    assert c.inspect()["HostConfig"]["LogConfig"]["Type"] == "scribe"


@claim("api-195")
def test_a_long_line_comes_in_parts(d, scribe):
    c = logged(d, "head -c 40000 /dev/zero | tr '\\0' x; echo")
    entries = scribe.entries(c.id)
    assert len(entries) >= 3 and all(entry.partial for entry in entries)
    assert [entry.ordinal for entry in entries] == list(range(1, len(entries) + 1))
    assert [entry.last for entry in entries] == [False] * (len(entries) - 1) + [True]
    assert c.get("logs", query={"stdout": True}).frames().stdout == b"x" * 40_000 + b"\n"
    assert b"".join(entry.line for entry in entries) == b"x" * 40_000


@claim("api-195")
def test_a_start_is_refused_when_the_log_plugin_refuses_it(d, scribe):
    scribe.misbehave("LogDriver.StartLogging", error="no paper left", times=1)
    c = d.api.create(HostConfig={"LogConfig": {"Type": "scribe"}})
    assert "no paper left" in c.post("start", expect=None).message
    assert c.inspect()["State"]["Pid"] == 0
    c.start()
    assert c.kernel.alive


@claim("api-195")
def test_a_container_outlives_its_log_plugin(d, scribe):
    c = d.api.sh("while :; do echo word; sleep 0.2; done",
                 HostConfig={"LogConfig": {"Type": "scribe"}, "NetworkMode": "none"})  # fmt: skip
    scribe.await_line(c.id, b"word")
    scribe.stop()
    time.sleep(1)  # in which it writes on
    assert c.kernel.alive
    usable(d)
    c.post("kill", expect=204)
    assert c.wait() == 137


@claim("api-195")
def test_an_unknown_log_driver_is_refused(d):
    began = time.monotonic()
    answer = d.api.post("/containers/create", expect=None, timeout=90,
                        json={"Image": d.image, "HostConfig": {"LogConfig": {"Type": "nosuch"}}})  # fmt: skip
    assert answer.status >= 400 and "nosuch" in answer.message
    assert time.monotonic() - began < 60
    assert d.api.get("/containers/json", query={"all": True}).json() == []

"""The stub plugins serve a real daemon, and do harm when they are told to."""

import json
import secrets

import pytest

from seatrial.engines import drivers
from seatrial.engines.startable import Wishes
from seatrial.exec import FAILURE
from seatrial.hosts import LOCAL
from seatrial.lab import images, labs
from seatrial.lab.plugins import AuthzStub, PluginStub, VolumeStub
from seatrial.lab.plugins_log import LogStub
from seatrial.lab.plugins_net import IpamStub, NetworkStub
from seatrial.names import BUSYBOX, new_run_id
from seatrial.targets import parse

TARGET = parse("docker@bookworm")


@pytest.fixture(scope="module")
def engine():
    """A daemon of these tests alone: one that has met a volume driver asks it for ever."""
    private = labs.private(TARGET, new_run_id())
    driver = drivers.in_lab(TARGET, private.lab)
    images.provide(driver)
    yield driver
    private.close()


@pytest.fixture
def name():
    return f"stub{secrets.token_hex(3)}"


@pytest.mark.parametrize("found_by", ["sock", "spec", "json"])
def test_volume(engine, name, found_by):
    with VolumeStub(engine.host, name, found_by=found_by) as stub:
        engine.cli("volume", "create", "-d", name, "-o", "color=red", name)
        assert stub.volumes == {name: {"color": "red"}}
        (stub.files(name) / "from-here").write_text("ahoy")
        script = "cat /data/from-here; echo aye >/data/from-there"
        assert engine.cli("run", "--rm", "-v", f"{name}:/data", BUSYBOX, "sh", "-c", script).text == "ahoy"
        assert (stub.files(name) / "from-there").read_text() == "aye\n"
        assert stub.called("VolumeDriver.Mount")[0].body["Name"] == name
        order = stub.methods()
        assert order.index("VolumeDriver.Create") < order.index("VolumeDriver.Mount")
        assert order.index("VolumeDriver.Mount") < order.index("VolumeDriver.Unmount")
        assert engine.inspect(name, "volume")["Mountpoint"] == stub.mountpoint(name)
        engine.cli("volume", "rm", name)
        assert stub.volumes == {}
    assert not engine.host.path(stub.socket).exists()
    assert not engine.host.path(stub.base).exists()


def test_misbehaviour(engine, name):
    with VolumeStub(engine.host, name) as stub:
        stub.misbehave("VolumeDriver.Create", error="no space left on the moon")
        engine.cli("volume", "create", "-d", name, name, expect=1, stderr="no space left on the moon")
        stub.misbehave("VolumeDriver.Create", delay=1.5)
        assert engine.cli("volume", "create", "-d", name, name).duration > 1.5
        stub.behave("VolumeDriver.Create")
        stub.misbehave("VolumeDriver.Mount", garbage=True)
        engine.cli("run", "--rm", "-v", f"{name}:/data", BUSYBOX, "true", expect=125, stderr="invalid character")
        stub.misbehave("VolumeDriver.Remove", error="once", times=1)
        engine.cli("volume", "rm", name, expect=1, stderr="once")
        engine.cli("volume", "rm", name)
        assert [call.order for call in stub.calls] == list(range(len(stub.calls)))
        assert all(one.at <= other.at for one, other in zip(stub.calls, stub.calls[1:], strict=False))


def test_a_plugin_that_vanishes_and_returns(engine, name):
    with VolumeStub(engine.host, name) as stub:
        engine.cli("volume", "create", "-d", name, name)
        stub.misbehave("VolumeDriver.Mount", vanish=True)
        engine.cli("run", "--rm", "-v", f"{name}:/data", BUSYBOX, "true", expect=FAILURE, timeout=90)
        assert not engine.host.path(stub.socket).exists()
        stub.behave("VolumeDriver.Mount")
        stub.start()
        engine.cli("run", "--rm", "-v", f"{name}:/data", BUSYBOX, "true", timeout=90)
        engine.cli("volume", "rm", name)


def test_network_and_addresses(engine, name):
    with NetworkStub(engine.host, name) as network, IpamStub(engine.host, f"{name}i", pool="10.213.7.0/24") as ipam:
        engine.cli("network", "create", "-d", name, "--ipam-driver", ipam.name, name)
        try:
            engine.cli("run", "-d", "--name", name, "--network", name, BUSYBOX, "sleep", "600")
            address = engine.inspect(name)["NetworkSettings"]["Networks"][name]["IPAddress"]
            assert address in ipam.taken
            assert address.startswith("10.213.7.")
            seen = engine.cli("run", "--rm", "--network", name, BUSYBOX, "ping", "-c", "1", "-W", "5", address)
            assert "1 packets received" in seen.stdout
            order = [method.removeprefix("NetworkDriver.") for method in network.methods()]
            assert order.index("CreateNetwork") < order.index("CreateEndpoint") < order.index("Join")
        finally:
            engine.remove("container", [name])
            engine.cli("network", "rm", name)
        assert network.called("NetworkDriver.Leave")
        assert network.endpoints == network.networks == {}
        assert ipam.pools == {}
        assert ipam.taken == set()


def test_log(engine, name):
    with LogStub(engine.host, name) as stub:
        options = ["--log-driver", name, "--log-opt", "tag=t"]
        container = engine.cli("run", "-d", *options, BUSYBOX, "sh", "-c", "echo out; echo err >&2").text
        try:
            assert stub.await_line(container, b"out").source == "stdout"
            assert stub.await_line(container, b"err").source == "stderr"
            assert stub.info[container]["Config"] == {"tag": "t"}
            stub.await_call("LogDriver.StopLogging")
            logs = engine.cli("logs", container)
            assert (logs.text, logs.stderr.strip()) == ("out", "err")
        finally:
            engine.remove("container", [container])


def test_authorization(name):
    refused = []

    def request(body):
        if "/volumes/create" in body["RequestUri"]:
            refused.append(body["RequestMethod"])
            return "no volumes on this ship"
        return ""

    private = labs.private(TARGET, new_run_id(), Wishes([f"--authorization-plugin={name}"]), start=False)
    try:
        with AuthzStub(private.lab.host, name, request=request) as stub:
            private.daemon.start()
            private.lab.socket = private.daemon.socket
            engine = drivers.in_lab(TARGET, private.lab)
            engine.cli("volume", "create", name, expect=1, stderr="no volumes on this ship")
            engine.cli("network", "create", name)
            assert refused == ["POST"]
            assert stub.called("AuthZPlugin.AuthZRes")
            stub.response = lambda body: "not this answer" if "/networks" in body["RequestUri"] else ""
            engine.cli("network", "ls", expect=1, stderr="not this answer")
    finally:
        private.close()


def test_a_broken_stub_fails_its_test(tmp_path, name):
    class Broken(PluginStub):
        def routes(self):
            return {"Test.Break": lambda body: body["missing"]}

    stub = Broken(LOCAL, name)
    stub.socket = str(tmp_path / ("deep" * 30) / "x.sock")  # longer than an address may be
    assert len(stub.socket) > 108
    stub.start()
    assert stub._handle("Test.Break", {})[0] == 500
    assert stub._handle("Plugin.Activate", {}) == (200, json.dumps({"Implements": []}).encode())
    assert stub._handle("Test.Unknown", {})[0] == 404
    assert stub.await_call("Test.Break", timeout=1).order == 0
    with pytest.raises(AssertionError, match="was called 0 times"):
        stub.await_call("Test.Never", timeout=0.1)
    with pytest.raises(AssertionError, match=r"is broken: Test\.Break: KeyError"):
        stub.__exit__(None, None, None)

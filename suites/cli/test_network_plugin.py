"""Networks of a plugin: what the daemon asks it and when, what it does with the answers, and without it."""

import pytest

from seatrial.exec import run
from seatrial.lab.plugins import PluginStub
from seatrial.lab.plugins_net import IpamStub, NetworkStub

claim = pytest.mark.claim
pytestmark = pytest.mark.requires("private_daemon", "plugin")
SUBNET = ("--subnet", "198.18.40.0/24", "--gateway", "198.18.40.1")


class VolumesOnly(PluginStub):
    """A plugin that is no network driver."""

    implements = ("VolumeDriver",)


@pytest.fixture
def stub(private_daemon):
    """A daemon of the test's own, and the network plugin `stub` beside it."""
    d = private_daemon()
    with NetworkStub(d.host, "stub") as plugin:
        yield d, plugin


def asked(plugin):
    return [method.rpartition(".")[2] for method in plugin.methods()]


@claim("network-014", "network-007", "network-114")
def test_plugin_is_asked_for_networks_endpoints_and_their_interfaces(stub):
    d, plugin = stub
    network = d.network("--driver", "stub", *SUBNET, "--opt", "berth=7")
    assert asked(plugin)[:2] == ["Activate", "GetCapabilities"]
    created = plugin.await_call("NetworkDriver.CreateNetwork").body
    assert created["NetworkID"] == d.inspect(network, "network")["Id"]
    assert created["Options"]["com.docker.network.generic"] == {"berth": "7"}
    assert (created["IPv4Data"][0]["Pool"], created["IPv4Data"][0]["Gateway"]) == ("198.18.40.0/24", "198.18.40.1/24")
    one, two = d.run("--network", network), d.run("--network", network)
    endpoint = plugin.await_call("NetworkDriver.CreateEndpoint").body
    assert endpoint["Interface"]["Address"] == f"{one.address}/24"
    joined = plugin.await_call("NetworkDriver.Join").body
    assert joined["EndpointID"] == endpoint["EndpointID"]
    assert f"{one.address}/24" in one.exec("ip", "-o", "-4", "addr", "show", "eth0").stdout
    assert ("eth0", "0.0.0.0", "198.18.40.1", 0) in one.kernel.routes()
    assert one.exec("ping", "-c", "1", "-w", "5", two.address).ok
    ports = ["ip", "-o", "link", "show", "master", plugin.bridge(created["NetworkID"])]
    assert len(run(ports, host=d.host, journal=d.journal).lines) == 2
    d.cli("rm", "--force", one.name, two.name)
    d.cli("network", "rm", network)
    order = [method for method in asked(plugin) if method in
             ("CreateNetwork", "CreateEndpoint", "Join", "Leave", "DeleteEndpoint", "DeleteNetwork")]  # fmt: skip
    assert (order[0], order[1], order[2], order[-1]) == ("CreateNetwork", "CreateEndpoint", "Join", "DeleteNetwork")
    assert all(order.count(method) == 2 for method in ("CreateEndpoint", "Join", "Leave", "DeleteEndpoint"))
    assert (plugin.networks, plugin.endpoints) == ({}, {})


@claim("network-014", "network-008")
def test_running_container_joins_and_leaves_a_network_of_a_plugin(stub):
    d, plugin = stub
    network = d.network("--driver", "stub", *SUBNET)
    c = d.run()
    d.cli("network", "connect", "--ip", "198.18.40.77", network, c.name)
    assert "198.18.40.77/24" in c.exec("ip", "-o", "-4", "addr", "show", "eth1").stdout
    d.cli("network", "disconnect", network, c.name)
    plugin.await_call("NetworkDriver.Leave")
    plugin.await_call("NetworkDriver.DeleteEndpoint")
    assert sorted(c.kernel.links()) == ["eth0", "lo"]


@claim("network-014")
@pytest.mark.parametrize("method", ["CreateNetwork", "CreateEndpoint", "Join"])
def test_error_of_the_plugin_is_told_and_nothing_is_left(stub, method):
    d, plugin = stub
    if method == "CreateNetwork":
        plugin.misbehave("NetworkDriver.CreateNetwork", error="no more berths", status=500)
        d.fails("network", "create", "--driver", "stub", *SUBNET, "refused", says="no more berths", code=1)
        assert not d.exists("refused", "network")
        return
    network = d.network("--driver", "stub", *SUBNET)
    plugin.misbehave(f"NetworkDriver.{method}", error="no more berths", status=500)
    result = d.cli("run", "--name", "refused", "--network", network, d.image, "true", expect=125)
    assert "no more berths" in result.stderr
    assert plugin.endpoints == {}
    plugin.behave(f"NetworkDriver.{method}")
    d.cli("start", "--attach", "refused")


@claim("network-014")
def test_plugin_that_is_no_network_driver_is_refused(private_daemon):
    d = private_daemon()
    with VolumesOnly(d.host, "stub"):
        d.fails("network", "create", "--driver", "stub", "refused", says="stub|does not implement", code=1)
    assert not d.exists("refused", "network")


@claim("network-014", "network-039")
def test_addresses_of_a_plugin_are_those_that_it_gives(private_daemon):
    d = private_daemon()
    with IpamStub(d.host, "purser") as plugin:
        network = d.network("--ipam-driver", "purser")
        assert d.inspect(network, "network")["IPAM"]["Driver"] == "purser"
        one, two = d.run("--network", network), d.run("--network", network)
        assert {one.address, two.address} < plugin.taken
        assert f"{one.address}/24" in one.exec("ip", "-o", "-4", "addr", "show", "eth0").stdout
        assert one.exec("ping", "-c", "1", "-w", "5", two.address).ok
        gone = one.address
        d.cli("rm", "--force", one.name)
        assert gone not in plugin.taken
        d.cli("rm", "--force", two.name)
        d.cli("network", "rm", network)
        assert (plugin.taken, plugin.pools) == (set(), {})

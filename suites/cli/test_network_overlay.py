"""Overlay networks on one host: their sandbox with bridge and VXLAN, and their containers."""

import json

import pytest

from seatrial.exec import run
from seatrial.expecting import one

claim = pytest.mark.claim
pytestmark = pytest.mark.requires("private_daemon", "swarm", "vxlan")


@claim("network-015", "network-041", "network-042", "network-045", "network-048", "network-053", "network-054")
def test_overlay_has_a_sandbox_with_bridge_and_vxlan_and_connects_its_containers(private_daemon):
    d = private_daemon()
    begun = d.cli("swarm", "init", "--advertise-addr", "127.0.0.1", "--listen-addr", "127.0.0.1")
    assert "docker swarm join --token" in begun.stdout
    d.cli("network", "create", "--driver", "overlay", "--attachable", "--subnet", "198.18.50.0/24", "deep")
    assert d.inspect("deep", "network")["Scope"] == "swarm"
    bow, stern = d.run("--network", "deep"), d.run("--network", "deep")
    assert bow.address.startswith("198.18.50.")
    assert f"{bow.address}/24" in bow.exec("ip", "-o", "-4", "addr", "show", "eth0").stdout
    assert bow.exec("ping", "-c", "1", "-w", "5", stern.address).ok
    network = d.inspect("deep", "network")["Id"]
    sandbox = one(d.host.path("/run/docker/netns").glob(f"*-{network[:10]}"))
    inside = ["nsenter", f"--net=/run/docker/netns/{sandbox.name}", "ip", "-json", "-details", "addr"]
    links = {link["ifname"]: link for link in json.loads(run(inside, host=d.host, journal=d.journal).stdout)}
    assert [a["local"] for a in links["br0"]["addr_info"] if a["family"] == "inet"] == ["198.18.50.1"]
    vxlan = one(link for link in links.values() if link.get("linkinfo", {}).get("info_kind") == "vxlan")
    assert vxlan["master"] == "br0"
    data = vxlan["linkinfo"]["info_data"]
    assert data["id"] >= 4096
    assert data["port"] == 4789
    assert (data["proxy"], data["l2miss"], data["l3miss"]) == (True, True, True)
    ends = {link["ifindex"] for link in links.values() if link.get("master") == "br0"}
    assert {int(c.sh("cat /sys/class/net/eth0/iflink").text) for c in (bow, stern)} < ends

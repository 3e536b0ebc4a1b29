"""Network devices of the host that are moved into the container."""

import itertools
import json

import pytest

from seatrial.exec import FAILURE
from seatrial.expecting import one
from seatrial.oci.bench import refused
from seatrial.oci.bundle import NAMESPACES, namespaces

claim, requires = pytest.mark.claim, pytest.mark.requires

pytestmark = pytest.mark.requires("network_devices")

MAC = "02:5e:a7:12:1a:01"


class Devices:
    """Pairs of virtual devices in the runtime's network; what is left of them goes with the test."""

    def __init__(self, runtime):
        self.runtime = runtime
        self._numbers = itertools.count(1)

    def ip(self, *words):
        return self.runtime.on_host("ip", *words)

    def make(self):
        """Make a pair and return the name of one end; the other one has a `p` in front."""
        name = f"v{self.runtime.key}{next(self._numbers)}"
        self.ip("link", "add", name, "type", "veth", "peer", "name", f"p{name}")
        self.runtime.defer(lambda: f"p{name}" in self.here() and self.ip("link", "delete", f"p{name}"))
        return name

    def here(self):
        """The names of the devices in the runtime's network."""
        return {link["ifname"] for link in json.loads(self.ip("-j", "link").stdout)}

    def inside(self, box):
        """What there is in the container's network, by name."""
        said = self.runtime.on_host("nsenter", f"--net=/proc/{box.pid}/ns/net", "ip", "-j", "-d", "address")
        return {link["ifname"]: link for link in json.loads(said.stdout)}


@pytest.fixture
def devices(runtime):
    return Devices(runtime)


def moving(bundle, **names):
    """Return a bundle that moves devices: name in the runtime's network -> name in the container, "" for the same."""
    return bundle.with_(linux={"netDevices": {old: {"name": new} if new else {} for old, new in names.items()}})


@claim("CL-netdev-avail")
def test_a_device_is_in_the_container_and_no_longer_outside(runtime, bundle, devices):
    name = devices.make()
    assert name in devices.here()
    box = runtime.run(moving(bundle, **{name: ""}))
    assert box.seen.interfaces == {"lo", name}
    assert name not in devices.here()
    assert f"p{name}" in devices.here()


@claim("CL-netdev-avail")
def test_every_device_of_the_list_is_moved_and_has_its_new_name(runtime, bundle, devices):
    first, second, third = (devices.make() for _ in range(3))
    box = runtime.run(moving(bundle, **{first: "sea0", second: "sea1"}))
    assert box.seen.interfaces == {"lo", "sea0", "sea1"}
    assert {first, second, third} & devices.here() == {third}


@claim("CL-netdev-template")
def test_the_kernel_finds_the_number_in_a_name(runtime, bundle, devices):
    first, second = devices.make(), devices.make()
    box = runtime.run(moving(bundle, **{first: "sea%d", second: "sea%d"}))
    assert box.seen.interfaces == {"lo", "sea0", "sea1"}


@claim("CL-netdev-up")
def test_a_device_is_up(runtime, bundle, devices):
    name = devices.make()
    before = one(json.loads(devices.ip("-j", "link", "show", name).stdout))
    assert "UP" not in before["flags"]
    box = runtime.run(moving(bundle, **{name: ""}))
    assert box.seen.pid == 1
    assert "UP" in devices.inside(box)[name]["flags"]


@claim("CL-netdev-attrs")
def test_a_device_keeps_its_attributes(runtime, bundle, devices):
    name = devices.make()
    devices.ip("link", "set", name, "address", MAC, "mtu", "1400", "txqueuelen", "321", "alias", "sea trial")
    box = runtime.run(moving(bundle, **{name: "sea0"}))
    assert box.seen.pid == 1
    link = devices.inside(box)["sea0"]
    assert (link["address"], link["mtu"], link["txqlen"], link["ifalias"]) == (MAC, 1400, 321, "sea trial")


@claim("CL-netdev-attrs")
@pytest.mark.parametrize("address", [
    "10.203.5.7/24", pytest.param("fd5e:a7::7/64", marks=pytest.mark.requires("ipv6")),
], ids=["v4", "v6"])  # fmt: skip
def test_a_device_keeps_its_permanent_addresses_and_no_others(runtime, bundle, devices, address):
    name = devices.make()
    devices.ip("address", "add", address, "dev", name, *(["nodad"] if ":" in address else []))
    other = "fd5e:a8::8/64" if ":" in address else "10.204.5.8/24"
    devices.ip("address", "add", other, "dev", name, "valid_lft", "600", "preferred_lft", "600")
    box = runtime.run(moving(bundle, **{name: ""}))
    assert box.seen.pid == 1
    kept = {f"{found['local']}/{found['prefixlen']}" for found in devices.inside(box)[name]["addr_info"]
            if found["scope"] == "global"}  # fmt: skip
    assert kept == {address}


@claim("CL-netdev-check", "RT-err-atomic")
def test_a_name_that_is_taken_in_the_container_is_an_error(runtime, bundle, devices):
    name = devices.make()
    box = runtime.refuses(moving(bundle, **{name: "lo"}))
    assert not box.known
    assert box.leftovers() == []


@claim("CL-netdev-check", "CL-netdev-nomanage")
def test_a_device_whose_new_name_is_taken_stays_where_it_is(runtime, bundle, devices):
    name = devices.make()
    runtime.refuses(moving(bundle, **{name: "lo"}))
    assert name in devices.here()


@claim("CL-netdev-check", "RT-err-atomic")
def test_a_device_that_is_not_there_is_an_error(runtime, bundle):
    box = runtime.refuses(moving(bundle, nosuchdevice=""))
    assert not box.known
    assert box.leftovers() == []


@claim("CL-netdev-check", "CF-valid")
@pytest.mark.parametrize("name", ["a/b", "much-too-long-for-a-device", "..", "two words"])
def test_an_invalid_name_is_refused(runtime, bundle, devices, name):
    device = devices.make()
    box = runtime.place(moving(bundle, **{device: name}))
    refused(box.create(expect=FAILURE))
    assert not box.known


@claim("CL-netdev-nomanage")
@requires("host_kernel")
def test_a_device_stays_in_a_joined_network_when_the_container_is_gone(runtime, bundle, devices):
    name = devices.make()
    owner = runtime.run(bundle)
    assert owner.seen.interfaces == {"lo"}
    kinds = [kind for kind in NAMESPACES if kind != "network"]
    joined = bundle.with_(linux={"namespaces": namespaces(*kinds, network=f"/proc/{owner.pid}/ns/net")})
    box = runtime.run(moving(joined, **{name: "sea0"}))
    assert box.seen.interfaces == {"lo", "sea0"}
    box.end()
    assert set(devices.inside(owner)) == {"lo", "sea0"}
    assert "UP" in devices.inside(owner)["sea0"]["flags"]
    assert name not in devices.here()


@claim("CL-netdev-nomanage")
def test_what_is_changed_at_a_device_inside_stays_as_it_is(runtime, bundle, devices):
    name = devices.make()
    box = runtime.create(moving(bundle, **{name: "sea0"}))
    place = f"--net=/proc/{box.pid}/ns/net"
    runtime.on_host("nsenter", place, "ip", "link", "set", "sea0", "mtu", "1300", "down")
    box.start()
    assert box.seen.pid == 1
    link = devices.inside(box)["sea0"]
    assert (link["mtu"], "UP" in link["flags"]) == (1300, False)


@claim("CL-netdev-nomanage", "RT-life-12")
def test_a_virtual_device_goes_with_the_network_of_the_container(runtime, bundle, devices):
    name = devices.make()
    box = runtime.run(moving(bundle, **{name: ""}))
    assert box.seen.interfaces == {"lo", name}
    box.end()
    runtime.until("the pair is gone", lambda: f"p{name}" not in devices.here())
    assert name not in devices.here()

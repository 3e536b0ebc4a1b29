"""Devices: which there are, which can be made and opened, and what `--device` gives."""

import os

import pytest

from seatrial.security.syscalls import numbers

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires
pytestmark = requires("amd64")

CALLS = numbers()
CHAR, BLOCK = 0o020600, 0o060600
# node: type and device number of what no container is given
FOREIGN = {
    "kmsg": (CHAR, os.makedev(1, 11)), "port": (CHAR, os.makedev(1, 4)), "tty0": (CHAR, os.makedev(4, 0)),
    "mem": (CHAR, os.makedev(1, 1)), "kmem": (CHAR, os.makedev(1, 2)),
    "fuse": (CHAR, os.makedev(10, 229)), "kvm": (CHAR, os.makedev(10, 232)),
    "loop-control": (CHAR, os.makedev(10, 237)),
    "loop0": (BLOCK, os.makedev(7, 0)), "sda": (BLOCK, os.makedev(8, 0)), "vda": (BLOCK, os.makedev(254, 0)),
}  # fmt: skip
TUN = {"tun": (CHAR, os.makedev(10, 200))}
ALL_DEVICES = ("--device-cgroup-rule", "a *:* rwm")


def made_and_opened(prober, nodes, *options):
    """What opening a node says that was just made; where it cannot be made, what that says."""
    acts = []
    for name, (kind, device) in nodes.items():
        acts += [("mknod", CALLS["mknod"], f"/tmp/{name}", kind, device), ("open", f"/tmp/{name}", os.O_NONBLOCK)]
    words = prober.ask("--cap-add", "MKNOD", *options, acts=acts).names()
    return {name: words[2 * number] if words[2 * number] != "ok" else words[2 * number + 1]
            for number, name in enumerate(nodes)}  # fmt: skip


@claim("security-009", "security-011", "security-015", "security-116", "security-117")
def test_foreign_devices_cannot_be_opened_although_their_nodes_are_made(prober, guard):
    shut, free = made_and_opened(prober, FOREIGN), made_and_opened(prober, FOREIGN, *ALL_DEVICES)
    proved = guard.each("devices of the host", shut, free)
    assert len(proved) >= 5
    assert {"loop0", "sda", "vda"} & set(proved)


@claim("security-009", "security-015")
def test_tunnel_device_cannot_be_opened_although_its_node_is_made(prober, guard):
    guard.each("the tunnel device", made_and_opened(prober, TUN), made_and_opened(prober, TUN, *ALL_DEVICES))


@claim("security-010", "security-015")
def test_devices_are_the_documented_ones(engine, prober, guard):
    seen = {path.removeprefix("/dev/") for path in prober.ask().seen.report["devices"]}
    there = {name for name in seen if "/" not in name}
    allowed = set(engine.trait("devices"))
    assert {"full", "null", "random", "tty", "urandom", "zero"} <= there
    assert there <= allowed
    guard.note("names in /dev", len(there))


@pytest.fixture
def fuse(engine):
    """Call it with rights to get the options that give /dev/fuse to a container as /dev/mine."""
    node = engine.workdir / "node"
    os.mknod(node, *FOREIGN["fuse"])
    return lambda rights: ("--device", f"{node}:/dev/mine:{rights}")


@claim("security-014")
@effect("run --device")
def test_device_that_is_given_is_the_only_new_one(prober, guard, fuse):
    node = {"fuse": FOREIGN["fuse"], "loop-control": FOREIGN["loop-control"]}
    before, given = prober.ask().seen, prober.ask(*fuse("rwm")).seen
    assert set(given.report["devices"]) - set(before.report["devices"]) == {"/dev/mine"}
    opened = made_and_opened(prober, node, *fuse("rwm"))
    assert opened["fuse"] == "ok"
    guard.holds("a device beside the one that was given", opened["loop-control"],
                made_and_opened(prober, node, *ALL_DEVICES)["loop-control"], mode="--device")  # fmt: skip


@claim("security-012")
@effect("run --device")
@pytest.mark.parametrize(("rights", "flags"), [("r", os.O_WRONLY), ("w", os.O_RDONLY)])
def test_device_is_given_with_the_rights_that_are_named(prober, guard, fuse, rights, flags):
    act = [("open", "/dev/mine", flags | os.O_NONBLOCK)]
    guard.holds(f"what --device does not allow with :{rights}", prober.ask(*fuse(rights), acts=act).names()[0],
                prober.ask(*fuse("rwm"), acts=act).names()[0], mode="--device")  # fmt: skip
    other = [("open", "/dev/mine", (os.O_RDONLY if rights == "r" else os.O_WRONLY) | os.O_NONBLOCK)]
    assert prober.ask(*fuse(rights), acts=other).names() == ["ok"]

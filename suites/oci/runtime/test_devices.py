"""Devices: the default ones, listed ones, and what cannot be one."""

import os

import pytest

from seatrial.oci.bundle import device

claim, requires = pytest.mark.claim, pytest.mark.requires

DEFAULT = {
    "null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0),
}  # fmt: skip
LISTED = [
    device("/dev/first", "c", 1, 11, fileMode=0o640, uid=3, gid=4),
    device("/dev/block", "b", 7, 7, fileMode=0o600),
    {"path": "/dev/queue", "type": "p", "fileMode": 0o622, "uid": 12, "gid": 13},
    device("/dev/unbuffered", "u", 1, 12),
    device("/var/deep/down", "c", 1, 3, fileMode=0o666),
    device("/dev/last", "c", 1, 5, fileMode=0o604, uid=0, gid=44),
]


@pytest.fixture
def box(runtime, bundle):
    box = runtime.run(bundle.with_(linux={"devices": LISTED}))
    assert box.seen.pid
    return box


@claim("CL-dev-default")
@pytest.mark.parametrize("name", sorted(DEFAULT))
def test_a_default_device_is_there_for_everybody(runtime, bundle, name):
    node = runtime.observe(bundle).seen.devices[f"/dev/{name}"]
    assert (node.kind, node.major, node.minor) == ("char", *DEFAULT[name])
    assert (oct(node.mode), node.uid) == ("0o666", 0)  # the group is nobody's concern


@claim("CL-dev-default")
def test_ptmx_is_a_terminal_multiplexer(runtime, bundle):
    devices = runtime.observe(bundle).seen.devices
    ptmx = devices["/dev/ptmx"]
    assert (ptmx.kind, ptmx.link) == ("link", "pts/ptmx") or (ptmx.kind, ptmx.major, ptmx.minor) == ("char", 5, 2)
    box = runtime.run(bundle)
    assert box.probe.open("/dev/ptmx", os.O_RDWR) == "ok"


@claim("CL-dev-default")
def test_default_devices_do_what_they_are_for(runtime, bundle):
    box = runtime.run(bundle)
    assert box.probe.write("/dev/null", "x", os.O_WRONLY) == "ok"
    assert box.probe.read("/dev/null") == ""
    assert box.probe.write("/dev/full", "x", os.O_WRONLY) == "ENOSPC"
    for name in ("zero", "random", "urandom"):
        assert box.probe.open(f"/dev/{name}", os.O_RDONLY) == "ok", name
    assert box.probe.open("/dev/tty", os.O_RDWR) == "ENXIO"


@claim("CL-dev-avail", "CL-dev-majmin", "CL-dev-path")
@pytest.mark.parametrize("entry", LISTED, ids=lambda entry: entry["path"])
def test_a_listed_device_is_there(box, entry):
    node = box.probe.stat(entry["path"])
    kind = {"c": "char", "u": "char", "b": "block", "p": "fifo"}[entry["type"]]
    assert (node.kind, node.major, node.minor) == (kind, entry.get("major", 0), entry.get("minor", 0))


@claim("CL-dev-mode")
@pytest.mark.parametrize("entry", [one for one in LISTED if "fileMode" in one], ids=lambda entry: entry["path"])
def test_a_listed_device_has_its_mode_and_owners(box, entry):
    node = box.probe.stat(entry["path"])
    assert (oct(node.mode), node.uid, node.gid) == (oct(entry["fileMode"]), entry.get("uid", 0), entry.get("gid", 0))


@claim("CL-dev-avail")
def test_only_listed_and_default_devices_are_there(box):
    special = {path for path, node in box.seen.devices.items() if node.kind in ("char", "block", "fifo")}
    expected = {f"/dev/{name}" for name in DEFAULT} | {one["path"] for one in LISTED if one["path"].startswith("/dev")}
    assert special - {"/dev/ptmx", "/dev/pts/ptmx"} == expected


@claim("CL-dev-conflict")
def test_a_file_in_the_place_of_a_device_is_an_error(runtime, bundle):
    box = runtime.refuses(bundle.with_(linux={"devices": [device("/etc/motd", "c", 1, 3)]}))
    assert not box.known


@claim("CL-dev-type", "CF-valid")
@pytest.mark.parametrize("kind", ["x", "", None], ids=str)
def test_a_device_without_a_known_type_is_refused(runtime, bundle, kind):
    entry = {"path": "/dev/odd", "major": 1, "minor": 3} | ({} if kind is None else {"type": kind})
    runtime.refuses(bundle.with_(linux={"devices": [entry]}))


@claim("CL-dev-mode", "CL-dev-avail")
def test_a_device_without_a_mode_can_be_used(runtime, bundle):
    box = runtime.run(bundle.with_(linux={"devices": [device("/dev/zero2", "c", 1, 5)]}))
    node = box.probe.stat("/dev/zero2")
    assert (node.kind, node.major, node.minor, node.uid, node.gid) == ("char", 1, 5, 0, 0)
    assert box.probe.open("/dev/zero2") == "ok"

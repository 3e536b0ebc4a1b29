"""Paths of the root file system that are masked or read-only, and how mounts below the root propagate."""

import pytest

from seatrial.oci.bundle import tmpfs

claim, requires = pytest.mark.claim, pytest.mark.requires

MASKED = ["/etc/motd", "/proc/version", "/proc/keys", "/var/secret", "/var/deep/er", "/no/such/path", "/probe-copy"]
READONLY = ["/etc/group", "/proc/sys", "/var/kept", "/var/deep/er", "/no/such/path", "/proc/bus"]


def prepared(runtime, bundle):
    box = runtime.place(bundle)
    for name in ("secret", "kept", "deep/er", "deep/side"):
        (box.rootfs / "var" / name).mkdir(parents=True)
        (box.rootfs / "var" / name / "file").write_text("content")
    (box.rootfs / "probe-copy").write_text("content")
    box.create()
    box.start()
    return box


@claim("CL-masked")
@pytest.mark.parametrize("path", ["/etc/motd", "/proc/version", "/proc/keys", "/probe-copy"])
def test_a_masked_file_is_empty(runtime, bundle, path):
    box = prepared(runtime, bundle.with_(linux={"maskedPaths": MASKED}))
    assert box.probe.read(path) == ""


@claim("CL-masked")
@pytest.mark.parametrize("path", ["/var/secret", "/var/deep/er"])
def test_a_masked_directory_is_empty_and_cannot_be_written(runtime, bundle, path):
    box = prepared(runtime, bundle.with_(linux={"maskedPaths": MASKED}))
    assert box.probe.names(path) == set()
    assert box.probe.write(f"{path}/new") == "EROFS"


@claim("CL-masked")
def test_what_is_beside_a_masked_path_is_seen(runtime, bundle):
    box = prepared(runtime, bundle.with_(linux={"maskedPaths": MASKED}))
    assert box.probe.read("/var/deep/side/file") == "content"
    assert box.probe.read("/etc/group").startswith("root:")
    plain = prepared(runtime, bundle)
    assert plain.probe.read("/etc/motd") == "sea trial\n"
    assert plain.probe.names("/var/secret") == {"file"}


@claim("CL-masked-abs", "CF-valid")
def test_a_relative_masked_path_is_refused(runtime, bundle):
    runtime.refuses(bundle.with_(linux={"maskedPaths": ["etc/motd"]}))


@claim("CL-ropaths")
@pytest.mark.parametrize("path", ["/etc/group", "/proc/sys/kernel/domainname", "/var/kept/file", "/var/deep/er/file"])
def test_a_read_only_path_can_be_read_and_not_written(runtime, bundle, path):
    box = prepared(runtime, bundle.with_(linux={"readonlyPaths": READONLY}))
    assert box.probe.read(path)
    assert box.probe.write(path, "x", 1) == "EROFS"


@claim("CL-ropaths")
def test_nothing_can_be_made_in_a_read_only_directory(runtime, bundle):
    box = prepared(runtime, bundle.with_(linux={"readonlyPaths": READONLY}))
    assert box.probe.write("/var/kept/new") == "EROFS"
    assert box.probe.act("mkdir", "/var/deep/er/new") == "EROFS"
    assert box.probe.act("unlink", "/var/kept/file") == "EROFS"


@claim("CL-ropaths")
def test_what_is_beside_a_read_only_path_can_be_written(runtime, bundle):
    box = prepared(runtime, bundle.with_(linux={"readonlyPaths": READONLY}))
    assert box.probe.write("/var/deep/side/file") == "ok"
    assert box.probe.write("/etc/new") == "ok"
    plain = prepared(runtime, bundle)
    assert plain.probe.write("/var/kept/file") == "ok"


@claim("CL-ropaths", "CF-mnt-order")
def test_a_mount_below_the_root_can_be_read_only_as_well(runtime, bundle):
    box = runtime.run(bundle.mounted(tmpfs("/data")).with_(linux={"readonlyPaths": ["/data"]}))
    assert box.probe.write("/data/x") == "EROFS"


@claim("CL-ropaths-abs", "CF-valid")
def test_a_relative_read_only_path_is_refused(runtime, bundle):
    runtime.refuses(bundle.with_(linux={"readonlyPaths": ["etc/group"]}))


@claim("CF-root-ro")
def test_a_read_only_root_refuses_writes(runtime, bundle):
    box = runtime.run(bundle.with_(root={"readonly": True}))
    assert box.probe.write("/canary") == "EROFS"
    assert box.probe.act("mkdir", "/var/canary") == "EROFS"
    assert "ro" in box.seen.mount("/").options
    assert box.probe.write("/dev/shm/canary") == "ok"


@claim("CF-root-ro")
def test_a_writable_root_takes_writes(runtime, bundle):
    box = runtime.run(bundle)
    assert box.probe.write("/canary") == "ok"
    assert (box.rootfs / "canary").read_text() == "x"
    assert "rw" in box.seen.mount("/").options


@claim("CF-root-ro")
def test_a_root_is_writable_when_nothing_is_said(runtime, bundle):
    box = runtime.run(bundle.without("root.readonly"))
    assert box.probe.write("/canary") == "ok"


@claim("CF-root-exist", "RT-c-cannot")
def test_a_root_that_is_not_there_is_refused(runtime, bundle):
    box = runtime.refuses(bundle, rootfs=False)
    assert not box.known
    assert not box.rootfs.exists()


@claim("CF-root-exist", "RT-c-cannot")
def test_a_root_that_is_a_file_is_refused(runtime, bundle):
    runtime.refuses(bundle.with_(root={"path": "config.json"}))


@claim("CF-root-exist")
def test_a_root_may_be_anywhere_and_have_any_name(runtime, bundle):
    box = runtime.place(bundle)
    elsewhere = runtime.path("root")
    box.rootfs.rename(elsewhere)
    (elsewhere / "etc/marked").write_text("here")
    again = runtime.place(bundle.with_(root={"path": str(elsewhere)}), rootfs=False)
    again.create()
    again.start()
    assert again.probe.read("/etc/marked") == "here"
    assert not again.rootfs.exists()


@claim("CL-prop")
@pytest.mark.parametrize(("word", "kind"), [
    ("shared", "shared"), ("rshared", "shared"), ("slave", "slave"), ("rslave", "slave"), ("private", "private"),
    ("rprivate", "private"), ("unbindable", "unbindable"), ("runbindable", "unbindable"),
])  # fmt: skip
def test_the_root_mount_has_the_propagation_that_was_asked_for(runtime, bundle, word, kind):
    seen = runtime.observe(bundle.with_(linux={"rootfsPropagation": word})).seen
    assert seen.mount("/").propagation.split("+")[0] == kind


@claim("CL-prop")
def test_mounts_of_the_host_arrive_where_the_root_is_a_slave(runtime, bundle):
    box = runtime.run(bundle.with_(linux={"rootfsPropagation": "rslave"}))
    assert box.seen.pid == 1
    runtime.mount_on_host(box.rootfs / "var")
    (runtime.host.path(box.rootfs) / "var" / "arrived").write_text("")
    runtime.until("the mount arrives", lambda: box.probe.names("/var") == {"arrived"})


@claim("CL-prop", "CF-valid")
def test_an_unknown_propagation_is_refused(runtime, bundle):
    runtime.refuses(bundle.with_(linux={"rootfsPropagation": "sometimes"}))


@claim("CL-masked", "CL-ropaths")
def test_a_path_can_be_masked_below_a_read_only_one(runtime, bundle):
    both = bundle.with_(linux={"maskedPaths": ["/var/deep/er"], "readonlyPaths": ["/var/deep"]})
    box = prepared(runtime, both)
    assert box.probe.names("/var/deep/er") == set()
    assert box.probe.write("/var/deep/side/file") == "EROFS"


@claim("CL-masked")
def test_a_masked_file_cannot_be_uncovered(runtime, bundle):
    box = prepared(runtime, bundle.with_(linux={"maskedPaths": MASKED}))
    assert box.probe.act("unlink", "/etc/motd") == "EBUSY"
    assert box.probe.read("/etc/motd") == ""

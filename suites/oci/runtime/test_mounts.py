"""Mounts: order, destinations, types, options, propagation."""

import os

import pytest

from seatrial.oci.bundle import bind, tmpfs

claim, requires = pytest.mark.claim, pytest.mark.requires

# option -> what the mount is given, what its options have to have, what they must not have
PLAIN = {
    "ro": (["ro"], {"ro"}, set()),
    "rw": (["ro", "rw"], {"rw"}, {"ro"}),
    "nosuid": (["nosuid"], {"nosuid"}, set()),
    "suid": (["nosuid", "suid"], set(), {"nosuid"}),
    "nodev": (["nodev"], {"nodev"}, set()),
    "dev": (["nodev", "dev"], set(), {"nodev"}),
    "noexec": (["noexec"], {"noexec"}, set()),
    "exec": (["noexec", "exec"], set(), {"noexec"}),
    "noatime": (["noatime"], {"noatime"}, {"relatime"}),
    "atime": (["noatime", "atime"], set(), {"noatime"}),
    "nodiratime": (["nodiratime"], {"nodiratime"}, set()),
    "diratime": (["nodiratime", "diratime"], set(), {"nodiratime"}),
    "norelatime": (["strictatime", "norelatime"], set(), {"relatime", "noatime"}),
    "strictatime": (["strictatime"], set(), {"relatime", "noatime"}),
    "nostrictatime": (["strictatime", "nostrictatime"], {"relatime"}, {"noatime"}),
    "sync": (["sync"], {"sync"}, set()),
    "async": (["sync", "async"], set(), {"sync"}),
    "dirsync": (["dirsync"], {"dirsync"}, set()),
    "lazytime": (["lazytime"], {"lazytime"}, set()),
    "nolazytime": (["lazytime", "nolazytime"], set(), {"lazytime"}),
}
# these change nothing, or nothing that the kernel shows: it is enough that no file system is given them as data
QUIET = {
    "relatime": (["relatime"], {"relatime"}, {"noatime"}),
    "defaults": (["defaults"], {"rw", "relatime"}, {"nosuid", "nodev", "noexec", "ro"}),
    "silent": (["silent"], {"rw"}, {"silent"}),
    "loud": (["silent", "loud"], {"rw"}, {"silent", "loud"}),
    "iversion": (["iversion"], {"rw"}, set()),
    "noiversion": (["iversion", "noiversion"], {"rw"}, {"iversion"}),
    "nomand": (["nomand"], {"rw"}, {"mand"}),
}
PROPAGATION = {
    "private": "private", "rprivate": "private", "shared": "shared", "rshared": "shared", "slave": "slave",
    "rslave": "slave", "unbindable": "unbindable", "runbindable": "unbindable",
}  # fmt: skip
# option -> what it is given, options of a mount and of the one below it: present and absent
RECURSIVE = {
    "rro": ([], "ro", True), "rrw": (["ro"], "ro", False), "rnosuid": ([], "nosuid", True),
    "rsuid": (["nosuid"], "nosuid", False), "rnodev": ([], "nodev", True), "rdev": (["nodev"], "nodev", False),
    "rnoexec": ([], "noexec", True), "rexec": (["noexec"], "noexec", False),
    "rnodiratime": ([], "nodiratime", True), "rdiratime": (["nodiratime"], "nodiratime", False),
    "rrelatime": (["noatime"], "relatime", True), "rnorelatime": ([], "noatime", False),
    "rnoatime": ([], "noatime", True), "ratime": (["noatime"], "noatime", False),
    "rstrictatime": ([], "relatime", False), "rnostrictatime": (["strictatime"], "relatime", True),
    "rnosymfollow": ([], "nosymfollow", True), "rsymfollow": (["nosymfollow"], "nosymfollow", False),
}  # fmt: skip


def options_of(mount):
    return mount.options | mount.super_options


@pytest.fixture
def many(bundle):
    return bundle.mounted(*(tmpfs(f"/mnt/{name}", *given) for name, (given, _, _) in PLAIN.items()))


def for_options(names):
    return [pytest.param(name, marks=claim(f"CF-mntopt-{name}")) for name in names]


@claim("CF-mntopt-mount8")
@pytest.mark.parametrize("name", for_options(PLAIN))
def test_an_option_does_what_mount_says(runtime, many, name):
    _, present, absent = PLAIN[name]
    seen = options_of(runtime.observe(many).seen.mount(f"/mnt/{name}"))
    assert seen >= present
    assert seen & absent == set()


@pytest.mark.parametrize("name", for_options(QUIET))
def test_an_option_is_taken(runtime, bundle, name):
    given, present, absent = QUIET[name]
    seen = options_of(runtime.observe(bundle.mounted(tmpfs("/mnt", *given))).seen.mount("/mnt"))
    assert seen >= present
    assert seen & absent == set()


@pytest.mark.parametrize("name", for_options(PROPAGATION))
def test_an_option_sets_the_propagation(runtime, bundle, name):
    source = runtime.directory()
    runtime.mount_on_host(source)
    runtime.mount_on_host(source / "below")
    box = runtime.run(bundle.mounted(bind(source, "/data", "rbind", name)))
    assert box.seen.mount("/data").propagation.split("+")[0] == PROPAGATION[name]
    below = box.seen.mount("/data/below").propagation.split("+")[0]
    if name.startswith("r"):
        assert below == PROPAGATION[name]
    else:
        plain = runtime.run(bundle.mounted(bind(source, "/data", "rbind")))
        assert below == plain.seen.mount("/data/below").propagation.split("+")[0]


@pytest.mark.parametrize("name", for_options(PROPAGATION))
def test_an_option_sets_the_propagation_below_a_root_that_has_its_own(runtime, bundle, name):
    source = runtime.directory()
    runtime.mount_on_host(source)
    apart = bundle.with_(linux={"rootfsPropagation": "private"})
    box = runtime.run(apart.mounted(bind(source, "/data", "rbind", name)))
    assert box.seen.mount("/data").propagation.split("+")[0] == PROPAGATION[name]


@pytest.mark.parametrize("name", for_options(["slave", "rslave", "private", "rprivate"]))
def test_an_option_takes_a_mount_out_of_a_shared_root(runtime, bundle, name):
    source = runtime.directory()
    runtime.mount_on_host(source)
    shared = bundle.with_(linux={"rootfsPropagation": "rshared"})
    box = runtime.run(shared.mounted(bind(source, "/data", "rbind", name), bind(source, "/other", "rbind", "rshared")))
    assert box.seen.mount("/other").propagation.split("+")[0] == "shared"
    assert box.seen.mount("/data").propagation == PROPAGATION[name]


@requires("recursive_mount_options")
@pytest.mark.parametrize("name", for_options(RECURSIVE))
def test_an_option_with_an_r_holds_for_the_mounts_below(runtime, bundle, name):
    before, word, present = RECURSIVE[name]
    source = runtime.directory()
    for place in (source, source / "below"):
        runtime.mount_on_host(place)
    for place in (source, source / "below"):
        runtime.on_host("mount", "-o", ",".join(["remount", "bind", *before]), str(place))
    box = runtime.run(bundle.mounted(bind(source, "/data", "rbind", name)))
    for place in ("/data", "/data/below"):
        assert (word in box.seen.mount(place).options) == present, place


@claim("CF-mntopt-bind")
def test_bind_shows_a_directory_without_the_mounts_below(runtime, bundle):
    source = runtime.directory()
    (source / "below").mkdir()
    (source / "file").write_text("outside")
    runtime.mount_on_host(source / "below")
    (runtime.host.path(source) / "below" / "hidden").write_text("")
    box = runtime.run(bundle.mounted(bind(source, "/data")))
    assert box.probe.read("/data/file") == "outside"
    assert box.probe.names("/data/below") == set()
    assert box.probe.write("/data/new") == "ok"
    assert (source / "new").read_text() == "x"


@claim("CF-mntopt-rbind")
def test_rbind_shows_a_directory_with_the_mounts_below(runtime, bundle):
    source = runtime.directory()
    (source / "below").mkdir()
    runtime.mount_on_host(source / "below")
    (runtime.host.path(source) / "below" / "seen").write_text("")
    box = runtime.run(bundle.mounted(bind(source, "/data", "rbind")))
    assert box.probe.names("/data/below") == {"seen"}
    assert box.seen.mount("/data/below").fstype == "tmpfs"


@claim("CF-mntopt-bind")
def test_bind_of_a_file_makes_its_place(runtime, bundle):
    source = runtime.path()
    source.write_text("one file")
    box = runtime.run(bundle.mounted(bind(source, "/not/yet/there")))
    assert box.probe.read("/not/yet/there") == "one file"


@claim("CF-mntopt-bind", "CF-mntopt-ro")
@pytest.mark.parametrize("word", ["ro", "nosuid", "nodev", "noexec", "noatime"])
def test_options_of_a_bind_are_those_of_the_new_mount_alone(runtime, bundle, word):
    source = runtime.directory()
    box = runtime.run(bundle.mounted(bind(source, "/data", word), bind(source, "/other")))
    assert word in box.seen.mount("/data").options
    assert word not in box.seen.mount("/other").options


@claim("CF-mntopt-remount")
def test_remount_changes_the_options_of_what_is_mounted(runtime, bundle):
    again = {**tmpfs("/data", "remount", "ro", "nosuid")}
    box = runtime.run(bundle.mounted(tmpfs("/data", "size=1m"), again))
    assert options_of(box.seen.mount("/data")) >= {"ro", "nosuid"}
    assert box.probe.write("/data/x") == "EROFS"


# -- effects -----------------------------------------------------------------------------------


@claim("CF-mntopt-ro", "CF-mntopt-rw")
def test_what_is_read_only_cannot_be_written(runtime, bundle):
    box = runtime.run(bundle.mounted(tmpfs("/ro", "ro"), tmpfs("/rw")))
    assert box.probe.write("/ro/x") == "EROFS"
    assert box.probe.write("/rw/x") == "ok"


@claim("CF-mntopt-noexec", "CF-mntopt-exec")
def test_what_is_noexec_cannot_be_run(runtime, bundle):
    source = runtime.directory()
    (source / "true").write_bytes((runtime.template / "bin/busybox").read_bytes())
    (source / "true").chmod(0o755)
    box = runtime.run(bundle.mounted(bind(source, "/no", "noexec"), bind(source, "/yes")))
    assert box.probe.exec("/no/true").error == "EACCES"
    assert box.probe.exec("/yes/true").code == 0


@claim("CF-mntopt-nodev", "CF-mntopt-dev")
def test_devices_on_what_is_nodev_cannot_be_opened(runtime, bundle):
    source = runtime.directory()
    os.mknod(source / "null", 0o20666, os.makedev(1, 3))
    box = runtime.run(bundle.mounted(bind(source, "/no", "nodev"), bind(source, "/yes", "dev")))
    assert box.probe.open("/no/null") == "EACCES"
    assert box.probe.open("/yes/null") == "ok"


@claim("CF-mntopt-nosuid", "CF-mntopt-suid")
def test_programs_on_what_is_nosuid_gain_nothing(runtime, bundle):
    source = runtime.directory()
    (source / "gain").write_bytes((runtime.template / "usr/bin/perl").read_bytes())
    (source / "gain").chmod(0o4755)
    box = runtime.run(bundle.with_(process={"user": {"uid": 1000}}).mounted(
        bind(source, "/no", "nosuid"), bind(source, "/yes", "suid"),
    ))  # fmt: skip
    assert box.probe.exec("/no/gain", "-e", "print $>").out == "1000"
    assert box.probe.exec("/yes/gain", "-e", "print $>").out == "0"


@claim("CF-mntopt-nosymfollow", "CF-mntopt-symfollow")
@requires("oci_1_1")
def test_links_on_what_is_nosymfollow_are_not_followed(runtime, bundle):
    source = runtime.directory()
    (source / "file").write_text("x")
    (source / "link").symlink_to("file")
    box = runtime.run(bundle.mounted(
        bind(source, "/no", "nosymfollow"), bind(source, "/yes", "nosymfollow", "symfollow"),
    ))  # fmt: skip
    assert box.probe.open("/no/link") == "ELOOP"
    assert box.probe.open("/yes/link") == "ok"


@claim("CF-mntopt-tmpcopyup")
def test_tmpcopyup_shows_what_was_there(runtime, bundle):
    box = runtime.run(bundle.mounted(tmpfs("/etc", "tmpcopyup")))
    assert box.probe.read("/etc/motd") == "sea trial\n"
    assert box.probe.write("/etc/new") == "ok"
    assert not (box.rootfs / "etc/new").exists()


# -- order, places, types ----------------------------------------------------------------------


@claim("CF-mnt-order")
def test_a_later_mount_lies_above_an_earlier_one(runtime, bundle):
    first, second = runtime.directory(), runtime.directory()
    (first / "who").write_text("first")
    (second / "who").write_text("second")
    box = runtime.run(bundle.mounted(bind(first, "/data"), bind(second, "/data")))
    assert box.probe.read("/data/who") == "second"
    turned = runtime.run(bundle.mounted(bind(second, "/data"), bind(first, "/data")))
    assert turned.probe.read("/data/who") == "first"


@claim("CF-mnt-order")
def test_a_mount_below_another_comes_after_it(runtime, bundle):
    source = runtime.directory()
    (source / "file").write_text("inner")
    box = runtime.run(bundle.mounted(tmpfs("/outer"), bind(source, "/outer/inner")))
    assert box.probe.read("/outer/inner/file") == "inner"
    hidden = runtime.run(bundle.mounted(bind(source, "/outer/inner"), tmpfs("/outer")))
    assert hidden.probe.names("/outer") == set()


@claim("CF-mnt-order", "RT-life-2-env")
def test_every_mount_of_the_list_is_there_in_its_order(runtime, many):
    seen = runtime.observe(many).seen
    wanted = [entry["destination"] for entry in many.config["mounts"]]
    assert [mount.target for mount in seen.mounts if mount.target in wanted] == wanted


@claim("CF-mnt-dest-rel")
def test_a_relative_destination_is_below_the_root(runtime, bundle):
    seen = runtime.observe(bundle.with_(process={"cwd": "/var"}).mounted(tmpfs("mnt/relative", "size=1m"))).seen
    assert seen.mount("/mnt/relative").fstype == "tmpfs"


@claim("CF-mnt-dest-req", "CF-valid")
def test_a_mount_without_a_destination_is_refused(runtime, bundle):
    runtime.refuses(bundle.mounted({"type": "tmpfs", "source": "tmpfs"}))


@claim("CF-mntopt-unknown")
def test_other_options_are_data_of_the_file_system(runtime, bundle):
    box = runtime.run(bundle.mounted(tmpfs("/data", "size=128k", "mode=0757", "uid=7", "gid=8", "nr_inodes=50")))
    assert options_of(box.seen.mount("/data")) >= {"size=128k", "mode=757", "uid=7", "gid=8", "nr_inodes=50"}
    node = box.probe.stat("/data")
    assert (oct(node.mode), node.uid, node.gid) == ("0o757", 7, 8)
    box.probe.write("/data/big", "x" * 200_000)
    assert 0 < box.probe.stat("/data/big").size <= 128 * 1024


@claim("CF-mntopt-unknown", "CF-valid")
def test_an_option_that_the_file_system_does_not_know_is_refused(runtime, bundle):
    box = runtime.refuses(bundle.mounted(tmpfs("/data", "nosuchoption=1")))
    assert not box.known


@claim("RT-life-2-env", "CF-mnt-order")
@pytest.mark.parametrize(("place", "kind"), [
    ("/proc", "proc"), ("/dev", "tmpfs"), ("/dev/pts", "devpts"), ("/dev/shm", "tmpfs"), ("/dev/mqueue", "mqueue"),
    ("/sys", "sysfs"),
])  # fmt: skip
def test_a_mount_has_the_file_system_of_its_type(runtime, bundle, place, kind):
    assert runtime.observe(bundle).seen.mount(place).fstype == kind


@claim("CL-fs-default")
@pytest.mark.parametrize(("place", "sign"), [("/proc", "version"), ("/sys", "kernel")], ids=["proc", "sys"])
def test_a_default_file_system_is_there_although_it_is_not_listed(runtime, bundle, place, sign):
    # without /proc the container cannot tell its mounts
    assert runtime.run(bundle).probe.exists(f"{place}/{sign}")
    box = runtime.run(bundle.with_(mounts=[one for one in bundle.config["mounts"] if one["destination"] != place]))
    assert box.probe.exists(f"{place}/{sign}")


@claim("RT-life-2-env")
def test_mounts_of_the_container_are_not_seen_on_the_host(runtime, bundle):
    box = runtime.run(bundle.mounted(tmpfs("/mnt/only-inside", "size=1m")))
    assert box.seen.mount("/mnt/only-inside").fstype == "tmpfs"
    assert [one.target for one in runtime.keeper.mounts() if box.id in one.target] == []


@claim("CF-mnt-dest-in")
def test_a_destination_through_a_link_stays_in_the_root(runtime, bundle):
    box = runtime.place(bundle.mounted(tmpfs("/trap/@ID@", "size=1m")))
    (box.rootfs / "trap").symlink_to("/tmp")
    box.create()
    box.start()
    assert box.seen.mount(f"/tmp/{box.id}").fstype == "tmpfs"
    assert not (runtime.host.path("/tmp") / box.id).exists()


@claim("CF-mnt-idmap-both", "CF-valid")
@requires("oci_1_1")
def test_mappings_of_users_without_those_of_groups_are_refused(runtime, bundle):
    source = runtime.directory()
    mapped = {**bind(source, "/data"), "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 10}]}
    runtime.refuses(bundle.mounted(mapped))


# mappings of a mount: what is 5 and 6 on the file system is 1005 and 2006 in the container
OWNERS = {
    "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 100}],
    "gidMappings": [{"containerID": 0, "hostID": 2000, "size": 100}],
}


def owned(runtime):
    """A directory and a mount in it, each with a file of user 5 and group 6."""
    outer = runtime.directory()
    runtime.mount_on_host(outer / "below")
    for place in (outer, runtime.host.path(outer / "below")):
        (place / "file").write_text("")
        os.chown(place / "file", 5, 6)
    return outer


def owners(box, path):
    node = box.probe.stat(path)
    return node.uid, node.gid


@claim("CF-mntopt-idmap-use", "CF-mntopt-idmap")
@requires("idmapped_mounts")
def test_a_mount_has_the_owners_of_its_mappings(runtime, bundle):
    source = owned(runtime)
    box = runtime.run(bundle.mounted({**bind(source, "/data", "idmap", "rbind"), **OWNERS}, bind(source, "/plain")))
    assert owners(box, "/plain/file") == (5, 6)
    assert owners(box, "/data/file") == (1005, 2006)
    assert owners(box, "/data/below/file") == (5, 6)


@claim("CF-mntopt-idmap-use", "CF-mntopt-ridmap")
@requires("recursive_idmap")
def test_mounts_below_a_mount_have_the_owners_of_its_mappings(runtime, bundle):
    source = owned(runtime)
    box = runtime.run(bundle.mounted({**bind(source, "/data", "ridmap", "rbind"), **OWNERS}))
    assert owners(box, "/data/file") == (1005, 2006)
    assert owners(box, "/data/below/file") == (1005, 2006)


@claim("CF-mntopt-idmap-err", "CF-valid")
@requires("idmapped_mounts")
def test_idmap_without_any_mappings_is_refused(runtime, bundle):
    runtime.refuses(bundle.mounted(bind(runtime.directory(), "/data", "idmap")))

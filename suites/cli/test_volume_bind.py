"""Bind mounts: a file or directory of the host inside a container, by -v and by --mount."""

import os
import socket
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial import exec as command
from seatrial.examples import examples
from seatrial.expecting import one

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires


@pytest.fixture
def shared(engine):
    """A directory of the engine's host on a mount of its own that propagates; path as the engine names it."""
    place = engine.workdir / "shared"
    place.mkdir()
    on_host(engine, "mount", "-t", "tmpfs", "tmpfs", str(place))
    engine.defer(on_host, engine, "umount", "--recursive", "--lazy", str(place))
    on_host(engine, "mount", "--make-shared", str(place))
    return place


def on_host(engine, *argv):
    """Run a command on the engine's host."""
    return command.run(argv, host=engine.raw.host, journal=engine.journal)


def folder(engine, name="d", text="hello\n"):
    """Make a directory with one file `f` that the engine sees, too."""
    place = engine.workdir / name
    place.mkdir()
    (place / "f").write_text(text)
    return place


@claim("volume-008", "volume-053", "volume-056")
@requires("local_engine")
def test_bind_shows_changes_of_both_sides_at_once(engine):
    place = folder(engine)
    c = engine.run("-v", f"{place}:/no/such/place")
    assert os.path.samestat(c.kernel.file("/no/such/place/f").stat(), (place / "f").stat())
    (place / "f").write_text("changed outside\n")
    (place / "new").write_text("made outside\n")
    assert c.read("/no/such/place/f") == "changed outside\n"
    assert c.read("/no/such/place/new") == "made outside\n"
    c.sh("echo changed inside >/no/such/place/f; rm /no/such/place/new; mkdir /no/such/place/dir")
    assert (place / "f").read_text() == "changed inside\n"
    assert sorted(path.name for path in place.iterdir()) == ["dir", "f"]


@claim("volume-054")
@requires("local_engine", "not_userns_remap")
def test_bind_of_the_working_directory_keeps_owners(engine):
    place = folder(engine)
    place.chmod(0o777)
    options = ["--rm", "--volume", f"{place}:/src", "--workdir", "/src", "--user", "1234:2345", engine.image]
    seen = engine.cli("run", *options, "sh", "-c", "pwd; cat f; umask 027; echo made >out", cwd=place)
    assert seen.stdout == "/src\nhello\n"
    made = (place / "out").stat()
    assert (made.st_uid, made.st_gid, stat.S_IMODE(made.st_mode)) == (1234, 2345, 0o640)


@claim("volume-056")
@requires("local_engine")
def test_copied_file_does_not_follow_the_host_as_a_mounted_one_does(engine):
    place = folder(engine)
    c = engine.run("-v", f"{place}:/mounted")
    engine.cli("cp", str(place / "f"), f"{c}:/copied")
    (place / "f").write_text("later\n")
    assert c.read("/mounted/f") == "later\n"
    assert c.read("/copied") == "hello\n"


KINDS = {
    "file": (lambda place: place / "f", "cat /x", "hello\n"),
    "directory": (lambda place: place, "cat /x/f", "hello\n"),
    "link-to-directory": (lambda place: link(place, place), "cat /x/f", "hello\n"),
    "link-to-file": (lambda place: link(place, place / "f"), "cat /x", "hello\n"),
    "link-to-link": (lambda place: link(place, link(place, place / "f"), "second"), "cat /x", "hello\n"),
    "fifo": (lambda place: pipe(place), "test -p /x && echo pipe", "pipe\n"),
    "device": (lambda place: "/dev/zero", "head -c 2 /x | od -An -tx1", " 00 00\n"),
}


def link(place, target, name="link"):
    path = place.parent / name
    path.symlink_to(target)
    return path


def pipe(place):
    os.mkfifo(place / "pipe")
    return place / "pipe"


@claim("volume-007")
@requires("local_engine")
@pytest.mark.parametrize("kind", KINDS)
def test_bind_takes_any_kind_of_file(engine, kind):
    make, script, expected = KINDS[kind]
    source = make(folder(engine))
    c = engine.run("-v", f"{source}:/x")
    inside, outside = c.kernel.file("/x").stat(), os.stat(source)
    assert stat.S_IFMT(inside.st_mode) == stat.S_IFMT(outside.st_mode)
    assert (inside.st_ino, inside.st_dev, inside.st_rdev) == (outside.st_ino, outside.st_dev, outside.st_rdev)
    assert c.sh(script).stdout == expected


@claim("volume-007")
@requires("local_engine")
def test_bound_socket_reaches_its_listener(engine):
    path = engine.workdir / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(10)
        c = engine.run("-v", f"{path}:/run/s")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(c.kernel.file("/run/s")))
            client.sendall(b"knock")
            accepted, _ = listener.accept()
            with accepted:
                assert accepted.recv(16) == b"knock"


@claim("volume-007")
@requires("local_engine")
def test_file_bind_stays_with_the_file_that_an_editor_replaces(engine):
    place = folder(engine)
    c = engine.run("-v", f"{place / 'f'}:/f", "-v", f"{place}:/d")
    (place / "f").write_text("in place\n")
    assert c.read("/f") == "in place\n"
    (place / "f~").write_text("replaced\n")
    (place / "f~").rename(place / "f")
    assert c.read("/f") == "in place\n"
    assert c.read("/d/f") == "replaced\n"
    assert c.sh("mv /d/f /f", expect=1).stderr  # a mount point cannot be replaced from inside either


READ_ONLY = {
    "mode": ["-v", "{}:/x:ro"],
    "mode-and-label": ["-v", "{}:/x:ro,z"],
    "mount-readonly": ["--mount", "type=bind,source={},target=/x,readonly"],
    "mount-ro": ["--mount", "type=bind,src={},dst=/x,ro=true"],
}


@claim("volume-011")
@requires("local_engine")
@pytest.mark.parametrize("form", READ_ONLY)
def test_read_only_bind_refuses_every_change(engine, form):
    place = folder(engine)
    c = engine.run(*(word.format(place) for word in READ_ONLY[form]))
    assert "ro" in c.kernel.mount("/x").options
    for change in ("echo x >/x/f", "rm /x/f", "touch /x/new", "chmod 777 /x", "mkdir /x/dir"):
        assert "Read-only file system" in c.sh(change, expect=1).stderr
    assert "denied" in c.sh("mount -o remount,rw /x", expect=1).stderr
    assert "not permitted" in c.sh("umount /x", expect=1).stderr
    assert [path.name for path in place.iterdir()] == ["f"]
    assert (place / "f").read_text() == "hello\n"


@claim("volume-011")
@effect("run --mount")
@requires("local_engine")
@pytest.mark.parametrize("options", [
    pytest.param(["-v", "{}:/x"], id="default"),
    pytest.param(["-v", "{}:/x:rw"], id="rw"),
    pytest.param(["--mount", "type=bind,source={},target=/x,readonly=false"], id="readonly-false"),
])  # fmt: skip
def test_bind_without_ro_can_be_written(engine, options):
    place = folder(engine)
    c = engine.run(*(word.format(place) for word in options))
    assert "rw" in c.kernel.mount("/x").options
    c.sh("echo inside >/x/new")
    assert (place / "new").read_text() == "inside\n"


@claim("volume-011", "volume-201")
@requires("local_engine", "rootful")
def test_read_only_bind_and_what_is_mounted_below(engine, shared):
    below = shared / "below"
    engine.raw.host.path(below).mkdir()
    on_host(engine, "mount", "-t", "tmpfs", "tmpfs", str(below))
    c = engine.run("-v", f"{shared}:/x:ro")
    assert "ro" in c.kernel.mount("/x").options
    recursive = engine.trait("volume_read_only_is_recursive")
    assert ("ro" in c.kernel.mount("/x/below").options) is recursive
    c.sh("touch /x/below/new", expect=1 if recursive else 0)
    assert engine.raw.host.path(below / "new").exists() is not recursive


PROPAGATION = {"private": "private", "rprivate": "private", "slave": "slave", "rslave": "slave",
               "shared": "shared", "rshared": "shared"}  # fmt: skip


@claim("volume-202")
@requires("local_engine", "rootful")
@pytest.mark.parametrize("mode", PROPAGATION)
def test_propagation_decides_whether_later_mounts_arrive(engine, shared, mode):
    engine.raw.host.path(shared / "later").mkdir()
    c = engine.run("-v", f"{shared}:/v:{mode}",
                   "--mount", f"type=bind,source={shared},target=/m,bind-propagation={mode}")  # fmt: skip
    assert {c.kernel.mount("/v").propagation, c.kernel.mount("/m").propagation} == {PROPAGATION[mode]}
    on_host(engine, "mount", "-t", "tmpfs", "tmpfs", str(shared / "later"))
    arrived = PROPAGATION[mode] != "private"
    seen = {mount.target for mount in c.kernel.mounts()}
    assert ("/v/later" in seen, "/m/later" in seen) == (arrived, arrived)


@claim("volume-202")
@requires("local_engine", "rootful")
@pytest.mark.parametrize(("mode", "leaves"), [("rslave", False), ("rshared", True)])
def test_only_a_shared_bind_carries_mounts_out(engine, shared, mode, leaves):
    allowed = ["--cap-add", "SYS_ADMIN", "--security-opt", "apparmor=unconfined"]
    c = engine.run(*allowed, "-v", f"{shared}:/v:{mode}")
    c.sh("mkdir /v/inner && mount -t tmpfs tmpfs /v/inner && touch /v/inner/made")
    assert c.kernel.mount("/v/inner").fstype == "tmpfs"
    assert engine.raw.host.path(shared / "inner/made").exists() is leaves


@claim("volume-010")
@requires("local_engine")
def test_missing_source_of_v_is_made_as_a_directory_or_refused(engine):
    source = engine.workdir / "not" / "there"
    options = ["-v", f"{source}:/x", engine.image, "touch", "/x/made"]
    if engine.trait("volume_makes_missing_source"):
        engine.once(*options)
        assert (source / "made").exists()
        for path in (source, source.parent):
            found = path.stat()
            assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (0, 0o755)
    else:
        engine.fails("run", "--rm", *options, says="volume_missing_source", code=125)
        assert not source.parent.exists()


@claim("volume-010")
@requires("local_engine")
def test_missing_source_of_mount_is_refused(engine):
    source = engine.workdir / "not" / "there"
    name = engine.name()
    spec = f"type=bind,source={source},target=/x"
    engine.fails("run", "--name", name, "--mount", spec, engine.image, says="volume_missing_source", code=125)
    assert not engine.exists(name)
    assert not source.parent.exists()


@claim("volume-009", "volume-203")
@requires("local_engine")
@pytest.mark.parametrize("source", ["./here", "../base/here", "."])
def test_source_that_begins_with_a_dot_is_relative_to_the_client(engine, source):
    base = folder(engine, "base")
    (base / "here").mkdir()
    c = engine.name()
    engine.cli("run", "--detach", "--name", c, "-v", f"{source}:/x", engine.image, "sleep", "60", cwd=base)
    meant = base / source.removeprefix("../base/")
    assert os.path.samefile(meant, f"/proc/{engine.inspect(c)['State']['Pid']}/root/x")


@claim("volume-009")
def test_source_without_a_slash_names_a_volume(engine):
    word = engine.name("v")
    engine.track("volume", word)
    folder(engine, word)
    seen = engine.cli("run", "--rm", "-v", f"{word}:/x", engine.image, "ls", "-A", "/x", cwd=engine.workdir)
    assert seen.stdout == ""
    assert engine.exists(word, "volume")


@claim("volume-057")
@requires("local_engine")
@pytest.mark.parametrize("reverse", [False, True], ids=["outer-first", "inner-first"])
def test_nested_binds_show_the_inner_one_whatever_the_order(engine, reverse):
    outer, inner = folder(engine, "outer", "outer\n"), folder(engine, "inner", "inner\n")
    (outer / "vendor/src").mkdir(parents=True)
    pairs = [f"{outer}:/go/src/app", f"{inner}:/go/src/app/vendor/src"]
    pairs = pairs[::-1] if reverse else pairs
    c = engine.run("-v", pairs[0], "-v", pairs[1])
    assert c.read("/go/src/app/f") == "outer\n"
    assert c.read("/go/src/app/vendor/src/f") == "inner\n"
    order = [mount.target for mount in c.kernel.mounts() if mount.target.startswith("/go")]
    assert order == ["/go/src/app", "/go/src/app/vendor/src"]
    assert list((outer / "vendor/src").iterdir()) == []


@claim("volume-012")
@requires("local_engine")
def test_bind_hides_what_the_image_has_there(engine):
    place = folder(engine)
    assert "nsswitch.conf" in engine.sh("ls /etc").stdout.split()
    seen = engine.sh("ls /etc", "-v", f"{place}:/etc").stdout.split()
    assert "f" in seen
    assert "nsswitch.conf" not in seen
    assert "nsswitch.conf" not in [path.name for path in place.iterdir()]


@claim("volume-003")
@requires("local_engine")
def test_sixty_mounts_in_one_container(engine):
    options = []
    for number in range(30):
        place = folder(engine, f"d{number}", f"{number}\n")
        options += ["-v", f"{place}:/v/{number}"]
        options += ["--mount", f"type=bind,source={place},target=/m/{number},readonly"]
    c = engine.run(*options)
    mounts = {mount.target: mount for mount in c.kernel.mounts()}
    for number in range(30):
        assert c.kernel.file(f"/v/{number}/f").read_text() == f"{number}\n"
        assert c.kernel.file(f"/m/{number}/f").read_text() == f"{number}\n"
        assert "rw" in mounts[f"/v/{number}"].options
        assert "ro" in mounts[f"/m/{number}"].options
    assert len(c.inspect()["Mounts"]) == 60


@claim("volume-204")
@requires("local_engine")
@pytest.mark.parametrize("path", ["/a/../b", "/b/", "//b", "/b/.", "/a/b/../../b"])
def test_target_is_cleaned(engine, path):
    c = engine.run("-v", f"{folder(engine)}:{path}")
    assert c.read("/b/f") == "hello\n"
    assert c.kernel.mount("/b").options
    listed = one(c.inspect()["Mounts"])
    assert os.path.normpath(listed["Destination"]).lstrip("/") == "b"


# anything but a colon and a slash
WORDS = st.text("abzAZ09 ._-+=@%&'\"\\$#~!?*[]{}();<>|^`,é中😀\t\n", min_size=1, max_size=40).filter(
    lambda word: word not in (".", "..")
)


@claim("volume-204")
@requires("local_engine")
@examples(6)
@given(words=st.lists(WORDS, min_size=4, max_size=4, unique=True))
def test_sources_of_any_name_are_bound(engine, words):
    options = []
    for number, word in enumerate(words):
        place = engine.workdir / "names" / word
        place.mkdir(parents=True, exist_ok=True)
        (place / "f").write_text(word, newline="")
        options += ["-v", f"{place}:/x/{number}:ro"]
    seen = engine.sh("for n in 0 1 2 3; do cat /x/$n/f; printf '\\0'; done", *options).out.decode()
    assert seen.split("\0")[:-1] == words

"""export and import: a container's file tree as an archive, and an archive as an image."""

import bz2
import gzip
import http.server
import os
import socket
import tarfile
import threading
from pathlib import Path

import pytest

from seatrial.archive import Image, content, members, tree
from seatrial.exec import ANY, FAILURE, run

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires
case = pytest.param


def export(engine, container):
    return engine.cli("export", str(container)).out


# -- export ----------------------------------------------------------------------------------------

SPECIAL = """
mkdir /kit && cd /kit
echo plain >plain && chmod 640 plain && chown 37:100 plain && touch -d '2001-02-03 04:05:06' plain
echo run >suid && chmod 4755 suid
mkdir -m 1777 sticky
ln -s plain soft
ln -s /nowhere dangling
ln plain hard
mkfifo pipe
truncate -s 5000000 sparse
echo x >'with space'
mkdir -p deep/$(printf 'd%.0s' $(seq 120)) && echo far >deep/$(printf 'd%.0s' $(seq 120))/far
"""


@claim("image-027", "image-003")
def test_export_keeps_modes_owners_times_links_and_special_files(engine):
    c = engine.create(engine.image, "sh", "-ec", SPECIAL)
    engine.cli("start", "--attach", c.name)
    archive = export(engine, c)
    kit = {name.removeprefix("kit/"): info for name, info in members(archive).items() if name.startswith("kit/")}
    plain = kit["plain"] if kit["plain"].isreg() else kit["hard"]
    assert (plain.mode & 0o7777, plain.uid, plain.gid) == (0o640, 37, 100)
    assert plain.mtime == 981173106
    assert kit["suid"].mode & 0o7777 == 0o4755
    assert (kit["sticky"].type, kit["sticky"].mode & 0o7777) == (tarfile.DIRTYPE, 0o1777)
    assert (kit["soft"].type, kit["soft"].linkname) == (tarfile.SYMTYPE, "plain")
    assert kit["dangling"].linkname == "/nowhere"
    linked = kit["hard"] if kit["hard"].islnk() else kit["plain"]
    assert linked.islnk()
    assert linked.linkname.strip("/") in ("kit/plain", "kit/hard")
    assert kit["pipe"].isfifo()
    assert content(archive, "kit/sparse") == bytes(5_000_000)
    assert content(archive, "kit/with space") == b"x\n"
    assert content(archive, f"kit/deep/{'d' * 120}/far") == b"far\n"


@claim("image-003")
def test_export_holds_the_whole_tree_with_the_changes_applied(engine):
    c = engine.create(engine.image, "sh", "-c", "rm /etc/nsswitch.conf; echo new >/etc/group; echo x >/x")
    engine.cli("start", "--attach", c.name)
    archive = export(engine, c)
    names = members(archive)
    assert {"bin/busybox", "etc/passwd", "x"} <= set(names)
    assert "etc/nsswitch.conf" not in names
    assert not [name for name in names if ".wh." in name]
    assert content(archive, "etc/group") == b"new\n"


@claim("image-003")
@pytest.mark.parametrize("state", ["created", "running", "paused", "exited"])
def test_export_works_on_a_container_that_is(engine, state):
    then = ":" if state == "exited" else "exec sleep 60"
    c = engine.create(engine.image, "sh", "-c", f"echo x >/mark; {then}")
    if state != "created":
        engine.cli("start", c.name)
    if state == "exited":
        c.wait()
    elif state != "created":
        c.until("has written", lambda: c.kernel.file("/mark").exists())
    if state == "paused":
        engine.cli("pause", c.name)
    names = members(export(engine, c))
    assert "bin/busybox" in names
    assert ("mark" in names) == (state != "created")
    c.until(state, lambda: c.status == state)
    if state == "paused":
        engine.cli("unpause", c.name)


@claim("image-003")
def test_export_to_a_file_prints_nothing(engine):
    c = engine.create()
    path = engine.workdir / "c.tar"
    assert engine.cli("export", "--output", str(path), c.name).stdout == ""
    assert "bin/busybox" in members(path.read_bytes())


@claim("image-003")
@requires("overlay")
def test_export_leaves_nothing_mounted(engine):
    c = engine.create()
    layer = Path(c.inspect()["GraphDriver"]["Data"]["UpperDir"]).parent
    engine.cli("export", "--output", str(engine.workdir / "c.tar"), c.name)
    engine.cli("rm", c.name)
    mounts = run(["cat", "/proc/self/mountinfo"], host=engine.raw.host, journal=engine.journal).stdout
    assert " / " in mounts
    assert str(layer) not in mounts


@claim("image-003")
def test_export_does_not_write_to_a_terminal(engine):
    result = engine.spawn("export", engine.create().name, tty=True).wait(FAILURE)
    assert "terminal" in result.stdout.lower()


@claim("image-003")
def test_export_of_an_unknown_container_fails_and_leaves_no_file(engine):
    path = engine.workdir / "c.tar"
    engine.fails("export", "--output", str(path), engine.name(), says="no_such_container")
    assert not path.exists()


@claim("image-003")
def test_export_into_a_missing_directory_fails(engine):
    c = engine.create()
    path = engine.workdir / "no" / "c.tar"
    engine.fails("export", "--output", str(path), c.name, says="no such file|not exist")


@claim("image-003")
def test_export_goes_on_until_the_reader_has_gone(engine):
    c = engine.create()
    talk = engine.spawn("export", c.name)
    talk.close_stdout()
    talk.wait(FAILURE, timeout=15)
    assert c.status == "created"


@claim("image-027")
def test_export_leaves_out_what_volumes_and_binds_hold(engine):
    volume = engine.volume()
    (engine.workdir / "bound").mkdir()
    (engine.workdir / "bound" / "x").write_text("x")
    c = engine.run("--volume", f"{volume}:/vol", "--volume", f"{engine.workdir}/bound:/bound", engine.image,
                   "sh", "-c", "echo x >/vol/x; echo x >/own; exec sleep 60")  # fmt: skip
    c.until("has written", lambda: c.kernel.file("/own").exists())
    names = members(export(engine, c))
    assert "own" in names
    assert {"vol", "bound"} <= set(names)
    assert not {"vol/x", "bound/x"} & set(names)


# what engines put into every container by themselves
_OWN = {".dockerenv", "run/.containerenv", "etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab", "dev/console"}


def _shape(archive):
    return {
        path: (info.type, info.mode & 0o7777, info.uid, info.gid, info.size, int(info.mtime), info.linkname)
        for path, info in members(archive).items()
        if path not in _OWN and (info.isreg() or info.issym())
    }


@claim("image-003", "image-029")
def test_an_exported_tree_is_imported_without_settings(engine):
    c = engine.create("--env", "TIDE=high", engine.image, "sh", "-c", "echo x >/x; ln /x /y; chmod 604 /x")
    engine.cli("start", "--attach", c.name)
    archive = export(engine, c)
    name = engine.image_name()
    engine.cli("import", "-", name, stdin=archive)
    data = engine.inspect(name, "image")
    assert len(data["RootFS"]["Layers"]) == 1
    assert not data["Config"].get("Cmd")
    assert not data["Config"].get("Env")
    first, second = _shape(archive), _shape(export(engine, engine.create(name, "/bin/sh")))
    assert len(first) > 100
    assert {path: second.get(path) for path in first} == first
    assert engine.once(name, "/bin/stat", "-c", "%a %h", "/x").text == "604 2"


# -- import ----------------------------------------------------------------------------------------


@pytest.fixture
def rootfs(engine):
    """An archive of a root file system that runs."""
    c = engine.create()
    return export(engine, c)


@claim("image-006")
@pytest.mark.parametrize("how", ["stdin", "file", "gzip", "bzip2"])
def test_import_reads(engine, how):
    data = tree({"etc": None, "etc/motd": engine.key})
    packed = {"gzip": gzip.compress, "bzip2": bz2.compress}.get(how, bytes)(data)
    name = engine.image_name()
    if how == "file":
        (engine.workdir / "r.tar").write_bytes(packed)
        engine.cli("import", str(engine.workdir / "r.tar"), name)
    else:
        engine.cli("import", "-", name, stdin=packed)
    exported = export(engine, engine.create(name, "/x"))
    assert content(exported, "etc/motd").decode() == engine.key


@pytest.fixture
def web(engine):
    """Address of a server in the engine's network; /r.tar is an archive, all else is not found."""
    data = tree({"f": engine.key})

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/r.tar" else 404)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    listener = engine.raw.host.call(lambda: socket.create_server(("127.0.0.1", 0)))
    with http.server.HTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False) as server:
        server.socket.close()
        server.socket = listener
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.shutdown()
        thread.join()


@claim("image-006")
def test_import_reads_from_a_url(engine, web):
    name = engine.image_name()
    engine.cli("import", f"{web}/r.tar", name)
    assert content(export(engine, engine.create(name, "/x")), "f").decode() == engine.key


@claim("image-006", "image-207")
def test_import_of_a_url_that_is_not_found_is_refused(engine, web):
    name = engine.image_name()
    engine.fails("import", f"{web}/none.tar", name, says="404|status code")
    assert not engine.exists(name, "image")


@claim("image-006", "image-056")
def test_import_prints_the_id_and_needs_no_name(engine):
    result = engine.cli("import", "-", stdin=tree({"f": engine.key}), stdout=r"^(sha256:)?[0-9a-f]{64}$")
    printed = result.lines[-1]
    id_ = printed.removeprefix("sha256:")
    assert engine.image_id(id_) == id_
    assert engine.inspect(id_, "image")["RepoTags"] == []


@claim("image-006", "image-048")
@effect("import --change")
def test_import_changes_are_what_containers_get(engine, rootfs):
    name = engine.image_name()
    changes = ["ENV TIDE=low", "ENV PATH=/bin", 'ENTRYPOINT ["sh","-c"]', 'CMD ["echo $TIDE $PWD $(id -u)"]',
               "WORKDIR /var", "USER operator", "LABEL deck=upper", "EXPOSE 80/tcp"]  # fmt: skip
    options = [word for change in changes for word in ("--change", change)]
    engine.cli("import", *options, "-", name, stdin=rootfs)
    assert engine.once(name).text == "low /var 37"
    config = engine.inspect(name, "image")["Config"]
    assert config["Labels"]["deck"] == "upper"
    assert "80/tcp" in config["ExposedPorts"]


@claim("image-006", "image-209")
def test_an_import_change_may_set_several_variables(engine, small_image):
    name = small_image({"f": engine.key}, "--change", "ENV TIDE=low DECK=upper")
    assert {"TIDE=low", "DECK=upper"} <= set(engine.inspect(name, "image")["Config"]["Env"])


@claim("image-006")
def test_import_keeps_the_message(engine, small_image):
    name = small_image({"f": engine.key}, "--message", "found at sea")
    assert engine.inspect(name, "image")["Comment"] == "found at sea"
    assert "found at sea" in engine.cli("history", "--no-trunc", name).stdout


@claim("image-209")
@pytest.mark.parametrize("change", ["RUN true", "SAIL away"], ids=["run", "unknown"])
def test_import_refuses_a_change_that_is_no_setting(engine, change):
    name = engine.image_name()
    engine.fails("import", "--change", change, "-", name, stdin=tree({"f": "f"}), says="bad_change")
    assert not engine.exists(name, "image")


@claim("image-006", "image-207")
@pytest.mark.parametrize(("what", "says"), [
    case("truncated", "unexpected EOF", id="truncated"), case("garbage", "invalid tar header", id="garbage"),
    case("gzip-cut", "unexpected EOF", id="gzip-cut"), case("missing", "none.tar: no such file", id="missing"),
    case("directory", "is a directory", id="directory"), case("unreachable", "connection refused", id="unreachable"),
])  # fmt: skip
def test_import_refuses(engine, what, says):
    whole = tree({"big": os.urandom(200_000)})
    stdin = {"truncated": whole[:100_000], "garbage": bytes(range(1, 256)) * 60,
             "gzip-cut": gzip.compress(whole)[:50_000]}.get(what)  # fmt: skip
    source = {"missing": str(engine.workdir / "none.tar"), "directory": str(engine.workdir),
              "unreachable": "http://127.0.0.1:1/r.tar"}.get(what, "-")  # fmt: skip
    name = engine.image_name()
    engine.fails("import", source, name, stdin=stdin, says=says, code=engine.code("error"))
    assert not engine.exists(name, "image")


@claim("image-204")
@pytest.mark.parametrize("name", ["Upper/Case", "a b", "a:b:c", "x@y"])
def test_import_refuses_the_name_and_makes_no_image(engine, name):
    mark = f"mark={engine.key}"
    data = tree({"f": engine.key})
    engine.fails("import", "--change", f"LABEL {mark}", "-", name, stdin=data, says="bad_reference")
    left = engine.look("images", "--quiet", "--no-trunc", "--filter", f"label={mark}").stdout.split()
    engine.track("image", *left)
    assert left == []


@claim("image-006")
@pytest.mark.parametrize("data", [b"", bytes(10240)], ids=["nothing", "empty-archive"])
def test_import_of_an_empty_tree_gives_an_image_in_which_nothing_runs(engine, data):
    name = engine.image_name()
    engine.cli("import", "-", name, stdin=data)
    assert len(engine.inspect(name, "image")["RootFS"]["Layers"]) == 1
    engine.fails("run", "--rm", "--pull", "never", name, "/bin/sh", says="no such file", code=127)


@claim("image-026")
def test_import_of_a_save_archive_makes_an_image_of_the_archives_files(engine):
    image = Image.make([tree({"f": engine.key})], ["localhost/never:loaded"])
    name = engine.image_name()
    engine.cli("import", "-", name, stdin=image.archive())
    inside = members(export(engine, engine.create(name, "/x")))
    assert {"manifest.json", f"{image.id}.json", "0/layer.tar"} <= set(inside)
    assert "f" not in inside
    assert not engine.exists("localhost/never:loaded", "image")


@claim("image-202")
@pytest.mark.parametrize("before", ["../../../../../../../../../../", "/"], ids=["dots", "absolute"])
def test_no_file_of_an_imported_archive_lands_outside_of_the_image(engine, before):
    mark, name = f"st-{engine.key}", engine.image_name()
    result = engine.cli("import", "-", name, stdin=tree({"ok": "ok", f"{before}{mark}": "out"}), expect=ANY)
    assert not engine.raw.host.path(f"/{mark}").exists()
    refuses = before != "/" and engine.trait("import_refuses_steps_up")
    assert result.ok is not refuses
    if refuses:
        engine.refused(result, says="invalid entry name")
        assert not engine.exists(name, "image")
    else:
        assert {"ok", mark} <= set(members(export(engine, engine.create(name, "/x"))))


@claim("image-202")
def test_a_link_of_an_imported_archive_does_not_lead_outside(engine):
    mark = f"st-{engine.key}"
    link = tarfile.TarInfo()
    link.type, link.linkname = tarfile.SYMTYPE, "/tmp"
    name = engine.image_name()
    engine.cli("import", "-", name, stdin=tree({"tmp": None, "way": link, f"way/{mark}": "out"}))
    assert not engine.raw.host.path(f"/tmp/{mark}").exists()
    assert f"tmp/{mark}" in members(export(engine, engine.create(name, "/x")))


@claim("image-006", "image-027")
def test_import_keeps_what_an_archive_says_of_its_files(engine):
    fifo, owned = tarfile.TarInfo(), tarfile.TarInfo()
    fifo.type, fifo.mode = tarfile.FIFOTYPE, 0o600
    owned.type, owned.mode, owned.uid, owned.gid, owned.mtime = tarfile.DIRTYPE, 0o2750, 1234, 4321, 981173106
    name = engine.image_name()
    engine.cli("import", "-", name, stdin=tree({"pipe": fifo, "owned": owned, "exec": engine.key}, mode=0o711))
    kept = members(export(engine, engine.create(name, "/x")))
    assert kept["pipe"].isfifo()
    assert kept["pipe"].mode & 0o7777 == 0o600
    seen = kept["owned"]
    assert (seen.mode & 0o7777, seen.uid, seen.gid, int(seen.mtime)) == (0o2750, 1234, 4321, 981173106)
    assert kept["exec"].mode & 0o7777 == 0o711

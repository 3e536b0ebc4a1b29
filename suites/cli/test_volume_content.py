"""What gets into volumes and stays there: filling from the image, backup and restore, container ends."""

import os
import stat
import struct
import tarfile

import pytest

claim, requires = pytest.mark.claim, pytest.mark.requires

STOCK = """set -e
mkdir -p /data/dir
echo content >/data/f; ln /data/f /data/hard; ln -s f /data/soft; ln -s /no/such /data/dangling
mkfifo /data/pipe; : >/data/empty; cp /bin/busybox /data/dir/tool; echo hidden >/data/.dot
chown -h 1000:1001 /data /data/f /data/soft; chown 7:8 /data/dir
chmod 2750 /data; chmod 4711 /data/f; chmod 1777 /data/dir; chmod 600 /data/pipe; chmod 0 /data/empty
touch -d '2001-02-03 04:05:06' /data/f /data/dir
"""
# VFS_CAP_REVISION_2, effective: CAP_NET_RAW (capabilities(7))
NET_RAW = struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0)


@pytest.fixture
def stocked(engine):
    """An image that has files of all kinds in /data, which is a VOLUME."""
    c = engine.run()
    c.sh(STOCK)
    os.setxattr(c.kernel.file("/data/dir/tool"), "security.capability", NET_RAW)
    image = engine.image_name()
    engine.cli("commit", "--change", "VOLUME /data", c.name, image, timeout=120)
    engine.cli("rm", "--force", c.name)
    return image


def survey(root):
    """Describe every file below a directory: path -> type and mode, owner, links, size or target, content."""
    found = {}
    for path in [root, *sorted(root.rglob("*"))]:
        status = path.lstat()
        what = os.readlink(path) if stat.S_ISLNK(status.st_mode) else ""
        content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
        links = status.st_nlink if stat.S_ISREG(status.st_mode) else 0
        mode = stat.filemode(status.st_mode)
        found[str(path.relative_to(root))] = (mode, status.st_uid, status.st_gid, links, what, content)
    return found


@claim("volume-012", "volume-214")
@requires("rootful", "not_userns_remap", "local_engine")
def test_new_volume_is_filled_with_all_that_the_image_has(engine, stocked, place):
    volume = engine.volume()
    engine.once("-v", f"{volume}:/data", stocked, "true")
    root = place(volume)
    seen = survey(root)
    assert {path: entry[:5] for path, entry in seen.items()} == {
        ".": ("drwxr-s---", 1000, 1001, 0, ""),
        ".dot": ("-rw-r--r--", 0, 0, 1, ""),
        "dangling": ("lrwxrwxrwx", 0, 0, 0, "/no/such"),
        "dir": ("drwxrwxrwt", 7, 8, 0, ""),
        "dir/tool": ("-rwxr-xr-x", 0, 0, 1, ""),
        "empty": ("----------", 0, 0, 1, ""),
        "f": ("-rws--x--x", 1000, 1001, 2, ""),
        "hard": ("-rws--x--x", 1000, 1001, 2, ""),
        "pipe": ("prw-------", 0, 0, 0, ""),
        "soft": ("lrwxrwxrwx", 1000, 1001, 0, "f"),
    }
    assert seen["f"][5] == b"content\n"
    assert os.path.samefile(root / "f", root / "hard")
    assert (root / "f").stat().st_mtime == 981173106
    assert os.getxattr(root / "dir/tool", "security.capability") == NET_RAW


@claim("volume-012")
def test_volume_with_content_is_not_filled_again(engine, stocked):
    volume = engine.volume()
    engine.sh("echo mine >/x/f", "-v", f"{volume}:/x")
    seen = engine.once("-v", f"{volume}:/data", stocked, "sh", "-c", "ls -A /data; cat /data/f")
    assert seen.stdout == "f\nmine\n"
    engine.sh("rm /x/f; touch /x/other", "-v", f"{volume}:/x")
    assert engine.once("-v", f"{volume}:/data", stocked, "ls", "-A", "/data").stdout == "other\n"


@claim("volume-012", "volume-004")
def test_declared_volume_is_filled_anew_for_each_container(engine, stocked, place):
    first, second = engine.run(stocked, "sleep", "60"), engine.run(stocked, "sleep", "60")
    volumes = [c.inspect()["Mounts"][0]["Name"] for c in (first, second)]
    assert volumes[0] != volumes[1]
    first.sh("echo changed >/data/f")
    assert second.read("/data/f") == "content\n"
    assert (place(volumes[0]) / "f").read_text() == "changed\n"


@claim("volume-012", "volume-011")
def test_volume_mounted_read_only_is_filled_all_the_same(engine, stocked):
    volume = engine.volume()
    script = "cat /data/f; rm -f /data/f"
    result = engine.once("-v", f"{volume}:/data:ro", stocked, "sh", "-c", script, expect=1)
    assert result.stdout == "content\n"
    assert "Read-only file system" in result.stderr


@claim("volume-215")
def test_nocopy_leaves_a_new_volume_empty(engine, stocked):
    spec = f"{engine.volume()}:/data:nocopy"
    assert engine.once("-v", spec, stocked, "ls", "-A", "/data").stdout == ""
    option = engine.trait("volume_mount_nocopy")
    spec = f"type=volume,source={engine.volume()},target=/data"
    if option:
        assert engine.once("--mount", f"{spec},{option}", stocked, "ls", "-A", "/data").stdout == ""
        assert engine.once("--mount", f"{spec},{option}=false", stocked, "cat", "/data/f").stdout == "content\n"
    else:
        spec += ",volume-nocopy"
        engine.fails("run", "--rm", "--mount", spec, stocked, says="volume_unknown_key", code=125)


@claim("volume-215", "volume-206")
@requires("local_engine")
def test_nocopy_means_nothing_for_a_bind(engine):
    spec = f"{engine.workdir}:/x:nocopy"
    engine.fails("run", "--rm", "-v", spec, engine.image, "true", says="volume_nocopy_bind", code=125)


@claim("volume-055")
@requires("local_engine")
def test_bind_takes_the_place_of_a_declared_volume(engine, stocked):
    own = engine.workdir / "own"
    own.mkdir()
    (own / "f").write_text("host\n")
    c = engine.run("-v", f"{own}:/data", stocked, "sleep", "60")
    assert c.read("/data/f") == "host\n"
    assert [path.name for path in own.iterdir()] == ["f"]
    assert [(mount["Type"], mount["Destination"]) for mount in c.inspect()["Mounts"]] == [("bind", "/data")]
    assert len([mount for mount in c.kernel.mounts() if mount.target == "/data"]) == 1


@claim("volume-013", "volume-012")
def test_data_container_that_never_ran_lends_its_volumes(engine, stocked):
    data = engine.create("-v", "/more", stocked, "true")
    user = engine.run("--volumes-from", data.name)
    expected = "content\n" if engine.trait("volume_filled_at_create") else ""
    assert user.sh("cat /data/f 2>/dev/null; echo new >/more/g; echo new >/data/g").stdout == expected
    assert data.status in ("created", "configured")
    again = engine.sh("cat /data/g /more/g", "--volumes-from", data.name)
    assert again.stdout == "new\nnew\n"


@claim("volume-018", "volume-019")
@requires("local_engine", "rootful", "not_userns_remap")
def test_backup_by_tar_is_restored_without_change(engine, stocked, place):
    backup = engine.workdir / "backup"
    backup.mkdir()
    data = engine.run(stocked, "sleep", "60")
    tar = ["tar", "cf", "/backup/b.tar", "-C", "/data", "."]
    engine.once("--volumes-from", data.name, "-v", f"{backup}:/backup", engine.image, *tar)
    with tarfile.open(backup / "b.tar") as archive:
        members = {member.name.removeprefix("./"): member for member in archive}
    f = members["f"]
    assert (f.uid, f.gid, f.mode, f.mtime, f.size) == (1000, 1001, 0o4711, 981173106, 8)
    assert members["hard"].islnk() or f.islnk()
    assert (members["soft"].linkname, members["pipe"].isfifo()) == ("f", True)
    other = engine.run("-v", "/data")
    restore = ["tar", "xf", "/backup/b.tar", "-C", "/data"]
    engine.once("--volumes-from", other.name, "-v", f"{backup}:/backup:ro", engine.image, *restore)
    roots = [place(c.inspect()["Mounts"][0]["Name"]) for c in (data, other)]
    before, after = survey(roots[0]), survey(roots[1])
    assert "dir/tool" in before
    for link in ("soft", "dangling"):  # busybox tar does not give links their owner
        assert (after.pop(link)[0], before.pop(link)[0]) == ("lrwxrwxrwx", "lrwxrwxrwx")
        assert os.readlink(roots[1] / link) == os.readlink(roots[0] / link)
    assert after == before


@claim("volume-058")
@pytest.mark.parametrize("ending", ["stop", "kill", "restart", "exit"])
def test_data_survives_every_end_of_the_container(engine, ending, place):
    first = "test -e /data/end || { echo kept >/data/f; sync; echo layer >/g; }"
    script = f"{first}; [ ! -e /data/exit ] || exit 3; exec sleep 60"
    c = engine.run("--stop-signal", "KILL", "-v", "/data", engine.image, "sh", "-c", script)
    c.until("written", lambda: c.sh("cat /g", expect=None).ok)
    volume = c.inspect()["Mounts"][0]["Name"]
    c.sh("touch /data/end")
    if ending == "exit":
        c.sh("touch /data/exit")
        engine.cli("restart", "-t", "0", c.name)
        assert c.wait() == 3
        c.bench.sh("rm /data/exit", "--volumes-from", c.name)
        engine.cli("start", c.name)
    else:
        engine.cli(ending, *(["-t", "0"] if ending != "kill" else []), c.name)
        if ending != "restart":
            c.until("stopped", lambda: not c.pid)
            assert (place(volume) / "f").read_text() == "kept\n"
            engine.cli("start", c.name)
    assert c.sh("cat /data/f /g").stdout == "kept\nlayer\n"
    assert c.inspect()["Mounts"][0]["Name"] == volume
    assert c.kernel.mount("/data").root.endswith(f"/{volume}/_data")


@claim("volume-001", "volume-008")
def test_many_writers_share_a_volume(engine, place):
    volume = engine.volume()
    script = "for n in $(seq 50); do echo line >>/x/log; done; touch /x/$(hostname)"
    writers = [engine.run("-v", f"{volume}:/x", engine.image, "sh", "-c", script) for _ in range(4)]
    assert [writer.wait() for writer in writers] == [0, 0, 0, 0]
    root = place(volume)
    assert (root / "log").read_text() == "line\n" * 200
    assert len(list(root.iterdir())) == 5

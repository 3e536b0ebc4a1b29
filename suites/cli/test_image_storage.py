"""How engines keep images on disk, and that they find them again; engines of the tests' own."""

import hashlib
import os

import pytest

from seatrial.archive import tree
from seatrial.errors import SeatrialError
from seatrial.exec import parsed

claim, requires = pytest.mark.claim, pytest.mark.requires


def disk_usage(root):
    """Return the bytes of all files below a directory, each file counted once."""
    sizes = {}
    for directory, _, files in os.walk(root):
        for name in files:
            info = os.lstat(os.path.join(directory, name))
            sizes[info.st_dev, info.st_ino] = info.st_blocks * 512
    return sum(sizes.values())


@claim("image-001")
@requires("private_engine", "overlay")
def test_images_on_one_base_take_its_room_once(private_engine):
    d = private_engine()
    root = d.raw.host.path(d.raw.facts()["root_dir"])
    base = d.image_name()
    d.cli("import", "-", base, stdin=tree({"big": os.urandom(8_000_000)}))
    before = disk_usage(root)
    assert before > 8_000_000
    for number in range(5):
        c = d.create("--env", f"N={number}", base, "/big")
        (d.workdir / "small").write_text(f"{number}")
        d.cli("cp", str(d.workdir / "small"), f"{c.name}:/small")
        d.cli("commit", c.name, d.image_name())
        d.cli("rm", c.name)
    assert disk_usage(root) - before < 4_000_000


@claim("image-018")
@requires("private_daemon")
def test_data_root_moves_images_and_containers(private_daemon):
    d = private_daemon("--data-root", "/srv/elsewhere", storage="vfs")
    assert d.raw.facts()["root_dir"] == "/srv/elsewhere"
    c = d.run()
    root = d.host.path("/srv/elsewhere")
    assert (root / "containers" / c.id).is_dir()
    stored = root / "image/vfs/imagedb/content/sha256" / d.image_id(d.image)
    assert hashlib.sha256(stored.read_bytes()).hexdigest() == d.image_id(d.image)
    usual = d.host.path("/var/lib/docker")
    assert not usual.exists() or list(usual.iterdir()) == []


@claim("image-018")
@requires("private_daemon")
def test_a_data_root_that_is_a_file_is_refused(private_daemon):
    d = private_daemon("--data-root", "/srv/file", start=False)
    d.host.path("/srv/file").write_text("in the way")
    with pytest.raises(SeatrialError, match=r"not a directory|file exists|points to a file"):
        d.daemon.start()
    assert d.host.path("/srv/file").read_text() == "in the way"


@claim("image-031", "image-032", "image-033")
@requires("private_daemon", "overlay")
def test_the_data_root_has_its_parts_and_they_agree_with_each_other(private_daemon):
    d = private_daemon(storage="overlay2")
    c = d.create(d.image, "sh", "-c", "echo x >/x")
    d.cli("start", "--attach", c.name)
    d.cli("commit", c.name, name := d.image_name())
    d.volume()
    root = d.host.path("/var/lib/docker")
    for part in ("containers", "image/overlay2", "overlay2", "volumes", "tmp"):
        assert (root / part).is_dir(), part
    assert root.stat().st_mode & 0o007 == 0
    for part in ("containers", f"containers/{c.id}", "image", "overlay2", "tmp"):
        assert (root / part).stat().st_mode & 0o007 == 0, part

    store = root / "image/overlay2"
    listed = parsed((store / "repositories.json").read_text())["Repositories"]
    ids = {name: id_ for repository in listed.values() for name, id_ in repository.items() if "@" not in name}
    assert ids == {known: f"sha256:{d.image_id(known)}" for known in (d.image, name)}

    config = parsed((store / "imagedb/content/sha256" / d.image_id(name)).read_text())
    diff_ids = config["rootfs"]["diff_ids"]
    assert diff_ids == d.inspect(name, "image")["RootFS"]["Layers"]
    assert len(diff_ids) == 2
    chain = ""
    for diff_id in diff_ids:
        parent = chain
        text = f"{parent} {diff_id}".encode()
        chain = f"sha256:{hashlib.sha256(text).hexdigest()}" if parent else diff_id
        layer = store / "layerdb" / chain.replace(":", "/")
        assert (layer / "diff").read_text() == diff_id
        assert int((layer / "size").read_text()) > 0
        assert not parent or (layer / "parent").read_text() == parent
        assert (root / "overlay2" / (layer / "cache-id").read_text() / "diff").is_dir()
    assert (root / "overlay2" / (layer / "cache-id").read_text() / "diff/x").read_text() == "x\n"


@claim("image-034")
@requires("private_daemon")
@pytest.mark.parametrize("how", ["stop", "kill"])
def test_images_containers_and_volumes_are_there_after_the_daemon_was_ended_by(private_daemon, how):
    d = private_daemon()
    volume = d.volume()
    d.cli("commit", "--change", "LABEL deck=upper", d.create().name, name := d.image_name())
    c = d.run("--volume", f"{volume}:/v", name, "sh", "-c", "echo x >/x; echo v >/v/v; exec sleep 3600")
    c.until("has written", lambda: c.kernel.file("/v/v").exists())
    before = {what: d.inspect(what, "image") for what in (name, d.image)}
    pid = c.pid
    getattr(d.daemon, how)()
    d.daemon.start()
    after = {what: d.inspect(what, "image") for what in (name, d.image)}
    for what in before:
        for key in ("Id", "RepoTags", "RootFS", "Config", "Created"):
            assert after[what][key] == before[what][key]
    assert c.status == "exited"
    assert not os.path.exists(f"/proc/{pid}/root/x")
    d.cli("start", c.name)
    assert c.sh("cat /x /v/v").lines == ["x", "v"]
    assert volume in d.cli("volume", "ls", "--quiet").lines
    assert d.once(name, "echo", "runs").text == "runs"


@claim("image-034")
@requires("private_daemon")
def test_a_daemon_killed_while_it_loads_has_the_image_whole_or_not_at_all(private_daemon):
    d = private_daemon()
    big = d.image_name()
    talk = d.spawn("import", "-", big)
    archive = tree({f"f{number}": os.urandom(1_000_000) for number in range(4)})
    talk.send(archive[: len(archive) // 2])
    d.daemon.kill()
    talk.close_stdin()
    d.daemon.start()
    assert not d.exists(big, "image")
    assert d.once(d.image, "echo", "runs").text == "runs"
    d.cli("import", "-", big, stdin=archive)
    assert d.exists(big, "image")


@claim("image-055")
@requires("private_daemon")
@pytest.mark.parametrize("driver", ["devicemapper", "zfs", "stowaway"])
def test_a_storage_driver_that_cannot_be_is_refused(private_daemon, driver):
    with pytest.raises(SeatrialError, match=rf"{driver}|not supported|prerequisites") as error:
        private_daemon(storage=driver)
    assert error.value.code == "E205"


@claim("image-058")
@requires("private_engine")
def test_engines_of_tests_take_their_storage_driver_from_the_environment(private_engine, monkeypatch):
    monkeypatch.setenv("DOCKER_GRAPHDRIVER", "vfs")
    d = private_engine()
    assert d.raw.facts()["storage"] == "vfs"
    c = d.run()
    c.sh("rm /etc/nsswitch.conf; echo x >/x")
    assert c.kernel.mount("/").fstype != "overlay"
    d.cli("commit", c.name, name := d.image_name())
    assert d.once(name, "sh", "-c", "cat /x; ls /etc").lines[0] == "x"
    assert "nsswitch.conf" not in d.once(name, "ls", "/etc").lines
    assert d.inspect(name, "image")["GraphDriver"]["Name"] == "vfs"

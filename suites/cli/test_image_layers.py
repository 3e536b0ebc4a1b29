"""Layers stacked by overlay: what hides what, where changes go, what a deletion leaves."""

import hashlib
import io
import os
import stat
import tarfile

import pytest

from seatrial.archive import Image, Saved, members, tree
from seatrial.expecting import one
from seatrial.names import RUN_LABEL, TEST_LABEL

claim, requires = pytest.mark.claim, pytest.mark.requires


@pytest.fixture
def stack(engine):
    """Call it with file trees to get the name of an image of busybox with a layer for each tree."""

    def make(*trees):
        base = Saved(engine.cli("save", engine.image).out).image
        name = engine.image_name()
        labels = {RUN_LABEL: engine.run_id, TEST_LABEL: engine.key}
        config = {**base.described["config"], "Labels": labels}
        mark = tree({"mark": engine.key})  # without it the layers could be those of another test
        layers = [*base.layers, mark, *(files if isinstance(files, bytes) else tree(files) for files in trees)]
        image = Image.make(layers, [name], config=config, architecture=base.described["architecture"])
        engine.cli("load", stdin=image.archive())
        return name

    return make


def directories(engine, container):
    """Return upperdir and lowerdirs (topmost first) of a running container as seen from here."""
    data = container.inspect()["GraphDriver"]["Data"]
    return engine.raw.host.path(data["UpperDir"]), [
        engine.raw.host.path(path) for path in data["LowerDir"].split(":")
    ]


@claim("image-052")
def test_a_file_of_an_upper_layer_hides_the_one_below(engine, stack):
    image = stack({"word": "lower", "only": "lower"}, {"word": "middle"}, {"word": "upper"})
    assert engine.once(image, "sh", "-c", "cat /word; echo; cat /only").lines == ["upper", "lower"]


@claim("image-052")
def test_directories_of_layers_are_merged(engine, stack):
    image = stack({"d": None, "d/a": "1"}, {"d": None, "d/b": "2"})
    assert engine.once(image, "ls", "/d").lines == ["a", "b"]


@claim("image-052", "image-211")
def test_mode_and_owner_of_a_directory_are_those_of_the_topmost_layer(engine, stack):
    above = tarfile.TarInfo()
    above.type, above.mode, above.uid, above.gid, above.mtime = tarfile.DIRTYPE, 0o1750, 37, 100, 981173106
    image = stack({"d": None, "d/a": "1"}, {"d": above})
    assert engine.once(image, "stat", "-c", "%a %u %g %Y", "/d").text == "1750 37 100 981173106"
    assert engine.once(image, "cat", "/d/a").text == "1"


@claim("image-054")
@pytest.mark.parametrize(
    "path", ["etc/.wh.group", "etc/.wh.nsswitch.conf", ".wh.home"], ids=["file", "another", "directory"]
)
def test_a_whiteout_of_an_upper_layer_hides_what_it_names(engine, stack, path):
    image = stack({path: ""})
    hidden = "/" + path.replace(".wh.", "")
    seen = engine.once(image, "sh", "-c", f"test ! -e {hidden} && ls -a $(dirname {hidden})")
    assert ".wh." not in seen.stdout
    assert len(seen.lines) > 3


@claim("image-054")
def test_a_file_made_again_above_its_whiteout_is_there(engine, stack):
    image = stack({"etc/.wh.group": ""}, {"etc/group": "again"})
    assert engine.once(image, "cat", "/etc/group").text == "again"


@claim("image-212")
def test_an_opaque_directory_hides_all_that_lies_below(engine, stack):
    image = stack({"d": None, "d/old": "1", "d/older": "2"}, {"d": None, "d/.wh..wh..opq": "", "d/new": "3"})
    assert engine.once(image, "ls", "-A", "/d").lines == ["new"]


@claim("image-052")
@pytest.mark.parametrize("upper", ["file-over-directory", "directory-over-file"])
def test_an_upper_layer_may_replace_a_file_by_a_directory_and_back(engine, stack, upper):
    if upper == "file-over-directory":
        image = stack({"d": None, "d/a": "1"}, {"d": "now a file"})
        assert engine.once(image, "cat", "/d").text == "now a file"
    else:
        image = stack({"d": "a file"}, {"d": None, "d/a": "inside"})
        assert engine.once(image, "cat", "/d/a").text == "inside"


@claim("image-014")
def test_what_a_container_writes_changes_neither_image_nor_other_containers(engine):
    id_ = engine.image_id(engine.image)
    layers = engine.inspect(engine.image, "image")["RootFS"]["Layers"]
    first, second = engine.run(), engine.run()
    first.sh("echo changed >/etc/group; rm /etc/nsswitch.conf; echo x >/x")
    assert "changed" not in second.read("/etc/group")
    assert engine.once(engine.image, "sh", "-c", "cat /etc/nsswitch.conf; test ! -e /x").ok
    assert engine.image_id(engine.image) == id_
    saved = Saved(engine.cli("save", engine.image).out).image
    assert saved.diff_ids == layers


@claim("image-050", "image-053", "image-054")
@requires("overlay", "local_engine")
def test_changes_go_to_the_upper_directory_and_nowhere_else(engine):
    c = engine.run()
    upper, lowers = directories(engine, c)
    below = one(lower for lower in lowers if (lower / "etc/passwd").exists())
    before = hashlib.sha256((below / "etc/passwd").read_bytes()).hexdigest()
    c.sh("echo new >/new; echo one:x:1:1::/:/bin/sh >>/etc/passwd; rm /etc/nsswitch.conf; chmod 600 /etc/group")
    assert (upper / "new").read_text() == "new\n"
    assert (upper / "etc/passwd").read_text().endswith("one:x:1:1::/:/bin/sh\n")
    assert (upper / "etc/passwd").read_text().startswith("root:x:0:0")
    whiteout = os.lstat(upper / "etc/nsswitch.conf")
    assert stat.S_ISCHR(whiteout.st_mode)
    assert whiteout.st_rdev == 0
    assert stat.S_IMODE(os.lstat(upper / "etc/group").st_mode) == 0o600
    assert stat.S_IMODE(os.lstat(below / "etc/group").st_mode) == 0o644
    assert hashlib.sha256((below / "etc/passwd").read_bytes()).hexdigest() == before
    assert (below / "etc/nsswitch.conf").is_file()
    written = {str(path.relative_to(upper)) for path in upper.rglob("*") if not path.is_dir()}
    engines = {*engine.trait("own_files"), "dev/console"}
    assert written - engines == {"new", "etc/passwd", "etc/nsswitch.conf", "etc/group"}


@claim("image-051", "image-046")
@requires("overlay", "local_engine")
def test_layers_are_mounted_with_the_topmost_left(engine, stack):
    image = stack({"level": "1", "one": "1"}, {"level": "2"}, {"level": "3"})
    c = engine.run(image, "sleep", "60")
    mount = c.kernel.mount("/")
    assert mount.fstype == "overlay"
    options = {name: value for name, _, value in (option.partition("=") for option in mount.super_options)}
    assert {"lowerdir", "upperdir", "workdir"} <= set(options)
    depth = len(engine.inspect(image, "image")["RootFS"]["Layers"])
    assert depth == 5
    assert len(options["lowerdir"].split(":")) >= depth
    upper, lowers = directories(engine, c)
    levels = [(lower / "level").read_text() for lower in lowers if (lower / "level").exists()]
    assert levels == ["3", "2", "1"]
    assert c.read("/level") == "3"
    assert upper.is_dir()


@claim("image-053")
def test_copying_up_keeps_owner_mode_time_and_content(engine, stack):
    image = stack(_owned("data", 300_000))
    c = engine.run(image, "sleep", "60")
    before = c.sh("stat -c '%a %u %g %Y' /data").text
    assert before == "640 37 100 981173106"
    c.sh("chmod 660 /data")
    assert c.sh("stat -c '%a %u %g %Y %s' /data").text == "660 37 100 981173106 300000"
    c.sh("printf x | dd of=/data bs=1 seek=150000 conv=notrunc")
    text = c.kernel.file("/data").read_bytes()
    assert text == b"." * 150_000 + b"x" + b"." * 149_999


def _owned(name, size):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.mode, info.uid, info.gid, info.mtime, info.size = 0o640, 37, 100, 981173106, size
        archive.addfile(info, io.BytesIO(b"." * size))
    return buffer.getvalue()


@claim("image-054", "image-045")
def test_deleting_files_of_a_lower_layer_makes_no_image_smaller(engine):
    c = engine.create(engine.image, "sh", "-c", f"echo {engine.key} >/mark; rm -rf /home /usr /var /bin/[a-q]*")
    engine.cli("start", "--attach", c.name)
    engine.cli("commit", c.name, name := engine.image_name())
    assert engine.inspect(name, "image")["Size"] >= engine.inspect(engine.image, "image")["Size"]
    top = members(Saved(engine.cli("save", name).out).image.layers[-1])
    assert {".wh.home", ".wh.usr", ".wh.var", "bin/.wh.cat"} <= set(top)


@claim("image-001", "image-046")
@requires("overlay", "local_engine")
def test_images_on_one_base_share_its_directory(engine):
    lowers = []
    for number in range(3):
        c = engine.create(engine.image, "sh", "-c", f"echo {number} {engine.key} >/n")
        engine.cli("start", "--attach", c.name)
        engine.cli("commit", c.name, name := engine.image_name())
        lowers.append(set(engine.inspect(name, "image")["GraphDriver"]["Data"]["LowerDir"].split(":")))
    base = engine.inspect(engine.image, "image")["GraphDriver"]["Data"]["UpperDir"]
    assert lowers == [{base}] * 3
    assert (engine.raw.host.path(base) / "bin/busybox").is_file()


@claim("image-046")
def test_the_storage_driver_of_an_image_is_that_of_the_engine(engine):
    driver = engine.inspect(engine.image, "image")["GraphDriver"]
    assert driver["Name"] == engine.facts["storage"]
    assert driver["Data"]


@claim("image-055")
@requires("local_engine", "not_project_quota")
def test_a_size_limit_that_the_storage_cannot_hold_is_refused(engine):
    name = engine.name()
    engine.fails("create", "--name", name, "--storage-opt", "size=10M", engine.image, says="no_size_limit")
    assert not engine.exists(name)


@claim("image-055")
@pytest.mark.parametrize(
    ("option", "says"),
    [
        pytest.param("size=big", "storage_bad_size", id="size-word", marks=requires("project_quota")),
        pytest.param("size=-1", "storage_bad_size", id="size-negative", marks=requires("project_quota")),
        pytest.param("ballast=1", "storage_unknown_option", id="unknown"),
        pytest.param("size", "storage_no_value", id="no-value"),
    ],
)
def test_a_storage_option_that_makes_no_sense_is_refused(engine, option, says):
    name = engine.name()
    engine.fails("create", "--name", name, "--storage-opt", option, engine.image, says=says)
    assert not engine.exists(name)

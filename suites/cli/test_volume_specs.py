"""What -v, --mount, --tmpfs and --volumes-from refuse, and the traces that a refusal must not leave."""

import pytest

claim, requires = pytest.mark.claim, pytest.mark.requires

# what is wrong -> options ({} is a directory that exists), the situation of the message
REFUSED = {
    "empty": (["-v", ""], "volume_empty_spec"),
    "no-source": (["-v", ":/y"], "volume_empty_part"),
    "no-target": (["-v", "{}:"], "volume_empty_part"),
    "empty-mode": (["-v", "{}:/y:"], "volume_empty_part"),
    "relative-target": (["-v", "{}:y"], "volume_relative_path"),
    "four-parts": (["-v", "{}:/y:ro:rw"], "volume_too_many_parts"),
    "unknown-mode": (["-v", "{}:/y:zz"], "volume_bad_mode"),
    "two-modes": (["-v", "{}:/y:ro,rw"], "volume_bad_mode"),
    "two-propagations": (["-v", "{}:/y:rshared,rslave"], "volume_bad_mode"),
    "slash-in-name": (["-v", "rel/x:/y"], "volume_bad_name"),
    "space-in-name": (["-v", "rel x:/y"], "volume_bad_name"),
    "mount-empty": (["--mount", ""], "volume_empty_mount"),
    "mount-unknown-type": (["--mount", "type=floppy,source={},target=/y"], "volume_unknown_type"),
    "mount-no-target": (["--mount", "type=volume"], "volume_no_target"),
    "mount-bind-no-source": (["--mount", "type=bind,target=/no/such/y"], "volume_no_source"),
    "mount-unknown-key": (["--mount", "type=volume,target=/y,what=1"], "volume_unknown_key"),
    "mount-relative-target": (["--mount", "type=bind,source={},target=y"], "volume_relative_path"),
    "mount-bad-name": (["--mount", "type=volume,source=/abs,target=/y"], "volume_bad_name"),
    "mount-bad-propagation": (["--mount", "type=bind,source={},target=/y,bind-propagation=up"],
                              "volume_bad_propagation"),
    "mount-bad-boolean": (["--mount", "type=bind,source={},target=/y,readonly=maybe"], "volume_bad_boolean"),
    "mount-tmpfs-source": (["--mount", "type=tmpfs,source=a,target=/y"], "volume_source_unwanted"),
    "tmpfs-relative": (["--tmpfs", "y"], "volume_relative_path"),
    "from-unknown": (["--volumes-from", "st-no-such-container"], "no_such_container"),
    "from-empty": (["--volumes-from", ""], "volume_empty_name"),
}  # fmt: skip


@claim("volume-206", "volume-009")
@pytest.mark.parametrize("wrong", REFUSED)
def test_wrong_specification_is_refused_before_there_is_a_container(engine, wrong):
    options, situation = REFUSED[wrong]
    name = engine.name()
    words = [word.format(engine.workdir) for word in options]
    engine.fails("run", "--name", name, *words, engine.image, "true", says=situation, code=125)
    assert not engine.exists(name)


@claim("volume-206", "volume-009")
@requires("local_engine")
def test_mount_over_the_root_is_refused(engine):
    root = engine.workdir / "root"
    (root / "bin").mkdir(parents=True)
    (root / "bin/sh").write_text("never run\n")
    name = engine.name()
    engine.fails("run", "--name", name, "-v", f"{root}:/", engine.image, "true", says="volume_root_target")
    assert [path.name for path in root.iterdir()] == ["bin"]
    assert not engine.exists(name)


@claim("volume-206")
def test_mode_of_volumes_from_is_checked(engine):
    c = engine.create("-v", "/data")
    name = engine.name()
    engine.fails("run", "--name", name, "--volumes-from", f"{c}:up", engine.image, "true",
                 says="volume_bad_from_mode", code=125)  # fmt: skip
    assert not engine.exists(name)


@claim("volume-206")
@requires("local_engine")
@pytest.mark.parametrize("side", ["source", "target"])
def test_path_longer_than_the_kernel_takes_is_refused(engine, side):
    parts = "/".join(["", *["x" * 250] * 20])
    spec = f"{parts}:/y" if side == "source" else f"{engine.workdir}:{parts}"
    engine.fails("run", "--rm", "-v", spec, engine.image, "true", says="(file|path)( name)? too long")


@claim("volume-205")
@requires("local_engine")
@pytest.mark.parametrize("pair", [
    pytest.param(["-v", "{}:/x", "-v", "{}/sub:/x"], id="binds"),
    pytest.param(["-v", "{}:/x", "-v", "{name}:/x"], id="bind-and-volume"),
    pytest.param(["-v", "{}:/x", "-v", "{}/sub:/y/../x/"], id="after-cleaning"),
    pytest.param(["--mount", "type=bind,source={},target=/x", "--mount", "type=bind,source={}/sub,target=/x"],
                 id="mounts"),
    pytest.param(["-v", "{}:/x", "--mount", "type=bind,source={}/sub,target=/x"], id="bind-and-mount"),
    pytest.param(["-v", "{name}:/x", "--tmpfs", "/x"], id="volume-and-tmpfs"),
])  # fmt: skip
def test_two_mounts_with_one_target_are_refused(engine, pair):
    (engine.workdir / "sub").mkdir()
    volume = engine.volume()
    words = [word.format(engine.workdir, name=volume) for word in pair]
    engine.fails("run", "--rm", *words, engine.image, "true", says="volume_duplicate_target", code=125)
    assert engine.exists(volume, "volume")


@claim("volume-207")
@requires("local_engine")
@pytest.mark.parametrize(("source", "inside"), [
    pytest.param("f", "/home", id="file-on-directory"),
    pytest.param(".", "/etc/nsswitch.conf", id="directory-on-file"),
])  # fmt: skip
def test_file_and_directory_cannot_cover_each_other(engine, source, inside):
    (engine.workdir / "f").write_text("hello\n")
    c = engine.create("-v", f"{engine.workdir / source}:{inside}", engine.image, "true")
    engine.fails("start", c.name, says="not a directory")
    assert c.status in ("created", "exited", "initialized")
    assert c.pid == 0


@claim("volume-206")
@pytest.mark.parametrize("inside", ["/proc", "/proc/1"])
def test_mount_over_proc_is_refused(engine, inside):
    options = ["--rm", "-v", f"{engine.workdir}:{inside}"]
    engine.fails("run", *options, engine.image, "true", says="cannot be mounted because")


@claim("volume-220")
@requires("local_engine")
@pytest.mark.parametrize("mode", ["z", "Z", "ro,Z"])
def test_selinux_modes_change_nothing_where_there_is_none(engine, mode):
    (engine.workdir / "d").mkdir()
    volume = engine.volume()
    c = engine.run("-v", f"{engine.workdir}/d:/x:{mode}", "-v", f"{volume}:/y:{mode}")
    for target in ("/x", "/y"):
        options = c.kernel.mount(target).options
        assert ("ro" in options, "rw" in options) == ("ro" in mode, "ro" not in mode)
        assert not any("context" in option for option in c.kernel.mount(target).super_options)

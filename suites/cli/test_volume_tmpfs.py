"""File systems in memory: --tmpfs, --mount type=tmpfs; and volumes of the local driver with mount options."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.examples import examples

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires


@claim("volume-216")
@effect("run --tmpfs")
@pytest.mark.parametrize("form", [
    pytest.param(["--tmpfs", "/t"], id="tmpfs"),
    pytest.param(["--mount", "type=tmpfs,target=/t"], id="mount"),
    pytest.param(["--mount", "type=tmpfs,destination=/t"], id="destination"),
])  # fmt: skip
def test_tmpfs_is_empty_and_in_memory(engine, form):
    c = engine.run(*form)
    mount = c.kernel.mount("/t")
    assert (mount.fstype, mount.root) == ("tmpfs", "/")
    assert {"rw", *engine.trait("volume_tmpfs_options")} <= mount.options
    assert ("noexec" in mount.options) is ("noexec" in engine.trait("volume_tmpfs_options"))
    assert c.sh("ls -A /t; stat -c %a:%u:%g /t").stdout == "1777:0:0\n"
    c.sh("echo hello >/t/f")
    assert c.kernel.file("/t/f").read_text() == "hello\n"
    assert "/t/f" not in engine.cli("diff", c.name).stdout


@claim("volume-216")
def test_tmpfs_is_empty_again_after_a_restart(engine):
    c = engine.run("--stop-signal", "KILL", "--tmpfs", "/t")
    c.sh("echo hello >/t/f; echo layer >/f")
    engine.cli("restart", "-t", "0", c.name)
    assert c.sh("ls -A /t; cat /f").stdout == "layer\n"
    assert c.kernel.mount("/t").fstype == "tmpfs"


@claim("volume-219")
def test_tmpfs_is_not_shared_by_volumes_from(engine):
    c = engine.run("--tmpfs", "/t", "-v", "/data")
    c.sh("touch /t/f /data/g")
    assert engine.sh("ls -d /t /data/g", "--volumes-from", c.name, expect=1).stdout == "/data/g\n"


@claim("volume-217")
@pytest.mark.parametrize("form", [
    pytest.param(["--tmpfs", "/t:size=64k,mode=1750"], id="tmpfs"),
    pytest.param(["--mount", "type=tmpfs,target=/t,tmpfs-size=65536,tmpfs-mode=1750"], id="mount"),
    pytest.param(["--mount", "type=tmpfs,target=/t,tmpfs-size=64k,tmpfs-mode=01750"], id="mount-units"),
])  # fmt: skip
def test_size_and_mode_are_in_force(engine, form):
    c = engine.run(*form)
    assert {"size=64k", "mode=1750"} <= c.kernel.mount("/t").super_options
    assert c.sh("stat -c %a /t").text == "1750"
    full = c.sh("dd if=/dev/zero of=/t/f bs=1k count=100", expect=1)
    assert "No space left on device" in full.stderr
    assert c.kernel.file("/t/f").stat().st_size == 65536


@claim("volume-217")
@examples(3)
@given(sizes=st.lists(st.integers(1, 1 << 20), min_size=4, max_size=6), mode=st.integers(1, 0o1777))
def test_any_size_is_rounded_up_to_pages(engine, sizes, mode):
    options = []
    for number, pages in enumerate(sizes):
        limits = f"tmpfs-size={pages * 4096 - 1},tmpfs-mode={mode:o}"
        options += ["--mount", f"type=tmpfs,target=/t/{number},{limits}"]
    script = "for d in /t/*; do stat -c %a $d; grep \" $d \" /proc/self/mountinfo; done"
    seen = engine.sh(script, *options).lines
    assert len(seen) == 2 * len(sizes)
    for number, pages in enumerate(sizes):
        assert seen[2 * number] == f"{mode:o}"
        assert f"size={pages * 4}k" in seen[2 * number + 1].rpartition(" ")[2].split(",")


@claim("volume-217", "volume-011")
@pytest.mark.parametrize("form", [["--tmpfs", "/t:ro"], ["--mount", "type=tmpfs,target=/t,readonly"]],
                         ids=["tmpfs", "mount"])  # fmt: skip
def test_read_only_tmpfs_refuses_writes(engine, form):
    c = engine.run(*form)
    assert "ro" in c.kernel.mount("/t").options
    assert "Read-only file system" in c.sh("touch /t/f", expect=1).stderr


@claim("volume-217")
def test_programs_run_from_a_tmpfs_only_where_it_lets_them(engine):
    c = engine.run("--tmpfs", "/no:noexec", "--tmpfs", "/yes:exec")
    assert "noexec" in c.kernel.mount("/no").options
    assert "noexec" not in c.kernel.mount("/yes").options
    assert c.sh("cp /bin/busybox /yes/echo; /yes/echo ran").stdout == "ran\n"
    assert "denied" in c.sh("cp /bin/busybox /no/echo; /no/echo ran", expect=126).stderr


@claim("volume-217", "volume-206")
@pytest.mark.parametrize(("form", "says"), [
    pytest.param(["--tmpfs", "/t:size=zz"], "volume_kernel_refuses", id="size"),
    pytest.param(["--tmpfs", "/t:mode=99"], "volume_kernel_refuses", id="mode"),
    pytest.param(["--mount", "type=tmpfs,target=/t,tmpfs-size=big"], "volume_bad_bytes", id="mount-size"),
    pytest.param(["--mount", "type=tmpfs,target=/t,tmpfs-size=-5"], "volume_bad_bytes", id="negative-size"),
    pytest.param(["--mount", f"type=tmpfs,target=/t,tmpfs-size={10**23}"], "volume_huge_bytes", id="huge-size"),
    pytest.param(["--tmpfs", "/t:huh"], "volume_bad_tmpfs_option", id="unknown-option"),
    pytest.param(["--mount", "type=tmpfs,target=/t,tmpfs-mode=99"], "volume_bad_bits", id="mount-mode"),
])  # fmt: skip
def test_values_that_cannot_be_read_are_refused(engine, form, says):
    engine.fails("run", "--rm", *form, engine.image, "true", says=says)


@claim("volume-218")
def test_tmpfs_over_a_path_of_the_image(engine):
    copied = engine.trait("volume_tmpfs_copies_up")
    c = engine.run("--tmpfs", "/etc")
    assert c.kernel.mount("/etc").fstype == "tmpfs"
    assert ("nsswitch.conf" in c.sh("ls /etc").stdout.split()) is copied
    c.sh("touch /etc/new")
    assert "/etc/new" not in engine.cli("diff", c.name).stdout


# -- the local driver's options --------------------------------------------------------------------


@claim("volume-020")
@requires("rootful", "local_engine")
@pytest.mark.parametrize(("words", "expected"), [
    pytest.param("mode=750,uid=7", {"mode=750", "uid=7"}, id="owner"),
    pytest.param("size=1m,nr_inodes=9", {"size=1024k", "nr_inodes=9"}, id="size"),
])  # fmt: skip
def test_local_volume_is_mounted_as_its_options_say(engine, words, expected):
    volume = engine.volume("-o", "type=tmpfs", "-o", "device=tmpfs", "-o", f"o={words}")
    seen = engine.inspect(volume, "volume")["Options"]
    assert seen.items() >= {"type": "tmpfs", "device": "tmpfs", "o": words}.items()
    first = engine.run("-v", f"{volume}:/x")
    mount = first.kernel.mount("/x")
    assert mount.fstype == "tmpfs"
    assert expected <= mount.super_options
    second = engine.run("-v", f"{volume}:/y")
    first.sh("echo shared >/x/f")
    assert second.read("/y/f") == "shared\n"
    engine.cli("rm", "--force", first.name)
    assert second.read("/y/f") == "shared\n"
    engine.cli("rm", "--force", second.name)
    assert engine.sh("ls -A /x", "-v", f"{volume}:/x").stdout == ""  # unmounted with its last user


@claim("volume-020")
@effect("volume create --opt")
@requires("rootful", "local_engine")
def test_local_volume_can_be_a_bind(engine):
    device = engine.workdir / "device"
    device.mkdir()
    (device / "f").write_text("hello\n")
    volume = engine.volume("--opt", "type=none", "--opt", "o=bind", "--opt", f"device={device}")
    c = engine.run("-v", f"{volume}:/x")
    assert c.read("/x/f") == "hello\n"
    c.sh("echo inside >/x/g")
    assert (device / "g").read_text() == "inside\n"
    engine.cli("rm", "--force", c.name)
    engine.cli("volume", "rm", volume)
    assert sorted(path.name for path in device.iterdir()) == ["f", "g"]


@claim("volume-020")
@requires("rootful", "local_engine")
def test_local_volume_that_cannot_be_mounted_stops_the_container(engine):
    volume = engine.volume("-o", "type=none", "-o", "o=bind", "-o", f"device={engine.workdir}/gone")
    c = engine.create("-v", f"{volume}:/x", engine.image, "true")
    engine.fails("start", c.name, says="volume_source_gone")
    assert c.pid == 0
    (engine.workdir / "gone").mkdir()
    engine.cli("start", c.name)
    assert c.wait() == 0


@claim("volume-020")
@pytest.mark.parametrize("options", [["-o", "foo=bar"], ["-o", "type=tmpfs", "-o", "x=y"], ["-o", "=x"]],
                         ids=["unknown", "one-of-two", "nameless"])  # fmt: skip
def test_local_driver_refuses_unknown_options(engine, options):
    name = engine.name("v")
    engine.fails("volume", "create", *options, name, says="volume_bad_option", code=engine.code("error"))
    assert not engine.exists(name, "volume")

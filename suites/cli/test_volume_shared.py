"""--volumes-from, and what happens to volumes when their containers go."""

import os
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from seatrial.expecting import matched

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires


def anonymous(container):
    """Return the names of a container's volumes by target."""
    mounts = [mount for mount in container.inspect()["Mounts"] if mount["Type"] == "volume"]
    return {mount["Destination"]: mount["Name"] for mount in mounts}


@claim("volume-014")
@effect("run --volumes-from")
@requires("local_engine")
def test_volumes_from_shares_every_kind_at_the_same_target(engine):
    (engine.workdir / "d").mkdir()
    volume = engine.volume()
    binds = ["-v", f"{engine.workdir}/d:/c", "-v", f"{engine.workdir}:/r:ro"]
    first = engine.run("-v", "/a", "-v", f"{volume}:/b", *binds)
    second = engine.run("--volumes-from", first.name)
    for target in ("/a", "/b", "/c"):
        second.sh(f"echo second >{target}/s")
        assert first.sh(f"cat {target}/s; echo first >{target}/f").stdout == "second\n"
        assert second.read(f"{target}/f") == "first\n"
        assert os.path.samefile(first.kernel.file(target), second.kernel.file(target))
    assert anonymous(second) == anonymous(first)
    assert "ro" in second.kernel.mount("/r").options
    assert "Read-only file system" in second.sh("touch /r/new", expect=1).stderr


@claim("volume-014", "volume-011")
@requires("local_engine")
@pytest.mark.parametrize(("mode", "writes"), [("ro", False), ("rw", True), ("z", True)])
def test_mode_of_volumes_from_is_the_new_container_s(engine, mode, writes):
    (engine.workdir / "d").mkdir()
    first = engine.run("-v", "/a", "-v", f"{engine.workdir}/d:/c")
    second = engine.run("--volumes-from", f"{first}:{mode}")
    for target in ("/a", "/c"):
        assert ("rw" in second.kernel.mount(target).options) is writes
        second.sh(f"touch {target}/second", expect=0 if writes else 1)
        first.sh(f"touch {target}/first")
        assert second.sh(f"ls {target}").stdout.split() == ["first", *(["second"] if writes else [])]


@claim("volume-015")
def test_volumes_from_goes_down_a_chain(engine):
    first = engine.run("-v", "/a")
    second = engine.run("--volumes-from", first.name, "-v", "/b")
    third = engine.run("--volumes-from", second.name)
    third.sh("echo third >/a/f; echo third >/b/f")
    assert first.read("/a/f") == "third\n"
    assert second.sh("cat /a/f /b/f").stdout == "third\nthird\n"
    assert first.sh("ls -d /b", expect=1).stdout == ""
    assert anonymous(third) == anonymous(second) == {**anonymous(first), "/b": anonymous(second)["/b"]}


@claim("volume-015", "volume-011")
def test_read_only_passes_down_a_chain(engine):
    first = engine.run("-v", "/a")
    second = engine.run("--volumes-from", f"{first}:ro")
    third = engine.run("--volumes-from", second.name)
    assert "ro" in third.kernel.mount("/a").options
    third.sh("touch /a/f", expect=1)
    first.sh("touch /a/f")
    assert third.sh("ls /a").stdout == "f\n"


@claim("volume-014")
def test_volumes_of_several_containers(engine):
    first, second = engine.run("-v", "/a"), engine.run("-v", "/b")
    third = engine.run("--volumes-from", first.name, "--volumes-from", second.id)
    assert anonymous(third) == {**anonymous(first), **anonymous(second)}
    third.sh("touch /a/f /b/f")
    assert (first.sh("ls /a").stdout, second.sh("ls /b").stdout) == ("f\n", "f\n")


@claim("volume-014")
@requires("local_engine")
def test_own_mount_comes_before_that_of_another_container(engine):
    (engine.workdir / "own").mkdir()
    first = engine.run("-v", "/a", "-v", "/b")
    second = engine.run("--volumes-from", first.name, "-v", f"{engine.workdir}/own:/a")
    second.sh("touch /a/f /b/f")
    assert (engine.workdir / "own/f").exists()
    assert first.sh("ls /a; ls /b").stdout == "f\n"
    assert [mount.target for mount in second.kernel.mounts()].count("/a") == 1


@claim("volume-016", "volume-023")
def test_volume_stays_when_all_its_containers_go(engine, place):
    first = engine.run("-v", "/a")
    volume = anonymous(first)["/a"]
    engine.track("volume", volume)
    first.sh("echo first >/a/f")
    second = engine.run("--volumes-from", first.name)
    engine.cli("rm", "--force", first.name)
    assert second.sh("cat /a/f; echo second >/a/f").stdout == "first\n"
    third = engine.run("--volumes-from", second.name)
    engine.cli("rm", "--force", second.name)
    engine.cli("rm", "--force", third.name)
    assert (place(volume) / "f").read_text() == "second\n"
    dangling = engine.cli("volume", "ls", "-qf", "dangling=true").lines
    assert volume in dangling


@claim("volume-016", "volume-022")
def test_anonymous_volume_that_is_used_by_its_name_is_kept(engine):
    c = engine.create("-v", "/a")
    volume = anonymous(c)["/a"]
    engine.track("volume", volume)
    engine.cli("rm", c.name)
    assert engine.sh("echo kept >/x/f; cat /x/f", "-v", f"{volume}:/x").stdout == "kept\n"
    assert engine.exists(volume, "volume")


@claim("volume-017")
def test_rm_v_of_the_last_user_removes_anonymous_volumes_only(engine, place):
    named = engine.volume()
    first = engine.run("-v", "/a", "-v", f"{named}:/b")
    second = engine.run("--volumes-from", first.name)
    volume = anonymous(first)["/a"]
    engine.track("volume", volume)
    directory = place(volume)
    first.sh("echo kept >/a/f; echo kept >/b/f")
    engine.cli("rm", "--force", "--volumes", first.name)
    assert second.sh("cat /a/f /b/f").stdout == "kept\nkept\n"
    engine.cli("rm", "--force", "--volumes", second.name)
    assert not engine.exists(volume, "volume")
    assert not directory.exists()
    assert (place(named) / "f").read_text() == "kept\n"


@claim("volume-017")
def test_rm_v_keeps_an_implicitly_created_named_volume(engine):
    name = engine.name("v")
    engine.track("volume", name)
    c = engine.create("-v", f"{name}:/x")
    engine.cli("rm", "--volumes", c.name)
    assert engine.exists(name, "volume")


@claim("volume-022")
def test_run_rm_removes_anonymous_volumes_and_keeps_named_ones(engine):
    named = engine.volume()
    script = "touch /a/f /b/f; grep -E ' /(a|b) ' /proc/self/mountinfo"
    seen = engine.sh(script, "-v", "/a", "-v", f"{named}:/b").stdout
    volumes = re.findall(r"/volumes/([^/]+)/_data /(a|b) ", seen)
    assert {target for _, target in volumes} == {"a", "b"}
    anonymous_volume = {target: name for name, target in volumes}["a"]
    assert not engine.exists(anonymous_volume, "volume")
    assert engine.exists(named, "volume")


@claim("volume-022")
@pytest.mark.parametrize("count", [pytest.param(24, id="short"), pytest.param(1000, id="thousand",
                                   marks=[pytest.mark.slow, pytest.mark.timeout(3600)])])  # fmt: skip
def test_many_runs_leave_no_volume(engine, count):
    def cycle(_):
        seen = engine.sh("echo x >/a/f; grep ' /a ' /proc/self/mountinfo", "-v", "/a", timeout=120).stdout
        return matched(r"/volumes/([0-9a-f]{64})/_data /a ", seen)[1]

    with ThreadPoolExecutor(4) as pool:
        volumes = list(pool.map(cycle, range(count)))
    assert len(set(volumes)) == count
    left = set(engine.cli("volume", "ls", "--quiet").lines) & set(volumes)
    engine.track("volume", *left)
    assert left == set()


@claim("volume-017")
def test_rm_v_of_a_container_that_failed_to_start_removes_its_volume(engine):
    c = engine.create("-v", "/a", engine.image, "/no/such/program")
    volume = anonymous(c)["/a"]
    engine.track("volume", volume)
    engine.fails("start", c.name, says="no such file")
    engine.cli("rm", "--volumes", c.name)
    assert not engine.exists(volume, "volume")


@claim("volume-024", "volume-014")
@pytest.mark.parametrize("state", ["running", "created"])
def test_volume_shared_by_two_is_in_use_until_both_are_gone(engine, state):
    volume = engine.volume()
    first = engine.create("-v", f"{volume}:/x")
    second = (engine.run if state == "running" else engine.create)("--volumes-from", first.name)
    engine.cli("rm", first.name)
    result = engine.fails("volume", "rm", volume, says="volume_in_use", code=engine.code("volume_in_use"))
    assert second.id in result.stderr
    engine.cli("rm", "--force", second.name)
    engine.cli("volume", "rm", volume)
    assert not engine.exists(volume, "volume")


@claim("volume-224")
def test_mount_can_label_the_volume_that_it_makes(engine):
    name = engine.name("v")
    engine.track("volume", name)
    spec = f"type=volume,source={name},target=/x,volume-label=colour=blue"
    engine.once("--mount", spec, engine.image, "true")
    assert engine.inspect(name, "volume")["Labels"]["colour"] == "blue"

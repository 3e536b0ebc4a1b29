"""Volumes and the engine itself: prune, and daemons that are stopped and killed."""

import pytest

from seatrial.expecting import one

claim, requires = pytest.mark.claim, pytest.mark.requires


def volumes(engine):
    return set(engine.cli("volume", "ls", "--quiet").lines)


def filled(engine, *options):
    """Make a volume without a name and put 300 kB into it."""
    volume = engine.cli("volume", "create", *options).text
    engine.sh("head -c 300000 /dev/zero >/x/f", "-v", f"{volume}:/x")
    return volume


@claim("volume-221")
@requires("private_engine")
def test_prune_asks_filters_and_spares_what_containers_use(private_engine):
    engine = private_engine()
    named = engine.volume("--label", "keep=yes")
    free = engine.cli("volume", "create", "--label", "drop=yes").text
    running, stopped = engine.run("-v", "/a"), engine.create("-v", "/a")
    used = {c.inspect()["Mounts"][0]["Name"] for c in (running, stopped)}
    assert volumes(engine) == {named, free, *used}
    assert "continue?" in engine.cli("volume", "prune", stdin="n\n", expect=None).output
    engine.cli("volume", "prune", "--force", "--filter", "label=no-such")
    assert volumes(engine) == {named, free, *used}
    result = engine.cli("volume", "prune", "--force", "--filter", "label=drop=yes")
    assert free in result.stdout
    assert named not in result.stdout
    assert volumes(engine) == {named, *used}
    engine.cli("volume", "prune", "--force")
    assert used <= volumes(engine)
    assert running.sh("echo works >/a/f; cat /a/f").stdout == "works\n"
    engine.fails("volume", "prune", "--force", "--filter", "what=1", says="volume_bad_filter")


@claim("volume-221")
@requires("private_engine")
def test_prune_takes_anonymous_volumes_and_named_ones_when_told(private_engine):
    engine = private_engine()
    named, anonymous = engine.volume(), filled(engine)
    result = engine.cli("volume", "prune", "--force")
    assert anonymous in result.stdout
    if engine.trait("volume_prune_takes_named"):
        assert named in result.stdout
    else:
        assert "Total reclaimed space: 300kB" in result.stdout
        assert volumes(engine) == {named}
        assert named in engine.cli("volume", "prune", "--force", "--all").stdout
    assert volumes(engine) == set()


@claim("volume-023", "volume-022")
@requires("private_engine")
def test_the_dangling_volumes_are_exactly_those_without_a_container(private_engine):
    engine = private_engine()
    named = engine.volume()
    kept, gone, thorough = (engine.create("-v", "/a") for _ in range(3))
    dangling = gone.inspect()["Mounts"][0]["Name"]
    engine.sh("touch /a/f", "-v", "/a")
    engine.cli("rm", gone.name)
    engine.cli("rm", "--volumes", thorough.name)
    assert set(engine.cli("volume", "ls", "-qf", "dangling=true").lines) == {named, dangling}
    assert volumes(engine) == {named, dangling, kept.inspect()["Mounts"][0]["Name"]}


@claim("volume-058")
@requires("private_daemon")
@pytest.mark.parametrize("ending", ["restart", "kill"])
def test_volumes_survive_the_daemon(private_daemon, ending):
    engine = private_daemon()
    options = ["-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=1m"]
    named = engine.volume("--label", "colour=blue", *options)
    script = "echo kept >/a/f; sync; exec sleep 600"
    mounts = ["-v", "/a", "-v", f"{named}:/t"]
    c = engine.run("--stop-signal", "KILL", *mounts, engine.image, "sh", "-c", script)
    c.until("written", lambda: c.sh("cat /a/f", expect=None).text == "kept")
    volume = one(mount["Name"] for mount in c.inspect()["Mounts"] if mount["Destination"] == "/a")
    before = volumes(engine)
    if ending == "restart":
        engine.daemon.restart()
    else:
        engine.daemon.kill()
        engine.daemon.start()
    assert volumes(engine) == before == {named, volume}
    described = engine.inspect(named, "volume")
    assert (described["Labels"]["colour"], described["Options"]["o"]) == ("blue", "size=1m")
    engine.cli("start", c.name)
    assert c.kernel.file("/a/f").read_text() == "kept\n"
    assert c.kernel.mount("/t").fstype == "tmpfs"
    engine.fails("volume", "rm", volume, says="volume_in_use")
    engine.cli("rm", "--force", "--volumes", c.name)
    assert volumes(engine) == {named}
    engine.cli("volume", "rm", named)
    assert volumes(engine) == set()

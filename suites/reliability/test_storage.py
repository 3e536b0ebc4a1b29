"""Storage fails: full, out of inodes, read-only, damaged. Who asks is told, nothing half is kept, and room heals."""

import json
import os

import pytest

from seatrial.exec import FAILURE, run
from seatrial.lab import images
from seatrial.names import TOOLBOX
from seatrial.probes.kernel import Kernel

claim = pytest.mark.claim


def fill(d):
    """Takes all room of the small file system; returns how to give it back."""
    path = d.host.path("/small/filler")
    with path.open("wb") as file:
        try:
            while True:
                file.write(b"\0" * (1 << 20))
                file.flush()
        except OSError:
            pass
    return path.unlink


@claim("rel-030")
def test_a_container_on_a_full_disk_is_told_and_the_engine_answers(small):
    d = small("size=96m")
    c = d.run()
    give = fill(d)
    told = c.sh("dd if=/dev/zero of=/f bs=1M count=5", expect=FAILURE)
    assert "No space left" in told.stderr
    assert d.cli("ps", "--format", "{{.Names}}").lines == [c.name]
    give()
    c.sh("dd if=/dev/zero of=/f bs=1M count=5")
    assert d.once(d.image, "echo", "again").text == "again"


@claim("rel-031")
def test_a_container_that_has_no_room_is_refused_and_not_half_there(small, answers):
    d = small("size=96m")
    give, name = fill(d), d.name()
    refused = d.cli("run", "--name", name, d.image, "true", expect=FAILURE)
    assert "no space left" in refused.stderr.lower()
    give()
    answers("a container", lambda: d.cli("run", "--rm", d.image, "true", expect=None).ok)
    d.cli("rm", "--force", name, expect=None)
    assert d.once("--name", name, d.image, "echo", "free").text == "free"


@claim("rel-032")
@pytest.mark.parametrize("size", ["40m", "80m"], ids=["soon", "late"])
def test_an_image_that_has_no_room_is_refused_and_not_half_there(small, size):
    archive = images.ensure(TOOLBOX)
    d = small(f"size={size}")
    refused = d.cli("import", str(brought(d, archive)), TOOLBOX, expect=FAILURE, timeout=300)
    assert "no space left" in refused.stderr.lower()
    assert not d.exists(TOOLBOX, "image")
    assert d.once(d.image, "echo", "here").text == "here"
    run(["mount", "-o", "remount,size=600m", "/small"], host=d.host, journal=d.journal)
    d.cli("import", str(brought(d, archive)), TOOLBOX, timeout=300)
    assert d.once(TOOLBOX, "sysbench", "--version", timeout=120).text.startswith("sysbench")


def brought(d, path):
    """Brings a file to where the engine's client sees it."""
    inside = d.workdir / path.name
    if not inside.exists():
        inside.write_bytes(path.read_bytes())
    return inside


@claim("rel-033")
def test_a_disk_without_inodes_is_told_and_the_engine_answers(small):
    d = small("size=200m,nr_inodes=4000")
    c = d.run()
    free = os.statvfs(d.host.path("/small")).f_favail
    assert 0 < free < 4000
    told = c.sh("i=0; while touch /f$i; do i=$((i+1)); done; test $i -gt 100", expect=(0, 1))
    assert "No space left" in told.stderr
    assert d.cli("ps", "--format", "{{.Names}}").lines == [c.name]
    d.cli("rm", "--force", c.name)
    assert d.once(d.image, "echo", "again").text == "again"


@claim("rel-034")
def test_a_daemon_on_a_read_only_disk_says_so_and_starts_when_it_can_write(small, recover):
    d = small("size=96m")
    created = d.create(d.image, "echo", "kept")
    d.daemon.kill()
    run(["mount", "-o", "remount,ro", "/small"], host=d.host, journal=d.journal)
    refused = run(["timeout", "30", d.raw.service, "--data-root", "/small"], host=d.host, journal=d.journal,
                  expect=FAILURE, timeout=60)  # fmt: skip
    assert "read-only file system" in refused.stderr
    assert refused.code != 124
    run(["mount", "-o", "remount,rw", "/small"], host=d.host, journal=d.journal)
    recover(d)
    assert d.cli("start", "--attach", created.name).text == "kept"


@claim("rel-035")
def test_after_a_kill_on_a_full_disk_the_daemon_starts_when_there_is_room(small, recover):
    d = small("size=96m")
    created = d.create(d.image, "echo", "kept")
    give = fill(d)
    d.daemon.kill()
    give()
    recover(d)
    assert created.status == "created"
    assert d.cli("start", "--attach", created.name).text == "kept"


@claim("rel-036")
@pytest.mark.parametrize("file", ["config.v2.json", "hostconfig.json"])
@pytest.mark.parametrize("damage", [b"", b'{"half": '], ids=["emptied", "cut off"])
def test_a_damaged_container_keeps_no_other_from_its_daemon(private_daemon, recover, file, damage):
    d = private_daemon()
    hurt, other = d.create(), d.create(d.image, "echo", "sound")
    d.daemon.kill()
    d.host.path(f"/var/lib/docker/containers/{hurt.id}/{file}").write_bytes(damage)
    recover(d)
    assert other.id in d.raw.find("container")
    assert d.cli("start", "--attach", other.name).text == "sound"
    assert d.once(d.image, "echo", "new").text == "new"


@claim("rel-037")
def test_a_broken_configuration_is_named_and_containers_live_on_under_live_restore(private_daemon, recover):
    d = private_daemon(config={"live-restore": True})
    c = d.run()
    kernel = Kernel(c.pid)
    d.daemon.kill()
    config = d.host.path("/etc/docker/daemon.json")
    config.write_text('{"live-restore": tru')
    refused = run(["timeout", "30", d.raw.service], host=d.host, journal=d.journal, expect=1, timeout=60)
    assert "/etc/docker/daemon.json" in refused.stderr
    assert kernel.alive
    config.write_text(json.dumps({"live-restore": True}))
    recover(d)
    assert (c.status, c.pid) == ("running", kernel.pid)


@claim("rel-038")
@pytest.mark.parametrize("step", [1, 2], ids=["soon", "late"])
def test_a_kill_while_an_image_is_built_leaves_no_half_image(private_daemon, recover, step):
    d = private_daemon()
    name = d.image_name()
    waits = ["", ""]
    waits[step - 1] = "; sleep 3600"
    steps = ("FROM IMAGE", f"RUN head -c 30000000 /dev/urandom >/a; echo step-$((40+1)){waits[0]}",
             f"RUN echo step-$((40+2)){waits[1]}", "RUN echo done >/done")  # fmt: skip
    context = d.context({"Dockerfile": "\n".join(steps)})
    talk = d.spawn("build", "--tag", name, str(context))
    talk.wait_for(f"step-4{step}", 60)
    d.daemon.kill()
    assert talk.wait(timeout=60).code != 0
    recover(d)
    assert not d.exists(name, "image")
    d.build("FROM IMAGE\nRUN echo done >/done\n")
    assert d.once(d.image, "echo", "here").text == "here"


@claim("rel-039")
def test_a_kill_while_a_container_is_committed_leaves_no_half_image(private_daemon, recover, data, amid):
    d = private_daemon()
    c, name = d.run(), d.image_name()
    c.sh("head -c 200000000 /dev/urandom >/a; sha256sum /a >/sum", timeout=120)
    layers, talk = data(d) / "overlay2", d.spawn("commit", c.name, name)
    amid("the layer is written", talk, lambda: len(list(layers.glob("*/diff/a"))) > 1)
    d.daemon.kill()
    assert talk.wait(timeout=60).code != 0
    recover(d)
    assert not d.exists(name, "image")
    d.cli("commit", c.name, name, timeout=120)
    assert d.once(name, "sha256sum", "-c", "/sum", timeout=60).text == "/a: OK"


@claim("rel-040")
def test_no_mount_of_a_killed_daemon_keeps_a_container_from_being_removed(private_daemon, recover):
    d = private_daemon()
    kept = [d.run() for _ in range(6)]
    d.daemon.kill()
    recover(d)
    for c in kept:
        c.until("known to have ended", lambda c=c: c.status == "exited")
    for c in kept[:3]:
        d.cli("start", c.name)
    for c in kept:
        d.cli("rm", "--force", c.name)
    assert d.raw.find("container") == []
    assert not [mount for mount in _mounts(d) if "/overlay2/" in mount and mount.endswith("/merged")]


def _mounts(d):
    from seatrial import proc

    return [mount.target for mount in proc.mounts_of(d.host.pid)]

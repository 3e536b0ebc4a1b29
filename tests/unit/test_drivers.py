"""A driver of a third party brings with it all that depends on its engine."""

import os
import socket
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest

from seatrial import capabilities, targets
from seatrial.bench import Bench, Owner
from seatrial.engines import base, drivers
from seatrial.engines.base import CliEngine, load_dialect
from seatrial.engines.docker import DockerEngine
from seatrial.engines.podman import PodmanEngine
from seatrial.engines.startable import Startable, Wishes
from seatrial.errors import SeatrialError
from seatrial.exec import ExpectationError, Journal
from seatrial.hosts import NamespaceHost
from seatrial.lab import labs, rootfs
from seatrial.lab.daemon import Daemon
from seatrial.targets import Target, parse


class Brig(CliEngine, Startable):
    name: ClassVar[str] = "brig"
    binary: ClassVar[str] = "brig"
    service: ClassVar[str] = "brigd"
    takes_options: ClassVar[bool] = True

    @classmethod
    def packages(cls, suite):
        return ["brig-engine"]

    @classmethod
    def daemon(cls, host, log, wishes):
        return Daemon(host, (cls.service, *wishes.options), "/run/brig.sock", log)


@pytest.fixture
def brig(monkeypatch, tmp_path):
    package = tmp_path / "brig_driver"
    (package / "dialects").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "dialects/brig.toml").write_text(
        "[common.says]\nunreachable = 'nobody aboard'\n[common.traits]\nhost_variable = 'BRIG_HOST'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(Brig, "dialect", load_dialect("brig", "brig_driver"))
    monkeypatch.setattr(Brig, "api", str(tmp_path / "brig.sock"))
    ours = list(targets.entry_points(group=targets.DRIVERS))
    point = SimpleNamespace(name="brig", load=lambda: Brig)
    monkeypatch.setattr(targets, "entry_points", lambda group: [*ours, point])
    targets.registered.cache_clear()
    yield Brig
    targets.registered.cache_clear()
    sys.modules.pop("brig_driver", None)


def install(monkeypatch, directory, name):
    (directory / name).write_text("#!/bin/sh\n")
    (directory / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(directory), prepend=os.pathsep)


def test_its_targets_are_read_and_its_labs_made_of_its_packages(brig):
    assert parse("brig@sid").lab_name == "brig-sid"
    assert "brig" in labs.inhabitants()
    assert "brig-engine" in rootfs.packages("sid")


def test_its_own_socket_variable_and_dialect_are_used(brig, monkeypatch, tmp_path):
    install(monkeypatch, tmp_path, "brig")
    (tmp_path / "brig.sock").touch()
    engine = drivers.on_this_machine(parse("brig"))
    assert engine.socket == tmp_path / "brig.sock"
    assert engine.dialect.says["unreachable"] == "nobody aboard"
    (tmp_path / "other.sock").touch()
    address = f"unix://{tmp_path}/other.sock"
    engine = drivers.on_this_machine(parse(f"brig+{address}"))
    assert engine.socket == tmp_path / "other.sock"
    assert engine.env == {"BRIG_HOST": address}
    assert engine.local
    assert not drivers.on_this_machine(parse("brig+tcp://ship:1")).local


def test_a_private_engine_is_possible_where_its_service_is_installed(brig, monkeypatch, tmp_path):
    monkeypatch.setattr(rootfs, "possible", lambda: True)
    engine = Brig(Target("brig"))
    assert capabilities._reach(engine)["private"] == "there is no brigd command on this machine"
    install(monkeypatch, tmp_path, "brigd")
    assert capabilities._reach(engine)["private"] == ""
    far = Brig(Target("brig"), env={"BRIG_HOST": "tcp://ship:1"})
    assert capabilities._reach(far)["private"] == "the engine is on another machine"


def test_a_private_engine_is_the_service_that_the_driver_describes(brig, monkeypatch, tmp_path):
    monkeypatch.setenv("SEATRIAL_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(labs, "_stand", lambda lab, _: labs._save(lab) or lab)
    made = labs.private(parse("brig"), "run", Wishes(["--deck", "2"]), start=False)
    assert made.daemon.argv == ("brigd", "--deck", "2")
    assert made.lab.socket == "/run/brig.sock"


def test_an_engine_without_a_service_cannot_be_private(monkeypatch):
    monkeypatch.setattr(rootfs, "possible", lambda: True)
    reach = capabilities._reach(drivers.driver("nerdctl")(Target("nerdctl")))
    assert reach["private_engine"] == "the harness cannot start nerdctl itself"
    assert reach["private"] == "nerdctl has no daemon with options"


def test_docker_is_looked_for_where_its_cli_looks(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    with pytest.raises(SeatrialError, match="E106") as told:
        DockerEngine.here(Target("docker"))
    assert told.value.cause == f"there is no socket {tmp_path}/docker.sock"
    with pytest.raises(SeatrialError, match=r"there is no socket /nowhere"):
        DockerEngine.here(Target("docker", address="unix:///nowhere"))


def test_podmans_api_service_stands_at_its_address(monkeypatch):
    monkeypatch.setattr(PodmanEngine, "api", "/nowhere")
    assert PodmanEngine.here(Target("podman"))._socket is None
    engine = PodmanEngine.here(Target("podman", address="unix:///dev/null"))
    assert engine.socket == Path("/dev/null")
    assert engine.env["CONTAINER_HOST"] == "unix:///dev/null"


@pytest.mark.parametrize(("driver", "wishes", "written", "argv"), [
    (DockerEngine, Wishes(["--debug"], {"mtu": 1400}, "crun", "vfs"), {"/etc/docker/daemon.json": [
        '"mtu": 1400', '"default-runtime": "crun"', '"storage-driver": "vfs"']}, ("dockerd", "--debug")),
    (PodmanEngine, Wishes(runtime="crun", storage="vfs"), {
        "/etc/containers/containers.conf": ['runtime = "crun"', 'firewall_driver = "iptables"'],
        "/etc/containers/storage.conf": ['driver = "vfs"']},
     ("podman", "system", "service", "--time=0", "unix:///run/podman/podman.sock")),
])  # fmt: skip
def test_what_is_wished_is_written_and_started(monkeypatch, tmp_path, driver, wishes, written, argv):
    monkeypatch.setattr(NamespaceHost, "root", tmp_path)
    daemon = driver.daemon(NamespaceHost("x", 1), tmp_path / "log", wishes)
    assert daemon.argv == argv
    for path, lines in written.items():
        text = (tmp_path / path.lstrip("/")).read_text()
        assert [line for line in lines if line not in text] == []


GONE = f'Error: image with ID "{"ab" * 32}": image not known'


def flaky(directory, cls, failures, words):
    """A driver whose CLI fails a number of times."""
    script = directory / "cli"
    script.write_text(f"""#!/bin/sh
echo x >>{directory}/calls
[ $(wc -l <{directory}/calls) -gt {failures} ] && exec echo listed
echo '{words}' >&2; exit 125
""")
    script.chmod(0o755)
    return type("Flaky", (cls,), {"binary": str(script)})(Target(cls.name))


@pytest.mark.parametrize(("cls", "failures", "words", "calls"), [
    (PodmanEngine, 20, GONE, 21), (PodmanEngine, 99, GONE, 31), (PodmanEngine, 99, "Error: no space", 1),
    (DockerEngine, 99, GONE, 1),
])  # fmt: skip
def test_a_listing_is_asked_again_where_the_dialect_knows_of_a_race(
    tmp_path, monkeypatch, cls, failures, words, calls
):  # fmt: skip
    clock = iter(range(1000))  # a second for each question
    monkeypatch.setattr(base, "time", SimpleNamespace(monotonic=lambda: next(clock), sleep=lambda _: None))
    engine, journal = flaky(tmp_path, cls, failures, words), Journal()
    if failures < calls:
        assert engine.look("images", journal=journal).text == "listed"
    else:
        with pytest.raises(ExpectationError, match=words):
            engine.look("images", journal=journal)
    assert len(journal.calls) == calls


def test_what_a_test_runs_itself_is_never_run_again(tmp_path):
    engine = flaky(tmp_path, PodmanEngine, 1, GONE)
    bench = Bench(engine, Owner("run", "0123abcd"))
    assert bench.fails("image", "prune", says="image not known").code == 125
    assert (tmp_path / "calls").read_text() == "x\n"


def test_a_socket_that_one_may_not_use_is_told_as_such():
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as server:
        os.chmod(directory, 0o755)  # only the socket is forbidden
        server.bind(path := f"{directory}/docker.sock")
        server.listen()
        os.chmod(path, 0o600 if os.geteuid() == 0 else 0)
        target = parse(f"docker+unix://{path}")
        was = os.geteuid()
        try:
            if was == 0:
                os.seteuid(65534)  # nobody
            with pytest.raises(SeatrialError) as caught:
                DockerEngine.here(target)
        finally:
            os.seteuid(was)
        assert (caught.value.code, caught.value.cause) == ("E106", f"no permission to use {path}")
        assert caught.value.hint

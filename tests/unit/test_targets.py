import socket

import pytest

from seatrial import targets
from seatrial.errors import SeatrialError
from seatrial.targets import Target, parse

GOOD = {
    "docker": Target("docker"),
    "podman": Target("podman"),
    "docker+unix:///run/x.sock": Target("docker", address="unix:///run/x.sock"),
    "docker+tcp://[::1]:2375": Target("docker", address="tcp://[::1]:2375"),
    "docker@trixie": Target("docker", "trixie"),
    "docker@sid+crun": Target("docker", "sid", runtime="crun"),
    "docker@bookworm/apparmor": Target("docker", "bookworm", "apparmor"),
    "runc": Target("runc"),
    "runsc@bookworm": Target("runsc", "bookworm"),
    "runtime:/usr/sbin/crun": Target("crun", path="/usr/sbin/crun"),
    "runtime:/opt/wrapper@sid": Target("wrapper", "sid", path="/opt/wrapper"),
    "runtime:/opt/x@1/wrapper": Target("wrapper", path="/opt/x@1/wrapper"),
}


@pytest.mark.parametrize("text", GOOD)
def test_a_target_is_read_and_written_back(text):
    assert parse(text) == GOOD[text]
    assert str(parse(text)) == text


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("dokcer", "docker"), ("docker@trixy", "docker@trixie"), ("docker+", "docker"), ("", "docker"),
        ("docker@sid+unix:///x", "docker"), ("runc+crun", "runc"), ("runtime:crun", "runtime:/usr/sbin/crun"),
        ("docker;rm -rf /", "docker"), ("docker@../..", "docker"), ("docker+../x", "docker+unix:///run/docker.sock"),
        ("DOCKER", "docker"), ("podman+unix", "podman+unix:///run/podman.sock"),
        ("docker+unix://x.sock", "docker+unix:///run/docker.sock"), ("docker+tcp://x", "docker+unix:///run/docker.sock"),
        ("docker+tcp://x:port", "docker+unix:///run/docker.sock"), ("docker+tcp://:1", "docker+unix:///run/docker.sock"),
    ],
)  # fmt: skip
def test_a_wrong_target_gets_the_nearest_right_one(text, hint):
    with pytest.raises(SeatrialError) as caught:
        parse(text)
    assert caught.value.code == "E102"
    assert f"for example {hint};" in caught.value.hint


def test_kinds_of_targets():
    assert parse("runc@sid").is_runtime
    assert parse("runc@sid").is_lab
    assert not parse("docker").is_lab
    assert parse("docker@sid+crun").lab_name == "docker-sid-crun"


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("unix:///nonexistent/x.sock", "there is no socket"),
        ("tcp://127.0.0.1:1", "nothing listens"),
        ("tcp://127.0.0.1:port", "127.0.0.1:port"),
    ],
)
def test_unreachable_addresses_say_why(address, words):
    assert words in targets.reachable(address)


def test_discovery_prefers_docker_then_podman_then_the_lab(monkeypatch, tmp_path):
    def install(name, script):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    install("podman", "exit 0")
    install("docker", "exit 0")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "docker.sock"))
        server.listen()
        assert targets.discover() == Target("docker")
        install("docker", "echo no daemon >&2; exit 1")  # something listens, but it is no engine
        told = []
        assert targets.discover(told.append) == Target("podman")
        assert len(told) == 1
        assert told[0].startswith("podman is taken, as no target is named: ")
    install("podman", "echo cannot reach it >&2; exit 125")
    monkeypatch.setattr("seatrial.lab.rootfs.obstacle", lambda: ("", ""))
    assert targets.discover() == Target("docker", "bookworm")
    monkeypatch.setattr("seatrial.lab.rootfs.obstacle", lambda: ("labs are forbidden", "allow them"))
    with pytest.raises(SeatrialError) as caught:
        targets.discover()
    assert caught.value.code == "E103"
    assert caught.value.cause.endswith("cannot reach it; labs are forbidden")
    assert caught.value.hint.endswith("allow them")

"""Files as they are found below a host's root."""

import os
import socket

import pytest

from seatrial.audit.checks import CHECKS
from seatrial.audit.model import State
from seatrial.audit.scene import HostFiles, NoFiles, Scene, Stat
from seatrial.hosts import resolve

BY_ID = {check.id: check for check in CHECKS}
PLACES = {
    "daemon-json": ("etc/docker/daemon.json", 0o644, 0o664), "docker-etc": ("etc/docker", 0o755, 0o777),
    "default-docker": ("etc/default/docker", 0o600, 0o646), "tls-key": ("tls/key.pem", 0o400, 0o440),
    "docker-service": ("lib/systemd/system/docker.service", 0o644, 0o666), "runtime": ("usr/bin/runc", 0o755, 0o775),
}  # fmt: skip


class Tree:
    """A host of which only the files exist."""

    def __init__(self, root):
        self.root = root

    def path(self, inside):
        return resolve(self.root, inside)


@pytest.fixture
def tree(tmp_path):
    for path, mode, _ in PLACES.values():
        place = tmp_path / path
        if path == "etc/docker":
            place.mkdir(parents=True, exist_ok=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text('{"tlskey": "/tls/key.pem"}')
        place.chmod(mode)
    return tmp_path


def judged(tree, id_):
    scene = Scene("docker@made", "docker", "1", HostFiles(Tree(tree)), argv=["dockerd"])
    return BY_ID[id_].judge(scene)


@pytest.mark.parametrize("name", PLACES)
def test_permissions_of_a_made_tree(tree, name):
    path, _, bad = PLACES[name]
    assert judged(tree, f"file-{name}-mode").state is State.PASS
    (tree / path).chmod(bad)
    found = judged(tree, f"file-{name}-mode")
    assert (found.state, found.path) == (State.FAIL, f"/{path}")
    assert found.items == (f"/{path} has {bad:03o}",)


@pytest.mark.parametrize("name", PLACES)
def test_owners_of_a_made_tree(tree, name):
    path = tree / PLACES[name][0]
    found = path.stat()
    expected = State.PASS if (found.st_uid, found.st_gid) == (0, 0) else State.FAIL
    assert judged(tree, f"file-{name}-owner").state is expected
    if os.geteuid() == 0:
        os.chown(path, 5, 0)
        assert judged(tree, f"file-{name}-owner").state is State.FAIL


def test_no_link_leads_out_of_the_tree(tree):
    (tree / "etc/docker/daemon.json").unlink()
    (tree / "etc/docker/daemon.json").symlink_to("/etc/hostname")
    files = HostFiles(Tree(tree))
    assert files.text("/etc/docker/daemon.json") is None
    (tree / "etc/hostname").write_text("made")
    assert files.text("/etc/docker/daemon.json") == "made"


def test_paths_are_followed_inside_of_the_tree(tree):
    (tree / "run").mkdir()
    (tree / "var").mkdir()
    (tree / "var/run").symlink_to("/run")
    (tree / "up").symlink_to("../../../../etc")
    files = HostFiles(Tree(tree))
    assert [files.real(path) for path in ("/var/run/x.sock", "/up/docker", "/none/../tls/", "/")] == [
        "/run/x.sock", "/etc/docker", "/tls", "/"]  # fmt: skip
    assert NoFiles().real("/var/run/../run/x") == "/run/x"


def test_kinds(tree, tmp_path):
    files = HostFiles(Tree(tree))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        (tmp_path / "s").chmod(0o600)
        assert files.stat("/s") == Stat("socket", 0o600, os.geteuid(), os.getegid())
    assert files.stat("/etc/docker").kind == "directory"
    assert files.names("/tls") == ["key.pem"]
    assert files.text("/etc") is None
    assert files.names("/none") == []


def test_absent_files_are_no_fault(tmp_path):
    assert judged(tmp_path, "file-daemon-json-mode").state is State.NOT_APPLICABLE


def test_files_of_another_machine():
    assert (NoFiles().stat("/"), NoFiles().text("/"), NoFiles().names("/")) == (None, None, [])

"""Paths of a lab: its links lead nowhere but into its own root, and its mounts are not deleted through."""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from seatrial import hosts, paths
from seatrial.engines.docker import DockerEngine
from seatrial.engines.podman import PodmanEngine
from seatrial.engines.startable import Wishes
from seatrial.errors import SeatrialError
from seatrial.lab.registry import Registry
from seatrial.targets import Target


class Rooted(hosts.NamespaceHost):
    """A host whose root is a directory."""

    def __init__(self, root):
        super().__init__("rooted", 0)
        self._root = root

    @property
    def root(self):
        return self._root


@pytest.fixture
def outside(tmp_path):
    path = tmp_path / "outside"
    path.mkdir()
    (path / "file").write_text("kept")
    return path


@pytest.fixture
def host(tmp_path):
    (tmp_path / "root/etc").mkdir(parents=True)
    return Rooted(tmp_path / "root")


@pytest.mark.parametrize(
    ("inside", "link", "expected"),
    [
        ("/etc/plain", None, "etc/plain"),
        ("etc/./a//b", None, "etc/a/b"),
        ("/etc/../../../x", None, "x"),
        ("/etc/link", "/srv", "srv"),
        ("/etc/link/below", "/srv", "srv/below"),
        ("/etc/link/below", "../srv", "srv/below"),
        ("/etc/link/below", "../../../../srv", "srv/below"),
        ("/etc/link/../below", "/srv/deep", "srv/below"),
        ("/etc/link", "link", None),
    ],
)
def test_links_are_followed_inside_the_root(host, inside, link, expected):
    if link:
        (host.root / "etc/link").symlink_to(link)
    if expected is None:
        with pytest.raises(OSError, match="symbolic links"):
            host.path(inside)
    else:
        assert host.path(inside) == host.root / expected


def test_an_engine_is_configured_inside_its_root(host, outside):
    (host.root / "etc/docker").symlink_to(outside)
    (host.root / "etc/containers").mkdir()
    (host.root / "etc/containers/storage.conf").symlink_to(outside / "file")
    DockerEngine.daemon(host, outside / "log", Wishes(config={"debug": True}))
    PodmanEngine.daemon(host, outside / "log", Wishes())
    assert [(path.name, path.read_text()) for path in outside.iterdir()] == [("file", "kept")]
    assert json.loads((host.root / str(outside)[1:] / "daemon.json").read_text()) == {"debug": True}


def test_a_registry_writes_and_deletes_inside_the_root(host, outside):
    (host.root / "etc/docker").symlink_to(outside)
    (host.root / "ca.pem").write_text("authority")
    ended = subprocess.Popen(["true"], start_new_session=True)
    ended.wait()
    registry = Registry(host, Path("/work"), 5000, ended, ca=Path("/ca.pem"))
    registry.admit(DockerEngine(Target("docker"), host))
    certificate = host.path(f"{DockerEngine.certificates}/127.0.0.1:5000/ca.crt")
    assert certificate.read_text() == "authority"
    assert certificate.is_relative_to(host.root)
    registry.close()
    assert not certificate.parent.exists()
    assert [path.name for path in outside.iterdir()] == ["file"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_tree_with_a_mount_in_a_lab_is_not_deleted(tmp_path, outside):
    tree = tmp_path / "tree"
    (tree / "inner").mkdir(parents=True)
    script = 'mount --bind "$1" "$2" && exec sleep 300'
    keeper = subprocess.Popen(["unshare", "--mount", "sh", "-c", script, "sh", outside, tree / "inner"])
    seen = Path(f"/proc/{keeper.pid}/root{tree}")
    try:
        deadline = time.monotonic() + 20
        while not (seen / "inner/file").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert paths.mounts_below(tree) == []  # this machine does not see it
        with pytest.raises(SeatrialError, match="cannot delete"):
            paths.remove_tree(seen)
        assert (outside / "file").exists()
    finally:
        keeper.kill()
        keeper.wait()
    paths.remove_tree(tree)
    assert not tree.exists()

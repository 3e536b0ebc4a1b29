"""Bundles: changes make copies, and what is on disk is what was asked for."""

import json

import pytest

from seatrial.oci.bundle import Bundle, bind, minimal, namespaces, tmpfs


@pytest.fixture
def bundle():
    return Bundle(minimal())


def test_a_change_merges_objects_and_replaces_the_rest(bundle):
    changed = bundle.with_(process={"user": {"umask": 7}, "env": ["A=b"]}, hostname="x")
    assert changed.config["process"]["user"] == {"uid": 0, "gid": 0, "umask": 7}
    assert changed.config["process"]["env"] == ["A=b"]
    assert changed.config["process"]["cwd"] == "/"
    assert changed.config["hostname"] == "x"


def test_a_change_leaves_the_bundle_that_it_came_from(bundle):
    before = bundle.text
    bundle.with_(process={"user": {"uid": 5}})
    bundle.without("process.cwd")
    bundle.mounted(tmpfs("/x")).config["mounts"][0]["type"] = "changed"
    assert bundle.text == before


def test_a_property_is_taken_away_and_an_absent_one_is_told(bundle):
    assert "cwd" not in bundle.without("process.cwd").config["process"]
    with pytest.raises(KeyError):
        bundle.without("process.nosuch")


def test_entries_are_added_where_there_was_no_list(bundle):
    assert bundle.adding("linux.devices", {"path": "/dev/x"}).config["linux"]["devices"] == [{"path": "/dev/x"}]


def test_namespaces_are_new_or_joined():
    assert namespaces("pid", network="/proc/1/ns/net") == [
        {"type": "pid"}, {"type": "network", "path": "/proc/1/ns/net"},
    ]  # fmt: skip


@pytest.mark.parametrize(("options", "expected"), [(["ro"], ["bind", "ro"]), (["rbind", "ro"], ["rbind", "ro"])])
def test_a_bind_says_so_once(options, expected):
    assert bind("/a", "/b", *options)["options"] == expected


def test_words_are_filled_in_on_disk(bundle, tmp_path):
    directory = tmp_path / "bundle"
    bundle.with_(annotations={"where": "@BUNDLE@"}).write(directory, None, {"ID": "c1", "NONCE": "n1"})
    config = json.loads((directory / "config.json").read_text())
    assert config["process"]["args"][-1] == "n1"
    assert config["linux"]["cgroupsPath"] == "/c1"
    assert config["annotations"]["where"] == str(directory)


def test_the_root_file_system_is_linked_and_its_directories_are_not(bundle, tmp_path):
    template = tmp_path / "template"
    (template / "bin").mkdir(parents=True)
    (template / "bin/tool").write_text("x")
    (template / "bin/link").symlink_to("tool")
    bundle.write(tmp_path / "b", template, {})
    rootfs = tmp_path / "b/rootfs"
    assert (rootfs / "bin/tool").samefile(template / "bin/tool")
    assert (rootfs / "bin/link").readlink().name == "tool"
    (rootfs / "bin/new").write_text("")
    assert not (template / "bin/new").exists()

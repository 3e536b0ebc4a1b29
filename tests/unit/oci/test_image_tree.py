"""The tree that layers describe, and how it is held against what is there."""

import os
import tarfile

import pytest

from seatrial.oci.image import tree
from seatrial.oci.image.samples import entry, tar

BELOW = tar(("t", None), ("t/a", "x"), ("t/b", entry(tarfile.LNKTYPE, linkname="t/a")), ("t/d", None), ("t/d/e", "y"))


@pytest.mark.parametrize(("above", "left"), [
    ((("t/.wh.a", ""),), {"t", "t/b", "t/d", "t/d/e"}),
    ((("t/.wh.d", ""),), {"t", "t/a", "t/b"}),
    ((("t/.wh..wh..opq", ""), ("t/n", "n")), {"t", "t/n"}),
    ((("t/n", "n"), ("t/.wh..wh..opq", "")), {"t", "t/n"}),
    ((("t/a", "new"), ("t/.wh.a", "")), {"t", "t/a", "t/b", "t/d", "t/d/e"}),
    ((("t/d", "file now"),), {"t", "t/a", "t/b", "t/d"}),
    ((("t/d", None),), {"t", "t/a", "t/b", "t/d", "t/d/e"}),
], ids=["file", "directory", "opaque", "opaque-last", "again", "replaced", "merged"])
def test_layers_are_applied(above, left):
    assert set(tree.applied([BELOW, tar(*above)])) == left


def test_names_of_one_file():
    assert tree.applied([BELOW])["t/a"].links == {"t/a", "t/b"}
    alone = tree.applied([BELOW, tar(("t/.wh.b", ""))])
    assert alone["t/a"].links == frozenset()


def test_every_difference_is_seen(tmp_path):
    (tmp_path / "t").mkdir()
    (tmp_path / "t/f").write_text("x")
    (tmp_path / "t/l").symlink_to("f")
    seen = tree.observed(tmp_path, "t")
    assert tree.differences(seen, seen, "t") == []
    os.chmod(tmp_path / "t/f", 0o600)
    os.link(tmp_path / "t/f", tmp_path / "t/g")
    os.utime(tmp_path / "t/f", (5, 5))
    (tmp_path / "t/l").unlink()
    (tmp_path / "t/l").symlink_to("g")
    now = tree.observed(tmp_path, "t")
    words = " ".join(tree.differences(seen, now, "t"))
    for part in ("t/g is too much", "t/f: mode is 0o600", "t/f: links", "t/f: mtime", "t/l: target is 'g'"):
        assert part in words
    (tmp_path / "t/f").write_text("other")
    assert "content" in " ".join(tree.differences(now, tree.observed(tmp_path, "t"), "t"))
    assert "t/f is missing" in tree.differences(seen, {}, "t")

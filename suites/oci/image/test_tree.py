"""Layers become exactly the file tree that they describe: every file's type, mode, owner, times, xattrs and links."""

import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest

from seatrial.exec import ExpectationError
from seatrial.lab import images
from seatrial.names import BUSYBOX
from seatrial.oci.image import media, tree
from seatrial.oci.image.samples import Layout, entry, setting, tar, write

claim = pytest.mark.claim

TOP = "t"
DIR, SYM, LINK, CHAR, BLOCK, FIFO = (
    tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE,
)
BELOW = tar(("t", None), ("t/a", "lower\n"), ("t/d", None), ("t/d/one", "1"), ("t/d/two", "2"), ("t/d/sub", None),
            ("t/d/sub/deep", "3"))


def compare(ship, *layers, **more):
    """Have an engine unpack layers and hold what is there against what they describe."""
    wanted = tree.applied(layers)
    assert any(path.startswith(TOP) for path in wanted)
    container = ship(*layers, **more)
    seen = tree.observed(Path(container.kernel.proc / "root"), TOP)
    if found := tree.differences(wanted, seen, TOP):
        raise ExpectationError("the tree is another one:\n  " + "\n  ".join(found))
    return seen


@claim("img-tree-01", "img-tree-02")
def test_files_have_content_and_mode(ship):
    modes = (0o644, 0o755, 0o600, 0o000, 0o4755, 0o2755, 0o6711, 0o1777, 0o444)
    files = [(f"t/file-{mode:o}", entry(mode=mode, size=5)) for mode in modes]
    seen = compare(ship, tar(("t", None), ("t/empty", ""), ("t/large", b"0123456789" * 400_000), *files))
    assert seen["t/file-4755"].mode == 0o4755


@claim("img-tree-02")
def test_directories_have_modes_of_their_own(ship):
    compare(ship, tar(*((f"t/{mode:o}" if mode else "t", entry(DIR, mode=mode or 0o751))
                        for mode in (0, 0o700, 0o1777, 0o2775, 0o555, 0o111))))


@claim("img-tree-03")
def test_owners_are_numbers(ship):
    owners = ((0, 0), (1, 1), (1000, 100), (65534, 65534), (12345, 54321))
    files = [(f"t/{uid}-{gid}", entry(uid=uid, gid=gid, uname="root", gname="root")) for uid, gid in owners]
    seen = compare(ship, tar(("t", entry(DIR, uid=7, gid=8)), *files,
                             ("t/link", entry(SYM, linkname="x", uid=5, gid=6))))
    assert (seen["t/12345-54321"].uid, seen["t/12345-54321"].gid) == (12345, 54321)


@claim("img-tree-04")
def test_times_of_files_links_and_directories(ship):
    times = (0, 1, 1_000_000_000, 1_700_000_000, 2_000_000_000)
    compare(ship, tar(("t", entry(DIR, mtime=1_234_567_890)), *((f"t/f{at}", entry(mtime=at)) for at in times),
                      ("t/d", entry(DIR, mtime=1_111_111_111)), ("t/d/inside", entry(mtime=1_500_000_000)),
                      ("t/link", entry(SYM, linkname="d", mtime=1_222_222_222))))


@claim("img-tree-04")
def test_parts_of_a_second(ship):
    layer = tar(("t", None), ("t/f", entry(mtime=1_234_567_890.25)))
    container = ship(layer)
    seen = tree.observed(Path(container.kernel.proc / "root"), TOP)
    assert tree.differences(tree.applied([layer]), seen, TOP, precision=0.01) == []


@claim("img-tree-05")
def test_symbolic_links_are_kept_as_written(ship):
    targets = ("x", "../bin", "/etc/passwd", "nothing/here", "/../../..", ".", "a" * 200)
    seen = compare(ship, tar(("t", None), *((f"t/l{number}", entry(SYM, linkname=target))
                                            for number, target in enumerate(targets))))
    assert seen["t/l4"].target == "/../../.."


@claim("img-tree-06")
def test_hard_links_are_one_file(ship):
    seen = compare(ship, tar(("t", None), ("t/a", "shared"), ("t/b", entry(LINK, linkname="t/a")), ("t/d", None),
                             ("t/d/c", entry(LINK, linkname="t/a")), ("t/e", entry(LINK, linkname="t/d/c"))))
    assert seen["t/a"].links == {"t/a", "t/b", "t/d/c", "t/e"}


@claim("img-tree-07")
def test_devices_and_pipes(ship):
    compare(ship, tar(("t", None), ("t/null", entry(CHAR, devmajor=1, devminor=3, mode=0o666)),
                      ("t/loop", entry(BLOCK, devmajor=7, devminor=9, mode=0o660, gid=6)),
                      ("t/large", entry(CHAR, devmajor=240, devminor=255)), ("t/pipe", entry(FIFO, mode=0o622))))


@claim("img-tree-08")
def test_extended_attributes(ship):
    capability = b"\x01\x00\x00\x02\x00\x04\x00\x00" + b"\0" * 12
    named = {"SCHILY.xattr.security.capability": capability.decode("utf-8", "surrogateescape")}
    compare(ship, tar(("t", None), ("t/plain", "x"), ("t/able", entry(pax_headers=named, mode=0o755))))


@claim("img-tree-08")
def test_extended_attributes_of_users(ship):
    named = {"SCHILY.xattr.user.deck": "upper", "SCHILY.xattr.user.empty": "a=b\nc"}
    compare(ship, tar(("t", None), ("t/named", entry(pax_headers=named))))


@claim("img-tree-09")
def test_names_of_all_kinds(ship):
    names = ("with space", "naïve-日本", "new\nline", "-dash", "a" * 255, "back\\slash", "tab\t", "*?[x]", "dot.",
             "..x")
    compare(ship, tar(("t", None), *((f"t/{name}", "x") for name in names)))


@claim("img-tree-09")
def test_long_paths_in_either_form(ship):
    deep = "/".join(["t", *("d" * 40 for _ in range(20))])
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as made:
        for name, info in (("t", entry(DIR)), (f"{deep}/gnu", entry()),
                           (f"{deep}/link", entry(SYM, linkname=f"/{deep}/gnu"))):
            info.name = name
            made.addfile(info)
    compare(ship, buffer.getvalue(), tar((f"{deep}/pax", "x"), (f"{deep}/hard", entry(LINK, linkname=f"{deep}/pax"))))


@claim("img-tree-10")
@pytest.mark.parametrize("prefix", ["./", "/"])
def test_names_from_the_root_on(prefix, ship):
    layer = tar((f"{prefix}t", None), (f"{prefix}t/f", "x"), (f"{prefix}t/g", entry(LINK, linkname=f"{prefix}t/f")))
    compare(ship, layer)


@claim("img-tree-11")
def test_directories_that_nothing_describes(ship):
    seen = compare(ship, tar(("t/a/b/c/file", "x")))
    assert seen["t/a/b"].kind == "directory"


@claim("img-tree-12")
@pytest.mark.parametrize("gone", ["t/a", "t/d/one", "t/d", "t/d/sub"])
def test_a_whiteout_removes_what_is_below(gone, ship):
    parent, _, base = gone.rpartition("/")
    seen = compare(ship, BELOW, tar((f"{parent}/.wh.{base}", "")))
    assert gone not in seen


@claim("img-tree-13")
def test_a_whiteout_is_not_seen_itself(ship):
    seen = compare(ship, BELOW, tar(("t/.wh.a", ""), ("t/d/.wh..wh..opq", "")))
    assert not [path for path in seen if ".wh." in path]


@claim("img-tree-14")
@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
def test_an_opaque_directory_hides_lower_children_only(first, ship):
    mark, new = ("t/d/.wh..wh..opq", ""), ("t/d/new", "own")
    seen = compare(ship, BELOW, tar(("t/d", entry(DIR, mode=0o700)), *((mark, new) if first else (new, mark))))
    assert [path for path in seen if path.startswith("t/d/")] == ["t/d/new"]


@claim("img-tree-15")
@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
def test_a_whiteout_leaves_what_its_own_layer_makes(first, ship):
    mark, new = ("t/.wh.a", ""), ("t/a", "again\n")
    seen = compare(ship, BELOW, tar(*((mark, new) if first else (new, mark))))
    assert seen["t/a"].content == b"again\n"


@claim("img-tree-15")
def test_what_was_removed_comes_back_in_a_later_layer(ship):
    seen = compare(ship, BELOW, tar(("t/.wh.d", "")), tar(("t/d", None), ("t/d/three", "3")))
    assert sorted(path for path in seen if path.startswith("t/d/")) == ["t/d/three"]


@claim("img-tree-16")
def test_a_directory_that_comes_again_keeps_its_children_and_takes_attributes(ship):
    again = entry(DIR, mode=0o711, uid=3, gid=4, mtime=1_300_000_000)
    seen = compare(ship, BELOW, tar(("t/d", again)))
    assert (seen["t/d"].mode, seen["t/d"].uid, "t/d/one" in seen) == (0o711, 3, True)


@claim("img-tree-25")
@pytest.mark.parametrize("name", ["t/own/new", "t/own/.wh.old", "t/own/sub/new"])
def test_a_directory_keeps_its_attributes_when_only_its_children_change(name, ship):
    below = tar(("t", None), ("t/own", entry(DIR, mode=0o2750, uid=5, gid=6)), ("t/own/old", "x"))
    seen = compare(ship, below, tar((name, "" if ".wh." in name else "y")))
    assert (seen["t/own"].mode, seen["t/own"].uid, seen["t/own"].gid) == (0o2750, 5, 6)


@claim("img-tree-17")
@pytest.mark.parametrize(("path", "to"), [
    ("t/a", entry(DIR)), ("t/a", entry(SYM, linkname="d")), ("t/d", entry(size=3)),
    ("t/d", entry(SYM, linkname="/etc")),
    ("t/a", entry(FIFO)), ("t/a", entry(mode=0o600, size=4)),
], ids=["file-directory", "file-link", "directory-file", "directory-link", "file-pipe", "file-file"])
def test_another_kind_replaces_what_was_there(path, to, ship):
    compare(ship, BELOW, tar((path, to)))


@claim("img-tree-17")
def test_a_directory_replaces_a_link_and_leaves_its_target_alone(ship):
    seen = compare(ship, tar(("t", None), ("t/real", None), ("t/real/f", "x"), ("t/l", entry(SYM, linkname="real"))),
                   tar(("t/l", entry(DIR)), ("t/l/own", "y")))
    assert "t/real/own" not in seen


@claim("img-tree-06")
def test_replacing_one_name_of_a_file_leaves_the_others(ship):
    seen = compare(ship, tar(("t", None), ("t/a", "shared"), ("t/b", entry(LINK, linkname="t/a"))), tar(("t/b", "own")))
    assert (seen["t/a"].content, seen["t/b"].content) == (b"shared", b"own")


@claim("img-tree-18")
@pytest.mark.parametrize(("compression", "kind"), [("", media.LAYER), ("gzip", media.GZIP)], ids=["plain", "gzip"])
def test_each_compression_makes_the_same_tree(compression, kind, ship):
    compare(ship, BELOW, compression=compression, layer_type=kind)


@claim("img-tree-24")
def test_zstd_makes_the_same_tree(ship):
    compare(ship, BELOW, compression="zstd", layer_type=media.ZSTD)


@claim("img-tree-18")
def test_gzip_in_several_members_is_one_layer(ship):
    def parts(packed):
        data = gzip.decompress(packed)
        return b"".join(gzip.compress(part, mtime=0) for part in (data[:700], data[700:2048], data[2048:]))

    compare(ship, BELOW, packed=parts)


@claim("img-tree-19")
def test_layers_that_change_nothing(ship):
    compare(ship, BELOW, tar(), BELOW, tar())


@claim("img-tree-20")
def test_many_layers_in_their_order(ship):
    layers = [tar(("t", None), ("t/f", f"{number}\n"), (f"t/n{number}", "x")) for number in range(30)]
    seen = compare(ship, *layers)
    assert seen["t/f"].content == b"29\n"


@claim("img-tree-21")
def test_umoci_unpacks_the_same(engine, tools):

    layers = (BELOW, tar(("t/.wh.a", ""), ("t/d/.wh..wh..opq", ""), ("t/d/new", entry(mode=0o4711, uid=9, gid=9)),
                         ("t/hard", entry(LINK, linkname="t/d/new")), ("t/pipe", entry(FIFO))))
    place = write(engine.workdir / "layout", Layout(layers=layers).build())
    tools("umoci", "raw", "unpack", "--image", f"{place}:v1", str(engine.workdir / "root"))
    seen = tree.observed(engine.workdir / "root", TOP)
    assert tree.differences(tree.applied(layers), seen, TOP) == []


@claim("img-tree-22")
@pytest.mark.parametrize("name", ["../../../../../../..{}", "t/../../../../../../..{}", "/../../../..{}"],
                         ids=["up", "up-from-inside", "up-from-the-root"])
def test_nothing_is_written_outside_by_a_name(name, engine, pier):
    outside(engine, pier, lambda path: tar(("t", None), (name.format(path), "escaped")))


@claim("img-tree-22")
@pytest.mark.parametrize("link", ["{}", "../../../../../../../../../..{}"], ids=["absolute", "relative"])
def test_nothing_is_written_outside_through_a_link(link, engine, pier):
    outside(engine, pier, lambda path: tar(("t", None), ("t/l", entry(SYM, linkname=link.format(Path(path).parent))),
                                           (f"t/l/{Path(path).name}", "escaped")))


@claim("img-tree-22")
def test_nothing_outside_is_linked_to(engine, pier):
    secret = engine.workdir / "secret"
    secret.write_text(f"secret {engine.key}\n")
    layer = tar(("t", None), ("t/f", entry(LINK, linkname=f"../../../../../../../..{secret}")))
    outside(engine, pier, lambda _: layer)
    assert secret.stat().st_nlink == 1


@claim("img-tree-22")
def test_nothing_outside_is_removed_by_a_whiteout(engine, pier):
    kept = engine.workdir / "kept"
    kept.write_text("kept\n")
    outside(engine, pier, lambda _: tar((f"../../../../../../../..{kept.parent}/.wh.kept", "")))
    assert kept.read_text() == "kept\n"


def outside(engine, pier, layer):
    """Have an engine pull a layer that reaches out of the root; whether it refuses is its own choice."""

    mark = engine.workdir / "escaped"
    files = Layout(layers=(images.ensure(BUSYBOX).read_bytes(), layer(str(mark))),
                   config=setting("config", "Cmd", to=["sleep", "3600"])).build()
    reference = pier.offer(files)
    engine.cli("pull", reference, expect=None, timeout=120)
    assert pier.harbour.paths("GET").count(f"/v2/fleet/ship/blobs/{blob_of(files)}") == 1
    assert not mark.exists()
    assert not engine.raw.host.path(mark).exists()
    engine.cli("run", "--rm", engine.image, "true")  # it lives


def blob_of(files):

    described = json.loads(files["index.json"])["manifests"][0]["digest"]
    manifest = json.loads(files[f"blobs/{described.replace(':', '/')}"])
    return manifest["layers"][1]["digest"]



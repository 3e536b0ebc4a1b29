"""File trees: what layers make when they are applied as the specification says, and what is really there.

The first is worked out from the archives alone, the second by lstat; nothing is ever unpacked here.
"""

from __future__ import annotations

import io
import os
import posixpath
import stat
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from seatrial.oci.image.layer import OPAQUE, WHITEOUT, clean

_XATTR = "SCHILY.xattr."
_KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink", stat.S_IFCHR: "char",
          stat.S_IFBLK: "block", stat.S_IFIFO: "fifo"}  # fmt: skip


@dataclass(frozen=True)
class Node:
    """One name of a tree; `links` are all names of the same file.

    A directory that no entry describes is `implied`; in or below one that is `touched` a layer changed something
    without describing the directory again, so that its time is nobody's promise.
    """

    kind: str
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    mtime: float = 0
    content: bytes = field(default=b"", repr=False)
    target: str = ""
    device: tuple[int, int] = (0, 0)
    xattrs: tuple[tuple[str, bytes], ...] = ()
    links: frozenset[str] = frozenset()
    implied: bool = False
    touched: bool = False


Tree = dict[str, Node]


def applied(layers: Sequence[bytes]) -> Tree:
    """Return the tree that uncompressed layers make (layer.md, Applying Changesets)."""
    tree: Tree = {}
    for data in layers:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            entries = [(clean(info.name) or "", info) for info in archive]
            _whiteouts(tree, entries)
            for path, info in entries:
                if path and not posixpath.basename(path).startswith(WHITEOUT):
                    _put(tree, path, _node(tree, archive, info))
            own = {path for path, _ in entries}
            for parent in {parent for path in own for parent in _above(path)} - own:
                if parent in tree:
                    tree[parent] = replace(tree[parent], touched=True)
    return tree


def _above(path: str) -> list[str]:
    """Return the directories that a path lies in."""
    parts = path.split("/")
    return ["/".join(parts[:number]) for number in range(1, len(parts))]


def _whiteouts(tree: Tree, entries: Sequence[tuple[str, tarfile.TarInfo]]) -> None:
    """Remove what a layer hides of those below, before anything of it is made."""
    for path, _ in entries:
        base, parent = posixpath.basename(path), posixpath.dirname(path)
        if base == OPAQUE:
            for name in [name for name in tree if not parent or name.startswith(f"{parent}/")]:
                _drop(tree, name)
        elif base.startswith(WHITEOUT):
            _remove(tree, posixpath.join(parent, base.removeprefix(WHITEOUT)))


def _remove(tree: Tree, path: str) -> None:
    for name in [name for name in tree if name == path or name.startswith(f"{path}/")]:
        _drop(tree, name)


def _drop(tree: Tree, name: str) -> None:
    gone = tree.pop(name)
    for other in gone.links - {name}:
        if other in tree:
            left = tree[other].links - {name}
            tree[other] = replace(tree[other], links=left if len(left) > 1 else frozenset())


def _put(tree: Tree, path: str, node: Node) -> None:
    parent = posixpath.dirname(path)
    while parent and parent not in tree:
        tree[parent] = Node("directory", implied=True)
        parent = posixpath.dirname(parent)
    old = tree.get(path)
    if old is not None and not (old.kind == node.kind == "directory"):
        _remove(tree, path)
    tree[path] = node
    if node.links:
        names = node.links | {path}
        for name in names:
            tree[name] = replace(tree[name], links=names)


def _node(tree: Tree, archive: tarfile.TarFile, info: tarfile.TarInfo) -> Node:
    if info.islnk():
        target = clean(info.linkname) or ""
        source = tree[target]
        return replace(source, links=(source.links or frozenset((target,))))
    kind = next(name for name, fits in (
        ("directory", info.isdir()), ("symlink", info.issym()), ("char", info.ischr()), ("block", info.isblk()),
        ("fifo", info.isfifo()), ("file", True)) if fits)  # fmt: skip
    stream = archive.extractfile(info) if kind == "file" else None
    xattrs = sorted((name.removeprefix(_XATTR), value.encode("utf-8", "surrogateescape"))
                    for name, value in info.pax_headers.items() if name.startswith(_XATTR))  # fmt: skip
    return Node(
        kind, 0o777 if kind == "symlink" else info.mode & 0o7777, info.uid, info.gid, float(info.mtime),
        stream.read() if stream else b"", info.linkname if kind == "symlink" else "",
        (info.devmajor, info.devminor) if kind in ("char", "block") else (0, 0), tuple(xattrs),
    )  # fmt: skip


def observed(root: Path, top: str) -> Tree:
    """Return what is there at and below `top` in a root directory; links are not followed."""
    tree: Tree = {}
    inodes: dict[int, set[str]] = {}
    start = root / top
    places = [start]
    for above, directories, files in os.walk(start):
        places += [Path(above) / name for name in (*directories, *files)]
    for place in places:
        path = str(place.relative_to(root))
        seen = place.lstat()
        kind = _KINDS.get(stat.S_IFMT(seen.st_mode), "another")
        xattrs = tuple(sorted((name, os.getxattr(place, name, follow_symlinks=False))
                              for name in os.listxattr(place, follow_symlinks=False)
                              if name.startswith("user.") or name == "security.capability"))  # fmt: skip
        tree[path] = Node(
            kind, stat.S_IMODE(seen.st_mode), seen.st_uid, seen.st_gid, seen.st_mtime,
            place.read_bytes() if kind == "file" else b"", os.readlink(place) if kind == "symlink" else "",
            (os.major(seen.st_rdev), os.minor(seen.st_rdev)) if kind in ("char", "block") else (0, 0), xattrs,
        )  # fmt: skip
        if kind != "directory" and seen.st_nlink > 1:
            inodes.setdefault(seen.st_ino, set()).add(path)
    for names in inodes.values():
        if len(names) > 1:
            for name in names:
                tree[name] = replace(tree[name], links=frozenset(names))
    return tree


def differences(wanted: Tree, seen: Tree, top: str, *, precision: float = 1.0) -> list[str]:
    """Return in words what differs at and below `top`; times may differ by less than `precision` seconds."""
    wanted = {path: node for path, node in wanted.items() if path == top or path.startswith(f"{top}/")}
    words = [f"{path} is missing" for path in sorted(wanted.keys() - seen.keys())]
    words += [f"{path} is too much: {seen[path]}" for path in sorted(seen.keys() - wanted.keys())]
    for path in sorted(wanted.keys() & seen.keys()):
        one, other = wanted[path], seen[path]
        if one.kind != other.kind:
            words.append(f"{path} is a {other.kind}, not a {one.kind}")
            continue
        if one.implied:
            continue
        for name in ("mode", "uid", "gid", "target", "device", "xattrs", "links"):
            if getattr(one, name) != getattr(other, name):
                words.append(f"{path}: {name} is {_show(getattr(other, name))}, not {_show(getattr(one, name))}")
        if not one.touched and abs(one.mtime - other.mtime) >= precision:
            words.append(f"{path}: mtime is {other.mtime}, not {one.mtime}")
        if one.content != other.content:
            words.append(f"{path}: the content is another one ({len(other.content)} bytes, not {len(one.content)})")
    return words


def _show(value: object) -> str:
    if isinstance(value, frozenset):
        return str(sorted(value))
    return oct(value) if isinstance(value, int) and value > 7 else repr(value)

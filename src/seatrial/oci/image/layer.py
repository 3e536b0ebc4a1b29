"""One layer: its compression, its tar archive, and what applying it would do."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from typing import BinaryIO

from seatrial.oci.image.tarstream import NAME, Entry, TarStream
from seatrial.oci.image.unpacked import DamagedError, TooLargeError, Unpacked

ENTRIES = 500_000
DEPTH = 256
WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"


@dataclass
class Layer:
    """What was found in a layer; `problems` are code, message and byte."""

    digests: dict[str, str] = field(default_factory=dict)  # by algorithm
    size: int = 0
    diff_ids: dict[str, str] = field(default_factory=dict)  # by algorithm; empty when it could not be read whole
    plain_size: int = 0
    compression: str = ""
    entries: list[tuple[str, str, str]] = field(default_factory=list)  # path, kind, target
    problems: list[tuple[str, str, int]] = field(default_factory=list)

    def tell(self, code: str, message: str, at: int = 0) -> None:
        """Note what is wrong."""
        self.problems.append((code, message, at))


def read(raw: BinaryIO, limit: int, algorithms: frozenset[str]) -> Layer:
    """Read a layer to its end, or to the limit of unpacked bytes."""
    layer = Layer()
    source = Unpacked(raw, limit, algorithms)
    layer.compression = source.compression
    try:
        if source.compression in ("", "gzip", "zstd"):
            _walk(layer, source)
        layer.diff_ids = {name: source.plain_digest(name) for name in algorithms | {"sha256"}}
    except TooLargeError:
        layer.tell("OCI005", f"unpacked it has more than {limit} bytes; what follows was not checked")
    except DamagedError as error:
        layer.tell("OCI101", str(error))
    source.drain_raw()
    layer.digests = {name: source.digest(name) for name in algorithms | {"sha256"}}
    layer.size, layer.plain_size = source.size, source.plain_size
    return layer


def _walk(layer: Layer, source: Unpacked) -> None:
    archive = TarStream(source, layer.tell)
    tree = _Tree(layer)
    for entry in archive:
        tree.take(entry)
        if len(layer.entries) > ENTRIES:
            layer.tell("OCI005", f"it has more than {ENTRIES} entries; what follows was not checked", entry.offset)
            break
    else:
        if not archive.ended and not archive.damaged:
            layer.tell("OCI115", "two blocks of zeros are missing at the end")
    if source.drain() and archive.ended:
        layer.tell("OCI116", "other bytes than zeros follow the end of the archive")


class _Tree:
    """The entries of one layer, held against each other."""

    def __init__(self, layer: Layer) -> None:
        self._layer = layer
        self._kinds: dict[str, str] = {}

    def take(self, entry: Entry) -> None:
        name = entry.name
        shown = name if name.isprintable() else ascii(name)
        path = clean(name)
        self._attributes(entry, shown)
        if path is None:
            self._layer.tell("OCI103", f"{shown[:200]!r} has .. in it", entry.offset)
            return
        if path.count("/") > DEPTH:
            self._layer.tell("OCI117", f"{shown[:60]!r}... is more than {DEPTH} directories deep", entry.offset)
            return
        if path in self._kinds:
            self._layer.tell("OCI106", f"{shown!r} stands twice", entry.offset)
        self._parents(path, shown, entry)
        self._below_whiteout(path, shown, entry)
        base = posixpath.basename(path)
        if base.startswith(WHITEOUT):
            self._whiteout(entry, base, shown)
        elif entry.kind.startswith("'"):
            self._layer.tell("OCI111", f"{shown!r} is of the type {entry.kind}", entry.offset)
        elif entry.kind == "link":
            self._link(entry, shown)
        if entry.sparse:
            self._layer.tell("OCI112", f"{shown!r} is a sparse file", entry.offset)
        self._kinds[path] = entry.kind
        self._layer.entries.append((path, entry.kind, entry.target))

    def _attributes(self, entry: Entry, shown: str) -> None:
        size = len(entry.name.encode("utf-8", "surrogateescape"))
        if size > NAME:
            self._layer.tell("OCI117", f"a name of {size} bytes: {shown[:60]!r}...", entry.offset)
        if any("\udc80" <= letter <= "\udcff" for letter in entry.name + entry.target):
            self._layer.tell("OCI118", f"the name {ascii(entry.name)[:200]} is not UTF-8", entry.offset)
        wrong = [f"{key} {value}" for key, value in (("uid", entry.uid), ("gid", entry.gid)) if not 0 <= value < 2**32]
        wrong += [] if 0 <= entry.mode < 2**24 else [f"mode {entry.mode}"]
        if wrong:
            self._layer.tell("OCI117", f"{shown[:200]!r} has {' and '.join(wrong)}", entry.offset)

    def _parents(self, path: str, shown: str, entry: Entry) -> None:
        parent = posixpath.dirname(path)
        while parent:
            kind = self._kinds.get(parent, "directory")
            if kind == "symlink":
                self._layer.tell("OCI114", f"{shown!r} lies below the symbolic link {parent!r}", entry.offset)
            elif kind != "directory":
                self._layer.tell("OCI113", f"{shown!r} lies below {parent!r}, a {kind}", entry.offset)
            parent = posixpath.dirname(parent)

    def _below_whiteout(self, path: str, shown: str, entry: Entry) -> None:
        for part in path.split("/")[:-1]:
            if part.startswith(WHITEOUT * 2) and part != OPAQUE:
                self._layer.tell("OCI110", f"{shown!r} lies below a name of aufs", entry.offset)
            elif part.startswith(WHITEOUT):
                self._layer.tell("OCI107", f"{shown!r} makes the whiteout {part!r} a directory", entry.offset)

    def _whiteout(self, entry: Entry, base: str, shown: str) -> None:
        hidden = base.removeprefix(WHITEOUT)
        if hidden in ("", ".", ".."):
            self._layer.tell("OCI108", f"{shown!r} names {hidden or 'nothing'}", entry.offset)
        elif hidden.startswith(WHITEOUT) and base != OPAQUE:
            self._layer.tell("OCI110", f"{shown!r} is a name of aufs", entry.offset)
        elif entry.kind != "file":
            self._layer.tell("OCI107", f"{shown!r} is a {entry.kind}", entry.offset)
        elif entry.size:
            self._layer.tell("OCI107", f"{shown!r} has {entry.size} bytes", entry.offset)

    def _link(self, entry: Entry, shown: str) -> None:
        target = clean(entry.target)
        if target is None:
            self._layer.tell("OCI104", f"{shown!r} links to {entry.target[:200]!r}", entry.offset)
        elif self._kinds.get(target) == "directory":
            self._layer.tell("OCI105", f"{shown!r} links to the directory {target!r}", entry.offset)


def clean(name: str) -> str | None:
    """Return a name as a path below the root, empty for the root itself; None for one that leads out of it.

    A leading slash is the root file system's own; `..` is refused wherever it stands, because where it leads depends
    on links.
    """
    parts = [part for part in name.split("/") if part not in ("", ".")]
    return None if ".." in parts else "/".join(parts)


class Stack:
    """Layers one upon another: what whiteouts and hard links of one find in those below."""

    def __init__(self) -> None:
        self._paths: dict[str, str] = {}  # to their kinds
        self._whole = True  # nothing is missing of the layers so far

    def apply(self, layer: Layer) -> list[tuple[str, str]]:
        """Add a layer; return code and message of what does not fit to the layers below.

        Above a layer that could not be read nothing is known to be missing.
        """
        found: list[tuple[str, str]] = []
        own: dict[str, str] = {}
        gone: list[str] = []
        split = [posixpath.split(path) for path, _, _ in layer.entries]
        opaque = {parent for parent, base in split if base == OPAQUE}
        taken = {posixpath.join(parent, base.removeprefix(WHITEOUT)) for parent, base in split
                 if base.startswith(WHITEOUT) and base != OPAQUE}  # fmt: skip
        for path, kind, target in layer.entries:
            base, parent = posixpath.basename(path), posixpath.dirname(path)
            if base == OPAQUE:
                gone.append(f"{parent}/" if parent else "")
                continue
            if base.startswith(WHITEOUT):
                hidden = posixpath.join(parent, base.removeprefix(WHITEOUT))
                named = not base.startswith(WHITEOUT * 2) and base not in (WHITEOUT, f"{WHITEOUT}.", f"{WHITEOUT}..")
                if named and hidden not in self._paths:
                    found.append(("OCI109", f"{path!r} hides {hidden!r}, which no lower layer has"))
                gone.append(hidden)
                continue
            if kind == "link" and (place := clean(target)) is not None and place not in own:
                if place in self._paths:
                    found.append(("OCI119", f"{path!r} links to {place!r} of a lower layer"))
                else:
                    found.append(("OCI105", f"{path!r} links to {place!r}, which is not there"))
            own[path] = kind
            while parent and parent not in own:
                below = self._paths.get(parent, "directory")
                if below != "directory" and (parent in taken or _below(parent, taken | opaque)):
                    below = "directory"  # what this layer takes away is not in the way
                if below == "symlink":
                    found.append(("OCI114", f"{path!r} lies below {parent!r}, a symbolic link of a lower layer"))
                elif below != "directory":
                    found.append(("OCI113", f"{path!r} lies below {parent!r}, a {below} of a lower layer"))
                own[parent] = below
                parent = posixpath.dirname(parent)
        self._remove(gone)
        self._paths.update(own)
        whole, self._whole = self._whole, self._whole and bool(layer.diff_ids)
        return found if whole else []

    def lose(self) -> None:
        """Say that a layer is not there."""
        self._whole = False

    def _remove(self, gone: list[str]) -> None:
        whole = {path for path in gone if path and not path.endswith("/")}
        opaque = {path.rstrip("/") for path in gone if not path or path.endswith("/")}
        if whole or opaque:
            self._paths = {path: kind for path, kind in self._paths.items()
                           if path not in whole and not _below(path, whole | opaque)}  # fmt: skip


def _below(path: str, tops: set[str]) -> bool:
    """Tell whether a path lies below one of others; the empty one is the root."""
    while path:
        path = posixpath.dirname(path)
        if path in tops:
            return True
    return False

"""Layouts made by hand: one that is right in everything, and ways to change one thing of it."""

from __future__ import annotations

import copy
import gzip
import io
import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zstandard

from seatrial import archive
from seatrial.archive import digest
from seatrial.oci.image import media

CREATED = "2026-01-31T12:00:00Z"
_TIME = 1_700_000_000
TAG = "v1"
Change = Callable[[Any], object]


def entry(kind: bytes = tarfile.REGTYPE, **fields: Any) -> tarfile.TarInfo:
    """Return an entry of a layer for `archive.tree`; fields as of a TarInfo."""
    info = tarfile.TarInfo("x")
    info.type, info.mtime, info.mode = kind, _TIME, 0o755 if kind == tarfile.DIRTYPE else 0o644
    for name, value in fields.items():
        setattr(info, name, value)
    return info


def tar(*entries: tuple[str, archive.Content]) -> bytes:
    """Pack entries in order; unlike `archive.tree`, a name may come twice."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as made:
        for name, content in entries:
            info = content if isinstance(content, tarfile.TarInfo) else entry()
            data = b""
            if content is None:
                info = entry(tarfile.DIRTYPE)
            elif not isinstance(content, tarfile.TarInfo):
                data = content.encode() if isinstance(content, str) else content
            info.name = name
            info.size = len(data) or info.size
            made.addfile(info, io.BytesIO(data.ljust(info.size, b"\0")))
    return buffer.getvalue()


def signed_by(layer: bytes, key: str) -> bytes:
    """Return a layer with one more entry, so that no other test has the same one."""
    buffer = io.BytesIO(layer)
    with tarfile.open(fileobj=buffer, mode="a", format=tarfile.PAX_FORMAT) as made:
        info = entry()
        info.name = f".of-{key}"
        made.addfile(info)
    return buffer.getvalue()


def pack(data: bytes, compression: str = "gzip") -> bytes:
    """Compress a layer the same way every time."""
    if compression == "gzip":
        return gzip.compress(data, mtime=0)
    return zstandard.ZstdCompressor().compress(data) if compression == "zstd" else data


def describe(blob: bytes, media_type: str, **more: Any) -> dict[str, Any]:
    """Return the descriptor of a blob."""
    return {"mediaType": media_type, "digest": digest(blob), "size": len(blob), **more}


LAYERS = (
    tar(("etc", None), ("etc/motd", "welcome\n"), ("bin", None), ("bin/sail", b"\x7fELF")),
    tar(("etc", None), ("etc/.wh.motd", ""), ("etc/port", "80\n")),
)


@dataclass
class Layout:
    """A layout that is made in steps; each change gets what was made so far and alters it.

    `config`, `manifest` and `index` change the document before it is serialised, `raw` the bytes of one of them by
    name, `layer` the packed layers, `files` the finished files by path.
    """

    layers: Sequence[bytes] = LAYERS
    compression: str = "gzip"
    layer_type: str = media.GZIP
    config: Change = lambda _: None
    manifest: Change = lambda _: None
    index: Change = lambda _: None
    descriptor: Change = lambda _: None
    files: Change = lambda _: None
    packed: Callable[[bytes], bytes] = lambda data: data
    raw: Mapping[str, Callable[[bytes], bytes]] = field(default_factory=dict)

    def build(self) -> dict[str, bytes]:
        """Return the files of the layout by their paths."""
        packed = [pack(layer, self.compression) for layer in self.layers]
        packed[-1:] = [self.packed(packed[-1])] if packed else []
        config: dict[str, Any] = {
            "created": CREATED, "architecture": "amd64", "os": "linux",
            "config": {"Env": ["PATH=/bin"], "Cmd": ["/bin/sail"], "WorkingDir": "/", "ExposedPorts": {"80/tcp": {}},
                       "Volumes": {"/data": {}}, "Labels": {"deck": "upper"}},
            "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in self.layers]},
            "history": [*({"created": CREATED, "created_by": f"layer {number}"} for number in range(len(packed))),
                        {"created": CREATED, "created_by": "CMD", "empty_layer": True}],
        }  # fmt: skip
        self.config(config)
        config_text = self._text("config", config)
        manifest: dict[str, Any] = {
            "schemaVersion": 2, "mediaType": media.MANIFEST, "config": describe(config_text, media.CONFIG),
            "layers": [describe(data, self.layer_type) for data in packed],
            "annotations": {"com.example.deck": "upper"},
        }  # fmt: skip
        self.manifest(manifest)
        manifest_text = self._text("manifest", manifest)
        entry_ = describe(manifest_text, media.MANIFEST, platform={"os": "linux", "architecture": "amd64"},
                          annotations={"org.opencontainers.image.ref.name": TAG})  # fmt: skip
        self.descriptor(entry_)
        index = {"schemaVersion": 2, "mediaType": media.INDEX, "manifests": [entry_]}
        self.index(index)
        files = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}', "index.json": self._text("index", index)}
        for blob in (config_text, manifest_text, *packed):
            put(files, blob)
        self.files(files)
        return files

    def _text(self, name: str, value: Any) -> bytes:
        text = json.dumps(value).encode()
        return self.raw[name](text) if name in self.raw else text


def put(files: dict[str, bytes], blob: bytes, algorithm: str = "sha256") -> str:
    """Add a blob to the files of a layout; return its digest."""
    name = digest(blob, algorithm)
    files[f"blobs/{name.replace(':', '/')}"] = blob
    return name


def write(directory: Path, files: Mapping[str, bytes]) -> Path:
    """Write the files of a layout into a directory; return it."""
    for path, data in files.items():
        place = directory / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    return directory


def packed_up(files: Mapping[str, bytes]) -> bytes:
    """Return a layout as an archive."""
    return archive.tree(files)


@dataclass(frozen=True)
class Sample:
    """A layout that is wrong in one way: the code that it gets, and whether tools have to refuse to unpack it."""

    name: str
    code: str
    layout: Layout
    refused: bool = False
    also: tuple[str, ...] = ()  # codes that follow from the one


def setting(*path: str | int, to: Any) -> Change:
    """Return a change that sets what stands at a path."""

    def change(value: Any) -> None:
        for step in path[:-1]:
            value = value[step]
        value[path[-1]] = copy.deepcopy(to)

    return change


def dropping(*path: str | int) -> Change:
    """Return a change that takes away what stands at a path."""

    def change(value: Any) -> None:
        for step in path[:-1]:
            value = value[step]
        del value[path[-1]]

    return change


def _changed(suffix_of: str) -> Change:
    """Change one byte of the blob of a kind: the first that begins so."""

    def change(files: dict[str, bytes]) -> None:
        for path, data in files.items():
            if path.startswith("blobs/") and data.startswith(suffix_of.encode("latin-1")):
                files[path] = data[:-1] + bytes([data[-1] ^ 1])
                return
        raise ValueError(f"no blob begins with {suffix_of!r}")

    return change


def _without(prefix: str) -> Change:
    def change(files: dict[str, bytes]) -> None:
        path = next(path for path, data in files.items()
                    if path.startswith("blobs/") and data.startswith(prefix.encode("latin-1")))  # fmt: skip
        del files[path]

    return change


def _layer(*entries: tuple[str, archive.Content], base: bool = True) -> Layout:
    return Layout(layers=(LAYERS[0], tar(*entries)) if base else (tar(*entries),))


_GZIP = "\x1f\x8b"
_MANIFEST_START, _CONFIG_START = '{"schemaVersion"', '{"created"'


def _padded(data: bytes) -> bytes:
    return data + b"seatrial" * 64


def _plain(change: Callable[[bytes], bytes]) -> Layout:
    """A layout whose last layer is a tar archive that was changed, with the diff id of what it became."""
    return Layout(layers=(LAYERS[0], change(LAYERS[1])))


def _raw(name: str, change: Callable[[bytes], bytes]) -> Layout:
    return Layout(raw={name: change})


_LONG = "d/" * 2100 + "f"
_WRONG = digest(b"something else")

BROKEN: tuple[Sample, ...] = (
    # layout
    Sample("no-mark", "OCI010", Layout(files=dropping("oci-layout"))),
    Sample("mark-without-version", "OCI011", Layout(files=setting("oci-layout", to=b"{}")), refused=True),
    Sample("mark-of-the-future", "OCI012", Layout(files=setting("oci-layout", to=b'{"imageLayoutVersion": "9.0.0"}')),
           refused=True),
    Sample("no-index", "OCI013", Layout(files=dropping("index.json")), refused=True),
    Sample("blob-of-another-content", "OCI015", Layout(files=setting(f"blobs/{_WRONG.replace(':', '/')}", to=b"no"))),
    Sample("blob-of-no-digest", "OCI016", Layout(files=setting("blobs/sha256/README", to=b"hello"))),
    Sample("layer-is-missing", "OCI017", Layout(files=_without(_GZIP)), refused=True),
    Sample("config-is-missing", "OCI017", Layout(files=_without(_CONFIG_START)), refused=True),
    Sample("manifest-is-missing", "OCI017", Layout(files=_without(_MANIFEST_START)), refused=True),
    # JSON
    Sample("index-is-cut", "OCI006", _raw("index", lambda text: text[:-5]), refused=True),
    Sample("manifest-is-an-array", "OCI006", _raw("manifest", lambda _: b"[]"), refused=True),
    Sample("config-is-no-utf8", "OCI006", _raw("config", lambda text: text.replace(b"upper", b"up\xff"))),
    Sample("manifest-has-a-key-twice", "OCI007",
           _raw("manifest", lambda text: text.replace(b"{", b'{"schemaVersion": 2, ', 1))),
    Sample("layers-are-an-object", "OCI008", Layout(manifest=setting("layers", to={})), refused=True),
    Sample("env-is-text", "OCI008", Layout(config=setting("config", "Env", to="PATH=/bin")), refused=True),
    # descriptors
    Sample("layer-without-size", "OCI020", Layout(manifest=dropping("layers", 1, "size")), refused=True),
    Sample("layer-without-digest", "OCI020", Layout(manifest=dropping("layers", 1, "digest")), refused=True),
    Sample("media-type-without-slash", "OCI021", Layout(manifest=setting("layers", 1, "mediaType", to="layer"))),
    Sample("digest-without-algorithm", "OCI022",
           Layout(manifest=setting("layers", 1, "digest", to="0" * 64)), refused=True),
    Sample("digest-too-short", "OCI023", Layout(manifest=setting("layers", 1, "digest", to="sha256:abc")),
           refused=True),
    Sample("digest-in-upper-case", "OCI023",
           Layout(manifest=lambda m: m["layers"][1].update(digest=f"sha256:{m['layers'][1]['digest'][7:].upper()}")),
           refused=True),
    Sample("size-is-negative", "OCI025", Layout(manifest=setting("layers", 1, "size", to=-1)), refused=True),
    Sample("layer-of-another-size", "OCI026",
           Layout(manifest=lambda m: m["layers"][1].update(size=m["layers"][1]["size"] - 1)), refused=True),
    Sample("config-of-another-size", "OCI026",
           Layout(manifest=lambda m: m["config"].update(size=m["config"]["size"] + 1)), refused=True),
    Sample("layer-was-changed", "OCI027", Layout(files=_changed(_GZIP)), refused=True, also=("OCI101", "OCI015")),
    Sample("config-was-changed", "OCI027", Layout(files=_changed(_CONFIG_START)), refused=True, also=("OCI015",)),
    Sample("manifest-was-changed", "OCI027", Layout(files=_changed(_MANIFEST_START)), refused=True,
           also=("OCI015",)),
    Sample("url-with-a-space", "OCI028", Layout(manifest=setting("layers", 1, "urls", to=["http://x y"]))),
    Sample("annotation-is-a-number", "OCI030", Layout(manifest=setting("annotations", "deck", to=7)), refused=True),
    Sample("data-is-no-base64", "OCI031", Layout(manifest=setting("config", "data", to="?"))),
    Sample("data-is-another-content", "OCI032", Layout(manifest=setting("config", "data", to="e30="))),
    Sample("artifact-type-is-no-type", "OCI033", Layout(manifest=setting("artifactType", to="wine"))),
    Sample("platform-without-os", "OCI034", Layout(descriptor=dropping("platform", "os"))),
    # index and manifest
    Sample("index-version-1", "OCI040", Layout(index=setting("schemaVersion", to=1))),
    Sample("index-of-another-type", "OCI041", Layout(index=setting("mediaType", to=media.MANIFEST))),
    Sample("index-without-manifests", "OCI043", Layout(index=dropping("manifests")), refused=True),
    Sample("manifest-version-1", "OCI050", Layout(manifest=setting("schemaVersion", to=1))),
    Sample("manifest-of-another-type", "OCI051", Layout(manifest=setting("mediaType", to=media.INDEX)),
           also=("OCI061",)),
    Sample("manifest-without-config", "OCI053", Layout(manifest=dropping("config")), refused=True),
    Sample("manifest-without-layers", "OCI054", Layout(manifest=dropping("layers")), refused=True),
    Sample("artifact-of-no-type", "OCI056",
           Layout(manifest=lambda m: m.update(config=describe(b"{}", media.EMPTY)),
                  files=lambda files: put(files, b"{}")), refused=True),
    Sample("empty-descriptor-of-something", "OCI057",
           Layout(manifest=lambda m: m.update(config=describe(b"{ }", media.EMPTY), artifactType="a/b"),
                  files=lambda files: put(files, b"{ }")), refused=True),
    Sample("manifest-and-index-at-once", "OCI060", Layout(manifest=setting("manifests", to=[])), refused=True),
    Sample("subject-is-a-layer", "OCI062",
           Layout(manifest=setting("subject", to=describe(b"x", media.GZIP)))),
    # configuration
    Sample("config-without-os", "OCI070", Layout(config=dropping("os"))),
    Sample("config-without-rootfs", "OCI071", Layout(config=dropping("rootfs")), refused=True),
    Sample("rootfs-of-another-type", "OCI072", Layout(config=setting("rootfs", "type", to="layer")), refused=True),
    Sample("rootfs-without-diff-ids", "OCI073", Layout(config=dropping("rootfs", "diff_ids")), refused=True),
    Sample("too-few-diff-ids", "OCI074", Layout(config=dropping("rootfs", "diff_ids", 1)), refused=True,
           also=("OCI077",)),
    Sample("diff-id-of-another-layer", "OCI075",
           Layout(config=setting("rootfs", "diff_ids", 1, to=_WRONG)), refused=True),
    Sample("created-yesterday", "OCI076", Layout(config=setting("created", to="yesterday")), refused=True),
    Sample("created-on-a-30th-of-february", "OCI076", Layout(config=setting("created", to="2026-02-30T00:00:00Z")),
           refused=True),
    Sample("env-without-value", "OCI078", Layout(config=setting("config", "Env", to=["PATH"]))),
    Sample("port-99999", "OCI079", Layout(config=setting("config", "ExposedPorts", to={"99999/tcp": {}}))),
    Sample("volume-with-a-value", "OCI080", Layout(config=setting("config", "Volumes", to={"/data": 1})),
           refused=True),
    # layers
    Sample("plain-layer-called-gzip", "OCI100", Layout(compression=""), refused=True),
    Sample("gzip-layer-called-plain", "OCI100", Layout(layer_type=media.LAYER), refused=True),
    Sample("zstd-layer-called-gzip", "OCI100", Layout(compression="zstd"), refused=True),
    Sample("layer-is-cut-off", "OCI101", Layout(packed=lambda data: data[:-20]), refused=True),
    Sample("layer-with-a-tail", "OCI101", Layout(packed=_padded), refused=True),
    Sample("layer-is-no-tar", "OCI102", _plain(lambda _: b"no tar archive " * 100), refused=True),
    Sample("tar-header-is-damaged", "OCI102", _plain(lambda data: data[:150] + b"7" + data[151:]), refused=True),
    Sample("tar-is-cut-off", "OCI102", _plain(lambda data: data[:1800]), refused=True),
    Sample("path-goes-up", "OCI103", _layer(("../../outside", "x"))),
    Sample("path-goes-up-inside", "OCI103", _layer(("etc/../../outside", "x"))),
    Sample("hard-link-goes-out", "OCI104", _layer(("x", entry(tarfile.LNKTYPE, linkname="../../../etc/passwd")))),
    Sample("hard-link-to-nothing", "OCI105", _layer(("x", entry(tarfile.LNKTYPE, linkname="nothing"))), refused=True),
    Sample("path-twice", "OCI106", _layer(("x", "one"), ("x", "two"))),
    Sample("whiteout-with-content", "OCI107", _layer(("etc/.wh.motd", "content"))),
    Sample("whiteout-is-a-directory", "OCI107", _layer(("etc/.wh.motd", None))),
    Sample("whiteout-of-nothing", "OCI108", _layer(("etc/.wh.", ""))),
    Sample("whiteout-of-the-parent", "OCI108", _layer(("etc/.wh...", ""))),
    Sample("entry-of-no-type", "OCI111", _layer(("x", entry(b"Z")))),
    Sample("file-below-a-file", "OCI113", _layer(("x", "file"), ("x/y", "below"))),
    Sample("endless-name", "OCI117", _layer((_LONG, "x"))),
    Sample("damaged-pax-header", "OCI120",
           _plain(lambda _: tar(("é" * 60, "x")).replace(b" path=", b" path ", 1)), also=("OCI118", "OCI102")),
    Sample("pax-header-of-2-mib", "OCI005", _layer(("x", entry(pax_headers={"SCHILY.xattr.user.x": "a" * (2 << 20)})))),
)  # fmt: skip


def _index_in_index(files: dict[str, bytes]) -> None:
    put(files, files["index.json"])
    files["index.json"] = json.dumps({
        "schemaVersion": 2, "mediaType": media.INDEX, "manifests": [
            describe(files["index.json"], media.INDEX, annotations={"org.opencontainers.image.ref.name": TAG})],
    }).encode()  # fmt: skip


def _halves(packed: bytes) -> bytes:
    data = gzip.decompress(packed)
    return gzip.compress(data[:1024], mtime=0) + gzip.compress(data[1024:], mtime=0)


def _artifact(manifest: dict[str, Any]) -> None:
    manifest.update(artifactType="application/vnd.example.sbom", config=describe(b"{}", media.EMPTY, data="e30="),
                    subject=describe(b"not here", media.MANIFEST))  # fmt: skip


# right, though unusual: the codes are those of warnings that they get
ODD: tuple[Sample, ...] = (
    Sample("plain", "", Layout()),
    Sample("layers-without-compression", "", Layout(compression="", layer_type=media.LAYER)),
    Sample("layers-with-zstd", "", Layout(compression="zstd", layer_type=media.ZSTD)),
    Sample("gzip-in-two-members", "", Layout(packed=_halves)),
    Sample("the-same-layer-twice", "", Layout(layers=(LAYERS[0], LAYERS[0]))),
    Sample("empty-layer", "", Layout(layers=(LAYERS[0], tar()))),
    Sample("no-layers", "OCI055", Layout(layers=())),
    Sample("unknown-fields", "", Layout(manifest=setting("x-deck", to={"a": [1]}), config=setting("x-deck", to=1))),
    Sample("no-media-type-in-manifest", "OCI052", Layout(manifest=dropping("mediaType"))),
    Sample("no-media-type-in-index", "OCI042", Layout(index=dropping("mediaType"))),
    Sample("no-history", "", Layout(config=dropping("history"))),
    Sample("history-of-another-length", "OCI077", Layout(config=dropping("history", 0))),
    Sample("index-in-an-index", "OCI046", Layout(files=_index_in_index)),
    Sample("artifact-with-subject", "", Layout(manifest=_artifact, files=lambda files: put(files, b"{}"))),
    Sample("unknown-kind-in-index", "OCI044",
           Layout(index=lambda i: i["manifests"].append(describe(b"?", "application/vnd.example")),
                  files=lambda files: put(files, b"?"))),
    Sample("architecture-of-the-kernel", "OCI035",
           Layout(descriptor=setting("platform", "architecture", to="x86_64")), also=("OCI081",)),
    Sample("whiteout-of-what-is-not-there", "OCI109", _layer(("etc/.wh.nothing", ""))),
    Sample("opaque-directory", "", _layer(("etc", None), ("etc/.wh..wh..opq", ""), ("etc/new", "n"))),
    Sample("names-with-slashes", "", _layer(("./usr/", None), ("/usr/x", "x"))),
    Sample("every-kind", "", _layer(
        ("dev", None), ("dev/null", entry(tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666)),
        ("dev/loop", entry(tarfile.BLKTYPE, devmajor=7)), ("pipe", entry(tarfile.FIFOTYPE)),
        ("link", entry(tarfile.SYMTYPE, linkname="/etc/passwd")), ("file", entry(uid=7, gid=8, mode=0o4755)),
        ("hard", entry(tarfile.LNKTYPE, linkname="file")),
    )),
    Sample("hard-link-into-a-lower-layer", "OCI119", _layer(("x", entry(tarfile.LNKTYPE, linkname="etc/motd")))),
    Sample("sha512", "", Layout(
        manifest=lambda m: m["layers"][1].update(digest=digest(pack(LAYERS[1]), "sha512")),
        files=lambda files: put(files, pack(LAYERS[1]), "sha512"))),
)  # fmt: skip

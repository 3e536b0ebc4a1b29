"""The walk through an image: from an entry point over indexes and manifests to configurations and layers."""

from __future__ import annotations

import contextlib
import hashlib
import io
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Protocol

from seatrial.jsontext import Where
from seatrial.oci.image import documents, media
from seatrial.oci.image.documents import DOCUMENT, Document
from seatrial.oci.image.layer import Layer, Stack, read
from seatrial.oci.image.rules import Report
from seatrial.oci.image.unpacked import ALGORITHMS

UNPACKED = 8 << 30  # bytes of one layer
_DEPTH = 8
_MANIFESTS = 1000


class Blobs(Protocol):
    """Where blobs come from."""

    def open(self, digest: str, media_type: str) -> BinaryIO | None:
        """Open a blob, None when it is not there; raises OSError when it cannot be read."""

    def name(self, digest: str) -> str:
        """Return what diagnostics call a blob."""


@dataclass
class Manifest:
    """A manifest that was looked into."""

    digest: str
    media_type: str
    value: dict[str, Any]
    subject: str = ""
    config: str = ""


@dataclass
class Found:
    """What the walk has met: manifests by digest, and which blobs are known to be what they are called."""

    manifests: dict[str, Manifest] = field(default_factory=dict)
    indexes: dict[str, list[str]] = field(default_factory=dict)  # digest -> digests that it lists
    named: dict[str, set[str]] = field(default_factory=dict)  # digest in index.json -> its reference names
    blobs: set[str] = field(default_factory=set)
    layers: dict[str, Layer] = field(default_factory=dict)


class Checker:
    """Checks everything that one report speaks of; `limit` bounds the unpacked bytes of a layer."""

    def __init__(self, report: Report, blobs: Blobs, limit: int = UNPACKED) -> None:
        self.report = report
        self.found = Found()
        self._blobs = blobs
        self._limit = limit

    # -- documents -----------------------------------------------------------------------------

    def index(self, doc: Document, digest: str = "", *, top: bool = False, depth: int = 0) -> None:
        """Check an index and what it lists; `top` is index.json of a layout, which has no digest."""
        value = doc.value
        if value is None:
            return
        listing = self.found.indexes[digest] = []
        self._version(doc, "OCI040")
        self._own_type(doc, media.INDEXES, "OCI041", "OCI042")
        if "layers" in value or "config" in value:
            doc.tell("OCI060", "an index with layers or config")
        if value.get("artifactType") is not None:
            documents.media_type(doc, value["artifactType"], ("artifactType",), "OCI033")
        documents.notes(doc, value)
        self._subject(doc)
        listed = value.get("manifests")
        if listed is None:
            doc.tell("OCI043", "manifests is missing")
            return
        if not doc.of_type(listed, list, ("manifests",), "an array"):
            return
        if not listed:
            doc.tell("OCI045", "the list of manifests is empty", ("manifests",))
        if len(listed) > _MANIFESTS or depth > _DEPTH:
            doc.tell("OCI005", f"{len(listed)} entries, {depth} indexes deep", ("manifests",))
            return
        self._twins(doc, listed, top=top)
        for number, entry in enumerate(listed):
            good = self.descriptor(doc, entry, ("manifests", number), top=top, depth=depth)
            if good is not None:
                listing.append(good["digest"])
                if top and isinstance(notes := good.get("annotations"), dict):
                    self.found.named.setdefault(good["digest"], set()).add(str(notes.get(documents.REF_NAME, "")))

    def _twins(self, doc: Document, listed: list[Any], *, top: bool) -> None:
        """Tell of entries between which a reader cannot choose."""
        seen: set[str] = set()
        for number, entry in enumerate(listed):
            if not isinstance(entry, dict):
                continue
            notes, platform = entry.get("annotations"), entry.get("platform")
            if top:
                key = notes.get(documents.REF_NAME) if isinstance(notes, dict) else None
            else:
                key = repr(sorted(platform.items(), key=str)) if isinstance(platform, dict) else None
                key = None if isinstance(platform, dict) and platform.get("os") == "unknown" else key
            if isinstance(key, str) and key in seen:
                code = "OCI048" if top else "OCI047"
                doc.tell(code, f"a second entry of {key[:100] if top else 'this platform'}", ("manifests", number))
            seen.add(str(key))

    def descriptor(
        self, doc: Document, entry: Any, where: Where, *, top: bool = False, depth: int = 0
    ) -> dict[str, Any] | None:  # fmt: skip
        """Check a descriptor of an index, and the manifest or index that it describes; return it when that was met."""
        good = documents.descriptor(doc, entry, where, top=top)
        if good is None:
            return None
        kind = good["mediaType"]
        if kind not in media.INDEXES | media.MANIFESTS:
            doc.tell("OCI044", f"the media type is {kind[:100]}", where)
            self.blob(doc, good, where)
            return None
        inner = self.document(doc, good, where)
        if inner is None or inner.value is None:
            return None
        said = inner.value.get("mediaType")
        if isinstance(said, str) and said != kind:
            inner.tell("OCI061", f"it says {said[:100]}, its descriptor {kind}", ("mediaType",))
        if kind in media.INDEXES:
            if good["digest"] not in self.found.indexes:
                self.index(inner, good["digest"], depth=depth + 1)
        elif good["digest"] not in self.found.manifests:
            self.manifest(inner, good)
        return good

    def manifest(self, doc: Document, described: dict[str, Any]) -> None:
        """Check a manifest, its configuration and its layers."""
        value = doc.value
        if value is None:
            return
        manifest = Manifest(described["digest"], described["mediaType"], value)
        self.found.manifests[manifest.digest] = manifest
        self._version(doc, "OCI050")
        self._own_type(doc, media.MANIFESTS, "OCI051", "OCI052")
        if "manifests" in value:
            doc.tell("OCI060", "a manifest with manifests")
        documents.notes(doc, value)
        if value.get("artifactType") is not None:
            documents.media_type(doc, value["artifactType"], ("artifactType",), "OCI033")
        manifest.subject = self._subject(doc)
        config = self._config(doc)
        manifest.config = config["mediaType"] if config else ""
        layers = value.get("layers")
        if layers is None:
            doc.tell("OCI054", "layers is missing")
            return
        if not doc.of_type(layers, list, ("layers",), "an array"):
            return
        if not layers:
            doc.tell("OCI055", "the list of layers is empty", ("layers",))
        if config is not None and config["mediaType"] in media.CONFIGS:
            self._image(doc, described, config, layers)
            return
        if config is not None:
            self.blob(doc, config, ("config",))
        for number, one in enumerate(layers):
            if (good := documents.descriptor(doc, one, ("layers", number))) is not None:
                self.blob(doc, good, ("layers", number))
        self.note(f"artifact {manifest.digest}: {self.artifact_type(manifest) or 'of no type'}, {len(layers)} layers")

    @staticmethod
    def artifact_type(manifest: Manifest) -> str:
        """Return the type of an artifact as referrers list it."""
        return str(manifest.value.get("artifactType") or manifest.config)

    def note(self, words: str) -> None:
        """Say what was looked at."""
        self.report.add("OCI000", words)

    def _version(self, doc: Document, code: str) -> None:
        assert doc.value is not None  # noqa: S101 - its callers have looked
        version = doc.value.get("schemaVersion")
        if version != 2 or isinstance(version, bool):
            doc.tell(code, f"schemaVersion is {str(version)[:40]}", ("schemaVersion",))

    def _own_type(self, doc: Document, fitting: set[str], wrong: str, missing: str) -> None:
        assert doc.value is not None  # noqa: S101 - its callers have looked
        said = doc.value.get("mediaType")
        if said is None:
            doc.tell(missing, "mediaType is missing")
        elif doc.of_type(said, str, ("mediaType",), "text") and said not in fitting:
            doc.tell(wrong, f"mediaType is {said[:100]}", ("mediaType",))

    def _subject(self, doc: Document) -> str:
        """Check a subject, which need not be there; return its digest."""
        assert doc.value is not None  # noqa: S101 - its callers have looked
        if doc.value.get("subject") is None:
            return ""
        good = documents.descriptor(doc, doc.value["subject"], ("subject",))
        if good is None:
            return ""
        if good["mediaType"] not in media.INDEXES | media.MANIFESTS:
            doc.tell("OCI062", f"the subject is of the type {good['mediaType'][:100]}", ("subject",))
        return str(good["digest"])

    def _config(self, doc: Document) -> dict[str, Any] | None:
        assert doc.value is not None  # noqa: S101 - its callers have looked
        if doc.value.get("config") is None:
            doc.tell("OCI053", "config is missing")
            return None
        good = documents.descriptor(doc, doc.value["config"], ("config",))
        if good is not None and good["mediaType"] == media.EMPTY and not doc.value.get("artifactType"):
            doc.tell("OCI056", "artifactType is missing")
        return good

    def document(self, doc: Document, good: dict[str, Any], where: Where) -> Document | None:
        """Read the document that a descriptor describes, after its size and digest were found right."""
        content = self.content(doc, good, where)
        return None if content is None else Document(self.report, self._blobs.name(good["digest"]), content)

    def content(self, doc: Document, good: dict[str, Any], where: Where) -> bytes | None:
        """Return the content of a document; None when it is not there, too large or another one."""
        stream = self._opened(doc, good, where)
        if stream is None:
            return None
        try:
            with stream:
                content = stream.read(DOCUMENT + 1)
        except OSError as error:
            self._unreadable(doc, good, where, error)
            return None
        if len(content) > DOCUMENT:
            doc.tell("OCI005", f"a document of more than {DOCUMENT} bytes", where)
            return None
        sums = {name: f"{name}:{hashlib.new(name, content).hexdigest()}" for name in ALGORITHMS}
        fits = self._verify(doc, good, where, len(content), sums)
        embedded = documents.data(doc, good, where)
        if embedded is not None and embedded != content:
            doc.tell("OCI032", "data is not the content", (*where, "data"))
        return content if fits else None

    def _opened(self, doc: Document, good: dict[str, Any], where: Where) -> BinaryIO | None:
        digest = good["digest"]
        try:
            stream = self._blobs.open(digest, good["mediaType"])
        except OSError as error:
            self._unreadable(doc, good, where, error)
            return None
        if stream is None and (embedded := documents.data(doc, good, where)) is not None:
            return io.BytesIO(embedded)
        if stream is None:
            doc.tell("OCI017", f"{self._blobs.name(digest)} is not there", where)
        return stream

    def _unreadable(self, doc: Document, good: dict[str, Any], where: Where, error: OSError) -> None:
        doc.tell("OCI018", f"{self._blobs.name(good['digest'])}: {error.strerror or error}", where)

    def _verify(self, doc: Document, good: dict[str, Any], where: Where, size: int, sums: dict[str, str]) -> bool:
        digest = good["digest"]
        if size != good["size"]:
            doc.tell("OCI026", f"it has {size} bytes, not {good['size']}", (*where, "size"))
        seen = sums[digest.partition(":")[0]]
        if seen != digest:
            doc.tell("OCI027", f"it has the digest {seen}", (*where, "digest"))
            return False
        self.found.blobs.add(digest)
        if good["mediaType"] == media.EMPTY and (size != 2 or seen != _sum(digest, b"{}")):
            doc.tell("OCI057", "an empty descriptor of something else than {}", where)
        return bool(size == good["size"])

    # -- blobs ---------------------------------------------------------------------------------

    def blob(self, doc: Document, good: dict[str, Any], where: Where) -> None:
        """Check size and digest of a blob that is not looked into."""
        stream = self._opened(doc, good, where)
        if stream is None:
            return
        hashes = {name: hashlib.new(name) for name in ALGORITHMS}
        size, start = 0, b""
        try:
            with stream:
                while piece := stream.read(1 << 16):
                    start = start or piece
                    size += len(piece)
                    for one in hashes.values():
                        one.update(piece)
        except OSError as error:
            self._unreadable(doc, good, where, error)
            return
        self._verify(doc, good, where, size, {name: f"{name}:{one.hexdigest()}" for name, one in hashes.items()})
        embedded = documents.data(doc, good, where)
        if embedded is not None and (size != len(embedded) or start[:size] != embedded[: len(start)]):
            doc.tell("OCI032", "data is not the content", (*where, "data"))

    def _image(self, doc: Document, described: dict[str, Any], config: dict[str, Any], layers: list[Any]) -> None:
        """Check the configuration of an image and its layers, and hold them against each other."""
        inner = self.document(doc, config, ("config",))
        diff_ids = documents.config(inner) if inner is not None else None
        if inner is not None and inner.value is not None:
            self._platforms(inner, described)
        if inner is not None and diff_ids is not None and len(diff_ids) != len(layers):
            inner.tell("OCI074", f"{len(diff_ids)} diff ids and {len(layers)} layers", ("rootfs", "diff_ids"))
        stack = Stack()
        size = 0
        for number, one in enumerate(layers):
            where: Where = ("layers", number)
            good = documents.descriptor(doc, one, where)
            if good is None:
                continue
            if good["mediaType"] not in media.LAYERS:
                doc.tell("OCI058", f"the media type is {good['mediaType'][:100]}", where)
                self.blob(doc, good, where)
                continue
            if good["mediaType"] in media.DEPRECATED:
                doc.tell("OCI059", f"the media type is {good['mediaType']}", where)
                if good.get("urls") and not self._has(good):
                    continue  # it lies elsewhere, as such layers do
            layer = self.layer(doc, good, where)
            if layer is None:
                stack.lose()
                continue
            size += layer.plain_size
            self.problems(good["digest"], stack.apply(layer))
            if inner is not None and diff_ids is not None and number < len(diff_ids) and diff_ids[number]:
                self.diff_id(inner, layer, diff_ids[number], number)
        platform = (inner.value or {}) if inner is not None else {}
        words = f"{str(platform.get('os'))[:20]}/{str(platform.get('architecture'))[:20]}"
        self.note(f"image {described['digest']}: {words}, {len(layers)} layers, {size} bytes unpacked")

    def _has(self, good: dict[str, Any]) -> bool:
        with contextlib.suppress(OSError):
            stream = self._blobs.open(good["digest"], good["mediaType"])
            if stream is not None:
                stream.close()
                return True
        return False

    def layer(self, doc: Document, good: dict[str, Any], where: Where) -> Layer | None:
        """Read a layer, once however often it is named; None when it is not there."""
        digest = good["digest"]
        if digest not in self.found.layers:
            stream = self._opened(doc, good, where)
            if stream is None:
                return None
            try:
                with stream:
                    self.found.layers[digest] = read(stream, self._limit, frozenset(ALGORITHMS))
            except OSError as error:
                self._unreadable(doc, good, where, error)
                return None
            self.problems(digest, [(code, f"{words} (at byte {at})" if at else words)
                                   for code, words, at in self.found.layers[digest].problems])  # fmt: skip
        layer = self.found.layers[digest]
        self._verify(doc, good, where, layer.size, layer.digests)
        expected = media.LAYERS[good["mediaType"]]
        if layer.compression != expected:
            words = f"it is {layer.compression or 'not compressed'}, its media type says {expected or 'uncompressed'}"
            doc.tell("OCI100", words, where)
        return layer

    def problems(self, digest: str, found: list[tuple[str, str]]) -> None:
        """Tell what is wrong in a layer; of each rule the first ones, and how many more there are."""
        name = self._blobs.name(digest)
        by_code: dict[str, list[str]] = {}
        for code, words in found:
            by_code.setdefault(code, []).append(words)
        for code, all_words in by_code.items():
            for words in all_words[: documents.SHOWN]:
                self.report.add(code, words, file=f"{self.report.file}!{name}")
            if (more := len(all_words) - documents.SHOWN) > 0:
                self.report.add(code, f"and {more} more of the same", file=f"{self.report.file}!{name}")

    @staticmethod
    def diff_id(inner: Document, layer: Layer, wanted: str, number: int) -> None:
        """Hold a layer against its diff id."""
        if not layer.diff_ids:
            return  # it could not be read to its end, which was told
        seen = layer.diff_ids[wanted.partition(":")[0]]
        if seen != wanted:
            inner.tell("OCI075", f"layer {number} has the diff id {seen}", ("rootfs", "diff_ids", number))

    @staticmethod
    def _platforms(inner: Document, described: dict[str, Any]) -> None:
        platform = described.get("platform")
        if not isinstance(platform, dict) or inner.value is None:
            return
        for key in ("os", "architecture", "variant"):
            said, own = platform.get(key), inner.value.get(key)
            if said and own and said != own:
                words = f"{key} is {str(own)[:40]!r}, in the index {str(said)[:40]!r}"
                inner.tell("OCI081", words, (key,))


def _sum(digest: str, content: bytes) -> str:
    name = digest.partition(":")[0]
    return f"{name}:{hashlib.new(name, content).hexdigest()}"


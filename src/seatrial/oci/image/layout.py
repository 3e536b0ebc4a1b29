"""Layouts, and archives as `docker save` writes them."""

from __future__ import annotations

import hashlib
import io
import re
from contextlib import closing
from typing import Any, BinaryIO

from seatrial.oci.image import documents, media
from seatrial.oci.image.check import Checker
from seatrial.oci.image.documents import DOCUMENT, Document, Text
from seatrial.oci.image.files import Files
from seatrial.oci.image.layer import Stack, read
from seatrial.oci.image.rules import Report
from seatrial.oci.image.unpacked import ALGORITHMS

_VERSION = "1.0.0"
_NAME = re.compile(r"[a-zA-Z0-9][\w.:-]*(/[a-z0-9][a-z0-9._-]*)*:[\w][\w.-]{0,127}")


class LayoutBlobs:
    """The blobs of a layout."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def open(self, digest: str, _: str) -> BinaryIO | None:
        """Open a blob by its path."""
        return self._files.open(self.name(digest))

    def name(self, digest: str) -> str:
        """Return the path of a blob."""
        return f"blobs/{digest.replace(':', '/', 1)}"


def _content(files: Files, report: Report, name: str, missing: str, words: str) -> bytes | None:
    """Read a document; None when it is not there, which is the rule `missing`, or cannot be read, which is told."""
    try:
        stream = files.open(name)
        if stream is None:
            report.add(missing, words)
            return None
        with closing(stream):
            content = stream.read(DOCUMENT + 1)
    except OSError as error:
        report.add("OCI018", f"{name}: {error.strerror or error}")
        return None
    if len(content) > DOCUMENT:
        report.add("OCI005", f"{name} has more than {DOCUMENT} bytes")
        return None
    return content


def _document(files: Files, report: Report, name: str, missing: str) -> Document | None:
    content = _content(files, report, name, missing, f"there is no {name}")
    return None if content is None else Document(report, name, content)


def layout(files: Files, report: Report, limit: int) -> Checker:
    """Check a layout: its own files, every image in it, and every blob against its name."""
    checker = Checker(report, LayoutBlobs(files), limit)
    mark = _document(files, report, "oci-layout", "OCI010")
    if mark is not None and mark.value is not None:
        version = mark.value.get("imageLayoutVersion")
        if not isinstance(version, str):
            mark.tell("OCI011", "imageLayoutVersion is missing or no text")
        elif version != _VERSION:
            mark.tell("OCI012", f"the version is {version[:40]!r}", ("imageLayoutVersion",))
    if not files.holds("blobs"):
        report.add("OCI014", "there is no directory blobs")
    index = _document(files, report, "index.json", "OCI013")
    if index is not None:
        checker.index(index, top=True)
    _names(files, report, checker)
    return checker


def _names(files: Files, report: Report, checker: Checker) -> None:
    """Hold every blob that was not met on the way against its name."""
    for path in files.names():
        place, _, rest = path.partition("/")
        if place != "blobs" or not rest:
            continue
        algorithm, _, encoded = rest.partition("/")
        digest = f"{algorithm}:{encoded}"
        form = media.ENCODED.get(algorithm)
        if not media.DIGEST.fullmatch(digest) or (form and not form.fullmatch(encoded)):
            report.add("OCI016", f"{path[:200]!r} is named by no digest")
        elif algorithm in ALGORITHMS and digest not in checker.found.blobs:
            _named(files, report, path, digest)


def _named(files: Files, report: Report, path: str, digest: str) -> None:
    try:
        stream = files.open(path)
    except OSError as error:
        report.add("OCI018", f"{path}: {error.strerror or error}")
        return
    if stream is None:
        report.add("OCI018", f"{path} leads nowhere")
        return
    made = hashlib.new(digest.partition(":")[0])
    with closing(stream):
        while piece := stream.read(1 << 16):
            made.update(piece)
    if made.hexdigest() != digest.partition(":")[2]:
        report.add("OCI015", f"it has the digest {made.name}:{made.hexdigest()}", file=f"{report.file}!{path}")


def saved(files: Files, report: Report, limit: int, checker: Checker | None = None) -> None:
    """Check manifest.json and what it names; `checker` has seen the layout in the same archive."""
    content = _content(files, report, "manifest.json", "OCI018", "manifest.json is a directory or leads nowhere")
    if content is None:
        return
    doc = Text(report, "manifest.json", content)
    if not doc.readable:
        return
    listed = doc.content
    if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
        report.add("OCI090", "manifest.json is no array of objects")
        return
    if not listed:
        report.add("OCI045", "manifest.json lists no image")
    for number, entry in enumerate(listed):
        _entry(files, report, limit, entry, number, checker)


def _entry(
    files: Files, report: Report, limit: int, entry: dict[str, Any], number: int, checker: Checker | None
) -> None:  # fmt: skip
    where = f"manifest.json [{number}]"
    name, layers = entry.get("Config"), entry.get("Layers")
    if not isinstance(name, str) or not isinstance(layers, list) or not all(isinstance(one, str) for one in layers):
        report.add("OCI090", f"{where} lacks Config or Layers")
        return
    tags = entry.get("RepoTags")
    if tags is not None and not isinstance(tags, list):
        report.add("OCI090", f"{where}: RepoTags are {documents.jsontype(tags)}")
        return
    for tag in tags or ():
        if not isinstance(tag, str) or not _NAME.fullmatch(tag):
            report.add("OCI093", f"{where}: {str(tag)[:200]!r}")
    config = _file(files, report, name, where)
    if config is None:
        return
    with closing(config):
        content = config.read(DOCUMENT + 1)
    sum_ = hashlib.sha256(content).hexdigest()
    if name.removesuffix(".json").rpartition("/")[2] != sum_:
        report.add("OCI092", f"{name[:200]} has the digest sha256:{sum_}")
    if checker is not None:
        digests = {str(one.value["config"].get("digest")) for one in checker.found.manifests.values()
                   if isinstance(one.value.get("config"), dict)}  # fmt: skip
        if f"sha256:{sum_}" not in digests:
            report.add("OCI094", f"{where} is sha256:{sum_}, which index.json does not lead to")
        return  # the walk through the layout has seen it
    doc = Document(report, name, content)
    diff_ids = documents.config(doc)
    if diff_ids is not None and len(diff_ids) != len(layers):
        doc.tell("OCI074", f"{len(diff_ids)} diff ids and {len(layers)} layers", ("rootfs", "diff_ids"))
    stack = Stack()
    own = Checker(report, _Plain(), limit)
    size = 0
    for position, one in enumerate(layers):
        stream = _file(files, report, one, where)
        if stream is None:
            stack.lose()
            continue
        with closing(stream):
            layer = read(stream, limit, frozenset(ALGORITHMS))
        size += layer.plain_size
        own.problems(one, [(code, f"{words} (at byte {at})" if at else words) for code, words, at in layer.problems])
        own.problems(one, stack.apply(layer))
        wanted = diff_ids[position] if diff_ids is not None and position < len(diff_ids) else ""
        if wanted:
            own.diff_id(doc, layer, wanted, position)
    value = doc.value or {}
    words = f"{str(value.get('os'))[:20]}/{str(value.get('architecture'))[:20]}"
    own.note(f"image sha256:{sum_}: {words}, {len(layers)} layers, {size} bytes unpacked")


def _file(files: Files, report: Report, name: str, where: str) -> BinaryIO | None:
    if ".." in name.split("/") or name.startswith("/"):
        report.add("OCI004", f"{where}: {name[:200]!r} leads out of the archive")
        return None
    try:
        stream = files.open(name)
    except OSError as error:
        report.add("OCI004", f"{name}: {error.strerror or error}")
        return None
    if stream is None:
        report.add("OCI091", f"{where}: {name[:200]!r} is not there")
    return stream


class _Plain:
    """Files are called by their names."""

    def open(self, _digest: str, _type: str) -> BinaryIO | None:
        return io.BytesIO()

    def name(self, digest: str) -> str:
        return digest

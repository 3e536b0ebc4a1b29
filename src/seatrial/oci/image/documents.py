"""JSON documents of images, property by property."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from seatrial import jsontext
from seatrial.diagnostics import Severity
from seatrial.jsontext import Where
from seatrial.oci.image import media
from seatrial.oci.image.rules import Report

DOCUMENT = 4 << 20  # bytes of an index, a manifest or a configuration
REF_NAME = "org.opencontainers.image.ref.name"
# of one rule in one document; the rest is counted
SHOWN = 20

_KEYS = frozenset(
    f"org.opencontainers.image.{key}" for key in (
        "created", "authors", "url", "documentation", "source", "version", "revision", "vendor", "licenses", "ref.name",
        "title", "description", "base.digest", "base.name",
    )
)  # fmt: skip
_URIS = ("url", "documentation", "source")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_REF = re.compile(r"[A-Za-z0-9]+(?:(?:[-._:@+]|--)[A-Za-z0-9]+)*(?:/[A-Za-z0-9]+(?:(?:[-._:@+]|--)[A-Za-z0-9]+)*)*")
_PORT = re.compile(r"(\d{1,5})(/(tcp|udp|sctp))?")


class Text:
    """A JSON text with a name; what is told of it has its place. `content` is None when it could not be read."""

    def __init__(self, report: Report, name: str, text: bytes) -> None:
        self.name = name
        self.report = report
        self._counts: dict[str, int] = {}
        self._parsed = jsontext.Document("")
        self.readable = False
        self.content: Any = self._read(text)

    def _read(self, text: bytes) -> Any:
        try:
            self._parsed = jsontext.read(text.decode("utf-8"))
        except UnicodeDecodeError as error:
            self.tell("OCI006", f"it is not UTF-8: {error.reason} at byte {error.start}")
            return None
        for flaw in self._parsed.flaws:
            code = {"duplicate": "OCI007", "limit": "OCI005"}.get(flaw.kind, "OCI006")
            self.report.add(code, flaw.message, flaw.where, self._parsed.position(flaw.offset), file=self.file)
        if any(flaw.kind != "duplicate" for flaw in self._parsed.flaws):
            return None
        self.readable = True
        return self._parsed.value

    @property
    def file(self) -> str:
        """What diagnostics call the document."""
        return f"{self.report.file}!{self.name}" if self.name else self.report.file

    def tell(self, code: str, message: str, where: Where = (), hint: str = "",
             severity: Severity | None = None) -> None:  # fmt: skip
        """Add a diagnostic about a place of the document."""
        count = self._counts[code] = self._counts.get(code, 0) + 1
        if count <= SHOWN:
            place = self._parsed.place(where)
            self.report.add(code, message, where, place, hint, severity, file=self.file)
        elif count == SHOWN + 1:
            self.report.add(code, "and more of the same", file=self.file)

    def of_type(self, value: Any, kind: type | tuple[type, ...], where: Where, words: str) -> bool:
        """Tell whether a value is of a type, and say so when it is not; true and false are no numbers."""
        good = isinstance(value, kind) and not (isinstance(value, bool) and kind is int)
        if not good:
            self.tell("OCI008", f"expected {words}, found {jsontype(value)}", where)
        return good

    def optional(self, holder: dict[str, Any], key: str, kind: type, words: str, where: Where = ()) -> Any:
        """Return an optional property of a type; None when it is not there, is null or is something else."""
        value = holder.get(key)
        return value if value is not None and self.of_type(value, kind, (*where, key), words) else None


class Document(Text):
    """A JSON object with a name; `value` is None when it could not be read or is something else."""

    def __init__(self, report: Report, name: str, text: bytes) -> None:
        super().__init__(report, name, text)
        self.value: dict[str, Any] | None = self.content if isinstance(self.content, dict) else None
        if self.readable and self.value is None:
            self.tell("OCI006", "it is no JSON object")


def jsontype(value: Any) -> str:
    """Return what JSON calls the type of a value."""
    names: dict[type, str] = {dict: "an object", list: "an array", str: "text", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def digest(doc: Document, value: Any, where: Where) -> str:
    """Check a digest; return it when its content can be checked by it, else nothing."""
    if not doc.of_type(value, str, where, "text"):
        return ""
    match = media.DIGEST.fullmatch(value)
    if not match:
        doc.tell("OCI022", f"{value[:100]!r} is no digest", where)
        return ""
    form = media.ENCODED.get(match["algorithm"])
    if form is None:
        doc.tell("OCI024", f"the algorithm {match['algorithm']} is not known", where)
        return ""
    if not form.fullmatch(match["encoded"]):
        doc.tell("OCI023", f"{match['encoded'][:140]!r} is no value of {match['algorithm']}", where)
        return ""
    if match["algorithm"] == "blake3":
        doc.tell("OCI024", "blake3 cannot be calculated here", where)
        return ""
    return str(value)


def descriptor(doc: Document, value: Any, where: Where, *, top: bool = False) -> dict[str, Any] | None:
    """Check a descriptor; return it when mediaType, digest and size can be used."""
    if not doc.of_type(value, dict, where, "a descriptor (an object)"):
        return None
    usable = True
    for key in ("mediaType", "digest", "size"):
        if value.get(key) is None:
            doc.tell("OCI020", f"{key} is missing", where)
            usable = False
    if "mediaType" in value and value["mediaType"] is not None:
        usable = media_type(doc, value["mediaType"], (*where, "mediaType")) and usable
    if value.get("digest") is not None:
        usable = bool(digest(doc, value["digest"], (*where, "digest"))) and usable
    if (size := value.get("size")) is not None:
        if not doc.of_type(size, int, (*where, "size"), "a whole number"):
            usable = False
        elif not 0 <= size < 1 << 63:
            doc.tell("OCI025", f"the size is {size}", (*where, "size"))
            usable = False
    _urls(doc, value, where)
    notes(doc, value, where, top=top)
    if value.get("artifactType") is not None:
        media_type(doc, value["artifactType"], (*where, "artifactType"), "OCI033")
    if value.get("platform") is not None:
        platform(doc, value["platform"], (*where, "platform"))
    return value if usable else None


def data(doc: Document, value: dict[str, Any], where: Where) -> bytes | None:
    """Return the content that a descriptor embeds; None when there is none or it is not base64."""
    text = doc.optional(value, "data", str, "text", where)
    if text is None:
        return None
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        doc.tell("OCI031", f"data is not base64: {error}", (*where, "data"))
        return None


def media_type(doc: Document, value: Any, where: Where, code: str = "OCI021") -> bool:
    """Check the form of a media type."""
    if not doc.of_type(value, str, where, "text"):
        return False
    if not media.TYPE.fullmatch(value):
        doc.tell(code, f"{value[:100]!r} is no media type", where)
        return False
    return True


def _urls(doc: Document, value: dict[str, Any], where: Where) -> None:
    for number, url in enumerate(doc.optional(value, "urls", list, "an array", where) or ()):
        place = (*where, "urls", number)
        if doc.of_type(url, str, place, "text"):
            scheme = _scheme(url)
            if not scheme:
                doc.tell("OCI028", f"{url[:200]!r} is no URI", place)
            elif scheme not in ("http", "https"):
                doc.tell("OCI029", f"the scheme is {scheme}", place)


def _scheme(url: str) -> str:
    """Return the scheme of a URI, empty when the text is none."""
    if not re.fullmatch(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+", url):
        return ""
    try:
        return urlsplit(url).scheme
    except ValueError:
        return ""


def notes(doc: Document, holder: dict[str, Any], where: Where = (), *, top: bool = False,
          key: str = "annotations") -> None:  # fmt: skip
    """Check a map of annotations; `top` is that of a descriptor in index.json, `key` what it is called."""
    value = holder.get(key)
    if value is None:
        return
    place = (*where, key)
    if not isinstance(value, dict):
        doc.tell("OCI030", f"{key} are {jsontype(value)}", place)
        return
    for name, text in value.items():
        if not isinstance(text, str):
            doc.tell("OCI030", f"the value of {name!r} is {jsontype(text)}", (*place, name))
        else:
            _annotation(doc, name, text, (*place, name), top)


def _annotation(doc: Document, name: str, text: str, where: Where, top: bool) -> None:
    short = name.removeprefix("org.opencontainers.image.")
    if name.startswith("org.opencontainers.") and name not in _KEYS:
        doc.tell("OCI038", f"{name!r} is not defined", where)
    elif name == REF_NAME and not top:
        doc.tell("OCI046", "the reference name is not on a descriptor of index.json", where)
    elif name == REF_NAME and not _REF.fullmatch(text):
        doc.tell("OCI039", f"{text[:100]!r} is no reference name", where)
    elif name in _KEYS and short == "created" and not is_time(text):
        doc.tell("OCI039", f"{text[:60]!r} is no time", where)
    elif name in _KEYS and short in _URIS and not _scheme(text):
        doc.tell("OCI039", f"{text[:100]!r} is no URI", where)


def is_time(text: str) -> bool:
    """Tell whether a text is a date and time of RFC 3339 that exists."""
    if not _TIME.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(re.sub(r"\.\d+", "", text.upper()).replace("Z", "+00:00"))
    except ValueError:
        return False
    return True


def platform(doc: Document, value: Any, where: Where, *, required: str = "OCI034") -> None:
    """Check os, architecture, variant and what else a platform has."""
    if not doc.of_type(value, dict, where, "an object"):
        return
    for key, known in (("os", media.OSES), ("architecture", media.ARCHITECTURES)):
        if value.get(key) in (None, ""):
            doc.tell(required, f"{key} is missing", where)
        elif doc.of_type(value[key], str, (*where, key), "text") and value[key] not in known:
            doc.tell("OCI035", f"{value[key][:60]!r} is no {key} of Go", (*where, key))
    variant = doc.optional(value, "variant", str, "text", where)
    form = media.VARIANTS.get(str(value.get("architecture")))
    if variant and (form is None or not form.fullmatch(variant)):
        doc.tell("OCI036", f"{variant[:60]!r} is no variant of {value.get('architecture')}", (*where, "variant"))
    doc.optional(value, "os.version", str, "text", where)
    texts(doc, value, "os.features", where)
    if value.get("features") is not None and required == "OCI034":
        doc.tell("OCI037", "features is reserved", (*where, "features"))


def texts(doc: Document, holder: dict[str, Any], key: str, where: Where = ()) -> list[str]:
    """Return an optional array of texts."""
    found = doc.optional(holder, key, list, "an array of texts", where) or []
    return [text for number, text in enumerate(found) if doc.of_type(text, str, (*where, key, number), "text")]


def config(doc: Document) -> list[str] | None:
    """Check an image's configuration; return its diff ids, None when it has none that can be used."""
    value = doc.value
    if value is None:
        return None
    platform(doc, value, (), required="OCI070")
    _time(doc, value, ())
    doc.optional(value, "author", str, "text")
    if (inner := doc.optional(value, "config", dict, "an object")) is not None:
        _execution(doc, inner)
    rootfs = value.get("rootfs")
    if rootfs is None:
        doc.tell("OCI071", "rootfs is missing")
        return None
    if not doc.of_type(rootfs, dict, ("rootfs",), "an object"):
        return None
    if rootfs.get("type") != "layers":
        doc.tell("OCI072", f"the type is {str(rootfs.get('type'))[:60]!r}", ("rootfs",))
    ids = rootfs.get("diff_ids")
    if ids is None:
        doc.tell("OCI073", "diff_ids is missing", ("rootfs",))
        return None
    if not doc.of_type(ids, list, ("rootfs", "diff_ids"), "an array"):
        return None
    checked = [digest(doc, one, ("rootfs", "diff_ids", number)) for number, one in enumerate(ids)]
    _history(doc, value, len(ids))
    return checked


def _time(doc: Document, holder: dict[str, Any], where: Where) -> None:
    text = doc.optional(holder, "created", str, "text", where)
    if text is not None and not is_time(text):
        doc.tell("OCI076", f"{text[:60]!r} is no time", (*where, "created"))


def _history(doc: Document, value: dict[str, Any], layers: int) -> None:
    history = doc.optional(value, "history", list, "an array")
    if not history:
        return
    full = 0
    for number, entry in enumerate(history):
        where: Where = ("history", number)
        if not doc.of_type(entry, dict, where, "an object"):
            continue
        _time(doc, entry, where)
        for key in ("created_by", "author", "comment"):
            doc.optional(entry, key, str, "text", where)
        doc.optional(entry, "empty_layer", bool, "true or false", where)
        full += entry.get("empty_layer") is not True
    if full != layers:
        doc.tell("OCI077", f"{full} entries of history made a layer, and there are {layers} layers", ("history",))


def _execution(doc: Document, inner: dict[str, Any]) -> None:
    at: Where = ("config",)
    for key in ("User", "WorkingDir", "StopSignal"):
        doc.optional(inner, key, str, "text", at)
    for key in ("Entrypoint", "Cmd"):
        texts(doc, inner, key, at)
    for number, entry in enumerate(texts(doc, inner, "Env", at)):
        if not re.match(r"[^=\0]+=", entry):
            doc.tell("OCI078", f"{entry[:60]!r} is not NAME=VALUE", ("config", "Env", number))
    _set(doc, inner, "ExposedPorts", _port)
    _set(doc, inner, "Volumes", lambda _: True)
    notes(doc, inner, at, key="Labels", top=True)
    directory = inner.get("WorkingDir")
    if isinstance(directory, str) and directory and not re.match(r"/|[A-Za-z]:[\\/]", directory):
        doc.tell("OCI083", f"the working directory is {directory[:60]!r}", ("config", "WorkingDir"))
    for key in ("Memory", "MemorySwap", "CpuShares", "Healthcheck"):
        if inner.get(key):
            doc.tell("OCI082", f"{key} is reserved", ("config", key))


def _set(doc: Document, inner: dict[str, Any], key: str, fits: Callable[[str], bool]) -> None:
    for name, empty in (doc.optional(inner, key, dict, "an object", ("config",)) or {}).items():
        if empty != {}:
            doc.tell("OCI080", f"the value of {name[:60]!r} is no empty object", ("config", key, name))
        if not fits(name):
            doc.tell("OCI079", f"{name[:60]!r} is no port", ("config", key, name))


def _port(text: str) -> bool:
    match = _PORT.fullmatch(text)
    return match is not None and 0 < int(match[1]) < 65536

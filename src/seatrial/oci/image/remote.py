"""Images of registries, over the distribution protocol."""

from __future__ import annotations

import hashlib
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import requests

from seatrial.listening import is_loopback
from seatrial.oci.challenge import Challenge, token_in
from seatrial.oci.image import documents, media, signature
from seatrial.oci.image.check import Checker
from seatrial.oci.image.documents import DOCUMENT, Document
from seatrial.oci.image.rules import Report
from seatrial.oci.image.signature import Keys, Tagged

_TIMEOUT = 30.0
_ACCEPT = ", ".join((media.INDEX, media.MANIFEST, media.DOCKER_LIST, media.DOCKER_MANIFEST))
_NAME = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
_REFERENCE = re.compile(
    rf"(?:docker://)?(?P<host>[A-Za-z0-9.-]+(?::\d+)?|\[[0-9a-f:]+\](?::\d+)?)/(?P<name>{_NAME})"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>[a-z0-9+._-]+:[0-9a-zA-Z=_-]+))?"
)


@dataclass(frozen=True)
class Named:
    """A parsed reference; `reference` is the digest, else the tag."""

    host: str
    name: str
    reference: str


def parse(text: str) -> Named:
    """Parse HOST[:PORT]/NAME[:TAG][@DIGEST]; raises `ValueError` with what is wrong."""
    match = _REFERENCE.fullmatch(text)
    if not match:
        raise ValueError("it is not of the form HOST[:PORT]/NAME:TAG")
    if not re.search(r"[.:]|^localhost$", match["host"]):
        raise ValueError(f"{match['host']} is no name of a host")
    return Named(match["host"], match["name"], match["digest"] or match["tag"] or "latest")


def _loopback(host: str) -> bool:
    name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
    return is_loopback(name.strip("[]"))


class _Body(io.RawIOBase):
    """The body of an answer, as it comes."""

    def __init__(self, answer: requests.Response) -> None:
        self._answer = answer

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        try:
            data = self._answer.raw.read(len(buffer))
        except Exception as error:
            raise OSError(f"the answer broke off: {error}") from error
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._answer.close()
        super().close()


class Registry:
    """One repository of a registry; plain HTTP on loopback and where it is asked for."""

    def __init__(self, named: Named, *, plain: bool = False, ca: Path | None = None) -> None:
        self.named = named
        scheme = "http" if plain or _loopback(named.host) else "https"
        self._base = f"{scheme}://{named.host}/v2/{named.name}"
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Accept-Encoding"] = "identity"
        if ca is not None:
            self._session.verify = str(ca)
        self._manifests = media.INDEXES | media.MANIFESTS

    def close(self) -> None:
        """End the connections."""
        self._session.close()

    def get(self, path: str, accept: str = "*/*", *, head: bool = False) -> requests.Response:
        """Send a GET (or HEAD); a challenge for a token is answered. Raises OSError."""
        method = "HEAD" if head else "GET"
        headers = {"Accept": accept}
        answer = self._send(method, f"{self._base}/{path}", headers)
        if answer.status_code != 401 or "Authorization" in self._session.headers:
            return answer
        token = self._token(answer.headers.get("WWW-Authenticate", ""))
        if not token:
            return answer
        self._session.headers["Authorization"] = f"Bearer {token}"
        answer.close()
        return self._send(method, f"{self._base}/{path}", headers)

    def _send(self, method: str, url: str, headers: dict[str, str]) -> requests.Response:
        try:
            return self._session.request(method, url, headers=headers, timeout=_TIMEOUT, stream=True,
                                         allow_redirects=True)  # fmt: skip
        except requests.RequestException as error:
            raise OSError(str(error)[:300]) from error

    def _token(self, header: str) -> str:
        """Ask for an anonymous token as a challenge says."""
        challenge = Challenge.read(header)
        if not challenge.realm.startswith(("http://", "https://")):
            return ""
        query = {name: challenge.fields[name] for name in ("service", "scope") if name in challenge.fields}
        try:
            return token_in(self._session.get(challenge.realm, params=query, timeout=_TIMEOUT).json())
        except (requests.RequestException, ValueError):
            return ""

    # -- as a store of blobs -------------------------------------------------------------------

    def open(self, digest: str, media_type: str) -> BinaryIO | None:
        """Open a blob, or a manifest by its digest."""
        kind = "manifests" if media_type in self._manifests else "blobs"
        answer = self.get(f"{kind}/{digest}", _ACCEPT if kind == "manifests" else "*/*")
        if answer.status_code == 404:
            answer.close()
            return None
        if answer.status_code != 200:
            answer.close()
            raise OSError(f"the registry answers {answer.status_code}")
        return io.BufferedReader(_Body(answer))

    def name(self, digest: str) -> str:
        """Return what diagnostics call a blob."""
        return digest

    def tagged(self, tag: str) -> bytes | None:
        """Return the manifest of a tag, None when there is none; raises OSError."""
        answer = self.get(f"manifests/{tag}", _ACCEPT)
        with answer:
            if answer.status_code == 404:
                return None
            if answer.status_code != 200:
                raise OSError(f"the registry answers {answer.status_code}")
            return _bounded(answer)


def _bounded(answer: requests.Response) -> bytes:
    content = b""
    with _Body(answer) as body:
        while len(content) <= DOCUMENT and (piece := body.read(1 << 16)):
            content += piece
    return content


def check(store: Registry, report: Report, limit: int, keys: Keys | None) -> None:
    """Check what a reference names, and what the registry lists as referring to it."""
    checker = Checker(report, store, limit)
    try:
        answer = store.get(f"manifests/{store.named.reference}", _ACCEPT)
        with answer:
            content = _bounded(answer) if answer.status_code == 200 else b""
    except OSError as error:
        report.add("OCI001", f"{store.named.host} does not give it: {error}")
        return
    if answer.status_code != 200:
        report.add("OCI001", f"{store.named.host} answers {answer.status_code} {answer.reason}")
        return
    if len(content) > DOCUMENT:
        report.add("OCI005", f"a document of more than {DOCUMENT} bytes")
        return
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    wanted = store.named.reference
    if ":" in wanted:
        algorithm = wanted.partition(":")[0]
        known = algorithm in ("sha256", "sha512")
        seen = f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}" if known else wanted
        if seen != wanted:
            report.add("OCI027", f"asked for {wanted}, the content has {seen}")
            return
    told = answer.headers.get("Docker-Content-Digest", "")
    if told.startswith("sha256:") and told != digest:
        report.add("OCI130", f"Docker-Content-Digest is {told[:100]}, the content has {digest}")
    doc = Document(report, digest, content)
    if doc.value is None:
        return
    served = answer.headers.get("Content-Type", "").partition(";")[0].strip()
    said = doc.value.get("mediaType")
    kind = said if isinstance(said, str) and said else served
    if served != kind:
        doc.tell("OCI131", f"Content-Type is {served[:100]!r}, mediaType {kind[:100]!r}")
    if kind in media.INDEXES or ("manifests" in doc.value and kind not in media.MANIFESTS):
        checker.index(doc, digest)
    else:
        checker.manifest(doc, {"digest": digest, "mediaType": kind})
    _referrers(store, report, checker, digest)
    if keys is not None:
        asked = f"{store.named.host}/{store.named.name}" + ("" if ":" in wanted else f":{wanted}")
        signature.verify(report, [digest], checker.found, Tagged(store.tagged, store.open), keys, asked)


def _referrers(store: Registry, report: Report, checker: Checker, digest: str) -> None:
    """Check the list of referrers, where the registry has one."""
    try:
        answer = store.get(f"referrers/{digest}", media.INDEX)
        with answer:
            content = _bounded(answer)
    except OSError as error:
        report.add("OCI132", f"the list of referrers cannot be read: {error}")
        return
    if answer.status_code in (404, 405):
        return  # this registry has no such API
    doc = Document(report, f"referrers/{digest}", content if len(content) <= DOCUMENT else b"")
    served = answer.headers.get("Content-Type", "").partition(";")[0].strip()
    if answer.status_code != 200 or served != media.INDEX:
        doc.tell("OCI132", f"the answer is {answer.status_code} {served[:100]!r}")
        return
    listed: Any = (doc.value or {}).get("manifests")
    if not isinstance(listed, list):
        doc.tell("OCI132", "the list has no manifests")
        return
    for number, entry in enumerate(listed[:1000]):
        where = ("manifests", number)
        good = documents.descriptor(doc, entry, where)
        if good is None:
            continue
        checker.descriptor(doc, good, where)
        manifest = checker.found.manifests.get(good["digest"])
        if manifest is None:
            continue
        if manifest.subject != digest:
            doc.tell("OCI133", f"{good['digest']} refers to {manifest.subject or 'nothing'}", where)
        if good.get("artifactType") != (own := checker.artifact_type(manifest)):
            doc.tell("OCI134", f"listed as {str(good.get('artifactType'))[:100]}, it is {own[:100]}", where)

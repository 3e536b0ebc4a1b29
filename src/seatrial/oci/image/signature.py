"""Signatures of images: cosign's, by a public key, and simple signing, by GPG.

cosign keeps the signature of sha256:X in the image tagged sha256-X.sig: each layer is what was signed, its annotation
the signature (github.com/sigstore/cosign, SIGNATURE_SPEC.md). Simple signing keeps files NAME@sha256=X/signature-N,
each an OpenPGP message (containers-signature(5), containers-registries.d(5)).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import json
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from seatrial.diagnostics import Severity
from seatrial.errors import SeatrialError
from seatrial.oci.image import documents, media
from seatrial.oci.image.check import Found
from seatrial.oci.image.documents import DOCUMENT
from seatrial.oci.image.files import Files
from seatrial.oci.image.rules import Report

_PAYLOAD = "application/vnd.dev.cosign.simplesigning.v1+json"
_ANNOTATION = "dev.cosignproject.cosign/signature"
_COSIGN, _ATOMIC = "cosign container image signature", "atomic container signature"
_MOST = 100  # signatures of one image
# what GPG says of a signature
_VOID = {"EXPSIG": "the signature has expired", "EXPKEYSIG": "the key of the signature has expired",
         "REVKEYSIG": "the key of the signature was revoked"}  # fmt: skip
_VERDICTS = {"GOODSIG", "BADSIG", "ERRSIG", *_VOID}
Open = Callable[[str, str], BinaryIO | None]
_Public = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey


@dataclass(frozen=True)
class Keys:
    """Which signatures have to hold: by a public key (PEM), or by GPG keys and the directory of signatures."""

    public: Path | None = None
    gpg: Path | None = None
    signatures: Path | None = None


@dataclass
class Tagged:
    """Where manifests are found by tag and blobs by digest."""

    manifest: Callable[[str], bytes | None]
    open: Open


class LayoutTags(Tagged):
    """The tags of a layout: the reference names in its index.json."""

    def __init__(self, files: Files, blobs: Any) -> None:
        super().__init__(self._tagged, blobs.open)
        self._files = files
        self._blobs = blobs

    def _tagged(self, tag: str) -> bytes | None:
        stream = self._files.open("index.json")
        if stream is None:
            return None
        with closing(stream):
            index = _json(stream.read(DOCUMENT))
        listed = index.get("manifests")
        for entry in listed if isinstance(listed, list) else ():
            notes = entry.get("annotations") if isinstance(entry, dict) else None
            name = notes.get(documents.REF_NAME) if isinstance(notes, dict) else None
            if isinstance(name, str) and name.rpartition(":")[2] == tag and _usable(entry.get("digest")):
                blob = self._blobs.open(entry["digest"], media.MANIFEST)
                if blob is None:
                    return None
                with closing(blob):
                    return bytes(blob.read(DOCUMENT))
        return None


@dataclass
class Answer:
    """What became of the signatures of one image: those that hold, those of others, and what does not fit."""

    asked: str = ""  # the name that they have to speak of, where it is known
    holds: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    tampered: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    void: list[str] = field(default_factory=list)  # by a key that is no longer good
    foreign: list[str] = field(default_factory=list)  # of another name

    @property
    def empty(self) -> bool:
        """Whether there was no signature at all."""
        return not any((self.holds, self.others, self.tampered, self.unreadable, self.void, self.foreign))


def verify(
    report: Report, digests: Iterable[str], found: Found, tagged: Tagged, keys: Keys, asked: str = ""
) -> None:  # fmt: skip
    """Verify the signatures of what was named: one that holds is enough, as for those who pull.

    An index that is signed covers what it lists. With GPG alone, an index without a signature leaves it to its images,
    of which engines verify the one that they pull. `asked` is the name that a signature has to speak of.
    """
    waiting = sorted(dict.fromkeys(digests), key=lambda digest: digest not in found.indexes)
    if not waiting:
        report.add("OCI150", "there is no image that could be signed")
    covered: set[str] = set()
    while waiting:
        digest = waiting.pop(0)
        if digest in covered:
            continue
        answer = Answer(asked)
        if keys.public is not None:
            _cosign(answer, digest, tagged, _public(keys.public))
        if keys.gpg is not None:
            _simple(answer, digest, keys.gpg, keys.signatures)
        listed = found.indexes.get(digest)
        if listed and answer.empty and keys.public is None:
            waiting += [one for one in listed if one not in waiting]
            continue
        _tell(report, digest, answer)
        if answer.holds:
            _cover(digest, found, covered)


def named(found: Found) -> list[str]:
    """Return what in a layout has to be signed: what index.json names but signatures and artifacts of other images."""
    met = {*found.manifests, *found.indexes} - {""}
    return [digest for digest in found.indexes.get("", ()) if not _belongs(digest, found, met)]


def _belongs(digest: str, found: Found, met: set[str]) -> bool:
    """Tell whether something is no image but a signature of one, or refers to one."""
    manifest = found.manifests.get(digest)
    if manifest is None:
        return False
    if manifest.subject in met and manifest.config not in media.CONFIGS:
        return True
    layers, tags = _layers(manifest.value), found.named.get(digest)
    signed = {f"{one.replace(':', '-', 1)}.sig" for one in met}
    return bool(layers and tags) and all(layer.get("mediaType") == _PAYLOAD for layer in layers) and all(
        tag.rpartition(":")[2] in signed for tag in tags or ()
    )  # fmt: skip


def _cover(digest: str, found: Found, covered: set[str]) -> None:
    for one in found.indexes.get(digest, ()):
        if one not in covered:
            covered.add(one)
            _cover(one, found, covered)


def _speaks_of(name: str, asked: str) -> bool:
    """Tell whether a name in a signature is the repository that was asked for, with its tag where both have one."""
    (mine, my_tag), (its, its_tag) = _repository(asked), _repository(name)
    return mine == its and (not my_tag or not its_tag or my_tag == its_tag)


def _repository(name: str) -> tuple[str, str]:
    name = name.partition("@")[0]
    before, colon, tag = name.rpartition(":")
    return (before, tag) if colon and "/" not in tag else (name, "")


def _tell(report: Report, digest: str, answer: Answer) -> None:
    for words in answer.unreadable:
        report.add("OCI154", f"{digest}: {words}")
    for words in answer.tampered:
        report.add("OCI152", f"{digest}: {words}")
    for words in answer.void:
        report.add("OCI155", f"{digest}: {words}")
    for words in answer.foreign:
        report.add("OCI156", f"{digest}: {words}", severity=Severity.WARNING if answer.holds else None)
    if answer.holds:
        for words in answer.holds:
            report.add("OCI153", f"{digest} is signed: {words}")
    elif answer.others and not answer.tampered:
        report.add("OCI151", f"{digest}: {answer.others[0]}")
    elif answer.empty:
        report.add("OCI150", f"{digest} has no signature")


# -- cosign ------------------------------------------------------------------------------------


def _public(path: Path) -> _Public:
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise SeatrialError(
            "E323", f"cannot use the key {path}", str(error), "a PEM file as `cosign public-key` prints it"
        ) from error
    if not isinstance(key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey):
        raise SeatrialError("E323", f"cannot use the key {path}", "no ECDSA, Ed25519 or RSA key", "")
    return key


def fingerprint(key: _Public) -> str:
    """Return what names a public key: the digest of its DER form."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return f"sha256:{hashlib.sha256(key.public_bytes(serialization.Encoding.DER, form)).hexdigest()}"


def fits(key: _Public, signature: bytes, content: bytes) -> bool:
    """Tell whether a signature of some content was made with a key."""
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, content, ec.ECDSA(hashes.SHA256()))
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, content, padding.PKCS1v15(), hashes.SHA256())
        else:
            key.verify(signature, content)
    except InvalidSignature:
        return False
    return True


def _cosign(answer: Answer, digest: str, tagged: Tagged, key: _Public) -> None:
    try:
        text = tagged.manifest(digest.replace(":", "-", 1) + ".sig")
    except OSError as error:
        answer.unreadable.append(f"its signatures cannot be read: {error}")
        return
    if text is None:
        return
    for layer in _layers(_json(text))[:_MOST]:
        notes = layer.get("annotations")
        encoded = notes.get(_ANNOTATION) if isinstance(notes, dict) else None
        if layer.get("mediaType") != _PAYLOAD or not isinstance(encoded, str) or not _usable(layer.get("digest")):
            continue
        try:
            stream = tagged.open(layer["digest"], _PAYLOAD)
            with closing(stream or io.BytesIO()) as open_:
                payload = open_.read(DOCUMENT)
            signature = base64.b64decode(encoded, validate=True)
        except (OSError, binascii.Error, ValueError) as error:
            answer.unreadable.append(f"a signature cannot be read: {error}")
            continue
        sum_ = f"sha256:{hashlib.sha256(payload).hexdigest()}"
        if sum_ != layer["digest"]:
            answer.tampered.append(f"what was signed has the digest {sum_}, not {layer['digest']}")
        elif not fits(key, signature, payload):
            answer.others.append(f"a signature does not hold with the key {fingerprint(key)}")
        else:
            _claims(answer, digest, _json(payload), _COSIGN, f"by the key {fingerprint(key)}")
    if answer.empty:
        answer.unreadable.append("the image of its signatures holds none")


def _claims(answer: Answer, digest: str, payload: dict[str, Any], kind: str, by: str) -> None:
    """Take in a payload whose signature holds."""
    critical = payload.get("critical")
    critical = critical if isinstance(critical, dict) else {}
    image, identity = critical.get("image"), critical.get("identity")
    named = image.get("docker-manifest-digest") if isinstance(image, dict) else None
    name = identity.get("docker-reference") if isinstance(identity, dict) else None
    if critical.get("type") != kind:
        answer.unreadable.append(f"what was signed is of the type {str(critical.get('type'))[:60]!r}")
    elif named != digest:
        answer.tampered.append(f"the signature is one of {str(named)[:100]}")
    else:
        foreign = bool(answer.asked) and not _speaks_of(str(name), answer.asked)
        if foreign:
            answer.foreign.append(f"the signature {by} is one of {str(name)[:200]!r}")
        if not foreign or kind == _COSIGN:  # cosign does not ask for the name, images are copied with their signatures
            answer.holds.append(f"{by} as {str(name)[:200]!r}")


# -- simple signing ----------------------------------------------------------------------------


def _simple(answer: Answer, digest: str, key: Path, directory: Path | None) -> None:
    if directory is None or not directory.is_dir():
        raise SeatrialError("E324", "there is no directory of signatures", str(directory or ""),
                            "--signatures names the one that the registry's configuration calls lookaside")  # fmt: skip
    suffix = f"@{digest.replace(':', '=', 1)}"
    places = sorted(path for path in directory.rglob(f"*{suffix}") if path.is_dir())
    found = [path for place in places for path in sorted(place.glob("signature-*"))][:_MOST]
    if not found:
        return
    with tempfile.TemporaryDirectory(prefix="seatrial-gpg-") as home:
        gpg = _Gpg(Path(home))
        gpg.import_(key)
        for path in found:
            gpg.judge(answer, digest, path)


class _Gpg:
    """GPG with a key ring of its own; this machine's, else that of a lab's root file system."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def _run(self, *args: str, stdin: bytes) -> tuple[str, bytes, str]:
        """Return the status lines, the content and the messages of a command."""
        from seatrial.exec import ANY, run

        status = self._home / "status"
        command = [*_program(), "--homedir", str(self._home), "--batch", "--no-tty", "--no-autostart", "--status-file",
                   str(status), *args]  # fmt: skip
        status.write_bytes(b"")
        done = run(command, stdin=stdin, expect=ANY, timeout=60)
        return status.read_text("utf-8", "replace"), done.out, done.stderr

    def import_(self, key: Path) -> None:
        """Take in the keys of a file."""
        try:
            content = key.read_bytes()
        except OSError as error:
            raise SeatrialError("E323", f"cannot use the key {key}", error.strerror or str(error), "") from error
        status, _, said = self._run("--import", stdin=content)
        if "IMPORT_OK" not in status:
            raise SeatrialError("E323", f"cannot use the key {key}", said.strip()[-200:], "gpg --export --armor NAME")

    def judge(self, answer: Answer, digest: str, path: Path) -> None:
        """Verify one file."""
        with path.open("rb") as stream:
            content = stream.read(DOCUMENT)
        status, payload, _ = self._run("--decrypt", stdin=content)
        words = {line.split()[1]: line.split()[2:] for line in status.splitlines() if len(line.split()) > 1}
        seen = [line.split()[1] for line in status.splitlines() if len(line.split()) > 1]
        signatures = sum(word in _VERDICTS for word in seen)
        if "BADSIG" in words or "BADMDC" in words:
            answer.tampered.append(f"the signature in {path.name} does not hold: it was changed")
        elif signatures > 1:
            answer.unreadable.append(f"{path.name} holds {signatures} signatures, not one")
        elif "VALIDSIG" in words and "GOODSIG" in words:
            by = f"by the GPG key {words['VALIDSIG'][0]}"
            _claims(answer, digest, _json(payload), _ATOMIC, by)
        elif "NO_PUBKEY" in words or "ERRSIG" in words:
            answer.others.append(f"a signature is of the key {(words.get('NO_PUBKEY') or words['ERRSIG'])[0]}")
        elif void := _VOID.keys() & words.keys():
            answer.void.append(f"{path.name}: {_VOID[min(void)]}")
        else:
            answer.unreadable.append(f"{path.name} is no OpenPGP message with a signature")


def _program() -> list[str]:
    import shutil

    if found := shutil.which("gpg"):
        return [found]
    from seatrial.lab import rootfs

    return rootfs.program(rootfs.ensure("bookworm"), "/usr/bin/gpg")


# -- bits --------------------------------------------------------------------------------------


def _json(content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _layers(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    layers = manifest.get("layers")
    return [one for one in layers if isinstance(one, dict)] if isinstance(layers, list) else []


def _usable(digest: Any) -> bool:
    match = media.DIGEST.fullmatch(digest) if isinstance(digest, str) else None
    form = media.ENCODED.get(match["algorithm"]) if match else None
    return bool(match and form and form.fullmatch(match["encoded"]))

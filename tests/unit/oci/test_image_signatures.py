"""Signed, unsigned, signed by another key, tampered with: four answers, for cosign and for simple signing."""

import base64
import json
import shutil
import subprocess

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from seatrial.diagnostics import Severity
from seatrial.errors import SeatrialError
from seatrial.oci.image import media, validate
from seatrial.oci.image.samples import Layout, describe, digest, put, write
from seatrial.oci.image.signature import Keys
from seatrial.oci.image.validate import Wishes

PAYLOAD = "application/vnd.dev.cosign.simplesigning.v1+json"


def image_of(files):
    return json.loads(files["index.json"])["manifests"][0]["digest"]


def payload(image, kind="cosign container image signature"):
    critical = {"identity": {"docker-reference": "example.com/fleet/ship"}, "image": {"docker-manifest-digest": image},
                "type": kind}
    return json.dumps({"critical": critical, "optional": None}).encode()


def ecdsa():
    key = ec.generate_private_key(ec.SECP256R1())
    return key.public_key(), lambda data: key.sign(data, ec.ECDSA(hashes.SHA256()))


def edwards():
    key = ed25519.Ed25519PrivateKey.generate()
    return key.public_key(), key.sign


def rivest():
    key = rsa.generate_private_key(65537, 2048)
    return key.public_key(), lambda data: key.sign(data, padding.PKCS1v15(), hashes.SHA256())


def signed(sign, *, of=None, change=lambda signature: signature, late=lambda content: content):
    """Return the files of a layout with an image and its signature; `late` changes what was signed afterwards."""
    files = Layout().build()
    image = image_of(files)
    content = payload(of or image)
    signature = base64.b64encode(change(sign(content))).decode()
    content = late(content)
    notes = {"dev.cosignproject.cosign/signature": signature}
    config = json.dumps({"architecture": "", "os": "", "rootfs": {"type": "layers", "diff_ids": [digest(content)]}})
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": media.MANIFEST, "config": describe(config.encode(), "application/vnd.x"),
        "layers": [describe(content, PAYLOAD, annotations=notes)],
    }).encode()
    for blob in (content, config.encode(), manifest):
        put(files, blob)
    index = json.loads(files["index.json"])
    name = {"org.opencontainers.image.ref.name": image.replace(":", "-") + ".sig"}
    index["manifests"].append(describe(manifest, media.MANIFEST, annotations=name))
    files["index.json"] = json.dumps(index).encode()
    return files


def pem(path, public):
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    path.write_bytes(public.public_bytes(serialization.Encoding.PEM, form))
    return path


def answer(tmp_path, files, public):
    key = pem(tmp_path / "key.pem", public)
    return validate.path(write(tmp_path / "layout", files), Wishes(keys=Keys(public=key)))


@pytest.mark.parametrize("kind", [ecdsa, edwards, rivest])
def test_a_signature_that_holds_names_key_and_image(kind, tmp_path):
    public, sign = kind()
    report = answer(tmp_path, signed(sign), public)
    assert report.errors == []
    (told,) = [one for one in report.diagnostics if one.code == "OCI153"]
    assert "by the key sha256:" in told.message
    assert "'example.com/fleet/ship'" in told.message


def test_unsigned(tmp_path):
    assert answer(tmp_path, Layout().build(), ecdsa()[0]).codes(Severity.ERROR) == {"OCI150"}


def test_signed_by_another_key(tmp_path):
    assert answer(tmp_path, signed(ecdsa()[1]), ecdsa()[0]).codes(Severity.ERROR) == {"OCI151"}


def test_the_signature_of_another_image(tmp_path):
    public, sign = ecdsa()
    report = answer(tmp_path, signed(sign, of="sha256:" + "0" * 64), public)
    assert report.codes(Severity.ERROR) == {"OCI152"}


def test_what_was_signed_is_changed_below_its_name(tmp_path):
    public, sign = ecdsa()
    files = signed(sign)
    path = next(path for path, data in files.items() if data.startswith(b'{"critical"'))
    files[path] = files[path].replace(b"fleet", b"enemy")
    assert answer(tmp_path, files, public).codes(Severity.ERROR) == {"OCI152", "OCI027", "OCI015"}


def test_what_was_signed_is_changed_with_its_name(tmp_path):
    public, sign = ecdsa()
    report = answer(tmp_path, signed(sign, late=lambda content: content.replace(b"fleet", b"enemy")), public)
    assert report.codes(Severity.ERROR) == {"OCI151"}  # it cannot be told from one of another key


def test_a_signature_that_is_none(tmp_path):
    public, sign = ecdsa()
    assert answer(tmp_path, signed(sign, change=lambda _: b""), public).codes(Severity.ERROR) == {"OCI151"}


@pytest.mark.parametrize("text", [b"", b"no key", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
def test_a_key_that_is_none(text, tmp_path):
    path = tmp_path / "key.pem"
    path.write_bytes(text)
    with pytest.raises(SeatrialError, match="cannot use the key"):
        validate.path(write(tmp_path / "layout", signed(ecdsa()[1])), Wishes(keys=Keys(public=path)))


# -- simple signing ----------------------------------------------------------------------------


class Signer:
    """A GPG key."""

    def __init__(self, home):
        home.mkdir(mode=0o700)
        self.home = home
        self.gpg("--passphrase", "", "--quick-gen-key", "sailor@example.com", "ed25519", "sign", "never")
        self.public = home / "public.asc"
        self.public.write_bytes(self.gpg("--export", "--armor"))

    def gpg(self, *args, stdin=b""):
        command = ["gpg", "--homedir", str(self.home), "--batch", "--quiet", "--pinentry-mode", "loopback", *args]
        return subprocess.run(command, input=stdin, capture_output=True, check=True, timeout=60).stdout

    def sign(self, content):
        return self.gpg("--sign", "--output", "-", stdin=content)

    def end(self):
        subprocess.run(["gpgconf", "--homedir", str(self.home), "--kill", "all"], check=True, timeout=60)


@pytest.fixture
def signer(tmp_path):
    if not shutil.which("gpg"):
        pytest.skip("there is no gpg here")
    made = Signer(tmp_path / "gpg")
    yield made
    made.end()


def simple(tmp_path, content, key, image):
    place = tmp_path / "sigstore" / f"fleet/ship@{image.replace(':', '=')}"
    place.mkdir(parents=True)
    if content:
        (place / "signature-1").write_bytes(content)
    keys = Keys(gpg=key, signatures=tmp_path / "sigstore")
    return validate.path(write(tmp_path / "layout", Layout().build()), Wishes(keys=keys))


@pytest.mark.parametrize(("case", "expected"), [
    ("good", set()), ("none", {"OCI150"}), ("other", {"OCI152"}), ("rubbish", {"OCI154"}), ("type", {"OCI154"}),
])
def test_simple_signing(case, expected, signer, tmp_path):
    image = image_of(Layout().build())
    kind = "cosign container image signature" if case == "type" else "atomic container signature"
    content = signer.sign(payload("sha256:" + "0" * 64 if case == "other" else image, kind))
    content = {"none": b"", "rubbish": b"rubbish"}.get(case, content)
    report = simple(tmp_path, content, signer.public, image)
    assert report.codes(Severity.ERROR) == expected
    assert any("by the GPG key" in one.message for one in report.diagnostics) == (case == "good")


def test_simple_signing_by_another_key(signer, tmp_path):
    other = Signer(tmp_path / "other")
    try:
        image = image_of(Layout().build())
        content = signer.sign(payload(image, "atomic container signature"))
        report = simple(tmp_path, content, other.public, image)
        assert report.codes(Severity.ERROR) == {"OCI151"}
    finally:
        other.end()


def test_simple_signing_of_what_was_changed(signer, tmp_path):
    image = image_of(Layout().build())
    content = payload(image, "atomic container signature")
    clear = signer.gpg("--compress-level", "0", "--sign", "--output", "-", stdin=content)
    assert b"fleet" in clear
    report = simple(tmp_path, clear.replace(b"fleet", b"enemy"), signer.public, image)
    assert report.codes(Severity.ERROR) == {"OCI152"}

"""Signed, unsigned, signed by another key, tampered with: four answers, for cosign and for simple signing."""

import base64
import json
import shutil
import subprocess
import time

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from seatrial.archive import digest
from seatrial.diagnostics import Severity
from seatrial.errors import SeatrialError
from seatrial.hosts import LOCAL
from seatrial.lab.harbour import Harbour
from seatrial.oci.image import media, signature, validate
from seatrial.oci.image.samples import TAG, Layout, describe, put, setting, write
from seatrial.oci.image.signature import Keys
from seatrial.oci.image.validate import Wishes

PAYLOAD = "application/vnd.dev.cosign.simplesigning.v1+json"


def image_of(files):
    return json.loads(files["index.json"])["manifests"][0]["digest"]


def payload(image, kind="cosign container image signature", name="example.com/fleet/ship"):
    critical = {"identity": {"docker-reference": name}, "image": {"docker-manifest-digest": image},
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


def signed(sign, *, of=None, files=None, name="example.com/fleet/ship", change=lambda signature: signature,
           late=lambda content: content):  # fmt: skip
    """Return the files of a layout with an image and its signature; `late` changes what was signed afterwards."""
    files = files or Layout().build()
    image = image_of(files)
    content = payload(of or image, name=name)
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
    tmp_path.mkdir(exist_ok=True)
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


def indexed(files, images, name="all"):
    """Give the images of a layout an index of their own; return its digest."""
    text = json.dumps({"schemaVersion": 2, "mediaType": media.INDEX, "manifests": images}).encode()
    put(files, text)
    index = json.loads(files["index.json"])
    notes = {"org.opencontainers.image.ref.name": name}
    index["manifests"] = [describe(text, media.INDEX, annotations=notes), *index["manifests"][len(images):]]
    files["index.json"] = json.dumps(index).encode()
    return digest(text)


def plain(entry):
    return {key: value for key, value in entry.items() if key != "annotations"}


def test_a_signed_index_covers_its_images(tmp_path):
    public, sign = ecdsa()
    files = Layout().build()
    name = indexed(files, [plain(json.loads(files["index.json"])["manifests"][0])])
    assert answer(tmp_path / "bare", files, public).codes(Severity.ERROR) == {"OCI150"}
    report = answer(tmp_path / "signed", signed(sign, of=name, files=files), public)
    assert report.errors == []
    assert [one.message for one in report.diagnostics if one.code == "OCI153" and name in one.message]


def test_signed_images_do_not_sign_their_index(tmp_path):
    public, sign = ecdsa()
    files = signed(sign)
    name = indexed(files, [plain(json.loads(files["index.json"])["manifests"][0])])
    report = answer(tmp_path, files, public)
    assert [one.message for one in report.errors] == [f"{name} has no signature"]


def payload_layer(manifest):
    manifest["layers"].append(describe(b"{}", PAYLOAD))


@pytest.mark.parametrize("tag", ["v1", "sha256-" + "0" * 64 + ".sig"])
def test_a_layer_of_a_payload_makes_no_image_a_signature(tag, tmp_path):
    layout = Layout(manifest=payload_layer, files=lambda files: put(files, b"{}"),
                    descriptor=setting("annotations", "org.opencontainers.image.ref.name", to=tag))  # fmt: skip
    files = layout.build()
    assert f"{image_of(files)} has no signature" in [one.message for one in answer(tmp_path, files, ecdsa()[0]).errors]


def test_payloads_tagged_as_nothing_that_is_there_are_no_signature(tmp_path):
    public, sign = ecdsa()
    files = signed(sign)
    other = files["index.json"].replace(image_of(files).replace(":", "-").encode(), b"sha256-" + b"0" * 64)
    messages = [one.message for one in answer(tmp_path, {**files, "index.json": other}, public).errors]
    assert len(messages) == 2
    assert all(one.endswith("has no signature") for one in messages)


@pytest.mark.parametrize(("kind", "expected"), [("application/vnd.x", 0), (media.CONFIG, 1)], ids=["artifact", "image"])
def test_what_refers_to_an_image_needs_no_signature_unless_it_is_one(kind, expected, tmp_path):
    public, sign = ecdsa()
    files = signed(sign)
    index = json.loads(files["index.json"])
    image = json.loads(files[f"blobs/{image_of(files).replace(':', '/')}"])
    image.update(subject=plain(index["manifests"][0]), config={**image["config"], "mediaType": kind})
    text = json.dumps(image).encode()
    put(files, text)
    index["manifests"].append(describe(text, media.MANIFEST))
    files["index.json"] = json.dumps(index).encode()
    report = answer(tmp_path, files, public)
    assert [one.message for one in report.errors] == [f"{digest(text)} has no signature"] * expected


@pytest.mark.parametrize(("name", "warned"), [("fleet/ship", False), ("fleet/tug", True)])
def test_a_signature_of_another_name_in_a_registry(name, warned, tmp_path):
    public, sign = ecdsa()
    with Harbour(LOCAL) as harbour:
        files = signed(sign, name=f"{harbour.address}/{name}")
        index = json.loads(files["index.json"])
        for entry in index["manifests"]:
            one = {**files, "index.json": json.dumps({**index, "manifests": [entry]}).encode()}
            tag = entry["annotations"]["org.opencontainers.image.ref.name"]
            harbour.store("fleet/ship", one, tag)
        wishes = Wishes(keys=Keys(public=pem(tmp_path / "key.pem", public)))
        report = validate.registry(f"{harbour.address}/fleet/ship:{TAG}", wishes)
    assert report.codes() == ({"OCI156"} if warned else set())
    assert report.errors == []
    assert any(one.code == "OCI153" for one in report.diagnostics)


@pytest.mark.parametrize(("asked", "name", "same"), [
    ("a.b/c:v1", "a.b/c", True), ("a.b/c:v1", "a.b/c:v1", True), ("a.b/c:v1", "a.b/c:v2", False),
    ("a.b:80/c", "a.b:80/c:v2", True), ("a.b:80/c", "a.b/c", False), ("a.b/c", "", False),
    ("a.b/c", "a.b/c@sha256:0", True),
])
def test_names_in_signatures(asked, name, same):
    assert signature._speaks_of(name, asked) == same


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


@pytest.mark.parametrize("case", ["expired", "revoked"])
def test_simple_signing_by_a_key_that_is_no_longer_good(case, signer, tmp_path):
    image = image_of(Layout().build())
    content = signer.sign(payload(image, "atomic container signature"))
    if case == "revoked":
        finger = signer.gpg("--list-keys", "--with-colons").decode().partition("fpr:::::::::")[2].partition(":")[0]
        text = (signer.home / f"openpgp-revocs.d/{finger}.rev").read_text().replace(":-----BEGIN", "-----BEGIN")
        signer.gpg("--import", stdin=text.encode())
    else:
        finger = signer.gpg("--list-keys", "--with-colons").decode().partition("fpr:::::::::")[2].partition(":")[0]
        signer.gpg("--passphrase", "", "--quick-set-expire", finger, "seconds=1")
        time.sleep(2)
    signer.public.write_bytes(signer.gpg("--export", "--armor"))
    report = simple(tmp_path, content, signer.public, image)
    assert report.codes(Severity.ERROR) == {"OCI155"}
    (told,) = report.errors
    assert case in told.message


def test_a_file_of_two_signatures_is_none(signer, tmp_path):
    other = Signer(tmp_path / "other")
    try:
        image = image_of(Layout().build())
        signer.gpg("--import", stdin=other.gpg("--export-secret-keys"))
        fingers = [line.split(":")[9] for line in signer.gpg("--list-keys", "--with-colons").decode().splitlines()
                   if line.startswith("fpr")]  # fmt: skip
        assert len(fingers) == 2
        both = [word for finger in fingers for word in ("--local-user", finger)]
        content = signer.gpg(*both, "--sign", "--output", "-", stdin=payload(image, "atomic container signature"))
        report = simple(tmp_path, content, signer.public, image)
        assert report.codes(Severity.ERROR) == {"OCI154"}
        assert "2 signatures" in report.errors[0].message
    finally:
        other.end()


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

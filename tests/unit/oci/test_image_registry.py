"""Images of registries are checked over the protocol; what the registry itself says wrong is told."""

import dataclasses
import json

import pytest

from seatrial.archive import digest
from seatrial.diagnostics import Severity
from seatrial.hosts import LOCAL
from seatrial.lab.harbour import Harbour, error
from seatrial.lab.web import Answer
from seatrial.oci.image import media, remote, validate
from seatrial.oci.image.samples import TAG, Layout, describe
from seatrial.oci.image.validate import Wishes


def check(change=lambda _, answer: answer, files=None, reference=f"fleet/ship:{TAG}", referrer=None):
    with Harbour(LOCAL, change=change) as harbour:
        image = harbour.store("fleet/ship", files or Layout().build(), TAG)
        if referrer is not None:
            config = b"{}"
            value = {"schemaVersion": 2, "mediaType": media.MANIFEST, "config": describe(config, media.EMPTY),
                     "artifactType": "a/b", "layers": [describe(config, media.EMPTY)],
                     "subject": {"mediaType": media.MANIFEST, "digest": image, "size": 1}, **referrer}
            text = json.dumps(value).encode()
            harbour.repositories["fleet/ship"].blobs[digest(config)] = config
            harbour.repositories["fleet/ship"].manifests[digest(text)] = (media.MANIFEST, text)
        return validate.registry(f"{harbour.address}/{reference.replace('IMAGE', image)}", Wishes())


def when(part, change):
    return lambda asked, answer: change(answer) if part in asked.path and answer.status == 200 else answer


def header(name, value):
    return lambda answer: dataclasses.replace(answer, headers={**answer.headers, name: value})


@pytest.mark.parametrize("reference", [f"fleet/ship:{TAG}", "fleet/ship@IMAGE"])
def test_an_image_of_a_registry_is_valid(reference):
    report = check(reference=reference)
    assert report.codes() == set()
    assert "2 layers" in report.diagnostics[-1].message


def test_what_refers_to_it_is_checked():
    report = check(referrer={})
    assert report.codes() == set()
    assert any(one.message.startswith("artifact") for one in report.diagnostics)
    assert check(referrer={"schemaVersion": 1}).codes(Severity.ERROR) == {"OCI050"}


@pytest.mark.parametrize(("part", "change", "code"), [
    ("/manifests/", header("Docker-Content-Digest", "sha256:" + "0" * 64), "OCI130"),
    ("/manifests/", header("Content-Type", media.DOCKER_MANIFEST), "OCI131"),
    ("/referrers/", header("Content-Type", "application/json"), "OCI132"),
    ("/referrers/", lambda answer: dataclasses.replace(answer, body=b"{}"), "OCI132"),
    ("/referrers/", lambda answer: dataclasses.replace(answer, body=answer.body.replace(b"a/b", b"b/a")), "OCI134"),
    ("/blobs/", lambda _: error(404, "BLOB_UNKNOWN", ""), "OCI017"),
    ("/blobs/", lambda _: error(500, "UNKNOWN", ""), "OCI018"),
    ("/blobs/", lambda answer: dataclasses.replace(answer, body=b"x" * len(answer.body)), "OCI027"),
    ("/manifests/", lambda _: Answer(401), "OCI001"),
    ("/manifests/", lambda answer: dataclasses.replace(answer, cut=10), "OCI001"),
    ("/blobs/", lambda answer: dataclasses.replace(answer, cut=10), "OCI018"),
], ids=["digest", "type", "type-of-referrers", "referrers", "artifact-type", "missing", "broken", "changed", "refused",
        "cut", "cut-blob"])
def test_what_a_registry_says_wrong(part, change, code):
    assert code in check(when(part, change), referrer={}).codes()


def test_a_referrer_of_something_else():
    def other(asked, answer):
        if "/referrers/" not in asked.path:
            return answer
        image = json.loads(answer.body)
        image["manifests"] = [describe(b"", media.MANIFEST, digest=asked.path.rpartition("/")[2], artifactType="a/b")]
        return dataclasses.replace(answer, body=json.dumps(image).encode())

    assert check(other).codes(Severity.ERROR) & {"OCI133", "OCI026"}


@pytest.mark.parametrize("text", ["docker://example.com/a:b", "example.com:5000/a/b@sha256:" + "0" * 64, "localhost/a",
                                  "[::1]:5000/a"])
def test_references(text):
    assert remote.parse(text).name in ("a", "a/b")


@pytest.mark.parametrize("text", ["busybox", "fleet/ship", "example.com/A", "example.com/", "example.com/a:-"])
def test_what_is_no_reference(text):
    with pytest.raises(ValueError, match=r"form|host"):
        remote.parse(text)


def test_a_registry_that_is_not_there():
    assert validate.registry("127.0.0.1:1/a:b", Wishes()).codes() == {"OCI001"}

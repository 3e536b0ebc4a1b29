"""Faults of registries break claims that there are and change answers; and how the small registry acts."""

import dataclasses

import pytest

from seatrial.errors import SeatrialError
from seatrial.hosts import LOCAL
from seatrial.lab.harbour import Harbour
from seatrial.lab.web import Answer, Asked
from seatrial.oci.image.samples import digest
from seatrial.oci.registries import Hub, codes, endpoint


@pytest.fixture
def faults(kit):
    return kit("registry_faults")


def test_each_fault_breaks_claims_that_there_are(faults, sound):
    found = faults.every()
    assert len(found) >= 80
    sound(found)
    assert len({fault.words for fault in found.values()}) == len(found)


def test_a_fault_concerns_its_requests_only(faults):
    fault = faults.FAULTS["mount-location"]
    assert fault.fits(Asked("POST", "/v2/a/blobs/uploads/?mount=x", {}))
    for method, target in (("POST", "/v2/a/blobs/uploads/"), ("PUT", "/v2/a/blobs/uploads/?mount=x")):
        assert not fault.fits(Asked(method, target, {}))


@pytest.mark.parametrize("change", ["status", "header", "body"])
def test_answers_are_changed(faults, change):
    plain = Answer(200, {"X": "1"}, b'{"a": 1}')
    changed = {"status": faults.status(500), "header": faults.header("X", "2"),
               "body": faults.body(lambda data: data[1:])}[change](None, plain)  # fmt: skip
    assert changed != plain
    refused = dataclasses.replace(plain, status=404)
    assert {"header": faults.header("X", "2"), "body": faults.body(lambda _: b"")}.get(
        change, faults.status(500))(None, refused) == refused  # fmt: skip


@pytest.fixture
def hub():
    with Harbour(LOCAL) as harbour:
        yield Hub(endpoint(f"http://{harbour.address}"), "fleet/ship")


def test_images_go_in_and_out(hub):
    text = hub.push()
    assert hub.get("v1").body == text
    assert hub.tags() == ["v1"]
    hub.api.delete(f"{hub.base}/manifests/{digest(text)}", expect=202)
    assert codes(hub.get("v1", expect=404)) == ["MANIFEST_UNKNOWN"]


@pytest.mark.parametrize(("method", "path", "status"), [
    ("POST", "/v2/fleet/ship/manifests/x", 404), ("PUT", "/v2/fleet/ship/manifests/x", 400), ("GET", "/v1/", 404),
    ("PATCH", "/v2/fleet/ship/blobs/uploads/none", 404), ("GET", "/v2/Fleet/manifests/x", 404),
    ("GET", "/v2/fleet/ship/blobs/sha256:x", 400), ("GET", "/v2/fleet/ship/referrers/x", 400),
    ("PUT", "/v2/fleet/ship/tags/list", 404),
])
def test_requests_that_are_wrong(method, path, status, hub):
    hub.push()
    hub.api.request(method, path, expect=status, body=b"{" if method in ("PUT", "PATCH") else None)


@pytest.mark.parametrize("url", ["ftp://x", "x", "http://", "http://a:b", "http://a/path"])
def test_what_is_no_url_of_a_registry(url):
    with pytest.raises(SeatrialError, match="is no URL of a registry"):
        endpoint(url)

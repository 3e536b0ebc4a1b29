"""Faults of registries break claims that there are and change answers; and how the small registry acts."""

import dataclasses
import functools

import pytest

from seatrial.api.client import Client
from seatrial.archive import digest
from seatrial.errors import SeatrialError
from seatrial.hosts import LOCAL
from seatrial.lab.harbour import Harbour
from seatrial.lab.relay import forward
from seatrial.lab.web import Answer, Asked, Web
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


@pytest.fixture
def harbour():
    with Harbour(LOCAL) as made:
        yield made


def proxied(harbour, answer):
    """A repository behind a proxy that answers as a function of the registry's own answers says."""
    client = Client(endpoint(f"http://{harbour.address}"))
    return Web(LOCAL, answer(functools.partial(forward, client)))


def test_a_proxy_without_a_fault_changes_nothing(harbour):
    with proxied(harbour, lambda plain: plain) as proxy:
        hub = Hub(endpoint(f"http://{proxy.address}"), "fleet/ship")
        text = hub.push(annotations={"a": "é"})
        assert hub.get("v1").body == text
        direct = Client(endpoint(f"http://{harbour.address}"))
        for method, path in (("GET", "manifests/v1"), ("HEAD", "manifests/v1"), ("GET", "tags/list?n=1"),
                             ("GET", "manifests/none"), ("DELETE", "manifests/v1")):  # fmt: skip
            target = f"{hub.base}/{path}"
            seen = [client.request(method, target, expect=None) for client in (hub.api, direct)]
            if method != "DELETE":
                assert [seen[0].status, seen[0].body] == [seen[1].status, seen[1].body], path
                kept = [{name: value for name, value in one.headers.items() if name not in ("Date", "Server")}
                        for one in seen]  # fmt: skip
                assert kept[0] == kept[1], path
            else:
                assert [one.status for one in seen] == [202, 404], "it was done, once"


@pytest.mark.parametrize("id_", ["idle-delete-manifest", "idle-delete-tag", "idle-delete-blob", "idle-cancel",
                                 "idle-tag-move"])  # fmt: skip
def test_what_is_done_instead_is_done_by_a_proxy(faults, harbour, id_):
    """It needs nothing of the registry but its API, so that it can stand before any."""
    assert id_ in faults.INSTEAD
    with proxied(harbour, lambda plain: faults.answering(plain, id_)) as proxy:
        hub = Hub(endpoint(f"http://{proxy.address}"), "fleet/ship")
        text, other = hub.push(), hub.manifest(annotations={"a": "2"})
        blob = hub.blob(b"cargo")
        if id_ == "idle-tag-move":
            hub.put("v1", other)
            assert hub.get("v1").body == text
            assert hub.get(digest(other)).body == other
        elif id_ == "idle-cancel":
            place, query = hub.begin()
            hub.api.delete(place, expect=204, query=query)
            hub.finish((place, query), b"late", digest(b"late"))
        else:
            path = {"idle-delete-manifest": f"manifests/{digest(text)}", "idle-delete-tag": "manifests/v1",
                    "idle-delete-blob": f"blobs/{blob}"}[id_]  # fmt: skip
            hub.api.delete(f"{hub.base}/{path}", expect=202)
            hub.api.get(f"{hub.base}/{path}")


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

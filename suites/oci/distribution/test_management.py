"""Content management, and what errors look like."""

import pytest

from seatrial.archive import digest
from seatrial.oci.registries import NOWHERE, codes

claim = pytest.mark.claim


@claim("dist-055")
def test_a_tag_is_deleted_and_its_manifest_stays(hub, tag_deletion):
    text = hub.push()
    hub.put("v2", text)
    hub.api.delete(f"{hub.base}/manifests/v1", expect=202)
    hub.get("v1", expect=404)
    assert hub.get("v2").body == text
    assert hub.get(digest(text)).body == text
    assert hub.tags() == ["v2"]


@claim("dist-056")
def test_a_manifest_is_deleted_with_its_tags(hub, manifest_deletion):
    text, other = hub.push(), hub.push("other", annotations={"a": "1"})
    hub.api.delete(f"{hub.base}/manifests/{digest(text)}", expect=202)
    hub.get(digest(text), expect=404)
    hub.get("v1", expect=404)
    assert hub.get("other").body == other


@claim("dist-057")
def test_deleting_a_manifest_that_is_not_there(hub, manifest_deletion):
    hub.push()
    hub.api.delete(f"{hub.base}/manifests/{NOWHERE}", expect=404)
    never = hub.beside("never")
    never.api.delete(f"{never.base}/manifests/{NOWHERE}", expect=404)


@claim("dist-058")
def test_a_blob_is_deleted(hub, blob_deletion):
    sum_, other = hub.blob(b"cargo"), hub.blob(b"other")
    hub.api.delete(f"{hub.base}/blobs/{sum_}", expect=202)
    hub.api.get(f"{hub.base}/blobs/{sum_}", expect=404)
    assert hub.api.get(f"{hub.base}/blobs/{other}").body == b"other"
    assert hub.blob(b"cargo") == sum_  # and can come again
    assert hub.api.get(f"{hub.base}/blobs/{sum_}").body == b"cargo"


@claim("dist-059")
def test_deleting_a_blob_that_is_not_there(hub, blob_deletion):
    hub.blob(b"x")
    hub.api.delete(f"{hub.base}/blobs/{NOWHERE}", expect=404)


@claim("dist-060", "dist-061")
@pytest.mark.parametrize(("path", "code"), [
    (f"blobs/{NOWHERE}", "BLOB_UNKNOWN"), ("manifests/nosuch", "MANIFEST_UNKNOWN"),
    (f"manifests/{NOWHERE}", "MANIFEST_UNKNOWN"),
], ids=["blob", "tag", "manifest"])
def test_errors_are_codes_in_json(path, code, hub):
    hub.push()
    answer = hub.api.get(f"{hub.base}/{path}", expect=404)
    assert answer.content_type == "application/json"
    assert codes(answer) == [code]


@claim("dist-062")
def test_an_upload_that_is_not_there(hub):
    place = hub.begin()
    path = place[0].rpartition("/")[0] + "/00000000-0000-0000-0000-000000000000"
    hub.api.get(path, expect=404)


@claim("dist-063")
def test_a_challenge_names_its_realm(stranger):
    refused = stranger.get("/v2/", expect=401)
    assert refused.header("WWW-Authenticate").partition(" ")[0] in ("Basic", "Bearer")
    assert 'realm="' in refused.header("WWW-Authenticate")


@claim("dist-064")
def test_a_registry_without_deletion_says_so(keeping):
    text = keeping.push()
    keeping.api.delete(f"{keeping.base}/manifests/{digest(text)}", expect=(400, 405))
    sum_ = keeping.blob(b"x")
    keeping.api.delete(f"{keeping.base}/blobs/{sum_}", expect=(400, 405))
    assert keeping.get("v1").body == text
    assert keeping.api.get(f"{keeping.base}/blobs/{sum_}").body == b"x"

"""A registry's own protocol, request by request: blobs, uploads, manifests, tags, errors."""

import hashlib
import json
import re
from urllib.parse import parse_qsl, urlsplit

import pytest

from seatrial.archive import digest

claim = pytest.mark.claim
pytestmark = pytest.mark.requires("registry")

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
BYTES = {"Content-Type": "application/octet-stream"}
UPLOADS = "/v2/fleet/ship/blobs/uploads/"


@pytest.fixture
def hub(registry):
    """A registry's HTTP interface."""
    return registry.api


def at(answer):
    """Return where an upload goes on: the path, and the state that the registry wants to see again."""
    place = urlsplit(answer.header("Location"))
    return place.path, parse_qsl(place.query)


def begin(hub, name="fleet/ship", **query):
    """Begin an upload."""
    return at(hub.post(f"/v2/{name}/blobs/uploads/", expect=202, query=query))


def finish(hub, place, data=b"", expect=201, sum_=None):
    """End an upload with the last bytes and the digest."""
    path, state = place
    wanted = [*state, ("digest", sum_)] if sum_ is not None else state
    return hub.put(path, expect=expect, query=wanted, body=data, headers=BYTES)


def upload(hub, data, name="fleet/ship"):
    """Store a blob and return its digest."""
    finish(hub, begin(hub, name), data, sum_=digest(data))
    return digest(data)


def chunk(hub, place, data, span="", expect=202):
    """Send a chunk of an upload."""
    path, state = place
    return hub.request("PATCH", path, expect=expect, query=state, body=data, headers={**BYTES, "Content-Range": span})


def manifest(hub, name="fleet/ship", tag="v1", layers=(b"layer",), config=b"{}", expect=201):
    """Store blobs and a manifest of them; return the answer and the manifest's bytes."""
    blobs = [upload(hub, data, name) for data in (config, *layers)]
    described = [{"mediaType": "application/octet-stream", "size": len(data), "digest": sum_}
                 for data, sum_ in zip((config, *layers), blobs, strict=True)]  # fmt: skip
    told = {"schemaVersion": 2, "mediaType": MANIFEST, "config": described[0], "layers": described[1:]}
    body = json.dumps(told).encode()
    return hub.put(f"/v2/{name}/manifests/{tag}", expect=expect, body=body, headers={"Content-Type": MANIFEST}), body


def codes(answer):
    return [error["code"] for error in answer.json()["errors"]]


@claim("registry-032", "registry-054", "registry-055", "api-005")
def test_v2_says_that_it_can_be_used(hub):
    answer = hub.get("/v2/")
    assert answer.json() == {}
    assert answer.header("Docker-Distribution-Api-Version") == "registry/2.0"
    hub.get("/containers/json", expect=404)


@claim("registry-056", "registry-115")
def test_v2_of_a_registry_with_a_password_wants_it(registry_with):
    registry = registry_with(auth=("sailor", "secret"))
    refused = registry.anonymous.get("/v2/", expect=401)
    assert refused.header("WWW-Authenticate").startswith("Basic realm=")
    assert codes(refused) == ["UNAUTHORIZED"]
    registry.api.get("/v2/")
    wrong = {"Authorization": "Basic c2FpbG9yOndyb25n"}
    registry.anonymous.get("/v2/", expect=401, headers=wrong)


@claim("registry-041", "registry-066", "registry-067", "registry-068", "registry-069", "registry-070", "registry-071")
def test_an_upload_is_begun(hub):
    answer = hub.post(UPLOADS, expect=202)
    uuid = answer.header("Docker-Upload-UUID")
    assert re.fullmatch(r"[0-9a-f-]{36}", uuid)
    assert uuid in answer.header("Location")
    assert answer.header("Range").removeprefix("bytes=") == "0-0"
    assert (answer.header("Content-Length"), answer.body) == ("0", b"")


@claim("registry-044", "registry-073", "registry-087", "registry-088", "registry-038", "registry-063")
@pytest.mark.parametrize("size", [0, 1, 100_000, 3_000_000])
def test_a_blob_comes_in_one_piece_and_is_fetched(hub, size):
    data = bytes(number * 7 % 251 for number in range(size))
    answer = finish(hub, begin(hub), data, sum_=digest(data))
    assert answer.header("Docker-Content-Digest") == digest(data)
    assert answer.header("Location").endswith(f"/v2/fleet/ship/blobs/{digest(data)}")
    fetched = hub.get(f"/v2/fleet/ship/blobs/{digest(data)}")
    assert fetched.body == data
    assert digest(fetched.body) == fetched.header("Docker-Content-Digest")


@claim("registry-039", "registry-053")
def test_head_of_a_blob(hub):
    sum_ = upload(hub, b"cargo")
    answer = hub.head(f"/v2/fleet/ship/blobs/{sum_}")
    assert (answer.header("Content-Length"), answer.header("Docker-Content-Digest")) == ("5", sum_)
    hub.head(f"/v2/fleet/ship/blobs/{digest(b'other')}", expect=404)


@claim("registry-064")
@pytest.mark.parametrize(("span", "seen"), [("bytes=0-3", b"0123"), ("bytes=7-", b"789"), ("bytes=-2", b"89")])
def test_a_range_of_a_blob(hub, span, seen):
    sum_ = upload(hub, b"0123456789")
    assert hub.get(f"/v2/fleet/ship/blobs/{sum_}", expect=206, headers={"Range": span}).body == seen


@claim("registry-043", "registry-077", "registry-083", "registry-086", "registry-042", "registry-089")
@pytest.mark.parametrize("sizes", [[1], [5, 1, 100_000], [70_000, 70_000]], ids=str)
def test_a_blob_comes_in_chunks(hub, sizes):
    location, data = begin(hub), b""
    for size in sizes:
        piece = bytes(size)
        answer = chunk(hub, location, piece, f"{len(data)}-{len(data) + size - 1}")
        data += piece
        location = at(answer)
        assert answer.header("Range").removeprefix("bytes=") == f"0-{len(data) - 1}"
        state = hub.get(location[0], expect=204, query=location[1])
        assert state.header("Range").removeprefix("bytes=") == f"0-{len(data) - 1}"
    finish(hub, location, sum_=digest(data))
    assert hub.get(f"/v2/fleet/ship/blobs/{digest(data)}").body == data
    hub.get(location[0], expect=404, query=location[1])


@claim("registry-084")
def test_the_last_chunk_comes_with_the_end(hub):
    location = at(chunk(hub, begin(hub), b"first,"))
    finish(hub, location, b"last", sum_=digest(b"first,last"))
    assert hub.get(f"/v2/fleet/ship/blobs/{digest(b'first,last')}").body == b"first,last"


@claim("registry-085")
def test_a_blob_is_not_there_before_the_end_of_its_upload(hub):
    chunk(hub, begin(hub), b"half")
    hub.head(f"/v2/fleet/ship/blobs/{digest(b'half')}", expect=404)


@claim("registry-045", "registry-090", "registry-089")
def test_a_cancelled_upload_is_gone(hub):
    path, state = at(chunk(hub, begin(hub), b"half"))
    hub.delete(path, expect=204, query=state)
    assert codes(hub.get(path, expect=404, query=state)) == ["BLOB_UPLOAD_UNKNOWN"]


@claim("registry-074", "registry-051", "registry-052")
@pytest.mark.parametrize(
    "sum_",
    [None, "", "banana", "sha256:", "sha256:xyz", f"sha256:{'A' * 64}", f"md5:{'a' * 32}", f"sha256:{'a' * 63}"],
    ids=["missing", "empty", "word", "no-hex", "letters", "upper", "md5", "short"],
)  # fmt: skip
def test_a_digest_that_is_none_is_refused(hub, sum_):
    answer = finish(hub, begin(hub), b"cargo", expect=400, sum_=sum_)
    assert codes(answer) == ["DIGEST_INVALID"]


@claim("registry-076", "registry-051")
def test_a_wrong_digest_is_refused_and_the_blob_can_be_sent_again(hub):
    answer = finish(hub, begin(hub), b"cargo", expect=400, sum_=digest(b"other"))
    assert codes(answer) == ["DIGEST_INVALID"]
    hub.head(f"/v2/fleet/ship/blobs/{digest(b'other')}", expect=404)
    upload(hub, b"cargo")


@claim("registry-075")
def test_a_blob_sent_with_the_post_is_an_upload_to_be_finished(hub):
    answer = hub.post(UPLOADS, expect=(201, 202), query={"digest": digest(b"cargo")}, body=b"cargo",
                      headers=BYTES)  # fmt: skip
    if answer.status == 202:
        finish(hub, at(answer), b"cargo", sum_=digest(b"cargo"))
    assert hub.get(f"/v2/fleet/ship/blobs/{digest(b'cargo')}").body == b"cargo"


@claim("registry-047", "registry-050")
def test_a_blob_is_mounted_from_another_repository_and_kept_once(registry):
    hub = registry.api
    sum_ = upload(hub, b"cargo")
    query = {"mount": sum_, "from": "fleet/ship"}
    answer = hub.post("/v2/other/boat/blobs/uploads/", expect=201, query=query)
    assert answer.header("Docker-Content-Digest") == sum_
    assert hub.get(f"/v2/other/boat/blobs/{sum_}").body == b"cargo"
    stored = list(registry.host.path(registry.work / "storage").rglob(f"blobs/sha256/*/{sum_[7:]}/data"))
    assert len(stored) == 1


@claim("registry-047")
def test_a_blob_that_cannot_be_mounted_begins_an_upload(hub):
    query = {"mount": digest(b"nothing"), "from": "fleet/ship"}
    assert hub.post("/v2/other/boat/blobs/uploads/", expect=202, query=query).header("Location")


@claim("registry-040")
def test_a_deleted_blob_is_gone(hub):
    sum_ = upload(hub, b"cargo")
    hub.delete(f"/v2/fleet/ship/blobs/{sum_}", expect=202)
    assert codes(hub.get(f"/v2/fleet/ship/blobs/{sum_}", expect=404)) == ["BLOB_UNKNOWN"]
    hub.delete(f"/v2/fleet/ship/blobs/{sum_}", expect=404)


@claim("registry-036", "registry-034", "registry-053", "registry-092")
def test_a_manifest_is_stored_and_fetched_by_tag_and_digest(hub):
    answer, body = manifest(hub)
    sum_ = digest(body)
    assert answer.header("Docker-Content-Digest") == sum_
    assert answer.header("Location").endswith(f"/v2/fleet/ship/manifests/{sum_}")
    for reference in ("v1", sum_):
        fetched = hub.get(f"/v2/fleet/ship/manifests/{reference}", headers={"Accept": MANIFEST})
        assert (fetched.body, fetched.content_type) == (body, MANIFEST)
        assert fetched.header("Docker-Content-Digest") == sum_


@claim("registry-035")
def test_head_of_a_manifest(hub):
    _, body = manifest(hub)
    answer = hub.head("/v2/fleet/ship/manifests/v1", headers={"Accept": MANIFEST})
    assert (answer.header("Content-Length"), answer.header("Docker-Content-Digest")) == (str(len(body)), digest(body))
    assert answer.body == b""


@claim("registry-037")
def test_a_manifest_is_deleted_by_digest(hub):
    _, body = manifest(hub)
    hub.delete(f"/v2/fleet/ship/manifests/{digest(body)}", expect=202)
    assert codes(hub.get("/v2/fleet/ship/manifests/v1", expect=404)) == ["MANIFEST_UNKNOWN"]
    hub.delete(f"/v2/fleet/ship/manifests/{digest(body)}", expect=404)


@claim("registry-037")
def test_a_manifest_is_not_deleted_by_tag(hub):
    _, body = manifest(hub)
    assert codes(hub.delete("/v2/fleet/ship/manifests/v1", expect=400)) == ["DIGEST_INVALID"]
    assert hub.get("/v2/fleet/ship/manifests/v1", headers={"Accept": MANIFEST}).body == body


@claim("registry-037", "registry-026", "registry-024")
def test_a_registry_without_deletion_refuses_it(registry_with):
    hub = registry_with(settings={"storage": {"delete": {"enabled": False}}}).api
    _, body = manifest(hub)
    assert codes(hub.delete(f"/v2/fleet/ship/manifests/{digest(body)}", expect=405)) == ["UNSUPPORTED"]
    hub.get("/v2/fleet/ship/manifests/v1", headers={"Accept": MANIFEST})


@claim("registry-026")
def test_a_registry_keeps_its_data_in_memory(registry_with):
    registry = registry_with(settings={"storage": {"filesystem": None, "inmemory": {}}})
    _, body = manifest(registry.api)
    assert registry.api.get("/v2/fleet/ship/manifests/v1", headers={"Accept": MANIFEST}).body == body
    assert list(registry.host.path(registry.work / "storage").iterdir()) == []


@claim("registry-094")
def test_a_manifest_of_layers_that_are_not_there_is_refused(hub):
    config = upload(hub, b"{}")
    parts = {"config": {"mediaType": "a", "size": 2, "digest": config},
             "layers": [{"mediaType": "a", "size": 5, "digest": digest(b"other")}]}  # fmt: skip
    body = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, **parts}).encode()
    answer = hub.put("/v2/fleet/ship/manifests/v1", expect=400, body=body, headers={"Content-Type": MANIFEST})
    assert codes(answer)[0] in ("BLOB_UNKNOWN", "MANIFEST_BLOB_UNKNOWN")
    assert digest(b"other") in answer.text
    hub.get("/v2/fleet/ship/manifests/v1", expect=404)


@claim("registry-093")
@pytest.mark.parametrize("body", [b"{", b"[]", b'{"schemaVersion": 7}', b""], ids=["cut", "array", "version", "empty"])
def test_a_manifest_that_is_none_is_refused(hub, body):
    answer = hub.put("/v2/fleet/ship/manifests/v1", expect=400, body=body, headers={"Content-Type": MANIFEST})
    assert codes(answer) == ["MANIFEST_INVALID"]


@claim("registry-093")
def test_a_manifest_under_a_digest_that_is_not_its_own_is_refused(hub):
    _, body = manifest(hub)
    path = f"/v2/fleet/ship/manifests/{digest(b'other')}"
    answer = hub.put(path, expect=400, body=body, headers={"Content-Type": MANIFEST})
    assert codes(answer) == ["DIGEST_INVALID"]


@claim("registry-093", "registry-012")
@pytest.mark.parametrize("name", ["-a", "a--", "a..b"])
def test_a_name_that_is_none_is_refused(hub, name):
    answer = hub.post(f"/v2/{name}/blobs/uploads/", expect=(400, 404))
    assert answer.status == 404 or codes(answer) == ["NAME_INVALID"]


@claim("registry-012")
@pytest.mark.parametrize("name", ["a", "a/b", "a/b/c/d/e/f", "a-b_c.d/e__f"])
def test_names_of_one_to_many_parts_are_taken(hub, name):
    upload(hub, b"cargo", name)


@claim("registry-033", "registry-058")
def test_tags_are_listed(hub):
    for tag in ("v1", "v2", "v3"):
        manifest(hub, tag=tag)
    assert hub.get("/v2/fleet/ship/tags/list").json() == {"name": "fleet/ship", "tags": ["v1", "v2", "v3"]}
    assert codes(hub.get("/v2/nosuch/tags/list", expect=404)) == ["NAME_UNKNOWN"]


@claim("registry-059")
def test_an_unknown_tag_is_told(hub):
    manifest(hub)
    answer = hub.get("/v2/fleet/ship/manifests/nosuch", expect=404)
    assert codes(answer) == ["MANIFEST_UNKNOWN"]
    assert answer.json()["errors"][0]["message"]


@claim("registry-046")
def test_the_catalog_is_listed_and_paged(hub):
    for name in ("a/one", "b/two", "c/three"):
        manifest(hub, name)
    assert hub.get("/v2/_catalog").json() == {"repositories": ["a/one", "b/two", "c/three"]}
    page = hub.get("/v2/_catalog", query={"n": 2})
    assert page.json() == {"repositories": ["a/one", "b/two"]}
    assert 'rel="next"' in page.header("Link")
    assert hub.get("/v2/_catalog", query={"n": 2, "last": "b/two"}).json() == {"repositories": ["c/three"]}


@claim("registry-024", "registry-050")
def test_what_is_stored_lies_in_files_by_digest(registry):
    _, body = manifest(registry.api)
    root = registry.host.path(registry.work / "storage/docker/registry/v2")
    path = root / f"blobs/sha256/{digest(body)[7:9]}/{digest(body)[7:]}/data"
    assert hashlib.sha256(path.read_bytes()).hexdigest() == digest(body)[7:]
    assert (root / "repositories/fleet/ship/_manifests/tags/v1/current/link").read_text() == digest(body)


@claim("registry-029")
def test_the_silly_way_of_authorization_wants_any_header(registry_with):
    registry = registry_with(settings={"auth": {"silly": {"realm": "r", "service": "s"}}})
    registry.anonymous.get("/v2/", expect=401)
    registry.anonymous.get("/v2/", headers={"Authorization": "seen"})


@claim("registry-117", "registry-025")
def test_tls_without_verification_is_answered(registry_with):
    import http.client
    import ssl

    registry = registry_with(tls=True)
    context = ssl._create_unverified_context()

    def ask():
        connection = http.client.HTTPSConnection("127.0.0.1", registry.port, context=context, timeout=10)
        connection.request("GET", "/v2/")
        answer = connection.getresponse().read()
        connection.close()
        return answer

    assert registry.host.call(ask) == b"{}"

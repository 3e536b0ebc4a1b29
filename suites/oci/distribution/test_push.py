"""Push: blobs in one piece, in chunks, mounted; manifests, with and without a subject."""

import base64
import json
import re

import pytest

from seatrial.archive import digest
from seatrial.oci.image import media
from seatrial.oci.image.samples import describe
from seatrial.oci.registries import BYTES, NOWHERE, codes

claim = pytest.mark.claim
PARTS = (b"the first part, ", b"the second part, ", b"the last part")
WHOLE = b"".join(PARTS)


def stored(hub, data):
    return hub.api.get(f"{hub.base}/blobs/{digest(data)}").body == data


@pytest.fixture
def parts(hub):
    """Parts of a blob that are as long as the registry wants chunks to be; the last one may be shorter."""
    answer = hub.api.post(f"{hub.base}/blobs/uploads/", expect=202)
    least = int(answer.header("OCI-Chunk-Min-Length") or 0)
    return [*(part.ljust(least, b".") for part in PARTS[:-1]), PARTS[-1]]


@claim("dist-016", "dist-017")
def test_an_upload_begins_with_a_place(hub):
    answer = hub.api.post(f"{hub.base}/blobs/uploads/", expect=202)
    first = hub.location(answer)
    assert hub.begin() != first  # each has its own


@claim("dist-018", "dist-019")
def test_a_blob_in_a_post_and_a_put(hub):
    answer = hub.finish(hub.begin(), WHOLE, digest(WHOLE))
    path, _ = hub.location(answer)
    assert hub.api.get(path).body == WHOLE


@claim("dist-020")
def test_a_blob_in_a_single_post(hub, single_post):
    answer = hub.api.post(f"{hub.base}/blobs/uploads/", expect=201, query={"digest": digest(WHOLE)}, body=WHOLE,
                          headers=BYTES)
    assert hub.api.get(hub.location(answer)[0]).body == WHOLE


@claim("dist-020")
def test_a_single_post_of_another_content(hub, single_post):
    hub.api.post(f"{hub.base}/blobs/uploads/", expect=400, query={"digest": NOWHERE}, body=WHOLE, headers=BYTES)
    hub.api.head(f"{hub.base}/blobs/{NOWHERE}", expect=404)


@claim("dist-021", "dist-022", "dist-024")
def test_a_blob_in_chunks(hub, parts):
    place, at = hub.begin(), 0
    for part in parts:
        answer = hub.chunk(place, part, f"{at}-{at + len(part) - 1}")
        at += len(part)
        assert answer.header("Range").removeprefix("bytes=") == f"0-{at - 1}"
        place = hub.location(answer)
    whole = b"".join(parts)
    answer = hub.finish(place, b"", digest(whole))
    assert hub.location(answer)[0]
    assert stored(hub, whole)


@claim("dist-073")
def test_a_blob_of_a_sha512(hub, sha512):
    sum_ = digest(WHOLE, "sha512")
    hub.api.head(f"{hub.base}/blobs/{sum_}", expect=404)
    answer = hub.finish(hub.begin(), WHOLE, sum_)
    assert hub.api.get(hub.location(answer)[0]).body == WHOLE
    assert hub.api.get(f"{hub.base}/blobs/{sum_}").body == WHOLE


@claim("dist-073", "dist-027")
def test_a_blob_of_another_sha512_is_refused(hub, sha512):
    other = digest(b"another content", "sha512")
    hub.finish(hub.begin(), WHOLE, other, expect=400)
    hub.api.head(f"{hub.base}/blobs/{other}", expect=404)


@claim("dist-073")
def test_a_manifest_by_its_sha512(hub, sha512):
    text = hub.manifest()
    sum_ = digest(text, "sha512")
    hub.put(sum_, text)
    assert hub.get(sum_).body == text


@claim("dist-065")
def test_a_manifest_with_several_tags_at_once(hub, tags_at_once):
    text = hub.manifest()
    answer = hub.put(digest(text), text, query=[("tag", "one"), ("tag", "two")])
    assert sorted(word.strip() for word in answer.header("OCI-Tag").split(",")) == ["one", "two"]
    assert [hub.get(tag).body for tag in ("one", "two", digest(text))] == [text] * 3
    assert sorted(hub.tags()) == ["one", "two"]


@claim("dist-069")
def test_a_blob_in_a_stream(hub):
    path, query = hub.begin()
    answer = hub.api.request("PATCH", path, expect=202, query=query, body=WHOLE, headers=BYTES)
    assert hub.location(hub.finish(hub.location(answer), b"", digest(WHOLE)))[0]
    assert stored(hub, WHOLE)


@claim("dist-069")
def test_a_stream_of_another_content_is_refused(hub):
    path, query = hub.begin()
    answer = hub.api.request("PATCH", path, expect=202, query=query, body=WHOLE, headers=BYTES)
    hub.finish(hub.location(answer), b"", NOWHERE, expect=400)
    hub.api.head(f"{hub.base}/blobs/{digest(WHOLE)}", expect=404)


@claim("dist-024")
def test_the_last_chunk_comes_with_the_put(hub, parts):
    first, whole = parts[0] + parts[1], b"".join(parts)
    place = hub.location(hub.chunk(hub.begin(), first, f"0-{len(first) - 1}"))
    hub.finish(place, parts[2], digest(whole), span=f"{len(first)}-{len(whole) - 1}")
    assert stored(hub, whole)


@claim("dist-023")
@pytest.mark.parametrize("off", ["overlapping", "a-gap", "again"])
def test_a_chunk_out_of_order_is_refused(off, hub, parts):
    place = hub.location(hub.chunk(hub.begin(), parts[0], f"0-{len(parts[0]) - 1}"))
    start = {"overlapping": 3, "a-gap": len(parts[0]) + 1, "again": 0}[off]
    hub.chunk(place, parts[1], f"{start}-{start + len(parts[1]) - 1}", expect=416)


@claim("dist-023")
def test_a_first_chunk_that_is_not_the_first(hub, parts):
    hub.chunk(hub.begin(), parts[1], f"7-{7 + len(parts[1]) - 1}", expect=416)


@claim("dist-025")
def test_an_upload_says_how_far_it_is_and_goes_on(hub, parts):
    place = hub.location(hub.chunk(hub.begin(), parts[0], f"0-{len(parts[0]) - 1}"))
    path, query = place
    answer = hub.api.get(path, expect=204, query=query)
    assert answer.header("Range").removeprefix("bytes=") == f"0-{len(parts[0]) - 1}"
    place = hub.location(answer)
    whole = b"".join(parts)
    rest = whole[len(parts[0]):]
    place = hub.location(hub.chunk(place, rest, f"{len(parts[0])}-{len(whole) - 1}"))
    hub.finish(place, b"", digest(whole))
    assert stored(hub, whole)


@claim("dist-026")
def test_an_upload_is_cancelled(hub, parts):
    place = hub.location(hub.chunk(hub.begin(), parts[0], f"0-{len(parts[0]) - 1}"))
    hub.api.delete(place[0], expect=204, query=place[1])
    hub.api.get(place[0], expect=404, query=place[1])
    hub.finish(place, WHOLE, digest(WHOLE), expect=404)


@claim("dist-027")
@pytest.mark.parametrize("sum_", [NOWHERE, "sha256:short", "nonsense", ""])
def test_a_blob_of_another_digest_is_refused(sum_, hub):
    answer = hub.finish(hub.begin(), WHOLE, sum_, expect=400)
    assert codes(answer)[0] in ("DIGEST_INVALID", "BLOB_UPLOAD_INVALID")
    hub.api.head(f"{hub.base}/blobs/{NOWHERE}", expect=404)


@claim("dist-027")
def test_chunks_of_another_digest_are_refused(hub, parts):
    place = hub.location(hub.chunk(hub.begin(), parts[0], f"0-{len(parts[0]) - 1}"))
    hub.finish(place, b"", NOWHERE, expect=400)
    hub.api.head(f"{hub.base}/blobs/{digest(parts[0])}", expect=404)


@claim("dist-028")
def test_a_blob_is_mounted(hub, mounts):
    sum_ = hub.blob(WHOLE)
    other = hub.beside()
    answer = other.api.post(f"{other.base}/blobs/uploads/", expect=201, query={"mount": sum_, "from": hub.name})
    assert other.api.get(other.location(answer)[0]).body == WHOLE
    assert stored(other, WHOLE)


@claim("dist-029")
def test_a_mount_of_nothing_begins_an_upload(hub):
    hub.blob(WHOLE)
    other = hub.beside()
    answer = other.api.post(f"{other.base}/blobs/uploads/", expect=202, query={"mount": NOWHERE, "from": hub.name})
    other.finish(other.location(answer), b"own", digest(b"own"))
    assert stored(other, b"own")


@claim("dist-070")
def test_a_mount_without_a_source(hub):
    """Where the registry finds the blob by itself it is there, else the place that is given takes it."""
    sum_ = hub.blob(WHOLE)
    other = hub.beside()
    answer = other.api.post(f"{other.base}/blobs/uploads/", expect=(201, 202), query={"mount": sum_})
    place = other.location(answer)
    if answer.status == 202:
        other.api.head(f"{other.base}/blobs/{sum_}", expect=404)
        place = other.location(other.finish(place, WHOLE, sum_))
    assert other.api.get(place[0]).body == WHOLE
    assert stored(other, WHOLE)


@claim("dist-070")
def test_a_mount_of_nothing_without_a_source(hub):
    hub.blob(WHOLE)
    other = hub.beside()
    answer = other.api.post(f"{other.base}/blobs/uploads/", expect=202, query={"mount": NOWHERE})
    other.finish(other.location(answer), b"own", digest(b"own"))
    assert stored(other, b"own")


@claim("dist-030", "dist-031", "dist-032")
@pytest.mark.parametrize("by", ["tag", "digest"])
def test_a_manifest_is_stored_byte_by_byte(by, hub):
    text = hub.manifest(annotations={"b": "1", "a": "é"})
    answer = hub.put("v1" if by == "tag" else digest(text), text)
    path, _ = hub.location(answer)
    assert hub.api.get(path, headers={"Accept": media.MANIFEST}).body == text
    assert answer.header("Docker-Content-Digest") in ("", digest(text))
    assert hub.get(digest(text)).body == text


@claim("dist-033")
def test_a_tag_moves_to_what_was_pushed_last(hub):
    first = hub.push()
    second = hub.push(annotations={"a": "2"})
    assert hub.get("v1").body == second
    assert hub.get(digest(first)).body == first


@claim("dist-034")
def test_a_manifest_of_blobs_that_are_not_there(hub):
    text = json.dumps({**json.loads(hub.manifest()), "layers": [describe(b"elsewhere", media.LAYER)]}).encode()
    answer = hub.put("v1", text, expect=(400, 404))
    assert codes(answer)[0] in ("MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN")
    hub.get("v1", expect=404)


@claim("dist-035")
@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"no manifest"], ids=["empty", "cut", "array", "text"])
def test_a_manifest_that_is_none(text, hub):
    hub.blob(b"x")
    answer = hub.put("v1", text, expect=(400, 422))
    assert codes(answer) == ["MANIFEST_INVALID"]
    hub.get("v1", expect=404)


@claim("dist-035")
def test_a_manifest_under_the_digest_of_another(hub):
    text = hub.manifest()
    hub.put(NOWHERE, text, expect=400)
    hub.get(NOWHERE, expect=404)


@claim("dist-036")
def test_an_index_is_stored(hub):
    text = hub.push()
    index = json.dumps({"schemaVersion": 2, "mediaType": media.INDEX, "manifests": [
        describe(text, media.MANIFEST, platform={"os": "linux", "architecture": "amd64"})]}).encode()
    hub.put("all", index, media.INDEX)
    answer = hub.get("all")
    assert (answer.body, answer.content_type) == (index, media.INDEX)


@claim("dist-071")
def test_an_index_of_indexes_is_stored(hub):
    inner = json.dumps({"schemaVersion": 2, "mediaType": media.INDEX, "manifests": [
        describe(hub.push(), media.MANIFEST, platform={"os": "linux", "architecture": "amd64"})]}).encode()
    hub.put(digest(inner), inner, media.INDEX)
    outer = json.dumps({"schemaVersion": 2, "mediaType": media.INDEX,
                        "manifests": [describe(inner, media.INDEX)]}).encode()
    hub.put("nested", outer, media.INDEX)
    assert hub.get("nested").body == outer
    assert hub.get(digest(inner)).body == inner


@claim("dist-071")
def test_an_index_of_nothing_is_stored(hub):
    hub.blob(b"so that the repository is there")
    text = json.dumps({"schemaVersion": 2, "mediaType": media.INDEX, "manifests": []}).encode()
    hub.put("empty", text, media.INDEX)
    answer = hub.get("empty")
    assert (answer.body, answer.content_type) == (text, media.INDEX)


@claim("dist-072")
def test_descriptors_with_data_are_stored(hub):
    config = b'{"architecture": "amd64", "os": "linux"}'
    hub.blob(config)
    described = {**describe(config, media.CONFIG), "data": base64.b64encode(config).decode()}
    text = hub.push("data", config=described)
    assert hub.get("data").body == text
    assert json.loads(hub.get("data").body)["config"]["data"] == described["data"]


@claim("dist-037")
def test_an_artifact_of_unknown_types_is_stored(hub):
    hub.blob(b"{}")
    hub.blob(b"a list of parts")
    value = {"schemaVersion": 2, "mediaType": media.MANIFEST, "artifactType": "application/vnd.example.parts",
             "config": describe(b"{}", media.EMPTY), "layers": [describe(b"a list of parts", "text/x-example")]}
    text = json.dumps(value).encode()
    hub.put("parts", text)
    assert hub.get("parts").body == text


@claim("dist-038")
def test_a_manifest_refers_to_what_is_not_there_yet(hub):
    subject = describe(b"comes later", media.MANIFEST)
    text = hub.push(subject=subject)
    assert hub.get("v1").body == text


@claim("dist-039")
def test_a_subject_is_acknowledged(hub, referrers):
    subject = describe(hub.push(), media.MANIFEST)
    answer = hub.put("about", hub.manifest(subject=subject, artifactType="a/b"))
    assert answer.header("OCI-Subject") == subject["digest"]


@claim("dist-040")
def test_a_manifest_of_4_mib_is_taken(hub):
    text = hub.manifest(annotations={"filling": "x" * (4_000_000)})
    assert len(text) < 4 << 20
    hub.put("large", text, timeout=120)
    assert hub.get("large").body == text


@claim("dist-022")
def test_the_place_of_a_chunk_is_of_this_repository(hub, parts):
    answer = hub.chunk(hub.begin(), parts[0], f"0-{len(parts[0]) - 1}")
    assert re.match(rf"{re.escape(hub.base)}/blobs/uploads/", hub.location(answer)[0])

"""Pull: manifests and blobs, by tag and digest, whole and in part."""

import pytest

from seatrial.archive import digest
from seatrial.oci.image import media
from seatrial.oci.registries import NOWHERE, codes

claim = pytest.mark.claim


@claim("dist-001")
def test_the_base_path_says_that_the_api_is_there(hub):
    hub.api.get("/v2/", expect=200)


@claim("dist-002", "dist-003", "dist-031")
@pytest.mark.parametrize("by", ["tag", "digest"])
def test_a_manifest_comes_as_it_was_pushed(by, hub):
    text = hub.push()
    answer = hub.get("v1" if by == "tag" else digest(text))
    assert answer.body == text
    assert answer.header("Docker-Content-Digest") == digest(text)


@claim("dist-004")
def test_a_manifest_has_the_type_that_it_was_pushed_with(hub):
    hub.push()
    assert hub.get("v1").header("Content-Type") == media.MANIFEST


@claim("dist-005")
@pytest.mark.parametrize("reference", ["nosuch", NOWHERE])
def test_a_manifest_that_is_not_there(reference, hub):
    hub.push()
    assert codes(hub.get(reference, expect=404)) == ["MANIFEST_UNKNOWN"]


@claim("dist-006")
def test_a_manifest_of_no_repository(hub):
    assert codes(hub.beside("never").get("v1", expect=404))[0] in ("NAME_UNKNOWN", "MANIFEST_UNKNOWN")


@claim("dist-007", "dist-008")
@pytest.mark.parametrize("size", [0, 1, 65536, 1_000_003])
def test_a_blob_comes_as_it_was_pushed(size, hub):
    data = bytes(number * 31 % 253 for number in range(size))
    sum_ = hub.blob(data)
    answer = hub.api.get(f"{hub.base}/blobs/{sum_}")
    assert answer.body == data
    assert answer.header("Docker-Content-Digest") == sum_


@claim("dist-009")
def test_a_blob_that_is_not_there(hub):
    hub.blob(b"x")
    assert codes(hub.api.get(f"{hub.base}/blobs/{NOWHERE}", expect=404)) == ["BLOB_UNKNOWN"]


@claim("dist-010", "dist-011")
def test_head_of_a_blob(hub):
    sum_ = hub.blob(b"cargo")
    answer = hub.api.head(f"{hub.base}/blobs/{sum_}")
    assert (answer.header("Content-Length"), answer.header("Docker-Content-Digest")) == ("5", sum_)
    assert answer.body == b""


@claim("dist-010", "dist-011")
@pytest.mark.parametrize("by", ["tag", "digest"])
def test_head_of_a_manifest(by, hub):
    text = hub.push()
    answer = hub.get("v1" if by == "tag" else digest(text), method="HEAD")
    assert answer.header("Content-Length") == str(len(text))
    assert answer.header("Docker-Content-Digest") == digest(text)


@claim("dist-012")
def test_head_of_what_is_not_there(hub):
    hub.push()
    hub.get("nosuch", method="HEAD", expect=404)
    hub.api.head(f"{hub.base}/blobs/{NOWHERE}", expect=404)


@claim("dist-013")
@pytest.mark.parametrize(("wanted", "span"), [("0-3", (0, 3)), ("4-", (4, 9)), ("3-3", (3, 3)), ("-4", (6, 9)),
                                              ("5-99", (5, 9))])
def test_a_range_of_a_blob(wanted, span, hub, ranges):
    data = b"0123456789"
    sum_ = hub.blob(data)
    answer = hub.api.get(f"{hub.base}/blobs/{sum_}", expect=206, headers={"Range": f"bytes={wanted}"})
    first, last = span
    assert answer.body == data[first : last + 1]
    assert answer.header("Content-Range") == f"bytes {first}-{last}/10"


@claim("dist-013")
def test_a_range_behind_the_end(hub, ranges):
    sum_ = hub.blob(b"0123456789")
    hub.api.get(f"{hub.base}/blobs/{sum_}", expect=416, headers={"Range": "bytes=10-20"})


@claim("dist-014")
@pytest.mark.parametrize("name", ["Upper", "-a", "a_-b", "a...b", "a/-b"])
def test_names_that_are_none(name, hub):
    hub.api.get(f"/v2/{name}/manifests/v1", expect=(400, 404))


@claim("dist-014")
@pytest.mark.parametrize("suffix", ["/a", "/a-b", "/a__b", "/a.b/c", "/a---b", "/0"])
def test_names_of_every_form(suffix, hub):
    named = hub.below(suffix)
    text = named.push()
    assert named.get("v1").body == text


@claim("dist-015")
@pytest.mark.parametrize("tag", ["a", "V1.0_x-y", "_", "0", "a" * 128])
def test_tags_of_every_form(tag, hub):
    text = hub.push(tag)
    assert hub.get(tag).body == text


@claim("dist-015")
@pytest.mark.parametrize("tag", ["a" * 129, "-a", ".a", "a+b"])
def test_tags_that_are_none(tag, hub):
    text = hub.manifest()
    hub.put(tag, text, expect=(400, 404))
    hub.get(tag, expect=(400, 404))

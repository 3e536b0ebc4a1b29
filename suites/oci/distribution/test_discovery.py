"""Content discovery: tags in pages, and what refers to a manifest."""

import json
import re
from urllib.parse import parse_qsl, urlsplit

import pytest

from seatrial.archive import digest
from seatrial.oci.image import media
from seatrial.oci.image.samples import describe
from seatrial.oci.registries import NOWHERE

claim = pytest.mark.claim
TAGS = ("b", "a", "v10", "v2", "latest", "c.1")


@pytest.fixture
def tagged(hub):
    """A repository with several tags."""
    text = hub.manifest()
    for tag in TAGS:
        hub.put(tag, text)
    return hub


@claim("dist-041")
def test_all_tags_are_listed_once(tagged):
    found = tagged.tags()
    assert sorted(found) == sorted(TAGS)


@claim("dist-042")
def test_tags_are_in_order(tagged):
    found = tagged.tags()
    assert len(found) == len(TAGS)
    assert found in (sorted(found), sorted(found, key=str.lower))


@claim("dist-043")
def test_tags_of_no_repository(hub):
    hub.blob(b"x")
    hub.api.get(f"{hub.beside('never').base}/tags/list", expect=404)


@claim("dist-044")
@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_page_has_as_many_as_asked_for(count, tagged):
    assert tagged.tags(n=count) == tagged.tags()[:count]


@claim("dist-044")
def test_a_page_larger_than_the_list(tagged):
    answer = tagged.api.get(f"{tagged.base}/tags/list", query={"n": 100})
    assert sorted(answer.json()["tags"]) == sorted(TAGS)
    assert answer.header("Link") == ""


@claim("dist-045")
def test_a_page_of_none(tagged):
    answer = tagged.api.get(f"{tagged.base}/tags/list", query={"n": 0})
    assert not answer.json()["tags"]
    assert answer.header("Link") == ""


@claim("dist-046")
def test_a_page_goes_on_after_the_last(tagged):
    found = tagged.tags()
    assert tagged.tags(last=found[2]) == found[3:]
    assert tagged.tags(last=found[1], n=2) == found[2:4]


@claim("dist-047")
def test_pages_lead_from_one_to_the_next(tagged):
    path, query, found = f"{tagged.base}/tags/list", [("n", "2")], []
    for _ in TAGS:
        answer = tagged.api.get(path, query=query)
        found += answer.json()["tags"]
        link = re.fullmatch(r'<([^>]+)>;\s*rel="?next"?', answer.header("Link"))
        if not link:
            break
        place = urlsplit(link[1])
        path, query = place.path, parse_qsl(place.query)
    assert found == tagged.tags()


@pytest.fixture
def referred(hub, referrers):
    """A repository with an image and three manifests that refer to it."""
    image = hub.push()
    subject = describe(image, media.MANIFEST)
    texts = {}
    for number, kind in enumerate(("application/vnd.example.sbom", "application/vnd.example.sbom", "")):
        hub.blob(b"{}")
        more = {"artifactType": kind, "config": describe(b"{}", media.EMPTY)} if kind else {}
        text = hub.manifest(subject=subject, annotations={"number": str(number)}, **more)
        hub.put(digest(text), text)
        texts[digest(text)] = text
    return hub, digest(image), texts


def pages(hub, sum_, **query):
    """The answers of a list of referrers, which a registry may part: at most ten."""
    found = [hub.referrers(sum_, **query)]
    while (link := re.fullmatch(r'<([^>]+)>;\s*rel="?next"?', found[-1].header("Link"))) and len(found) < 10:
        place = urlsplit(link[1])
        found.append(hub.api.get(place.path, query=parse_qsl(place.query)))
    assert link is None, "the pages have no end"
    return found


def listed(hub, sum_, **query):
    """The descriptors of all pages of a list of referrers."""
    return [one for answer in pages(hub, sum_, **query) for one in answer.json()["manifests"]]


@claim("dist-048", "dist-049", "dist-068")
def test_referrers_are_an_index_of_descriptors(referred):
    hub, image, texts = referred
    for answer in pages(hub, image):
        assert answer.header("Content-Type") == media.INDEX
        index = answer.json()
        assert (index["schemaVersion"], index.get("mediaType", media.INDEX)) == (2, media.INDEX)
    found = {one["digest"]: one for one in listed(hub, image)}
    assert {key: one["size"] for key, one in found.items()} == {key: len(text) for key, text in texts.items()}
    assert all(one["mediaType"] == media.MANIFEST for one in found.values())


@claim("dist-050")
def test_referrers_have_their_types_and_annotations(referred):
    hub, image, texts = referred
    found = listed(hub, image)
    assert len(found) == 3
    for one in found:
        value = json.loads(texts[one["digest"]])
        assert one.get("artifactType") == value.get("artifactType", media.CONFIG)
        assert one.get("annotations") == value["annotations"]


@claim("dist-051")
def test_nothing_refers_to_it(hub, referrers):
    text = hub.push()
    for sum_ in (digest(text), NOWHERE):
        assert hub.referrers(sum_).json()["manifests"] == []


@claim("dist-052")
def test_referrers_of_no_digest(hub, referrers):
    hub.push()
    hub.api.get(f"{hub.base}/referrers/sha256:short", expect=400)


@claim("dist-053")
def test_referrers_of_one_type(referred):
    hub, image, _ = referred
    answer, *_ = pages(hub, image, artifactType="application/vnd.example.sbom")
    kinds = [one.get("artifactType") for one in listed(hub, image, artifactType="application/vnd.example.sbom")]
    if "artifactType" in answer.header("OCI-Filters-Applied"):
        assert kinds == ["application/vnd.example.sbom"] * 2
    else:
        assert len(kinds) == 3


@claim("dist-054")
def test_a_referrer_that_was_deleted_is_gone(referred, manifest_deletion):
    hub, image, texts = referred
    gone = next(iter(texts))
    hub.api.delete(f"{hub.base}/manifests/{gone}", expect=202)
    left = [one["digest"] for one in listed(hub, image)]
    assert sorted(left) == sorted(set(texts) - {gone})


@claim("dist-049")
def test_referrers_of_another_repository_are_not_listed(referred):
    hub, image, _ = referred
    other = hub.beside()
    other.push()
    assert other.referrers(image).json()["manifests"] == []

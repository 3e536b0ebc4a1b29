"""An engine and a registry: push, pull, delete, passwords, TLS, and transfers that go wrong."""

import base64
import json
import re

import pytest

from seatrial import archive
from seatrial.api.transport import NOBODY, failed, login, pull, push, well
from seatrial.expecting import one
from seatrial.lab import relay
from seatrial.lab.registry import admit
from seatrial.lab.relay import Relay
from seatrial.lab.web import Answer, Web
from seatrial.paths import remove_tree

claim, requires = pytest.mark.claim, pytest.mark.requires
pytestmark = [requires("registry", "lab")]
KINDS = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"


@pytest.fixture
def registry(registry_with):
    """A registry with TLS: engines read whom they trust again and again, and what is insecure once."""
    return registry_with(tls=True)


@pytest.fixture
def ship(api, engine):
    """Call it with a registry (or a relay) to get the reference of a new image for it, of two layers."""

    def make(registry, name="fleet/ship", size=1000):
        reference = registry.reference(name)
        repo, _, tag = reference.rpartition(":")
        engine.track("image", reference)
        body = archive.tree({"cargo": f"{engine.key} {name}".encode() + b"x" * size})
        api.post("/images/create", expect=200, query={"fromSrc": "-", "repo": repo, "tag": tag, "changes": 'CMD ["x"]'},
                 headers={"Content-Type": "application/x-tar"}, body=body)  # fmt: skip
        return reference

    return make


@pytest.fixture
def through(engine):
    """Call it with a registry to get a proxy in front of it that the engine trusts."""

    def make(registry):
        proxy = Relay(registry)
        engine.defer(proxy.close)
        for path in admit(engine.raw, proxy.address, proxy.ca):
            engine.defer(remove_tree, path)
        return proxy

    return make


def digest_of(registry):
    """Return the digest that the registry has for the image."""
    answer = registry.api.head("/v2/fleet/ship/manifests/latest", headers={"Accept": KINDS})
    return answer.header("Docker-Content-Digest")


@claim("registry-004", "registry-016", "registry-132", "registry-015", "registry-130", "api-043", "api-046")
def test_a_push_streams_its_progress_and_the_digest_is_the_registrys(api, registry, ship):
    reference = ship(registry)
    text = json.dumps(well(push(api, reference)))
    sum_ = digest_of(registry)
    assert sum_ in text
    assert registry.api.get("/v2/fleet/ship/tags/list").json()["tags"] == ["latest"]


@claim("registry-003", "registry-009", "registry-023", "api-047", "api-048")
def test_a_pull_brings_the_image_back(api, engine, registry, ship):
    reference = ship(registry)
    id_ = engine.image_id(reference)
    well(push(api, reference))
    api.delete(f"/images/{reference}", expect=200)
    records = well(pull(api, reference))
    assert engine.image_id(reference) == id_
    assert any("status" in record or "stream" in record or "id" in record for record in records)


@claim("registry-003")
def test_an_image_is_pulled_by_digest(api, registry, ship):
    reference = ship(registry)
    well(push(api, reference))
    sum_ = digest_of(registry)
    api.delete(f"/images/{reference}", expect=200)
    by_digest = f"{reference.rpartition(':')[0]}@{sum_}"
    api.bench.track("image", by_digest)
    well(api.post("/images/create", expect=200, query={"fromImage": by_digest}, headers=NOBODY, timeout=60))
    assert by_digest in api.get(f"/images/{by_digest}/json").json()["RepoDigests"]
    api.delete(f"/images/{by_digest}", expect=200)


@claim("registry-006", "registry-017", "registry-072", "registry-010")
def test_what_is_there_is_not_sent_again(api, registry, ship, through):
    proxy = through(registry)
    reference = ship(proxy)
    well(push(api, reference))
    assert proxy.paths("PATCH") + proxy.paths("PUT")
    proxy.asked.clear()
    well(push(api, reference))
    assert [asked for asked in proxy.asked if asked.method == "PATCH"] == []
    assert "HEAD" in {asked.method for asked in proxy.asked}
    proxy.asked.clear()
    well(pull(api, reference))
    manifest = registry.api.get("/v2/fleet/ship/manifests/latest", headers={"Accept": KINDS}).json()
    layers = {layer["digest"] for layer in manifest["layers"]}
    assert layers and layers.isdisjoint(path.rpartition("/")[2] for path in proxy.paths("GET"))


@claim("registry-060", "registry-065", "registry-061")
def test_manifests_are_fetched_first_and_stored_last(api, registry, ship, through):
    proxy = through(registry)
    reference = ship(proxy)
    well(push(api, reference))
    stored = [path for path in proxy.paths("PUT") if "/manifests/" in path or "/blobs/" in path]
    assert "/manifests/" in stored[-1] and all("/blobs/" in path for path in stored[:-1])
    api.delete(f"/images/{reference}", expect=200)
    proxy.asked.clear()
    well(pull(api, reference))
    kinds = [path.split("/")[4] for path in proxy.paths("GET") if path.startswith("/v2/fleet/ship/")]
    assert kinds[0] == "manifests" and "blobs" in kinds
    assert {asked.headers["host"] for asked in proxy.asked} == {proxy.address}


@claim("registry-062", "registry-059")
@pytest.mark.parametrize("name", ["fleet/ship", "nosuch/repository"], ids=["tag", "repository"])
def test_a_pull_of_what_is_not_there_fails_and_says_so(api, registry, ship, name):
    well(push(api, ship(registry)))
    answer = pull(api, registry.reference(name, "nosuch-tag"), expect=None)
    assert "nosuch" in failed(answer) or "manifest unknown" in failed(answer)
    api.get(f"/images/{registry.reference(name, 'nosuch-tag')}/json", expect=404)


@claim("api-044", "registry-018")
def test_a_push_without_the_header_is_refused(api, engine, registry, ship):
    reference = ship(registry)
    answer = push(api, reference, expect="api_push_without_header", headers={})
    assert engine.says("push_without_header") in answer.text


@claim("api-045")
@pytest.mark.parametrize("value", ["not base64!", base64.b64encode(b"no json").decode()], ids=["base64", "json"])
def test_a_header_that_is_none_is_refused(api, registry, ship, value):
    reference = ship(registry)
    answer = push(api, reference, expect=400, headers={"X-Registry-Auth": value})
    assert answer.text.strip()


@claim("registry-018", "registry-120", "registry-115", "registry-001")
def test_a_registry_with_a_password_wants_it_for_push_and_pull(api, registry_with, ship):
    registry = registry_with(tls=True, auth=("sailor", "pass:word"))
    reference = ship(registry)
    assert failed(push(api, reference, expect=None))
    assert failed(push(api, reference, expect=None, headers=login("sailor", "wrong", registry.address)))
    right = login("sailor", "pass:word", registry.address)
    well(push(api, reference, headers=right))
    api.delete(f"/images/{reference}", expect=200)
    assert failed(pull(api, reference, expect=None))
    api.get(f"/images/{reference}/json", expect=404)
    well(pull(api, reference, headers=right))


@claim("registry-014", "registry-001", "registry-124")
def test_auth_checks_a_password_at_the_registry(api, registry_with):
    registry = registry_with(tls=True, auth=("sailor", "secret"))
    right = {"username": "sailor", "password": "secret", "serveraddress": registry.address}
    assert api.post("/auth", expect=200, json=right).json()["Status"] == "Login Succeeded"
    answer = api.post("/auth", expect=401, json={**right, "password": "wrong"})
    assert answer.message


@claim("registry-028", "registry-113", "registry-137", "registry-025")
def test_tls_with_a_trusted_authority_works(api, registry_with, ship):
    registry = registry_with(tls=True)
    reference = ship(registry)
    well(push(api, reference))
    api.delete(f"/images/{reference}", expect=200)
    well(pull(api, reference))


@claim("registry-136", "registry-112", "registry-110")
@pytest.mark.parametrize("options", [{"tls": True, "trusted": False}, {"tls": "expired"}, {"tls": "other-name"}],
                         ids=["unknown-authority", "expired", "other-name"])  # fmt: skip
def test_a_certificate_that_is_not_right_is_refused_unless_loopback_is_trusted(api, engine, registry_with, options):
    registry = registry_with(**options)
    words = failed(pull(api, registry.reference("fleet/ship"), expect=None))
    assert re.search(engine.says("wrong_certificate_on_loopback"), words)


@claim("registry-057", "registry-133")
@pytest.mark.parametrize("answer", [Answer(404), Answer(200, {"Content-Type": "text/html"}, b"<html>"), Answer(500)],
                         ids=["no-v2", "a-website", "broken"])  # fmt: skip
def test_a_server_that_is_no_registry_is_told(api, engine, answer):
    with Web(engine.raw.host, lambda _: answer, tls=True) as web:
        for path in admit(engine.raw, web.address, web.ca):
            engine.defer(remove_tree, path)
        reference = f"{web.address}/fleet/ship:latest"
        assert failed(pull(api, reference, expect=None))
        assert web.asked
    api.get(f"/images/{reference}/json", expect=404)


@claim("registry-082", "registry-111", "registry-118")
@pytest.mark.parametrize("where", ["begin", "chunk", "end", "manifest"])
def test_a_push_that_is_cut_once_ends_right_or_says_so(api, registry, ship, through, where):
    proxy = through(registry)
    method, path = {"begin": ("POST", "/uploads/"), "chunk": ("PATCH", "/uploads/"), "end": ("PUT", "/uploads/"),
                    "manifest": ("PUT", "/manifests/")}[where]  # fmt: skip
    reference = ship(proxy)
    fault = proxy.fail(method, path, relay.status(503), times=1)
    answer = push(api, reference, expect=None)
    assert fault.happened == 1
    if answer.status >= 400 or "error" in answer.records()[-1]:
        assert failed(answer)
        well(push(api, reference))
    registry.api.get("/v2/fleet/ship/manifests/latest", headers={"Accept": KINDS})


@claim("registry-019", "registry-088")
@pytest.mark.parametrize(("path", "place"), [("/blobs/", 0.0), ("/blobs/", 0.5), ("/blobs/", 1.0)],
                         ids=["first", "middle", "last"])  # fmt: skip
def test_a_blob_with_a_flipped_byte_is_refused_and_nothing_is_stored(api, registry, ship, through, path, place):
    proxy = through(registry)
    reference = ship(proxy, size=50_000)
    well(push(api, reference))
    api.delete(f"/images/{reference}", expect=200)
    fault = proxy.fail("GET", path, relay.flip(place))
    assert failed(pull(api, reference, expect=None))
    assert fault.happened
    api.get(f"/images/{reference}/json", expect=404)
    proxy.faults.clear()
    well(pull(api, reference))


@claim("registry-019")
def test_a_manifest_that_is_not_what_its_digest_says_is_refused(api, registry, ship, through):
    proxy = through(registry)
    reference = ship(proxy)
    well(push(api, reference))
    sum_ = digest_of(registry)
    api.delete(f"/images/{reference}", expect=200)
    proxy.fail("GET", "/manifests/", lambda answer: Answer(answer.status, answer.headers, answer.body + b" "))
    by_digest = f"{reference.rpartition(':')[0]}@{sum_}"
    assert failed(api.post("/images/create", expect=None, query={"fromImage": by_digest}, headers=NOBODY, timeout=60))
    api.get(f"/images/{by_digest}/json", expect=404)


@claim("registry-019", "registry-064")
@pytest.mark.parametrize("times", [1, 1000], ids=["once", "always"])
def test_a_pull_that_is_cut_is_tried_again_or_fails_and_stores_nothing(api, engine, registry, ship, through, times):
    proxy = through(registry)
    reference = ship(proxy, size=200_000)
    id_ = engine.image_id(reference)
    well(push(api, reference))
    api.delete(f"/images/{reference}", expect=200)
    fault = proxy.fail("GET", "/blobs/", relay.cut(0.5), times=times)
    answer = pull(api, reference, expect=None)
    assert fault.happened >= 1
    if times == 1:
        well(answer)
        assert engine.image_id(reference) == id_
    else:
        assert failed(answer)
        api.get(f"/images/{reference}/json", expect=404)


@claim("registry-021")
def test_a_slow_registry_is_waited_for(api, registry, ship, through):
    proxy = through(registry)
    reference = ship(proxy)
    well(push(api, reference))
    api.delete(f"/images/{reference}", expect=200)
    fault = proxy.fail("GET", "/(blobs|manifests)/", relay.late(1.5))
    well(pull(api, reference))
    assert fault.happened >= 2


@claim("registry-109", "registry-129")
def test_two_registries_on_one_storage_hold_the_same(api, registry_with, ship):
    one = registry_with(tls=True)
    reference = ship(one)
    well(push(api, reference))
    shared = {"storage": {"filesystem": {"rootdirectory": str(one.work / "storage")}}}
    other = registry_with(tls=True, settings=shared)
    assert other.api.get("/v2/_catalog").json() == {"repositories": ["fleet/ship"]}
    other_reference = other.reference("fleet/ship")
    well(pull(api, other_reference))
    assert api.get(f"/images/{other_reference}/json").json()["Id"] == api.get(f"/images/{reference}/json").json()["Id"]


@claim("registry-027", "registry-123", "registry-126", "registry-127", "registry-128")
def test_a_registry_tells_of_push_and_pull(api, engine, registry_with, ship):
    from seatrial.waiting import wait_until

    with Web(engine.raw.host, lambda _: Answer()) as sink:
        told = {"name": "sink", "url": f"http://{sink.address}/", "timeout": "1s", "threshold": 3, "backoff": "1s"}
        registry = registry_with(tls=True, settings={"notifications": {"endpoints": [told]}})
        reference = ship(registry)
        well(push(api, reference))
        api.delete(f"/images/{reference}", expect=200)
        well(pull(api, reference))

        def events():
            return [event for asked in list(sink.asked) for event in json.loads(asked.body)["events"]]

        def manifests(action):
            return [event for event in events()
                    if event["action"] == action and "manifest" in event["target"]["mediaType"]]  # fmt: skip

        wait_until("the events", lambda: manifests("push") and manifests("pull"))
    pushed = one(manifests("push"))
    assert (pushed["target"]["repository"], pushed["target"]["tag"]) == ("fleet/ship", "latest")
    assert pushed["target"]["digest"].startswith("sha256:")
    assert set(pushed) >= {"id", "timestamp", "action", "target", "request", "actor", "source"}
    assert {asked.method for asked in sink.asked} == {"POST"}
    kind = "application/vnd.docker.distribution.events.v1+json"
    assert {asked.headers["content-type"] for asked in sink.asked} == {kind}

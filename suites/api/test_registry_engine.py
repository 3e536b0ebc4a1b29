"""An engine and a registry: push, pull, delete, passwords, TLS."""

import base64
import json
import re

import pytest

from seatrial.api.transport import KINDS, NOBODY, at, failed, login, pull, push, well
from seatrial.expecting import one
from seatrial.lab.registry import admit
from seatrial.lab.web import Answer, Web
from seatrial.paths import remove_tree
from seatrial.waiting import wait_until

claim, requires = pytest.mark.claim, pytest.mark.requires
pytestmark = [requires("registry", "lab")]


def digest_of(registry, reference):
    """Return the digest that the registry has for an image."""
    return registry.api.head(at(reference), headers={"Accept": KINDS}).header("Docker-Content-Digest")


@claim("registry-004", "registry-016", "registry-132", "registry-015", "registry-130", "api-043", "api-046")
def test_a_push_streams_its_progress_and_the_digest_is_the_registrys(api, registry, ship):
    reference = ship(registry)
    text = json.dumps(well(push(api, reference)))
    sum_ = digest_of(registry, reference)
    assert sum_ in text
    assert registry.api.get(f"/v2/{ship.name}/tags/list").json()["tags"] == ["latest"]


@claim("registry-003", "registry-023", "api-047")
def test_a_pull_brings_the_image_back(api, engine, registry, ship):
    reference = ship(registry)
    id_ = engine.image_id(reference)
    well(push(api, reference))
    api.delete(f"/images/{reference}", expect=200)
    well(pull(api, reference))
    assert engine.image_id(reference) == id_


@claim("api-048")
def test_the_progress_of_a_pull_counts_up_to_the_size_of_the_layer(api, registry, ship):
    reference = ship(registry, size=8_000_000)
    well(push(api, reference))
    layer = one(registry.api.get(at(reference), headers={"Accept": KINDS}).json()["layers"])
    api.delete(f"/images/{reference}", expect=200)
    records = well(pull(api, reference))
    id_ = layer["digest"].removeprefix("sha256:")[:12]
    counted = [record["progressDetail"]["current"] for record in records
               if record.get("id") == id_ and record["status"] == "Downloading"]  # fmt: skip
    assert counted and counted == sorted(counted) and counted[-1] <= layer["size"]
    assert {record["progressDetail"]["total"] for record in records
            if record.get("id") == id_ and record["status"] == "Downloading"} == {layer["size"]}  # fmt: skip
    assert [record["status"] for record in records if record.get("id") == id_][-1] == "Pull complete"
    assert "progressDetail" not in records[-1] and records[-1]["status"].startswith("Status: ")


@claim("registry-009", "registry-010")
def test_the_last_line_of_a_pull_says_whether_something_was_newer(api, registry, ship):
    reference = ship(registry)
    well(push(api, reference))
    api.delete(f"/images/{reference}", expect=200)
    assert well(pull(api, reference))[-1]["status"] == f"Status: Downloaded newer image for {reference}"
    assert well(pull(api, reference))[-1]["status"] == f"Status: Image is up to date for {reference}"


@claim("registry-003")
def test_an_image_is_pulled_by_digest(api, registry, ship):
    reference = ship(registry)
    well(push(api, reference))
    sum_ = digest_of(registry, reference)
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
    manifest = registry.api.get(at(reference), headers={"Accept": KINDS}).json()
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
    kinds = [path.split("/")[4] for path in proxy.paths("GET") if path.startswith(f"/v2/{ship.name}/")]
    assert kinds[0] == "manifests" and "blobs" in kinds
    assert {asked.headers["host"] for asked in proxy.asked} == {proxy.address}


@claim("registry-062", "registry-059")
@pytest.mark.parametrize("name", ["", "nosuch/repository"], ids=["tag", "repository"])
def test_a_pull_of_what_is_not_there_fails_and_says_so(api, registry, ship, name):
    well(push(api, ship(registry)))
    answer = pull(api, registry.reference(name or ship.name, "nosuch-tag"), expect=None)
    assert "nosuch" in failed(answer) or "manifest unknown" in failed(answer)
    api.get(f"/images/{registry.reference(name or ship.name, 'nosuch-tag')}/json", expect=404)


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


@claim("registry-014", "registry-001")
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
    words = failed(pull(api, registry.reference(f"fleet/{engine.key}"), expect=None))
    assert re.search(engine.says("wrong_certificate_on_loopback"), words)


@claim("registry-057", "registry-133")
@pytest.mark.parametrize("answer", [Answer(404), Answer(200, {"Content-Type": "text/html"}, b"<html>"), Answer(500)],
                         ids=["no-v2", "a-website", "broken"])  # fmt: skip
def test_a_server_that_is_no_registry_is_told(api, engine, answer):
    with Web(engine.raw.host, lambda _: answer, tls=True) as web:
        for path in admit(engine.raw, web.address, web.ca):
            engine.defer(remove_tree, path)
        reference = f"{web.address}/fleet/{engine.key}:latest"
        assert failed(pull(api, reference, expect=None))
        assert web.asked
    api.get(f"/images/{reference}/json", expect=404)


@claim("registry-109")
def test_what_was_pushed_is_there_after_a_restart(api, registry, ship):
    reference = ship(registry, size=50_000)
    well(push(api, reference))
    before = registry.api.get(at(reference), headers={"Accept": KINDS})
    old = registry.port
    registry.restart()
    assert registry.port != old
    after = registry.api.get(at(reference), headers={"Accept": KINDS})
    assert (after.body, after.header("Docker-Content-Digest")) == (before.body, before.header("Docker-Content-Digest"))
    layer = one(after.json()["layers"])
    assert len(registry.api.get(f"/v2/{ship.name}/blobs/{layer['digest']}").body) == layer["size"]


@claim("registry-129")
def test_two_registries_on_one_storage_hold_the_same(api, registry_with, ship):
    one = registry_with(tls=True)
    reference = ship(one)
    well(push(api, reference))
    shared = {"storage": {"filesystem": {"rootdirectory": str(one.work / "storage")}}}
    other = registry_with(tls=True, settings=shared)
    assert other.api.get("/v2/_catalog").json() == {"repositories": [ship.name]}
    other_reference = other.reference(ship.name)
    well(pull(api, other_reference))
    assert api.get(f"/images/{other_reference}/json").json()["Id"] == api.get(f"/images/{reference}/json").json()["Id"]


@claim("registry-027", "registry-123", "registry-126", "registry-127")
def test_a_registry_tells_of_push_and_pull(api, engine, registry_with, ship):
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
    assert (pushed["target"]["repository"], pushed["target"]["tag"]) == (ship.name, "latest")
    assert pushed["target"]["digest"].startswith("sha256:")
    assert set(pushed) >= {"id", "timestamp", "action", "target", "request", "actor", "source"}
    assert {asked.method for asked in sink.asked} == {"POST"}
    kind = "application/vnd.docker.distribution.events.v1+json"
    assert {asked.headers["content-type"] for asked in sink.asked} == {kind}


@claim("registry-128")
def test_an_endpoint_that_is_down_is_told_later_and_once(api, engine, registry_with, ship):
    down = [Answer(503)] * 4

    with Web(engine.raw.host, lambda _: down.pop() if down else Answer()) as sink:
        told = {"name": "sink", "url": f"http://{sink.address}/", "timeout": "1s", "threshold": 2, "backoff": "1s"}
        registry = registry_with(tls=True, settings={"notifications": {"endpoints": [told]}})
        reference = ship(registry)
        well(push(api, reference))

        def pushed(asked):
            return [event["id"] for one_ in asked for event in json.loads(one_.body)["events"]
                    if event["action"] == "push" and "manifest" in event["target"]["mediaType"]]  # fmt: skip

        wait_until("the event of the manifest", lambda: pushed(list(sink.asked)[4:]), timeout=60)
        failed_, taken = list(sink.asked)[:4], list(sink.asked)[4:]
    assert len({asked.body for asked in failed_}) == 1
    assert taken[0].body == failed_[0].body
    assert len(pushed(taken)) == len(set(pushed(taken))) == 1

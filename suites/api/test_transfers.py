"""Transfers between an engine and a registry that go wrong: cut both ways, corrupted, resumed, slow."""

import hashlib

import pytest

from seatrial import archive
from seatrial.api.transport import KINDS, NOBODY, at, failed, pull, push, well
from seatrial.lab import relay
from seatrial.lab.web import Answer

claim, requires = pytest.mark.claim, pytest.mark.requires
pytestmark = [requires("registry", "lab")]
BLOB = "/blobs/sha256:"
UPLOAD = "/blobs/uploads/"


def cargo(api, reference):
    """Return the file of an image, read out of a container of it."""
    c = api.create(Image=reference, Cmd=["x"])
    return archive.content(c.get("archive", query={"path": "/cargo"}).body, "cargo")


def blobs(registry):
    """Return the blobs that a registry has stored, each by its digest; raise when one is not what its name says."""
    stored = {}
    for path in registry.host.path(registry.work / "storage").rglob("blobs/sha256/*/*/data"):
        data = path.read_bytes()
        assert hashlib.sha256(data).hexdigest() == path.parent.name
        stored[f"sha256:{path.parent.name}"] = data
    return stored


def links(registry):
    """Return the digests of the layers that the repositories of a registry have."""
    storage = registry.host.path(registry.work / "storage")
    return {f"sha256:{path.parent.name}" for path in storage.rglob("_layers/sha256/*/link")}


@pytest.fixture
def proxy(registry, through):
    return through(registry)


@pytest.fixture
def there(api, proxy, ship):
    """An image that only the registry has."""
    reference = ship(proxy, size=300_000)
    well(push(api, reference))
    api.delete(f"/images/{reference}", expect=200)
    proxy.asked.clear()
    return reference


def layer_of(registry, reference):
    """Return the digest of the one layer of an image that a registry has."""
    (layer,) = registry.api.get(at(reference), headers={"Accept": KINDS}).json()["layers"]
    return layer["digest"]


@claim("registry-111", "registry-118", "registry-082")
@pytest.mark.parametrize(
    ("method", "path"), [("POST", UPLOAD), ("PATCH", UPLOAD), ("PUT", UPLOAD)], ids=["begin", "chunk", "end"],
)  # fmt: skip
def test_a_push_that_is_refused_once_is_tried_again(api, registry, proxy, ship, method, path):
    reference = ship(proxy)
    fault = proxy.fail(method, path, relay.status(503), times=1)
    well(push(api, reference))
    assert fault.happened == 1
    assert layer_of(registry, reference) in blobs(registry)


@claim("registry-082")
@pytest.mark.parametrize("after", [0, 1, 100_000], ids=["at-once", "first-byte", "middle"])
def test_a_push_that_is_cut_within_a_layer_is_tried_again(api, registry, proxy, ship, after):
    reference = ship(proxy, size=300_000)
    fault = proxy.cut("PATCH", UPLOAD, after, times=1)
    well(push(api, reference))
    assert fault.happened == 1
    assert layer_of(registry, reference) in blobs(registry)
    api.delete(f"/images/{reference}", expect=200)
    well(pull(api, reference))
    assert cargo(api, reference) == ship.cargo


@pytest.mark.slow
@claim("registry-140", "registry-085")
@pytest.mark.parametrize("after", [1, 100_000], ids=["first-byte", "middle"])
def test_a_push_that_is_always_cut_fails_and_leaves_no_layer(api, registry, proxy, ship, after):
    reference = ship(proxy, size=300_000)
    fault = proxy.cut("PATCH", UPLOAD, after)
    assert failed(push(api, reference, expect=None))
    assert fault.happened
    cut = [asked for asked in proxy.asked if asked.method == "PATCH"]
    assert cut and all(0 < len(asked.body) <= after for asked in cut)
    registry.api.get(at(reference), expect=404, headers={"Accept": KINDS})
    assert max(map(len, blobs(registry).values()), default=0) < 100_000
    proxy.heal()
    well(push(api, reference))
    assert layer_of(registry, reference) in links(registry) & set(blobs(registry))


@claim("registry-140", "registry-092")
def test_a_push_whose_manifest_is_cut_leaves_no_tag(api, registry, proxy, ship):
    reference = ship(proxy)
    fault = proxy.cut("PUT", "/manifests/", 20)
    assert failed(push(api, reference, expect=None))
    assert fault.happened
    registry.api.get(at(reference), expect=404, headers={"Accept": KINDS})
    proxy.heal()
    well(push(api, reference))
    assert blobs(registry)[layer_of(registry, reference)]


@pytest.mark.slow
@claim("registry-076", "registry-140")
def test_a_layer_that_changes_on_its_way_is_not_stored(api, registry, proxy, ship):
    reference = ship(proxy, size=300_000)
    fault = proxy.spoil("PATCH", UPLOAD)
    assert failed(push(api, reference, expect=None))
    assert fault.happened
    registry.api.get(at(reference), expect=404, headers={"Accept": KINDS})
    assert max(map(len, blobs(registry).values()), default=0) < 100_000


@claim("registry-019", "registry-088")
@pytest.mark.parametrize(("path", "place"), [("/blobs/", 0.0), ("/blobs/", 0.5), ("/blobs/", 1.0)],
                         ids=["first", "middle", "last"])  # fmt: skip
def test_a_blob_with_a_flipped_byte_is_refused_and_nothing_is_stored(api, proxy, there, ship, path, place):
    reference = there
    fault = proxy.fail("GET", path, relay.flip(place))
    assert failed(pull(api, reference, expect=None))
    assert fault.happened
    api.get(f"/images/{reference}/json", expect=404)
    proxy.heal()
    well(pull(api, reference))
    assert cargo(api, reference) == ship.cargo


@claim("registry-019")
def test_a_manifest_that_is_not_what_its_digest_says_is_refused(api, registry, proxy, ship):
    reference = ship(proxy)
    well(push(api, reference))
    sum_ = registry.api.head(at(reference), headers={"Accept": KINDS}).header("Docker-Content-Digest")
    api.delete(f"/images/{reference}", expect=200)
    proxy.fail("GET", "/manifests/", lambda answer: Answer(answer.status, answer.headers, answer.body + b" "))
    by_digest = f"{reference.rpartition(':')[0]}@{sum_}"
    assert failed(api.post("/images/create", expect=None, query={"fromImage": by_digest}, headers=NOBODY, timeout=60))
    api.get(f"/images/{by_digest}/json", expect=404)


@claim("registry-019", "registry-064")
@pytest.mark.parametrize("share", [0.0, 0.1, 0.9], ids=["at-once", "early", "late"])
def test_a_pull_that_is_cut_once_goes_on(api, proxy, there, ship, share):
    fault = proxy.fail("GET", BLOB, relay.cut(share), times=1)
    well(pull(api, there))
    assert fault.happened == 1
    assert cargo(api, there) == ship.cargo


@claim("registry-019", "registry-140")
def test_a_pull_that_is_always_cut_fails_and_stores_nothing(api, proxy, there, ship):
    fault = proxy.fail("GET", BLOB, relay.cut(0.5))
    assert failed(pull(api, there, expect=None))
    assert fault.happened >= 1
    api.get(f"/images/{there}/json", expect=404)
    proxy.heal()
    proxy.asked.clear()
    well(pull(api, there))
    assert [path for path in proxy.paths("GET") if BLOB in path]
    assert cargo(api, there) == ship.cargo


@claim("registry-019", "registry-140")
def test_what_is_resumed_is_checked_as_a_whole(api, proxy, there, ship):
    def change(answer):
        return relay.cut(0.6)(relay.flip(0.3)(answer)) if answer.status == 200 else answer

    fault = proxy.fail("GET", BLOB, change)
    assert failed(pull(api, there, expect=None))
    assert fault.happened >= 1
    api.get(f"/images/{there}/json", expect=404)
    proxy.heal()
    well(pull(api, there))
    assert cargo(api, there) == ship.cargo


@claim("registry-021")
def test_layers_are_fetched_at_the_same_time(api, engine, proxy):
    reference = proxy.reference(f"fleet/{engine.key}")
    engine.track("image", reference)
    names = ("one", "two", "three")
    context = {"Dockerfile": "FROM scratch\n" + "".join(f"COPY {name} /{name}\n" for name in names)}
    body = archive.tree({**context, **{name: f"{name} {engine.key}" for name in names}})
    query = {"t": reference, "labels": engine.labels}
    well(api.post("/build", expect=200, query=query, headers={"Content-Type": "application/x-tar"}, body=body))
    well(push(api, reference))
    api.delete(f"/images/{reference}", expect=200)
    proxy.asked.clear()
    proxy.fail("GET", BLOB, relay.late(2.0))
    well(pull(api, reference))
    manifest = proxy.registry.api.get(at(reference), headers={"Accept": KINDS}).json()
    layers = {layer["digest"] for layer in manifest["layers"]}
    begun = {asked.path.rpartition("/")[2]: asked.when for asked in reversed(proxy.asked) if asked.method == "GET"}
    times = sorted(begun[digest] for digest in layers)
    assert len(times) == 3
    assert times[-1] - times[0] < 2.0  # none was done when the last began


@claim("registry-141")
def test_a_slow_registry_is_waited_for(api, proxy, there, ship):
    fault = proxy.fail("GET", "/(blobs|manifests)/", relay.late(1.5))
    well(pull(api, there))
    assert fault.happened >= 2
    assert cargo(api, there) == ship.cargo

"""Registries beside loopback, where an engine trusts nobody by itself: plain HTTP, certificates, mirrors."""

import re

import pytest

from seatrial import archive
from seatrial.api.transport import failed, pull, push, well
from seatrial.lab.registry import OUTSIDE

claim, requires = pytest.mark.claim, pytest.mark.requires
pytestmark = [requires("registry", "private_engine")]


@pytest.fixture
def idle(private_engine):
    """An engine of the test's own that does not run yet: what it trusts can be written before."""
    return private_engine(start=False)


def started(d, **registries):
    d.use_registries(**registries)
    d.daemon.start()
    return d.api


def ship(api, reference):
    """Make an image of a name."""
    repo, _, tag = reference.rpartition(":")
    body = archive.tree({"cargo": reference.encode()})
    api.post("/images/create", expect=200, query={"fromSrc": "-", "repo": repo, "tag": tag, "changes": 'CMD ["x"]'},
             headers={"Content-Type": "application/x-tar"}, body=body)  # fmt: skip
    return reference


def moved(api, reference):
    """Push an image, remove it and pull it again."""
    ship(api, reference)
    id_ = api.get(f"/images/{reference}/json").json()["Id"]
    well(push(api, reference))
    api.delete(f"/images/{reference}", expect=200)
    api.get(f"/images/{reference}/json", expect=404)
    well(pull(api, reference))
    assert api.get(f"/images/{reference}/json").json()["Id"] == id_


@claim("registry-138", "registry-025")
def test_a_registry_without_tls_is_refused_beside_loopback(idle, registry_with):
    registry = registry_with(engine=idle, trusted=False, ip=OUTSIDE)
    api = started(idle)
    reference = ship(api, registry.reference("fleet/ship"))
    assert re.search("HTTP response to HTTPS client", failed(push(api, reference, expect=None)))
    assert registry.api.get("/v2/_catalog").json() == {"repositories": []}
    other = registry.reference("fleet/other")
    assert re.search("HTTP response to HTTPS client", failed(pull(api, other, expect=None)))
    api.get(f"/images/{other}/json", expect=404)


@claim("registry-138", "registry-004", "registry-003")
def test_a_registry_that_is_called_insecure_is_used_without_tls(idle, registry_with):
    registry = registry_with(engine=idle, trusted=False, ip=OUTSIDE)
    api = started(idle, insecure=[registry.address])
    moved(api, registry.reference("fleet/ship"))
    assert registry.api.get("/v2/_catalog").json() == {"repositories": ["fleet/ship"]}


@claim("registry-138")
def test_only_the_registry_that_is_called_insecure_is(idle, registry_with):
    named = registry_with(engine=idle, trusted=False, ip=OUTSIDE)
    other = registry_with(engine=idle, trusted=False, ip=OUTSIDE)
    api = started(idle, insecure=[named.address])
    moved(api, named.reference("fleet/ship"))
    assert "HTTPS client" in failed(pull(api, other.reference("fleet/ship"), expect=None))


WRONG = {
    "unknown-authority": ({"tls": True, "trusted": False}, "x509: certificate signed by unknown authority"),
    "expired": ({"tls": "expired"}, "x509: certificate has expired or is not yet valid"),
    "other-name": ({"tls": "other-name"}, r"x509: .*(valid for|any IP SANs)"),
}


@claim("registry-136", "registry-112", "registry-137")
@pytest.mark.parametrize(("options", "says"), list(WRONG.values()), ids=list(WRONG))
def test_a_certificate_that_is_wrong_in_one_way_is_refused(idle, registry_with, options, says):
    registry = registry_with(engine=idle, ip=OUTSIDE, **options)
    api = started(idle)
    reference = ship(api, registry.reference("fleet/ship"))
    assert re.search(says, failed(push(api, reference, expect=None)))
    assert re.search(says, failed(pull(api, registry.reference("fleet/other"), expect=None)))
    assert not re.search('"(PUT|POST|PATCH) ', registry.log)


@claim("registry-028", "registry-137")
def test_a_certificate_of_a_known_authority_is_taken(idle, registry_with):
    registry = registry_with(engine=idle, ip=OUTSIDE, tls=True)
    moved(started(idle), registry.reference("fleet/ship"))


@claim("registry-131")
@pytest.mark.parametrize("options", [options for options, _ in WRONG.values()], ids=list(WRONG))
def test_an_insecure_registry_may_show_any_certificate(idle, registry_with, options):
    registry = registry_with(engine=idle, ip=OUTSIDE, **{**options, "trusted": False})
    moved(started(idle, insecure=[registry.address]), registry.reference("fleet/ship"))


@pytest.fixture
def mirror(idle, registry_with):
    return registry_with(engine=idle, trusted=False, ip=OUTSIDE)


def library(api, mirror):
    """Have an image of Docker Hub's library in a mirror only, and return its id and name."""
    there = ship(api, mirror.reference("library/lugger"))
    id_ = api.get(f"/images/{there}/json").json()["Id"]
    well(push(api, there))
    api.delete(f"/images/{there}", expect=200)
    return id_, "docker.io/library/lugger:latest"


@claim("registry-139")
def test_a_mirror_is_asked_for_images_of_docker_hub(idle, mirror):
    api = started(idle, insecure=[mirror.address], mirrors=[mirror.address])
    id_, name = library(api, mirror)
    before = mirror.log.count('"GET /v2/library/lugger/manifests/')
    well(pull(api, name))
    assert api.get(f"/images/{name}/json").json()["Id"] == id_
    assert mirror.log.count('"GET /v2/library/lugger/manifests/') > before


@claim("registry-139")
def test_without_a_mirror_nobody_but_docker_hub_is_asked(idle, mirror):
    api = started(idle, insecure=[mirror.address])
    _, name = library(api, mirror)
    asked = mirror.log.count('"GET /v2/library/lugger/manifests/')
    assert failed(pull(api, name, expect=None))
    assert mirror.log.count('"GET /v2/library/lugger/manifests/') == asked
    api.get(f"/images/{name}/json", expect=404)


@claim("registry-139")
def test_a_mirror_is_not_asked_for_images_of_other_registries(idle, mirror, registry_with):
    other = registry_with(engine=idle, trusted=False, ip=OUTSIDE)
    api = started(idle, insecure=[mirror.address, other.address], mirrors=[mirror.address])
    moved(api, other.reference("library/lugger"))
    assert "library/lugger" not in mirror.log


@claim("registry-139")
def test_a_mirror_that_is_down_is_passed_over(idle, mirror, registry_with):
    down = registry_with(engine=idle, trusted=False, ip=OUTSIDE)
    down.close()
    api = started(idle, insecure=[mirror.address], mirrors=[down.address, mirror.address])
    id_, name = library(api, mirror)
    well(pull(api, name))
    assert api.get(f"/images/{name}/json").json()["Id"] == id_


@claim("registry-139")
def test_what_a_mirror_does_not_have_is_asked_of_docker_hub(idle, mirror):
    api = started(idle, insecure=[mirror.address], mirrors=[mirror.address])
    words = failed(pull(api, "docker.io/library/nosuch:latest", expect=None))
    assert '"GET /v2/library/nosuch/manifests/' in mirror.log
    assert "docker.io" in words  # which no lab reaches
    assert api.get("/images/json").json() == []

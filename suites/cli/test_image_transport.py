"""Images on their way: pushed to a registry and pulled, by name, digest and platform."""

import contextlib
import http.client
import json
import re

import pytest

from seatrial.archive import Image, members, tree
from seatrial.names import RUN_LABEL, TEST_LABEL

claim, effect = pytest.mark.claim, pytest.mark.effect
pytestmark = pytest.mark.requires("registry")

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"


def push(engine, registry, image, name, tag="v1"):
    """Tag and push an image, and forget the name; return the reference and the registry's manifest."""
    reference = registry.reference(name, tag)
    engine.track("image", reference)
    engine.cli("tag", image, reference)
    engine.cli("push", reference, timeout=120)
    engine.cli("rmi", reference)
    answer = registry.api.get(f"/v2/{name}/manifests/{tag}", headers={"Accept": f"{DOCKER_MANIFEST}, {OCI_MANIFEST}"})
    assert answer.status == 200
    return reference, answer


def pull(engine, reference, *options, **settings):
    engine.track("image", reference)
    return engine.cli("pull", *options, reference, timeout=120, **settings)


@claim("image-019", "image-029")
@pytest.mark.parametrize("name", ["one", "group/space/repository", "a/b/c/d/e/f-g/h_i/j.k"],
                         ids=["one", "three", "eight"])  # fmt: skip
def test_an_image_is_pushed_and_pulled_under_a_name_of_levels(engine, registry, small_image, name):
    image = small_image({"f": engine.key})
    id_ = engine.image_id(image)
    reference, _ = push(engine, registry, image, name)
    engine.cli("rmi", image)
    assert not engine.exists(id_, "image")
    assert registry.api.get("/v2/_catalog").json() == {"repositories": [name]}
    assert registry.api.get(f"/v2/{name}/tags/list").json()["tags"] == ["v1"]
    pull(engine, reference)
    assert engine.image_id(reference) == id_
    assert engine.inspect(reference, "image")["RepoTags"] == [reference]


@claim("image-019")
def test_push_tells_its_progress(engine, registry, small_image):
    reference = registry.reference("sea/told")
    engine.track("image", reference)
    engine.cli("tag", small_image({"f": engine.key}), reference)
    result = engine.cli("push", reference, timeout=120)
    told = {"stdout": result.stdout, "stderr": result.stderr}
    assert told.pop(engine.trait("push_progress"))
    assert set(told.values()) == {""}


@claim("image-208")
def test_a_pulled_image_has_the_digest_of_the_registry_and_is_named_by_it(engine, registry, small_image):
    image = small_image({"f": engine.key})
    _, answer = push(engine, registry, image, "sea/chart")
    digest = answer.headers["docker-content-digest"]
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", digest)
    by_digest = f"{registry.address}/sea/chart@{digest}"
    pull(engine, by_digest)
    assert by_digest in engine.inspect(by_digest, "image")["RepoDigests"]
    assert engine.image_id(by_digest) == engine.image_id(image)
    c = engine.name()
    engine.cli("create", "--name", c, by_digest, "/f")
    engine.track("container", c)
    assert engine.inspect(c)["Image"].removeprefix("sha256:") == engine.image_id(image)


@claim("image-208")
@pytest.mark.parametrize("what", ["tag", "repository", "digest"])
def test_pull_of_what_the_registry_does_not_have_fails(engine, registry, small_image, what):
    push(engine, registry, small_image({"f": engine.key}), "sea/chart")
    reference = {
        "tag": registry.reference("sea/chart", "v2"), "repository": registry.reference("sea/none", "v1"),
        "digest": f"{registry.address}/sea/chart@sha256:{'0' * 64}",
    }[what]  # fmt: skip
    engine.fails("pull", reference, says="not found|manifest unknown|unknown: ", code=engine.code("error"))
    assert not engine.exists(reference, "image")


@claim("image-208", "image-207")
def test_push_of_an_unknown_image_fails_and_sends_nothing(engine, registry):
    engine.fails("push", registry.reference("sea/none"), says="does not exist|image not known|unable to find")
    assert registry.api.get("/v2/_catalog").json() == {"repositories": []}


@claim("image-204")
@pytest.mark.parametrize("name", ["Upper/Case", "a//b", "a:b:c", "a@sha256:12"])
def test_pull_refuses_what_is_no_reference(engine, registry, name):
    engine.fails("pull", f"{registry.address}/{name}", says="bad_reference")


@claim("image-023", "image-009")
def test_a_layer_that_the_registry_has_is_not_sent_again(engine, registry, small_image):
    base = small_image({"big": bytes(100_000), "key": engine.key})
    push(engine, registry, base, "fleet/one")
    c = engine.create(base, "/x")
    (engine.workdir / "x").write_text("x")
    engine.cli("cp", str(engine.workdir / "x"), f"{c.name}:/x")
    engine.cli("commit", c.name, top := engine.image_name())
    _, answer = push(engine, registry, top, "fleet/one", "v2")
    before = registry.api.get("/v2/fleet/one/manifests/v1", headers={"Accept": f"{DOCKER_MANIFEST}, {OCI_MANIFEST}"})
    lower = [layer["digest"] for layer in before.json()["layers"]]
    upper = [layer["digest"] for layer in answer.json()["layers"]]
    assert len(lower) == 1
    assert upper[:-1] == lower
    engine.cli("rmi", top)
    pull(engine, registry.reference("fleet/one", "v2"))
    assert len(engine.inspect(registry.reference("fleet/one", "v2"), "image")["RootFS"]["Layers"]) == 2


@claim("image-029")
def test_the_same_tree_arrives_by_registry_archive_and_export(engine, registry, default_builder):
    script = "mkdir -m 750 /kit; echo x >/kit/x; ln -s x /kit/s; chmod 4711 /kit/x; chown 37:100 /kit; rm /etc/group"
    built = default_builder.build(f"FROM IMAGE\nRUN {script}").name
    origin = engine.cli("export", engine.create(built).name).out
    reference, _ = push(engine, registry, built, "sea/kit")
    archive = engine.cli("save", built).out
    ways = {"Dockerfile": _shape(origin)}
    engine.cli("import", "-", imported := engine.image_name(), stdin=origin)
    ways["export"] = _shape(engine.cli("export", engine.create(imported, "/x").name).out)
    engine.cli("rm", *engine.cli("ps", "--all", "--quiet", "--filter", f"label={TEST_LABEL}={engine.key}").lines)
    engine.cli("rmi", built)
    pull(engine, reference)
    c = engine.name()
    engine.cli("create", "--name", c, reference)
    ways["registry"] = _shape(engine.cli("export", c).out)
    engine.cli("load", stdin=archive)
    ways["archive"] = _shape(engine.cli("export", engine.create(built).name).out)
    assert len(ways["Dockerfile"]) > 100
    assert ways["Dockerfile"]["kit/x"][1] == 0o4711
    for way in ways.values():
        assert way == ways["Dockerfile"]


_OWN = {".dockerenv", "etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab", "dev/console", "run/.containerenv"}


def _shape(archive):
    return {
        path: (info.type, info.mode & 0o7777, info.uid, info.gid, info.size, info.linkname)
        for path, info in members(archive).items()
        if path not in _OWN and path.split("/")[0] not in ("dev", "proc", "sys", "run") and not info.isdir()
    }


@pytest.fixture
def fleet(engine, registry, small_image):
    """An index in the registry: an image of this machine, and one of another; the reference and both ids."""
    labels = {RUN_LABEL: engine.run_id, TEST_LABEL: engine.key}
    own = engine.inspect(engine.image, "image")["Architecture"]
    entries, ids = [], {}
    for architecture in (own, "s390x"):
        image = Image.make([tree({"f": architecture + engine.key})], [engine.image_name()],
                           architecture=architecture, config={"Labels": labels, "Cmd": ["/f"]})  # fmt: skip
        engine.cli("load", stdin=image.archive())
        _, answer = push(engine, registry, image.names[0], "fleet/flag", architecture)
        engine.cli("rmi", image.names[0])
        manifest = answer.json()
        entries.append({
            "mediaType": manifest["mediaType"], "digest": answer.headers["docker-content-digest"],
            "size": len(answer.body), "platform": {"architecture": architecture, "os": "linux"},
        })  # fmt: skip
        ids[architecture] = image.id
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})

    def put():
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", registry.port, timeout=10)) as connection:
            connection.request("PUT", "/v2/fleet/flag/manifests/all", index, {"Content-Type": INDEX})
            return connection.getresponse().status

    assert registry.host.call(put) == 201
    return registry.reference("fleet/flag", "all"), own, ids


@claim("image-049")
def test_pull_of_an_index_takes_the_image_of_this_machine(engine, fleet):
    reference, own, ids = fleet
    pull(engine, reference)
    assert engine.image_id(reference) == ids[own]
    assert engine.inspect(reference, "image")["Architecture"] == own


@claim("image-049")
@effect("pull --platform")
def test_pull_of_an_index_takes_the_platform_that_is_asked_for(engine, fleet):
    reference, _, ids = fleet
    pull(engine, reference, "--platform", "linux/s390x")
    assert engine.image_id(reference) == ids["s390x"]
    assert engine.inspect(reference, "image")["Architecture"] == "s390x"


@claim("image-049")
def test_pull_of_an_index_without_the_platform_fails(engine, fleet):
    reference, _, _ = fleet
    engine.fails("pull", "--platform", "linux/riscv64", reference, says="no (matching manifest|image found)")
    assert not engine.exists(reference, "image")


@claim("image-049")
@pytest.mark.parametrize("platform", ["linux/amd64/v1/extra", "plan 9/amd64", "/"])
def test_pull_refuses_what_is_no_platform(engine, fleet, platform):
    engine.fails("pull", "--platform", platform, fleet[0], says="platform specifier|OS component|no image found")
    assert not engine.exists(fleet[0], "image")

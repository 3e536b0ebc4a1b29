"""Images that are wrong in one way, pulled from a registry and read by tools, and odd ones that are right."""

import dataclasses
import io
import json
import tarfile

import pytest

from seatrial.archive import digest
from seatrial.exec import FAILURE
from seatrial.oci.bench import refused
from seatrial.oci.image.samples import BROKEN, LAYERS, ODD, TAG, Layout, setting, signed_by, write

claim = pytest.mark.claim

# what is wrong with the layout itself or with its index.json is not seen over a registry, which has neither
_OF_LAYOUTS = {
    "no-mark", "mark-without-version", "mark-of-the-future", "no-index", "manifest-is-missing", "index-is-cut",
    "index-version-1", "index-of-another-type", "index-without-manifests",
}
SERVED = [sample for sample in BROKEN if sample.name not in _OF_LAYOUTS]
PULLED = [sample for sample in SERVED if sample.refused]
# wrong as well, but nobody has to look at it, or it can be put right
LENIENT = [sample for sample in SERVED if not sample.refused]
READ = [sample for sample in BROKEN if sample.refused]
# those of what umoci may pass over that it unpacks; it refuses the others
UMOCI_TAKES = {
    "blob-of-another-content", "blob-of-no-digest", "config-is-no-utf8", "manifest-has-a-key-twice",
    "url-with-a-space", "data-is-another-content", "artifact-type-is-no-type", "platform-without-os",
    "index-version-1", "index-of-another-type", "manifest-version-1", "manifest-of-another-type", "subject-is-a-layer",
    "config-without-os", "env-without-value", "port-99999", "path-goes-up", "path-goes-up-inside", "path-twice",
    "whiteout-with-content", "whiteout-is-a-directory",
}


# "Implementations MUST generate an error", says config.md
_MUST = {"rootfs-of-another-type"}


def params(samples):
    """Return samples as parameters, with a claim of their own where the specification leaves no choice."""
    return [pytest.param(one, id=one.name, marks=[claim("img-refused-06")] if one.name in _MUST else [])
            for one in samples]


def fresh(sample, engine):
    """Return the files of a sample with layers that no other test has.

    An engine does not look at layers again that it knows, and may fail when another test removes one at that moment.
    """
    layers = [signed_by(layer, engine.key) if layer in LAYERS else layer for layer in sample.layout.layers]
    return dataclasses.replace(sample.layout, layers=layers).build()


@claim("img-refused-01")
@pytest.mark.parametrize("sample", params(PULLED))
def test_an_engine_refuses_to_pull_it(sample, engine, pier):
    reference = pier.offer(fresh(sample, engine))
    assert engine.cli("pull", reference, expect=FAILURE, timeout=120).stderr.strip()
    assert pier.harbour.paths("GET"), "the engine has not asked"
    assert not engine.exists(reference, "image")


@claim("img-refused-02")
@pytest.mark.parametrize("sample", params(READ))
def test_umoci_refuses_to_unpack_it(sample, engine, tools):
    place = write(engine.workdir / "layout", sample.layout.build())
    good = write(engine.workdir / "good", Layout().build())
    tools("umoci", "raw", "unpack", "--image", f"{good}:{TAG}", str(engine.workdir / "there"))
    refused(tools("umoci", "raw", "unpack", "--image", f"{place}:{TAG}", str(engine.workdir / "root"), expect=FAILURE))


@claim("img-refused-08")
@pytest.mark.parametrize("sample", [one for one in BROKEN if one.name in UMOCI_TAKES], ids=lambda one: one.name)
def test_umoci_unpacks_what_may_be_passed_over_and_nothing_beside(sample, engine, tools):
    place = write(engine.workdir / "layout", sample.layout.build())
    root = engine.workdir / "root"
    tools("umoci", "raw", "unpack", "--image", f"{place}:{TAG}", str(root))
    assert (root / "bin/sail").read_bytes() == b"\x7fELF"
    assert sorted(path.name for path in engine.workdir.iterdir()) == ["layout", "root"]


@claim("img-refused-08")
@pytest.mark.parametrize("sample", [one for one in BROKEN if not one.refused and one.name not in UMOCI_TAKES],
                         ids=lambda one: one.name)  # fmt: skip
def test_umoci_refuses_what_it_cannot_unpack_and_leaves_nothing_beside(sample, engine, tools):
    place = write(engine.workdir / "layout", sample.layout.build())
    root = engine.workdir / "root"
    refused(tools("umoci", "raw", "unpack", "--image", f"{place}:{TAG}", str(root), expect=FAILURE))
    assert {path.name for path in engine.workdir.iterdir()} <= {"layout", "root"}


# of an image that was taken; names as the archive has them
SAIL = "bin/sail"


@claim("img-refused-07")
@pytest.mark.parametrize("sample", LENIENT, ids=lambda one: one.name)
def test_an_engine_takes_what_may_be_passed_over_as_a_whole_or_not_at_all(sample, engine, pier):
    files = fresh(sample, engine)
    reference = pier.offer(files)
    pulled = engine.cli("pull", reference, expect=None, timeout=120)
    if not pulled.ok:
        refused(pulled)
    assert engine.exists(reference, "image") == pulled.ok
    # the contents of an image that was taken: none of an image that was not
    names = contents(engine, reference) if pulled.ok else []
    assert (SAIL in names) == pulled.ok
    assert [name for name in names if ".." in name.split("/")] == []
    # nothing is where the paths of some samples lead to
    assert not engine.raw.host.path("/outside").exists()
    # and the engine is none the worse for it
    assert SAIL in contents(engine, pier.pull(fresh(ODD[0], engine), tag="right"))


def contents(engine, reference):
    """The names of all files of an image, as a container of it has them."""
    made = engine.cli("create", "--name", engine.name(), reference, "/bin/sail").stdout.strip()
    with tarfile.open(fileobj=io.BytesIO(engine.cli("export", made).out)) as exported:
        return [entry.name.removeprefix("./").lstrip("/") for entry in exported]


ACCEPTED = [sample for sample in ODD if sample.name not in
            ("no-layers", "artifact-with-subject", "sha512", "index-in-an-index", "hard-link-into-a-lower-layer",
             "architecture-of-the-kernel", "layers-with-zstd")]


@claim("img-refused-03")
@pytest.mark.parametrize("sample", params(ACCEPTED))
def test_an_engine_pulls_what_is_odd_and_right(sample, engine, pier):
    files = fresh(sample, engine)
    reference = pier.pull(files)
    manifest = json.loads(files["index.json"])["manifests"][0]["digest"]
    config = json.loads(files[f"blobs/{manifest.replace(':', '/')}"])["config"]["digest"]
    wanted = json.loads(files[f"blobs/{config.replace(':', '/')}"])
    shown = engine.inspect(reference, "image")
    assert shown["RootFS"]["Layers"] == wanted["rootfs"]["diff_ids"]
    assert shown["Config"]["Cmd"] == ["/bin/sail"]
    assert engine.image_id(reference) in (config[7:], manifest[7:])


@claim("img-refused-04")
def test_an_engine_chooses_its_platform_from_an_index(engine, pier):
    files = Layout().build()
    other = Layout(config=setting("architecture", to="s390x")).build()
    mine, foreign = (json.loads(one["index.json"])["manifests"][0] for one in (files, other))
    foreign["platform"]["architecture"] = "s390x"
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [foreign, mine]}
    text = json.dumps(index).encode()
    described = {"mediaType": index["mediaType"], "digest": digest(text), "size": len(text)}
    blobs = {**files, **other, f"blobs/{digest(text).replace(':', '/')}": text,
             "index.json": json.dumps({"manifests": [described]}).encode()}
    for one in (foreign, mine):
        pier.harbour.store("fleet/ship", {**blobs, "index.json": json.dumps({"manifests": [one]}).encode()}, "x")
    reference = pier.offer(blobs)
    engine.cli("pull", reference)
    assert engine.inspect(reference, "image")["Architecture"] == "amd64"

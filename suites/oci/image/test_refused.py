"""Images that are wrong in one way, pulled from a registry and read by tools, and odd ones that are right."""

import dataclasses
import json

import pytest

from seatrial.archive import digest
from seatrial.exec import FAILURE
from seatrial.oci.image.samples import BROKEN, LAYERS, ODD, TAG, Layout, setting, signed_by, write

claim = pytest.mark.claim

# what is wrong with the layout itself or with an index.json is not seen over a registry
_LAYOUT = ("OCI01", "OCI04")
PULLED = [sample for sample in BROKEN
          if sample.refused and not sample.code.startswith(_LAYOUT) and not sample.name.startswith(("index", "mani"))]
READ = [sample for sample in BROKEN if sample.refused]


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
    tools("umoci", "raw", "unpack", "--image", f"{place}:{TAG}", str(engine.workdir / "root"), expect=range(1, 128))


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

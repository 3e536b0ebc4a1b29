"""Images that are wrong in one way get the rule that they break, and those that are right get none."""

import gzip
import io
import json
import os
import tarfile

import pytest

from seatrial.archive import Image, tree
from seatrial.diagnostics import Severity
from seatrial.oci.image import media, samples, validate
from seatrial.oci.image.rules import CATALOGUE
from seatrial.oci.image.samples import BROKEN, ODD, Layout, describe, put, write
from seatrial.oci.image.validate import Wishes

WISHES = Wishes()


@pytest.mark.parametrize("sample", BROKEN, ids=lambda sample: sample.name)
def test_a_broken_image_gets_its_code(sample, tmp_path):
    report = validate.path(write(tmp_path, sample.layout.build()), WISHES)
    assert sample.code in report.codes(Severity.ERROR)
    assert report.codes() <= {sample.code, *sample.also}, report.diagnostics


@pytest.mark.parametrize("sample", ODD, ids=lambda sample: sample.name)
def test_an_odd_image_is_valid(sample, tmp_path):
    report = validate.path(write(tmp_path, sample.layout.build()), WISHES)
    assert report.errors == []
    assert report.codes() == {code for code in (sample.code, *sample.also) if code}
    assert any(one.code == "OCI000" for one in report.diagnostics)


def test_there_are_enough_of_them():
    names = [sample.name for sample in (*BROKEN, *ODD)]
    assert len(BROKEN) >= 60
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("packing", ["", "gzip", "zstd"])
def test_an_archive_is_read_as_its_directory(packing, tmp_path):
    files = Layout().build()
    path = tmp_path / "image.tar"
    path.write_bytes(samples.pack(samples.packed_up(files), packing))
    report = validate.path(path, WISHES)
    assert report.codes() == set()
    assert "linux/amd64, 2 layers" in report.diagnostics[0].message


def test_what_docker_save_writes(tmp_path):
    image = Image.make([tree({"etc": None, "etc/motd": "x"})], ["fleet/ship:v1"])
    path = tmp_path / "saved.tar"
    path.write_bytes(image.archive())
    assert validate.path(path, WISHES).codes() == set()
    for code, change in (
        ("OCI090", {"manifest.json": "{}"}), ("OCI090", {"manifest.json": '[{"Config": 7}]'}),
        ("OCI045", {"manifest.json": "[]"}), ("OCI006", {"manifest.json": "["}),
        ("OCI091", {"manifest.json": f'[{{"Config": "{image.id}.json", "Layers": ["gone"]}}]'}),
        ("OCI004", {"manifest.json": f'[{{"Config": "{image.id}.json", "Layers": ["../../x"]}}]'}),
        ("OCI092", {f"{image.id}.json": image.config + b" "}),
        ("OCI093", {"manifest.json": f'[{{"Config": "{image.id}.json", "RepoTags": ["A B"], "Layers": []}}]'}),
        ("OCI074", {"manifest.json": f'[{{"Config": "{image.id}.json", "Layers": []}}]'}),
        ("OCI075", {"0/layer.tar": tree({"other": "x"})}),
    ):  # fmt: skip
        path.write_bytes(tree({**image.files(), **change}))
        assert code in validate.path(path, WISHES).codes(), (code, change)


def test_an_archive_of_two_images_in_one(tmp_path):
    image = Image.make([tree({"a": "x"})])
    path = tmp_path / "both.tar"
    path.write_bytes(tree({**Layout().build(), **image.files()}))
    assert validate.path(path, WISHES).codes(Severity.ERROR) == {"OCI094"}


def test_nothing_outside_of_a_layout_is_read(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("{}")
    place = write(tmp_path / "layout", Layout().build())
    os.remove(place / "oci-layout")
    (place / "oci-layout").symlink_to(secret)
    os.mkfifo(place / "blobs/sha256" / ("0" * 64))
    report = validate.path(place, WISHES)
    assert report.codes(Severity.ERROR) >= {"OCI018"}
    assert {"oci-layout", "blobs"} <= {one.message.partition(":")[0].partition("/")[0] for one in report.errors}


@pytest.mark.parametrize(("name", "kind"), [("../x", tarfile.REGTYPE), ("/x", tarfile.REGTYPE), ("x", tarfile.CHRTYPE)])
def test_an_archive_with_an_entry_that_would_lead_out(name, kind, tmp_path):
    path = tmp_path / "image.tar"
    path.write_bytes(samples.tar(*((key, data) for key, data in Layout().build().items()), (name, samples.entry(kind))))
    assert validate.path(path, WISHES).codes(Severity.ERROR) == {"OCI004"}


def test_a_layer_that_unpacks_to_more_than_the_limit(tmp_path):
    layout = Layout(layers=(samples.tar(("zeros", b"\0" * (8 << 20))),))
    for compression, kind in (("gzip", media.GZIP), ("zstd", media.ZSTD)):
        layout.compression, layout.layer_type = compression, kind
        report = validate.path(write(tmp_path / compression, layout.build()), Wishes(limit=1 << 20))
        assert report.codes(Severity.ERROR) == {"OCI005"}
        assert validate.path(tmp_path / compression, WISHES).codes() == set()


def test_an_archive_that_unpacks_to_more_than_the_limit(tmp_path):
    path = tmp_path / "bomb.tar.gz"
    path.write_bytes(gzip.compress(b"\0" * (4 << 20)))
    assert validate.path(path, Wishes(limit=1 << 20)).codes() >= {"OCI005"}


def test_many_mistakes_of_a_kind_are_counted(tmp_path):
    layer = samples.tar(*((f".wh.{number}", "x") for number in range(5000)))
    report = validate.path(write(tmp_path, Layout(layers=(layer,)).build()), WISHES)
    told = [one.message for one in report.errors]
    assert len(told) == 21
    assert told[-1] == "and 4980 more of the same"


def test_an_index_of_itself_is_no_endless_walk(tmp_path):
    files = Layout().build()
    for _ in range(20):
        inner = files["index.json"]
        put(files, inner)
        files["index.json"] = json.dumps(
            {"schemaVersion": 2, "mediaType": media.INDEX, "manifests": [describe(inner, media.INDEX)]}
        ).encode()
    assert validate.path(write(tmp_path, files), WISHES).codes(Severity.ERROR) == {"OCI005"}


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 5000 + "1" + "}" * 5000, "1" * 10_000])
def test_json_that_is_deep_or_huge(text, tmp_path):
    files = {**Layout().build(), "index.json": text.encode()}
    report = validate.path(write(tmp_path, files), WISHES)
    assert report.codes(Severity.ERROR) & {"OCI005", "OCI006"}


@pytest.mark.parametrize("data", [b"", b"x", b"\x1f\x8b", b"\0" * 1024, os.urandom(4096)])
def test_files_that_are_nothing(data, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(data)
    report = validate.path(path, WISHES)
    assert report.codes(Severity.ERROR) & {"OCI002", "OCI003"}
    assert validate.path(tmp_path, WISHES).codes() == {"OCI002"}
    assert validate.path(tmp_path / "nothing", WISHES).codes() == {"OCI001"}


@pytest.mark.parametrize("place", range(0, 3000, 61))
def test_damage_anywhere_is_told_and_never_a_traceback(place, tmp_path):
    data = bytearray(samples.packed_up(Layout().build()))
    at = len(data) * place // 3000
    data[at] ^= 0x55
    path = tmp_path / "image.tar"
    path.write_bytes(bytes(data))
    report = validate.path(path, WISHES)
    if data[at] == 0x55:  # it stood in the padding, of a header or behind a file
        return
    assert report.diagnostics


def test_sparse_files_and_devices_are_read_over(tmp_path):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as made:
        made.addfile(samples.entry(tarfile.GNUTYPE_SPARSE, name="sparse"))
        long = samples.entry(tarfile.SYMTYPE, linkname="t/" * 200)
        long.name = "n/" * 150 + "f"
        made.addfile(long)
    report = validate.path(write(tmp_path, Layout(layers=(buffer.getvalue(),)).build()), WISHES)
    assert report.codes() == {"OCI112"}


def test_rules_are_explained_with_section_and_level():
    for rule in CATALOGUE.rules.values():
        assert rule.why.endswith(".")
        assert not rule.title.endswith(".")
        if "000" not in rule.code and rule.code > "OCI003" and rule.code < "OCI150":
            assert rule.section, rule.code
            assert rule.level in ("MUST", "SHOULD", "DOC", "safety")

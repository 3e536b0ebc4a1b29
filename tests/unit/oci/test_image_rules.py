"""Images that are wrong in one way get the rule that they break, and those that are right get none."""

import copy
import gzip
import io
import json
import os
import tarfile

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from seatrial.archive import Image, tree
from seatrial.diagnostics import Severity
from seatrial.oci.image import files, media, samples, signature, tarstream, validate
from seatrial.oci.image.rules import CATALOGUE
from seatrial.oci.image.samples import BROKEN, LAYERS, ODD, Layout, describe, put, write
from seatrial.oci.image.validate import Wishes

WISHES = Wishes()
PUBLIC = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)


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


@pytest.mark.parametrize(("key", "told"), [
    ("org.opencontainers.image.deck", True), ("org.opencontainers.deck", True), ("org.opencontainersx", False),
    ("org.opencontainers.image.title", False),
])
def test_keys_that_are_reserved(key, told, tmp_path):
    layout = Layout(manifest=samples.setting("annotations", key, to="x"))
    assert validate.path(write(tmp_path, layout.build()), WISHES).codes() == ({"OCI038"} if told else set())


WRONG = (None, True, 5, -1, 1.5, "", "x", "a\0b", [], ["x"], [5], [None], [{}], [[]], {}, {"x": {}}, {"x": [5]})


def places(value, where=()):
    """Return every place of a document but the whole."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for step, one in inner for place in ((*where, step), *places(one, (*where, step)))]


def wrong_at(document):
    """Return a document with a value of a wrong type at each of its places."""
    found = places(document)
    assert len(found) > 2
    for where in found:
        for value in WRONG:
            changed = copy.deepcopy(document)
            samples.setting(*where, to=value)(changed)
            yield changed


@pytest.mark.parametrize("part", ["config", "manifest", "descriptor", "index"])
def test_a_wrong_type_anywhere_is_told_and_never_a_traceback(part, tmp_path):
    made = []
    key = tmp_path / "key.pem"
    key.write_bytes(PUBLIC)
    Layout(**{part: lambda value: made.append(copy.deepcopy(value))}).build()
    for number, changed in enumerate(wrong_at(made[0])):
        layout = Layout(layers=LAYERS[:1], **{part: lambda value, to=changed: (value.clear(), value.update(to))})
        place = write(tmp_path / str(number), {**layout.build(), "manifest.json": b"[]"})
        report = validate.path(place, Wishes(keys=signature.Keys(public=key)))
        assert "OCI045" in report.codes(), changed


def test_a_wrong_type_anywhere_in_manifest_json(tmp_path):
    image = Image.make([tree({"etc": None, "etc/motd": "x"})], ["fleet/ship:v1"])
    for number, changed in enumerate(wrong_at(json.loads(image.files()["manifest.json"]))):
        place = write(tmp_path / str(number), {name: data if isinstance(data, bytes) else data.encode()
                                               for name, data in image.files().items()})  # fmt: skip
        (place / "manifest.json").write_text(json.dumps(changed))
        assert validate.path(place, WISHES).diagnostics, changed


@pytest.mark.parametrize("value", ["[5]", '[{"Config": "x", "Layers": [], "RepoTags": 5}]',
                                   '[{"Config": "x", "Layers": [], "RepoTags": "a:b"}]'])
def test_a_manifest_json_of_other_types(value, tmp_path):
    path = tmp_path / "saved.tar"
    path.write_bytes(tree({"manifest.json": value, "x": "{}"}))
    assert validate.path(path, WISHES).codes(Severity.ERROR) == {"OCI090"}


def test_a_manifest_json_of_two_meanings(tmp_path):
    path = tmp_path / "saved.tar"
    for text, code in ((b'[{"Config": "x", "Config": "y", "Layers": []}]', "OCI007"),
                       ("[]".encode("utf-16"), "OCI006"), (b"null", "OCI090")):  # fmt: skip
        path.write_bytes(tree({"manifest.json": text}))
        assert code in validate.path(path, WISHES).codes(Severity.ERROR)


def test_a_manifest_json_that_is_no_file(tmp_path):
    path = tmp_path / "saved.tar"
    for inner in (("manifest.json/x", "y"), ("manifest.json", samples.entry(tarfile.SYMTYPE, linkname="gone"))):
        path.write_bytes(samples.tar(inner))
        assert validate.path(path, WISHES).codes(Severity.ERROR) == {"OCI018"}
    (tmp_path / "place").mkdir()
    (tmp_path / "place/manifest.json").symlink_to("gone")
    assert validate.path(tmp_path / "place", WISHES).codes(Severity.ERROR) == {"OCI018"}


@pytest.mark.parametrize("second", [
    samples.entry(), samples.entry(tarfile.SYMTYPE, linkname="index.json"), None,
    samples.entry(tarfile.LNKTYPE, linkname="index.json"),
], ids=["file", "symlink", "directory", "link"])
@pytest.mark.parametrize("swapped", [False, True])
def test_a_name_that_stands_twice_in_an_archive(second, swapped, tmp_path):
    path = tmp_path / "image.tar"
    pair = [("extra", "x"), ("extra", second)]
    path.write_bytes(samples.tar(*Layout().build().items(), *(reversed(pair) if swapped else pair)))
    assert validate.path(path, WISHES).codes(Severity.ERROR) == {"OCI004"}


def test_a_directory_may_stand_twice_in_an_archive(tmp_path):
    path = tmp_path / "image.tar"
    path.write_bytes(samples.tar(("blobs", None), ("blobs", None), *Layout().build().items()))
    assert validate.path(path, WISHES).codes() == set()


@pytest.mark.parametrize(("key", "value"), [
    *((key, value) for key in ("size", "uid", "gid")
      for value in ("1_0", " 10 ", "\u0661\u0660", "+1", "-1", "0x1", "")),
    *(("mtime", value) for value in ("nan", "inf", "1e5", "1_0", "\u0661", "1.2.3", "+1")),
    *((key, value) for key in ("path", "linkpath") for value in ("", "a\0b")),
])
def test_what_is_no_value_of_a_pax_header(key, value):
    told = []
    (entry,) = tarstream.TarStream(Plain(pax(key, value)), lambda code, *_: told.append(code))
    assert told == ["OCI120"]
    assert (entry.name, entry.size, entry.uid, entry.mtime) == ("x", 0, 7, 0)


@pytest.mark.parametrize(("key", "value", "seen"), [
    ("uid", "010", 10), ("mtime", "-1.5", -1.5), ("mtime", "7", 7), ("gid", "4294967295", 2**32 - 1),
])
def test_what_is_a_value_of_a_pax_header(key, value, seen):
    told = []
    (entry,) = tarstream.TarStream(Plain(pax(key, value)), lambda *args: told.append(args))
    assert told == []
    assert getattr(entry, key) == seen


class Plain(files._Seekable):
    """Bytes as a source."""

    def __init__(self, data):
        super().__init__(io.BytesIO(data))


def pax(key, value):
    """Return an archive of an empty file with one pax record."""
    record = f" {key}={value}\n".encode()
    length = next(n for n in range(len(record), len(record) + 9) if len(str(n)) + len(record) == n)
    content = str(length).encode() + record
    header = tarfile.TarInfo("PaxHeader")
    header.type, header.size = tarfile.XHDTYPE, len(content)
    real = samples.entry(uid=7, mtime=0)
    return header.tobuf() + content.ljust(512, b"\0") + real.tobuf() + b"\0" * 1024


LINK = ("l", samples.entry(tarfile.SYMTYPE, linkname="/etc"))


@pytest.mark.parametrize(("lower", "upper", "codes"), [
    ([LINK], [("l/passwd", "x")], {"OCI114"}),
    ([LINK], [("l/deep/er", "x"), ("l/deep/est", "x")], {"OCI114"}),
    ([LINK], [("l", None), ("l/passwd", "x")], set()),
    ([LINK], [(".wh.l", ""), ("l/passwd", "x")], set()),
    ([("etc", None), ("etc/motd", "x")], [("etc/motd/x", "x")], {"OCI113"}),
    ([("etc", None), ("etc/motd", "x")], [("etc/motd", None), ("etc/motd/x", "x")], set()),
    ([("etc", None)], [("etc/x", "x")], set()),
    ([LINK], [(".wh..wh..opq", ""), ("l/passwd", "x")], set()),
    ([("d", None), ("d/l", LINK[1])], [("d/.wh..wh..opq", ""), ("d/l/passwd", "x")], set()),
    ([("d", None), ("d/l", LINK[1])], [(".wh.d", ""), ("d/l/passwd", "x")], set()),
    ([("d", None), ("d/l", LINK[1])], [("d/l/passwd", "x")], {"OCI114"}),
    ([("etc", None)], [(".wh.etc/x", "x")], {"OCI107"}),
    ([("etc", None)], [("etc/.wh..wh..opq/x", "x")], {"OCI107"}),
    ([("etc", None)], [(".wh..wh.plnk/1", "x")], {"OCI110"}),
])
def test_layers_are_held_against_those_below(lower, upper, codes, tmp_path):
    layout = Layout(layers=(samples.tar(*lower), samples.tar(*upper)))
    assert validate.path(write(tmp_path, layout.build()), WISHES).codes() == codes


def test_what_a_layer_between_took_away_is_no_link_any_more(tmp_path):
    layers = [samples.tar(LINK), samples.tar((".wh.l", "")), samples.tar(("l/passwd", "x"))]
    assert validate.path(write(tmp_path / "gone", Layout(layers=layers).build()), WISHES).codes() == set()
    layers[1] = samples.tar(("l/x", "x"))
    assert validate.path(write(tmp_path / "kept", Layout(layers=layers).build()), WISHES).codes() == {"OCI114"}


def test_rules_are_explained_with_section_and_level():
    for rule in CATALOGUE.rules.values():
        assert rule.why.endswith(".")
        assert not rule.title.endswith(".")
        if "000" not in rule.code and rule.code > "OCI003" and rule.code < "OCI150":
            assert rule.section, rule.code
            assert rule.level in ("MUST", "SHOULD", "DOC", "safety")

"""What inspect says of an image, held against what was put into it."""

import datetime
import re

import pytest

from seatrial.archive import digest, tree
from seatrial.exec import ANY

claim, requires = pytest.mark.claim, pytest.mark.requires


@claim("image-016", "image-036", "image-010")
def test_ids_of_image_and_layers_are_64_hexadecimal_digits(engine):
    data = engine.inspect(engine.image, "image")
    assert re.fullmatch(r"(sha256:)?[0-9a-f]{64}", data["Id"])
    assert data["RootFS"]["Type"] == "layers"
    assert len(data["RootFS"]["Layers"]) == 1
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", data["RootFS"]["Layers"][0])


@claim("image-016", "image-011")
def test_a_layer_has_the_digest_of_the_archive_that_it_was_made_from(engine, small_image):
    files = {"f": engine.key, "d": None, "d/g": "g"}
    name = small_image(files)
    assert engine.inspect(name, "image")["RootFS"]["Layers"] == [digest(tree(files))]


@claim("image-037", "image-013")
def test_parent_of_a_committed_image_is_the_image_below(engine, touched):
    engine.cli("commit", touched().name, first := engine.image_name())
    engine.cli("commit", engine.create(first).name, second := engine.image_name())
    chain = []
    at = engine.image_id(second)
    while at and len(chain) < 5:
        chain.append(at)
        at = engine.inspect(at, "image")["Parent"].removeprefix("sha256:")
    assert chain == [engine.image_id(name) for name in (second, first, engine.image)]


@claim("image-039")
def test_created_is_the_time_of_making_in_utc(engine, touched):
    before = datetime.datetime.now(datetime.UTC)
    engine.cli("commit", touched().name, name := engine.image_name())
    after = datetime.datetime.now(datetime.UTC)
    text = engine.inspect(name, "image")["Created"]
    found = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6})\d*(Z|\+00:00)", text)
    assert found, text
    created = datetime.datetime.fromisoformat(f"{found[1]}+00:00")
    assert before <= created <= after


@claim("image-040")
def test_the_image_names_no_other_container_than_its_own(engine, touched):
    c = touched()
    engine.cli("commit", c.name, name := engine.image_name())
    assert engine.inspect(name, "image").get("Container", "") in ("", c.id)


@claim("image-044")
def test_an_image_made_here_is_of_this_machine(engine, small_image):
    data = engine.inspect(small_image({"f": engine.key}), "image")
    assert data["Os"] == "linux"
    machine = engine.once(engine.image, "uname", "-m").text
    names = {"x86_64": "amd64", "aarch64": "arm64", "s390x": "s390x", "ppc64le": "ppc64le", "riscv64": "riscv64"}
    assert data["Architecture"] == names[machine]


@claim("image-045")
def test_size_is_that_of_all_files_of_all_layers(engine, small_image):
    name = small_image({"a": bytes(70_000), "d": None, "d/b": bytes(30_001)})
    assert 0 <= engine.inspect(name, "image")["Size"] - 100_001 <= engine.trait("size_overhead")
    script = f"head -c 50000 /dev/zero >/c; echo {engine.key} >/mark; rm /etc/passwd"
    c = engine.create(engine.image, "sh", "-c", script)
    engine.cli("start", "--attach", c.name)
    engine.cli("commit", c.name, grown := engine.image_name())
    added = engine.inspect(grown, "image")["Size"] - engine.inspect(engine.image, "image")["Size"]
    assert 50_009 <= added <= 50_009 + engine.trait("size_overhead")


@claim("image-048", "image-041")
def test_settings_of_an_image_reach_its_containers_in_the_kernel(engine, touched):
    changes = ["ENV TIDE=low", "WORKDIR /var/tmp", "USER operator", "LABEL deck=upper",
               'ENTRYPOINT ["sleep"]', 'CMD ["61"]']  # fmt: skip
    options = [word for change in changes for word in ("--change", change)]
    engine.cli("commit", *options, touched().name, name := engine.image_name())
    c = engine.run(name)
    assert c.kernel.argv == ["sleep", "61"]
    assert c.kernel.environ["TIDE"] == "low"
    assert c.kernel.cwd == "/var/tmp"
    assert c.kernel.status["Uid"].split()[0] == "37"
    assert c.inspect()["Config"]["Labels"]["deck"] == "upper"
    found = engine.cli("ps", "--quiet", "--no-trunc", "--filter", "label=deck=upper", "--filter", f"ancestor={name}")
    assert found.text == c.id


@claim("image-207")
def test_inspect_shows_the_known_and_fails_for_the_unknown(engine):
    missing = engine.image_name()
    result = engine.fails("image", "inspect", "--format", "{{.Os}}", engine.image, missing, says="no_such_image")
    assert result.lines[0] == "linux"
    assert missing in result.stderr


@claim("image-207")
def test_inspect_of_an_image_does_not_find_a_container(engine):
    c = engine.create()
    engine.fails("image", "inspect", c.name, says="no_such_image")
    assert engine.cli("inspect", "--type", "image", c.name, expect=ANY).code != 0
    assert engine.cli("inspect", "--type", "container", c.name).ok


@claim("image-035")
@pytest.mark.parametrize("template", ["{{.Ship}}", "{{.Os"], ids=["field", "syntax"])
def test_inspect_refuses_the_template(engine, template):
    engine.fails("image", "inspect", "--format", template, engine.image, says="template|can't evaluate|unclosed")

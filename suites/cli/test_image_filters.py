"""The list of images: columns, forms, filters, and what stands in no list."""

import re

import pytest

from seatrial.expecting import exactly

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires
case = pytest.param


@claim("cli-046", "cli-088")
def test_list_has_the_documented_columns(engine, small_image):
    name = small_image({"f": b"x"})
    repository = name.removesuffix(":latest")
    header, row = exactly(2, engine.look("images", repository).lines)
    assert re.split(r"\s{2,}", header.strip()) == ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"]
    fields = re.split(r"\s{2,}", row.strip())
    assert fields[:3] == [repository, "latest", short(engine.inspect(name, "image")["Id"])]
    assert re.fullmatch(r"(Less than a second|\d+ \w+|About an? \w+) ago", fields[3])
    assert re.fullmatch(r"[\d.]+ ?[kMG]?B", fields[4])


def short(id_):
    return id_.removeprefix("sha256:")[:12]


@claim("cli-047", "cli-061")
def test_every_tag_of_an_image_shows_its_id_and_runs(engine):
    made = derived(engine)
    others = [engine.image_name(), engine.image_name().replace(":latest", ":v2")]
    for other in others:
        engine.cli("tag", made, other)
    ids = {engine.look("images", "--quiet", name).text for name in (made, *others)}
    assert ids == {short(engine.inspect(made, "image")["Id"])}
    for name in (made, *others, ids.pop()):
        assert engine.once(name, "cat", "/mark").text == "mine"
    engine.cli("rmi", others[1])
    assert engine.once(made, "cat", "/mark").text == "mine"
    engine.fails("run", "--rm", "--pull", "never", others[1], "true", says="no_such_image")


def derived(engine):
    c, name = engine.create(engine.image, "sh", "-c", "echo mine >/mark"), engine.image_name()
    engine.cli("start", "--attach", c.name)
    engine.cli("commit", "--change", 'CMD ["sh"]', c.name, name)
    return name


@claim("cli-051", "cli-052")
def test_quiet_and_no_trunc_give_ids_for_pipes(engine, small_image):
    name = small_image({"f": b"y"})
    full = engine.inspect(name, "image")["Id"].removeprefix("sha256:")
    assert engine.look("images", "--quiet", name).lines == [full[:12]]
    assert engine.look("images", "--quiet", "--no-trunc", name).lines == [f"sha256:{full}"]
    assert f"sha256:{full}" in engine.look("images", "--no-trunc", name).stdout.split()
    assert engine.inspect(engine.look("images", "--quiet", name).text, "image")["Id"].endswith(full)
    assert engine.look("images", "--quiet", engine.image_name()).lines == []


@claim("cli-049")
def test_digests_column_is_there_when_asked(engine, small_image):
    name = small_image({"f": b"z"})
    assert "DIGEST" not in engine.look("images", name).lines[0]
    header, row = exactly(2, engine.look("images", "--digests", name).lines)
    assert header.split()[2] == "DIGEST"
    assert re.fullmatch(engine.trait("digest_of_local_image"), row.split()[2])


@claim("cli-049")
@requires("registry")
def test_digest_of_a_pulled_image_is_the_registrys(engine, registry, small_image):
    reference = registry.reference(engine.key)
    made = small_image({"f": b"d"})
    engine.cli("tag", made, reference)
    engine.track("image", reference)
    engine.cli("push", reference, timeout=120)
    engine.cli("rmi", made, reference)
    engine.cli("pull", reference, timeout=120)
    accepted = ", ".join(f"application/vnd.{kind}" for kind in (
        "docker.distribution.manifest.v2+json", "oci.image.manifest.v1+json"))  # fmt: skip
    digest = registry.api.get(f"/v2/{engine.key}/manifests/latest",
                          headers={"Accept": accepted}).headers["docker-content-digest"]  # fmt: skip
    assert digest in engine.look("images", "--digests", reference.removesuffix(":latest")).stdout.split()


@claim("cli-050", "cli-053")
def test_filter_by_label_key_and_value(engine, small_image):
    key = f"seatrial.word.{engine.key}"
    one, two = (small_image({"f": value.encode()}, "--change", f"LABEL {key}={value}") for value in ("port", "star"))
    ids = {value: short(engine.inspect(name, "image")["Id"]) for value, name in (("port", one), ("star", two))}
    assert set(engine.look("images", "--quiet", "--filter", f"label={key}").lines) == set(ids.values())
    assert engine.look("images", "--quiet", "--filter", f"label={key}=port").lines == [ids["port"]]
    assert engine.look("images", "--quiet", "--filter", f"label={key}=por").lines == []


@claim("cli-050", "cli-053")
def test_conditions_of_one_kind_add_up(engine, small_image):
    key = f"seatrial.word.{engine.key}"
    one, _ = (small_image({"f": value.encode()}, "--change", f"LABEL {key}={value}") for value in ("port", "star"))
    both = ("--filter", f"label={key}", "--filter", f"label={key}=port")
    assert engine.look("images", "--quiet", *both).lines == [short(engine.inspect(one, "image")["Id"])]


@claim("cli-050", "cli-053")
def test_filter_by_dangling(engine, small_image):
    key = f"seatrial.dangling.{engine.key}"
    name = engine.image_name()
    first, second = (
        short(engine.inspect(small_image({"f": data}, "--change", f"LABEL {key}=1", name=name), "image")["Id"])
        for data in (b"old", b"new")
    )
    engine.track("image", first)
    mine = ("images", "--quiet", "--filter", f"label={key}", "--filter")
    assert engine.look(*mine, "dangling=true").lines == [first]
    assert engine.look(*mine, "dangling=false").lines == [second]
    assert engine.look("images", "--filter", f"label={key}", "--filter", "dangling=true", "--format",
                      "{{.Repository}} {{.Tag}}").text == "<none> <none>"  # fmt: skip


@claim("cli-050")
def test_filter_by_before_since_and_reference(engine, small_image):
    old, middle, new = (small_image({"f": word}) for word in (b"1", b"2", b"3"))
    pattern = f"reference={middle.split(':')[0].rsplit('-', 1)[0]}-*"
    assert len(engine.look("images", "--quiet", "--filter", pattern).lines) == 3
    listed = ("images", "--filter", pattern, "--format", "{{.Repository}}:{{.Tag}}", "--filter")
    assert engine.look(*listed, f"since={old}").lines.count(new) == 1
    assert old not in engine.look(*listed, f"since={old}").lines
    assert new not in engine.look(*listed, f"before={new}").lines
    assert old in engine.look(*listed, f"before={new}").lines


@claim("cli-053", "cli-050", "cli-115")
def test_bad_filters_are_refused(engine):
    for word in ("colour=red", "dangling=perhaps", "dangling", "=x", "before=st-nobody"):
        engine.fails("images", "--filter", word,
                     says="invalid (image )?filter|unsupported image filter|non-boolean value|bad format of filter|"
                          "No such image|image not known")  # fmt: skip


@claim("cli-048")
@requires("legacy_builder")
def test_all_shows_the_images_between(engine):
    built = engine.build("FROM IMAGE\nLABEL a=1\nLABEL b=2\n", None, env={"DOCKER_BUILDKIT": "0"})
    parent = engine.inspect(built.name, "image")["Parent"]
    assert parent.startswith("sha256:")
    assert parent not in engine.look("images", "--quiet", "--no-trunc").lines
    assert parent in engine.look("images", "--all", "--quiet", "--no-trunc").lines


@claim("cli-054", "cli-115")
def test_option_that_was_removed_is_unknown(engine):
    engine.fails("images", "--dot", says="unknown_flag")


@claim("cli-055")
@effect("container ls --all")
def test_object_commands_equal_the_old_forms(engine, small_image):
    name, c = small_image({"f": b"o"}), engine.create()
    mine = ("--all", "--filter", f"name={c.name}", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.Image}}")
    listed = engine.cli("ps", *mine).text
    assert listed.startswith(f"{c.id} {c.name} ")
    assert {engine.cli("container", verb, *mine).text for verb in ("ls", "list", "ps")} == {listed}
    assert engine.look("image", "ls", "--quiet", name).lines == engine.look("images", "--quiet", name).lines != []
    assert engine.cli("inspect", c.name).json()[0]["Id"] == c.inspect()["Id"]
    by_type = engine.cli("inspect", "--type", "image", name).json()[0]
    assert by_type["Id"] == engine.inspect(name, "image")["Id"]
    engine.fails("inspect", "--type", "image", c.name, says="no_such_object")

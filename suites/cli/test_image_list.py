"""images and history: what is listed, in which form, and which filters and templates are refused."""

import re

import pytest

from seatrial.expecting import matched

claim, requires = pytest.mark.claim, pytest.mark.requires


@pytest.fixture
def family(engine, small_image):
    """Three images of one repository, oldest first, each with a label of its own."""
    repository = engine.image_name().removesuffix(":latest")
    return [
        small_image({"f": engine.key + tag}, "--change", f"LABEL mast={tag}", name=f"{repository}:{tag}")
        for tag in ("fore", "main", "mizzen")
    ]


def listed(engine, *options):
    return engine.look("images", "--format", "{{.Repository}}:{{.Tag}}", *options).lines


@claim("image-005")
def test_images_shows_a_row_for_each_name(engine, family):
    repository = family[0].rpartition(":")[0]
    result = engine.look("images", repository)
    assert result.lines[0].split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    rows = {line.split()[1]: line.split() for line in result.lines[1:]}
    assert set(rows) == {"fore", "main", "mizzen"}
    for name in family:
        row = rows[name.rpartition(":")[2]]
        assert row[0] == repository
        assert row[2] == engine.image_id(name)[:12]
        assert re.search(r"\bago\b", " ".join(row))
        assert re.fullmatch(r"[\d.]+(B|kB)", "".join(row[-2:] if row[-1] in ("B", "kB") else row[-1:]))


@claim("image-005")
@pytest.mark.parametrize("pattern", ["{}:main", "{}:m*", "{}:*"], ids=["name", "some", "all"])
def test_images_of_a_name_or_pattern(engine, family, pattern):
    repository = family[0].rpartition(":")[0]
    wanted = {"{}:main": [family[1]], "{}:m*": family[1:], "{}:*": family}[pattern]
    assert sorted(listed(engine, pattern.format(repository))) == sorted(wanted)
    reference = f"reference={pattern.format(repository)}"
    assert sorted(listed(engine, "--filter", reference)) == sorted(wanted)


@claim("image-005", "image-207")
def test_images_of_an_unknown_name_is_an_empty_list(engine):
    result = engine.look("images", engine.image_name())
    assert len(result.lines) == 1
    assert engine.look("images", "--quiet", engine.image_name()).output == ""


@claim("image-005")
def test_images_by_a_template_and_as_json(engine, family):
    main = family[1]
    assert engine.look("images", "--format", "{{.ID}}|{{.Tag}}", main).text == f"{engine.image_id(main)[:12]}|main"
    shown = engine.look("images", "--format", "{{json .}}", main).json()
    rows = shown if isinstance(shown, list) else [shown]
    assert [{key.lower(): value for key, value in row.items()}["id"][:12] for row in rows] == [
        engine.image_id(main)[:12]
    ]


@claim("image-005")
@pytest.mark.exclusive  # an image that another test removes may be the reason of the refusal
@pytest.mark.parametrize("template", ["{{.Ship}}", "{{.ID"], ids=["field", "syntax"])
def test_images_refuses_the_template(engine, template):
    engine.fails("images", "--format", template, says="template|can't evaluate|unclosed action")


@claim("image-005")
def test_images_takes_one_name_only(engine):
    engine.fails("images", "a", "b", says="at most 1 arg")


@claim("image-020", "image-022")
def test_dangling_images_are_listed_without_a_name_and_removed_by_their_ids(engine, touched):
    label = f"label=seatrial.test={engine.key}"
    made = {engine.cli("commit", "--change", f"LABEL n={n}", touched().name).text.removeprefix("sha256:")
            for n in range(2)}  # fmt: skip
    assert listed(engine, "--filter", "dangling=true", "--filter", label) == ["<none>:<none>"] * 2
    ids = engine.look("images", "--filter", "dangling=true", "--filter", label, "--quiet", "--no-trunc").lines
    assert {id_.removeprefix("sha256:") for id_ in ids} == made
    assert listed(engine, "--filter", "dangling=false", "--filter", label) == []
    engine.cli("rmi", *ids)
    assert not any(engine.exists(id_, "image") for id_ in made)


# -- history ---------------------------------------------------------------------------------------


@pytest.fixture
def grown(engine):
    """An image of the test image and two commits: one adds 4900 bytes, one only a setting."""
    c = engine.create(engine.image, "sh", "-c", f"echo {engine.key} >/mark; head -c 4900 /dev/zero >/five")
    engine.cli("start", "--attach", c.name)
    engine.cli("commit", c.name, middle := engine.image_name())
    engine.cli("commit", "--change", "ENV TIDE=low", engine.create(middle).name, name := engine.image_name())
    return name


@claim("image-030")
def test_history_has_its_columns(engine, grown):
    head = engine.cli("history", grown).lines[0]
    assert re.split(r"\s{2,}", head.strip()) == [
        engine.trait("history_id_column"), "CREATED", "CREATED BY", "SIZE", "COMMENT",
    ]  # fmt: skip


@claim("image-004", "image-028")
def test_history_has_a_row_for_each_step_newest_first(engine, grown):
    ids = engine.cli("history", "--quiet", "--no-trunc", grown).lines
    assert len(ids) == 3
    assert ids[0].removeprefix("sha256:") == engine.image_id(grown)
    assert ids[2].removeprefix("sha256:") == engine.image_id(engine.image)


_UNITS = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}


def _bytes(size):
    number, unit = matched(r"^([\d.]+) ?([kMG]?B)$", size).groups()
    return float(number) * _UNITS[unit]


@claim("image-004", "image-045")
def test_sizes_of_the_history_add_up_to_the_size_of_the_image(engine, grown):
    sizes = [_bytes(size) for size in engine.cli("history", "--format", "{{.Size}}", grown).lines]
    assert sizes[0] <= 1024  # an empty archive at most
    assert 4900 <= sizes[1] < 12_000  # with the files that the engine itself puts there
    assert sum(sizes) == pytest.approx(engine.inspect(grown, "image")["Size"], rel=0.01)


@claim("image-004")
def test_history_cuts_ids_unless_told_not_to(engine, small_image):
    name = small_image({"f": engine.key})
    id_ = engine.image_id(name)
    assert id_ in engine.cli("history", "--no-trunc", name).stdout
    short = engine.cli("history", name).stdout
    assert id_ not in short
    assert id_[:12] in short


@claim("image-004", "image-207")
def test_history_takes_one_image(engine):
    engine.fails("history", says="1 arg|needs|must be")
    engine.fails("history", engine.image, engine.image, says="1 arg|needs|too many")

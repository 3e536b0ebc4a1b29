"""Names, tags, ids and short ids: what they mean, and which are refused."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.archive import Image, tree
from seatrial.examples import examples
from seatrial.names import RUN_LABEL, TEST_LABEL

claim, requires = pytest.mark.claim, pytest.mark.requires


@pytest.fixture
def image(engine, small_image):
    return small_image({"f": engine.key})


@claim("image-010")
def test_tag_gives_the_same_image_a_second_name(engine, image):
    second = engine.image_name()
    assert engine.cli("tag", image, second).output == ""
    assert engine.image_id(second) == engine.image_id(image)
    assert set(engine.inspect(image, "image")["RepoTags"]) == {image, second}


@claim("image-206", "image-010")
def test_a_name_without_a_tag_means_latest(engine, image):
    bare = engine.image_name().removesuffix(":latest")
    engine.cli("tag", image, bare)
    assert f"{bare}:latest" in engine.inspect(bare, "image")["RepoTags"]
    engine.cli("rmi", f"{bare}:latest")
    assert not engine.exists(bare, "image")


@claim("image-206", "image-207")
def test_a_repository_without_the_tag_latest_is_not_found_by_its_name_alone(engine, image):
    bare = engine.image_name().removesuffix(":latest")
    engine.cli("tag", image, f"{bare}:v1")
    engine.fails("image", "inspect", bare, says="no_such_image")
    assert engine.exists(f"{bare}:v1", "image")


@claim("image-015", "image-023")
def test_tags_of_one_repository_name_images_that_need_not_share_anything(engine, small_image):
    repository = engine.image_name().removesuffix(":latest")
    for tag in ("fore", "aft"):
        small_image({tag: engine.key + tag}, name=f"{repository}:{tag}")
    fore, aft = (engine.inspect(f"{repository}:{tag}", "image") for tag in ("fore", "aft"))
    assert fore["Id"] != aft["Id"]
    assert not set(fore["RootFS"]["Layers"]) & set(aft["RootFS"]["Layers"])
    listed = engine.look("images", "--format", "{{.Tag}}", repository).lines
    assert sorted(listed) == ["aft", "fore"]


@claim("image-010", "image-020")
def test_tag_moves_a_name_from_one_image_to_another(engine, small_image):
    first, second = small_image({"a": engine.key}), small_image({"b": engine.key})
    old = engine.image_id(second)
    engine.track("image", old)
    engine.cli("tag", first, second)
    assert engine.image_id(second) == engine.image_id(first) != old
    assert engine.inspect(old, "image")["RepoTags"] == []


@claim("image-017")
@pytest.mark.parametrize("length", [64, 12, 8], ids=str)
def test_an_image_is_found_by_its_id_and_by_the_beginning_of_it(engine, image, length):
    id_ = engine.image_id(image)
    assert engine.image_id(id_[:length]) == id_
    second = engine.image_name()
    engine.cli("tag", id_[:length], second)
    assert engine.image_id(second) == id_


@claim("image-017")
@pytest.mark.parametrize("by", ["name", "id", "short id"])
def test_a_container_is_made_from_an_image_by(engine, by):
    id_ = engine.image_id(engine.image)
    named = {"name": engine.image, "id": id_, "short id": id_[:12]}[by]
    c = engine.name()
    engine.cli("create", "--pull", "never", "--name", c, named, "true")
    engine.track("container", c)
    assert engine.inspect(c)["Image"].removeprefix("sha256:") == id_


@claim("image-017")
def test_an_ambiguous_beginning_of_an_id_names_no_image(engine):
    first, second, prefix = _twins(engine)
    unknown = f"{engine.says('no_such_image')}|ambiguous"
    for image in (first, second):
        engine.track("image", image.id)
        engine.cli("load", stdin=image.archive())
    engine.fails("image", "inspect", prefix, says=unknown)
    engine.fails("rmi", prefix, says=unknown)
    engine.fails("tag", prefix, engine.image_name(), says=unknown)
    assert engine.image_id(first.id) == first.id
    assert engine.image_id(second.id) == second.id


def _twins(engine):
    """Return two images whose ids begin with the same five digits, and these digits."""
    labels = {RUN_LABEL: engine.run_id, TEST_LABEL: engine.key}
    seen = {}
    for number in range(100_000):
        image = Image.make([tree({"f": engine.key})], config={"Labels": labels}, extra={"author": str(number)})
        prefix = image.id[:5]
        if prefix in seen and not prefix.isdigit():
            return seen[prefix], image, prefix
        seen[prefix] = image
    raise AssertionError("no two ids begin alike")


@claim("image-017", "image-207")
def test_an_id_that_no_image_has_names_none(engine):
    engine.fails("image", "inspect", "0" * 64, says="no_such_image")
    engine.fails("rmi", "0" * 64, says="no_such_image")


@claim("image-047")
def test_the_digest_of_a_layer_names_no_image(engine, image):
    layer = engine.inspect(image, "image")["RootFS"]["Layers"][0]
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", layer)
    engine.fails("image", "inspect", layer, says="no_such_image")
    engine.fails("rmi", layer, says="no_such_image")


@claim("image-207")
@pytest.mark.parametrize(
    "command", [["tag", "{}", "{}-copy"], ["history", "{}"], ["image", "inspect", "{}"], ["save", "{}"],
                ["rmi", "{}"], ["run", "--rm", "--pull", "never", "{}", "true"],
                ["create", "--pull", "never", "{}"]],
    ids=lambda words: "-".join(word for word in words if word.isalpha()),
)  # fmt: skip
def test_an_unknown_image_is_refused_by(engine, command):
    name = engine.image_name()
    engine.fails(*(word.format(name) for word in command), says="no_such_image")
    assert not engine.exists(name, "image")
    assert not engine.exists(f"{name}-copy", "image")


@claim("image-207")
def test_tag_needs_two_names(engine, image):
    engine.fails("tag", image, says=r"2 arg|at least 2|requires exactly 2")


@claim("image-019")
@pytest.mark.parametrize("levels", [1, 4, 12])
def test_a_name_may_have_many_levels(engine, image, levels):
    name = engine.image_name().removesuffix(":latest") + "/x" * levels + ":v1"
    engine.cli("tag", image, name)
    assert engine.image_id(name) == engine.image_id(image)
    assert name in engine.look("images", "--format", "{{.Repository}}:{{.Tag}}", name).lines


_WORD = "[a-z0-9]+"
_GOOD_PARTS = st.from_regex(rf"{_WORD}((\.|_|__|-+){_WORD}){{0,2}}", fullmatch=True).filter(lambda p: len(p) < 30)
_GOOD_TAGS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,40}", fullmatch=True)


@claim("image-204", "image-010")
def test_every_valid_reference_is_taken_literally(engine, image):
    base = engine.image_name().removesuffix(":latest")
    id_ = engine.image_id(image)

    @examples(15)
    @given(st.lists(st.tuples(_GOOD_PARTS, _GOOD_TAGS), min_size=1, max_size=3, unique=True))
    def check(pairs):
        names = [f"{base}/{part}:{tag}" for part, tag in pairs]
        for name in names:
            engine.cli("tag", id_, name)
        shown = engine.inspect(id_, "image")["RepoTags"]
        assert set(names) <= set(shown)
        engine.cli("rmi", *names)
        assert not set(names) & set(engine.inspect(id_, "image")["RepoTags"])

    check()


_BAD_PARTS = st.one_of(
    st.text(string.ascii_lowercase + "-._", min_size=1, max_size=8).map(lambda text: f"-{text}"),
    st.text(string.ascii_lowercase, min_size=1, max_size=8).map(lambda text: f"a{text}."),
    st.text(string.ascii_uppercase, min_size=1, max_size=8).map(lambda text: f"a{text}"),
    st.text("._", min_size=3, max_size=6).map(lambda text: f"a{text}b"),
    st.text(string.ascii_lowercase, max_size=4).map(lambda text: f"a//{text}b"),
    st.sampled_from("!$%&'()*+,;<=>?[]^`{|}~é").map(lambda char: f"a{char}b"),
)
_BAD_TAGS = st.one_of(
    st.sampled_from(".-").flatmap(lambda char: st.from_regex(rf"\{char}[a-z0-9]{{1,8}}", fullmatch=True)),
    st.sampled_from("!$%&'()*+,;<=>?[]^`{|}~é/ ").map(lambda char: f"a{char}b"),
    st.just(""),
)


@claim("image-204")
def test_no_invalid_name_is_given_to_an_image(engine, image):
    base = engine.image_name().removesuffix(":latest")
    before = engine.inspect(image, "image")["RepoTags"]

    @examples(15)
    @given(_BAD_PARTS.map(lambda part: f"{base}/{part}:v1") | _BAD_TAGS.map(lambda tag: f"{base}:{tag}"))
    def check(name):
        engine.fails("tag", image, name, says="bad_reference")
        assert engine.inspect(image, "image")["RepoTags"] == before

    check()


@claim("image-204")
@pytest.mark.parametrize(
    "name", ["", ":", "/", ":v1", "a:", "a::b", "a b", "-a", "a@", "a@sha256:12", "Aa", "a/B"],
    ids=lambda name: repr(name).replace("/", "slash"),
)  # fmt: skip
def test_tag_refuses_the_name(engine, image, name):
    before = engine.inspect(image, "image")["RepoTags"]
    engine.fails("tag", "--", image, name, says="bad_reference")
    assert engine.inspect(image, "image")["RepoTags"] == before


@claim("image-204", "image-208")
def test_a_name_with_a_digest_is_given_by_nobody(engine, image):
    name = engine.image_name().removesuffix(":latest") + "@sha256:" + "0" * 64
    engine.fails("tag", image, name, says="digest")


@claim("image-205")
def test_a_tag_has_at_most_128_characters(engine, image):
    base = engine.image_name().removesuffix(":latest")
    engine.cli("tag", image, f"{base}:{'t' * 128}")
    assert engine.image_id(f"{base}:{'t' * 128}") == engine.image_id(image)
    engine.fails("tag", image, f"{base}:{'t' * 129}", says="bad_reference")
    assert len(engine.inspect(image, "image")["RepoTags"]) == 2


@claim("image-205")
def test_a_name_has_at_most_255_characters(engine, image):
    base = engine.image_name().removesuffix(":latest") + "/"
    longest = base + "n" * (255 - len(base))
    engine.cli("tag", image, f"{longest}:v1")
    assert engine.image_id(f"{longest}:v1") == engine.image_id(image)
    # the host part (localhost/) counts for some and not for others
    too_long = f"{longest}{'n' * (len('localhost/') + 1)}:v1"
    engine.fails("tag", image, too_long, says="must not be more than 255 characters")
    assert len(engine.inspect(image, "image")["RepoTags"]) == 2

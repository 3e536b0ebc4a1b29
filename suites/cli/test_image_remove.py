"""rmi and image prune: names go first, the image with the last of them, and nothing that is used."""

import pytest

claim, requires = pytest.mark.claim, pytest.mark.requires


@pytest.fixture
def image(engine, small_image):
    return small_image({"f": engine.key})


@claim("image-008")
def test_rmi_of_one_of_two_names_leaves_the_image(engine, image):
    id_ = engine.image_id(image)
    engine.cli("tag", image, second := engine.image_name())
    result = engine.cli("rmi", second)
    assert f"Untagged: {second}" in result.lines
    assert "Deleted" not in result.stdout
    assert engine.inspect(id_, "image")["RepoTags"] == [image]


@claim("image-008")
def test_rmi_of_the_last_name_deletes_the_image(engine, image):
    id_ = engine.image_id(image)
    result = engine.cli("rmi", image)
    assert f"Untagged: {image}" in result.lines
    assert any(line.startswith("Deleted: ") and id_ in line for line in result.lines)
    assert not engine.exists(id_, "image")


@claim("image-008", "image-017")
@pytest.mark.parametrize("length", [64, 12], ids=["id", "short-id"])
def test_rmi_by_the_id_of_an_image_with_one_name_deletes_it(engine, image, length):
    id_ = engine.image_id(image)
    engine.cli("rmi", id_[:length])
    assert not engine.exists(image, "image")
    assert not engine.exists(id_, "image")


@claim("image-008")
def test_rmi_by_the_id_of_an_image_with_two_names_needs_force(engine, image):
    id_ = engine.image_id(image)
    engine.cli("tag", image, second := engine.image_name())
    engine.fails("rmi", id_, says="multiple repositories|more than one tag", code=engine.code("error"))
    assert set(engine.inspect(id_, "image")["RepoTags"]) == {image, second}
    engine.cli("rmi", "--force", id_)
    assert not engine.exists(id_, "image")


@claim("image-008")
@pytest.mark.parametrize("state", ["created", "exited"])
def test_rmi_of_an_image_that_a_container_uses_is_refused(engine, state):
    image = engine.build(f"FROM IMAGE\nLABEL mark={engine.key}\nCMD true\n").name
    c = engine.create(image)
    if state == "exited":
        engine.cli("start", "--attach", c.name)
    c.until(state, lambda: c.status == state)
    engine.fails("rmi", image, says="is using its referenced image|image is in use by a container",
                 code=engine.code("image_in_use"))  # fmt: skip
    assert engine.exists(image, "image")
    engine.cli("rm", c.name)
    engine.cli("rmi", image)
    assert not engine.exists(image, "image")


@claim("image-008")
def test_rmi_by_force_of_a_running_containers_image(engine):
    c = engine.run(engine.image, "sh", "-c", f"echo {engine.key} >/mark; trap exit TERM; while :; do sleep 0.1; done")
    c.until("has written", lambda: c.kernel.file("/mark").exists())
    engine.cli("commit", c.name, name := engine.image_name())
    id_ = engine.image_id(name)
    user = engine.run(name, "sh", "-c", "trap exit TERM; while :; do sleep 0.1; done")
    kernel = user.kernel
    engine.fails("rmi", name, says="is using its referenced image|image is in use by a container")
    engine.cli("rmi", "--force", name)
    assert not engine.exists(name, "image")
    if engine.trait("removing_a_used_image_by_force") == "keeps the container":
        assert kernel.alive
        assert user.status == "running"
        engine.track("image", id_)
    else:
        assert not kernel.alive
        assert not engine.exists(user.name)
    assert c.status == "running"


@claim("image-008", "image-013")
def test_rmi_of_an_image_on_which_another_is_based_leaves_the_other_whole(engine):
    c = engine.create(engine.image, "sh", "-c", f"echo base >/base; echo {engine.key} >/mark")
    engine.cli("start", "--attach", c.name)
    engine.cli("commit", c.name, base := engine.image_name())
    engine.track("image", base_id := engine.image_id(base))
    c = engine.create(base, "sh", "-c", "echo top >/top")
    engine.cli("start", "--attach", c.name)
    engine.cli("commit", c.name, top := engine.image_name())
    engine.cli("rm", c.name)
    engine.cli("rmi", base)
    assert not engine.exists(base, "image")
    assert engine.once(top, "cat", "/base", "/top").lines == ["base", "top"]
    engine.cli("rmi", top)
    assert not engine.exists(base_id, "image")


@claim("image-008", "image-207")
def test_rmi_of_an_unknown_image_fails(engine):
    engine.fails("rmi", engine.image_name(), says="no_such_image", code=engine.code("unknown_object"))


@claim("image-008")
def test_rmi_by_force_of_an_unknown_image_is_no_error(engine):
    engine.cli("rmi", "--force", engine.image_name())


@claim("image-210")
def test_rmi_of_several_goes_on_after_an_unknown_one_and_fails(engine, small_image):
    first, last = small_image({"a": engine.key}), small_image({"b": engine.key})
    missing = engine.image_name()
    result = engine.fails("rmi", first, missing, last, says="no_such_image", code=engine.code("unknown_object"))
    assert missing in result.stderr
    assert not engine.exists(first, "image")
    assert not engine.exists(last, "image")


@claim("image-008")
def test_rmi_needs_an_image(engine):
    engine.fails("rmi", says="at least 1 arg|must be specified")


@claim("image-204")
@pytest.mark.parametrize("name", ["a b", "Upper/Case", "a:b:c"])
def test_rmi_refuses_what_is_no_name(engine, name):
    engine.fails("rmi", "--", name, says=f"{engine.says('bad_reference')}|{engine.says('no_such_image')}")


# -- prune -----------------------------------------------------------------------------------------


@claim("image-022")
@requires("private_engine")
def test_prune_removes_dangling_images_and_with_all_every_unused_one(private_engine):
    d = private_engine()
    names = []
    for word in ("lost", "named", "used"):
        c = d.create(d.image, "sh", "-c", f"echo {word} >/{word}")
        d.cli("start", "--attach", c.name)
        d.cli("commit", c.name, name := d.image_name())
        d.cli("rm", c.name)
        names.append(name)
    lost, named, used = names
    lost_id = d.image_id(lost)
    d.cli("tag", named, lost)
    keeper = d.create(used, "true")
    result = d.cli("image", "prune", "--force")
    assert lost_id in result.stdout
    assert not d.exists(lost_id, "image")
    assert all(d.exists(name, "image") for name in (lost, named, used, d.image))
    d.cli("image", "prune", "--all", "--force")
    assert not d.exists(named, "image")
    assert not d.exists(lost, "image")
    assert d.exists(used, "image")
    d.cli("rm", keeper.name)
    d.cli("image", "prune", "--all", "--force")
    assert d.cli("images", "--quiet").stdout == ""


@claim("image-022")
@requires("private_engine")
def test_prune_takes_only_what_its_filter_names(private_engine):
    d = private_engine()
    ids = {}
    for deck in ("upper", "lower"):
        c = d.create(d.image, "sh", "-c", f"echo {deck} >/deck")
        d.cli("start", "--attach", c.name)
        ids[deck] = d.cli("commit", "--change", f"LABEL deck={deck}", c.name).text.removeprefix("sha256:")
    d.cli("image", "prune", "--force", "--filter", "label=deck=upper")
    assert not d.exists(ids["upper"], "image")
    assert d.exists(ids["lower"], "image")


@claim("image-022")
@pytest.mark.parametrize(
    ("option", "says"), [("ship=1", "bad_filter"), ("until=never", "parse value as time or duration")]
)
def test_prune_refuses_the_filter(engine, touched, option, says):
    lost = engine.cli("commit", touched().name).text.removeprefix("sha256:")
    # the label keeps an engine that takes the filter after all from pruning what is not the test's
    own = f"label=seatrial.test={engine.key}"
    engine.fails("image", "prune", "--force", "--filter", own, "--filter", option, says=says)
    assert engine.exists(lost, "image")


@claim("image-022")
def test_prune_asks_first_and_takes_no_for_an_answer(engine, touched):
    lost = engine.cli("commit", touched().name).text.removeprefix("sha256:")
    result = engine.cli("image", "prune", "--filter", f"label=seatrial.test={engine.key}", stdin="n\n", expect=None)
    assert "[y/N]" in result.stdout
    assert engine.exists(lost, "image")

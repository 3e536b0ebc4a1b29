"""save and load: what an image archive says, what comes back, and what is refused."""

import gzip
import json
import os

import pytest

from seatrial.archive import Image, Saved, content, digest, members, tree
from seatrial.exec import ANY, FAILURE, parsed
from seatrial.names import RUN_LABEL, TEST_LABEL

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires
case = pytest.param
OTHER_LAYER = "invalid diffID for layer 0|Digest did not match"
NO_MANIFEST = r'/repositories: no such file|etc/json: no such file|manifest\.json"?: file does not exist'


def made(engine, *layers, names=None, extra=None, architecture="amd64"):
    """Return an image that no engine has seen, with the test's labels."""
    labels = {RUN_LABEL: engine.run_id, TEST_LABEL: engine.key}
    names = [engine.image_name()] if names is None else names
    layers = layers or (tree({"etc": None, "etc/motd": f"hello {engine.key}\n"}),)
    return Image.make(layers, names, config={"Labels": labels, "Cmd": ["/x"]}, extra=extra,
                      architecture=architecture)  # fmt: skip


def load(engine, data, *options, **more):
    engine.track("image")
    return engine.cli("load", *options, stdin=data, timeout=120, **more)


@claim("image-024", "image-007", "image-009")
def test_save_and_load_bring_back_id_layers_names_and_settings(engine, small_image):
    name = small_image({"f": engine.key}, "--change", "LABEL deck=upper", "--change", 'CMD ["/f"]')
    engine.cli("tag", name, second := engine.image_name())
    before = engine.inspect(name, "image")
    archive = engine.cli("save", *engine.trait("save_several"), name, second).out
    engine.cli("rmi", name, second)
    assert not engine.exists(before["Id"], "image")
    load(engine, archive)
    after = engine.inspect(name, "image")
    for key in ("Id", "RootFS", "Created", "Architecture", "Os"):
        assert after[key] == before[key]
    assert set(after["RepoTags"]) == {name, second}
    assert after["Config"]["Cmd"] == ["/f"]
    assert after["Config"]["Labels"]["deck"] == "upper"


@claim("image-024", "image-007")
def test_a_loaded_image_runs(engine):
    c = engine.create(engine.image, "sh", "-c", f"echo sail >/word; echo {engine.key} >/mark")
    engine.cli("start", "--attach", c.name)
    name = engine.image_name()
    engine.cli("commit", "--change", 'CMD ["cat","/word"]', c.name, name)
    engine.cli("save", "--output", str(engine.workdir / "i.tar"), name)
    engine.cli("rmi", name)
    engine.cli("load", "--input", str(engine.workdir / "i.tar"))
    assert engine.once("--pull", "never", name).text == "sail"


@claim("image-011", "image-036", "image-057", "image-016")
@pytest.mark.parametrize("layers", [1, 3])
def test_the_id_of_an_image_is_the_digest_of_its_configuration(engine, layers):
    image = made(engine, *(tree({f"f{number}": f"{number} {engine.key}"}) for number in range(layers)))
    load(engine, image.archive())
    assert engine.image_id(image.names[0]) == image.id
    assert engine.inspect(image.names[0], "image")["RootFS"]["Layers"] == image.diff_ids


@claim("image-035", "image-036", "image-009")
def test_saved_configuration_is_what_inspect_shows(engine, small_image):
    changes = ["LABEL deck=upper", "ENV TIDE=low", 'ENTRYPOINT ["/f"]', 'CMD ["-x"]', "EXPOSE 80/tcp",
               "VOLUME /v", "WORKDIR /w", "USER 7"]  # fmt: skip
    name = small_image({"f": engine.key}, *(word for change in changes for word in ("--change", change)))
    saved = Saved(engine.cli("save", name).out).image
    shown = engine.inspect(name, "image")
    assert saved.id == shown["Id"].removeprefix("sha256:")
    assert (saved.described["architecture"], saved.described["os"]) == (shown["Architecture"], shown["Os"])
    for key in ("Labels", "Env", "Entrypoint", "Cmd", "ExposedPorts", "Volumes", "WorkingDir", "User"):
        assert saved.described["config"][key]
        assert saved.described["config"][key] == shown["Config"][key], key


@claim("image-009", "image-016", "image-036")
def test_saved_layers_have_the_digests_that_inspect_names(engine):
    c = engine.create(engine.image, "sh", "-c", f"echo {engine.key} >/x")
    engine.cli("start", "--attach", c.name)
    name = engine.image_name()
    engine.cli("commit", c.name, name)
    saved = Saved(engine.cli("save", name).out).image
    assert len(saved.layers) == 2
    assert saved.diff_ids == engine.inspect(name, "image")["RootFS"]["Layers"]
    assert saved.described["rootfs"]["diff_ids"] == saved.diff_ids
    assert list(saved.names) == [name]


@claim("image-009", "image-001")
def test_save_of_several_images_writes_their_common_layers_once(engine):
    names = []
    for word in ("one", "two"):
        c = engine.create(engine.image, "sh", "-c", f"echo {engine.key} >/mark; echo {word} >/word")
        engine.cli("start", "--attach", c.name)
        engine.cli("commit", c.name, name := engine.image_name())
        names.append(name)
    archive = engine.cli("save", *engine.trait("save_several"), *names).out
    saved = {image.names[0]: image for image in Saved(archive)}
    assert set(saved) == set(names)
    base = saved[names[0]].layers[0]
    assert saved[names[1]].layers[0] == base
    assert len(archive) < 2 * len(base)
    assert content(saved[names[1]].layers[-1], "word") == b"two\n"


@claim("image-009")
def test_save_by_repository_takes_every_tag_or_refuses(engine, small_image):
    repository = engine.image_name().removesuffix(":latest")
    for tag in ("a", "b"):
        small_image({tag: engine.key + tag}, name=f"{repository}:{tag}")
    if engine.trait("save_by_repository"):
        saved = Saved(engine.cli("save", repository).out)
        assert {name for image in saved for name in image.names} == {f"{repository}:a", f"{repository}:b"}
    else:
        engine.fails("save", repository, says="no_such_image")


@claim("image-009")
def test_save_to_a_file_writes_what_it_writes_to_standard_output(engine, small_image):
    name = small_image({"f": engine.key})
    path = engine.workdir / "out.tar"
    assert engine.cli("save", "--output", str(path), name).stdout == ""
    assert oct(os.stat(path).st_mode & 0o777) == engine.trait("save_file_mode")
    assert [i.config for i in Saved(path.read_bytes())] == [i.config for i in Saved(engine.cli("save", name).out)]


@claim("image-009")
def test_save_does_not_write_to_a_terminal(engine, small_image):
    talk = engine.spawn("save", small_image({"f": engine.key}), tty=True)
    result = talk.wait(FAILURE)
    assert "terminal" in result.stdout.lower()


@claim("image-009")
@pytest.mark.parametrize("second", [False, True], ids=["alone", "beside-a-known-one"])
def test_save_of_an_unknown_image_fails_and_leaves_no_file(engine, small_image, second):
    path = engine.workdir / "out.tar"
    names = [small_image({"f": engine.key})] if second else []
    options = engine.trait("save_several") if second else []
    engine.fails("save", *options, "--output", str(path), *names, engine.image_name(), says="no_such_image")
    assert not path.exists()


@claim("image-009")
def test_save_into_a_missing_directory_fails(engine, small_image):
    path = engine.workdir / "no" / "such" / "out.tar"
    engine.fails("save", "--output", str(path), small_image({"f": engine.key}), says="no such file|not exist")


@claim("image-009")
def test_save_needs_an_image(engine):
    engine.fails("save", says="at least 1 arg")


@claim("image-007")
@pytest.mark.parametrize("how", ["stdin", "file", "gzip"])
def test_load_reads(engine, how):
    image = made(engine)
    data = gzip.compress(image.archive()) if how == "gzip" else image.archive()
    if how == "file":
        (engine.workdir / "i.tar").write_bytes(data)
        engine.track("image")
        result = engine.cli("load", "--input", str(engine.workdir / "i.tar"))
    else:
        result = load(engine, data)
    assert image.names[0] in result.stdout
    assert engine.image_id(image.names[0]) == image.id


@claim("image-007")
def test_load_says_the_id_of_an_image_without_a_name(engine):
    image = made(engine, names=())
    assert image.id in load(engine, image.archive()).stdout
    assert engine.inspect(image.id, "image")["RepoTags"] == []


@claim("image-007")
@effect("load --quiet")
def test_load_quietly_says_no_more_than_what_was_loaded(engine):
    image = made(engine)
    (engine.workdir / "i.tar").write_bytes(image.archive())
    engine.track("image")
    said = []
    for options in ((), ("--quiet",)):
        talk = engine.spawn("load", *options, "--input", str(engine.workdir / "i.tar"), tty=True)
        talk.wait_for("Loaded image")
        said.append(talk.wait(0).lines)
        engine.cli("rmi", image.names[0])
    assert len(said[0]) > 1  # to a terminal, the progress is shown
    assert said[1] == [f"Loaded image: {image.names[0]}"]


@claim("image-007")
def test_load_twice_is_no_error_and_no_second_image(engine):
    image = made(engine)
    load(engine, image.archive())
    load(engine, image.archive())
    listed = engine.look("images", "--quiet", "--no-trunc", image.names[0].removesuffix(":latest")).stdout.split()
    assert [id_.removeprefix("sha256:") for id_ in listed] == [image.id]


@claim("image-007", "image-015")
def test_load_moves_a_name_to_the_image_of_the_archive(engine, small_image):
    name = small_image({"f": "old " + engine.key})
    old = engine.image_id(name)
    image = made(engine, names=[name])
    load(engine, image.archive())
    engine.track("image", old)
    assert engine.image_id(name) == image.id
    assert engine.inspect(old, "image")["RepoTags"] == []


@claim("image-007")
def test_load_of_several_images_takes_them_all(engine):
    first, second = made(engine), made(engine, tree({"g": engine.key}))
    files = {**first.files(), f"{second.id}.json": second.config, "second.tar": second.layers[0]}
    listed = [
        *parsed(files.pop("manifest.json")),
        {"Config": f"{second.id}.json", "RepoTags": list(second.names), "Layers": ["second.tar"]},
    ]
    load(engine, tree({**files, "manifest.json": json.dumps(listed)}))
    assert [engine.image_id(image.names[0]) for image in (first, second)] == [first.id, second.id]


def _wrong_layer(image):
    return image.files(**{"0/layer.tar": tree({"etc": None, "etc/motd": "changed\n"})})


def _no_layer(image):
    return {name: data for name, data in image.files().items() if not name.endswith("layer.tar")}


def _no_config(image):
    return {name: data for name, data in image.files().items() if name != f"{image.id}.json"}


def _too_few_layers(image):
    listed = parsed(image.files()["manifest.json"])
    listed[0]["Layers"] = []
    return image.files(**{"manifest.json": json.dumps(listed)})


def _outside(image):
    listed = parsed(image.files()["manifest.json"])
    listed[0]["Layers"] = ["../../../../../../../../etc/hostname"]
    return image.files(**{"manifest.json": json.dumps(listed)})


def _half_manifest(image):
    return image.files(**{"manifest.json": str(image.files()["manifest.json"])[:-5]})


@claim("image-025", "image-201")
@pytest.mark.parametrize(("broken", "says"), [
    case(_wrong_layer, OTHER_LAYER, id="wrong_layer"),
    case(_no_layer, r"layer\.tar: no such file|layer tarfiles are missing", id="no_layer"),
    case(_no_config, r"\.json(: no such file|\": file does not exist)", id="no_config"),
    case(_too_few_layers, "layers length mismatch|Inconsistent layer count", id="too_few_layers"),
    case(_outside, "/etc/hostname is not in|layer tarfiles are missing", id="outside"),
    case(_half_manifest, "unexpected EOF|unexpected end of JSON input", id="half_manifest"),
])  # fmt: skip
def test_load_refuses_an_archive_that_contradicts_itself(engine, broken, says):
    image = made(engine)
    engine.fails("load", stdin=tree(broken(image)), says=says, code=engine.code("error"))
    assert not engine.exists(image.names[0], "image")
    assert not engine.exists(image.id, "image")


@claim("image-025", "image-201")
@pytest.mark.parametrize(("what", "says"), [
    case("rootfs", NO_MANIFEST, id="rootfs"), case("garbage", "invalid tar header", id="garbage"),
    case("truncated", "unexpected EOF", id="truncated"), case("empty", NO_MANIFEST, id="empty"),
    case("zeros", NO_MANIFEST, id="zeros"), case("text", "unexpected EOF", id="text"),
])  # fmt: skip
def test_load_refuses_what_is_no_image_archive(engine, what, says):
    image = made(engine, tree({"big": bytes(300_000)}))
    data = {
        "rootfs": tree({"etc": None, "etc/passwd": "root:x:0:0::/:/bin/sh\n"}),
        "garbage": bytes(range(1, 256)) * 60,
        "truncated": image.archive()[:100_000],
        "empty": b"",
        "zeros": bytes(10240),
        "text": b"no archive at all\n",
    }[what]
    engine.fails("load", stdin=data, says=says, code=engine.code("error"))
    assert not engine.exists(image.names[0], "image")


@claim("image-025")
def test_load_of_a_missing_file_fails(engine):
    engine.fails("load", "--input", str(engine.workdir / "none.tar"), says="no such file")


@claim("image-025")
def test_load_from_a_terminal_fails(engine):
    result = engine.spawn("load", tty=True).wait(FAILURE)
    assert "terminal" in result.stdout.lower() or "stdin" in result.stdout.lower()


@claim("image-201")
def test_a_refused_load_leaves_the_image_that_had_the_name(engine, small_image):
    name = small_image({"f": "good " + engine.key})
    before = engine.image_id(name)
    image = made(engine, names=[name])
    engine.fails("load", stdin=tree(_wrong_layer(image)), says=OTHER_LAYER)
    assert engine.image_id(name) == before


@claim("image-202", "image-027")
@pytest.mark.parametrize("path", ["../../../../../../../../../../escape", "/escape"], ids=["dots", "root"])
def test_files_of_a_layer_stay_below_the_root_of_the_image(engine, path):
    marker = f"st-{engine.key}"
    image = made(engine, tree({"ok": "ok", f"{path}-{marker}": "out"}))
    result = load(engine, image.archive(), expect=ANY)
    assert not engine.raw.host.path(f"/escape-{marker}").exists()
    if result.ok:
        c = engine.create(image.names[0])
        inside = members(engine.cli("export", c.name).out)
        assert "ok" in inside
        assert not [name for name in inside if name.startswith("..")]


@claim("image-013", "image-203")
def test_layers_stack_up_to_the_limit_of_the_engine(engine):
    busybox = Saved(engine.cli("save", engine.image).out).image.layers[0]
    layers = [busybox, *(tree({f"deep/{n}": f"{n}", "top": f"{n} {engine.key}"}) for n in range(1, 125))]
    image = made(engine, *layers)
    load(engine, image.archive())
    seen = engine.once("--pull", "never", image.names[0], "sh", "-c", "ls /deep | wc -l; cut -d' ' -f1 /top")
    assert seen.text.split() == ["124", "124"]
    higher = made(engine, *layers, tree({"one": engine.key}))
    if engine.trait("more_than_125_layers"):
        load(engine, higher.archive())
        assert engine.image_id(higher.names[0]) == higher.id
    else:
        engine.fails("load", stdin=higher.archive(), says="max depth exceeded", timeout=120)
        assert not engine.exists(higher.names[0], "image")


@claim("image-044", "image-049")
def test_a_program_of_another_machine_does_not_run(engine):
    elf = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + b"\x02\x00\xff\x7f" + bytes(100)
    image = made(engine, tree({"x": elf, "key": engine.key}, mode=0o755), architecture="s390x")
    load(engine, image.archive())
    assert engine.inspect(image.names[0], "image")["Architecture"] == "s390x"
    engine.fails("run", "--rm", "--pull", "never", image.names[0], says="exec format error")


@claim("image-044", "image-049")
def test_an_image_of_another_machine_is_told_to_be_one(engine):
    image = made(engine, architecture="s390x")
    load(engine, image.archive())
    created = engine.cli("create", "--pull", "never", "--name", engine.name(), image.names[0])
    assert "s390x" in created.stderr
    assert "does not match" in created.stderr


@claim("image-036", "image-016")
def test_digest_of_a_config_names_the_image_with_and_without_its_algorithm(engine):
    image = made(engine)
    load(engine, image.archive())
    assert engine.image_id(digest(image.config)) == image.id
    assert engine.image_id(image.id) == image.id

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from seatrial.archive import Saved, members
from seatrial.exec import ANY

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires

LIVES = "n=0; while :; do n=$((n+1)); echo $n >/tick.new; mv /tick.new /tick; sleep 0.05; done"


def commit(engine, container, *options, name=""):
    name = name or engine.image_name()
    engine.cli("commit", *options, str(container), name)
    return name


def changed(engine, script, *options):
    """Return a stopped container in which a script has run."""
    # the file keeps the layer from being like one of another test
    c = engine.create(*options, engine.image, "sh", "-c", f"echo {engine.key} >/mark; {script}")
    engine.cli("start", "--attach", c.name)
    return c


@claim("image-002")
def test_commit_makes_an_image_of_added_changed_and_removed_files(engine):
    c = changed(engine, "echo new >/added; echo other >/etc/group; rm /etc/nsswitch.conf; mkdir -m 700 /d")
    image = commit(engine, c)
    seen = engine.once(image, "sh", "-c", "cat /added /etc/group; stat -c %a /d; ls /etc")
    assert seen.lines[:3] == ["new", "other", "700"]
    assert "nsswitch.conf" not in seen.lines
    assert "passwd" in seen.lines


@claim("image-056", "image-016")
def test_commit_prints_the_id_of_the_image(engine, touched):
    name = engine.image_name()
    c = touched()
    printed = engine.cli("commit", c.name, name, stdout=r"^(sha256:)?[0-9a-f]{64}$").text
    assert printed.removeprefix("sha256:") == engine.image_id(name)


@claim("image-056")
def test_commit_takes_repository_and_tag_from_the_name(engine, touched):
    base = engine.image_name().removesuffix(":latest")
    c = touched()
    engine.cli("commit", c.name, f"{base}:v1")
    engine.cli("commit", c.name, base)
    assert engine.exists(f"{base}:v1", "image")
    assert f"{base}:latest" in engine.inspect(base, "image")["RepoTags"]


@claim("image-021", "image-020")
def test_commit_without_a_name_gives_a_dangling_image(engine, touched):
    printed = engine.cli("commit", touched().name).text.removeprefix("sha256:")
    assert engine.inspect(printed, "image")["RepoTags"] == []
    listed = engine.look("images", "--quiet", "--no-trunc", "--filter", "dangling=true").stdout
    assert printed in listed


@claim("image-028", "image-043", "image-012")
@effect("commit --author")
def test_commit_keeps_the_author(engine, touched):
    image = commit(engine, touched(), "--author", "Ann Other <ann@example.org>")
    assert engine.inspect(image, "image")["Author"] == "Ann Other <ann@example.org>"


@claim("image-038", "image-012")
def test_commit_keeps_the_message(engine, touched):
    options = [*engine.trait("dockers_format"), "--message", "first light"]
    image = commit(engine, touched(), *options)
    assert engine.inspect(image, "image")["Comment"] == "first light"


@claim("image-028")
@pytest.mark.parametrize("script", ["echo x >/x", "rm /etc/group"], ids=["add", "remove"])
def test_each_commit_adds_one_layer(engine, script):
    layers = engine.inspect(engine.image, "image")["RootFS"]["Layers"]
    assert layers
    image = commit(engine, changed(engine, script))
    grown = engine.inspect(image, "image")["RootFS"]["Layers"]
    assert grown[:-1] == layers


_CHANGES = {
    "env": ("ENV COLOUR=deep-blue", "Env", "COLOUR=deep-blue"),
    "cmd": ('CMD ["echo","hi"]', "Cmd", ["echo", "hi"]),
    "entrypoint": ('ENTRYPOINT ["echo"]', "Entrypoint", ["echo"]),
    "expose": ("EXPOSE 81/udp", "ExposedPorts", "81/udp"),
    "label": ("LABEL port=starboard", "Labels", ("port", "starboard")),
    "user": ("USER operator", "User", "operator"),
    "volume": ("VOLUME /data", "Volumes", "/data"),
    "workdir": ("WORKDIR /srv", "WorkingDir", "/srv"),
}


@claim("image-002", "image-048")
@effect("commit --change")
@pytest.mark.parametrize("change", _CHANGES)
def test_commit_change_sets_what_containers_get(engine, touched, change):
    instruction, field, wanted = _CHANGES[change]
    image = commit(engine, touched(), "--change", instruction)
    value = engine.inspect(image, "image")["Config"][field]
    if isinstance(value, dict) and isinstance(wanted, tuple):
        assert wanted in value.items()
    elif isinstance(value, (list, dict)) and isinstance(wanted, str):
        assert wanted in value
    else:
        assert value == wanted


@claim("image-048", "image-041")
def test_committed_environment_and_command_reach_the_process(engine, touched):
    image = commit(engine, touched(), "--change", "ENV TIDE=high", "--change",
                   'CMD ["sh","-c","echo $TIDE; pwd; id -u"]', "--change", "WORKDIR /var",
                   "--change", "USER operator")  # fmt: skip
    assert engine.once(image).lines == ["high", "/var", "37"]
    assert engine.once("--env", "TIDE=low", image).lines[0] == "low"
    assert engine.once(image, "echo", "instead").text == "instead"


@claim("image-002")
@pytest.mark.parametrize("change", ["RUN true", "FROM scratch", "SAIL away"], ids=["run", "from", "unknown"])
def test_commit_refuses_a_change_that_is_no_setting(engine, touched, change):
    name = engine.image_name()
    c = touched()
    engine.fails("commit", "--change", change, c.name, name, says="bad_change")
    assert not engine.exists(name, "image")


@claim("image-002")
def test_commit_of_an_unknown_container_fails(engine):
    name = engine.image_name()
    engine.fails("commit", engine.name(), name, says="no_such_container", code=engine.code("error"))
    assert not engine.exists(name, "image")


@claim("image-002")
def test_commit_keeps_what_the_container_was_started_with(engine):
    c = engine.create("--env", "MAST=3", "--workdir", "/var", "--user", "operator", engine.image,
                      "sh", "-c", "echo $MAST $PWD $(id -u)")  # fmt: skip
    assert engine.once(commit(engine, c)).text == "3 /var 37"


@claim("image-002")
@requires("freezer")
@effect("commit --pause")
@pytest.mark.parametrize(("option", "pauses"), [("--pause", True), ("--pause=false", False)])
def test_commit_pauses_a_container_unless_it_is_told_not_to(engine, option, pauses):
    c = engine.run()
    c.sh("head -c 50000000 /dev/urandom >/cargo")
    kernel, frozen, done = c.kernel, set(), threading.Event()

    def watch():
        while not done.is_set():
            frozen.add(kernel.frozen)
            time.sleep(0.001)

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        try:
            commit(engine, c, option)
        finally:
            done.set()
        watching.result()
    assert (True in frozen) is pauses
    assert not kernel.frozen


@claim("image-002")
@pytest.mark.parametrize("option", ["--pause", "--pause=false"])
def test_commit_of_a_running_container_leaves_it_running(engine, option):
    c = engine.run(engine.image, "sh", "-c", LIVES)
    c.until("ticks", lambda: c.kernel.file("/tick").exists())
    pid = c.pid
    image = commit(engine, c, option)
    assert (c.status, c.pid) == ("running", pid)
    before = c.kernel.file("/tick").read_text()
    c.until("ticks on", lambda: c.kernel.file("/tick").read_text() not in ("", before))
    assert 0 < int(engine.once(image, "cat", "/tick").text) <= int(c.read("/tick"))


@claim("image-002")
def test_commit_leaves_out_what_is_mounted(engine):
    volume = engine.volume()
    (engine.workdir / "bound").mkdir()
    c = engine.run("--volume", f"{volume}:/vol", "--volume", f"{engine.workdir}/bound:/bound",
                   "--tmpfs", "/fleeting", engine.image, "sleep", "60")  # fmt: skip
    c.sh("echo x >/vol/x; echo x >/bound/x; echo x >/fleeting/x; echo x >/kept")
    found = engine.once(commit(engine, c), "find", "/vol", "/bound", "/fleeting", "/kept", expect=ANY).lines
    assert "/kept" in found
    assert not {"/vol/x", "/bound/x", "/fleeting/x"} & set(found)


@claim("image-013")
def test_any_committed_image_is_a_base_for_the_next(engine):
    image = engine.image
    for number in range(4):
        c = engine.create(image, "sh", "-c", f"echo {number} >>/log")
        engine.cli("start", "--attach", c.name)
        image = commit(engine, c)
    assert engine.once(image, "cat", "/log").lines == ["0", "1", "2", "3"]
    depth = len(engine.inspect(engine.image, "image")["RootFS"]["Layers"])
    assert len(engine.inspect(image, "image")["RootFS"]["Layers"]) == depth + 4


@claim("image-012", "image-015")
def test_a_name_is_rolled_back_by_tagging_the_older_image(engine):
    repository = engine.image_name().removesuffix(":latest")
    for version in ("1", "2"):
        commit(engine, changed(engine, f"echo {version} >/version"), name=f"{repository}:{version}")
        engine.cli("tag", f"{repository}:{version}", f"{repository}:current")
    assert engine.once(f"{repository}:current", "cat", "/version").text == "2"
    engine.cli("tag", f"{repository}:1", f"{repository}:current")
    assert engine.once(f"{repository}:current", "cat", "/version").text == "1"
    assert engine.once(f"{repository}:2", "cat", "/version").text == "2"


@claim("image-020")
def test_commit_under_a_taken_name_leaves_the_old_image_without_one(engine):
    name = commit(engine, changed(engine, "echo old >/age"))
    old = engine.image_id(name)
    commit(engine, changed(engine, "echo young >/age"), name=name)
    engine.track("image", old)
    assert engine.image_id(name) != old
    assert engine.inspect(old, "image")["RepoTags"] == []
    assert engine.once(name, "cat", "/age").text == "young"
    assert engine.once(old, "cat", "/age").text == "old"


@claim("image-020")
def test_an_image_that_lost_its_name_is_no_longer_listed_under_it(engine, touched):
    name = commit(engine, touched())
    old = engine.image_id(name)
    commit(engine, changed(engine, "echo x >/x"), name=name)
    engine.track("image", old)
    listed = engine.look("images", "--quiet", "--no-trunc", name).text
    assert listed.removeprefix("sha256:") == engine.image_id(name)


@claim("image-028", "image-054")
def test_the_layer_of_a_commit_holds_only_the_changes(engine):
    image = commit(engine, changed(engine, "echo one >/one; echo x >>/etc/group; rm /etc/nsswitch.conf"))
    top = members(Saved(engine.cli("save", image).out).image.layers[-1])
    regular = {path for path, member in top.items() if not member.isdir()}
    assert regular - {"mark", *engine.trait("own_files")} == {"one", "etc/group", "etc/.wh.nsswitch.conf"}


@claim("image-028")
def test_commit_of_an_untouched_container_adds_no_files(engine, small_image):
    name = small_image({"f": engine.key})
    base = Saved(engine.cli("save", name).out).image
    image = Saved(engine.cli("save", commit(engine, engine.create(name, "/f"))).out).image
    assert image.diff_ids[: len(base.diff_ids)] == base.diff_ids
    assert [name for layer in image.layers[len(base.layers) :] for name in members(layer)] == []


@claim("image-040", "image-042")
def test_the_image_says_what_made_it(engine, touched):
    field = engine.trait("image_maker")
    data = engine.inspect(commit(engine, touched()), "image")
    version = data[field["version"]].partition("+")[0]
    assert version == (engine.raw.version().engine if field["filled"] else "")


@claim("image-039", "image-038", "image-035")
def test_saved_configuration_of_a_commit_says_what_inspect_says(engine, touched):
    image = commit(engine, touched(), "--author", "Ann", "--change", "LABEL deck=upper")
    saved = Saved(engine.cli("save", image).out).image.described
    shown = engine.inspect(image, "image")
    assert saved["author"] == shown["Author"] == "Ann"
    assert saved["config"]["Labels"]["deck"] == shown["Config"]["Labels"]["deck"] == "upper"
    assert saved["created"][:19] == shown["Created"][:19]
    assert json.dumps(saved["rootfs"]["diff_ids"]) == json.dumps(shown["RootFS"]["Layers"])

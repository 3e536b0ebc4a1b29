"""Named and anonymous volumes: what they are, create, inspect, ls and rm."""

import os
import re
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.examples import examples
from seatrial.exec import parsed
from seatrial.expecting import exactly

claim, requires = pytest.mark.claim, pytest.mark.requires

ID = re.compile(r"[0-9a-f]{64}")
PARTS = st.text("aB3._-", max_size=8)
KEYS = st.text("ab9._-/ü", min_size=1, max_size=20)


def names(engine, *filters):
    options = [word for text in filters for word in ("--filter", text)]
    return engine.cli("volume", "ls", "--quiet", *options).stdout.split()


@claim("volume-001")
def test_volume_outlives_its_container_and_the_layer_does_not(engine):
    volume = engine.volume()
    c = engine.run("-v", f"{volume}:/data")
    c.sh("echo kept >/data/f; echo lost >/f")
    engine.cli("rm", "--force", c.name)
    assert engine.sh("cat /data/f; ls /f", "-v", f"{volume}:/data", expect=1).stdout == "kept\n"


@claim("volume-002")
@requires("local_engine")
def test_volume_is_beside_the_container_s_file_system(engine):
    volume = engine.volume()
    c = engine.run("-v", f"{volume}:/data")
    c.sh("echo volume >/data/f; echo layer >/g")
    root, mount = c.kernel.mount("/"), c.kernel.mount("/data")
    assert (mount.fstype, mount.source) != (root.fstype, root.source)
    assert mount.root.endswith(f"/volumes/{volume}/_data")
    changed = engine.cli("diff", c.name).lines
    assert "A /g" in changed
    assert not [line for line in changed if line.startswith("A /data/")]
    image = engine.image_name()
    engine.cli("commit", c.name, image, timeout=120)
    assert engine.once(image, "cat", "/g").stdout == "layer\n"
    assert engine.once(image, "ls", "/data").stdout == ""


@claim("volume-004", "volume-005")
def test_target_alone_makes_an_anonymous_volume(engine, place):
    c = engine.run("-v", "/data", "--mount", "type=volume,target=/more")
    mounts = {mount["Destination"]: mount for mount in c.inspect()["Mounts"]}
    assert set(mounts) == {"/data", "/more"}
    for target, mount in mounts.items():
        assert ID.fullmatch(mount["Name"])
        assert (mount["Type"], mount["Driver"], mount["RW"]) == ("volume", "local", True)
        c.sh(f"echo hello >{target}/f")
        assert (place(mount["Name"]) / "f").read_text() == "hello\n"
    assert mounts["/data"]["Name"] != mounts["/more"]["Name"]


@claim("volume-005")
@requires("local_engine")
def test_container_lists_its_mounts(engine):
    volume = engine.volume()
    (engine.workdir / "d").mkdir()
    c = engine.run("-v", f"{volume}:/a", "-v", f"{volume}:/b:ro", "-v", f"{engine.workdir}/d:/c:ro")
    listed = {mount["Destination"]: mount for mount in c.inspect()["Mounts"]}
    source = engine.inspect(volume, "volume")["Mountpoint"]
    seen = {
        to: (mount["Type"], mount.get("Name"), mount["Source"], mount["RW"]) for to, mount in listed.items()
    }
    assert seen == {
        "/a": ("volume", volume, source, True),
        "/b": ("volume", volume, source, False),
        "/c": ("bind", None, f"{engine.workdir}/d", False),
    }
    for target, mount in listed.items():
        assert ("rw" in c.kernel.mount(target).options) is mount["RW"]


@claim("volume-006")
@requires("rootful", "local_engine")
def test_volume_lives_where_inspect_says_and_root_alone_enters(engine, place):
    volume = engine.volume()
    engine.sh("echo hello >/data/f; chmod 666 /data/f", "-v", f"{volume}:/data")
    path = Path(engine.inspect(volume, "volume")["Mountpoint"])
    assert path.parts[-3:] == ("volumes", volume, "_data")
    assert (place(volume) / "f").read_text() == "hello\n"
    for guard in (path.parent, path.parents[1]):
        mode = stat.S_IMODE(engine.raw.host.path(guard).stat().st_mode)
        assert mode & 0o066 == 0, f"{guard} has mode {mode:o}"


@claim("volume-011")
@pytest.mark.parametrize("form", [["-v", "{}:/x:ro"], ["--mount", "type=volume,source={},target=/x,readonly"]],
                         ids=["mode", "mount"])  # fmt: skip
def test_read_only_volume_refuses_writes_of_one_and_takes_those_of_another(engine, form):
    volume = engine.volume()
    reader = engine.run(*(word.format(volume) for word in form))
    assert "ro" in reader.kernel.mount("/x").options
    assert "Read-only file system" in reader.sh("touch /x/f", expect=1).stderr
    assert "denied" in reader.sh("mount -o remount,rw /x", expect=1).stderr
    engine.sh("echo hello >/x/f", "-v", f"{volume}:/x")
    assert reader.read("/x/f") == "hello\n"


@claim("volume-211")
def test_inspect_describes_a_volume(engine):
    before = datetime.now(UTC) - timedelta(seconds=2)
    volume = engine.volume("--label", "colour=blue", "--label", "bare")
    seen = engine.inspect(volume, "volume")
    assert (seen["Name"], seen["Driver"], seen["Scope"]) == (volume, "local", "local")
    assert seen["Labels"].items() >= {"colour": "blue", "bare": ""}.items()
    assert not seen["Options"]
    made = datetime.fromisoformat(re.sub(r"\.\d+", "", seen["CreatedAt"]))
    assert before.replace(microsecond=0) <= made <= datetime.now(UTC) + timedelta(seconds=2)
    template = "{{.Name}} {{.Driver}} {{.Scope}} {{.Mountpoint}} {{json .Labels}}"
    line = engine.cli("volume", "inspect", "--format", template, volume).text
    name, driver, scope, place, labels = exactly(5, line.split(" ", 4))
    assert (name, driver, scope, place) == (volume, "local", "local", seen["Mountpoint"])
    assert parsed(labels) == seen["Labels"]


@claim("volume-211")
def test_inspect_of_known_and_unknown_describes_the_known_and_fails(engine):
    one, two = engine.volume(), engine.volume()
    result = engine.cli("volume", "inspect", one, two)
    assert [entry["Name"] for entry in result.json()] == [one, two]
    result = engine.fails("volume", "inspect", one, "st-no-such", says="no_such_volume", code=engine.code("error"))
    assert [entry["Name"] for entry in result.json()] == [one]
    assert "st-no-such" in result.stderr


@claim("volume-211", "volume-212")
@pytest.mark.parametrize("verb", ["ls", "inspect"])
@pytest.mark.parametrize("template", ["{{.Nope}}", "{{.Name", "{{nope .Name}}"], ids=["field", "syntax", "function"])
def test_wrong_template_is_refused(engine, verb, template):
    volume = engine.volume()  # a listing of nothing never comes to its template
    engine.fails("volume", verb, "--format", template, *([volume] if verb == "inspect" else []), says="template")


@claim("volume-212", "volume-021")
def test_ls_prints_a_table_names_or_a_template(engine):
    volume = engine.volume("--label", "colour=blue")
    chosen = ["--filter", f"name={volume}"]
    head, row = exactly(2, engine.cli("volume", "ls", *chosen).lines)
    assert re.split(r"\s{2,}", head) == ["DRIVER", "VOLUME NAME"]
    assert row.split() == ["local", volume]
    assert engine.cli("volume", "ls", "-q", *chosen).lines == [volume]
    template = "{{.Name}}|{{.Driver}}|{{.Scope}}|{{.Mountpoint}}"
    place = engine.inspect(volume, "volume")["Mountpoint"]
    assert engine.cli("volume", "ls", "--format", template, *chosen).text == f"{volume}|local|local|{place}"
    assert engine.cli("volume", "list", "-q", *chosen).lines == [volume]


@claim("volume-212")
def test_ls_writes_json_when_asked(engine):
    volume = engine.volume()
    text = engine.cli("volume", "ls", "--format", "json", "--filter", f"name={volume}").text
    loaded = parsed(text if text.startswith("[") else f"[{','.join(text.splitlines())}]")
    assert [(entry["Name"], entry["Driver"], entry["Scope"]) for entry in loaded] == [(volume, "local", "local")]


@claim("volume-021", "volume-210")
def test_ls_filters_by_name_label_and_driver(engine):
    blue, plain = engine.volume("--label", f"{engine.key}=blue"), engine.volume()
    red = engine.volume("--label", f"{engine.key}=red")
    mine = f"name={blue.rpartition('v')[0]}"
    made = {blue, red, plain}
    assert set(names(engine, mine)) == made
    assert names(engine, f"name={red}") == [red]
    assert made & set(names(engine, f"label={engine.key}")) == {blue, red}
    assert names(engine, f"label={engine.key}=blue") == [blue]
    assert names(engine, f"label={engine.key}=green") == []
    assert made <= set(names(engine, "driver=local"))
    assert names(engine, "driver=other") == []


@claim("volume-021", "volume-210")
def test_several_labels_must_all_match(engine):
    both = engine.volume("--label", f"{engine.key}=1", "--label", f"{engine.key}more=2")
    one = engine.volume("--label", f"{engine.key}=1")
    assert set(names(engine, f"label={engine.key}=1")) == {both, one}
    assert names(engine, f"label={engine.key}=1", f"label={engine.key}more") == [both]


@claim("volume-021", "volume-210")
def test_filters_of_different_kinds_must_all_match(engine):
    blue, plain = engine.volume("--label", f"{engine.key}=blue"), engine.volume()
    c = engine.create("-v", f"{plain}:/x")
    mine = f"name={blue.rpartition('v')[0]}"
    assert names(engine, mine, f"label={engine.key}") == [blue]
    assert names(engine, mine, "driver=other") == []
    assert names(engine, mine, "dangling=true") == [blue]
    assert names(engine, mine, "dangling=false") == [plain]
    assert c.pid == 0


@claim("volume-023", "volume-021")
def test_ls_tells_dangling_volumes_from_used_ones(engine):
    free, used = engine.volume(), engine.volume()
    c = engine.create("-v", f"{used}:/x")
    for word in ("true", "1"):
        assert free in names(engine, f"dangling={word}")
        assert used not in names(engine, f"dangling={word}")
    for word in ("false", "0"):
        assert used in names(engine, f"dangling={word}")
        assert free not in names(engine, f"dangling={word}")
    engine.cli("rm", c.name)
    assert used in names(engine, "dangling=true")


@claim("volume-222")
@pytest.mark.parametrize("by", ["name", "target"])
def test_ps_finds_containers_by_their_volumes(engine, by):
    volume, target = engine.volume(), f"/{engine.name('t')}"
    c = engine.create("-v", f"{volume}:{target}")
    other = engine.create("-v", "/x")

    def found(*options):
        return engine.cli("ps", "--all", "--quiet", "--no-trunc", *options).stdout.split()

    assert found("--filter", f"volume={volume if by == 'name' else target}") == [c.id]
    assert found("--filter", "volume=st-no-such") == []
    assert {c.id, other.id} <= set(found())


@claim("volume-212")
@pytest.mark.parametrize(("text", "says"), [
    pytest.param("what=1", "volume_bad_filter", id="unknown"),
    pytest.param("dangling=maybe", "volume_bad_filter_value", id="value"),
    pytest.param("nothing", "volume_filter_syntax", id="no-equals"),
])  # fmt: skip
def test_ls_refuses_wrong_filters(engine, text, says):
    engine.fails("volume", "ls", "--filter", text, says=says)


@claim("volume-209")
def test_create_without_a_name_makes_one(engine, place):
    result = engine.cli("volume", "create")
    engine.track("volume", result.text)
    assert ID.fullmatch(result.text)
    assert place(result.text).is_dir()
    assert list(place(result.text).iterdir()) == []


@claim("volume-209")
def test_creating_a_volume_again_keeps_what_is_in_it(engine, place):
    volume = engine.volume("--label", "colour=blue")
    engine.sh("echo kept >/x/f", "-v", f"{volume}:/x")
    if engine.trait("volume_create_again"):
        assert engine.cli("volume", "create", "--label", "colour=red", volume).text == volume
    else:
        engine.fails("volume", "create", "--label", "colour=red", volume, says="already exists")
    assert (place(volume) / "f").read_text() == "kept\n"
    assert engine.inspect(volume, "volume")["Labels"]["colour"] == "blue"


@claim("volume-208")
@examples(15)
@given(tail=st.text("abcXYZ019_.-", min_size=1, max_size=60), first=st.sampled_from("aZ0"))
def test_names_of_allowed_characters_are_taken(engine, tail, first, place):
    name = f"{first}{engine.key}{tail}"
    engine.track("volume", name)
    assert engine.cli("volume", "create", name).text == name
    assert place(name).is_dir()
    assert engine.cli("volume", "rm", name).text == name
    assert not engine.exists(name, "volume")


@claim("volume-208")
@examples(15)
@given(head=PARTS, wrong=st.sampled_from("/: é中@~!$%^&*()+=[]{}|;'\"<>,?`#\\\n\t"), tail=PARTS)
def test_names_with_other_characters_are_refused(engine, head, wrong, tail):
    name = f"st{head}{wrong}{tail}"
    engine.fails("volume", "create", name, says="volume_bad_name", code=engine.code("error"))


@claim("volume-208")
@pytest.mark.parametrize("name", [".st", "_st", "-st", "..", "/st", "../st"])
def test_names_begin_with_a_letter_or_digit(engine, name):
    engine.fails("volume", "create", "--", name, says="volume_bad_name", code=engine.code("error"))


@claim("volume-208")
def test_length_of_names_is_bounded(engine, place):
    shortest = engine.trait("volume_shortest_name")
    longest = (engine.key + "x" * 255)[:255]
    engine.track("volume", longest)
    if shortest > 1:
        engine.fails("volume", "create", "q" * (shortest - 1), says="too short")
    assert engine.cli("volume", "create", longest).text == longest
    engine.sh("echo hello >/x/f", "-v", f"{longest}:/x")
    assert (place(longest) / "f").read_text() == "hello\n"
    for length in (256, 5000):
        name = (engine.key + "x" * length)[:length]
        engine.fails("volume", "create", name, says="name too long", code=engine.code("error"))
        assert not engine.exists(name, "volume")


@claim("volume-208")
def test_names_that_differ_in_case_are_two_volumes(engine):
    upper = engine.name("v").upper()
    for name in (upper, upper.lower()):
        engine.defer(engine.raw.remove, "volume", [name])  # one by one: see the known lists
        engine.cli("volume", "create", name)
    engine.sh("echo big >/x/f", "-v", f"{upper}:/x")
    assert engine.sh("ls /x", "-v", f"{upper.lower()}:/x").stdout == ""
    assert engine.cli("volume", "rm", upper).text == upper
    assert engine.exists(upper.lower(), "volume")
    assert not engine.exists(upper, "volume")


@claim("volume-210")
@pytest.mark.parametrize("alphabet", ["abZ9 =:;'{}\\é😀\t", 'a,"'], ids=["plain", "quoting"])
@examples(5)
@given(data=st.data())
def test_labels_come_back_as_given(engine, alphabet, data):
    labels = data.draw(st.dictionaries(KEYS, st.text(alphabet, max_size=30), min_size=2, max_size=8))
    words = [word for key, value in labels.items() for word in ("--label", f"l{key}={value}")]
    volume = engine.volume(*words)
    seen = engine.inspect(volume, "volume")["Labels"]
    assert {key: value for key, value in seen.items() if not key.startswith("seatrial.")} == {
        f"l{key}": value for key, value in labels.items()
    }
    engine.cli("volume", "rm", volume)


@claim("volume-210")
def test_last_of_equal_labels_counts(engine):
    volume = engine.volume("--label", "c=1", "--label", "c=2")
    assert engine.inspect(volume, "volume")["Labels"]["c"] == "2"


@claim("volume-209")
def test_create_takes_one_name(engine):
    engine.fails("volume", "create", engine.name("v"), engine.name("v"), says="volume_too_many_arguments")


@claim("volume-213", "volume-021")
def test_rm_takes_several_and_goes_on_after_an_unknown_one(engine, place):
    volumes = [engine.volume() for _ in range(3)]
    places = [place(volume) for volume in volumes]
    result = engine.fails("volume", "rm", volumes[0], "st-no-such", volumes[1], says="no_such_volume",
                          code=engine.code("unknown_object"))  # fmt: skip
    assert result.stdout.split() == volumes[:2]
    assert "st-no-such" in result.stderr
    assert [os.path.lexists(place) for place in places] == [False, False, True]
    assert engine.cli("volume", "remove", volumes[2]).text == volumes[2]
    assert not os.path.lexists(places[2])


@claim("volume-213")
def test_rm_by_force_does_not_mind_unknown_names(engine):
    volume = engine.volume()
    engine.cli("volume", "rm", "--force", "st-no-such", volume)
    assert not engine.exists(volume, "volume")


@claim("volume-213")
def test_rm_wants_a_name(engine):
    engine.fails("volume", "rm", says="requires at least 1 argument|choose either")


@claim("volume-024")
@pytest.mark.parametrize("running", [True, False], ids=["running", "created"])
def test_rm_refuses_a_volume_in_use(engine, running, place):
    volume = engine.volume()
    engine.sh("echo kept >/x/f", "-v", f"{volume}:/x")
    c = (engine.run if running else engine.create)("-v", f"{volume}:/x")
    result = engine.fails("volume", "rm", volume, says="volume_in_use", code=engine.code("volume_in_use"))
    assert c.id in result.stderr
    assert (place(volume) / "f").read_text() == "kept\n"
    engine.cli("rm", "--force", c.name)
    assert engine.cli("volume", "rm", volume).text == volume


@claim("volume-024")
def test_rm_by_force_of_a_volume_in_use(engine):
    volume = engine.volume()
    c = engine.run("--stop-signal", "KILL", "-v", f"{volume}:/x")
    if engine.trait("volume_force_takes_containers"):
        engine.cli("volume", "rm", "--force", volume)
        assert not engine.exists(c.name)
    else:
        engine.fails("volume", "rm", "--force", volume, says="volume_in_use", code=engine.code("volume_in_use"))
        assert c.sh("echo still >/x/f; cat /x/f").stdout == "still\n"
    assert engine.exists(volume, "volume") is not engine.trait("volume_force_takes_containers")

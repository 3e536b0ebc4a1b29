"""`run`: names, id files, and `--rm`."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.examples import examples
from seatrial.exec import ANY
from seatrial.waiting import wait_until

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires


GOOD = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
good_tails = st.text("abcXYZ019_.-", min_size=1, max_size=60)
bad_names = st.text(st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["Cs"]), min_size=1,
                    max_size=20).filter(lambda name: not GOOD.fullmatch(name.removeprefix("/")))  # fmt: skip


@claim("cli-212")
def test_a_name_that_is_taken_is_refused_and_its_owner_untouched(engine):
    c = engine.run()
    before = c.state
    for verb in ("run", "create"):
        code = engine.code(f"{verb}_error")
        refused = engine.fails(verb, "--name", c.name, engine.image, "true", says="name_taken", code=code)
        assert refused.stdout == ""
        assert c.name in refused.stderr
    assert c.state == before
    assert c.kernel.alive


@claim("cli-212")
def test_a_bad_name_is_refused(engine):
    for name in ("a b", "-dash", ".dot", "_low", "x/y", "ümlaut", "a:b", "x\n", "a@b", "ab*"):
        refused = engine.fails("run", "--rm", f"--name={name}", engine.image, "true", says="bad_name", code=125)
        assert refused.stdout == ""


@claim("cli-212", "cli-024")
@examples(15)
@given(tail=good_tails)
def test_every_good_name_is_kept_as_it_is(engine, tail):
    name = engine.name() + tail
    c = engine.create("--name", name)
    try:
        assert c.inspect()["Name"].removeprefix("/") == name
        assert engine.inspect(name)["Id"] == c.id
    finally:
        engine.cli("rm", name)


@claim("cli-212", "cli-024")
@examples(15)
@given(name=bad_names)
def test_no_bad_name_is_ever_given(engine, name):
    c = engine.cli("ps", "--all", "--format", "{{.Names}}", "--filter", f"label=seatrial.test={engine.key}").text
    c = c or engine.create().name
    engine.fails("rename", "--", c, name, says="bad_name", code=engine.code("error"))
    assert engine.inspect(c)["Name"].removeprefix("/") == c


@claim("cli-212")
def test_a_long_name_is_kept_whole(engine):
    name = engine.name() + "x" * 180
    c = engine.create("--name", name)
    assert c.inspect()["Name"].removeprefix("/") == name
    assert engine.cli("ps", "--all", "--filter", f"name={name}", "--format", "{{.Names}}").text == name


@claim("cli-212")
def test_a_container_without_a_name_gets_one(engine):
    names = set()
    for _ in range(2):
        id_ = engine.cli("create", engine.image, "true").text
        names.add(engine.inspect(id_)["Name"].removeprefix("/"))
    assert len(names) == 2
    assert all(re.fullmatch(r"[a-z]+_[a-z]+\d*", name) for name in names)


@claim("cli-212", "cli-018")
def test_a_container_is_found_by_name_id_and_unique_prefix(engine):
    c = engine.create()
    for word in (c.name, c.id, c.id[:12], c.id[:20]):
        assert engine.inspect(word)["Id"] == c.id
    wrong = ("f" if c.id[0] != "f" else "e") + c.id[1:]
    engine.fails("container", "inspect", wrong, says="no_such_container")


@claim("cli-213")
@effect("run --cidfile")
def test_cidfile_holds_the_id(engine):
    file = engine.workdir / "cid"
    c = engine.run("--cidfile", str(file))
    assert file.read_text().strip() == c.id


@claim("cli-213")
def test_an_existing_cidfile_is_not_overwritten(engine):
    file = engine.workdir / "cid"
    file.write_text("mine")
    name = engine.name()
    engine.fails("run", "--rm", "--name", name, "--cidfile", str(file), engine.image, "true",
                 says="(?i)container id file (found|exists)", code=125)  # fmt: skip
    assert file.read_text() == "mine"
    assert not engine.exists(name)


@claim("cli-213")
def test_a_cidfile_that_cannot_be_written_is_an_error(engine):
    name = engine.name()
    engine.fails("run", "--rm", "--name", name, "--cidfile", "/no/such/directory/cid", engine.image, "true",
                 says="/no/such/directory/cid", code=125)  # fmt: skip
    assert not engine.exists(name)


@claim("cli-213")
def test_a_failed_run_leaves_no_cidfile(engine):
    file = engine.workdir / "cid"
    engine.fails("run", "--rm", "--pull", "never", "--cidfile", str(file), "localhost/seatrial/no-such:1", "true",
                 says="no_such_image", code=125)  # fmt: skip
    assert not file.exists()


@claim("cli-214")
@effect("run --rm")
@pytest.mark.parametrize("code", [0, 3])
def test_rm_removes_the_container_and_its_anonymous_volume(engine, code):
    name, kept = engine.name(), engine.volume()
    c = engine.run("--rm", "--name", name, "--volume", "/anonymous", "--volume", f"{kept}:/named", engine.image, "sh",
                   "-c", f"while [ ! -e /go ]; do sleep 0.1; done; exit {code}")  # fmt: skip
    volumes = {mount["Destination"]: mount["Name"] for mount in c.inspect()["Mounts"]}
    engine.track("volume", volumes["/anonymous"])
    assert engine.exists(volumes["/anonymous"], "volume")
    engine.cli("exec", name, "touch", "/go", expect=ANY)
    c.until("its removal", lambda: not engine.exists(name))
    c.until("the volume's removal", lambda: not engine.exists(volumes["/anonymous"], "volume"))
    assert engine.exists(kept, "volume")


@claim("cli-214")
def test_without_rm_the_container_stays(engine):
    name = engine.name()
    engine.cli("run", "--name", name, engine.image, "sh", "-c", "echo kept; exit 4", expect=4)
    state = engine.inspect(name)["State"]
    assert (state["ExitCode"], state["Running"], state["Pid"]) == (4, False, 0)
    wait_until("its end in the list", lambda: engine.inspect(name)["State"]["Status"] == "exited")
    assert engine.cli("logs", name).stdout == "kept\n"


@claim("cli-214", "cli-256", "cli-115")
def test_rm_and_a_restart_policy_exclude_each_other(engine):
    name = engine.name()
    engine.fails("run", "--name", name, "--rm", "--restart", "always", engine.image, "true", code=125,
                 says="conflicting options: .*--restart and --rm|--rm option conflicts with")  # fmt: skip
    assert not engine.exists(name)

"""`pause`, `unpause`, `rm` and `rename`."""

import time

import pytest

from seatrial.expecting import one

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires

COUNT_UP = "while :; do date +%s%N >/tick; sleep 0.05; done"


@claim("cli-021", "cli-031", "cli-038")
@requires("freezer")
def test_pause_stops_the_clock_inside_and_unpause_lets_it_run(engine):
    c = engine.run(engine.image, "sh", "-c", COUNT_UP)
    c.until("ticks", lambda: c.kernel.file("/tick").exists() and c.kernel.file("/tick").read_text())
    assert engine.cli("pause", c.name).stdout == f"{c.name}\n"
    kernel = c.kernel
    assert kernel.frozen
    state = c.state
    assert (state["Status"], state["Paused"]) == ("paused", True)
    before = kernel.file("/tick").read_text()
    time.sleep(0.5)
    assert kernel.file("/tick").read_text() == before
    assert engine.cli("unpause", c.name).stdout == f"{c.name}\n"
    assert not kernel.frozen
    c.until("another tick", lambda: kernel.file("/tick").read_text() not in ("", before))
    assert c.status == "running"


@claim("cli-021", "cli-038")
@requires("freezer")
def test_pause_freezes_every_process_of_the_container(engine):
    c = engine.run(engine.image, "sh", "-c", "sleep 3601 & sleep 3602 & exec sleep 3603")
    c.until("three processes", lambda: len(c.kernel.cgroup_processes) == 3)
    engine.cli("pause", c.name)
    assert c.kernel.frozen
    assert len(c.kernel.cgroup_processes) == 3
    status = engine.cli("ps", "--all", "--filter", f"id={c.id}", "--format", "{{.Status}}").text
    assert engine.trait("paused_word") in status
    engine.cli("unpause", c.name)


@claim("cli-021")
@requires("freezer")
def test_pause_twice_is_refused(engine):
    c = engine.run()
    engine.cli("pause", c.name)
    engine.fails("pause", c.name, says="paused", code=engine.code("error"))
    assert c.kernel.frozen
    engine.cli("unpause", c.name)


@claim("cli-021", "cli-016")
@requires("freezer")
def test_a_paused_container_takes_no_exec(engine):
    c = engine.run()
    engine.cli("pause", c.name)
    refused = engine.fails("exec", c.name, "true", says="paused")
    assert refused.stdout == ""
    engine.cli("unpause", c.name)
    assert c.exec("echo", "again").text == "again"


@claim("cli-021")
def test_pause_of_what_does_not_run_is_refused(engine):
    for c in (engine.create(), engine.run(engine.image, "true")):
        c.until("not running", lambda c=c: not c.state["Running"])
        engine.fails("pause", c.name, says="not_running", code=engine.code("error"))


@claim("cli-031")
def test_unpause_of_what_is_not_paused_is_refused(engine):
    c = engine.run()
    engine.fails("unpause", c.name, says="is not paused", code=engine.code("error"))
    assert c.kernel.alive
    created = engine.create()
    engine.fails("unpause", created.name, says="is not paused", code=engine.code("error"))


@claim("cli-021", "cli-031")
@requires("freezer")
def test_pause_takes_several_containers(engine):
    names = [engine.run().name for _ in range(2)]
    assert engine.cli("pause", *names).stdout.split() == names
    assert {engine.inspect(name)["State"]["Status"] for name in names} == {"paused"}
    assert engine.cli("unpause", *names).stdout.split() == names
    assert {engine.inspect(name)["State"]["Status"] for name in names} == {"running"}


@claim("cli-021", "cli-026")
@requires("freezer")
def test_a_paused_container_is_removed_by_force_only(engine):
    c = engine.run()
    engine.cli("pause", c.name)
    kernel = c.kernel
    engine.fails("rm", c.name, says="cannot remove", code=engine.code("rm_running"))
    assert kernel.frozen
    engine.cli("rm", *engine.raw.force("container"), c.name)
    assert not kernel.alive
    assert not engine.exists(c.name)


@claim("cli-026")
def test_a_running_container_is_removed_by_force_only(engine):
    c = engine.run()
    kernel = c.kernel
    refused = engine.fails("rm", c.name, says="cannot remove", code=engine.code("rm_running"))
    assert refused.stdout == ""
    assert kernel.alive
    group = kernel.cgroup_path("memory")
    assert group.is_dir()
    assert engine.cli("rm", *engine.raw.force("container"), c.name).text in (c.name, c.id)
    assert not kernel.alive
    assert not engine.exists(c.id)
    c.until("the end of its cgroup", lambda: not group.exists())


@claim("cli-026")
def test_rm_takes_created_and_ended_containers_and_frees_their_names(engine):
    created, ended = engine.create(), engine.run(engine.image, "true")
    ended.wait()
    assert set(engine.cli("rm", created.name, ended.name).stdout.split()) == {created.name, ended.name}
    assert not engine.exists(created.id)
    assert not engine.exists(ended.id)
    assert engine.create("--name", created.name).id != created.id


@claim("cli-026")
@effect("rm --volumes")
def test_rm_keeps_volumes_unless_asked_and_never_takes_named_ones(engine):
    named = engine.volume()
    for options, kept in (([], True), (["--volumes"], False)):
        c = engine.create("--volume", "/anonymous", "--volume", f"{named}:/named")
        volume = one(mount["Name"] for mount in c.inspect()["Mounts"] if mount["Destination"] == "/anonymous")
        engine.track("volume", volume)
        engine.cli("rm", *options, c.name)
        assert engine.exists(volume, "volume") is kept
        assert engine.exists(named, "volume")


@claim("cli-026")
def test_rm_with_an_unknown_name_fails_and_names_it(engine):
    a, b = engine.create(), engine.create()
    refused = engine.fails("rm", a.name, "no-such-container", b.name, says="no_such_container",
                           code=engine.code("unknown_object"))  # fmt: skip
    assert "no-such-container" in refused.stderr
    left = engine.trait("all_names_or_none")
    assert [engine.exists(c.name) for c in (a, b)] == [left, left]


@claim("cli-026")
def test_rm_by_force_does_not_mind_an_unknown_name(engine):
    c = engine.create()
    engine.cli("rm", "--force", "no-such-container", c.name)
    assert not engine.exists(c.name)


@claim("cli-024")
def test_rename_gives_the_new_name_and_frees_the_old(engine):
    c, new = engine.run(), engine.name("new")
    assert engine.cli("rename", c.name, new).output == ""
    assert engine.inspect(new)["Id"] == c.id
    assert not engine.exists(c.name)
    assert engine.cli("exec", new, "echo", "alive").text == "alive"
    assert engine.cli("ps", "--no-trunc", "--filter", f"id={c.id}", "--format", "{{.Names}}").text == new
    assert engine.create("--name", c.name).id != c.id


@claim("cli-024")
def test_rename_works_in_every_state_and_by_id(engine):
    ended = engine.run(engine.image, "true")
    ended.wait()
    for c in (engine.create(), ended):
        new = engine.name("new")
        engine.cli("rename", c.id[:12], new)
        assert engine.inspect(new)["Id"] == c.id


@claim("cli-024")
def test_rename_to_a_name_that_is_taken_is_refused(engine):
    a, b = engine.create(), engine.create()
    engine.fails("rename", a.name, b.name, says="name_taken", code=engine.code("error"))
    assert (a.inspect()["Id"], b.inspect()["Id"]) == (a.id, b.id)


@claim("cli-024")
def test_rename_to_its_own_name_changes_nothing(engine):
    c = engine.create()
    if engine.trait("renames_to_itself"):
        engine.cli("rename", c.name, c.name)
    else:
        engine.fails("rename", c.name, c.name, says="same name", code=1)
    assert c.inspect()["Id"] == c.id


@claim("cli-024")
def test_rename_to_a_bad_name_is_refused(engine):
    c = engine.create()
    for name in ("", " ", "a b", "-x", "/", "a/b"):
        engine.fails("rename", "--", c.name, name, says="may be empty|names must match|Invalid container name",
                     code=engine.code("error"))  # fmt: skip
    assert c.inspect()["Id"] == c.id


@claim("cli-024")
def test_rename_of_an_unknown_container_is_refused(engine):
    engine.fails("rename", "no-such-container", engine.name(), says="no_such_container", code=engine.code("error"))

"""`create` and `start`: a container before and after its process exists."""

import signal

import pytest

claim, requires = pytest.mark.claim, pytest.mark.requires
case = pytest.param

WAITING = "trap 'echo got USR1; exit 21' USR1; echo ready; while :; do sleep 0.1; done"


@claim("cli-013")
def test_create_makes_a_container_without_a_process(engine):
    c = engine.create(engine.image, "sh", "-c", "echo started; sleep 3600")
    assert len(c.id) == 64
    state = c.state
    assert (state["Status"], state["Running"], state["Pid"], state["ExitCode"]) == ("created", False, 0, 0)
    assert c.logs().output == ""
    assert engine.cli("ps", "--quiet", "--filter", f"name={c.name}").text == ""
    engine.cli("start", c.name)
    assert c.until_log("started") == "started\n"
    assert c.kernel.alive


@claim("cli-013", "cli-203")
def test_create_keeps_arguments_with_spaces_and_quotes(engine):
    words = ["printf", "%s\\n", "two words", "'single' \"double\"", "$HOME `x`", "", "-e"]
    c = engine.create(engine.image, *words)
    seen = c.inspect()
    assert [seen["Path"], *seen["Args"]] == words
    assert engine.cli("start", "--attach", c.name).lines == words[2:]


@claim("cli-013")
@pytest.mark.parametrize(("options", "says"), [
    case(["--memory", "lots"], "bad_memory", id="size"),
    case(["--cpuset-cpus", "4095"], "CPUs are not available", id="no such CPU"),
    case(["--user", "x", "--frobnicate"], "unknown_flag", id="unknown option"),
    case(["--cap-add", "NO_SUCH_CAPABILITY"], "unknown capability", id="no such capability"),
])  # fmt: skip
def test_a_refused_create_leaves_nothing(engine, options, says):
    name = engine.name()
    refused = engine.fails("create", "--name", name, *options, engine.image, "true", says=says)
    assert refused.stdout == ""
    assert not engine.exists(name)
    engine.create("--name", name)


@claim("cli-013")
def test_a_network_that_does_not_exist_is_refused_at_the_latest_by_start(engine):
    name = engine.name()
    words = ["create", "--name", name, "--network", "no-such-net", engine.image, "true"]
    if engine.trait("unknown_network_is_refused_by") == "start":
        engine.cli(*words)
        refused = engine.fails("start", name, says="no_such_network", code=engine.code("error"))
        assert engine.inspect(name)["State"]["Pid"] == 0
    else:
        refused = engine.fails(*words, says="no_such_network", code=engine.code("create_error"))
        assert not engine.exists(name)
    assert "no-such-net" in refused.stderr


@claim("cli-013")
def test_labels_of_the_image_and_of_create_are_merged(engine):
    image = engine.image_name()
    engine.cli("commit", "--change", "LABEL own=image", "--change", "LABEL both=image", engine.create().name, image)
    labels = engine.create("--label", "both=container", "--label", "empty", image, "true").inspect()["Config"]["Labels"]
    assert (labels["own"], labels["both"], labels["empty"]) == ("image", "container", "")


@claim("cli-028")
def test_start_prints_what_it_was_given_and_runs_it(engine):
    a, b = engine.create(), engine.create()
    assert engine.cli("start", a.name, b.id[:12]).stdout == f"{a.name}\n{b.id[:12]}\n"
    assert a.kernel.argv == b.kernel.argv == ["sleep", "3600"]
    assert a.pid != b.pid


@claim("cli-028")
def test_start_with_an_unknown_name_fails_and_names_it(engine):
    c = engine.create()
    refused = engine.fails("start", c.name, "no-such-container", says="no_such_container", code=engine.code("error"))
    assert "no-such-container" in refused.stderr
    # Docker starts the others, Podman looks all names up first and starts none
    started = not engine.trait("all_names_or_none")
    assert (refused.stdout == f"{c.name}\n") is started
    assert (c.status == "running") is started


@claim("cli-028")
def test_start_of_a_running_container_changes_nothing(engine):
    c = engine.run()
    before = c.state
    engine.cli("start", c.name)
    assert (c.state["Pid"], c.state["StartedAt"]) == (before["Pid"], before["StartedAt"])


@claim("cli-028", "cli-021")
@requires("freezer")
def test_start_of_a_paused_container_is_refused(engine):
    c = engine.run()
    engine.cli("pause", c.name)
    engine.fails("start", c.name, says="cannot_start_paused", code=engine.code("error"))
    assert c.kernel.frozen
    engine.cli("unpause", c.name)


@claim("cli-028", "cli-215")
def test_a_stopped_container_starts_again_with_its_files_and_command(engine):
    c = engine.run(engine.image, "sh", "-c", "echo run >>/count; cat /count; test $(wc -l </count) = 2 && exit 5")
    assert c.wait() == 1
    first = c.state["StartedAt"]
    assert engine.cli("start", "--attach", c.name, expect=5).stdout == "run\nrun\n"
    assert c.state["StartedAt"] > first
    assert c.state["ExitCode"] == 5


@claim("cli-215")
def test_a_failed_start_is_recorded_and_may_be_repeated(engine):
    c = engine.create(engine.image, "/late")
    engine.fails("start", c.name, says="cannot_execute", code=engine.code("error"))
    state = c.state
    assert (state["Running"], state["Pid"]) == (False, 0)
    assert "/late" in state["Error"]
    program = engine.workdir / "late"
    program.write_text("#!/bin/sh\necho here now\n")
    program.chmod(0o755)
    engine.cli("cp", str(program), f"{c.name}:/late")
    assert engine.cli("start", "--attach", c.name).stdout == "here now\n"


@claim("cli-035")
def test_start_attach_passes_streams_and_exit_code(engine):
    c = engine.create(engine.image, "sh", "-c", "echo out; echo err >&2; exit 7")
    seen = engine.cli("start", "--attach", c.name, expect=7)
    assert (seen.stdout, seen.stderr) == ("out\n", "err\n")


@claim("cli-035")
def test_start_attach_forwards_signals(engine, send_signal):
    c = engine.create(engine.image, "sh", "-c", WAITING)
    talk = engine.spawn("start", "--attach", c.name)
    talk.wait_for("ready")
    send_signal(talk, signal.SIGUSR1)
    talk.wait_for("got USR1")
    talk.wait(21)


@claim("cli-035", "cli-124", "cli-115")
def test_start_attach_takes_one_container(engine):
    names = [engine.create().name for _ in range(2)]
    engine.fails("start", "--attach", *names, code=engine.code("error"),
                 says="cannot start and attach multiple|only (attach to|start and attach) one")  # fmt: skip
    assert {engine.inspect(name)["State"]["Status"] for name in names} == {"created"}


@claim("cli-036")
def test_start_interactive_attaches_the_input(engine):
    c = engine.create("--interactive", engine.image, "sh", "-c", "cat; echo end; exit 6")
    seen = engine.cli("start", "--attach", "--interactive", c.name, stdin="line 1\nline 2\n", expect=6)
    assert seen.stdout == "line 1\nline 2\nend\n"


@claim("cli-036")
def test_start_interactive_works_again_after_the_end(engine):
    c = engine.create("--interactive", engine.image, "cat")
    for word in ("first", "second"):
        assert engine.cli("start", "-ai", c.name, stdin=word).stdout == word
    assert c.state["Running"] is False


@claim("cli-028")
def test_an_unknown_container_is_named(engine):
    verbs = ["start", "stop", "restart", "kill", "pause", "unpause", "wait", "top", "port", "logs", "diff", "attach"]
    for verb in verbs:
        refused = engine.fails(verb, "no-such-container", says="no_such_container", code=engine.code("error"))
        assert refused.stdout == ""
        assert "no-such-container" in refused.stderr

"""The state machine of a container: every state, every word for it, and what each state refuses."""

import pytest

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires
case = pytest.param


def make(engine, state):
    """Bring a container into a state."""
    if state == "created":
        return engine.create()
    if state == "exited":
        c = engine.run(engine.image, "sh", "-c", "exit 3")
        assert c.wait() == 3
        c.until("exited", lambda: c.status == "exited")
        return c
    c = engine.run()
    if state == "paused":
        engine.cli("pause", c.name)
    return c


def listed(engine, c):
    return engine.cli("ps", "--all", "--no-trunc", "--filter", f"id={c.id}", "--format", "{{.Status}}").text


@claim("cli-080", "cli-058")
@requires("freezer")
def test_container_goes_through_its_states(engine):
    c = engine.create()
    assert (c.status, c.pid, listed(engine, c)) == ("created", 0, "Created")
    engine.cli("start", c.name)
    kernel = c.kernel
    assert (c.status, kernel.argv, kernel.frozen) == ("running", ["sleep", "3600"], False)
    assert listed(engine, c).startswith("Up ")
    engine.cli("pause", c.name)
    assert (c.status, c.state["Paused"], kernel.frozen) == ("paused", True, True)
    assert "Paused" in listed(engine, c)
    engine.cli("unpause", c.name)
    assert (c.status, kernel.frozen) == ("running", False)
    engine.cli("kill", c.name)
    c.until("exited", lambda: c.status == "exited")
    assert (c.pid, kernel.alive) == (0, False)
    assert listed(engine, c).startswith("Exited (137)")
    engine.cli("start", c.name)
    assert c.status == "running"
    assert c.kernel.pid != kernel.pid
    engine.cli("rm", "--force", c.name)
    assert not engine.exists(c.name)


@claim("cli-080")
def test_exit_code_stands_in_the_status(engine):
    c = make(engine, "exited")
    assert listed(engine, c).startswith("Exited (3)")
    assert (c.state["ExitCode"], c.state["Running"]) == (3, False)


@claim("cli-080")
@requires("freezer")
def test_ps_filters_by_each_state(engine):
    made = {state: make(engine, state).id for state in ("created", "running", "paused", "exited")}
    mark = f"label=seatrial.test={engine.key}"
    for state, id_ in made.items():
        found = engine.cli("ps", "--all", "--quiet", "--no-trunc", "--filter", mark, "--filter",
                           f"status={state}").lines  # fmt: skip
        assert found == [id_], state
    engine.fails("ps", "--all", "--filter", "status=sleeping", says="invalid|not a valid")


@claim("cli-080")
@effect("run --restart")
def test_what_crashes_again_and_again_is_restarting(engine):
    c = engine.run("--restart", "always", engine.image, "false")
    c.until("two restarts", lambda: c.inspect()["RestartCount"] >= 2, 60)
    words = ["ps", "--all", "--quiet", "--no-trunc", "--filter", f"id={c.id}", "--filter", "status=restarting"]
    if engine.trait("has_restarting_state"):
        c.until("in the list", lambda: engine.cli(*words).lines == [c.id], 60)
        c.until("said to be", lambda: (seen := c.state)["Restarting"] and seen["Status"] == "restarting", 60)
        c.until("shown", lambda: listed(engine, c).startswith("Restarting (1)"), 60)
    else:
        engine.fails(*words, says="unknown container state: restarting")


@claim("cli-080", "cli-115")
@requires("freezer")
@pytest.mark.parametrize(
    ("state", "refused"),
    [case("created", ("pause", "unpause", "kill", "top", "attach"), id="created"),
     case("exited", ("pause", "unpause", "kill", "top", "attach"), id="exited"),
     case("running", ("unpause", "rm"), id="running"),
     case("paused", ("pause", "start", "attach", "rm"), id="paused")],
)  # fmt: skip
def test_state_refuses_what_does_not_fit_and_stays(engine, state, refused):
    c = make(engine, state)
    for verb in refused:
        engine.fails(verb, c.name, says=f"refused_when_{state}")
        assert c.status == state, verb


@claim("cli-080", "cli-115")
@requires("freezer", "exec_support")
@pytest.mark.parametrize("state", ["created", "exited", "paused"])
def test_exec_needs_a_running_container(engine, state):
    engine.fails("exec", make(engine, state).name, "true", says=f"refused_when_{state}",
                 code=engine.code("exec_not_running"))  # fmt: skip


@claim("cli-080")
@pytest.mark.parametrize("state", ["created", "exited"])
def test_stop_of_what_does_not_run_is_no_error(engine, state):
    c = make(engine, state)
    engine.cli("stop", "-t", "0", c.name)
    assert c.status == state
    assert engine.cli("wait", c.name).text == str(c.state["ExitCode"])


@claim("cli-080")
@requires("freezer")
@pytest.mark.parametrize("verb", ["stop", "restart"])
def test_stop_and_restart_of_a_paused_container(engine, verb):
    c = make(engine, "paused")
    result = engine.cli(verb, "-t", "0", c.name, expect=None)
    assert result.ok is engine.trait("paused_can_be_stopped")
    assert c.status == ({"stop": "exited", "restart": "running"}[verb] if result.ok else "paused")


@claim("cli-085", "cli-081")
def test_changes_of_the_root_stay_until_removal(engine):
    c = engine.run(engine.image, "sh", "-c", "echo kept >>/kept; sleep 3600")
    c.until("written", lambda: c.sh("cat /kept", expect=None).text == "kept")
    engine.cli("stop", "-t", "0", c.name)
    assert "A /kept" in engine.cli("diff", c.name).lines
    engine.cli("start", c.name)
    c.until("written again", lambda: c.read("/kept").split() == ["kept", "kept"])
    fresh = engine.run()
    assert "No such file" in fresh.sh("cat /kept", expect=1).stderr


@claim("cli-081", "cli-115")
@effect("run --read-only")
def test_root_is_writable_unless_read_only_is_asked(engine):
    assert engine.run().kernel.mount("/").options >= {"rw"}
    c = engine.run("--read-only")
    assert c.kernel.mount("/").options >= {"ro"}
    assert "Read-only file system" in c.sh("touch /x", expect=1).stderr


@claim("cli-058", "cli-062")
def test_pid_of_init_is_the_machines(engine):
    c = engine.run()
    pid = int(engine.cli("inspect", "--format", "{{.State.Pid}}", c.name).text)
    assert c.kernel.pid == pid > 1
    assert c.kernel.status["NSpid"].split()[-1] == "1"
    assert pid in c.kernel.cgroup_processes
    assert "bin" in engine.cli("exec", c.name, "ls", "/usr").lines
    engine.cli("kill", c.name)
    c.until("exited", lambda: c.status == "exited")
    assert engine.cli("inspect", "--format", "{{.State.Pid}}", c.name).text == "0"


@claim("cli-123", "cli-124")
def test_named_container_runs_again_attached(engine):
    c = engine.create("--interactive", engine.image, "sh", "-c", "read word; echo got $word; exit ${#word}")
    for word in ("one", "three"):
        result = engine.cli("start", "--attach", "--interactive", c.name, stdin=f"{word}\n", expect=len(word))
        assert result.text == f"got {word}"
    assert engine.cli("ps", "--all", "--filter", f"name=^/?{c.name}$", "--format", "{{.Names}}").text == c.name


@claim("cli-087")
@pytest.mark.parametrize(
    ("changes", "command", "seen"),
    [case(("CMD [\"echo\", \"default\"]",), (), "default", id="cmd"),
     case(("CMD [\"echo\", \"default\"]",), ("echo", "mine"), "mine", id="command-replaces-cmd"),
     case(("ENTRYPOINT [\"echo\", \"entry\"]", "CMD [\"default\"]"), (), "entry default", id="entrypoint-and-cmd"),
     case(("ENTRYPOINT [\"echo\", \"entry\"]", "CMD [\"default\"]"), ("mine",), "entry mine", id="entrypoint-stays")],
)  # fmt: skip
def test_without_a_command_the_images_runs(engine, small_image, changes, command, seen):
    image = derived(engine, changes)
    assert engine.once(image, *command).text == seen


def derived(engine, changes):
    """Make an image of the test image with other defaults."""
    c, name = engine.create(), engine.image_name()
    engine.cli("commit", *(word for change in changes for word in ("--change", change)), c.name, name)
    return name

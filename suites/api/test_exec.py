"""Exec over the API: create, start, streams, inspect."""

import pytest

claim, requires = pytest.mark.claim, pytest.mark.requires


@claim("api-024")
def test_exec_is_created_with_an_id_and_described(api):
    c = api.run()
    id_ = c.prepare("echo", "a", "b")
    assert len(id_) == 64 and int(id_, 16)
    told = api.get(f"/exec/{id_}/json").json()
    assert (told["ID"], told["ContainerID"], told["Running"]) == (id_, c.id, False)
    assert (told["ProcessConfig"]["entrypoint"], told["ProcessConfig"]["arguments"]) == ("echo", ["a", "b"])


@claim("api-024")
def test_an_exec_without_arguments_has_an_empty_list_of_them(api):
    told = api.get(f"/exec/{api.run().prepare('true')}/json").json()
    assert (told["ProcessConfig"]["entrypoint"], told["ProcessConfig"]["arguments"]) == ("true", [])


@claim("api-024")
def test_an_exec_has_no_exit_code_before_its_end(api):
    c = api.run()
    assert api.get(f"/exec/{c.prepare('true')}/json").json()["ExitCode"] is None


@claim("api-025", "api-034")
def test_start_streams_what_the_command_writes(api):
    c = api.run()
    id_ = c.prepare("sh", "-c", "echo out; echo err >&2; exit 3")
    answer = api.post(f"/exec/{id_}/start", expect=200, json={"Detach": False, "Tty": False})
    assert answer.content_type == "application/vnd.docker.raw-stream"
    assert (answer.frames().stdout, answer.frames().stderr) == (b"out\n", b"err\n")
    told = api.get(f"/exec/{id_}/json").json()
    assert (told["Running"], told["ExitCode"]) == (False, 3)


@claim("api-025")
def test_start_with_upgrade_hands_the_connection_over(api):
    c = api.run()
    id_ = c.prepare("cat", AttachStdin=True)
    stream = api.hijack(f"/exec/{id_}/start", json={"Detach": False, "Tty": False})
    stream.send(b"word\n")
    stream.until(b"word\n")
    stream.end_input()
    assert stream.frames().stdout == b"word\n"
    c.until("ended", lambda: api.get(f"/exec/{id_}/json").json()["ExitCode"] == 0)


@claim("api-026", "api-029")
@pytest.mark.parametrize(("out", "err"), [(True, False), (False, True), (False, False)], ids=["out", "err", "none"])
def test_only_attached_streams_are_seen(api, out, err):
    c = api.run()
    done = c.execute("sh", "-c", "echo out; echo err >&2", AttachStdout=out, AttachStderr=err)
    assert done.frames.stdout == (b"out\n" if out else b"")
    assert done.frames.stderr == (b"err\n" if err else b"")


@claim("api-026")
@pytest.mark.parametrize(
    ("body", "script", "seen"),
    [({"Env": ["WORD=w"]}, "echo $WORD", b"w"), ({"WorkingDir": "/var/tmp"}, "pwd", b"/var/tmp"),
     ({"User": "37"}, "id -u", b"37"), ({"User": "operator"}, "id -un", b"operator"),
     ({"User": "1:37"}, "id -g", b"37")],
    ids=["Env", "WorkingDir", "uid", "user", "gid"],
)  # fmt: skip
def test_fields_of_exec_take_effect(api, body, script, seen):
    c = api.run()
    done = c.execute("sh", "-c", script, **body)
    assert (done.code, done.frames.stdout.strip()) == (0, seen)


@claim("api-026", "api-037")
def test_exec_on_a_terminal_is_not_framed(api):
    c = api.run()
    id_ = c.prepare("sh", "-c", "tty; echo word", Tty=True)
    answer = api.post(f"/exec/{id_}/start", expect=200, json={"Detach": False, "Tty": True})
    assert answer.body == b"/dev/pts/0\r\nword\r\n"


@claim("api-026", "api-097")
def test_exec_is_resized(api):
    c = api.run()
    id_ = c.prepare("sh", AttachStdin=True, Tty=True)
    stream = api.hijack(f"/exec/{id_}/start", json={"Detach": False, "Tty": True})
    stream.send(b"\n")
    stream.until(rb"[#$] ")
    api.post(f"/exec/{id_}/resize", expect="api_exec_resized", query={"h": 33, "w": 111})
    stream.send(b"stty size\n")
    stream.until(rb"33 111")


@claim("api-026")
@pytest.mark.parametrize("cmd", [[], None], ids=["empty", "null"])
def test_exec_without_a_command_is_refused(api, cmd):
    c = api.run()
    api.refuses("POST", c.path("exec"), 400, json={"Cmd": cmd})


@claim("api-027")
@pytest.mark.parametrize("state", ["created", "exited"])
def test_exec_in_what_does_not_run_is_a_conflict(api, state):
    c = api.create() if state == "created" else api.sh("exit 0")
    if state == "exited":
        c.wait()
    api.refuses("POST", c.path("exec"), 409, json={"Cmd": ["true"]}, says="not_running")


@claim("api-027")
@requires("freezer")
def test_exec_in_a_paused_container_is_a_conflict(api):
    c = api.run()
    c.post("pause", expect=204)
    api.refuses("POST", c.path("exec"), 409, json={"Cmd": ["true"]}, says="paused")


@claim("api-028")
def test_a_command_that_is_not_there_fails_at_its_start(api, engine):
    c = api.run()
    id_ = c.prepare("/no/such/program")
    api.post(f"/exec/{id_}/start", expect=200, json={"Detach": False, "Tty": False})
    told = api.get(f"/exec/{id_}/json").json()
    assert not told["Running"]
    assert told["ExitCode"] == engine.trait("api_exec_missing_code")


@claim("api-030", "api-031")
def test_running_execs_are_in_the_description_and_later_not(api):
    c = api.run()
    ids = [c.prepare("sleep", "60") for _ in range(2)]
    for id_ in ids:
        api.post(f"/exec/{id_}/start", expect=200, json={"Detach": True})
    assert set(ids) <= set(c.inspect()["ExecIDs"])
    c.post("kill", expect=204)
    c.wait()
    assert not c.inspect()["ExecIDs"]


@claim("api-032", "api-071")
@pytest.mark.parametrize("call", ["json", "start", "resize"])
def test_a_part_of_an_exec_id_is_not_found(api, call):
    c = api.run()
    id_ = c.prepare("true")[:20]
    method, options = {"json": ("GET", {}), "start": ("POST", {"json": {"Detach": False}}),
                       "resize": ("POST", {"query": {"h": 1, "w": 1}})}[call]  # fmt: skip
    api.refuses(method, f"/exec/{id_}/{call}", 404, **options, says="[Nn]o such exec|no exec session")


@claim("api-033")
def test_a_detached_exec_answers_at_once_and_runs(api):
    c = api.run()
    id_ = c.prepare("sh", "-c", "sleep 0.5; touch /done; sleep 60")
    answer = api.post(f"/exec/{id_}/start", expect=200, json={"Detach": True})
    assert answer.body.strip() == b""
    assert api.get(f"/exec/{id_}/json").json()["Running"]
    c.until("done", lambda: c.kernel.file("/done").exists())


@claim("api-103")
def test_an_exec_is_started_once(api):
    c = api.run()
    id_ = c.prepare("sleep", "60")
    api.post(f"/exec/{id_}/start", expect=200, json={"Detach": True})
    api.refuses("POST", f"/exec/{id_}/start", 409, json={"Detach": True})


@claim("api-103")
def test_an_exec_that_has_ended_is_not_started_again(api):
    c = api.run()
    done = c.execute("true")
    api.refuses("POST", f"/exec/{done.id}/start", 409, json={"Detach": True})


@claim("api-103")
def test_the_pid_of_an_exec_is_the_kernels(api):
    c = api.run()
    id_ = c.prepare("sleep", "61")
    api.post(f"/exec/{id_}/start", expect=200, json={"Detach": True})
    told = api.get(f"/exec/{id_}/json").json()
    with open(f"/proc/{told['Pid']}/cmdline", "rb") as line:
        assert line.read() == b"sleep\x0061\x00"


@claim("api-026")
def test_a_user_that_is_not_there_is_refused(api):
    c = api.run()
    id_ = c.prepare("true", User="nosuchuser")
    answer = api.request("POST", f"/exec/{id_}/start", expect=200, json={"Detach": False})
    assert "nosuchuser" in answer.text
    assert api.get(f"/exec/{id_}/json").json()["ExitCode"] != 0

"""What can be done with a container in each of its states: the status, and what really happened."""

import time

import pytest

claim, requires = pytest.mark.claim, pytest.mark.requires


def in_state(api, state):
    """Return a container that is created, running, paused or exited."""
    if state == "created":
        return api.create()
    c = api.sh("trap 'exit 5' TERM; while :; do sleep 0.05; done")
    c.until("ready", lambda: c.execute("true").code == 0)
    if state == "paused":
        c.post("pause", expect=204)
    if state == "exited":
        c.post("stop", expect=204)
    assert c.status == state
    return c


TABLE = [
    # call, status in each state: created, running, paused, exited; where the state is not named, it stays
    ("start", {"created": 204, "running": 304, "exited": 204}),
    ("stop", {"created": 304, "running": 204, "exited": 304}),
    ("kill", {"created": 409, "running": 204, "exited": 409}),
    ("restart", {"created": 204, "running": 204, "exited": 204}),
    ("pause", {"created": 409, "running": 204, "paused": 409, "exited": 409}),
    ("unpause", {"created": 409, "running": 409, "paused": 204, "exited": 409}),
]
AFTER = {"start": "running", "stop": "exited", "kill": "exited", "restart": "running", "pause": "paused",
         "unpause": "running"}  # fmt: skip
CASES = [pytest.param(call, state, status, marks=requires("freezer") if "paus" in call + state else (),
                      id=f"{call}-{state}") for call, row in TABLE for state, status in row.items()]  # fmt: skip


@claim("api-055", "api-080", "api-081", "api-082", "api-083")
@pytest.mark.parametrize(("call", "state", "status"), CASES)
def test_each_call_in_each_state(api, call, state, status):
    c = in_state(api, state)
    answer = c.post(call, expect=status)
    wanted = AFTER[call] if status == 204 else state
    c.until(wanted, lambda: c.status == wanted)
    assert answer.ok or answer.message


@claim("api-088", "api-071")
@pytest.mark.parametrize(
    ("method", "part"),
    [("GET", "json"), ("GET", "logs?stdout=1"), ("GET", "top"), ("GET", "changes"), ("GET", "export"),
     ("GET", "stats?stream=0"), ("GET", "archive?path=/"), ("HEAD", "archive?path=/"), ("POST", "start"),
     ("POST", "stop"), ("POST", "kill"), ("POST", "restart"), ("POST", "pause"), ("POST", "unpause"),
     ("POST", "wait"), ("POST", "rename?name=other"), ("POST", "update"), ("POST", "resize?h=1&w=1"),
     ("POST", "attach?stream=1&stdout=1"), ("POST", "exec"), ("DELETE", "")],
    ids=str,
)  # fmt: skip
def test_each_call_on_an_unknown_container_is_not_found(api, method, part):
    part, _, query = part.partition("?")
    pairs = [tuple(pair.split("=")) for pair in query.split("&") if pair]
    body = {"Cmd": ["true"]} if part == "exec" else {} if part == "update" else None
    path = "/containers/nosuch-container" + (f"/{part}" if part else "")
    answer = api.request(method, path, expect=404, query=pairs, json=body)
    assert method == "HEAD" or "nosuch-container" in answer.text


@claim("api-055")
def test_start_gives_it_a_process_and_addresses(api):
    c = api.create()
    c.start()
    assert c.kernel.argv == ["sleep", "3600"]
    described = c.inspect()
    assert described["State"]["StartedAt"] > described["Created"]
    assert described["NetworkSettings"]["IPAddress"] or c.address


@claim("api-055")
def test_a_start_that_fails_says_why_and_is_remembered(api, engine):
    c = api.create(Image=engine.image, Cmd=["/no/such/program"])
    answer = api.refuses("POST", c.path("start"), 400, says="cannot_execute")
    assert "/no/such/program" in answer.message
    state = c.state
    assert not state["Running"]
    assert state["ExitCode"] == 127
    assert "/no/such/program" in state["Error"]


@claim("api-080")
def test_stop_sends_the_containers_own_signal(api):
    c = api.sh("trap 'exit 9' USR1; echo ready; while :; do sleep 0.05; done", StopSignal="SIGUSR1")
    c.until("ready", lambda: c.output().stdout)
    c.post("stop", expect=204)
    assert c.state["ExitCode"] == 9


@claim("api-080")
def test_stop_kills_after_its_time(api):
    c = api.sh("trap '' TERM; echo ready; while :; do sleep 0.05; done")
    c.until("ready", lambda: c.output().stdout)
    began = time.monotonic()
    c.post("stop", expect=204, query={"t": 1})
    assert 0.9 < time.monotonic() - began < 9
    assert c.state["ExitCode"] == 137


@claim("api-080", "api-051")
def test_stop_timeout_of_the_container_counts_where_none_is_given(api):
    c = api.sh("trap '' TERM; echo ready; while :; do sleep 0.05; done", StopTimeout=1)
    c.until("ready", lambda: c.output().stdout)
    began = time.monotonic()
    c.post("stop", expect=204)
    assert 0.9 < time.monotonic() - began < 9


@claim("api-081")
@pytest.mark.parametrize("signal", ["SIGUSR1", "USR1", "10"])
def test_kill_takes_names_and_numbers(api, signal):
    c = api.sh("trap 'exit 8' USR1; echo ready; while :; do sleep 0.05; done")
    c.until("ready", lambda: c.output().stdout)
    c.post("kill", expect=204, query={"signal": signal})
    assert c.wait() == 8


@claim("api-081")
@pytest.mark.parametrize("signal", ["SIGBANANA", "99", "0", "-1", "9x"])
def test_unknown_signals_are_refused_and_it_runs_on(api, signal):
    c = api.run()
    api.refuses("POST", c.path("kill"), 400, query={"signal": signal})
    assert c.kernel.alive


@claim("api-082")
def test_restart_makes_a_new_process_of_the_same_container(api):
    c = api.run()
    before = c.pid
    c.post("restart", expect=204, query={"t": 0})
    assert c.pid not in (0, before)
    assert c.inspect()["Id"] == c.id


@claim("api-083")
@requires("freezer")
def test_a_paused_container_is_frozen_and_thaws(api):
    c = api.run()
    c.post("pause", expect=204)
    assert c.kernel.frozen
    assert c.state["Paused"] is True
    c.post("unpause", expect=204)
    assert not c.kernel.frozen


@claim("api-084")
def test_wait_tells_the_exit_code(api):
    c = api.sh("exit 42")
    assert c.post("wait", expect=200).json()["StatusCode"] == 42
    assert c.post("wait", expect=200).json()["StatusCode"] == 42


@claim("api-084")
def test_wait_for_what_was_never_started_ends_at_once(api):
    c = api.create()
    assert isinstance(c.post("wait", expect=200, timeout=10).json()["StatusCode"], int)


@claim("api-084")
def test_wait_for_the_next_exit_lets_the_last_one_pass(api):
    c = api.sh("sleep 0.5; exit 3")
    assert c.wait() == 3
    with api.open("POST", c.path("wait"), query={"condition": "next-exit"}) as waiting:
        c.start()
        assert waiting.record("the exit code", lambda value: "StatusCode" in value)["StatusCode"] == 3


@claim("api-084")
def test_wait_for_removal_ends_with_it(api):
    c = api.create()
    with api.open("POST", c.path("wait"), query={"condition": "removed"}) as waiting:
        assert not waiting.data.strip()
        c.delete(expect=204)
        assert waiting.records(1)[0]["StatusCode"] == 0


@claim("api-084")
def test_wait_for_an_unknown_condition_is_refused(api):
    c = api.create()
    api.refuses("POST", c.path("wait"), 400, query={"condition": "banana"})


@claim("api-085")
def test_rename_frees_the_old_name(api, engine):
    c = api.run()
    old, c.name = c.name, engine.name()
    api.post(f"/containers/{old}/rename", expect=204, query={"name": c.name})
    assert c.inspect()["Name"] == f"/{c.name}"
    assert api.create(name=old).id != c.id


@claim("api-085")
@pytest.mark.parametrize("name", ["", "a b", "-a", "a/b"])
def test_rename_to_a_bad_name_is_refused(api, name):
    c = api.create()
    api.refuses("POST", c.path("rename"), 400, query={"name": name})
    assert c.inspect()["Name"] == f"/{c.name}"


@claim("api-085")
def test_rename_to_a_taken_name_is_a_conflict(api):
    one, two = api.create(), api.create()
    api.refuses("POST", one.path("rename"), 409, query={"name": two.name})
    assert (one.inspect()["Id"], two.inspect()["Id"]) == (one.id, two.id)


@claim("api-086")
def test_delete_needs_force_while_it_runs(api):
    c = api.run()
    kernel = c.kernel
    api.refuses("DELETE", c.path(), 409, says="container_running")
    assert kernel.alive
    c.delete(expect=204, query={"force": True})
    assert not kernel.alive
    c.get(expect=404)


@claim("api-086")
@pytest.mark.parametrize("volumes", [True, False], ids=["v", "kept"])
def test_delete_takes_anonymous_volumes_along_when_told(api, engine, volumes):
    c = api.create(Volumes={"/data": {}})
    name = c.inspect()["Mounts"][0]["Name"]
    engine.track("volume", name)
    c.delete(expect=204, query={"v": volumes})
    assert api.get(f"/volumes/{name}", expect=404 if volumes else 200)


@claim("api-087")
@requires("memory")
def test_update_reaches_the_kernel_and_the_description(api):
    c = api.run()
    answer = c.post("update", expect=200, json={"Memory": 67108864, "MemorySwap": -1})
    assert "Warnings" in answer.json()
    assert c.kernel.cgroup("memory") == 67108864
    assert c.inspect()["HostConfig"]["Memory"] == 67108864


@claim("api-087")
@requires("memory")
def test_update_to_a_limit_below_the_least_is_refused(api):
    c = api.run(HostConfig={"Memory": 67108864})
    api.refuses("POST", c.path("update"), 400, json={"Memory": 1})
    assert c.kernel.cgroup("memory") == 67108864


@claim("api-095")
@pytest.mark.exclusive
def test_prune_removes_what_does_not_run_and_matches_the_filter(api, engine):
    labels = {f"k{engine.key}": "x"}
    pruned, running, kept = api.create(Labels=labels), api.run(Labels=labels), api.create()
    told = api.post("/containers/prune", expect=200, query={"filters": {"label": [f"k{engine.key}=x"]}}).json()
    assert told["ContainersDeleted"] == [pruned.id]
    assert told["SpaceReclaimed"] >= 0
    assert (running.status, kept.status) == ("running", "created")


@claim("api-095", "api-077")
def test_prune_with_an_unknown_filter_is_refused(api):
    api.refuses("POST", "/containers/prune", 400, query={"filters": {"nosuch": ["a"]}})

"""The same object in the hands of many clients: documented statuses, one state in the end, nobody held up."""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from seatrial.expecting import one

claim, requires = pytest.mark.claim, pytest.mark.requires


def at_once(*acts):
    """Do all acts at the same moment, each in a thread of its own, and return what they return."""
    gate = threading.Barrier(len(acts))

    def run(act):
        gate.wait()
        return act()

    with ThreadPoolExecutor(len(acts)) as pool:
        return [future.result(timeout=90) for future in [pool.submit(run, act) for act in acts]]


@claim("api-160")
def test_of_many_creates_of_one_name_one_succeeds(api, engine):
    name = engine.name()
    body = {"Image": engine.image, "Cmd": ["sleep", "60"]}
    answers = at_once(*[lambda: api.post("/containers/create", expect=None, query={"name": name}, json=body)] * 12)
    assert Counter(answer.status for answer in answers) == {201: 1, 409: 11}
    made = one(answer for answer in answers if answer.status == 201).json()["Id"]
    assert api.get(f"/containers/{name}/json").json()["Id"] == made


@claim("api-160")
@pytest.mark.parametrize("kind", ["networks", "volumes"])
def test_many_clients_make_different_objects_at_once(api, engine, kind):
    names = [engine.name("x") for _ in range(10)]
    answers = at_once(*[lambda name=name: api.post(f"/{kind}/create", expect=None, json={"Name": name}, timeout=90)
                        for name in names])  # fmt: skip
    assert [answer.status for answer in answers] == [201] * 10
    for name in names:
        assert api.get(f"/{kind}/{name}").json()["Name"] == name


@claim("api-161")
def test_of_many_starts_one_makes_the_process(api):
    c = api.create()
    answers = at_once(*[lambda: c.post("start", expect=None)] * 10)
    assert Counter(answer.status for answer in answers) == {204: 1, 304: 9}
    assert c.kernel.argv == ["sleep", "3600"]


@claim("api-161")
def test_of_many_removals_none_fails_badly_and_it_is_gone(api):
    c = api.run()
    answers = at_once(*[lambda: c.delete(expect=None, query={"force": True})] * 8)
    statuses = Counter(answer.status for answer in answers)
    assert statuses[204] >= 1
    assert set(statuses) <= {204, 404, 409}
    c.get(expect=404)


@claim("api-161")
def test_of_many_stops_all_are_answered_and_it_has_stopped(api):
    c = api.sh("trap 'exit 0' TERM; while :; do sleep 0.05; done")
    answers = at_once(*[lambda: c.post("stop", expect=None, query={"t": 5})] * 6)
    assert {answer.status for answer in answers} <= {204, 304}
    assert c.status == "exited"


@claim("api-162")
def test_removing_while_starting_ends_in_one_state(api):
    for _ in range(5):
        c = api.create()
        started, removed = at_once(lambda c=c: c.post("start", expect=None),
                                   lambda c=c: c.delete(expect=None, query={"force": True}))  # fmt: skip
        assert started.status in (204, 404, 409)
        assert removed.status in (204, 409)
        if removed.status != 204:
            c.delete(expect=204, query={"force": True})
        c.get(expect=404)


@claim("api-162")
def test_executing_while_stopping_ends_in_time(api):
    c = api.sh("trap 'exit 0' TERM; while :; do sleep 0.05; done")

    def execute():
        made = c.post("exec", expect=None, json={"Cmd": ["true"], "AttachStdout": True})
        if made.status != 201:
            return made.status
        return api.post(f"/exec/{made.json()['Id']}/start", expect=None, json={"Detach": False}, timeout=30).status

    *executed, stopped = at_once(*[execute] * 6, lambda: c.post("stop", expect=204, query={"t": 5}).status)
    assert stopped == 204
    assert len(executed) == 6 and set(executed) <= {200, 404, 409}
    assert c.status == "exited"


@claim("api-162")
def test_renames_and_reads_at_once_always_find_one_container(api, engine):
    c = api.create()
    names = [engine.name() for _ in range(6)]
    path = f"/containers/{c.id}"
    renames = [lambda name=name: api.post(f"{path}/rename", expect=None, query={"name": name}) for name in names]
    answers = at_once(*renames, *[lambda: api.get(f"{path}/json", expect=None)] * 6)
    assert {answer.status for answer in answers[6:]} == {200}
    assert 204 in {answer.status for answer in answers[:6]}
    c.name = api.get(f"/containers/{c.id}/json").json()["Name"].lstrip("/")
    assert c.name in names


@claim("api-163")
def test_clients_that_wait_hold_nobody_up(api):
    c = api.run()
    waiting = [api.open("POST", c.path("wait")) for _ in range(30)]
    began = time.monotonic()
    for _ in range(10):
        api.get("/containers/json")
    assert time.monotonic() - began < 20
    c.post("kill", expect=204)
    assert {stream.record("the code", lambda value: "StatusCode" in value)["StatusCode"] for stream in waiting} == {137}


@claim("api-142")
def test_fifty_readers_of_events_lose_none(api):
    c = api.create()
    since = f"{time.time() - 1:.9f}"
    readers = [api.open("GET", "/events", query={"since": since, "filters": {"container": [c.id], "event": ["start"]}})
               for _ in range(50)]  # fmt: skip
    for _ in range(4):
        c.start()
        c.post("kill", expect=204)
        c.wait()
    assert {len(reader.records(4, timeout=60)) for reader in readers} == {4}


@claim("api-163")
def test_a_client_that_does_not_read_holds_nobody_up(api):
    c = api.sh("yes 0123456789 | head -c 20000000; sleep 60")
    with api.dial() as line:
        line.send(f"GET {c.path('logs')}?stdout=1&follow=1 HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        time.sleep(1)
        assert c.execute("echo", "word").frames.stdout == b"word\n"
        assert api.create().id


@claim("api-161")
def test_parallel_builds_of_one_name_leave_one_image(api, engine):
    from seatrial import archive

    name = engine.image_name()
    query = {"t": name, "labels": engine.labels, "rm": True, "forcerm": True, "nocache": True}
    bodies = [archive.tree({"Dockerfile": f"FROM {engine.image}\nENV N={number}\n"}) for number in range(4)]
    answers = at_once(*[lambda body=body: api.post("/build", expect=200, query=query, body=body, timeout=120,
                        headers={"Content-Type": "application/x-tar"}) for body in bodies])  # fmt: skip
    assert not any("error" in record for answer in answers for record in answer.records())
    value = one(entry for entry in api.get(f"/images/{name}/json").json()["Config"]["Env"] if entry.startswith("N="))
    assert value in ("N=0", "N=1", "N=2", "N=3")

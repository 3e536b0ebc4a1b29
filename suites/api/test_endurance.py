"""Many bad requests, connections that are cut, and bodies made up by hypothesis: the daemon lives and does not grow."""

import json
import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.examples import examples
from seatrial.exec import ExpectationError
from seatrial.waiting import wait_until

claim, requires = pytest.mark.claim, pytest.mark.requires

BAD = [
    b"NONSENSE\r\n\r\n",
    b"GET /containers/nosuch/json HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"POST /containers/create HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1\r\n\r\n{",
    b"POST /containers/create HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{",
    b"POST /build HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    b"GET /containers/json HTTP/1.1\r\nHost: a\r\nX: ",
    b"POST /images/load HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\nnonsense",
    b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n",
    b"P",
    b"",
]


@pytest.fixture
def daemon(private_engine):
    """An engine of the test's own, and its process."""
    d = private_engine()
    return d, Path(f"/proc/{d.daemon.pid}")


def size_of(process):
    """Return resident kilobytes, descriptors and threads of a process."""
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    return int(status["VmRSS"].split()[0]), len(os.listdir(process / "fd")), int(status["Threads"])


def storm(api, rounds):
    for _ in range(rounds):
        for data in BAD:
            with api.dial() as line:
                line.send(data)
        api.request("GET", "/containers/nosuch/json", expect=404)


@claim("api-164", "api-079")
@requires("private_engine")
def test_a_thousand_bad_requests_leave_the_daemon_as_it_was(daemon):
    d, process = daemon
    storm(d.api, 10)  # what it sets up once is no growth
    d.api.get("/_ping")
    memory, descriptors, threads = size_of(process)
    storm(d.api, 100)
    d.api.get("/_ping")
    wait_until("connections to be closed", lambda: size_of(process)[1] <= descriptors + 20, timeout=30)
    after = size_of(process)
    assert after[1] <= descriptors + 20
    assert after[2] <= threads + 100
    assert after[0] <= memory + 60_000
    assert d.api.get("/containers/json", query={"all": True}).json() == []


@claim("api-079")
@pytest.mark.parametrize("data", BAD[2:7], ids=["body", "early-end", "chunk", "head", "archive"])
def test_a_connection_that_is_cut_disturbs_nobody(api, data):
    c = api.run()
    for _ in range(20):
        with api.dial() as line:
            line.send(data)
    assert c.kernel.alive
    api.get("/_ping")


@claim("api-079")
def test_a_create_that_nobody_waits_for_is_whole_or_not_there(api, engine):
    name = engine.name()
    body = json.dumps({"Image": engine.image, "Labels": engine.labels}).encode()
    head = f"POST /containers/create?name={name} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    engine.mark("container")
    with api.dial() as line:
        line.send(head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    with suppress(ExpectationError):
        wait_until("the container", lambda: api.get(f"/containers/{name}/json", expect=None).ok, timeout=5)
    api.request("DELETE", f"/containers/{name}", expect=(204, 404))
    api.create(name=name).start()


@claim("api-164")
def test_slow_clients_do_not_hold_up_others(api):
    lines = [api.dial() for _ in range(40)]
    for line in lines:
        line.send(b"GET /_ping HTTP/1.1\r\nHo")
    for _ in range(5):
        assert api.get("/_ping", timeout=10).body == b"OK"
    for line in lines:
        line.send(b"st: a\r\n\r\n")
    assert [line.answer().status for line in lines] == [200] * 40
    for line in lines:
        line.close()


WORDS = st.text(max_size=20)
VALUES = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | WORDS | st.lists(WORDS, max_size=3)
HOST = st.fixed_dictionaries({}, optional={
    "Memory": st.integers(-(2**63), 2**63 - 1), "CpuShares": st.integers(-(2**63), 2**63 - 1),
    "CpuQuota": st.integers(-(2**63), 2**63 - 1), "PidsLimit": st.none() | st.integers(-(2**63), 2**63 - 1),
    "Binds": st.lists(WORDS, max_size=3), "NetworkMode": WORDS, "CapAdd": st.lists(WORDS, max_size=3),
    "ExtraHosts": st.lists(WORDS, max_size=3), "RestartPolicy": st.fixed_dictionaries({"Name": WORDS}),
    "Dns": st.lists(WORDS, max_size=2), "Tmpfs": st.dictionaries(WORDS, WORDS, max_size=2), "ShmSize": st.integers(),
    "Sysctls": st.dictionaries(WORDS, WORDS, max_size=2), "SecurityOpt": st.lists(WORDS, max_size=2),
    "PortBindings": st.dictionaries(WORDS, st.lists(st.fixed_dictionaries({"HostPort": WORDS}), max_size=1)),
})  # fmt: skip
BODIES = st.fixed_dictionaries({}, optional={
    "Cmd": st.lists(WORDS, max_size=3), "Env": st.lists(WORDS, max_size=3), "User": WORDS, "Hostname": WORDS,
    "WorkingDir": WORDS, "Entrypoint": st.lists(WORDS, max_size=2), "ExposedPorts": st.dictionaries(WORDS, st.just({})),
    "Volumes": st.dictionaries(WORDS, st.just({}), max_size=2), "StopSignal": WORDS, "StopTimeout": st.integers(),
    "Tty": st.booleans(), "MacAddress": WORDS, "HostConfig": HOST,
})  # fmt: skip


@claim("api-165")
def test_no_body_of_create_makes_the_daemon_fail(api, engine):
    @examples(60)
    @given(BODIES)
    def create(body):
        answer = api.post("/containers/create", expect=None, json={"Image": engine.image, **body})
        if answer.status == 201:
            c = answer.json()["Id"]
            api.delete(f"/containers/{c}", expect=(204, 200), query={"force": True, "v": True})
        assert answer.status == 201 or answer.message

    create()
    api.get("/_ping")


@claim("api-165")
@pytest.mark.parametrize("path", ["/networks/create", "/volumes/create"])
def test_no_body_of_networks_and_volumes_makes_the_daemon_fail(api, engine, path):
    @examples(60)
    @given(st.dictionaries(st.sampled_from(["Driver", "DriverOpts", "IPAM", "Internal", "Options"]), VALUES))
    def create(body):
        name = engine.name("f")
        answer = api.post(path, expect=None, json={"Name": name, **body}, timeout=90)
        if answer.status == 201:
            api.delete(f"{path.rpartition('/')[0]}/{name}", expect=204)
        assert answer.status == 201 or answer.message

    create()
    api.get("/_ping")


@claim("api-165", "api-077")
@pytest.mark.parametrize("path", ["/containers/json", "/images/json", "/networks", "/volumes"])
def test_no_filter_makes_the_daemon_fail(api, path):
    @examples(60)
    @given(st.dictionaries(st.sampled_from(["name", "label", "id", "status", "dangling", "before", "x"]),
                           st.lists(WORDS, max_size=2) | VALUES, max_size=3))  # fmt: skip
    def ask(filters):
        answer = api.get(path, expect=None, query={"filters": filters})
        assert answer.status == 200 or answer.text.strip()

    ask()
    api.get("/_ping")

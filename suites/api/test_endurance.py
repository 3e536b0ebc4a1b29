"""Many bad requests and connections that are cut: the daemon lives, does not grow and disturbs nobody."""

import json
import os
from contextlib import suppress
from pathlib import Path

import pytest

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
POST = b"POST /containers/create HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
HEAVY = {
    "deep": POST % (20_000, b"[" * 20_000),
    "ten-megabytes": POST % (10_000_000, b'{"Env": ["' + b"x" * 9_999_990),  # and it does not end there
    "not-a-number": POST % (14, b'{"Image": NaN}'),
    "long-header": b"GET /_ping HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 1_500_000,
    "many-headers": b"GET /_ping HTTP/1.1\r\nHost: a\r\n" + b"".join(b"X-%d: y\r\n" % one for one in range(120_000)),
}


@pytest.fixture
def daemon(private_engine):
    """An engine of the test's own, and its process."""
    d = private_engine()
    return d, Path(f"/proc/{d.daemon.pid}")


def size_of(d, process):
    """Return resident kilobytes, descriptors and threads of a process, and the goroutines that it tells of itself."""
    routines = d.api.get("/info").json()["NGoroutines"]
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    return int(status["VmRSS"].split()[0]), len(os.listdir(process / "fd")), int(status["Threads"]), routines


def storm(api, requests, rounds):
    for _ in range(rounds):
        for data in requests:
            with api.dial() as line:
                line.send(data)
        api.request("GET", "/containers/nosuch/json", expect=404)


def unchanged(d, process, before, *, memory):
    """Wait for connections to be closed, and hold what the daemon uses against what it used: kilobytes at most more."""
    wait_until("descriptors and goroutines to go",
               lambda: size_of(d, process)[1] <= before[1] + 5 and size_of(d, process)[3] <= before[3] + 5,
               timeout=60)  # fmt: skip
    after = size_of(d, process)
    assert before[3] > 0
    assert after[2] <= before[2] + 100  # Go keeps the threads of a peak, which are far fewer than requests
    assert after[0] <= before[0] + memory
    assert d.api.get("/containers/json", query={"all": True}).json() == []


@claim("api-164", "api-079")
@requires("private_engine")
def test_a_thousand_bad_requests_leave_the_daemon_as_it_was(daemon):
    d, process = daemon
    storm(d.api, BAD, 20)  # what it sets up once is no growth
    before = size_of(d, process)
    storm(d.api, BAD, 100)
    unchanged(d, process, before, memory=30_000)


@claim("api-164", "api-075", "api-076")
@requires("private_engine")
def test_requests_without_measure_leave_the_daemon_as_it_was(daemon):
    d, process = daemon
    storm(d.api, HEAVY.values(), 10)
    before = size_of(d, process)
    storm(d.api, HEAVY.values(), 30)
    unchanged(d, process, before, memory=60_000)


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

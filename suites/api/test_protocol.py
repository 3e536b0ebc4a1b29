"""The API as HTTP: framing, versions of the protocol, methods and paths, headers."""

import json
import os
import re
import stat

import pytest

from seatrial import archive

claim = pytest.mark.claim

UNKNOWN = ("/containers/nosuch/json", "/images/nosuch/json", "/networks/nosuch", "/volumes/nosuch")
PING = b"GET /_ping HTTP/1.1\r\nHost: localhost\r\n"


@claim("api-013", "api-070")
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_ping_answers_with_headers_that_nobody_may_cache(api, engine, method):
    answer = api.request(method, "/_ping", expect=200)
    assert answer.body == (b"OK" if method == "GET" else b"")
    assert re.fullmatch(r"1\.\d\d", answer.header("Api-Version"))
    assert answer.header("Ostype") == engine.facts["os"]
    assert "no-cache" in answer.header("Cache-Control")
    assert answer.header("Pragma") == "no-cache"
    assert answer.header("Server")


@claim("api-013")
def test_get_and_head_of_ping_have_the_same_headers(api):
    told = {name: value for name, value in api.get("/_ping").headers.items() if name in ("Api-Version", "Ostype")}
    assert len(told) == 2
    head = api.head("/_ping")
    assert {name: head.header(name) for name in told} == told


@claim("api-072", "api-070")
def test_version_agrees_with_the_headers_and_the_kernel(api, engine):
    answer = api.get("/version")
    told = answer.json()
    assert told["ApiVersion"] == answer.header("Api-Version")
    assert told["Os"] == engine.facts["os"]
    assert told["KernelVersion"] == os.uname().release
    assert float(told["MinAPIVersion"]) <= float(told["ApiVersion"])
    parts = {part["Name"]: part["Version"] for part in told["Components"]}
    assert told["Version"] in parts.values()
    assert all(parts.values())


@claim("api-070", "api-071")
@pytest.mark.parametrize("path", UNKNOWN)
def test_refusals_tell_the_api_version_too(api, path):
    assert api.refuses("GET", path, 404).header("Api-Version") == api.get("/_ping").header("Api-Version")


@claim("api-007", "api-013")
def test_http_1_0_is_answered_and_closed(api):
    with api.dial() as line:
        line.send(b"GET /_ping HTTP/1.0\r\n\r\n")
        assert line.answer().check(200).body == b"OK"
        assert line.socket.recv(1) == b""


@claim("api-007")
def test_a_kept_connection_takes_request_after_request(api):
    with api.dial() as line:
        for _ in range(3):
            line.send(PING + b"\r\n")
            assert line.answer().check(200).body == b"OK"


@claim("api-007")
def test_pipelined_requests_are_answered_in_order(api):
    version = b"GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with api.dial() as line:
        line.send(PING + b"\r\n" + version + PING + b"Connection: close\r\n\r\n")
        data = b"".join(iter(lambda: line.socket.recv(65536), b""))
    heads = re.findall(rb"HTTP/1\.1 (\d+) OK", data)
    assert heads == [b"200"] * 3
    assert re.search(rb"OKHTTP.*ApiVersion.*HTTP.*OK$", data, re.DOTALL)


@claim("api-007")
def test_connection_close_is_obeyed(api):
    with api.dial() as line:
        line.send(PING + b"Connection: close\r\n\r\n")
        assert line.answer().check(200).header("Connection") == "close"
        assert line.socket.recv(1) == b""


@claim("api-007")
@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"NONSENSE\r\n\r\n", 400),
        (b"GET /_ping\r\n\r\n", 400),
        (b"GET  /_ping HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /_ping HTTP/1.1\r\n\r\n", 400),
        (b"GET /_ping HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET /_ping HTTP/1.1\r\nHost: a\r\nNo Header: x\r\n\r\n", 400),
        (b"GET /_ping HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400),
        (b"GET /_ping HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"GET /_ping HTTP/x.y\r\nHost: a\r\n\r\n", 400),
        (b"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    ],
    ids=["no-http", "http-0.9", "two-spaces", "no-host", "two-hosts", "space-in-name", "zero-in-value", "http-2",
         "no-version", "bad-escape", "tls-hello"],
)  # fmt: skip
def test_what_is_no_http_is_refused_and_the_connection_closed(api, request_, status):
    with api.dial() as line:
        line.send(request_)
        line.answer().check(status)
        assert line.socket.recv(1) == b""
    api.get("/_ping")


@claim("api-075")
@pytest.mark.parametrize(
    "header", [b"X-Long: " + b"a" * 1_500_000, b"\r\n".join(b"X-%d: y" % number for number in range(120_000))],
    ids=["long", "many"],
)  # fmt: skip
def test_a_flood_of_headers_is_cut_off(api, header):
    with api.dial() as line:
        line.send(PING + header + b"\r\n\r\n")
        seen = line.socket.recv(100) if _readable(line) else b""
    assert not seen.startswith(b"HTTP/1.1 200")
    api.get("/_ping")


def _readable(line):
    try:
        return bool(line.socket.recv(1, 2))  # MSG_PEEK
    except ConnectionResetError:
        return False


@claim("api-075")
def test_a_long_header_within_the_limit_is_taken(api):
    assert api.get("/_ping", headers={"X-Long": "a" * 500_000}).body == b"OK"


@claim("api-059")
@pytest.mark.parametrize("path", ["/nosuch", "/containers", "/v1.41", "/_ping/", "/info/x"])
def test_unknown_paths_are_not_found(api, path):
    assert api.get(path, expect=404).text.strip()


@claim("api-059")
@pytest.mark.parametrize("path", ["/../etc/passwd", "//etc/passwd", "/images/../etc/passwd"])
def test_dots_in_a_path_are_cleaned_and_lead_nowhere(api, path):
    cleaned = api.get(path, expect=301).header("Location")
    assert cleaned == "/etc/passwd"
    api.get(cleaned, expect=404)


@claim("api-059")
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/version"), ("DELETE", "/_ping"), ("PUT", "/containers/json"), ("DELETE", "/info"),
     ("PATCH", "/info"), ("GET", "/containers/create"), ("get", "/_ping"), ("TRACE", "/_ping")],
    ids=str,
)  # fmt: skip
def test_methods_that_a_path_does_not_have_are_refused(api, engine, method, path):
    api.request(method, path, expect=engine.code("api_wrong_method"))


@claim("api-073")
@pytest.mark.parametrize("size", [1, 7, 4096])
def test_a_body_in_chunks_is_taken(api, engine, size):
    body = b'{"Image": "%s", "Cmd": ["true"], "Labels": {"%s": "%s"}}'
    body %= (engine.image.encode(), b"seatrial.test", engine.key.encode())
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    head = f"POST /containers/create?name={(name := engine.name())} HTTP/1.1\r\nHost: a\r\n"
    head += "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    engine.mark("container")
    api.raw(head.encode() + chunks, expect=201)
    assert api.get(f"/containers/{name}/json").json()["Config"]["Cmd"] == ["true"]


@claim("api-073")
def test_expect_100_continue_is_answered_before_the_body(api, engine):
    head = b"POST /containers/create HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    body = b'{"Image": "nosuch-image"}'
    with api.dial() as line:
        line.send(head + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body))
        assert line.socket.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        line.send(body)
        assert re.search(engine.says("no_such_image"), line.answer().check(404).message, re.IGNORECASE)


def creation(engine, framing, framed):
    """Return the bytes of a request that makes a container, and its name; `framed` makes the message of its body."""
    body = json.dumps({"Image": engine.image, "Cmd": ["true"], "Labels": engine.labels}).encode()
    head = f"POST /containers/create?name={(name := engine.name())} HTTP/1.1\r\nHost: a\r\n"
    head += "Content-Type: application/json\r\n"
    engine.mark("container")
    return head.encode() + framing + b"\r\n\r\n" + framed(body), name


CHUNKED = b"Transfer-Encoding: chunked"
# the two blanks after the body make each of two lengths one that a client could have meant
BROKEN = {
    "letters": (400, CHUNKED, b"zz\r\n%s\r\n0\r\n\r\n"),
    "negative": (400, CHUNKED, b"-5\r\n%s\r\n0\r\n\r\n"),
    "overflow": (400, CHUNKED, b"ffffffffffffffffff\r\n%s\r\n0\r\n\r\n"),
    "unknown-coding": (501, b"Transfer-Encoding: nonsense", b"%s"),
    "two-lengths": (400, b"Content-Length: {0}\r\nContent-Length: {1}", b"%s  "),
    "negative-length": (400, b"Content-Length: -{0}", b"%s"),
    "no-number": (400, b"Content-Length: {0}x", b"%s"),
}


@claim("api-074")
@pytest.mark.parametrize(("status", "framing", "framed"), list(BROKEN.values()), ids=list(BROKEN))
def test_broken_framing_is_refused_and_makes_nothing(api, engine, status, framing, framed):
    length = len(creation(engine, b"A: b", lambda body: body)[0].partition(b"\r\n\r\n")[2])
    for place, number in (b"{0}", length), (b"{1}", length + 1):
        framing = framing.replace(place, b"%d" % number)
    data, name = creation(engine, framing, lambda body: framed % body)
    api.raw(data, expect=status)
    api.get(f"/containers/{name}/json", expect=404)
    data, name = creation(engine, b"Content-Length: %d" % length, lambda body: body)
    api.raw(data, expect=201)
    api.get(f"/containers/{name}/json")


WHOLE = {
    "extension": (CHUNKED, lambda body: b"%x;name=value;x\r\n%s\r\n0;last\r\n\r\n" % (len(body), body)),
    "upper-case-and-zeros": (CHUNKED, lambda body: b"000%X\r\n%s\r\n000\r\n\r\n" % (len(body), body)),
    "trailer": (CHUNKED, lambda body: b"%x\r\n%s\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n" % (len(body), body)),
    "a-length-too": (b"Content-Length: 4\r\n" + CHUNKED, lambda body: b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)),
}


@claim("api-073", "api-193")
@pytest.mark.parametrize(("framing", "framed"), list(WHOLE.values()), ids=list(WHOLE))
def test_what_chunks_may_have_besides_does_not_count(api, engine, framing, framed):
    data, name = creation(engine, framing, framed)
    api.raw(data, expect=201)
    assert api.get(f"/containers/{name}/json").json()["Config"]["Cmd"] == ["true"]


@claim("api-193")
@pytest.mark.parametrize("last", [b"0\r\n\r\n", b"0\r\nX-Sum: 1\r\n\r\n"], ids=["plain", "trailer"])
def test_the_next_request_begins_after_the_last_chunk(api, engine, last):
    data, name = creation(engine, CHUNKED, lambda body: b"%x\r\n%s\r\n%s" % (len(body), body, last))
    with api.dial() as line:
        line.send(data)
        line.answer().check(201)
        line.send(PING + b"\r\n")
        assert line.answer().check(200).body == b"OK"
    api.get(f"/containers/{name}/json")


@claim("api-193", "api-074")
def test_no_part_of_a_body_in_chunks_is_taken_for_a_request(api):
    c = api.create()
    hidden = f"DELETE /containers/{c.name} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()
    size = b"%x\r\n" % len(hidden)
    head = b"POST /containers/create HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
    with api.dial() as line:
        line.send(head % len(size) + CHUNKED + b"\r\n\r\n" + size + hidden + b"\r\n0\r\n\r\n")
        line.answer()
        line.end_input()
        line.socket.settimeout(10)
        assert line.socket.recv(1) == b""
    c.inspect()


@claim("api-074")
@pytest.mark.parametrize("kept", [20, -1], ids=["in-the-middle", "before-the-last-byte"])
def test_chunks_that_end_early_are_refused_and_make_nothing(api, engine, kept):
    data, name = creation(engine, CHUNKED, lambda body: b"%x\r\n%s" % (len(body), body[:kept]))
    with api.dial() as line:
        line.send(data)
        line.end_input()
        line.answer().check(400)
    api.get(f"/containers/{name}/json", expect=404)


@claim("api-074")
def test_a_tree_without_its_last_chunk_is_refused(api):
    c = api.create()
    body = archive.tree({"first": b"1" * 2000})
    head = f"PUT /containers/{c.name}/archive?path=/tmp HTTP/1.1\r\nHost: a\r\n".encode()
    with api.dial() as line:
        line.send(head + CHUNKED + b"\r\n\r\n%x\r\n%s" % (len(body), body[:1000]))
        line.end_input()
        assert line.answer().check(400).message


@claim("api-006")
@pytest.mark.requires("local_engine")
def test_the_socket_is_for_owner_and_group_only(engine):
    mode = engine.raw.socket.stat()
    assert stat.S_ISSOCK(mode.st_mode)
    assert stat.S_IMODE(mode.st_mode) & 0o007 == 0
    assert mode.st_uid == 0

"""The raw client: what goes over the wire, what is expected, what the journal repeats."""

import subprocess

import pytest

from seatrial.api.client import Client
from seatrial.api.messages import target
from seatrial.api.wire import Endpoint, endpoint_of
from seatrial.exec import ExpectationError, Journal

REFUSAL = b'HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 18\r\n\r\n{"message": "no!"}'


@pytest.fixture
def journal():
    return Journal()


@pytest.fixture
def client(fake, journal):
    return Client(fake.endpoint, journal=journal)


def test_request_goes_over_the_wire_as_it_was_asked_for(client, fake):
    answer = client.post("/containers/create", expect=200, query={"name": "a b", "all": True, "no": None},
                         json={"Image": "i"}, version="1.41")  # fmt: skip
    head, _, body = fake.requests[0].partition(b"\r\n\r\n")
    assert head.split(b"\r\n")[0] == b"POST /v1.41/containers/create?name=a+b&all=true HTTP/1.1"
    assert b"Content-Type: application/json" in head
    assert body == b'{"Image": "i"}'
    assert (answer.status, answer.body) == (200, b"OK")


def test_body_and_headers_of_the_test_are_left_alone(client, fake):
    client.post("/x", expect=200, body=b"\0\xff", headers={"Content-Type": "text/plain", "X-A": "1"})
    client.post("/x", expect=200, body=b"{}", headers={"Content-Type": ""})
    first, second = fake.requests
    assert b"Content-Type: text/plain" in first and b"X-A: 1" in first and first.endswith(b"\0\xff")
    assert b"Content-Type" not in second


def test_another_status_raises_with_the_whole_exchange(client, fake):
    fake.answer = REFUSAL
    with pytest.raises(ExpectationError) as caught:
        client.post("/things", expect=(201, 204), json={"a": 1})
    said = str(caught.value)
    assert said.startswith("expected status (201, 204), seen 404\n> POST /things")
    for part in ("$ curl -sS -i --unix-socket", 'sent| {"a": 1}', "header| Content-Type: application/json",
                 'body| {"message": "no!"}'):  # fmt: skip
        assert part in said


def test_expected_refusals_have_a_message(client, fake):
    fake.answer = REFUSAL
    assert client.get("/x", expect=404).message == "no!"
    assert not client.get("/x", expect=None).ok
    fake.answer = REFUSAL.replace(b'"message"', b'"massage"')
    with pytest.raises(ExpectationError, match="without a message"):
        _ = client.get("/x", expect=404).message


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "broke off"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", "broke off"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "broke off"),
        (b"hello\r\n\r\n", "broke off"),
    ],
    ids=["nothing", "short", "cut-chunk", "no-http"],
)
def test_broken_answers_are_the_engines_failure(client, fake, journal, answer, words):
    fake.answer = answer
    with pytest.raises(ExpectationError, match=words):
        client.get("/x")
    assert journal.calls[0].result.status == 0


def test_silence_ends_with_the_timeout(client, fake):
    fake.answer, fake.hold = b"", True
    with pytest.raises(ExpectationError, match="no answer in time"):
        client.get("/x", timeout=0.2)


def test_nobody_there_is_told(tmp_path):
    with pytest.raises(ExpectationError, match="nobody answers"):
        Client(Endpoint(path=tmp_path / "none.sock")).get("/x")
    with pytest.raises(ExpectationError, match="nobody answers"):
        Client(Endpoint(path=tmp_path / "none.sock")).dial()


def test_streams_are_read_as_they_come_and_written_to(client, fake, journal):
    fake.answer, fake.hold = b"HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\n\r\nfirst", True
    with client.hijack("/attach") as stream:
        stream.until(b"first")
        stream.send(b"typed")
        stream.until(b"TYPED")
        with pytest.raises(ExpectationError, match=r"waited for.*the stream went on"):
            stream.until(b"never", timeout=0.1)
        stream.end_input()
        assert stream.rest() == b"firstTYPED"
    assert b"Upgrade: tcp" in fake.requests[0]
    script = journal.repro()
    assert "telnet://localhost" in script and "typed" in script


def test_stream_that_is_refused_is_no_stream(client, fake):
    fake.answer = REFUSAL
    with pytest.raises(ExpectationError, match=r"expected status 101, seen 404"):
        client.hijack("/attach")


def test_json_stream_ends_within_its_time(client, fake):
    fake.answer = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{"a": 1}\n\r\n8\r\n{"b": 2}\r\n0\r\n\r\n'
    with client.open("GET", "/events") as stream:
        assert stream.records(2) == [{"a": 1}, {"b": 2}]
        assert stream.record("b", lambda value: "b" in value) == {"b": 2}
        assert stream.rest() == b'{"a": 1}\n{"b": 2}'


def test_a_stream_that_breaks_off_is_told(client, fake):
    fake.answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{"
    with client.open("GET", "/events") as stream, pytest.raises(ExpectationError, match="the stream broke"):
        stream.rest()


def test_bytes_go_as_they_are(client, fake):
    assert client.raw(b"NONSENSE\r\n\r\n", expect=200).body == b"OK"
    assert fake.requests == [b"NONSENSE\r\n\r\n"]


def test_repro_repeats_requests_byte_for_byte(client, fake, journal):
    client.post("/a", expect=200, json={"b": "it's"}, query={"c": "d e"})
    client.raw(b"GET /b HTTP/1.0\r\n\r\n", expect=200)
    said = list(fake.requests)
    script = journal.repro()
    subprocess.run(["sh"], input=script.encode(), check=True, capture_output=True, timeout=30)
    again = fake.requests[len(said) :]
    assert [request.split(b"\r\n")[0] for request in again] == [request.split(b"\r\n")[0] for request in said]
    assert [request.partition(b"\r\n\r\n")[2] for request in again] == [b'{"b": "it\'s"}', b""]


def test_targets_hold_what_a_query_needs():
    assert target("/images/a/b:c@sha256:d/json") == "/images/a/b:c@sha256:d/json"
    assert target("/x y", [("n", "1"), ("n", "2")]) == "/x%20y?n=1&n=2"
    assert target("/x", {"filters": {"a": ["b"]}, "t": 0}) == "/x?filters=%7B%22a%22%3A+%5B%22b%22%5D%7D&t=0"


@pytest.mark.parametrize(
    ("address", "base", "curl"),
    [
        ("unix:///run/x.sock", "http://localhost", ["--unix-socket", "/run/x.sock"]),
        ("tcp://127.0.0.1:2375", "http://127.0.0.1:2375", []),
        ("tcp://[::1]:2375/", "http://[::1]:2375", []),
    ],
    ids=["unix", "tcp", "ipv6"],
)
def test_addresses_are_read(address, base, curl):
    endpoint = endpoint_of(address, {})
    assert (endpoint.base, endpoint.curl) == (base, curl)


def test_tls_comes_with_its_files():
    endpoint = endpoint_of("tcp://h:2376", {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/c"})
    assert endpoint.base == "https://h:2376"
    assert endpoint.curl == ["--cacert", "/c/ca.pem", "--cert", "/c/cert.pem", "--key", "/c/key.pem"]

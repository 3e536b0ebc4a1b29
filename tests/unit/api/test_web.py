"""The server whose answers tests decide, and tokens that a registry can check."""

import base64
import json

import pytest

from seatrial.api.client import Client
from seatrial.api.wire import Endpoint, Tls
from seatrial.exec import ExpectationError
from seatrial.hosts import LOCAL
from seatrial.lab.tokens import ISSUER, TokenServer
from seatrial.lab.web import Answer, Web


@pytest.fixture
def said():
    return {"answer": Answer(200, {"X-A": "1"}, b"0123456789")}


@pytest.fixture
def web(said):
    with Web(LOCAL, lambda _: said["answer"]) as server:
        yield server


@pytest.fixture
def client(web):
    return Client(Endpoint(address=("127.0.0.1", web.port)))


def test_requests_are_remembered_and_answered(web, client):
    answer = client.request("PATCH", "/a/b", expect=200, query={"c": "d"}, body=b"bytes")
    assert (answer.body, answer.header("X-A")) == (b"0123456789", "1")
    (asked,) = web.asked
    assert (asked.method, asked.path, asked.query, asked.body) == ("PATCH", "/a/b", {"c": ["d"]}, b"bytes")


def test_bodies_in_chunks_and_repeated_headers_are_whole(web, client):
    client.raw(b"POST /x HTTP/1.1\r\nHost: a\r\nAccept: one\r\nAccept: two\r\nTransfer-Encoding: chunked\r\n\r\n"
               b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", expect=200)  # fmt: skip
    assert web.asked[0].body == b"abcde"
    assert web.asked[0].headers["accept"] == "one, two"


def test_an_answer_that_is_cut_breaks_off(client, said):
    said["answer"] = Answer(200, {}, b"0123456789", cut=4)
    with pytest.raises(ExpectationError, match="broke off"):
        client.get("/x")


def test_tls_is_trusted_by_its_authority_alone(tmp_path):
    with Web(LOCAL, lambda _: Answer(204), tls=True) as web, Web(LOCAL, lambda _: Answer(204), tls=True) as other:
        for name, server in (("own", web), ("other", other)):
            (tmp_path / name).write_bytes(server.ca)
        address = ("127.0.0.1", web.port)
        Client(Endpoint(address=address, tls=Tls(tmp_path / "own"))).get("/", expect=204)
        with pytest.raises(ExpectationError, match="certificate verify failed"):
            Client(Endpoint(address=address, tls=Tls(tmp_path / "other"))).get("/", expect=204)


def test_tokens_hold_what_was_asked_for_and_what_was_changed():
    with TokenServer(LOCAL) as tokens:
        tokens.granted = {"pull"}
        head, claims, signature = tokens.token("repository:a/b:c:pull,push", sub="somebody", aud=None).split(".")
        read = json.loads(base64.urlsafe_b64decode(claims + "=="))
        assert read["access"] == [{"type": "repository", "name": "a/b:c", "actions": ["pull"]}]
        assert (read["iss"], read["sub"], "aud" in read) == (ISSUER, "somebody", False)
        assert json.loads(base64.urlsafe_b64decode(head + "=="))["alg"] == "ES256"
        assert len(base64.urlsafe_b64decode(signature + "==")) == 64
        tokens.account = ("sailor", "secret")
        Client(Endpoint(address=("127.0.0.1", tokens.port))).get("/token", expect=401)


class Impatient(Web):
    def takes(self, asked):
        return 5 if asked.method == "PUT" else None

    def broken_off(self, asked):
        self.heard = asked.body


@pytest.mark.parametrize(
    "rest",
    [b"Content-Length: 10\r\n\r\n0123456789",
     b"Transfer-Encoding: chunked\r\n\r\n3\r\n012\r\n7\r\n3456789\r\n0\r\n\r\n"],
    ids=["length", "chunks"],
)  # fmt: skip
def test_a_request_is_cut_within_its_body(rest):
    with Impatient(LOCAL, lambda _: Answer()) as web:
        client = Client(Endpoint(address=("127.0.0.1", web.port)))
        with pytest.raises(ExpectationError, match="broke off"):
            client.raw(b"PUT /x HTTP/1.1\r\nHost: a\r\n" + rest, expect=200)
        assert web.heard == b"01234"
        assert [asked.body for asked in web.asked] == [b"01234"]
        client.raw(b"POST /x HTTP/1.1\r\nHost: a\r\n" + rest, expect=200)
        assert web.asked[-1].body == b"0123456789"
        assert web.asked[-1].when >= web.asked[0].when > 0

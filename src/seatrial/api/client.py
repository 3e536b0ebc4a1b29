"""The one way to speak to an engine's API: http.client over its socket, with the expected status in the call.

Every exchange goes into the journal as a curl command, so that `repro.sh` repeats it; what curl cannot
send (broken requests, hijacked connections) goes there as the bytes themselves.
"""

from __future__ import annotations

import http.client
import json as codec
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from seatrial.api.messages import Query, Request, Response, Status, target
from seatrial.api.streams import Stream
from seatrial.api.wire import Connection, Endpoint
from seatrial.exec import Call, ExpectationError, Journal

_JSON = "application/json"
# what makes an engine hand the connection over (API reference, ContainerAttach, "Hijacking")
UPGRADE: Mapping[str, str] = {"Connection": "Upgrade", "Upgrade": "tcp"}
# an answer that was broken off, or is no HTTP
_BROKEN = (OSError, http.client.HTTPException)


class Client:
    """The API behind an endpoint; each request has a connection of its own."""

    def __init__(
        self, endpoint: Endpoint, *, journal: Journal | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        self.endpoint = endpoint
        self.journal = journal
        self.headers = dict(headers or {})  # of every request

    # -- requests ------------------------------------------------------------------------------

    def get(self, path: str, *, expect: Status = 200, **options: Any) -> Response:
        """Send a GET; options as for `request`."""
        return self.request("GET", path, expect=expect, **options)

    def head(self, path: str, *, expect: Status = 200, **options: Any) -> Response:
        """Send a HEAD; options as for `request`."""
        return self.request("HEAD", path, expect=expect, **options)

    def post(self, path: str, *, expect: Status, **options: Any) -> Response:
        """Send a POST; options as for `request`."""
        return self.request("POST", path, expect=expect, **options)

    def put(self, path: str, *, expect: Status, **options: Any) -> Response:
        """Send a PUT; options as for `request`."""
        return self.request("PUT", path, expect=expect, **options)

    def delete(self, path: str, *, expect: Status, **options: Any) -> Response:
        """Send a DELETE; options as for `request`."""
        return self.request("DELETE", path, expect=expect, **options)

    def request(
        self, method: str, path: str, *, expect: Status, query: Query | None = None, json: Any = None,
        body: bytes | None = None, headers: Mapping[str, str] | None = None, version: str = "",
        timeout: float = 60.0,
    ) -> Response:  # fmt: skip
        """Send a request and read the answer to its end.

        `json` is sent as such, `body` as it is; a header without a value is left out. `version` is the
        API version in front of the path. `expect` is the status, several, or None. Raises
        `ExpectationError` with the whole exchange on another one, and when no whole answer comes.
        """
        request = self._request(method, path, query, json, body, headers, version)
        call = self._begin(request)
        began = time.perf_counter()
        connection = Connection(self.endpoint, timeout)
        try:
            _send(connection, request, self.unseen(request))
            answer = connection.getresponse()
            data = answer.read()
        except _BROKEN as error:
            raise self._broken(request, call, error, time.perf_counter() - began) from error
        finally:
            connection.close()
        took = time.perf_counter() - began
        response = Response(request, answer.status, answer.reason, answer.headers, data, took, call.argv)
        self._end(call, response)
        return response.check(expect)

    def open(
        self, method: str, path: str, *, expect: Status = 200, query: Query | None = None, json: Any = None,
        body: bytes | None = None, headers: Mapping[str, str] | None = None, version: str = "",
        timeout: float = 60.0,
    ) -> Stream:  # fmt: skip
        """Send a request whose answer does not end by itself; its body is read as it comes.

        `timeout` holds for each single wait of the connection, so it bounds silence, too.
        """
        request = self._request(method, path, query, json, body, headers, version)
        return self._live(request, expect, timeout, hijacked=False)

    def hijack(
        self, path: str, *, expect: Status = 101, query: Query | None = None, json: Any = None,
        headers: Mapping[str, str] | None = None, version: str = "", timeout: float = 60.0,
    ) -> Stream:  # fmt: skip
        """POST and take the connection over: what is sent and read afterwards is the container's."""
        headers = UPGRADE if headers is None else headers
        request = self._request("POST", path, query, json, None, headers, version)
        return self._live(request, expect, timeout, hijacked=True)

    # -- bytes ---------------------------------------------------------------------------------

    def dial(self, timeout: float = 20.0) -> Line:
        """Open a connection for bytes of the test's own making."""
        return Line(self, timeout)

    def raw(self, data: bytes, *, expect: Status, half_close: bool = False, timeout: float = 20.0) -> Response:
        """Send bytes as they are and read one answer."""
        with self.dial(timeout) as line:
            line.send(data)
            if half_close:
                line.end_input()
            return line.answer().check(expect)

    def unseen(self, request: Request) -> Mapping[str, str]:
        """Return headers that are sent and written down nowhere: for clients that have a secret."""
        return {}

    # -- the journal ---------------------------------------------------------------------------

    def _request(
        self, method: str, path: str, query: Query | None, json: Any, body: bytes | None,
        headers: Mapping[str, str] | None, version: str,
    ) -> Request:  # fmt: skip
        given = {name: value for name, value in {**self.headers, **(headers or {})}.items() if value}
        if json is not None:
            body = codec.dumps(json).encode()
        if body is not None and not any(name.lower() == "content-type" for name in headers or {}):
            given["Content-Type"] = _JSON
        return Request(method, target(path, query, version), given, body)

    def _begin(self, request: Request, *, talk: bool = False) -> Call:
        # a stream has to be typed into, which curl can only do below HTTP
        argv = self._telnet() if talk else request.curl(self.endpoint.curl, self.endpoint.base)
        call = Call(argv, time.time(), stdin=_bytes_of(request) if talk else request.body, talk=talk)
        if self.journal is not None:
            self.journal.begin(call)
        return call

    def _telnet(self) -> tuple[str, ...]:
        url = self.endpoint.base.partition("://")[2]
        return ("curl", "-sS", *self.endpoint.curl, f"telnet://{url}")

    def _end(self, call: Call, response: Response) -> None:
        call.result = response
        if self.journal is not None:
            self.journal.end()

    def _broken(self, request: Request, call: Call, error: Exception, took: float) -> ExpectationError:
        timed_out = isinstance(error, TimeoutError)
        what = "no answer in time" if timed_out else "the answer broke off" if _heard(error) else "nobody answers"
        words = f"{type(error).__name__}: {error}"
        seen = Response(request, 0, words, http.client.HTTPMessage(), b"", took, call.argv, timed_out)
        self._end(call, seen)
        return ExpectationError(f"{what}: {words}\n{seen}")

    def _live(self, request: Request, expect: Status, timeout: float, *, hijacked: bool) -> Stream:
        call = self._begin(request, talk=True)
        began = time.perf_counter()
        connection = Connection(self.endpoint, timeout, keep=True)
        try:
            _send(connection, request, self.unseen(request))
            channel = connection.sock
            answer = connection.getresponse()
        except _BROKEN as error:
            if connection.sock is not None:
                connection.sock.close()
            raise self._broken(request, call, error, time.perf_counter() - began) from error
        body = answer.read() if answer.status >= 400 else b""
        took = time.perf_counter() - began
        response = Response(request, answer.status, answer.reason, answer.headers, body, took, call.argv)
        self._end(call, response)
        try:
            response.check(expect)
        except ExpectationError:
            answer.close()
            channel.close()
            raise
        return Stream(response, channel, answer, call, hijacked=hijacked)


class Line:
    """A bare connection: the test says which bytes go over it and when."""

    def __init__(self, client: Client, timeout: float) -> None:
        self._client = client
        self._call = Call(client._telnet(), time.time(), stdin=b"", talk=True)
        if client.journal is not None:
            client.journal.begin(self._call)
        try:
            self.socket = client.endpoint.connect(timeout)
        except OSError as error:
            raise ExpectationError(f"nobody answers: {error}") from error

    def send(self, data: bytes) -> None:
        """Send bytes; that the other side does not take them all is no failure: it may have seen enough."""
        self._call.stdin = (self._call.stdin or b"") + data
        with suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(data)

    def end_input(self) -> None:
        """Close this side and go on listening."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def answer(self, method: str = "GET") -> Response:
        """Read one answer; `method` tells whether it has a body. Raises `ExpectationError` when there is none."""
        request = Request(method, "(bytes)", body=bytes(self._call.stdin or b""))
        parser = http.client.HTTPResponse(self.socket, method=method)
        began = time.perf_counter()
        try:
            parser.begin()
            data = parser.read()
        except _BROKEN as error:
            raise self._client._broken(request, self._call, error, time.perf_counter() - began) from error
        took = time.perf_counter() - began
        response = Response(request, parser.status, parser.reason, parser.headers, data, took, self._call.argv)
        self._client._end(self._call, response)
        return response

    def close(self) -> None:
        """Cut the connection."""
        self.socket.close()

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _send(connection: http.client.HTTPConnection, request: Request, unseen: Mapping[str, str]) -> None:
    own_host = any(name.lower() == "host" for name in request.headers)
    connection.putrequest(request.method, request.target, skip_accept_encoding=True, skip_host=own_host)
    for name, value in {**request.headers, **unseen}.items():
        connection.putheader(name, value)
    if request.body is not None:
        if not any(name.lower() in ("content-length", "transfer-encoding") for name in request.headers):
            connection.putheader("Content-Length", str(len(request.body)))
    elif request.method in ("POST", "PUT", "PATCH"):
        connection.putheader("Content-Length", "0")
    connection.endheaders(request.body)


def _bytes_of(request: Request) -> bytes:
    """Return a request as bytes, for the journal."""
    lines = [f"{request.method} {request.target} HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    lines += [f"Content-Length: {len(request.body or b'')}", "", ""]
    return "\r\n".join(lines).encode() + (request.body or b"")


def _heard(error: Exception) -> bool:
    return isinstance(error, http.client.HTTPException | ConnectionResetError | BrokenPipeError)

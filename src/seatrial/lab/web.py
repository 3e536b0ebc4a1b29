"""An HTTP server on the loopback of a lab (or of this machine) whose answers a test decides."""

from __future__ import annotations

import http.server
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self
from urllib.parse import parse_qs

import trustme

from seatrial.hosts import Host


@dataclass(frozen=True)
class Asked:
    """A request; `target` is the path with its query, header names are in lower case, `when` is monotonic."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""
    when: float = 0.0

    @property
    def path(self) -> str:
        """The path without the query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, list[str]]:
        """The query's values by name."""
        return parse_qs(self.target.partition("?")[2], keep_blank_values=True)


@dataclass(frozen=True)
class Answer:
    """What is sent back; with `cut` the connection ends after so many bytes of the body, `delay` is in seconds."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: int | None = None
    delay: float = 0.0


class Web:
    """A server that hands each request to a function and remembers it; use it as a context manager.

    With `tls` it has a certificate for loopback, whose authority is `ca` (PEM).
    """

    def __init__(self, host: Host, answer: Callable[[Asked], Answer], *, tls: bool = False) -> None:
        self.asked: list[Asked] = []
        self.ca: bytes | None = None
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                """Take any method there is."""
                self.raw_requestline = self.rfile.readline(65537)
                if not self.raw_requestline or not self.parse_request():
                    self.close_connection = True
                    return
                names: dict[str, str] = {}
                for name, value in self.headers.items():  # one that comes again adds to the first
                    names[name.lower()] = f"{names[name.lower()]}, {value}" if name.lower() in names else value
                head = Asked(self.command, self.path, names, when=time.monotonic())
                most = web.takes(head)
                asked = replace(head, body=_body(self.rfile, names, most))
                web.asked.append(asked)
                if most is not None:
                    web.broken_off(asked)
                    self.close_connection = True
                    return
                self.reply(asked, answer(asked))

            def reply(self, asked: Asked, said: Answer) -> None:
                """Send an answer."""
                time.sleep(said.delay)
                self.send_response(said.status)
                given = {name.lower() for name in said.headers}
                for name, value in said.headers.items():
                    self.send_header(name, value)
                if "content-length" not in given:
                    self.send_header("Content-Length", str(len(said.body)))
                self.end_headers()
                if asked.method != "HEAD":
                    self.wfile.write(said.body[: said.cut])
                if said.cut is not None:
                    self.close_connection = True
                self.wfile.flush()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = host.call(lambda: _Server(("127.0.0.1", 0), Handler))
        if tls:
            authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
            self.ca = authority.cert_pem.bytes()
            # the handshake belongs to the connection's own thread
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )  # fmt: skip
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    @property
    def port(self) -> int:
        """The port on loopback."""
        return int(self._server.server_address[1])

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    def takes(self, asked: Asked) -> int | None:
        """Return after how many bytes of a request's body the connection is cut; None takes it whole."""
        return None

    def broken_off(self, asked: Asked) -> None:
        """Take note of a request that was cut; its body is what came of it."""

    def paths(self, method: str = "") -> list[str]:
        """Return the paths that were asked for, in order; those of one method when it is given."""
        return [asked.path for asked in self.asked if method in ("", asked.method)]

    def close(self) -> None:
        """End the server."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: Any) -> None:
        """Say nothing: clients that leave are what these servers are for."""


def _body(stream: Any, headers: Mapping[str, str], most: int | None = None) -> bytes:
    """Read a body, or its first `most` bytes."""
    if headers.get("transfer-encoding", "").lower() != "chunked":
        length = int(headers.get("content-length", 0))
        return bytes(stream.read(length if most is None else min(most, length)))
    pieces: list[bytes] = []
    while size := int(stream.readline().split(b";")[0], 16):
        left = size if most is None else min(size, most - sum(map(len, pieces)))
        pieces.append(stream.read(left))
        if left < size:
            return b"".join(pieces)
        stream.readline()
    stream.readline()
    return b"".join(pieces)

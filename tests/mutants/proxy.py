"""A proxy between a test's API client and its engine, with one fault: the engine's answers are changed on the way.

Requests that the fault does not concern pass byte by byte, streams and hijacked connections included.
Of the others the whole answer is read, changed and sent.
"""

import contextlib
import http.client
import socket
import threading
from dataclasses import dataclass, field


@dataclass
class Answer:
    """An engine's answer; `headers` are pairs in order, `body` is without chunks."""

    status: int
    reason: str
    headers: list = field(default_factory=list)
    body: bytes = b""

    def header(self, name):
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")


class Proxy:
    """Listens on a unix socket `path`; `fault` has method, path, change (see `api_faults`)."""

    def __init__(self, path, endpoint, fault):
        self.path = path
        self.hits = 0
        self._endpoint = endpoint
        self._fault = fault
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.path.unlink(missing_ok=True)

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._guarded, args=(client,), daemon=True).start()

    def _guarded(self, client):
        with client, contextlib.suppress(OSError, http.client.HTTPException), self._endpoint.connect(300) as engine:
            client.settimeout(300)
            self._serve(client, engine)

    def _serve(self, client, engine):
        head = b""
        while b"\r\n\r\n" not in head:
            piece = client.recv(65536)
            if not piece:
                break
            head += piece
        line = head.partition(b"\r\n")[0].decode("latin-1").split(" ")
        if len(line) != 3 or not self._fault.fits(line[0], line[1]):
            engine.sendall(head)
            self._pump(client, engine)
            return
        self.hits += 1
        changed = self._fault.request(line[1]).encode() if self._fault.request else line[1].encode()
        engine.sendall(head.replace(line[1].encode(), changed, 1))
        threading.Thread(target=_copy, args=(client, engine), daemon=True).start()
        if self._fault.change is None:
            _copy(engine, client)
            return
        self._reply(client, engine, line[0])

    def _reply(self, client, engine, method):
        response = http.client.HTTPResponse(engine, method=method)
        response.begin()
        body = b"".join(iter(lambda: response.fp.read1(65536), b"")) if response.status == 101 else response.read()
        headers = [(name, value) for name, value in response.getheaders()
                   if name.lower() not in ("content-length", "transfer-encoding", "connection")]  # fmt: skip
        answer = self._fault.change(Answer(response.status, response.reason, headers, body))
        lines = [f"HTTP/1.1 {answer.status} {answer.reason}", *(f"{name}: {value}" for name, value in answer.headers)]
        if answer.status == 101:
            lines.append("Connection: Upgrade")
        else:
            lines.append("Connection: close")
            if not answer.header("X-Unending"):
                lines.append(f"Content-Length: {len(answer.body)}")
        client.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + (b"" if method == "HEAD" else answer.body))
        if answer.header("X-Unending"):  # the connection stays open and silent
            threading.Event().wait(60)

    def _pump(self, client, engine):
        back = threading.Thread(target=_copy, args=(engine, client), daemon=True)
        back.start()
        _copy(client, engine)
        back.join()


def _copy(source, sink):
    """Copy until the end, then hand the end on."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)

import contextlib
import socket
import threading

import pytest

from seatrial.api.wire import Endpoint


class Engine:
    """A socket that answers each connection with the same bytes, and keeps what it was sent."""

    def __init__(self, path):
        self.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"
        self.hold = False  # go on after the answer: say again, loudly, what is said
        self.requests = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        self.endpoint = Endpoint(path=path)

    def _serve(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.settimeout(5)
            self.requests.append(_whole(connection))
            connection.sendall(self.answer)
            with connection, contextlib.suppress(OSError):
                while self.hold and (said := connection.recv(100)):
                    connection.sendall(said.upper())

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(timeout=10)


def _whole(connection):
    """Return a request: head, and as much body as it says."""
    data = b""
    while b"\r\n\r\n" not in data and (piece := connection.recv(65536)):
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length")), 0)
    while len(body) < length and (piece := connection.recv(65536)):
        body += piece
    return head + b"\r\n\r\n" + body


@pytest.fixture
def fake(tmp_path):
    """A made-up engine on a unix socket."""
    engine = Engine(tmp_path / "api.sock")
    yield engine
    engine.close()

"""A volume driver for trials of the protocol itself: any name, any answer, other sockets, TCP and TLS."""

from __future__ import annotations

import socket
import socketserver
import ssl
import threading
from pathlib import Path

from seatrial.hosts import Host
from seatrial.lab.plugins import Answer, PluginStub, VolumeStub, _Handler


class FreeVolumeStub(VolumeStub):
    """A `VolumeStub` that can listen elsewhere, too; its volumes may have names that no directory can.

    `socket` is where it listens instead of the place in which the daemon looks.
    """

    def __init__(self, host: Host, name: str, *, socket: str = "", scope: str = "local") -> None:
        super().__init__(host, name, scope=scope)
        self.socket = socket or self.socket
        self._numbers: dict[str, int] = {}
        self._ports: list[_TcpServer] = []

    def mountpoint(self, volume: str) -> str:
        """Return where a volume's files are in the lab: a directory with a number."""
        return f"{self.base}/{self._numbers.setdefault(volume, len(self._numbers))}"

    def add(self, volume: str) -> Path:
        """Make a volume beside the daemon, as a plugin's own program would, and return its directory."""
        self._create({"Name": volume})
        return self.files(volume)

    def reply(self, method: str, answer: Answer) -> None:
        """From now on answer a method with what a function makes of the body."""
        self._routes[method] = answer

    def listen_tcp(self, context: ssl.SSLContext | None = None) -> int:
        """Serve on loopback of the host's network, with TLS where a context is given; return the port."""
        server = _TcpServer(self, self.host.call(socket.socket), context)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        self._ports.append(server)
        return int(server.server_address[1])

    def stop(self) -> None:
        """Stop listening everywhere."""
        while self._ports:
            server = self._ports.pop()
            server.shutdown()
            server.server_close()
        super().stop()


class _TcpServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, stub: PluginStub, listener: socket.socket, context: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler, bind_and_activate=False)
        self.stub = stub
        self.socket.close()
        self.socket = listener
        self.server_bind()
        self.server_activate()
        if context:
            self.socket = context.wrap_socket(listener, server_side=True)

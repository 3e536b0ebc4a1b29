"""A volume plugin of the harness's own: serves Docker's plugin protocol and records every call.

It runs in threads of the test and listens where the daemon looks: on a unix socket below the lab's
root, or on TCP in the lab's network namespace. What it answers can be replaced for each method, so
that it is slow, wrong or gone when a test wants it to be.
"""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from seatrial.hosts import Host

SOCKETS = "/run/docker/plugins"
ACTIVATE = "/Plugin.Activate"

Answer = Mapping[str, Any] | bytes
Answerer = Callable[[dict[str, Any]], Answer]


@dataclass(frozen=True)
class Call:
    """One request: method without `VolumeDriver.`, its JSON body, and the content type that was accepted."""

    method: str
    body: dict[str, Any]
    accept: str = ""


@dataclass
class VolumePlugin:
    """A plugin whose volumes are directories below `place`, which has the same path for the daemon."""

    place: Path
    host: Host
    scope: str = "local"
    implements: list[str] = field(default_factory=lambda: ["VolumeDriver"])
    replaced: dict[str, Answerer] = field(default_factory=dict)
    volumes: dict[str, Path] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    _servers: list[tuple[ThreadingHTTPServer, Path | None]] = field(default_factory=list)
    _made: int = 0

    # -- where it listens ----------------------------------------------------------------------

    def listen(self, path: str) -> None:
        """Serve on a unix socket of the host; `path` as the daemon names it."""
        seen = self.host.path(path)
        seen.parent.mkdir(parents=True, exist_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(seen))
        self._serve(listener, seen)

    def listen_tcp(self, context: ssl.SSLContext | None = None) -> int:
        """Serve on loopback of the host's network, with TLS where a context is given; return the port."""
        listener = self.host.call(socket.socket)
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
        self._serve(context.wrap_socket(listener, server_side=True) if context else listener, None)
        return port

    def _serve(self, listener: socket.socket, path: Path | None) -> None:
        listener.listen(16)
        server = _Server(self)
        server.socket.close()
        server.socket = listener
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        self._servers.append((server, path))

    def vanish(self) -> None:
        """Stop listening everywhere; unix sockets are deleted, as when a plugin ends properly."""
        while self._servers:
            server, path = self._servers.pop()
            server.shutdown()
            server.server_close()
            if path:
                path.unlink(missing_ok=True)

    # -- what it is asked ----------------------------------------------------------------------

    def asked(self, *methods: str) -> list[str]:
        """Return the methods called so far in order: all of them, or only the named ones."""
        return [call.method for call in self.calls if not methods or call.method in methods]

    def bodies(self, method: str) -> list[dict[str, Any]]:
        """Return the bodies of all calls of a method."""
        return [call.body for call in self.calls if call.method == method]

    def refuse(self, method: str, message: str) -> None:
        """From now on answer a method with an error."""
        self.replaced[method] = lambda _: {"Err": message}

    def answer(self, call: Call) -> Answer:
        """Record a call and return what is sent back."""
        self.calls.append(call)
        if call.method in self.replaced:
            return self.replaced[call.method](call.body)
        return self._answer(call.method, str(call.body.get("Name", "")))

    def _answer(self, method: str, name: str) -> Answer:
        if method == "Activate":
            return {"Implements": self.implements}
        if method == "Capabilities":
            return {"Capabilities": {"Scope": self.scope}}
        if method == "List":
            return {"Volumes": [self._described(known) for known in self.volumes], "Err": ""}
        if method == "Create":
            self.add(name)
            return {"Err": ""}
        if name not in self.volumes:
            return {"Err": f"the plugin has no volume {name}"}
        if method == "Get":
            return {"Volume": {**self._described(name), "Status": {"mood": "calm"}}, "Err": ""}
        if method == "Remove":
            del self.volumes[name]
        return {"Mountpoint": str(self.volumes.get(name, "")), "Err": ""}

    def _described(self, name: str) -> dict[str, Any]:
        return {"Name": name, "Mountpoint": str(self.volumes[name])}

    def add(self, name: str) -> Path:
        """Make a volume beside the daemon, as a plugin's own program would, and return its directory."""
        if name not in self.volumes:
            self._made += 1
            self.volumes[name] = self.place / f"volume{self._made}"
            self.volumes[name].mkdir(parents=True)
        return self.volumes[name]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, plugin: VolumePlugin) -> None:
        super().__init__(("127.0.0.1", 0), _Handler, bind_and_activate=False)
        self.plugin = plugin

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, _ = self.socket.accept()
        return connection, ("plugin", 0)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a daemon that was killed breaks its connections, and refused TLS ends in one."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        text = self.rfile.read(length)
        method = self.path.rpartition(".")[2]
        call = Call(method, json.loads(text) if text.strip() else {}, self.headers.get("Accept", ""))
        answer = self.server.plugin.answer(call)
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        failed = not isinstance(answer, bytes) and bool(answer.get("Err"))
        self.send_response(500 if failed else 200)
        self.send_header("Content-Type", "application/vnd.docker.plugins.v1.2+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Write nothing: the calls are recorded."""

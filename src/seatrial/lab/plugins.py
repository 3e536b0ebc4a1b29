"""Stub plugins that speak Docker's plugin protocol: JSON over HTTP on a unix socket in the lab.

A stub runs as threads of the test's process; its socket is placed in the lab's file system, where the
daemon finds it by name. It notes every call, and can be told to be slow, to fail or to vanish.

Only for engines of a test's own (`private_daemon`): dockerd never forgets a volume driver that it has
used, and once that is gone every `volume ls` and `system df` waits 15 seconds for it.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import socketserver
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from seatrial.errors import SeatrialError
from seatrial.hosts import Host
from seatrial.paths import remove_tree

SOCKETS = "/run/docker/plugins"
SPECS = "/etc/docker/plugins"

Body = dict[str, Any]
Answer = Callable[[Body], Any]


class PluginError(Exception):
    """What a plugin answers in its field `Err`."""


@dataclass(frozen=True)
class Call:
    """One call of the daemon: number (from 0), method (`VolumeDriver.Create`), decoded body, time."""

    order: int
    method: str
    body: Body
    at: float


@dataclass
class Behaviour:
    """How a method misbehaves; `times` limits it to the first calls (0: all)."""

    delay: float = 0.0
    error: str = ""
    status: int = 500
    vanish: bool = False
    garbage: bool = False
    times: int = 0
    seen: int = field(default=0, init=False)

    def applies(self) -> bool:
        """Count a call and tell whether it is still one of those that misbehave."""
        self.seen += 1
        return not self.times or self.seen <= self.times


class PluginStub:
    """A plugin under a name of its own; a context manager that removes what it placed in the lab.

    `found_by` chooses how the daemon finds it: by its socket (`sock`), or by a `spec` or `json` file
    that names a socket elsewhere.
    """

    implements: ClassVar[tuple[str, ...]] = ()

    def __init__(self, host: Host, name: str, *, found_by: Literal["sock", "spec", "json"] = "sock") -> None:
        self.host = host
        self.name = name
        self.calls: list[Call] = []
        self.broken: list[str] = []  # what went wrong in the stub itself; told when it is closed
        self._behaviours: dict[str, Behaviour] = {}
        self._changed = threading.Condition()
        self._routes: dict[str, Answer] = {"Plugin.Activate": lambda _: {"Implements": list(self.implements)}}
        self._routes |= self.routes()
        self._found_by = found_by
        directory = SOCKETS if found_by == "sock" else "/run/seatrial-plugins"
        self.socket = f"{directory}/{name}.sock"
        self._server: _Server | None = None
        self._thread = threading.Thread()
        self._placed: list[Path] = []

    def routes(self) -> dict[str, Answer]:
        """Return what answers each method; `PluginError` in one becomes the daemon's error."""
        return {}

    # -- life ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Listen; after `stop` a stub can be started again, with its state."""
        path = self.host.path(self.socket)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        self._server = _Server(self, path)
        self._placed = [path]
        if self._found_by != "sock":
            spec = self.host.path(f"{SPECS}/{self.name}.{self._found_by}")
            spec.parent.mkdir(parents=True, exist_ok=True)
            address = f"unix://{self.socket}"
            spec.write_text(
                address if self._found_by == "spec" else json.dumps({"Name": self.name, "Addr": address})
            )
            self._placed.append(spec)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening and take socket and file away, as a plugin that has ended."""
        server, self._server = self._server, None
        if server:
            server.shutdown()
            server.server_close()
            self._thread.join()
        for path in self._placed:
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Stop and give back everything that the stub made; override to undo more."""
        self.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.close()
        if self.broken and kind is None:
            raise AssertionError(f"the stub plugin {self.name} is broken: {'; '.join(self.broken)}")

    # -- behaviour -----------------------------------------------------------------------------

    def misbehave(self, method: str, **how: Any) -> Behaviour:
        """Let a method misbehave from now on: delay=, error=, status=, vanish=, garbage=, times=."""
        self._behaviours[method] = Behaviour(**how)
        return self._behaviours[method]

    def behave(self, method: str) -> None:
        """Let a method behave again."""
        self._behaviours.pop(method, None)

    # -- what was seen -------------------------------------------------------------------------

    def called(self, method: str) -> list[Call]:
        """Return the calls of a method so far."""
        with self._changed:
            return [call for call in self.calls if call.method == method]

    def methods(self) -> list[str]:
        """Return the methods in the order in which they were called."""
        with self._changed:
            return [call.method for call in self.calls]

    def await_call(self, method: str, count: int = 1, timeout: float = 20.0) -> Call:
        """Wait until a method has been called `count` times and return that call."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                found = [call for call in self.calls if call.method == method]
                if len(found) >= count:
                    return found[count - 1]
                left = deadline - time.monotonic()
                if left <= 0:
                    seen = ", ".join(call.method for call in self.calls) or "nothing"
                    raise AssertionError(
                        f"{method} was called {len(found)} times in {timeout:.0f} s, not {count}; seen: {seen}"
                    )
                self._changed.wait(left)

    # -- serving -------------------------------------------------------------------------------

    def _handle(self, method: str, body: Body) -> tuple[int, bytes] | None:
        """Return status and body of the answer, or None to hang up."""
        if self._server is None:  # stopped: connections that the daemon kept open are no way in either
            return None
        with self._changed:
            self.calls.append(Call(len(self.calls), method, body, time.time()))
            self._changed.notify_all()
        behaviour = self._behaviours.get(method)
        if behaviour and behaviour.applies():
            time.sleep(behaviour.delay)
            if behaviour.vanish:
                # from another thread: a server cannot wait for the end of its own request
                threading.Thread(target=self.stop, daemon=True).start()
                return None
            if behaviour.garbage:
                return 200, b"<html>this is no JSON"
            if behaviour.error:
                return behaviour.status, json.dumps({"Err": behaviour.error}).encode()
        answer = self._routes.get(method)
        if answer is None:
            return 404, b"page not found\n"
        try:
            value = answer(body)
        except PluginError as error:
            return 500, json.dumps({"Err": str(error)}).encode()
        except Exception as error:  # told to the test by close(): in a thread it would be lost
            self.broken.append(f"{method}: {error!r}")
            return 500, json.dumps({"Err": f"the stub is broken: {error}"}).encode()
        return 200, value if isinstance(value, bytes) else json.dumps(value).encode()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        data = self.rfile.read(length)
        if self.headers.get("Transfer-Encoding") == "chunked":
            data = b"".join(_chunks(self.rfile))
        answer = self.server.stub._handle(self.path.lstrip("/"), json.loads(data) if data.strip() else {})
        if answer is None:
            self.close_connection = True
            return
        status, body = answer
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the daemon did not wait
            self.send_response(status)
            self.send_header("Content-Type", "application/vnd.docker.plugins.v1.2+json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def address_string(self) -> str:
        return "daemon"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Write nothing: calls are noted."""


def _chunks(stream: Any) -> Iterator[bytes]:
    while size := int(stream.readline().split(b";")[0], 16):
        yield stream.read(size)
        stream.readline()
    stream.readline()


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, stub: PluginStub, path: Path) -> None:
        self.stub = stub
        # by way of the directory's descriptor the path of the address stays below 108 bytes
        directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
        try:
            super().__init__(f"/proc/self/fd/{directory}/{path.name}", _Handler)
        finally:
            os.close(directory)


class VolumeStub(PluginStub):
    """A volume driver whose volumes are directories of the lab."""

    implements: ClassVar[tuple[str, ...]] = ("VolumeDriver",)

    def __init__(
        self, host: Host, name: str, *, found_by: Literal["sock", "spec", "json"] = "sock", scope: str = "local"
    ) -> None:
        self.scope = scope
        self.base = f"/run/seatrial-volumes/{name}"
        self.volumes: dict[str, Mapping[str, str]] = {}  # name -> options
        self.mounted: dict[str, set[str]] = {}  # name -> ids of those who mounted it
        super().__init__(host, name, found_by=found_by)

    def mountpoint(self, volume: str) -> str:
        """Return where a volume's files are in the lab."""
        return f"{self.base}/{volume}"

    def files(self, volume: str) -> Path:
        """Return where a volume's files are seen from here."""
        return self.host.path(self.mountpoint(volume))

    def routes(self) -> dict[str, Answer]:
        """Answer the volume driver's methods."""
        return {
            "VolumeDriver.Create": self._create,
            "VolumeDriver.Get": lambda body: {"Volume": self._described(self._known(body)), "Err": ""},
            "VolumeDriver.List": lambda _: {"Volumes": [self._described(name) for name in self.volumes], "Err": ""},
            "VolumeDriver.Path": lambda body: {"Mountpoint": self.mountpoint(self._known(body)), "Err": ""},
            "VolumeDriver.Mount": self._mount,
            "VolumeDriver.Unmount": self._unmount,
            "VolumeDriver.Remove": self._remove,
            "VolumeDriver.Capabilities": lambda _: {"Capabilities": {"Scope": self.scope}},
        }

    def _known(self, body: Body) -> str:
        if body["Name"] not in self.volumes:
            raise PluginError(f"no such volume: {body['Name']}")
        return str(body["Name"])

    def _described(self, name: str) -> Body:
        return {"Name": name, "Mountpoint": self.mountpoint(name), "Status": {"mounts": len(self.mounted[name])}}

    def _create(self, body: Body) -> Body:
        self.volumes[body["Name"]] = body.get("Opts") or {}
        self.mounted.setdefault(body["Name"], set())
        self.files(body["Name"]).mkdir(parents=True, exist_ok=True)
        return {"Err": ""}

    def _mount(self, body: Body) -> Body:
        name = self._known(body)
        self.mounted[name].add(body.get("ID", ""))
        return {"Mountpoint": self.mountpoint(name), "Err": ""}

    def _unmount(self, body: Body) -> Body:
        self.mounted[self._known(body)].discard(body.get("ID", ""))
        return {"Err": ""}

    def _remove(self, body: Body) -> Body:
        name = self._known(body)
        if self.mounted[name]:
            raise PluginError(f"volume {name} is mounted")
        del self.volumes[name], self.mounted[name]
        _delete(self.files(name))
        return {"Err": ""}

    def close(self) -> None:
        """Stop, and delete the volumes' files."""
        super().close()
        _delete(self.host.path(self.base))


def _delete(directory: Path) -> None:
    with contextlib.suppress(SeatrialError):  # something is mounted there: it goes with the lab
        remove_tree(directory)


class AuthzStub(PluginStub):
    """An authorization plugin.

    `request` and `response` get what the daemon sends (User, RequestMethod, RequestUri, RequestBody in
    base64, ...) and return the reason for a refusal, or an empty string to allow.
    """

    implements: ClassVar[tuple[str, ...]] = ("authz",)

    def __init__(
        self, host: Host, name: str, *, request: Callable[[Body], str] = lambda _: "",
        response: Callable[[Body], str] = lambda _: "", found_by: Literal["sock", "spec", "json"] = "sock",
    ) -> None:  # fmt: skip
        self.request = request
        self.response = response
        super().__init__(host, name, found_by=found_by)

    def routes(self) -> dict[str, Answer]:
        """Answer the questions before and after each request."""
        return {
            "AuthZPlugin.AuthZReq": lambda body: _verdict(self.request(body)),
            "AuthZPlugin.AuthZRes": lambda body: _verdict(self.response(body)),
        }


def _verdict(refusal: str) -> Body:
    return {"Allow": not refusal, "Msg": refusal or "allowed", "Err": ""}

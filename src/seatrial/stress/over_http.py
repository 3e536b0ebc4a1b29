"""Load over raw HTTP: one keep-alive connection for each client, and nothing that is not needed around it."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import socket
from collections.abc import Collection, Mapping
from typing import Any

from seatrial.api.messages import Query, target
from seatrial.api.streams import demultiplex
from seatrial.api.wire import Connection, Endpoint
from seatrial.stress.driver import ABORTED, RefusedError, SilentError, Spec

_NOBODY = base64.urlsafe_b64encode(b"{}").decode()  # the header X-Registry-Auth of one who has no password


class HttpDriver:
    """The Docker API over one connection; a connection that broke is opened again by the next request."""

    def __init__(self, endpoint: Endpoint, timeout: float = 60.0) -> None:
        self._endpoint = endpoint
        self._timeout = timeout
        self._connection = Connection(endpoint, timeout)
        self._aborted = False

    def ask(
        self, method: str, path: str, good: Collection[int], *, query: Query | None = None, body: Any = None,
        headers: Mapping[str, str] | None = None, timeout: float = 0.0,
    ) -> bytes:  # fmt: skip
        """Send a request and return the answer's body; `body` is sent as it is when it is bytes, else as JSON."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **(headers or {})} if data is not None else headers or {}
        if self._aborted:
            raise SilentError(ABORTED)
        connection = self._connection
        connection.timeout = timeout or self._timeout
        if connection.sock is not None:
            connection.sock.settimeout(connection.timeout)
        try:
            connection.request(method, target(path, query), data, sent)
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise SilentError(f"{type(error).__name__}: {error}") from error
        except BaseException:
            connection.close()  # half an answer is not the next one's
            raise
        if answer.status not in good:
            raise RefusedError(f"{answer.status}: {_message(content)}")
        return content

    def _json(self, *args: Any, **options: Any) -> Any:
        content = self.ask(*args, **options)
        try:
            return json.loads(content)
        except ValueError as error:
            raise SilentError(f"no JSON: {content[:200]!r}") from error

    def create(self, spec: Spec) -> str:
        """Create a container and return its id."""
        published = {f"{port}/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}] for port in spec.ports}
        body = {
            "Image": spec.image, "Cmd": list(spec.command), "Labels": dict(spec.labels),
            "ExposedPorts": {port: {} for port in published},
            "HostConfig": {
                "PortBindings": published,
                "Binds": [f"{volume}:{path}" for volume, path in spec.mounts.items()],
                **({"NetworkMode": spec.network} if spec.network else {}),
            },
        }  # fmt: skip
        return str(self._json("POST", "/containers/create", (201,), query={"name": spec.name}, body=body)["Id"])

    def start(self, name: str, *, ports: bool = False) -> list[str]:
        """Start a container; with `ports`, look which ones it got."""
        self.ask("POST", f"/containers/{name}/start", (204,))
        if not ports:
            return []
        shown = self._json("GET", f"/containers/{name}/json", (200,))["NetworkSettings"]["Ports"]
        return held_ports(shown)

    def wait(self, name: str, timeout: float) -> int:
        """Wait for the end of a container and return its exit code."""
        answer = self._json("POST", f"/containers/{name}/wait", (200,), timeout=timeout)
        return int(answer["StatusCode"])

    def logs(self, name: str) -> bytes:
        """Return what a container has written on standard output."""
        content = self.ask("GET", f"/containers/{name}/logs", (200,), query={"stdout": True})
        return _frames(content)

    def execute(self, name: str, command: tuple[str, ...]) -> tuple[int, bytes]:
        """Run a command in a container; return its exit code and standard output."""
        wanted = {"AttachStdout": True, "AttachStderr": True, "Cmd": list(command)}
        id_ = self._json("POST", f"/containers/{name}/exec", (201,), body=wanted)["Id"]
        out = _frames(self.ask("POST", f"/exec/{id_}/start", (200,), body={"Detach": False, "Tty": False}))
        return int(self._json("GET", f"/exec/{id_}/json", (200,))["ExitCode"]), out

    def kill(self, name: str) -> None:
        """Kill a container."""
        self.ask("POST", f"/containers/{name}/kill", (204,))

    def remove(self, name: str) -> None:
        """Remove a container by force, with its anonymous volumes."""
        self.ask("DELETE", f"/containers/{name}", (204,), query={"force": True, "v": True})

    def exists(self, name: str) -> bool:
        """Tell whether the engine knows a container."""
        try:
            self.ask("GET", f"/containers/{name}/json", (200,))
        except RefusedError as error:
            if str(error).startswith("404: "):
                return False
            raise
        return True

    def make(self, kind: str, name: str, labels: Mapping[str, str]) -> None:
        """Create a network or a volume."""
        self.ask("POST", f"/{kind}s/create", (201,), body={"Name": name, "Labels": dict(labels)})

    def unmake(self, kind: str, name: str) -> None:
        """Remove a network, a volume or an image."""
        self.ask("DELETE", f"/{kind}s/{name}", (200, 204))

    def build(self, name: str, context: bytes, labels: Mapping[str, str]) -> None:
        """Build an image from a context (a tar archive)."""
        query = {"t": name, "labels": dict(labels), "rm": True, "forcerm": True, "nocache": True}
        self._streamed("/build", query, context, {"Content-Type": "application/x-tar"})

    def tag(self, image: str, name: str) -> None:
        """Give an image another name."""
        repository, tag = _parts(name)
        self.ask("POST", f"/images/{image}/tag", (201,), query={"repo": repository, "tag": tag})

    def push(self, name: str) -> None:
        """Push an image to the registry in its name."""
        repository, tag = _parts(name)
        self._streamed(f"/images/{repository}/push", {"tag": tag}, None, {"X-Registry-Auth": _NOBODY})

    def pull(self, name: str) -> None:
        """Pull an image from the registry in its name."""
        repository, tag = _parts(name)
        self._streamed("/images/create", {"fromImage": repository, "tag": tag}, None, {"X-Registry-Auth": _NOBODY})

    def _streamed(self, path: str, query: Query, body: bytes | None, headers: Mapping[str, str]) -> None:
        """Send a request whose answer is a stream of messages, the last of which may be an error."""
        content = self.ask("POST", path, (200,), query=query, body=body, headers=headers, timeout=300.0)
        for line in content.splitlines():
            if b'"error' in line:
                raise RefusedError(_message(line))

    def abort(self) -> None:
        """End the connection under whoever waits at it."""
        self._aborted = True
        if (sock := self._connection.sock) is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def held_ports(shown: Mapping[str, Any]) -> list[str]:
    """Return the ports of an answer to `inspect` as "address:port/protocol"."""
    return sorted(
        f"{binding['HostIp']}:{binding['HostPort']}/{inside.partition('/')[2]}"
        for inside, bindings in (shown or {}).items() for binding in bindings or ()
    )  # fmt: skip


def _frames(content: bytes) -> bytes:
    try:
        return demultiplex(content).stdout
    except (AssertionError, ValueError) as error:
        raise SilentError(f"no frames: {content[:200]!r}") from error


def _parts(name: str) -> tuple[str, str]:
    repository, _, tag = name.rpartition(":")
    return repository, tag


def _message(content: bytes) -> str:
    try:
        value = json.loads(content)
        return str(value.get("message") or value.get("error") or value)
    except (ValueError, AttributeError):
        return content[:300].decode("utf-8", "replace")

"""Load through docker-py, as programs have it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from io import BytesIO
from typing import Any, TypeVar

import docker
import requests
from docker.errors import APIError, DockerException

from seatrial.api.wire import Endpoint
from seatrial.stress.driver import ABORTED, RefusedError, SilentError, Spec
from seatrial.stress.over_http import held_ports

_T = TypeVar("_T")


class DockerPyDriver:
    """docker-py's low-level client; `endpoint` is a unix socket or plain TCP."""

    def __init__(self, endpoint: Endpoint, timeout: float = 60.0) -> None:
        base = f"unix://{endpoint.path}" if endpoint.path else endpoint.base
        self._client: Any = docker.APIClient(base_url=base, version="auto", timeout=int(timeout))
        self._aborted = False

    def _do(self, function: Callable[..., _T], *args: Any, **options: Any) -> _T:
        if self._aborted:
            raise SilentError(ABORTED)
        try:
            return function(*args, **options)
        except APIError as error:
            raise RefusedError(f"{error.status_code}: {error.explanation}") from error
        except (DockerException, requests.RequestException, OSError) as error:
            raise SilentError(f"{type(error).__name__}: {error}") from error

    def create(self, spec: Spec) -> str:
        """Create a container and return its id."""
        host = self._client.create_host_config(
            port_bindings=dict.fromkeys(spec.ports, ("127.0.0.1", None)),
            binds=[f"{volume}:{path}" for volume, path in spec.mounts.items()], network_mode=spec.network or None,
        )  # fmt: skip
        made = self._do(
            self._client.create_container, spec.image, list(spec.command), name=spec.name,
            labels=dict(spec.labels), ports=list(spec.ports), host_config=host,
        )  # fmt: skip
        return str(made["Id"])

    def start(self, name: str, *, ports: bool = False) -> list[str]:
        """Start a container; with `ports`, look which ones it got."""
        self._do(self._client.start, name)
        if not ports:
            return []
        return held_ports(self._do(self._client.inspect_container, name)["NetworkSettings"]["Ports"])

    def wait(self, name: str, timeout: float) -> int:
        """Wait for the end of a container and return its exit code."""
        return int(self._do(self._client.wait, name, timeout=timeout)["StatusCode"])

    def logs(self, name: str) -> bytes:
        """Return what a container has written on standard output."""
        return bytes(self._do(self._client.logs, name, stdout=True, stderr=False))

    def execute(self, name: str, command: tuple[str, ...]) -> tuple[int, bytes]:
        """Run a command in a container; return its exit code and standard output."""
        id_ = self._do(self._client.exec_create, name, list(command))["Id"]
        out = self._do(self._client.exec_start, id_, demux=True)[0] or b""
        return int(self._do(self._client.exec_inspect, id_)["ExitCode"]), out

    def kill(self, name: str) -> None:
        """Kill a container."""
        self._do(self._client.kill, name)

    def remove(self, name: str) -> None:
        """Remove a container by force, with its anonymous volumes."""
        self._do(self._client.remove_container, name, force=True, v=True)

    def exists(self, name: str) -> bool:
        """Tell whether the engine knows a container."""
        try:
            self._do(self._client.inspect_container, name)
        except RefusedError as error:
            if str(error).startswith("404: "):
                return False
            raise
        return True

    def make(self, kind: str, name: str, labels: Mapping[str, str]) -> None:
        """Create a network or a volume."""
        self._do(getattr(self._client, f"create_{kind}"), name, labels=dict(labels))

    def unmake(self, kind: str, name: str) -> None:
        """Remove a network, a volume or an image."""
        self._do(getattr(self._client, f"remove_{kind}"), name)

    def build(self, name: str, context: bytes, labels: Mapping[str, str]) -> None:
        """Build an image from a context (a tar archive)."""
        self._streamed(
            self._client.build, fileobj=BytesIO(context), custom_context=True, tag=name, labels=dict(labels),
            rm=True, forcerm=True, nocache=True, decode=True,
        )  # fmt: skip

    def tag(self, image: str, name: str) -> None:
        """Give an image another name."""
        repository, _, tag = name.rpartition(":")
        self._do(self._client.tag, image, repository, tag)

    def push(self, name: str) -> None:
        """Push an image to the registry in its name."""
        self._streamed(self._client.push, name, stream=True, decode=True)

    def pull(self, name: str) -> None:
        """Pull an image from the registry in its name."""
        self._streamed(self._client.pull, name, stream=True, decode=True)

    def _streamed(self, function: Callable[..., Iterable[Any]], *args: Any, **options: Any) -> None:
        for message in self._do(lambda: list(function(*args, **options))):
            if "error" in message:
                raise RefusedError(str(message["error"]))

    def abort(self) -> None:
        """Send no request any more; docker-py keeps the connection of one that is under way to itself."""
        self._aborted = True

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

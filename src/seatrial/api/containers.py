"""A container of a test, looked at through the API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seatrial.api.messages import Response, Status
from seatrial.api.streams import Frames, Stream
from seatrial.container import Container

if TYPE_CHECKING:
    from seatrial.api.bound import Api


@dataclass(frozen=True)
class Executed:
    """What a command in a container did."""

    id: str
    code: int
    frames: Frames


class ApiContainer(Container):
    """A container of a test; what is asked of it goes over the API, what the kernel shows does not."""

    def __init__(self, api: Api, name: str, id_: str) -> None:
        super().__init__(api.bench, name, id_)
        self.api = api

    def path(self, part: str = "") -> str:
        """Return the path of the container, or of a part of it."""
        return f"/containers/{self.name}" + (f"/{part}" if part else "")

    def get(self, part: str = "json", *, expect: Status = 200, **options: Any) -> Response:
        """GET a part of the container; options as for `Client.request`."""
        return self.api.get(self.path(part), expect=expect, **options)

    def post(self, part: str, *, expect: Status, **options: Any) -> Response:
        """POST to a part of the container; options as for `Client.request`."""
        return self.api.post(self.path(part), expect=expect, **options)

    def delete(self, *, expect: Status, **options: Any) -> Response:
        """Remove the container; options as for `Client.request`."""
        return self.api.delete(self.path(), expect=expect, **options)

    def inspect(self) -> dict[str, Any]:
        """Return the engine's description of the container."""
        described: dict[str, Any] = self.get().json()
        return described

    def start(self) -> None:
        """Start the container."""
        self.post("start", expect=204)

    def wait(self, timeout: float = 30.0) -> int:
        """Wait for the container's end and return its exit code."""
        return int(self.post("wait", expect=200, timeout=timeout).json()["StatusCode"])

    def output(self, **query: Any) -> Frames:
        """Return what the container has written, frame by frame."""
        return self.get("logs", query={"stdout": True, "stderr": True, **query}).frames()

    def attach(self, *, headers: Any = None, expect: Status = 101, **query: Any) -> Stream:
        """Attach to the container; by default to all streams from now on."""
        given = {"stream": True, "stdin": True, "stdout": True, "stderr": True, **query}
        return self.api.hijack(self.path("attach"), query=given, headers=headers, expect=expect)

    def prepare(self, *command: str, expect: Status = 201, **body: Any) -> str:
        """Create an exec of a command and return its id."""
        wanted = {"AttachStdout": True, "AttachStderr": True, "Cmd": list(command), **body}
        return str(self.post("exec", expect=expect, json=wanted).json()["Id"])

    def execute(self, *command: str, **body: Any) -> Executed:
        """Run a command in the container and wait for its end; `body` holds more fields of the exec."""
        id_ = self.prepare(*command, **body)
        answer = self.api.post(f"/exec/{id_}/start", expect=200, json={"Detach": False, "Tty": False})
        code = self.api.get(f"/exec/{id_}/json").json()["ExitCode"]
        return Executed(id_, code, answer.frames())

    def read(self, path: str) -> str:
        """Return a file of the container, read inside."""
        return self.execute("cat", path).frames.stdout.decode()

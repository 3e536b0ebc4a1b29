"""The API in the hands of one test: labels, cleaning, and what tests do often in one word."""

from __future__ import annotations

import json as codec
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from seatrial.api.client import Client
from seatrial.api.containers import ApiContainer
from seatrial.api.messages import Query, Request, Response, Status
from seatrial.api.streams import Stream
from seatrial.exec import Call, ExpectationError
from seatrial.names import IMAGE_NAMESPACE, TEST_LABEL

if TYPE_CHECKING:
    from seatrial.bench import Bench

# What makes labelled objects: the request, their kind, and the part of the body that holds their labels.
MAKERS: Mapping[tuple[str, str], tuple[str, str]] = {
    ("POST", "/containers/create"): ("container", "Labels"),
    ("POST", "/networks/create"): ("network", "Labels"),
    ("POST", "/volumes/create"): ("volume", "Labels"),
}
_IMAGES = re.compile(r"/(build|commit|images/(create|load|.*/tag))")
_ID = re.compile(rb'"(?:Id|ID|stream|status)":\s*"(?:Loaded image ID: |Successfully built )?(sha256:[0-9a-f]{64})')


class Api(Client):
    """An engine's API, bound to a bench: what is made through it is labelled, removed and proved gone."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench.raw.endpoint, journal=bench.journal)
        self.bench = bench

    def request(
        self, method: str, path: str, *, expect: Status, query: Query | None = None, json: Any = None,
        body: bytes | None = None, headers: Mapping[str, str] | None = None, version: str = "",
        timeout: float = 60.0,
    ) -> Response:  # fmt: skip
        """Send a request as `Client` does; a body given as `json` that makes an object gets the test's labels."""
        response = super().request(
            method, path, expect=None, query=query, json=self.labelled(method, path, json), body=body,
            headers=headers, version=version, timeout=timeout,
        )  # fmt: skip
        self.note(response.request, response.status, response.body)
        return response.check(self.status(expect))

    def status(self, expect: Status) -> Status:
        """Return an expected status; the name of a situation stands for what the engine's dialect says."""
        return self.bench.code(expect) if isinstance(expect, str) else expect

    def open(self, method: str, path: str, **options: Any) -> Stream:
        """Open a stream as `Client` does; it is cut after the test."""
        stream = super().open(method, path, **{**options, "expect": self.status(options.get("expect", 200))})
        self.bench.defer(stream.close)
        return stream

    def hijack(self, path: str, **options: Any) -> Stream:
        """Take a connection over as `Client` does; it is cut after the test."""
        stream = super().hijack(path, **options)
        self.bench.defer(stream.close)
        return stream

    def refuses(
        self, method: str, path: str, status: Status, *, says: str = "", **options: Any
    ) -> Response:
        """Send a request that must be refused: with the status, and with a JSON object that has a message.

        `status` is a number or a situation of the dialect, where engines differ by design; `says` is such a
        situation, too, or a regular expression over the message.
        """
        response = self.request(method, path, expect=status, **options)
        if response.content_type != "application/json":
            raise ExpectationError(f"a refusal that is not application/json\n{response}")
        pattern = self.bench.dialect.says.get(says, says)
        if not re.search(pattern, response.message, re.IGNORECASE):
            raise ExpectationError(f"expected a message like /{pattern}/\n{response}")
        return response

    # -- objects -------------------------------------------------------------------------------

    def create(self, *, name: str = "", expect: Status = 201, version: str = "", **body: Any) -> ApiContainer:
        """Create a container; `body` holds the fields of the request, `Image` and `Cmd` have defaults.

        Without `Image` the test image is used, and without `Cmd` as well it sleeps for an hour.
        """
        name = name or self.bench.name()
        defaults = {} if "Image" in body else {"Image": self.bench.image, "Cmd": ["sleep", "3600"]}
        answer = self.post(
            "/containers/create", expect=expect, query={"name": name}, json={**defaults, **body}, version=version
        )
        return ApiContainer(self, name, answer.json()["Id"])

    def run(self, **options: Any) -> ApiContainer:
        """Create a container and start it; options as for `create`."""
        container = self.create(**options)
        container.start()
        return container

    def sh(self, script: str, **options: Any) -> ApiContainer:
        """Run a shell script in a container of the test image; options as for `create`."""
        return self.run(Image=self.bench.image, Cmd=["sh", "-c", script], **options)

    def network(self, *, expect: Status = 201, **body: Any) -> str:
        """Create a network with the fields of `body` and return its name."""
        name = self.bench.name("n")
        self.post("/networks/create", expect=expect, json={"Name": name, **body})
        return name

    def volume(self, *, expect: Status = 201, **body: Any) -> str:
        """Create a volume with the fields of `body` and return its name."""
        name = self.bench.name("v")
        self.post("/volumes/create", expect=expect, json={"Name": name, **body})
        return name

    def image(self, source: str = "") -> str:
        """Give an image (by default the test image) a name of the test's own and return that."""
        name = self.bench.image_name()
        repo, _, tag = name.rpartition(":")
        self.post(f"/images/{source or self.bench.image}/tag", expect=201, query={"repo": repo, "tag": tag})
        return name

    def _begin(self, request: Request, *, talk: bool = False) -> Call:
        self.before(request)
        return super()._begin(request, talk=talk)

    # -- labels and cleaning -------------------------------------------------------------------

    def labelled(self, method: str, path: str, body: Any) -> Any:
        """Return the body of a request with the test's labels, where it makes an object."""
        maker = MAKERS.get((method, path))
        if maker is None or not isinstance(body, dict) or not isinstance(body.get(maker[1], {}), dict):
            return body
        return {**body, maker[1]: {**body.get(maker[1], {}), **self.bench.labels}}

    def before(self, request: Request) -> None:
        """Have what a request may make looked for after the test, whatever comes of it."""
        if maker := MAKERS.get((request.method, request.path)):
            self.bench.mark(maker[0])
        elif request.method == "POST" and _IMAGES.fullmatch(request.path):
            self.bench.mark("image")
            query = dict(parse_qsl(request.target.partition("?")[2]))
            own = [value for value in query.values() if value.startswith(f"{IMAGE_NAMESPACE}/{self.bench.key}-")]
            tag = f":{query['tag']}" if "tag" in query else ""
            self.bench.track("image", *(name + tag for name in own))

    def note(self, request: Request, status: int, body: bytes) -> None:
        """Have removed what an answer says was made, however it was asked for."""
        maker = MAKERS.get((request.method, request.path))
        if maker is not None and status == 201:
            made = codec.loads(body)
            if TEST_LABEL.encode() not in (request.body or b""):
                self.bench.track(maker[0], made.get("Id") or made["Name"])
        elif request.method == "POST" and _IMAGES.fullmatch(request.path):
            self.bench.track("image", *(found.decode() for found in _ID.findall(body)))

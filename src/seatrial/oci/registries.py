"""A registry in the hands of one test: its repository, blobs and manifests by the distribution specification."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from seatrial.api import wire
from seatrial.api.client import Client
from seatrial.api.messages import Response, Status
from seatrial.api.wire import Endpoint
from seatrial.archive import digest
from seatrial.errors import SeatrialError
from seatrial.exec import ExpectationError, Journal
from seatrial.hosts import LOCAL, Host
from seatrial.oci.image import media
from seatrial.oci.image.samples import describe
from seatrial.oci.login import Login, Member

BYTES = {"Content-Type": "application/octet-stream"}
OWN = ("debian", "harbour")  # registries that the harness starts itself
NOWHERE = digest(b"what no registry has")


def endpoint(url: str, ca: str = "", host: Host = LOCAL) -> Endpoint:
    """Return where a registry listens, from its URL; raises `SeatrialError` E326."""
    parts = urlsplit(url)
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        port = 0
    if parts.scheme not in ("http", "https") or not parts.hostname or not port or parts.path.strip("/"):
        raise SeatrialError("E326", f"{url!r} is no URL of a registry", "", "for example http://127.0.0.1:5000")
    authority = Path(ca or "/etc/ssl/certs/ca-certificates.crt")
    tls = wire.Tls(authority) if parts.scheme == "https" else None
    return Endpoint(address=(parts.hostname, port), tls=tls, host=host)


def account(registry: str, login: str, ca: str) -> Login | None:
    """Return the account of the registry under test, None without one.

    `registry` is a URL, or the name of one of our own, which have none; `login` and `ca` are paths, or empty. Raises
    `SeatrialError` E326, E327, E328 and E610.
    """
    if registry in OWN:
        if login or ca:
            raise SeatrialError(
                "E328", "an account is named and no registry", "--registry-login and --registry-ca belong to a URL",
                "--registry https://HOST:PORT",
            )  # fmt: skip
        return None
    endpoint(registry, ca)
    return Login.read(Path(login)) if login else None


@dataclass
class Hub:
    """One repository; what a test makes in it has the test's own name."""

    at: Endpoint
    name: str
    journal: Journal | None = None
    login: Login | None = None

    @cached_property
    def api(self) -> Client:
        """The registry's HTTP interface, with the account where there is one."""
        headers = {"Host": urlsplit(self.at.base).netloc}
        if self.login is None:
            return Client(self.at, journal=self.journal, headers=headers)
        return Member(self.at, self.login, journal=self.journal, headers=headers)

    @property
    def base(self) -> str:
        """The path of the repository."""
        return f"/v2/{self.name}"

    def beside(self, word: str = "other") -> Hub:
        """Return another repository of the same registry."""
        return self.below(f"-{word}")

    def below(self, suffix: str) -> Hub:
        """Return a repository whose name goes on from this one's."""
        return Hub(self.at, f"{self.name}{suffix}", self.journal, self.login)

    # -- blobs ---------------------------------------------------------------------------------

    def begin(self, **query: Any) -> tuple[str, list[tuple[str, str]]]:
        """Begin an upload; return its path and the query that belongs to it."""
        answer = self.api.post(f"{self.base}/blobs/uploads/", expect=202, query=query)
        return self.location(answer)

    def location(self, answer: Response) -> tuple[str, list[tuple[str, str]]]:
        """Return where an answer points; raises `ExpectationError` when that is nowhere in this registry."""
        place = urlsplit(answer.header("Location"))
        if not place.path.startswith("/v2/"):
            raise ExpectationError(f"expected a Location below /v2/\n{answer}")
        return place.path, parse_qsl(place.query, keep_blank_values=True)

    def finish(self, place: tuple[str, list[tuple[str, str]]], data: bytes, sum_: str, *, expect: Status = 201,
               span: str = "") -> Response:  # fmt: skip
        """Close an upload with the last bytes and the digest of the whole."""
        path, query = place
        headers = {**BYTES, "Content-Range": span} if data or not span else {}
        return self.api.put(path, expect=expect, query=[*query, ("digest", sum_)], body=data, headers=headers)

    def chunk(self, place: tuple[str, list[tuple[str, str]]], data: bytes, span: str, *,
              expect: Status = 202) -> Response:  # fmt: skip
        """Send a chunk."""
        path, query = place
        headers = {**BYTES, "Content-Range": span}
        return self.api.request("PATCH", path, expect=expect, query=query, body=data, headers=headers)

    def blob(self, data: bytes) -> str:
        """Store a blob; return its digest."""
        self.finish(self.begin(), data, digest(data))
        return digest(data)

    # -- manifests -----------------------------------------------------------------------------

    def manifest(self, **changes: Any) -> bytes:
        """Store the blobs of an image and return its manifest, which is not stored yet."""
        config, layer = f'{{"of": "{self.name}"}}'.encode(), f"layer of {self.name}".encode()
        self.blob(config)
        self.blob(layer)
        value = {
            "schemaVersion": 2, "mediaType": media.MANIFEST, "config": describe(config, media.CONFIG),
            "layers": [describe(layer, media.LAYER)], **changes,
        }  # fmt: skip
        return json.dumps(value, indent=1).encode()

    def put(self, reference: str, text: bytes, kind: str = media.MANIFEST, *, expect: Status = 201,
            **options: Any) -> Response:  # fmt: skip
        """Store a manifest."""
        headers = {"Content-Type": kind}
        return self.api.put(f"{self.base}/manifests/{reference}", expect=expect, body=text, headers=headers, **options)

    def push(self, tag: str = "v1", **changes: Any) -> bytes:
        """Store an image under a tag; return its manifest."""
        text = self.manifest(**changes)
        self.put(tag, text)
        return text

    def get(self, reference: str, *, expect: Status = 200, method: str = "GET", **options: Any) -> Response:
        """Fetch a manifest."""
        headers = {"Accept": f"{media.MANIFEST}, {media.INDEX}, {media.DOCKER_MANIFEST}"}
        path = f"{self.base}/manifests/{reference}"
        return self.api.request(method, path, expect=expect, headers=headers, **options)

    def tags(self, **query: Any) -> list[str]:
        """List the tags."""
        listed = self.api.get(f"{self.base}/tags/list", query=query).json()
        if not isinstance(listed, dict) or listed.get("name") != self.name or not isinstance(listed.get("tags"), list):
            raise ExpectationError(f"expected name and tags of {self.name}, seen {listed!r}")
        return list(listed["tags"])

    def referrers(self, sum_: str, **query: Any) -> Response:
        """Ask for the list of referrers."""
        return self.api.get(f"{self.base}/referrers/{sum_}", query=query)


def codes(answer: Response) -> list[str]:
    """Return the codes of an error's body; raises `ExpectationError` when it has not the form that is defined."""
    told = answer.json()
    errors = told.get("errors") if isinstance(told, dict) else None
    if not isinstance(errors, list) or not errors or not all(isinstance(one, dict) for one in errors):
        raise ExpectationError(f'expected {{"errors": [...]}}\n{answer}')
    found = [one.get("code") for one in errors]
    if not all(isinstance(code, str) and code.replace("_", "").isupper() for code in found):
        raise ExpectationError(f"expected codes in upper case\n{answer}")
    return [str(code) for code in found]

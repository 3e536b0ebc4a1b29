"""Requests and answers as a test sees them; an answer prints itself when an assertion fails."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from http.client import HTTPMessage
from typing import Any
from urllib.parse import quote, urlencode

from seatrial.api import streams
from seatrial.exec import ExpectationError, indent, parsed

# what a test expects: a status, several, or any; the name of a situation stands for the dialect's code of it
Status = int | str | Collection[int] | None
Query = Mapping[str, Any] | Sequence[tuple[str, Any]]


@dataclass(frozen=True)
class Request:
    """A request as it goes over the wire; `target` is the path with its query."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None

    @property
    def path(self) -> str:
        """The path without version and query: what the request is about."""
        return re.sub(r"^/v\d+\.\d+(?=/)", "", self.target.partition("?")[0])

    def curl(self, options: Sequence[str], base: str) -> tuple[str, ...]:
        """Return the curl command that sends this; a body is read from standard input."""
        words = ["curl", "-sS", "-i", *options]
        words += ["--head"] if self.method == "HEAD" else ["-X", self.method] if self.method != "GET" else []
        for name, value in self.headers.items():
            words += ["-H", f"{name}: {value}" if value else f"{name};"]
        if self.body is not None:
            words += ["--data-binary", "@-"]
        return (*words, base + self.target)


@dataclass(frozen=True, repr=False)
class Response:
    """An answer: status, headers (any case), body; `duration` in seconds. `curl` is the command that repeats it."""

    request: Request
    status: int
    reason: str
    headers: HTTPMessage
    body: bytes
    duration: float = 0.0
    curl: tuple[str, ...] = ()
    timed_out: bool = False

    @property
    def ok(self) -> bool:
        """Whether the request was not refused."""
        return self.status < 400

    @cached_property
    def text(self) -> str:
        """The body as text; bytes that are not UTF-8 are shown escaped."""
        return self.body.decode("utf-8", "backslashreplace")

    def header(self, name: str) -> str:
        """Return a header, empty when it is missing."""
        return str(self.headers.get(name, ""))

    @property
    def content_type(self) -> str:
        """The media type without parameters."""
        return self.header("Content-Type").partition(";")[0].strip()

    def json(self) -> Any:
        """Return the body as JSON; raises `ExpectationError` when it is none."""
        return parsed(self.body, str(self), "the body")

    def records(self) -> list[Any]:
        """Return the JSON values of a body that is a stream of them."""
        return streams.json_values(self.body)

    def frames(self) -> streams.Frames:
        """Return the frames of a multiplexed body."""
        return streams.demultiplex(self.body)

    @property
    def message(self) -> str:
        """What a refusal says; raises `ExpectationError` when the body is not a JSON object with a message."""
        value = self.json()
        text = value.get("message") if isinstance(value, dict) else None
        if not isinstance(text, str) or not text.strip():
            raise ExpectationError(f"a refusal without a message\n{self}")
        return text

    def check(self, expect: Status) -> Response:
        """Hold the status against an expectation; raises `ExpectationError` with the whole exchange."""
        if isinstance(expect, str):
            raise ValueError(f"{expect!r} is no status, and no dialect is known here")
        matches = expect is None or (self.status == expect if isinstance(expect, int) else self.status in expect)
        if not matches:
            raise ExpectationError(f"expected status {expect}, seen {self.status}\n{self}")
        return self

    def __repr__(self) -> str:
        return f"<{self.status}: {self.request.method} {self.request.target[:100]}>"

    def __str__(self) -> str:
        lines = [f"> {self.request.method} {self.request.target}"]
        if self.curl:
            lines.append(f"$ {shlex.join(self.curl)}")
        lines.append(f"  {self.status} {self.reason} after {self.duration:.3f} s")
        if self.request.body:
            lines.append(indent("sent", self.request.body.decode("utf-8", "backslashreplace")))
        lines += [f"  header| {name}: {value}" for name, value in self.headers.items()]
        if self.body:
            lines.append(indent("body", self.text))
        return "\n".join(lines)


def target(path: str, query: Query | None = None, version: str = "") -> str:
    """Return a request target: the version in front, values of the query as the API writes them.

    Objects and lists become JSON, booleans `true` and `false`; None leaves a parameter out. What the
    path holds of other characters is escaped, but for those that separate its parts.
    """
    prefix = f"/v{version}" if version else ""
    pairs = [(name, _value(value)) for name, value in (query.items() if isinstance(query, Mapping) else query or ())
             if value is not None]  # fmt: skip
    return prefix + quote(path, safe="/:@%") + ("?" + urlencode(pairs) if pairs else "")


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)

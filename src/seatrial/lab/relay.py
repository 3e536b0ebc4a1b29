"""A proxy in front of a registry that fails as networks do: it cuts both ways, delays, flips bytes, answers for it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl

from seatrial.api.client import Client
from seatrial.lab.registry import Registry
from seatrial.lab.web import Answer, Asked, Web

_HOPS = {"connection", "keep-alive", "transfer-encoding", "content-length", "date"}

Change = Callable[[Answer], Answer]


@dataclass
class Fault:
    """What happens to requests or their answers: to which, how often (at most), and what to an answer."""

    method: str
    path: str
    times: int
    change: Change = lambda answer: answer
    happened: int = 0

    def applies(self, asked: Asked) -> bool:
        """Tell whether it happens to this request, and count it."""
        fits = re.fullmatch(self.method, asked.method) is not None and re.search(self.path, asked.path) is not None
        if not fits or self.happened >= self.times:
            return False
        self.happened += 1
        return True


def cut(share: float = 0.5) -> Change:
    """Send a part of the body and close the connection."""
    return lambda answer: dataclasses.replace(answer, cut=int(len(answer.body) * share))


def flip(place: float = 0.5) -> Change:
    """Change one byte of the body."""

    def change(answer: Answer) -> Answer:
        data = bytearray(answer.body)
        data[int((len(data) - 1) * place)] ^= 0xFF
        return dataclasses.replace(answer, body=bytes(data))

    return change


def late(seconds: float) -> Change:
    """Answer later."""
    return lambda answer: dataclasses.replace(answer, delay=seconds)


def status(code: int, body: bytes = b"") -> Change:
    """Answer with another status instead."""
    return lambda _: Answer(code, {"Content-Type": "application/json"}, body)


class Relay(Web):
    """The proxy; `address` is what images are named by, `asked` are the requests that went through."""

    def __init__(self, registry: Registry) -> None:
        self.faults: list[Fault] = []
        self._cuts: list[tuple[Fault, int]] = []
        self._spoiled: list[Fault] = []
        self.registry = registry
        self._client = Client(registry.endpoint)
        super().__init__(registry.host, self._forward, tls=True)

    def fail(self, method: str, path: str, change: Change, times: int = 1000) -> Fault:
        """Have answers to requests whose method and path match changed, the first `times` of them."""
        fault = Fault(method, path, times, change)
        self.faults.append(fault)
        return fault

    def cut(self, method: str, path: str, after: int, times: int = 1000) -> Fault:
        """Have requests of a method whose path matches cut after so many bytes of their body, the first `times`.

        What came through goes on to the registry, which sees the same cut.
        """
        fault = Fault(method, path, times)
        self._cuts.append((fault, after))
        return fault

    def spoil(self, method: str, path: str, times: int = 1000) -> Fault:
        """Have the first byte of a request's body changed before it goes on to the registry."""
        fault = Fault(method, path, times)
        self._spoiled.append(fault)
        return fault

    def heal(self) -> None:
        """Let everything through again."""
        self.faults.clear()
        self._cuts.clear()
        self._spoiled.clear()

    def takes(self, asked: Asked) -> int | None:
        """Return after how many bytes a request is cut."""
        return next((after for fault, after in list(self._cuts) if fault.applies(asked)), None)

    def broken_off(self, asked: Asked) -> None:
        """Send the registry what came of a request, announce more, and hang up."""
        kept = {name: value for name, value in asked.headers.items() if name not in _HOPS}
        head = "".join(f"{name}: {value}\r\n" for name, value in kept.items())
        size = f"{len(asked.body) + 1000:x}"
        request = f"{asked.method} {asked.target} HTTP/1.1\r\n{head}Transfer-Encoding: chunked\r\n\r\n{size}\r\n"
        with self._client.dial() as line:
            line.send(request.encode() + asked.body)

    def reference(self, name: str, tag: str = "latest") -> str:
        """Return the full reference of an image that goes through the proxy."""
        return f"{self.address}/{name}:{tag}"

    def _forward(self, asked: Asked) -> Answer:
        if asked.body and any(fault.applies(asked) for fault in self._spoiled):
            asked = dataclasses.replace(asked, body=bytes([asked.body[0] ^ 0xFF]) + asked.body[1:])
        answer = forward(self._client, asked)
        for fault in self.faults:
            if fault.applies(asked):
                answer = fault.change(answer)
        return answer


def forward(client: Client, asked: Asked) -> Answer:
    """Hand a request on as it came and return what was answered."""
    kept = {name: value for name, value in asked.headers.items() if name not in _HOPS}
    kept.setdefault("content-type", "")  # none is added
    body = asked.body if asked.body or asked.method in ("PATCH", "PUT", "POST") else None
    query = parse_qsl(asked.target.partition("?")[2], keep_blank_values=True)
    said = client.request(asked.method, asked.path, expect=None, query=query, headers=kept, body=body)
    headers = {name: value for name, value in said.headers.items() if name.lower() not in _HOPS}
    if asked.method == "HEAD" and "Content-Length" in said.headers:
        headers["Content-Length"] = said.header("Content-Length")
    return Answer(said.status, headers, said.body)

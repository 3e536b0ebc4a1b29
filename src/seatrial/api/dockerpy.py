"""docker-py as a test's client: what it sends is labelled, noted in the journal, and cleaned up by the bench."""

from __future__ import annotations

import json
import time
from http.client import HTTPMessage
from typing import TYPE_CHECKING, Any

import docker
from docker.tls import TLSConfig

from seatrial.api.messages import Request, Response
from seatrial.exec import Call

if TYPE_CHECKING:
    import requests

    from seatrial.bench import Bench


# the headers by which an engine acts; the others are the library's own
_TELLING = {"connection", "content-type", "upgrade", "x-registry-auth", "x-registry-config"}


class RecordedClient(docker.APIClient):
    """docker-py's low-level client with a test's bench behind it."""

    def __init__(self, bench: Bench, timeout: int) -> None:
        self._bench = bench
        endpoint = bench.api.endpoint
        tls: TLSConfig | bool = False
        if endpoint.tls is not None:
            pair = (str(endpoint.tls.certificate), str(endpoint.tls.key)) if endpoint.tls.certificate else None
            tls = TLSConfig(client_cert=pair, ca_cert=str(endpoint.tls.ca), verify=True)
        base = f"unix://{endpoint.path}" if endpoint.path else endpoint.base
        self._answers: list[requests.Response] = []
        super().__init__(base_url=base, version="auto", timeout=timeout, tls=tls)

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Send a request as `requests` does, with labels on what it makes, and note it."""
        api = self._bench.api
        described = _described(request)
        if labelled := _labels(api.labelled, described):
            request.prepare_body(labelled, None)
            described = _described(request)
        api.before(described)
        call = Call(described.curl(api.endpoint.curl, api.endpoint.base), time.time(), stdin=described.body)
        self._bench.journal.begin(call)
        began = time.perf_counter()
        answer: requests.Response = super().send(request, **options)
        self._answers.append(answer)
        took = time.perf_counter() - began
        body = b"" if options.get("stream") else answer.content
        headers = HTTPMessage()
        for name, value in answer.headers.items():
            headers[name] = value
        call.result = Response(described, answer.status_code, answer.reason, headers, body, took, call.argv)
        self._bench.journal.end()
        if body:
            api.note(described, answer.status_code, body)
        return answer


    def close(self) -> None:
        """Close all connections, those of streams that were left as well, which the library forgets."""
        for answer in self._answers:
            answer.close()
        super().close()


def _described(request: requests.PreparedRequest) -> Request:
    body = request.body
    given = body.encode() if isinstance(body, str) else body if isinstance(body, bytes) else None
    kept = {name: str(value) for name, value in request.headers.items() if name.lower() in _TELLING}
    return Request(str(request.method), str(request.path_url), kept, given)


def _labels(labelled: Any, request: Request) -> str:
    """Return the body of a request with labels, empty when it gets none."""
    try:
        given = json.loads(request.body or b"")
    except ValueError:
        return ""
    marked = labelled(request.method, request.path, given)
    return "" if marked is given else json.dumps(marked)


def client(bench: Bench, timeout: int = 60) -> docker.DockerClient:
    """Return docker-py's client for the engine of a bench; close it after use."""
    made = docker.DockerClient.__new__(docker.DockerClient)
    made.api = RecordedClient(bench, timeout)
    return made

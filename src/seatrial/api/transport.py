"""Images on their way between an engine and a registry, asked for over the engine's API."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from seatrial.api.bound import Api
from seatrial.api.messages import Response, Status
from seatrial.exec import ExpectationError

_HEADER = "X-Registry-Auth"
KINDS = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"
# credentials of nobody: an empty object in base64 (API reference, "Authentication")
NOBODY: Mapping[str, str] = {_HEADER: base64.urlsafe_b64encode(b"{}").decode()}


def login(user: str, password: str, address: str = "") -> dict[str, str]:
    """Return the header with a user's credentials for a registry."""
    told = {"username": user, "password": password, "serveraddress": address}
    return {_HEADER: base64.urlsafe_b64encode(json.dumps(told).encode()).decode()}


def at(reference: str) -> str:
    """Return the path of an image's manifest at its registry."""
    name, _, tag = reference.partition("/")[2].rpartition(":")
    return f"/v2/{name}/manifests/{tag}"


def push(api: Api, reference: str, *, expect: Status = 200, headers: Mapping[str, str] = NOBODY) -> Response:
    """Push an image; the status is 200 also when the stream ends with an error."""
    repo, _, tag = reference.rpartition(":")
    return api.post(f"/images/{repo}/push", expect=expect, query={"tag": tag}, headers=headers, timeout=120)


def pull(api: Api, reference: str, *, expect: Status = 200, headers: Mapping[str, str] = NOBODY) -> Response:
    """Pull an image by its tag; it is removed after the test."""
    repo, _, tag = reference.rpartition(":")
    api.bench.track("image", reference)
    query = {"fromImage": repo, "tag": tag}
    return api.post("/images/create", expect=expect, query=query, headers=headers, timeout=120)


def failed(answer: Response) -> str:
    """Return the error of an answer, in its status or at the end of its stream; raise when there is none."""
    if answer.status >= 400:
        value = answer.json()
        return str(value.get("message") or value["errorDetail"]["message"])
    records = answer.records()
    if not records or "errorDetail" not in records[-1]:
        raise ExpectationError(f"a transfer that should have failed did not\n{answer}")
    return str(records[-1]["errorDetail"]["message"])


def well(answer: Response) -> list[Any]:
    """Return the records of a stream, of which there is one at least; raise when one of them is an error."""
    records = answer.records()
    if not records or any("error" in record for record in records):
        raise ExpectationError(f"a transfer failed\n{answer}")
    return records

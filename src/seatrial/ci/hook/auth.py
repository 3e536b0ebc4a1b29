"""Who sent a request: a shared token, or a signature over its body. Decided before anything is parsed."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping

from seatrial.ci.hook.config import Project

WINDOW = 300.0


def refusal(project: Project, headers: Mapping[str, str], body: bytes, now: float) -> str:
    """Return why a request is not from the project's GitLab, empty when it is.

    Every secret is compared, in constant time. A project with signing keys takes no plain token: else the weaker
    check would be the one that counts. Signatures are those of Standard Webhooks: HMAC-SHA256 of ID.TIMESTAMP.BODY.
    """
    if project.signing:
        return _signature(project.signing, headers, body, now)
    given = headers.get("x-gitlab-token", "").encode("utf-8", "surrogateescape")
    matches = [hmac.compare_digest(given, token.encode()) for token in project.tokens]
    return "" if True in matches else "wrong token" if given else "no token"


def _signature(keys: tuple[str, ...], headers: Mapping[str, str], body: bytes, now: float) -> str:
    identity, moment = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    given = headers.get("webhook-signature", "").split()
    if not identity or not moment or not given:
        return "no signature"
    signed = f"{identity}.{moment}.".encode("utf-8", "surrogateescape") + body
    wanted = [b"v1," + base64.b64encode(hmac.new(_key(key), signed, hashlib.sha256).digest()) for key in keys]
    matches = [
        hmac.compare_digest(one.encode("utf-8", "surrogateescape"), other) for one in given[:8] for other in wanted
    ]
    if True not in matches:
        return "wrong signature"
    try:
        age = abs(now - float(moment))
    except ValueError:
        age = WINDOW + 1
    # the moment is signed: an old request that someone kept is refused
    return "" if age <= WINDOW else "too old"


def _key(token: str) -> bytes:
    if token.startswith("whsec_"):
        try:
            return base64.b64decode(token.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            pass
    return token.encode()


def delivery(headers: Mapping[str, str], body: bytes) -> str:
    """Return what a delivery is remembered by: GitLab gives all tries of one the same key."""
    for name in ("webhook-id", "idempotency-key"):
        if value := headers.get(name, ""):
            return f"{name}:{value[:200]}"
    return f"sha256:{hashlib.sha256(body).hexdigest()}"

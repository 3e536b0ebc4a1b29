"""A token server for a registry: it signs what a test tells it to, right or wrong.

The tokens are those of the specification "Docker Registry v2 authentication": JSON Web Tokens, signed
with ES256, the certificate of the key in the header x5c.
"""

from __future__ import annotations

import base64
import datetime
import json
import secrets
import time
from collections.abc import Mapping
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

from seatrial.hosts import Host
from seatrial.lab.web import Answer, Asked, Web

ISSUER = "seatrial-tokens"
SERVICE = "seatrial-registry"


class Signer:
    """A key and its self-signed certificate."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, ISSUER)])
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder(name, name, self._key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(days=1))
        builder = builder.not_valid_after(now + datetime.timedelta(days=1))
        self._certificate = builder.sign(self._key, hashes.SHA256())

    @property
    def pem(self) -> bytes:
        """The certificate, as a registry's rootcertbundle takes it."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def sign(self, claims: Mapping[str, Any], header: Mapping[str, Any] | None = None) -> str:
        """Return a token; `header` replaces parts of its header."""
        chain = [base64.b64encode(self._certificate.public_bytes(serialization.Encoding.DER)).decode()]
        head = {"typ": "JWT", "alg": "ES256", "x5c": chain, **(header or {})}
        text = f"{_part(json.dumps(head).encode())}.{_part(json.dumps(claims).encode())}"
        r, s = decode_dss_signature(self._key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{text}.{_part(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


class TokenServer(Web):
    """Answers `GET /token`; `changes` replace claims, `header` parts of the header, `signer` the key.

    With `account` (user, password) others get 401. `granted` are the actions that are given at most.
    """

    def __init__(self, host: Host) -> None:
        self.signer = Signer()
        self.trusted = self.signer.pem
        self.changes: dict[str, Any] = {}
        self.header: dict[str, Any] = {}
        self.account: tuple[str, str] | None = None
        self.granted = {"pull", "push", "delete", "*"}
        self.lifetime = 300
        self.age = 0  # seconds since it was issued, as the answer says
        super().__init__(host, self._answer)

    @property
    def realm(self) -> str:
        """The URL that a registry names to its clients."""
        return f"http://{self.address}/token"

    def token(self, *scopes: str, **changes: Any) -> str:
        """Return a token for scopes such as `repository:name:pull,push`; `changes` replace claims, None drops them."""
        now = int(time.time())
        access = []
        for scope in scopes:
            kind, _, rest = scope.partition(":")
            name, _, actions = rest.rpartition(":")
            given = [action for action in actions.split(",") if action in self.granted]
            access.append({"type": kind, "name": name, "actions": given})
        claims = {
            "iss": ISSUER, "sub": "", "aud": SERVICE, "exp": now + self.lifetime, "nbf": now - 10, "iat": now,
            "jti": secrets.token_hex(8), "access": access, **self.changes, **changes,
        }  # fmt: skip
        return self.signer.sign({name: value for name, value in claims.items() if value is not None}, self.header)

    def _answer(self, asked: Asked) -> Answer:
        if self.account:
            wanted = "Basic " + base64.b64encode(":".join(self.account).encode()).decode()
            if asked.headers.get("authorization") != wanted:
                return Answer(401, {"Content-Type": "application/json"}, b'{"details": "wrong user or password"}')
        scopes = [word for value in asked.query.get("scope", []) for word in value.split()]
        body: dict[str, Any] = {"token": self.token(*scopes), "expires_in": self.lifetime}
        if self.age:
            issued = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=self.age)
            body["issued_at"] = issued.strftime("%Y-%m-%dT%H:%M:%SZ")
        return Answer(200, {"Content-Type": "application/json"}, json.dumps(body).encode())


def _part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

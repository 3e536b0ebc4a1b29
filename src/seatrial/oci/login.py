"""An account at a registry: its challenges are answered, its password stands in no command and no journal."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from seatrial import secret
from seatrial.api.client import Client
from seatrial.api.messages import Request, Response, Status
from seatrial.api.wire import Endpoint
from seatrial.errors import SeatrialError
from seatrial.exec import ExpectationError
from seatrial.listening import is_loopback
from seatrial.oci.challenge import Challenge, token_in

_REPOSITORY = re.compile(r"/v2/(?P<name>.+)/(?:manifests|blobs|tags|referrers)/")
_TIMEOUT = 30.0


@dataclass
class Login:
    """A user and a password, and what the registry has asked of them so far."""

    user: str
    password: str = field(repr=False)
    _basic: bool = False
    _tokens: dict[str, str] = field(default_factory=dict, repr=False)  # repository -> the last token for it

    @classmethod
    def read(cls, path: Path) -> Login:
        """Read USER:PASSWORD, one line in a file of one's own; raises `SeatrialError` E610 and E327."""
        user, colon, password = secret.read(path, "USER:PASSWORD").partition(":")
        if not colon or not user:
            raise SeatrialError(
                "E327", f"{path} holds no account of a registry", "there is no colon behind a user's name",
                f"echo USER:PASSWORD | install -m 600 /dev/stdin {path}",
            )  # fmt: skip
        return cls(user, password)

    def headers(self, request: Request) -> Mapping[str, str]:
        """Return what a request carries, as far as it is known what the registry wants."""
        if self._basic:
            word = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
            return {"Authorization": f"Basic {word}"}
        token = self._tokens.get(_repository(request))
        return {"Authorization": f"Bearer {token}"} if token else {}

    def learn(self, endpoint: Endpoint, refused: Response) -> bool:
        """Do what a challenge asks for; False when that is nothing that would change the answer.

        Raises `ExpectationError` where the password would travel unprotected, or no token comes.
        """
        challenge = Challenge.read(refused.header("WWW-Authenticate"))
        if challenge.kind == "basic" and not self._basic:
            _protected(endpoint.base)
            self._basic = True
            return True
        if challenge.realm:
            self._tokens[_repository(refused.request)] = self._token(challenge)
            return True
        return False

    def _token(self, challenge: Challenge) -> str:
        realm, fields = challenge.realm, challenge.fields
        _protected(realm)
        query: dict[str, Any] = {"service": fields.get("service", ""), "scope": fields.get("scope", "").split()}
        try:
            with requests.Session() as session:
                session.trust_env = False  # a .netrc is not what was named
                answer = session.get(realm, params=query, auth=(self.user, self.password), timeout=_TIMEOUT,
                                     allow_redirects=False)  # fmt: skip
                told = answer.json() if answer.ok else {}
        except (requests.RequestException, ValueError) as error:
            raise ExpectationError(f"no token from {realm}: {type(error).__name__}") from error
        if not (token := token_in(told)):
            raise ExpectationError(f"no token from {realm} for {self.user}: it answers {answer.status_code}")
        return token


def _repository(request: Request) -> str:
    found = _REPOSITORY.match(request.target)
    return found["name"] if found else ""


def _protected(url: str) -> None:
    """Raise unless a password that goes there is encrypted, or does not leave this machine."""
    parts = urlsplit(url)
    name = parts.hostname or ""
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(name)):
        raise ExpectationError(f"a password is not sent to {parts.scheme}://{name}: it would travel unprotected")


class Member(Client):
    """A client with an account: what is refused is asked again once as the challenge says."""

    def __init__(self, endpoint: Endpoint, login: Login, **options: Any) -> None:
        super().__init__(endpoint, **options)
        self.login = login

    def request(self, method: str, path: str, *, expect: Status, **options: Any) -> Response:
        """Send a request as `Client` does."""
        answer = super().request(method, path, expect=None, **options)
        if answer.status == 401 and self.login.learn(self.endpoint, answer):
            answer = super().request(method, path, expect=None, **options)
        return answer.check(expect)

    def unseen(self, request: Request) -> Mapping[str, str]:
        """Return the headers with the secret."""
        return self.login.headers(request)

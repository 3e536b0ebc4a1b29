"""What a registry asks of those it refuses, and the token that answers it.

Two kinds are known: Basic (RFC 7617), and Bearer, for which a token is fetched from the server that the registry
names (distribution, "Token Authentication Specification").
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_FIELD = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True)
class Challenge:
    """A WWW-Authenticate header: its kind in small letters, and its fields."""

    kind: str
    fields: Mapping[str, str]

    @classmethod
    def read(cls, header: str) -> Challenge:
        """Take a header apart."""
        kind, _, rest = header.partition(" ")
        return cls(kind.lower(), dict(_FIELD.findall(rest)))

    @property
    def realm(self) -> str:
        """Where a token is to be had, empty when this is no challenge for one."""
        return self.fields.get("realm", "") if self.kind == "bearer" else ""


def token_in(told: Any) -> str:
    """Return the token in a token server's answer, empty when there is none that a header could carry."""
    token = told.get("token") or told.get("access_token") if isinstance(told, dict) else None
    return token if isinstance(token, str) and token.isascii() and token.isprintable() else ""

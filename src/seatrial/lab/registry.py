"""A registry on loopback: Debian's docker-registry, plain or with TLS and a password.

It runs in the network namespace of the engine that talks to it, so that `127.0.0.1:PORT` means the
same to both, and it ends with the process that started it. In a lab it may listen beside loopback
(`OUTSIDE`), where no engine trusts it more than any other.
"""

from __future__ import annotations

import base64
import datetime
import json
import os
import re
import secrets
import ssl
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import bcrypt
import trustme

from seatrial.api import wire
from seatrial.api.client import Client
from seatrial.api.wire import Endpoint
from seatrial.engines.base import CliEngine
from seatrial.errors import SeatrialError
from seatrial.exec import ExpectationError, Journal, base_environment, kill_group, run
from seatrial.hosts import Host
from seatrial.lab import rootfs
from seatrial.lab.tokens import ISSUER, SERVICE, TokenServer
from seatrial.paths import remove_tree

_BINARY = "/usr/bin/docker-registry"
_LISTENING = re.compile(rb"listening on [\d.]+:(\d+)")
LOOPBACK = "127.0.0.1"
OUTSIDE = "192.0.2.1"  # of a network that nobody has (RFC 5737)
# certificates that are wrong in one way
Tls = Literal["expired", "other-name"]
_INSECURE = '[[registry]]\nlocation = "{address}"\ninsecure = true\n'


@dataclass
class Registry:
    """A running registry; `work` is its directory in the host, `ca` the path of its CA there (or None)."""

    host: Host
    work: Path
    port: int
    process: subprocess.Popen[bytes]
    auth: tuple[str, str] | None = None
    ca: Path | None = None
    journal: Journal | None = None
    ip: str = LOOPBACK
    _admitted: list[Path] = field(default_factory=list)

    @classmethod
    def start(
        cls, host: Host, work: Path, *, tls: bool | Tls = False, auth: tuple[str, str] | None = None,
        tokens: TokenServer | None = None, settings: Mapping[str, Any] | None = None,
        journal: Journal | None = None, ip: str = LOOPBACK, timeout: float = 20.0,
    ) -> Registry:  # fmt: skip
        """Start a registry on a free port of the host's loopback and wait until it answers.

        With `ip=OUTSIDE` the host gets that address, and keeps it: it must be that of one test. `work` is a
        directory of the host that does not exist yet; `auth` is (user, password), `tokens` the server whose
        tokens it takes; `settings` are merged into its configuration. Raises `SeatrialError` E211 with the
        registry's last words when it does not start.
        """
        seen = host.path(work)
        seen.mkdir(parents=True)
        if ip != LOOPBACK:
            run(["ip", "address", "replace", f"{ip}/32", "dev", "lo"], host=host)
        known = _configuration(seen, work, ip, tls, auth, tokens, settings or {})
        (seen / "config.yml").write_text(json.dumps(known))
        process = _serve(host, work)
        registry = cls(host, work, 0, process, auth, work / "ca.pem" if tls else None, journal, ip)
        try:
            registry._await(time.monotonic() + timeout)
        except BaseException:
            registry.close()
            raise
        return registry

    @property
    def address(self) -> str:
        """Host and port as an image reference names them."""
        return f"{self.ip}:{self.port}"

    def reference(self, name: str, tag: str = "latest") -> str:
        """Return the full reference of an image in this registry."""
        return f"{self.address}/{name}:{tag}"

    @property
    def endpoint(self) -> Endpoint:
        """Where the registry's own API listens."""
        tls = wire.Tls(self.host.path(self.ca)) if self.ca else None
        return Endpoint(address=(self.ip, self.port), tls=tls, host=self.host)

    @property
    def api(self) -> Client:
        """The registry's HTTP interface, with the password where it has one."""
        headers = {"Authorization": f"Basic {credentials(*self.auth)}"} if self.auth else {}
        return Client(self.endpoint, journal=self.journal, headers=headers)

    @property
    def anonymous(self) -> Client:
        """The registry's HTTP interface without a password."""
        return Client(self.endpoint, journal=self.journal)

    @property
    def log(self) -> str:
        """What the registry has logged so far."""
        return self.host.path(self.work / "registry.log").read_text("utf-8", "replace")

    def admit(self, engine: CliEngine) -> None:
        """Make an engine of the same lab trust this registry, until it is closed.

        With TLS the CA is installed; without, an engine that does not take plain HTTP from loopback
        by itself is told to. Never call it for the user's own engine: it writes below /etc.
        """
        ca = self.host.path(self.ca).read_bytes() if self.ca else None
        self._admitted += admit(engine, self.address, ca)

    def restart(self, timeout: float = 20.0) -> None:
        """End the registry and start another on the same storage; its port is a new one, its log begins anew."""
        kill_group(self.process)
        self.process.wait()
        self.process = _serve(self.host, self.work)
        self._await(time.monotonic() + timeout)

    def close(self) -> None:
        """End the registry; its storage and what `admit` wrote go with it."""
        kill_group(self.process)
        self.process.wait()
        for path in (*self._admitted, self.host.path(self.work)):
            remove_tree(path)
        self._admitted.clear()

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _await(self, deadline: float) -> None:
        log = self.host.path(self.work / "registry.log")
        while time.monotonic() < deadline and self.process.poll() is None:
            if found := _LISTENING.search(log.read_bytes()):
                self.port = int(found[1])
                try:
                    if Client(self.endpoint).get("/v2/", expect=None).status in (200, 401):
                        return
                except ExpectationError as error:
                    if isinstance(error.__cause__, ssl.SSLCertVerificationError):  # as it was asked for
                        return
            time.sleep(0.02)
        last = log.read_text("utf-8", "replace").strip().splitlines()[-1:] or ["no message"]
        raise SeatrialError(
            "E211", f"the registry did not start on {self.host.name}", last[0],
            "is docker-registry installed there?",
        )  # fmt: skip


def admit(engine: CliEngine, address: str, ca: bytes | None = None) -> list[Path]:
    """Make a lab's engine trust an address of a registry: its CA, or plain HTTP; return what to remove again."""
    if ca:
        path = engine.host.path(f"{engine.certificates}/{address}/ca.crt")
        owned, content = path.parent, ca
    elif engine.registries:
        path = owned = engine.host.path(f"{engine.registries}/seatrial-{address.rpartition(':')[2]}.conf")
        content = _INSECURE.format(address=address).encode()
    else:
        return []
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return [owned]


def credentials(user: str, password: str) -> str:
    """Return a user and a password as HTTP's basic authentication sends them."""
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def _program(host: Host) -> list[str]:
    """Return how docker-registry is started on a host: its own, else the one of the bookworm lab."""
    if os.access(host.path(_BINARY), os.X_OK):
        return [_BINARY]
    return rootfs.program(rootfs.ensure("bookworm"), _BINARY)


def _serve(host: Host, work: Path) -> subprocess.Popen[bytes]:
    """Start the program with what stands in its directory."""
    with host.path(work / "registry.log").open("wb") as stream:
        return subprocess.Popen(
            # it ends with its starter, however that ends
            ["setpriv", "--pdeathsig", "KILL", "--",
             *host.enter([*_program(host), "serve", str(work / "config.yml")])],
            stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True,
            env={**base_environment(), **host.environment, "OTEL_TRACES_EXPORTER": "none"},
        )  # fmt: skip


def _configuration(
    seen: Path, work: Path, ip: str, tls: bool | Tls, auth: tuple[str, str] | None, tokens: TokenServer | None,
    changes: Mapping[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """Write what the registry needs into its directory and return its configuration (JSON is YAML)."""
    (seen / "storage").mkdir()
    settings: dict[str, Any] = {
        "version": "0.1",
        "log": {"level": "info", "formatter": "text"},
        "storage": {
            "filesystem": {"rootdirectory": str(work / "storage")},
            "delete": {"enabled": True},
            "maintenance": {"uploadpurging": {"enabled": False}},
        },
        # the kernel picks the port: nobody can take it in between
        "http": {"addr": f"{ip}:0", "secret": secrets.token_hex(16)},
    }
    if tls:
        _certificates(seen, ip, tls)
        settings["http"]["tls"] = {name: str(work / "server.pem") for name in ("certificate", "key")}
    if auth:
        user, password = auth
        digest = bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds=4)).decode()
        (seen / "htpasswd").write_text(f"{user}:{digest}\n")
        settings["auth"] = {"htpasswd": {"realm": "seatrial", "path": str(work / "htpasswd")}}
    if tokens:
        (seen / "tokens.pem").write_bytes(tokens.trusted)
        settings["auth"] = {"token": {"realm": tokens.realm, "service": SERVICE, "issuer": ISSUER,
                                      "rootcertbundle": str(work / "tokens.pem")}}  # fmt: skip
    return _merged(settings, changes)


def _certificates(seen: Path, ip: str, tls: bool | Tls) -> None:
    authority = trustme.CA()
    names = ["elsewhere.example"] if tls == "other-name" else [ip, "localhost"]
    now = datetime.datetime.now(datetime.UTC)
    ends = now - datetime.timedelta(days=1) if tls == "expired" else now + datetime.timedelta(days=1)
    server = authority.issue_cert(*names, not_before=now - datetime.timedelta(days=9), not_after=ends)
    authority.cert_pem.write_to_path(seen / "ca.pem")
    server.private_key_and_cert_chain_pem.write_to_path(seen / "server.pem")


def _merged(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with changes at any depth; None takes an entry away."""
    result = dict(settings)
    for name, value in changes.items():
        old = result.get(name)
        result[name] = _merged(old, value) if isinstance(old, dict) and isinstance(value, Mapping) else value
    return {name: value for name, value in result.items() if value is not None}

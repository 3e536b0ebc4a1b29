"""A registry on loopback: Debian's docker-registry, plain or with TLS and a password.

It runs in the network namespace of the engine that talks to it, so that `127.0.0.1:PORT` means the
same to both, and it ends with the process that started it.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
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
from typing import Any

import bcrypt
import trustme

from seatrial.engines.base import CliEngine
from seatrial.errors import SeatrialError
from seatrial.exec import base_environment, kill_group
from seatrial.hosts import Host
from seatrial.lab import rootfs
from seatrial.paths import remove_tree

_BINARY = "/usr/bin/docker-registry"
_LISTENING = re.compile(rb"listening on 127\.0\.0\.1:(\d+)")
_INSECURE = '[[registry]]\nlocation = "{address}"\ninsecure = true\n'


@dataclass(frozen=True)
class Response:
    """An answer of the registry; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)


@dataclass
class Registry:
    """A running registry; `work` is its directory in the host, `ca` the path of its CA there (or None)."""

    host: Host
    work: Path
    port: int
    process: subprocess.Popen[bytes]
    auth: tuple[str, str] | None = None
    ca: Path | None = None
    _admitted: list[Path] = field(default_factory=list)

    @classmethod
    def start(
        cls, host: Host, work: Path, *, tls: bool = False, auth: tuple[str, str] | None = None,
        timeout: float = 20.0,
    ) -> Registry:  # fmt: skip
        """Start a registry on a free port of the host's loopback and wait until it answers.

        `work` is a directory of the host that does not exist yet; `auth` is (user, password).
        Raises `SeatrialError` E211 with the registry's last words when it does not start.
        """
        seen = host.path(work)
        seen.mkdir(parents=True)
        (seen / "config.yml").write_text(json.dumps(_configuration(seen, work, tls=tls, auth=auth)))
        log = seen / "registry.log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                # it ends with its starter, however that ends
                ["setpriv", "--pdeathsig", "KILL", "--",
                 *host.enter([*_program(host), "serve", str(work / "config.yml")])],
                stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True,
                env={**base_environment(), **host.environment, "OTEL_TRACES_EXPORTER": "none"},
            )  # fmt: skip
        registry = cls(host, work, 0, process, auth, work / "ca.pem" if tls else None)
        try:
            registry._await(log, time.monotonic() + timeout)
        except BaseException:
            registry.close()
            raise
        return registry

    @property
    def address(self) -> str:
        """Host and port as an image reference names them."""
        return f"127.0.0.1:{self.port}"

    def reference(self, name: str, tag: str = "latest") -> str:
        """Return the full reference of an image in this registry."""
        return f"{self.address}/{name}:{tag}"

    def get(
        self, path: str, *, method: str = "GET", headers: Mapping[str, str] | None = None,
        anonymous: bool = False, timeout: float = 10.0,
    ) -> Response:  # fmt: skip
        """Send one request from the host's network; with the password unless `anonymous`."""
        sent = dict(headers or {})
        if self.auth and not anonymous:
            sent["Authorization"] = "Basic " + base64.b64encode(":".join(self.auth).encode()).decode()
        connection: http.client.HTTPConnection
        if self.ca:
            context = ssl.create_default_context(cafile=str(self.host.path(self.ca)))
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout, context=context)
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

        def exchange() -> Response:
            with contextlib.closing(connection):
                connection.request(method, path, headers=sent)
                answer = connection.getresponse()
                names = {name.lower(): value for name, value in answer.getheaders()}
                return Response(answer.status, names, answer.read())

        return self.host.call(exchange)

    def admit(self, engine: CliEngine) -> None:
        """Make an engine of the same lab trust this registry, until it is closed.

        With TLS the CA is installed; without, an engine that does not take plain HTTP from loopback
        by itself is told to. Never call it for the user's own engine: it writes below /etc.
        """
        if self.ca:
            certificate = engine.host.path(f"{engine.certificates}/{self.address}/ca.crt")
            self._install(certificate, self.host.path(self.ca).read_bytes(), certificate.parent)
        elif engine.registries:
            dropin = engine.host.path(f"{engine.registries}/seatrial-{self.port}.conf")
            self._install(dropin, _INSECURE.format(address=self.address).encode(), dropin)

    def _install(self, path: Path, content: bytes, owned: Path) -> None:
        self._admitted.append(owned)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

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

    def _await(self, log: Path, deadline: float) -> None:
        while time.monotonic() < deadline and self.process.poll() is None:
            if found := _LISTENING.search(log.read_bytes()):
                self.port = int(found[1])
                with contextlib.suppress(OSError, http.client.HTTPException):
                    if self.get("/v2/").status == 200:
                        return
            time.sleep(0.02)
        last = log.read_text("utf-8", "replace").strip().splitlines()[-1:] or ["no message"]
        raise SeatrialError(
            "E211", f"the registry did not start on {self.host.name}", last[0],
            "is docker-registry installed there?",
        )  # fmt: skip


def _program(host: Host) -> list[str]:
    """Return how docker-registry is started on a host: its own, else the one of the bookworm lab.

    The latter runs by the loader and the library of its own root file system, so that this
    machine's C library does not matter.
    """
    if os.access(host.path(_BINARY), os.X_OK):
        return [_BINARY]
    root = rootfs.ensure("bookworm")
    loader = next(root.glob("lib*/ld-linux-*.so.*"))
    libraries = ":".join(str(path.parent) for path in sorted(root.glob("usr/lib/*/libc.so.6")))
    return [str(loader), "--library-path", libraries, f"{root}{_BINARY}"]


def _configuration(
    seen: Path, work: Path, *, tls: bool, auth: tuple[str, str] | None
) -> dict[str, Any]:
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
        "http": {"addr": "127.0.0.1:0", "secret": secrets.token_hex(16)},
    }
    if tls:
        authority = trustme.CA()
        server = authority.issue_cert("127.0.0.1", "localhost")
        authority.cert_pem.write_to_path(seen / "ca.pem")
        server.private_key_and_cert_chain_pem.write_to_path(seen / "server.pem")
        settings["http"]["tls"] = {name: str(work / "server.pem") for name in ("certificate", "key")}
    if auth:
        user, password = auth
        digest = bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds=4)).decode()
        (seen / "htpasswd").write_text(f"{user}:{digest}\n")
        settings["auth"] = {"htpasswd": {"realm": "seatrial", "path": str(work / "htpasswd")}}
    return settings

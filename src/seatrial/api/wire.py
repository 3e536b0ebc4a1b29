"""Where an API listens, and how a connection to it is opened: a unix socket, TCP, or TLS over TCP."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from seatrial.hosts import LOCAL, Host


@dataclass(frozen=True)
class Tls:
    """The files of a TLS client: what it trusts, and what it shows; empty where it shows nothing."""

    ca: Path
    certificate: Path | None = None
    key: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Return a context that verifies the server."""
        context = ssl.create_default_context(cafile=str(self.ca))
        if self.certificate:
            context.load_cert_chain(self.certificate, self.key)
        return context


@dataclass(frozen=True)
class Endpoint:
    """An API's address: `path` is a socket as seen from here, `address` a host and a port in the host's network."""

    path: Path | None = None
    address: tuple[str, int] | None = None
    tls: Tls | None = None
    host: Host = LOCAL

    def connect(self, timeout: float) -> socket.socket:
        """Open a connection; raises OSError as `socket` does."""
        if self.path is not None:
            plain = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            plain.settimeout(timeout)
            try:
                plain.connect(str(self.path))
            except OSError:
                plain.close()
                raise
            return plain
        address = self.address
        assert address is not None  # noqa: S101 - for the type checker: it is one or the other
        plain = self.host.call(lambda: socket.create_connection(address, timeout))
        return self.tls.context().wrap_socket(plain, server_hostname=address[0]) if self.tls else plain

    @property
    def base(self) -> str:
        """The URL below which the API's paths stand; the host name of a unix socket does not matter."""
        if self.address is None:
            return "http://localhost"
        name, port = self.address
        return f"http{'s' if self.tls else ''}://{f'[{name}]' if ':' in name else name}:{port}"

    @property
    def curl(self) -> list[str]:
        """The options with which curl, started on the host, reaches the API."""
        if self.path is not None:
            root = self.host.root
            inside = Path("/") / self.path.relative_to(root) if self.path.is_relative_to(root) else self.path
            return ["--unix-socket", str(inside)]
        if self.tls is None:
            return []
        shown = ["--cert", str(self.tls.certificate), "--key", str(self.tls.key)] if self.tls.certificate else []
        return ["--cacert", str(self.tls.ca), *shown]


class Connection(http.client.HTTPConnection):
    """An HTTP connection to an endpoint; `timeout`, in seconds, holds for every wait.

    With `keep` the socket outlives the answer: after an upgrade it belongs to the stream.
    """

    def __init__(self, endpoint: Endpoint, timeout: float, *, keep: bool = False) -> None:
        super().__init__("localhost", timeout=timeout)
        self._endpoint = endpoint
        self._keep = keep

    def connect(self) -> None:
        """Connect to the endpoint."""
        self.sock = self._endpoint.connect(self.timeout or 60.0)

    def close(self) -> None:
        """Close the connection, unless it is kept."""
        if not self._keep:
            super().close()


def endpoint_of(address: str, env: Mapping[str, str], host: Host = LOCAL) -> Endpoint:
    """Return the endpoint of an address as DOCKER_HOST names it; `env` holds DOCKER_TLS_VERIFY, DOCKER_CERT_PATH."""
    kind, _, rest = address.partition("://")
    if kind == "unix":
        return Endpoint(path=Path(rest), host=host)
    name, _, port = rest.rstrip("/").rpartition(":")
    tls = None
    if env.get("DOCKER_TLS_VERIFY"):
        files = Path(env.get("DOCKER_CERT_PATH") or Path.home() / ".docker")
        tls = Tls(files / "ca.pem", files / "cert.pem", files / "key.pem")
    return Endpoint(address=(name.strip("[]"), int(port)), tls=tls, host=host)

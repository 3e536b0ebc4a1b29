"""Where a service listens: HOST:PORT, or a unix socket of the user's own."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seatrial.errors import SeatrialError

_BACKLOG = 1024


def is_loopback(host: str) -> bool:
    """Tell whether an address is one of this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True)
class Address:
    """A host with a port (0: any free one), or the absolute path of a unix socket."""

    host: str = ""
    port: int = 0
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read HOST:PORT or a path; raises `SeatrialError` E644."""
        if text.startswith("/"):
            return cls(path=text)
        host, colon, port = text.rpartition(":")
        if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535:
            raise SeatrialError(
                "E644", f"{text!r} is no address to listen on", "it is neither HOST:PORT nor an absolute path",
                "for example 127.0.0.1:8077, [::1]:8077 or /run/seatrial.sock",
            )  # fmt: skip
        return cls(host.strip("[]"), int(port))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.path or f"{host}:{self.port}"

    @property
    def private(self) -> bool:
        """Whether nobody reaches it from another machine."""
        return bool(self.path) or is_loopback(self.host)

    def listen(self) -> socket.socket:
        """Return a socket that listens, from now on nothing is refused; raises `SeatrialError` E643."""
        try:
            return self._on_path() if self.path else self._on_port()
        except OSError as error:
            raise SeatrialError(
                "E643", f"cannot listen on {self}", error.strerror or str(error),
                "name another address with --listen HOST:PORT, or a path for a unix socket",
            ) from error  # fmt: skip

    def _on_port(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        return socket.create_server((self.host, self.port), family=family, backlog=_BACKLOG)

    def _on_path(self) -> socket.socket:
        if Path(self.path).is_socket():
            os.unlink(self.path)
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        old = os.umask(0o177)
        try:
            made.bind(self.path)
        except OSError:
            made.close()
            raise
        finally:
            os.umask(old)
        made.listen(_BACKLOG)
        return made


def where(listener: socket.socket) -> str:
    """Return the path of a listening socket, or its address as a URL."""
    name = listener.getsockname()
    return name if isinstance(name, str) else f"http://{Address(name[0], name[1])}"


def serve(application: Callable[..., Any], listener: socket.socket) -> None:
    """Serve an ASGI application until SIGTERM or SIGINT, with ten seconds for what is under way."""
    import uvicorn

    settings = uvicorn.Config(
        application, log_level="warning", access_log=False, proxy_headers=False, server_header=False,
        timeout_keep_alive=5, timeout_graceful_shutdown=10, lifespan="off",
    )  # fmt: skip
    with contextlib.closing(listener):
        uvicorn.Server(settings).run(sockets=[listener])

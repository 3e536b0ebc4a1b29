"""Putting the service on an address: loopback or a unix socket, and with a token anywhere."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import uvicorn

from seatrial.errors import SeatrialError
from seatrial.oct.desk import Desk
from seatrial.oct.service import Office, application, is_loopback


def listener(address: str) -> socket.socket:
    """Return a socket that listens on HOST:PORT or, for an absolute path, on a unix socket of the user's own.

    Raises `SeatrialError` E711 when the address cannot be had.
    """
    try:
        if address.startswith("/"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(address)
            made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            old = os.umask(0o177)
            try:
                made.bind(address)
            finally:
                os.umask(old)
            made.listen(128)
            return made
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, int(port)), family=family, backlog=128)
    except (OSError, ValueError, OverflowError) as error:
        raise SeatrialError(
            "E711", f"the service cannot listen on {address}", getattr(error, "strerror", None) or str(error),
            "name another address with --listen HOST:PORT, or a path for a unix socket",
        ) from error  # fmt: skip


def serve(address: str, directory: Path, libraries: Sequence[Path], target: str, token: str,
          tell: Callable[[str], None]) -> None:  # fmt: skip
    """Serve until SIGTERM or SIGINT; raises `SeatrialError` E712 for an open address without a token."""
    if not address.startswith("/") and not is_loopback(address.rpartition(":")[0].strip("[]")) and not token:
        raise SeatrialError(
            "E712", f"the service has no token and would be reached from outside on {address}", "",
            "give it --token-file FILE, or let it listen on 127.0.0.1:PORT",
        )  # fmt: skip
    office = Office(directory, libraries, target)
    desk = Desk(directory, office.case_file)
    place = listener(address)
    server = uvicorn.Server(uvicorn.Config(
        application(office, desk, token), log_level="warning", access_log=False, server_header=False, lifespan="off",
        timeout_graceful_shutdown=10,
    ))  # fmt: skip
    name = place.getsockname()
    where = name if isinstance(name, str) else f"http://{name[0]}:{name[1]}"
    tell(f"listening on {where}, {len(office.entries())} cases")
    desk.start()
    try:
        with contextlib.closing(place):
            server.run(sockets=[place])
    finally:
        desk.close()

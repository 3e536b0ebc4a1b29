"""Descriptors that a runtime sends over a unix socket: a container's terminal, a seccomp filter's listener."""

from __future__ import annotations

import os
import socket
import struct
import termios
import tty
from fcntl import ioctl
from pathlib import Path

from seatrial.exec import ExpectationError


class DescriptorSocket:
    """A socket that waits for one message with one descriptor."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.bind(str(path))
        self._server.listen(1)
        self._server.settimeout(5)

    def receive(self) -> tuple[bytes, int]:
        """Return the message and its descriptor; raises `ExpectationError` when there is none, or more than one."""
        try:
            connection, _ = self._server.accept()
            with connection:
                connection.settimeout(5)
                message, descriptors, _, _ = socket.recv_fds(connection, 1 << 16, 4)
                rest = connection.recv(1 << 16) if descriptors else b""
        except TimeoutError:
            raise ExpectationError(f"nobody sent anything to {self.path} and closed the connection") from None
        if len(descriptors) != 1:
            raise ExpectationError(f"{len(descriptors)} descriptors came over {self.path}, not one")
        return message + rest, descriptors[0]

    def terminal(self) -> int:
        """Return the descriptor of a terminal, in raw mode; raises `ExpectationError` when none has come."""
        _, master = self.receive()
        if not os.isatty(master):
            raise ExpectationError(f"what came over {self.path} is no terminal")
        tty.setraw(master)
        return master

    def close(self) -> None:
        """Close the socket."""
        self._server.close()


def size_of(terminal: int) -> tuple[int, int]:
    """Return rows and columns of a terminal."""
    rows, columns, _, _ = struct.unpack("4H", ioctl(terminal, termios.TIOCGWINSZ, b"\0" * 8))
    return rows, columns

"""The terminal of a container: the runtime sends its other end over a unix socket (--console-socket)."""

from __future__ import annotations

import os
import socket
import struct
import termios
import tty
from fcntl import ioctl
from pathlib import Path

from seatrial.exec import ExpectationError


class ConsoleSocket:
    """A socket that waits for the one message with the terminal's descriptor."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.bind(str(path))
        self._server.listen(1)
        self._server.settimeout(5)

    def receive(self) -> int:
        """Return the descriptor of the terminal, in raw mode; raises `ExpectationError` when none has come."""
        try:
            connection, _ = self._server.accept()
            with connection:
                connection.settimeout(5)
                _, descriptors, _, _ = socket.recv_fds(connection, 4096, 4)
        except TimeoutError:
            raise ExpectationError("nobody connected to the console socket") from None
        if len(descriptors) != 1:
            raise ExpectationError(f"{len(descriptors)} descriptors came over the console socket, not one")
        (master,) = descriptors
        if not os.isatty(master):
            raise ExpectationError("what came over the console socket is no terminal")
        tty.setraw(master)
        return master

    def close(self) -> None:
        """Close the socket."""
        self._server.close()


def size_of(terminal: int) -> tuple[int, int]:
    """Return rows and columns of a terminal."""
    rows, columns, _, _ = struct.unpack("4H", ioctl(terminal, termios.TIOCGWINSZ, b"\0" * 8))
    return rows, columns

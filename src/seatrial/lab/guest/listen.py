"""Listens on a unix socket and starts a command for each connection, which is its standard input and output.

listen.py SOCKET ARGV... Like client.py it imports nothing of the harness.
"""

import contextlib
import os
import signal
import socket
import sys


def main(path: str, argv: list[str]) -> None:
    """Serve until killed."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(path)
        server.listen(64)
        while True:
            connection, _ = server.accept()
            if not os.fork():
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                server.close()
                os.setsid()
                for number in (0, 1):
                    os.dup2(connection.fileno(), number)
                connection.close()
                os.execv(argv[0], argv)  # noqa: S606 - no shell is wanted
            connection.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])

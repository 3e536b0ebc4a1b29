"""The Docker-compatible API on a unix socket, where a driver can use it: it costs far less than a CLI call."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from urllib.parse import quote

_LISTS = {
    "container": ("/containers/json?all=1", "Id"),
    "image": ("/images/json?all=0", "Id"),
    "network": ("/networks?", "Id"),
    "volume": ("/volumes?", "Name"),
}


class UnixConnection(http.client.HTTPConnection):
    """An HTTP connection over a unix socket; `timeout` is in seconds."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def get(path: Path, url: str, timeout: float = 10.0) -> tuple[int, dict[str, str], bytes] | None:
    """Send one GET and return status, headers and body; None when nothing answers."""
    connection = UnixConnection(path, timeout)
    try:
        connection.request("GET", url)
        response = connection.getresponse()
        return response.status, dict(response.headers), response.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def listing(path: Path, kind: str, label: str) -> list[str] | None:
    """Return the ids (volumes: names) of all objects of a kind that carry a label; None when that fails."""
    url, key = _LISTS[kind]
    if label:
        url += "&filters=" + quote(json.dumps({"label": [label]}))
    answer = get(path, url, timeout=60.0)
    if answer is None or answer[0] != 200:
        return None
    value = json.loads(answer[2])
    entries = (value["Volumes"] or []) if kind == "volume" else value
    return list(dict.fromkeys(str(entry[key]) for entry in entries))

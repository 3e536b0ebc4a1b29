"""The engine's event stream during a run, as entries of its history."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable

from seatrial.api.messages import target
from seatrial.api.wire import Connection, Endpoint
from seatrial.names import RUN_LABEL
from seatrial.stress.history import OK, Op

REMOVAL = "destroy"


class Listener:
    """Reads what the engine tells of a run's containers, in a thread of its own, until it is left.

    `removal` is the engine's word for the end of a container's life, which is recorded as `destroy`.
    """

    def __init__(self, endpoint: Endpoint, run: str, epoch: float, clock: Callable[[], float],
                 record: Callable[[Op], object], removal: str = REMOVAL) -> None:  # fmt: skip
        self._removal = removal
        self._endpoint, self._run, self._epoch, self._clock, self._record = endpoint, run, epoch, clock, record
        self._thread = threading.Thread(target=self._work, name="events")
        self._connection = Connection(endpoint, timeout=3600.0)
        self._socket: socket.socket | None = None
        self._leaving = False
        self.heard = 0
        self.problem = ""

    def __enter__(self) -> Listener:
        filters = {"type": ["container"], "label": [f"{RUN_LABEL}={self._run}"]}
        self._connection.request("GET", target("/events", {"filters": filters}))
        self._socket = self._connection.sock
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Wait until the engine tells nothing more, then hang up."""
        deadline, heard = time.monotonic() + 10, -1
        while heard != self.heard and time.monotonic() < deadline and self._thread.is_alive():
            heard = self.heard
            time.sleep(0.7)
        self._leaving = True
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._connection.close()

    def _work(self) -> None:
        try:
            with contextlib.closing(self._connection.getresponse()) as answer:
                while line := answer.readline():
                    if line.strip():
                        self._take(line)
        except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
            if not self._leaving:
                self.problem = f"{type(error).__name__}: {error}"
        else:
            if not self._leaving:
                self.problem = "the engine ended the stream"

    def _take(self, line: bytes) -> None:
        value = json.loads(line)
        actor = value["Actor"]
        received = self._clock()
        when = min(received, value.get("timeNano", value["time"] * 1e9) / 1e9 - self._epoch)
        code = actor["Attributes"].get("exitCode")
        action = REMOVAL if value["Action"] == self._removal else value["Action"]
        told = [action, actor["ID"], int(code) if code else None]
        self._record(Op("event", -1, when, when, received, OK, actor["Attributes"]["name"], told))
        self.heard += 1

"""Alerts: by a command, mail, syslog or a webhook, at most so many in a time, and what was held back is told."""

from __future__ import annotations

import json
import logging
import logging.handlers
import smtplib
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Protocol
from urllib.parse import urlsplit

from seatrial.errors import SeatrialError

_PATIENCE = 20.0  # seconds for each way
_RECORD = 1900  # bytes of a record that every receiver should take whole, without its head


class Way(Protocol):
    """One way to whom it concerns."""

    def send(self, subject: str, text: str) -> None:
        """Tell it; raises OSError when it cannot."""


@dataclass(frozen=True)
class Command:
    """A command that gets the subject as its last argument and the text on standard input."""

    argv: Sequence[str]

    def send(self, subject: str, text: str) -> None:
        """Run it; a failure or a time-out is an OSError."""
        try:
            done = subprocess.run([*self.argv, subject], input=text, text=True, capture_output=True, timeout=_PATIENCE,
                                  check=False)  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise OSError(f"{self.argv[0]} did not end within {_PATIENCE:.0f} s") from error
        if done.returncode:
            raise OSError(f"{self.argv[0]} ended with exit code {done.returncode}: {done.stderr.strip()[-200:]}")


@dataclass(frozen=True)
class Mail:
    """Mail by the relay `server` (HOST or HOST:PORT)."""

    to: Sequence[str]
    server: str = "localhost:25"

    def send(self, subject: str, text: str) -> None:
        """Hand one message to the relay."""
        message = EmailMessage()
        message["From"] = f"seatrial@{socket.gethostname()}"
        message["To"] = ", ".join(self.to)
        message["Subject"] = subject
        message.set_content(text)
        host, _, port = self.server.partition(":")
        with smtplib.SMTP(host, int(port or 25), timeout=_PATIENCE) as relay:
            relay.send_message(message)


class _Strict(logging.handlers.SysLogHandler):
    """A handler that does not keep to itself that a record could not be sent."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Raise the error that is being handled."""
        del record
        raise


@dataclass(frozen=True)
class Syslog:
    """Syslog at a socket's path or HOST:PORT (UDP)."""

    address: str = "/dev/log"

    def send(self, subject: str, text: str) -> None:
        """Send one record of the level error, cut off where receivers need not take more (RFC 5424, section 6.1)."""
        host, _, port = self.address.rpartition(":")
        where = self.address if self.address.startswith("/") else (host or port, int(port) if host else 514)
        handler = _Strict(where)
        words = f"seatrial: {subject}: {text}".replace("\n", " | ")
        cut = words.encode()[:_RECORD].decode("utf-8", "ignore")
        try:
            handler.emit(logging.makeLogRecord({
                "msg": cut if cut == words else f"{cut} ...", "levelno": logging.ERROR, "levelname": "ERROR",
            }))  # fmt: skip
        finally:
            handler.close()


@dataclass(frozen=True)
class Webhook:
    """A POST of {"subject", "text"} as JSON to a URL."""

    url: str

    def __post_init__(self) -> None:
        if urlsplit(self.url).scheme not in ("http", "https"):
            raise SeatrialError("E813", f"{self.url!r} is no address of a webhook", "", "for example https://host/path")

    def send(self, subject: str, text: str) -> None:
        """Send it; any answer but a success is an OSError."""
        body = json.dumps({"subject": subject, "text": text}).encode()
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})  # noqa: S310 - see above
        with urllib.request.urlopen(request, timeout=_PATIENCE):  # noqa: S310
            pass


@dataclass
class Alerts:
    """Tells all ways, at most `most` times in `per` seconds; the next one says how many were held back."""

    ways: Sequence[Way]
    most: int = 6
    per: float = 3600.0
    clock: Callable[[], float] = time.monotonic
    held_back: int = 0
    _sent: list[float] = field(default_factory=list)

    def tell(self, subject: str, text: str) -> list[str]:
        """Send an alert; return in words which ways failed."""
        now = self.clock()
        self._sent = [at for at in self._sent if now - at < self.per]
        if len(self._sent) >= self.most:
            self.held_back += 1
            return []
        if self.held_back:
            text += f"\n{self.held_back} alerts before this one were held back"
        problems = []
        for way in self.ways:
            try:
                way.send(subject, text)
            except Exception as error:  # whatever is wrong with a way, others are told, and probing goes on
                problems.append(f"{type(way).__name__.lower()}: {str(error) or type(error).__name__}")
        if len(problems) < len(self.ways):  # what reached nobody uses nothing up
            self._sent.append(now)
            self.held_back = 0
        return problems

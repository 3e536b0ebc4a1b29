"""The sessions of a worker: each case runs in a session of pytest of its own, which a lost worker interrupts.

A session is started by setpriv(1) with SIGINT as the signal that it gets when its worker's process ends, so that it
puts back what it has made; when both are killed, the next worker or `seatrial clean` does.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seatrial.exec import base_environment
from seatrial.oct import desk, tarball
from seatrial.oct.across.placed import PLACES
from seatrial.oct.across.rooms import Rooms
from seatrial.oct.diagnostics import Report

_TAIL = 4000  # characters of a session's own output
_LARGEST = 256 << 20  # bytes of a run's directory that travel


@dataclass(frozen=True)
class Order:
    """One case that is to be run: its bundle as tar.gz, on which target, with which parameters, on which hosts."""

    lease: str
    name: str
    bundle: bytes
    target: str
    settings: tuple[str, ...] = ()
    places: Mapping[str, Any] = field(default_factory=dict)  # which hosts it was given, see placed.py


@dataclass(frozen=True)
class Ended:
    """How a session has ended: its exit code, the end of what it printed, its run's directory as tar.gz."""

    code: int
    said: str
    run: bytes


class Hosting:
    """What a worker runs."""

    def __init__(self, directory: Path, keys: Path | None = None) -> None:
        self.directory = directory
        self.keys = keys
        self.rooms = Rooms()
        self._lock = threading.Lock()
        self._sessions: dict[str, subprocess.Popen[bytes]] = {}
        self._stopped: set[str] = set()

    def run(self, order: Order) -> Ended:
        """Run a case to its end; what its session has made on disk is removed when it was read."""
        with tempfile.TemporaryDirectory(prefix="case-", dir=self.directory) as name:
            place = Path(name)
            bundle = place / "bundle" / order.name
            bundle.mkdir(parents=True)
            (place / "bundle.tar.gz").write_bytes(order.bundle)
            report = Report(order.name)
            if not tarball.unpack(place / "bundle.tar.gz", bundle, report):
                return Ended(4, "\n".join(map(str, report.errors)), b"")
            code = self._session(order, place, bundle)
            log = (place / "log").read_text("utf-8", "replace").strip()
            runs = sorted((place / "reports").glob("2*/results.jsonl"))
            return Ended(code, log[-_TAIL:], packed(runs[-1].parent, place / "reports" / "oct.sqlite") if runs else b"")

    def _session(self, order: Order, place: Path, bundle: Path) -> int:
        words = desk.session(bundle / "case.json", order.target, place / "reports")
        words += [word for pair in order.settings for word in ("--set", pair)]
        places = {
            **order.places, "lease": order.lease, "target": order.target, "bundle": str(place / "bundle.tar.gz"),
            "keys": str(self.keys.absolute()) if self.keys else "",
        }  # fmt: skip
        environment = {**base_environment(), PLACES: json.dumps(places)}
        environment |= {name: value for name, value in os.environ.items() if name.startswith("SEATRIAL_")}
        with self._lock, (place / "log").open("wb") as log:
            if order.lease in self._stopped:
                return 2
            child = self._sessions[order.lease] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "INT", "--", *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=environment, cwd=place, start_new_session=True,
            )  # fmt: skip
        try:
            return child.wait()
        finally:
            with self._lock:
                del self._sessions[order.lease]

    def stop(self, lease: str = "") -> None:
        """Interrupt the session of a lease (all without one), wait until it has put back its own, close its room."""
        with self._lock:
            if lease:
                self._stopped.add(lease)
            found = [child for name, child in self._sessions.items() if lease in ("", name)]
            for child in found:
                with contextlib.suppress(ProcessLookupError):
                    child.send_signal(signal.SIGINT)
        for child in found:
            child.wait()
        self.rooms.close(lease)


def packed(directory: Path, records: Path) -> bytes:
    """Return a run's directory as tar.gz, with the records of its cases."""
    buffer = io.BytesIO()
    left = _LARGEST
    first = directory / "results.jsonl"  # what is judged by travels before what may be too large
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        for path in sorted(directory.rglob("*"), key=lambda path: (path != first, path)):
            if path.is_file() and not path.is_symlink() and path.stat().st_size <= left:
                left -= path.stat().st_size
                archive.add(path, str(path.relative_to(directory)), recursive=False)
        if records.exists():
            archive.add(records, "oct.sqlite", recursive=False)
    return buffer.getvalue()


def unpacked(data: bytes, directory: Path) -> None:
    """Unpack what `packed` has made."""
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        archive.extractall(directory, filter="data")

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
from dataclasses import dataclass
from pathlib import Path

from seatrial.exec import base_environment
from seatrial.oct import desk, tarball
from seatrial.oct.diagnostics import Report
from seatrial.oct.offers import Offer

PLACES = "SEATRIAL_OCT_PLACES"  # tells a session which hosts its case was given
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
    places: str = ""  # JSON, see places.py


@dataclass(frozen=True)
class Ended:
    """How a session has ended: its exit code, the end of what it printed, its run's directory as tar.gz."""

    code: int
    said: str
    run: bytes


class Hosting:
    """What a worker runs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
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
        environment = {**base_environment(), PLACES: order.places}
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
        """Interrupt the session of a lease (all without one) and wait until it has put back what it made."""
        with self._lock:
            if lease:
                self._stopped.add(lease)
            found = [child for name, child in self._sessions.items() if lease in ("", name)]
            for child in found:
                with contextlib.suppress(ProcessLookupError):
                    child.send_signal(signal.SIGINT)
        for child in found:
            child.wait()


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


def given_hosts() -> Mapping[str, Offer]:
    """Return which hosts the objects of this session's case were given, empty where nobody has placed it."""
    text = os.environ.get(PLACES, "")
    placed = json.loads(text)["hosts"] if text else {}
    return {name: Offer.load(offer) for name, offer in placed.items()}

"""What the service of cases knows: libraries, bundles that were handed in, hosts."""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from seatrial.errors import SeatrialError
from seatrial.oct import hostlist, library, tarball
from seatrial.oct.answers import Refused
from seatrial.oct.bundle import CASE, Bundle
from seatrial.oct.diagnostics import Report
from seatrial.oct.hostlist import Listing
from seatrial.oct.library import Entry
from seatrial.oct.offers import Offer
from seatrial.oct.validate import examine


class Office:
    """The books of a service; `hosts` lists those of a cluster, by default it is this machine."""

    def __init__(
        self, directory: Path, libraries: Sequence[Path], target: str, hosts: Listing | None = None
    ) -> None:
        self.directory = directory
        self.target = target
        self.cluster = hosts is not None
        self.hosts: Listing = hosts or partial(hostlist.here, target)
        whole = [path.resolve() for path in libraries]
        self.repos = {hashlib.sha256(str(path).encode()).hexdigest()[:12]: path for path in whole}
        self.taken = directory / "bundles"
        self.taken.mkdir(parents=True, exist_ok=True)
        self._entries: dict[str, tuple[Entry, Path]] = {}
        self._lock = threading.Lock()
        self.refresh()

    def refresh(self) -> None:
        """Read the libraries again."""
        found: dict[str, tuple[Entry, Path]] = {}
        for root in [*self.repos.values(), self.taken]:
            try:
                entries = library.load(root)
            except SeatrialError:  # an empty one
                continue
            for entry in entries:
                if not entry.broken:
                    found[entry.digest] = (entry, root / entry.path)
        with self._lock:
            self._entries = found

    def offered(self, target: str) -> Sequence[Offer]:
        """Return the hosts that a case on a target may be given."""
        return self.hosts() if self.cluster else [hostlist.of_target(target)]

    def entries(self) -> list[Entry]:
        """Return all cases, by name."""
        with self._lock:
            return sorted((entry for entry, _ in self._entries.values()), key=lambda entry: (entry.name, entry.digest))

    def place(self, id_: str) -> Path:
        """Return the bundle of a case; raises `KeyError`."""
        with self._lock:
            return self._entries[id_][1]

    def case_file(self, id_: str) -> Path:
        """Return the file of a case that validates now; raises `KeyError` when it does not, or has changed."""
        place = self.place(id_)
        document = examine(Bundle(place), report := Report(str(place / CASE)))
        if document is None or report.errors or Bundle(place).digest(document.value) != id_:
            raise KeyError(id_)
        return place / CASE

    def take(self, data: bytes) -> str:
        """Keep a bundle that was handed in and validates; returns the id of its case. Raises `Refused`."""
        with tempfile.TemporaryDirectory(dir=self.taken, prefix=".") as scratch:
            packed, place = Path(scratch) / "bundle.tar.gz", Path(scratch) / "bundle"
            packed.write_bytes(data)
            place.mkdir()
            report = Report("bundle.tar.gz")
            if tarball.unpack(packed, place, report):
                inner = [one for one in place.iterdir() if one.is_dir()]
                if not (place / CASE).exists() and len(inner) == 1:
                    place = inner[0]
                document = examine(Bundle(place), report)
                if document is not None and not report.errors:
                    id_ = Bundle(place).digest(document.value)
                    target = self.taken / id_
                    if not target.exists():
                        place.rename(target)
                    self.refresh()
                    return id_
            words = [{"Code": one.code, "Line": one.line, "Column": one.column, "Path": one.path,
                      "Message": one.message} for one in report.errors]  # fmt: skip
            first = report.errors[0]
            hint = f"seatrial oct explain {first.code}"
            raise Refused(422, SeatrialError("E723", "the bundle is refused", first.message, hint), words)

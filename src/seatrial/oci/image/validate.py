"""Checking what a user names: a directory, an archive, an image of an engine or of a registry."""

from __future__ import annotations

import secrets
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.errors import SeatrialError
from seatrial.oci.image import layout, signature
from seatrial.oci.image.check import UNPACKED, Checker, Found
from seatrial.oci.image.files import Files, opened
from seatrial.oci.image.rules import Report
from seatrial.oci.image.signature import Keys

if TYPE_CHECKING:
    from seatrial.engines.base import CliEngine


@dataclass(frozen=True)
class Wishes:
    """How it is checked: the limit of unpacked bytes of a layer, and which signatures have to hold."""

    limit: int = UNPACKED
    keys: Keys | None = None


def path(place: Path, wishes: Wishes, name: str = "") -> Report:
    """Check a layout, a directory or an archive; `name` is what the report calls it."""
    report = Report(name or str(place))
    try:
        with opened(place, report, wishes.limit) as files:
            _files(files, report, wishes)
    except OSError as error:
        report.add("OCI001", f"cannot be read: {error.strerror or error}")
    return report


def _files(files: Files, report: Report, wishes: Wishes) -> None:
    checker: Checker | None = None
    is_layout = files.holds("oci-layout") or files.holds("index.json")
    if is_layout:
        checker = layout.layout(files, report, wishes.limit)
    if files.holds("manifest.json"):
        layout.saved(files, report, wishes.limit, checker)
    elif not is_layout and not report.errors:
        report.add("OCI002", "there is no oci-layout, no index.json and no manifest.json")
    if wishes.keys is not None:
        tagged = signature.LayoutTags(files, layout.LayoutBlobs(files))
        found = checker.found if checker else Found()
        signature.verify(report, signature.named(found), found, tagged, wishes.keys)


def engine(driver: CliEngine, image: str, wishes: Wishes) -> Report:
    """Check an image of an engine, as it saves it."""
    from seatrial.exec import ANY
    from seatrial.paths import share_dir

    share_dir().mkdir(parents=True, exist_ok=True)
    archive = share_dir() / f"validate-{secrets.token_hex(4)}.tar"
    report = Report(f"{driver.target}!{image}")
    try:
        done = driver.cli("save", "--output", str(archive), image, expect=ANY, timeout=600)
        if not done.ok:
            report.add("OCI001", f"{driver.target} does not save it: {' '.join(done.stderr.split())[:300]}")
            return report
        return path(archive, wishes, report.file)
    finally:
        archive.unlink(missing_ok=True)


def registry(reference: str, wishes: Wishes, *, plain: bool = False, ca: Path | None = None) -> Report:
    """Check an image of a registry, with what refers to it."""
    from seatrial.oci.image import remote

    report = Report(reference)
    try:
        named = remote.parse(reference)
    except ValueError as error:
        raise SeatrialError(
            "E322", f"{reference!r} is neither a path nor an image of a registry", str(error),
            "a layout or an archive, or HOST[:PORT]/NAME:TAG; --engine names one whose image it is",
        ) from error  # fmt: skip
    with closing(remote.Registry(named, plain=plain, ca=ca)) as store:
        remote.check(store, report, wishes.limit, wishes.keys)
    return report

"""What a host offers and what a case wishes: matched field by field, with the reason for each that does not fit."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seatrial.hosts import Host, NamespaceHost, resolve
from seatrial.oct.model import Case, Require

_TOOLS = ("usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin")


@dataclass(frozen=True)
class Offer:
    """One host, as it describes itself; sizes are bytes."""

    name: str
    distribution: str
    version: str
    arch: str
    cpus: int
    memory: int
    disk: int
    engines: tuple[str, ...] = ()
    root: str = "/"
    facts: Mapping[str, Any] = field(default_factory=dict)

    def has_tool(self, name: str) -> bool:
        """Tell whether a command is installed."""
        return any(resolve(Path(self.root), f"{place}/{name}").exists() for place in _TOOLS)


def here(host: Host, name: str = "this machine", engines: Sequence[str] = ()) -> Offer:
    """Describe a host of this machine: itself, or a lab on it."""
    root = host.root if isinstance(host, NamespaceHost) else Path("/")
    release = os_release(root)
    machine = os.uname().machine
    return Offer(
        name, release.get("ID", ""), release.get("VERSION_ID", release.get("VERSION_CODENAME", "")), machine,
        len(os.sched_getaffinity(0)), os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        shutil.disk_usage("/var").free, tuple(engines), str(root), {"kernel": os.uname().release},
    )  # fmt: skip


def os_release(root: Path) -> dict[str, str]:
    """Return what a root file system says of its distribution; empty where it says nothing."""
    try:
        text = resolve(root, "/etc/os-release").read_text("utf-8", "replace")
    except OSError:
        return {}
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {name: value.strip().strip("\"'") for name, _, value in pairs}


def refusals(wish: Require, offer: Offer) -> list[str]:
    """Return each wish of a class that a host does not meet, empty when it fits."""
    found = []
    for field_, wanted, offered in (
        ("Distribution", wish.distribution, offer.distribution), ("Version", wish.version, offer.version),
        ("Arch", wish.arch, offer.arch),
    ):  # fmt: skip
        if wanted and wanted.casefold() != offered.casefold():
            found.append(f"{field_} {wanted} wanted, {offered or 'none'} offered")
    for field_, number, there in (("CPU", wish.cpu, offer.cpus), ("Memory", wish.memory, offer.memory),
                                  ("Disk", wish.disk, offer.disk)):  # fmt: skip
        if number > there:
            shown = [f"{value:g}" if field_ == "CPU" else f"{value / 2**30:.1f} GiB" for value in (number, there)]
            found.append(f"{field_} {shown[0]} wanted, {shown[1]} offered")
    if wish.tool and not offer.has_tool(wish.tool):
        found.append(f"the tool {wish.tool} wanted, it is not installed")
    return found


@dataclass(frozen=True)
class Placing:
    """Which host each object of a case gets, or why there is none."""

    hosts: Mapping[str, Offer] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()

    @property
    def why_not(self) -> str:
        """The reasons in one sentence, empty when every object has a host."""
        return "; ".join(self.reasons)


def place(case: Case, offers: Iterable[Offer]) -> Placing:
    """Give each host object a host: one of its own as long as there are enough, else they share.

    A class with an Amount wants so many different hosts.
    """
    available = list(offers)
    chosen: dict[str, Offer] = {}
    reasons: list[str] = []
    tools = [require for require in case.requires if require.type == "tool"]
    for part in case.hosts:
        wish = case.classes[part.klass]
        fitting = [offer for offer in available if not refusals(wish,
            offer) and not any(refusals(t, offer) for t in tools)]
        unused = [offer for offer in fitting if offer not in chosen.values()]
        if fitting:
            chosen[part.object] = (unused or fitting)[0]
        for offer in [] if fitting else available:
            why = [*refusals(wish, offer), *(why for tool in tools for why in refusals(tool, offer))]
            reasons.append(f"{part.object} ({part.klass}) on {offer.name}: {', '.join(why)}")
    for require in case.requires:
        fitting = [offer for offer in available if not refusals(require, offer)]
        if require.type == "os" and require.amount > max(1, len(fitting)):
            reasons.append(f"{require.name}: {require.amount} hosts wanted, {len(fitting)} offered")
    if not available:
        reasons.append("no host is offered")
    return Placing(chosen if not reasons else {}, tuple(reasons))

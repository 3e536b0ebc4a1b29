"""What a host offers and what a case wishes: matched field by field, with the reason for each that does not fit."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from seatrial.hosts import Host, NamespaceHost, resolve
from seatrial.oct.model import Case, HostPart, Require

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
    worker: str = ""  # the address of the worker that it comes from, empty for this machine
    tools: frozenset[str] | None = None  # None: they are looked for below `root`

    @classmethod
    def load(cls, plain: Mapping[str, Any]) -> Offer:
        """Build an offer from what `plain` has made of it."""
        return cls(**{**plain, "engines": tuple(plain["engines"]), "tools": frozenset(plain["tools"] or ())})

    @property
    def plain(self) -> dict[str, Any]:
        """The offer as JSON, with its tools, so that it can be judged on another machine."""
        tools = _installed(Path(self.root)) if self.tools is None else self.tools
        return {**asdict(self), "engines": list(self.engines), "tools": sorted(tools)}

    def has_tool(self, name: str) -> bool:
        """Tell whether a command is installed."""
        if self.tools is not None:
            return name in self.tools
        return any(resolve(Path(self.root), f"{place}/{name}").exists() for place in _TOOLS)


def _installed(root: Path) -> frozenset[str]:
    """Return the names of the commands below a root directory."""
    found: set[str] = set()
    for place in _TOOLS:
        with contextlib.suppress(OSError):
            found |= set(os.listdir(resolve(root, place)))
    return frozenset(found)


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


def together(case: Case) -> list[list[HostPart]]:
    """Return the host objects in groups that must be one host: their containers share a network, a volume or a room.

    What an engine makes for several containers is nowhere else than on its own host.
    """
    groups: list[tuple[set[str], list[HostPart]]] = []
    for part in case.hosts:
        shared = {f"host {part.object}"}
        for container in part.containers:
            args = container.args
            joined = {f"container {other}" for other in args.get("Join", {}).values()}
            shared |= {f"container {container.object}", *joined}
            shared |= {f"volume {volume['Name']}" for volume in args.get("Volumes", ())}
            if (network := args.get("Network", "default")) not in ("default", "none", "host"):
                shared.add(f"network {network}")
        parts = [part]
        for group in [one for one in groups if one[0] & shared]:
            groups.remove(group)
            shared, parts = shared | group[0], [*group[1], *parts]
        groups.append((shared, parts))
    return [parts for _, parts in groups]


def place(case: Case, offers: Iterable[Offer], target: str = "") -> Placing:
    """Give each host object a host: one of its own as long as there are enough, else they share.

    A class with an Amount wants so many different hosts. With a target, only hosts that offer it fit.
    """
    available = list(offers)
    chosen: dict[str, Offer] = {}
    reasons: list[str] = []
    tools = [require for require in case.requires if require.type == "tool"]

    def why_not(wish: Require, offer: Offer) -> list[str]:
        missing = target and target not in offer.engines
        words = [f"engine {target} wanted, {', '.join(offer.engines) or 'none'} offered"] if missing else []
        return [*words, *refusals(wish, offer), *(why for tool in tools for why in refusals(tool, offer))]

    for parts in together(case):
        refused = [(part, offer, why_not(case.classes[part.klass], offer)) for part in parts for offer in available]
        fitting = [offer for offer in available if not any(why for _, other, why in refused if other is offer)]
        unused = [offer for offer in fitting if offer not in chosen.values()]
        if fitting:
            chosen |= {part.object: (unused or fitting)[0] for part in parts}
            continue
        reasons += [f"{part.object} ({part.klass}) on {offer.name}: {', '.join(why)}"
                    for part, offer, why in refused if why]  # fmt: skip
        if len(parts) > 1 and available:
            reasons.append(f"{', '.join(part.object for part in parts)}: one host wanted, which their containers share")
    for require in case.requires:
        if require.type != "os" or require.amount < 2:
            continue
        fitting = [offer for offer in available if not why_not(require, offer)]
        if require.amount > len(fitting):
            reasons.append(f"{require.name}: {require.amount} hosts wanted, {len(fitting)} offered")
    if not available:
        reasons.append("no host is offered")
    return Placing(chosen if not reasons else {}, tuple(reasons))

"""What exists on an engine and its host, before a session and after it: the difference is a leak."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Mapping

from seatrial import proc
from seatrial.engines.base import KINDS, CliEngine
from seatrial.exec import ANY
from seatrial.hosts import NamespaceHost
from seatrial.lab import host as lab_host
from seatrial.names import BUSYBOX, PROBE, RUN_LABEL, TOOLBOX

Snapshot = Mapping[str, frozenset[str]]


def take(engine: CliEngine) -> Snapshot:
    """Return the engine's objects and, for a lab, what its host holds.

    On a user's own machine processes and mounts belong to others as well, so only the engine's
    objects are compared there.
    """
    seen = {kind: frozenset(engine.find(kind)) for kind in KINDS}
    if isinstance(engine.host, NamespaceHost):
        seen.update(_lab(engine.host))
    return seen


def _lab(host: NamespaceHost) -> dict[str, frozenset[str]]:
    mounts = proc.mounts_of(host.pid)
    own = os.readlink(f"/proc/{host.pid}/ns/net")  # an engine may keep a name for its own, too
    prefix = f"/seatrial/{lab_host.key(host.name)}"
    return {
        "mount": frozenset(mount.target for mount in mounts if mount.fstype != "nsfs"),
        # a name that nothing is mounted at is no namespace any more: Docker sweeps them once a minute
        "network namespace": frozenset(
            mount.target for mount in mounts if mount.fstype == "nsfs" and mount.root != own
        ),
        "cgroup": frozenset(str(path).partition(prefix)[2] for path in lab_host.cgroups(host.name)),
        "process": frozenset(_processes(host.name)),
    }


def _processes(name: str) -> list[str]:
    """Return command names with a number, because process ids differ from start to start."""
    counted = Counter(filter(None, map(proc.command, lab_host.processes(name))))
    return [f"{command} #{number}" for command, count in counted.items() for number in range(1, count + 1)]


def leaks(
    before: Snapshot, engine: CliEngine, run: str, *, alone: bool = True, patience: float = 10.0
) -> list[tuple[str, str]]:
    """Return (kind, name) of what is there now and was not before.

    An engine tears a container down after it has answered, so what is still there gets `patience`
    seconds to go. Where the engine is not this run's alone (`alone` is False, or it is no lab), only
    what carries the run's label counts: the rest may be somebody else's. The harness's own images may
    be brought in at any time, and stay.
    """
    deadline = time.monotonic() + patience
    alone = alone and isinstance(engine.host, NamespaceHost)
    while True:
        now = take(engine) if alone else _labelled(engine, run)
        fresh = {kind: now[kind] - before.get(kind, frozenset()) for kind in now}
        if fresh["image"]:
            fresh["image"] -= _own_images(engine)
        left = [(kind, name) for kind in sorted(fresh) for name in sorted(fresh[kind])]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.3)


def _own_images(engine: CliEngine) -> frozenset[str]:
    """Return the ids of the harness's images, with the algorithm's name and without it, as listings may have it."""
    shown = [engine.cli("image", "inspect", name, expect=ANY) for name in (BUSYBOX, TOOLBOX, PROBE)]
    ids = [str(result.json()[0]["Id"]).removeprefix("sha256:") for result in shown if result.ok]
    return frozenset(form for id_ in ids for form in (id_, f"sha256:{id_}"))


def _labelled(engine: CliEngine, run: str) -> Snapshot:
    return {kind: frozenset(engine.find(kind, f"{RUN_LABEL}={run}")) for kind in KINDS}

"""The hosts that cases can run on, as the service lists them: those of this machine, or of a cluster."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from seatrial.engines import drivers
from seatrial.hosts import LOCAL
from seatrial.lab import labs
from seatrial.oct import offers
from seatrial.oct.offers import Offer
from seatrial.targets import RUNTIMES, Target, parse, registered

Listing = Callable[[], Sequence[Offer]]


def here(target: str) -> list[Offer]:
    """Describe what this machine offers: the target of the service, labs that stand, engines that are installed."""
    targets = [parse(target), *(labs.target_of(lab) for lab in labs.standing())]
    targets += [Target(name) for name in registered() if shutil.which(drivers.driver(name).binary)]
    targets += [Target(name) for name in RUNTIMES if shutil.which(name)]
    return [of_target(str(one)) for one in dict.fromkeys(targets)]


def of_target(target: str) -> Offer:
    """Describe the host that a target is on, as far as it stands; this machine otherwise."""
    parsed = parse(target)
    lab = labs.find(parsed.lab_name) if parsed.is_lab or parsed.is_runtime else None
    return offers.here(lab.host if lab is not None and lab.alive else LOCAL, target, [target])


def of_cluster(address: str, keys: Path | None) -> Listing:
    """Return what lists the hosts of a cluster; it raises `SeatrialError` E715 when the scheduler does not answer."""
    from seatrial.oct.across import trust

    place = trust.Place.parse(address, keys)
    trust.distributed()

    def listed() -> list[Offer]:
        from seatrial.oct.across.run import Cluster

        cluster = Cluster(place)
        try:
            return [offer for offer, _ in cluster.offers()]
        finally:
            cluster.client.close()

    return listed


def row(offer: Offer) -> dict[str, Any]:
    """Return a host as the service shows it."""
    name = f"{offer.name} {offer.worker} {' '.join(offer.engines)}"
    return {
        "ID": hashlib.sha256(name.encode()).hexdigest()[:12], "Name": offer.name, "Class": "os",
        "Distribution": offer.distribution, "Version": offer.version, "Arch": offer.arch, "CPU": offer.cpus,
        "Memory": offer.memory, "Disk": offer.disk, "Engines": list(offer.engines), "Facts": dict(offer.facts),
    }  # fmt: skip

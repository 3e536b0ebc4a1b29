"""What a session on a host of a cluster was told: which hosts its case was given, and how the others are reached."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.oct.offers import Offer
from seatrial.oct.site import Site

if TYPE_CHECKING:
    from seatrial.oct.across.rooms import RemoteSite

PLACES = "SEATRIAL_OCT_PLACES"


@dataclass(frozen=True)
class Placed:
    """The hosts of the objects of a case, and sites for those that are not this session's own; empty without any."""

    hosts: Mapping[str, Offer] = field(default_factory=dict)
    away: Mapping[str, Site] = field(default_factory=dict)


@contextlib.contextmanager
def placed() -> Iterator[Placed]:
    """Open the rooms of the other hosts for as long as a block lasts; raises `HostLostError` for one that is gone."""
    text = os.environ.get(PLACES, "")
    if not text:
        yield Placed()
        return
    told = json.loads(text)
    hosts = {name: Offer.load(offer) for name, offer in told["hosts"].items()}
    with contextlib.ExitStack() as opened:
        rooms: dict[str, RemoteSite] = {}
        for offer in hosts.values():
            if offer.worker != told["worker"] and offer.worker not in rooms:
                from seatrial.oct.across.rooms import RemoteSite

                keys = Path(told["keys"]) if told["keys"] else None
                room = rooms[offer.worker] = RemoteSite(offer.name, offer.worker, told["lease"], keys)
                opened.callback(room.leave)
                room.enter(told["target"], Path(told["bundle"]).read_bytes())
        yield Placed(hosts, {name: rooms[offer.worker] for name, offer in hosts.items() if offer.worker in rooms})

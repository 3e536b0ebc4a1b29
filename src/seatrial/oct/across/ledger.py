"""The scheduler: it knows what each host offers, and who holds it.

A lease is one place of a worker, held by a client; several are taken at once or not at all. It ends when it is given
back, when its client goes away however that happens, or with its worker. A client that went away has its sessions
ended on its hosts before their places are free again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import dask
from distributed import Scheduler, SchedulerPlugin

from seatrial.errors import SeatrialError
from seatrial.oct.across.trust import Place

_SILENT = "60s"  # after which a worker that says nothing is lost; one whose process ends is lost at once


@dataclass
class _Host:
    """A worker: what it offers, how many cases it takes at once, who holds its places (lease -> client)."""

    offers: list[dict[str, Any]]
    slots: int
    held: dict[str, str] = field(default_factory=dict)


class Ledger(SchedulerPlugin):
    """The books of a cluster; all its methods run on the scheduler's one thread."""

    def __init__(self) -> None:
        self.hosts: dict[str, _Host] = {}
        self._ending: set[asyncio.Task[None]] = set()

    async def start(self, scheduler: Scheduler) -> None:
        """Answer what workers and clients ask."""
        self._scheduler = scheduler
        scheduler.handlers.update(
            seatrial_offer=self.offer, seatrial_offers=self.offers, seatrial_take=self.take, seatrial_give=self.give
        )

    def offer(self, worker: str, offers: list[dict[str, Any]], slots: int) -> None:
        """Take in what a worker offers."""
        self.hosts[worker] = _Host(offers, slots)

    def offers(self) -> list[dict[str, Any]]:
        """Return every offer with the number of its worker's places that are free."""
        return [{"free": host.slots - len(host.held), "offer": offer}
                for host in self.hosts.values() for offer in host.offers]  # fmt: skip

    def take(self, client: str, lease: str, workers: list[str]) -> bool:
        """Give a client one place on each of these workers; False, and none, when one of them has no place left."""
        hosts = [self.hosts.get(worker) for worker in workers]
        if any(host is None or len(host.held) >= host.slots for host in hosts) or client not in self._clients:
            return False
        for host in hosts:
            assert host is not None  # noqa: S101 - for the type checker
            host.held[lease] = client
        return True

    @property
    def _clients(self) -> Any:
        return self._scheduler.clients

    async def give(self, lease: str) -> None:
        """Take a lease back."""
        await self._end(self._scheduler, lease)

    def remove_worker(self, scheduler: Scheduler, worker: str, **_: Any) -> None:
        """Forget a worker that is gone."""
        self.hosts.pop(worker, None)

    def remove_client(self, scheduler: Scheduler, client: str) -> None:
        """End what a client that is gone holds."""
        leases = {lease for host in self.hosts.values() for lease, holder in host.held.items() if holder == client}
        for lease in leases:
            task = asyncio.ensure_future(self._end(scheduler, lease))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def _end(self, scheduler: Scheduler, lease: str) -> None:
        """Have the sessions of a lease put back what they have made, then free its places."""
        for worker in [worker for worker, host in self.hosts.items() if lease in host.held]:
            try:
                await scheduler.rpc(worker).seatrial_stop(lease=lease)
            except OSError:  # the worker went away as well
                logging.getLogger(__name__).info("%s is gone, too", worker)
        for host in self.hosts.values():
            host.held.pop(lease, None)


def settings() -> None:
    """Set what holds for all of Dask in this process: it serves nothing over HTTP and speaks of trouble only."""
    logging.getLogger("distributed").setLevel(logging.WARNING)
    dask.config.set({
        "distributed.scheduler.http.routes": [], "distributed.worker.http.routes": [],
        "distributed.scheduler.worker-ttl": _SILENT, "distributed.worker.profile.enabled": False,
        "distributed.admin.system-monitor.interval": "5s",
    })  # fmt: skip


async def serve(place: Place, tell: Callable[[str], None], stop: asyncio.Event) -> None:
    """Be the scheduler until it is told to stop; raises `SeatrialError` E643 when the address cannot be had."""
    settings()
    ledger = Ledger()
    try:
        async with Scheduler(
            host=place.address.host, port=place.address.port, protocol=place.protocol, security=place.security,
            dashboard=False, dashboard_address="127.0.0.1:0", allowed_failures=0, plugins=[ledger],
        ) as scheduler:  # fmt: skip
            tell(f"listening on {scheduler.address}")
            await stop.wait()
    except OSError as error:
        raise SeatrialError(
            "E643", f"cannot listen on {place.address}", error.strerror or str(error),
            "name another address with --listen HOST:PORT",
        ) from error  # fmt: skip

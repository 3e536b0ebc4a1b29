"""A host of a cluster: it says what it offers, and runs what it is given.

It holds the labs of its targets as a run does, so that cases find them standing; the lease ends with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from distributed import Worker

from seatrial import __version__, capabilities, runs
from seatrial.clean import clean
from seatrial.engines import drivers
from seatrial.engines.base import CliEngine
from seatrial.errors import SeatrialError
from seatrial.lab import labs
from seatrial.names import BUSYBOX, new_run_id
from seatrial.oct import offers
from seatrial.oct.across import ledger
from seatrial.oct.across.hosting import Ended, Hosting, Order
from seatrial.oct.across.trust import Place
from seatrial.oct.offers import Offer
from seatrial.paths import remove_tree, share_dir
from seatrial.probes import machine
from seatrial.results import TargetInfo
from seatrial.targets import parse

_PATIENCE = 30.0  # seconds for the scheduler to answer
_hosting: Hosting | None = None  # of the worker that this process is


def run_case(order: Order) -> Ended:
    """Run a case on the worker that this is called in."""
    assert _hosting is not None  # noqa: S101 - workers are started by `serve` only
    return _hosting.run(order)


def describe(name: str, driver: CliEngine, info: TargetInfo) -> Offer:
    """Return what a host offers with one of its engines, which has been probed."""
    offer = offers.here(driver.host, name, [info.name])
    return Offer(**{**vars(offer), "facts": {**offer.facts, "harness": __version__, "target": asdict(info)}})


@contextlib.contextmanager
def _engines(targets: Sequence[str], tell: Callable[[str], None]) -> Iterator[list[tuple[CliEngine, TargetInfo]]]:
    """Reach and probe the engines of targets, and hold their labs for as long as a block lasts."""
    name, facts = new_run_id(), machine.facts()
    with contextlib.ExitStack() as held:
        held.enter_context(runs.begun(name, Path(), list(targets)))
        held.callback(remove_tree, share_dir() / name)
        found = []
        for text in targets:
            target = parse(text)
            if target.is_lab or target.is_runtime:
                lab = labs.acquire(target, name, tell)
                held.callback(labs.release, lab.name, name)
                driver = drivers.in_lab(target, lab)
            else:
                driver = drivers.on_this_machine(target)
            driver.make_ready(name, BUSYBOX)
            found.append((driver, capabilities.probe(driver, facts)))
        yield found


async def serve(place: Place, listen: Place, name: str, targets: Sequence[str], slots: int,
                tell: Callable[[str], None], stop: asyncio.Event) -> None:  # fmt: skip
    """Be a worker until it is told to stop, or loses its scheduler.

    Raises `SeatrialError` E715 when the scheduler cannot be spoken to or refuses the worker.
    """
    global _hosting
    for outcome in clean():
        tell(f"left by a dead run: {outcome.words}{': ' if outcome.problem else ''}{outcome.problem}")
    ledger.settings()
    with _engines(targets, tell) as engines, tempfile.TemporaryDirectory(prefix="seatrial-worker-") as directory:
        _hosting = hosting = Hosting(Path(directory), place.keys)
        try:
            worker = await asyncio.wait_for(_joined(place, listen, name, slots, directory), _PATIENCE)
        except (OSError, ValueError, RuntimeError, TimeoutError) as error:
            raise unreachable(place, error) from error
        async with worker:
            worker.handlers["seatrial_stop"] = lambda lease: asyncio.to_thread(hosting.stop, lease)
            worker.handlers["seatrial_room"] = lambda lease, data: asyncio.to_thread(hosting.rooms.answer, lease, data)
            listed = [replace(describe(name, driver, info), worker=worker.address).plain for driver, info in engines]
            try:
                await worker.scheduler.seatrial_offer(worker=worker.address, offers=listed, slots=slots)
            except Exception as error:  # Dask raises many kinds, also for a scheduler that has no ledger
                raise unreachable(place, error) from error
            tell(f"{name} at {worker.address} offers {', '.join(targets)}")
            ended = asyncio.ensure_future(worker.finished())
            await asyncio.wait([ended, asyncio.ensure_future(stop.wait())], return_when=asyncio.FIRST_COMPLETED)
            await asyncio.to_thread(hosting.stop)
            if not stop.is_set():
                raise unreachable(place, "it went away")


async def _joined(place: Place, listen: Place, name: str, slots: int, directory: str) -> Worker:
    joined: Worker = await Worker(
        str(place), name=name, nthreads=slots, host=listen.address.host, port=listen.address.port,
        protocol=listen.protocol, security=place.security, dashboard=False, dashboard_address="127.0.0.1:0",
        memory_limit=0, local_directory=directory, death_timeout=_PATIENCE,
    )  # fmt: skip
    return joined


def unreachable(place: Place, error: object) -> SeatrialError:
    """Return what is told of a scheduler that does not do what is asked."""
    inner = getattr(error, "__cause__", None)  # Dask's own words say no more than that it did not work
    error = inner if str(inner or "") else error
    return SeatrialError(
        "E715", f"the scheduler at {place} cannot be used", str(error) or type(error).__name__,
        "is `seatrial oct scheduler` running there, of this version, and with the same keys?",
    )  # fmt: skip

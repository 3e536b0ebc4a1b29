"""Sites on other machines: a case whose hosts are several has a room on each worker, and speaks to it from its own.

The worker keeps what a room has made noted as a run of its own, so that `seatrial clean` finds it should the worker be
killed; the room is closed when the lease of its case ends. What travels are pickles, between parties that have proved
to belong to the same cluster and may run commands on each other anyway.
"""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import secrets
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from distributed.core import rpc

from seatrial import runs
from seatrial.bench import Owner
from seatrial.engines import drivers
from seatrial.lab import labs
from seatrial.names import BUSYBOX, new_run_id, test_key
from seatrial.oct import tarball
from seatrial.oct.across.trust import Place
from seatrial.oct.bundle import Bundle
from seatrial.oct.containers import Containers, made_by
from seatrial.oct.diagnostics import Report
from seatrial.oct.site import Site
from seatrial.oct.task import HostLostError
from seatrial.paths import remove_tree, share_dir
from seatrial.targets import parse

_ALWAYS = 600.0  # seconds that a word may take beyond its own time limit
_CONNECT = 5.0
_CALLS = frozenset(name for name in vars(Site) if not name.startswith("_"))


def containers_of(target: str) -> tuple[Containers, runs.LiveRun]:
    """Return containers on a target of this host, and the run that they are noted as."""
    parsed = parse(target)
    lab = labs.find(parsed.lab_name) if parsed.is_lab or parsed.is_runtime else None
    driver = drivers.in_lab(parsed, lab) if lab is not None else drivers.on_this_machine(parsed)
    live = runs.begin(new_run_id(), Path(), [target])
    owner = Owner(live.run, test_key(f"{live.run} {target}"), BUSYBOX, driver.facts())
    return made_by(driver, owner), live


class Room:
    """A site on this worker for a case that runs on another; `make` is for tests."""

    def __init__(self, target: str, bundle: bytes,
                 make: Callable[[str], tuple[Containers, runs.LiveRun]] = containers_of) -> None:  # fmt: skip
        self._directory = Path(tempfile.mkdtemp(prefix="seatrial-room-"))
        packed, place = self._directory / "bundle.tar.gz", self._directory / "bundle"
        packed.write_bytes(bundle)
        place.mkdir()
        tarball.unpack(packed, place, Report("bundle"))
        containers, self._live = make(target)
        self.site = Site(containers, Bundle(place), secrets.token_hex(6))
        self._open = True

    def call(self, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Do one of the things that a site does."""
        if name not in _CALLS or not self._open:
            raise ValueError(f"a room has no {name}")
        return getattr(self.site, name)(*args, **options)

    def close(self) -> None:
        """Put back what is left, however the case has ended."""
        if not self._open:
            return
        self._open = False
        left: list[str] = []
        with contextlib.ExitStack() as end:
            end.callback(shutil.rmtree, self._directory, True)
            end.callback(lambda: self._live.save() if left else self._live.forget())
            end.callback(remove_tree, share_dir() / self._live.run)
            end.callback(self.site.leaks)
            end.callback(lambda: left.extend(self.site.close()))
            end.callback(self.site.end)


class Rooms:
    """The rooms of a worker, by lease; each lease has one here at most."""

    def __init__(self) -> None:
        self._rooms: dict[str, Room] = {}

    def answer(self, lease: str, data: bytes) -> bytes:
        """Do what a case asks of its room; returns a pickle of whether it went well, and of the result or error."""
        name, args, options = pickle.loads(data)  # noqa: S301 - see above
        try:
            if name == "open":
                self.close(lease)  # of the variant before
                self._rooms[lease] = Room(*args)
                return pickle.dumps((True, None))
            if name == "close room":
                self.close(lease)
                return pickle.dumps((True, None))
            if lease not in self._rooms:
                raise HostLostError("its room is closed")
            return pickle.dumps((True, self._rooms[lease].call(name, args, options)))
        except Exception as error:  # it is the case's, on the other side
            return pickle.dumps((False, error))

    def close(self, lease: str = "") -> None:
        """Close the room of a lease, all without one."""
        with contextlib.ExitStack() as end:
            for name in [name for name in self._rooms if lease in ("", name)]:
                end.callback(self._rooms.pop(name).close)


class RemoteSite(Site):
    """A site that is a room on another worker; raises `HostLostError` when the worker is gone."""

    def __init__(self, name: str, worker: str, lease: str, keys: Path | None) -> None:
        self._name = name
        self._lease = lease
        self._lost = ""  # a host that is lost stays so: what it had is gone
        place = Place.parse(worker, keys)
        self._runner = asyncio.Runner()
        self._way = self._runner.run(_way(place))

    def __getattribute__(self, name: str) -> Any:
        if name in _CALLS:
            return partial(self._ask, name)
        return super().__getattribute__(name)

    def enter(self, target: str, bundle: bytes) -> None:
        """Have the room opened, with the engine of a target and the files of a bundle (tar.gz)."""
        self._ask("open", target, bundle)

    def leave(self) -> None:
        """Have the room closed, as far as it is still there, and hang up."""
        with contextlib.suppress(HostLostError):
            self._ask("close room")
        self._runner.run(self._way.close_rpc())
        self._runner.close()

    def _ask(self, name: str, *args: Any, **options: Any) -> Any:
        """Have the room do something."""
        if self._lost:
            raise HostLostError(self._lost)
        data = pickle.dumps((name, args, options))
        try:
            answered = self._runner.run(
                asyncio.wait_for(self._way.seatrial_room(lease=self._lease, data=data), _ALWAYS)
            )
        except (OSError, TimeoutError) as error:
            self._lost = f"the host {self._name} was lost: {error or type(error).__name__}"
            raise HostLostError(self._lost) from error
        good, value = pickle.loads(answered)  # noqa: S301 - see above
        if not good:
            raise value
        return value


async def _way(place: Place) -> Any:
    return rpc(str(place), timeout=_CONNECT, connection_args=place.security.get_connection_args("client"))

"""The user that locust drives. Importing locust patches Python's sockets: never import this in the harness itself."""

from __future__ import annotations

import itertools
import json
import os
import random
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from locust import LoadTestShape, User, task

from seatrial.api.wire import Endpoint
from seatrial.engines import drivers
from seatrial.hosts import LOCAL, Host
from seatrial.lab import host as lab_host
from seatrial.lab import labs
from seatrial.outcome import signature
from seatrial.stress.activities import STORIES, Client, Contests, World
from seatrial.stress.driver import Driver
from seatrial.stress.history import OK, Op
from seatrial.stress.profile import OPEN, Load
from seatrial.stress.run import driver_of
from seatrial.stress.with_locust import Due, environment
from seatrial.targets import parse

_TOLD: Mapping[str, Any] = environment()
_FILE = (Path(str(_TOLD["parts"])) / f"{os.getpid()}.jsonl").open("w", encoding="ascii", buffering=1)
_LOAD = Load.read(_TOLD["profile"]["load"])
_NUMBERS = itertools.count()  # of this process's users
_NAMES = itertools.count()  # and of what they make
_CONTESTS = Contests()


def _host() -> Host:
    return lab_host.way_in(str(_TOLD["name"]), int(_TOLD["host"])) if _TOLD["host"] else LOCAL


def _driver() -> Driver:
    kind = str(_TOLD["profile"]["driver"])
    target = parse(str(_TOLD["target"]))
    if target.is_lab or target.is_runtime:
        lab = labs.find(target.lab_name)
        assert lab is not None  # noqa: S101 - the parent holds it
        return driver_of(kind, drivers.in_lab(target, lab), str(_TOLD["run"]))
    if kind == "http" and _TOLD["socket"]:
        from seatrial.stress.over_http import HttpDriver

        return HttpDriver(Endpoint(path=Path(str(_TOLD["socket"]))))
    return driver_of(kind, drivers.on_this_machine(target), str(_TOLD["run"]))


class EngineUser(User):
    """Tells the profile's stories one after the other; each operation is a request to locust."""

    def wait_time(self) -> float:
        """Return the seconds until this user's next story is due; a user who is late begins at once."""
        return max(0.0, self._due.at - self._client.world.clock()) if self._due else 0.0

    def on_start(self) -> None:
        """Open this user's way to the engine."""
        epoch = float(_TOLD["epoch"])
        world = World(
            str(_TOLD["run"]), str(_TOLD["image"]), dict(_TOLD["labels"]), lambda: time.monotonic() - epoch, self._take,
            _host(), str(_TOLD["registry"]), mark=f"{os.getpid():x}-", numbers=_NAMES, contests=_CONTESTS,
        )  # fmt: skip
        number = next(_NUMBERS)
        self._client = Client(world, number, _driver())
        self._source = random.Random(f"{os.getpid()} {number}")  # noqa: S311 - load, not a secret
        self._due = Due(_LOAD, self._source, world.clock()) if _LOAD.loop == OPEN else None
        if self._due:
            time.sleep(self.wait_time())  # before the first story, too

    def on_stop(self) -> None:
        """Close it."""
        self._client.driver.close()

    @task
    def story(self) -> None:
        """Tell one story; in an open loop its latency counts from its arrival."""
        intended = self._due.take() if self._due else self._client.world.clock()
        activities = _TOLD["profile"]["activities"]
        (chosen,) = self._source.choices(activities, [activity["weight"] for activity in activities])
        self._client.tell(STORIES[chosen["kind"]], chosen["kind"], chosen["options"], intended)

    def _take(self, op: Op) -> None:
        _FILE.write(json.dumps(op, separators=(",", ":")) + "\n")
        self.environment.events.request.fire(
            request_type=_TOLD["profile"]["driver"], name=op.kind, response_time=1000 * op.latency, response_length=0,
            exception=None if op.outcome == OK else RuntimeError(signature(op.error)), context={},
        )  # fmt: skip


class _Stages(LoadTestShape):
    """As many users at once as the profile's stages want."""

    def tick(self) -> tuple[int, float] | None:
        """Return how many users there are now, and how many may be added a second; None at the end."""
        at = float(self.get_run_time())
        if at >= _TOLD["profile"]["seconds"]:
            return None
        count = _LOAD.clients_at(at)
        return count, float(count)


# locust follows any shape that it finds; without stages there is none
Stages = _Stages if _LOAD.stages and _LOAD.loop != OPEN else None

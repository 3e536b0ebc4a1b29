"""What running a case costs over the commands that it runs, and what listing and planning many cases does."""

from __future__ import annotations

import copy
import secrets
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from seatrial.bench import Bench, Owner
from seatrial.engines.base import CliEngine
from seatrial.exec import Result
from seatrial.names import new_run_id
from seatrial.oct import offers
from seatrial.oct.bundle import CASE, Bundle
from seatrial.oct.by_engine import EngineContainers
from seatrial.oct.importer import render
from seatrial.oct.model import SCHEMA_VERSION, Case
from seatrial.oct.task import Task

NOTHING: dict[str, Any] = {
    "SchemaVersion": SCHEMA_VERSION, "Name": "nothing", "Summary": "a host does nothing", "Group": "Boundary",
    "Requires": [{"Class": "host", "Type": "os"}], "Deploys": [{"Object": "hostA", "Class": "host"}],
    "Run": [{"Name": "nothing", "Object": "hostA", "Cmd": ["true"]}], "Collects": [],
    "Expect": [{"Step": "nothing", "From": "exit", "Equals": 0}],
}  # fmt: skip


def library(root: Path, count: int) -> None:
    """Write so many cases into a directory."""
    groups = ("Spec/Samples", "Function/Samples", "Security/Samples")
    for number in range(count):
        place = root / f"part-{number // 100}" / f"nothing-{number}"
        place.mkdir(parents=True)
        document = {**NOTHING, "Name": place.name, "Group": groups[number % len(groups)]}
        (place / CASE).write_text(render(document))


INSIDE: dict[str, Any] = {
    **NOTHING, "Summary": "a container does nothing",
    "Requires": [*NOTHING["Requires"], {"Class": "box", "Type": "container"}],
    "Deploys": [{"Object": "hostA", "Class": "host", "Containers": [{"Object": "boxA", "Class": "box"}]}],
    "Run": [{"Name": "nothing", "Object": "boxA", "Cmd": ["true"]}],
}  # fmt: skip


def samples(
    engine: CliEngine, count: int, document: Mapping[str, Any] = NOTHING
) -> Iterator[tuple[float, float]]:  # fmt: skip
    """Run a case so many times, one that does nothing; yields the seconds of its commands, and of all."""
    run = new_run_id()
    engine, unjournaled = _counting(engine)
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / CASE).write_text(render(dict(document)))
        for _ in range(count):
            unjournaled.clear()
            began = time.perf_counter()
            (case,) = Case.load(document).combinations()
            placing = offers.place(case, [offers.here(engine.host)])
            bench = Bench(engine, Owner(run, secrets.token_hex(4)))
            Task(case, Bundle(Path(name)), EngineContainers(bench), hosts=placing.hosts).run()
            whole = time.perf_counter() - began
            calls = [call.result for call in bench.journal.calls if isinstance(call.result, Result)]
            yield sum(result.duration for result in calls) + sum(unjournaled), whole


def _counting(engine: CliEngine) -> tuple[CliEngine, list[float]]:
    """Return an engine that counts the seconds of commands that no journal has: those of cleaning up."""
    seconds: list[float] = []
    kind = type(engine)

    def cli(self: CliEngine, *args: str, **options: Any) -> Any:
        result = kind.cli(self, *args, **options)
        if options.get("journal") is None:
            seconds.append(result.duration)
        return result

    def find(self: CliEngine, *args: Any) -> list[str]:
        began, before = time.perf_counter(), len(seconds)
        found = kind.find(self, *args)
        seconds.append(time.perf_counter() - began - sum(seconds[before:]))  # where a socket is asked
        return found

    made = copy.copy(engine)
    made.__class__ = type("Counting", (kind,), {"cli": cli, "find": find})
    return made, seconds

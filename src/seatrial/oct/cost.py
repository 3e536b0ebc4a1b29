"""What running a case costs over the commands that it runs, and what listing and planning many cases does."""

from __future__ import annotations

import secrets
import tempfile
import time
from collections.abc import Iterator
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


def samples(engine: CliEngine, count: int) -> Iterator[tuple[float, float]]:
    """Run a case that does nothing so many times; yields the seconds of its commands, and of all."""
    run = new_run_id()
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / CASE).write_text(render(NOTHING))
        for _ in range(count):
            began = time.perf_counter()
            (case,) = Case.load(NOTHING).combinations()
            placing = offers.place(case, [offers.here(engine.host)])
            bench = Bench(engine, Owner(run, secrets.token_hex(4)))
            Task(case, Bundle(Path(name)), EngineContainers(bench), hosts=placing.hosts).run()
            whole = time.perf_counter() - began
            calls = [call.result for call in bench.journal.calls if isinstance(call.result, Result)]
            yield sum(result.duration for result in calls), whole

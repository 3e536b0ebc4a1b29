"""A pytest plugin that puts a fault between tests and their engine: `-p inject`, SEATRIAL_FAULTS=DIR.

Beside what `matrix` reads, DIR holds cli.json (the faults) and help.json. Cleaning is never faulty: only
calls with a test's journal are.
"""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import pytest
from api_faults import BY_NAME
from faults import Fault, Grammar, without
from matrix import DIRECTORY, fault_id, pytest_generate_tests, pytest_runtest_makereport
from proxy import Proxy

from seatrial.api.bound import Api
from seatrial.api.wire import Endpoint
from seatrial.engines.base import CliEngine
from seatrial.exec import check

__all__ = ["fault", "fault_id", "pytest_generate_tests", "pytest_runtest_makereport"]

FAULTS = {fault.id: fault for fault in (Fault(**item) for item in json.loads((DIRECTORY / "cli.json").read_text()))}
GRAMMAR = Grammar(json.loads((DIRECTORY / "help.json").read_text()))


@pytest.fixture(autouse=True)
def fault(fault_id, request, monkeypatch):
    chosen = FAULTS[fault_id]
    if chosen.kind == "api":
        _between(chosen, monkeypatch, request)
        return
    run, spawn = CliEngine.cli, CliEngine.spawn

    def faulty(self, *args, journal=None, expect=0, stdout=None, stderr=None, **options):
        call = GRAMMAR.parse(args)
        if journal is None or chosen.verb not in ("", call.verb):
            return run(self, *args, journal=journal, expect=expect, stdout=stdout, stderr=stderr, **options)
        if chosen.kind == "drop":
            args = without(call, chosen)
        if chosen.kind == "idle":
            result = run(self, "version", journal=journal, expect=None, **options)
            last = (call.rest or ("",))[-1]
            result = dataclasses.replace(result, code=0, out=f"{last}\n".encode(), err=b"")
        else:
            result = run(self, *args, journal=journal, expect=None, **options)
        if chosen.kind == "lie":
            result = dataclasses.replace(result, code=0)
        elif chosen.kind == "mute":
            result = dataclasses.replace(result, out=b"")
        elif chosen.kind == "swap":
            result = dataclasses.replace(result, out=result.err, err=result.out)
        return check(result, expect, stdout, stderr)

    def faulty_spawn(self, *args, journal=None, **options):
        call = GRAMMAR.parse(args)
        if journal is not None and chosen.kind == "drop" and chosen.verb in ("", call.verb):
            args = without(call, chosen)
        return spawn(self, *args, journal=journal, **options)

    monkeypatch.setattr(CliEngine, "cli", faulty)
    monkeypatch.setattr(CliEngine, "spawn", faulty_spawn)


def _between(chosen, monkeypatch, request):
    """Put a proxy between the API that a test holds and its engine; what cleans up goes past it."""
    made = Api.__init__

    def faulty(self, bench):
        made(self, bench)
        path = Path(f"/tmp/seatrial-fault-{os.getpid()}-{id(self):x}.sock")
        request.addfinalizer(Proxy(path, self.endpoint, BY_NAME[chosen.verb]).close)
        self.endpoint = Endpoint(path=path)

    monkeypatch.setattr(Api, "__init__", faulty)

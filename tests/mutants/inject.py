"""A pytest plugin that puts a fault between tests and their engine: `-p inject`, SEATRIAL_FAULTS=DIR.

DIR holds faults.json and help.json. Each test runs once for each fault that it could notice; what
happened goes into DIR/outcomes/. Cleaning is never faulty: only calls with a test's journal are.
"""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import pytest
from faults import Fault, Grammar, without

from seatrial.engines.base import CliEngine
from seatrial.exec import check

DIRECTORY = Path(os.environ["SEATRIAL_FAULTS"])
FAULTS = {fault.id: fault for fault in (Fault(**item) for item in json.loads((DIRECTORY / "faults.json").read_text()))}
GRAMMAR = Grammar(json.loads((DIRECTORY / "help.json").read_text()))


def pytest_generate_tests(metafunc):
    if "target" in metafunc.fixturenames:
        test = metafunc.definition.nodeid
        ids = [id_ for id_, fault in FAULTS.items() if test in fault.tests]
        metafunc.parametrize("fault", ids, indirect=True, ids=ids)


@pytest.fixture(autouse=True)
def fault(request, monkeypatch):
    chosen = FAULTS[request.param]
    if (DIRECTORY / "killed" / chosen.id).exists():
        pytest.skip("already noticed")
    run, spawn = CliEngine.cli, CliEngine.spawn

    def faulty(self, *args, journal=None, expect=0, stdout=None, stderr=None, **options):
        call = GRAMMAR.parse(args)
        if journal is None or call.verb != chosen.verb:
            return run(self, *args, journal=journal, expect=expect, stdout=stdout, stderr=stderr, **options)
        if chosen.kind == "drop":
            args = without(call, chosen.option)
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
        if journal is not None and chosen.kind == "drop" and call.verb == chosen.verb:
            args = without(call, chosen.option)
        return spawn(self, *args, journal=journal, **options)

    monkeypatch.setattr(CliEngine, "cli", faulty)
    monkeypatch.setattr(CliEngine, "spawn", faulty_spawn)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):
    report = yield
    id_ = item.callspec.params.get("fault") if hasattr(item, "callspec") else None
    value = getattr(report, "seatrial", None)
    if id_ and value and value["verdict"] != "SKIP":
        noticed = value["verdict"] in ("FAIL", "ERROR", "WARN")
        with (DIRECTORY / "outcomes" / f"{os.getpid()}.jsonl").open("a") as out:
            line = {"fault": id_, "test": item.nodeid.partition("[")[0], "noticed": noticed, "how": value["signature"]}
            out.write(json.dumps(line) + "\n")
        if noticed:
            (DIRECTORY / "killed" / id_).touch()
    return report

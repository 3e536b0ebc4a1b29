"""A pytest plugin that puts a fault between tests and their runtime: `-p inject_runtime`, SEATRIAL_FAULTS=DIR.

Only what tests do is faulty: cleaning has no journal, and the session's own containers run before tests.
"""

from __future__ import annotations

import pytest
from matrix import NONE, fault_id, pytest_generate_tests, pytest_runtest_makereport
from runtime_faults import Call, every

from seatrial.engines.runtime import RuntimeEngine
from seatrial.exec import check
from seatrial.oci.bench import Runtime

__all__ = ["fault", "fault_id", "pytest_generate_tests", "pytest_runtest_makereport"]

FAULTS = every()
# what was observed under one fault says nothing about another
CACHES: dict[str, dict] = {}


@pytest.fixture(autouse=True)
def fault(fault_id, monkeypatch):
    monkeypatch.setattr(Runtime, "cache", CACHES.setdefault(fault_id, {}))
    apply = Call.run if fault_id == NONE else FAULTS[fault_id].apply
    plain = RuntimeEngine.cli

    def faulty(self, *args, journal=None, expect=0, stdout=None, stderr=None, **options):
        if journal is None:
            return plain(self, *args, journal=journal, expect=expect, stdout=stdout, stderr=stderr, **options)

        def execute(words, env_less="", **other):
            given = {**options, **other}
            if env_less:
                given["env"] = {name: value for name, value in given.get("env", {}).items() if name != env_less}
            return plain(self, *words, journal=journal, expect=None, **given)

        at = 2 + len(self.options) if args[:1] == ("--root",) else 0
        while at < len(args) and args[at].startswith("-"):  # options of all commands, none of which has a value
            at += 1
        cgroups = self.host.path("/sys/fs/cgroup/pids")
        call = Call(list(args), at, str(options.get("cwd") or ""), cgroups, execute, options)
        return check(apply(call), expect, stdout, stderr)

    monkeypatch.setattr(RuntimeEngine, "cli", faulty)

"""Fake engines: a script that speaks an engine's command line, right or wrong on purpose.

They exist to show that the contract in `seatrial.testkit` can fail, and are used nowhere else.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from seatrial.engines import _fake_cli
from seatrial.engines.base import CliEngine
from seatrial.engines.drivers import driver
from seatrial.hosts import LOCAL
from seatrial.targets import Target

# how a fake can be wrong, and what that is
WRONGS: Mapping[str, str] = {
    "always-fails": "every command fails",
    "silent-ok": "every command succeeds and says nothing",
    "hangs": "no command ever ends",
    "stops-at-unknown": "removal stops at the first unknown name",
    "keeps-volumes": "anonymous volumes outlive their containers",
    "finds-anything": "whatever is inspected is there",
    "other-object": "an id leads to another object than the name",
    "takes-anything": "what is no archive becomes an image",
    "detaches": "`run` does not wait for the command",
    "lies-version": "`version` speaks of another version than the binary",
    "impostor": "another engine answers behind the same command line",
    "poor-facts": "`info` leaves out the storage driver",
    "garbage": "JSON output is none",
    "leaks": "removal succeeds and removes nothing",
    "dies": "the client is killed in the middle of a run",
    "always-zero": "the exit code of the command is lost",
    "merges-streams": "standard error arrives on standard output",
    "forgets-stdin": "standard input never arrives",
    "no-filter": "filters of listings are ignored",
    "short-ids": "ids are cut off in spite of --no-trunc",
    "drops-changes": "an imported image loses its configuration",
    "mute": "errors do not say what is unknown",
}


def fake(engine: str, directory: Path, wrong: str = "") -> CliEngine:
    """Install a fake CLI of an engine into a directory and return the engine's own driver on it.

    `wrong` is one of `WRONGS`, or empty for a fake that keeps the contract.
    """
    if wrong and wrong not in WRONGS:
        raise ValueError(f"a fake cannot be wrong in this way: {wrong}")
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "fake.json").write_text(json.dumps({"cli": engine, "wrong": wrong}))
    binary = directory / engine
    command = shlex.join([sys.executable, "-I", "-S", _fake_cli.__file__, str(directory)])
    binary.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    binary.chmod(0o755)
    cls = driver(engine)
    faked = type(f"Fake{cls.__name__}", (cls,), {"binary": str(binary), "patience": 5.0})
    made: CliEngine = faked(Target(engine), LOCAL)
    return made

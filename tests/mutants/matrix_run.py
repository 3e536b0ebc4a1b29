"""Running tests under faults: one pytest session for all of them; see `matrix` for the directory's files."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from seatrial import results

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
# verdicts of tests that did not run
NOT_RUN = ("SKIP", "UNSUPPORTED", "DISABLED")
# those of tests that failed: which of them depends on lists of known failures, whose entries for parameters do not find
# a test under the longer id that it has with a fault
FAILED = ("FAIL", "WARN", "KNOWN")


@dataclass(frozen=True)
class Tried:
    """One test under one fault."""

    fault: str
    test: str
    noticed: bool
    verdict: str
    how: str


def run(
    directory: Path, plugin: str, target: str, tests: Mapping[str, Sequence[str]], workers: str,
    passed: Sequence[str] | None = None, unspared: Sequence[Sequence[str]] = (), options: Sequence[str] = (),
) -> list[Tried]:  # fmt: skip
    """Run each test once for each of its faults, until somebody notices the fault; return what happened.

    `unspared` are pairs of a fault and a test that runs although somebody has noticed already, `options` are pytest's.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for part in ("outcomes", "killed"):
        (directory / part).mkdir()
    (directory / "faults.json").write_text(json.dumps(tests))
    (directory / "unspared.json").write_text(json.dumps(list(unspared)))
    if passed is not None:
        (directory / "passed.json").write_text(json.dumps(list(passed)))
    chosen = sorted({test for found in tests.values() for test in found})
    sys.stdout.write(f"{len(tests)} faults, {len(chosen)} tests that could notice them\n")
    sys.stdout.flush()
    environment = {**os.environ, "SEATRIAL_FAULTS": str(directory), "PYTHONPATH": str(HERE)}
    command = [sys.executable, "-m", "pytest", "-p", plugin, "-n", workers, "-q", "--no-summary", "--tb=no",
               "--results", str(directory / "reports"), "--engine", target, *options, *chosen]  # fmt: skip
    ended = subprocess.run(command, cwd=ROOT, env=environment, check=False)
    lines = [line for path in (directory / "outcomes").iterdir() for line in path.open()]
    if chosen and not lines:  # that nothing was noticed would say nothing
        raise SystemExit(f"none of {len(chosen)} tests ran (exit code {ended.returncode}); see {shlex.join(command)}")
    return [Tried(**json.loads(line)) for line in lines]


def bare(
    directory: Path, target: str, tests: Sequence[str], workers: str, options: Sequence[str] = ()
) -> dict[str, str]:  # fmt: skip
    """Run tests as users do, with nothing between them and the target; return the verdict of each."""
    command = [sys.executable, "-m", "pytest", "-n", workers, "-q", "--no-summary", "--tb=no",
               "--results", str(directory), "--engine", target, *options, *tests]  # fmt: skip
    ended = subprocess.run(command, cwd=ROOT, check=False)
    streams = list(directory.glob("2*/results.jsonl"))
    if len(streams) != 1:
        raise SystemExit(f"no results (exit code {ended.returncode}); see {shlex.join(command)}")
    return {one.test: one.verdict.value for one in results.read(streams[0]).results}


def differences(plain: Mapping[str, str], wrapped: Sequence[Tried]) -> dict[str, tuple[str, str]]:
    """Return the tests with another verdict through a wrapper that injects nothing: by test, without and with it."""
    ran = {test: verdict for test, verdict in plain.items() if verdict not in NOT_RUN}
    through = {one.test: one.verdict for one in wrapped}
    pairs = {test: (ran.get(test, "no verdict"), through.get(test, "no verdict")) for test in {*ran, *through}}
    return {test: pair for test, pair in sorted(pairs.items()) if pair[0] != pair[1] and not set(pair) <= set(FAILED)}

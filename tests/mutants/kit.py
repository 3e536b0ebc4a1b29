"""Kits of faults that know the claims that they break: of runtimes, of weakened engines, of registries."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import registry_faults
import runtime_faults
import weakened
from matrix_run import ROOT, Tried, bare, differences, run

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Kit:
    """Faults by id, the suites that have to notice so many of them, and the pytest plugin that injects one."""

    suites: tuple[str, ...]
    plugin: str
    faults: Callable[[], Mapping[str, Any]]
    # looked into: id of a fault -> engine or runtime ("" for all) -> why it cannot be seen
    equivalent: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    options: tuple[str, ...] = ()  # of pytest
    floor: float = 95.0  # percentage


RUNTIMES = Kit(("suites/oci/runtime", "suites/security"), "inject_runtime", runtime_faults.every,
               json.loads((HERE / "runtime_equivalent.json").read_text()), floor=97.0)  # fmt: skip
ISOLATION = Kit(("suites/security",), "inject_weakened", weakened.every, floor=97.0)


# of Debian's registry: it never gives the answers that these change
DEBIANS_OWN = {
    "range-416-is-206": "it answers 416 to nothing",
    "tags-link": "its lists of tags have no pages, and no Link",
}


def registries(name: str) -> Kit:
    """Return the faults of a proxy before a registry: harbour (our own, with all end points), debian, or a URL."""
    invisible = {id_: {"": why} for id_, why in DEBIANS_OWN.items()} if name == "debian" else {}
    options = ("--registry", name)
    return Kit(("suites/oci/distribution",), "inject_registry", registry_faults.every, invisible, options)


def tests_by_claim(target: str, suites: Sequence[str]) -> dict[str, list[str]]:
    """Collect the suites; return which tests name which claim."""
    with tempfile.TemporaryDirectory() as name:
        out = Path(name) / "claims.json"
        command = [sys.executable, "-m", "pytest", *suites, "--collect-only", "-q", "--engine", target,
                   "--claims-out", str(out)]  # fmt: skip
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        named = json.loads(out.read_text())["named"]
    return {claim: sorted(set(tests)) for claim, tests in named.items()}


def unfaulted(kit: Kit, target: str, tests: Sequence[str], workers: str, directory: Path) -> list[Tried]:
    """Run tests through the wrapper without a fault; ends the campaign when that changes a verdict.

    What was another verdict once is tried once more both ways: a test that goes wrong now and then tells nothing.
    """
    found: list[Tried] = []
    changed: dict[str, tuple[str, str]] = {}
    for part in ("none", "none-again"):
        wrapped = run(directory / part, kit.plugin, target, {"none": tests}, workers, options=kit.options)
        found = found or wrapped
        seen = differences(bare(directory / f"{part}-bare", target, tests, workers, kit.options), wrapped)
        changed = {test: pair for test, pair in seen.items() if part == "none" or test in changed}
        if not changed:
            return found
        tests = sorted({test.partition("[")[0] for test in changed})
    lines = [f"  {test}: {before} without the wrapper, {after} with it" for test, (before, after) in changed.items()]
    raise SystemExit("\n".join(["the wrapper without a fault changes verdicts:", *lines]))


def campaign(kit: Kit, target: str, only, workers: str) -> list[dict]:
    """Run every test without a fault, then each fault with the tests of its claims; return a row a fault."""
    named = tests_by_claim(target, kit.suites)
    chosen = {id_: fault for id_, fault in kit.faults().items() if only(id_)}
    own = {id_: {test for claim in fault.claims for test in named.get(claim, [])} for id_, fault in chosen.items()}
    # without their parameters: a fault may be noticed by a neighbour, but it is tried on tests that name its claims
    tests = {id_: sorted({test.partition("[")[0] for test in found}) for id_, found in own.items()}
    if not chosen:
        return []
    every = sorted({test for found in tests.values() for test in found})
    with tempfile.TemporaryDirectory(prefix="seatrial-faults-") as name:
        passed = [one.test for one in unfaulted(kit, target, every, workers, Path(name)) if one.verdict == "PASS"]
        outcomes = run(Path(name) / "faults", kit.plugin, target, tests, workers, passed, options=kit.options)
    by_fault: dict[str, list[Tried]] = defaultdict(list)
    for outcome in outcomes:
        by_fault[outcome.fault].append(outcome)
    rows = []
    for id_, fault in chosen.items():
        killer = next((one for one in by_fault[id_] if one.noticed), None)
        tried = sorted({one.test for one in by_fault[id_] if one.test in passed and one.test in own[id_]})
        why = kit.equivalent.get(id_, {})
        rows.append({
            "part": kit.suites[0], "floor": kit.floor, "fault": id_, "words": str(fault), "claims": list(fault.claims),
            "noticed": killer is not None, "by": killer.test if killer else "", "how": killer.how if killer else "",
            "tried": tried, "untried": not tried and not killer,
            "equivalent": why.get(target.partition("@")[0], why.get("", "")),
        })  # fmt: skip
    return rows

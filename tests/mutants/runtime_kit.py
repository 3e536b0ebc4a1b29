"""What a campaign needs to know of runtimes: their faults, and the tests that could notice each."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from matrix_run import ROOT, Tried, run
from runtime_faults import every as faults

SUITE = "suites/oci/runtime"
# Looked into: id of a fault (and the runtime, where it holds for one) -> why it cannot be seen
EQUIVALENT = json.loads((Path(__file__).parent / "runtime_equivalent.json").read_text())


def tests_by_claim(target: str) -> dict[str, list[str]]:
    """Collect the suite; return which tests name which claim, without their parameters."""
    with tempfile.TemporaryDirectory() as name:
        out = Path(name) / "claims.json"
        command = [sys.executable, "-m", "pytest", SUITE, "--collect-only", "-q", "--engine", target,
                   "--claims-out", str(out)]  # fmt: skip
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        named = json.loads(out.read_text())["named"]
    return {claim: sorted({test.partition("[")[0] for test in tests}) for claim, tests in named.items()}


def campaign(target: str, only, workers: str) -> list[dict]:
    """Run every test without a fault, then each fault with the tests of its claims; return a row a fault."""
    named = tests_by_claim(target)
    chosen = {id_: fault for id_, fault in faults().items() if only(id_)}
    tests = {id_: sorted({test for claim in fault.claims for test in named.get(claim, [])})
             for id_, fault in chosen.items()}  # fmt: skip
    every = sorted({test for found in tests.values() for test in found})
    with tempfile.TemporaryDirectory(prefix="seatrial-faults-") as name:
        plain = run(Path(name) / "none", "inject_runtime", target, {"none": every}, workers)
        passed = [one.test for one in plain if one.verdict == "PASS"]
        outcomes = run(Path(name) / "faults", "inject_runtime", target, tests, workers, passed)
    by_fault: dict[str, list[Tried]] = defaultdict(list)
    for outcome in outcomes:
        by_fault[outcome.fault].append(outcome)
    rows = []
    for id_, fault in chosen.items():
        killer = next((one for one in by_fault[id_] if one.noticed), None)
        tried = sorted({one.test for one in by_fault[id_] if one.test in passed})
        why = EQUIVALENT.get(id_, {})
        rows.append({
            "fault": id_, "words": str(fault), "claims": list(fault.claims), "noticed": killer is not None,
            "by": killer.test if killer else "", "how": killer.how if killer else "",
            "tried": tried, "untried": not tried and not killer,
            "equivalent": why.get(target.partition("@")[0], why.get("", "")),
        })  # fmt: skip
    return rows

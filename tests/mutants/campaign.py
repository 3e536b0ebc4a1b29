"""`make mutants`: how many faults of an engine's command line the suites notice, and by which test.

    campaign.py [--engine TARGET] [--baseline RUN] [--most N] [-n N] [--only REGEX] [--floor PERCENT]

Without --baseline the CLI suite runs first, to learn which test calls what. Exit codes: 0 enough
faults were noticed, 1 too few, 4 there is nothing to derive faults from.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from faults import Fault, Grammar, derive

from seatrial import results
from seatrial.engines import drivers
from seatrial.lab import labs
from seatrial.targets import parse

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
# Looked into: these cannot be seen from outside, or are seen by no rule.
EQUIVALENT = json.loads((HERE / "equivalent.json").read_text())


def main() -> int:
    arguments = _arguments()
    target = parse(arguments.engine)
    baseline = arguments.baseline or _baseline(arguments)
    run = results.read(baseline / "results.jsonl")
    with tempfile.TemporaryDirectory(prefix="seatrial-faults-") as name:
        directory = Path(name)
        helps = _helps(target)
        found = derive(run, drivers.driver(target.engine).binary, Grammar(helps), arguments.most)
        chosen = [fault for fault in found if re.search(arguments.only, fault.id)]
        if not chosen:
            print(f"no faults can be derived from {baseline}", file=sys.stderr)
            return 4
        (directory / "faults.json").write_text(json.dumps([asdict(fault) for fault in chosen]))
        (directory / "help.json").write_text(json.dumps(helps))
        for part in ("outcomes", "killed"):
            (directory / part).mkdir()
        tests = sorted({test for fault in chosen for test in fault.tests})
        print(f"{len(chosen)} faults, {len(tests)} tests that could notice them")
        environment = {**os.environ, "SEATRIAL_FAULTS": name, "PYTHONPATH": str(HERE)}
        command = [sys.executable, "-m", "pytest", "-p", "inject", "-n", arguments.n, "-q", "--no-summary", "--tb=no",
                   "--results", str(directory / "reports"), "--engine", str(target), *tests]  # fmt: skip
        subprocess.run(command, cwd=ROOT, env=environment, check=False)
        outcomes = [json.loads(line) for path in (directory / "outcomes").iterdir() for line in path.open()]
    return _tell(chosen, outcomes, arguments)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", default="docker@bookworm", metavar="TARGET", help="a lab engine")
    parser.add_argument("--baseline", type=Path, metavar="RUN", help="directory of a run of the suites on this target")
    parser.add_argument("--most", type=int, default=8, help="tests tried for each fault (default 8)")
    parser.add_argument("--only", default="", metavar="REGEX", help="only faults whose id matches")
    parser.add_argument("--floor", type=float, default=95.0, help="percentage that must be noticed (default 95)")
    parser.add_argument("--out", type=Path, default=ROOT / "reports" / "mutants.json", help="where the table goes")
    parser.add_argument("-n", default="8", help="workers (default 8)")
    return parser.parse_args()


def _baseline(arguments: argparse.Namespace) -> Path:
    command = [sys.executable, "-m", "pytest", "suites/cli", "-q", "-n", arguments.n, "--engine", arguments.engine]
    subprocess.run(command, cwd=ROOT, check=False)
    return (ROOT / "reports" / "latest").resolve()


def _helps(target) -> dict[str, str]:
    """Ask the engine for the help of every verb."""
    lab = labs.acquire(target, "mutants")
    engine = drivers.in_lab(target, lab)
    helps = {}
    for noun in ("", "container", "image", "network", "volume", "system"):
        text = engine.cli(*filter(None, [noun]), "--help").stdout
        for verb in re.findall(r"^  ([a-z][\w-]*)\*?\s{2,}", text, re.MULTILINE):
            words = [word for word in (noun, verb) if word]
            helps[" ".join(words)] = engine.cli(*words, "--help", expect=None).stdout
    labs.release(lab.name, "mutants")
    return helps


def _tell(chosen: list[Fault], outcomes: list[dict], arguments: argparse.Namespace) -> int:
    by_fault: dict[str, list[dict]] = {}
    for outcome in outcomes:
        by_fault.setdefault(outcome["fault"], []).append(outcome)
    rows = []
    for fault in chosen:
        seen = by_fault.get(fault.id, [])
        killer = next((outcome for outcome in seen if outcome["noticed"]), None)
        rows.append({
            "fault": fault.id, "words": str(fault), "noticed": killer is not None,
            "by": killer["test"] if killer else "", "how": killer["how"] if killer else "",
            "tried": sorted({outcome["test"] for outcome in seen}), "equivalent": EQUIVALENT.get(fault.id, ""),
        })  # fmt: skip
    arguments.out.write_text(json.dumps({"target": arguments.engine, "faults": rows}, indent=1) + "\n")
    counted = [row for row in rows if not row["equivalent"]]
    noticed = [row for row in counted if row["noticed"]]
    for row in counted:
        if not row["noticed"]:
            print(f"SURVIVED  {row['words']}  (tried: {', '.join(row['tried']) or 'nothing ran'})")
    for fault in chosen:
        named = [outcome for outcome in by_fault.get(fault.id, []) if outcome["test"] in fault.named]
        if named and not any(outcome["noticed"] for outcome in named):
            print(f"unproved  {', '.join(fault.named)} did not notice that {fault}")
    for row in rows:
        if row["equivalent"]:
            print(f"invisible {row['words']}: {row['equivalent']}")
    share = 100 * len(noticed) / len(counted) if counted else 0.0
    print(f"{len(noticed)} of {len(counted)} faults noticed ({share:.1f}%), {len(rows) - len(counted)} invisible")
    return 0 if counted and share >= arguments.floor else 1


if __name__ == "__main__":
    raise SystemExit(main())

"""`make mutants`: how many faults of an engine or a runtime the suites notice, and by which test.

    campaign.py [--engine TARGET] [--baseline RUN] [--most N] [-n N] [--only REGEX] [--floor PERCENT] [--isolation]
                [--registry [harbour|debian|URL]]

Faults of an engine's command line are derived from a run of its suites (without --baseline they run
first), those of its API stand in api_faults.py, engines whose isolation is weakened in weakened.py
and weakened_ways.py, those of a runtime in runtime_faults.py, those of a registry in registry_faults.py. Exit
codes: 0 enough faults were noticed, 1 too few or a test that names an option's effect did not notice that it
was ignored, 4 there are no faults. Each suite has to notice enough of those that are its own.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import api_faults
import kit
from faults import Fault, Grammar, derive
from matrix_run import ROOT, Tried, run

from seatrial import results
from seatrial.commands.claims import collect
from seatrial.engines import drivers
from seatrial.lab import labs
from seatrial.targets import parse

HERE = Path(__file__).parent
FLOOR = 95.0  # percentage of the faults of a command line and of an API that must be noticed
# Looked into: these cannot be seen from outside, or are seen by no rule.
EQUIVALENT = json.loads((HERE / "equivalent.json").read_text())


def main() -> int:
    arguments = _arguments()
    target = parse(arguments.engine)

    def only(id_: str) -> bool:
        return re.search(arguments.only, id_) is not None

    if target.is_runtime:
        rows = kit.campaign(kit.RUNTIMES, arguments.engine, only, arguments.n)
    elif arguments.registry:
        rows = kit.campaign(kit.registries(arguments.registry), arguments.engine, only, arguments.n)
    elif arguments.isolation:
        rows = kit.campaign(kit.ISOLATION, arguments.engine, only, arguments.n)
    else:
        rows = _engine(target, arguments)
        for faults in (kit.ISOLATION, kit.registries("harbour")):
            rows += kit.campaign(faults, arguments.engine, only, arguments.n)
    if not rows:
        print("there are no faults to try", file=sys.stderr)
        return 4
    return _tell(rows, arguments)


def _engine(target, arguments: argparse.Namespace) -> list[dict]:
    """Derive faults of the engine's command line and API and try them; return a row a fault."""
    baseline = arguments.baseline or _baseline(arguments)
    helps = _helps(target)
    green = results.read(baseline / "results.jsonl")
    found = derive(green, drivers.driver(target.engine).binary, Grammar(helps), arguments.most)
    found += api_faults.derive(green, arguments.most)
    chosen = [fault for fault in found if re.search(arguments.only, fault.id)]
    if not chosen:
        return []
    _leave_out_what_is_gone(chosen)
    with tempfile.TemporaryDirectory(prefix="seatrial-faults-") as name:
        directory = Path(name)
        (directory / "cli.json").write_text(json.dumps([asdict(fault) for fault in chosen]))
        (directory / "help.json").write_text(json.dumps(helps))
        tests = {fault.id: fault.tests for fault in chosen}
        outcomes = run(directory, "inject", str(target), tests, arguments.n,
                       unspared=[[fault.id, test] for fault in chosen for test in fault.named])  # fmt: skip
    return _rows(chosen, outcomes)


def _leave_out_what_is_gone(faults: list[Fault]) -> None:
    """Take tests out that the run of the baseline had and the suites have no more: pytest would run nothing at all."""
    there = {test.partition("[")[0] for tests in collect(ROOT / "suites").values() for test in tests}
    gone = {test for fault in faults for test in fault.tests if test not in there}
    for fault in faults:
        fault.tests = [test for test in fault.tests if test in there]
    if gone:
        print(f"{len(gone)} tests of the baseline are gone: {', '.join(sorted(gone)[:5])} ...", file=sys.stderr)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", default="docker@bookworm", metavar="TARGET", help="a lab engine")
    parser.add_argument("--registry", nargs="?", const="harbour", default="", metavar="NAME",
                        help="only faults of a proxy before a registry beside the engine: harbour (the harness's own, "
                        "with every end point), debian, or a URL")  # fmt: skip
    parser.add_argument("--baseline", type=Path, metavar="RUN", help="directory of a run of the suites on this target")
    parser.add_argument("--most", type=int, default=8, help="tests tried for each fault (default 8)")
    parser.add_argument("--only", default="", metavar="REGEX", help="only faults whose id matches")
    parser.add_argument("--floor", type=float, help="percentage that must be noticed (default 95, of isolation 97)")
    parser.add_argument("--out", type=Path, default=ROOT / "reports" / "mutants.json", help="where the table goes")
    parser.add_argument("--isolation", action="store_true", help="only engines whose isolation is weakened")
    parser.add_argument("-n", default="8", help="workers (default 8)")
    return parser.parse_args()


def _baseline(arguments: argparse.Namespace) -> Path:
    command = [sys.executable, "-m", "pytest", "suites/cli", "suites/api", "-q", "-n", arguments.n,
               "--engine", arguments.engine]  # fmt: skip
    subprocess.run(command, cwd=ROOT, check=False)
    return (ROOT / "reports" / "latest").resolve()


def _helps(target) -> dict[str, str]:
    """Ask the engine for the help of every verb."""
    lab = labs.acquire(target, "mutants")
    engine = drivers.in_lab(target, lab)
    helps = {}
    for noun in ("", "container", "image", "network", "volume", "system"):
        helps[noun] = text = engine.cli(*filter(None, [noun]), "--help").stdout
        for verb in re.findall(r"^  ([a-z][\w-]*)\*?\s{2,}", text, re.MULTILINE):
            words = [word for word in (noun, verb) if word]
            helps[" ".join(words)] = engine.cli(*words, "--help", expect=None).stdout
    labs.release(lab.name, "mutants")
    return helps


def _rows(chosen: list[Fault], outcomes: list[Tried]) -> list[dict]:
    by_fault: dict[str, list[Tried]] = {}
    for outcome in outcomes:
        by_fault.setdefault(outcome.fault, []).append(outcome)
    rows = []
    for fault in chosen:
        seen = by_fault.get(fault.id, [])
        killer = next((outcome for outcome in seen if outcome.noticed), None)
        saw = {outcome.test.partition("[")[0] for outcome in seen if outcome.noticed}
        ran = {outcome.test.partition("[")[0] for outcome in seen}
        rows.append({
            "part": "suites/api" if fault.kind == "api" else "suites/cli", "floor": FLOOR,
            "fault": fault.id, "words": str(fault), "noticed": killer is not None,
            "by": killer.test if killer else "", "how": killer.how if killer else "",
            "tried": sorted({outcome.test for outcome in seen}), "equivalent": EQUIVALENT.get(fault.id, ""),
            "claims": [], "untried": not fault.tests,
            "unproved": sorted(set(fault.named) & ran - saw),
        })  # fmt: skip
    return rows


def _tell(rows: list[dict], arguments: argparse.Namespace) -> int:
    arguments.out.write_text(json.dumps({"target": arguments.engine, "faults": rows}, indent=1) + "\n")
    # a runtime that itself breaks the claim, or has no such feature, cannot be shown to break it
    untried = [row for row in rows if row.get("untried") and not row["equivalent"]]
    counted = [row for row in rows if not row["equivalent"] and row not in untried]
    for row in counted:
        if not row["noticed"]:
            print(f"SURVIVED  {row['fault']}: {row['words']}  (tried: {', '.join(row['tried']) or 'nothing ran'})")
    unproved = [row for row in rows if row.get("unproved")]
    for row in unproved:
        print(f"unproved  {', '.join(row['unproved'])}: did not notice that {row['words']}")
    for row in rows:
        if row["equivalent"]:
            print(f"invisible {row['fault']}: {row['words']}: {row['equivalent']}")
    for row in untried:
        place = ", ".join(row["claims"]) or "the run"
        print(f"not tried {row['fault']}: {row['words']}: no test of {place} passes without it")
    for claim, (killed, all_of_them) in _by_claim(counted).items():
        print(f"  {claim}: {killed} of {all_of_them}")
    enough = bool(counted)
    for part in sorted({row["part"] for row in counted}):  # a weak suite must not hide behind a strong one
        own = [row for row in counted if row["part"] == part]
        noticed = sum(row["noticed"] for row in own)
        floor = own[0]["floor"] if arguments.floor is None else arguments.floor
        enough &= 100 * noticed >= floor * len(own)
        share = 100 * noticed / len(own)
        print(f"{part}: {noticed} of {len(own)} faults noticed ({share:.1f}%, {floor:g}% are due)")
    print(f"{len(rows) - len(counted) - len(untried)} invisible, {len(untried)} not tried")
    return 0 if enough and not unproved else 1


def _by_claim(rows: list[dict]) -> dict[str, tuple[int, int]]:
    """How many of the faults of each claim were noticed, for kits whose faults know their claims."""
    found: dict[str, list[bool]] = {}
    for row in rows:
        for claim in row.get("claims", []):
            found.setdefault(claim, []).append(row["noticed"])
    return {claim: (sum(seen), len(seen)) for claim, seen in sorted(found.items())}


if __name__ == "__main__":
    raise SystemExit(main())

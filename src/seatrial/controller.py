"""The session as a whole: targets prepared before the first test, reports written after the last.

Only the process that the user started has a controller. It makes what is shared (labs, images, the
results stream), hands a `Plan` to the workers, and puts everything back at the end.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from seatrial import capabilities, results, runs, snapshot
from seatrial import known as known_lists
from seatrial.claims import Claim
from seatrial.engines import drivers
from seatrial.engines.base import KINDS, CliEngine
from seatrial.errors import Exit, SeatrialError
from seatrial.known import Deviations, Known
from seatrial.lab import labs
from seatrial.names import BUSYBOX, RUN_LABEL, new_run_id
from seatrial.paths import remove_tree, share_dir, state_dir
from seatrial.probes import machine
from seatrial.report.files import save
from seatrial.results import Finding, Footer, Header, Stream, TargetInfo, TestResult
from seatrial.selection import split
from seatrial.targets import Target, parse
from seatrial.verdict import Verdict

Progress = Callable[[str], None]


@dataclass
class Plan:
    """What a worker needs to know of the session; plain JSON when it travels."""

    run: str
    directory: str
    image: str
    targets: list[TargetInfo] = field(default_factory=list)
    labs: dict[str, str] = field(default_factory=dict)  # target -> name of its lab
    known: dict[str, dict[str, Known]] = field(default_factory=dict)  # target -> test -> expected failure
    races: dict[str, list[Known]] = field(default_factory=dict)  # target -> expected failures of any test

    def dump(self) -> str:
        """Return the plan as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, text: str) -> Plan:
        """Build a plan from its JSON."""
        value = json.loads(text)
        known = {target: {test: Known(**entry) for test, entry in tests.items()}
                 for target, tests in value["known"].items()}  # fmt: skip
        races = {target: [Known(**entry) for entry in entries] for target, entries in value["races"].items()}
        targets = [results.target_from(item) for item in value["targets"]]
        return cls(**{**value, "targets": targets, "known": known, "races": races})

    def engine(self, target: str) -> CliEngine:
        """Return the driver of one of the session's targets."""
        parsed = parse(target)
        if target not in self.labs:
            return drivers.on_this_machine(parsed)
        lab = labs.find(self.labs[target])
        if lab is None:
            raise SeatrialError(
                "E501", f"the lab of {target} is gone", "somebody took it down while the session ran",
                "run the suite again",
            )  # fmt: skip
        return drivers.in_lab(parsed, lab)

    @property
    def obituary(self) -> Path:
        """The file in which a worker leaves word of a dead engine."""
        return state_dir() / "runs" / f"{self.run}.dead"

    def bury(self, words: str) -> None:
        """Leave word of a dead engine for the controller; the first word stays."""
        beside = self.obituary.with_suffix(f".{os.getpid()}")
        with contextlib.suppress(OSError):
            beside.parent.mkdir(parents=True, exist_ok=True)
            beside.write_text(words)
            os.link(beside, self.obituary)
        beside.unlink(missing_ok=True)


class Controller:
    """Prepares targets, records verdicts, and closes the run."""

    def __init__(self, targets: Sequence[str], base: Path, image: str, command: list[str], workers: int) -> None:
        self.base = base
        self.command = command
        self.workers = workers
        self.plan = Plan(new_run_id(), "", image or BUSYBOX)
        self.plan.directory = str(base / self.plan.run)
        self._wanted = [parse(target) for target in targets]
        self._engines: dict[str, CliEngine] = {}
        self._before: dict[str, snapshot.Snapshot] = {}
        self._deviations: dict[str, Deviations] = {}
        self._stream: Stream | None = None
        # what has to be put back, last first; its end is the run's
        self._owed = contextlib.ExitStack()
        self._began = time.monotonic()
        self.selected = 0
        self.counts: Counter[Verdict] = Counter()
        self.ran: set[tuple[str, str]] = set()
        self.cause = ""
        self.facts: dict[str, Any] = {}  # of this machine
        self._blamed = False  # something outside the tests went wrong
        self.broken: SeatrialError | None = None

    @property
    def directory(self) -> Path:
        """The run's directory."""
        return Path(self.plan.directory)

    @property
    def elapsed(self) -> float:
        """Seconds since the session began."""
        return time.monotonic() - self._began

    def prepare(self, progress: Progress, known: Path, claims: Mapping[str, Claim]) -> None:
        """Bring every target up, probe it, read its known list, and open the results stream."""
        lists = known_lists.read(sorted(known.glob("*.toml")))
        results.make_directory(self.directory)
        live = runs.begun(self.plan.run, self.directory, [str(target) for target in self._wanted])
        self._live = self._owed.enter_context(live)
        try:
            self._owe(self.plan.obituary.unlink, True)
            self._owe(remove_tree, share_dir() / self.plan.run)
            self._owe(self._take_private_down)
            facts = self.facts = machine.facts()
            for target in self._wanted:
                engine = self._reach(target, progress)
                with ThreadPoolExecutor(1) as beside:  # a container is run while the engine is asked what it can do
                    asked = beside.submit(capabilities.probe, engine, facts)
                    engine.make_ready(self.plan.run, self.plan.image)  # whose error says more than a question's
                    self.plan.targets.append(info := asked.result())
                progress(f"{target}: {info.identity}")
                self._engines[str(target)] = engine
                self._owe(sweep, engine, self.plan.run)
                self._before[str(target)] = snapshot.take(engine)
            self._deviations = {info.name: known_lists.deviations(lists, info) for info in self.plan.targets}
            self.plan.known = {name: found.tests for name, found in self._deviations.items()}
            self.plan.races = {name: found.races for name, found in self._deviations.items()}
            self._stream = Stream(self.directory / "results.jsonl")
            self._stream.write(
                Header(
                    run=self.plan.run, started=_now(), command=self.command, harness=_version(), host=facts,
                    targets=self.plan.targets, workers=self.workers,
                )
            )
            self._write_claims(claims)
        except BaseException:
            self._owed.close()
            with contextlib.suppress(OSError):  # it stays when there is something in it
                self.directory.rmdir()
            raise

    def _owe(self, step: Callable[..., object], *args: object) -> None:
        """Have something put back at the end; what cannot be done then keeps the run noted."""
        self._owed.callback(self._put_back, step, *args)

    def _put_back(self, step: Callable[..., object], *args: object) -> None:
        try:
            step(*args)
        except (SeatrialError, AssertionError, OSError):
            self._live.unfinished = True
        except BaseException:
            self._live.unfinished = True
            raise

    def _reach(self, target: Target, progress: Progress) -> CliEngine:
        if not target.is_lab and not target.is_runtime:
            return drivers.on_this_machine(target)
        if not target.is_lab:
            drivers.on_this_machine(target)  # which tells whether it is there, before a lab is made for it
        self._owe(labs.release, target.lab_name, self.plan.run)
        lab = labs.acquire(target, self.plan.run, progress)
        self.plan.labs[str(target)] = lab.name
        return drivers.in_lab(target, lab)

    def _write_claims(self, claims: Mapping[str, Claim]) -> None:
        """Write the claims tables beside the results, so that a report needs no checkout."""
        rows = [
            {"id": claim.id, "area": claim.area, "level": claim.level.value, "claim": claim.sentence,
             "source": claim.source, "untested": claim.untested, "severity": claim.severity}
            for claim in claims.values()
        ]  # fmt: skip
        save(self.directory / "claims.json", json.dumps({"claims": rows}, indent=1) + "\n")

    def record(self, result: TestResult) -> None:
        """Write one verdict into the stream."""
        self.counts[result.verdict] += 1
        if result.verdict.ran:
            self.ran |= {(result.test, result.target), (result.test.partition("[")[0], result.target)}
        self._write(result)

    def note(self, finding: Finding) -> None:
        """Write a finding into the stream; one that is not known makes the run fail."""
        self._blamed |= not finding.reason
        self._write(finding)

    def _write(self, record: TestResult | Finding | Footer) -> None:
        if self._stream is None or self.broken is not None:
            return
        try:
            self._stream.write(record)
        except SeatrialError as error:
            self.broken = error

    # -- the end -------------------------------------------------------------------------------

    def finish(self, status: int, required: Sequence[str] = ()) -> int:
        """Close the run: leftovers, gate, footer, cleaning. Returns the exit code.

        Whatever fails on the way is noted and costs neither the footer nor the cleaning.
        """
        with self._owed:
            status = self._conclude(status, required)
        return int(Exit.INTERNAL) if self.broken else status

    def _conclude(self, status: int, required: Sequence[str]) -> int:
        if death := self._death():
            self.cause = death
            self.note(Finding("engine", death.split()[0], death))
            status = Exit.FAILED
        elif status == Exit.INTERRUPTED:
            self.cause = self.cause or "interrupted"
        else:
            status = self._leftovers() or status
            status = status or (Exit.FAILED if self._blamed else Exit.OK)
        done = sum(self.counts.values())
        if status in (Exit.OK, Exit.NOTHING) and not self.counts:
            status, self.cause = Exit.NOTHING, self.cause or "no test ran"
        elif done < self.selected and not self.cause:
            status, self.cause = status or Exit.FAILED, f"{self.selected - done} of {self.selected} tests did not run"
        gate = self._gate(required)
        status = gate if status == Exit.OK else status
        self._write(
            Footer(
                finished=_now(), duration=self.elapsed, exit=int(status),
                counts={verdict.value: self.counts[verdict] for verdict in Verdict if self.counts[verdict]},
                selected=max(self.selected, done), cause=self.cause,
            )
        )
        if self._stream is not None:
            with contextlib.suppress(SeatrialError):
                self._stream.close()
        return int(status)

    def _gate(self, required: Sequence[str]) -> int:
        """Note each required test that did not run on a target; returns GATE when there is one."""
        names = [target.name for target in self.plan.targets]
        wanted = [split(id_, names) for id_ in required]
        pairs = [(test, name) for test, on in wanted for name in ([on] if on else names)]
        missing = [pair for pair in pairs if pair not in self.ran]
        for test, name in missing:
            self.note(Finding("required", name, f"the required test {test} did not run", test))
        return int(Exit.GATE) if missing else 0

    def _death(self) -> str:
        """Return in a sentence which engine died, empty when all live."""
        with contextlib.suppress(OSError, UnicodeDecodeError):
            return self.plan.obituary.read_text().strip()
        return ""

    def _leftovers(self) -> int:
        """Look for what the run left behind; returns FAILED when there is something."""
        status = 0
        for name, engine in self._engines.items():
            try:
                alone = not self._other_runs(name)
                left = snapshot.leaks(self._before[name], engine, self.plan.run, alone=alone)
            except (SeatrialError, AssertionError, OSError) as error:
                self.note(Finding("engine", name, f"after the last test, {name} did not answer: {error}"))
                status = int(Exit.FAILED)
                continue
            expected = self._deviations[name].leftovers
            for kind, what in left:
                known = next((entry for entry in expected if entry.covers(kind, what)), None)
                self.note(Finding(
                    "leftover", name, f"{kind} {what} was not there before the run",
                    reason=known.reason if known else "", link=known.link if known else "",
                ))  # fmt: skip
                status = status if known else int(Exit.FAILED)
        return status

    def _other_runs(self, target: str) -> list[str]:
        name = self.plan.labs.get(target)
        lab = labs.find(name) if name else None
        return [lease for lease in lab.leases if lease not in (self.plan.run, labs.USER)] if lab else []

    def _take_private_down(self) -> None:
        for lab in list(labs.standing()):
            if lab.leases == [self.plan.run]:  # a private engine whose worker was killed
                labs.take_down(lab.name)


def sweep(engine: CliEngine, run: str) -> list[str]:
    """Remove every object that carries a run's label; return what was removed, as `kind name`."""
    removed = []
    for kind in KINDS:
        names = engine.find(kind, f"{RUN_LABEL}={run}")
        engine.remove(kind, names)
        removed += [f"{kind} {name}" for name in names]
    return removed


def point_at(directory: Path) -> None:
    """Let `latest` beside a run's directory point at it."""
    link = directory.parent / f".latest-{directory.name}"
    try:
        link.symlink_to(directory.name)
        link.replace(directory.parent / "latest")
    except OSError as error:
        raise SeatrialError(
            "E402", f"cannot point {directory.parent / 'latest'} at this run", error.strerror or str(error),
            "remove what is in its place",
        ) from error  # fmt: skip


def read_required(path: Path | None) -> list[str]:
    """Read a list of required tests, one id a line; raises `SeatrialError` E304."""
    if path is None:
        return []
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SeatrialError(
            "E304", f"cannot read the list of required tests {path}", str(error), "one pytest id a line, # comments"
        ) from error
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _version() -> str:
    from seatrial import __version__

    return __version__

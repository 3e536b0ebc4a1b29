"""The client: has cases run on the hosts of a cluster, and makes one run of what their sessions have found.

Each case on each target is an order: it is placed, takes its hosts, runs in a session there, and gives them back. One
whose host is lost is told as a finding and placed again; what a session has found enters the run once, as a whole,
when it has ended.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import distributed
from distributed import Client, Future, KilledWorker

from seatrial import __version__, results
from seatrial.errors import Exit, SeatrialError
from seatrial.names import new_run_id
from seatrial.oct import freshness, offers, tarball
from seatrial.oct.across import ledger, worker
from seatrial.oct.across.hosting import Ended, Order, unpacked
from seatrial.oct.across.trust import Place
from seatrial.oct.bundle import CASE, Bundle
from seatrial.oct.diagnostics import Report
from seatrial.oct.library import Entry
from seatrial.oct.model import Case
from seatrial.oct.offers import Offer, Placing
from seatrial.oct.validate import examine
from seatrial.probes import machine
from seatrial.results import Finding, Footer, Header, Stream, TargetInfo, TestResult
from seatrial.verdict import Verdict

_TRIES = 3
_TICK = 0.5
_PATIENCE = 15.0

Tell = Callable[[str], None]


@dataclass
class Job:
    """A case on a target, with what has become of it."""

    entry: Entry
    case: Case
    bundle: bytes
    target: str
    tries: int = 0
    lease: str = ""
    hosts: dict[str, Offer] = field(default_factory=dict)

    @property
    def names(self) -> str:
        """The hosts that it has, in words."""
        return ", ".join(dict.fromkeys(offer.name for offer in self.hosts.values()))


def jobs(library: Path, entries: Sequence[Entry], targets: Sequence[str]) -> list[Job]:
    """Make an order of each case on each target; raises `SeatrialError` E716 for cases that do not validate."""
    found = []
    errors: list[str] = []
    for entry in entries:
        root = library / entry.path
        document = examine(Bundle(root), report := Report(str(root / CASE)))
        errors += map(str, report.errors)
        if document is None or report.errors:
            continue
        with tempfile.TemporaryDirectory() as scratch:
            tarball.pack(root, Path(scratch) / "bundle.tar.gz")
            data = (Path(scratch) / "bundle.tar.gz").read_bytes()
        case = Case.load(document.value)
        found += [Job(entry, case, data, target) for target in targets]
    if errors:
        hint = "seatrial oct explain CODE"
        raise SeatrialError("E716", "cases do not validate, and none was run", "\n".join(errors), hint)
    return found


class Cluster:
    """A scheduler as its client sees it; raises `SeatrialError` E715 when it cannot be spoken to."""

    def __init__(self, place: Place) -> None:
        ledger.settings()
        self.place = place
        try:
            self.client = Client(str(place), security=place.security, timeout=_PATIENCE)
        except (OSError, ValueError, RuntimeError, TimeoutError) as error:
            raise worker.unreachable(place, error) from error

    def ask(self, operation: str, **values: Any) -> Any:
        """Ask the scheduler's ledger."""
        try:
            return self.client.sync(getattr(self.client.scheduler, f"seatrial_{operation}"), **values)
        except Exception as error:  # Dask raises many kinds, also for a scheduler that has no ledger
            raise worker.unreachable(self.place, error) from error

    def offers(self) -> list[tuple[Offer, bool]]:
        """Return what is offered, each with whether a place of it is free."""
        return [(Offer.load(one["offer"]), one["free"] > 0) for one in self.ask("offers")]

    def take(self, lease: str, hosts: Sequence[Offer]) -> bool:
        """Take a place on the workers of hosts; False when one has none left."""
        workers = list(dict.fromkeys(offer.worker for offer in hosts))
        return bool(self.ask("take", client=self.client.id, lease=lease, workers=workers))


class Across:
    """One run on a cluster."""

    def __init__(self, cluster: Cluster, todo: Sequence[Job], base: Path, settings: Sequence[str], tell: Tell) -> None:
        self.cluster = cluster
        self.tell = tell
        self.settings = tuple(settings)
        self.run = new_run_id()
        self.directory = base / self.run
        self.base = base
        self.todo = deque(todo)
        self.total = len(todo)
        self.running: dict[Future[Ended], Job] = {}
        self.found: list[TestResult] = []
        self.findings: list[Finding] = []
        self.claims: dict[str, Any] = {}

    def begin(self, command: Sequence[str]) -> None:
        """Open the stream of results; what is found is written as it is found."""
        offered = [offer for offer, _ in self.cluster.offers()]
        probed = [results.target_from(offer.facts["target"]) for offer in offered if "target" in offer.facts]
        wanted = dict.fromkeys(job.target for job in self.todo)
        known = {info.name: info for info in reversed(probed)}
        targets = [known.get(name, TargetInfo(name, "", "")) for name in wanted]
        self.stream = Stream(self.directory / "results.jsonl")
        self.stream.write(Header(self.run, _now(), list(command), __version__, machine.facts(), targets,
                                 len({offer.worker for offer in offered})))  # fmt: skip

    def _note(self, finding: Finding) -> None:
        self.findings.append(finding)
        self.stream.write(finding)

    def go(self) -> None:
        """Have all cases run."""
        while self.todo or self.running:
            self._place_all()
            if self.running:
                with contextlib.suppress(TimeoutError):
                    distributed.wait(list(self.running), timeout=_TICK, return_when="FIRST_COMPLETED")
            elif self.todo:
                time.sleep(_TICK)  # all places are held by others
            for future in [one for one in self.running if one.done()]:
                self._ended(future, self.running.pop(future))

    # -- placing -------------------------------------------------------------------------------

    def _place_all(self) -> None:
        offered = self.cluster.offers()
        same = [(offer, free) for offer, free in offered if offer.facts.get("harness") == __version__]
        for _ in range(len(self.todo)):
            job = self.todo.popleft()
            whole = offers.place(job.case, [offer for offer, _ in same], job.target)
            if whole.why_not:
                self._unplaced(job, whole, [offer for offer, _ in offered])
                continue
            free = offers.place(job.case, [offer for offer, is_free in same if is_free], job.target)
            as_many = len(_workers(free)) == len(_workers(whole)) and not free.why_not
            if as_many and self._begin(job, free):
                offered = self.cluster.offers()
                same = [(offer, free_) for offer, free_ in offered if offer.facts.get("harness") == __version__]
            else:
                self.todo.append(job)

    def _begin(self, job: Job, placing: Placing) -> bool:
        job.lease, job.hosts = secrets.token_hex(8), dict(placing.hosts)
        first = next(iter(job.hosts.values()), None)
        if first is None or not self.cluster.take(job.lease, list(job.hosts.values())):
            return False
        job.tries += 1
        places = {"hosts": {name: offer.plain for name, offer in job.hosts.items()}, "worker": first.worker}
        order = Order(job.lease, job.entry.name, job.bundle, job.target, self.settings, places)
        future = self.cluster.client.submit(
            worker.run_case, order, key=f"oct-{job.lease}", workers=[first.worker], allow_other_workers=False,
            pure=False, retries=0,
        )  # fmt: skip
        self.running[future] = job
        self.tell(f"{'begins':12} {job.entry.name} {job.target}  on {job.names}")
        return True

    def _unplaced(self, job: Job, placing: Placing, offered: Sequence[Offer]) -> None:
        others = [f"{offer.name} has seatrial {offer.facts.get('harness')}, {__version__} wanted"
                  for offer in offered if offer.facts.get("harness") != __version__]  # fmt: skip
        reason = "; ".join([*placing.reasons, *others])
        if job.tries:  # it was placed before, and its hosts are lost
            self._record(job, Verdict.ERROR, "lost", f"lost with its host; then: {reason}")
        else:
            self._record(job, Verdict.SKIP, "unplaced", reason)

    # -- what became of it ---------------------------------------------------------------------

    def _ended(self, future: Future[Ended], job: Job) -> None:
        try:
            ended: Ended = future.result()
        except KilledWorker:
            self._lost(job, "its worker has ended")
            return
        except Exception as error:  # of the worker's own: a full disk, no setpriv
            self._lost(job, f"{type(error).__name__}: {error}".splitlines()[0])
            return
        finally:
            future.release()
            self.cluster.ask("give", lease=job.lease)
        if not ended.run:
            self._record(job, Verdict.ERROR, "error", ended.said or f"its session ended with exit code {ended.code}")
            return
        self._take_over(job, ended)

    def _lost(self, job: Job, why: str) -> None:
        again = job.tries < _TRIES
        words = f"{job.entry.name} on {job.target} was lost with its host {job.names} ({why})"
        words += "; it is run again" if again else f", the last of {job.tries} tries"
        self.tell(words)
        reason = "what it had begun is not in the record; the case was run again" if again else ""
        self._note(Finding("lost", job.target, words, job.entry.name, reason))
        if again:
            self.todo.append(job)
        else:
            self._record(job, Verdict.ERROR, "lost", words)

    def _take_over(self, job: Job, ended: Ended) -> None:
        """Enter what a session has found."""
        place = Path("hosts") / job.lease
        try:
            unpacked(ended.run, self.directory / place)
            run = results.read(self.directory / place / "results.jsonl")
        except (SeatrialError, OSError) as error:
            self._record(job, Verdict.ERROR, "error", f"what its session found cannot be read: {error}")
            return
        if run.footer is None or not run.results:
            self._record(job, Verdict.ERROR, "error", ended.said or "its session was cut off")
            return
        away = [result for result in run.results if result.evidence.get("oct", {}).get("ending") == "lost"]
        if away:  # another host of the case than the one that its session was on
            self._lost(job, away[0].message.partition("\n")[0])
            return
        for result in run.results:
            self._add(_moved(result, place, job))
        for finding in run.findings:
            self._note(finding)
        self._read_claims(self.directory / place / "claims.json")
        self._remember(self.directory / place / "oct.sqlite", job)

    def _read_claims(self, path: Path) -> None:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            self.claims |= {row["id"]: row for row in json.loads(path.read_text("utf-8"))["claims"]}

    def _remember(self, path: Path, job: Job) -> None:
        """Keep what the session's records say of its case in the records here."""
        try:
            theirs = freshness.Store(path).known(job.target) if path.exists() else {}
            ours = freshness.Store(self.base / freshness.NAME)
            for name, variants in theirs.items():
                for variant, known in variants.items():
                    ours.record(name, job.target, variant, known.digest, known.surroundings, known.ending, self.run)
        except SeatrialError as error:
            self.tell(str(error))

    def _record(self, job: Job, verdict: Verdict, ending: str, words: str) -> None:
        skipped = verdict is Verdict.SKIP
        self._add(TestResult(
            f"{job.entry.path}::{job.entry.name}", job.target, verdict, job.entry.group.partition("/")[0], 0.0,
            claims=[job.entry.name], level=job.case.level.value, reason=words if skipped else "",
            message="" if skipped else words,
            evidence={"oct": {"case": job.entry.name, "name": job.entry.name, "digest": job.entry.digest,
                              "ending": ending, "hosts": {name: one.name for name, one in job.hosts.items()}}},
        ))  # fmt: skip

    def _add(self, result: TestResult) -> None:
        self.found.append(result)
        self.stream.write(result)
        where = ", ".join(dict.fromkeys(result.evidence.get("oct", {}).get("hosts", {}).values()))
        words = (result.message or result.reason).partition("\n")[0]
        shown = f"{result.verdict.value:12} {result.test.rpartition('::')[2]} {result.target}"
        self.tell("  ".join(filter(None, (shown, f"on {where}" if where else "", words))))

    # -- the end -------------------------------------------------------------------------------

    def close(self, began: float, cause: str) -> int:
        """End the run's stream and write its reports; return the exit code."""
        from seatrial import report
        from seatrial.controller import point_at
        from seatrial.report import text
        from seatrial.report.files import save

        red = any(result.verdict.red for result in self.found) or any(not one.reason for one in self.findings)
        status = Exit.INTERRUPTED if cause else Exit.FAILED if red else Exit.OK
        status = Exit.NOTHING if not self.found and not cause else status
        counts = Counter(result.verdict for result in self.found)
        self.stream.write(Footer(
            _now(), time.monotonic() - began, int(status),
            {verdict.value: counts[verdict] for verdict in Verdict if counts[verdict]},
            max(self.total, len(self.found)), cause,
        ))  # fmt: skip
        self.stream.close()
        save(self.directory / "claims.json", json.dumps({"claims": list(self.claims.values())}, indent=1) + "\n")
        report.write(self.directory)
        point_at(self.directory)
        self.tell(text.closing(results.read(self.directory / "results.jsonl")))
        return int(status)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _workers(placing: Placing) -> set[str]:
    return {offer.worker for offer in placing.hosts.values()}


def _moved(result: TestResult, place: Path, job: Job) -> TestResult:
    """Return a result as it stands in this run, with its files where they are now."""
    def path(text: str) -> str:
        return str(place / text) if text else ""

    evidence = dict(result.evidence)
    if "oct" in evidence:
        evidence["oct"] = {**evidence["oct"], "record": path(evidence["oct"].get("record", ""))}
    test = f"{job.entry.path}::{result.test.rpartition('::')[2]}"
    return replace(result, test=test, log=path(result.log), repro=path(result.repro), evidence=evidence,
                   worker=job.names)  # fmt: skip


def run(place: Place, todo: Sequence[Job], base: Path, settings: Sequence[str], command: Sequence[str],
        tell: Tell) -> int:  # fmt: skip
    """Run cases on a cluster; return the exit code. An interrupt has sessions put back what they have made."""
    began = time.monotonic()
    cluster = Cluster(place)
    across = Across(cluster, todo, base, settings, tell)
    cause = ""
    across.begin(command)
    try:
        across.go()
    except KeyboardInterrupt:
        cause = "interrupted"
    except SeatrialError as error:
        tell(str(error))
        cause = error.message
    try:
        return across.close(began, cause)
    finally:
        with contextlib.suppress(Exception):  # a scheduler that is gone cannot be taken leave of
            cluster.client.close(timeout=5)

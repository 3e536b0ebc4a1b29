"""The tasks of the service: kept in SQLite, run one after the other, each by a pytest session of its own.

A task is a case on a target. It goes init -> allocated -> queued -> running (deploying, running, collecting,
destroying) -> finished. What a session has found stays in its own directory whatever becomes of the service: at the
next start, tasks whose session has ended meanwhile are taken up from there, and those that it never ended are lost.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from seatrial import proc
from seatrial.errors import Exit, SeatrialError
from seatrial.exec import base_environment
from seatrial.oct.record import PROGRESS
from seatrial.oct.records import records

_TABLE = """
create table if not exists tasks (
    id text primary key, case_id text not null, target text not null, state text not null, ending text not null,
    message text not null, pid integer not null, started text not null, created real not null, changed real not null
)
"""
_COLUMNS = "id, case_id, target, state, ending, message, pid, started, created, changed"
_HINT = "move the file away: a new one is begun, without the tasks; their reports stay in tasks/ beside it"
OPEN = ("queued", "running")
_PAUSE = 1.0  # seconds between two looks for tasks

Command = Callable[[Path, str, Path], Sequence[str]]


@dataclass(frozen=True)
class Job:
    """One task as it is recorded; times are seconds since 1970."""

    id: str
    case_id: str
    target: str
    state: str
    ending: str
    message: str
    pid: int
    started: str
    created: float
    changed: float

    @property
    def plain(self) -> dict[str, Any]:
        """The task as JSON."""
        return {name: value for name, value in asdict(self).items() if name not in ("pid", "started")}


def session(case: Path, target: str, results: Path) -> list[str]:
    """Return the command that runs a case on a target."""
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(case.parent)]
    words += ["-c", os.devnull, "-o", "addopts=", "-o", "filterwarnings=", "--import-mode=importlib"]
    return [*words, "--engine", target, "--results", str(results), str(case)]


def on_cluster(address: str, keys: Path | None) -> Command:
    """Return what gives the command that runs a case on a cluster."""
    def command(case: Path, target: str, results: Path) -> list[str]:
        words = [sys.executable, "-m", "seatrial", "oct", "run", "--library", str(case.parent), "--engine", target]
        words += ["--results", str(results), "--scheduler", address]
        return [*words, *(["--tls", str(keys.absolute())] if keys else [])]

    return command


def _interrupt(job: Job) -> None:
    """Send SIGINT to the session of a task, and to no other process that has its number by now."""
    if not job.pid:
        return
    try:
        handle = os.pidfd_open(job.pid)
    except OSError:
        return
    try:
        if job.started and proc.started(job.pid) == job.started:  # the handle holds the process that this speaks of
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGINT)
    finally:
        os.close(handle)


class Desk:
    """Takes tasks, runs them, and tells how they stand. Raises `SeatrialError` E705, E706 like the records of cases."""

    def __init__(
        self, directory: Path, cases: Callable[[str], Path], command: Command = session,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:  # fmt: skip
        self.directory = directory
        self._cases = cases
        self._command = command
        self._tell = tell
        self.trouble = ""  # why no task can be run for now
        self._lock = threading.RLock()  # of all below, and of a task's way from queued to running
        self._owed: dict[str, tuple[str, str]] = {}  # endings that are not recorded yet
        self._cancelled: set[str] = set()
        self._bell = threading.Event()
        self._stop = threading.Event()
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._file = records(directory / "tasks.sqlite", _TABLE, 1, "the tasks of the service", _HINT)
        self._take_up()
        self._thread = threading.Thread(target=self._work, name="oct-desk")

    def start(self) -> None:
        """Begin to run what is queued."""
        self._thread.start()

    def close(self) -> None:
        """End the running session, which puts back what it has made, and stop."""
        self._stop.set()
        self._bell.set()
        with self._lock:
            for child in self._children.values():
                with contextlib.suppress(ProcessLookupError):
                    child.send_signal(signal.SIGINT)
        if self._thread.is_alive():
            self._thread.join()

    # -- what is asked -------------------------------------------------------------------------

    def add(self, case_id: str, target: str) -> Job:
        """Record a new task."""
        id_ = secrets.token_hex(8)
        now = time.time()
        with self._file.open() as db:
            db.execute(f"insert into tasks ({_COLUMNS}) values (?, ?, ?, 'init', '', '', 0, '', ?, ?)",  # noqa: S608
                       (id_, case_id, target, now, now))  # fmt: skip
        return self.job(id_)

    def job(self, id_: str) -> Job:
        """Return a task; raises `KeyError` when there is none."""
        with self._file.open() as db:
            row = db.execute(f"select {_COLUMNS} from tasks where id = ?", (id_,)).fetchone()  # noqa: S608
        if row is None:
            raise KeyError(id_)
        job = Job(*row)
        if job.state == "queued" and self.trouble:
            return replace(job, message=self.trouble)
        return self._with_progress(job) if job.state == "running" else job

    def jobs(self, state: str = "", case_id: str = "") -> list[Job]:
        """Return tasks, the newest first."""
        with self._file.open() as db:
            rows = db.execute(
                f"select {_COLUMNS} from tasks where (? in ('', state)) and (? in ('', case_id)) "  # noqa: S608
                "order by created desc, id", (state, case_id),
            ).fetchall()  # fmt: skip
        return [Job(*row) for row in rows]

    def change(self, id_: str, state: str, **values: Any) -> None:
        """Record another state of a task."""
        words = "".join(f", {name} = ?" for name in values)
        with self._file.open() as db:
            db.execute(f"update tasks set state = ?, changed = ?{words} where id = ?",  # noqa: S608
                       (state, time.time(), *values.values(), id_))  # fmt: skip

    def queue(self, id_: str) -> None:
        """Have a task run."""
        self.change(id_, "queued", ending="", message="")
        self._bell.set()

    def cancel(self, id_: str) -> None:
        """End a task: one that runs collects and puts back what it has made, one that does not is over."""
        with self._lock:
            job, child = self.job(id_), self._children.get(id_)
            if child is not None:
                with contextlib.suppress(ProcessLookupError):
                    child.send_signal(signal.SIGINT)
            elif job.state == "running":  # its session is an earlier service's, or has ended just now
                self._cancelled.add(id_)
                _interrupt(job)
            elif job.state != "finished":
                self.change(id_, "finished", ending="cancelled", message="it was ended before it ran")

    def place(self, id_: str) -> Path:
        """Return the directory of a task."""
        return self.directory / "tasks" / id_

    def run_directory(self, id_: str) -> Path | None:
        """Return the directory with a task's reports, None when it has none yet."""
        streams = sorted((self.place(id_) / "reports").glob("2*/results.jsonl"))
        return streams[-1].parent if streams else None

    # -- running -------------------------------------------------------------------------------

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                busy = self._turn()
                self.trouble = ""
            except Exception as error:  # a full disk must not end the only thread that runs tasks
                busy = False
                self._tell_of(error)
            if not busy:
                self._bell.wait(_PAUSE)
                self._bell.clear()

    def _turn(self) -> bool:
        """Run the oldest task that waits; return whether there was one."""
        self._settle()
        waiting = self.jobs("queued")
        if not waiting:
            return False
        self._run(waiting[-1])
        self._settle()
        return True

    def _tell_of(self, error: Exception) -> None:
        words = f"tasks cannot be run for now: {error or type(error).__name__}"
        if words != self.trouble:
            self._tell(words)
        self.trouble = words

    def _run(self, job: Job) -> None:
        with self._lock:  # whoever cancels finds a task that is not begun, or the session that it has
            if self._stop.is_set() or self.job(job.id).state != "queued":
                return
            self.change(job.id, "running", pid=0, started="")
            try:
                child = self._children[job.id] = self._begin(job)
            except Exception as error:
                self._owed[job.id] = ("error", f"it cannot be started: {error}")
                return
        try:
            self.change(job.id, "running", pid=child.pid, started=proc.started(child.pid))
        except SeatrialError as error:  # the session is waited for all the same
            self._tell_of(error)
        code = child.wait()
        with self._lock:
            del self._children[job.id]
            self._owed[job.id] = self._outcome(job.id, code)

    def _begin(self, job: Job) -> subprocess.Popen[bytes]:
        place = self.place(job.id)
        place.mkdir(parents=True, exist_ok=True)
        environment = {**base_environment(), PROGRESS: str(place / "progress.json")}
        environment |= {name: value for name, value in os.environ.items() if name.startswith("SEATRIAL_")}
        argv = self._command(self._cases(job.case_id), job.target, place / "reports")
        with (place / "log").open("wb") as log:
            return subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, cwd=place,
                start_new_session=True,
            )  # fmt: skip

    def _settle(self) -> None:
        """Record how sessions have ended; what cannot be recorded is owed until it can."""
        with self._lock:
            for id_, (ending, message) in list(self._owed.items()):
                self.change(id_, "finished", ending=ending, message=message)
                del self._owed[id_]

    def _outcome(self, id_: str, code: int | None) -> tuple[str, str]:
        """Return how a task ended by what its session has written, with words about it."""
        try:
            return self._told(id_, code)
        except Exception as error:
            return "error", f"its result cannot be read: {error}"

    def _told(self, id_: str, code: int | None) -> tuple[str, str]:
        from seatrial import results

        ending, message = "lost", "its session ended without a result"
        directory = self.run_directory(id_)
        if directory is not None:
            with contextlib.suppress(SeatrialError):
                run = results.read(directory / "results.jsonl")
                if run.footer is not None and run.results:
                    endings = [result.evidence.get("oct", {}).get("ending", result.verdict.value.lower())
                               for result in run.results]  # fmt: skip
                    worst = next((one for one in endings if one not in ("passed", "warned")), endings[0])
                    words = [result.message or result.reason for result in run.results]
                    ending, message = worst, "\n".join(filter(None, words))
        if ending == "lost" and code not in (None, Exit.OK):
            log = self.place(id_) / "log"
            tail = log.read_text("utf-8", "replace").strip()[-2000:] if log.exists() else ""
            ending = "interrupted" if code in (Exit.INTERRUPTED, -signal.SIGINT) else "error"
            message = tail or f"its session ended with exit code {code}"
        return ending, message

    def _with_progress(self, job: Job) -> Job:
        with contextlib.suppress(OSError, ValueError, KeyError):
            told = json.loads((self.place(job.id) / "progress.json").read_text())
            return replace(job, message=f"{told['state']}: {told['steps']} steps done")
        return job

    def _take_up(self) -> None:
        """Conclude what a service that was killed has left running; a session that lives on is waited for."""
        for job in self.jobs("running"):
            if proc.started(job.pid) == job.started and job.started:
                threading.Thread(target=self._outlive, args=(job,), daemon=True).start()
            else:
                self._owed[job.id] = self._outcome(job.id, None)
        self._settle()

    def _outlive(self, job: Job) -> None:
        while proc.started(job.pid) == job.started and not self._stop.is_set():
            time.sleep(0.2)
        if self._stop.is_set():
            return
        with self._lock:
            self._owed[job.id] = self._outcome(job.id, Exit.INTERRUPTED if job.id in self._cancelled else None)
        try:
            self._settle()
        except SeatrialError as error:  # the desk's own thread tries again
            self._tell_of(error)

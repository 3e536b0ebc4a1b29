"""A run under load, from the engine to the report."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from seatrial import __version__, capabilities, report, runs, signals, snapshot
from seatrial.controller import point_at, sweep
from seatrial.engines import drivers
from seatrial.engines.base import CliEngine
from seatrial.engines.runtime import RuntimeEngine
from seatrial.errors import Exit, SeatrialError
from seatrial.exec import ANY
from seatrial.lab import labs
from seatrial.lab.registry import Registry
from seatrial.names import BUSYBOX, RUN_LABEL, new_run_id
from seatrial.paths import remove_tree, share_dir
from seatrial.probes import machine
from seatrial.results import Finding, Footer, Header, Stream, TestResult, merge_counts
from seatrial.stress import loops, objectives, plots, reference
from seatrial.stress.activities import STORIES, Client, Story, World
from seatrial.stress.driver import Driver
from seatrial.stress.events import REMOVAL, Listener
from seatrial.stress.history import History, HistoryHeader, Recorder
from seatrial.stress.ledger import Ledger, Used
from seatrial.stress.monitor import Monitor, Probe
from seatrial.stress.objectives import Aftermath
from seatrial.stress.profile import OPEN, Profile
from seatrial.targets import Target

Progress = Callable[[str], None]
# of all CPU time that is used meanwhile, by driver; none holds for command lines, whose processes are counted, too
SHARES: Mapping[str, float] = {"http": 0.015, "dockerpy": 0.05}
LOCUST = 0.05  # it brings processes of its own along
_STORIES: Mapping[str, Story] = {**STORIES, "run": reference.run, "job": reference.job}


# drives a load and returns why it ended early, in a sentence, or nothing
Loader = Callable[[Profile, CliEngine, World], str]


@dataclass
class Outcome:
    """What a run came to."""

    directory: Path
    exit: int
    cause: str
    containers: int
    failures: int
    seconds: float


def driver_of(name: str, engine: CliEngine, run: str) -> Driver:
    """Return a driver for one client; raises `SeatrialError` E104 where the way needs a socket that is not there."""
    if isinstance(engine, RuntimeEngine):
        from seatrial.stress.over_runtime import RuntimeDriver

        return RuntimeDriver(engine, run)
    if name == "cli":
        from seatrial.stress.over_cli import CliDriver

        return CliDriver(engine)
    if name == "dockerpy":
        from seatrial.stress.over_dockerpy import DockerPyDriver

        return DockerPyDriver(engine.endpoint)
    from seatrial.stress.over_http import HttpDriver

    return HttpDriver(engine.endpoint)


@contextlib.contextmanager
def reached(target: Target, run: str, progress: Progress) -> Iterator[CliEngine]:
    """Bring an engine up, or reach it, for the length of a block."""
    with contextlib.ExitStack() as stack:
        if target.is_runtime and not target.is_lab:
            drivers.on_this_machine(target)  # which tells whether it is there, before a lab is made for it
        if target.is_lab or target.is_runtime:
            lab = labs.acquire(target, run, progress)
            stack.callback(labs.release, lab.name, run)
            yield drivers.in_lab(target, lab)
        else:
            yield drivers.on_this_machine(target)


def execute(profile: Profile, target: Target, results: Path, command: list[str], progress: Progress,
            interval: float = 2.0, binary: str = "", loader: Loader | None = None) -> Outcome:  # fmt: skip
    """Run a profile against a target and write everything into a new directory below `results`.

    `interval` is that of the monitor in seconds, `binary` another command line than the engine's own, `loader`
    what drives the load, by default threads of this process.
    Raises `SeatrialError` when the engine cannot be used. An interrupt ends the load, and what was seen until
    then is reported as a part.
    """
    run = new_run_id()
    with runs.begun(run, results / run, [str(target)]), reached(target, run, progress) as engine:
        engine.binary = binary or engine.binary
        return load(profile, engine, run, results / run, command, progress, interval, loader)


def load(profile: Profile, engine: CliEngine, run: str, directory: Path, command: list[str], progress: Progress,
         interval: float = 2.0, loader: Loader | None = None) -> Outcome:  # fmt: skip
    """Put an engine that is there under load; the rest is as for `execute`."""
    target = engine.target
    profile = fitted(profile, engine)
    with _swept(engine, run):
        facts = machine.facts()
        engine.make_ready(run, BUSYBOX)
        _bring(engine, profile)
        info = capabilities.probe(engine, facts)
        before = snapshot.take(engine)
        started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        stream = Stream(directory / "results.jsonl")
        stream.write(Header(run, started, command, __version__, facts, [info], profile.load.clients))
        progress(f"{profile.name} on {target}: {profile.about}")
        epoch, begin = time.time(), time.monotonic()
        clock = loops.since(begin)
        header = HistoryHeader(run, str(target), started, epoch, profile.as_json(), list(profile.judged))
        recorder = Recorder(directory / "history.jsonl", header)
        stop = threading.Event()
        watch = Ledger(recorder, stop, clock)
        used = Used(children=profile.driver != "runtime")  # whose containers are this process's children
        with contextlib.ExitStack() as held:

            def noted() -> None:
                watch.cause = watch.cause or INTERRUPTED

            def hold() -> None:
                held.enter_context(signals.patience(noted, KeyboardInterrupt))

            trouble, problem = _load(profile, engine, World(
                run, BUSYBOX, {RUN_LABEL: run}, clock, watch.take, engine.host, stop=stop,
            ), watch, info.facts.get("root_dir", ""), interval, progress, loader or own_clients, hold)  # fmt: skip
            share, own = used.share()
            took = clock()
            watch.cause = watch.cause or problem
            recorder.close(took, watch.cause)
            limit = SHARES.get(profile.driver)
            if limit is not None and loader is not None:
                limit = max(limit, LOCUST)
            each = own / watch.containers if watch.containers else None
            seen = Aftermath(share=share, share_limit=limit, each=each)
            verdicts: list[TestResult] = []
            findings: list[Finding] = []
            try:
                findings, left = _afterwards(engine, before, run, str(target), watch)
                history = History(directory / "history.jsonl")
                tally, _, verdicts = objectives.judge(history, profile.objectives, profile.warm_up)
                seen = replace(seen, leftovers=left, trouble=trouble)
                verdicts += objectives.beside(seen, profile.objectives, str(target))
                plots.write(directory, tally, history)
            except KeyboardInterrupt:  # the second one: what is known by now is told
                watch.cause = INTERRUPTED
            for verdict in verdicts:
                stream.write(verdict)
            for finding in findings:
                stream.write(finding)
            red = any(result.verdict.red for result in verdicts) or bool(findings)
            status = Exit.INTERRUPTED if watch.cause == INTERRUPTED else Exit.FAILED if red or watch.cause else Exit.OK
            stream.write(Footer(
                time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), clock(), int(status), merge_counts(verdicts),
                len(verdicts), watch.cause,
            ))  # fmt: skip
            stream.close()
            report.write(directory)
            point_at(directory)
    return Outcome(directory, int(status), watch.cause, watch.containers, watch.failures, took)


def _bring(engine: CliEngine, profile: Profile) -> None:
    """Have the images of a profile's jobs pulled; raises `SeatrialError` E108."""
    for image in {str(one.options["image"]) for one in profile.activities if "image" in one.options}:
        if engine.cli("image", "inspect", image, expect=ANY).ok:
            continue
        pulled = engine.cli("pull", image, expect=ANY, timeout=600)
        if not pulled.ok:
            words = pulled.stderr.strip().splitlines()[-1:] or [f"exit code {pulled.code}"]
            raise SeatrialError("E108", f"{engine.target} cannot pull the image {image}", words[0])


def fitted(profile: Profile, engine: CliEngine) -> Profile:
    """Return what a target can do of a profile; raises `SeatrialError` E807 when that is not all of its stories."""
    if not isinstance(engine, RuntimeEngine):
        return profile
    from seatrial.stress import over_runtime

    kinds = {activity.kind for activity in profile.activities}
    if beyond := sorted(kinds - over_runtime.STORIES):
        raise SeatrialError(
            "E807", f"{engine.target} cannot do what the profile {profile.name} asks for",
            f"a runtime has no {', '.join(beyond)}", f"stories of runtimes: {', '.join(sorted(over_runtime.STORIES))}",
        )  # fmt: skip
    judged = tuple(name for name in profile.judged if name in over_runtime.JUDGED)
    return replace(profile, driver="runtime", judged=judged)


INTERRUPTED = "interrupted"


@contextlib.contextmanager
def _swept(engine: CliEngine, run: str) -> Iterator[None]:
    """Remove what a run has made when a block ends early."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(SeatrialError, AssertionError, OSError):
            sweep(engine, run)
        raise
    finally:
        remove_tree(share_dir() / run)


def _load(profile: Profile, engine: CliEngine, world: World, watch: Ledger, storage: str, interval: float,
          progress: Progress, loader: Loader, hold: Callable[[], object]) -> tuple[list[str], str]:  # fmt: skip
    """Let the load loose; return the trouble of those who watched it, and why the load ended early.

    `hold` is called when the load has ended: from then on an interrupt must not keep it from being judged.
    """
    cause = ""
    listener: Listener | None = None
    shown = [world.clock()]

    def beside() -> None:
        if world.clock() - shown[0] >= 5:
            shown[0] = world.clock()
            watch.recorder.flush()
            progress(watch.line())

    with contextlib.ExitStack() as stack:
        if any(activity.kind == "registry" for activity in profile.activities):
            work = share_dir() / world.run / "registry"
            made = stack.enter_context(Registry.start(engine.host, work))
            made.admit(engine)
            world.registry = made.address
        probe = Probe(engine.host, storage, None if isinstance(engine, RuntimeEngine) else engine.endpoint)
        monitor = stack.enter_context(Monitor(probe, world.clock, watch.take, interval, beside))
        if "events" in profile.judged:
            epoch = time.time() - world.clock()
            removal = engine.dialect.traits.get("api_removal_event", REMOVAL)
            heard = Listener(engine.endpoint, world.run, epoch, world.clock, watch.take, removal)
            listener = stack.enter_context(heard)
        try:
            cause = loader(profile, engine, world)
        except (KeyboardInterrupt, SystemExit):  # which a signal to end raises, too
            cause = INTERRUPTED
        finally:
            hold()
    trouble = [f"the monitor stopped: {monitor.problem}"] if monitor.problem else []
    if listener is not None and listener.problem:
        trouble.append(f"the engine's events were not heard to the end: {listener.problem}")
    return trouble, cause


def own_clients(profile: Profile, engine: CliEngine, world: World) -> str:
    """Drive the load by threads of this process."""
    limits = loops.Limits(profile.seconds or float("inf"), profile.count or float("inf"), world.stop)
    opened = profile.load.loop == OPEN
    count = profile.load.most if opened else profile.load.clients
    schedule: loops.Schedule = loops.Closed(limits, world.clock)
    if opened:
        schedule = loops.Open(limits, world.clock, loops.arrivals(profile.load.rates, profile.load.arrivals))
    elif profile.load.stages:
        schedule = loops.Staged(limits, world.clock, profile.load.clients_at)
    with contextlib.ExitStack() as stack:
        ways = [driver_of(profile.driver, engine, world.run) for _ in range(count)]
        clients = [teller(profile, Client(world, number, way), stack) for number, way in enumerate(ways)]

        def hurry() -> None:
            for way in ways:
                way.abort()

        loops.drive(schedule, clients, world.stop, hurry)
    return ""


def teller(profile: Profile, client: Client, stack: contextlib.ExitStack) -> Callable[[float], object]:
    """Return what a client does when it is its turn: one of the profile's activities, by their weights."""
    stack.callback(client.driver.close)
    source = random.Random(client.number)  # noqa: S311 - load, not a secret
    weights = [activity.weight for activity in profile.activities]

    def tell(intended: float) -> None:
        (activity,) = source.choices(profile.activities, weights)
        client.tell(_STORIES[activity.kind], activity.kind, activity.options, intended)

    return tell


def _afterwards(engine: CliEngine, before: snapshot.Snapshot, run: str, target: str,
                watch: Ledger) -> tuple[list[Finding], list[tuple[str, str]] | None]:  # fmt: skip
    """Remove what the run made; return what is to be told, and what stays (None when nobody could look)."""
    try:
        removed = sweep(engine, run)
        left = snapshot.leaks(before, engine, run)
    except (SeatrialError, AssertionError, OSError) as error:
        words = watch.cause or f"the engine does not answer after the run: {str(error).splitlines()[0]}"
        watch.cause = watch.cause or words
        return [Finding("engine", target, words)], None
    if removed and not watch.cause:  # clients remove what they make; after an early end the sweep does
        return [], [*left, *((words.partition(" ")[0], words.partition(" ")[2]) for words in removed)]
    return [], left


def rejudge(directory: Path) -> list[Any]:
    """Judge a stored run again by its history; return the results. Raises `SeatrialError` E801 or E802."""
    from seatrial.stress.profile import Objectives

    history = History(directory / "history.jsonl")
    kept = history.header.profile
    wanted = Objectives(**kept.get("objectives", {}))
    return objectives.judge(history, wanted, float(kept.get("warm_up", 0.0)))[2]

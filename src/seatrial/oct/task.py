"""Running one case on one target: deploy, run, collect, destroy.

Collecting and destroying happen whatever went before: a failure, a time-out, an interrupt. Objects of the type os are
hosts, where commands run beside an engine; several may be the same machine, or each one of its own (see site.py).
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from seatrial.errors import SeatrialError
from seatrial.exec import Result
from seatrial.oct import judge, offers
from seatrial.oct.bundle import Bundle
from seatrial.oct.commands import text_of
from seatrial.oct.containers import Containers
from seatrial.oct.evidence import KEEPER, Nonce
from seatrial.oct.model import Case, Container, Exit, Require, Step, names_in
from seatrial.oct.record import Ending, StepRecord, TaskRecord
from seatrial.oct.site import Site
from seatrial.oct.variables import NoValueError, Variables

_PATIENCE = 10.0  # seconds for a container's own command to end, or to speak at all

Progress = Callable[[TaskRecord], None]


class StepFailedError(Exception):
    """A step did not go as it should; nothing after it is run."""


class HostLostError(Exception):
    """A host of the case has gone away."""


class Task:
    """One variant of a case on one target; `away` are the hosts that are not the one of `containers`."""

    def __init__(
        self, case: Case, bundle: Bundle, containers: Containers, *, target: str = "", digest: str = "",
        hosts: Mapping[str, offers.Offer] | None = None, away: Mapping[str, Site] | None = None,
        progress: Progress = lambda _: None,
    ) -> None:  # fmt: skip
        self.case = case
        self.bundle = bundle
        self.record = TaskRecord(case.id, digest, target, secrets.token_hex(6))
        self.record.hosts = {name: offer.name for name, offer in (hosts or {}).items()}
        self.progress = progress
        here = Site(containers, bundle, self.record.task)
        self._hosts = {part.object for part in case.hosts}
        self._sites: dict[str, Site] = {}  # by the names of hosts and of containers
        for part in case.hosts:
            site = (away or {}).get(part.object, here)
            self._sites |= dict.fromkeys([part.object, *(one.object for one in part.containers)], site)
        self._all = list(dict.fromkeys([here, *self._sites.values()]))
        self.nonce = Nonce(outside=tuple(namespace for site in self._all for namespace in site.outside()))
        self._containers = {container.object: container for container in case.containers}
        self._files = {one.object: part.files for part in case.hosts for one in part.containers}
        self._made: list[str] = []
        self._deadline = 0.0
        self._backgrounds: dict[str, StepRecord] = {}
        self._broken = ""  # what the harness could not do
        self._lost = ""  # which host went away
        self._refusal = ""  # what the target cannot do
        self._interrupt: BaseException | None = None
        variables = Variables(case, lambda name: self._sites[name].variables(name), {
            **here.words(), "nonce": self.nonce.text, "task": self.record.task, "case": case.name,
            "prove": self.nonce.proof,
        })  # fmt: skip
        self.variables = variables
        self._at = {site: variables if site is here else variables.at(site.words()) for site in self._all}

    def run(self) -> TaskRecord:
        """Run the case to its end and return what happened; an interrupt is raised again when all is put back."""
        began = time.monotonic()
        self._deadline = began + self.case.timeout
        with contextlib.ExitStack() as end:  # each is called whatever the ones before it ended with
            end.callback(self._destroy)
            end.callback(self._collect)
            with self._kept(""):
                self._phases()
        self.record.duration = time.monotonic() - began
        if not (self._interrupt or self._broken or self._lost or self._refusal or self.record.problems):
            with self._kept("while judging: "):
                self._judge()
        self._conclude()
        if self._interrupt is not None:
            raise self._interrupt
        return self.record

    @contextmanager
    def _kept(self, doing: str) -> Iterator[None]:
        """Take in what goes wrong, so that what comes after is done all the same; `doing` are words before it."""
        try:
            yield
        except StepFailedError as error:
            self.record.problems.append(str(error))
        except HostLostError as error:
            self._lost = self._lost or str(error)
        except Exception as error:
            if isinstance(error, SeatrialError) and error.code == "E704":
                self._refusal = self._refusal or str(error)
            else:
                self._broken = self._broken or f"{doing}{type(error).__name__}: {error}"
        except BaseException as error:  # a time limit or ^C: the case's objects must go all the same
            self._interrupt = self._interrupt or error

    def _judge(self) -> None:
        try:
            expectations = [self.variables.expectation(expectation) for expectation in self.case.expect]
        except NoValueError as error:
            raise StepFailedError(str(error)) from error
        judge.judge(expectations, self.record)

    def _conclude(self) -> None:
        record = self.record
        if self._interrupt is not None:
            record.ending = Ending.INTERRUPTED
            record.problems.append(f"interrupted: {type(self._interrupt).__name__}")
        elif self._lost:
            record.problems.append(self._lost)
            record.ending = Ending.LOST
        elif self._broken:
            record.problems.append(self._broken)
            record.ending = Ending.ERROR
        elif self._refusal:
            record.problems.insert(0, self._refusal)
            record.ending = Ending.LEAKED if record.leaks else Ending.UNSUPPORTED
        else:
            record.ending = judge.conclude(self.case, record)
        self._enter("finished")

    # -- the phases ----------------------------------------------------------------------------

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        self._enter(name)
        began = time.monotonic()
        try:
            yield
        finally:
            self._spend(name, began)

    def _spend(self, name: str, began: float) -> None:
        self.record.spent[name] = self.record.spent.get(name, 0.0) + time.monotonic() - began

    def _enter(self, name: str) -> None:
        self.record.state = name
        self.progress(self.record)

    def _phases(self) -> None:
        with self._phase("deploying"):
            used = {container.klass for container in self.case.containers}
            for require in self.case.requires:
                if require.name in used:
                    self._prepare(require)
            for part in self.case.hosts:
                self._sites[part.object].lay_out(part)
                if part.step is not None:
                    self._step(part.step)
                for container in part.containers:
                    self._deploy(container)
        with self._phase("running"):
            for step in self.case.run:
                self._step(step)

    def _prepare(self, require: Require) -> None:
        """Bring the image of a class to each host that has a container of it."""
        wanted = [self._sites[one.object] for one in self.case.containers if one.klass == require.name]
        for site in dict.fromkeys(wanted):
            site.prepare(require)

    def _words_at(self, name: str) -> Variables:
        """Return the variables as they are on the host of an object."""
        return self._at[self._sites[name]]

    # -- containers ----------------------------------------------------------------------------

    def _deploy(self, container: Container) -> None:
        if container.until == "declared":
            return
        record = self._new("deploy", container.object, container.object, f"deploy {container.object}")
        result = self._create(container)
        if result.ok and container.until == "running":
            result = self._sites[container.object].operate(container.object, "start", "", self._left(container.timeout))
        self._take(record, result)
        self._check(record, container.expect_exit)
        if result.ok and container.wait is not None:
            wait = self._words_at(container.object).wait(container.wait)
            problem = self._sites[container.object].ready(wait, container.object, self._left(wait.timeout))
            if problem:
                self._fail(record, f"it is not ready: {problem}")
        self.variables.remember(container.object)

    def _create(self, container: Container) -> Result:
        words = self._words_at(container.object)
        argv = words.argv(container.cmd) if container.cmd else list(KEEPER)
        fill = words.fill
        ready = Container(
            container.object, container.klass, (), fill(container.env), fill(container.cwd), fill(container.user),
            fill(container.args), timeout=self._left(container.timeout),
        )  # fmt: skip
        paths = [path for path in self._files[container.object] if path in self._own_files(container.object)]
        result = self._sites[container.object].create(ready, self.nonce.wrap(argv), paths)
        if result.ok:
            self._made.append(container.object)
        return result

    def _own_files(self, name: str) -> list[str]:
        entries = (one for part in self.case.document["Deploys"] for one in part.get("Containers", ()))
        return next((list(one.get("Files", ())) for one in entries if one["Object"] == name), [])

    # -- steps ---------------------------------------------------------------------------------

    def _step(self, step: Step) -> None:
        record = self._new(step.phase, step.object, step.name, step.op or text_of(step.cmd))
        if step.background:
            self._start(step, record)
            return
        self._take(record, self._operation(step, record) if step.op else self._command(step))
        if record.timed_out and step.object in self._made:  # the client is gone, what it started is not
            self._sites[step.object].operate(step.object, "kill", "KILL", 20.0)
        inside = bool(step.cmd) and step.object in self._containers
        if inside and record.code == 0 and not record.evidence and not record.timed_out:
            self._fail(record, "it ended with 0, but nothing shows that it ran in the container")
        if step.op:
            self.variables.remember(step.object)
        self._check(record, step.expect_exit)
        if step.wait is not None:
            self._wait(step, record)

    def _wait(self, step: Step, record: StepRecord) -> None:
        assert step.wait is not None  # noqa: S101 - for the type checker
        host = step.object in self._hosts
        name = step.name if step.background else ""
        wait = self._words_at(step.object).wait(step.wait)
        problem = self._sites[step.object].ready(wait, step.object, self._left(wait.timeout), name, host=host)
        if problem:
            self._fail(record, f"it is not ready: {problem}")

    def _operation(self, step: Step, record: StepRecord) -> Result:
        timeout = self._left(step.timeout)
        if step.op == "create":
            return self._create(self._containers[step.object])
        if step.op == "state":
            began = time.monotonic()
            word = self._sites[step.object].state(step.object)
            return Result(("state", step.object), 0, word.encode(), b"", time.monotonic() - began)
        return self._sites[step.object].operate(step.object, step.op, step.signal, timeout)

    def _command(self, step: Step) -> Result:
        argv, cwd, env = self._words(step)
        site, words = self._sites[step.object], self._words_at(step.object)
        timeout, stdin = self._left(step.timeout), words.text(step.stdin)
        if step.object in self._hosts:
            if "engine" in names_in([step.cmd] if isinstance(step.cmd, str) else list(step.cmd)):
                site.engine_used()
            return site.run(step.object, argv, cwd, env, stdin, timeout)
        user = words.text(step.user)
        return site.exec(step.object, self.nonce.wrap(argv), env, user, cwd, stdin, timeout)

    def _words(self, step: Step) -> tuple[list[str], str, dict[str, str]]:
        """Return command, working directory and environment of a step."""
        words = self._words_at(step.object)
        return words.argv(step.cmd), words.text(step.cwd), words.fill(step.env)

    def _start(self, step: Step, record: StepRecord) -> None:
        argv, cwd, env = self._words(step)
        site = self._sites[step.object]
        if step.object in self._hosts:
            site.start(step.name, step.object, argv, cwd, env)
        else:
            user = self._words_at(step.object).text(step.user)
            site.start_inside(step.name, step.object, self.nonce.wrap(argv), env, user, cwd)
        self._backgrounds[step.name] = record
        if step.wait is not None:
            self._wait(step, record)

    def _new(self, phase: str, object_: str, name: str, what: str) -> StepRecord:
        if self._left(1.0) <= 0:
            raise StepFailedError(f"the case took more than {self.case.timeout:g} s")
        record = StepRecord(phase, object_, name, what)
        self.record.steps.append(record)
        return record

    def _take(self, record: StepRecord, result: Result) -> None:
        record.code, record.duration, record.timed_out = result.code, result.duration, result.timed_out
        record.stdout, record.evidence = self.nonce.take(result.stdout)
        record.stderr = result.stderr

    def _check(self, record: StepRecord, wanted: Exit) -> None:
        if record.timed_out:
            self._fail(record, f"it did not end within {record.duration:.1f} s")
        if not judge.exit_fits(record.code, wanted):
            self._fail(record, f"expected {judge.exit_words(wanted)}, seen {record.code}")

    def _fail(self, record: StepRecord, problem: str) -> None:
        record.problem = problem
        streams = [f"  {name}| {line}" for name, text in (("stdout", record.stdout), ("stderr", record.stderr))
                   for line in text.strip().splitlines()[-10:]]  # fmt: skip
        words = f"{record.phase} {record.name}: {problem}\n  $ {record.what}"
        raise StepFailedError("\n".join([words, *streams]))

    def _left(self, timeout: float) -> float:
        return min(timeout, self._deadline - time.monotonic())

    # -- afterwards ----------------------------------------------------------------------------

    def _collect(self) -> None:
        with self._kept("while collecting: "), self._phase("collecting"):
            self._collected()

    def _collected(self) -> None:
        for record in self._backgrounds.values():
            record.code, out, record.stderr = self._sites[record.object].ended(record.name)
            record.stdout, record.evidence = self.nonce.take(out)
            wanted = next(step.expect_exit for step in self.case.run if step.name == record.name)
            if record.code is not None and not judge.exit_fits(record.code, wanted):
                words = f"{record.name}, in the background: expected {judge.exit_words(wanted)}, seen {record.code}"
                self.record.problems.append(f"{words}\n{record.stdout}{record.stderr}".rstrip())
        named = {expectation.step for expectation in self.case.expect if expectation.source == "state"}
        self.record.states = {name: self._sites[name].state(name) for name in named}
        self.record.peaks = {name: self._sites[name].peaks(name) for name in self._made}
        self._own_output()
        for one in self.case.collects:
            path = self._words_at(one.object).text(one.path)
            try:
                data = self._read(one.object, path, one.limit)
            except ValueError as error:
                self.record.problems.append(f"{path} of {one.object} is not collected: {error}")
                continue
            if data is not None:
                self.record.files[one.name] = data.decode("utf-8", "backslashreplace")
            elif one.required and not self.record.problems:
                self.record.problems.append(f"{path} of {one.object} is to be collected and is not there")

    def _read(self, name: str, path: str, limit: int) -> bytes | None:
        host = name in self._hosts
        return self._sites[name].read(name, path, limit, host=host) if host or name in self._made else None

    def _own_output(self) -> None:
        """Take in what containers' own commands have printed, where it is asked for or nothing else is evidence."""
        steps = {expectation.step for expectation in self.case.expect if expectation.source not in ("state", "file")}
        for record in self.record.steps:
            name = record.object
            if record.phase != "deploy" or record.name != name or name not in self._made:
                continue
            if name in steps or not self.record.proved:
                self._settle(name, ended=name in steps and self._containers[name].wait is None)
                out, err = self._sites[name].logs(name)
                record.stdout, record.evidence = self.nonce.take(out)
                record.stderr = err
                record.code = self._sites[name].exit_code(name) if name in steps else record.code

    def _settle(self, name: str, *, ended: bool) -> None:
        """Give a container's own command the time to say what it is judged by: all, if nothing else was waited for."""
        until, site = time.monotonic() + _PATIENCE, self._sites[name]
        while time.monotonic() < until:
            done = site.state(name) in ("stopped", "absent") if ended else False
            if done or (not ended and self.nonce.take(site.logs(name)[0])[1]):
                return
            time.sleep(0.05)

    def _destroy(self) -> None:
        """Put everything back: no error and no interrupt of one part keeps the next from its turn."""
        with contextlib.ExitStack() as parts:
            parts.enter_context(self._kept("while destroying: "))
            parts.callback(self._spend, "destroying", time.monotonic())
            for site in self._all:
                for part in (partial(self._leaks, site), partial(self._close, site), site.end):
                    parts.callback(self._put_back, part)
            for part in map(self._destruction, reversed(self.case.destroy)):
                parts.callback(self._put_back, part)
            self._enter("destroying")

    def _put_back(self, part: Callable[[], None]) -> None:
        with self._kept("while destroying: "):
            part()

    def _destruction(self, step: Step) -> Callable[[], None]:
        def destroy() -> None:
            record = StepRecord(step.phase, step.object, step.name, text_of(step.cmd))
            self.record.steps.append(record)
            argv, cwd, env = self._words(step)
            site, words = self._sites[step.object], self._words_at(step.object)
            stdin = words.text(step.stdin)
            if step.object in self._hosts:
                self._take(record, site.run(step.object, argv, cwd, env, stdin, step.timeout))
            elif step.object in self._made:
                self._take(record, site.exec(
                    step.object, argv, env, words.text(step.user), cwd, stdin, step.timeout))  # fmt: skip

        return destroy

    def _close(self, site: Site) -> None:
        try:
            left = site.close()
        except Exception:
            raise
        except BaseException as error:  # what the interrupt has kept from going goes now
            self._interrupt = self._interrupt or error
            left = site.close()
        self.record.leaks += left

    def _leaks(self, site: Site) -> None:
        self.record.leaks[:0] = site.leaks()

"""The hooks of one pytest process, from the options to every recorded verdict.

The process that the user started has a `Controller`; it prepares the targets before workers start
and records what they report. Tests run in workers (or in the same process without xdist), which know
the session by its `Plan`. Collection needs no engine.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from seatrial import selection, signals
from seatrial.errors import Exit, SeatrialError, refused_by_machine
from seatrial.exec import ExpectationError
from seatrial.selection import claim_ids, split

if TYPE_CHECKING:
    from seatrial.claims import Claim
    from seatrial.controller import Controller, Plan
    from seatrial.engines.base import CliEngine
    from seatrial.outcome import Refusal, Trial
    from seatrial.results import TargetInfo

SUITES = "suites"
CASES = "oct"

SESSION = pytest.StashKey["Session"]()
TRIAL = pytest.StashKey["Trial"]()


def usable(function: Callable[[], Any]) -> Any:
    """Call a function and let pytest show what a user can cause as a usage error, without a traceback."""
    try:
        return function()
    except SeatrialError as error:
        raise pytest.UsageError(str(error)) from None
    except ExpectationError as error:
        raise pytest.UsageError(f"E109: an engine's command failed\n  cause: {str(error).strip()}") from None
    except OSError as error:
        raise pytest.UsageError(str(refused_by_machine(error))) from None


def _cut_short() -> BaseException:
    return pytest.exit.Exception("cut short while cleaning up; `seatrial clean` does the rest", Exit.INTERRUPTED)


def decline(item: pytest.Item, reason: str) -> NoReturn:
    """End a test because what is tested says that it has no such thing: UNSUPPORTED, which is no failure."""
    from seatrial.outcome import Refusal
    from seatrial.verdict import Verdict

    item.stash[TRIAL].refusal = Refusal(Verdict.UNSUPPORTED, reason)
    pytest.skip(reason)


class Session:
    """The hooks of one pytest process."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.worker = str(getattr(config, "workerinput", {}).get("workerid", ""))
        self.controller: Controller | None = None
        self.plan: Plan | None = None
        self._engines: dict[str, CliEngine] = {}
        self._problems: list[str] = []
        self._ignored: list[int] = []
        self._began = time.monotonic()
        self._claims: dict[str, Claim] | None = None
        if self.worker and (text := config.workerinput.get("seatrial")):  # type: ignore[attr-defined]
            from seatrial.controller import Plan

            self.plan = Plan.load(text)

    @property
    def active(self) -> bool:
        """Whether this session tests engines: --engine is given, or the suites are among the arguments."""
        if self.config.getoption("engine"):
            return True
        roots = [self.config.rootpath / name for name in (SUITES, CASES) if (self.config.rootpath / name).is_dir()]
        paths = [(self.config.invocation_params.dir / arg.split("::")[0]).resolve() for arg in self.config.args]
        return any(path == root or root in path.parents or path in root.parents for path in paths for root in roots)

    # -- the controller's part -----------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Prepare the targets before any worker starts."""
        if self.worker:
            signals.endure(self.config.workerinput.get("ignored", ()))  # type: ignore[attr-defined]
        if self.worker or self.config.option.collectonly or not self.active:
            return
        from seatrial.controller import Controller

        self._paths()
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")

        def progress(words: str) -> None:
            if reporter is not None:
                reporter.write_line(words)

        controller = usable(
            lambda: Controller(
                self._targets(progress), self.config.rootpath / self.config.getoption("results"),
                self.config.getoption("image"), ["pytest", *map(str, self.config.invocation_params.args)],
                self._workers(),
            )
        )  # fmt: skip
        os.environ["SEATRIAL_RUN"] = controller.plan.run
        self._ignored = signals.endure()
        # a shell that runs us in the background has us ignore ^C as well
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        self.required = usable(self._required)
        claims = self.claims
        known = self.config.rootpath / "reports" / "known"
        usable(lambda: controller.prepare(progress, known, claims))
        self.controller, self.plan = controller, controller.plan

    def _paths(self) -> None:
        """Refuse what is not there before engines are made ready: with workers, nobody else would tell."""
        if self.config.option.pyargs:
            return
        for argument in self.config.args:
            path = self.config.invocation_params.dir / argument.partition("::")[0]
            if not path.exists():
                raise pytest.UsageError(f"file or directory not found: {argument}")

    def _targets(self, progress: Callable[[str], None]) -> list[str]:
        from seatrial.targets import discover

        chosen = self.config.getoption("engine") or [str(discover(progress, runtime=self._only_runtimes))]
        return list(dict.fromkeys(chosen))

    @property
    def _only_runtimes(self) -> bool:
        """Whether nothing but the suite for runtimes was asked for."""
        return all("oci/runtime" in argument for argument in self.config.args)

    def _workers(self) -> int:
        count = self.config.getoption("numprocesses", None)
        return count if isinstance(count, int) else 0

    def _required(self) -> list[str]:
        from seatrial.controller import read_required

        path = self.config.getoption("required")
        return read_required(Path(path) if path else None)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Hand the plan to an xdist worker."""
        if self.plan is not None:
            node.workerinput["seatrial"] = self.plan.dump()
            node.workerinput["ignored"] = self._ignored

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: list[str]) -> None:
        """Learn how many tests the workers selected."""
        if self.controller is not None:
            self.controller.selected = sum(bool(split(id_, self.names)[1]) for id_ in ids)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take what a worker found wrong with the tests."""
        self._problems += getattr(node, "workeroutput", {}).get("seatrial", [])

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record a verdict when its test is over."""
        if self.controller is None:
            return
        from seatrial.results import TestResult
        from seatrial.verdict import Verdict

        if (value := getattr(report, "seatrial", None)) is not None:
            result = TestResult(**{**value, "verdict": Verdict(value["verdict"])})
            self.controller.record(result)
            self.config.hook.pytest_seatrial_recorded(session=self, result=result)
        elif report.when not in ("setup", "call", "teardown"):  # xdist's word for a crashed worker
            test, target = split(report.nodeid, self.names)
            words = str(report.longrepr)
            self.controller.record(
                TestResult(test, target, Verdict.ERROR, "", 0.0, message=words, signature="worker crashed")
            )
        if self.controller.broken is not None:
            raise pytest.exit.Exception(str(self.controller.broken), int(Exit.INTERNAL))

    @pytest.hookimpl(wrapper=True, trylast=True)  # after xdist has ended its workers, before the summary
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> Generator[None, object, object]:
        """Close the run, write the reports and set the exit code."""
        if self.controller is None:
            outcome = yield
            if self.worker:
                self.config.workeroutput["seatrial"] = self._problems  # type: ignore[attr-defined]
            return outcome
        with signals.patience(self._cleaning, _cut_short):
            outcome = yield
            self._close(session, exitstatus)
        return outcome

    def _cleaning(self) -> None:
        words = "\ncleaning up; once more ends this at once and leaves the rest to `seatrial clean`"
        if (reporter := self.config.pluginmanager.get_plugin("terminalreporter")) is not None:
            reporter.write_line(words)

    def _close(self, session: pytest.Session, exitstatus: int) -> None:
        assert self.controller is not None  # noqa: S101 - for the type checker
        status, words = int(exitstatus), sorted(set(self._problems))
        if words:
            status = int(Exit.USAGE)
            self.controller.cause = "tests of the suites are wrong"
        deadline = self.config.getoption("deadline")
        # its clock started when pytest-timeout configured itself, about when this session did
        elapsed = time.monotonic() - self._began + 1.0
        if deadline and elapsed >= selection.seconds(deadline) and status != Exit.OK:
            status, self.controller.cause = int(Exit.INTERRUPTED), f"the deadline of {deadline} was reached"
        session.exitstatus = self.controller.finish(status, self.required)
        words += [str(self.controller.broken)] if self.controller.broken else []
        words += self._reports(session)
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.seatrial_closing = "\n".join(words)

    def _reports(self, session: pytest.Session) -> list[str]:
        """Write each report although another fails; return the closing words."""
        from seatrial import report, results
        from seatrial.controller import point_at
        from seatrial.report import text

        assert self.controller is not None  # noqa: S101 - for the type checker
        directory = self.controller.directory
        words: list[str] = []
        for step in (
            lambda: report.write(directory),
            lambda: point_at(directory),
            lambda: words.append(text.closing(results.read(directory / "results.jsonl"))),
        ):
            try:
                step()
            except SeatrialError as error:
                words.append(str(error))
            except Exception as error:  # a bug in a report must not hide what the tests said
                words.append(f"E499: a report could not be written\n  cause: {error!r}")
            else:
                continue
            session.exitstatus = int(Exit.INTERNAL)
        return words

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say the verdict and where the reports are."""
        if closing := getattr(terminalreporter, "seatrial_closing", ""):
            terminalreporter.section("sea trial")
            terminalreporter.write_line(closing)

    # -- collection ----------------------------------------------------------------------------

    @property
    def claims(self) -> dict[str, Claim]:
        """The claims tables of the suites."""
        if self._claims is None:
            from seatrial.claims import load

            self._claims = usable(lambda: load(self.config.rootpath / SUITES))
        return self._claims

    @property
    def names(self) -> list[str]:
        """The targets that tests are made for; without one, collection calls it "engine"."""
        if self.plan is not None:
            return [target.name for target in self.plan.targets]
        chosen: list[str] = self.config.getoption("engine")
        return chosen or ["engine"]

    @pytest.hookimpl(tryfirst=True)  # so that the target stands first in the id, before parameters of fixtures
    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run each test that wants a target once for each of them."""
        if "target" not in metafunc.fixturenames:
            return
        names = selection.fitting(self.names, selection.kind_for(metafunc.fixturenames))
        metafunc.parametrize("target", names, indirect=True, scope="session", ids=str)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Select, sort, and refuse tests that name no claim or an unknown one."""
        if config.getoption("check_f"):
            wanted = selection.pattern(config.getoption("check_f"))
            kept = [item for item in items if selection.matches(item, wanted)]
            config.hook.pytest_deselected(items=[item for item in items if item not in kept])
            items[:] = kept
        self._problems = selection.problems(items, config.rootpath / SUITES, self.claims)
        if self._problems and self.worker:
            items[:] = []  # the controller tells why
        elif self._problems:
            raise pytest.UsageError("\n".join(self._problems))
        if (path := config.getoption("claims_out")) and not self.worker:
            text = json.dumps({"named": selection.named(items, self.names)}, indent=1) + "\n"
            usable(lambda: Path(path).write_text(text))
        items.sort(key=selection.rank)
        if self.controller is not None:
            self.controller.selected = sum(bool(split(item.nodeid, self.names)[1]) for item in items)

    # -- one test ------------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Open the trial of a test and hold the locks that its markers ask for."""
        if self.plan is None or (trial := self._trial(item)) is None:
            return (yield)
        from seatrial.locks import held

        item.stash[TRIAL] = trial
        marker = item.get_closest_marker("exclusive")
        scope = (marker.args[0] if marker.args else marker.kwargs.get("scope", "engine")) if marker else ""
        with held(trial.target, scope):
            trial.begin()
            return (yield)

    def _trial(self, item: pytest.Item) -> Trial | None:
        assert self.plan is not None  # noqa: S101 - for the type checker
        parametrised = getattr(item, "callspec", None)
        target = parametrised.params.get("target") if parametrised else getattr(item, "target", "")
        if not target:
            return None
        from seatrial import known
        from seatrial.outcome import Trial

        test = split(item.nodeid, [target])[0]
        path, line, _ = item.location
        claims = [self.claims[id_] for id_ in claim_ids(item) if id_ in self.claims]
        claims += getattr(item, "claims", [])
        expected = known.match(self.plan.known.get(target, {}), test)
        if expected is None and hasattr(item, "known_on"):
            expected = item.known_on(self.info(target))
        return Trial(
            test, target, claims[0].area if claims else item.path.parent.name, path, (line or 0) + 1, claims,
            expected, self._refusal(item, self.info(target)),
            selection.effects(item), self.plan.races.get(target, ()),
        )  # fmt: skip

    def _refusal(self, item: pytest.Item, info: TargetInfo) -> Refusal | None:
        from seatrial.outcome import Refusal
        from seatrial.requires import REQUIREMENTS
        from seatrial.verdict import Verdict

        names = selection.needs(item)
        disabled = [name for name in names if name in self.config.getoption("without")]
        if disabled:
            return Refusal(Verdict.DISABLED, f"disabled by --without {disabled[0]}", disabled[0])
        for name in names:
            outcome = info.requirements[name]
            if not outcome.holds:
                requirement = REQUIREMENTS[name]
                return Refusal(requirement.kind.value, f"needs {requirement.meaning}: {outcome.reason}", name)
        if item.get_closest_marker("slow") and not self.config.getoption("slow"):
            return Refusal(Verdict.DISABLED, "slow: runs with --slow (make suites-full)")
        if item.get_closest_marker("destructive") and not info.facts.get("lab"):
            return Refusal(Verdict.DISABLED, "touches what it did not make: only on an engine of the harness's own")
        return None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Skip what is refused."""
        trial = item.stash.get(TRIAL, None)
        if trial is not None and trial.refusal is not None:
            pytest.skip(trial.refusal.reason)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: Any
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Let the trial see each phase; the last one carries the result to the controller."""
        report = yield
        trial = item.stash.get(TRIAL, None)
        if trial is not None and self.plan is not None:
            trial.observe(call, report)
            if report.when == "teardown":
                self._conclude(item, trial, report)
        return report

    def _conclude(self, item: pytest.Item, trial: Trial, report: Any) -> None:
        """Write the log of a finished test and attach its result to the report that goes to the controller."""
        from dataclasses import asdict

        assert self.plan is not None  # noqa: S101 - for the type checker
        if trial.doubtful and self._dead(trial.target):
            trial.engine_died()
            item.session.shouldstop = f"{trial.target} died"
        try:
            log, repro = trial.keep(Path(self.plan.directory), lab=trial.target in self.plan.labs)
        except OSError:  # the stream is on the same disk and will tell
            log, repro = "", ""
        report.seatrial = {**asdict(trial.result(self.worker, log, repro)), "verdict": trial.verdict.value}

    def _dead(self, target: str) -> bool:
        """Look whether an engine died; leave word of it for the controller."""
        assert self.plan is not None  # noqa: S101 - for the type checker
        engine = self.engine(target, check=False)
        trouble = engine.trouble() if engine is not None else "it is gone"
        if trouble:
            self.plan.bury(f"{target} died while the session ran: {trouble}")
        return bool(trouble)

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: Any) -> tuple[str, str, str] | None:
        """Count a broken SHOULD as a warning of its own."""
        if getattr(report, "seatrial_warning", False) and report.when == "call":
            return "warned", "W", "WARN"
        return None

    # -- what fixtures ask ---------------------------------------------------------------------

    def info(self, target: str) -> TargetInfo:
        """Return what was probed of a target."""
        assert self.plan is not None  # noqa: S101 - for the type checker
        return next(info for info in self.plan.targets if info.name == target)

    def engine(self, target: str, *, check: bool = True) -> CliEngine | None:
        """Return the driver of a target; without `check` None when its lab is gone."""
        assert self.plan is not None  # noqa: S101 - for the type checker
        if target not in self._engines:
            try:
                self._engines[target] = self.plan.engine(target)
            except SeatrialError:
                if check:
                    raise
                return None
        return self._engines[target]

"""What the console shows while the suites run: one live line with an estimate, or Docker's own lines.

Both replace pytest's dots only: an empty letter in `pytest_report_teststatus` keeps its reporter
silent about a test while it goes on counting. Failures, summary and exit code stay pytest's.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Generator
from typing import Any

import pytest

from seatrial.report import text
from seatrial.report.wording import counts, span
from seatrial.results import TestResult
from seatrial.verdict import Verdict


def install(config: pytest.Config, style: str) -> None:
    """Take over the display of tests: `gocheck`, or on a terminal the live line."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return
    if style == "gocheck":
        config.option.no_header = True
        config.pluginmanager.register(GocheckConsole(reporter), "seatrial-console")
    elif reporter.isatty() and config.get_verbosity() == 0:
        config.pluginmanager.register(LiveConsole(reporter), "seatrial-console")


class Console:
    """Shows results instead of letters."""

    def __init__(self, reporter: Any) -> None:
        self.reporter = reporter
        self.reporter.showfspath = False
        self.numbers: Counter[Verdict] = Counter()
        self.session: pytest.Session | None = None

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Note the session, which knows how many tests there are."""
        self.session = session

    @property
    def selected(self) -> int:
        """How many tests were selected, as far as is known."""
        return max(self.session.testscollected if self.session else 0, sum(self.numbers.values()))

    @pytest.hookimpl(wrapper=True)
    def pytest_report_teststatus(self, report: Any) -> Generator[None, Any, Any]:
        """Keep pytest from printing a letter; the category and the word of the summary stay."""
        status = yield
        return (status[0], "", status[2]) if status else status

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Show a test's result with its last phase."""
        value = getattr(report, "seatrial", None)
        if value is not None:
            result = TestResult(**{**value, "verdict": Verdict(value["verdict"])})
            self.numbers[result.verdict] += 1
            self.show(result)

    def show(self, result: TestResult) -> None:
        """Show one result."""
        raise NotImplementedError


class GocheckConsole(Console):
    """`PASS: file:line: Suite.Test 0.439s`, a line a test."""

    def show(self, result: TestResult) -> None:
        """Print Docker's line."""
        self.reporter.write_line(text.line(result))

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """Print Docker's last line."""
        self.reporter.write_line(text.summary(self.numbers, self.selected - sum(self.numbers.values())))


class LiveConsole(Console):
    """One line that is written over, and a line that stays for each test that went wrong."""

    def __init__(self, reporter: Any) -> None:
        super().__init__(reporter)
        self._began = time.monotonic()

    def show(self, result: TestResult) -> None:
        """Renew the live line."""
        if result.verdict.red or result.verdict is Verdict.WARN:
            self._clear()
            words = f"{result.verdict:<6}{result.target}  {result.test}"
            self.reporter.line(words, **{"red" if result.verdict.red else "yellow": True})
        done = sum(self.numbers.values())
        elapsed = time.monotonic() - self._began
        left = "" if done < 20 else f" · about {span(elapsed / done * (self.selected - done))} left"
        line = f"{done}/{self.selected} · {counts(self.numbers)}{left}"
        self.reporter.rewrite(line[: self.reporter._tw.fullwidth - 1], erase=True)
        self.reporter.flush()

    def _clear(self) -> None:
        self.reporter.rewrite("", erase=True)
        self.reporter.rewrite("")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        """Start the clock, and leave no half line behind."""
        self._began = time.monotonic()
        try:
            return (yield)
        finally:
            self._clear()

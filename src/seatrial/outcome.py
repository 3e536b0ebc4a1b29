"""From what pytest saw of a test to its verdict: the only place where one becomes the other.

A test has three phases and its verdict is the worst of them. An assertion that fails is the engine's
failure (FAIL, or WARN when the claims are SHOULDs), any other exception the harness's (ERROR); what
a known list expects is KNOWN.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from seatrial.claims import Claim, level_of
from seatrial.exec import Journal
from seatrial.known import Known
from seatrial.names import slug
from seatrial.results import TestResult
from seatrial.verdict import Level, Verdict, reduce

# pytest-timeout ends a test by pytest.fail: the engine did not answer in time
_ENGINES_FAULT = (AssertionError, pytest.fail.Exception)


@dataclass(frozen=True)
class Refusal:
    """Why a test is not run: the verdict, the requirement's name and a sentence."""

    verdict: Verdict
    reason: str
    requirement: str = ""


@dataclass
class Trial:
    """One test on one target while it runs."""

    test: str
    target: str
    area: str
    file: str
    line: int
    claims: Sequence[Claim]
    known: Known | None = None
    refusal: Refusal | None = None
    journal: Journal = field(default_factory=Journal)
    began: float = field(default_factory=time.monotonic)
    verdicts: list[Verdict] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    @property
    def level(self) -> Level:
        """The most binding level of the test's claims."""
        return level_of({claim.id: claim for claim in self.claims}, [claim.id for claim in self.claims])

    def observe(self, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
        """Take in one phase and let pytest count it as the verdict says."""
        if report.skipped:
            if self.refusal is None:
                reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
                self.refusal = Refusal(Verdict.SKIP, reason.removeprefix("Skipped: "))
            self.verdicts.append(self.refusal.verdict)
        elif report.failed:
            self._failed(call, report)
        elif report.when == "call":
            self.verdicts.append(Verdict.PASS)

    def _failed(self, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
        error = call.excinfo.value if call.excinfo else None
        verdict = Verdict.FAIL if isinstance(error, _ENGINES_FAULT) else Verdict.ERROR
        if verdict is Verdict.FAIL and self.level is Level.SHOULD:
            verdict = Verdict.WARN
        where = f"{report.when}: " if report.when != "call" else ""
        self.messages.append(where + _words(error))
        if self.known is not None:
            verdict = Verdict.KNOWN
            report.outcome = "skipped"
            report.wasxfail = f"known: {self.known.reason}"
        elif verdict is Verdict.WARN:
            report.outcome = "passed"
            report.seatrial_warning = True  # type: ignore[attr-defined]
        self.verdicts.append(verdict)
        report.sections.append(("what was claimed", self.sentences()))
        if tail := self.journal.tail():
            report.sections.append(("last commands", tail))

    def sentences(self) -> str:
        """Return the claims in words."""
        return "\n".join(f"{one.id} ({one.level}): {one.sentence}\n  source: {one.source}" for one in self.claims)

    @property
    def verdict(self) -> Verdict:
        """The verdict so far; a test of which no phase spoke is UNKNOWN."""
        return reduce(self.verdicts)

    def result(self, worker: str, log: str = "", repro: str = "") -> TestResult:
        """Return the verdict as it is recorded."""
        message = "\n\n".join(self.messages)
        known = self.known
        return TestResult(
            test=self.test, target=self.target, verdict=self.verdict, area=self.area,
            duration=time.monotonic() - self.began, claims=[claim.id for claim in self.claims],
            level=self.level.value, file=self.file, line=self.line,
            reason=self.refusal.reason if self.refusal else known.reason if known else "",
            requirement=self.refusal.requirement if self.refusal else "",
            link=known.link if known else "", message=message, signature=signature(message),
            known_passes=known is not None and self.verdict is Verdict.PASS,
            log=log, repro=repro, worker=worker,
        )  # fmt: skip

    def keep(self, directory: Path, *, lab: bool) -> tuple[str, str]:
        """Write the test's log, and repro.sh when it failed; return both paths relative to the run."""
        name = f"{slug(self.target)}/{slug(self.test.removeprefix('suites/'), 150)}"
        log = f"logs/{name}.log"
        _write(directory / log, "\n".join([self.test, self.sentences(), "", self.journal.log(), *self.messages]))
        if self.verdict not in (Verdict.FAIL, Verdict.WARN, Verdict.KNOWN, Verdict.ERROR) or not self.journal.calls:
            return log, ""
        repro = f"repro/{name}.sh"
        how = f"run it with: seatrial lab up {self.target}; seatrial lab run {self.target} -- sh < this-file"
        how = how if lab else "run it with: sh this-file"
        preamble = f"{self.test} on {self.target}\n{how}\n{self.sentences()}"
        _write(directory / repro, self.journal.repro(preamble))
        return log, repro


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", "utf-8", "replace")


def _words(error: BaseException | None) -> str:
    if error is None:
        return "no exception was kept"
    text = str(error) or type(error).__name__
    return text if isinstance(error, _ENGINES_FAULT) else f"{type(error).__name__}: {text}"


_NOISE: Mapping[str, str] = {
    r"st-[0-9a-f]{8}-\w+": "NAME",
    r"localhost/seatrial[\w./-]*(:\w+)?": "IMAGE",
    r"\b(sha256:)?[0-9a-f]{12,64}\b": "ID",
    r"\b\d{1,3}(\.\d{1,3}){3}(:\d+)?(/\d+)?": "ADDRESS",
    r"/\S*/share/\S+": "PATH",
    r"0x[0-9a-f]+": "ADDRESS",
    r"\b\d+(\.\d+)?\b": "N",
}


def signature(message: str) -> str:
    """Return the first line of a message without ids, names, times and numbers: like failures share it."""
    line = next((line.strip() for line in message.splitlines() if line.strip()), "")
    for pattern, word in _NOISE.items():
        line = re.sub(pattern, word, line)
    return line[:200]

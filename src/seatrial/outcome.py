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
from typing import Any

import pytest

from seatrial.claims import Claim, Severity, level_of
from seatrial.exec import Journal
from seatrial.known import Known
from seatrial.names import slug, test_key
from seatrial.results import TestResult
from seatrial.verdict import Level, Verdict, reduce

# pytest-timeout ends a test by pytest.fail: the engine did not answer in time
_ENGINES_FAULT = (AssertionError, pytest.fail.Exception)


class Concluded(Exception):  # noqa: N818 - a verdict, not an error
    """Raised by a test that concludes by itself what is neither a failure of the engine nor one of the harness."""

    def __init__(self, verdict: Verdict, words: str) -> None:
        super().__init__(words)
        self.verdict = verdict


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
    effects: Sequence[str] = ()
    races: Sequence[Known] = ()
    journal: Journal = field(default_factory=Journal)
    began: float = 0.0
    verdicts: list[Verdict] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    evidence: dict[str, Any] = field(default_factory=dict)  # what the test has measured, as plain JSON

    @property
    def level(self) -> Level:
        """The most binding level of the test's claims."""
        return level_of({claim.id: claim for claim in self.claims}, [claim.id for claim in self.claims])

    @property
    def severity(self) -> str:
        """The worst severity of the test's claims, empty where they have none."""
        given = {claim.severity for claim in self.claims}
        return next((one.value for one in Severity if one.value in given), "")

    def begin(self) -> None:
        """Start the clock."""
        self.began = time.monotonic()

    @property
    def doubtful(self) -> bool:
        """Whether the engine may have died meanwhile: something failed, or a command was refused."""
        refused = (call.result is not None and not call.result.ok for call in self.journal.calls)
        return bool(self.messages) or any(refused)

    def engine_died(self) -> None:
        """Take back what a dead engine cannot have shown: a refusal by nobody is no refusal."""
        self.verdicts.append(Verdict.ERROR)
        self.messages.append("the engine died while this test ran, or before it")

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
        verdict = Verdict.FAIL if _engines_fault(error) else Verdict.ERROR
        if isinstance(error, Concluded):
            verdict = error.verdict
        if verdict is Verdict.FAIL and self.level is Level.SHOULD:
            verdict = Verdict.WARN
        where = f"{report.when}: " if report.when != "call" else ""
        words = _words(error)
        refuted = report.when == "call" and _engines_fault(error)  # what the test claims, by the engine
        if refuted:
            self.ignored = [option for option in self.effects if self._accepted(option)]
            if self.ignored:
                words = f"accepted without effect: {', '.join(self.ignored)}\n{words}"
        known = self._expected(report.when, words) if _engines_fault(error) else None
        if refuted and known is None and self.known is not None:
            words += f"\nanother failure than the known one: {self.known.reason}"
        self.messages.append(where + words)
        if known is not None:
            verdict, self.known = Verdict.KNOWN, known
            report.outcome = "skipped"
            report.wasxfail = f"known: {known.reason}"
        elif verdict is Verdict.WARN:
            report.outcome = "passed"
            report.seatrial_warning = True  # type: ignore[attr-defined]
        self.verdicts.append(verdict)
        report.sections.append(("what was claimed", self.sentences()))
        if tail := self.journal.tail():
            report.sections.append(("last commands", tail))

    def _expected(self, when: str, words: str) -> Known | None:
        """Return the entry that expects a failure: the test's own in its call, a race in what it sets up as well."""
        own = [self.known] if self.known and when == "call" else []
        entries = [*own, *(self.races if when != "teardown" else ())]
        return next((entry for entry in entries if entry.expects(words)), None)

    def _accepted(self, option: str) -> bool:
        """Tell whether the engine took an option each time that it was given."""
        name = option.split()[-1]
        calls = [call for call in self.journal.calls if any(word.split("=", 1)[0] == name for word in call.argv)]
        return bool(calls) and all(call.result is None or call.result.ok for call in calls)

    def sentences(self) -> str:
        """Return the claims in words."""
        return "\n".join(f"{one.id} ({one.level}): {one.sentence}\n  source: {one.source}" for one in self.claims)

    @property
    def verdict(self) -> Verdict:
        """The verdict so far; a test of which no phase spoke is UNKNOWN."""
        return reduce(self.verdicts)

    def result(self, worker: str, log: str = "", repro: str = "") -> TestResult:
        """Return the verdict as it is recorded."""
        message, sign = "\n\n".join(self.messages), signature("\n\n".join(self.messages), self.test)
        if self.verdict in _LOOKED_INTO and not _COMMAND.search(message) and (tail := self.journal.tail()):
            message += f"\n\nthe last commands before:\n{tail}"
        known = self.known
        return TestResult(
            test=self.test, target=self.target, verdict=self.verdict, area=self.area,
            duration=time.monotonic() - self.began, claims=[claim.id for claim in self.claims],
            level=self.level.value, file=self.file, line=self.line,
            reason=self.refusal.reason if self.refusal else known.reason if known else "",
            requirement=self.refusal.requirement if self.refusal else "",
            link=known.link if known else "", message=message, signature=sign,
            known_passes=known is not None and self.verdict is Verdict.PASS,
            effects=list(self.effects), ignored=self.ignored,
            log=log, repro=repro, worker=worker, evidence=self.evidence,
        )  # fmt: skip

    def keep(self, directory: Path, *, lab: bool) -> tuple[str, str]:
        """Write the test's log, and repro.sh when it failed; return both paths relative to the run."""
        name = f"{slug(self.target)}/{slug(self.test.removeprefix('suites/'), 140)}-{test_key(self.test)}"
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


def _engines_fault(error: BaseException | None) -> bool:
    """Tell a claim that does not hold from a test that broke; a group is the engine's if all its members are."""
    if isinstance(error, BaseExceptionGroup):
        return all(_engines_fault(member) for member in error.exceptions)
    return isinstance(error, _ENGINES_FAULT)


def _words(error: BaseException | None) -> str:
    if error is None:
        return "no exception was kept"
    if isinstance(error, BaseExceptionGroup):
        return "\n".join([str(error), *(_words(member) for member in error.exceptions)])
    text = str(error) or type(error).__name__
    return text if _engines_fault(error) or isinstance(error, Concluded) else f"{type(error).__name__}: {text}"


_NOISE: Mapping[str, str] = {
    r"st-[0-9a-f]{8}-\w+": "NAME",
    r"localhost/seatrial[\w./-]*(:\w+)?": "IMAGE",
    r"\b(sha256:)?[0-9a-f]{12,64}\b": "ID",
    r"\b\d{1,3}(\.\d{1,3}){3}(:\d+)?(/\d+)?": "ADDRESS",
    r"/\S*/share/\S+": "PATH",
    r"0x[0-9a-f]+": "ADDRESS",
    r"\b\d+(\.\d+)?\b": "N",
}
_LOOKED_INTO = (Verdict.FAIL, Verdict.ERROR, Verdict.WARN)
_COMMAND = re.compile(r"^\s*[$>] ", re.MULTILINE)  # of a command, or of a request
# where the numbers are codes, they tell failures apart
_CODES = re.compile(r"exit code|\bcode\b|expected status")


def signature(message: str, test: str = "") -> str:
    """Return in a line what failures of the same kind share: what was expected, the verb or request, the last error.

    Ids, names, times and numbers are taken out, but for exit codes. A comparison of values says little without them,
    so that those of two tests are two.
    """
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    if not lines:
        return ""
    parts = [lines[0] if _CODES.search(lines[0]) else _quiet(lines[0])]
    if request := next((line for line in lines if line.startswith("> ")), ""):
        parts.append(_quiet(request[2:].partition("?")[0]))
    elif verb := next((line for line in lines if line.startswith("$ ")), ""):
        # not the binary: the same failure of two engines is one
        words = [word for word in verb[2:].split()[1:] if not word.startswith("-")]
        parts.append(" ".join(words[: 2 if words[:1] and words[0] in _NOUNS else 1]))
    elif lines[0].startswith("assert ") and test:
        parts.append(test.rpartition("::")[2].partition("[")[0])
    if errors := [line.partition("|")[2].strip() for line in lines if line.startswith(("stderr|", "body|"))]:
        parts.append(_quiet(errors[-1]))
    return " · ".join(parts)[:200]


_NOUNS = ("container", "image", "network", "system", "volume")


def _quiet(line: str) -> str:
    for expression, word in _NOISE.items():
        line = re.sub(expression, word, line)
    return line

"""From a history to verdicts: each objective of the profile and each checker is one result, as a test is.

Nothing here asks an engine: a stored run is judged again by its history alone.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from seatrial import stats
from seatrial.outcome import signature
from seatrial.results import TestResult
from seatrial.stress import checkers, leaks
from seatrial.stress.checkers import Checked
from seatrial.stress.history import FAIL, OK, History, Op
from seatrial.stress.monitor import KERNEL, OWN_MEMORY
from seatrial.stress.profile import Objectives
from seatrial.verdict import Level, Verdict

OBSERVED = frozenset(("event", "sample"))  # what nobody asked for
STARTS = ("start", "run")  # each of these is one container
STORY = " story"  # tells the figures of a story from those of a step of the same name
MEMORY, GROWTH = 300e6, 30e6  # bytes that the harness may have, and may gain in a run
LEAST = 100  # samples of which the slowest is not yet the 99th percentile
_KINDS_OF_ERRORS = 10
_SHOWN = 10  # leftovers of each kind


@dataclass
class Tally:
    """What a history comes to, by kind of operation; latencies in seconds from the intended start.

    A story is made of operations and is none: it has latencies, under a name of its own, and no part in the error rate.
    """

    latencies: dict[str, array[float]] = field(default_factory=lambda: defaultdict(lambda: array("d")))
    ended: dict[str, array[float]] = field(default_factory=lambda: defaultdict(lambda: array("d")))  # beside latencies
    failures: Counter[str] = field(default_factory=Counter)
    unanswered: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)  # by kind and message, with ids folded
    samples: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    kernel: list[tuple[float, str]] = field(default_factory=list)  # what the kernel has logged of trouble
    asked: int = 0  # operations
    done: int = 0  # of them
    last: float = 0.0

    def see(self, op: Op) -> None:
        """Take in one operation."""
        if op.ended > self.last:
            self.last = op.ended
        if op.kind == "sample":
            self.samples[op.object].append((op.began, op.value))
        elif op.kind == "event":
            if op.value[0] == "kernel":
                self.kernel.append((op.began, op.value[1]))
        else:
            kind = op.kind if op.object else op.kind + STORY
            self.asked += bool(op.object)
            if op.outcome == OK:
                self.done += bool(op.object)
                self.latencies[kind].append(op.ended - op.intended)
                self.ended[kind].append(op.ended)
                return
            (self.failures if op.outcome == FAIL else self.unanswered)[kind] += 1
            if op.object:
                self.errors[f"{kind}: {signature(op.error) or op.outcome}"] += 1

    def found(self, kind: str) -> Sequence[float]:
        """Return the latencies of an operation, of a story where no operation has that name, or of every `story`."""
        if kind == STORY.strip():
            return [value for name, found in self.latencies.items() if name.endswith(STORY) for value in found]
        return self.latencies.get(kind) or self.latencies.get(kind + STORY) or ()

    @property
    def error_rate(self) -> float:
        """Share of operations that were refused or not answered."""
        return (self.asked - self.done) / self.asked if self.asked else math.nan

    def kinds(self) -> list[str]:
        """Return the kinds of operations that were asked for."""
        return sorted({*self.latencies, *self.failures, *self.unanswered})

    def row(self, kind: str) -> dict[str, Any]:
        """Return the figures of a kind of operation."""
        found = self.latencies.get(kind)
        shares = {f"p{share:g}": stats.percentile(found, share) for share in (50, 90, 95, 99)} if found else {}
        return {
            "kind": kind, "done": len(found or ()), "refused": self.failures[kind],
            "unanswered": self.unanswered[kind], **shares, **({"max": max(found)} if found else {}),
        }  # fmt: skip


@dataclass(frozen=True)
class Aftermath:
    """What was seen beside the history: leftovers, the watchers' trouble, the harness's share of all CPU time.

    `each` is its CPU time a container in seconds, which others on the machine do not change.
    """

    leftovers: Sequence[tuple[str, str]] | None = None  # None: nobody looked
    trouble: Sequence[str] = ()
    share: float | None = None
    share_limit: float | None = None  # None: none holds
    each: float | None = None


def judge(history: History, objectives: Objectives, warm_up: float) -> tuple[Tally, list[Checked], list[TestResult]]:
    """Read a history once; return what it comes to, what the checkers found, and all of it as results.

    Raises `SeatrialError` E802 on a broken history.
    """
    tally = Tally()

    def seen() -> Iterator[Op]:
        for op in history:
            tally.see(op)
            yield op

    judgements = checkers.run(checkers.named(history.header.judged), seen())
    target = history.header.target
    results = [_error_rate(tally, objectives, target)]
    results += [_p99(tally, kind, limit, target) for kind, limit in objectives.p99.items()]
    results += [_checked(judgement, target) for judgement in judgements]
    if objectives.leaks:
        results.append(_leaks(tally, warm_up, target, lasting=history.header.profile.get("driver") != "runtime"))
    results += [_kernel(tally, target), *_memory(tally, warm_up, target)]
    return tally, judgements, [*results, *_whole(history, target)]


def _whole(history: History, target: str) -> list[TestResult]:
    """Say of a history that was read whether it ends before its run did; nothing of a whole one."""
    name = "the history is that of a whole run"
    if history.footer is None:
        words = "it has no footer: who wrote it died, and what came after the last line is not known"
        return [_result(name, target, Verdict.ERROR, words)]
    if history.footer.cause:
        return [_result(name, target, Verdict.UNKNOWN, f"the run ended early: {history.footer.cause}")]
    return []


def beside(aftermath: Aftermath, objectives: Objectives, target: str) -> list[TestResult]:
    """Return the results of what was seen beside the history."""
    made = []
    if objectives.leftovers and aftermath.leftovers is not None:
        words = "\n".join(_left(aftermath.leftovers))
        made.append(_result("nothing is left behind", target, Verdict.FAIL if words else Verdict.PASS, words))
    if aftermath.trouble:
        made.append(_result("the engine is watched to the end", target, Verdict.ERROR, "\n".join(aftermath.trouble)))
    if aftermath.share is not None:
        made.append(_cost(aftermath, aftermath.share, target))
    return made


def _cost(aftermath: Aftermath, share: float, target: str) -> TestResult:
    name, limit = "the harness costs little", aftermath.share_limit
    evidence = {"share of CPU": round(share, 5)}
    words = f"the harness used {share:.2%} of all CPU time that was used"
    if aftermath.each is not None:
        evidence["CPU ms a container"] = round(1000 * aftermath.each, 2)
        words += f", {1000 * aftermath.each:.1f} ms a container"
    if limit is None:
        reason = f"{words}; no limit holds where each step is a process of the engine's or the runtime's client"
        return _result(name, target, Verdict.SKIP, reason=reason, level=Level.SHOULD, evidence=evidence)
    broken = f"{words}, its limit is {limit:.1%}" if share > limit else ""
    return _result(name, target, Verdict.WARN if broken else Verdict.PASS, broken, level=Level.SHOULD,
                   evidence=evidence)  # fmt: skip


def _left(leftovers: Sequence[tuple[str, str]]) -> list[str]:
    """Return what was left in words: how many of each kind, and the first of each."""
    kinds: dict[str, list[str]] = {}
    for kind, name in leftovers:
        kinds.setdefault(kind, []).append(name)
    counted = ", ".join(f"{kind}: {len(names)}" for kind, names in sorted(kinds.items()))
    lines = [f"{len(leftovers)} things were not there before the run ({counted})"] if kinds else []
    for kind, names in sorted(kinds.items()):
        lines += [f"{kind} {name}" for name in names[:_SHOWN]]
        lines += [f"... and {len(names) - _SHOWN} more of the kind {kind}"] if len(names) > _SHOWN else []
    return lines


def _error_rate(tally: Tally, objectives: Objectives, target: str) -> TestResult:
    name = f"at most {objectives.error_rate:.2%} of the operations fail"
    if not tally.asked:
        return _result(name, target, Verdict.FAIL, "no operation was recorded: nothing was tested")
    evidence = {"operations": tally.asked, "error rate": round(tally.error_rate, 6)}
    if tally.error_rate <= objectives.error_rate:
        return _result(name, target, Verdict.PASS, "", evidence=evidence)
    worst = [f"{count} x {words}" for words, count in tally.errors.most_common(_KINDS_OF_ERRORS)]
    rest = len(tally.errors) - len(worst)
    words = f"{tally.asked - tally.done} of {tally.asked} operations failed ({tally.error_rate:.2%})"
    more = [f"... and {rest} more kinds of errors"] if rest else []
    return _result(name, target, Verdict.FAIL, "\n".join([words, *worst, *more]), evidence=evidence)


def _p99(tally: Tally, kind: str, limit: float, target: str) -> TestResult:
    name = f"the 99th percentile of {kind} is at most {limit:g} s"
    samples = tally.found(kind)
    if not samples:
        return _result(name, target, Verdict.FAIL, f"no {kind} was done: there is no sample")
    seen = stats.percentile(samples, 99)
    evidence = {"samples": len(samples), "p99 in s": round(seen, 4)}
    words = f"expected at most {limit:g} s, seen {seen:.3f} s in {len(samples)} samples"
    if seen <= limit and len(samples) < LEAST:
        reason = (f"{len(samples)} samples are too few for a 99th percentile ({LEAST} are needed): "
                  f"{max(samples):.3f} s at most")  # fmt: skip
        return _result(name, target, Verdict.SKIP, reason=reason, evidence=evidence)
    return _result(name, target, Verdict.FAIL if seen > limit else Verdict.PASS, words if seen > limit else "",
                   evidence=evidence)  # fmt: skip


def _checked(judgement: Checked, target: str) -> TestResult:
    words = "" if judgement.verdict is Verdict.PASS else str(judgement)
    if judgement.verdict is Verdict.UNKNOWN and not judgement.crash:
        words = f"{judgement.checker}: nothing was recorded that could be judged"
    return _result(f"history: {judgement.claim or judgement.checker}", target, judgement.verdict, words,
                   evidence={"judged": judgement.considered})  # fmt: skip


def _leaks(tally: Tally, warm_up: float, target: str, *, lasting: bool) -> TestResult:
    name = "nothing that the engine holds grows without end"
    containers = sum(len(tally.latencies.get(kind, ())) for kind in STARTS)
    found = leaks.trends(tally.samples, warm_up, tally.last, containers)
    if found and lasting and not any(trend.series.startswith("processes:") for trend in found):
        seen = ", ".join(trend.series for trend in found)
        return _result(name, target, Verdict.ERROR, f"no process of the engine was seen: all there is, is {seen}")
    if not found:
        reason = f"the run is too short for a slope: {leaks.ENOUGH} samples after the warm-up are needed"
        return _result(name, target, Verdict.SKIP, reason=reason)
    guilty = [str(trend) for trend in found if trend.leaks]
    words = "\n".join([f"{len(guilty)} of {len(found)} resources grow without end", *guilty]) if guilty else ""
    evidence: dict[str, Any] = {"resources": len(found)}
    if few := leaks.unknown(tally.samples, found):
        evidence["too few samples"] = few
    return _result(name, target, Verdict.FAIL if guilty else Verdict.PASS, words, evidence=evidence)


def _kernel(tally: Tally, target: str) -> TestResult:
    name = "the kernel logs no trouble"
    if KERNEL not in tally.samples:
        return _result(name, target, Verdict.SKIP, reason="the kernel's log cannot be read here")
    if not tally.kernel:
        return _result(name, target, Verdict.PASS)
    lines = [f"at {at:.1f} s: {line}" for at, line in tally.kernel[:_SHOWN]]
    more = [f"... and {len(tally.kernel) - _SHOWN} more"] if len(tally.kernel) > _SHOWN else []
    words = [f"{len(tally.kernel)} lines, of the whole machine", *lines, *more]
    return _result(name, target, Verdict.WARN, "\n".join(words), level=Level.SHOULD)


def _memory(tally: Tally, warm_up: float, target: str) -> list[TestResult]:
    """Hold the memory of the process that drives, where it was sampled."""
    seen = [(at, value) for at, value in tally.samples.get(OWN_MEMORY, ()) if at >= warm_up]
    if not seen:
        return []
    most, words = max(value for _, value in seen), []
    if most > MEMORY:
        words.append(f"the harness had {most / 1e6:.0f} MB, its limit is {MEMORY / 1e6:.0f} MB")
    if len(seen) >= leaks.ENOUGH:
        slope = stats.slope([at for at, _ in seen], [value for _, value in seen])
        if slope.climbs(GROWTH):
            words.append(f"the memory of the harness grows without end: {slope.growth / 1e6:+.0f} MB in this run")
    return [_result(
        "the harness is small and stays so", target, Verdict.WARN if words else Verdict.PASS, "\n".join(words),
        level=Level.SHOULD, evidence={"most MB": round(most / 1e6, 1)},
    )]  # fmt: skip


def _result(
    name: str, target: str, verdict: Verdict, message: str = "", *, reason: str = "", level: Level = Level.MUST,
    evidence: dict[str, Any] | None = None,
) -> TestResult:  # fmt: skip
    return TestResult(
        test=f"stress::{name}", target=target, verdict=verdict, area="stress", duration=0.0, level=level.value,
        reason=reason, message=message, signature=signature(message), evidence=evidence or {},
    )  # fmt: skip


"""Holding what happened against what a case expects: pure functions of a record."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from seatrial.oct import jsonpath
from seatrial.oct.model import Case, Exit, Expectation, Metric
from seatrial.oct.record import Ending, StepRecord, TaskRecord
from seatrial.verdict import Level

_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_SHOWN = 300


class NotThere(Exception):  # noqa: N818 - an answer, not an error
    """What is to be judged is not there, or is not what it should be."""


def exit_fits(code: int | None, wanted: Exit) -> bool:
    """Tell whether an exit code is the expected one."""
    if wanted == "any":
        return True
    if code is None:
        return False
    if wanted == "failure":
        return code != 0
    return code in wanted if isinstance(wanted, tuple) else code == wanted


def exit_words(wanted: Exit) -> str:
    """Return an expected exit code in words."""
    if wanted == "failure":
        return "any exit code but 0"
    return f"exit code {' or '.join(map(str, wanted)) if isinstance(wanted, tuple) else wanted}"


def judge(expectations: Iterable[Expectation], record: TaskRecord) -> None:
    """Add to a record what is expected and not seen, and its measurements."""
    for expectation in expectations:
        problem = _judge(expectation, record)
        if problem:
            words = f"{problem} ({expectation.why})" if expectation.why else problem
            (record.problems if expectation.level is Level.MUST else record.warnings).append(words)


def conclude(case: Case, record: TaskRecord) -> Ending:
    """Return how a case ended that was run to its end."""
    if any(step.timed_out for step in record.steps):
        return Ending.TIMEOUT
    if record.problems:
        return Ending.FAILED
    if record.leaks:
        return Ending.LEAKED
    if not case.expect:
        record.problems.append("nothing is expected, so nothing is verified")
        return Ending.UNVERIFIED
    if not record.proved:
        record.problems.append("nothing shows that anything ran in a container")
        return Ending.UNVERIFIED
    return Ending.WARNED if record.warnings else Ending.PASSED


def _judge(expectation: Expectation, record: TaskRecord) -> str:
    """Return why an expectation is not met, empty when it is."""
    where = _where(expectation)
    try:
        seen = _seen(expectation, record)
        problem = _absence(expectation, seen) if expectation.absent else _compare(expectation, seen, record)
    except NotThere as missing:
        problem = "" if expectation.absent else str(missing)
        if expectation.negative:
            return f"{where}: {missing}"  # what was never seen proves nothing
    if expectation.negative:
        return "" if problem else f"{where}: {_wanted(expectation)} is seen, and must not be"
    return f"{where}: {problem}" if problem else ""


def _where(expectation: Expectation) -> str:
    what = f"the file {expectation.path}" if expectation.source == "file" else expectation.source
    return f"{what} of {expectation.step}" if expectation.step else what


def _seen(expectation: Expectation, record: TaskRecord) -> Any:
    """Return what an expectation speaks of; raises `NotThere`."""
    if expectation.source == "file":
        if expectation.path not in record.files:
            raise NotThere("it was not collected")
        return record.files[expectation.path]
    if expectation.source == "state":
        return record.states.get(expectation.step, "absent")
    step = _step(expectation.step, record)
    values = {"exit": step.code, "stdout": step.stdout, "stderr": step.stderr, "output": step.stdout + step.stderr,
              "duration": step.duration}  # fmt: skip
    if values[expectation.source] is None:
        raise NotThere("it has no exit code")
    return values[expectation.source]


def _step(name: str, record: TaskRecord) -> StepRecord:
    found = [step for step in record.steps if step.name == name]
    if not found:
        raise NotThere("it was not reached")
    return found[-1]


def _absence(expectation: Expectation, seen: Any) -> str:
    if expectation.source == "file":
        return "it is there, and must not be"
    return f"must be empty, seen {_short(seen)}" if str(seen).strip() else ""


def _compare(expectation: Expectation, seen: Any, record: TaskRecord) -> str:
    value = seen
    if expectation.json_path:
        try:
            value = jsonpath.look_up(json.loads(seen), expectation.json_path)
        except ValueError as error:
            raise NotThere(f"it is no JSON: {error}; seen {_short(seen)}") from error
        except LookupError as error:
            raise NotThere(str(error.args[0])) from error
    if expectation.contains is not None and expectation.contains not in str(value):
        return f"expected to contain {expectation.contains!r}, seen {_short(value)}"
    if expectation.match is not None:
        match = re.search(expectation.match, str(value), re.MULTILINE)
        if match is None:
            return f"expected to match /{expectation.match}/, seen {_short(value)}"
        if match.re.groups and (expectation.op or expectation.metric or expectation.equals is not ...):
            value = match[1]
    if expectation.equals is not ... and not _equal(value, expectation.equals):
        return f"expected {expectation.equals!r}, seen {_short(value)}"
    if expectation.op:
        left, right = _numbers(value, expectation.value) if expectation.op not in ("==", "!=") else (
            (value, expectation.value) if not _numeric(expectation.value) else _numbers(value, expectation.value))
        if not _OPERATORS[expectation.op](left, right):
            return f"expected {expectation.op} {expectation.value}, seen {_short(value)}"
    return _measure(expectation.metric, value, record) if expectation.metric else ""


def _equal(seen: Any, wanted: Any) -> bool:
    if isinstance(seen, str) and isinstance(wanted, str):
        return seen.strip("\n") == wanted
    if isinstance(seen, str) and _numeric(wanted):
        return _number(seen) == float(wanted)
    return bool(seen == wanted and isinstance(seen, bool) == isinstance(wanted, bool))


def _measure(metric: Metric, value: Any, record: TaskRecord) -> str:
    number = _number(value)
    record.metrics[metric.name] = {"value": number, "unit": metric.unit, "better": metric.better}
    if metric.baseline is None:
        return ""
    change = (number - metric.baseline) / metric.baseline * 100
    worse = -change if metric.better == "higher" else change
    record.metrics[metric.name] |= {"baseline": metric.baseline, "worse_percent": round(worse, 2)}
    if worse <= metric.tolerance:
        return ""
    return f"{metric.name} is {number:g} {metric.unit}, {worse:.1f} % worse than {metric.baseline:g}"


def _numeric(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise NotThere(f"{_short(value)} is no number") from error


def _numbers(left: Any, right: Any) -> tuple[float, float]:
    return _number(left), _number(right)


def _wanted(expectation: Expectation) -> str:
    for words in (expectation.match and f"/{expectation.match}/", expectation.contains and repr(expectation.contains),
                  expectation.op and f"{expectation.op} {expectation.value}"):  # fmt: skip
        if words:
            return words
    return repr(expectation.equals) if expectation.equals is not ... else "it"


def _short(value: Any) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    text = value.strip()
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")

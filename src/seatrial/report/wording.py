"""How reports word verdicts, counts, durations and text that comes from engines."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from markupsafe import Markup

from seatrial.results import TestResult
from seatrial.verdict import Verdict

# A sign and a word for each verdict: nothing is told by colour alone.
SIGNS: Mapping[Verdict, str] = {
    Verdict.PASS: "✓",
    Verdict.FAIL: "✗",
    Verdict.ERROR: "‼",
    Verdict.UNKNOWN: "?",
    Verdict.WARN: "▲",
    Verdict.KNOWN: "≈",
    Verdict.UNSUPPORTED: "◇",
    Verdict.SKIP: "○",
    Verdict.DISABLED: "⊘",
}
WORDS: Mapping[Verdict, str] = {
    Verdict.PASS: "passed",
    Verdict.FAIL: "failed",
    Verdict.ERROR: "harness error",
    Verdict.UNKNOWN: "no verdict",
    Verdict.WARN: "warned",
    Verdict.KNOWN: "known failure",
    Verdict.UNSUPPORTED: "unsupported",
    Verdict.SKIP: "skipped",
    Verdict.DISABLED: "disabled",
}
MEANINGS: Mapping[Verdict, str] = {
    Verdict.PASS: "the engine does what the claim says",
    Verdict.FAIL: "a claim that binds (MUST) or is documented (DOC) is broken",
    Verdict.ERROR: "the harness could not judge",
    Verdict.UNKNOWN: "the test ended without a conclusion",
    Verdict.WARN: "a recommendation (SHOULD) is not followed",
    Verdict.KNOWN: "an expected failure, listed with a reason",
    Verdict.UNSUPPORTED: "the target says that it cannot, and it was probed",
    Verdict.SKIP: "the machine lacks something",
    Verdict.DISABLED: "switched off by the user",
}
# The order in which counts are listed: what ran, worst first, then what did not run.
ORDER = (
    Verdict.ERROR, Verdict.FAIL, Verdict.UNKNOWN, Verdict.WARN, Verdict.KNOWN, Verdict.PASS,
    Verdict.UNSUPPORTED, Verdict.SKIP, Verdict.DISABLED,
)  # fmt: skip

_ESCAPE_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
# Besides control characters: marks that reverse the direction of text, surrogates, and what XML forbids.
_UNPRINTABLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)


def clean(text: str) -> str:
    """Remove terminal sequences, control characters and what XML forbids; tabs and line ends stay."""
    if isinstance(text, Markup):
        return text
    text = _ESCAPE_SEQUENCE.sub("", text.replace("\r\n", "\n"))
    return _UNPRINTABLE.sub("", text.replace("\r", "\n"))


def flat(text: str, width: int = 0) -> str:
    """Return text on one line, cut to `width` characters when that is not 0."""
    line = " ".join(clean(text).split())
    return line if not width or len(line) <= width else f"{line[: width - 1].rstrip()}…"


def first_line(text: str, width: int = 160) -> str:
    """Return the first line that says something."""
    return flat(next((line for line in clean(text).splitlines() if line.strip()), ""), width)


def clip(text: str, lines: int = 60, width: int = 1000) -> tuple[str, int]:
    """Cut text to a number of lines and each line to a width; return it with the number of lines left out."""
    rows = clean(text).strip("\n").split("\n")
    kept = [row if len(row) <= width else f"{row[:width]}…" for row in rows[:lines]]
    return "\n".join(kept), len(rows) - len(kept)


def many(count: int, noun: str, plural: str = "") -> str:
    """Word a count: `1 test`, `2 tests`, `1,000 tests`."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def listed(items: Iterable[str], limit: int = 3) -> str:
    """Join items as in a sentence; beyond `limit` they are counted."""
    words = list(items)
    if len(words) > limit:
        words = [*words[: limit - 1], f"{len(words) - limit + 1} more"]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def counts(numbers: Mapping[Verdict, int]) -> str:
    """List counts in words, worst first: `2 failed, 40 passed, 3 skipped`."""
    plurals = {Verdict.KNOWN: "known failures", Verdict.ERROR: "harness errors"}
    found = [verdict for verdict in ORDER if numbers.get(verdict)]
    parts = (many(numbers[one], WORDS[one], plurals.get(one, WORDS[one])) for one in found)
    return ", ".join(parts) or "no results"


def span(seconds: float) -> str:
    """Word a duration: `0.439 s`, `12.3 s`, `4 min 10 s`, `1 h 02 min`."""
    if seconds < 10:
        return f"{seconds:.3f} s" if seconds < 1 else f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def moment(text: str) -> str:
    """Word an ISO 8601 time in UTC; text that is none stays as it is."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return text
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def size(count: float) -> str:
    """Word a number of bytes: `7.8 GiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def function(test: str) -> str:
    """Return a test's id without its file: `test_x[param]`, `TestClass::test_x`."""
    return test.partition("::")[2] or test


_FLAGS = {"--slow"}
_VALUED = {"--image", "--registry", "--registry-login", "--registry-ca", "--set", "--pairs"}


def carried(command: Iterable[str]) -> list[str]:
    """Return those options of a run's command line without which a test of it would run otherwise, or not at all."""
    kept: list[str] = []
    words = list(command)
    while words:
        word = words.pop(0)
        name, equals, _ = word.partition("=")
        if word in _FLAGS or (name in _VALUED and equals):
            kept.append(word)
        elif word in _VALUED:
            kept += [word, *words[:1]]
            del words[:1]
    return kept


def rerun(test: str, targets: Iterable[str], options: Iterable[str] = ()) -> str:
    """Return the command line that runs one test again; parameters follow the target in a pytest id."""
    names = list(targets)
    function_, bracket, parameters = test.partition("[")
    nodes = [f"{function_}[{name}-{parameters}" for name in names] if bracket else [test]
    quoted = ["'" + node.replace("'", "'\\''") + "'" for node in nodes]
    engines = [word for name in names for word in ("--engine", shlex.quote(name))]
    return " ".join(["pytest", *quoted, *engines, *map(shlex.quote, options)])


def why(result: TestResult) -> str:
    """Return the reason why a test was not run or was expected to fail, never empty."""
    if result.verdict is Verdict.KNOWN:
        text = f"known failure: {result.reason or 'no reason given'}"
        return f"{text} ({result.link})" if result.link else text
    return result.reason or (f"needs {result.requirement}" if result.requirement else "no reason given")

"""Faults of an engine's command line, derived from what the suites really call.

A fault changes one thing between the test and the engine: an option that is taken and ignored, a verb
that does nothing and says it did, a failure that exits with 0, a stream that is lost. From the logs of
a green run it is known which tests use which verb and option; those have to notice.
"""

from __future__ import annotations

import re
import shlex
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from seatrial import results
from seatrial.verdict import Verdict

# management commands: the verb is two words
_NOUNS = {"builder", "container", "image", "network", "system", "volume", "healthcheck"}
# everything after the first word that is no option belongs to the container
_COMMANDS = {"run", "create", "exec", "container run", "container create", "container exec"}
# verbs that can claim to have done what they did not do
_IDLE = {
    "commit", "cp", "kill", "load", "network connect", "network disconnect", "network rm", "pause", "push", "rename",
    "restart", "rm", "rmi", "start", "stop", "tag", "unpause", "update", "volume rm", "volume prune", "image prune",
    "container prune", "network prune",
}  # fmt: skip
# a dropped one breaks how tests find their objects, which proves nothing
_HANDLES = {"--name", "--label", "--tag", "-t", "--detach", "-d"}


@dataclass(frozen=True)
class Call:
    """A command line taken apart: options before the verb, the verb, its options (with values), the rest."""

    verb: str
    options: tuple[tuple[str, str | None], ...]
    rest: tuple[str, ...]
    leading: tuple[tuple[str, str | None], ...] = ()


@dataclass
class Fault:
    """One fault: `kind` is drop, idle, lie, mute, swap, or api; `tests` are those that could notice it.

    Without a `verb`, the option is one that stands before the verb.
    Of kind api, `verb` is the name of an entry in `api_faults`, and `words` say what is wrong.
    """

    kind: str
    verb: str
    option: str = ""
    tests: list[str] = field(default_factory=list)
    named: list[str] = field(default_factory=list)  # those of them that say they see this option's effect
    words: str = ""

    @property
    def id(self) -> str:
        """Return a name that is fit for a pytest id."""
        words = "_".join(filter(None, (self.kind, self.verb.replace(" ", "."), self.option.lstrip("-"))))
        return re.sub(r"[^\w.-]", "-", words)

    def __str__(self) -> str:
        words = {
            "api": self.words,
            "drop": f"`{' '.join(filter(None, (self.verb, self.option)))}` is taken and ignored",
            "idle": f"`{self.verb}` does nothing and exits with 0",
            "lie": f"`{self.verb}` exits with 0 when it fails",
            "mute": f"`{self.verb}` loses its standard output",
            "swap": f"`{self.verb}` exchanges its streams",
        }
        return words[self.kind]


class Grammar:
    """Which options of each verb take a value, as the engine's own help says."""

    _LINE = re.compile(r"^\s+(?:(-\w), )?(--[\w-]+)(?: (\S+))?(?:\s{2,}|$)")

    def __init__(self, helps: Mapping[str, str]) -> None:
        self.valued: dict[str, set[str]] = {}
        for verb, text in helps.items():
            found = self.valued.setdefault(verb, set())
            for line in text.splitlines():
                if (match := self._LINE.match(line)) and match[3]:
                    found |= {word for word in match.groups()[:2] if word}

    def parse(self, args: Sequence[str]) -> Call:
        """Take a command line apart."""
        words = list(args)
        leading: list[tuple[str, str | None]] = []
        while words and words[0].startswith("-"):
            leading.append(self._option("", words))
        verb = " ".join(words[: 2 if words and words[0] in _NOUNS else 1])
        words = words[len(verb.split()) :]
        options: list[tuple[str, str | None]] = []
        rest: list[str] = []
        while words:
            word = words[0]
            if word == "--" or not word.startswith("-") or word == "-":
                rest.append(words.pop(0))
                if word == "--" or verb in _COMMANDS:
                    rest += words
                    break
            else:
                options.append(self._option(verb, words))
        return Call(verb, tuple(options), tuple(rest), tuple(leading))

    def _option(self, verb: str, words: list[str]) -> tuple[str, str | None]:
        """Take an option, and its value where it has one, from the front of the words."""
        name = words.pop(0)
        return name, words.pop(0) if words and name in self.valued.get(verb, ()) else None


def without(call: Call, fault: Fault) -> list[str]:
    """Return the command line without the option of a fault; the harness's own labels stay."""
    before = [word for option in call.leading for word in _written(option, fault, leading=True)]
    after = [word for option in call.options for word in _written(option, fault, leading=False)]
    return [*before, *call.verb.split(), *after, *call.rest]


def _written(option: tuple[str, str | None], fault: Fault, *, leading: bool) -> list[str]:
    name, value = option
    ours = value is not None and value.startswith("seatrial.")
    if name.partition("=")[0] == fault.option and leading == (not fault.verb) and not ours:
        return []
    return [name] if value is None else [name, value]


def calls(log: Path, binary: str) -> Iterator[tuple[list[str], int, bool]]:
    """Yield (arguments, exit code, whether it wrote on standard output) of the engine's commands in a test's log."""
    lines = log.read_text("utf-8", "replace").splitlines()
    args: list[str] | None = None
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        if match := re.match(rf"\[[\d:.]+\] \$ {binary} (.*)$", line):
            try:
                args = shlex.split(match[1])
            except ValueError:  # an argument with a line break
                args = None
        elif args is not None and (match := re.match(r"  exit (-?\d+) after", line)):
            yield args, int(match[1]), after.startswith("  stdout|")
            args = None


def derive(run: results.Run, binary: str, grammar: Grammar, most: int) -> list[Fault]:
    """Return the faults that the tests of a run could notice, with at most `most` tests each."""
    assert run.directory is not None
    users: dict[tuple[str, str, str], dict[str, int]] = defaultdict(dict)
    named: dict[str, set[str]] = defaultdict(set)
    for result in run.results:
        if result.verdict is not Verdict.PASS:
            continue
        seen: set[tuple[str, str, str]] = set()
        for args, code, spoke in calls(run.directory / result.log, binary):
            call = grammar.parse(args)
            ours = [name for name, value in call.options if not (value or "").startswith("seatrial.")]
            names = {name.partition("=")[0] for name in ours}
            seen |= {("drop", call.verb, name) for name in names - _HANDLES}
            seen |= {("drop", "", name.partition("=")[0]) for name, _ in call.leading}
            if not call.verb:
                continue
            if call.verb in _IDLE:
                seen.add(("idle", call.verb, ""))
            if code:
                seen.add(("lie", call.verb, ""))
            elif spoke:
                seen |= {("mute", call.verb, ""), ("swap", call.verb, "")}
        test = result.test.partition("[")[0]
        for key in seen:
            users[key][test] = len(seen)
        for option in result.effects:
            named[option].add(test)
    faults = []
    for (kind, verb, option), tests in sorted(users.items()):
        first = named[f"{verb} {option}"] & set(tests) if kind == "drop" else set()
        order = sorted(set(tests) - first, key=lambda test: _aim(test, verb, option, tests[test]))
        faults.append(Fault(kind, verb, option, [*sorted(first), *order][:most], sorted(first)[:most]))
    return faults


def _aim(test: str, verb: str, option: str, breadth: int) -> tuple[bool, int, str]:
    """Order tests by how likely they look at this: its word in their name first, then the narrow ones."""
    word = (option or verb.split()[-1]).strip("-").replace("-", "_")
    return (f"_{word}_" not in f"{test.partition('::')[2]}_", breadth, test)

"""What can be wrong with a document: coded diagnostics, each with a place, and the explanation of each code."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, Self

from seatrial.errors import SeatrialError
from seatrial.jsontext import Where, show


class Severity(StrEnum):
    """How bad it is: an error refuses the document, the others do not; a repair says what an import changed."""

    ERROR = "error"
    WARNING = "warning"
    REPAIR = "repair"
    NOTE = "note"


@dataclass(frozen=True)
class Rule:
    """A code: its usual severity, one line, why it is so and what to do; of a specification: section and level."""

    code: str
    severity: Severity
    title: str
    why: str
    section: str = ""
    level: str = ""


@dataclass(frozen=True)
class Catalogue:
    """The rules of one kind of document: the letters that their codes begin with, and what checks it."""

    letters: str
    tool: str
    rules: dict[str, Rule]

    @classmethod
    def of(cls, letters: str, tool: str, rules: Iterable[Rule]) -> Catalogue:
        """Make a catalogue; a code that stands twice is a `ValueError`."""
        found: dict[str, Rule] = {}
        for rule in rules:
            if rule.code in found:
                raise ValueError(f"{rule.code} stands twice")
            found[rule.code] = rule
        return cls(letters, tool, found)

    def explain(self, code: str) -> Rule:
        """Return the rule of a code in any writing (33, oct33, OCT033); raises `SeatrialError` E701."""
        digits = code.upper().removeprefix(self.letters)
        known = digits.isascii() and digits.isdigit() and len(digits) < 5
        name = f"{self.letters}{int(digits):03d}" if known else code.upper()
        if name not in self.rules:
            near = meant(name, self.rules)
            raise SeatrialError(
                "E701", f"there is no diagnostic {code}",
                f"they are {next(iter(self.rules))} to {list(self.rules)[-1]}",
                f"{self.tool} explain {near}" if near else f"{self.tool} explain lists all",
            )  # fmt: skip
        return self.rules[name]


@dataclass(frozen=True)
class Diagnostic:
    """One thing that is wrong: where it is, and what to do."""

    code: str
    severity: Severity
    message: str
    where: Where = ()
    line: int = 1
    column: int = 1
    hint: str = ""
    file: str = ""
    rule: Rule | None = field(default=None, compare=False, repr=False)

    @property
    def path(self) -> str:
        """The place in the document in words, such as Requires[0].Version."""
        return show(self.where)

    def __str__(self) -> str:
        path = f"{self.path}: " if self.where else ""
        hint = f"; {self.hint}" if self.hint else ""
        source = f" ({self.rule.section}, {self.rule.level})" if self.rule and self.rule.section else ""
        return f"{self.file}:{self.line}:{self.column}: {self.severity} {self.code} {path}{self.message}{source}{hint}"


@dataclass
class Report:
    """All diagnostics of one document, in the order of their places; a kind of document has its own `catalogue`."""

    catalogue: ClassVar[Catalogue]

    file: str
    diagnostics: list[Diagnostic] = field(default_factory=list)

    @property
    def errors(self) -> list[Diagnostic]:
        """Those that refuse the document."""
        return [one for one in self.diagnostics if one.severity is Severity.ERROR]

    @property
    def warnings(self) -> list[Diagnostic]:
        """Those that do not."""
        return [one for one in self.diagnostics if one.severity is Severity.WARNING]

    def add(self, code: str, message: str, where: Where = (), position: tuple[int, int] = (1, 1), hint: str = "",
            severity: Severity | None = None, file: str = "") -> None:  # fmt: skip
        """Take in a diagnostic, once; `file` is the part of the document that it is about."""
        rule = self.catalogue.rules[code]
        found = Diagnostic(code, severity or rule.severity, message, where, *position, hint, file or self.file, rule)
        if found not in self.diagnostics:
            self.diagnostics.append(found)

    def sort(self) -> Self:
        """Order by place; what has none of its own comes first."""
        self.diagnostics.sort(key=lambda one: (one.line, one.column, one.code))
        return self


def meant(word: str, choices: Iterable[str]) -> str:
    """Return the choice that a misspelt word is nearest to, empty when none is near."""
    known = list(choices)
    folded = {choice.casefold(): choice for choice in known}
    if word.casefold() in folded:
        return folded[word.casefold()]
    near = difflib.get_close_matches(word.casefold(), folded, 1, 0.7)
    return folded[near[0]] if near else ""


def did_you_mean(word: str, choices: Sequence[str] | Iterable[str]) -> str:
    """Return a hint that names the nearest choice, empty when none is near."""
    near = meant(word, choices)
    return f'did you mean "{near}"?' if near else ""

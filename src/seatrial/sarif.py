"""Logs of SARIF 2.1.0 (OASIS, Static Analysis Results Interchange Format), as code hosts show them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from seatrial import __version__

LEVELS = ("error", "warning", "note", "none")


@dataclass(frozen=True)
class Rule:
    """What a result refers to: its id, one line, why it matters, its usual level, and properties such as tags."""

    id: str
    title: str
    why: str
    level: str
    help: str = ""  # what to do
    properties: Mapping[str, Any] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """Return a reportingDescriptor object (section 3.49)."""
        return {
            "id": self.id,
            "shortDescription": {"text": self.title},
            "fullDescription": {"text": self.why},
            "defaultConfiguration": {"level": self.level},
            **({"help": {"text": self.help}} if self.help else {}),
            **({"properties": dict(self.properties)} if self.properties else {}),
        }


@dataclass(frozen=True)
class Found:
    """A result: its rule, its level, what is wrong, and where."""

    rule: str
    level: str
    message: str
    uri: str = ""  # the file, empty where there is none
    line: int = 0  # 0 where no line is meant
    column: int = 1
    names: Sequence[str] = ()  # places by name, such as that of a container

    def json(self) -> dict[str, Any]:
        """Return a result object (section 3.27)."""
        place: dict[str, Any] = {}
        if self.uri:
            place["physicalLocation"] = {"artifactLocation": {"uri": self.uri}}
        if self.uri and self.line:
            place["physicalLocation"]["region"] = {"startLine": self.line, "startColumn": self.column}
        if self.names:
            place["logicalLocations"] = [{"fullyQualifiedName": name} for name in self.names]
        return {
            "ruleId": self.rule,
            "level": self.level,
            "message": {"text": self.message},
            **({"locations": [place]} if place else {}),
        }


def log(tool: str, rules: Iterable[Rule], found: Iterable[Found]) -> str:
    """Return a log with one run as JSON text."""
    driver = {"name": tool, "version": __version__, "rules": [rule.json() for rule in rules]}
    whole = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": [one.json() for one in found]}],
    }  # fmt: skip
    return json.dumps(whole, indent=1)

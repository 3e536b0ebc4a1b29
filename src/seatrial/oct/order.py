"""Whether containers are there when a case uses them: Deploys makes all but the declared ones, Run the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from seatrial.diagnostics import did_you_mean
from seatrial.jsontext import Where
from seatrial.oct.model import VARIABLE
from seatrial.oct.walk import entries

if TYPE_CHECKING:
    from seatrial.oct.meaning import Check

_ANY_TIME = ("create", "state")  # operations that do not need the container


def check(case: Check) -> None:
    """Report what is joined or acted upon before it was created."""
    declared: dict[str, tuple[Where, Mapping[str, Any]]] = {}
    created: list[str] = []
    for outer, host in entries(case.value, "Deploys"):
        for where, entry in entries(host, "Containers", where=outer):
            name = entry.get("Object")
            if not isinstance(name, str):
                continue
            if entry.get("Until") == "declared":
                declared[name] = where, entry
                continue
            _joins(case, where, entry, created)
            created.append(name)
    for where, step in entries(case.value, "Run"):
        name = step.get("Object")
        if not isinstance(name, str) or name not in declared or name in created:
            continue
        if step.get("Op") == "create":
            _joins(case, *declared[name], created)
            created.append(name)
        elif step.get("Op") not in _ANY_TIME:
            words = f'the container "{name}" is only declared, and no step before this one creates it'
            case.tell("OCT071", words, (*where, "Object"), 'add a step with "Op": "create", or take Until away')
    for name, (where, entry) in declared.items():
        if name not in created:  # nothing is there to join it to, but a wrong name is one all the same
            _joins(case, where, entry, case.names.containers)


def _joins(case: Check, where: Where, entry: Mapping[str, Any], created: list[str]) -> None:
    args = entry.get("Args")
    joined = args.get("Join") if isinstance(args, dict) else None
    for kind, other in joined.items() if isinstance(joined, dict) else ():
        if not isinstance(other, str) or VARIABLE.search(other) or other in created:
            continue
        place = (*where, "Args", "Join", kind)
        names = case.names.containers
        if other not in names:
            hint = did_you_mean(other, names) or f"containers are: {', '.join(names)}"
            case.tell("OCT070", f'"{other}" is no container', place, hint)
        else:
            words = f'"{other}" is not there yet when {entry["Object"]} joins it'
            case.tell("OCT070", words, place, "let it stand before in Deploys, or be created before")

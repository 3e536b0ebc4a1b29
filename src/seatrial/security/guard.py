"""A protection is held against its control: the same probe where the protection is taken away.

Where the probe is refused with the protection and without it, nothing is known: the machine may have no such
thing. Such a test is UNKNOWN, never PASS.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from seatrial.exec import ExpectationError
from seatrial.outcome import Concluded
from seatrial.report.posture import EVIDENCE
from seatrial.verdict import Verdict

# What a protection answers with.
REFUSALS = frozenset({"EPERM", "EACCES", "EROFS", "ENOSYS", "EBUSY", "refused"})


def refused(outcome: Any) -> bool:
    """Tell whether an outcome is a protection's answer."""
    return outcome in REFUSALS


def came_to_nothing(outcome: Any) -> bool:
    """Tell whether a probe did not come to its end: it hangs, or is gone. Such a control lets nothing be known."""
    return outcome in ("hung", "ended") or str(outcome).startswith("signal ")


class Guard:
    """Holds protections of one test against their controls, and notes what was seen for the report."""

    def __init__(self, evidence: dict[str, Any], severity: str = "") -> None:
        self._evidence = evidence
        self._severity = severity

    def note(self, what: str, value: object, mode: str = "default", state: str = "fact") -> None:
        """Put a cell into the posture table: the row, what was seen, the mode of the engine it was seen in.

        `state` is "fact" or "open"; raises ValueError for "holds", which takes a control.
        """
        if state not in ("fact", "open"):
            raise ValueError(f"a note is a fact or tells that something is open; {state} takes a control")
        self._note(what, value, mode, state)

    def _note(self, what: str, value: object, mode: str, state: str) -> None:
        rows = self._evidence.setdefault(EVIDENCE, [])
        rows.append({"property": what, "mode": mode, "value": str(value), "state": state, "severity": self._severity})

    def holds(self, what: str, shut: Any, control: Any, *, mode: str = "default",
              is_refused: Callable[[Any], bool] = refused) -> None:  # fmt: skip
        """See that an outcome is a refusal, and was none in the control; UNKNOWN where the control is refused."""
        self.each(what, {"": shut}, {"": control}, mode=mode, is_refused=is_refused)

    def each(self, what: str, shut: Mapping[str, Any], control: Mapping[str, Any], *, mode: str = "default",
             is_refused: Callable[[Any], bool] = refused) -> list[str]:  # fmt: skip
        """Hold several outcomes against their controls; return the names of those that prove something.

        Those that the control refuses, too, or in which it does not come to its end, are left out; when that is all
        of them, nothing is known. What is not refused with the protection fails, whatever its control says.
        """
        if not shut or shut.keys() != control.keys():
            raise ValueError(f"a probe without its control: {sorted(shut.keys() ^ control.keys()) or 'none at all'}")
        proving = [name for name in shut if not is_refused(control[name]) and not came_to_nothing(control[name])]
        blind = {name: control[name] for name in shut if name not in proving}
        if broken := {name: value for name, value in shut.items() if not is_refused(value)}:
            self._note(what, _words(broken), mode, "open")
            raise ExpectationError(f"{what}: not refused: {_words(broken)}\n  without the protection: {control}")
        if not proving:
            why = f"nothing is let through without the protection either: {_words(blind)}"
            self._note(what, why, mode, "inconclusive")
            raise Concluded(Verdict.UNKNOWN, f"inconclusive: {what}: {why}")
        seen = sorted({str(shut[name]) for name in proving})
        left_out = f"; {len(blind)} not to be told" if blind else ""
        self._note(what, ", ".join(seen) + left_out, mode, "holds")
        return proving


def _words(outcomes: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}".strip() for name, value in sorted(outcomes.items()))

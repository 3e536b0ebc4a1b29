"""Taking old documents apart: fields by any writing of their names, each change told with its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from seatrial.diagnostics import Severity, meant
from seatrial.jsontext import Document, Where
from seatrial.oct.diagnostics import Report


class Repairs:
    """The one who tells what an import changes."""

    def __init__(self, document: Document, report: Report) -> None:
        self.document = document
        self.report = report

    def tell(self, code: str, message: str, where: Where, *, key: bool = False) -> None:
        """Take in a change."""
        self.report.add(code, message, where, self.document.place(where, key=key), severity=Severity.REPAIR)

    def refuse(self, code: str, message: str, where: Where, hint: str = "", *, key: bool = False) -> None:
        """Take in why the document cannot be read."""
        self.report.add(code, message, where, self.document.place(where, key=key), hint)

    def fields(self, value: Mapping[str, Any], where: Where, names: Sequence[str],
               aliases: Mapping[str, str] | None = None) -> dict[str, tuple[Where, Any]]:  # fmt: skip
        """Return the fields of an object by their names of today, with the places where they were found.

        Names may differ in case, stand for others by `aliases`, or be misspelt; what nobody knows is refused.
        """
        found: dict[str, tuple[Where, Any]] = {}
        for written, item in value.items():
            place = (*where, written)
            name = self._name(written, place, names, aliases or {})
            if not name:
                continue
            if name in found:
                words = f'"{written}" is {name}, which is there already as "{found[name][0][-1]}"'
                self.refuse("OCT002", words, place, key=True)
                continue
            found[name] = (place, item)
        return found

    def _name(self, written: str, place: Where, names: Sequence[str], aliases: Mapping[str, str]) -> str:
        if written in names or written.startswith("x-"):
            return written
        if new := aliases.get(written.casefold(), ""):
            if new.casefold() != written.casefold() and not new.startswith("_"):
                self.tell("OCT011", f'"{written}" is called {new}', place, key=True)
            return new
        near = meant(written, [*names, *(alias for alias in aliases if len(alias) > 4)])
        if not near:
            hint = "take it away, or begin it with x-"
            self.refuse("OCT011", f'nobody knows the field "{written}"', place, hint, key=True)
            return ""
        near = aliases.get(near, near)
        self.tell("OCT010", f'"{written}" is written {near}', place, key=True)
        return near

    def items(self, value: Any, where: Where, what: str) -> list[tuple[Where, Any]]:
        """Return the items of a list with their places; null is none, anything else is refused."""
        if value is None:
            return []
        if not isinstance(value, list):
            self.refuse("OCT012", f"{what} must be a list", where)
            return []
        return [((*where, index), item) for index, item in enumerate(value)]

    def object(self, value: Any, where: Where, what: str) -> dict[str, Any]:
        """Return an object; anything else is refused."""
        if not isinstance(value, dict):
            self.refuse("OCT012", f"{what} must be an object", where)
            return {}
        return value

    def text(self, value: Any, where: Where) -> str:
        """Return a text; numbers become one, null is empty, anything else is refused."""
        if value is None:
            return ""
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            self.refuse("OCT012", f"must be a string, found {type(value).__name__}", where)
            return ""
        if not isinstance(value, str):
            self.tell("OCT012", f'the number {value} is the string "{value}"', where)
        return str(value)

    def texts(self, value: Any, where: Where) -> list[tuple[Where, str]]:
        """Return a list of texts with their places; a single text is a list of one, an empty one of none."""
        if isinstance(value, str):
            self.tell("OCT012", f'the string "{value}" is a list of {1 if value else "none"}', where)
            return [(where, value)] if value else []
        return [(place, self.text(item, place)) for place, item in self.items(value, where, str(where[-1]))]

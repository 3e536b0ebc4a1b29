"""Going through documents that may be of any form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from seatrial.jsontext import Where
from seatrial.oct.commands import text_of


def entries(value: Any, *names: str, where: Where = ()) -> Iterator[tuple[Where, Mapping[str, Any]]]:
    """List the objects in the lists of a document that have a name, with their places."""
    for name in names:
        found = value.get(name) if isinstance(value, Mapping) else None
        for index, one in enumerate(found if isinstance(found, list) else ()):
            if isinstance(one, dict):
                yield (*where, name, index), one


def parts(value: Any, *names: str) -> Iterator[tuple[Where, Mapping[str, Any]]]:
    """List the entries of lists, each followed by its Containers."""
    for where, entry in entries(value, *names):
        yield where, entry
        yield from entries(entry, "Containers", where=where)


def texts(value: Any, where: Where) -> Iterator[tuple[Where, str]]:
    """List all texts in a value with their places."""
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from texts(item, (*where, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from texts(item, (*where, index))


def commands_of(value: Mapping[str, Any]) -> str:
    """Return all commands of a document as one text."""
    return "\n".join(text_of(entry.get("Cmd")) for _, entry in parts(value, "Deploys", "Run", "Destroy"))

"""Answers to many requests that a machine made up: each must be a success or a client's error with a message."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from seatrial.api.messages import Response
from seatrial.exec import ExpectationError

# paths, names and ids of what a test made
_CHANCE = re.compile(r"(?<!\w)/\S*|\bst-[0-9a-f]{8}-\w+|\b[0-9a-f]{12,64}\b")
_WORD = re.compile(r"[A-Za-z]{2,}")
_TELLING = 6  # the words at the beginning of a message that tell it from others


class Findings:
    """Collects answers that are the engine's own failure, by kind, each with the smallest request that brought it.

    A kind is the status and the first words of the message, without what was made up. All are told together by
    `check`, in a first line that holds every kind, so that an expected failure is known by all its kinds and no other.
    """

    def __init__(self) -> None:
        self.seen: dict[int, int] = {}  # how many answers of each status
        self._found: dict[str, tuple[str, Response]] = {}

    def see(self, answer: Response, drawn: Any) -> None:
        """Take in the answer to a request that was made of `drawn`."""
        self.seen[answer.status] = self.seen.get(answer.status, 0) + 1
        if answer.status < 500 and (answer.ok or _tells(answer)):
            return
        kind = f"{answer.status} {_kind(answer, drawn)}" if answer.status >= 500 else f"{answer.status} without message"
        text = json.dumps(drawn, default=str)
        if kind not in self._found or len(text) < len(self._found[kind][0]):
            self._found[kind] = text, answer

    def check(self) -> None:
        """Raise `ExpectationError` with all kinds, unless there are none; and when nothing was asked."""
        if not self.seen:
            raise ExpectationError("no request was answered")
        if self._found:
            lines = [f"answers of 5xx or without a message: {' | '.join(sorted(self._found))}"]
            for kind, (text, answer) in sorted(self._found.items()):
                lines += [f"{kind}", f"  drawn: {text}", str(answer)]
            raise ExpectationError("\n".join(lines))


def _tells(answer: Response) -> bool:
    try:
        return bool(answer.message)
    except ExpectationError:
        return False


def _kind(answer: Response, drawn: Any) -> str:
    """Return the first words of a message, in lower case, without paths, numbers and what was drawn."""
    try:
        value, _ = json.JSONDecoder().raw_decode(answer.text)  # some engines go on after the refusal
        text = str(value["message"])
    except (ValueError, TypeError, KeyError):
        text = answer.text
    made_up = {word for piece in _pieces(drawn) for word in _WORD.findall(piece)}
    words = [word.lower() for word in _WORD.findall(_CHANCE.sub(" ", text)) if word not in made_up]
    return " ".join(words[:_TELLING]) or "in no words"


def _pieces(value: Any) -> Iterator[str]:
    """Yield all strings of a JSON value, but for the names of fields."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _pieces(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _pieces(inner)

"""What variables stand for in one run: words of the run itself, and what only an engine can say of containers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

from seatrial.jsontext import Where
from seatrial.oct.model import Case, Command, Expectation, Wait, expanded, names_in

OF_RUN = ("engine", "image", "nonce", "task", "case", "label", "prove")
OF_OBJECT = ("address", "name", "id")
_JUDGED = ("path", "match", "equals", "contains", "value")
# the fields whose texts are expanded while a case runs; everywhere else a run's words would stay as they are written
_STEP = ("Cmd", "Stdin", "Env", "Cwd", "User", "WaitFor")
_CONTAINER = (*_STEP, "Args")
_PLACES = {
    "Run": _STEP, "Destroy": _STEP, "Deploys": _STEP, "Collects": ("Files",),
    "Expect": ("Path", "Match", "Equals", "Contains", "Value"),
}  # fmt: skip


def may_stand(where: Where) -> bool:
    """Tell whether a place of a document may have variables that only a run knows."""
    if any(str(part).startswith("x-") for part in where):
        return True
    fields = _PLACES.get(str(where[0]), ())
    if where[0] == "Deploys" and where[2:3] == ("Containers",):
        return where[4] in _CONTAINER if len(where) > 4 else False
    if where[0] == "Collects" and where[-1] == "As":
        return False
    return len(where) > 2 and where[2] in fields


class NoValueError(Exception):
    """A variable that is to be judged by has no value in this run."""


class Variables:
    """The variables of one task."""

    def __init__(self, case: Case, ask: Callable[[str], Mapping[str, str]], words: Mapping[str, str]) -> None:
        self._ask = ask  # what a container's name, id and address are
        self._words = dict(words)
        self._names: Collection[str] = {container.object for container in case.containers}
        texts = [getattr(expectation, name) for expectation in case.expect for name in _JUDGED]
        self._judged = self._named(texts)
        self._seen: dict[str, str] = {}

    def _named(self, value: Any) -> set[str]:
        """Return the containers that a value speaks of."""
        return {word.partition(".")[0] for word in names_in(value) if "." in word} & set(self._names)

    def _of(self, name: str) -> dict[str, str]:
        return {f"{name}.{what}": text for what, text in self._ask(name).items()}

    def at(self, words: Mapping[str, str]) -> Variables:
        """Return the same variables as they are on another host, where some words are others."""
        there = copy.copy(self)
        there._words = {**self._words, **words}
        return there

    def fill(self, value: Any) -> Any:
        """Return a JSON value with its texts expanded; the engine is asked only about containers that it names."""
        known = dict(self._words)
        for name in self._named(value):
            known |= self._of(name)
        return expanded(value, known)

    def text(self, text: str) -> str:
        """Return a text expanded."""
        return str(self.fill(text)) if "$" in text else text

    def argv(self, cmd: Command) -> list[str]:
        """Return the words of a command."""
        if isinstance(cmd, str):
            return ["/bin/sh", "-c", self.text(cmd)]
        return [self.text(word) for word in cmd]

    def wait(self, wait: Wait) -> Wait:
        """Return what is waited for."""
        return replace(wait, log=self.text(wait.log), file=self.text(wait.file))

    def remember(self, name: str) -> None:
        """Take in what Expect will need of a container: when it is judged by, the container is gone."""
        if name in self._judged:
            self._seen |= {what: text for what, text in self._of(name).items() if text}

    def expectation(self, expectation: Expectation) -> Expectation:
        """Return an expectation with the words of this run; raises `NoValueError`, since nothing is in every text."""
        known = {**self._words, **self._seen}
        texts = {name: getattr(expectation, name) for name in _JUDGED if name != "path"}  # files are kept as written
        for name in names_in(texts):
            if name not in known:
                raise NoValueError(f"Expect: ${{{name}}} has no value on this target")
        return replace(expectation, **expanded(texts, known))

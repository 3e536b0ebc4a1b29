"""JSON with places: a reader that knows line and column of every key and value, and goes on after an error.

Whatever is not JSON by RFC 8259 becomes a `Flaw` with its place. What hand-written files get wrong again and again
(comments, a comma or a colon that is missing, one too many, a last brace that is not there) is read as it was
meant, so that one reading tells all of them; whether such a file is accepted is the caller's business.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any

# a step into a document: the key of an object or the index of an array
Where = tuple[str | int, ...]

DEPTH = 64
DIGITS = 300

_SPACE = re.compile(r"[ \t\r\n]+")
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_CHUNK = re.compile(r'[^"\\\x00-\x1f]*')
_WORD = re.compile(r"[^\s,:\[\]{}\"/]+")
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_LITERALS = {"true": True, "false": False, "null": None}


@dataclass(frozen=True)
class Flaw:
    """Something that is not JSON, or that JSON leaves open: where, what, and how it was read if it was."""

    kind: str  # syntax, comment, trailing, duplicate, limit
    offset: int
    message: str
    where: Where = ()
    mended: str = ""  # what was done to read on; empty where the meaning is lost


@dataclass
class Document:
    """A text as read: its value, and the offsets of its keys and values."""

    text: str
    value: Any = None
    flaws: list[Flaw] = field(default_factory=list)
    values: dict[Where, int] = field(default_factory=dict)
    keys: dict[Where, int] = field(default_factory=dict)
    _lines: list[int] = field(default_factory=list)

    def position(self, offset: int) -> tuple[int, int]:
        """Return line and column of an offset, both from 1."""
        if not self._lines:
            self._lines = [0, *(match.end() for match in re.finditer(r"\n", self.text))]
        line = bisect_right(self._lines, offset)
        return line, offset - self._lines[line - 1] + 1

    def place(self, where: Where, *, key: bool = False) -> tuple[int, int]:
        """Return line and column of a value (or of its key); of the nearest one around it that is there."""
        while True:
            found = self.keys.get(where) if key else None
            if found is None:
                found = self.values.get(where)
            if found is not None:
                return self.position(found)
            if not where:
                return 1, 1
            where = where[:-1]

    @property
    def readable(self) -> bool:
        """Whether every flaw was mended."""
        return all(flaw.mended for flaw in self.flaws)


def show(where: Where) -> str:
    """Return a place in a document as people write it: Requires[0].Version."""
    text = ""
    for step in where:
        plain = isinstance(step, str) and re.fullmatch(r"[\w-]+", step)
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if plain else f"[{step!r}]"
    return text.removeprefix(".")


def read(text: str) -> Document:
    """Read a text; never raises, whatever it is."""
    document = Document(text)
    reader = _Reader(document)
    try:
        document.value = reader.whole()
    except _LostError:
        document.value = None
    return document


class _LostError(Exception):
    """The reader cannot tell what was meant."""


class _Reader:
    def __init__(self, document: Document) -> None:
        self.document = document
        self.text = document.text
        self.at = 0
        self.open: list[tuple[str, int]] = []  # brackets and where they were opened

    # -- the grammar ---------------------------------------------------------------------------

    def whole(self) -> Any:
        self.space()
        if self.at >= len(self.text):
            self.lost("the file is empty")
        value = self.value(())
        self.space()
        if self.at < len(self.text):
            self.lost(f"expected the end of the file, found {self.seen()}")
        return value

    def value(self, where: Where) -> Any:
        self.space()
        self.document.values[where] = self.at
        if len(where) > DEPTH:
            self.flaw("limit", self.at, f"nested more than {DEPTH} levels deep", where)
            raise _LostError
        character = self.peek()
        if character == "{":
            return self.object(where)
        if character == "[":
            return self.array(where)
        if character == '"':
            return self.string(where)
        if match := _NUMBER.match(self.text, self.at):
            return self.number(match, where)
        word = _WORD.match(self.text, self.at)
        if word and word[0] in _LITERALS:
            self.at = word.end()
            return _LITERALS[word[0]]
        return self.lost(f"expected a value, found {self.seen()}")

    def object(self, where: Where) -> dict[str, Any]:
        start = self.at
        self.at += 1
        self.open.append(("{", start))
        found: dict[str, Any] = {}
        comma = -1
        while True:
            self.space()
            character = self.peek()
            if character == "}":
                if comma >= 0:
                    self.flaw("trailing", comma, "a comma before }", where, "taken away")
                self.at += 1
                self.open.pop()
                return found
            if not character and found and self.is_last_brace(comma):
                self.flaw("syntax", self.at, f"{self.expected(found)} ({self.never_closed()})", where, "} added")
                self.open.pop()
                return found
            if found and comma < 0:
                if character != '"':
                    self.lost(f"{self.expected(found)}, found {self.seen()}")
                self.flaw("syntax", self.at, "expected ',' between two members", where, "comma added")
            if character != '"':
                self.lost(f"expected a key in double quotes, found {self.seen()}")
            offset = self.at
            key = self.string(where)
            inner = (*where, key)
            self.space()
            if self.peek() == ":":
                self.at += 1
            elif self.peek() and self.peek() in '"{[':
                self.flaw("syntax", self.at, f'expected \':\' after the key "{key}"', inner, "colon added")
            else:
                self.lost(f"expected ':' after the key \"{key}\", found {self.seen()}")
            if key in found:
                line, column = self.document.position(self.document.keys[inner])
                words = f'the key "{key}" stands twice (first at {line}:{column})'
                self.flaw("duplicate", offset, words, inner)
                self.value(inner)  # the first one stays, neither is right
            else:
                self.document.keys[inner] = offset
                found[key] = self.value(inner)
            comma = self.comma()

    def array(self, where: Where) -> list[Any]:
        start = self.at
        self.at += 1
        self.open.append(("[", start))
        found: list[Any] = []
        comma = -1
        while True:
            self.space()
            character = self.peek()
            if character == "]":
                if comma >= 0:
                    self.flaw("trailing", comma, "a comma before ]", where, "taken away")
                self.at += 1
                self.open.pop()
                return found
            if found and comma < 0:
                if not character or character not in '{["':
                    self.lost(f"expected ',' or ']', found {self.seen()}")
                self.flaw("syntax", self.at, "expected ',' between two items", (*where, len(found)), "comma added")
            found.append(self.value((*where, len(found))))
            comma = self.comma()

    def comma(self) -> int:
        """Take a comma, if there is one; return its offset or -1."""
        self.space()
        if self.peek() != ",":
            return -1
        self.at += 1
        return self.at - 1

    def string(self, where: Where) -> str:
        start = self.at
        self.at += 1
        parts: list[str] = []
        while True:
            match = _CHUNK.match(self.text, self.at)
            assert match is not None  # noqa: S101 - the pattern matches the empty text
            parts.append(match[0])
            self.at = match.end()
            character = self.peek()
            if character == '"':
                self.at += 1
                text = "".join(parts)
                if any("\ud800" <= one <= "\udfff" for one in text):
                    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
                    if "\ufffd" in text:
                        self.flaw("syntax", start, "half a surrogate pair in a string", where)
                return text
            if character == "\\":
                parts.append(self.escape(where))
            elif character == "\n" or not character:
                self.at = start
                self.lost("this string is never closed")
            else:
                words = f"a control character (U+{ord(character):04X}) in a string; write it as an escape"
                self.flaw("syntax", self.at, words, where, "kept" if character == "\t" else "")
                parts.append(character)
                self.at += 1

    def escape(self, where: Where) -> str:
        letter = self.text[self.at + 1 : self.at + 2]
        if letter == "u":
            digits = self.text[self.at + 2 : self.at + 6]
            if re.fullmatch("[0-9a-fA-F]{4}", digits):
                self.at += 6
                return chr(int(digits, 16))
        elif letter in _ESCAPES and letter:
            self.at += 2
            return _ESCAPES[letter]
        self.flaw("syntax", self.at, f"\\{letter} is no escape of JSON", where)
        self.at += 2
        return letter

    def number(self, match: re.Match[str], where: Where) -> int | float:
        text = match[0]
        after = self.text[match.end() : match.end() + 1]
        if after and after not in " \t\r\n,]}/":
            word = _WORD.match(self.text, self.at)
            self.lost(f"expected a number, found {word[0] if word else after!r}")
        if len(text) > DIGITS:
            self.flaw("limit", self.at, f"a number of {len(text)} digits", where)
            raise _LostError
        self.at = match.end()
        value = float(text) if match[1] or match[2] else int(text)
        if value in (float("inf"), float("-inf")):
            self.flaw("limit", self.at - len(text), "a number that is too large", where)
            raise _LostError
        return value

    # -- its tools -----------------------------------------------------------------------------

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def space(self) -> None:
        while True:
            if match := _SPACE.match(self.text, self.at):
                self.at = match.end()
            if self.peek() != "/":
                return
            comment = _COMMENT.match(self.text, self.at)
            if comment is None:
                return
            self.flaw("comment", self.at, "a comment", (), "left out")
            self.at = comment.end()

    def seen(self) -> str:
        if self.at >= len(self.text):
            return f"the end of the file ({self.never_closed()})" if self.open else "the end of the file"
        word = _WORD.match(self.text, self.at)
        return repr(word[0][:20]) if word else repr(self.peek())

    def expected(self, found: dict[str, Any]) -> str:
        return "expected ',' or '}'" if found else "expected a key or '}'"

    def never_closed(self) -> str:
        bracket, offset = self.open[-1]
        line, column = self.document.position(offset)
        return f"the {'object' if bracket == '{' else 'array'} opened at {line}:{column} is never closed"

    def is_last_brace(self, comma: int) -> bool:
        """Tell whether only the outermost closing brace is missing; more is a file that was cut off."""
        return comma < 0 and len(self.open) == 1

    def flaw(self, kind: str, offset: int, message: str, where: Where, mended: str = "") -> None:
        self.document.flaws.append(Flaw(kind, offset, message, where, mended))

    def lost(self, message: str) -> Any:
        self.flaw("syntax", self.at, message, ())
        raise _LostError

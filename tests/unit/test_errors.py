"""Codes of errors: each is in the table, each has one meaning."""

import ast
import re
from collections import defaultdict
from pathlib import Path

import seatrial
from seatrial.errors import CODES

SOURCE = Path(seatrial.__file__).parent


def template(node):
    """The text of a string with {} for what is filled in."""
    if isinstance(node, ast.JoinedStr):
        return "".join(template(part) for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else "{}"


def messages(source):
    """Yield code and message of every error that a source makes or prints."""
    tree = ast.parse(source)
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "SeatrialError":
            yield template(node.args[0]), template(node.args[1])
        elif isinstance(node, ast.JoinedStr | ast.Constant) and id(node) not in parts:
            yield from re.findall(r"\A(E\d{3}): ([^\n]*)", template(node))


def used():
    found = defaultdict(set)
    for path in SOURCE.rglob("*.py"):
        for code, message in messages(path.read_text()):
            found[code].add(message)
    return found


def test_messages_are_found():
    source = 'raise SeatrialError("E901", f"no {x} here", y)\nsay(f"E902: it {x}\\n cause: {y}")\nf"a {x} E903: b"'
    assert list(messages(source)) == [("E901", "no {} here"), ("E902", "it {}")]


def test_every_code_is_in_the_table_and_every_code_of_the_table_is_used():
    assert sorted(used()) == sorted(CODES)


def test_every_code_has_one_meaning():
    assert {code: words for code, words in used().items() if len(words) != 1} == {}
    assert len(set(CODES.values())) == len(CODES)

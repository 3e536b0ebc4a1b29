"""From the bytes of a case to a document of the right form: what is wrong on the way, with its place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

import jsonschema

from seatrial import jsontext
from seatrial.diagnostics import Severity, did_you_mean
from seatrial.jsontext import Document, Where
from seatrial.oct.diagnostics import Report
from seatrial.oct.model import GROUPS, SCHEMA_VERSION, schema

LIMIT = 1 << 20  # bytes of a case

_BOMS = {b"\xef\xbb\xbf": "UTF-8 with a byte order mark", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
_NAMES = {str: "a string", bool: "a boolean", int: "a number", float: "a number", list: "a list", dict: "an object",
          type(None): "null"}  # fmt: skip
_TYPES = {"string": "a string", "boolean": "a boolean", "integer": "a whole number", "number": "a number",
          "array": "a list", "object": "an object", "null": "null"}  # fmt: skip
# what fields of older dialects are called today
ALIASES = {
    "root": "", "details": "Description", "explains": "Description", "licence": "License", "source": "Files",
    "sources": "Files", "collect": "Collects", "deploy": "Deploys", "units": "Deploys", "file": "Files",
    "setup": "Cmd", "commands": "Cmd", "versioin": "Version", "resname": "Image", "reporturl": "Collects",
}  # fmt: skip
_CODES = {"OCT001": ("syntax",), "OCT002": ("duplicate",), "OCT003": ("comment", "trailing"), "OCT005": ("limit",)}
_RULES = {kind: code for code, kinds in _CODES.items() for kind in kinds}


def load(path: Path) -> bytes:
    """Return the bytes of a file, one more than is allowed at most; raises OSError for what is no regular file."""
    if not path.is_file():  # a pipe would be waited for
        raise FileNotFoundError(2, "no such file, or no regular one")
    with path.open("rb") as stream:
        return stream.read(LIMIT + 1)


def decode(data: bytes, report: Report) -> str | None:
    """Return the text of a file; None, with a diagnostic, when it is none."""
    if len(data) > LIMIT:
        report.add("OCT005", f"the file has {len(data)} bytes, at most {LIMIT} are allowed")
        return None
    for mark, what in _BOMS.items():
        if data.startswith(mark):
            report.add("OCT004", f"the file is {what}", hint="save it as UTF-8 without a byte order mark")
            return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        words = f"byte 0x{data[error.start]:02x} is not UTF-8"
        report.add("OCT004", words, position=(line, column), hint="save the file as UTF-8")
        return None


def tell_flaws(document: Document, report: Report, *, lenient: bool = False) -> None:
    """Report what is not JSON; with `lenient`, what was read as it was meant is a repair."""
    for flaw in document.flaws:
        code = _RULES[flaw.kind]
        line, column = document.position(flaw.offset)
        if lenient and flaw.mended:
            words = f"{flaw.message}: {flaw.mended}"
            report.add(code, words, flaw.where, (line, column), severity=Severity.REPAIR)
            continue
        words = f"not valid JSON at {line}:{column}: {flaw.message}" if code == "OCT001" else flaw.message
        report.add(code, words, flaw.where, (line, column), severity=Severity.ERROR)


def dialect(value: Any) -> str:
    """Return which dialect a document is of: canonical, D0 to D4, or nothing for what is no case at all."""
    if not isinstance(value, dict):
        return ""
    names = {key.casefold() for key in value}
    if "schemaversion" in names:
        return "canonical"
    if "root" in names:
        return "D0"
    if "units" in names:
        return "D4"
    if not names & {"requires", "deploys", "deploy"}:
        return ""
    if any(name in names for name in ("deploy",)):
        return "D0" if _keyed(value) else "D2"
    return "D1" if "collect" in names else "D3"


def _keyed(value: Mapping[str, Any]) -> bool:
    """Tell whether the steps are keyed by the names of their objects, as only the oldest dialect did."""
    run = next((item for key, item in value.items() if key.casefold() == "run"), None)
    return isinstance(run, list) and any(isinstance(one, dict) and len(one) == 1 for one in run)


@cache
def _validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema())


def check(document: Document, report: Report) -> dict[str, Any] | None:
    """Hold a document against the schema; returns what of it has the right form, None when that is nothing.

    What is of the wrong type is left out of an object, and null in a list, so that all else stays at its place.
    """
    value = document.value
    if not isinstance(value, dict):
        report.add("OCT012", f"a case must be an object, found {_kind(value)}", (), document.place(()))
        return None
    kind = dialect(value)
    if kind in ("D0", "D4"):
        words = "everything stands below \"root\"" if kind == "D0" else "it is made of Units"
        report.add("OCT018", f"this is a case of the dialect {kind}: {words}", (), document.place(()),
                   "seatrial oct import reads it")  # fmt: skip
        return None
    version = value.get("SchemaVersion")
    if isinstance(version, str) and version != SCHEMA_VERSION:
        report.add("OCT019", f'SchemaVersion is "{version}", this harness reads "{SCHEMA_VERSION}"',
                   ("SchemaVersion",), document.place(("SchemaVersion",)))  # fmt: skip
        return None
    wrong: set[Where] = set()
    for error in _validator().iter_errors(value):
        where: Where = tuple(error.absolute_path)
        _tell(error, document, report, old=kind.startswith("D"))
        if error.validator == "type":
            wrong.add(where)
        elif error.validator == "additionalProperties":
            known = cast("Mapping[str, Any]", error.schema).get("properties", {})
            wrong |= {(*where, key) for key in cast("Mapping[str, Any]", error.instance) if key not in known}
    right: dict[str, Any] = _without(value, (), wrong) if () not in wrong else {}
    return right


def _without(value: Any, where: Where, wrong: set[Where]) -> Any:
    if isinstance(value, dict):
        inner = ((name, item, (*where, name)) for name, item in value.items())
        return {name: _without(item, place, wrong) for name, item, place in inner
                if place not in wrong or name.startswith("x-")}  # fmt: skip
    if isinstance(value, list):
        return [None if (*where, index) in wrong else _without(item, (*where, index), wrong)
                for index, item in enumerate(value)]  # fmt: skip
    return value


def _tell(error: jsonschema.ValidationError, document: Document, report: Report, *, old: bool) -> None:
    where: Where = tuple(error.absolute_path)
    place = document.place(where)
    rule, value, limit = str(error.validator), error.instance, cast("Any", error.validator_value)
    part = cast("Mapping[str, Any]", error.schema)
    if rule == "additionalProperties" and isinstance(value, dict):
        _unknown(error, where, document, report)
    elif rule == "type":
        wanted = limit if isinstance(limit, list) else [limit]
        words = " or ".join(_TYPES[one] for one in wanted)
        number = isinstance(value, int | float) and not isinstance(value, bool) and "string" in wanted
        hint = f'write "{value}"' if number else ""
        shown = f"{_kind(value)} {value}" if number else _kind(value)
        report.add("OCT012", f"must be {words}, found {shown}", where, place, hint)
    elif rule == "required":
        name = _quoted(error.message)
        hint = "seatrial oct import adds it" if old and name == "SchemaVersion" else _similar_key(name, value)
        report.add("OCT013", f'missing required field "{name}"', where, place, hint)
    elif rule == "enum":
        choices = [str(one) for one in limit]
        words = f"{json.dumps(value)} is not one of {', '.join(choices)}"
        report.add("OCT016", words, where, place, did_you_mean(str(value), choices))
    elif rule == "pattern" and part.get("description", "").startswith("a number and a unit"):
        report.add("OCT014", f'"{value}" is not a quantity', where, place, "examples: 512MiB, 2GB")
    elif rule == "pattern" and where == ("Group",):
        words = f'"{value}" does not begin with one of {", ".join(GROUPS)}'
        first = str(value).partition("/")[0]
        report.add("OCT016", words, where, place, did_you_mean(first, GROUPS))
    elif rule == "propertyNames" or "propertyNames" in error.absolute_schema_path:
        report.add("OCT017", f'"{value}" is no name for an entry here', where, place)
    else:
        meaning = part.get("description", "")
        report.add("OCT017", _form(rule, value, limit), where, place, meaning)


def _form(rule: str, value: Any, limit: Any) -> str:
    shown = json.dumps(value)
    shown = shown if len(shown) < 60 else shown[:57] + "..."
    words = {
        "pattern": f"{shown} has not the form {limit}", "minLength": "must not be empty",
        "minItems": "must not be empty", "minProperties": "must not be empty", "uniqueItems": f"{shown} repeats itself",
        "maxProperties": "names more than one", "minimum": f"{shown} is less than {limit}",
        "maximum": f"{shown} is more than {limit}", "exclusiveMinimum": f"{shown} is not more than {limit}",
    }  # fmt: skip
    return words.get(rule, f"{shown} breaks the rule {rule}")


def _unknown(error: jsonschema.ValidationError, where: Where, document: Document, report: Report) -> None:
    known = list(cast("Mapping[str, Any]", error.schema).get("properties", {}))
    for key in cast("Mapping[str, Any]", error.instance):
        if key in known or key.startswith("x-"):
            continue
        inner = (*where, key)
        place = document.place(inner, key=True)
        near = did_you_mean(key, known)
        if near:
            report.add("OCT010", f'unknown field "{key}"', inner, place, near)
            continue
        alias = ALIASES.get(key.casefold(), "")
        hint = f'use "{alias}"' if alias in known else ""
        report.add("OCT011", f'the field "{key}" is not part of {_part(where)}', inner, place, hint)


def _part(where: Where) -> str:
    names = [step for step in where if isinstance(step, str)]
    return f"an entry of {names[-1]}" if names else "a case"


def _similar_key(name: str, value: Any) -> str:
    keys: Iterable[str] = value if isinstance(value, dict) else ()
    near = next((key for key in keys if key.casefold() == name.casefold()), "")
    return f'"{near}" is there; names are case sensitive' if near else ""


def _quoted(message: str) -> str:
    match = re.search(r"'([^']*)'", message)
    return match[1] if match else message


def _kind(value: Any) -> str:
    return _NAMES.get(type(value), type(value).__name__)


def read(data: bytes, report: Report, *, lenient: bool = False) -> Document | None:
    """Read a file's bytes; None, with diagnostics, when there is no document in it."""
    text = decode(data, report)
    if text is None:
        return None
    document = jsontext.read(text)
    tell_flaws(document, report, lenient=lenient)
    return document if document.readable or (document.value is not None and not lenient) else None

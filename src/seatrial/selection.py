"""Which tests run, in which order, and what is wrong with them: everything about a list of items."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

import pytest

from seatrial.claims import Claim
from seatrial.errors import SeatrialError
from seatrial.names import gocheck_id
from seatrial.requires import REQUIREMENTS
from seatrial.targets import RUNTIMES


def split(node: str, targets: Sequence[str]) -> tuple[str, str]:
    """Split a pytest id into the test (with its own parameters) and which of the targets it is on."""
    name, _, parameters = node.removesuffix("]").partition("[")
    fitting = [target for target in targets if parameters == target or parameters.startswith(f"{target}-")]
    target = max(fitting, key=len, default="")
    rest = parameters[len(target) :].removeprefix("-") if target else parameters
    return (f"{name}[{rest}]" if rest else name), target


def claim_ids(item: pytest.Item) -> list[str]:
    """Return the claims that a test names."""
    return list(dict.fromkeys(id_ for marker in item.iter_markers("claim") for id_ in marker.args))


def effects(item: pytest.Item) -> list[str]:
    """Return the options whose effect a test sees, each as a verb and an option: `run --memory`."""
    return list(dict.fromkeys(option for marker in item.iter_markers("effect") for option in marker.args))


def known_requirements(option: str, names: Iterable[str]) -> None:
    """Raise `SeatrialError` E504 for a name in an option that is no requirement."""
    for name in names:
        if name not in REQUIREMENTS:
            near = get_close_matches(name, REQUIREMENTS, 1)
            raise SeatrialError(
                "E504", f"{option} names the unknown requirement {name!r}", f"did you mean {near[0]}?" if near else "",
                "`seatrial doctor` lists them",
            )  # fmt: skip


def needs(item: pytest.Item) -> list[str]:
    """Return the requirements that a test names, after the kind of target that its fixtures are made for."""
    named = [name for marker in item.iter_markers("requires") for name in marker.args]
    kind = kind_for(getattr(item, "fixturenames", ()))
    return [kind, *named] if kind else named


def kind_for(fixtures: Iterable[str]) -> str:
    """Return which kind of target a test with these fixtures is for: engine, runtime, or nothing for either."""
    return next((kind for kind in ("runtime", "engine") if kind in fixtures), "")


def fitting(targets: Sequence[str], kind: str) -> list[str]:
    """Return the targets of a kind; all of them when there is none, so that the test is refused with a sentence."""
    def is_runtime(name: str) -> bool:
        return name.startswith("runtime:") or name.partition("@")[0] in RUNTIMES

    found = [name for name in targets if is_runtime(name) == (kind == "runtime")]
    return found if kind and found else list(targets)


def named(items: Sequence[pytest.Item], targets: Sequence[str]) -> dict[str, list[str]]:
    """Return which tests name which claim."""
    found: dict[str, set[str]] = {}
    for item in items:
        for id_ in claim_ids(item):
            found.setdefault(id_, set()).add(split(item.nodeid, targets)[0])
    return {id_: sorted(tests) for id_, tests in sorted(found.items())}


def problems(items: Sequence[pytest.Item], suites: Path, claims: Mapping[str, Claim]) -> list[str]:
    """Return what is wrong with tests of the suites: no claim, an unknown one, an unknown requirement."""
    found: set[str] = set()
    for item in items:
        found |= {
            f"E504: {item.nodeid} names the unknown requirement {name!r}"
            for name in needs(item) if name not in REQUIREMENTS
        }  # fmt: skip
        if suites in item.path.parents:
            ids = claim_ids(item)
            found |= {f"E505: {item.nodeid} names the unknown claim {id_}" for id_ in ids if id_ not in claims}
            if not ids:
                found.add(f"E506: {item.nodeid} names no claim")
    return sorted(found)


def pattern(text: str) -> re.Pattern[str]:
    """Compile what -check.f was given; raises `SeatrialError` E503."""
    try:
        return re.compile(text)
    except re.error as error:
        raise SeatrialError(
            "E503", f"not a regular expression: {text!r}", str(error), "for example --check.f 'TestRun.*'"
        ) from error


def as_options(flags: str) -> list[str]:
    """Turn what TESTFLAGS of Docker's Makefile holds into pytest's options; raises `SeatrialError` E510.

    `-check.f REGEX` (also with `=`) chooses tests, `-check.v` tells more, `-check.vv` still more, `-check.list` lists;
    anything else is pytest's own.
    """
    try:
        words = shlex.split(flags)
    except ValueError as error:
        raise _unreadable(flags, str(error)) from error
    found: list[str] = []
    while words:
        word, equals, value = words.pop(0).partition("=")
        if word.startswith("-check.") and word not in _FLAGS:
            raise _unreadable(flags, f"there is no {word} among {', '.join(_FLAGS)}")
        if word not in _FLAGS:
            found.append(word + equals + value)
        elif word != "-check.f":
            found += _FLAGS[word]
        else:
            found += ["--check.f", value if equals else words.pop(0) if words else ""]
    return found


def _unreadable(flags: str, cause: str) -> SeatrialError:
    return SeatrialError("E510", f"cannot read the flags {flags!r}", cause, "for example -check.f 'TestRun.*' -check.v")


_FLAGS: Mapping[str, Sequence[str]] = {
    "-check.f": (), "-check.v": ("-v",), "-check.vv": ("-vv",), "-check.list": ("--collect-only", "-q"),
}  # fmt: skip


def matches(item: pytest.Item, wanted: re.Pattern[str]) -> bool:
    """Tell whether a test's name matches: as `--format gocheck` prints it (Cli.TestRunEcho), or as Python's."""
    id_ = item.nodeid.partition("[")[0]
    return any(wanted.search(form) for form in (gocheck_id(id_), id_.rpartition("::")[2]))


def rank(item: pytest.Item) -> int:
    """What takes long first, so that no worker ends with it: slow tests, private engines; exclusive tests last."""
    if item.get_closest_marker("exclusive"):
        return 2
    if item.get_closest_marker("slow"):
        return -1
    return 0 if {"private_daemon", "private_engine"} & set(getattr(item, "fixturenames", ())) else 1


def seconds(duration: str) -> float:
    """Read a duration as Go writes it (90s, 60m, 1h30m, 500ms); raises `SeatrialError` E502."""
    units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", duration)
    if not parts or "".join(number + unit for number, unit in parts) != duration:
        raise SeatrialError(
            "E502", f"not a duration: {duration!r}", "it is made of numbers, each with a unit: h, m, s or ms",
            "for example 90s, 60m or 1h30m",
        )  # fmt: skip
    return sum(float(number) * units[unit] for number, unit in parts)

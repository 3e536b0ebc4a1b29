"""The files that a case speaks of: whether they are there, stay inside, and can be started."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from seatrial.diagnostics import did_you_mean
from seatrial.jsontext import Where
from seatrial.oct import walk
from seatrial.oct.bundle import Bundle
from seatrial.oct.model import SOURCE, VARIABLE

if TYPE_CHECKING:
    from seatrial.oct.meaning import Check


def check(examined: Check) -> None:
    """Look at the files of a document; without a bundle only at their paths."""
    listed: set[str] = set()
    for where, path in _listed(examined.value):
        if _inside(examined, path, where):
            plain = posixpath.normpath(path)
            listed.add(plain)
            if examined.bundle is not None:
                _exists(examined, examined.bundle, plain, where)
    _collects(examined)
    if examined.bundle is not None:
        _unlisted(examined, examined.bundle, listed)
        _startable(examined, examined.bundle)


def listed(value: Mapping[str, Any]) -> set[str]:
    """Return the paths inside the bundle that a document names."""
    return {posixpath.normpath(path) for _, path in _listed(value) if not _leaves(path)}


def _leaves(path: str) -> bool:
    return path.startswith(("/", "~")) or posixpath.normpath(path).split("/")[0] == ".."


def _listed(value: Mapping[str, Any]) -> Iterator[tuple[Where, str]]:
    """List the files of the bundle that a document names."""
    for where, entry in walk.parts(value, "Requires", "Deploys"):
        names = entry.get("Files")
        for index, path in enumerate(names if isinstance(names, list) else ()):
            if isinstance(path, str):
                yield (*where, "Files", index), path
        arguments = entry.get("Args")
        seccomp = arguments.get("Seccomp") if isinstance(arguments, dict) else None
        if isinstance(seccomp, str) and seccomp.endswith(".json"):
            yield (*where, "Args", "Seccomp"), seccomp
        image = entry.get("Image")
        for kind in ("Dockerfile", "Rootfs"):
            if isinstance(image, dict) and isinstance(image.get(kind), str):
                yield (*where, "Image", kind), image[kind]


def _inside(examined: Check, path: str, where: Where) -> bool:
    if _leaves(path):
        examined.tell("OCT031", f'the path "{path}" leaves the bundle', where)
        return False
    return not VARIABLE.search(path)


def _exists(examined: Check, bundle: Bundle, path: str, where: Where) -> None:
    if path in bundle.entries or any(name.startswith(f"{path}/") for name in bundle.entries):
        return
    names = {name.rsplit("/", 1)[-1]: name for name in bundle.entries}
    near = did_you_mean(path, bundle.entries)
    if not near and (found := names.get(path.rsplit("/", 1)[-1])):
        near = f'did you mean "{found}"?'
    examined.tell("OCT030", f'the file "{path}" does not exist in the bundle', where, near)


def collected_names(value: Mapping[str, Any]) -> Iterator[str]:
    """List the names under which files are collected."""
    for _, entry in walk.entries(value, "Collects"):
        found = entry.get("Files")
        for file in found if isinstance(found, list) else ():
            path = file.get("Path") if isinstance(file, dict) else file
            name = file.get("As") if isinstance(file, dict) else None
            if isinstance(path, str):
                yield name if isinstance(name, str) else path.rsplit("/", 1)[-1]


def _collects(examined: Check) -> None:
    hosts = examined.names.hosts
    seen: dict[str, Where] = {}
    for where, entry in walk.entries(examined.value, "Collects"):
        found = entry.get("Files")
        for index, file in enumerate(found if isinstance(found, list) else ()):
            path = file.get("Path") if isinstance(file, dict) else file
            place: Where = (*where, "Files", index)
            if not isinstance(path, str):
                continue
            if isinstance(file, dict):
                place = (*place, "Path")
            name = next(collected_names({"Collects": [{"Files": [file]}]}))
            if name in seen:
                examined.tell("OCT029", f'two files are collected as "{name}"', place, "give one of them another As")
            seen[name] = place
            _collected(examined, path, place, host=entry.get("Object") in hosts)


def _collected(examined: Check, path: str, where: Where, *, host: bool) -> None:
    plain = posixpath.normpath(path)
    if path.startswith("/"):
        if host:
            examined.tell("OCT034", f'the absolute path "{path}" of a host', where,
                          "write to the working directory and collect from there")  # fmt: skip
    elif path.startswith("~") or plain.split("/")[0] == "..":
        examined.tell("OCT031", f'the path "{path}" leaves the working directory', where)
    elif host and plain.startswith(f"{SOURCE}/"):
        rest = plain.removeprefix(f"{SOURCE}/")
        words = f'"{path}": paths are relative to {SOURCE}/, this resolves to {SOURCE}/{plain}'
        examined.tell("OCT033", words, where, f'write "{rest}"')
    if examined.bundle is None or VARIABLE.search(path):
        return
    name = plain.rsplit("/", 1)[-1]
    if name not in walk.commands_of(examined.value) and not _mentioned(examined.bundle, name):
        examined.tell("OCT045", f"{name} stands in no command and in no script of the bundle", where)


def _mentioned(bundle: Bundle, name: str) -> bool:
    return any(entry.plain and name in bundle.text(path) for path, entry in bundle.entries.items())


def _unlisted(examined: Check, bundle: Bundle, listed: set[str]) -> None:
    for path, entry in bundle.entries.items():
        if not entry.plain:
            examined.tell("OCT036", f"{path} is {entry.kind}", ())
        elif path.startswith(f"{SOURCE}/") and not any(path == one or path.startswith(f"{one}/") for one in listed):
            examined.tell("OCT032", f"{path} is not listed by any Files", ("Deploys",))


def _startable(examined: Check, bundle: Bundle) -> None:
    for where, entry in walk.parts(examined.value, "Deploys", "Run", "Destroy"):
        command = entry.get("Cmd")
        text = " ".join(map(str, command)) if isinstance(command, list) else command
        for name in re.findall(r"(?:^|[;&|]\s*)\./([\w./-]+)", text) if isinstance(text, str) else ():
            path = posixpath.normpath(posixpath.join(str(entry.get("Cwd", SOURCE)), name))
            if path in bundle.entries and bundle.entries[path].plain:
                _script(examined, bundle, path, (*where, "Cmd"))


def _script(examined: Check, bundle: Bundle, path: str, where: Where) -> None:
    if not bundle.entries[path].executable:
        examined.tell("OCT035", f"{path} is not executable", where, f"chmod +x {path}")
    head = bundle.text(path)[:4]
    if not head.startswith(("#!", "\x7fELF")):
        examined.tell("OCT035", f"{path} has no line that names its interpreter", where, "begin it with #!/bin/sh")

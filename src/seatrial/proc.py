"""Processes of this machine as /proc shows them (proc(5)); one that is gone is none, and no error."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


def processes() -> Iterator[int]:
    """List the process ids of this machine."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            yield int(entry)


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the third (the state) on; none when there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def started(pid: int) -> str:
    """Return the start time of a living process in clock ticks; empty when there is none, or a zombie."""
    fields = _stat(pid)
    return fields[19] if fields and fields[0] not in "ZX" else ""


def exists(pid: int) -> bool:
    """Tell whether a process id is taken, be it by a zombie."""
    return Path(f"/proc/{pid}").exists()


def ancestry(pid: int) -> Iterator[int]:
    """List a process, its parent, and so on to the last before init."""
    while pid > 1:
        yield pid
        fields = _stat(pid)
        pid = int(fields[1]) if fields else 0


def children(pid: int) -> list[int]:
    """Return the children of a process, of all its threads."""
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += map(int, path.read_text().split())
        except OSError:
            continue
    return found


def command(pid: int) -> str:
    """Return the name of a process's command, cut off after 15 bytes."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def running(*argv: str) -> list[int]:
    """Return the processes of this machine (and so of its labs) that run with exactly this command line."""
    wanted = b"".join(word.encode() + b"\0" for word in argv)
    return [pid for pid in processes() if _command_line(pid) == wanted]


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it ended meanwhile
        return b""


def variable(pid: int, name: str) -> str:
    """Return a variable of the environment that a living process was started with, empty without it."""
    try:
        pairs = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return ""
    mark = f"{name}=".encode()
    found = next((pair.removeprefix(mark) for pair in pairs if pair.startswith(mark)), b"")
    return found.decode("utf-8", "replace") if found and started(pid) else ""


def status(text: str) -> dict[str, str]:
    """Parse the text of a status file: field to value."""
    pairs = (line.partition(":") for line in text.splitlines())
    return {name: value.strip() for name, _, value in pairs}


def limits(text: str) -> dict[str, tuple[str, str]]:
    """Parse the text of a limits file: name to soft and hard limit, as text."""
    rows = (re.split(r"\s{2,}", line.strip()) for line in text.splitlines()[1:])
    return {row[0]: (row[1], row[2]) for row in rows}


@dataclass(frozen=True)
class Mount:
    """One line of mountinfo (proc_pid_mountinfo(5))."""

    target: str
    fstype: str
    source: str
    root: str
    options: frozenset[str]
    super_options: frozenset[str]
    propagation: str  # shared, slave, private or unbindable


def mounts(text: str) -> list[Mount]:
    """Parse the text of a mountinfo file, in mount order."""
    found = []
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        fields, tail = left.split(), right.split()
        flags = {field.split(":")[0] for field in fields[6:]}
        kinds = [word for tag, word in (("shared", "shared"), ("master", "slave"), ("unbindable", "unbindable"))
                 if tag in flags]  # fmt: skip
        found.append(
            Mount(
                target=_unescape(fields[4]), fstype=tail[0], source=_unescape(tail[1]), root=_unescape(fields[3]),
                options=frozenset(fields[5].split(",")), super_options=frozenset(tail[2].split(",")),
                propagation="+".join(kinds) or "private",
            )
        )
    return found


def mounts_of(pid: int | str) -> list[Mount]:
    """Return the mounts that a process sees, in mount order; raises OSError when it is gone."""
    return mounts(Path(f"/proc/{pid}/mountinfo").read_text())


def _unescape(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)

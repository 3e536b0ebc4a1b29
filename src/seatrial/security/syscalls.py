"""System calls by number and name, on x86-64 and on the 32-bit entry of the same kernel (syscalls.tsv)."""

from __future__ import annotations

import csv
from functools import cache
from importlib import resources

# The last number that is tried: a few beyond those that the newest kernel has.
LAST = 475
# Calls that a program cannot try on itself: they copy it, take its stack away, never return, or have every file
# system of the machine written out.
BREAKING = frozenset({15, 34, 57, 58, 162})  # rt_sigreturn, pause, fork, vfork, sync
# Calls of the kernel's own trampolines for probes, which no filter sees (uretprobe(2) since Linux 6.12).
UNFILTERED = frozenset({335, 336})


@cache
def numbers(machine: str = "x86_64") -> dict[str, int]:
    """Return name to number on a machine (x86_64 or i386)."""
    text = resources.files("seatrial.security").joinpath("syscalls.tsv").read_text("utf-8")
    rows = csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    return {row["name"]: int(row[machine]) for row in rows if row[machine]}


@cache
def name(number: int, machine: str = "x86_64") -> str:
    """Return the name of a call, or its number where it has none."""
    return {value: word for word, value in numbers(machine).items()}.get(number, str(number))

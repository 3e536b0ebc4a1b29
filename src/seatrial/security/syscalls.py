"""System calls by number and name, on x86-64 and on the other entries of the same kernel (syscalls.tsv)."""

from __future__ import annotations

import csv
from functools import cache
from importlib import resources

# The last number that is tried: a few beyond those that the newest kernel has.
LAST = 475
# x32 has numbers of its own from 512 on, for calls whose arguments are laid out otherwise.
LAST_X32 = 547
# Calls that a program cannot try on itself: they copy it, take its stack away, never return, or have every file
# system of the machine written out.
BREAKING = frozenset({15, 34, 57, 58, 162})  # rt_sigreturn, pause, fork, vfork, sync
# Calls of the kernel's own trampolines for probes, which no filter sees (uretprobe(2) since Linux 6.12).
UNFILTERED = frozenset({335, 336})
# The same on the 32-bit entry: sync, and sigsuspend, which waits with all signals blocked.
BREAKING_I386 = frozenset({36, 72})


@cache
def numbers(machine: str = "x86_64") -> dict[str, int]:
    """Return name to number by an entry: x86_64, i386, or x32 (without the bit that tells it)."""
    text = resources.files("seatrial.security").joinpath("syscalls.tsv").read_text("utf-8")
    rows = csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    # what x32 has no number of its own for has that of x86-64 there
    found = {row["name"]: row[machine] or (row["x86_64"] if machine == "x32" else "") for row in rows}
    return {word: int(number) for word, number in found.items() if number}


@cache
def name(number: int, machine: str = "x86_64") -> str:
    """Return the name of a call, or its number where it has none."""
    return {value: word for word, value in numbers(machine).items()}.get(number, str(number))

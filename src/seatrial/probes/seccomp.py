"""The seccomp filters of a process, read by ptrace and evaluated: what the kernel does with each system call.

ptrace(2) PTRACE_SECCOMP_GET_FILTER needs CAP_SYS_ADMIN and a reader that is not filtered itself; the programs are
classic BPF over `struct seccomp_data` (seccomp(2)).
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from seatrial.errors import SeatrialError

X86_64 = 0xC000003E
I386 = 0x40000003
X32 = 0x40000000  # a bit in the number of a call

_SEIZE, _INTERRUPT, _DETACH, _GET_FILTER = 0x4206, 0x4207, 17, 0x420C
_WALL = 0x40000000
_MOST = 64  # filters that are asked for
# SECCOMP_RET_*: the signed action, worst first as the kernel ranks them
_ACTIONS = {0x80000000: "kill process", 0x0: "kill thread", 0x30000: "trap", 0x50000: "errno", 0x7FC00000: "notify",
            0x7FF00000: "trace", 0x7FFC0000: "log", 0x7FFF0000: "allow"}  # fmt: skip
_RANK = list(_ACTIONS)
_DATA = 0xFFFF

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, k


@dataclass(frozen=True)
class Filters:
    """All filters of a process; the worst of their answers counts."""

    programs: tuple[tuple[Instruction, ...], ...]

    def actions(self, number: int, arch: int = X86_64, arguments: Sequence[int] = ()) -> frozenset[str]:
        """Return what may become of a call, over all arguments: "allow", "errno N", "kill process", ...

        More than one answer means that the arguments decide. The first `arguments` may be given: then only the others
        are anything.
        """
        combined = {0x7FFF0000}
        for program in self.programs:
            found = outcomes(program, number, arch, arguments)
            combined = {min(one, other, key=_rank) for one in combined for other in found}
        return frozenset(map(_word, combined))


def _rank(value: int) -> int:
    return _RANK.index(value & ~_DATA)


def _word(value: int) -> str:
    action = _ACTIONS[value & ~_DATA]
    return f"errno {value & _DATA}" if action == "errno" else action


def outcomes(program: Sequence[Instruction], number: int, arch: int, arguments: Sequence[int] = ()) -> set[int]:
    """Follow a program for a call on every path that its arguments can take; return the values it may end with.

    Both sides of a jump are followed when what it compares comes from arguments that are not given. Raises ValueError
    on what is no filter.
    """
    data = {0: number, 4: arch}
    for place, argument in enumerate(arguments):
        # each is eight bytes, the lower half first
        data |= {16 + 8 * place: argument & 0xFFFFFFFF, 20 + 8 * place: argument >> 32 & 0xFFFFFFFF}
    found: set[int] = set()
    # where to go on, and the accumulator there: None is anything
    waiting: list[tuple[int, int | None, tuple[tuple[int, int | None], ...]]] = [(0, 0, ())]
    seen = set()
    while waiting:
        state = waiting.pop()
        if state in seen:
            continue
        seen.add(state)
        at, value, memory = state
        code, yes, no, k = program[at]
        if code == 0x20:  # load a word of the data
            value = data.get(k)
            waiting.append((at + 1, value, memory))
        elif code == 0x06:  # return
            found.add(k)
        elif code == 0x05:
            waiting.append((at + 1 + k, value, memory))
        elif code in (0x15, 0x25, 0x35, 0x45):
            if value is None:
                waiting += [(at + 1 + yes, None, memory), (at + 1 + no, None, memory)]
            else:
                holds = {0x15: value == k, 0x25: value > k, 0x35: value >= k, 0x45: bool(value & k)}[code]
                waiting.append((at + 1 + (yes if holds else no), value, memory))
        elif code == 0x54:  # and
            waiting.append((at + 1, None if value is None else value & k, memory))
        elif code == 0x02:  # store
            waiting.append((at + 1, value, tuple(sorted({**dict(memory), k: value}.items()))))
        elif code == 0x60:  # load what was stored
            waiting.append((at + 1, dict(memory).get(k, 0), memory))
        elif code == 0x00:  # load a constant
            waiting.append((at + 1, k, memory))
        else:
            raise ValueError(f"no seccomp filter has the instruction {code:#x}")
    return found


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long
    return libc


def unreadable() -> str:
    """Return why this machine lets nobody read filters, empty where it does: a process of our own is asked."""
    child = subprocess.Popen(["sleep", "60"])
    try:
        read(child.pid)
    except SeatrialError as error:
        return error.cause
    finally:
        child.kill()
        child.wait()
    return ""


def read(pid: int) -> Filters:
    """Read the filters of a process, stopping it for that moment; raises `SeatrialError` E218 where it cannot be."""
    libc = _libc()

    def trace(request: int, address: int = 0, data: object = None) -> int:
        done = int(libc.ptrace(request, pid, address, data))
        if done < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return done

    try:
        trace(_SEIZE)
    except OSError as error:
        raise _unreadable(error) from error
    try:
        trace(_INTERRUPT)
        os.waitpid(pid, _WALL)
        return Filters(tuple(_programs(trace)))
    finally:
        libc.ptrace(_DETACH, pid, None, None)


def _programs(trace: Callable[..., int]) -> Iterator[tuple[Instruction, ...]]:
    for number in range(_MOST):
        try:
            count = trace(_GET_FILTER, number)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOENT):  # it has no filters, or no more of them
                return
            raise _unreadable(error) from error
        buffer = ctypes.create_string_buffer(8 * count)
        trace(_GET_FILTER, number, ctypes.cast(buffer, ctypes.c_void_p))
        yield tuple(struct.iter_unpack("=HBBI", buffer.raw))


def _unreadable(error: OSError) -> SeatrialError:
    return SeatrialError(
        "E218", "the seccomp filters of a process cannot be read", f"ptrace: {error.strerror}",
        "run as root, outside of a container with filters of its own",
    )  # fmt: skip

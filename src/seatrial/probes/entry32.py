"""System calls by the 32-bit entry of a 64-bit kernel (`int 0x80`), made by a program that is put together here.

It is an i386 ELF file of some hundred bytes: no compiler is needed, and an image needs nothing to run it.
"""

from __future__ import annotations

import errno
import os
import struct
import subprocess
from collections.abc import Sequence

Call = Sequence[int | str | bytes]

_BASE = 0x08048000
_ELF, _SEGMENT = 52, 32  # bytes of the header, and of the description of the one segment
_WORDS = 7  # of a call: its number and six arguments
# the places of the addresses in _CODE that are filled in: calls, results (twice), end of the calls, size of the results
_CALLS, _RESULTS, _END, _RESULTS_AGAIN, _SIZE = 1, 6, 12, 119, 124
_CODE = bytes.fromhex(
    "be00000000"  # mov esi, calls
    "bf00000000"  # mov edi, results
    "81fe00000000" "735a"  # next: cmp esi, end of calls; jae done
    "b802000000" "cd80"  # fork
    "85c0" "741b" "780f"  # test eax, eax; jz child; js kept
    "89c3" "89f9" "31d2" "b807000000" "cd80" "eb02"  # waitpid(eax, edi, 0); jmp on
    "8907"  # kept: mov [edi], eax
    "83c61c" "83c704" "ebd2"  # on: add esi, 28; add edi, 4; jmp next
    "b81b000000" "bb05000000" "cd80"  # child: alarm(5)
    "8b06" "8b5e04" "8b4e08" "8b560c" "8b7e14" "8b6e18" "8b7610"  # number and arguments from [esi]
    "cd80"  # the call
    "31db" "3d01f0ffff" "7202" "29c3"  # xor ebx, ebx; cmp eax, -4095; jb end; sub ebx, eax
    "b801000000" "cd80"  # end: exit(ebx)
    "b804000000" "bb01000000" "b900000000" "ba00000000" "cd80"  # done: write(1, results, size)
    "b801000000" "31db" "cd80"  # exit(0)
)  # fmt: skip


def program(calls: Sequence[Call]) -> bytes:
    """Return an ELF file that makes each call in a child of its own and writes the wait statuses, four bytes each.

    A call is its number and up to six arguments: numbers, `=text` for the address of a string that ends with a zero
    byte, bytes for their address. The child ends with the number of the error, after five seconds by SIGALRM.
    """
    start = _BASE + _ELF + _SEGMENT
    table = start + len(_CODE)
    data = b""
    rows = []
    after = table + 4 * _WORDS * len(calls)
    for call in calls:
        words = []
        for word in call:
            if not isinstance(word, int):
                words.append(after + len(data))
                data += word if isinstance(word, bytes) else word.removeprefix("=").encode() + b"\0"
                data += bytes(-len(data) % 4)
            else:
                words.append(word & 0xFFFFFFFF)
        rows.append(struct.pack(f"<{_WORDS}I", *words, *[0] * (_WORDS - len(words))))
    code = bytearray(_CODE)
    results, size = after + len(data), 4 * len(calls)
    for place, value in ((_CALLS, table), (_RESULTS, results), (_END, after), (_RESULTS_AGAIN, results), (_SIZE, size)):
        code[place : place + 4] = struct.pack("<I", value)
    content = bytes(code) + b"".join(rows) + data
    length = _ELF + _SEGMENT + len(content)
    header = struct.pack("<4s4B8xHHIIIIIHHHHHH", b"\x7fELF", 1, 1, 1, 0, 2, 3, 1, start, _ELF, 0, 0, _ELF, _SEGMENT, 1,
                         40, 0, 0)  # fmt: skip
    segment = struct.pack("<8I", 1, 0, _BASE, _BASE, length, length + size, 7, 4096)
    return header + segment + content


def fates(written: bytes, count: int) -> list[str]:
    """Return what became of so many calls: "ok", an error's name, "signal N", or "hung".

    Raises ValueError when not all results are there: the program itself did not come to its end.
    """
    if len(written) != 4 * count:
        raise ValueError(f"the program told of {len(written) / 4:g} calls instead of {count}")
    return [_fate(status) for (status,) in struct.iter_unpack("<i", written)]


def _fate(status: int) -> str:
    if status < 0:
        raise ValueError(f"no process could be had: {errno.errorcode.get(-status, -status)}")
    if number := status & 0x7F:
        return "hung" if number == 14 else f"signal {number}"
    error = status >> 8
    return errno.errorcode.get(error, str(error)) if error else "ok"


def missing() -> str:
    """Return why this kernel runs no 32-bit program, empty where it does: one is run."""
    if os.uname().machine != "x86_64":
        return f"the machine is {os.uname().machine}"
    descriptor = os.memfd_create("entry32", 0)
    try:
        os.write(descriptor, program([(20,)]))  # getpid
        ended = subprocess.run([f"/proc/self/fd/{descriptor}"], pass_fds=(descriptor,), capture_output=True, timeout=10,
                               check=False)  # fmt: skip
        return "" if fates(ended.stdout, 1) == ["ok"] else "it gives no answer"
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return str(error)
    finally:
        os.close(descriptor)

"""A shared library for x86-64 that leaves an empty file behind where it is loaded, put together byte by byte.

Who loads it is told from who only reads it, and nothing else happens.
"""

from __future__ import annotations

import struct

_CODE = bytes.fromhex(
    "488d3d1b000000"  # lea rdi, [path]
    "be41000000" "baa4010000" "b802000000" "0f05"  # open(path, O_WRONLY | O_CREAT, 0644)
    "89c7" "b803000000" "0f05"  # close
    "c3"  # ret
)  # fmt: skip
_HEADER, _SEGMENT, _SEGMENTS = 64, 56, 3
_LOAD, _DYNAMIC, _STACK = 1, 2, 0x6474E551
_NULL, _HASH, _STRTAB, _SYMTAB, _STRSZ, _SYMENT, _INIT = 0, 4, 5, 6, 10, 11, 12


def library(path: str) -> bytes:
    """Return the library; `path` is the file that its constructor makes, as the one sees it who loads it."""
    start = _HEADER + _SEGMENTS * _SEGMENT
    code = _CODE + path.encode() + b"\0"
    code += bytes(-len(code) % 8)
    hashes = start + len(code)
    symbols = hashes + 16
    strings = symbols + 24
    dynamic = strings + 8
    entries = [(_HASH, hashes), (_STRTAB, strings), (_SYMTAB, symbols), (_STRSZ, 1), (_SYMENT, 24), (_INIT, start),
               (_NULL, 0)]  # fmt: skip
    size = dynamic + 16 * len(entries)
    header = struct.pack("<4s4B8xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 0, 3, 62, 1, 0, _HEADER, 0, 0, _HEADER, _SEGMENT,
                         _SEGMENTS, 64, 0, 0)  # fmt: skip
    segments = b"".join(
        struct.pack("<IIQQQQQQ", kind, flags, place, place, place, length, length, align)
        for kind, flags, place, length, align in (
            (_LOAD, 7, 0, size, 4096), (_DYNAMIC, 6, dynamic, 16 * len(entries), 8), (_STACK, 6, 0, 0, 16),
        )
    )  # fmt: skip
    # one symbol, which is none, and one bucket for it
    tables = struct.pack("<4I", 1, 1, 0, 0) + bytes(24) + bytes(8)
    return header + segments + code + tables + b"".join(struct.pack("<QQ", *entry) for entry in entries)

"""What a container's cgroup has counted, read from the host while it still runs."""

from __future__ import annotations

import contextlib

from seatrial.exec import ExpectationError
from seatrial.probes.kernel import Kernel

_FILES = {
    "memory": ("memory", ("memory.max_usage_in_bytes", "memory.peak")),
    "pids": ("pids", ("pids.peak",)),
    "cpu_nanoseconds": ("cpuacct", ("cpuacct.usage", "cpu.stat")),
}


def peaks(pid: int) -> dict[str, int]:
    """Return memory in bytes, processes, and CPU time in nanoseconds, as far as the kernel tells them."""
    found: dict[str, int] = {}
    if not pid:
        return found
    for name, (controller, files) in _FILES.items():
        for file in files:
            with contextlib.suppress(ExpectationError, OSError, ValueError, KeyError, StopIteration):
                found[name] = _number((Kernel(pid).cgroup_path(controller) / file).read_text())
                break
    return found


def _number(text: str) -> int:
    """Return the number in a file, of cpu.stat the time used."""
    if text.strip().isdigit():
        return int(text)
    return 1000 * next(int(line.split()[1]) for line in text.splitlines() if line.startswith("usage_usec "))

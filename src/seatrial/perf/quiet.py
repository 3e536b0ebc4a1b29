"""The machine while something is measured: whether it was quiet enough for a verdict.

Before a measurement the CPUs are looked at for a moment in which nobody of ours does anything; during it, a short
loop of fixed work is timed between the samples, which takes longer on a CPU that others use or that has been
slowed down; load, steal, frequency, thermal throttling and free memory are noted beside.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seatrial import proc

LOOK = 0.5  # seconds
_WORK = 250_000  # additions: longer than the interpreter's and most schedulers' slices
_TICK = os.sysconf("SC_CLK_TCK")

# beyond these a measurement says nothing about an engine
FOREIGN = 0.10  # of the CPUs, used by others before
STEAL = 0.02  # of the CPU time
STRETCH = 1.15  # of all fixed work: time on the clock to time on the CPU
DRIFT = 1.20  # of the fixed work: its slow tenth to its fast tenth, in time on the CPU
MEMORY = 0.05  # of the memory is available


@dataclass(frozen=True)
class State:
    """What the machine was like: shares from 0 to 1, frequency in MHz (0 where the kernel does not tell)."""

    load: float
    foreign: float
    steal: float
    stretch: float
    drift: float
    frequency: tuple[float, float]
    throttled: int
    available: float
    observer: float  # the harness's share of the CPU time that was used meanwhile
    seconds: float

    @property
    def noise(self) -> list[str]:
        """Why a measurement on this machine gives no verdict, in words; nothing on a quiet one."""
        found = {
            f"others used {self.foreign:.0%} of the CPUs just before": self.foreign > FOREIGN,
            f"the hypervisor took {self.steal:.1%} of the CPU time": self.steal > STEAL,
            f"fixed work took {self.stretch:.2f} times its time on the CPU": self.stretch > STRETCH,
            f"fixed work took between one and {self.drift:.2f} times as long": self.drift > DRIFT,
            f"the CPUs were throttled {self.throttled} times": self.throttled > 0,
            f"{self.available:.0%} of the memory was available": self.available < MEMORY,
        }
        return [words for words, holds in found.items() if holds]

    def as_json(self) -> dict[str, Any]:
        """Return the state as evidence holds it."""
        names = ("load", "foreign", "steal", "stretch", "drift", "throttled", "available", "observer", "seconds")
        rounded: dict[str, Any] = {name: round(getattr(self, name), 4) for name in names}
        return {**rounded, "frequency": [round(value) for value in self.frequency], "noise": self.noise}


@dataclass(frozen=True)
class Counters:
    """CPU time of the whole machine in seconds since its start, by the fields of /proc/stat (proc_stat(5))."""

    busy: float
    idle: float
    steal: float

    @property
    def total(self) -> float:
        """All CPU time there was."""
        return self.busy + self.idle

    def since(self, before: Counters) -> Counters:
        """Return the difference to an earlier reading."""
        return Counters(self.busy - before.busy, self.idle - before.idle, self.steal - before.steal)


def counters(text: str = "") -> Counters:
    """Read the CPU time that was used; `text` is that of /proc/stat."""
    lines = (text or Path("/proc/stat").read_text()).splitlines()
    fields = [int(word) / _TICK for word in lines[0].split()[1:9]]
    idle = fields[3] + fields[4]
    return Counters(sum(fields) - idle, idle, fields[7])


@dataclass
class Watch:
    """Watches the machine from its making to `end`."""

    pause: Callable[[float], object] = time.sleep
    read: Callable[[], Counters] = counters
    _walls: list[float] = field(default_factory=list)
    _cpus: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        before = self.read()
        self.pause(LOOK)
        seen = self.read().since(before)
        self._foreign = seen.busy / seen.total if seen.total > 0 else 0.0
        self._throttled = _throttled()
        self._before = self.read()
        self._own = time.process_time()
        self._began = time.monotonic()

    @property
    def noisy(self) -> bool:
        """Whether others used the CPUs when the machine was looked at."""
        return self._foreign > FOREIGN

    def tick(self) -> None:
        """Do the fixed work once."""
        wall, cpu = time.perf_counter(), time.thread_time()
        total = 0
        for number in range(_WORK):
            total += number
        self._walls.append(time.perf_counter() - wall)
        self._cpus.append(time.thread_time() - cpu)

    def end(self) -> State:
        """Return what was seen."""
        used = self.read().since(self._before)
        own = time.process_time() - self._own - sum(self._cpus)
        frequency = _frequencies()
        return State(
            load=os.getloadavg()[0], foreign=self._foreign, steal=used.steal / used.total if used.total > 0 else 0.0,
            stretch=sum(self._walls) / sum(self._cpus) if sum(self._cpus) > 0 else 1.0,
            drift=_drift(self._cpus), frequency=(min(frequency), max(frequency)),
            throttled=_throttled() - self._throttled, available=_available(),
            observer=max(0.0, own / used.busy) if used.busy > 0 else 0.0, seconds=time.monotonic() - self._began,
        )  # fmt: skip


def _drift(values: Sequence[float]) -> float:
    if len(values) < 10:
        return 1.0
    ordered = sorted(values)
    tenth = len(ordered) // 10
    return ordered[-1 - tenth] / ordered[tenth] if ordered[tenth] else 1.0


def _frequencies() -> list[float]:
    found = []
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("cpu MHz"):
            found.append(float(line.partition(":")[2]))
    return found or [0.0]


def _throttled(root: Path = Path("/sys/devices/system/cpu")) -> int:
    count = 0
    for path in root.glob("cpu[0-9]*/thermal_throttle/core_throttle_count"):
        with suppress(OSError, ValueError):
            count += int(path.read_text())
    return count


def _available() -> float:
    memory = proc.status(Path("/proc/meminfo").read_text())
    return float(memory["MemAvailable"].split()[0]) / float(memory["MemTotal"].split()[0])

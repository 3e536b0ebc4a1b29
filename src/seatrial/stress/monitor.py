"""What goes on beside the operations: the engine's processes and what the kernel keeps for it, sampled cheaply.

What costs a process or a request (rules of the firewall, goroutines) is asked for seldom; what the kernel logs
meanwhile is kept in the words of its lines that tell of trouble.

Samples are entries of the history (`sample`), so that they have the operations' own time line. What a sample costs
is one of them: seconds of CPU that the monitor has used so far.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from seatrial import exec as command
from seatrial import proc
from seatrial.api.client import Client
from seatrial.api.wire import Endpoint
from seatrial.errors import SeatrialError
from seatrial.exec import ANY, ExpectationError
from seatrial.hosts import Host, NamespaceHost
from seatrial.lab import host as lab_host
from seatrial.stress.history import OK, Op

# of engines on this machine, whose processes are not told from others by their namespaces
ENGINES = frozenset(("dockerd", "containerd", "containerd-shim", "docker-proxy", "podman", "conmon"))
TROUBLE = re.compile(r"BUG|Oops|WARNING:|Call Trace|oom-kill|Out of memory|blocked for more|segfault|I/O error|"
                     r"unregister_netdevice|EXT4-fs error|hung_task")  # fmt: skip
KERNEL = "lines of trouble in the kernel's log"  # the series that tells that the log was read
OWN_CPU, OWN_MEMORY = "cpu of the monitor", "memory of the harness"  # in seconds so far, in bytes
_SELDOM = 4.0  # seconds: a profile of two minutes has enough of these samples for a slope, too
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICK = os.sysconf("SC_CLK_TCK")

# how much a series may climb in all before it is a leak, by the word before its colon
TOLERANCES: Mapping[str, float] = {
    "processes": 3, "threads": 25, "descriptors": 25, "rss": 30e6, "mounts": 3, "cgroups": 3,
    "network namespaces": 3, "interfaces": 3, "disk": 100e6, "firewall rules": 10, "goroutines": 50,
}  # fmt: skip
UNITS: Mapping[str, str] = {"rss": "bytes", "pss": "bytes", "disk": "bytes", "cpu": "s", "available": "bytes"}


class Probe:
    """Takes samples of one engine: of a lab host, or of this machine's by the names of its processes."""

    def __init__(self, host: Host, storage: str = "", endpoint: Endpoint | None = None) -> None:
        self._host = host
        self._endpoint = endpoint
        self._lab = host.name if isinstance(host, NamespaceHost) else ""
        self._keeper = host.pid if isinstance(host, NamespaceHost) else os.getpid()
        self._namespace = _namespace(self._keeper)
        self._known: dict[tuple[int, str], bool] = {}
        self._storage = host.path(storage) if storage else None

    def sample(self) -> dict[str, float]:
        """Return all series by name, as `rss:dockerd`."""
        values = self._processes()
        with suppress(OSError):
            mounts = proc.mounts_of(self._keeper)
            values["mounts"] = sum(mount.fstype != "nsfs" for mount in mounts)
            values["network namespaces"] = sum(mount.fstype == "nsfs" for mount in mounts)
        with suppress(OSError):
            lines = Path(f"/proc/{self._keeper}/net/dev").read_text().splitlines()
            values["interfaces"] = len(lines) - 2
        if self._lab:
            values["cgroups"] = len(lab_host.cgroups(self._lab))
        if self._storage is not None:
            with suppress(OSError):
                found = os.statvfs(self._storage)
                values["disk"] = float((found.f_blocks - found.f_bfree) * found.f_frsize)
        values["load"] = os.getloadavg()[0]
        with suppress(OSError, KeyError, ValueError):
            memory = proc.status(Path("/proc/meminfo").read_text())
            values["available"] = 1024.0 * int(memory["MemAvailable"].split()[0])
        return values

    def seldom(self) -> dict[str, float]:
        """Return the series that cost a process or a request; one that is not to be had is left out."""
        values: dict[str, float] = {}
        with suppress(SeatrialError, OSError):
            listed = command.run(["iptables-save"], host=self._host, expect=ANY, timeout=10.0)
            if listed.ok:
                values["firewall rules"] = sum(line.startswith("-A") for line in listed.lines)
        if self._endpoint is not None:
            with suppress(ExpectationError, KeyError, TypeError, ValueError):
                count = int(Client(self._endpoint).get("/info", timeout=10.0).json()["NGoroutines"])
                if count:
                    values["goroutines"] = count
        return values

    def _processes(self) -> dict[str, float]:
        values: defaultdict[str, float] = defaultdict(float)
        living: dict[tuple[int, str], bool] = {}
        for pid, name, fields in _stats():
            key = (pid, fields[19])
            ours = self._known.get(key)
            if ours is None:
                ours = _namespace(pid) == self._namespace if self._lab else name in ENGINES
            living[key] = ours
            if not ours or pid == self._keeper:
                continue
            values[f"processes:{name}"] += 1
            values[f"cpu:{name}"] += (int(fields[11]) + int(fields[12])) / _TICK
            values[f"threads:{name}"] += int(fields[17])
            values[f"rss:{name}"] += int(fields[21]) * _PAGE
            values[f"pss:{name}"] += _pss(pid)
            with suppress(OSError):
                values[f"descriptors:{name}"] += len(os.listdir(f"/proc/{pid}/fd"))
        self._known = living
        return dict(values)


def _stats() -> Iterator[tuple[int, str, list[str]]]:
    """List pid, command and the fields from the state on of /proc/PID/stat of all processes (proc_pid_stat(5))."""
    for pid in proc.processes():
        with suppress(OSError):
            text = Path(f"/proc/{pid}/stat").read_text()
            yield pid, text[text.index("(") + 1 : text.rindex(")")], text.rpartition(")")[2].split()


def _pss(pid: int) -> float:
    """Return a process's share of the memory that it and others have, in bytes; 0 for one that is gone."""
    with suppress(OSError, KeyError, ValueError):
        return 1024.0 * int(proc.status(Path(f"/proc/{pid}/smaps_rollup").read_text())["Pss"].split()[0])
    return 0.0


def _resident() -> float:
    """Return the memory that this process has in RAM, in bytes (proc_pid_statm(5))."""
    return float(Path("/proc/self/statm").read_text().split()[1]) * _PAGE


def _namespace(pid: int) -> str:
    with suppress(OSError):
        return os.readlink(f"/proc/{pid}/ns/mnt")
    return ""


class KernelLog:
    """Reads what the kernel logs of trouble from now on (/dev/kmsg, Documentation/ABI/testing/dev-kmsg)."""

    def __init__(self, path: Path = Path("/dev/kmsg")) -> None:
        self._file = -1
        self.count = 0
        with suppress(OSError):
            self._file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            os.lseek(self._file, 0, os.SEEK_END)

    def news(self) -> list[str]:
        """Return the lines since the last call."""
        found = []
        while self._file >= 0:
            try:
                record = os.read(self._file, 8192)
            except BrokenPipeError:  # the kernel has overwritten some: go on with the next
                continue
            except OSError:
                break
            if not record:
                break
            for line in record.decode("utf-8", "replace").splitlines():
                text = line.partition(";")[2] or line
                if TROUBLE.search(text):
                    found.append(text[:300])
        self.count += len(found)
        return found

    @property
    def readable(self) -> bool:
        """Whether this kernel's log can be read here."""
        return self._file >= 0

    def close(self) -> None:
        """Read no more."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


class Monitor:
    """Samples in a thread of its own, every `interval` seconds, until it is left."""

    def __init__(
        self, probe: Probe, clock: Callable[[], float], record: Callable[[Op], object], interval: float = 2.0,
        beside: Callable[[], object] = lambda: None,
    ) -> None:  # fmt: skip
        self._probe, self._clock, self._record, self._interval = probe, clock, record, interval
        self._beside = beside
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="monitor")
        self.problem = ""
        self.cpu = 0.0

    def __enter__(self) -> Monitor:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        log, seldom = KernelLog(), -_SELDOM
        try:
            while True:
                at = self._clock()
                values = self._probe.sample()
                if at - seldom >= _SELDOM:
                    seldom = at
                    values |= self._probe.seldom()
                for line in log.news():
                    self._record(Op("event", -1, at, at, at, OK, "", ["kernel", line, None]))
                if log.readable:
                    values[KERNEL] = log.count
                self.cpu = time.thread_time()
                values[OWN_CPU] = self.cpu
                values[OWN_MEMORY] = _resident()
                for series, value in values.items():
                    self._record(Op("sample", -1, at, at, at, OK, series, value))
                self._beside()
                if self._stop.wait(self._interval):
                    return
        except Exception as error:  # told at the end: a run without samples is judged without them
            self.problem = f"{type(error).__name__}: {error}"
        finally:
            log.close()

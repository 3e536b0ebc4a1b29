"""Measuring programs (sysbench, fio, iperf3, ping) in containers and, for reference, beside them.

Both sides run the very same binaries: those of the test image `toolbox`, which come from the bookworm lab's root
file system. Outside, they are started by that file system's own loader, so that this machine's libraries do not
matter.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from seatrial import exec as command
from seatrial.bench import Bench
from seatrial.exec import ExpectationError, Result
from seatrial.hosts import LOCAL, NamespaceHost
from seatrial.lab import images, rootfs

# runs a tool somewhere and returns its standard output
Runner = Callable[..., str]
MEGABYTE = 1e6


def outside(engine: Bench, *, network: bool = False) -> Runner:
    """Return what runs tools on this machine; with `network`, in the network of the engine's host."""
    root = rootfs.ensure("bookworm")
    host = engine.raw.host
    around = ["nsenter", f"--net=/proc/{host.pid}/ns/net", "--"] if network and isinstance(host, NamespaceHost) else []

    def run(tool: str, *args: str, timeout: float = 120.0) -> str:
        argv = [*around, *_loaded(root, tool), *args]
        return command.run(argv, host=LOCAL, timeout=timeout, journal=engine.journal).stdout

    return run


def inside(engine: Bench, container: str) -> Runner:
    """Return what runs tools in a container."""

    def run(tool: str, *args: str, timeout: float = 120.0) -> str:
        result: Result = engine.cli("exec", container, tool, *args, timeout=timeout)
        return result.stdout

    return run


@cache
def _loaded(root: Path, tool: str) -> list[str]:
    """Return how a program of a root file system is started in this one."""
    loader = next(root.glob("lib*/ld-linux-*.so.*"))
    binary = next(path for path in (root / "usr/bin" / tool, root / "bin" / tool) if path.exists())
    if tool == "busybox":  # static
        return [str(binary)]
    places = dict.fromkeys(str((root / library.lstrip("/")).parent) for library in images.libraries(root, binary))
    return [str(loader), "--library-path", ":".join(places), str(binary)]


def found(pattern: str, text: str) -> float:
    """Return the number that a pattern captures; raises `ExpectationError` when it is not there."""
    match = re.search(pattern, text)
    if match is None:
        raise ExpectationError(f"no /{pattern}/ in what the tool printed:\n{text[-2000:]}")
    return float(match[1])


def processor(run: Runner, threads: int = 1, seconds: float = 1) -> float:
    """Return the events a second of sysbench's CPU test: prime numbers up to 10,000."""
    text = run("sysbench", "cpu", f"--threads={threads}", f"--time={seconds:g}", "--cpu-max-prime=10000", "run")
    return found(r"events per second:\s+([\d.]+)", text)


def memory(run: Runner, seconds: float = 1) -> float:
    """Return the MiB a second of sysbench's memory test: writes in blocks of a MiB."""
    text = run("sysbench", "memory", f"--time={seconds:g}", "--memory-block-size=1M", "--memory-total-size=10T", "run")
    return found(r"\(([\d.]+) MiB/sec\)", text)


@dataclass(frozen=True)
class Job:
    """A job of fio: what it does (`rw`), its other options, and whether it is done to its end, not for a time."""

    rw: str
    options: Sequence[str]
    whole: bool = False

    @property
    def side(self) -> str:
        """Where fio tells its figures: under reads or writes."""
        return "read" if "read" in self.rw else "write"


JOBS: Mapping[str, Job] = {
    "sequential reads": Job("read", ("--bs=1M", "--direct=1")),
    "sequential writes": Job("write", ("--bs=1M", "--direct=1")),
    "random reads": Job("randread", ("--bs=4k", "--direct=1", "--iodepth=16", "--ioengine=libaio")),
    "random writes": Job("randwrite", ("--bs=4k", "--direct=1", "--iodepth=16", "--ioengine=libaio")),
    "buffered reads": Job("read", ("--bs=64k", "--direct=0")),
    "buffered writes": Job("write", ("--bs=64k", "--direct=0", "--end_fsync=1")),
    "synced writes": Job("write", ("--bs=4k", "--fsync=1")),
    "small files": Job("write", ("--bs=4k", "--nrfiles=256", "--openfiles=16", "--filesize=4k"), whole=True),
    "metadata": Job("write", ("--ioengine=filecreate", "--bs=4k", "--nrfiles=512", "--filesize=4k", "--openfiles=1",
                              "--create_on_open=1", "--fallocate=none"), whole=True),
}  # fmt: skip


def disk(run: Runner, job: str, directory: str, *, size: str = "48M", seconds: float = 1) -> float:
    """Return the operations a second of a job of fio in a directory that `run` sees; raises on an error of fio's."""
    wanted = JOBS[job]
    options = [f"--rw={wanted.rw}", *wanted.options]
    if not wanted.whole:
        options += [f"--size={size}", "--time_based", f"--runtime={seconds:g}"]
    if Path(directory).name == "tmpfs":  # which has no direct I/O on older kernels
        options = [option for option in options if not option.startswith("--direct")]
    text = run("fio", "--name=job", f"--directory={directory}", "--output-format=json", "--thread", "--unlink=1",
               *options)  # fmt: skip
    (seen,) = json.loads(text[text.index("{") :])["jobs"]
    if seen["error"]:
        raise ExpectationError(f"fio ended with error {seen['error']}:\n{text[:2000]}")
    return float(seen[wanted.side]["iops"])


def stream(run: Runner, address: str, port: int, *options: str, seconds: float = 1) -> dict[str, Any]:
    """Return what iperf3 measured at its server's end (`end` of its JSON)."""
    text = run("iperf3", "--client", address, "--port", str(port), "--time", f"{seconds:g}", "--json", *options)
    value: dict[str, Any] = json.loads(text)
    if "error" in value:
        raise ExpectationError(f"iperf3 ended with {value['error']}")
    end: dict[str, Any] = value["end"]
    return end


def datagrams(run: Runner, address: str, port: int, size: int = 512) -> float:
    """Return how many datagrams a second arrive at most, offered ever faster until some are lost.

    The rate doubles until one of a hundred is lost, or the sender offers no more than before.
    """
    most, megabits = 0.0, 20
    while True:
        options = ("--udp", "--bitrate", f"{megabits}M", "--length", str(size))
        seen = stream(run, address, port, *options)["sum"]
        offered, lost = float(seen["packets"] / seen["seconds"]), float(seen["lost_percent"] / 100)
        most = max(most, offered * (1 - lost))
        if lost > 0.01 or offered < 0.9 * megabits * MEGABYTE / 8 / size:
            return most
        megabits *= 2


def bits(run: Runner, address: str, port: int) -> float:
    """Return the Mbit a second that arrive over TCP."""
    return float(stream(run, address, port)["sum_received"]["bits_per_second"]) / MEGABYTE


def echoes(run: Runner, address: str, count: int = 100) -> tuple[float, float]:
    """Return the mean round trip in ms, and the share of echoes (ICMP) that were lost."""
    text = run("ping", "-q", "-n", "-c", str(count), "-i", "0.005", address)
    return found(r"= [\d.]+/([\d.]+)/", text), found(r"([\d.]+)% packet loss", text) / 100

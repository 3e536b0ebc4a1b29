"""Measuring programs (sysbench, fio, iperf3, ping) in containers and, for reference, beside them.

Both sides run the very same binaries: those of the test image `toolbox`, which come from the bookworm lab's root
file system. Outside, they are started by that file system's own loader, so that this machine's libraries do not
matter.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
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


# fio's options by the word of a job
JOBS: dict[str, Sequence[str]] = {
    "sequential reads": ("--rw=read", "--bs=1M", "--direct=1"),
    "sequential writes": ("--rw=write", "--bs=1M", "--direct=1"),
    "random reads": ("--rw=randread", "--bs=4k", "--direct=1", "--iodepth=16", "--ioengine=libaio"),
    "random writes": ("--rw=randwrite", "--bs=4k", "--direct=1", "--iodepth=16", "--ioengine=libaio"),
    "buffered reads": ("--rw=read", "--bs=64k", "--direct=0"),
    "buffered writes": ("--rw=write", "--bs=64k", "--direct=0", "--end_fsync=1"),
    "synced writes": ("--rw=write", "--bs=4k", "--fsync=1"),
    "small files": ("--rw=write", "--bs=4k", "--nrfiles=256", "--openfiles=16", "--filesize=4k"),
    "metadata": ("--ioengine=filecreate", "--nrfiles=512", "--filesize=4k", "--create_on_open=1", "--fallocate=none"),
}
_WHOLE = ("small files", "metadata")  # done to their end, not for a time


def disk(run: Runner, job: str, directory: str, *, size: str = "48M", seconds: float = 1) -> float:
    """Return the operations a second of a job of fio in a directory that `run` sees; raises on an error of fio's."""
    options = list(JOBS[job])
    if job not in _WHOLE:
        options += [f"--size={size}", "--time_based", f"--runtime={seconds:g}"]
    if Path(directory).name == "tmpfs":  # which has no direct I/O on older kernels
        options = [option for option in options if not option.startswith("--direct")]
    text = run("fio", "--name=job", f"--directory={directory}", "--output-format=json", "--thread", "--unlink=1",
               *options)  # fmt: skip
    (seen,) = json.loads(text[text.index("{") :])["jobs"]
    if seen["error"]:
        raise ExpectationError(f"fio ended with error {seen['error']}:\n{text[:2000]}")
    return float(seen["read" if "read" in " ".join(JOBS[job][:1]) else "write"]["iops"])


def stream(run: Runner, address: str, port: int, *options: str, seconds: float = 1) -> dict[str, Any]:
    """Return what iperf3 measured at its server's end (`end` of its JSON)."""
    text = run("iperf3", "--client", address, "--port", str(port), "--time", f"{seconds:g}", "--json", *options)
    value: dict[str, Any] = json.loads(text)
    if "error" in value:
        raise ExpectationError(f"iperf3 ended with {value['error']}")
    end: dict[str, Any] = value["end"]
    return end


def bits(run: Runner, address: str, port: int) -> float:
    """Return the Mbit a second that arrive over TCP."""
    return float(stream(run, address, port)["sum_received"]["bits_per_second"]) / MEGABYTE


def echoes(run: Runner, address: str, count: int = 100) -> tuple[float, float]:
    """Return the mean round trip in ms, and the share of echoes (ICMP) that were lost."""
    text = run("ping", "-q", "-n", "-c", str(count), "-i", "0.005", address)
    return found(r"= [\d.]+/([\d.]+)/", text), found(r"([\d.]+)% packet loss", text) / 100

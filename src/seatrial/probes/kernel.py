"""What the kernel shows of a container from outside: /proc, cgroup files, mounts, namespaces, links.

Everything here reads files; nothing asks the engine. Names of limits are the same for cgroup v1
and v2, so a test states one expectation. A process that is gone while it is looked at is the engine's
doing, and so an `ExpectationError`.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from seatrial import proc
from seatrial.exec import ExpectationError
from seatrial.proc import Mount

_CGROUP = Path("/sys/fs/cgroup")
UNLIMITED = -1

# neutral name -> (v1 controller, v1 file, v2 file)
_FILES: Mapping[str, tuple[str, str, str]] = {
    "memory": ("memory", "memory.limit_in_bytes", "memory.max"),
    "memory_and_swap": ("memory", "memory.memsw.limit_in_bytes", "memory.swap.max"),
    "memory_reservation": ("memory", "memory.soft_limit_in_bytes", "memory.low"),
    "memory_usage": ("memory", "memory.usage_in_bytes", "memory.current"),
    "swappiness": ("memory", "memory.swappiness", "-"),
    "cpu_shares": ("cpu", "cpu.shares", "cpu.weight"),
    "cpu_quota": ("cpu", "cpu.cfs_quota_us", "cpu.max"),
    "cpu_period": ("cpu", "cpu.cfs_period_us", "cpu.max"),
    "cpus": ("cpuset", "cpuset.cpus", "cpuset.cpus"),
    "mems": ("cpuset", "cpuset.mems", "cpuset.mems"),
    "pids": ("pids", "pids.max", "pids.max"),
    "freezer": ("freezer", "freezer.state", "cgroup.freeze"),
    "oom_control": ("memory", "memory.oom_control", "-"),
    "blkio_weight": ("blkio", "blkio.weight", "io.weight"),
}


def below(hierarchy: Path, path: str, mounts: Sequence[Mount]) -> Path:
    """Return the directory of a path in /proc/PID/cgroup: in a container, only a part of a hierarchy is mounted."""
    roots = [mount.root for mount in mounts if mount.target == str(hierarchy)]
    root = roots[-1].rstrip("/") if roots else ""
    inside = path[len(root) :] if root and f"{path}/".startswith(f"{root}/") else path
    return hierarchy / inside.lstrip("/")


@dataclass(frozen=True)
class Kernel:
    """The kernel's view of the process `pid` (as this machine numbers it) and its container."""

    pid: int

    @property
    def proc(self) -> Path:
        """The process's directory in /proc."""
        return Path(f"/proc/{self.pid}")

    @property
    def alive(self) -> bool:
        """Whether the process exists and is no zombie."""
        return bool(proc.started(self.pid))

    @contextmanager
    def _looking(self) -> Iterator[None]:
        """Tell a process that is gone from a file that cannot be read."""
        try:
            yield
        except OSError as error:
            if self.alive:
                raise
            raise ExpectationError(f"process {self.pid} of the container is gone: {error}") from error

    def _text(self, name: str) -> str:
        with self._looking():
            return (self.proc / name).read_text("utf-8", "replace")

    def _link(self, name: str) -> str:
        with self._looking():
            return str((self.proc / name).readlink())

    @property
    def status(self) -> dict[str, str]:
        """The fields of /proc/PID/status."""
        return proc.status(self._text("status"))

    @property
    def argv(self) -> list[str]:
        """The command line."""
        return self._text("cmdline").rstrip("\0").split("\0")

    @property
    def environ(self) -> dict[str, str]:
        """The environment that the process was started with."""
        pairs = self._text("environ").rstrip("\0").split("\0")
        return dict(pair.split("=", 1) for pair in pairs if "=" in pair)

    @property
    def cwd(self) -> str:
        """The working directory, as the container sees it."""
        return self._link("cwd")

    @property
    def limits(self) -> dict[str, tuple[str, str]]:
        """Soft and hard resource limits by the names of /proc/PID/limits, values as text."""
        return proc.limits(self._text("limits"))

    @property
    def oom_score_adj(self) -> int:
        """By how much the process is likelier to be killed when memory is short."""
        return int(self._text("oom_score_adj"))

    def namespace(self, kind: str) -> str:
        """Return the identity of a namespace (`mnt:[4026531840]`)."""
        return self._link(f"ns/{kind}")

    def namespaces(self, kinds: Iterable[str] = ("mnt", "pid", "net", "ipc", "uts")) -> dict[str, str]:
        """Return the identities of several namespaces."""
        return {kind: self.namespace(kind) for kind in kinds}

    def capabilities(self, which: str = "Eff") -> int:
        """Return a capability set (Inh, Prm, Eff, Bnd, Amb) as a bit mask."""
        return int(self.status[f"Cap{which}"], 16)

    def mounts(self) -> list[Mount]:
        """Return the mounts of the container in order."""
        return proc.mounts(self._text("mountinfo"))

    def mount(self, target: str) -> Mount:
        """Return the topmost mount at a path; raises `ExpectationError` when nothing is mounted there."""
        mounts = self.mounts()
        found = [mount for mount in mounts if mount.target == target]
        if not found:
            seen = "\n".join(f"  {mount.fstype} at {mount.target}" for mount in mounts)
            raise ExpectationError(f"nothing is mounted at {target}\n{seen or '  no mounts at all'}")
        return found[-1]

    def file(self, path: str) -> Path:
        """Return a file of the container as seen from here."""
        return self.proc / "root" / path.lstrip("/")

    def cgroup_paths(self) -> dict[str, str]:
        """Return the path in each hierarchy by its controllers as they are mounted; "" is the unified one."""
        lines = (line.split(":", 2) for line in self._text("cgroup").splitlines())
        return {names.removeprefix("name="): path for _, names, path in lines}

    def cgroup_path(self, controller: str) -> Path:
        """Return the cgroup directory of the process for a controller (v1) or the unified one (v2)."""
        paths = self.cgroup_paths()
        for names, path in paths.items():
            if names and controller in names.split(","):
                return below(_CGROUP / names, path, proc.mounts_of("self"))
        return below(_CGROUP, paths.get("", ""), proc.mounts_of("self"))

    def cgroup_text(self, name: str) -> str:
        """Return the raw text of a limit's file; names are the keys of the table above."""
        controller, v1, v2 = _FILES[name]
        directory = self.cgroup_path(controller)
        path = directory / v1
        with self._looking():
            return (path if path.exists() else directory / v2).read_text().strip()

    def cgroup(self, name: str) -> int:
        """Return a limit as a number; UNLIMITED (-1) where the kernel says so in any of its ways.

        On v2 `cpu_shares` is the weight and `memory_and_swap` adds the memory limit, so that the
        number means what the option said.
        """
        text = self.cgroup_text(name)
        if name in ("cpu_quota", "cpu_period") and " " in text:
            text = text.split()[0 if name == "cpu_quota" else 1]
        if text == "max":
            return UNLIMITED
        value = int(text.split()[0])
        if name == "memory_and_swap" and not (self.cgroup_path("memory") / _FILES[name][1]).exists():
            value += self.cgroup("memory")
        return UNLIMITED if value >= 1 << 62 else value

    @property
    def frozen(self) -> bool:
        """Whether the container's cgroup is frozen."""
        return self.cgroup_text("freezer") in ("FROZEN", "1")

    @property
    def cgroup_processes(self) -> set[int]:
        """The processes of the container's cgroup, as this machine numbers them."""
        path = self.cgroup_path("pids") / "cgroup.procs"
        with self._looking():
            return {int(pid) for pid in path.read_text().split()}

    def links(self) -> list[str]:
        """Return the network interfaces of the container's network namespace."""
        lines = self._text("net/dev").splitlines()[2:]
        return [line.split(":")[0].strip() for line in lines]

    def routes(self) -> list[tuple[str, str, str, int]]:
        """Return IPv4 routes as (interface, destination, gateway, prefix length)."""
        found = []
        for line in self._text("net/route").splitlines()[1:]:
            name, destination, gateway, *rest = line.split()
            mask = int(rest[4], 16).bit_count()
            found.append((name, _ipv4(destination), _ipv4(gateway), mask))
        return found

    def listeners(self) -> set[int]:
        """Return the TCP ports that somebody in the network namespace listens on."""
        ports = set()
        for table in ("tcp", "tcp6"):
            if table == "tcp6" and not (self.proc / "net/tcp6").exists():
                continue  # a kernel without IPv6
            for line in self._text(f"net/{table}").splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A":
                    ports.add(int(fields[1].rpartition(":")[2], 16))
        return ports


def _ipv4(little_endian: str) -> str:
    return socket.inet_ntoa(struct.pack("<I", int(little_endian, 16)))

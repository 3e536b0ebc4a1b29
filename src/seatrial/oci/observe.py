"""What was seen of a container: `Seen` from inside by the probe, `Host` from outside by the kernel's files."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seatrial import proc
from seatrial.exec import ExpectationError
from seatrial.probes.kernel import Kernel
from seatrial.proc import Mount


def name_of(number: int | str) -> str:
    """Return the name of an error number, "ok" for zero."""
    value = int(number)
    return errno.errorcode.get(value, str(value)) if value else "ok"


@dataclass(frozen=True)
class Node:
    """A file as the probe found it: `kind` is file, directory, link, char, block, fifo or socket."""

    kind: str
    mode: int
    uid: int
    gid: int
    major: int
    minor: int
    size: int
    link: str | None

    @classmethod
    def read(cls, fields: list[str | None]) -> Node:
        """Build a node from the probe's answer."""
        mode, uid, gid, device, size = (int(field or 0) for field in fields[:5])
        return cls(_kind(mode), stat.S_IMODE(mode), uid, gid, os.major(device), os.minor(device), size, fields[5])


def _kind(mode: int) -> str:
    kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link", stat.S_IFCHR: "char",
             stat.S_IFBLK: "block", stat.S_IFIFO: "fifo", stat.S_IFSOCK: "socket"}  # fmt: skip
    return kinds[stat.S_IFMT(mode)]


def parse(line: str, nonce: str) -> Any:
    """Return the value of an answer; raises `ExpectationError` when it is cut off or not the probe's."""
    word, _, text = line.partition(" ")
    if word != nonce or not line.endswith("\n"):
        raise ExpectationError(f"this is no answer of the probe: {line[:300]!r}")
    try:
        return _decoded(json.loads(text))
    except json.JSONDecodeError as error:
        raise ExpectationError(f"the probe's answer is broken: {error}\n{line[:300]!r}") from error


def _decoded(value: Any) -> Any:
    """Turn texts, in which each character is a byte, into what they mean."""
    if isinstance(value, str):
        return value.encode("latin-1").decode("utf-8", "backslashreplace")
    if isinstance(value, list):
        return [_decoded(one) for one in value]
    return {_decoded(name): _decoded(one) for name, one in value.items()} if isinstance(value, dict) else value


class Fields(dict[str, Any]):
    """Named things that were seen; one that is asked for and was not there is told as an `ExpectationError`."""

    def __missing__(self, name: str) -> Any:
        raise ExpectationError(f"{name} is not there; seen were: {', '.join(sorted(self))}")


@dataclass(frozen=True)
class Seen:
    """The report of a probe: what a process in the container sees of itself."""

    report: Mapping[str, Any] = field(repr=False)

    def text(self, path: str) -> str:
        """Return the content of a file that the report holds; raises `ExpectationError` when it had none."""
        found = self.report["files"].get(path)
        if found is None:
            raise ExpectationError(f"the container has no readable {path}")
        return str(found)

    @property
    def status(self) -> dict[str, str]:
        """The fields of /proc/self/status."""
        return Fields(proc.status(self.text("/proc/self/status")))

    @property
    def uids(self) -> list[int]:
        """Real, effective, saved and file system user id."""
        return [int(word) for word in self.status["Uid"].split()]

    @property
    def gids(self) -> list[int]:
        """Real, effective, saved and file system group id."""
        return [int(word) for word in self.status["Gid"].split()]

    @property
    def groups(self) -> list[int]:
        """Supplementary groups."""
        return [int(word) for word in self.status["Groups"].split()]

    @property
    def umask(self) -> int:
        """The file mode creation mask."""
        return int(self.report["umask"])

    @property
    def pid(self) -> int:
        """The process id inside."""
        return int(self.report["pid"])

    def capabilities(self, which: str) -> set[str]:
        """Return a capability set by name: effective, bounding, inheritable, permitted or ambient."""
        field = {"effective": "CapEff", "bounding": "CapBnd", "inheritable": "CapInh", "permitted": "CapPrm",
                 "ambient": "CapAmb"}[which]  # fmt: skip
        if which == "ambient" and field not in self.status:
            return set()  # a kernel that knows none has no line for them
        return capability_names(int(self.status[field], 16))

    @property
    def no_new_privileges(self) -> bool:
        """Whether no_new_privs is set, as prctl answers."""
        return str(self._asked("no_new_privs")) == "1"

    @property
    def affinity(self) -> list[int]:
        """The processors that the process may run on, as sched_getaffinity answers."""
        return [int(word) for word in self._asked("affinity")]

    def _asked(self, name: str) -> Any:
        """Return what the kernel answered when it was asked; raises `ExpectationError` when it did not."""
        if (found := self.report["asked"].get(name)) is None:
            raise ExpectationError(f"the kernel in the container does not tell {name}")
        return found

    @property
    def seccomp(self) -> int:
        """The seccomp mode: 0 none, 2 a filter."""
        return int(self.status["Seccomp"])

    def limit(self, title: str) -> tuple[str, str]:
        """Return soft and hard limit as getrlimit answers, by the words of /proc/PID/limits, as `Max open files`."""
        limits = self._asked("limits")
        if (number := str(_RESOURCES.index(title))) not in limits:
            raise ExpectationError(f"the kernel in the container knows no limit {title!r}")
        soft, hard = ("unlimited" if int(word) == _UNLIMITED else str(word) for word in limits[number])
        return soft, hard

    @property
    def boot_id(self) -> str:
        """What tells one boot of one kernel from all others; "" where the kernel does not say."""
        return str(self.report["files"].get("/proc/sys/kernel/random/boot_id") or "").strip()

    @property
    def args(self) -> list[str]:
        """The command line."""
        return self.text("/proc/self/cmdline").removesuffix("\0").split("\0")

    @property
    def environ(self) -> list[str]:
        """The environment as it was at the start of the process, in order."""
        text = self.text("/proc/self/environ").removesuffix("\0")
        return text.split("\0") if text else []

    @property
    def cwd(self) -> str:
        """The working directory."""
        return str(self.report["links"]["cwd"])

    @property
    def mounts(self) -> list[Mount]:
        """Every mount, in order."""
        return proc.mounts(self.text("/proc/self/mountinfo"))

    def mount(self, target: str) -> Mount:
        """Return the topmost mount at a path; raises `ExpectationError` when nothing is mounted there."""
        found = [mount for mount in self.mounts if mount.target == target]
        if not found:
            raise ExpectationError(f"nothing is mounted at {target}; mounts: {[one.target for one in self.mounts]}")
        return found[-1]

    def namespace(self, kind: str) -> str:
        """Return the identity of a namespace, as `uts:[4026531838]`; kinds as in /proc/self/ns."""
        return str(Fields(self.report["ns"])[kind])

    @property
    def descriptors(self) -> dict[int, str]:
        """Open descriptors and what they lead to, without the one that the probe read the list with."""
        found = {int(number): str(link) for number, link in self.report["fds"].items() if link}
        own = f"/proc/{self.pid}/fd"
        return {number: link for number, link in found.items() if link != own}

    @property
    def devices(self) -> dict[str, Node]:
        """What is in /dev, /dev/pts and /dev/net."""
        return Fields({path: Node.read(fields) for path, fields in self.report["devices"].items() if fields})

    @property
    def terminals(self) -> list[bool]:
        """Whether standard input, output and error are terminals."""
        return [word == "1" for word in self.report["tty"]]

    @property
    def hostname(self) -> str:
        """The host name in the UTS namespace."""
        return self.text("/proc/sys/kernel/hostname").strip()

    @property
    def interfaces(self) -> set[str]:
        """Names of the network interfaces."""
        lines = self.text("/proc/self/net/dev").splitlines()[2:]
        return {line.split(":")[0].strip() for line in lines}


# the limits by the number that getrlimit has for them
_RESOURCES = (
    "Max cpu time", "Max file size", "Max data size", "Max stack size", "Max core file size", "Max resident set",
    "Max processes", "Max open files", "Max locked memory", "Max address space", "Max file locks",
    "Max pending signals", "Max msgqueue size", "Max nice priority", "Max realtime priority", "Max realtime timeout",
)  # fmt: skip
_UNLIMITED = (1 << 64) - 1

CAPABILITY_NAMES = (
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
    "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
    "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
    "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
    "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
    "CHECKPOINT_RESTORE",
)  # fmt: skip


def capability_names(mask: int) -> set[str]:
    """Return the names of a bit mask of capabilities."""
    known = len(CAPABILITY_NAMES)
    return {f"CAP_{CAPABILITY_NAMES[bit] if bit < known else bit}" for bit in range(64) if mask >> bit & 1}


NAMESPACE_FILES: Mapping[str, str] = {
    "pid": "pid", "network": "net", "ipc": "ipc", "uts": "uts", "mount": "mnt", "user": "user", "cgroup": "cgroup",
    "time": "time",
}  # fmt: skip


@dataclass(frozen=True)
class Host:
    """What the host's kernel showed of a container's process while it ran."""

    pid: int
    status: Mapping[str, str]
    oom_score_adj: int
    namespaces: Mapping[str, str]
    mounts: list[Mount]
    cgroups: Mapping[str, str]  # controller (v1; "" is the unified one) -> path as /proc/PID/cgroup has it
    cgroup_files: Mapping[str, str]  # file name -> text, of all controllers

    @classmethod
    def look(cls, pid: int) -> Host:
        """Look at a process; raises `ExpectationError` when it is gone."""
        kernel = Kernel(pid)
        paths = kernel.cgroup_paths()
        files: dict[str, str] = {}
        for names in paths:
            directory = kernel.cgroup_path(names.split(",")[0])
            if directory.is_dir():
                files |= _texts(directory)
        return cls(
            pid, kernel.status, kernel.oom_score_adj, {kind: kernel.namespace(name) for kind, name in _present(pid)},
            kernel.mounts(), paths, files,
        )  # fmt: skip

    def namespace(self, kind: str) -> str:
        """Return the identity of a namespace; kinds as in the configuration."""
        return self.namespaces[kind]

    def cgroup(self, name: str) -> str:
        """Return the text of a cgroup file; raises `ExpectationError` when there is none of that name."""
        if name not in self.cgroup_files:
            raise ExpectationError(f"the container's cgroups have no readable {name}")
        return self.cgroup_files[name].strip()


def _present(pid: int) -> list[tuple[str, str]]:
    return [(kind, name) for kind, name in NAMESPACE_FILES.items() if os.path.lexists(f"/proc/{pid}/ns/{name}")]


def _texts(directory: Path) -> dict[str, str]:
    found = {}
    for path in directory.iterdir():
        # some files of a cgroup can only be written
        if path.is_file() and path.stat().st_mode & 0o400:
            try:
                found[path.name] = path.read_text()
            except OSError:
                continue
    return found

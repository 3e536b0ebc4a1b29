"""Facts about this machine, measured without asking any engine."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from seatrial import proc
from seatrial.paths import data_dir
from seatrial.probes import entry32, kconfig, seccomp

CAPABILITIES = {"CAP_SYS_ADMIN": 21, "CAP_NET_ADMIN": 12, "CAP_SYS_RESOURCE": 24, "CAP_SYS_PTRACE": 19}
_TOOLS = ("docker", "podman", "dockerd", "runc", "crun", "runsc")
NETWORK_URL = "https://registry-1.docker.io"


def facts(network_url: str = "") -> dict[str, Any]:
    """Return what this machine is and allows; every value is plain JSON."""
    effective = int(_status("CapEff"), 16)
    return {
        "kernel": platform.release(),
        "system": _system(),
        "arch": platform.machine(),
        "cpus": len(os.sched_getaffinity(0)),
        "cpu": _cpu(),
        "numa": len(list(Path("/sys/devices/system/node").glob("node[0-9]*"))) > 1,
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "root": os.geteuid() == 0,
        "capabilities": {name: bool(effective >> bit & 1) for name, bit in CAPABILITIES.items()},
        "all_capabilities": effective == int(_status("CapBnd"), 16) and _holds_all(effective),
        "cgroup": cgroup(),
        "blkio_weight": blkio_weight(),
        "processor_files": processor_files(),
        "memory_policies": Path("/proc/self/numa_maps").exists(),
        "swap_accounting": swap_accounting(),
        "lsm": lsms(),
        "seccomp": Path("/proc/sys/kernel/seccomp/actions_avail").exists(),
        "seccomp_filters": seccomp.unreadable(),
        "entry32": entry32.missing(),
        "userns": _number("/proc/sys/user/max_user_namespaces") > 0,
        "ipv6": Path("/proc/net/if_inet6").exists(),
        "network": network(network_url or os.environ.get("SEATRIAL_NETWORK_URL") or NETWORK_URL),
        "peers": peers(os.environ.get("SEATRIAL_PEERS", "")),
        "notary": answering(os.environ.get("SEATRIAL_NOTARY", "")),
        "swap": len(Path("/proc/swaps").read_text().splitlines()) > 1,
        "filesystems": [line.split()[-1] for line in Path("/proc/filesystems").read_text().splitlines()],
        "btrfs_volume": btrfs_volume(),
        "slow_disk": slow_disk(data_dir()),
        "systemd": Path("/run/systemd/system").is_dir(),
        "modules": _modules_loadable(),
        "netem": kconfig.read().state("NET_SCH_NETEM") != "missing",
        "vxlan": kconfig.read().state("VXLAN") != "missing",
        "tools": {tool: shutil.which(tool) or "" for tool in _TOOLS},
    }


def btrfs_volume() -> str:
    """Return why no btrfs can be made in a file and mounted, empty when it can."""
    if "btrfs" not in Path("/proc/filesystems").read_text().split():
        return "this kernel has no btrfs"
    if not Path("/dev/loop-control").exists():
        return "there are no loop devices"
    return "" if shutil.which("mkfs.btrfs") else "there is no mkfs.btrfs (Debian: btrfs-progs)"


def disk(path: Path) -> str:
    """Return the number (MAJOR:MINOR) of the whole disk that holds a file, empty when none does."""
    device = path.stat().st_dev
    place = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
    if not place.exists():
        return ""
    whole = place.resolve().parent if (place / "partition").exists() else place
    return (whole / "dev").read_text().strip()


def slow_disk(place: Path, root: Path = Path("/sys/fs/cgroup")) -> str:
    """Return why a cgroup cannot slow down the disk of a directory that may be made yet, empty when it can."""
    here = next(path for path in (place, *place.parents) if path.exists())
    if not disk(here):
        return f"{here} is on no disk of its own"
    throttles = root / "blkio/blkio.throttle.write_bps_device"
    if throttles.exists() or "io" in cgroup(root)["controllers"]:
        return ""
    return "no cgroup of this machine bounds what is written in a second"


def _status(name: str) -> str:
    return proc.status(Path("/proc/self/status").read_text())[name]


def _holds_all(effective: int) -> bool:
    last = _number("/proc/sys/kernel/cap_last_cap")
    return effective == (1 << (last + 1)) - 1


def _number(path: str) -> int:
    try:
        return int(Path(path).read_text())
    except (OSError, ValueError):
        return 0


def _system() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        return platform.system()


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def cgroup(root: Path = Path("/sys/fs/cgroup")) -> dict[str, Any]:
    """Return the cgroup version (v1, hybrid, v2 or none) and its controllers."""
    unified = root / "cgroup.controllers"
    if unified.exists():
        return {"version": "v2", "controllers": unified.read_text().split()}
    hierarchies = sorted(path.name for path in root.glob("*") if (path / "tasks").exists())
    if not hierarchies:
        return {"version": "none", "controllers": []}
    names = sorted({part for name in hierarchies for part in name.split(",")})
    return {"version": "hybrid" if (root / "unified").exists() else "v1", "controllers": names}


def blkio_weight(root: Path = Path("/sys/fs/cgroup")) -> bool:
    """Return whether a cgroup has the weight for block I/O that engines set.

    That is `blkio.weight` or, on cgroup v2, `io.weight`, which the top cgroup never has. BFQ's own file
    on cgroup v1, `blkio.bfq.weight`, does not count: all engines look past it and discard the weight.
    """
    if (root / "cgroup.controllers").exists():
        return any(next(root.glob(name), None) for name in ("*/io.weight", "*/io.bfq.weight"))
    return any(next(root.glob(name), None) for name in ("blkio/blkio.weight", "blkio/*/blkio.weight"))


def processor_files(root: Path = Path("/sys/fs/cgroup")) -> list[str]:
    """Return the names of the files that a cgroup of the cpu controller has, as `cpu.shares`."""
    return sorted({path.name for path in root.glob("*/cpu.*")})


def project_quota(mounts: Sequence[proc.Mount], directory: str) -> bool:
    """Return whether the file system that holds a directory can limit the size of a tree: XFS with project quotas."""
    above = [mount for mount in mounts if Path(directory).is_relative_to(mount.target)]
    holding = max(above, key=lambda mount: len(Path(mount.target).parts), default=None)
    return holding is not None and holding.fstype == "xfs" and bool({"prjquota", "pquota"} & holding.super_options)


def swap_accounting(root: Path = Path("/sys/fs/cgroup")) -> bool:
    """Return whether cgroups limit memory and swap together."""
    files = ("memory/memory.memsw.limit_in_bytes", "*/memory.swap.max")
    return any(next(root.glob(name), None) for name in files)


def lsms(securityfs: Path = Path("/sys/kernel/security")) -> list[str]:
    """Return the active Linux security modules that confine containers and are really on."""
    active = []
    if (securityfs / "apparmor/profiles").exists():
        active.append("apparmor")
    if Path("/sys/fs/selinux/enforce").exists():
        active.append("selinux")
    try:
        listed = (securityfs / "lsm").read_text().strip().split(",")
    except OSError:
        listed = []
    return active + [name for name in listed if name and name not in ("apparmor", "selinux", *active)]


def network(url: str, timeout: float = 3.0) -> str:
    """Return an empty string when a TCP connection to the URL's host opens, else the reason.

    The name is resolved within `timeout` seconds, and each of its addresses gets as long.
    """
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    reason = "it has no address"
    try:
        for family, kind, protocol, _, address in _addresses(parts.hostname or "", port, timeout):
            try:
                with socket.socket(family, kind, protocol) as client:
                    client.settimeout(timeout)
                    client.connect(address)
                    return ""
            except OSError as error:
                reason = error.strerror or str(error)
    except OSError as error:
        reason = error.strerror or str(error)
    return f"{parts.hostname}:{port}: {reason}"


def _addresses(name: str, port: int, timeout: float) -> list[Any]:
    """Resolve a name as `socket.getaddrinfo` does, which itself knows no limit of time."""
    found: list[list[Any] | Exception] = []

    def resolve() -> None:
        try:
            found.append(socket.getaddrinfo(name, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            found.append(error)

    thread = threading.Thread(target=resolve, daemon=True)  # a resolver that hangs holds nobody up
    thread.start()
    thread.join(timeout)
    if not found:
        raise TimeoutError(f"its name is not resolved within {timeout:g} s")
    (answer,) = found
    if isinstance(answer, Exception):
        raise answer if isinstance(answer, OSError) else OSError(str(answer))
    return answer


def peers(words: str) -> list[str]:
    """Return which of the hosts (`HOST` or `HOST:PORT`, by default ssh's, separated by commas) answer."""
    named = [word.strip() for word in words.split(",") if word.strip()]
    return [name for name in named if not network(f"ssh://{name}" if ":" in name else f"ssh://{name}:22")]


def answering(url: str) -> str:
    """Return the URL if a TCP connection to it opens, else an empty string."""
    return url if url and not network(url) else ""


def _modules_loadable() -> bool:
    return Path(f"/lib/modules/{platform.release()}/modules.dep").exists()

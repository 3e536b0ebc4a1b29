"""Kernel options and version that container engines need, read from the kernel's own configuration."""

from __future__ import annotations

import gzip
import platform
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

OLDEST = (3, 10)

# Group -> options without CONFIG_; the groups are those of Docker's contrib/check-config.sh.
OPTIONS: Mapping[str, Sequence[str]] = {
    "necessary": (
        "NAMESPACES", "NET_NS", "PID_NS", "IPC_NS", "UTS_NS", "CGROUPS", "CGROUP_CPUACCT", "CGROUP_DEVICE",
        "CGROUP_FREEZER", "CGROUP_SCHED", "CPUSETS", "MEMCG", "KEYS", "VETH", "BRIDGE", "BRIDGE_NETFILTER",
        "IP_NF_FILTER", "IP_NF_MANGLE", "IP_NF_TARGET_MASQUERADE", "IP_NF_RAW", "IP_NF_NAT",
        "IP6_NF_FILTER", "IP6_NF_MANGLE", "IP6_NF_TARGET_MASQUERADE", "IP6_NF_RAW", "IP6_NF_NAT",
        "NETFILTER_XT_MATCH_ADDRTYPE", "NETFILTER_XT_MATCH_CONNTRACK", "NETFILTER_XT_MATCH_IPVS",
        "NETFILTER_XT_MARK", "NF_NAT", "POSIX_MQUEUE",
    ),
    "optional": (
        "USER_NS", "SECCOMP", "SECCOMP_FILTER", "CGROUP_PIDS", "MEMCG_SWAP", "BLK_CGROUP",
        "BLK_DEV_THROTTLING", "CGROUP_PERF", "CGROUP_HUGETLB", "NET_CLS_CGROUP", "CGROUP_NET_PRIO",
        "CFS_BANDWIDTH", "FAIR_GROUP_SCHED", "RT_GROUP_SCHED", "IP_NF_TARGET_REDIRECT", "IP_VS",
        "IP_VS_NFCT", "IP_VS_PROTO_TCP", "IP_VS_PROTO_UDP", "IP_VS_RR", "SECURITY_SELINUX",
        "SECURITY_APPARMOR", "EXT4_FS", "EXT4_FS_POSIX_ACL", "EXT4_FS_SECURITY", "CHECKPOINT_RESTORE",
        "NET_SCH_NETEM",
    ),
    "network drivers": (
        "VXLAN", "BRIDGE_VLAN_FILTERING", "CRYPTO", "CRYPTO_AEAD", "CRYPTO_GCM", "CRYPTO_SEQIV",
        "CRYPTO_GHASH", "XFRM", "XFRM_USER", "XFRM_ALGO", "INET_ESP", "IPVLAN", "MACVLAN", "DUMMY",
        "NF_NAT_FTP", "NF_CONNTRACK_FTP", "NF_NAT_TFTP", "NF_CONNTRACK_TFTP",
    ),
    "storage drivers": ("BTRFS_FS", "BTRFS_FS_POSIX_ACL", "BLK_DEV_DM", "DM_THIN_PROVISIONING", "OVERLAY_FS"),
}  # fmt: skip

# Kernel version from which an option is no choice any more: what it stood for is always there.
_GONE_SINCE = {"MEMCG_SWAP": (6, 1)}

_STATES = {"y": "built in", "m": "module"}


@dataclass(frozen=True)
class Option:
    """One option: `state` is "built in", "module" or "missing"."""

    name: str
    group: str
    state: str

    @property
    def on(self) -> bool:
        """Whether the kernel has it, now or after loading a module."""
        return self.state != "missing"


@dataclass(frozen=True)
class Configuration:
    """What a kernel configuration says; `source` is empty, and `reason` is not, where none can be read."""

    source: str
    values: Mapping[str, str]
    reason: str = ""

    def state(self, name: str) -> str:
        """Return the state of an option (without CONFIG_)."""
        return _STATES.get(self.values.get(name, ""), "missing")

    def options(self) -> list[Option]:
        """Return every option that engines need, in the table's order; nothing where not readable."""
        if not self.source:
            return []
        running = version(platform.release())
        return [
            Option(f"CONFIG_{name}", group, self.state(name))
            for group, names in OPTIONS.items()
            for name in names
            if running < _GONE_SINCE.get(name, (1 << 16, 0))
        ]


def places(release: str = "") -> tuple[Path, ...]:
    """Return where the configuration of a kernel may be found, of the running one by default."""
    return Path("/proc/config.gz"), Path(f"/boot/config-{release or platform.release()}")


def read(paths: Sequence[Path] = ()) -> Configuration:
    """Read the first configuration that can be read; paths ending in .gz are unpacked."""
    wanted = tuple(paths) or places()
    reasons = []
    for path in wanted:
        try:
            data = path.read_bytes()
            text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8", "replace")
        except (OSError, EOFError, zlib.error) as error:
            reasons.append(f"{path}: {getattr(error, 'strerror', None) or error}")
            continue
        return Configuration(str(path), dict(re.findall(r"^CONFIG_(\w+)=(.*)$", text, re.MULTILINE)))
    return Configuration("", {}, f"not readable ({'; '.join(reasons)})")


def version(release: str) -> tuple[int, int]:
    """Return the first two numbers of a kernel release, whatever follows them; (0, 0) without any."""
    match = re.match(r"(\d+)\.(\d+)", release)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def too_old(release: str) -> str:
    """Return why no engine can be expected to work on a kernel, an empty string when one can."""
    if version(release) >= OLDEST:
        return ""
    return f"the kernel is {release}; container engines need {OLDEST[0]}.{OLDEST[1]} or later"

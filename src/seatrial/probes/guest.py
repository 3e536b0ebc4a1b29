"""Facts about a host with a kernel of its own, asked by a script there, in the words of `machine.facts`."""

from __future__ import annotations

from typing import Any

from seatrial import exec as command
from seatrial import proc
from seatrial.hosts import Host
from seatrial.probes import machine

# prints NAME=VALUE lines; what is absent prints nothing after the sign
_SCRIPT = r"""
echo "kernel=$(uname -r)"
echo "status=$(grep -E '^Cap(Eff|Bnd):' /proc/self/status | tr '\n\t' '; ')"
echo "last=$(cat /proc/sys/kernel/cap_last_cap)"
echo "memory=$(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo)"
echo "controllers=$(cat /sys/fs/cgroup/cgroup.controllers 2>/dev/null)"
echo "weight=$(ls -d /sys/fs/cgroup/*/io.weight 2>/dev/null | head -n 1)"
echo "cpufiles=$(ls -d /sys/fs/cgroup/*/cpu.* 2>/dev/null | sed 's,.*/,,' | sort -u | tr '\n' ' ')"
echo "numa=$([ -e /proc/self/numa_maps ] && echo yes)"
echo "swapmax=$(ls -d /sys/fs/cgroup/*/memory.swap.max 2>/dev/null | head -n 1)"
echo "lsm=$(cat /sys/kernel/security/lsm 2>/dev/null)"
echo "apparmor=$([ -e /sys/kernel/security/apparmor/profiles ] && echo yes)"
echo "selinux=$([ -e /sys/fs/selinux/enforce ] && echo yes)"
echo "seccomp=$([ -e /proc/sys/kernel/seccomp/actions_avail ] && echo yes)"
echo "userns=$(cat /proc/sys/user/max_user_namespaces 2>/dev/null)"
echo "ipv6=$([ -e /proc/net/if_inet6 ] && echo yes)"
echo "swap=$(sed 1d /proc/swaps | head -n 1)"
echo "filesystems=$(awk '{print $NF}' /proc/filesystems 2>/dev/null | tr '\n' ' ')"
echo "modules=$([ -e "/lib/modules/$(uname -r)/modules.dep" ] && echo yes)"
"""


def facts(host: Host) -> dict[str, Any]:
    """Return those facts of a host that its kernel decides."""
    lines = command.run(["sh", "-c", _SCRIPT], host=host).lines
    told = {name: value.strip() for name, _, value in (line.partition("=") for line in lines)}
    status = proc.status(told["status"].replace(";", "\n"))
    effective = int(status["CapEff"], 16)
    active = [name for name in ("apparmor", "selinux") if told[name]]
    controllers = told["controllers"].split()
    return {
        "kernel": told["kernel"],
        "memory": int(told["memory"]) * 1024,
        "root": True,
        "capabilities": {name: bool(effective >> bit & 1) for name, bit in machine.CAPABILITIES.items()},
        "all_capabilities": effective == int(status["CapBnd"], 16) == (1 << (int(told["last"]) + 1)) - 1,
        "cgroup": {"version": "v2" if controllers else "none", "controllers": controllers},
        "blkio_weight": bool(told["weight"]),
        "processor_files": told["cpufiles"].split(),
        "memory_policies": bool(told["numa"]),
        "swap_accounting": bool(told["swapmax"]),
        "lsm": active + [name for name in told["lsm"].split(",") if name and name not in ("apparmor", "selinux")],
        "seccomp": bool(told["seccomp"]),
        "userns": int(told["userns"] or 0) > 0,
        "ipv6": bool(told["ipv6"]),
        "swap": bool(told["swap"]),
        "filesystems": told["filesystems"].split(),
        "modules": bool(told["modules"]),
        "network": "a lab with a kernel of its own has no network",
    }

"""nerdctl: containerd's Docker-like CLI.

Debian ships no nerdctl, so this driver has never met its engine here: it is covered by the contract
tests, which hold it to the same protocol as the others.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar

from seatrial.engines.base import CliEngine, Dialect, Version, load_dialect


class NerdctlEngine(CliEngine):
    """The driver of nerdctl."""

    name: ClassVar[str] = "nerdctl"
    binary: ClassVar[str] = "nerdctl"
    certificates: ClassVar[str] = "/etc/docker/certs.d"
    dialect: ClassVar[Dialect] = load_dialect("nerdctl")

    def version(self) -> Version:
        """Return the versions of engine and client; containerd has no Docker API."""
        data = json.loads(self.cli("version", "--format", "{{json .}}").stdout)
        parts = {part["Name"]: part.get("Version", "") for part in data.get("Server", {}).get("Components", [])}
        return Version(
            engine=parts.get("containerd", "").removeprefix("v"),
            client=data.get("Client", {}).get("Version", "").removeprefix("v"),
            runtime=parts.get("runc", ""),
        )

    def facts(self) -> dict[str, Any]:
        """Return what the engine says about itself, in the harness's words (see `requires`)."""
        info = json.loads(self.cli("info", "--format", "{{json .}}").stdout)
        security = [option.split(",")[0].removeprefix("name=") for option in info.get("SecurityOptions") or []]
        return {
            "os": info.get("OSType", ""),
            "architecture": info.get("Architecture", ""),
            "storage": info.get("Driver", ""),
            "cgroup_driver": info.get("CgroupDriver", ""),
            "cgroup": f"v{info.get('CgroupVersion') or '1'}",
            "runtime": "runc",
            "runtimes": ["runc"],
            "security": security,
            "rootless": "rootless" in security,
            "userns_remap": False,
            "swarm": "unsupported",
            "swarm_capable": False,
            "experimental": False,
            "root_dir": "/var/lib/nerdctl",
            "plugins": {},
            "warnings": info.get("Warnings") or [],
            "links": False,
            "healthcheck": False,
            "daemon": True,
            "legacy_builder": False,
            "buildkit": True,
            "limits": {
                "memory": bool(info.get("MemoryLimit")),
                "swap": bool(info.get("SwapLimit")),
                "kernel_memory": False,
                "cpu_shares": bool(info.get("CPUShares")),
                "cpu_quota": bool(info.get("CpuCfsQuota")),
                "cpu_period": bool(info.get("CpuCfsPeriod")),
                "cpuset": bool(info.get("CPUSet")),
                "pids": bool(info.get("PidsLimit")),
                "oom_control": bool(info.get("OomKillDisable")),
            },
        }

"""Docker: the `docker` CLI and dockerd."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from seatrial.engines.base import CliEngine, Dialect, Version
from seatrial.exec import ANY

_SAYS = {
    "no_such_container": r"No such container",
    "no_such_image": r"No such image|Unable to find image",
    "no_such_object": r"[Nn]o such (object|container|image)",
    "no_such_network": r"network .* not found|No such network",
    "no_such_volume": r"[Nn]o such volume",
    "name_taken": r"is already in use by container",
    "not_running": r"is not running",
    "paused": r"is paused",
    "bad_reference": r"invalid reference format|invalid argument",
    "unknown_flag": r"unknown flag|unknown shorthand flag",
    "container_running": r"cannot remove a? ?(running )?container|container is running",
}


class DockerEngine(CliEngine):
    """The driver of Docker."""

    name: ClassVar[str] = "docker"
    binary: ClassVar[str] = "docker"
    dialect: ClassVar[Dialect] = Dialect(
        says=_SAYS,
        # the CLI's own code for a failed request, and the one of `run` and `create`
        codes={"error": 1, "unknown_object": 1, "usage": 125},
    )

    def version(self) -> Version:
        """Return the versions of engine, API and client."""
        data = json.loads(self.cli("version", "--format", "{{json .}}").stdout)
        server = data.get("Server") or {}
        return Version(
            engine=server.get("Version", "").split("+")[0],
            api=server.get("ApiVersion", ""),
            client=data.get("Client", {}).get("Version", "").split("+")[0],
            min_api=server.get("MinAPIVersion", ""),
        )

    def info(self) -> dict[str, Any]:
        """Return `docker info` as the CLI prints it."""
        loaded: dict[str, Any] = json.loads(self.cli("info", "--format", "{{json .}}").stdout)
        return loaded

    def facts(self) -> dict[str, Any]:
        """Return what the engine says about itself, in the harness's words (see `requires`)."""
        info = self.info()
        security = [option.split(",")[0].removeprefix("name=") for option in info.get("SecurityOptions") or []]
        buildx = self.cli("buildx", "version", expect=ANY)
        return {
            "os": info.get("OSType", ""),
            "architecture": info.get("Architecture", ""),
            "storage": info.get("Driver", ""),
            "cgroup_driver": info.get("CgroupDriver", ""),
            "cgroup": f"v{info.get('CgroupVersion') or '1'}",
            "runtime": info.get("DefaultRuntime", ""),
            "runtimes": sorted(info.get("Runtimes") or {}),
            "security": security,
            "rootless": "rootless" in security,
            "userns_remap": "userns" in security,
            "swarm": (info.get("Swarm") or {}).get("LocalNodeState", "inactive"),
            "swarm_capable": True,
            "experimental": bool(info.get("ExperimentalBuild")),
            "root_dir": info.get("DockerRootDir", ""),
            "plugins": {kind.lower(): names or [] for kind, names in (info.get("Plugins") or {}).items()},
            "warnings": info.get("Warnings") or [],
            "links": True,
            "healthcheck": True,
            "daemon": True,
            "legacy_builder": True,
            "buildkit": buildx.ok,
            "limits": {
                "memory": bool(info.get("MemoryLimit")),
                "swap": bool(info.get("SwapLimit")),
                "kernel_memory": bool(info.get("KernelMemory")),
                "cpu_shares": bool(info.get("CPUShares")),
                "cpu_quota": bool(info.get("CpuCfsQuota")),
                "cpu_period": bool(info.get("CpuCfsPeriod")),
                "cpuset": bool(info.get("CPUSet")),
                "pids": bool(info.get("PidsLimit")),
                "oom_control": bool(info.get("OomKillDisable")),
            },
        }

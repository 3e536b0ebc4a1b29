"""Podman: a CLI that runs containers itself, and an API service beside it."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from seatrial.engines.base import CliEngine, Dialect, Version

_SAYS = {
    "no_such_container": r"no (such )?container|no container with",
    "no_such_image": r"image not known|no such image|unable to find|short-name|pinging container registry"
    r"|initializing source",
    "no_such_object": r"no such object|no such container|image not known",
    "no_such_network": r"network not found|unable to find network",
    "no_such_volume": r"no such volume",
    "name_taken": r"name .* is (already )?in use|already in use",
    "not_running": r"not running|container state improper|can only",
    "paused": r"paused|container state improper|can only",
    "bad_reference": r"invalid reference format|repository name must be lowercase|must be lower",
    "unknown_flag": r"unknown flag|unknown shorthand flag",
    "container_running": r"cannot remove container .* as it is (running|paused)|container state improper",
}


class PodmanEngine(CliEngine):
    """The driver of Podman."""

    name: ClassVar[str] = "podman"
    binary: ClassVar[str] = "podman"
    dialect: ClassVar[Dialect] = Dialect(
        says=_SAYS,
        codes={"error": 125, "unknown_object": 1, "usage": 125},
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # told once in `doctor`, not in the standard error of every command
        self.env.setdefault("PODMAN_IGNORE_CGROUPSV1_WARNING", "1")

    def force(self, kind: str) -> list[str]:
        """Return the options that make removal unconditional; without --time it waits ten seconds."""
        extra = ["--time", "0"] if kind in ("container", "network", "volume") else []
        options = super().force(kind)
        if kind == "network":
            options = ["--force"]
        return [*options, *(extra if kind == "container" else [])]

    def version(self) -> Version:
        """Return the versions of engine, API and client."""
        data = json.loads(self.cli("version", "--format", "json").stdout)
        client = data.get("Client", {})
        server = data.get("Server") or client
        return Version(
            engine=server.get("Version", ""), api=server.get("APIVersion", ""), client=client.get("Version", "")
        )

    def info(self) -> dict[str, Any]:
        """Return `podman info` as the CLI prints it."""
        loaded: dict[str, Any] = json.loads(self.cli("info", "--format", "json").stdout)
        return loaded

    def facts(self) -> dict[str, Any]:
        """Return what the engine says about itself, in the harness's words (see `requires`)."""
        info = self.info()
        host, store = info["host"], info["store"]
        security = host.get("security", {})
        named = {
            "seccomp": security.get("seccompEnabled"),
            "apparmor": security.get("apparmorEnabled"),
            "selinux": security.get("selinuxEnabled"),
        }
        controllers = host.get("cgroupControllers") or []
        mounted = set(controllers)
        return {
            "os": host.get("os", ""),
            "architecture": host.get("arch", ""),
            "storage": store.get("graphDriverName", ""),
            "cgroup_driver": host.get("cgroupManager", ""),
            "cgroup": host.get("cgroupVersion", ""),
            "runtime": (host.get("ociRuntime") or {}).get("name", ""),
            "runtimes": ["crun", "runc", "runsc"],
            "security": [name for name, on in named.items() if on],
            "rootless": bool(security.get("rootless")),
            "userns_remap": False,
            "swarm": "unsupported",
            "swarm_capable": False,
            "experimental": False,
            "root_dir": store.get("graphRoot", ""),
            "plugins": {kind: names or [] for kind, names in (info.get("plugins") or {}).items() if names},
            "warnings": [],
            "links": False,
            # podman's periodic health checks are systemd timers
            "healthcheck": "systemd",
            "daemon": False,
            "legacy_builder": False,
            "buildkit": False,
            "limits": {
                "memory": "memory" in mounted,
                "swap": "memory" in mounted,
                "kernel_memory": False,
                "cpu_shares": "cpu" in mounted,
                "cpu_quota": "cpu" in mounted,
                "cpu_period": "cpu" in mounted,
                "cpuset": "cpuset" in mounted,
                "pids": "pids" in mounted,
                "oom_control": "memory" in mounted and host.get("cgroupVersion") == "v1",
            },
        }

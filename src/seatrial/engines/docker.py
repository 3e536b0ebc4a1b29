"""Docker: the `docker` CLI and dockerd."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from seatrial.engines.base import CliEngine, Dialect, Version, load_dialect
from seatrial.engines.startable import Startable, Wishes
from seatrial.errors import SeatrialError
from seatrial.exec import ANY
from seatrial.hosts import LOCAL, NamespaceHost
from seatrial.lab.daemon import Daemon, configure
from seatrial.targets import Target, reachable


def components(server: dict[str, Any]) -> dict[str, str]:
    """Return the parts that a server's answer to `version` names, with their versions."""
    return {part["Name"]: part.get("Version", "") for part in server.get("Components") or []}


def security_options(info: dict[str, Any]) -> list[str]:
    """Return the names of the security options in an answer to `info`."""
    return [option.split(",")[0].removeprefix("name=") for option in info.get("SecurityOptions") or []]


class DockerEngine(CliEngine, Startable):
    """The driver of Docker."""

    name = "docker"
    binary = "docker"
    service: ClassVar[str] = "dockerd"
    takes_options: ClassVar[bool] = True
    api: ClassVar[str] = "/run/docker.sock"
    certificates: ClassVar[str] = "/etc/docker/certs.d"
    settings: ClassVar[str] = "/etc/docker/daemon.json"
    dialect: ClassVar[Dialect] = load_dialect("docker")
    builders: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "legacy": {"DOCKER_BUILDKIT": "0"}, "buildkit": {"DOCKER_BUILDKIT": "1"},
    }  # fmt: skip

    @classmethod
    def here(cls, target: Target) -> DockerEngine:
        """Return the driver of the engine that the CLI would talk to: at $DOCKER_HOST or the default socket.

        Raises `SeatrialError` E106 when nothing listens there.
        """
        address = target.address or os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
        if why := reachable(address):
            raise SeatrialError(
                "E106", f"{target} does not answer", why,
                "is that the address of a Docker that runs?" if target.address else
                "start Docker (systemctl start docker), set DOCKER_HOST, or use --engine docker@bookworm",
            )  # fmt: skip
        kind, _, rest = address.partition("://")
        tls = {name: os.environ[name] for name in ("DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH") if name in os.environ}
        socket = Path(rest) if kind == "unix" else None
        return cls(target, LOCAL, socket=socket, env={"DOCKER_HOST": address, **tls})

    @classmethod
    def packages(cls, suite: str) -> Sequence[str]:
        """Return Docker's packages; Debian split the client and the builder off after bookworm."""
        return ("docker.io", "containerd", *(() if suite == "bookworm" else ("docker-cli", "docker-buildx")))

    @classmethod
    def daemon(cls, host: NamespaceHost, log: Path, wishes: Wishes) -> Daemon:
        """Write daemon.json and describe a dockerd."""
        settings = dict(wishes.config)
        if wishes.runtime and wishes.runtime != "runc":
            settings["runtimes"] = {wishes.runtime: {"path": wishes.runtime}}
            settings["default-runtime"] = wishes.runtime
        if wishes.storage:
            settings["storage-driver"] = wishes.storage
        configure(host, cls.settings, json.dumps(settings, indent=1) + "\n")
        return Daemon(host, (cls.service, *wishes.options), cls.api, log, wishes.env)

    @classmethod
    def use_registries(cls, host: NamespaceHost, insecure: Sequence[str], mirrors: Sequence[str]) -> None:
        """Add registries to daemon.json."""
        settings = json.loads(host.path(cls.settings).read_text("utf-8"))
        settings["insecure-registries"] = list(insecure)
        settings["registry-mirrors"] = [f"http://{mirror}" for mirror in mirrors]
        configure(host, cls.settings, json.dumps(settings, indent=1) + "\n")

    @cached_property
    def _told(self) -> dict[str, Any]:
        """What client and server say to `version`: asked once."""
        loaded: dict[str, Any] = self.cli("version", "--format", "{{json .}}").json()
        return loaded

    def version(self) -> Version:
        """Return the versions of engine, API and client."""
        data = self._told
        server = data.get("Server") or {}
        return Version(
            engine=server.get("Version", "").split("+")[0],
            api=server.get("ApiVersion", ""),
            client=data.get("Client", {}).get("Version", "").split("+")[0],
        )

    @staticmethod
    def _identity(parts: Mapping[str, str]) -> dict[str, str]:
        """Return who answers behind the socket: Podman serves the same API and names its parts."""
        names = {"Podman Engine": "podman", "Engine": "docker"}
        known = [name for part, name in names.items() if part in parts]
        return {"identity": known[0]} if known else {}

    def info(self) -> dict[str, Any]:
        """Return `docker info` as the CLI prints it."""
        loaded: dict[str, Any] = self.cli("info", "--format", "{{json .}}").json()
        return loaded

    def _builders(self) -> list[str]:
        """Return the builders that `build` can use, first the one it uses when nothing is said.

        The client of 20.10 speaks BuildKit itself, later ones by the plugin buildx; only BuildKit's
        `build` has secrets.
        """
        found = []
        for choice in ({}, *self.builders.values()):
            shown = self.cli("build", "--help", env=choice, expect=ANY)
            if shown.ok:
                found.append("buildkit" if "--secret" in shown.stdout else "legacy")
        return list(dict.fromkeys(found))

    def facts(self) -> dict[str, Any]:
        """Return what the engine says about itself, in the harness's words (see `requires`)."""
        info = self.info()
        server = self._told.get("Server") or {}
        parts = components(server)
        security = security_options(info)
        builders = self._builders()
        return {
            **self._identity(parts),
            "compiler": server.get("GoVersion", ""),
            "os": info.get("OSType", ""),
            "architecture": info.get("Architecture", ""),
            "storage": info.get("Driver", ""),
            "cgroup_driver": info.get("CgroupDriver", ""),
            "cgroup": f"v{info.get('CgroupVersion') or '1'}",
            "runtime": info.get("DefaultRuntime", ""),
            "runtime_version": parts.get(info.get("DefaultRuntime", ""), "").split("+")[0],
            "runtimes": sorted(info.get("Runtimes") or {}),
            "security": security,
            "rootless": "rootless" in security,
            "userns_remap": "userns" in security,
            "swarm": (info.get("Swarm") or {}).get("LocalNodeState", "inactive"),
            "swarm_capable": True,
            "experimental": bool(info.get("ExperimentalBuild")),
            "registries": [info.get("IndexServerAddress", ""),
                           *((info.get("RegistryConfig") or {}).get("Mirrors") or [])],
            "root_dir": info.get("DockerRootDir", ""),
            "plugins": {kind.lower(): names or [] for kind, names in (info.get("Plugins") or {}).items()},
            "warnings": info.get("Warnings") or [],
            "healthcheck": True,
            "daemon": True,
            "cgroup_watch": True,
            "builders": builders,
            "legacy_builder": "legacy" in builders,
            "buildkit": "buildkit" in builders,
            "limits": limits(info),
        }


def limits(info: Mapping[str, Any]) -> dict[str, bool]:
    """Return which resources an engine with Docker's `info` says that it can limit."""
    fields = {
        "memory": "MemoryLimit", "swap": "SwapLimit", "kernel_memory": "KernelMemory", "cpu_shares": "CPUShares",
        "cpu_quota": "CpuCfsQuota", "cpu_period": "CpuCfsPeriod", "cpuset": "CPUSet", "pids": "PidsLimit",
        "oom_control": "OomKillDisable",
    }  # fmt: skip
    return {name: bool(info.get(field)) for name, field in fields.items()}

"""Podman: a CLI that runs containers itself, and an API service beside it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from seatrial import proc
from seatrial.api.client import Client
from seatrial.engines.base import CliEngine, Dialect, Version, load_dialect
from seatrial.engines.startable import Startable, Wishes
from seatrial.exec import ExpectationError, run
from seatrial.hosts import LOCAL, Host, NamespaceHost
from seatrial.lab.daemon import Daemon, configure
from seatrial.targets import Target

# the runtimes that Podman knows by name, and where it looks for them (containers.conf(5))
_RUNTIMES = ("crun", "crun-vm", "crun-wasm", "kata", "krun", "runc", "runsc", "youki")
_RUNTIME_DIRECTORIES = ("/usr/bin", "/usr/local/bin", "/usr/local/sbin", "/usr/sbin", "/sbin", "/bin")
# Go's names of machines, where every other engine uses the kernel's
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64", "386": "i686"}

# The hard limits that a root without CAP_SYS_RESOURCE can still set for containers. The helper of each exec over
# the API stays for five minutes after its end by default, which would look like a leak.
_CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile={nofile}:{nofile}", "nproc={nproc}:{nproc}"]

[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "{runtime}"
exit_command_delay = 10

[network]
firewall_driver = "iptables"
"""
# what is a storage driver of its own elsewhere is an option of overlay
_MOUNTED_BY = '\n[storage.options.overlay]\nmount_program = "/usr/bin/fuse-overlayfs"\n'
_STORAGE_CONF = """\
[storage]
driver = "{storage}"
runroot = "/run/containers/storage"
graphroot = "/var/lib/containers/storage"
"""


class PodmanEngine(CliEngine, Startable):
    """The driver of Podman."""

    name = "podman"
    binary = "podman"
    service: ClassVar[str] = "podman"
    api: ClassVar[str] = "/run/podman/podman.sock"
    certificates: ClassVar[str] = "/etc/containers/certs.d"
    registries: ClassVar[str] = "/etc/containers/registries.conf.d"
    helpers: ClassVar[frozenset[str]] = frozenset({"conmon", "aardvark-dns", "catatonit"})
    dialect: ClassVar[Dialect] = load_dialect("podman")
    builders: ClassVar[Mapping[str, Mapping[str, str]]] = {"buildah": {}}

    def __init__(
        self, target: Target, host: Host = LOCAL, *, socket: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        # told once in `doctor`, not in the standard error of every command
        quiet = {"PODMAN_IGNORE_CGROUPSV1_WARNING": "1"}
        super().__init__(target, host, socket=socket, env={**quiet, **(env or {})})

    @classmethod
    def packages(cls, suite: str) -> Sequence[str]:
        """Return Podman's packages, the same in every suite."""
        return ("podman", "netavark", "aardvark-dns", "fuse-overlayfs", "uidmap", "catatonit")

    @classmethod
    def daemon(cls, host: NamespaceHost, log: Path, wishes: Wishes) -> Daemon:
        """Configure Podman and describe its API service."""
        limits = {"nofile": _hard_limit("Max open files", 20000), "nproc": _hard_limit("Max processes", 32768)}
        etc = "/etc/containers"
        configure(host, f"{etc}/containers.conf", _CONTAINERS_CONF.format(runtime=wishes.runtime or "runc", **limits))
        by_fuse = wishes.storage == "fuse-overlayfs"
        storage = "overlay" if by_fuse else wishes.storage or "overlay"
        text = _STORAGE_CONF.format(storage=storage) + (_MOUNTED_BY if by_fuse else "")
        configure(host, f"{etc}/storage.conf", text)
        host.path(cls.registries).mkdir(exist_ok=True)
        # Only Docker loads br_netfilter on a real machine. Where it is part of the kernel, a bridge would send a
        # container's own published port back through iptables, and lose it.
        filtered = "/proc/sys/net/bridge/bridge-nf-call-iptables"
        if host.path(filtered).exists():
            run(["tee", filtered], host=host, stdin="0\n")
        argv = (cls.service, "system", "service", "--time=0", f"unix://{cls.api}")
        return Daemon(host, argv, cls.api, log)

    @classmethod
    def use_registries(cls, host: NamespaceHost, insecure: Sequence[str], mirrors: Sequence[str]) -> None:
        """Write a drop-in of registries.conf(5); later ones count more."""
        parts = [f'[[registry]]\nlocation = "{one}"\ninsecure = true\n' for one in insecure]
        if mirrors:
            parts.append('[[registry]]\nlocation = "docker.io"\n')
        parts += [f'[[registry.mirror]]\nlocation = "{one}"\ninsecure = true\n' for one in mirrors]
        configure(host, f"{cls.registries}/seatrial.conf", "\n".join(parts))

    def force(self, kind: str) -> list[str]:
        """Return the options that make removal unconditional.

        Without --time it waits ten seconds; without --ignore, Podman 4.3 removes nothing when one of
        several containers is unknown, and calls that success; without --depend, what another container
        shares a namespace with stays.
        """
        return {"container": ["--force", "--ignore", "--depend", "--volumes", "--time", "0"]}.get(kind, ["--force"])

    def find(self, kind: str, label: str = "") -> list[str]:
        """Return the full ids or names of all objects of a kind; networks are listed quietly by name."""
        if kind != "network":
            return super().find(kind, label)
        chosen = ["--filter", f"label={label}"] if label else []
        return self.look("network", "ls", "--no-trunc", "--format", "{{.ID}}", *chosen).stdout.split()

    def trouble(self, patience: float | None = None) -> str:
        """Return why the engine does not answer; its API is a service beside the command line."""
        if (why := super().trouble(patience)) or self._socket is None:
            return why
        try:
            Client(self.endpoint).get("/_ping", timeout=self.patience if patience is None else patience)
        except ExpectationError as error:
            return f"its API service: {str(error).splitlines()[0]}"
        return ""

    def version(self) -> Version:
        """Return the versions of engine, API and client."""
        data = self.cli("version", "--format", "json").json()
        client = data.get("Client", {})
        server = data.get("Server") or client
        return Version(
            engine=server.get("Version", ""),
            api=server.get("APIVersion", ""),
            client=client.get("Version", ""),
        )

    def _runtimes(self, default: str) -> list[str]:
        """Return the runtimes that Podman finds: its default, and those of its list that are installed."""
        found = {
            name for name in _RUNTIMES for directory in _RUNTIME_DIRECTORIES
            if os.access(self.host.path(f"{directory}/{name}"), os.X_OK)
        }  # fmt: skip
        return sorted(found | ({default} if default else set()))

    def _swap(self, version: str, controllers: list[str]) -> bool:
        if "memory" not in controllers:
            return False
        # Podman does not say; the kernel may account memory without swap
        return version == "v2" or self.host.path("/sys/fs/cgroup/memory/memory.memsw.usage_in_bytes").exists()

    def _watches_cgroups(self, version: str) -> bool:
        """Tell whether a path of /proc/PID/cgroup leads to a cgroup: conmon and `stats` go that way."""
        if version == "v2":
            return True
        text = run(["cat", "/proc/self/cgroup"], host=self.host).stdout
        paths = [line.split(":", 2)[2] for line in text.splitlines() if line.split(":", 2)[1] == "memory"]
        return all(self.host.path(f"/sys/fs/cgroup/memory/{path.lstrip('/')}").is_dir() for path in paths)

    def info(self) -> dict[str, Any]:
        """Return `podman info` as the CLI prints it."""
        loaded: dict[str, Any] = self.cli("info", "--format", "json").json()
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
        mounted = host.get("cgroupControllers") or []
        runtime = (host.get("ociRuntime") or {}).get("name", "")
        version = re.search(r"version ([^\s+]+)", (host.get("ociRuntime") or {}).get("version", ""))
        remote = bool(host.get("serviceIsRemote"))
        return {
            "compiler": (info.get("version") or {}).get("GoVersion", ""),
            "os": host.get("os", ""),
            "architecture": _MACHINES.get(host.get("arch", ""), host.get("arch", "")),
            "storage": store.get("graphDriverName", ""),
            "cgroup_driver": host.get("cgroupManager", ""),
            "cgroup": host.get("cgroupVersion", ""),
            "runtime": runtime,
            "runtime_version": version[1] if version else "",
            "runtimes": [runtime] if remote else self._runtimes(runtime),
            "security": [name for name, on in named.items() if on],
            "rootless": bool(security.get("rootless")),
            "userns_remap": False,
            "swarm": "unsupported",
            "swarm_capable": False,
            "experimental": False,
            "registries": (info.get("registries") or {}).get("search") or [],
            "root_dir": store.get("graphRoot", ""),
            "plugins": {kind: names or [] for kind, names in (info.get("plugins") or {}).items() if names},
            "warnings": [],
            # podman's periodic health checks are systemd timers
            "healthcheck": "systemd",
            "daemon": False,
            "cgroup_watch": self._watches_cgroups(host.get("cgroupVersion", "")),
            "builders": ["buildah"],
            "legacy_builder": False,
            "buildkit": False,
            "limits": {
                "memory": "memory" in mounted,
                "swap": self._swap(host.get("cgroupVersion", ""), mounted),
                "kernel_memory": False,
                "cpu_shares": "cpu" in mounted,
                "cpu_quota": "cpu" in mounted,
                "cpu_period": "cpu" in mounted,
                "cpuset": "cpuset" in mounted,
                "pids": "pids" in mounted,
                "oom_control": "memory" in mounted and host.get("cgroupVersion") == "v1",
            },
        }


def _hard_limit(name: str, most: int) -> int:
    _, value = proc.limits(Path("/proc/self/limits").read_text())[name]
    return most if value == "unlimited" else min(most, int(value))

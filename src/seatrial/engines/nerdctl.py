"""nerdctl: containerd's Docker-like CLI.

Debian ships no nerdctl, so this driver has never met its engine here: it is covered by the contract
tests, which hold it to the same protocol as the others.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import shlex
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from seatrial.engines.base import CliEngine, Dialect, Version, load_dialect
from seatrial.engines.docker import components, limits, security_options
from seatrial.errors import SeatrialError


class NerdctlEngine(CliEngine):
    """The driver of nerdctl."""

    name = "nerdctl"
    binary = "nerdctl"
    certificates: ClassVar[str] = "/etc/docker/certs.d"
    dialect: ClassVar[Dialect] = load_dialect("nerdctl")

    def _version(self) -> dict[str, Any]:
        loaded: dict[str, Any] = self.cli("version", "--format", "{{json .}}").json()
        return loaded

    def version(self) -> Version:
        """Return the versions of engine and client; containerd has no Docker API."""
        data = self._version()
        parts = components(data.get("Server") or {})
        return Version(
            engine=parts.get("containerd", "").removeprefix("v"),
            client=(data.get("Client") or {}).get("Version", "").removeprefix("v"),
        )

    def info(self) -> dict[str, Any]:
        """Return `nerdctl info` as the CLI prints it."""
        loaded: dict[str, Any] = self.cli("info", "--format", "{{json .}}").json()
        return loaded

    def facts(self) -> dict[str, Any]:
        """Return what the engine says about itself, in the harness's words (see `requires`)."""
        info = self.info()
        version = self._version()
        server, client = (components(version.get(side) or {}) for side in ("Server", "Client"))
        security = security_options(info)
        return {
            **({"identity": "nerdctl"} if "containerd" in server else {}),
            "compiler": (version.get("Client") or {}).get("GoVersion", ""),
            "os": info.get("OSType", ""),
            "architecture": info.get("Architecture", ""),
            "storage": info.get("Driver", ""),
            "cgroup_driver": info.get("CgroupDriver", ""),
            "cgroup": f"v{info.get('CgroupVersion') or '1'}",
            # nerdctl does not name its runtimes; the one that it starts itself is runc
            "runtime": "runc" if server.get("runc") else "",
            "runtime_version": server.get("runc", ""),
            "runtimes": ["runc"] if server.get("runc") else [],
            "security": security,
            "rootless": "rootless" in security,
            "userns_remap": False,
            "swarm": "unsupported",
            "swarm_capable": False,
            "experimental": False,
            "root_dir": "/var/lib/nerdctl",
            "plugins": {kind.lower(): names or [] for kind, names in (info.get("Plugins") or {}).items()},
            "warnings": info.get("Warnings") or [],
            # new versions have health checks, by systemd timers
            "healthcheck": "systemd" if "--health-cmd" in self.cli("run", "--help").stdout else False,
            "daemon": True,
            "cgroup_watch": True,
            "builders": ["buildkit"] if client.get("buildctl") else [],
            "legacy_builder": False,
            "buildkit": bool(client.get("buildctl")),
            "limits": {**limits(info), "kernel_memory": False},
        }

    def find(self, kind: str, label: str = "") -> list[str]:
        """Return the full ids or names of all objects of a kind.

        `nerdctl network ls` can neither filter in all versions nor print full ids, so networks are
        asked one by one.
        """
        if kind != "network":
            return super().find(kind, label)
        short = self.cli("network", "ls", "--quiet").stdout.split()
        networks = [self.inspect(name, "network") for name in dict.fromkeys(short)]
        return [item["Id"] for item in networks if not label or _labelled(item.get("Labels") or {}, label)]

    def import_image(self, archive: Path, name: str, changes: Sequence[str] = ()) -> None:
        """Make an image from a tar archive of a root file system.

        Only new versions can import, so the image is put together here and loaded. Raises
        `SeatrialError` E310 for what is no archive.
        """
        if not tarfile.is_tarfile(archive):
            raise SeatrialError("E310", f"{archive} is no tar archive", hint="pack a root file system")
        self.cli("load", stdin=_docker_archive(archive.read_bytes(), name, changes), timeout=300)


def _labelled(labels: dict[str, str], wanted: str) -> bool:
    key, equals, value = wanted.partition("=")
    return key in labels and (not equals or labels[key] == value)


def _docker_archive(layer: bytes, name: str, changes: Sequence[str]) -> bytes:
    """Return an archive as `docker save` writes it, of an image with one layer."""
    config = {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": _image_config(changes),
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    described = json.dumps(config).encode()
    file = f"{hashlib.sha256(described).hexdigest()}.json"
    manifest = json.dumps([{"Config": file, "RepoTags": [name], "Layers": ["layer.tar"]}]).encode()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, content in ((file, described), ("layer.tar", layer), ("manifest.json", manifest)):
            member = tarfile.TarInfo(path)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _image_config(changes: Sequence[str]) -> dict[str, Any]:
    """Translate Dockerfile instructions into an image's configuration; raises `ValueError` for others."""
    config: dict[str, Any] = {}
    for change in changes:
        verb, _, rest = change.partition(" ")
        if verb in ("CMD", "ENTRYPOINT"):
            name = {"CMD": "Cmd", "ENTRYPOINT": "Entrypoint"}[verb]
            config[name] = json.loads(rest) if rest.startswith("[") else ["/bin/sh", "-c", rest]
        elif verb == "ENV":
            config.setdefault("Env", []).extend(shlex.split(rest))
        elif verb == "LABEL":
            pairs = (word.partition("=") for word in shlex.split(rest))
            config.setdefault("Labels", {}).update({key: value for key, _, value in pairs})
        elif verb in ("WORKDIR", "USER", "STOPSIGNAL"):
            config[{"WORKDIR": "WorkingDir", "USER": "User", "STOPSIGNAL": "StopSignal"}[verb]] = rest
        else:
            raise ValueError(f"cannot apply the change {change!r}")
    return config

"""Places of the host that containers were given: by mounts, or by volumes that are only another name for one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from seatrial.audit.scene import Scene

# the system's own: what is at, below or above one of them
_SYSTEM = ("/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/root", "/sbin", "/sys",
           "/usr", "/run/containerd", "/var/lib/docker", "/var/lib/containers", "/var/lib/containerd")  # fmt: skip
_OF_ALL = "/home"  # itself, and not what one user has in it
# what containers are often given of the system, and what tells them nothing, as long as they cannot write it
_HARMLESS = ("/etc/hostname", "/etc/hosts", "/etc/localtime", "/etc/resolv.conf", "/etc/ssl/certs", "/etc/timezone",
             "/usr/local/share/ca-certificates", "/usr/share/ca-certificates", "/usr/share/zoneinfo")  # fmt: skip
_SOCKETS = ("/run/docker.sock", "/run/podman/podman.sock", "/run/containerd/containerd.sock",
            "/run/docker/containerd/containerd.sock", "/run/crio/crio.sock")  # fmt: skip


class Place(NamedTuple):
    """A path of the host as it was asked for, where it leads, and whether the container may write there."""

    asked: str
    real: str
    writable: bool

    def __str__(self) -> str:
        return f"{self.asked}{'' if self.writable else ' (read-only)'}"


def within(path: str, directory: str) -> bool:
    """Tell whether a path is a directory or below it."""
    return path == directory or path.startswith(f"{directory.rstrip('/')}/")


def given(scene: Scene, container: Mapping[str, Any]) -> list[Place]:
    """Return the places of the host that a container was given."""
    found = []
    for mount in container.get("Mounts") or []:
        asked = str(mount.get("Source") or "") if mount.get("Type") == "bind" else _device(scene, mount)
        if asked.startswith("/"):
            found.append(Place(asked.rstrip("/") or "/", scene.files.real(asked), bool(mount.get("RW"))))
    return found


def _device(scene: Scene, mount: Mapping[str, Any]) -> str:
    """Return the path that a volume was made of by `--opt device=PATH --opt o=bind`, empty for every other mount."""
    if mount.get("Type") != "volume":
        return ""
    options = scene.volumes.get(str(mount.get("Name") or ""), {})
    bound = {"bind", "rbind"} & {*str(options.get("o") or "").split(","), str(options.get("type") or "")}
    return str(options.get("device") or "") if bound else ""


def sensitive(scene: Scene, place: Place) -> bool:
    """Tell whether a place is the system's, or has parts of it."""
    if not place.writable and any(within(place.real, path) for path in _HARMLESS):
        return False
    roots = {*_SYSTEM, *(scene.files.real(path) for path in _SYSTEM)}
    return place.real == _OF_ALL or any(within(place.real, path) or within(path, place.real) for path in roots)


def api_sockets(scene: Scene, place: Place) -> list[str]:
    """Return the sockets of engines that are to be had at a place, of those that there are or that it names itself."""
    told = [host.removeprefix("unix://") for host in scene.setting("host") if host.startswith("unix://")]
    known = sorted({scene.files.real(path) for path in (*_SOCKETS, *told)})
    return [path for path in known if within(path, place.real) and (path == place.real or _there(scene, path))]


def _there(scene: Scene, path: str) -> bool:
    return bool(scene.hidden) or scene.files.stat(path) is not None

"""What an audit looks at: no opinion in here."""

from __future__ import annotations

import json
import os
import stat
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from seatrial.hosts import Host

# switches of dockerd that stand without a value; all its other options take one
SWITCHES = frozenset({
    "debug", "experimental", "icc", "init", "ip-forward", "ip-forward-no-drop", "ip-masq", "ip6tables", "iptables",
    "ipv6", "live-restore", "no-new-privileges", "raw-logs", "rootless", "selinux-enabled", "tls", "tlsverify",
    "userland-proxy", "validate", "version", "help", "allow-direct-routing", "cpu-rt-runtime-default",
})  # fmt: skip
_SHORT = {"D": "debug", "H": "host", "l": "log-level", "b": "bridge", "G": "group", "g": "graph", "p": "pidfile",
          "s": "storage-driver", "v": "version"}  # fmt: skip
# how a list is called in daemon.json
_PLURAL = {
    "host": "hosts", "insecure-registry": "insecure-registries", "default-ulimit": "default-ulimits",
    "storage-opt": "storage-opts", "authorization-plugin": "authorization-plugins", "label": "labels",
}  # fmt: skip
# what runc, crun and the engines mask and keep read-only where nothing else is asked for
MASKED = ("/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
          "/proc/sched_debug", "/proc/scsi", "/sys/firmware")  # fmt: skip
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
_BIG = 4 * 1024 * 1024  # bytes of a file that are read: configuration is never larger


@dataclass(frozen=True)
class Stat:
    """A file's kind (file, directory, socket, other), its permission bits and its owners' numbers."""

    kind: str
    mode: int
    uid: int
    gid: int


class Files(Protocol):
    """The files of the host that is audited, by their paths there; what is absent is None."""

    def stat(self, path: str) -> Stat | None:
        """Return what a path is, links followed."""

    def text(self, path: str) -> str | None:
        """Return the text of a file."""

    def names(self, path: str) -> list[str]:
        """Return the sorted names in a directory, none where there is none."""

    def real(self, path: str) -> str:
        """Return a path without dots and links."""


class HostFiles:
    """Files of a host that is seen from here."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def stat(self, path: str) -> Stat | None:
        """Return what a path is, links followed as the host would."""
        try:
            found = os.stat(self._host.path(path), follow_symlinks=False)
        except OSError:
            return None
        kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFSOCK: "socket"}
        return Stat(kinds.get(stat.S_IFMT(found.st_mode), "other"), stat.S_IMODE(found.st_mode), found.st_uid,
                    found.st_gid)  # fmt: skip

    def text(self, path: str) -> str | None:
        """Return the beginning of a regular file, 4 MiB at most."""
        if (found := self.stat(path)) is None or found.kind != "file":
            return None
        try:
            with self._host.path(path).open("rb") as stream:
                return stream.read(_BIG).decode("utf-8", "replace")
        except OSError:
            return None

    def names(self, path: str) -> list[str]:
        """Return the sorted names in a directory."""
        try:
            return sorted(os.listdir(self._host.path(path)))
        except OSError:
            return []

    def real(self, path: str) -> str:
        """Return a path without dots and links, as the host would follow them."""
        found, root = str(self._host.path(os.path.normpath(path))), str(self._host.root)
        if root == "/":
            return os.path.realpath(found)
        return "/" + found.removeprefix(root).lstrip("/")  # realpath would leave a root that is a link of /proc


class NoFiles:
    """The files of a host that is not seen from here: there seem to be none; `Scene.hidden` says why."""

    def stat(self, _: str) -> Stat | None:
        """Return nothing."""
        return None

    def text(self, _: str) -> str | None:
        """Return nothing."""
        return None

    def names(self, _: str) -> list[str]:
        """Return nothing."""
        return []

    def real(self, path: str) -> str:
        """Return a path without dots, and without the one link that every host has."""
        return without_link(path)


def without_link(path: str) -> str:
    """Return a path without dots, /var/run being /run (FHS 3.0, 5.13)."""
    plain = os.path.normpath(path)
    return plain.removeprefix("/var") if f"{plain}/".startswith("/var/run/") else plain


@dataclass
class Scene:
    """The host, the engine's configuration, and what is there of containers, images and networks."""

    target: str
    engine: str  # docker or podman
    version: str
    files: Files
    info: Mapping[str, Any] = field(default_factory=dict)
    hidden: str = ""  # why the host's files are not seen, empty when they are
    argv: Sequence[str] | None = None  # the daemon's command line, None when it is not found
    mounts: Sequence[str] = ()  # mount points of the host
    audit_rules: str | None = None  # as auditctl lists them, None without the tool
    containers: Sequence[Mapping[str, Any]] = ()  # running ones, as `inspect` shows them
    commands: Mapping[str, Sequence[str]] = field(default_factory=dict)  # container name -> commands in it
    shared: Mapping[str, Sequence[str]] = field(default_factory=dict)  # container name -> namespaces of the host's
    # container name -> what the kernel shows of its first process: fields of /proc/PID/status, mount points below /proc
    # and /sys with their options; none where the process is that of a sandbox with a kernel of its own
    processes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    covered: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    kernel_paths: Sequence[str] = ()  # those of MASKED and READ_ONLY that the host has
    listening: Sequence[str] | None = None  # TCP addresses at which the daemon listens, None when that is not seen
    plain: str = ""  # the address at which this audit reached the API by TCP without TLS, empty otherwise
    volumes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # name -> options that it was made with
    all_containers: int = 0
    images: Sequence[Mapping[str, Any]] = ()
    histories: Mapping[str, Sequence[str]] = field(default_factory=dict)  # image id -> what made its layers
    networks: Sequence[Mapping[str, Any]] = ()
    services: Sequence[Mapping[str, Any]] = ()  # of a swarm
    environment: Mapping[str, str] = field(default_factory=dict)

    def group(self, name: str) -> tuple[int, list[str]] | None:
        """Return number and members of a group of the host's."""
        for line in (self.files.text("/etc/group") or "").splitlines():
            fields = line.split(":")
            if len(fields) == 4 and fields[0] == name and fields[2].isdigit():
                return int(fields[2]), [member for member in fields[3].split(",") if member]
        return None

    @property
    def options(self) -> dict[str, list[str]]:
        """The options of the daemon's command line, by their long names."""
        return options(self.argv or ())

    @property
    def config_path(self) -> str:
        """Where the daemon's configuration file is, whether it exists or not."""
        return (self.options.get("config-file") or ["/etc/docker/daemon.json"])[-1]

    @property
    def config(self) -> Mapping[str, Any]:
        """The daemon's configuration file; empty where it is absent or no JSON object."""
        try:
            loaded = json.loads(self.files.text(self.config_path) or "{}")
        except ValueError:
            return {}
        return loaded if isinstance(loaded, dict) else {}

    def setting(self, name: str) -> list[str]:
        """Return what the daemon was told for an option, on its command line or in its file; nothing when neither."""
        if name in self.options:
            return self.options[name]
        value = self.config.get(_PLURAL.get(name, name))
        if isinstance(value, bool):
            return [str(value).lower()]
        if isinstance(value, dict):
            return [f"{key}={part}" for key, part in value.items()]
        if isinstance(value, list):
            return [str(part) for part in value]
        return [] if value in (None, "") else [str(value)]

    def switch(self, name: str) -> bool | None:
        """Return what the daemon was told for a switch, None when nothing."""
        told = self.setting(name)
        return boolean(told[-1]) if told else None

    def table(self, *paths: str) -> dict[str, dict[str, Any]]:
        """Return TOML files and directories of drop-ins (ending in .d) merged in their order: section -> keys."""
        merged: dict[str, dict[str, Any]] = {}
        for path in paths:
            parts = [f"{path}/{name}" for name in self.files.names(path)] if path.endswith(".d") else [path]
            for part in parts:
                for section, keys in _toml(self.files.text(part) or "").items():
                    if isinstance(keys, dict):
                        merged.setdefault(section, {}).update(keys)
                    else:
                        merged.setdefault("", {})[section] = keys
        return merged


def boolean(text: str) -> bool | None:
    """Return what Go's strconv.ParseBool makes of a text, None where it refuses."""
    if text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    return False if text in ("0", "f", "F", "false", "FALSE", "False") else None


def _toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return {}


def options(argv: Sequence[str]) -> dict[str, list[str]]:
    """Return the options of a dockerd's command line by their long names, with their values as text."""
    found: dict[str, list[str]] = {}
    words = list(argv[1:])
    while words:
        word = words.pop(0)
        if not word.startswith("-"):
            continue
        name, given, value = word.lstrip("-").partition("=")
        if not word.startswith("--") and name[:1] in _SHORT and len(name) > 1:
            name, given, value = name[0], "=", name[1:]  # -Hunix://...
        name = _SHORT.get(name, name)
        if not given:
            value = "true" if name in SWITCHES else words.pop(0) if words else ""
        found.setdefault(name, []).append(value.strip("\"'"))
    return found


def name_of(container: Mapping[str, Any]) -> str:
    """Return a container's name without the slash."""
    return str(container["Name"]).lstrip("/")

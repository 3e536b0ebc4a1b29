"""What an audit looks at, gathered from an engine and its host: no opinion in here."""

from __future__ import annotations

import json
import os
import stat
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from seatrial import exec as command
from seatrial.engines.base import CliEngine
from seatrial.engines.drivers import driver
from seatrial.exec import ANY
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
_KINDS = ("net", "pid", "ipc", "uts")
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


def look(engine: CliEngine) -> Scene:
    """Gather a scene; raises `ExpectationError` when the engine does not answer as it should."""
    version = engine.version()
    scene = Scene(
        str(engine.target), engine.name, version.engine,
        HostFiles(engine.host) if engine.local else NoFiles(),
        info=driver_info(engine), hidden="" if engine.local else "the engine is on another machine",
        environment={name: os.environ[name] for name in ("DOCKER_CONTENT_TRUST",) if name in os.environ},
    )  # fmt: skip
    running = engine.look("ps", "--quiet", "--no-trunc").stdout.split()
    scene.containers = _inspected(engine, "container", running)
    scene.all_containers = len(engine.find("container"))
    scene.images = _inspected(engine, "image", engine.find("image"))
    scene.networks = _inspected(engine, "network", engine.find("network"))
    scene.histories = {
        str(image["Id"]): engine.look("history", "--no-trunc", "--format", "{{.CreatedBy}}", str(image["Id"])).lines
        for image in scene.images
    }  # fmt: skip
    scene.commands = {name_of(one): _commands(engine, str(one["Id"])) for one in scene.containers}
    if engine.local:
        scene.shared = _shared(engine.host, scene.containers)
        scene.mounts = [line.split()[4] for line in _read(engine.host, "/proc/self/mountinfo").splitlines()]
        scene.audit_rules = _audit_rules(engine.host)
        scene.argv = _daemon(engine.host)
    if (scene.info.get("Swarm") or {}).get("ControlAvailable"):
        services = engine.look("service", "ls", "--quiet").stdout.split()
        scene.services = _inspected(engine, "service", services)
    return scene


def driver_info(engine: CliEngine) -> Mapping[str, Any]:
    """Return what the engine's `info` says, as its driver reads it."""
    cls = driver(engine.name)
    found: Mapping[str, Any] = getattr(cls, "info")(engine)  # noqa: B009 - not every driver has one
    return found


def name_of(container: Mapping[str, Any]) -> str:
    """Return a container's name without the slash."""
    return str(container["Name"]).lstrip("/")


def _inspected(engine: CliEngine, kind: str, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the descriptions of objects; those that are gone by then are left out."""
    found = []
    for name in names:
        shown = engine.cli(kind, "inspect", name, expect=ANY)
        if shown.ok:
            found += shown.json()
    return found


def _commands(engine: CliEngine, container: str) -> list[str]:
    """Return the names of the commands that run in a container, as its engine's `top` lists them."""
    format_ = ["-eo", "comm"] if engine.name != "podman" else ["comm"]
    shown = engine.cli("top", container, *format_, expect=ANY)
    return [line.strip() for line in shown.lines[1:]] if shown.ok else []


def _shared(host: Host, containers: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return which namespaces each container has in common with the host, as the kernel shows them."""
    own = dict(zip(_KINDS, _namespaces(host, "self"), strict=False))
    found = {}
    for one in containers:
        theirs = dict(zip(_KINDS, _namespaces(host, str((one.get("State") or {}).get("Pid"))), strict=False))
        found[name_of(one)] = [kind for kind, link in theirs.items() if own.get(kind) == link]
    return found


def _namespaces(host: Host, process: str) -> list[str]:
    paths = [f"/proc/{process}/ns/{kind}" for kind in _KINDS]
    shown = command.run(["readlink", *paths], host=host, expect=ANY)
    return shown.lines if len(shown.lines) == len(paths) else []


def _read(host: Host, path: str) -> str:
    return command.run(["cat", path], host=host, expect=ANY).stdout


def _audit_rules(host: Host) -> str | None:
    if not any(host.path(f"{place}/auditctl").exists() for place in ("/sbin", "/usr/sbin")):
        return None
    shown = command.run(["auditctl", "-l"], host=host, expect=ANY)
    return shown.stdout if shown.ok else ""


def _daemon(host: Host) -> list[str] | None:
    """Return the command line of the daemon whose pid file the host has.

    Not that of the newest process called dockerd: there may be several, in labs and in containers.
    """
    for place in ("/run/docker.pid", "/var/run/docker.pid"):
        number = (HostFiles(host).text(place) or "").strip()
        if number.isdigit() and (line := _read(host, f"/proc/{number}/cmdline")):
            return line.rstrip("\0").split("\0")
    return None

"""Gathering what an audit looks at from an engine and its host."""

from __future__ import annotations

import ipaddress
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from seatrial import exec as command
from seatrial import proc
from seatrial.audit.scene import MASKED, READ_ONLY, HostFiles, NoFiles, Scene, name_of
from seatrial.engines.base import CliEngine
from seatrial.engines.drivers import driver
from seatrial.exec import ANY
from seatrial.hosts import Host

Container = Mapping[str, Any]
_KINDS = ("net", "pid", "ipc", "uts")
_FIELDS = ("Seccomp", "NoNewPrivs", "CapBnd")
_OWN_KERNEL = ("runsc", "kata")  # runtimes whose process on the host is not the container's
_LISTEN = "0A"  # TCP_LISTEN in /proc/net/tcp


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
    scene.volumes = {str(one["Name"]): one.get("Options") or {}
                     for one in _inspected(engine, "volume", engine.find("volume"))}  # fmt: skip
    if engine.address.startswith("tcp://") and engine.endpoint.tls is None:
        scene.plain = engine.address
    scene.commands = {name_of(one): _commands(engine, str(one["Id"])) for one in scene.containers}
    if engine.local:
        scene.shared = _shared(engine.host, scene.containers)
        scene.mounts = [line.split()[4] for line in _read(engine.host, "/proc/self/mountinfo").splitlines()]
        scene.audit_rules = _audit_rules(engine.host)
        number = _daemon(engine.host)
        scene.argv = _command_line(engine.host, number) if number else None
        scene.listening = _listening(engine.host, number) if number else None
        scene.kernel_paths = command.run(["ls", "-d", *MASKED, *READ_ONLY], host=engine.host, expect=ANY).lines
        for one in scene.containers:
            _look_at_kernel(scene, engine.host, one)
    if (scene.info.get("Swarm") or {}).get("ControlAvailable"):
        services = engine.look("service", "ls", "--quiet").stdout.split()
        scene.services = _inspected(engine, "service", services)
    return scene


def driver_info(engine: CliEngine) -> Mapping[str, Any]:
    """Return what the engine's `info` says, as its driver reads it."""
    cls = driver(engine.name)
    found: Mapping[str, Any] = getattr(cls, "info")(engine)  # noqa: B009 - not every driver has one
    return found


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


def _look_at_kernel(scene: Scene, host: Host, container: Container) -> None:
    """Note what the kernel shows of a container's first process; nothing where that is a sandbox's own."""
    runtime = str(_host_config(container).get("Runtime") or container.get("OCIRuntime") or "")
    number = (container.get("State") or {}).get("Pid")
    if not number or any(word in runtime for word in _OWN_KERNEL):
        return
    name = name_of(container)
    seen = proc.status(_read(host, f"/proc/{number}/status"))
    mounts = proc.mounts(_read(host, f"/proc/{number}/mountinfo"))
    if seen and mounts:
        scene.processes = {**scene.processes, name: {field: seen[field] for field in _FIELDS if field in seen}}
        scene.covered = {**scene.covered, name: {
            mount.target: ",".join(sorted(mount.options)) for mount in mounts
            if mount.target.startswith(("/proc/", "/sys/"))
        }}  # fmt: skip


def _host_config(container: Container) -> Container:
    found: Container = container.get("HostConfig") or {}
    return found


def _listening(host: Host, number: str) -> list[str]:
    """Return the TCP addresses at which a process listens (proc_pid_net(5)), as ADDRESS:PORT."""
    shown = command.run(["find", f"/proc/{number}/fd", "-lname", "socket:*", "-printf", "%l\n"], host=host, expect=ANY)
    own = {line.removeprefix("socket:[").rstrip("]") for line in shown.lines}
    found = []
    for table in ("tcp", "tcp6"):
        for row in _read(host, f"/proc/{number}/net/{table}").splitlines()[1:]:
            words = row.split()
            if words[3] == _LISTEN and words[9] in own:
                address, port = words[1].split(":")
                found.append(f"{_address(address)}:{int(port, 16)}")
    return sorted(set(found))


def _address(text: str) -> str:
    """Return an address of /proc/net/tcp: hexadecimal words of 32 bits in the order of this machine."""
    raw = b"".join(int(text[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(text), 8))
    found = ipaddress.ip_address(raw)
    return f"[{found}]" if found.version == 6 else str(found)


def _daemon(host: Host) -> str:
    """Return the number of the daemon whose pid file the host has, empty without one that runs.

    Not that of the newest process called dockerd: there may be several, in labs and in containers.
    """
    for place in ("/run/docker.pid", "/var/run/docker.pid"):
        number = (HostFiles(host).text(place) or "").strip()
        if number.isdigit() and _read(host, f"/proc/{number}/cmdline"):
            return number
    return ""


def _command_line(host: Host, number: str) -> list[str]:
    return _read(host, f"/proc/{number}/cmdline").rstrip("\0").split("\0")

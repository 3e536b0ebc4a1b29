"""Files that decide what the engine does: who owns them and who may write them (CIS section 3)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import PurePosixPath

from seatrial.audit import units
from seatrial.audit.model import Check, Outcome, Severity, absent, failed, passed, unseen
from seatrial.audit.scene import Scene

Paths = Callable[[Scene], list[str]]


def _unit(name: str) -> Paths:
    def found(scene: Scene) -> list[str]:
        return [f"{place}/{name}" for place in units.PLACES if scene.files.stat(f"{place}/{name}")][:1]

    return found


def _at(*paths: str) -> Paths:
    return lambda scene: list(paths)


def _option(name: str) -> Paths:
    return lambda scene: scene.setting(name)[-1:]


def _below(directory: str, suffixes: tuple[str, ...]) -> Paths:
    """Return what finds the files with one of these endings in a directory and in those right below it."""
    def found(scene: Scene) -> list[str]:
        places = [directory, *(f"{directory}/{name}" for name in scene.files.names(directory))]
        return [f"{place}/{name}" for place in places for name in scene.files.names(place) if name.endswith(suffixes)]

    return found


def _socket(scene: Scene) -> list[str]:
    told = [host.removeprefix("unix://") for host in scene.setting("host") if host.startswith("unix://")]
    return told or ["/run/docker.sock"]


def _owned(find: Paths, group: str, scene: Scene) -> Outcome:
    """Judge the owners: root, and the group, whose number the host's list of groups has."""
    if scene.hidden:
        return unseen(scene.hidden)
    there = {path: found for path in find(scene) if (found := scene.files.stat(path))}
    if not there:
        return absent("there is no such file")
    known = scene.group(group)
    number = 0 if group == "root" else known[0] if known else 0
    wrong = {path: f"{path} is {found.uid}:{found.gid}" for path, found in there.items()
             if (found.uid, found.gid) != (0, number)}  # fmt: skip
    if wrong:
        return failed(f"not owned by root:{group}", list(wrong.values()), next(iter(wrong)))
    return passed(f"owned by root:{group}", next(iter(there)))


def _limited(find: Paths, most: int, scene: Scene) -> Outcome:
    """Judge the permission bits: none but those of `most`."""
    if scene.hidden:
        return unseen(scene.hidden)
    there = {path: found for path in find(scene) if (found := scene.files.stat(path))}
    if not there:
        return absent("there is no such file")
    wrong = {path: f"{path} has {found.mode:03o}" for path, found in there.items() if found.mode & ~most}
    if wrong:
        return failed(f"more is allowed than {most:03o}", list(wrong.values()), next(iter(wrong)))
    return passed(f"nothing is allowed beyond {most:03o}", next(iter(there)))


_ROWS: tuple[tuple[str, str, Paths, str, int, str, str, Severity, tuple[str, ...]], ...] = (
    # id, what, where, group, most permissions, number of the check of owners, of permissions, severity, engines
    ("docker-service", "docker.service", _unit("docker.service"), "root", 0o644, "3.1", "3.2", Severity.HIGH,
     ("docker",)),
    ("docker-socket-unit", "docker.socket", _unit("docker.socket"), "root", 0o644, "3.3", "3.4", Severity.HIGH,
     ("docker",)),
    ("docker-etc", "/etc/docker", _at("/etc/docker"), "root", 0o755, "3.5", "3.6", Severity.HIGH, ("docker",)),
    ("registry-certificates", "registry certificates", _below("/etc/docker/certs.d", (".crt",)), "root", 0o444, "3.7",
     "3.8", Severity.MEDIUM, ("docker",)),
    ("tls-ca", "the CA of the API", _option("tlscacert"), "root", 0o444, "3.9", "3.10", Severity.HIGH, ("docker",)),
    ("tls-certificate", "the certificate of the API", _option("tlscert"), "root", 0o444, "3.11", "3.12",
     Severity.MEDIUM, ("docker",)),
    ("tls-key", "the key of the API", _option("tlskey"), "root", 0o400, "3.13", "3.14", Severity.CRITICAL,
     ("docker",)),
    ("docker-socket", "the API's socket", _socket, "docker", 0o660, "3.15", "3.16", Severity.CRITICAL, ("docker",)),
    ("daemon-json", "daemon.json", lambda scene: [scene.config_path], "root", 0o644, "3.17", "3.18", Severity.HIGH,
     ("docker",)),
    ("default-docker", "/etc/default/docker", _at("/etc/default/docker"), "root", 0o644, "3.19", "3.20",
     Severity.HIGH, ("docker",)),
    ("sysconfig-docker", "/etc/sysconfig/docker", _at("/etc/sysconfig/docker"), "root", 0o644, "3.22", "3.21",
     Severity.HIGH, ("docker",)),
    ("containerd-socket", "containerd's socket",
     _at("/run/containerd/containerd.sock", "/run/docker/containerd/containerd.sock"), "root", 0o660, "3.23", "3.24",
     Severity.CRITICAL, ("docker",)),
    ("data-root", "the data directory", lambda scene: [str(scene.info.get("DockerRootDir") or "/var/lib/docker")],
     "root", 0o711, "", "", Severity.HIGH, ("docker",)),
    ("podman-socket", "the API's socket", _at("/run/podman/podman.sock"), "root", 0o660, "", "", Severity.CRITICAL,
     ("podman",)),
    ("podman-run", "/run/podman", _at("/run/podman"), "root", 0o755, "", "", Severity.HIGH, ("podman",)),
    ("containers-etc", "/etc/containers", _at("/etc/containers"), "root", 0o755, "", "", Severity.HIGH, ("podman",)),
    ("containers-conf", "the files of /etc/containers",
     _below("/etc/containers", (".conf", ".json", ".yaml", ".conflist")), "root", 0o644, "", "", Severity.HIGH,
     ("podman",)),
    ("podman-certificates", "registry certificates", _below("/etc/containers/certs.d", (".crt", ".cert")), "root",
     0o444, "", "", Severity.MEDIUM, ("podman",)),
    ("podman-data", "the storage directory",
     lambda scene: [str((scene.info.get("store") or {}).get("graphRoot") or "/var/lib/containers/storage")], "root",
     0o711, "", "", Severity.HIGH, ("podman",)),
    ("runtime", "the runtimes", _at("/usr/bin/runc", "/usr/sbin/runc", "/usr/bin/crun"), "root", 0o755, "", "",
     Severity.CRITICAL, ("docker", "podman")),
)


def _named(what: str) -> str:
    """Return a subject with a capital, unless it is a file's name."""
    name = PurePosixPath(what)
    return what if name.suffix or name.is_absolute() else what[0].upper() + what[1:]


CHECKS = tuple(
    check
    for id_, what, find, group, most, owner, mode, severity, engines in _ROWS
    for check in (
        Check(f"file-{id_}-owner", "files", f"{_named(what)}: owned by root:{group}", partial(_owned, find, group),
              severity, f"chown root:{group} {what}", "Who owns it can change what runs as root.",
              cis=owner, engines=engines),
        Check(f"file-{id_}-mode", "files", f"{_named(what)}: {most:03o} or less", partial(_limited, find, most),
              severity, f"chmod {most:03o} {what}", "Who may write it can change what runs as root.",
              cis=mode, engines=engines),
    )
)  # fmt: skip

"""The host: where containers are kept, who may use the engine, what the audit daemon watches (CIS section 1)."""

from __future__ import annotations

from functools import partial

from seatrial.audit.model import Check, Outcome, Severity, absent, failed, manual, passed, unseen
from seatrial.audit.scene import Scene

BOTH = ("docker", "podman")
_RULES = "/etc/audit/audit.rules"


def data_root(scene: Scene) -> str:
    """Return the directory in which the engine keeps images and containers."""
    if scene.engine == "podman":
        return str((scene.info.get("store") or {}).get("graphRoot") or "/var/lib/containers/storage")
    return str(scene.info.get("DockerRootDir") or "/var/lib/docker")


def _partition(scene: Scene) -> Outcome:
    if scene.hidden:
        return unseen(scene.hidden)
    place = data_root(scene)
    above = [place] if scene.engine == "docker" else [place, place.removesuffix("/storage")]
    if any(one in scene.mounts for one in above):
        return passed(f"{place} is a mount point")
    return failed(f"{place} shares its file system with the host: images can fill it", path=place)


def _trusted(scene: Scene) -> Outcome:
    if scene.hidden:
        return unseen(scene.hidden)
    found = scene.group("docker")
    if found is None:
        return absent("there is no group docker")
    return manual("members of the group docker are root on this host in all but name", found[1], "/etc/group")


def _watched(path: str, scene: Scene) -> Outcome:
    if scene.hidden:
        return unseen(scene.hidden)
    places = (data_root(scene),) if path == "DATA" else (path, *_ELSEWHERE.get(path, ()))
    where = next((place for place in places if scene.files.stat(place)), "")
    if not where:
        return absent(f"there is no {places[0]}")
    rules = scene.audit_rules if scene.audit_rules is not None else scene.files.text(_RULES)
    if rules is None:
        return failed("there is neither auditctl nor a file of its rules", path=where)
    lines = [line.split() for line in rules.splitlines() if not line.lstrip().startswith("#")]
    wanted = {where, where.rstrip("/") + "/"}
    if any(word.partition("=")[2] in wanted or word in wanted for line in lines for word in line):
        return passed(f"a rule watches {where}")
    return failed(f"no rule of the audit daemon watches {where}", path=where)


# where distributions put what the benchmark expects in another place
_ELSEWHERE = {
    "/usr/bin/dockerd": ("/usr/sbin/dockerd",),
    "/usr/bin/runc": ("/usr/sbin/runc",),
    "/run/containerd": ("/run/docker/containerd",),
    "/run/containerd/containerd.sock": ("/run/docker/containerd/containerd.sock",),
}

# number in the benchmark, path, level, engines
_WATCHED = (
    ("1.1.3", "/usr/bin/dockerd", 1, ("docker",)),
    ("1.1.4", "/run/containerd", 1, ("docker",)),
    ("1.1.5", "DATA", 2, BOTH),
    ("1.1.6", "/etc/docker", 2, ("docker",)),
    ("1.1.7", "/lib/systemd/system/docker.service", 2, ("docker",)),
    ("1.1.8", "/run/containerd/containerd.sock", 2, ("docker",)),
    ("1.1.9", "/lib/systemd/system/docker.socket", 2, ("docker",)),
    ("1.1.10", "/etc/default/docker", 2, ("docker",)),
    ("1.1.11", "/etc/docker/daemon.json", 2, ("docker",)),
    ("1.1.12", "/etc/containerd/config.toml", 2, ("docker",)),
    ("1.1.13", "/etc/sysconfig/docker", 2, ("docker",)),
    ("1.1.14", "/usr/bin/containerd", 2, ("docker",)),
    ("1.1.15", "/usr/bin/containerd-shim", 2, ("docker",)),
    ("1.1.16", "/usr/bin/containerd-shim-runc-v1", 2, ("docker",)),
    ("1.1.17", "/usr/bin/containerd-shim-runc-v2", 2, ("docker",)),
    ("1.1.18", "/usr/bin/runc", 2, BOTH),
    ("", "/usr/bin/podman", 1, ("podman",)),
    ("", "/usr/bin/conmon", 2, ("podman",)),
    ("", "/usr/bin/crun", 2, ("podman",)),
    ("", "/etc/containers", 2, ("podman",)),
)


def _id(path: str) -> str:
    return "host-watch-data" if path == "DATA" else "host-watch-" + path.strip("/").replace("/", "-").replace(".", "-")


CHECKS = (
    Check("host-partition", "host", "Containers have a file system of their own", _partition, Severity.LOW,
          "Mount a file system of its own at the engine's data directory.",
          "What containers write and images hold can fill a file system; the host's own must not stand still for it.",
          cis="1.1.1", engines=BOTH),
    Check("host-trusted-users", "host", "Only trusted users control the daemon", _trusted, Severity.HIGH,
          "Remove from the group docker whoever need not be root: gpasswd --delete USER docker.",
          "Who can reach the daemon's socket can mount the host's root directory into a container.",
          scored=False, cis="1.1.2"),
    *(Check(_id(path), "host", f"The audit daemon watches {path if path != 'DATA' else 'the data directory'}",
            partial(_watched, path), Severity.INFO,
            f"Add to {_RULES}: -w {path if path != 'DATA' else 'DIRECTORY'} -k containers",
            "A trace of who changed or ran what containers trust is left outside of their reach.",
            level=level, cis=cis, engines=engines)
      for cis, path, level, engines in _WATCHED),
    Check("host-hardened", "host", "The host is hardened",
          lambda _: manual("was the host hardened as the benchmark of its system says?"), Severity.MEDIUM,
          "Follow the benchmark of the host's system.", scored=False, cis="1.2.1", engines=BOTH),
    Check("host-version", "host", "The engine is up to date",
          lambda scene: manual(f"{scene.engine} {scene.version}: does its maker still mend it?"), Severity.HIGH,
          "Install the updates of the distribution or of the engine's maker.", scored=False, cis="1.2.2",
          engines=BOTH),
)  # fmt: skip

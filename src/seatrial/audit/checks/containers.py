"""Containers that run: what each was given of the host, and what of it is limited (CIS sections 5 and 6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from seatrial.audit import places
from seatrial.audit.model import Check, Outcome, Severity, absent, failed, manual, passed
from seatrial.audit.scene import MASKED, READ_ONLY, Scene, boolean, name_of
from seatrial.oci.observe import capability_names

BOTH = ("docker", "podman")
Container = Mapping[str, Any]
_DEFAULT = frozenset({
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW",
    "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
})  # fmt: skip


def _host(one: Container) -> Mapping[str, Any]:
    found: Mapping[str, Any] = one.get("HostConfig") or {}
    return found


def _options(one: Container) -> list[str]:
    return [str(option).replace("=", ":", 1) for option in _host(one).get("SecurityOpt") or []]


def each(flaw: Callable[[Scene, Container], str], fault: str, scene: Scene, *, by_hand: bool = False) -> Outcome:
    """Judge every running container by what `flaw` says of it; nothing is wrong where it says nothing."""
    if not scene.containers:
        return absent("no container runs")
    items = [f"{name_of(one)}: {said}" for one in scene.containers if (said := flaw(scene, one))]
    if not items:
        return passed(f"none of {len(scene.containers)}")
    return manual(fault, items) if by_hand else failed(fault, items)


def _mode(field: str, kind: str, scene: Scene, one: Container) -> str:
    # what the kernel shows counts as much: Podman 4.3 calls the mode of `--ipc host` shareable
    if kind in scene.shared.get(name_of(one), ()):
        return f"in the host's {kind} namespace"
    return f"{field} is host" if _host(one).get(field) == "host" else ""


def _apparmor(scene: Scene, one: Container) -> str:
    profile = str(one.get("AppArmorProfile") or "")
    return "" if profile not in ("", "unconfined") else profile or "no profile"


def _if_module(name: str, flaw: Callable[[Scene, Container], str], fault: str, scene: Scene) -> Outcome:
    """Judge the containers where the engine works with the security module, else say that it does not apply."""
    security = (scene.info.get("host") or {}).get("security") or {}
    said = [str(one).split(",")[0] for one in scene.info.get("SecurityOptions") or []]
    if not (security.get(f"{name}Enabled") or f"name={name}" in said):
        return absent(f"the engine works without {name} here")
    return each(flaw, fault, scene)


def _label(_: Scene, one: Container) -> str:
    if "label:disable" in _options(one):
        return "label=disable"
    return "" if one.get("ProcessLabel") else "no label"


def _process(scene: Scene, one: Container) -> Mapping[str, str]:
    """Return what the kernel shows of the container's first process; it counts for more than what was asked for."""
    return scene.processes.get(name_of(one), {})


def _capabilities(scene: Scene, one: Container) -> str:
    added = {str(name).upper().removeprefix("CAP_") for name in _host(one).get("CapAdd") or []}
    if seen := _process(scene, one).get("CapBnd"):
        added = {name.removeprefix("CAP_") for name in capability_names(int(seen, 16))}
    return ", ".join(sorted(added - _DEFAULT))


def _privileged(_: Scene, one: Container) -> str:
    return "privileged" if _host(one).get("Privileged") else ""


def _sensitive(scene: Scene, one: Container) -> str:
    return ", ".join(str(place) for place in places.given(scene, one) if places.sensitive(scene, place))


def _api_socket(scene: Scene, one: Container) -> str:
    found = {path for place in places.given(scene, one) for path in places.api_sockets(scene, place)}
    return ", ".join(sorted(found))


def _sshd(scene: Scene, one: Container) -> str:
    # not where the host's processes are seen: its own sshd is none of the container's
    if _host(one).get("PidMode") == "host":
        return ""
    return "sshd" if "sshd" in scene.commands.get(name_of(one), ()) else ""


def _published(one: Container) -> list[tuple[str, int, str]]:
    """Return host address, host port and container port of what is published."""
    ports = (one.get("NetworkSettings") or {}).get("Ports") or {}
    return [(str(place.get("HostIp") or ""), int(place.get("HostPort") or 0), str(inside))
            for inside, places in ports.items() for place in places or []]  # fmt: skip


def _low_ports(_: Scene, one: Container) -> str:
    return ", ".join(sorted({str(port) for _, port, _ in _published(one) if 0 < port < 1024}))


def _ports(_: Scene, one: Container) -> str:
    return ", ".join(sorted({f"{port} -> {inside}" for _, port, inside in _published(one)}))


def _everywhere(_: Scene, one: Container) -> str:
    return ", ".join(sorted({str(port) for host, port, _ in _published(one) if host in ("", "0.0.0.0", "::")}))  # noqa: S104


def _memory(_: Scene, one: Container) -> str:
    return "" if _host(one).get("Memory") else "no limit"


def _cpu(_: Scene, one: Container) -> str:
    keys = ("CpuShares", "NanoCpus", "CpuQuota")
    return "" if any((_host(one).get(key) or 0) > 0 for key in keys) else "no share"


def _writable(_: Scene, one: Container) -> str:
    return "" if _host(one).get("ReadonlyRootfs") else "writable"


def _restarts(_: Scene, one: Container) -> str:
    policy = _host(one).get("RestartPolicy") or {}
    if policy.get("Name") in ("always", "unless-stopped"):
        return str(policy["Name"])
    most = int(policy.get("MaximumRetryCount") or 0)
    return "" if policy.get("Name") != "on-failure" or 0 < most <= 5 else f"on-failure:{most or 'for ever'}"


def _devices(_: Scene, one: Container) -> str:
    return ", ".join(str(device.get("PathOnHost")) for device in _host(one).get("Devices") or [])


def _ulimits(_: Scene, one: Container) -> str:
    return "" if _host(one).get("Ulimits") else "the daemon's"


def _propagation(_: Scene, one: Container) -> str:
    shared = ("shared", "rshared")
    return ", ".join(str(mount.get("Source")) for mount in one.get("Mounts") or []
                     if mount.get("Propagation") in shared)  # fmt: skip


def _seccomp(scene: Scene, one: Container) -> str:
    if _host(one).get("Privileged"):
        return "privileged"
    if _process(scene, one).get("Seccomp") == "0":
        return "no filter is in force"
    return "seccomp=unconfined" if "seccomp:unconfined" in _options(one) else ""


def _cgroup_parent(scene: Scene, one: Container) -> str:
    parent = str(_host(one).get("CgroupParent") or "")
    # Podman names the parent that it chooses itself
    usual = scene.engine == "podman" and parent in ("machine.slice", "/libpod_parent", "user.slice")
    return "" if usual else parent


def _privileges(scene: Scene, one: Container) -> str:
    told = [option.partition(":")[2] or "true" for option in _options(one) if option.startswith("no-new-privileges")]
    asked = boolean(told[-1]) if told else scene.switch("no-new-privileges")
    if seen := _process(scene, one).get("NoNewPrivs"):
        asked = boolean(seen)
    return "" if asked else "may raise its privileges"


def _health(_: Scene, one: Container) -> str:
    state = one.get("State") or {}
    health = state.get("Health") or state.get("Healthcheck") or {}
    return "" if health.get("Status") else "no health check"


def _pids(_: Scene, one: Container) -> str:
    return "" if int(_host(one).get("PidsLimit") or 0) > 0 else "no limit"


def _default_bridge(scene: Scene, one: Container) -> str:
    usual = "bridge" if scene.engine == "docker" else "podman"
    return usual if usual in ((one.get("NetworkSettings") or {}).get("Networks") or {}) else ""


def _userns(_: Scene, one: Container) -> str:
    return "host" if _host(one).get("UsernsMode") == "host" else ""


def _unmasked(scene: Scene, one: Container) -> str:
    if _host(one).get("Privileged"):
        return "privileged"
    opened = [option for option in _options(one) if option.startswith(("systempaths:unconfined", "unmask:"))]
    # Docker's client sends empty lists for systempaths=unconfined, and forgets the option
    for field, usual in (("MaskedPaths", MASKED), ("ReadonlyPaths", READ_ONLY)):
        listed = _host(one).get(field)
        if listed is not None and (lost := [path for path in usual if path not in listed]):
            opened.append(f"{field} has not {' '.join(lost)}" if listed else f"{field} is empty")
    covered = scene.covered.get(name_of(one))
    if covered and (seen := [path for path in scene.kernel_paths if not _covered(path, covered)]):
        opened.append(f"open: {' '.join(seen)}")
    return ", ".join(opened)


def _covered(path: str, covered: Mapping[str, str]) -> bool:
    """Tell whether something is mounted over a path or above it, and that read-only where it shall not be written."""
    over = [options for target, options in covered.items() if places.within(path, target)]
    return any("ro" in options.split(",") for options in over) if path in READ_ONLY else bool(over)


def _by_hand(detail: str, _: Scene) -> Outcome:
    return manual(detail)


def _images(scene: Scene) -> Outcome:
    used = {str(one.get("Image", "")).removeprefix("sha256:") for one in scene.containers}
    idle = [one for one in scene.images if str(one.get("Id", "")).removeprefix("sha256:") not in used]
    return manual(f"{len(scene.images)} images, {len(idle)} of them run nowhere")


def _sprawl(scene: Scene) -> Outcome:
    idle = scene.all_containers - len(scene.containers)
    return manual(f"{scene.all_containers} containers, {idle} of them do not run")


_C, _H, _M, _L, _I = Severity.CRITICAL, Severity.HIGH, Severity.MEDIUM, Severity.LOW, Severity.INFO

# id, title, flaw, what is wrong, severity, remedy, level, number, by hand
_ROWS: tuple[tuple[str, str, Callable[[Scene, Container], str], str, Severity, str, int, str, bool], ...] = (
    ("capabilities", "No capabilities beyond the default", _capabilities, "were given capabilities", _H,
     "Run with --cap-drop ALL and --cap-add for those that are needed.", 1, "5.4", False),
    ("privileged", "No privileged containers", _privileged, "are the host's root", _C,
     "Run without --privileged; give single devices and capabilities.", 1, "5.5", False),
    ("host-directories", "No sensitive directories of the host", _sensitive, "see directories of the host", _C,
     "Use volumes; mount single files, read-only.", 1, "5.6", False),
    ("sshd", "No sshd in containers", _sshd, "run an ssh server", _M, "Use exec.", 1, "5.7", False),
    ("low-ports", "No privileged ports", _low_ports, "publish ports below 1024", _L,
     "Publish ports from 1024 on, behind a proxy.", 1, "5.8", False),
    ("ports", "Only needed ports are published", _ports, "publish ports; are all of them needed?", _L,
     "Publish what clients need.", 1, "5.9", True),
    ("host-network", "No network of the host", partial(_mode, "NetworkMode", "net"), "are in the host's network", _H,
     "Run without --network host.", 1, "5.10", False),
    ("memory", "Memory is limited", _memory, "may take all memory", _M, "Run with --memory.", 1, "5.11", False),
    ("cpu", "CPU time is shared out", _cpu, "have no share of their own", _L, "Run with --cpus or --cpu-shares.", 1,
     "5.12", False),
    ("read-only", "Root file systems are read-only", _writable, "can change their programs", _M,
     "Run with --read-only and volumes or --tmpfs for data.", 1, "5.13", False),
    ("bind-address", "Ports are published on one address", _everywhere, "publish on every address", _M,
     "Publish as ADDRESS:PORT:PORT.", 1, "5.14", False),
    ("restarts", "Restarts end", _restarts, "restart without end", _L, "Run with --restart on-failure:5.", 1, "5.15",
     False),
    ("host-pid", "No processes of the host", partial(_mode, "PidMode", "pid"), "see the host's processes", _H,
     "Run without --pid host.", 1, "5.16", False),
    ("host-ipc", "No IPC of the host", partial(_mode, "IpcMode", "ipc"), "share the host's memory segments", _H,
     "Run without --ipc host.", 1, "5.17", False),
    ("devices", "No devices of the host", _devices, "were given devices; are all of them needed?", _M,
     "Run without --device, or with r instead of rwm.", 1, "5.18", True),
    ("ulimits", "Limits fit what runs", _ulimits, "have the default limits", _I, "Run with --ulimit.", 1, "5.19",
     True),
    ("propagation", "No shared mounts", _propagation, "mount into the host's tree", _H,
     "Run without shared propagation.", 1, "5.20", False),
    ("host-uts", "No host name of the host", partial(_mode, "UTSMode", "uts"), "may rename the host", _M,
     "Run without --uts host.", 1, "5.21", False),
    ("seccomp", "A seccomp profile applies", _seccomp, "may ask for every system call", _H,
     "Run without --security-opt seccomp=unconfined.", 1, "5.22", False),
    ("cgroup-parent", "Containers are below the usual cgroup", _cgroup_parent, "are below another cgroup", _L,
     "Run without --cgroup-parent.", 1, "5.25", False),
    ("no-new-privileges", "Privileges are not raised", _privileges, "have set-uid programs that work", _M,
     "Run with --security-opt no-new-privileges.", 1, "5.26", False),
    ("health", "Health is checked", _health, "have no health check", _L, "Run with --health-cmd.", 1, "5.27", False),
    ("pids", "The number of processes is limited", _pids, "may start processes without end", _M,
     "Run with --pids-limit.", 1, "5.29", False),
    ("default-bridge", "Networks are the user's own", _default_bridge, "are on the default bridge", _M,
     "Make a network for what belongs together.", 2, "5.30", True),
    ("host-userns", "No user namespace of the host", _userns, "asked to be root of the host", _H,
     "Run without --userns host.", 1, "5.31", False),
    ("api-socket", "No socket of an engine", _api_socket, "can use the engine's API", _C,
     "Do not mount it; give what needs it a proxy that judges requests.", 1, "5.32", False),
    ("unmasked", "Paths of /proc and /sys stay masked", _unmasked, "see what is masked", _H,
     "Run without systempaths=unconfined or unmask.", 1, "", False),
)

CHECKS = (
    Check("container-apparmor", "containers", "AppArmor profiles apply",
          partial(_if_module, "apparmor", _apparmor, "run unconfined by AppArmor"), Severity.HIGH,
          "Run without --security-opt apparmor=unconfined.", cis="5.2", engines=BOTH),
    Check("container-selinux", "containers", "SELinux labels apply",
          partial(_if_module, "selinux", _label, "run without a label"), Severity.HIGH,
          "Run without --security-opt label=disable.", level=2, cis="5.3", engines=BOTH),
    *(Check(f"container-{id_}", "containers", title, partial(each, flaw, fault, by_hand=by_hand), severity, remedy,
            level=level, scored=not by_hand, cis=cis, engines=BOTH)
      for id_, title, flaw, fault, severity, remedy, level, cis, by_hand in _ROWS),
    Check("container-exec-privileged", "containers", "No privileged exec",
          partial(_by_hand, "what was executed is in the audit daemon's log, if it watches"), Severity.HIGH,
          "Execute without --privileged.", level=2, scored=False, cis="5.23", engines=BOTH),
    Check("container-exec-root", "containers", "No exec as root",
          partial(_by_hand, "what was executed is in the audit daemon's log, if it watches"), Severity.MEDIUM,
          "Execute without --user root.", level=2, scored=False, cis="5.24", engines=BOTH),
    Check("container-latest", "containers", "Images are up to date",
          partial(_by_hand, "are the tags that run the newest of their registry?"), Severity.MEDIUM,
          "Pull by digest, and often.", scored=False, cis="5.28", engines=BOTH),
    Check("sprawl-images", "operations", "Few images lie idle", _images, Severity.INFO, "image prune",
          scored=False, cis="6.1", engines=BOTH),
    Check("sprawl-containers", "operations", "Few containers lie idle", _sprawl, Severity.INFO, "container prune",
          scored=False, cis="6.2", engines=BOTH),
)  # fmt: skip

"""Podman's configuration: the equivalents of the daemon's options, in containers.conf(5) and its neighbours."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from seatrial.audit import units
from seatrial.audit.model import Check, Outcome, Severity, failed, manual, passed, unseen
from seatrial.audit.scene import Scene

_DEFAULT_CAPABILITIES = frozenset({
    "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP",
    "SETUID", "SYS_CHROOT",
})  # fmt: skip
_POLICY = "/etc/containers/policy.json"
_REMOTE = "docker"  # the transport of policy.json that asks registries; the others copy what is here already
_ANYTHING = "insecureAcceptAnything"
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def _conf(scene: Scene, section: str) -> Mapping[str, Any]:
    name = "containers/containers.conf"
    return scene.table(f"/usr/share/{name}", f"/etc/{name}", f"/etc/{name}.d").get(section, {})


def _security(scene: Scene) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (scene.info.get("host") or {}).get("security") or {}
    return found


def _rootless(scene: Scene) -> Outcome:
    if _security(scene).get("rootless"):
        return passed("Podman runs without root")
    return manual("Podman runs as root; a user of its own would take that from whoever breaks out")


def _seccomp(scene: Scene) -> Outcome:
    if not _security(scene).get("seccompEnabled"):
        return failed("Podman works without seccomp: containers may ask for every system call")
    profile = str(_conf(scene, "containers").get("seccomp_profile") or "")
    if profile == "unconfined":
        return failed("seccomp_profile is unconfined: containers may ask for every system call")
    return manual("a profile of your own applies", [profile]) if profile else passed("the usual profile applies")


def _capabilities(scene: Scene) -> Outcome:
    if scene.hidden:
        return unseen(scene.hidden)
    told = _conf(scene, "containers").get("default_capabilities")
    more = sorted({str(name).upper().removeprefix("CAP_") for name in told or []} - _DEFAULT_CAPABILITIES)
    return failed("containers get more than Podman's default", more) if more else passed("Podman's default, or less")


def _no_new_privileges(scene: Scene) -> Outcome:
    if scene.hidden:
        return unseen(scene.hidden)
    if _conf(scene, "containers").get("no_new_privileges") is True:
        return passed("set-uid programs give nothing in containers")
    return failed("set-uid programs raise privileges in containers")


def _pids(scene: Scene) -> Outcome:
    if scene.hidden:
        return unseen(scene.hidden)
    limit = _conf(scene, "containers").get("pids_limit", 2048)
    if isinstance(limit, int) and limit > 0:
        return passed(f"{limit} processes by default")
    return failed("containers may start processes without end")


def _label(scene: Scene) -> Outcome:
    if scene.hidden:
        return unseen(scene.hidden)
    if _conf(scene, "containers").get("label") is False:
        return failed("label = false: containers are not kept apart where SELinux is on")
    return passed("containers are labelled where SELinux is on")


def _apparmor(scene: Scene) -> Outcome:
    if scene.hidden:
        return unseen(scene.hidden)
    if _conf(scene, "containers").get("apparmor_profile") == "unconfined":
        return failed("apparmor_profile is unconfined")
    return passed("a profile applies where AppArmor is on")


def _host_namespaces(scene: Scene) -> Outcome:
    if scene.hidden:
        return unseen(scene.hidden)
    kinds = ("netns", "pidns", "ipcns", "utsns")
    shared = [name for name in kinds if _conf(scene, "containers").get(name) == "host"]
    if shared:
        return failed("containers are in namespaces of the host unless told otherwise", shared)
    return passed("containers have namespaces of their own")


def _volumes(scene: Scene) -> Outcome:
    if scene.hidden:
        return unseen(scene.hidden)
    told = _conf(scene, "containers")
    given = [str(one) for key in ("volumes", "mounts", "devices") for one in told.get(key) or []]
    if given:
        return failed("every container is given these of the host", given)
    return passed("nothing of the host is given to every container")


def _logs(scene: Scene) -> Outcome:
    if scene.hidden:
        return unseen(scene.hidden)
    told = _conf(scene, "containers")
    size = told.get("log_size_max", -1)
    # what Podman was built with counts where nothing is set
    driver = told.get("log_driver") or (scene.info.get("host") or {}).get("logDriver")
    if driver in ("journald", "passthrough", "none") or (isinstance(size, int) and size > 0):
        return passed("what containers log has a bound")
    return failed("logs of containers grow until the disk is full")


def _insecure(scene: Scene) -> Outcome:
    if scene.hidden:
        return unseen(scene.hidden)
    base = "/etc/containers/registries.conf"
    table = scene.table(base, f"{base}.d")
    rows: list[Mapping[str, Any]] = list(table.get("", {}).get("registry") or [])
    for name in scene.files.names(f"{base}.d"):  # lists of several files add up
        rows += scene.table(f"{base}.d/{name}").get("", {}).get("registry") or []
    plain = {str(row.get("location") or row.get("prefix")) for row in rows if row.get("insecure")}
    plain |= {str(mirror.get("location")) for row in rows for mirror in row.get("mirror") or []
              if mirror.get("insecure")}  # fmt: skip
    beyond = sorted(one for one in plain if one.partition("/")[0].rpartition(":")[0] not in _LOOPBACK)
    if beyond:
        return failed("images come from registries that nobody vouches for", beyond, base)
    return passed("every registry beyond loopback is asked over TLS")


def _policy(scene: Scene) -> Outcome:
    if scene.hidden:
        return unseen(scene.hidden)
    text = scene.files.text(_POLICY)
    if text is None:
        return failed(f"there is no {_POLICY}: every pull fails, or takes what a fallback says", path=_POLICY)
    try:
        policy = json.loads(text)
        kinds = _kinds(policy["default"])
        remote = (policy.get("transports") or {}).get(_REMOTE) or {}
        scopes = {str(scope): _kinds(asked) for scope, asked in remote.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return failed(f"{_POLICY} cannot be read", path=_POLICY)
    # the most specific scope counts: "" is what the transport has in place of the default
    if _ANYTHING in scopes.get("", kinds):
        return failed("images need no signature", path=_POLICY)
    if open_ := sorted(scope for scope, asked in scopes.items() if _ANYTHING in asked):
        return failed("images of these places need no signature", open_, _POLICY)
    return passed(f"images are judged: {', '.join(kinds)}", _POLICY)


def _kinds(requirements: Any) -> list[str]:
    """Return the types of a scope's requirements (containers-policy.json(5)); raises KeyError and TypeError."""
    return [str(one["type"]) for one in requirements]


def _service(scene: Scene) -> Outcome:
    if scene.hidden:
        return unseen(scene.hidden)
    open_ = [path for _, path in units.on_tcp(scene, "podman.socket")]
    open_ += [path for value, path in units.values(scene, "podman.service", "ExecStart") if "tcp:" in value]
    if open_:
        return failed("the API is on TCP, where it has no authentication", open_, open_[0])
    return passed("no unit puts the API on TCP")


_FILE = "in /etc/containers/containers.conf"


def _check(id_: str, title: str, judge: Any, severity: Severity, remedy: str, **more: Any) -> Check:
    return Check(f"podman-{id_}", "podman", title, judge, severity, remedy, engines=("podman",), **more)


CHECKS = (
    _check("rootless", "Podman runs without root", _rootless, Severity.MEDIUM,
           "Run it as a user with ranges in /etc/subuid and /etc/subgid.", scored=False),
    _check("seccomp", "A seccomp profile applies by default", _seccomp, Severity.HIGH,
           f"Remove seccomp_profile {_FILE}; use a kernel with seccomp."),
    _check("capabilities", "No default capabilities beyond Podman's", _capabilities, Severity.HIGH,
           f"Shorten default_capabilities {_FILE}."),
    _check("no-new-privileges", "Set-uid programs give nothing by default", _no_new_privileges, Severity.MEDIUM,
           f"Set no_new_privileges = true {_FILE}."),
    _check("pids", "The number of processes is limited by default", _pids, Severity.MEDIUM,
           f"Set pids_limit = 2048 {_FILE}."),
    _check("label", "Containers are labelled by default", _label, Severity.HIGH, f"Remove label = false {_FILE}.",
           level=2),
    _check("apparmor", "An AppArmor profile applies by default", _apparmor, Severity.HIGH,
           f"Remove apparmor_profile {_FILE}."),
    _check("host-namespaces", "No namespaces of the host by default", _host_namespaces, Severity.CRITICAL,
           f"Remove netns, pidns, ipcns and utsns {_FILE}."),
    _check("volumes", "Nothing of the host is given to all", _volumes, Severity.HIGH,
           f"Remove volumes, mounts and devices {_FILE}."),
    _check("logs", "Logs are bounded", _logs, Severity.LOW,
           f'Set log_driver = "journald", or log_size_max, {_FILE}.'),
    _check("insecure-registries", "Registries are asked over TLS", _insecure, Severity.HIGH,
           "Remove insecure = true in /etc/containers/registries.conf; put the CA into /etc/containers/certs.d.",
           why="Whoever is in between chooses what runs."),
    _check("policy", "Only signed images are taken", _policy, Severity.MEDIUM,
           f'Set "default": [{{"type": "reject"}}] in {_POLICY}, and signedBy for what is used.', level=2),
    _check("service-tcp", "The API is not on TCP", _service, Severity.CRITICAL,
           "Listen on a unix socket; reach it by ssh.", why="The API is root on the host."),
)  # fmt: skip

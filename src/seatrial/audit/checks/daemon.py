"""The daemon: its options, and what it says of itself where that is more than the options (CIS section 2)."""

from __future__ import annotations

from seatrial.audit import units
from seatrial.audit.model import Check, Outcome, Severity, absent, failed, manual, passed, unseen
from seatrial.audit.scene import Scene
from seatrial.engines.docker import security_options

_ICC = "com.docker.network.bridge.enable_icc"
_LOOPBACK = ("127.0.0.0/8", "::1/128", "127.0.0.1", "localhost", "[::1]")


def _blind(scene: Scene) -> str:
    """Return why the daemon's options are not known, empty when they are."""
    return scene.hidden or ("the daemon's process was not found by its pid file" if scene.argv is None else "")


def _last(scene: Scene, name: str) -> str:
    return (scene.setting(name) or [""])[-1]


def _rootless(scene: Scene) -> Outcome:
    if "rootless" in security_options(dict(scene.info)):
        return passed("the daemon runs without root")
    return manual("the daemon runs as root; the rootless mode would take that from whoever breaks out")


def _icc(scene: Scene) -> Outcome:
    # what the bridge was made with, and not what the daemon was told: `--icc` does not change a bridge that is there
    bridges = [one for one in scene.networks if one.get("Name") == "bridge" and one.get("Driver") == "bridge"]
    if not bridges:
        return absent("there is no default bridge")
    if (bridges[0].get("Options") or {}).get(_ICC) == "false":
        return passed("containers on the default bridge do not reach each other")
    return failed("containers on the default bridge reach each other on every port")


def _log_level(scene: Scene) -> Outcome:
    level = _last(scene, "log-level") or ("debug" if scene.switch("debug") else "info")
    if level != "info" and (level == "debug" or _blind(scene) == ""):
        return failed(f"the daemon logs at the level {level}", path=scene.config_path)
    if _blind(scene):
        return unseen(_blind(scene))
    return passed("the daemon logs at the level info")


def _iptables(scene: Scene) -> Outcome:
    if scene.switch("iptables") is False:
        return failed("the daemon does not keep the firewall's rules: isolation of networks is off")
    return unseen(_blind(scene)) if _blind(scene) else passed("the daemon keeps the firewall's rules")


def _insecure(scene: Scene) -> Outcome:
    config = scene.info.get("RegistryConfig") or {}
    ranges = [str(one) for one in config.get("InsecureRegistryCIDRs") or [] if one not in _LOOPBACK]
    named = [name for name, one in (config.get("IndexConfigs") or {}).items() if not one.get("Secure", True)]
    plain = sorted({*ranges, *(name for name in named if name.rpartition(":")[0] not in _LOOPBACK)})
    if plain:
        return failed("images come from registries that nobody vouches for", plain)
    return passed("every registry beyond loopback is asked over TLS")


def _aufs(scene: Scene) -> Outcome:
    driver = str(scene.info.get("Driver", ""))
    if driver == "aufs":
        return failed("the storage driver is aufs, which no kernel has any more")
    return passed(f"the storage driver is {driver}")


def _tls(scene: Scene) -> Outcome:
    if scene.plain:  # that it answered says more than any option
        return failed("the API is on TCP without TLS: root on this host for whoever reaches the port", [scene.plain])
    hosts = [host for host in scene.setting("host") if host.startswith("tcp:") or (":" in host and "://" not in host)]
    handed = any(host.startswith("fd:") for host in scene.setting("host"))
    asked = units.on_tcp(scene, "docker.socket") if handed else []
    hosts += [f"fd:// {address}" for address, _ in asked]
    path = asked[0][1] if asked else ""
    if not hosts:  # a socket may be handed to it by a unit that is not known here
        hosts = [address for address in scene.listening or () if not _others(scene, address)]
    if not hosts:
        return unseen(_blind(scene)) if _blind(scene) else absent("the daemon does not listen on TCP")
    if scene.switch("tlsverify"):
        return passed("clients on TCP show a certificate")
    if scene.switch("tls"):
        return failed("the API is on TCP with TLS, but takes every client", hosts, path)
    return failed("the API is on TCP without TLS: root on this host for whoever reaches the port", hosts, path)


def _others(scene: Scene, address: str) -> bool:
    """Tell whether what listens at an address is no API: a swarm's management (2377, 7946), metrics, a published port.

    The daemon holds the ports itself that it publishes without a proxy.
    """
    port = address.rpartition(":")[2]
    ports = [(one.get("NetworkSettings") or {}).get("Ports") or {} for one in scene.containers]
    published = {str(place.get("HostPort")) for one in ports for places in one.values() for place in places or []}
    published |= {str(one.get("PublishedPort")) for service in scene.services
                  for one in (service.get("Endpoint") or {}).get("Ports") or []}  # fmt: skip
    swarm = (scene.info.get("Swarm") or {}).get("LocalNodeState") == "active" and port in ("2377", "7946")
    return swarm or port in published or port == _last(scene, "metrics-addr").rpartition(":")[2]


def _ulimit(scene: Scene) -> Outcome:
    limits = scene.setting("default-ulimit")
    if limits:
        return passed(f"default limits: {', '.join(limits)}")
    return manual("no default limits are set: containers get those of the daemon")


def _userns(scene: Scene) -> Outcome:
    known = security_options(dict(scene.info))
    if "userns" in known or "rootless" in known:
        return passed("root in a container is another user outside")
    return failed("root in a container is root outside")


def _cgroup_parent(scene: Scene) -> Outcome:
    parent = _last(scene, "cgroup-parent")
    if parent:
        return failed(f"containers go below the cgroup {parent}: is that meant, and limited?")
    return unseen(_blind(scene)) if _blind(scene) else passed("containers go below the usual cgroup")


def _base_size(scene: Scene) -> Outcome:
    sizes = [option for option in scene.setting("storage-opt") if option.startswith("dm.basesize")]
    if sizes:
        return failed("the base size of devices was changed", sizes)
    return unseen(_blind(scene)) if _blind(scene) else passed("the base size of devices is the usual one")


def _authorization(scene: Scene) -> Outcome:
    names = [str(name) for name in (scene.info.get("Plugins") or {}).get("Authorization") or []]
    if names:
        return passed(f"requests are judged by {', '.join(names)}")
    return failed("whoever reaches the socket may do everything: no authorization plugin")


def _logging(scene: Scene) -> Outcome:
    driver = str(scene.info.get("LoggingDriver", ""))
    if driver in ("json-file", "local", "none", ""):
        return failed(f"the logs of containers stay on this host, or are lost: the driver is {driver or 'unknown'}")
    return passed(f"the logs of containers go to {driver}")


def _no_new_privileges(scene: Scene) -> Outcome:
    if "no-new-privileges" in security_options(dict(scene.info)) or scene.switch("no-new-privileges"):
        return passed("set-uid programs give nothing in containers")
    return unseen(_blind(scene)) if _blind(scene) else failed("set-uid programs raise privileges in containers")


def _live_restore(scene: Scene) -> Outcome:
    if (scene.info.get("Swarm") or {}).get("LocalNodeState") == "active":
        return absent("a swarm and live restore exclude each other")
    if scene.info.get("LiveRestoreEnabled"):
        return passed("containers outlive the daemon")
    return failed("containers end with the daemon: updates wait, or stop services")


def _proxy(scene: Scene) -> Outcome:
    if scene.switch("userland-proxy") is False:
        return passed("ports are published by the firewall alone")
    return unseen(_blind(scene)) if _blind(scene) else failed("each published port has a process that runs as root")


def _seccomp(scene: Scene) -> Outcome:
    text = [str(one) for one in scene.info.get("SecurityOptions") or [] if str(one).startswith("name=seccomp")]
    if not text:
        return failed("the daemon has no seccomp: containers may ask for every system call")
    profile = text[0].rpartition("profile=")[2] if "profile=" in text[0] else "default"
    if profile == "unconfined":
        return failed("the default seccomp profile is unconfined: containers may ask for every system call")
    if profile in ("default", "builtin"):
        return passed("the engine's own profile applies")
    return manual("a profile of your own applies; does it refuse what the engine's refuses?", [profile])


def _experimental(scene: Scene) -> Outcome:
    if scene.info.get("ExperimentalBuild"):
        return failed("experimental features are on")
    return passed("experimental features are off")


def _debug(scene: Scene) -> Outcome:
    if scene.info.get("Debug"):
        return failed("the daemon runs in debug mode: it serves its memory profiles and logs requests")
    return passed("the daemon is not in debug mode")


_FILE = "in /etc/docker/daemon.json"

CHECKS = (
    Check("daemon-rootless", "daemon", "The daemon runs without root", _rootless, Severity.MEDIUM,
          "Install the rootless mode: dockerd-rootless-setuptool.sh install.", scored=False, cis="2.1"),
    Check("daemon-icc", "daemon", "Containers on the default bridge are apart", _icc, Severity.MEDIUM,
          f'Set "icc": false {_FILE}; give containers that talk to each other a network of their own.',
          "One container that was taken reaches the services of all others.", cis="2.2"),
    Check("daemon-log-level", "daemon", "The daemon logs at the level info", _log_level, Severity.LOW,
          f'Set "log-level": "info" {_FILE}.', "Less hides what happened, more hides it in noise.", cis="2.3"),
    Check("daemon-iptables", "daemon", "The daemon keeps the firewall's rules", _iptables, Severity.HIGH,
          f'Remove "iptables": false {_FILE}.', "Without them networks are not apart.", cis="2.4"),
    Check("daemon-insecure-registries", "daemon", "Registries are asked over TLS", _insecure, Severity.HIGH,
          f'Remove "insecure-registries" {_FILE}; put the CA into /etc/docker/certs.d/HOST/ca.crt.',
          "Whoever is in between chooses what runs.", cis="2.5"),
    Check("daemon-aufs", "daemon", "The storage driver is not aufs", _aufs, Severity.LOW,
          f'Set "storage-driver": "overlay2" {_FILE}.', "It is not maintained.", cis="2.6"),
    Check("daemon-tls", "daemon", "The API on TCP takes only clients with a certificate", _tls, Severity.CRITICAL,
          f'Set "tlsverify": true, "tlscacert", "tlscert" and "tlskey" {_FILE}, or do not listen on TCP.',
          "The API is root on the host.", cis="2.7"),
    Check("daemon-default-ulimit", "daemon", "Default limits fit what runs", _ulimit, Severity.LOW,
          f'Set "default-ulimits" {_FILE}.', scored=False, cis="2.8"),
    Check("daemon-userns", "daemon", "Root in containers is not root outside", _userns, Severity.MEDIUM,
          f'Set "userns-remap": "default" {_FILE}, or run the daemon rootless.',
          "What breaks out is nobody then.", level=2, cis="2.9"),
    Check("daemon-cgroup-parent", "daemon", "Containers go below the usual cgroup", _cgroup_parent, Severity.LOW,
          f'Remove "cgroup-parent" {_FILE} unless it is meant.', level=2, cis="2.10"),
    Check("daemon-base-size", "daemon", "The base size of devices is unchanged", _base_size, Severity.LOW,
          f'Remove dm.basesize from "storage-opts" {_FILE}.', level=2, cis="2.11"),
    Check("daemon-authorization", "daemon", "Requests to the daemon are judged", _authorization, Severity.MEDIUM,
          f'Install an authorization plugin and name it in "authorization-plugins" {_FILE}.', level=2, cis="2.12"),
    Check("daemon-logging", "daemon", "The logs of containers leave the host", _logging, Severity.LOW,
          f'Set "log-driver" {_FILE}, such as journald, syslog or fluentd, and collect them.',
          "Who takes the host can rewrite what stays on it.", level=2, cis="2.13"),
    Check("daemon-no-new-privileges", "daemon", "Set-uid programs give nothing by default", _no_new_privileges,
          Severity.MEDIUM, f'Set "no-new-privileges": true {_FILE}.', cis="2.14"),
    Check("daemon-live-restore", "daemon", "Containers outlive the daemon", _live_restore, Severity.LOW,
          f'Set "live-restore": true {_FILE}.', "An update of the daemon that stops nothing is made in time.",
          cis="2.15"),
    Check("daemon-userland-proxy", "daemon", "Ports need no proxy", _proxy, Severity.LOW,
          f'Set "userland-proxy": false {_FILE}.', "A process as root for each port is one more to attack.",
          cis="2.16"),
    Check("daemon-seccomp", "daemon", "A seccomp profile applies by default", _seccomp, Severity.HIGH,
          f'Remove "seccomp-profile": "unconfined" {_FILE}; use a kernel with seccomp.', level=2, cis="2.17"),
    Check("daemon-experimental", "daemon", "Experimental features are off", _experimental, Severity.LOW,
          f'Remove "experimental": true {_FILE}.', cis="2.18"),
    Check("daemon-debug", "daemon", "The daemon is not in debug mode", _debug, Severity.LOW,
          f'Remove "debug": true {_FILE}.'),
)  # fmt: skip

"""Requirements: what a test needs, by name, and the sentence that says why it does not hold.

A requirement is a pure function of facts that were probed once for each target, so that it can be
tested in both directions without the machine it speaks of. Kinds decide the verdict of a test whose
requirement does not hold: what the target cannot do is UNSUPPORTED, what the machine lacks is SKIP.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from seatrial.results import Requirement as Outcome
from seatrial.verdict import Verdict

Facts = Mapping[str, Any]  # {"host": machine.facts(), "engine": Engine.facts() and more}


class Kind(Enum):
    """Whose lack it is."""

    TARGET = Verdict.UNSUPPORTED
    MACHINE = Verdict.SKIP


@dataclass(frozen=True)
class Requirement:
    """A named need: `check` returns the reason why it does not hold, or an empty string."""

    name: str
    kind: Kind
    meaning: str
    check: Callable[[Facts], str]

    def judge(self, facts: Facts) -> Outcome:
        """Apply the check to facts; a fact that was not probed means that it does not hold."""
        try:
            reason = self.check(facts)
        except (KeyError, TypeError, ValueError) as error:
            reason = f"not probed: {error}"
        if not isinstance(reason, str):
            reason = f"not probed: {reason!r} is no reason"
        return Outcome(not reason, reason)


REQUIREMENTS: dict[str, Requirement] = {}


def _add(name: str, kind: Kind, meaning: str, check: Callable[[Facts], str]) -> None:
    REQUIREMENTS[name] = Requirement(name, kind, meaning, check)


def judge_all(facts: Facts) -> dict[str, Outcome]:
    """Judge every requirement."""
    return {name: requirement.judge(facts) for name, requirement in sorted(REQUIREMENTS.items())}


def _unless(holds: object, reason: str) -> str:
    return "" if holds else reason


def _limit(name: str, words: str) -> None:
    _add(
        name, Kind.TARGET, f"the engine can limit {words}",
        lambda facts: _unless(facts["engine"]["limits"][name], f"the engine reports no support for {words}"),
    )  # fmt: skip


for _name, _words in {
    "memory": "memory", "swap": "memory and swap together", "kernel_memory": "kernel memory",
    "cpu_shares": "CPU shares", "cpu_quota": "CPU quota", "cpu_period": "the CPU period",
    "cpuset": "CPUs and memory nodes", "pids": "processes", "oom_control": "the OOM killer",
}.items():  # fmt: skip
    _limit(_name, _words)


def _controller(facts: Facts, name: str) -> str:
    group = facts["host"]["cgroup"]
    reason = f"this machine's cgroups ({group['version']}) have no {name} controller"
    return _unless(name in group["controllers"], reason)


_add("freezer", Kind.MACHINE, "processes can be frozen",
     lambda facts: "" if facts["host"]["cgroup"]["version"] == "v2" else _controller(facts, "freezer"))
_add("blkio", Kind.MACHINE, "a block I/O controller",
     lambda facts: _controller(facts, "io" if facts["host"]["cgroup"]["version"] == "v2" else "blkio"))
_add("blkio_weight", Kind.MACHINE, "a block I/O scheduler with weights",
     lambda facts: _unless(facts["host"]["blkio_weight"], "this kernel has no blkio.weight or io.weight"))


def _add_processor_file(name: str, words: str, *files: str) -> None:
    _add(name, Kind.MACHINE, f"cgroups with {words}",
         lambda facts: _unless(set(files) & set(facts["host"]["processor_files"]),
                               f"this kernel's cgroups have no {' or '.join(files)}"))


_add_processor_file("realtime_groups", "real-time scheduling", "cpu.rt_runtime_us")
_add_processor_file("idle_groups", "idle scheduling", "cpu.idle")
_add_processor_file("burst_groups", "bursts above their quota", "cpu.cfs_burst_us", "cpu.max.burst")
_add("memory_nodes", Kind.MACHINE, "a kernel with policies for memory nodes",
     lambda facts: _unless(facts["host"]["memory_policies"], "this kernel has no /proc/self/numa_maps"))
_add("memory_reservation", Kind.TARGET, "soft memory limits, which come with the memory controller",
     lambda facts: _controller(facts, "memory") or REQUIREMENTS["memory"].check(facts))
_add("swappiness", Kind.MACHINE, "memory.swappiness, which only cgroup v1 has",
     lambda facts: _controller(facts, "memory") if facts["host"]["cgroup"]["version"] in ("v1", "hybrid")
     else "cgroup v2 has no memory.swappiness")
_add("cgroup_v1", Kind.MACHINE, "cgroup v1",
     lambda facts: _unless(facts["host"]["cgroup"]["version"] in ("v1", "hybrid"),
                           f"this machine mounts cgroup {facts['host']['cgroup']['version']}"))
_add("cgroup_v2", Kind.MACHINE, "cgroup v2",
     lambda facts: _unless(facts["host"]["cgroup"]["version"] == "v2",
                           f"this machine mounts cgroup {facts['host']['cgroup']['version']}"))
_add("hugetlb", Kind.MACHINE, "a controller for huge pages", lambda facts: _controller(facts, "hugetlb"))
_add("cpuset_controller", Kind.MACHINE, "a controller for processors", lambda facts: _controller(facts, "cpuset"))
_add("net_cls", Kind.MACHINE, "a controller for network classes", lambda facts: _controller(facts, "net_cls"))
_add("swap_accounting", Kind.MACHINE, "a kernel that accounts for swap",
     lambda facts: _unless(facts["host"]["swap_accounting"], "this kernel's cgroups do not account for swap"))
_add("network", Kind.MACHINE, "a registry on the internet",
     lambda facts: facts["host"]["network"] and f"no network: {facts['host']['network']}")
_add("ipv6", Kind.MACHINE, "IPv6 in the kernel",
     lambda facts: _unless(facts["host"]["ipv6"], "this kernel has IPv6 off (/proc/net/if_inet6 is missing)"))
_add("swap_device", Kind.MACHINE, "swap space", lambda facts: _unless(facts["host"]["swap"], "no swap space is on"))
_add("seccomp", Kind.TARGET, "seccomp filters",
     lambda facts: "this kernel has no seccomp" if not facts["host"]["seccomp"] else
     _unless("seccomp" in facts["engine"]["security"], "the engine reports no seccomp"))

_add("seccomp_filters", Kind.MACHINE, "seccomp filters that can be read",
     lambda facts: REQUIREMENTS["seccomp"].check(facts)
     or (facts["host"]["seccomp_filters"] and f"filters cannot be read: {facts['host']['seccomp_filters']}"))
_add("entry32", Kind.MACHINE, "the 32-bit entry of a 64-bit kernel",
     lambda facts: facts["host"]["entry32"] and f"this kernel runs no 32-bit program: {facts['host']['entry32']}")


def _add_lsm(lsm: str, title: str) -> None:
    _add(lsm, Kind.MACHINE, f"{title}, on and enforcing",
         lambda facts: _unless(
             lsm in facts["host"]["lsm"],
             f"{title} is not on: active modules are {', '.join(facts['host']['lsm']) or 'none'}"))
    _add(f"not_{lsm}", Kind.MACHINE, f"a kernel without {title}",
         lambda facts: _unless(lsm not in facts["host"]["lsm"], f"{title} is on"))


for _lsm, _title in {"apparmor": "AppArmor", "selinux": "SELinux"}.items():
    _add_lsm(_lsm, _title)
_add("userns", Kind.MACHINE, "user namespaces",
     lambda facts: _unless(facts["host"]["userns"], "user.max_user_namespaces is 0"))
_add("not_userns_remap", Kind.TARGET, "an engine that does not remap users",
     lambda facts: _unless(not facts["engine"]["userns_remap"], "the engine remaps users"))
_add("systemd", Kind.MACHINE, "systemd as init",
     lambda facts: _unless(facts["host"]["systemd"], "this machine was not booted by systemd"))
_add("module", Kind.MACHINE, "loadable kernel modules",
     lambda facts: _unless(facts["host"]["modules"], "this kernel has no loadable modules"))
_add("kernel", Kind.MACHINE, "Linux 3.10 or later",
     lambda facts: _unless(_release(facts) >= (3, 10), f"the kernel is {facts['host']['kernel']}"))
_add("numa", Kind.MACHINE, "more than one node of memory",
     lambda facts: _unless(facts["host"]["numa"], "all memory is one node, so that none can be chosen"))
_add("processors", Kind.MACHINE, "more than one processor",
     lambda facts: _unless(facts["host"]["cpus"] > 1, "there is one processor, so that none can be chosen"))
_add("multi_host", Kind.MACHINE, "a second host",
     lambda facts: _unless(facts["host"]["peers"], "no second host answers (SEATRIAL_PEERS names them)"))
_add("amd64", Kind.MACHINE, "an x86_64 machine",
     lambda facts: _unless(facts["host"]["arch"] == "x86_64", f"the machine is {facts['host']['arch']}"))
_add("root", Kind.MACHINE, "root", lambda facts: _unless(facts["host"]["root"], "the harness does not run as root"))
_add("sys_resource", Kind.MACHINE, "CAP_SYS_RESOURCE",
     lambda facts: _unless(facts["host"]["capabilities"]["CAP_SYS_RESOURCE"],
                           "root here has no CAP_SYS_RESOURCE, so limits cannot be raised"))
_add("privileged", Kind.MACHINE, "containers with all capabilities",
     lambda facts: _unless(facts["host"]["all_capabilities"], "root here does not hold all capabilities"))
_add("btrfs", Kind.MACHINE, "btrfs in the kernel",
     lambda facts: _unless("btrfs" in facts["host"]["filesystems"], "this kernel has no btrfs"))
_add("btrfs_volume", Kind.MACHINE, "btrfs in a file that is mounted", lambda facts: facts["host"]["btrfs_volume"])
_add("slow_disk", Kind.MACHINE, "a disk below labs that a cgroup can slow down",
     lambda facts: facts["host"]["slow_disk"])
_add("fuse_overlayfs", Kind.TARGET, "fuse-overlayfs beside the engine", lambda facts: facts["engine"]["fuse_overlayfs"])
_add("netem", Kind.MACHINE, "the netem queueing discipline",
     lambda facts: _unless(facts["host"]["netem"], "this kernel has no netem"))
_add("vxlan", Kind.MACHINE, "VXLAN in the kernel",
     lambda facts: _unless(facts["host"]["vxlan"], "this kernel has no VXLAN"))

_add("engine", Kind.TARGET, "a container engine",
     lambda facts: _unless(facts["engine"]["kind"] == "engine", "this target is an OCI runtime"))
_add("runtime", Kind.TARGET, "an OCI runtime",
     lambda facts: _unless(facts["engine"]["kind"] == "runtime", "this target is an engine"))
_add("features_command", Kind.TARGET, "a runtime that lists its features",
     lambda facts: REQUIREMENTS["runtime"].check(facts) or facts["engine"]["features_reason"])

_add("host_kernel", Kind.TARGET, "a runtime whose containers run on the host's kernel, which shows what they are",
     lambda facts: REQUIREMENTS["runtime"].check(facts)
     or _unless(not facts["engine"]["own_kernel"],
                "its containers have a kernel of their own: the host's shows the sandbox around them"))


def _add_option(name: str, command: str, option: str) -> None:
    _add(name, Kind.TARGET, f"a runtime whose command `{command}` has --{option}",
         lambda facts: REQUIREMENTS["runtime"].check(facts)
         or _unless(option in facts["engine"]["commands"][command], f"its command `{command}` has no --{option}"))


_add_option("preserve_fds", "create", "preserve-fds")
_add_option("exec_no_new_privs", "exec", "no-new-privs")


def _add_specification(version: tuple[int, ...]) -> None:
    words = ".".join(map(str, version))
    _add(f"oci_{words.replace('.', '_')}", Kind.TARGET, f"version {words} of the runtime specification",
         lambda facts: REQUIREMENTS["runtime"].check(facts)
         or _unless(_numbers(facts["engine"]["spec"]) >= version,
                    f"the runtime implements version {facts['engine']['spec']}"))


for _version in ((1, 1), (1, 2), (1, 2, 1), (1, 3)):
    _add_specification(_version)
# what version 1.3 took back
_add("before_oci_1_3", Kind.TARGET, "a version of the runtime specification before 1.3",
     lambda facts: REQUIREMENTS["runtime"].check(facts)
     or _unless(_numbers(facts["engine"]["spec"]) < (1, 3),
                f"the runtime implements version {facts['engine']['spec']}"))


def _add_listed(name: str, key: str, words: str) -> None:
    _add(name, Kind.TARGET, f"a runtime that lists the {words} of seccomp filters",
         lambda facts: REQUIREMENTS["features_command"].check(facts)
         or _unless(facts["engine"]["features"]["linux"]["seccomp"].get(key),
                    f"the features of the runtime list no {words} of seccomp filters"))


_add_listed("seccomp_flags", "supportedFlags", "flags")
_add_listed("seccomp_archs", "archs", "architectures")
_add("seccomp_notify", Kind.TARGET, "seccomp filters that notify a listener",
     lambda facts: REQUIREMENTS["seccomp"].check(facts) or REQUIREMENTS["features_command"].check(facts)
     or _unless("SCMP_ACT_NOTIFY" in facts["engine"]["features"]["linux"]["seccomp"].get("actions", []),
                "the features of the runtime do not list SCMP_ACT_NOTIFY"))


def _add_mount_option(name: str, option: str, meaning: str, version: str) -> None:
    _add(name, Kind.TARGET, meaning,
         lambda facts: "" if option in facts["engine"].get("features", {}).get("mountOptions", [])
         else REQUIREMENTS[version].check(facts))


_add_mount_option("recursive_mount_options", "rro", "mount options that hold for the mounts below, too", "oci_1_1")
_add_mount_option("idmapped_mounts", "idmap", "mounts with owners of their own", "oci_1_2")
_add_mount_option("recursive_idmap", "ridmap", "mounts below mounts with owners of their own", "oci_1_2")


def _add_feature(name: str, key: str, words: str) -> None:
    """Add what version 1.3 brought: a runtime may have it without the rest of that version."""
    _add(name, Kind.TARGET, f"a runtime that has {words}",
         lambda facts: REQUIREMENTS["features_command"].check(facts)
         or _unless((found := facts["engine"]["features"]["linux"].get(key)) and found.get("enabled", True),
                    f"the features of the runtime list no {words}"))


_add_feature("memory_policy", "memoryPolicy", "memory policies")
_add_feature("mount_extensions", "mountExtensions", "mount extensions")
_add_feature("network_devices", "netDevices", "network devices")
_add("not_gccgo", Kind.TARGET, "an engine that another compiler than gccgo has built",
     lambda facts: _unless("gccgo" not in facts["engine"]["compiler"], "gccgo has built the engine"))
_add("linux", Kind.TARGET, "a Linux engine",
     lambda facts: _unless(facts["engine"]["os"] == "linux", f"the engine runs on {facts['engine']['os']}"))
_add("windows", Kind.TARGET, "a Windows engine",
     lambda facts: _unless(facts["engine"]["os"] == "windows", f"the engine runs on {facts['engine']['os']}"))
_add("local_engine", Kind.TARGET, "an engine on the machine of the harness",
     lambda facts: _unless(facts["engine"]["local"], "the engine is reached over the network"))
_add("rootful", Kind.TARGET, "an engine that runs as root",
     lambda facts: _unless(not facts["engine"]["rootless"], "the engine is rootless"))
_add("exec_support", Kind.TARGET, "exec into running containers",
     lambda facts: _unless(facts["engine"]["exec"], "the engine has no exec"))
_add("native_runtime", Kind.TARGET, "runc or crun as the default runtime",
     lambda facts: _unless(facts["engine"]["runtime"] in ("runc", "crun", "oci"),
                           f"the default runtime is {facts['engine']['runtime']}"))
_add("crun", Kind.TARGET, "crun among the engine's runtimes",
     lambda facts: _unless("crun" in facts["engine"]["runtimes"], "the engine has no runtime crun"))
_add("not_overlay", Kind.TARGET, "a storage driver other than overlay",
     lambda facts: _unless("overlay" not in facts["engine"]["storage"],
                           f"the storage driver is {facts['engine']['storage']}"))
_add("overlay", Kind.TARGET, "the overlay storage driver",
     lambda facts: _unless("overlay" in facts["engine"]["storage"],
                           f"the storage driver is {facts['engine']['storage']}"))
_add("project_quota", Kind.TARGET, "a storage whose file system has project quotas",
     lambda facts: _unless(facts["engine"]["project_quota"], "the engine's storage is not on XFS with project quotas"))
_add("not_project_quota", Kind.TARGET, "a storage whose file system has no project quotas",
     lambda facts: _unless(not facts["engine"]["project_quota"], "the engine's storage has project quotas"))
_add("api", Kind.TARGET, "an HTTP API like Docker's",
     lambda facts: _unless(facts["engine"]["api"], "the engine has no API here"))
_add("api_before_1_24", Kind.TARGET, "versions of the API before 1.24",
     lambda facts: _unless(0 < _minor(facts["engine"]["api_oldest"]) < 24,
                           f"the engine serves versions from {facts['engine']['api_oldest'] or 'none'} on"))


def _add_api_change(minor: int) -> None:
    _add(f"api_change_1_{minor}", Kind.TARGET, f"version 1.{minor} of the API and the one before it",
         lambda facts: _unless(
             0 < _minor(facts["engine"]["api_oldest"]) < minor <= _minor(facts["engine"]["api_newest"]),
             f"the engine serves versions from {facts['engine']['api_oldest'] or 'none'} to "
             f"{facts['engine']['api_newest'] or 'none'}"))


# versions that changed a field which a test looks at
for _number in (19, 21, 25, 28, 30, 42, 43, 44, 45):
    _add_api_change(_number)
_add("unix_cli", Kind.TARGET, "a CLI that talks over a unix socket",
     lambda facts: _unless(facts["engine"]["local"], "the CLI is connected over the network"))
_add("daemon", Kind.TARGET, "an engine with a daemon",
     lambda facts: _unless(facts["engine"]["daemon"], "the engine has no daemon"))
_add("daemon_command", Kind.TARGET, "a daemon whose own command is known",
     lambda facts: _unless(facts["engine"]["service"], "the command of the engine's daemon is not known"))
_add("client_settings", Kind.TARGET, "a client with a configuration of its own, as Docker's has",
     lambda facts: _unless(facts["engine"]["client_settings"], "the client has no directory with a configuration"))
_add("private_daemon", Kind.TARGET, "a daemon of the test's own, with options",
     lambda facts: facts["engine"]["private"])
_add("private_engine", Kind.TARGET, "an engine of the test's own, with or without a daemon",
     lambda facts: facts["engine"]["private_engine"])
_add("registry", Kind.MACHINE, "a registry on loopback", lambda facts: facts["engine"]["registry"])
_add("lab", Kind.TARGET, "an engine in a lab, whose files below /etc a test may write",
     lambda facts: _unless(facts["engine"]["lab"], "the engine is the user's own"))
_add("notary", Kind.MACHINE, "a notary server",
     lambda facts: _unless(facts["host"]["notary"], "no notary server answers (SEATRIAL_NOTARY names one)"))
_add("plugin", Kind.TARGET, "Docker's plugin protocol",
     lambda facts: _unless(facts["engine"]["plugin_protocol"], "the engine does not speak Docker's plugin protocol"))
_add("swarm", Kind.TARGET, "swarm mode",
     lambda facts: _unless(facts["engine"]["swarm_capable"], "the engine has no swarm mode"))
_add("swarm_inactive", Kind.TARGET, "an engine outside of a swarm",
     lambda facts: _unless(facts["engine"]["swarm"] in ("inactive", "unsupported"), "the engine is in a swarm"))
_add("links", Kind.TARGET, "container links",
     lambda facts: _unless(facts["engine"]["links"], "the engine has no container links"))
_add("legacy_builder", Kind.TARGET, "Docker's builder of the time before BuildKit",
     lambda facts: _unless(facts["engine"]["legacy_builder"], "the engine has another builder"))
_add("buildkit", Kind.TARGET, "BuildKit",
     lambda facts: _unless(facts["engine"]["buildkit"], "the engine has no BuildKit builder (buildx) here"))
_add("second_builder", Kind.TARGET, "an engine with a choice of builders",
     lambda facts: _unless(len(facts["engine"]["builders"]) > 1,
                           f"the engine builds by {facts['engine']['builders'][0]} only"
                           if facts["engine"]["builders"] else "the engine has no builder here"))
_add("healthcheck", Kind.TARGET, "periodic health checks",
     lambda facts: _unless(
         facts["engine"]["healthcheck"] is True
         or (facts["engine"]["healthcheck"] == "systemd" and facts["host"]["systemd"]),
         "the engine's health checks are systemd timers and there is no systemd here"
         if facts["engine"]["healthcheck"] == "systemd" else "the engine has no health checks"))
_add("cgroup_watch", Kind.MACHINE, "an engine that watches the cgroups of its containers",
     lambda facts: _unless(facts["engine"]["cgroup_watch"],
                           "the engine goes by the path in /proc, which leads nowhere in a lab on cgroup v1"))


def _add_log_driver(name: str) -> None:
    _add(f"log_{name.replace('-', '_')}", Kind.TARGET, f"the log driver {name}",
         lambda facts: _unless(name in facts["engine"]["plugins"]["log"],
                               f"the engine has no log driver {name}"))


for _name in ("json-file", "local", "syslog", "gelf", "fluentd"):
    _add_log_driver(_name)
_add("experimental", Kind.TARGET, "an engine with experimental features on",
     lambda facts: _unless(facts["engine"]["experimental"], "experimental features are off"))


def _minor(version: str) -> int:
    """Return the second number of an API version, 0 when there is none."""
    return int(version.partition(".")[2] or 0)


def _release(facts: Facts) -> tuple[int, ...]:
    return _numbers(facts["host"]["kernel"])


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("-")[0].split("+")[0].split("."))

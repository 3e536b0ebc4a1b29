"""Engines weakened in one way each: what a test asks for reaches the engine with one protection taken away.

`given` faults add options to every container, so that the engine is like one whose default lacks the protection;
`ignored` faults drop an option, `changed` faults rewrite one; weakened_ways.py has those of other verbs, of daemons and
of security modules. A fault knows the claims that it breaks; the tests
that name those have to notice.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seatrial.exec import ANY, Result
from seatrial.paths import share_dir

Words = list[str]
MAKERS = ("run", "create")
# how the files of a process are named that hold profiles of filters
PROFILES = f"faults-{os.getpid()}-"


@dataclass(frozen=True)
class Fault:
    """One fault: `apply` gets the words after a verb that makes a container and returns those that are used.

    `daemon` does so with the options of a daemon that a test starts, `acts` with other verbs: it gets a `Call`.
    `runtime` is how a program before the runtime edits what it is asked for; see weakened_runtimes.py.
    """

    id: str
    claims: tuple[str, ...]
    words: str
    apply: Callable[[Words], Words] = list
    daemon: Callable[[Words], Words] = list
    acts: Mapping[str, Callable[[Call], Result]] = field(default_factory=dict)
    runtime: tuple[str, str] = ("", "")

    def __str__(self) -> str:
        return self.words


@dataclass
class Call:
    """One command of an engine under way: `plain` runs words and options of `CliEngine.cli` as they are."""

    words: Words
    options: dict[str, Any]
    plain: Callable[..., Result]

    def run(self, *words: str, **more: Any) -> Result:
        """Run the command, or other words in its place."""
        return self.plain(*(words or self.words), **{**self.options, **more})

    def aside(self, *words: str) -> str:
        """Ask the engine something; empty where it fails."""
        return self.plain(*words, expect=ANY).text


FAULTS: dict[str, Fault] = {}


def add(id_: str, claims: str, words: str, apply: Callable[[Words], Words] = list, **more: Any) -> None:
    """Add a fault; claims of the area security are given by their numbers alone."""
    assert id_ not in FAULTS, id_
    ids = (claim if "-" in claim else f"security-{claim}" for claim in claims.split())
    FAULTS[id_] = Fault(id_, tuple(ids), words, apply, **more)


def given(id_: str, claims: str, words: str, *options: str) -> None:
    """Add a fault that gives every container some options."""
    add(id_, claims, words, lambda args: [*options, *args])


def ignored(id_: str, claims: str, option: str, value: str = "") -> None:
    """Add a fault that drops an option, or only those whose value matches."""
    words = " ".join(filter(None, (option, value)))
    add(id_, claims, f"`{words}` is taken and ignored", lambda args: less(args, option, value))


def changed(id_: str, claims: str, words: str, option: str, pattern: str, replacement: str) -> None:
    """Add a fault that rewrites the value of an option."""
    def apply(args: Words) -> Words:
        return [re.sub(pattern, replacement, word) if number and args[number - 1] == option else word
                for number, word in enumerate(args)]  # fmt: skip

    add(id_, claims, words, apply)


def less(args: Sequence[str], option: str, value: str = "") -> Words:
    """Return the words without an option and its value."""
    kept: Words = []
    skip = False
    for number, word in enumerate(args):
        if skip:
            skip = False
        elif word == option and number + 1 < len(args) and re.search(value, args[number + 1]):
            skip = True
        else:
            kept.append(word)
    return kept


# -- capabilities ------------------------------------------------------------------------------

for _word in (
    "NET_ADMIN", "SYS_ADMIN", "SYS_PTRACE", "SYS_TIME", "DAC_READ_SEARCH", "SYS_MODULE", "SYS_RAWIO", "SYS_BOOT",
    "SYS_NICE", "SYS_PACCT", "SYS_TTY_CONFIG", "SYSLOG", "IPC_LOCK", "IPC_OWNER", "LEASE", "LINUX_IMMUTABLE",
    "NET_BROADCAST", "AUDIT_CONTROL", "AUDIT_READ", "BLOCK_SUSPEND", "WAKE_ALARM", "MAC_ADMIN", "MAC_OVERRIDE",
):  # fmt: skip
    given(f"keeps-{_word}", "109", f"every container has CAP_{_word}", "--cap-add", _word)
for _word in (
    "CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "SETGID", "SETUID", "SETFCAP", "SETPCAP", "NET_BIND_SERVICE",
    "SYS_CHROOT", "KILL",
):  # fmt: skip
    given(f"lacks-{_word}", "109", f"no container has CAP_{_word}", "--cap-drop", _word)
ignored("cap-drop-ignored", "065 067 190", "--cap-drop")
ignored("cap-add-ignored", "183", "--cap-add")
ignored("no-new-privileges-ignored", "084", "--security-opt", "no-new-privileges")
ignored("user-ignored", "132", "--user")
given("more-groups", "160", "every process is in a group that nobody gave it", "--group-add", "4242")
ignored("group-add-ignored", "160", "--group-add")


# -- system calls ------------------------------------------------------------------------------

_LISTED = (
    "acct", "add_key", "bpf", "clock_settime", "delete_module", "finit_module", "get_mempolicy", "init_module",
    "ioperm", "iopl", "kcmp", "kexec_file_load", "kexec_load", "keyctl", "lookup_dcookie", "mbind", "mount",
    "move_pages", "nfsservctl", "open_by_handle_at", "perf_event_open", "pivot_root", "quotactl", "reboot",
    "request_key", "set_mempolicy", "setns", "settimeofday", "swapon", "swapoff", "sysfs", "umount2", "unshare",
    "uselib", "userfaultfd", "ustat", "vhangup", "vmsplice", "io_uring_setup", "io_uring_enter",
    "io_uring_register", "create_module", "get_kernel_syms", "query_module",
)  # fmt: skip


def _filtered(args: Words, but: str) -> Words:
    """Put a profile in force that refuses the listed calls but one, where the test names no profile itself."""
    if any("seccomp=" in word for word in args):
        return args
    path = share_dir() / f"{PROFILES}{but}.json"
    _profile(path, [word for word in _LISTED if word != but])
    return ["--security-opt", f"seccomp={path}", *args]


def _profile(path: Path, calls: Sequence[str]) -> None:
    rule = {"names": list(calls), "action": "SCMP_ACT_ERRNO", "args": []}
    architectures = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]
    content = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": architectures, "syscalls": [rule]}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


for _word in (
    "bpf", "delete_module", "init_module", "kexec_load", "kexec_file_load", "open_by_handle_at", "perf_event_open",
    "swapon", "userfaultfd", "acct", "ioperm", "iopl", "quotactl", "settimeofday",
):  # fmt: skip
    add(f"filter-without-{_word}", "086", f"the default filter lets {_word} through",
        lambda args, word=_word: _filtered(args, word))
add("clone-flags-ignored", "083", "the default filter does not look at the flags of clone, nor refuses clone3",
    lambda args: _filtered(args, "clone"))
given("no-filter", "082 086 048 163", "there is no filter by default", "--security-opt", "seccomp=unconfined")
ignored("profile-ignored", "085", "--security-opt", "seccomp=/")


# -- what is seen and reached ------------------------------------------------------------------

for _option, _kind in (("pid", "processes"), ("ipc", "IPC"), ("uts", "host name"), ("network", "network")):
    given(f"host-{_option}", "049" if _option != "pid" else "049 018",
          f"containers are in the host's namespace of {_kind}", f"--{_option}", "host")
given("masks-dropped", "149 051", "nothing of /proc and /sys is masked or read-only",
      "--security-opt", "systempaths=unconfined")
given("sys-writable", "121 124", "/sys is mounted writable", "--volume", "/sys:/sys")
given("cgroups-writable", "124", "cgroups are mounted writable", "--volume", "/sys/fs/cgroup:/sys/fs/cgroup")
given("files-of-the-host", "090 007", "files of the host are to be had under their own names",
      "--volume", f"{share_dir()}:{share_dir()}")
given("socket-of-the-engine", "157", "the engine's socket is in every container",
      "--volume", "/run/docker.sock:/run/docker.sock")
changed("read-only-volume-ignored", "154", "volumes are writable although `ro` was asked for", "--volume", ":ro$", "")
add("read-only-ignored", "059", "`--read-only` is taken and ignored",
    lambda args: [word for word in args if word != "--read-only"])


# -- devices -----------------------------------------------------------------------------------

given("all-devices", "009", "every device may be used", "--device-cgroup-rule", "a *:* rwm")
given("loop-devices", "011", "loop devices may be used", "--device-cgroup-rule", "b 7:* rwm")
given("fuse-allowed", "009", "/dev/fuse may be used", "--device-cgroup-rule", "c 10:229 rwm")
given("kernel-log-allowed", "009", "/dev/kmsg may be read with CAP_SYSLOG",
      "--device-cgroup-rule", "c 1:11 rwm", "--cap-add", "SYSLOG")
given("fuse-given", "010", "every container has /dev/fuse", "--device", "/dev/fuse")
changed("device-rights-ignored", "012", "a device is given with all rights", "--device", ":(r|w)$", ":rwm")


# -- limits and networks -----------------------------------------------------------------------

ignored("pids-limit-ignored", "167", "--pids-limit")
ignored("memory-ignored", "168", "--memory")
ignored("storage-size-ignored", "196", "--storage-opt")
ignored("cpus-ignored", "193", "--cpus")
ignored("label-file-ignored", "193", "--label-file")
ignored("ulimit-nofile-ignored", "169", "--ulimit", "nofile")
ignored("ulimit-fsize-ignored", "006", "--ulimit", "fsize")
changed("tmpfs-size-ignored", "133", "a tmpfs has no size", "--tmpfs", ":size=.*", "")
ignored("shm-size-ignored", "133", "--shm-size")
changed("published-everywhere", "172", "ports are published at all addresses", "--publish", r"127\.0\.0\.1", "0.0.0.0")
ignored("no-network-ignored", "055", "--network", "^none$")
given("network-can-be-changed", "174", "addresses and routes can be changed", "--cap-add", "NET_ADMIN")


def every() -> dict[str, Fault]:
    """Return all faults by their id."""
    import weakened_runtimes  # noqa: F401 - each adds its own
    import weakened_ways  # noqa: F401

    return dict(FAULTS)

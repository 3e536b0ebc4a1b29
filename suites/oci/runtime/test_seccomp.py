"""Seccomp: default action, rules, arguments, errors."""

import errno
import os

import pytest

from seatrial.exec import FAILURE, parsed
from seatrial.oci.bench import refused
from seatrial.oci.descriptors import DescriptorSocket
from seatrial.probes import entry32

claim, requires = pytest.mark.claim, pytest.mark.requires

# calls that neither Perl nor a runtime's last steps make, by number
NUMBERS = {
    "x86_64": {"getpriority": 140, "sysinfo": 99, "acct": 163, "getsid": 124, "sync": 162},
    "aarch64": {"getpriority": 141, "sysinfo": 179, "acct": 89, "getsid": 156, "sync": 81},
}.get(os.uname().machine, {})
# what the probe and the steps before it need
NEEDED = (
    "access", "arch_prctl", "brk", "capget", "capset", "chdir", "clock_gettime", "clock_nanosleep", "clone",
    "clone3", "close", "close_range", "connect", "dup", "dup2", "dup3", "epoll_create1", "epoll_ctl", "epoll_pwait",
    "epoll_wait", "execve", "execveat", "exit", "exit_group", "faccessat", "faccessat2", "fchdir", "fchmod",
    "fchown", "fcntl", "fstat", "fstatfs", "futex", "getcwd", "getdents64", "getegid", "geteuid", "getgid",
    "getgroups", "getpeername", "getpgrp", "getpid", "getppid", "getrandom", "getresgid", "getresuid", "getrlimit",
    "getsockname", "gettid", "getuid", "ioctl", "kill", "linkat", "lseek", "lstat", "madvise", "mmap", "mount",
    "mprotect", "mremap", "munmap", "nanosleep", "newfstatat", "open", "openat", "openat2", "pipe", "pipe2",
    "pivot_root", "poll", "ppoll", "prctl", "pread64", "prlimit64", "pselect6", "read", "readlink", "readlinkat",
    "recvmsg", "restart_syscall", "rseq", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigtimedwait",
    "sched_getaffinity", "sched_yield", "select", "sendmsg", "sendto", "set_robust_list", "set_tid_address",
    "setgid", "setgroups", "setresgid", "setresuid", "setsid", "setuid", "sigaltstack", "socket", "stat", "statfs",
    "statx", "symlinkat", "sysctl", "tgkill", "time", "times", "umask", "umount2", "uname", "unlink", "wait4",
    "waitid", "write", "writev",
)  # fmt: skip

pytestmark = pytest.mark.requires("seccomp", "amd64")


def rule(*names, action="SCMP_ACT_ERRNO", **more):
    return {"names": list(names), "action": action, **more}


def filtered(bundle, *rules, default="SCMP_ACT_ALLOW", **more):
    return bundle.with_(linux={"seccomp": {"defaultAction": default, "syscalls": list(rules), **more}})


def call(box, name, *words):
    return box.probe.call(NUMBERS[name], *words)


@claim("CL-sec-default", "CL-sec-action")
def test_without_a_filter_nothing_is_denied(runtime, bundle):
    box = runtime.run(bundle)
    assert box.seen.seccomp == 0
    assert call(box, "getsid", 0) == "ok"
    assert call(box, "getpriority", 0, 0) == "ok"


@claim("CL-sec-action", "CL-sec-errnoret")
def test_a_rule_denies_the_calls_that_it_names(runtime, bundle):
    box = runtime.run(filtered(bundle, rule("getpriority", "sysinfo")))
    assert box.seen.seccomp == 2
    assert call(box, "getpriority", 0, 0) == "EPERM"
    assert call(box, "sysinfo", "x" * 200) == "EPERM"
    assert call(box, "getsid", 0) == "ok"


@claim("CL-sec-default")
def test_the_default_action_is_for_calls_that_no_rule_names(runtime, bundle):
    box = runtime.run(filtered(bundle, rule(*NEEDED, "getsid", action="SCMP_ACT_ALLOW"), default="SCMP_ACT_ERRNO"))
    assert call(box, "getsid", 0) == "ok"
    assert call(box, "getpriority", 0, 0) == "EPERM"
    assert call(box, "sysinfo", "x" * 200) == "EPERM"


@claim("CL-sec-errnoret")
def test_a_rule_names_the_error_of_a_denied_call(runtime, bundle):
    box = runtime.run(filtered(
        bundle, rule("getpriority", errnoRet=errno.ENOENT), rule("sysinfo", errnoRet=errno.EBUSY), rule("getsid"),
    ))  # fmt: skip
    assert call(box, "getpriority", 0, 0) == "ENOENT"
    assert call(box, "sysinfo", "x" * 200) == "EBUSY"
    assert call(box, "getsid", 0) == "EPERM"


@claim("CL-sec-errnoret")
@requires("oci_1_1")
def test_the_default_action_has_an_error_of_its_own(runtime, bundle):
    allowed = rule(*NEEDED, "getsid", action="SCMP_ACT_ALLOW")
    box = runtime.run(filtered(bundle, allowed, default="SCMP_ACT_ERRNO", defaultErrnoRet=errno.ENOSYS))
    assert call(box, "getpriority", 0, 0) == "ENOSYS"
    assert call(box, "getsid", 0) == "ok"


@claim("CL-sec-args")
@pytest.mark.parametrize(("op", "denied"), [
    ("SCMP_CMP_EQ", [5]), ("SCMP_CMP_NE", [0, 4, 6, 9]), ("SCMP_CMP_LT", [0, 4]), ("SCMP_CMP_LE", [0, 4, 5]),
    ("SCMP_CMP_GT", [6, 9]), ("SCMP_CMP_GE", [5, 6, 9]),
])  # fmt: skip
def test_a_rule_with_an_argument_is_for_matching_calls(runtime, bundle, op, denied):
    args = [{"index": 1, "value": 5, "op": op}]
    box = runtime.run(filtered(bundle, rule("getpriority", args=args)))
    # what the rule lets through is an invalid argument
    seen = [value for value in (0, 4, 5, 6, 9) if call(box, "getpriority", 9, value) == "EPERM"]
    assert seen == denied


@claim("CL-sec-args")
def test_a_masked_argument_is_compared_under_its_mask(runtime, bundle):
    args = [{"index": 1, "value": 0xF0, "valueTwo": 0x50, "op": "SCMP_CMP_MASKED_EQ"}]
    box = runtime.run(filtered(bundle, rule("getpriority", args=args)))
    seen = [value for value in (0x50, 0x5F, 0x150, 0x40, 0x60) if call(box, "getpriority", 9, value) == "EPERM"]
    assert seen == [0x50, 0x5F, 0x150]


@claim("CL-sec-args")
def test_a_rule_with_two_arguments_is_for_calls_in_which_both_match(runtime, bundle):
    args = [{"index": index, "value": value, "op": "SCMP_CMP_EQ"} for index, value in ((0, 9), (1, 5))]
    box = runtime.run(filtered(bundle, rule("getpriority", args=args)))
    seen = [pair for pair in ((9, 5), (9, 4), (8, 5)) if call(box, "getpriority", *pair) == "EPERM"]
    assert seen == [(9, 5)]


@claim("CL-sec-action")
@pytest.mark.parametrize(("action", "code"), [
    ("SCMP_ACT_KILL", -31), ("SCMP_ACT_KILL_PROCESS", -31), ("SCMP_ACT_TRAP", -31), ("SCMP_ACT_LOG", 0),
    ("SCMP_ACT_ALLOW", 0), ("SCMP_ACT_ERRNO", 1), ("SCMP_ACT_TRACE", 38),
])  # fmt: skip
def test_an_action_is_what_happens_to_a_call(runtime, bundle, action, code):
    box = runtime.run(filtered(bundle, rule("getsid", action=action)))
    script = f"syscall({NUMBERS['getsid']}, 0) == -1 and exit $!; exit 0"
    assert box.probe.exec("/usr/bin/perl", "-e", script).code == code


GETSID_32 = 147


def fate_32(runtime, bundle):
    """What becomes of a getsid by the 32-bit entry of the kernel in a container of the bundle."""
    box = runtime.place(bundle.args("/entry32"))
    program = box.rootfs / "entry32"
    program.write_bytes(entry32.program([(GETSID_32, 0)]))
    program.chmod(0o755)
    ended = runtime.cli("run", "--bundle", str(box.directory), box.id, expect=None)
    runtime.made(box.id)
    return entry32.fates(ended.out, 1)[0] if len(ended.out) == 4 else f"exit code {ended.code}"


@claim("CL-sec-arch")
def test_a_filter_for_the_native_architecture_is_in_force(runtime, bundle):
    box = runtime.run(filtered(bundle, rule("getsid"), architectures=["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]))
    assert call(box, "getsid", 0) == "EPERM"


@claim("CL-sec-arch")
@requires("entry32", "host_kernel")
def test_a_filter_is_in_force_for_the_other_architectures_of_the_list(runtime, bundle):
    assert fate_32(runtime, bundle) == "ok"
    both = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]
    assert fate_32(runtime, filtered(bundle, rule("getsid"), architectures=both)) == "EPERM"
    # another rule, so that it is the list of architectures that lets the program run
    assert fate_32(runtime, filtered(bundle, rule("acct"), architectures=both)) == "ok"


@claim("CL-sec-action")
def test_names_that_the_machine_does_not_know_are_passed_over(runtime, bundle):
    box = runtime.run(filtered(bundle, rule("no_such_call", "getsid")))
    assert call(box, "getsid", 0) == "EPERM"


@claim("CL-sec-action", "RT-life-2-env")
def test_a_filter_is_in_force_for_a_user_without_privileges_as_well(runtime, bundle):
    box = runtime.run(filtered(bundle.with_(process={"user": {"uid": 1000}, "noNewPrivileges": True}), rule("getsid")))
    assert box.seen.seccomp == 2
    assert call(box, "getsid", 0) == "EPERM"


@claim("CF-valid", "CL-sec-action")
@pytest.mark.parametrize("what", ["default", "rule", "operator", "architecture", "index"])
def test_an_unknown_word_is_refused(runtime, bundle, what):
    argument = {"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}
    broken = {
        "default": filtered(bundle, default="SCMP_ACT_NOSUCH"),
        "rule": filtered(bundle, rule("getsid", action="SCMP_ACT_NOSUCH")),
        "operator": filtered(bundle, rule("getsid", args=[{**argument, "op": "SCMP_CMP_NOSUCH"}])),
        "architecture": filtered(bundle, rule("getsid"), architectures=["SCMP_ARCH_NOSUCH"]),
        "index": filtered(bundle, rule("getsid", args=[{**argument, "index": 6}])),
    }[what]
    box = runtime.refuses(broken)
    assert not box.known


@claim("CL-sec-names", "CF-valid")
@pytest.mark.parametrize("names", [[], None], ids=["empty", "none"])
def test_a_rule_without_names_is_refused(runtime, bundle, names):
    broken = {"action": "SCMP_ACT_ERRNO"} | ({} if names is None else {"names": names})
    runtime.refuses(filtered(bundle, broken))


@claim("CL-sec-default", "CF-valid")
def test_a_filter_without_a_default_action_is_refused(runtime, bundle):
    runtime.refuses(bundle.with_(linux={"seccomp": {"syscalls": [rule("getsid")]}}))


@claim("CL-sec-errno")
@requires("oci_1_1")
def test_an_error_for_an_action_that_has_none_is_refused(runtime, bundle):
    runtime.refuses(filtered(bundle, rule("getsid", action="SCMP_ACT_KILL", errnoRet=5)))


@claim("CL-sec-sock", "CL-sec-fd", "CL-cps")
@requires("seccomp_notify")
def test_a_listener_gets_the_filter_and_the_state(runtime, bundle):
    listener = DescriptorSocket(runtime.path("s"))
    runtime.defer(listener.close)
    box = runtime.place(filtered(
        bundle, rule("getsid", action="SCMP_ACT_NOTIFY"), listenerPath=str(listener.path), listenerMetadata="for us",
    ))  # fmt: skip
    box.create()
    box.start()
    message, descriptor = listener.receive()
    runtime.defer(lambda: os.close(descriptor))
    told = parsed(message)
    assert os.readlink(f"/proc/self/fd/{descriptor}") == "anon_inode:seccomp notify"
    assert told["fds"] == ["seccompFd"]
    assert told["ociVersion"].startswith("1.")
    assert told["metadata"] == "for us"
    assert told["pid"] == box.pid
    assert (told["state"]["id"], told["state"]["bundle"]) == (box.id, str(box.directory))


@claim("CL-sec-sockerr")
@requires("seccomp_notify")
def test_a_listener_that_is_not_there_is_an_error(runtime, bundle):
    box = runtime.place(filtered(bundle, rule("getsid", action="SCMP_ACT_NOTIFY"), listenerPath="/no/such/listener"))
    created = box.create(expect=None)
    refused(box.start(expect=FAILURE) if created.ok else created)


@claim("CL-sec-meta")
@requires("oci_1_1")
def test_metadata_without_a_listener_is_refused(runtime, bundle):
    runtime.refuses(filtered(bundle, rule("getsid"), listenerMetadata="for nobody"))

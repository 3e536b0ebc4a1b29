"""System call filters: what the engine's own filter does with each call, and what options change about it."""

import errno
import json
import struct

import pytest

from seatrial.expecting import one
from seatrial.probes import seccomp
from seatrial.security import surface
from seatrial.security.syscalls import BREAKING, BREAKING_I386, LAST, UNFILTERED, name, numbers

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires
case = pytest.param
pytestmark = requires("seccomp", "amd64")

CALLS = numbers()
UNCONFINED = ("--security-opt", "seccomp=unconfined")
# the kernel's constants
NEW_USER, NEW_TIME, NO_RANDOMIZE, READ_IMPLIES_EXEC = 0x10000000, 0x80, 0x0040000, 0x0400000
NAMESPACES = {"mnt": 0x20000, "uts": 0x4000000, "ipc": 0x8000000, "pid": 0x20000000, "net": 0x40000000,
              "cgroup": 0x2000000}  # fmt: skip
THREAD_ALONE = 0x10000  # CLONE_THREAD without CLONE_SIGHAND: EINVAL
# which calls a capability may let through that are refused without it (Docker's and containers/common's profiles)
FOLLOWS = {
    "SYS_ADMIN": "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr "
    "move_mount name_to_handle_at open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns "
    "syslog umount2 unshare pivot_root swapon swapoff vm86 keyctl",
    "SYS_PTRACE": "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace",
    "SYS_MODULE": "delete_module init_module finit_module query_module create_module",
    "SYS_TIME": "settimeofday stime clock_settime clock_adjtime adjtimex",
    "SYS_BOOT": "reboot kexec_load kexec_file_load",
    "SYS_PACCT": "acct",
    "DAC_READ_SEARCH": "open_by_handle_at name_to_handle_at",
    "SYS_TTY_CONFIG": "vhangup",
    "SYS_NICE": "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    "SYS_RAWIO": "iopl ioperm",
    "SYSLOG": "syslog",
}

# Calls that published ways out of containers went through, and that few programs need.
RISKY = ("add_key", "bpf", "clone3", "fsopen", "io_uring_setup", "kexec_load", "keyctl", "mount", "move_mount",
         "open_by_handle_at", "perf_event_open", "pivot_root", "process_vm_readv", "process_vm_writev", "ptrace",
         "request_key", "setns", "unshare", "userfaultfd")  # fmt: skip


def passes(actions):
    """Whether some arguments get a call through."""
    return bool(actions & {"allow", "log", "trace", "notify"})


def refusal(action):
    """What becomes of a call that a filter refuses so."""
    return errno.errorcode[int(action.split()[1])] if action.startswith("errno") else "signal 31"


def allowed(filters, arch=seccomp.X86_64, bits=0):
    return {number for number in range(LAST + 1) if passes(filters.actions(number | bits, arch))}


def names(calls):
    return sorted(map(name, calls))


@pytest.fixture
def filters(prober):
    """Call it with options of `run` to get the filters of a container, read from outside."""
    return lambda *options: seccomp.read(prober.start(*options).pid)


@claim("security-082")
@requires("seccomp_filters")
def test_filter_does_to_each_call_what_it_says(engine, prober, guard, keep_calls):
    """Each call is made for real; what the filter says of it must have become of it, and nothing else differs."""
    table, free = surface.look(prober), prober.call_table(*UNCONFINED)
    keep_calls(table.says, engine.trait("seccomp_refuses"))
    made = table.made
    assert len(made) == LAST + 1 - len(BREAKING)
    wrong, decided = {}, 0
    for number, fate in made.items():
        actions = table.says["x86_64"][number]
        if number in UNFILTERED or len(actions) > 1:
            continue  # no filter sees it, or the arguments decide
        decided += 1
        expected = free[number] if passes(actions) else refusal(one(actions))
        if fate != expected:
            wrong[name(number)] = f"{fate} instead of {expected}"
    assert not wrong
    assert decided > 400
    changed = [number for number in made if made[number] != free[number]]
    assert len(changed) > 20
    guard.note("system calls that a filter refuses for real, of those tried", f"{len(changed)} of {len(made)}")


@claim("security-163", "security-082")
@requires("seccomp_filters", "entry32")
def test_filter_does_to_each_call_of_the_32_bit_entry_what_it_says(prober, filters, guard):
    """Each number is called for real by the 32-bit entry, with arguments that nobody can use."""
    tried = {number: (number, *[-1] * 6) for number in range(LAST + 1) if number not in BREAKING_I386}
    program = filters()
    made, free = prober.fates_i386(calls=tried), prober.fates_i386(*UNCONFINED, calls=tried)
    wrong, decided = {}, 0
    for number, fate in made.items():
        actions = program.actions(number, seccomp.I386)
        if len(actions) > 1:
            continue  # the arguments decide
        decided += 1
        expected = free[number] if passes(actions) else refusal(one(actions))
        if fate != expected:
            wrong[name(number, "i386")] = f"{fate} instead of {expected}"
    assert not wrong
    assert decided > 400
    changed = [number for number in made if made[number] != free[number]]
    assert len(changed) > 20
    guard.note("system calls that a filter refuses for real by the 32-bit entry, of those tried",
               f"{len(changed)} of {len(made)}")  # fmt: skip


@claim("security-048")
@requires("seccomp_filters")
def test_surface_of_the_kernel_is_smaller_than_without_a_filter(filters, guard):
    with_filter, without = allowed(filters()), allowed(filters(*UNCONFINED))
    assert len(without) == LAST + 1
    assert with_filter < without
    known = {number for number in CALLS.values() if number in with_filter}
    guard.note("system calls that the default filter lets through", len(known))
    reach = sorted(word for word in RISKY if CALLS[word] in with_filter)
    guard.note("those of them that reach deep into the kernel", " ".join(reach) or "none")
    assert len(known) < 0.9 * len(CALLS)


@claim("security-086", "security-143", "security-144")
@requires("seccomp_filters")
def test_calls_that_the_documentation_lists_are_refused(engine, filters, guard):
    listed = [word for word in engine.trait("seccomp_refuses") if word in CALLS]
    assert len(listed) > 20
    shut, free = filters(), filters(*UNCONFINED)
    outcome = {
        which: {word: "passes" if passes(program.actions(CALLS[word])) else "refused" for word in listed}
        for which, program in (("shut", shut), ("free", free))
    }
    assert guard.each("calls that are documented as refused", outcome["shut"], outcome["free"]) == listed


@claim("security-163")
@requires("seccomp_filters")
@pytest.mark.parametrize("entry", ["i386", "x32"])
def test_other_entries_are_filtered_as_the_main_one(engine, filters, guard, entry):
    listed = [word for word in engine.trait("seccomp_refuses") if word in CALLS and word in numbers("i386")]
    (arch, bits, _), table = surface.ENTRIES[entry], numbers(entry)
    shut, free = filters(), filters(*UNCONFINED)
    outcomes = [
        {word: "passes" if passes(program.actions(table[word] | bits, arch)) else "refused" for word in listed}
        for program in (shut, free)
    ]
    assert guard.each(f"calls that are documented as refused, by {entry}", *outcomes) == listed


@claim("security-163", "security-086")
@requires("entry32")
def test_calls_by_the_32_bit_entry_are_refused_for_real(engine, prober, guard):
    """With arguments that nobody can use; what is refused without the filter, too, tells nothing."""
    table = numbers("i386")
    listed = {word: (table[word], *[-1] * 6) for word in engine.trait("seccomp_refuses") if word in table}
    shut, free = prober.fates_i386(calls=listed), prober.fates_i386(*UNCONFINED, calls=listed)
    proved = guard.each("calls that are documented as refused, made by the 32-bit entry", shut, free)
    assert len(proved) > 10


@claim("security-164")
@requires("seccomp_filters")
def test_call_that_no_filter_knows_is_not_implemented(prober, filters, guard):
    unknown = 9999
    actions = filters().actions(unknown)
    guard.note("a system call that the filter does not know", " or ".join(sorted(actions)))
    assert actions == {f"errno {errno.ENOSYS}"}
    assert prober.fates(calls={"unknown": (unknown,)}) == {"unknown": "ENOSYS"}


@claim("security-083")
def test_execution_domains_are_told_apart(prober, guard):
    number = CALLS["personality"]
    calls = {"no-randomize": (number, NO_RANDOMIZE), "read-implies-exec": (number, READ_IMPLIES_EXEC)}
    guard.each("personality with flags that weaken protections", prober.fates(calls=calls),
               prober.fates(*UNCONFINED, calls=calls))  # fmt: skip
    assert prober.fates(calls={"query": (number, 0xFFFFFFFF), "linux": (number, 0)}) == {"query": "ok", "linux": "ok"}


@claim("security-083")
@requires("seccomp_filters")
def test_families_of_sockets_are_told_apart(engine, prober, filters, guard):
    """Sockets between virtual machines, to the kernel's ciphers and to its audit, beside one that programs need."""
    calls = {"vsock": (40, 1, 0), "alg": (38, 5, 0), "audit": (16, 3, 9), "inet": (2, 1, 0)}
    calls = {family: (CALLS["socket"], *words) for family, words in calls.items()}
    shut, free = prober.fates(calls=calls), prober.fates(*UNCONFINED, calls=calls)
    refused = engine.trait("seccomp_refuses_families")
    proved = guard.each("families of sockets that the filter refuses", *({family: which[family] for family in refused}
                        for which in (shut, free)), is_refused=lambda what: what in ("EPERM", "EINVAL"))  # fmt: skip
    assert proved == refused
    assert shut["inet"] == free["inet"] == "ok"
    others = [family for family in calls if family not in refused and shut[family] == free[family]]
    guard.note("families of sockets that pass", " ".join(others))
    # its arguments lie in memory, where no filter looks
    passing = passes(filters().actions(numbers("i386")["socketcall"], seccomp.I386))
    guard.note("all families, by socketcall of the 32-bit entry", "pass" if passing else "refused")


@claim("security-083", "security-163")
@requires("entry32")
def test_families_of_sockets_are_told_apart_by_the_32_bit_entry(engine, prober, guard):
    """The call of its own is filtered as that of the main entry; socketcall is looked at for what it lets through."""
    refused = engine.trait("seccomp_refuses_families")
    sockets = {"vsock": (40, 1, 0), "alg": (38, 5, 0), "audit": (16, 3, 9), "inet": (2, 1, 0)}
    table = numbers("i386")
    calls = {family: (table["socket"], *words) for family, words in sockets.items()}
    hidden = {family: (table["socketcall"], 1, struct.pack("<3I", *words)) for family, words in sockets.items()}
    shut, free = prober.fates_i386(calls=calls), prober.fates_i386(*UNCONFINED, calls=calls)
    proved = guard.each("families of sockets that the filter refuses by the 32-bit entry",
                        *({family: which[family] for family in refused} for which in (shut, free)),
                        is_refused=lambda what: what in ("EPERM", "EINVAL"))  # fmt: skip
    assert proved == refused
    assert shut["inet"] == free["inet"] == "ok"
    seen, control = prober.fates_i386(calls=hidden), prober.fates_i386(*UNCONFINED, calls=hidden)
    assert seen["inet"] == control["inet"] == "ok"
    assert [control[family] for family in refused] == [free[family] for family in refused]
    through = [family for family in refused if seen[family] == control[family]]
    guard.note("families of sockets that are refused, and had by socketcall", " ".join(through) or "none",
               state="open" if through else "fact")  # fmt: skip


@claim("security-083", "security-017")
@requires("seccomp_filters")
def test_flags_of_clone_are_told_apart(engine, prober, filters, guard):
    """With a flag that the kernel takes with another one only, so that no process comes of it."""
    kinds = {"user": NEW_USER, **NAMESPACES}
    calls = {kind: (CALLS["clone"], flag | THREAD_ALONE, 0, 0, 0, 0) for kind, flag in kinds.items()}
    plain = {"thread": (CALLS["clone"], THREAD_ALONE, 0, 0, 0, 0)}
    program = filters()
    says = {kind: surface.words(program.actions(CALLS["clone"], arguments=call[1:])) for kind, call in calls.items()}
    shut, free = prober.fates(calls={**calls, **plain}), prober.fates(*UNCONFINED, calls={**calls, **plain})
    assert set(free.values()) == {"EINVAL"}
    assert shut["thread"] == "EINVAL"
    assert program.actions(CALLS["clone"], arguments=plain["thread"][1:]) == {"allow"}
    if engine.trait("nested_user_namespaces"):
        guard.note("flags of clone that make namespaces", "pass")
        assert (shut, set(says.values())) == (free, {"allow"})
    else:
        proved = guard.each("flags of clone that make namespaces", {kind: shut[kind] for kind in calls},
                            {kind: free[kind] for kind in calls})  # fmt: skip
        assert proved == list(calls)
        assert says == {kind: shut[kind] for kind in calls}


@claim("security-083", "security-164")
def test_clone_whose_flags_no_filter_sees_is_not_implemented(engine, prober, guard):
    """Its arguments lie in memory; without a size it makes no process. Where clone is free, so is this."""
    call = {"clone3": (CALLS["clone3"], 0, 0)}
    shut, free = prober.fates(calls=call), prober.fates(*UNCONFINED, calls=call)
    if engine.trait("nested_user_namespaces"):
        guard.note("clone3", shut["clone3"])
        assert shut == free == {"clone3": "EINVAL"}
    else:
        guard.holds("clone3", shut["clone3"], free["clone3"], is_refused=lambda what: what == "ENOSYS")


@claim("security-083", "security-017")
def test_new_user_namespaces_are_as_documented(engine, prober, guard):
    calls = {"unshare": (CALLS["unshare"], NEW_USER)}
    shut, free = prober.fates(calls=calls), prober.fates(*UNCONFINED, calls=calls)
    if engine.trait("nested_user_namespaces"):
        guard.note("a user namespace made inside", shut["unshare"])
        assert shut == free == {"unshare": "ok"}
    else:
        guard.each("a user namespace made inside", shut, free)


@claim("security-017")
def test_other_namespaces_are_neither_made_nor_joined(prober, guard, bare):
    calls = {f"unshare {kind}": (CALLS["unshare"], flag) for kind, flag in NAMESPACES.items()}
    proved = guard.each("namespaces made inside", prober.fates(calls=calls),
                        prober.fates(*bare("SYS_ADMIN"), calls=calls))  # fmt: skip
    assert proved == list(calls)
    join = [(CALLS["open"], "=/proc/self/ns/uts", 0), (CALLS["setns"], "$0", NAMESPACES["uts"])]
    guard.holds("setns", prober.chain(calls=join)[1], prober.chain(*bare("SYS_ADMIN"), calls=join)[1])


@claim("security-165", "security-146", "security-092")
@requires("seccomp_filters")
@pytest.mark.parametrize("capability", sorted(FOLLOWS))
def test_capability_lets_through_its_own_calls_and_no_others(filters, guard, capability):
    before, after = filters(), filters("--cap-add", capability)
    gained = set(names(allowed(after) - allowed(before)))
    assert not allowed(before) - allowed(after)
    own = set(FOLLOWS[capability].split())
    guard.note(f"system calls that {capability} lets through", len(gained))
    assert gained <= own
    shut = [word for word in sorted(own) if word in CALLS and not passes(before.actions(CALLS[word]))]
    # what was refused by capability is now allowed, unless the engine allowed it all along
    assert gained or not [word for word in shut if word not in ALWAYS_SHUT]


# calls of FOLLOWS that some profiles refuse whatever the capabilities
ALWAYS_SHUT = {"query_module", "create_module", "kexec_load", "kexec_file_load", "vm86", "swapon", "swapoff",
               "set_mempolicy_home_node", "keyctl", "lookup_dcookie", "pivot_root"}  # fmt: skip


def profile(engine, **content):
    path = engine.workdir / "profile.json"
    path.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], **content}))
    return ("--security-opt", f"seccomp={path}")


def rule(*calls, action="SCMP_ACT_ERRNO", args=()):
    return {"names": list(calls), "action": action, "args": list(args)}


@claim("security-085")
@effect("run --security-opt")
def test_profile_of_a_file_is_in_force_and_refuses_nothing_else(engine, prober, guard):
    options = profile(engine, syscalls=[rule("umask", "getpriority")])
    calls = {"umask": (CALLS["umask"], 0o22), "getpriority": (CALLS["getpriority"], 0, 0)}
    other = {"times": (CALLS["times"], 0), "unshare": (CALLS["unshare"], NEW_USER)}
    seen = prober.fates(*options, calls={**calls, **other})
    proved = guard.each("calls that a custom profile refuses", {word: seen[word] for word in calls},
                        prober.fates(calls=calls), mode="custom profile")  # fmt: skip
    assert proved == list(calls)
    assert {word: seen[word] for word in other} == {"times": "ok", "unshare": "ok"}


@claim("security-085", "security-083")
def test_profile_compares_arguments(engine, prober, guard):
    options = profile(engine, syscalls=[
        rule("socket", args=[{"index": 0, "value": 16, "op": "SCMP_CMP_EQ"}]),
        rule("getpriority", args=[{"index": 1, "value": 100000, "op": "SCMP_CMP_GT"}]),
    ])  # fmt: skip
    shut = {"netlink": (CALLS["socket"], 16, 3, 0), "above": (CALLS["getpriority"], 0, 100001)}
    beside = {"unix": (CALLS["socket"], 1, 1, 0), "within": (CALLS["getpriority"], 0, 0)}
    seen = prober.fates(*options, calls={**shut, **beside})
    guard.each("arguments that a custom profile refuses", {word: seen[word] for word in shut},
               prober.fates(calls=shut), mode="custom profile")  # fmt: skip
    assert {word: seen[word] for word in beside} == {"unix": "ok", "within": "ok"}


@claim("security-085", "security-166")
@pytest.mark.parametrize(("action", "fate"), [
    case("SCMP_ACT_KILL_PROCESS", "signal 31", id="kill"), case("SCMP_ACT_TRAP", "signal 31", id="trap"),
    case("SCMP_ACT_LOG", "ok", id="log"),
])  # fmt: skip
def test_actions_of_a_profile_are_taken(engine, prober, action, fate):
    options = profile(engine, syscalls=[rule("getpriority", action=action)])
    calls = {"getpriority": (CALLS["getpriority"], 0, 0), "times": (CALLS["times"], 0)}
    assert prober.fates(*options, calls=calls) == {"getpriority": fate, "times": "ok"}
    assert prober.fates(calls=calls) == {"getpriority": "ok", "times": "ok"}


@claim("security-085")
@pytest.mark.parametrize("content", ["{", "[]", '{"defaultAction": "SCMP_ACT_NONSENSE"}', None],
                         ids=["broken", "list", "action", "missing"])  # fmt: skip
def test_broken_profile_is_refused(engine, content):
    path = engine.workdir / "broken.json"
    if content is not None:
        path.write_text(content)
    engine.fails("run", "--rm", "--security-opt", f"seccomp={path}", engine.image, "true",
                 says="seccomp|profile|no such file|unmarshal|unexpected end")  # fmt: skip
    engine.sh("true", *profile(engine))


@claim("security-082", "security-166", "security-162")
def test_filter_holds_for_exec_and_after_a_restart(engine, prober, guard):
    c = prober.start()
    calls = [("fate", CALLS["swapon"], "=/none", 0), ("fate", CALLS["personality"], NO_RANDOMIZE)]
    before = prober.inside(c, acts=calls)
    engine.cli("restart", "--time", "0", c.name)
    after = prober.inside(c, acts=calls)
    assert [said.seen.seccomp for said in (before, after)] == [2, 2]
    assert c.kernel.status["Seccomp"] == "2"
    assert before.values == after.values
    free = prober.inside(prober.start(*UNCONFINED), acts=calls)
    assert (free.seen.seccomp, free.values[1][0]) == (0, "0")
    assert before.values[1][0] != "0"
    guard.note("a filter in what exec starts", "yes")

"""What a container sees of the kernel that it shares, and what it can change there."""

import os
import platform
from pathlib import Path

import pytest

from seatrial.exec import run
from seatrial.expecting import matched
from seatrial.oci.rootfs import PERL, PROBE
from seatrial.security.guard import refused
from seatrial.security.syscalls import numbers

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires
case = pytest.param
pytestmark = requires("amd64")

CALLS = numbers()
KINDS = ("mnt", "pid", "net", "ipc", "uts")
NEW_USER, NEW_NS, BIND, REMOUNT, READ_ONLY = 0x10000000, 0x20000, 4096, 32, 1
# masked by the runtime specification's example and by every engine that is known
MASKED = ("/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
          "/proc/sched_debug", "/proc/scsi", "/sys/firmware")  # fmt: skip
WRITE_ONLY = os.O_WRONLY


def mount(source, target, kind, flags=0):
    return (CALLS["mount"], f"={source}", f"={target}", f"={kind}" if kind else 0, flags, 0)


# -- namespaces --------------------------------------------------------------------------------


@claim("security-049")
def test_namespaces_are_the_containers_own(prober, guard):
    one, two = prober.start(), prober.start()
    ours = {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in KINDS}
    first, second = one.kernel.namespaces(KINDS), two.kernel.namespaces(KINDS)
    for kind in KINDS:
        assert len({ours[kind], first[kind], second[kind]}) == 3, kind
    inside = prober.inside(one).seen.report["ns"]
    assert {kind: inside[kind] for kind in KINDS} == first
    guard.note("namespaces of its own", " ".join(KINDS))


@claim("security-156")
@pytest.mark.parametrize(("option", "kind"), [
    case("--pid", "pid"), case("--ipc", "ipc"), case("--uts", "uts"), case("--network", "net"),
])  # fmt: skip
def test_namespace_of_the_host_is_joined_by_its_option_only(engine, prober, option, kind):
    default, joined = prober.start().kernel.namespaces(KINDS), prober.start(option, "host").kernel.namespaces(KINDS)
    host = {name: run(["readlink", f"/proc/self/ns/{name}"], host=engine.raw.host).text for name in KINDS}
    assert joined[kind] == host[kind]
    assert default[kind] != host[kind]
    assert not {name for name in KINDS if name != kind and joined[name] in (host[name], default[name])}


@claim("security-018")
def test_processes_of_the_host_cannot_be_signalled(prober, guard):
    """Signal 0 to this very process, which tells only whether it may be sent."""
    calls = {"kill": (CALLS["kill"], os.getpid(), 0)}
    shut, free = prober.fates(calls=calls)["kill"], prober.fates("--pid", "host", calls=calls)["kill"]
    guard.holds("a signal to a process of the host", shut, free, is_refused=lambda what: what == "ESRCH")


@claim("security-005")
@requires("native_runtime")
def test_kernel_is_that_of_the_host(prober, guard):
    release = prober.ask(acts=[("read", "/proc/sys/kernel/osrelease")]).values[0]["text"].strip()
    assert release == platform.release()
    guard.note("kernel of a container", "the host's")


@claim("security-050")
@requires("native_runtime")
def test_memory_and_processors_of_the_host_are_seen(prober, guard):
    said = prober.ask("--memory", "64m", acts=[("read", "/proc/meminfo"), ("read", "/proc/cpuinfo")])
    total = matched(r"^MemTotal:\s+(\d+) kB$", said.values[0]["text"])
    assert int(total[1]) * 1024 == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert said.values[1]["text"].count("processor\t:") == os.cpu_count()
    guard.note("memory in /proc/meminfo with a limit", "the host's")


@claim("security-155")
def test_session_keys_are_the_containers_own(prober, guard, unconfined):
    """The number of the session's key ring, which tells whose it is; two processes of one container share theirs."""
    ask = ("fate", CALLS["keyctl"], 0, -3, 0)
    c = prober.start(*unconfined)
    pairs = [[prober.ask(*unconfined, acts=[ask]).values[0] for _ in range(2)],
             [prober.inside(c, acts=[ask]).values[0] for _ in range(2)]]  # fmt: skip
    assert [[ring[0] for ring in pair] for pair in pairs] == [["0", "0"]] * 2
    guard.holds("keys of another container's session",
                *("shared" if one[1] == other[1] else "refused" for one, other in pairs))  # fmt: skip


# -- /proc and /sys ----------------------------------------------------------------------------


def shown(prober, *options):
    """What there is to see at each masked path: "shown", "refused" (nothing), or "absent"."""
    acts = [act for path in MASKED for act in (("stat", path), ("list", path), ("read", path))]
    values = prober.ask(*options, acts=acts).values
    found = {}
    for number, path in enumerate(MASKED):
        node, names, text = values[3 * number : 3 * number + 3]
        content = names if names is not None else (text["text"] or "")[:100]
        found[path] = "absent" if node is None else "shown" if content else "refused"
    return found


@claim("security-149", "security-150", "security-117", "security-122", "security-125", "security-155")
def test_masked_paths_show_nothing(engine, prober, guard):
    shut, free = shown(prober), shown(prober, *engine.trait("unmask"))
    there = [path for path in MASKED if free[path] != "absent"]
    proved = guard.each("masked paths", {path: shut[path] for path in there}, {path: free[path] for path in there})
    assert len(proved) >= 2


@claim("security-150")
def test_unmasking_gives_no_capability_and_no_call(engine, prober):
    calls = {"swapon": (CALLS["swapon"], "=/none", 0), "personality": (CALLS["personality"], 0x40000)}
    default, unmasked = prober.ask().seen, prober.ask(*engine.trait("unmask")).seen
    assert unmasked.capabilities("bounding") == default.capabilities("bounding")
    assert unmasked.seccomp == default.seccomp == 2
    assert prober.fates(*engine.trait("unmask"), calls=calls) == prober.fates(calls=calls)


@claim("security-051", "security-114", "security-118", "security-119")
def test_no_kernel_parameter_can_be_opened_for_writing(engine, prober, guard):
    """Files are opened, never written."""
    places = ["/proc/sys/fs", "/proc/sys/kernel", "/proc/sys/vm", "/proc/sys/net"]
    act = [("openable", place) for place in places]
    shut, free = prober.ask(acts=act).values, prober.ask(*engine.trait("unmask"), acts=act).values
    for place, seen in zip(places, shut, strict=True):
        assert int(seen["tried"]) > 5, place
    outcomes = [{place: "opened" if seen["opened"] else "refused" for place, seen in zip(places, which, strict=True)}
                for which in (shut, free)]  # fmt: skip
    guard.each("kernel parameters", *outcomes)
    core_pattern = [("open", "/proc/sys/kernel/core_pattern", WRITE_ONLY)]
    guard.holds("core_pattern", prober.ask(acts=core_pattern).names()[0],
                prober.ask(*engine.trait("unmask"), acts=core_pattern).names()[0])  # fmt: skip


@claim("security-115", "security-121", "security-123", "security-126", "security-122")
def test_nothing_of_sys_and_the_switches_of_proc_can_be_opened_for_writing(prober, guard):
    switches = [path for path in ("/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs") if Path(path).exists()]
    acts = [("openable", path) for path in ("/sys", *switches)]
    shut = prober.ask(acts=acts).values
    assert int(shut[0]["tried"]) > 500
    assert [seen["opened"] for seen in shut] == [[]] * len(acts)
    assert set(shut[0]["errors"]) <= {"30", "13", "1"}  # EROFS, EACCES, EPERM
    # the same files are opened where they are mounted writable
    free = prober.ask("--volume", "/sys/kernel/mm:/open", acts=[("openable", "/open")]).values[0]
    same = prober.ask(acts=[("openable", "/sys/kernel/mm")]).values[0]
    guard.holds("files of /sys", "opened" if same["opened"] else "refused", "opened" if free["opened"] else "refused")


# what is opened for writing, and never written; the directory that is made is removed at once
CGROUPS = {
    "cgroup_v1": ("memory", [
        "memory/cgroup.procs", "pids/cgroup.procs", "devices/devices.allow", "memory/release_agent",
    ]),
    "cgroup_v2": (".", ["cgroup.procs", "cgroup.subtree_control", "cgroup.kill", "memory.max"]),
}


@claim("security-124")
@pytest.mark.parametrize("version", [case(word, marks=requires(word)) for word in CGROUPS])
def test_cgroups_cannot_be_changed(engine, prober, guard, advisory, version):
    """The control has the hierarchies of the host mounted once more, writable."""
    advised = advisory("release-agent")
    parent, files = CGROUPS[version]

    def tried(top, *options):
        made = f"{top}/{parent}/st-{engine.key}"
        acts = [("mkdir", made), *(("open", f"{top}/{file}", WRITE_ONLY) for file in files),
                ("syscall", CALLS["rmdir"], f"={made}")]  # fmt: skip
        return dict(zip(["mkdir", *files], prober.ask(*options, acts=acts).names(), strict=False))

    # what the container's part of a hierarchy does not have (release_agent is in its root only) is out of reach
    shut, free = tried("/sys/fs/cgroup"), tried("/open", "--volume", "/sys/fs/cgroup:/open")
    proved = guard.each(advised.words, shut, free, is_refused=lambda what: refused(what) or what == "ENOENT")
    assert {"mkdir", files[0]} <= set(proved)
    advised.agrees()


@claim("security-052")
def test_log_of_the_kernel_cannot_be_read(prober, guard, bare):
    calls = {"syslog": (CALLS["syslog"], 3, "=" + "\0" * 64, 64)}
    guard.each("the log of the kernel", prober.fates(calls=calls), prober.fates(*bare("SYSLOG"), calls=calls))


# -- mounts ------------------------------------------------------------------------------------

WAYS = {
    "tmpfs": [mount("none", "/tmp", "tmpfs")],
    "bind": [mount("/etc", "/tmp", "", BIND)],
    "over a mask": [mount("/etc/motd", "/proc/keys", "", BIND)],
    "remount /sys": [mount("none", "/sys", "", REMOUNT)],
    "remount /proc/sys": [mount("none", "/proc/sys", "", REMOUNT | BIND)],
    "unmount a mask": [(CALLS["umount2"], "=/proc/keys", 0)],
    "fsopen": [(CALLS["fsopen"], "=tmpfs", 0)],
    "open_tree": [(CALLS["open_tree"], -100, "=/tmp", 1)],
}


@claim("security-061", "security-060", "security-120", "security-146", "security-151")
def test_nothing_is_mounted_or_unmounted(prober, guard, bare):
    shut = {way: prober.chain(calls=calls)[-1] for way, calls in WAYS.items()}
    free = {way: prober.chain(*bare("SYS_ADMIN"), calls=calls)[-1] for way, calls in WAYS.items()}
    assert len(guard.each("mounts", shut, free)) >= 6
    less = {way: prober.chain(*bare("NET_ADMIN", "SYS_PTRACE", "DAC_READ_SEARCH"), calls=calls)[-1]
            for way, calls in WAYS.items()}  # fmt: skip
    guard.each("mounts", less, free, mode="no filter, other capabilities")


@claim("security-151", "security-129", "security-020")
def test_user_namespace_opens_no_mask_and_no_read_only_path(prober, guard, unconfined, bare):
    """A new user and mount namespace gives all capabilities in itself, and none over mounts from before."""
    inside = [(CALLS["unshare"], NEW_USER | NEW_NS)]
    ways = {
        "unmount a mask": (CALLS["umount2"], "=/proc/keys", 0),
        "remount /proc/sys": mount("none", "/proc/sys", "", REMOUNT | BIND),
        "a fresh proc": mount("proc", "/tmp", "proc"),
        "a fresh sysfs": mount("sysfs", "/tmp", "sysfs"),
    }
    refusals = {"EPERM", "EINVAL", "EBUSY", "EROFS", "EACCES", "ENOSYS"}
    shut = {way: prober.chain(*unconfined, calls=[*inside, call])[-1] for way, call in ways.items()}
    free = {way: prober.chain(*bare("SYS_ADMIN"), calls=[call])[-1] for way, call in ways.items()}
    proved = guard.each("masks, from a user namespace", shut, free, is_refused=lambda what: what in refusals)
    assert len(proved) >= 3


@claim("security-153")
@requires("lab")  # whose root is shared, as systemd makes that of a machine
def test_no_mount_is_shared_with_the_host(engine, prober, guard):
    def shared(*options):
        mounts = prober.start("--volume", f"{engine.workdir}:/given", *options).kernel.mounts()
        assert len(mounts) > 5
        return " ".join(mount.target for mount in mounts if "shared" in mount.propagation) or "none"

    free = shared("--volume", f"{engine.workdir}:/shared:rshared")
    guard.holds("mounts that are shared with the host", shared(), free, is_refused=lambda targets: targets == "none")


@claim("security-154", "security-060")
@effect("run --volume")
def test_read_only_bind_cannot_be_written_nor_mounted_writable(engine, prober, guard):
    (engine.workdir / "canary").write_text("alive")
    acts = [("write", "/given/canary", "x", WRITE_ONLY), ("mkdir", "/given/new")]
    shut = prober.ask("--volume", f"{engine.workdir}:/given:ro", acts=acts).names()
    assert (engine.workdir / "canary").read_text() == "alive"
    free = prober.ask("--volume", f"{engine.workdir}:/given", acts=acts).names()
    words = ("write", "mkdir")
    guard.each("a read-only bind", dict(zip(words, shut, strict=True)), dict(zip(words, free, strict=True)))
    assert prober.chain("--volume", f"{engine.workdir}:/given:ro",
                        calls=[mount("none", "/given", "", REMOUNT | BIND)])[0] in ("EPERM", "EACCES")  # fmt: skip


@claim("security-059")
@effect("run --read-only")
def test_read_only_root_leaves_only_what_is_documented_writable(engine, prober, guard):
    places = ["/", "/etc", "/root", "/usr", "/var", "/home", "/dev/shm", "/tmp", "/run", "/given", "/memory"]
    more = ("--volume", f"{engine.workdir}:/given", "--tmpfs", "/memory")
    acts = [("write", f"{place}/st-probe", "x", os.O_WRONLY | os.O_CREAT) for place in places]
    shut = dict(zip(places, prober.ask("--read-only", *more, acts=acts).names(), strict=True))
    free = dict(zip(places, prober.ask(*more, acts=acts).names(), strict=True))
    writable = {"/given", "/memory", *engine.trait("read_only_leaves_writable")} & set(places)
    assert {place for place in places if shut[place] == "ok"} == writable
    guard.each("the root file system", *({place: which[place] for place in places if place not in writable}
                                         for which in (shut, free)), mode="--read-only")  # fmt: skip


# -- ways out ----------------------------------------------------------------------------------


@claim("security-007", "security-044", "security-090")
def test_canary_of_the_host_is_reached_by_no_path(engine, prober, guard):
    """A second chroot and a walk upwards, and links of /proc, to a file that only this test has made."""
    canary = engine.workdir / "canary"
    canary.write_text("alive")
    up = "/.." * 30
    look = (CALLS["open"], f"={canary}", 0)
    ways = {
        "by name": [look],
        "chroot and up": [(CALLS["mkdir"], "=/tmp/hole", 0o755), (CALLS["chroot"], "=/tmp/hole"),
                          (CALLS["chdir"], f"=.{up}"), (CALLS["chroot"], "=."), look],
        "root of init": [(CALLS["open"], f"=/proc/1/root{canary}", 0)],
        "directory of init": [(CALLS["open"], f"=/proc/1/cwd{up}{canary}", 0)],
    }  # fmt: skip
    given = ("--volume", f"{canary}:{canary}")
    shut = {way: prober.chain(calls=calls)[-1] for way, calls in ways.items()}
    free = {way: prober.chain(*given, calls=calls)[-1] for way, calls in ways.items()}
    assert len(guard.each("a file of the host", shut, free, is_refused=lambda what: what == "ENOENT")) == len(ways)
    assert canary.read_text() == "alive"


@claim("security-152")
def test_no_descriptor_of_the_engine_is_inherited(prober, guard):
    c = prober.start()
    for seen in (prober.ask().seen, prober.inside(c).seen):
        opened = {number for number, target in seen.report["fds"].items() if target is not None}
        assert opened == {"0", "1", "2"}
        assert not [target for target in seen.report["fds"].values() if target and target.startswith("/")]
    of_init = {entry.name for entry in (c.kernel.proc / "fd").iterdir()}
    assert of_init == {"0", "1", "2"}
    # the control is a shell that passes one on
    passes = ("sh", "-c", 'exec 5</etc/motd; exec "$0" "$@"', PERL, PROBE)
    opened = [said.seen.report["fds"].items() for said in (prober.ask(), prober.ask(command=passes))]
    more = [" ".join(number for number, target in seen if target and int(number) > 2) or "none" for seen in opened]
    guard.holds("descriptors beside the standard streams", *more, is_refused=lambda numbers: numbers == "none")


@claim("security-093")
def test_files_of_names_are_the_containers_alone(engine):
    one, two = engine.run(), engine.run()
    for path in ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf"):
        files = [Path(c.kernel.file(path)).stat() for c in (one, two)]
        assert (files[0].st_dev, files[0].st_ino) != (files[1].st_dev, files[1].st_ino)
        assert (files[0].st_dev, files[0].st_ino) != (os.stat(path).st_dev, os.stat(path).st_ino)
    one.sh("echo 192.0.2.7 st-probe >>/etc/hosts")
    assert "st-probe" in one.read("/etc/hosts")
    assert "st-probe" not in two.read("/etc/hosts")


@claim("security-157")
@requires("api", "lab")
def test_socket_of_the_engine_is_in_no_container(engine, prober, guard):
    socket = "/" + str(engine.api.endpoint.path).partition("/root/")[2]
    acts = [("list", path) for path in ("/run", "/var/run", "/tmp", "/")]

    def sockets(*options):
        values = prober.ask(*options, acts=acts).values
        return "seen" if [name for value in values for name in value or [] if name.endswith(".sock")] else "refused"

    guard.holds("the engine's socket in a container", sockets(), sockets("--volume", f"{socket}:/run/given.sock"))

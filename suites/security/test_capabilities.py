"""Capabilities: which there are, that each does what it is for, and that nothing is there beside them."""

import os
import struct

import pytest

from seatrial.oci.observe import capability_names
from seatrial.security.prober import fate
from seatrial.security.syscalls import numbers

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires
case = pytest.param
pytestmark = requires("amd64")

CALLS = numbers()
OTHER = 1234  # a user that is not root
# Revision 2 of a file capability in effect (linux/capability.h): NET_ADMIN
NET_ADMIN_ON_A_FILE = struct.pack("<5I", 0x02000001, 1 << 12, 0, 0, 0)


def options(*words):
    return tuple(part for word in words for part in ("--cap-add", word))


def without(capability):
    return ("--cap-drop", capability)


def only(capability):
    return ("--cap-drop", "ALL", "--cap-add", capability)


# What each default capability is for: acts of which the last one needs it.
NEEDS = {
    "CHOWN": [("write", "/tmp/f", "x", 0o101), ("chown", OTHER, OTHER, "/tmp/f")],
    "DAC_OVERRIDE": [("write", "/tmp/f", "x", 0o101), ("chmod", 0, "/tmp/f"), ("open", "/tmp/f", 2)],
    "FOWNER": [("chmod", 0o644, "/given/foreign")],
    "MKNOD": [("mknod", CALLS["mknod"], "/tmp/null", 0o20666, 0x103)],
    "NET_RAW": [("syscall", CALLS["socket"], 2, 3, 1)],
    "SETGID": [("syscall", CALLS["setgid"], OTHER)],
    "SETUID": [("syscall", CALLS["setuid"], OTHER)],
    "SETFCAP": [("write", "/tmp/f", "x", 0o101),
                ("syscall", CALLS["setxattr"], "=/tmp/f", "=security.capability", b"=" + NET_ADMIN_ON_A_FILE, 20, 0)],
    "SETPCAP": [("syscall", CALLS["prctl"], 24, 5, 0, 0, 0)],
    "SYS_CHROOT": [("syscall", CALLS["chroot"], "=/tmp")],
}  # fmt: skip
CLAIMS = dict(zip(
    ("CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP",
     "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE"), range(95, 109), strict=True))  # fmt: skip
WHAT = "what {} is for, without it"


@pytest.mark.parametrize("capability", [
    case(word, marks=claim(f"security-{CLAIMS[word]:03d}", "security-063")) for word in NEEDS
])  # fmt: skip
def test_capability_is_needed_for_what_it_allows(engine, prober, guard, capability):
    acts = NEEDS[capability]
    given = ()
    if capability == "FOWNER":
        file = engine.workdir / "foreign"
        file.write_text("x")
        engine.workdir.chmod(0o777)
        file.chmod(0o600)
        os.chown(file, OTHER, OTHER)
        given = ("--volume", f"{engine.workdir}:/given")
    shut = prober.ask(*without(capability), *given, acts=acts).names()
    free = prober.ask(*only(capability), *given, acts=acts).names()
    assert free == ["ok"] * len(acts)
    assert shut[:-1] == free[:-1]
    guard.holds(WHAT.format(capability), shut[-1], free[-1], mode="cap-drop")


@claim("security-097", "security-063")
def test_set_user_id_bit_outlives_writing_with_fsetid_only(prober, guard):
    acts = [("write", "/tmp/f", "x", 0o101), ("chmod", 0o4777, "/tmp/f"), ("write", "/tmp/f", "y", 1),
            ("stat", "/tmp/f")]  # fmt: skip
    kept = {}
    for which, words in (("without", without("FSETID")), ("only", only("FSETID"))):
        kept[which] = "ok" if int(prober.ask(*words, acts=acts).values[-1][0]) & 0o4000 else "refused"
    guard.holds(WHAT.format("FSETID"), kept["without"], kept["only"], mode="cap-drop")


@claim("security-105", "security-063")
def test_low_port_needs_net_bind_service(prober, guard):
    address = b"=" + struct.pack("!BBH4s8x", 2, 0, 80, b"\0\0\0\0")
    calls = [(CALLS["socket"], 2, 1, 0), (CALLS["bind"], "$0", address, 16)]
    low = ("--sysctl", "net.ipv4.ip_unprivileged_port_start=1024")
    shut, free = prober.chain(*without("NET_BIND_SERVICE"), *low, calls=calls), prober.chain(
        *only("NET_BIND_SERVICE"), *low, calls=calls)  # fmt: skip
    guard.holds(WHAT.format("NET_BIND_SERVICE"), shut[1], free[1], mode="cap-drop")


@claim("security-107", "security-063")
def test_processes_of_others_are_signalled_with_kill_only(engine, prober, guard):
    acts = [("fate", CALLS["kill"], 1, 0)]
    seen = {}
    for which, words in (("without", without("KILL")), ("only", only("KILL"))):
        c = prober.start(*words, "--user", str(OTHER))
        seen[which] = fate(prober.inside(c, "--user", "0", acts=acts).values[0])
    guard.holds(WHAT.format("KILL"), seen["without"], seen["only"], mode="cap-drop")


@claim("security-109", "security-064", "security-066")
def test_default_sets_are_the_documented_ones_in_run_and_exec(engine, prober, guard):
    expected = {f"CAP_{word}" for word in engine.trait("default_capabilities")}
    c = prober.start()
    for seen in (prober.ask().seen, prober.inside(c).seen):
        for which in ("effective", "permitted", "bounding"):
            assert seen.capabilities(which) == expected
    guard.note("capabilities of root", f"{len(expected)}: " + " ".join(sorted(engine.trait("default_capabilities"))))


@claim("security-183")
@effect("run --cap-add")
@pytest.mark.parametrize("capability", ["NET_ADMIN", "SYS_ADMIN", "SYS_PTRACE", "SYS_TIME", "DAC_READ_SEARCH"])
def test_added_capability_is_the_only_new_one(engine, prober, guard, capability):
    before, after = prober.ask().seen, prober.ask("--cap-add", capability).seen
    for which in ("effective", "permitted", "bounding"):
        assert after.capabilities(which) - before.capabilities(which) == {f"CAP_{capability}"}
        assert before.capabilities(which) <= after.capabilities(which)


@claim("security-062", "security-159", "security-064")
@pytest.mark.parametrize("user", ["0", "1234", "1234:0"])
def test_nothing_is_inherited_and_sets_are_within_each_other(prober, guard, advisory, user):
    advised = advisory("inheritable")
    c = prober.start("--user", user)
    everywhere = {"run": prober.ask("--user", user).seen, "exec": prober.inside(c).seen,
                  "exec --user": prober.inside(c, "--user", user).seen}  # fmt: skip
    for where, seen in everywhere.items():
        sets = {which: seen.capabilities(which) for which in ("effective", "permitted", "bounding", "inheritable",
                                                              "ambient")}  # fmt: skip
        assert (where, sets["inheritable"], sets["ambient"]) == (where, set(), set())
        assert sets["effective"] <= sets["permitted"] <= sets["bounding"]
        assert bool(sets["effective"]) is (user == "0")
    guard.note(advised.words, "none", mode=f"--user {user}")
    advised.agrees()


@claim("security-159")
def test_capability_given_to_another_user_is_as_documented(engine, prober, guard):
    seen = prober.ask("--user", str(OTHER), "--cap-add", "NET_ADMIN").seen
    kept = engine.trait("user_with_capabilities_keeps_them")
    assert ("CAP_NET_ADMIN" in seen.capabilities("ambient")) is kept
    assert ("CAP_NET_ADMIN" in seen.capabilities("effective")) is kept
    assert "CAP_NET_ADMIN" in seen.capabilities("bounding")
    guard.note("a capability that is added for another user", "effective" if kept else "bounding set only")


@claim("security-065")
@effect("run --cap-drop")
def test_dropped_capability_is_the_only_one_that_goes(prober):
    before, after = prober.ask().seen, prober.ask("--cap-drop", "CHOWN").seen
    for which in ("effective", "permitted", "bounding"):
        assert before.capabilities(which) - after.capabilities(which) == {"CAP_CHOWN"}
        assert after.capabilities(which) < before.capabilities(which)


@claim("security-067", "security-135")
def test_programs_run_without_any_capability_hardened(engine, prober, guard):
    hardened = ("--cap-drop", "ALL", "--read-only", "--security-opt", "no-new-privileges", "--user", str(OTHER))
    said = prober.ask(*hardened, acts=[("fork", 3), ("write", "/x", "x", 0o101), ("read", "/etc/motd")])
    for which in ("effective", "permitted", "bounding", "inheritable", "ambient"):
        assert said.seen.capabilities(which) == set()
    assert said.seen.no_new_privileges
    assert said.values[0]["children"] == "3"
    assert said.values[1] != 0
    assert said.values[2]["text"] == "sea trial\n"
    guard.note("all hardening options together", "programs run")


@claim("security-091", "security-092", "security-094", "security-110")
def test_file_handles_are_opened_with_their_capability_only(prober, guard, bare):
    """A handle of no file on a mount of the container's own: what may be tried fails otherwise than by refusal."""
    calls = {"open_by_handle_at": (CALLS["open_by_handle_at"], 0, b"=" + struct.pack("<II8x", 8, 1), 0)}
    free = prober.fates(*bare("DAC_READ_SEARCH"), calls=calls)
    guard.each("a file handle opened (Shocker)", prober.fates(calls=calls), free)
    all_but = bare("SYS_ADMIN", "SYS_PTRACE", "NET_ADMIN", "SYS_TIME")
    guard.each("a file handle opened (Shocker)", prober.fates(*all_but, calls=calls), free, mode="all but its own")
    assert prober.fates("--cap-add", "DAC_READ_SEARCH", calls=calls) == free


@claim("security-175", "security-077")
def test_raw_and_packet_sockets_need_net_raw(prober, guard):
    calls = {"raw": (CALLS["socket"], 2, 3, 1), "packet": (CALLS["socket"], 17, 3, 0)}
    guard.each("raw and packet sockets", prober.fates("--cap-drop", "NET_RAW", calls=calls),
               prober.fates("--cap-add", "NET_RAW", calls=calls), mode="cap-drop")  # fmt: skip


@claim("security-158")
def test_clock_of_the_host_cannot_be_set(prober, guard):
    """Asked to set nothing, which succeeds for whoever may."""
    calls = {"settimeofday": (CALLS["settimeofday"], 0, 0)}
    guard.each("setting the clock", prober.fates(calls=calls), prober.fates("--cap-add", "SYS_TIME", calls=calls))


def set_user_id(engine, prober, *options):
    """The effective user of a set-user-id program of root that another user starts."""
    c = prober.start(*options)
    c.sh("busybox cp /usr/bin/perl /suid && busybox chmod 4755 /suid")
    return engine.cli("exec", "--user", str(OTHER), c.name, "/suid", "-e", "print $>").text


@claim("security-084")
@effect("run --security-opt")
def test_set_user_id_programs_gain_nothing_under_no_new_privileges(engine, prober, guard):
    shut = set_user_id(engine, prober, "--security-opt", "no-new-privileges")
    free = set_user_id(engine, prober)
    guard.holds("root by a set-user-id program", shut, free, mode="no-new-privileges",
                is_refused=lambda user: user == str(OTHER))  # fmt: skip
    assert free == "0"


@claim("security-161")
def test_capability_on_a_file_gives_nothing_beyond_the_bounding_set(engine, prober, guard):
    script = "open S, '</proc/self/status'; print grep /CapEff/, <S>"
    seen = {}
    for which, words in (("shut", ()), ("free", options("NET_ADMIN"))):
        c = prober.start(*words)
        c.sh("busybox cp /usr/bin/perl /file && busybox chmod 755 /file")
        act = ("syscall", CALLS["setxattr"], "=/file", "=security.capability", b"=" + NET_ADMIN_ON_A_FILE, 20, 0)
        assert prober.inside(c, acts=[act]).names() == ["ok"]
        result = engine.cli("exec", "--user", str(OTHER), c.name, "/file", "-e", script, expect=None)
        got = capability_names(int(result.text.split()[1], 16)) if result.ok and result.text else set()
        seen[which] = "CAP_NET_ADMIN" if "CAP_NET_ADMIN" in got else "refused"
    guard.holds("a capability on a file, beyond the bounding set", seen["shut"], seen["free"])


@claim("security-160")
@pytest.mark.parametrize("user", ["0", "1234", "1234:4321"], ids=["root", "nobody", "group"])
def test_groups_are_those_of_the_user_in_run_and_exec(prober, guard, advisory, user):
    advised = advisory("groups")
    options = ("--user", user, "--group-add", "2000")
    c, root = prober.start(*options), prober.start("--group-add", "2000")
    without = prober.ask("--user", user).seen
    primary = int(user.partition(":")[2] or 0)
    assert set(without.gids) == set(without.groups) == {primary}
    expected = {primary, 2000}
    seen = {"run": prober.ask(*options), "exec": prober.inside(c), "exec --user": prober.inside(c, "--user", user),
            "exec --user, of a container of root": prober.inside(root, "--user", user)}  # fmt: skip
    groups = {where: set(said.seen.groups) for where, said in seen.items()}
    assert groups == dict.fromkeys(seen, expected)
    guard.note(advised.words, " ".join(map(str, sorted(expected))), mode=f"--user {user}")
    advised.agrees()


@claim("security-162", "security-166")
def test_capabilities_outlive_a_restart_and_an_update(engine, prober):
    c = prober.start("--cap-drop", "ALL", "--cap-add", "KILL")
    before = prober.inside(c).seen
    engine.cli("update", "--cpu-shares", "512", c.name)
    engine.cli("restart", "--time", "0", c.name)
    after = prober.inside(c).seen
    for which in ("effective", "permitted", "bounding", "inheritable", "ambient"):
        assert before.capabilities(which) == after.capabilities(which)
    assert after.capabilities("bounding") == {"CAP_KILL"}
    assert c.kernel.capabilities("Bnd") == 1 << 5


@claim("security-132")
def test_user_is_the_one_that_was_named(prober, guard):
    default, named = prober.ask().seen, prober.ask("--user", f"{OTHER}:{OTHER}").seen
    assert (default.uids, named.uids, named.gids) == ([0] * 4, [OTHER] * 4, [OTHER] * 4)
    assert named.capabilities("effective") == set()
    guard.note("user of a container", "root")


@claim("security-066")
@requires("privileged")
def test_privileged_gives_all_and_only_when_asked(prober, guard):
    default, privileged = prober.ask().seen, prober.ask("--privileged").seen
    assert default.capabilities("effective") < privileged.capabilities("effective")
    assert (default.seccomp, privileged.seccomp) == (2, 0)
    assert len(privileged.devices) > len(default.devices)

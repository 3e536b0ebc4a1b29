"""Containers whose users are others on the host: root in them is nobody there."""

import stat

import pytest

from seatrial.security.syscalls import numbers

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires
pytestmark = requires("lab", "rootful", "amd64")

CALLS, AT_CWD = numbers(), -100
FIRST, COUNT = 200000, 65536  # no user of a Debian host has such a number


UNMAPPED = ("--userns", "host")
MAPPED = tuple(part for kind in ("uid", "gid") for part in (f"--{kind}map", f"0:{FIRST}:{COUNT}"))


@pytest.fixture
def remapped(engine, remapping):
    """An engine, and the options of `run` under which it maps a container's users."""
    return (engine, MAPPED) if engine.trait("maps_users") == "options" else (remapping(FIRST), ())


@claim("security-008", "security-016", "security-019", "security-128", "security-130")
@effect("dockerd --userns-remap", "run --uidmap", "run --userns")
def test_root_of_a_remapped_container_is_nobody_of_the_host(remapped, host_namespace, guard):
    engine, options = remapped
    shut, free = (engine.run(*chosen).kernel for chosen in (options, UNMAPPED))
    assert [shut.status[field].split()[0] for field in ("Uid", "Gid")] == [str(FIRST)] * 2
    assert [kernel.namespace("user") == host_namespace("user") for kernel in (shut, free)] == [False, True]
    assert shut.proc.joinpath("uid_map").read_text().split() == ["0", str(FIRST), str(COUNT)]
    assert free.status["Uid"].split()[0] == "0"
    users = [kernel.status["Uid"].split()[0] for kernel in (shut, free)]
    guard.holds("root of the host by root of a container", *users,
                mode="users remapped", is_refused=lambda user: user != "0")  # fmt: skip


@claim("security-019")
def test_files_of_the_hosts_root_are_closed_to_a_remapped_root(remapped, guard):
    engine, options = remapped
    place = engine.workdir / "given"
    place.mkdir()
    (place / "secret").write_text("canary\n")
    (place / "secret").chmod(0o600)
    place.chmod(0o777)
    seen = {}
    for which, chosen in (("shut", options), ("free", UNMAPPED)):
        c = engine.run("--volume", f"{place}:/given", *chosen)
        seen[which] = c.sh("cat /given/secret", expect=None).stdout.strip() or "refused"
        c.sh(f"echo mine >/given/{which}")
    guard.holds("a file of the host's root, by a volume", seen["shut"], seen["free"], mode="users remapped")
    assert seen["free"] == "canary"
    assert [(place / which).stat().st_uid for which in ("shut", "free")] == [FIRST, 0]


@claim("security-016")
def test_users_beyond_the_map_are_none(remapped, guard):
    engine, options = remapped
    c = engine.run(*options)
    c.sh(f"touch /f; chown {COUNT - 1}:{COUNT - 1} /f")
    assert c.kernel.file("/f").stat().st_uid == FIRST + COUNT - 1
    seen = {}
    for which, chosen in (("shut", options), ("free", UNMAPPED)):
        said = engine.run(*chosen).sh(f"touch /f; chown {COUNT} /f", expect=None)
        seen[which] = "ok" if said.ok else "refused" if "Invalid argument" in said.stderr else said.stderr
    guard.holds("a file given to a user beyond the map", seen["shut"], seen["free"], mode="users remapped")


@claim("security-020", "security-129", "security-019")
def test_capabilities_of_a_remapped_root_end_at_its_namespace(remapped, prober_in, guard):
    engine, options = remapped
    prober = prober_in(engine)
    asked = ("--cap-add", "SYS_TIME", "--cap-add", "MKNOD", "--cap-add", "SYS_PACCT", "--security-opt",
             "seccomp=unconfined")  # fmt: skip
    calls = {  # asked to do nothing, which succeeds for whoever may
        "setting the clock": (CALLS["settimeofday"], 0, 0),
        "a device": (CALLS["mknodat"], AT_CWD, b"=/tmp/null", stat.S_IFCHR | 0o600, 0x103),
        "accounting of processes": (CALLS["acct"], 0),
    }
    shut, free = (prober.fates(*asked, *chosen, calls=calls) for chosen in (options, UNMAPPED))
    guard.each("what only the host's root may, with its capabilities", shut, free, mode="users remapped")


@claim("security-019")
def test_set_user_id_root_of_a_remapped_container_is_nobodys_on_the_host(remapped):
    """A program left in a volume is no way to become root of the host."""
    engine, options = remapped
    place = engine.workdir / "given"
    place.mkdir()
    place.chmod(0o777)
    engine.once("--volume", f"{place}:/given", *options, engine.image, "sh", "-c",
                "cp /bin/busybox /given/shell && chmod 4755 /given/shell")  # fmt: skip
    left = (place / "shell").stat()
    assert left.st_uid == FIRST
    assert left.st_mode & stat.S_ISUID

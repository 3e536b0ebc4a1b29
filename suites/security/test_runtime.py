"""Runtimes held to their own part of isolation, with a given bundle."""

import fcntl
import os

import pytest

from seatrial.oci.bundle import Bundle

claim, requires = pytest.mark.claim, pytest.mark.requires

# fcntl(2): which seals a memfd has; F_SEAL_WRITE
GET_SEALS, SEAL_WRITE = 1034, 0x8


def guarded(path):
    """Whether a program cannot be written: a sealed copy in memory, or on a read-only mount."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if os.fstatvfs(descriptor).f_flag & os.ST_RDONLY:
            return "refused"
        try:
            return "refused" if fcntl.fcntl(descriptor, GET_SEALS) & SEAL_WRITE else "writable"
        except OSError:  # no file in memory
            return "writable"
    finally:
        os.close(descriptor)


@claim("security-180")
def test_program_of_the_runtime_is_guarded_while_a_container_is_created(runtime, bundle, guard, advisory):
    """What /proc/PID/exe of a created container is, before its own program takes the place."""
    advised = advisory("runtime-program")
    box = runtime.create(bundle)
    shut = guarded(f"/proc/{box.pid}/exe")
    box.start()
    assert box.seen.pid
    guard.holds(advised.words, shut, guarded(f"/proc/{box.pid}/exe"))
    advised.agrees()


# opens a directory as descriptor 3, as if the runtime had leaked it, and becomes the runtime
LEAKS = ["sh", "-c", 'exec 3<"$0"; exec "$@"']


@claim("security-179")
@requires("preserve_fds")
def test_working_directory_leads_out_by_no_descriptor_that_is_there(runtime, bundle, guard, advisory):
    """A directory of this test is handed on, so that it is known to be there when the working directory is set."""
    advised = advisory("working-directory")
    outside = runtime.directory("outside")
    (outside / "canary").write_text("alive")

    def tried(config, path):
        box = runtime.place(config)
        if not box.create("--preserve-fds", "1", before=[*LEAKS, str(outside)], expect=None).ok:
            return "refused"
        box.start()
        return "read" if box.probe.read(path) == "alive" else "refused"

    shut = tried(bundle.with_(process={"cwd": "/proc/self/fd/3"}), "canary")
    guard.holds(advised.words, shut, tried(bundle, "/proc/self/fd/3/canary"), mode="a descriptor that is handed on")
    advised.agrees()


@claim("security-185")
@requires("host_kernel")
@pytest.mark.parametrize("form", ["file", "link"])
def test_mask_is_no_file_of_the_image(runtime, bundle, guard, advisory, form):
    """/dev is that of the image, with another /dev/null in it, as a race would have it; the runtime gets 10 seconds.

    Looked at from outside before the container starts, because a runtime may take such a /dev/null for its streams.
    """
    advised = advisory("mask-source")
    mounts = [mount for mount in bundle.config["mounts"] if not mount["destination"].startswith("/dev")]

    def seen(masked, replace):
        box = runtime.place(bundle.with_(mounts=mounts, linux={"maskedPaths": masked}))
        null = box.directory / "rootfs/dev/null"
        null.parent.mkdir(exist_ok=True)
        null.unlink(missing_ok=True)
        (box.directory / "rootfs/canary").write_text("of the image")
        if replace:
            null.symlink_to("/canary") if form == "link" else null.write_text("of the image")
        created = box.create(expect=None, timeout=10)
        if not created.ok:
            return "hung" if created.timed_out else "refused"
        return box.kernel.file("/proc/timer_list").read_text()[:12] or "refused"

    guard.holds(advised.words, seen(["/proc/timer_list"], replace=True), seen([], replace=False),
                mode=f"/dev/null is a {form}")  # fmt: skip
    advised.agrees()


@claim("security-152")
def test_runtime_passes_no_descriptor_of_its_own(runtime, bundle, guard):
    opened = {number for number, target in runtime.observe(bundle).seen.report["fds"].items() if target is not None}
    assert opened == {"0", "1", "2"}
    guard.note("descriptors of a process", "0 1 2")


@claim("security-149")
def test_masked_and_read_only_paths_of_a_bundle_are_kept(runtime, bundle, guard):
    def look(config: Bundle):
        probe = runtime.run(config).probe
        return {"masked file": "shown" if probe.read("/proc/timer_list") else "refused",
                "masked directory": "shown" if probe.names("/sys/firmware") else "refused",
                "read-only path": probe.open("/proc/sys/kernel/core_pattern", os.O_WRONLY)}  # fmt: skip

    closed = bundle.with_(linux={"maskedPaths": ["/proc/timer_list", "/sys/firmware"], "readonlyPaths": ["/proc/sys"]})
    proved = guard.each("paths that a bundle masks", look(closed), look(bundle.with_(linux={
        "maskedPaths": [], "readonlyPaths": []})))  # fmt: skip
    assert "read-only path" in proved


@claim("security-161", "security-109")
def test_capabilities_of_a_bundle_are_all_there_is(runtime, bundle, guard):
    sets = ("bounding", "effective", "permitted", "inheritable", "ambient")
    none = bundle.with_(process={"capabilities": {which: [] for which in sets}})
    seen = runtime.observe(none).seen
    assert [seen.capabilities(which) for which in sets] == [set()] * 5
    some = bundle.with_(process={"capabilities": {which: ["CAP_KILL"] for which in sets[:3]}})
    assert [runtime.observe(some).seen.capabilities(which) for which in sets] == [{"CAP_KILL"}] * 3 + [set()] * 2

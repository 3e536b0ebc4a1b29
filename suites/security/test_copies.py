"""Copies and mounts while something changes under them, and archives that name what is outside.

What is at stake is a directory of the test on the host, outside of every container. Renamers are bounded: they swap a
directory and a link for a few seconds, and the engine is asked to copy or to mount meanwhile.
"""

import re
import tarfile
import time

import pytest

from seatrial import archive
from seatrial.exec import ANY
from seatrial.lab.plugins_volume import FreeVolumeStub
from seatrial.security.marker import library

claim, requires = pytest.mark.claim, pytest.mark.requires

SECONDS = 2.0  # in which an engine is asked again and again
LEAST = 5  # and so often at least
# swaps two names at once, a few thousand times a second, and says so each time that it has done 200
SWAPS = """
    my ($one, $other) = @ARGV;
    my $end = time + 60;
    $| = 1;
    for (my $swaps = 1; time < $end; $swaps++) {
        syscall(316, -100, $one, -100, $other, 2) == 0 or die "renameat2: $!";
        print "swapped $swaps\\n" unless $swaps % 200;
        select undef, undef, undef, 0.0003;
    }
"""
EXCHANGE = ("perl", "-e", SWAPS)


@pytest.fixture
def outside(engine):
    """A directory of the host that no container is given, with a file in it."""
    path = engine.workdir / "outside"
    path.mkdir()
    (path / "file").write_text("of the host")
    return path


@pytest.fixture
def unhurt(outside):
    """Whether the directory of the host is as it was made: "refused", or what was done to it."""
    def look():
        found = {path.name: path.read_text() for path in outside.iterdir() if path.is_file()}
        others = sorted(path.name for path in outside.iterdir() if not path.is_file())
        return "refused" if (found, others) == ({"file": "of the host"}, []) else f"written: {found} {others}"

    return look


def again():
    """Count for as long as a race is tried."""
    began, count = time.monotonic(), 0
    while count < LEAST or time.monotonic() < began + SECONDS:
        yield count
        count += 1


def swaps(c):
    """How many times a renamer has swapped by now."""
    return max((int(line.split()[1]) for line in c.logs().lines if line.startswith("swapped ")), default=0)


@pytest.fixture
def renamer(prober):
    """Call it with how /way is filled, and options, to get a container that swaps it and a link to the host."""
    def start(target, fill, *options, place=""):
        way, link = f"{place}/way", f"{place}/link"
        c = prober.bench.run(*options, prober.image, "sh", "-c",
                             f'mkdir {way}; {fill}; ln -s "$0" {link}; exec "$@"',
                             str(target), *EXCHANGE, way, link)  # fmt: skip
        c.until_log("swapped")
        return c

    return start


@claim("security-186")
def test_cp_into_a_container_is_led_out_by_no_renaming(engine, renamer, outside, unhurt, guard, advisory):
    advised = advisory("cp-link")
    cargo = engine.workdir / "cargo"
    cargo.write_text("cargo")
    c = renamer(outside, "true")
    before = swaps(c)
    for _ in again():
        engine.cli("cp", str(cargo), f"{c.name}:/way/cargo", expect=None)
        if unhurt() != "refused":
            break
    c.until("swaps go on", lambda: swaps(c) > before)
    c.sh("mkdir /still")
    engine.cli("cp", str(cargo), f"{c.name}:/still/cargo")
    guard.holds(advised.words, unhurt(), c.read("/still/cargo"), mode="cp in, names change")
    advised.agrees()


@claim("security-186")
def test_cp_out_of_a_container_is_led_out_by_no_renaming(engine, renamer, outside, guard, advisory):
    advised = advisory("cp-link")
    c = renamer(outside, "echo inside >/way/file")
    before, seen, got = swaps(c), [], engine.workdir / "got"
    for _ in again():
        engine.cli("cp", f"{c.name}:/way/file", str(got), expect=None)
        if got.is_file():
            seen.append(got.read_text())
            got.unlink()
    c.until("swaps go on", lambda: swaps(c) > before)
    c.sh("mkdir /still; echo inside >/still/file")
    engine.cli("cp", f"{c.name}:/still/file", str(got))
    read = "of the host" in "".join(seen)  # what was copied in part is there, too
    guard.holds(advised.words, "read" if read else "refused", got.read_text(),
                mode="cp out, names change")  # fmt: skip
    advised.agrees()


@claim("security-187")
def test_mount_is_led_out_by_no_renaming_in_a_volume(engine, prober, renamer, outside, unhurt, guard, advisory):
    """One container swaps names in a volume, others mount it and a second volume below such a name."""
    advised = advisory("mount-link")
    shared, second = engine.volume(), engine.volume()
    engine.sh("touch /v/mark", "--volume", f"{second}:/v")
    c = renamer(f"/../../../../..{outside}", "mkdir /shared/way/x /shared/still", "--volume", f"{shared}:/shared",
                place="/shared")  # fmt: skip
    before = swaps(c)

    def mounted(place):
        return engine.once("--volume", f"{shared}:/shared", "--volume", f"{second}:/shared/{place}/x", engine.image,
                           "ls", f"/shared/{place}/x", expect=None).stdout  # fmt: skip

    for _ in again():
        mounted("way")
        if unhurt() != "refused":
            break
    c.until("swaps go on", lambda: swaps(c) > before)
    guard.holds(advised.words, unhurt(), "mounted" if mounted("still") == "mark\n" else "refused",
                mode="names in a volume change")  # fmt: skip
    advised.agrees()


def entry(kind, target):
    """A link of an archive."""
    info = tarfile.TarInfo()
    info.type, info.linkname = kind, str(target)
    return info


# ways of an archive to a file below the directory of the host, and what they hold
WAYS = {
    "upwards": lambda outside: {f"../../../../../../../../..{outside}/got": "cargo"},
    "absolute": lambda outside: {f"{outside}/got": "cargo"},
    "through a link": lambda outside: {"way": entry(tarfile.SYMTYPE, outside), "way/got": "cargo"},
    "through two links": lambda outside: {
        "one": entry(tarfile.SYMTYPE, outside.parent), "two": entry(tarfile.SYMTYPE, f"one/{outside.name}"),
        "two/got": "cargo"},
    "over a link": lambda outside: {"way": entry(tarfile.SYMTYPE, outside / "file"), "./way": "cargo"},
    "by a hard link": lambda outside: {
        "hard": entry(tarfile.LNKTYPE, f"../../../../../../../../..{outside}/file"), "./hard": "cargo"},
    "by a hard link to a link": lambda outside: {
        "way": entry(tarfile.SYMTYPE, outside / "file"), "hard": entry(tarfile.LNKTYPE, "way"), "./hard": "cargo"},
}


@claim("security-188", "security-177")
@pytest.mark.parametrize("way", WAYS)
def test_archive_that_cp_takes_writes_nothing_outside(engine, outside, unhurt, guard, advisory, way):
    advised = advisory("cp-link")
    c = engine.run()
    c.sh("mkdir /into")
    engine.cli("cp", "-", f"{c.name}:/into", stdin=archive.tree(WAYS[way](outside)), expect=None)
    shut = unhurt()
    engine.cli("cp", "-", f"{c.name}:/into", stdin=archive.tree({"plain": "cargo"}))
    guard.holds(advised.words, shut, "written" if c.read("/into/plain") == "cargo" else "refused",
                mode=f"cp -, {way}")  # fmt: skip
    advised.agrees()


@claim("security-188")
@pytest.mark.parametrize("form", ["link", "hard link to a link", "directory"])
def test_archive_that_cp_gives_holds_links_and_not_what_they_lead_to(engine, outside, guard, advisory, form):
    advised = advisory("cp-link")
    c = engine.run()
    c.sh(f"mkdir /tree; ln -s {outside}/file /tree/way; ln /tree/way /tree/hard; ln -s {outside} /tree/all;"
         " echo alive >/tree/real")  # fmt: skip
    name = {"link": "way", "hard link to a link": "hard", "directory": "all"}[form]
    seen = engine.cli("cp", f"{c.name}:/tree", "-").out
    entries = {path.rpartition("/")[2]: info for path, info in archive.members(seen).items()}
    assert entries[name].issym() or entries[name].islnk()
    shut = "read" if b"of the host" in seen else "refused"
    guard.holds(advised.words, shut, "read" if b"alive" in seen else "refused", mode=f"cp to -, {form}")
    advised.agrees()


@claim("security-176", "security-188")
@pytest.mark.parametrize("kind", ["directory", "file"])
def test_second_copy_follows_no_link_that_the_first_brought(engine, outside, unhurt, guard, advisory, kind):
    """A container gives a link to a directory of the host first, and then has a directory or a file in its place."""
    advised = advisory("cp-link")
    target, fill = {"directory": (outside, "mkdir /tree/way; echo got >/tree/way/got"),
                    "file": (outside / "file", "echo got >/tree/way")}[kind]  # fmt: skip
    into = engine.workdir / "into"
    into.mkdir()
    c = engine.run()
    c.sh(f"mkdir /tree; ln -s {target} /tree/way")
    engine.cli("cp", f"{c.name}:/tree/.", str(into))
    assert (into / "way").is_symlink()
    c.sh(f"rm /tree/way; {fill}; echo got >/tree/real")
    engine.cli("cp", f"{c.name}:/tree/.", str(into), expect=None)
    shut = unhurt()
    fresh = engine.workdir / "fresh"
    fresh.mkdir()
    engine.cli("cp", f"{c.name}:/tree/.", str(fresh))
    guard.holds(advised.words, shut, (fresh / "real").read_text(), mode=f"a link, then a {kind}")
    advised.agrees()


PLACES = ("lib", "lib64", "usr/lib", "usr/lib64", "lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu")
LIBRARIES = [f"libnss_{name}.so.2" for name in ("files", "compat", "db", "dns", "hesiod", "systemd", "seatrial")]
SERVICES = "files compat db dns hesiod systemd seatrial"
# what goes into a container and out of it by the engine's own programs; {} is the container
COPIES = {
    "cp in": ("cp", "FILE", "{}:/got"), "cp in with owners": ("cp", "--archive", "FILE", "{}:/got"),
    "cp out": ("cp", "{}:/etc/group", "COPY"), "cp out with owners": ("cp", "--archive", "{}:/etc/group", "COPY"),
    "an archive in": ("cp", "-", "{}:/"), "an archive out": ("cp", "{}:/etc", "-"), "export": ("export", "{}"),
    "diff": ("diff", "{}"),
}  # fmt: skip


@claim("security-189")
@requires("amd64")
def test_engine_loads_no_library_of_the_container(engine, prober, guard, advisory):
    """Libraries that an engine's program may look for, once it is confined to the container's files, leave a mark.

    The control is a program of the container that loads one of them.
    """
    advised = advisory("cp-library")
    mark = f"/mark-{engine.key}"
    files = {f"{place}/{name}": library(mark) for place in PLACES for name in LIBRARIES}
    files["etc/nsswitch.conf"] = "".join(f"{word}: {SERVICES}\n" for word in ("passwd", "group", "shadow", "hosts"))
    c = prober.start()
    c.sh(f"mkdir -p {' '.join(f'/{place}' for place in PLACES)}")
    engine.cli("cp", "-", f"{c.name}:/", stdin=archive.tree(files, mode=0o755))
    (engine.workdir / "file").write_text("cargo")
    given = {"FILE": str(engine.workdir / "file"), "COPY": str(engine.workdir / "copy")}
    owned = tarfile.TarInfo("owned")
    owned.uname, owned.gname = "daemon", "daemon"

    def loaded(act):
        c.sh(f"rm -f {mark}")
        act()
        return "loaded" if c.sh(f"test -e {mark}", expect=ANY).ok else "refused"

    def copy(words):
        return loaded(lambda: engine.cli(*(given.get(word, word.format(c.name)) for word in words),
                                         stdin=archive.tree({"owned": owned})))  # fmt: skip

    shut = {name: copy(words) for name, words in COPIES.items()}
    free = loaded(lambda: c.exec("env", f"LD_PRELOAD=/lib/{LIBRARIES[0]}", "perl", "-e", "1"))
    guard.each(advised.words, shut, dict.fromkeys(shut, free))
    advised.agrees()


@claim("security-194")
def test_volume_is_the_one_that_was_asked_for(engine, guard):
    """Where it is on the host is what the engine says of it, and no other volume nor container has what is in it."""
    volumes = engine.volume(), engine.volume()
    first, second = (engine.run("--volume", f"{volume}:/v") for volume in volumes)
    first.sh("echo secret >/v/file")
    with_first = engine.run("--volume", f"{volumes[0]}:/v")
    guard.holds("what is in another's volume", *("read" if c.sh("cat /v/file", expect=ANY).stdout == "secret\n" else
                "refused" for c in (second, with_first)))  # fmt: skip
    assert second.sh("ls -A /v").stdout == ""
    place = engine.raw.host.path(engine.inspect(volumes[0], "volume")["Mountpoint"])
    assert [(path.name, path.read_text()) for path in place.iterdir()] == [("file", "secret\n")]


@claim("security-195")
@requires("private_daemon", "plugin")
@pytest.mark.parametrize("lie", ["", "config.json", "rootfs", "/no/such/directory"],
                         ids=["empty", "relative file", "relative directory", "absent"])  # fmt: skip
def test_mount_point_that_is_no_path_of_the_host_is_refused(private_daemon, guard, lie):
    """A runtime takes a relative path for one of its bundle: what a container must not see, nor write."""
    d = private_daemon()
    with FreeVolumeStub(d.host, "stub") as plugin:
        d.cli("volume", "create", "--driver", "stub", "data")

        def mounted():
            result = d.once("--volume", "data:/v", d.image, "sh", "-c", "ls /v; head -c 20 /v; echo there", expect=ANY)
            if "there" not in result.stdout:
                return "refused"
            return "files of the bundle" if re.search("config.json|ociVersion", result.stdout) else "mounted"

        free = mounted()
        plugin.reply("VolumeDriver.Mount", lambda _: {"Mountpoint": lie, "Err": ""})
        guard.holds("a mount point that is no path of the host", mounted(), free, mode=lie or "empty")

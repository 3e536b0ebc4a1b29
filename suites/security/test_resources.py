"""Resources used up on purpose, within bounds: the container suffers, its neighbour keeps answering."""

import gzip
import re
import threading
import time

import pytest

from seatrial import archive
from seatrial.exec import ANY, run

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires

SPINS = 6  # seconds
WITHIN = 10.0  # seconds in which a neighbour has to answer, on a loaded machine
MEGABYTE = 1 << 20


class Canary:
    """A container that runs a command again and again until the block ends; `slowest` in seconds."""

    def __init__(self, engine):
        self._c = engine.run()
        self._engine = engine
        self.answers = 0
        self.slowest = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def _ask(self):
        while not self._done.is_set():
            began = time.monotonic()
            said = self._engine.raw.cli("exec", self._c.name, "echo", "alive", expect=None, timeout=60)
            if said.text != "alive":
                self.slowest = float("inf")
            self.slowest = max(self.slowest, time.monotonic() - began)
            self.answers += 1

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._done.set()
        self._thread.join()


@pytest.fixture
def canary(engine):
    """Use it in a `with` block around what might hurt a neighbour."""
    return Canary(engine)


def unhurt(canary):
    assert canary.answers > 0
    assert canary.slowest < WITHIN


@claim("security-167", "security-006", "security-054")
@requires("pids")
@effect("run --pids-limit")
def test_a_process_that_forks_stops_at_its_limit(engine, prober, guard, canary):
    act = [("fork", 200)]
    with canary:
        shut = prober.ask("--pids-limit", "50", acts=act).values[0]
    free = prober.ask("--pids-limit", "1000", acts=act).values[0]
    assert int(free["children"]) == 200
    assert 40 <= int(shut["children"]) < 50
    guard.holds("more processes than the limit", "refused" if shut["error"] == "11" else shut["error"], free["error"])
    unhurt(canary)


@claim("security-168", "security-006", "security-054")
@requires("memory")
@effect("run --memory")
def test_a_process_that_takes_too_much_memory_is_ended(engine, prober, guard, canary):
    act = [("take", 256 * MEGABYTE), ("fork", 3)]
    swap = ("--memory-swap", "64m") if engine.facts["limits"]["swap"] else ()
    with canary:
        shut = prober.ask("--memory", "64m", *swap, acts=act).values
    free = prober.ask("--memory", "1g", acts=act).values
    assert (free[0]["status"], free[0]["out"]) == ("0", str(256 * MEGABYTE))
    guard.holds("more memory than the limit", "refused" if shut[0]["status"] == "9" else shut[0]["out"], free[0]["out"])
    assert int(shut[1]["children"]) == 3  # its parent lives
    unhurt(canary)


@claim("security-169", "security-006")
@effect("run --ulimit")
def test_descriptors_stop_at_their_limit(prober, guard):
    opens = ("chain", *[word for _ in range(120) for word in (";", 2, "=/dev/null", 0)][1:])
    shut = prober.ask("--ulimit", "nofile=64:64", acts=[opens]).values[0]["errors"]
    free = prober.ask("--ulimit", "nofile=512:512", acts=[opens]).values[0]["errors"]
    assert (len(shut), set(free)) == (120, {"0"})
    assert 40 <= shut.count("0") < 64
    guard.holds("more descriptors than the limit", "refused" if shut[-1] == "24" else shut[-1], free[-1])


@claim("security-133", "security-006")
@effect("run --tmpfs")
@pytest.mark.parametrize(("option", "place"), [("--tmpfs", "/full"), ("--shm-size", "/dev/shm")])
def test_a_file_system_of_a_size_takes_no_more(engine, guard, canary, option, place):
    size = {"--tmpfs": "/full:size={}m", "--shm-size": "{}m"}[option]
    script = f"dd if=/dev/zero of={place}/x bs=65536 count=64; stat -c %s {place}/x"
    with canary:
        shut = engine.sh(script, option, size.format(1))
    free = engine.sh(script, option, size.format(16))
    assert "No space left" in shut.stderr
    guard.holds(f"more than the size of {place}", "refused" if int(shut.lines[-1]) <= MEGABYTE else shut.lines[-1],
                free.lines[-1])  # fmt: skip
    assert int(free.lines[-1]) == 64 * 65536
    unhurt(canary)


# what a volume has little or enough of, and what fills it and says how much there is then
ROOMS = {
    "bytes": ("size=1m", "size=16m", "dd if=/dev/zero of=/v/x bs=65536 count=64; echo $(($(stat -c %s /v/x) / 65536))"),
    "files": ("nr_inodes=40", "nr_inodes=4000", "for i in $(seq 64); do touch /v/$i || break; done; ls /v | wc -l"),
}


@claim("security-133", "security-006", "security-054")
@effect("volume create --opt")
@pytest.mark.parametrize("room", ROOMS)
def test_a_volume_with_little_room_takes_no_more_and_leaves_others_theirs(engine, guard, canary, room):
    little, enough, script = ROOMS[room]
    tmpfs = ("--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt")
    small, large = engine.volume(*tmpfs, f"o={little}"), engine.volume(*tmpfs, f"o={enough}")
    neighbour = engine.run("--volume", f"{large}:/v")
    with canary:
        shut = engine.sh(script, "--volume", f"{small}:/v")
        free = neighbour.sh(script)
    assert "No space left" in shut.stderr
    seen = int(shut.lines[-1])
    guard.holds(f"more {room} than a volume has room for", "refused" if 0 < seen < 60 else seen, int(free.lines[-1]))
    assert int(free.lines[-1]) == 64
    unhurt(canary)


@claim("security-196", "security-006", "security-054")
@requires("project_quota")
@effect("run --storage-opt")
def test_a_container_with_a_size_takes_no_more_and_leaves_others_theirs(engine, guard, canary):
    """Of its own layer; a neighbour with more room fills what the first was refused."""
    script = "dd if=/dev/zero of=/x bs=1048576 count=24; echo $(($(stat -c %s /x) / 1048576))"
    with canary:
        shut = engine.sh(script, "--storage-opt", "size=16m")
        free = engine.sh(script, "--storage-opt", "size=64m")
    seen = int(shut.lines[-1])
    guard.holds("more than the size of a container", "refused" if seen <= 16 else f"{seen} MB", free.lines[-1],
                mode="--storage-opt size=16m")  # fmt: skip
    assert int(free.lines[-1]) == 24
    assert re.search("No space left|quota exceeded", shut.stderr)
    unhurt(canary)


@claim("security-006")
@effect("run --ulimit")
def test_a_file_grows_to_its_limit(engine, guard):
    script = "dd if=/dev/zero of=/tmp/x bs=65536 count=32 2>/dev/null; stat -c %s /tmp/x"
    shut, free = engine.sh(script, "--ulimit", "fsize=1048576"), engine.sh(script)
    guard.holds("a file beyond its limit", "refused" if int(shut.text) <= MEGABYTE else shut.text, free.text)
    assert int(free.text) == 32 * 65536


@claim("security-193", "security-054", "security-006")
@requires("cpu_quota")
@effect("run --cpus")
def test_a_process_that_spins_gets_its_share_of_the_processors_and_no_more(prober, guard, canary):
    """What it got of one processor, of 3 percent that it may have; a busy machine gives more than that, too."""
    def share(*options):
        value = prober.ask(*options, acts=[("spin", SPINS)]).values[0]
        user, system, real = map(float, value["out"].split())
        return (user + system) / real

    with canary:
        shut = share("--cpus", "0.03")
    free = share()
    guard.holds("more processor time than the limit", "refused" if shut < 0.05 else f"{shut:.2f}",
                "refused" if free < 0.08 else f"{free:.2f}", mode="--cpus 0.03")  # fmt: skip
    unhurt(canary)


@claim("security-193", "security-054")
@effect("run --env-file")
def test_an_environment_beyond_what_the_kernel_takes_is_refused(engine, guard, canary):
    """execve(2): arguments and environment have a quarter of the stack's limit, and six megabytes at most."""
    def told(number):
        path = engine.workdir / f"{number}"
        path.write_text("".join(f"WORD{one}={'x' * 60_000}\n" for one in range(number)))
        result = engine.cli("run", "--name", engine.name(), "--env-file", str(path), engine.image, "sh", "-c",
                            "echo ${#WORD0}", expect=ANY)  # fmt: skip
        if result.ok:
            return result.text
        assert re.search("(list|line) too long|too large", result.output)
        return "refused"

    with canary:
        shut = told(120)
    guard.holds("an environment beyond what the kernel takes", shut, told(10), mode="seven megabytes")
    unhurt(canary)
    assert engine.sh("echo here").text == "here"


@claim("security-193", "security-054")
@effect("run --label-file")
def test_labels_of_megabytes_are_kept_and_hurt_no_neighbour(engine, canary):
    """Four megabytes in four hundred labels: what lists and describes containers goes on in its time."""
    path = engine.workdir / "labels"
    wanted = {f"word{number}": f"{number}-{'x' * 10_000}" for number in range(400)}
    path.write_text("".join(f"{name}={value}\n" for name, value in wanted.items()))
    with canary:
        c = engine.create("--label-file", str(path), engine.image, "true")
        labels = c.inspect()["Config"]["Labels"]
        assert c.id[:12] in engine.look("ps", "--all", "--format", "{{.ID}}").stdout
    assert {name: value for name, value in labels.items() if name.startswith("word")} == wanted
    unhurt(canary)


def packed(layer, name):
    """An archive that `load` reads, its only layer compressed."""
    image = archive.Image.make([layer], [name])
    return archive.tree(image.files(**{"0/layer.tar": gzip.compress(layer, 1)}))


# what is brought in: the verb, how an archive is made of a tree and a name, and the tree
BOMBS = {
    "layer": ("load", packed, lambda: {"zeros": bytes(96 * MEGABYTE)}),
    "archive": ("import", lambda layer, _: gzip.compress(layer, 1), lambda: {"zeros": bytes(96 * MEGABYTE)}),
    "files": ("import", lambda layer, _: gzip.compress(layer, 1), lambda: {f"f{n}": "" for n in range(12000)}),
}


@claim("security-170", "security-006", "security-054")
@requires("private_daemon")
@pytest.mark.parametrize("bomb", BOMBS)
def test_an_image_that_is_a_bomb_stays_within_the_room_it_was_given(small, guard, bomb):
    """A few hundred kilobytes of 96 megabytes, or of more files than there are inodes; the control gives them room."""
    verb, pack, make = BOMBS[bomb]
    d = small("size=64m,nr_inodes=8000")
    name = d.image_name()
    data = pack(archive.tree(make()), name)
    assert len(data) < 2 * MEGABYTE
    words = ("import", "-", name) if verb == "import" else ("load",)
    canary = Canary(d)
    with canary:
        shut = d.cli(*words, stdin=data, expect=None, timeout=120)
    unhurt(canary)
    assert not d.exists(name, "image")
    assert d.once(d.image, "echo", "here").text == "here"
    run(["mount", "-o", "remount,size=400m,nr_inodes=40000", "/small"], host=d.host, journal=d.journal)
    free = d.cli(*words, stdin=data, expect=None, timeout=120)
    assert free.ok
    assert d.exists(name, "image")
    outcome = "refused" if "no space left" in shut.stderr.lower() else shut.code
    guard.holds(f"a bomb in an image, by its {bomb}", outcome, "taken")

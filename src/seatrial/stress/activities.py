"""What clients do, over and over: small stories of one container, image, network or volume, from birth to removal.

Each step is an operation of the history, and the story as a whole is one, too: its latency counts from the moment
at which it was to begin. A step that is refused ends the story; what the story made is removed in any case.
"""

from __future__ import annotations

import io
import itertools
import tarfile
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from seatrial.hosts import LOCAL, Host, connect
from seatrial.names import IMAGE_NAMESPACE
from seatrial.stress.driver import Driver, RefusedError, SilentError, Spec, place_of
from seatrial.stress.history import FAIL, OK, UNKNOWN, Op
from seatrial.stress.loops import Clock

_T = TypeVar("_T")
WAIT = 120.0  # seconds for the end of a container
PORT = 7
KILLED = (137,)  # 128 and SIGKILL
_MEETING = 5.0  # seconds for others to come
_BRIEF = 20.0  # seconds for a connection to a published port


class Contests:
    """Brings the clients together that want one name at the same moment."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: tuple[str, threading.Barrier, int] | None = None

    def enter(self, parties: int, name: Callable[[], str]) -> tuple[str, threading.Barrier]:
        """Return the name that the next `parties` callers compete for, and where they meet."""
        with self._lock:
            wanted, gate, left = self._open or (name(), threading.Barrier(parties), parties)
            self._open = (wanted, gate, left - 1) if left > 1 else None
            return wanted, gate


@dataclass
class World:
    """What all clients of a run share: where it goes, what it is called, and what was asked of the engine."""

    run: str
    image: str
    labels: Mapping[str, str]
    clock: Clock
    record: Callable[[Op], object]
    host: Host = LOCAL
    registry: str = ""  # host:port
    mark: str = ""  # tells the names of several processes apart
    stop: threading.Event = field(default_factory=threading.Event)
    numbers: itertools.count[int] = field(default_factory=itertools.count)
    contests: Contests = field(default_factory=Contests)

    def name(self, word: str) -> str:
        """Return a fresh name."""
        return f"st-{self.run[-6:]}-{word}{self.mark}{next(self.numbers)}"


def _read(function: Callable[[], _T]) -> _T:
    """Take an answer; one that is not what the interface promises is `SilentError`."""
    try:
        return function()
    except (LookupError, TypeError, ValueError, AttributeError, AssertionError) as error:
        raise SilentError(f"an answer that cannot be read: {type(error).__name__}: {error}") from error


class Client:
    """One client: a driver, and the record of what it does."""

    def __init__(self, world: World, number: int, driver: Driver) -> None:
        self.world = world
        self.number = number
        self.driver = driver

    def do(self, kind: str, name: str, function: Callable[[], _T], value: Callable[[_T], Any] = lambda _: None,
           intended: float | None = None) -> _T:  # fmt: skip
        """Do something and record it; raises what the driver raises.

        An answer to a step (what has a name) that cannot be read is none.
        """
        clock, began = self.world.clock, self.world.clock()
        planned = began if intended is None else min(intended, began)
        try:
            result = _read(function) if name else function()
        except RefusedError as error:
            self._record(Op(kind, self.number, planned, began, clock(), FAIL, name, None, str(error)[:500]))
            raise
        except SilentError as error:
            self._record(Op(kind, self.number, planned, began, clock(), UNKNOWN, name, None, str(error)[:500]))
            raise
        self._record(Op(kind, self.number, planned, began, clock(), OK, name, value(result)))
        return result

    def _record(self, op: Op) -> None:
        self.world.record(op)

    def tell(self, story: Callable[[Client, Mapping[str, Any]], None], kind: str, options: Mapping[str, Any],
             intended: float) -> None:  # fmt: skip
        """Tell a story from its beginning to its end; what goes wrong in it is in the record and ends nothing else."""
        with suppress(RefusedError, SilentError):
            self.do(kind, "", lambda: story(self, options), intended=intended)

    # -- steps ---------------------------------------------------------------------------------

    def create(self, spec: Spec) -> str:
        """Create a container."""
        return self.do("create", spec.name, lambda: self.driver.create(spec), str)

    def start(self, name: str, *, ports: bool = False) -> list[str]:
        """Start a container."""
        return self.do("start", name, lambda: self.driver.start(name, ports=ports), list)

    def wait(self, name: str, *codes: int) -> int:
        """Wait for the end of a container, which must come with one of the exit codes (any without)."""
        return self.do("wait", name, lambda: self.driver.wait(name, WAIT), lambda code: [code, list(codes) or None])

    def logs(self, name: str, written: bytes) -> None:
        """Read the logs of a container, which must be what it has written."""
        sums = [len(written), zlib.crc32(written)]
        self.do("logs", name, lambda: self.driver.logs(name), lambda read: [*sums, len(read), zlib.crc32(read)])

    def execute(self, name: str, *command: str, code: int, out: bytes) -> None:
        """Run a command in a container, which has to end with an exit code and to print something."""

        def run() -> None:
            seen = self.driver.execute(name, command)
            if seen != (code, out):
                raise RefusedError(f"{' '.join(command)} gave {seen[0]} and {seen[1]!r}, expected {code} and {out!r}")

        self.do("exec", name, run)

    def claim(self, spec: Spec) -> str:
        """Create a container under a name that others want, too; return its id, or nothing when another has it."""

        def create() -> str:
            try:
                return self.driver.create(spec)
            except RefusedError as error:
                if "in use" not in str(error):
                    raise
                return ""

        return self.do("claim", spec.name, create, str)

    def kill(self, name: str) -> None:
        """Kill a container."""
        self.do("kill", name, lambda: self.driver.kill(name))

    def remove(self, name: str) -> None:
        """Remove a container."""
        self.do("remove", name, lambda: self.driver.remove(name))

    @contextmanager
    def running(self, spec: Spec) -> Iterator[list[str]]:
        """Create and start a container, give what it holds of published ports, and remove it.

        The end of one whose story broke off is awaited like any other's.
        """
        self.create(spec)
        try:
            held = self.start(spec.name, ports=bool(spec.ports))
            try:
                yield held
            except (RefusedError, SilentError):
                with suppress(RefusedError, SilentError):
                    self.kill(spec.name)
                with suppress(RefusedError, SilentError):
                    self.wait(spec.name)
                raise
        finally:
            self.remove(spec.name)

    def spec(self, word: str, *command: str, **more: Any) -> Spec:
        """Return a container that is wanted, under a fresh name."""
        return Spec(self.world.name(word), self.world.image, command, self.world.labels, **more)


def container(client: Client, options: Mapping[str, Any]) -> None:
    """Create, start, wait, remove: what `run --rm` does."""
    spec = client.spec("c", *options.get("command", ["true"]))
    with client.running(spec):
        client.wait(spec.name, options.get("code", 0))


def hold(client: Client, options: Mapping[str, Any]) -> None:
    """Create and start a container, let it live for `seconds`, kill it if it still lives, remove it."""
    command = options.get("command", ["sleep", "3600"])
    spec = client.spec("h", *command, ports=tuple(options.get("ports", ())))
    with client.running(spec):
        if (life := options.get("seconds")) is not None:
            client.world.stop.wait(life)
            with suppress(RefusedError):  # it has ended by itself
                client.kill(spec.name)
        client.wait(spec.name)


def service(client: Client, options: Mapping[str, Any]) -> None:
    """Run an echo server behind a published port, talk to it, kill it, and see that it is gone."""
    spec = client.spec("s", "nc", "-ll", "-p", str(PORT), "-e", "cat", ports=(PORT,))
    with client.running(spec) as held:
        for number in range(options.get("requests", 10)):
            client.do("echo", spec.name, partial(_echo, client.world, held, f"{spec.name} {number}\n"))
            if client.world.stop.is_set():
                break
        client.kill(spec.name)
        client.wait(spec.name, *KILLED)


def _echo(world: World, ports: Sequence[str], text: str) -> None:
    """Send a line to the published port and expect it back; who does not listen yet gets some time."""
    if len(ports) != 1:
        raise RefusedError(f"one port was published, the engine shows {len(ports)}")
    held = ports[0]
    deadline = world.clock() + _BRIEF
    while True:
        try:
            with connect(world.host, place_of(held), _BRIEF) as line:
                line.sendall(text.encode())
                seen = b""
                while not seen.endswith(b"\n") and (part := line.recv(4096)):
                    seen += part
            if seen == text.encode():
                return
            if seen:
                raise RefusedError(f"sent {text!r}, got {seen!r} back")
            problem = "the connection was closed without an answer"
        except (OSError, ValueError) as error:
            problem = f"{type(error).__name__}: {error}"
        if world.clock() > deadline or world.stop.wait(0.05):
            raise RefusedError(f"nothing echoes on {held}: {problem}")


def connected(world: World, held: str) -> None:
    """Connect to a published port until somebody behind it takes the connection."""
    deadline = world.clock() + _BRIEF
    while True:
        try:
            with connect(world.host, place_of(held), _BRIEF):
                return
        except (OSError, ValueError) as error:
            if world.clock() > deadline or world.stop.wait(0.05):
                raise RefusedError(f"nobody listens on {held}: {type(error).__name__}: {error}") from error


def contest(client: Client, options: Mapping[str, Any]) -> None:
    """Want a name at the moment at which other clients want it, too; who gets it removes the container again.

    Where the others do not come in time (at the end of a run, or with too few clients) it is wanted all the same.
    """
    name, gate = client.world.contests.enter(options.get("parties", 3), lambda: client.world.name("x"))
    _meet(gate)
    got = ""
    try:
        got = client.claim(Spec(name, client.world.image, ("true",), client.world.labels))
    finally:
        _meet(gate)  # until then nobody gives the name back
        if got:
            client.remove(name)


def _meet(gate: threading.Barrier) -> None:
    with suppress(threading.BrokenBarrierError):
        gate.wait(_MEETING)


def exec_(client: Client, options: Mapping[str, Any]) -> None:
    """Start a container that sleeps, run commands in it, kill it."""
    spec = client.spec("e", "sleep", "3600")
    with client.running(spec):
        for number in range(options.get("times", 10)):
            client.execute(spec.name, "sh", "-c", f"echo {number}; exit {number % 3}", code=number % 3,
                           out=b"%d\n" % number)  # fmt: skip
            if client.world.stop.is_set():
                break
        client.kill(spec.name)
        client.wait(spec.name, *KILLED)


def log(client: Client, options: Mapping[str, Any]) -> None:
    """Let a container write many lines and read them all."""
    lines = options.get("lines", 5000)
    written = "".join(f"{number}\n" for number in range(1, lines + 1)).encode()
    _once(client, client.spec("l", "seq", "1", str(lines)), written)


def registry(client: Client, options: Mapping[str, Any]) -> None:
    """Push the test image to the loopback registry under a name of its own, forget it, pull it again."""
    del options
    world, driver = client.world, client.driver
    name = f"{world.registry}/{world.name('i')}:latest"
    client.do("tag", name, lambda: driver.tag(world.image, name))
    try:
        client.do("push", name, lambda: driver.push(name))
        client.do("untag", name, lambda: driver.unmake("image", name))
        client.do("pull", name, lambda: driver.pull(name))
    finally:
        with suppress(RefusedError):  # it is not there when the pull failed
            client.do("untag", name, lambda: driver.unmake("image", name))


def build(client: Client, options: Mapping[str, Any]) -> None:
    """Build an image with a file of its own, run it, remove it."""
    world, driver = client.world, client.driver
    name = f"{IMAGE_NAMESPACE}/{world.name('b')}:latest"
    content = f"{name} ".encode() * (options.get("size", 1024) // len(name) + 1)
    context = _context(world.image, content)
    client.do("build", name, lambda: driver.build(name, context, world.labels))
    try:
        _once(client, Spec(world.name("c"), name, ("cat", "/content"), world.labels), content)
    finally:
        client.do("untag", name, lambda: driver.unmake("image", name))


def _context(image: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in (("Dockerfile", f"FROM {image}\nCOPY content /content\n".encode()), ("content", content)):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def network(client: Client, options: Mapping[str, Any]) -> None:
    """Create a network, run a container in it, remove both."""
    name = client.world.name("n")
    client.do("network", name, lambda: client.driver.make("network", name, client.world.labels))
    try:
        spec = client.spec("c", "true", network=name)
        _once(client, spec)
    finally:
        client.do("no network", name, lambda: client.driver.unmake("network", name))
    del options


def volume(client: Client, options: Mapping[str, Any]) -> None:
    """Create a volume, write into it from one container, read it from another, remove all."""
    del options
    name = client.world.name("v")
    client.do("volume", name, lambda: client.driver.make("volume", name, client.world.labels))
    try:
        _once(client, client.spec("c", "sh", "-c", f"echo {name} >/v/f", mounts={name: "/v"}))
        _once(client, client.spec("c", "cat", "/v/f", mounts={name: "/v"}), f"{name}\n".encode())
    finally:
        client.do("no volume", name, lambda: client.driver.unmake("volume", name))


def _once(client: Client, spec: Spec, written: bytes | None = None) -> None:
    with client.running(spec):
        client.wait(spec.name, 0)
        if written is not None:
            client.logs(spec.name, written)


Story = Callable[[Client, Mapping[str, Any]], None]
STORIES: Mapping[str, Story] = {
    "container": container, "hold": hold, "service": service, "exec": exec_, "log": log, "registry": registry,
    "build": build, "network": network, "volume": volume, "contest": contest,
}  # fmt: skip


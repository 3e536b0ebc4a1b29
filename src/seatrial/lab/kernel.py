"""Labs with a kernel of their own: user-mode Linux inside a lab host.

The lab host is made as any other, and user-mode Linux runs in it as an ordinary process whose root file system is
that host's, by hostfs. So a lab with another kernel has the same files, share and end as the others; what differs is
how a command gets in, and that processes, mounts and sockets are those of another kernel: /proc, /sys, /dev, /run,
/tmp and the storage of engines are its own and are not seen from here.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TypeVar

from seatrial import exec as command
from seatrial.engines import drivers
from seatrial.errors import SeatrialError
from seatrial.exec import background
from seatrial.hosts import NamespaceHost
from seatrial.lab import host as hosts
from seatrial.paths import cache_dir, locked

_T = TypeVar("_T")
# kernel of a target -> what the kernel's command line says about it
KERNELS: Mapping[str, tuple[str, ...]] = {
    "apparmor": ("lsm=capability,yama,apparmor", "apparmor=1"),
    "selinux": ("lsm=capability,yama,selinux", "selinux=1", "enforcing=0"),
    "cgroup2": ("lsm=capability,yama",),
}
SUITE = "bookworm"
# besides what every lab has: the kernel, what loads its modules, and the tools and policies of security modules
PACKAGES = ("apparmor", "kmod", "policycoreutils", "selinux-policy-default", "selinux-utils", "user-mode-linux")
MEMORY = "1024M"
_INSIDE = "/lib/seatrial"
_WIRE = "/wire"
_POLICY = "/etc/selinux/default/policy/policy.33"
_FILES = ("init.sh", "agent.pl", "relay.pl", "container.cil")


class KernelHost(NamespaceHost):
    """A host under a kernel of its own, inside the lab host whose keeper is `pid`."""

    hidden = "the processes of this lab are those of another kernel and are not seen from here"

    @property
    def outer(self) -> NamespaceHost:
        """The lab host in which the kernel runs."""
        return hosts.way_in(self.name, self.pid)

    def enter(self, argv: Sequence[str], cwd: Path | str | None = None) -> list[str]:
        """Return the command line of the client that hands `argv` in."""
        client = Path(__file__).with_name("guest") / "client.py"
        return [sys.executable, "-I", "-S", str(client), str(self.path(_WIRE)), str(cwd or "/"), *argv]

    def call(self, function: Callable[[], _T]) -> _T:
        """Raise `SeatrialError` E217: nothing here can join the network of another kernel."""
        raise SeatrialError(
            "E217", f"the network of the lab {self.name} is not reached from here", "it belongs to another kernel",
            "run a client inside: seatrial lab run TARGET -- COMMAND",
        )  # fmt: skip


def way_in(name: str, pid: int) -> KernelHost:
    """Return the host under the kernel that runs beside a keeper."""
    return KernelHost(name, pid, hosts.environment(name))


def start(name: str, pid: int, kernel: str, timeout: float = 120.0) -> None:
    """Boot a kernel in a lab host and wait until it takes commands; raises `SeatrialError` E219 with its last words."""
    outer = hosts.way_in(name, pid)
    place = outer.path(_INSIDE)
    place.mkdir(parents=True, exist_ok=True)
    guest = resources.files("seatrial.lab.guest")
    for file in _FILES:
        (place / file).write_bytes(guest.joinpath(file).read_bytes())
    (place / "init.sh").chmod(0o755)
    if kernel == "selinux":
        _give_policy(outer)
    wire = outer.path(_WIRE)
    wire.mkdir(exist_ok=True)
    log = hosts.storage(name) / "kernel.log"
    argv = (
        "unshare", "--pid", "--fork", "--kill-child", "linux.uml", f"mem={MEMORY}", "rootfstype=hostfs",
        "rootflags=/", "rw", f"init={_INSIDE}/init.sh", "con=null", "con0=null,fd:1", "quiet",
        *KERNELS[kernel], f"seatrial={kernel}", f"name={name}",
    )  # fmt: skip
    environment = {**hosts.own_environment(name), **outer.environment, "TMPDIR": "/tmp"}  # noqa: S108 - the lab's
    with log.open("wb") as stream:
        process = background(outer.enter(argv), stdout=stream, stderr=stream, env=environment)
    deadline = time.monotonic() + timeout
    while not (wire / "ready").exists():
        if process.poll() is not None or time.monotonic() > deadline:
            words = log.read_text("utf-8", "replace").strip().splitlines()[-1:] or ["no message"]
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            raise SeatrialError("E219", f"the kernel of the lab {name} did not boot", words[0], f"see {log}")
        time.sleep(0.05)
    _relays(outer, name, log)


def _give_policy(outer: NamespaceHost) -> None:
    """Put a policy with types for containers into the host: compiled there once, in half a minute, then kept."""
    module = f"{_INSIDE}/container.cil"
    packaged = outer.path(_POLICY).read_bytes()
    digest = hashlib.sha256(packaged + outer.path(module).read_bytes()).hexdigest()[:12]
    kept = cache_dir() / "selinux" / f"{digest}.policy"
    with locked(kept.with_suffix(".lock")):
        if not kept.exists():
            command.run(["semodule", "-n", "-s", "default", "-i", module], host=outer, timeout=300)
            partial = kept.with_suffix(".partial")
            shutil.copyfile(outer.path(_POLICY), partial)
            partial.rename(kept)
    shutil.copyfile(kept, outer.path(_POLICY))


def _relays(outer: NamespaceHost, name: str, log: Path) -> None:
    """Listen in the lab host where engines serve their API, and pass each connection on to the socket inside."""
    environment = {**hosts.own_environment(name), **outer.environment}
    client = Path(__file__).with_name("guest") / "client.py"
    listener = Path(__file__).with_name("guest") / "listen.py"
    for cls in drivers.startable().values():
        socket = outer.path(str(vars(cls)["api"]))
        socket.parent.mkdir(parents=True, exist_ok=True)
        argv = [sys.executable, "-I", "-S", str(listener), str(socket), sys.executable, "-I", "-S", str(client),
                str(outer.path(_WIRE)), "/", "perl", f"{_INSIDE}/relay.pl", str(vars(cls)["api"])]  # fmt: skip
        with log.open("ab") as stream:
            background(argv, stdout=stream, stderr=stream, env=environment)

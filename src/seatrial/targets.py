"""Target strings: what is tested and how it is reached, in one word.

    docker  podman                    the engine of this machine
    docker+unix:///run/x.sock         an engine behind a socket (also tcp://)
    docker@trixie  podman@sid         a lab engine of a Debian suite
    docker@sid+crun                   a lab engine with another default runtime
    docker@bookworm/apparmor          a lab on another kernel
    runc  crun  runsc  youki          a runtime of this machine
    runc@trixie  runtime:/usr/bin/x   a lab's runtime, a runtime by path
    runtime:/opt/wrapper@sid          a runtime by path on the lab host of a suite, with its programs around it

The same string is the option's value, the pytest id and the column of the report.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from seatrial.errors import SeatrialError

# what is tested when nothing is named: the first of these that answers, else a lab of the first
PREFERRED = ("docker", "podman")
DRIVERS = "seatrial.engines"  # the group of entry points in which drivers register
RUNTIMES = ("runc", "crun", "runsc", "youki")
PACKAGED = ("runc", "crun", "runsc")  # the runtimes that Debian has packages of
SUITES = ("bookworm", "trixie", "sid")

_GRAMMAR = re.compile(
    r"(?P<engine>[a-z]+)"
    r"(?:@(?P<suite>[a-z]+)(?:/(?P<kernel>[a-z0-9]+))?)?"
    r"(?:\+(?P<extra>.+))?"
)
_ADDRESS = re.compile(r"unix:///.+|tcp://(\[[0-9A-Fa-f:.]+\]|[\w.-]+):\d{1,5}")


@dataclass(frozen=True)
class Target:
    """A parsed target string; `str()` gives the string back."""

    engine: str  # docker, podman, nerdctl, or a runtime's name
    suite: str = ""  # lab suite, empty for this machine's own
    kernel: str = ""  # lab kernel, empty for this machine's
    runtime: str = ""  # default runtime, empty for the engine's choice
    address: str = ""  # unix:// or tcp:// address, empty for the default
    path: str = ""  # of a runtime given by path

    def __str__(self) -> str:
        if self.path:
            return f"runtime:{self.path}" + (f"@{self.suite}" if self.suite else "")
        lab = f"@{self.suite}" + (f"/{self.kernel}" if self.kernel else "") if self.suite else ""
        extra = self.runtime or self.address
        return f"{self.engine}{lab}" + (f"+{extra}" if extra else "")

    @property
    def is_runtime(self) -> bool:
        """Whether this is an OCI runtime and no engine."""
        return bool(self.path) or self.engine in RUNTIMES

    @property
    def is_lab(self) -> bool:
        """Whether the harness brings this target itself."""
        return bool(self.suite)

    @property
    def in_lab(self) -> str:
        """The target string of the nearest lab that Debian has packages for, empty when there is none."""
        packaged = (*PREFERRED, *PACKAGED)
        return str(self) if self.is_lab else f"{self.engine}@{SUITES[0]}" if self.engine in packaged else ""

    @property
    def lab_name(self) -> str:
        """Name of the shared lab host of this target; a runtime of this machine has one, too."""
        if self.path:
            return f"runtime-{hashlib.sha256(str(self).encode()).hexdigest()[:8]}"
        parts = (self.engine, self.suite, self.kernel, self.runtime)
        return "-".join(part for part in parts if part)


@cache
def registered() -> dict[str, EntryPoint]:
    """Return the registered drivers by engine name, not yet loaded."""
    return {point.name: point for point in entry_points(group=DRIVERS)}


def parse(text: str) -> Target:
    """Parse a target string; raises `SeatrialError` E102 with the nearest right one."""
    engines = tuple(registered())
    if text.startswith("runtime:"):
        whole = text.removeprefix("runtime:")
        path, _, suite = whole.rpartition("@")
        if suite not in SUITES:
            path, suite = whole, ""
        if not path.startswith("/"):
            raise _unknown(text, "a runtime's path is absolute", f"runtime:/usr/sbin/{path or 'runc'}")
        return Target(Path(path).name, suite, path=path)
    match = _GRAMMAR.fullmatch(text)
    if not match or match["engine"] not in (*engines, *RUNTIMES):
        raise _unknown(text, "no such engine or runtime", _nearest(text, (*engines, *RUNTIMES)))
    engine, suite, kernel, extra = (match[name] or "" for name in ("engine", "suite", "kernel", "extra"))
    if suite and suite not in SUITES:
        raise _unknown(text, f"no such suite: {suite}", f"{engine}@{_nearest(suite, SUITES)}")
    if extra.partition(":")[0] in ("unix", "tcp"):
        if suite or engine in RUNTIMES:
            raise _unknown(text, "a lab or a runtime has no address", engine)
        if not _ADDRESS.fullmatch(extra):
            raise _unknown(text, f"an address is unix:///PATH or tcp://HOST:PORT, not {extra}",
                           f"{engine}+unix:///run/{engine}.sock")  # fmt: skip
        return Target(engine, address=extra)
    if extra and not re.fullmatch(r"[a-z][a-z0-9_-]*", extra):
        raise _unknown(text, f"neither an address nor a runtime: {extra}", f"{engine}+unix:///run/{engine}.sock")
    if extra and engine in RUNTIMES:
        raise _unknown(text, "a runtime has no runtime", engine)
    return Target(engine, suite, kernel, runtime=extra)


def _nearest(word: str, choices: tuple[str, ...]) -> str:
    import difflib

    return next(iter(difflib.get_close_matches(word.split("@")[0], choices, 1, 0.3)), choices[0])


def _unknown(text: str, cause: str, nearest: str) -> SeatrialError:
    return SeatrialError(
        "E102", f"cannot read the target {text!r}", cause, f"for example {nearest}; `seatrial doctor` lists all"
    )


def reachable(address: str, timeout: float = 2.0) -> str:
    """Return why nothing listens on an address, or an empty string when something does."""
    kind, _, rest = address.partition("://")
    try:
        if kind == "unix":
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
                client.settimeout(timeout)
                client.connect(rest)
        elif kind == "tcp":
            name, _, port = rest.rpartition(":")
            socket.create_connection((name.strip("[]"), int(port)), timeout).close()
    except FileNotFoundError:
        return f"there is no socket {rest}"
    except PermissionError:
        return f"no permission to use {rest}"
    except ConnectionRefusedError:
        return f"nothing listens on {rest}"
    except (OSError, ValueError) as error:
        return f"{rest}: {error}"
    return ""


def discover(progress: Callable[[str], None] = lambda _: None, *, runtime: bool = False) -> Target:
    """Choose the target when the user named none: Docker, else Podman, else the lab's Docker.

    With `runtime` it is this machine's runc or crun, else the lab's runc. `progress` is told why others were passed by.

    Raises `SeatrialError` E103 with the one thing to do when there is neither.
    """
    from seatrial.engines import drivers
    from seatrial.lab import rootfs

    reasons: list[str] = []
    if runtime:
        found = next((name for name in RUNTIMES if shutil.which(name)), "")
        return Target(found) if found else Target("runc", "bookworm")
    for name in PREFERRED:
        if not (reason := drivers.absent(name)):
            return _told(Target(name), reasons, progress)
        reasons.append(reason)
    missing, hint = rootfs.obstacle()
    if not missing:
        return _told(Target(PREFERRED[0], SUITES[0]), reasons, progress)
    raise SeatrialError(
        "E103",
        "no engine is reachable",
        "; ".join([*reasons, missing]),
        f"start Docker, install Podman, or let the harness bring its own: {hint}",
    )


def _told(target: Target, reasons: Iterable[str], progress: Callable[[str], None]) -> Target:
    if words := "; ".join(reasons):
        progress(f"{target} is taken, as no target is named: {words}")
    return target

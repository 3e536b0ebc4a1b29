"""Root file systems of labs, made by mmdebstrap from Debian's suites and cached."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from seatrial import exec as command
from seatrial.engines import drivers
from seatrial.errors import SeatrialError
from seatrial.paths import cache_dir, locked, remove_tree
from seatrial.targets import PACKAGED, SUITES

_SYSTEM = (
    "docker-registry", "iptables", "iproute2", "ca-certificates", "curl", "procps", "busybox-static", "xz-utils",
    "bzip2",
)  # fmt: skip
_TOOLBOX = ("fio", "iperf3", "stress-ng", "sysbench", "iputils-ping")

# mmdebstrap mounts into what it makes and starts many processes: in namespaces of their own, all of it
# goes when it ends or when the harness is killed.
_CONTAINED = (
    "setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
)  # fmt: skip

Progress = Callable[[str], None]


def packages(suite: str, extra: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the packages of a suite's root file system: those of every engine, of runtimes, tools, and `extra`."""
    engines = [package for cls in drivers.startable().values() for package in cls.packages(suite)]
    return (*sorted(engines), *PACKAGED, *_SYSTEM, *(_TOOLBOX if suite == "bookworm" else ()), *extra)


def location(suite: str, extra: tuple[str, ...] = ()) -> Path:
    """Return where the root file system of a suite is cached; a new package list is a new place."""
    digest = hashlib.sha256(" ".join(packages(suite, extra)).encode()).hexdigest()[:8]
    return cache_dir() / "rootfs" / f"{suite}-{digest}"


def ensure(suite: str, progress: Progress = lambda _: None, extra: tuple[str, ...] = ()) -> Path:
    """Return the root file system of a suite, making it if it is not there (about a minute)."""
    if suite not in SUITES:
        raise SeatrialError(
            "E201", f"there is no lab of {suite}", "no such suite", f"choose one of: {', '.join(SUITES)}"
        )
    root = location(suite, extra)
    if root.is_dir():
        return root
    possible(raise_error=True)
    waiting = f"waiting: another process is making the root file system of {suite}"
    with locked(root.parent / f".{suite}.lock", lambda: progress(waiting)):
        if not root.is_dir():
            _install_mmdebstrap(progress)
            progress(f"making the root file system of {suite} (about a minute, once)")
            _build(suite, root, extra)
    return root


def program(root: Path, path: str) -> list[str]:
    """Return how a program of a root file system is started on this machine.

    It runs by the loader and the libraries of its own root file system, so that this machine's do not matter.
    """
    loader = next(root.glob("lib*/ld-linux-*.so.*"))
    libraries = ":".join(str(found.parent) for found in sorted(root.glob("usr/lib/*/libc.so.6")))
    return [str(loader), "--library-path", libraries, f"{root}{path}"]


def possible(*, raise_error: bool = False) -> bool:
    """Tell whether labs can be made here; with `raise_error` say in one sentence why not."""
    missing, hint = obstacle()
    if missing and raise_error:
        raise SeatrialError("E202", "labs cannot be made here", missing, hint)
    return not missing


def obstacle() -> tuple[str, str]:
    """Return why labs cannot be made here and what to do about it; both are empty when they can."""
    if os.environ.get("SEATRIAL_LABS") == "never":  # set in the harness's image, which has no network
        return "SEATRIAL_LABS=never forbids labs", "unset it, or name a reachable engine with --engine"
    if os.geteuid() != 0:
        return "labs need root", "run as root, or name a reachable engine with --engine"
    if not shutil.which("apt-get") and not shutil.which("mmdebstrap"):
        return "labs need apt-get or mmdebstrap", "use a Debian host or name an engine with --engine"
    return "", ""


def _install_mmdebstrap(progress: Progress) -> None:
    if shutil.which("mmdebstrap"):
        return
    progress("installing mmdebstrap")
    env = {"DEBIAN_FRONTEND": "noninteractive"}
    for argv in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "mmdebstrap"],
    ):
        result = command.run(argv, env=env, timeout=600, expect=command.ANY)
        if not result.ok:
            raise SeatrialError(
                "E214", "cannot install mmdebstrap", _last(result.output), "apt-get install mmdebstrap"
            )


def _build(suite: str, root: Path, extra: tuple[str, ...]) -> None:
    partial = root.with_name(f".{root.name}.partial")
    remove_tree(partial)
    mirror = os.environ.get("SEATRIAL_MIRROR", "http://deb.debian.org/debian")
    base = [*_CONTAINED, "mmdebstrap", "--variant=minbase", f"--include={','.join(packages(suite, extra))}"]
    cause = ""
    try:
        for lenient in ([], ['--aptopt=Acquire::Check-Valid-Until "false"']):
            argv = [*base, *lenient, suite, str(partial), mirror]
            result = command.run(argv, timeout=1200, expect=command.ANY)
            cause = "" if result.ok else _last(result.output)
            if result.ok or "is expired" not in result.output:
                break
            remove_tree(partial)
    except command.ExpectationError:
        cause = "mmdebstrap did not end within 20 minutes"
    except BaseException:
        remove_tree(partial)
        raise
    if cause:
        remove_tree(partial)
        raise SeatrialError(
            "E203",
            f"cannot make the root file system of {suite}",
            cause,
            f"is {mirror} reachable? SEATRIAL_MIRROR names another mirror",
        )
    # Podman complains about this network definition, whose plugins Debian packages separately.
    (partial / "etc/cni/net.d/87-podman-bridge.conflist").unlink(missing_ok=True)
    partial.rename(root)


def _last(output: str) -> str:
    lines = [line for line in output.splitlines() if line.startswith("E:")] or output.splitlines()[-1:]
    return lines[0] if lines else "no output"

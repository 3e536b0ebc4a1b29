"""The root file system of test bundles: Perl, a static busybox and the probe, little else.

It is put together once a run from the bookworm lab (Perl is essential in Debian, so there is nothing to
compile), and each bundle gets hard links to it, which cost a millisecond.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from importlib import resources
from pathlib import Path

from seatrial.errors import SeatrialError
from seatrial.hosts import resolve
from seatrial.lab import rootfs
from seatrial.paths import locked

PERL = "/usr/bin/perl"
BUSYBOX = "/bin/busybox"
PROBE = "/probe"

_DIRECTORIES = ("bin", "dev", "etc", "home", "lib", "lib64", "proc", "root", "run", "sys", "tmp", "usr/bin", "var")
_APPLETS = (
    "cat", "echo", "env", "false", "id", "ls", "mkdir", "pwd", "readlink", "sed", "sh", "sleep", "stat", "stty", "true",
)  # fmt: skip
_FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\ntester:x:1000:1000::/home:/bin/sh\n",
    "etc/group": "root:x:0:\ntester:x:1000:\n",
    "etc/motd": "sea trial\n",
}


def template(directory: Path) -> Path:
    """Return the root file system in a directory, made when it is not there; raises `SeatrialError` E216."""
    with locked(directory.with_suffix(".lock")):
        if not directory.is_dir():
            partial = directory.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            _build(partial)
            partial.rename(directory)
    return directory


def script() -> str:
    """Return the probe's text."""
    return resources.files("seatrial.oci").joinpath("probe.pl").read_text("utf-8")


def _build(directory: Path) -> None:
    for name in _DIRECTORIES:
        (directory / name).mkdir(parents=True)
    (directory / "tmp").chmod(0o1777)
    source = rootfs.ensure("bookworm")
    programs = [PERL, BUSYBOX, *_libraries(source)]
    programs += [f"{_perl_base(source)}/{name}" for name in ("strict.pm", "warnings.pm")]
    for inside in programs:
        target = directory / inside.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(resolve(source, inside), target)
    for applet in _APPLETS:
        (directory / "bin" / applet).symlink_to("busybox")
    for name, text in _FILES.items():
        (directory / name).write_text(text)
    (directory / PROBE.lstrip("/")).write_text(script())
    (directory / PROBE.lstrip("/")).chmod(0o755)


def _libraries(root: Path) -> list[str]:
    """Ask the loader of the root file system, in itself, what its Perl needs."""
    listed = subprocess.run(
        ["chroot", str(root), "ldd", PERL], capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip
    found = re.findall(r"(?:=> )?(/\S+) \(0x", listed.stdout)
    if not found:
        raise SeatrialError("E216", "there is nothing to make bundles from", f"{root} has no working {PERL}")
    return found


def _perl_base(root: Path) -> str:
    found = sorted(root.glob("usr/lib/*/perl-base"))
    if not found:
        raise SeatrialError("E216", "there is nothing to make bundles from", f"{root} has no perl-base")
    return f"/{found[0].relative_to(root)}"


def lay_out(source: Path, target: Path) -> None:
    """Make a copy of a root file system: own directories and links, hard links to its files."""
    for parent, directories, files in os.walk(source):
        here = target / Path(parent).relative_to(source)
        here.mkdir(parents=True)
        here.chmod(Path(parent).stat().st_mode & 0o7777)
        for name in [*files, *(name for name in directories if (Path(parent) / name).is_symlink())]:
            one = Path(parent) / name
            if one.is_symlink():
                (here / name).symlink_to(os.readlink(one))
            else:
                os.link(one, here / name)

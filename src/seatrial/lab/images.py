"""Images made for tests, offline: busybox, a toolbox of measuring programs, and the probe of containers.

They are root file systems put together from the bookworm lab, packed in a reproducible order and
cached. They stand under names of their own, so no test's `prune` or `pull` can change them.
"""

from __future__ import annotations

import hashlib
import io
import re
import stat
import subprocess
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from seatrial.engines.base import CliEngine
from seatrial.errors import SeatrialError
from seatrial.lab import rootfs
from seatrial.names import BUSYBOX, PROBE, TOOLBOX
from seatrial.oci import rootfs as probe_rootfs
from seatrial.paths import cache_dir, locked

CHANGES = ('CMD ["sh"]', "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
# The test images are the same for years; the probe changes with the tests that talk to it.
VERSION_LABEL = "seatrial.images"
TOOLS = ("fio", "iperf3", "stress-ng", "sysbench", "ping")

_FILES: Mapping[str, str] = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\n"
    "operator:x:37:37:operator:/var:/bin/false\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/group": "root:x:0:\ndaemon:x:1:\nadm:x:4:\nwheel:x:10:operator\nusers:x:100:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
}
_DIRECTORIES = {
    "bin": 0o755, "dev": 0o755, "etc": 0o755, "home": 0o755, "lib": 0o755, "lib64": 0o755, "proc": 0o755,
    "root": 0o700, "run": 0o755, "sbin": 0o755, "sys": 0o755, "tmp": 0o1777, "usr": 0o755,
    "usr/bin": 0o755, "usr/sbin": 0o755, "usr/lib": 0o755, "var": 0o755, "var/tmp": 0o1777,
}  # fmt: skip


def key() -> str:
    """Return what tells this version of the test images from others: eight hex digits."""
    parts = (Path(__file__).read_bytes(), probe_rootfs.script().encode(), rootfs.location("bookworm").name.encode())
    return hashlib.sha256(b"".join(parts)).hexdigest()[:8]


def ensure(name: str) -> Path:
    """Return the archive of a test image (BUSYBOX, TOOLBOX or PROBE), making it if it is not cached."""
    build = {BUSYBOX: _busybox, TOOLBOX: _toolbox, PROBE: _probe}[name]
    archive = cache_dir() / "images" / f"{name.split('/')[-1].split(':')[0]}-{key()}.tar"
    if not archive.exists():
        with locked(archive.parent / ".lock"):
            if not archive.exists():
                partial = archive.with_suffix(".partial")
                partial.write_bytes(build())
                partial.rename(archive)
    return archive


def provide(engine: CliEngine, names: Iterable[str] = (BUSYBOX,)) -> None:
    """Bring test images into an engine that does not have them yet, or has the probe of another version."""
    for name in names:
        changes = (*CHANGES, f"LABEL {VERSION_LABEL}={key()}") if name == PROBE else CHANGES
        shown = engine.cli("image", "inspect", name, expect=None)
        held = shown.json()[0] if shown.ok else {}
        labels = held.get("Config", {}).get("Labels") or {}
        if held and (name != PROBE or labels.get(VERSION_LABEL) == key()):
            continue
        engine.import_image(ensure(name), name, changes)
        if held:
            engine.cli("image", "rm", held["Id"], expect=None)  # a container of another run may hold it


def _busybox(extra: Mapping[str, Path] | None = None) -> bytes:
    binary = _busybox_binary()
    applets = subprocess.run([str(binary), "--list"], capture_output=True, text=True, check=True).stdout.split()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, mode in _DIRECTORIES.items():
            archive.addfile(_member(path, mode, tarfile.DIRTYPE))
        for path, text in _FILES.items():
            archive.addfile(_member(path, 0o644, size=len(text)), io.BytesIO(text.encode()))
        _add(archive, "bin/busybox", binary)
        for applet in sorted(set(applets) - {"busybox"} - {Path(path).name for path in extra or {}}):
            link = _member(f"bin/{applet}", 0o777, tarfile.SYMTYPE)
            link.linkname = "busybox"
            archive.addfile(link)
        for path, source in sorted((extra or {}).items()):
            _add(archive, path, source)
    return buffer.getvalue()


def _busybox_binary() -> Path:
    """Return a static busybox: the lab's, or this machine's where no lab can be made."""
    own = Path("/bin/busybox")
    if not rootfs.location("bookworm").is_dir() and own.exists() and not rootfs.possible():
        return own
    if not rootfs.possible() and not rootfs.location("bookworm").is_dir():
        raise SeatrialError(
            "E207", "no busybox to make the test image from", "labs cannot be made here",
            "apt-get install busybox-static, or name an image with --image",
        )  # fmt: skip
    return rootfs.ensure("bookworm") / "bin/busybox"


def _toolbox() -> bytes:
    root = rootfs.ensure("bookworm")
    wanted: dict[str, Path] = {}
    for tool in TOOLS:
        binary = next(path for path in (root / "usr/bin" / tool, root / "bin" / tool) if path.exists())
        wanted[f"usr/bin/{tool}"] = binary
        for library in libraries(root, binary):
            wanted[library.lstrip("/")] = _resolve(root, library)
    return _busybox(wanted)


def _probe() -> bytes:
    """Pack the root file system of bundles, which holds the probe."""
    buffer = io.BytesIO()
    with TemporaryDirectory(dir=cache_dir(), prefix="probe-") as scratch:
        root = probe_rootfs.template(Path(scratch) / "rootfs")
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for path in sorted(root.rglob("*")):
                name = str(path.relative_to(root))
                mode = stat.S_IMODE(path.lstat().st_mode)
                if path.is_symlink():
                    link = _member(name, 0o777, tarfile.SYMTYPE)
                    link.linkname = str(path.readlink())
                    archive.addfile(link)
                elif path.is_dir():
                    archive.addfile(_member(name, mode, tarfile.DIRTYPE))
                else:
                    _add(archive, name, path)
    return buffer.getvalue()


def libraries(root: Path, binary: Path) -> list[str]:
    """Return the shared libraries of a program, asking the loader of its own root file system."""
    inside = "/" + str(binary.relative_to(root))
    listed = subprocess.run(["chroot", str(root), "ldd", inside], capture_output=True, text=True, check=True)
    return re.findall(r"(?:=> )?(/\S+) \(0x", listed.stdout)


def _resolve(root: Path, inside: str) -> Path:
    path = root / inside.lstrip("/")
    while path.is_symlink():
        target = path.readlink()
        path = root / str(target).lstrip("/") if target.is_absolute() else path.parent / target
    return path


def _add(archive: tarfile.TarFile, name: str, source: Path) -> None:
    data = source.read_bytes()
    mode = stat.S_IMODE(source.stat().st_mode) & 0o755
    archive.addfile(_member(name, mode, size=len(data)), io.BytesIO(data))


def _member(name: str, mode: int, kind: bytes = tarfile.REGTYPE, size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.mode, info.type, info.size, info.mtime = mode, kind, size, 1_600_000_000
    return info

"""Bundles: a minimal valid configuration, and copies of it with one thing changed.

    bundle.with_(root={"readonly": True})              objects are merged, everything else is replaced
    bundle.without("process.cwd")                      a property taken away
    bundle.adding("mounts", tmpfs("/data", "noexec"))  entries added to a list

In every text of a configuration @ID@ stands for the container's id, @BUNDLE@ for the bundle's directory
and @NONCE@ for the word by which the probe proves that it is there.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seatrial.oci.rootfs import PERL, PROBE, lay_out

Json = dict[str, Any]

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CAPABILITIES = ("CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE")
# what the specification calls default file systems, where the environment of `linux` puts them
DEFAULT_MOUNTS: Sequence[Json] = (
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
     "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
    {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
     "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]},
    {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",  # noqa: S108 - in the container
     "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
    {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]},
    {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
)  # fmt: skip
NAMESPACES = ("pid", "network", "ipc", "uts", "mount")


def tmpfs(destination: str, *options: str) -> Json:
    """Return a mount entry of an empty tmpfs."""
    return {"destination": destination, "type": "tmpfs", "source": "tmpfs", "options": list(options)}


def bind(source: Path | str, destination: str, *options: str) -> Json:
    """Return a mount entry that binds a path of the host; recursively when the options say `rbind`."""
    kind = [] if "rbind" in options else ["bind"]
    return {"destination": destination, "type": "none", "source": str(source), "options": [*kind, *options]}


def namespaces(*kinds: str, **paths: str) -> list[Json]:
    """Return namespace entries: new ones of the kinds, and those to join, as network="/proc/1/ns/net"."""
    return [*({"type": kind} for kind in kinds), *({"type": kind, "path": path} for kind, path in paths.items())]


def device(path: str, kind: str, major: int, minor: int, **rest: int) -> Json:
    """Return an entry of linux.devices."""
    return {"path": path, "type": kind, "major": major, "minor": minor, **rest}


def minimal() -> Json:
    """Return the configuration that tests start from: the probe as root in new namespaces."""
    return {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": [PERL, PROBE, "@NONCE@"],
            "env": [PATH],
            "cwd": "/",
            "capabilities": {kind: list(CAPABILITIES) for kind in ("bounding", "effective", "permitted")},
        },
        "root": {"path": "rootfs", "readonly": False},
        "mounts": copy.deepcopy(list(DEFAULT_MOUNTS)),
        "linux": {"namespaces": namespaces(*NAMESPACES), "cgroupsPath": "/@ID@"},
    }


@dataclass(frozen=True)
class Bundle:
    """A configuration that is not yet on disk; every change makes another one."""

    config: Json

    def with_(self, **changes: Any) -> Bundle:
        """Return a bundle with changed properties: objects are merged, everything else is replaced."""
        return Bundle(_merged(self.config, changes))

    def without(self, *paths: str) -> Bundle:
        """Return a bundle without properties, named as `process.cwd`; one that is not there is a KeyError."""
        config = copy.deepcopy(self.config)
        for path in paths:
            *above, last = path.split(".")
            place = config
            for name in above:
                place = place[name]
            del place[last]
        return Bundle(config)

    def adding(self, path: str, *entries: Any) -> Bundle:
        """Return a bundle with entries at the end of a list, named as `linux.namespaces`."""
        return self._list(path, lambda old: [*old, *entries])

    def _list(self, path: str, change: Any) -> Bundle:
        config = copy.deepcopy(self.config)
        *above, last = path.split(".")
        place = config
        for name in above:
            place = place.setdefault(name, {})
        place[last] = change(place.get(last, []))
        return Bundle(config)

    def mounted(self, *mounts: Json) -> Bundle:
        """Return a bundle with more mounts."""
        return self.adding("mounts", *mounts)

    def args(self, *words: str) -> Bundle:
        """Return a bundle that runs another program."""
        return self.with_(process={"args": list(words)})

    def sh(self, script: str) -> Bundle:
        """Return a bundle that runs a shell script."""
        return self.args("/bin/sh", "-c", script)

    def in_namespaces(self, *kinds: str, **paths: str) -> Bundle:
        """Return a bundle with exactly these namespaces; see `namespaces`."""
        return self.with_(linux={"namespaces": namespaces(*kinds, **paths)})

    @property
    def text(self) -> str:
        """The configuration as JSON."""
        return json.dumps(self.config, indent=1)

    def write(self, directory: Path, template: Path | None, words: Mapping[str, str]) -> None:
        """Write config.json, and a root file system from a template, into a new directory."""
        directory.mkdir(parents=True)
        text = self.text
        for word, value in {**words, "BUNDLE": str(directory)}.items():
            text = text.replace(f"@{word}@", value)
        (directory / "config.json").write_text(text)
        if template is not None:
            lay_out(template, directory / "rootfs")


def _merged(old: Any, new: Any) -> Any:
    if isinstance(old, dict) and isinstance(new, dict):
        return {**copy.deepcopy(old), **{name: _merged(old.get(name), value) for name, value in new.items()}}
    return copy.deepcopy(new)

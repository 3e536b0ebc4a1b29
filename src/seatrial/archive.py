"""Archives made and read without an engine: file trees, and images as `save` and `load` exchange them.

What an engine writes is held against what the image specification says of it, and an engine is given
archives that no engine would write.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

# None is a directory; a TarInfo is taken as it is (links, devices, owners)
Content = bytes | str | tarfile.TarInfo | None

_EPOCH = 1_600_000_000
_CREATED = "2020-09-13T12:26:40Z"


def digest(data: bytes, algorithm: str = "sha256") -> str:
    """Return the digest of a blob as images and descriptors name it (`sha256:...`)."""
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def tree(files: Mapping[str, Content], *, mode: int = 0o644) -> bytes:
    """Pack a file tree in the given order; `mode` is that of regular files given by their content."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files.items():
            if isinstance(content, tarfile.TarInfo):
                content.name = name
                archive.addfile(content)
                continue
            info = tarfile.TarInfo(name)
            info.mtime, info.mode = _EPOCH, mode
            if content is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(info)
            else:
                data = content.encode() if isinstance(content, str) else content
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def members(data: bytes) -> dict[str, tarfile.TarInfo]:
    """Return the members of an archive by their path without leading dots and slashes."""
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {info.name.removeprefix("./").strip("/"): info for info in archive}


def content(data: bytes, path: str) -> bytes:
    """Return a regular file of an archive; raises `KeyError` when there is none."""
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for info in archive:
            if info.name.removeprefix("./").strip("/") == path:
                stream = archive.extractfile(info)
                if stream is not None:
                    return stream.read()
    raise KeyError(path)


@dataclass(frozen=True)
class Image:
    """One image: the bytes of its configuration, its layers as uncompressed archives, its names."""

    config: bytes
    layers: Sequence[bytes]
    names: Sequence[str] = ()

    @classmethod
    def make(
        cls, layers: Sequence[bytes], names: Sequence[str] = (), *, architecture: str = "amd64",
        config: Mapping[str, Any] | None = None, extra: Mapping[str, Any] | None = None,
    ) -> Image:  # fmt: skip
        """Make an image: `config` is what containers get, `extra` overrides keys beside it."""
        text = {
            "architecture": architecture,
            "os": "linux",
            "created": _CREATED,
            "config": dict(config or {}),
            "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]},
            "history": [{"created": _CREATED, "created_by": f"layer {n}"} for n in range(len(layers))],
            **(extra or {}),
        }
        return cls(json.dumps(text).encode(), layers, names)

    @property
    def id(self) -> str:
        """The image's id: 64 hexadecimal digits, the digest of its configuration."""
        return hashlib.sha256(self.config).hexdigest()

    @cached_property
    def described(self) -> dict[str, Any]:
        """The configuration as JSON says it."""
        loaded: dict[str, Any] = json.loads(self.config)
        return loaded

    @property
    def diff_ids(self) -> list[str]:
        """The digests of the layers, as the layers themselves have them."""
        return [digest(layer) for layer in self.layers]

    def files(self, **changes: Content) -> dict[str, Content]:
        """Return the files of the archive that `load` reads, some of them changed."""
        listed = {
            "Config": f"{self.id}.json",
            "RepoTags": list(self.names) or None,
            "Layers": [f"{number}/layer.tar" for number in range(len(self.layers))],
        }
        return {
            f"{self.id}.json": self.config,
            **{f"{number}/layer.tar": layer for number, layer in enumerate(self.layers)},
            "manifest.json": json.dumps([listed]),
            **changes,
        }

    def archive(self) -> bytes:
        """Return the archive that `load` reads."""
        return tree(self.files())


@dataclass(frozen=True)
class Saved:
    """What `save` wrote."""

    data: bytes = field(repr=False)

    @cached_property
    def manifest(self) -> list[dict[str, Any]]:
        """The list of images (`manifest.json`)."""
        loaded: list[dict[str, Any]] = json.loads(content(self.data, "manifest.json"))
        return loaded

    def __iter__(self) -> Iterator[Image]:
        with tarfile.open(fileobj=io.BytesIO(self.data)) as archive:
            for entry in self.manifest:
                yield Image(
                    _read(archive, entry["Config"]),
                    [_read(archive, layer) for layer in entry["Layers"]],
                    entry["RepoTags"] or (),
                )

    @property
    def image(self) -> Image:
        """The only image; raises `ValueError` when there are several."""
        (image,) = self
        return image


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    # a layer that several images share may be a link to its first copy
    stream = archive.extractfile(name)
    if stream is None:
        raise KeyError(name)
    return stream.read()

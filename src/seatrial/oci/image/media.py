"""Media types of images and what may stand for them; the platforms that have names."""

from __future__ import annotations

import re

_OCI = "application/vnd.oci.image."
INDEX, MANIFEST, CONFIG = f"{_OCI}index.v1+json", f"{_OCI}manifest.v1+json", f"{_OCI}config.v1+json"
LAYER, GZIP, ZSTD = f"{_OCI}layer.v1.tar", f"{_OCI}layer.v1.tar+gzip", f"{_OCI}layer.v1.tar+zstd"
EMPTY = "application/vnd.oci.empty.v1+json"
_FOREIGN = f"{_OCI}layer.nondistributable.v1.tar"
_DOCKER = "application/vnd.docker."
DOCKER_LIST = f"{_DOCKER}distribution.manifest.list.v2+json"
DOCKER_MANIFEST = f"{_DOCKER}distribution.manifest.v2+json"
DOCKER_CONFIG = f"{_DOCKER}container.image.v1+json"

INDEXES, MANIFESTS, CONFIGS = {INDEX, DOCKER_LIST}, {MANIFEST, DOCKER_MANIFEST}, {CONFIG, DOCKER_CONFIG}
# of layers: the compression that each says
LAYERS = {
    LAYER: "", GZIP: "gzip", ZSTD: "zstd", _FOREIGN: "", f"{_FOREIGN}+gzip": "gzip", f"{_FOREIGN}+zstd": "zstd",
    f"{_DOCKER}image.rootfs.diff.tar": "", f"{_DOCKER}image.rootfs.diff.tar.gzip": "gzip",
    f"{_DOCKER}image.rootfs.diff.tar.zstd": "zstd", f"{_DOCKER}image.rootfs.foreign.diff.tar.gzip": "gzip",
}  # fmt: skip
DEPRECATED = {name for name in LAYERS if "nondistributable" in name or "foreign" in name}

# RFC 6838, section 4.2
_NAME = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
TYPE = re.compile(f"{_NAME}/{_NAME}")
DIGEST = re.compile(r"(?P<algorithm>[a-z0-9]+(?:[+._-][a-z0-9]+)*):(?P<encoded>[a-zA-Z0-9=_-]+)")
ENCODED = {"sha256": re.compile("[a-f0-9]{64}"), "sha512": re.compile("[a-f0-9]{128}"),
           "blake3": re.compile("[a-f0-9]{64}")}  # fmt: skip

# go tool dist list, and those of older versions
OSES = frozenset((
    "aix", "android", "darwin", "dragonfly", "freebsd", "illumos", "ios", "js", "linux", "netbsd", "openbsd", "plan9",
    "solaris", "wasip1", "windows",
))  # fmt: skip
ARCHITECTURES = frozenset((
    "386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64", "ppc64le", "riscv64",
    "s390x", "wasm",
))  # fmt: skip
VARIANTS = {
    "arm": re.compile("v[678]"), "arm64": re.compile(r"v[89](\.[0-9])?"), "amd64": re.compile("v[1-4]"),
    "riscv64": re.compile("rva2[0-9]u64"), "ppc64le": re.compile("power(8|9|10)"),
}  # fmt: skip

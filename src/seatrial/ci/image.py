"""The harness as an image, and containers of it in which suites run against an engine inside."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from seatrial import exec as command
from seatrial.engines.base import CliEngine
from seatrial.errors import SeatrialError
from seatrial.hosts import NamespaceHost
from seatrial.lab import rootfs
from seatrial.paths import remove_tree, share_dir

PACKAGES = ("python3", "python3-venv", "git", "make", "openssh-client")
TAG = "seatrial:latest"
CONTAINER = "seatrial-harness"
# What an engine in a container needs, from most to least: where all capabilities cannot be had, those that can,
# without filters, with a /proc that can be written and the devices and cgroups that --privileged would bring.
# Docker and Podman name the /proc differently.
_NAMED = (
    "--cap-add=ALL", "--cap-drop=SYS_RESOURCE", "--security-opt=seccomp=unconfined",
    "--security-opt=apparmor=unconfined", "--device-cgroup-rule=a *:* rwm",
    "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw",
)  # fmt: skip
FLAGS = (
    ("--privileged",),
    (*_NAMED, "--security-opt=systempaths=unconfined"),
    (*_NAMED, "--security-opt=unmask=ALL"),
)
# What comes back out of a checkout that had to be copied.
RESULTS = "build"

Tell = Callable[[str], None]


def base(engine: CliEngine, suite: str, tell: Tell) -> str:
    """Bring a suite's root file system into an engine as an image, without a registry; return its name."""
    root = rootfs.ensure(suite, tell, PACKAGES)
    name = f"localhost/seatrial/base:{root.name}"
    if engine.cli("image", "inspect", name, expect=command.ANY).ok:
        return name
    tell(f"importing {root.name}")
    archive = share_dir() / f"{root.name}.tar"
    archive.parent.mkdir(parents=True, exist_ok=True)
    try:
        command.run(["tar", "--create", "--file", str(archive), "--directory", str(root), "."], timeout=600)
        engine.cli("import", str(archive), name, timeout=1200)
    finally:
        archive.unlink(missing_ok=True)
    return name


def wheels(checkout: Path, suite: str, tell: Tell) -> None:
    """Put the wheels of everything that the harness needs into container/wheels, so that a build needs no index.

    Raises `SeatrialError` E651 when this Python is another one than the suite's: its wheels would not fit.
    """
    place = checkout / "container/wheels"
    python = next(iter(sorted((rootfs.location(suite, PACKAGES) / "usr/bin").glob("python3.*"))), Path("python3"))
    mine = f"python{sys.version_info.major}.{sys.version_info.minor}"
    if python.name != mine:
        raise SeatrialError(
            "E651", f"wheels for {suite} cannot be made here", f"it has {python.name}, this is {mine}",
            f"make setup PYTHON={python.name}, or build with a network: docker build --build-arg "
            f"BASE_IMAGE=debian:{suite} --tag seatrial:{suite} .",
        )  # fmt: skip
    tell("collecting wheels")
    _no_wheels(checkout)
    result = command.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--wheel-dir", str(place),
         f"{checkout}[dev]", "hatchling>=1.25,<2"],
        timeout=900, expect=command.ANY,
    )  # fmt: skip
    for own in place.glob("seatrial-*.whl"):
        own.unlink()
    if not result.ok:
        raise SeatrialError(
            "E652", "the wheels for the image cannot be made", result.output.strip()[-400:],
            "is a Python index reachable?",
        )  # fmt: skip


def _no_wheels(checkout: Path) -> None:
    """Remove wheels of an earlier build: they would be all that the next one uses, whatever its Python."""
    for old in (checkout / "container/wheels").glob("*.whl"):
        old.unlink()


def build(engine: CliEngine, checkout: Path, suite: str, tag: str, base_image: str, tell: Tell) -> None:
    """Build the image: from `base_image` with a network, else from the suite's root file system and wheels."""
    inside = checkout
    if not base_image:
        base_image = base(engine, suite, tell)
        wheels(checkout, suite, tell)
    else:
        _no_wheels(checkout)
    if isinstance(engine.host, NamespaceHost):
        inside = _copied(checkout, ("Dockerfile", ".dockerignore", "container", "pyproject.toml", "README.md", "src"))
    tell(f"building {tag}")
    engine.cli(
        "build", "--build-arg", f"BASE_IMAGE={base_image}", "--network", "none" if inside != checkout else "host",
        "--tag", tag, str(inside), timeout=1800,
    )  # fmt: skip


def _copied(checkout: Path, names: Sequence[str]) -> Path:
    """Copy a part of a checkout to where a lab sees it."""
    place = share_dir() / "checkout"
    remove_tree(place)
    place.mkdir(parents=True)
    for name in names:
        source = checkout / name
        if source.is_dir():
            shutil.copytree(source, place / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy2(source, place / name)
    return place


def _refresh(checkout: Path, place: Path) -> None:
    """Bring a copy of a checkout up to date: the files that git knows of, or would take; what runs left stays."""
    for entry in place.iterdir():
        if entry.name != RESULTS:
            remove_tree(entry)
    listed = command.run(
        ["git", "-C", str(checkout), "ls-files", "-z", "--cached", "--others", "--exclude-standard"], timeout=60
    ).out
    for name in map(os.fsdecode, listed.split(b"\0")):
        if name and os.path.lexists(checkout / name):  # one that was removed is known until that is committed
            _put(checkout / name, place / name)


def _put(source: Path, target: Path) -> None:
    """Copy a file, or a link as a link, in place of what is there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    shutil.copy2(source, target, follow_symlinks=False)


def flags(engine: CliEngine, tag: str) -> tuple[str, ...]:
    """Return the first of `FLAGS` with which a container starts; raises `SeatrialError` E653 when none does."""
    causes = []
    for tried in FLAGS:
        result = engine.cli("run", "--rm", *tried, "--network", "none", tag, "true", expect=command.ANY, timeout=120)
        if result.ok:
            return tried
        causes.append(result.stderr.strip().splitlines()[-1] if result.stderr.strip() else f"exit code {result.code}")
    raise SeatrialError(
        "E653", f"{tag} cannot run with the rights that an engine in it needs", "; ".join(causes)[:400],
        "`seatrial image build` makes the image; the engine outside decides on the rights",
    )  # fmt: skip


def stand(engine: CliEngine, checkout: Path, tag: str, tell: Tell) -> Path:
    """Let the harness's container stand, with the checkout at /tmp; return where its files are on this machine.

    One that stands with the same image is kept: its engine and its images are warm.
    """
    shared = isinstance(engine.host, NamespaceHost)
    place = share_dir() / "checkout" if shared else checkout
    wanted = engine.cli("image", "inspect", "--format", "{{.Id}}", tag, expect=command.ANY).text
    state = engine.cli(
        "container", "inspect", "--format", "{{.State.Running}} {{.Image}}", CONTAINER, expect=command.ANY
    ).text
    if not wanted:
        raise SeatrialError("E654", f"there is no image {tag}", hint="seatrial image build, or make image")
    if state == f"true {wanted}" and place.is_dir():
        if shared:
            _refresh(checkout, place)
        return place
    engine.cli("rm", "--force", "--volumes", CONTAINER, expect=command.ANY, timeout=120)
    if shared:
        remove_tree(place)
        place.mkdir(parents=True)
        _refresh(checkout, place)
    rights = flags(engine, tag)
    tell(f"starting {CONTAINER} with {' '.join(rights)}")
    engine.cli(
        "run", "--detach", "--init", "--name", CONTAINER, *rights, "--network", "none",
        "--volume", "/var/lib/docker", "--volume", "/var/lib/containers", "--volume", f"{place}:/tmp",
        tag, "sleep", "infinity", timeout=120,
    )  # fmt: skip
    return place


def enter(engine: CliEngine, argv: Sequence[str], environment: Sequence[str], *, tty: bool) -> int:
    """Run a command in the container that stands, on this terminal; return its exit code."""
    words = ["exec", *(["--interactive", "--tty"] if tty else [])]
    for pair in environment:
        words += ["--env", pair]
    full = [engine.binary, *words, "--workdir", "/tmp", CONTAINER, *argv]  # noqa: S108 - where the checkout is mounted
    env = {**command.base_environment(), **engine.host.environment, **engine.env}
    return subprocess.run(engine.host.enter(full), env=env, check=False).returncode


def bring_out(checkout: Path, place: Path) -> None:
    """Copy the results out of a copied checkout."""
    if place == checkout:
        return
    for directory, below, files in os.walk(place / RESULTS):
        links = [name for name in below if (Path(directory) / name).is_symlink()]
        for name in (*files, *links):
            source = Path(directory) / name
            _put(source, checkout / source.relative_to(place))


def end(engine: CliEngine) -> bool:
    """Remove the container; False when there was none."""
    there = engine.cli("container", "inspect", CONTAINER, expect=command.ANY).ok
    engine.cli("rm", "--force", "--volumes", CONTAINER, expect=command.ANY, timeout=120)
    if isinstance(engine.host, NamespaceHost):
        remove_tree(share_dir() / "checkout")
    return there

"""What a target is and can do, probed once and shared by everyone who asks.

`probe` asks the engine and the machine and judges every requirement; its `TargetInfo` goes into the
header of the results stream, to all workers, and into `seatrial doctor`.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seatrial import proc, requires
from seatrial.api.client import Client
from seatrial.engines.base import CliEngine
from seatrial.engines.startable import Startable
from seatrial.errors import SeatrialError
from seatrial.exec import ANY, ExpectationError, run
from seatrial.hosts import NamespaceHost
from seatrial.lab import rootfs
from seatrial.lab.kernel import KernelHost
from seatrial.probes import guest
from seatrial.probes.machine import project_quota
from seatrial.results import TargetInfo


def probe(engine: CliEngine, machine: Mapping[str, Any]) -> TargetInfo:
    """Return identity, facts and judged requirements of an engine or a runtime that answers.

    Raises `SeatrialError` E113 when the one behind the target is another than the target names: a
    published job for one engine once tested another for years.
    """
    return _probe_runtime(engine, machine) if engine.kind == "runtime" else _probe_engine(engine, machine)


def _probe_runtime(engine: CliEngine, machine: Mapping[str, Any]) -> TargetInfo:
    version = engine.version()
    facts = {**engine.facts(), "lab": isinstance(engine.host, NamespaceHost)}
    identity = str(facts["identity"])
    if not engine.target.path and identity != engine.target.engine:
        raise SeatrialError(
            "E113", f"{engine.target} is not {engine.target.engine}", f"it says that it is {identity}",
            f"name it by its path: runtime:/usr/bin/{engine.target.engine}",
        )  # fmt: skip
    host = {**machine, **_host_of(engine, machine)}
    facts |= _own_kernel(engine, host)
    return TargetInfo(
        name=str(engine.target), engine=identity, version=version.engine, runtime=identity,
        cgroup=str(host["cgroup"]["version"]), facts=facts,
        requirements=requires.judge_all({"host": host, "engine": facts}),
    )  # fmt: skip


def _probe_engine(engine: CliEngine, machine: Mapping[str, Any]) -> TargetInfo:
    version = engine.version()
    if not version.engine:
        raise SeatrialError(
            "E107", f"{engine.target} does not say which version it is",
            "its answer to `version` has no server part", "is the engine running?",
        )  # fmt: skip
    facts = {"kind": "engine", **engine.facts(), **_reach(engine), **_offers(engine)}
    identity = str(facts.get("identity", engine.name))
    if identity != engine.name:
        raise SeatrialError(
            "E113", f"{engine.target} is not {engine.name}", f"the engine says that it is {identity}",
            f"use --engine {identity}+unix://... for this address",
        )  # fmt: skip
    facts["project_quota"] = engine.local and _project_quota(engine, str(facts.get("root_dir") or "/"))
    host = {**machine, **_host_of(engine, machine)}
    facts |= _own_kernel(engine, host)
    return TargetInfo(
        name=str(engine.target),
        engine=engine.name,
        version=version.engine,
        api=facts["api_newest"] or version.api,  # Podman's client tells the version of another API
        runtime=f"{facts['runtime']} {facts.get('runtime_version', '')}".strip(),
        storage=str(facts["storage"]),
        cgroup=str(facts["cgroup"]),
        facts=facts,
        requirements=requires.judge_all({"host": host, "engine": facts}),
    )


def _reach(engine: CliEngine) -> dict[str, Any]:
    """Return facts about how the engine is reached and what may be started beside it."""
    served = _api(engine)
    oldest, newest = served or ("", "")
    return {
        "local": engine.local,
        "api": served is not None,
        "api_oldest": oldest,
        "api_newest": newest,
        "lab": isinstance(engine.host, NamespaceHost),
        "private_engine": _why_not_private(engine),
        "private": _why_not_daemon(engine) or _why_not_private(engine),
        "registry": _why_not_registry(engine),
        "fuse_overlayfs": _why_not_fuse(engine),
        "service": engine.service if isinstance(engine, Startable) and engine.takes_options else "",
    }


def _offers(engine: CliEngine) -> dict[str, bool]:
    """Return facts about what the client has, by its own help."""
    general, run_ = (engine.cli(*words, expect=ANY).stdout for words in (("--help",), ("run", "--help")))
    commands = set(re.findall(r"^  +([a-z]+)\*?  +\S", general, re.MULTILINE))
    return {
        "exec": "exec" in commands, "plugin_protocol": "plugin" in commands, "links": "--link " in run_,
        "client_settings": "Location of client config files" in general,
    }  # fmt: skip


def _project_quota(engine: CliEngine, root: str) -> bool:
    """Tell whether the engine's storage can limit the size of what one container writes."""
    seen = run(["cat", "/proc/self/mountinfo"], host=engine.host).stdout
    return project_quota(proc.mounts(seen), root)


def _api(engine: CliEngine) -> tuple[str, str] | None:
    """Return the oldest and the newest version of the API that the engine says it serves; None without an API."""
    try:
        told = Client(engine.endpoint).get("/version", timeout=10).json()
        return str(told.get("MinAPIVersion", "")), str(told.get("ApiVersion", ""))
    except (SeatrialError, ExpectationError, AttributeError):
        return None


def _why_not_daemon(engine: CliEngine) -> str:
    takes = isinstance(engine, Startable) and engine.takes_options
    return "" if takes else f"{engine.name} has no daemon with options"


def _why_not_private(engine: CliEngine) -> str:
    if not engine.local:
        return "the engine is on another machine"
    if engine.target.suite:
        return ""
    if why := rootfs.obstacle()[0]:
        return f"a private engine stands in a lab: {why}"
    if not isinstance(engine, Startable):
        return f"the harness cannot start {engine.name} itself"
    return "" if shutil.which(engine.service) else f"there is no {engine.service} command on this machine"


def _why_not_fuse(engine: CliEngine) -> str:
    if not engine.host.path("/usr/bin/fuse-overlayfs").exists():
        return "the engine's host has no fuse-overlayfs"
    return "" if Path("/dev/fuse").exists() else "there is no /dev/fuse"


def _why_not_registry(engine: CliEngine) -> str:
    if not engine.local:
        return "the engine is on another machine and cannot reach loopback here"
    why, _ = rootfs.obstacle()
    return f"the loopback registry comes from a lab: {why}" if why else ""


def _own_kernel(engine: CliEngine, host: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a report says of a target instead of this machine, where it stands on a kernel of its own."""
    own = isinstance(engine.host, KernelHost)
    return {name: host[name] for name in ("kernel", "lsm", "memory")} if own else {}


def _host_of(engine: CliEngine, machine: Mapping[str, Any]) -> dict[str, Any]:
    """Return what differs between this machine and the host that the engine sees."""
    if not isinstance(engine.host, NamespaceHost):
        return {}
    if isinstance(engine.host, KernelHost):
        return {**guest.facts(engine.host), "systemd": False, "lab_root": str(Path(engine.host.root))}
    # a lab hides the empty unified hierarchy of a hybrid layout
    group = dict(machine["cgroup"])
    if group["version"] == "hybrid":
        group["version"] = "v1"
    return {"cgroup": group, "systemd": False, "lab_root": str(Path(engine.host.root))}

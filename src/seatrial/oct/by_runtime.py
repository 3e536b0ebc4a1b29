"""Containers made by an OCI runtime: the same cases, as bundles."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seatrial.errors import SeatrialError
from seatrial.exec import ANY, Result
from seatrial.hosts import resolve
from seatrial.lab import images
from seatrial.names import BUSYBOX, TEST_LABEL, TOOLBOX
from seatrial.oci import bundle as configurations
from seatrial.oci.bench import Box, Runtime
from seatrial.oct.bundle import Bundle
from seatrial.oct.containers import Containers, attempt, placed
from seatrial.oct.model import Container, Require, size
from seatrial.paths import locked, share_dir
from seatrial.spool import Spool

_LINK = 64 << 10  # larger files of a template are linked into bundles, smaller ones copied
_VERBS = {"stop": "kill"}


class RuntimeContainers(Containers):
    """Containers of a runtime's bench."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.journal = runtime.journal
        self.host = runtime.host
        self.engine = f"{runtime.raw.binary} --root {runtime.state_dir}"
        self.image = BUSYBOX
        self.label = f"{TEST_LABEL}={runtime.key}"
        self.workdir = runtime.workdir
        self._roots: dict[str, Path] = {}
        self._boxes: dict[str, Box] = {}
        self._volumes: dict[str, Path] = {}

    def prepare(self, require: Require, files: Bundle) -> None:
        """Bring in the root file system of a class."""
        if require.dockerfile:
            raise _cannot("build images", f"the class {require.name} has a Dockerfile")
        name = {"busybox": BUSYBOX, "toolbox": TOOLBOX}.get(require.image, "")
        if not name and not require.rootfs:
            raise _cannot("pull images", f"the class {require.name} is {require.image}")
        archive = files.root / require.rootfs if require.rootfs else images.ensure(name)
        place = share_dir() / self.runtime.run_id / f"oct-{archive.stem}"
        if require.rootfs:
            place = self.runtime.path("root")
        self._roots[require.name] = _unpacked(archive, place)

    def create(self, container: Container, argv: Sequence[str], files: Bundle, paths: Sequence[str]) -> Result:
        """Create a container that will run a command; the files of `paths` are put into it."""
        bundle = configurations.Bundle(self._configuration(container, argv, files))
        box = self.runtime.place(bundle, rootfs=False)
        _lay_out(self._roots[container.klass], box.rootfs)
        for inside, name in placed(files, paths).items():
            target = box.rootfs / inside.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(files.root / name, target)
            target.chmod(0o755 if files.entries[name].executable else 0o644)
        self._boxes[container.object] = box
        with (box.directory / "stdout").open("wb") as out, (box.directory / "stderr").open("wb") as err:
            result = attempt(self.journal, lambda: self.runtime.cli(
                "create", "--bundle", str(box.directory), box.id, expect=ANY, timeout=container.timeout,
                spool=Spool(stdout=out.fileno(), stderr=err.fileno()),
            ))  # fmt: skip
        if result.ok:
            self.runtime.made(box.id)
            return result
        said = (box.directory / "stderr").read_bytes()[: 1 << 20]  # its own words are where the container's would be
        return Result(result.argv, result.code, result.out, said, result.duration, result.timed_out)

    def _configuration(self, container: Container, argv: Sequence[str], files: Bundle) -> dict[str, Any]:
        args = container.args
        bundle = configurations.Bundle(configurations.minimal()).args(*argv)
        caps = [f"CAP_{name}" for name in args.get("CapAdd", ())]
        dropped = {f"CAP_{name}" for name in args.get("CapDrop", ())}
        kept = [name for name in dict.fromkeys([*configurations.CAPABILITIES, *caps]) if name not in dropped]
        kept = caps if "CAP_ALL" in dropped else kept
        process: dict[str, Any] = {
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), kept),
            "env": [configurations.PATH, *(f"{name}={value}" for name, value in container.env.items())],
            "noNewPrivileges": bool(args.get("NoNewPrivileges", False)),
        }  # fmt: skip
        if container.cwd:
            process["cwd"] = container.cwd
        if container.user:
            uid, _, gid = container.user.partition(":")
            process["user"] = {"uid": int(uid), "gid": int(gid or uid)}
        if "Ulimits" in args:
            process["rlimits"] = [_rlimit(name, value) for name, value in args["Ulimits"].items()]
        config = bundle.with_(process=process, root={"readonly": bool(args.get("ReadOnly"))}, linux=_limits(args))
        if "Hostname" in args:
            config = config.with_(hostname=args["Hostname"])
        if "Sysctls" in args:
            config = config.with_(linux={"sysctl": dict(args["Sysctls"])})
        if args.get("Seccomp", "default").endswith(".json"):
            config = config.with_(linux={"seccomp": json.loads((files.root / args["Seccomp"]).read_text())})
        for place, _, options in (text.partition(":") for text in args.get("Tmpfs", ())):
            config = config.mounted(configurations.tmpfs(place, *filter(None, options.split(","))))
        for volume in args.get("Volumes", ()):
            source = self._volumes.setdefault(volume["Name"], self.runtime.path("volume"))
            source.mkdir(exist_ok=True)
            options = ["rbind", *(["ro"] if volume.get("ReadOnly") else [])]
            config = config.mounted(configurations.bind(source, volume["Path"], *options))
        if "Join" in args:
            joined = {kind: f"/proc/{self.pid(other)}/ns/{'net' if kind == 'network' else kind}"
                      for kind, other in args["Join"].items()}  # fmt: skip
            own = [kind for kind in configurations.NAMESPACES if kind not in joined]
            config = config.in_namespaces(*own, **joined)
        return config.with_(**args.get("Bundle", {})).config

    def operate(self, name: str, operation: str, signal: str, timeout: float) -> Result:
        """Do an operation to a container that was created."""
        box = self._boxes[name]
        words = [_VERBS.get(operation, operation), *(["--force"] if operation == "delete" and signal else []), box.id]
        if operation in ("kill", "stop"):
            words.append(signal or ("TERM" if operation == "stop" else "KILL"))
        if operation == "restart":
            raise _cannot("restart containers", f"the case asks it of {name}")
        result = attempt(self.journal, lambda: self.runtime.cli(*words, expect=ANY, timeout=timeout))
        if operation in ("kill", "stop") and result.ok and (signal or "KILL") in ("KILL", "TERM"):
            box.until("stopped", timeout)
        return result

    def exec(self, name: str, argv: Sequence[str], env: Mapping[str, str], user: str, cwd: str, stdin: str,
             timeout: float) -> Result:  # fmt: skip
        """Run a command in a container, to its end."""
        words = ["exec", *_exec_options(env, user, cwd), self._boxes[name].id, *argv]
        return attempt(
            self.journal, lambda: self.runtime.cli(*words, stdin=stdin or None, expect=ANY, timeout=timeout)
        )

    def background(self, name: str, argv: Sequence[str], env: Mapping[str, str], user: str, cwd: str) -> list[str]:
        """Return the command of the host that runs a command in a container."""
        return [*self.engine.split(), "exec", *_exec_options(env, user, cwd), self._boxes[name].id, *argv]

    def state(self, name: str) -> str:
        """Return created, running, paused, stopped or absent."""
        if name not in self._boxes:
            return "absent"
        result = self.runtime.cli("state", self._boxes[name].id, expect=ANY)
        try:
            return str(json.loads(result.stdout)["status"]) if result.ok else "absent"
        except (ValueError, KeyError, TypeError):
            return "unknown"

    def logs(self, name: str) -> tuple[str, str]:
        """Return what the container's own command has printed."""
        box = self._boxes[name]
        out, err = ((box.directory / stream).read_bytes()[: 1 << 20] for stream in ("stdout", "stderr"))
        return out.decode("utf-8", "backslashreplace"), err.decode("utf-8", "backslashreplace")

    def exit_code(self, name: str) -> int | None:
        """Return nothing: runtimes do not tell it once `start` has returned."""
        return None

    def pid(self, name: str) -> int:
        """Return the container's first process, 0 when it does not run."""
        return self._boxes[name].pid if self.state(name) in ("running", "created", "paused") else 0

    def read(self, name: str, path: str, limit: int) -> bytes | None:
        """Return a file of a container: through its first process where it runs, which sees its mounts."""
        pid = self.pid(name)
        root = Path(f"/proc/{pid}/root") if pid else self._boxes[name].rootfs
        target = resolve(root, path)
        if not target.is_file() or target.is_symlink():
            return None
        if target.stat().st_size > limit:
            raise ValueError(f"it has {target.stat().st_size} bytes, at most {limit} are taken")
        return target.read_bytes()[: limit + 1]

    def variables(self, name: str) -> dict[str, str]:
        """Return name and id of a container; it has no address."""
        box = self._boxes.get(name)
        return {"name": box.id if box else "", "id": box.id if box else "", "address": ""}

    def close(self) -> list[str]:
        """Remove everything and look whether it is gone."""
        return self.runtime.close()


def _cannot(what: str, why: str) -> SeatrialError:
    hint = "a case for engines says so: a class of the type engine with the need engine"
    return SeatrialError("E704", f"a runtime does not {what}", why, hint)


def _exec_options(env: Mapping[str, str], user: str, cwd: str) -> list[str]:
    words = [word for name, value in env.items() for word in ("--env", f"{name}={value}")]
    words += ["--user", user] if user else []
    return words + (["--cwd", cwd] if cwd else [])


def _rlimit(name: str, value: str) -> dict[str, Any]:
    soft, _, hard = value.partition(":")
    return {"type": f"RLIMIT_{name.upper()}", "soft": int(soft), "hard": int(hard or soft)}


def _limits(args: Mapping[str, Any]) -> dict[str, Any]:
    resources: dict[str, Any] = {}
    if "Memory" in args:
        resources["memory"] = {"limit": size(args["Memory"])}
    if "Cpus" in args:
        resources["cpu"] = {"period": 100_000, "quota": int(args["Cpus"] * 100_000)}
    if "Pids" in args:
        resources["pids"] = {"limit": args["Pids"]}
    return {"resources": resources} if resources else {}


def _unpacked(archive: Path, place: Path) -> Path:
    """Return a directory with the content of an image that the harness made or a bundle holds, made once a run."""
    with locked(place.with_suffix(".lock")):
        if not place.is_dir():
            partial = place.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            with tarfile.open(archive) as tar:
                tar.extractall(partial, filter="tar")
            partial.rename(place)
    return place


def _lay_out(source: Path, target: Path) -> None:
    """Copy a root file system; large files are linked, because copying them costs more than starting a container."""
    def copy(one: str, other: str) -> str:
        if os.path.getsize(one) > _LINK:
            os.link(one, other)
            return other
        return str(shutil.copy2(one, other))

    shutil.copytree(source, target, symlinks=True, copy_function=copy)

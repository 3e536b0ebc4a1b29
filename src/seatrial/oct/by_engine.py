"""Containers made by an engine: Docker, Podman, and whatever has their command line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seatrial.bench import Bench
from seatrial.engines.base import KINDS
from seatrial.exec import ANY, Result
from seatrial.lab import images
from seatrial.names import TEST_LABEL, TOOLBOX
from seatrial.oct.bundle import Bundle
from seatrial.oct.containers import Containers, attempt, packed, regular_file
from seatrial.oct.model import Container, Require, size
from seatrial.paths import locked, state_dir

_STATES = {"exited": "stopped", "dead": "stopped", "removing": "absent", "configured": "created",
    "initialized": "created"}
_VERBS = {"resume": "unpause", "delete": "rm"}


class EngineContainers(Containers):
    """Containers of an engine's bench."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.journal = bench.journal
        self.host = bench.raw.host
        self.engine = bench.raw.binary
        self.image = bench.image
        self.label = f"{TEST_LABEL}={bench.key}"
        self.workdir: Path = bench.workdir
        self.helpers = bench.raw.helpers
        self._images: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._networks: dict[str, str] = {}
        self._volumes: dict[str, str] = {}

    def prepare(self, require: Require, files: Bundle) -> None:
        """Bring in the image of a class."""
        if require.dockerfile:
            context = {path: (files.root / path).read_bytes() for path, entry in files.entries.items() if entry.plain}
            text = (files.root / require.dockerfile).read_text("utf-8")
            self._images[require.name] = self.bench.build(text, context).name
        elif require.rootfs:
            name = self.bench.image_name()
            data = (files.root / require.rootfs).read_bytes()
            self.bench.cli("import", "-", name, stdin=data, timeout=300)
            self._images[require.name] = name
        elif require.image == "toolbox":
            with locked(state_dir() / "locks" / "images.lock"):
                images.provide(self.bench.raw, (TOOLBOX,))
            self._images[require.name] = TOOLBOX
        else:
            self._images[require.name] = self.bench.image if require.image == "busybox" else require.image

    def create(self, container: Container, argv: Sequence[str], files: Bundle, paths: Sequence[str]) -> Result:
        """Create a container that will run a command; the files of `paths` are put into it."""
        name = self._names.setdefault(container.object, self.bench.name(container.object.lower()))
        options = self._options(container, files)
        words = ["create", "--name", name, *options, self._images[container.klass], *argv]
        result = attempt(self.journal, lambda: self.bench.cli(*words, expect=ANY, timeout=container.timeout))
        if result.ok and paths:
            self.bench.cli("cp", "-", f"{name}:/", stdin=packed(files, paths))
        return result

    def _options(self, container: Container, files: Bundle) -> list[str]:
        args: Mapping[str, Any] = container.args
        words: list[str] = []
        for option, value in (
            ("--user", container.user), ("--workdir", container.cwd), ("--hostname", args.get("Hostname")),
            ("--memory", size(args["Memory"]) if "Memory" in args else None), ("--cpus", args.get("Cpus")),
            ("--pids-limit", args.get("Pids")), ("--restart", args.get("Restart")),
            ("--stop-timeout", args.get("StopTimeout")),
        ):  # fmt: skip
            if value not in (None, ""):
                words += [option, str(value)]
        for option, values in (("--tmpfs", args.get("Tmpfs", ())), ("--cap-add", args.get("CapAdd", ())),
                               ("--cap-drop", args.get("CapDrop", ()))):  # fmt: skip
            words += [word for value in values for word in (option, value)]
        for option, pairs in (("--env", container.env), ("--ulimit", args.get("Ulimits", {})),
                              ("--sysctl", args.get("Sysctls", {}))):  # fmt: skip
            words += [word for name, value in pairs.items() for word in (option, f"{name}={value}")]
        if args.get("ReadOnly"):
            words.append("--read-only")
        if args.get("NoNewPrivileges"):
            words += ["--security-opt", "no-new-privileges"]
        if (profile := args.get("Seccomp", "default")) != "default":
            where = profile if profile == "unconfined" else str(self._placed(files, profile))
            words += ["--security-opt", f"seccomp={where}"]
        for volume in args.get("Volumes", ()):
            made = self._volumes.get(volume["Name"]) or self.bench.volume()
            self._volumes[volume["Name"]] = made
            words += ["--volume", f"{made}:{volume['Path']}{':ro' if volume.get('ReadOnly') else ''}"]
        for kind, other in args.get("Join", {}).items():
            words += [f"--{kind}", f"container:{self._names[other]}"]
        return words + self._network(args.get("Network", "default"))

    def _network(self, name: str) -> list[str]:
        if name == "default":
            return []
        if name != "none":
            self._networks[name] = self._networks.get(name) or self.bench.network()
        return ["--network", self._networks.get(name, name)]

    def _placed(self, files: Bundle, path: str) -> Path:
        """Return a file of the bundle where the engine's command sees it."""
        target = self.workdir / "profiles" / path.replace("/", "-")
        target.parent.mkdir(exist_ok=True)
        target.write_bytes((files.root / path).read_bytes())
        return target

    def operate(self, name: str, operation: str, signal: str, timeout: float) -> Result:
        """Do an operation to a container that was created."""
        words = [_VERBS.get(operation, operation)]
        if operation == "state":
            words = ["container", "inspect", "--format", "{{.State.Status}}"]
        if operation == "kill" and signal:
            words += ["--signal", signal]
        if operation == "stop":
            words += ["--time", "5"]
        return attempt(
            self.journal, lambda: self.bench.cli(*words, self._names.get(name, name), expect=ANY, timeout=timeout)
        )

    def exec(self, name: str, argv: Sequence[str], env: Mapping[str, str], user: str, cwd: str, stdin: str,
             timeout: float) -> Result:  # fmt: skip
        """Run a command in a container, to its end."""
        given = ["--interactive"] if stdin else []
        words = ["exec", *given, *_exec_options(env, user, cwd), self._names[name], *argv]
        return attempt(
            self.journal, lambda: self.bench.cli(*words, stdin=stdin or None, expect=ANY, timeout=timeout)
        )

    def background(self, name: str, argv: Sequence[str], env: Mapping[str, str], user: str, cwd: str) -> list[str]:
        """Return the command of the host that runs a command in a container."""
        return [self.engine, "exec", *_exec_options(env, user, cwd), self._names[name], *argv]

    def _inspected(self, name: str) -> dict[str, Any]:
        result = self.bench.cli("container", "inspect", self._names.get(name, name), expect=ANY)
        if not result.ok:
            return {}
        loaded = json.loads(result.stdout)
        return dict(loaded[0]) if loaded else {}

    def state(self, name: str) -> str:
        """Return created, running, paused, stopped or absent."""
        found = self._inspected(name)
        word = str(found["State"]["Status"]) if found else "absent"
        return _STATES.get(word, word)

    def logs(self, name: str) -> tuple[str, str]:
        """Return what the container's own command has printed."""
        result = self.bench.cli("logs", self._names[name], expect=ANY)
        return result.stdout, result.stderr

    def exit_code(self, name: str) -> int | None:
        """Return the exit code of a container that has ended."""
        found = self._inspected(name)
        ended = found and _STATES.get(found["State"]["Status"]) == "stopped"
        return int(found["State"]["ExitCode"]) if ended else None

    def pid(self, name: str) -> int:
        """Return the container's first process, 0 when it does not run."""
        return int(self._inspected(name).get("State", {}).get("Pid", 0))

    def read(self, name: str, path: str, limit: int) -> bytes | None:
        """Return a file of a container: from inside where it runs, which sees its mounts, else from outside."""
        if self.state(name) == "running":
            script = 'test -f "$1" || exit 9; head -c "$2" "$1"'
            found = self.exec(name, ["sh", "-c", script, "sh", path, str(limit + 1)], {}, "", "", "", 60)
            if found.ok:
                if len(found.out) > limit:
                    raise ValueError(f"it has more than {limit} bytes")
                return found.out
            if found.code == 9:
                return None
        copied = self.bench.cli("cp", f"{self._names[name]}:{path}", "-", expect=ANY, timeout=60)
        return regular_file(copied.out, limit) if copied.ok else None

    def variables(self, name: str) -> dict[str, str]:
        """Return name, id and address of a container."""
        found = self._inspected(name)
        networks = found.get("NetworkSettings", {}).get("Networks") or {}
        address = next((str(one["IPAddress"]) for one in networks.values() if one.get("IPAddress")), "")
        address = address or str(found.get("NetworkSettings", {}).get("IPAddress", ""))
        return {"name": self._names.get(name, ""), "id": str(found.get("Id", "")), "address": address}

    def engine_used(self) -> None:
        """Look for objects of every kind when all is put back."""
        for kind in KINDS:
            self.bench.mark(kind)

    def close(self) -> list[str]:
        """Remove everything and look whether it is gone."""
        return self.bench.close()


def _exec_options(env: Mapping[str, str], user: str, cwd: str) -> list[str]:
    words = [word for name, value in env.items() for word in ("--env", f"{name}={value}")]
    words += ["--user", user] if user else []
    return words + (["--workdir", cwd] if cwd else [])


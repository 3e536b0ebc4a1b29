"""The program behind `fake.py`: behaves like a Docker-like command line, with its state in a directory.

Run as a script with nothing but the standard library, so that it starts fast. Containers are
processes of this machine; images, networks and volumes are entries in a file.

    _fake_cli.py STATE COMMAND...      STATE/fake.json says which CLI to speak and how to be wrong
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import json
import os
import secrets
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

VERSIONS = {"docker": "24.0.9", "podman": "4.9.3", "nerdctl": "2.0.1"}
LIE = "99.9.9"
KINDS = ("container", "network", "volume", "image")

# options that take a value, in all commands alike
_VALUED = {
    "--name", "--label", "--change", "--filter", "--format", "--volume", "-v", "--time", "--stop-timeout", "-f",
}  # fmt: skip
_FLAGS = {
    "--rm", "-i", "--interactive", "-d", "--detach", "--quiet", "-q", "--no-trunc", "--all", "-a", "--force",
    "--volumes", "--help", "--ignore", "--depend",
}  # fmt: skip


class RefusedError(Exception):
    """The command failed: message and exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class Arguments:
    """Options and words of a command line; options end at the first word when `stop` is set."""

    def __init__(self, cli: FakeCli, words: list[str], *, stop: bool = False) -> None:
        self.options: dict[str, list[str]] = {}
        self.words: list[str] = []
        rest = list(words)
        while rest:
            word = rest.pop(0)
            name, equals, value = word.partition("=")
            if (stop and self.words) or word == "-" or not word.startswith("-"):
                self.words.append(word)
            elif name in _VALUED:
                self.options.setdefault(name, []).append(value if equals else rest.pop(0))
            elif word in _FLAGS:
                self.options.setdefault(word, []).append("")
            else:
                raise RefusedError(f"unknown flag: {word}", cli.usage_code)

    def has(self, *names: str) -> bool:
        """Tell whether one of the options was given."""
        return any(name in self.options for name in names)

    def get(self, name: str) -> str:
        """Return the last value of an option, or an empty string."""
        return self.options.get(name, [""])[-1]


class FakeCli:
    """One invocation."""

    def __init__(self, state: Path) -> None:
        self.state = state
        settings = json.loads((state / "fake.json").read_text())
        self.cli: str = settings["cli"]
        self.wrong: str = settings["wrong"]
        self.usage_code = 1 if self.cli == "nerdctl" else 125
        self.error_code = 125 if self.cli == "podman" else 1

    @contextlib.contextmanager
    def objects(self) -> Iterator[dict[str, dict[str, Any]]]:
        """Hold the state: kind -> id -> object."""
        path = self.state / "objects.json"
        with (self.state / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            held: dict[str, dict[str, Any]] = (
                json.loads(path.read_text()) if path.exists() else {kind: {} for kind in KINDS}
            )
            yield held
            partial = path.with_suffix(".partial")
            partial.write_text(json.dumps(held))
            partial.rename(path)

    # -- commands ------------------------------------------------------------------------------

    def main(self, argv: list[str]) -> int:
        """Run one command line and return the exit code."""
        if self.wrong == "hangs":
            time.sleep(3600)
        if self.wrong == "always-fails":
            raise RefusedError("cannot connect", 1)
        if self.wrong == "silent-ok":
            return 0
        verb = argv[0] if argv else ""
        if verb == "--version":
            print(f"{self.cli} version {VERSIONS[self.cli]}")  # noqa: T201 - a command line prints
            return 0
        if verb in KINDS and argv[1:]:
            return self.manage(verb, argv[1], argv[2:])
        if verb in ("run", "create"):
            return self.container(argv[1:], start=verb == "run")
        plain = {"version": self.version, "info": self.info, "import": self.load, "load": self.load}
        if verb in plain and not (verb == "import" and self.cli == "nerdctl"):
            return plain[verb](argv[1:])
        raise RefusedError(f"'{verb}' is not a {self.cli} command", self.error_code)

    def say(self, text: str) -> None:
        """Print a line of output."""
        print(text, flush=True)  # noqa: T201 - a command line prints

    def answer(self, value: Any) -> int:
        """Print JSON."""
        self.say("{not json" if self.wrong == "garbage" else json.dumps(value))
        return 0

    def version(self, argv: list[str]) -> int:
        """`version`."""
        number = LIE if self.wrong == "lies-version" else VERSIONS[self.cli]
        if not Arguments(self, argv).get("--format"):
            self.say(f"Client: {number}")
            return 0
        if self.cli == "podman":
            return self.answer({"Client": {"Version": number, "APIVersion": number}})
        engine = "Podman Engine" if self.wrong == "impostor" else "Engine"
        parts = [{"Name": "containerd", "Version": "v1.7.22"}, {"Name": "runc", "Version": "1.1.14"}]
        if self.cli == "nerdctl":
            if self.wrong == "impostor":
                parts = [{"Name": "buildkitd", "Version": "0.1"}]
            client = {"Version": f"v{number}", "Components": [{"Name": "buildctl", "Version": "v0.16"}]}
            return self.answer({"Client": client, "Server": {"Components": parts}})
        server = {
            "Version": number, "ApiVersion": "1.43", "MinAPIVersion": "1.12",
            "Components": [{"Name": engine, "Version": number}, *parts],
        }  # fmt: skip
        return self.answer({"Client": {"Version": number}, "Server": server})

    def info(self, argv: list[str]) -> int:
        """`info`."""
        Arguments(self, argv)
        storage = "" if self.wrong == "poor-facts" else "overlay"
        if self.cli == "podman":
            host = {
                "os": "linux", "arch": "amd64", "cgroupManager": "cgroupfs", "cgroupVersion": "v2",
                "cgroupControllers": ["cpu", "memory", "pids"], "ociRuntime": {"name": "crun"},
                "security": {"seccompEnabled": True, "rootless": False}, "serviceIsRemote": False,
            }  # fmt: skip
            store = {"graphDriverName": storage, "graphRoot": "/x"}
            return self.answer({"host": host, "store": store, "plugins": {"log": ["k8s-file"]}})
        limits = ("MemoryLimit", "SwapLimit", "CPUShares", "CpuCfsQuota", "CpuCfsPeriod", "PidsLimit")
        return self.answer({
            "OSType": "linux", "Architecture": "x86_64", "Driver": storage, "CgroupDriver": "cgroupfs",
            "CgroupVersion": "2", "DefaultRuntime": "runc", "Runtimes": {"runc": {"path": "runc"}},
            "SecurityOptions": ["name=seccomp,profile=builtin"], "DockerRootDir": "/x",
            "Swarm": {"LocalNodeState": "inactive"}, "Plugins": {"Log": ["json-file"]},
            **dict.fromkeys(limits, True),
        })  # fmt: skip

    def load(self, argv: list[str]) -> int:
        """`import` of a root file system, or nerdctl's `load` of an image archive, from standard input."""
        arguments = Arguments(self, argv)
        data = sys.stdin.buffer.read()
        if self.cli == "nerdctl":
            name, config, data = _unpack(data)
        else:
            name, config = arguments.words[1], _configuration(arguments.options.get("--change", []))
        if self.wrong != "takes-anything" and not tarfile.is_tarfile(io.BytesIO(data)):
            raise RefusedError("archive/tar: invalid tar header", self.error_code)
        if self.wrong == "drops-changes":
            config = {}
        with self.objects() as held:
            id_ = f"sha256:{hashlib.sha256(data + name.encode() + secrets.token_bytes(8)).hexdigest()}"
            held["image"] = {key: item for key, item in held["image"].items() if name not in item["RepoTags"]}
            held["image"][id_] = {"Id": id_, "RepoTags": [name], "Config": config}
        self.say(id_)
        return 0

    def container(self, argv: list[str], *, start: bool) -> int:
        """`run` and `create`."""
        arguments = Arguments(self, argv, stop=True)
        if arguments.has("--help"):
            self.say("Usage: run [OPTIONS] IMAGE [COMMAND]")
            return 0
        image, *command = arguments.words
        with self.objects() as held:
            found = self.lookup(held, "image", image, code=self.usage_code)
            name = arguments.get("--name") or f"random_{secrets.token_hex(4)}"
            if any(item["Name"].lstrip("/") == name for item in held["container"].values()):
                raise RefusedError(f'the name "{name}" is already in use by container x', self.usage_code)
            id_ = secrets.token_hex(32)
            volumes = [secrets.token_hex(32) for word in arguments.options.get("-v", []) if ":" not in word]
            for volume in volumes:
                held["volume"][volume] = {"Name": volume, "Labels": {}}
            held["container"][id_] = {
                "Id": id_, "Name": f"/{name}" if self.cli == "docker" else name, "Image": found["Id"],
                "Config": {"Labels": _labels(arguments)}, "State": {"Running": False, "Pid": 0},
                "Mounts": [{"Type": "volume", "Name": volume} for volume in volumes],
            }  # fmt: skip
        command = command or found["Config"].get("Cmd") or []
        if not start:
            self.say(id_)
            return 0
        detached = arguments.has("-d", "--detach") or self.wrong == "detaches"
        code = self.execute(id_, command, detached=detached, interactive=arguments.has("-i", "--interactive"))
        if detached:
            self.say(id_)
        elif arguments.has("--rm"):
            with self.objects() as held:
                held["container"].pop(id_, None)
        return 0 if self.wrong == "always-zero" else code

    def execute(self, id_: str, command: list[str], *, detached: bool, interactive: bool) -> int:
        """Start the command of a container and wait for it unless it is detached."""
        silent = subprocess.DEVNULL
        if detached:
            process = subprocess.Popen(
                command, stdin=silent, stdout=silent, stderr=silent, start_new_session=True,
            )  # fmt: skip
            with self.objects() as held:
                held["container"][id_]["State"] = {"Running": True, "Pid": process.pid}
            return 0
        process = subprocess.Popen(
            command, stdin=None if interactive and self.wrong != "forgets-stdin" else silent,
            stderr=subprocess.STDOUT if self.wrong == "merges-streams" else None,
        )  # fmt: skip
        if self.wrong == "dies":
            process.wait()
            os.kill(os.getpid(), signal.SIGKILL)
        return process.wait()

    # -- objects -------------------------------------------------------------------------------

    def manage(self, kind: str, verb: str, argv: list[str]) -> int:
        """`container|network|volume|image` with `create|ls|inspect|rm`."""
        if kind == "container" and verb in ("run", "create"):
            return self.container(argv, start=verb == "run")
        arguments = Arguments(self, argv)
        with self.objects() as held:
            if verb == "ls":
                return self.list(held, kind, arguments)
            if verb == "inspect":
                if self.wrong == "finds-anything":
                    return self.answer([{"Id": "1", "Name": word} for word in arguments.words])
                found = [self.lookup(held, kind, word) for word in arguments.words]
                if self.wrong == "other-object" and found[0].get("Id") == arguments.words[0]:
                    found[0]["Created"] = time.time()
                return self.answer(found)
            if verb == "rm":
                return self.delete(held, kind, arguments)
            if verb == "create" and kind in ("network", "volume"):
                name = arguments.words[0]
                id_ = secrets.token_hex(32) if kind == "network" else name
                described = {"Name": name, "Id": id_, "Labels": _labels(arguments)}
                if kind == "volume":
                    del described["Id"]
                elif self.cli == "podman":  # its networks alone are described in lower case
                    described = {key.lower(): value for key, value in described.items()}
                held[kind][id_] = described
                self.say(id_ if self.cli != "podman" else name)
                return 0
        raise RefusedError(f"unknown command: {kind} {verb}", self.usage_code)

    def list(self, held: dict[str, dict[str, Any]], kind: str, arguments: Arguments) -> int:
        """`ls`."""
        if self.cli == "nerdctl" and kind == "network" and arguments.has("--no-trunc", "--filter"):
            raise RefusedError("unknown flag: --no-trunc", self.usage_code)
        wanted = "" if self.wrong == "no-filter" else arguments.get("--filter").removeprefix("label=")
        for id_, item in held[kind].items():
            key, _, value = wanted.partition("=")
            labels = _labels_of(item)
            if wanted and (key not in labels or (value and labels[key] != value)):
                continue
            whole = kind == "volume" or (arguments.has("--no-trunc") and self.wrong != "short-ids")
            if kind == "network" and self.cli == "podman" and arguments.has("--quiet"):
                self.say(item["name"])  # podman's --quiet shows names
            else:
                self.say(id_ if whole else id_.removeprefix("sha256:")[:12])
        return 0

    def delete(self, held: dict[str, dict[str, Any]], kind: str, arguments: Arguments) -> int:
        """`rm`: everything that is known, then the first thing that is not."""
        missing: list[RefusedError] = []
        for word in arguments.words:
            try:
                item = self.lookup(held, kind, word)
            except RefusedError as error:
                missing.append(error)
                if self.wrong == "stops-at-unknown":
                    break
                continue
            self.say(word)
            if self.wrong == "leaks":
                continue
            id_ = item.get("Id") or item.get("id") or item["Name"]
            held[kind].pop(id_)
            if kind == "container":
                self.end(item)
                if arguments.has("--volumes") and self.wrong != "keeps-volumes":
                    for mount in item["Mounts"]:
                        held["volume"].pop(mount["Name"], None)
        if missing:
            print(missing[0], file=sys.stderr)  # noqa: T201 - a command line prints
            return missing[0].code
        return 0

    def end(self, item: dict[str, Any]) -> None:
        """Kill the process of a container."""
        if pid := item["State"]["Pid"]:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)

    def lookup(self, held: dict[str, dict[str, Any]], kind: str, word: str, code: int = 0) -> dict[str, Any]:
        """Return an object by name, id or the beginning of an id."""
        for id_, item in held[kind].items():
            names = [*item.get("RepoTags", []), str(item.get("Name") or item.get("name") or "").lstrip("/")]
            if word in names or id_.removeprefix("sha256:").startswith(word.removeprefix("sha256:")):
                return dict(item)
        words = {
            "container": f"No such container: {word}", "image": f"No such image: {word}: image not known",
            "network": f"network {word} not found: network not found", "volume": f"no such volume: {word}",
        }[kind]  # fmt: skip
        if self.wrong == "mute":
            words = "failed"
        raise RefusedError(words, code or self.error_code)


def _unpack(data: bytes) -> tuple[str, dict[str, Any], bytes]:
    """Return name, configuration and layer of an archive as `docker save` writes it."""
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        (image,) = json.loads(_member(archive, "manifest.json"))
        config = json.loads(_member(archive, image["Config"]))["config"]
        return image["RepoTags"][0], config, _member(archive, image["Layers"][0])


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    stream = archive.extractfile(name)
    return stream.read() if stream else b""


def _labels(arguments: Arguments) -> dict[str, str]:
    pairs = (word.partition("=") for word in arguments.options.get("--label", []))
    return {key: value for key, _, value in pairs}


def _labels_of(item: dict[str, Any]) -> dict[str, str]:
    own: dict[str, str] = item.get("Labels") or item.get("labels") or {}
    return own or item.get("Config", {}).get("Labels") or {}


def _configuration(changes: list[str]) -> dict[str, Any]:
    config: dict[str, Any] = {"Labels": {}}
    for change in changes:
        verb, _, rest = change.partition(" ")
        if verb == "CMD":
            config["Cmd"] = json.loads(rest)
        elif verb == "LABEL":
            key, _, value = rest.partition("=")
            config["Labels"][key] = value
        elif verb == "ENV":
            config.setdefault("Env", []).append(rest)
    return config


def main() -> int:
    """Run the command line of this process."""
    fake = FakeCli(Path(sys.argv[1]))
    try:
        return fake.main(sys.argv[2:])
    except RefusedError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command line prints
        return error.code


if __name__ == "__main__":
    sys.exit(main())

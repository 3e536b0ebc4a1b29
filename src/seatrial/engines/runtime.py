"""The driver for OCI runtimes: a command line that creates, starts, signals and deletes containers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from seatrial import exec as command
from seatrial.engines.base import CliEngine, Version, load_dialect
from seatrial.errors import SeatrialError
from seatrial.exec import ANY, Expect, Journal, Result, Stdin
from seatrial.hosts import LOCAL, Host
from seatrial.spool import Spool
from seatrial.targets import RUNTIMES, Target

# what a runtime is given to answer; one that needs longer hangs
PATIENCE = 20.0
# the file that tells one boot of one kernel from all others
BOOT_ID = "/proc/sys/kernel/random/boot_id"


class RuntimeEngine(CliEngine):
    """An OCI runtime; it always runs on a lab host, because it mounts and makes cgroups."""

    kind = "runtime"
    question = "--version"
    patience = PATIENCE

    def __init__(self, target: Target, host: Host = LOCAL, *, socket: Path | None = None,
                 env: Mapping[str, str] | None = None) -> None:  # fmt: skip
        super().__init__(target, host, socket=socket, env=env)
        self.name = target.engine
        self.binary = target.path or target.engine
        self._said: Result | None = None
        self._own_kernel: bool | None = None

    def cli(self, *args: str, expect: Expect = 0, stdin: Stdin = None, timeout: float = PATIENCE,
            env: Mapping[str, str] | None = None, cwd: Path | str | None = None,
            journal: Journal | None = None, stdout: str | None = None,
            stderr: str | None = None, spool: Spool | None = None, before: Sequence[str] = ()) -> Result:  # fmt: skip
        """Run one command of the runtime to its end; what it leaves behind may keep its streams open."""
        return command.run(
            [*before, self.binary, *args], host=self.host, expect=expect, stdin=stdin, timeout=timeout,
            env={**self.env, **(env or {})}, cwd=cwd, journal=journal, stdout=stdout, stderr=stderr,
            spool=spool or Spool(),
        )  # fmt: skip

    @property
    def _version_text(self) -> str:
        if self._said is None:
            self._said = self.cli("--version", expect=ANY)
        said = self._said
        if not said.ok or not said.output.strip():
            last = said.stderr.strip().splitlines()[-1:] or [f"exit code {said.code}"]
            raise SeatrialError(
                "E106", f"{self.target} does not answer", last[0], f"does `{self.binary} --version` work?"
            )
        return said.output

    @cached_property
    def identity(self) -> str:
        """Which runtime it says to be, whatever its file is called."""
        word = self._version_text.split()[0]
        return word if word in RUNTIMES else self.target.engine

    @cached_property
    def options(self) -> tuple[str, ...]:
        """The options that this runtime is given before every command of a test."""
        dialect = load_dialect(self.identity if self.identity in RUNTIMES else "runtime")
        return tuple(dialect.traits["options"])

    def version(self) -> Version:
        """Return the version as `--version` prints it; raises `SeatrialError` E106 when it does not."""
        text = self._version_text
        match = re.search(r"version:?\s+v?(\S+)", text) or re.search(r"\b(\d+\.\d\S*)", text)
        return Version(match[1] if match else "")

    def facts(self) -> dict[str, Any]:
        """Return what the runtime says about itself."""
        features, reason = self._features()
        spoken = re.search(r"^spec:\s*(\S+)", self._version_text, re.MULTILINE)
        spec = str(features.get("ociVersionMax") or (spoken[1] if spoken else ""))
        compiler = re.search(r"^go:\s*(.+)", self._version_text, re.MULTILINE)
        seccomp = features.get("linux", {}).get("seccomp", {}).get("enabled", True)
        return {
            "kind": "runtime", "identity": self.identity, "runtime": self.identity, "os": "linux",
            "compiler": compiler[1] if compiler else "",
            "version_text": self._version_text.strip().splitlines(), "features": features, "features_reason": reason,
            "spec": spec, "security": ["seccomp"] if seccomp else [], "commands": self._commands(),
        } | ({} if self._own_kernel is None else {"own_kernel": self._own_kernel})  # fmt: skip

    def _commands(self) -> dict[str, list[str]]:
        """Return the long options of the commands that tests give options to, by their help."""
        said = {name: self.cli(name, "--help", expect=ANY).output for name in ("create", "exec")}
        return {name: sorted(set(re.findall(r"^\s+(?:-\w, ?)?--?([a-z][\w-]+)", text, re.MULTILINE)))
                for name, text in said.items()}  # fmt: skip

    def _features(self) -> tuple[dict[str, Any], str]:
        said = self.cli("features", expect=ANY)
        try:
            loaded = json.loads(said.stdout) if said.ok else None
        except ValueError:
            loaded = None
        if isinstance(loaded, dict):
            return loaded, ""
        return {}, f"{Path(self.binary).name} has no `features` command"

    def make_ready(self, run: str, image: str) -> None:
        """Make the root file system of the run's bundles and run one container; raises `SeatrialError` E110."""
        from seatrial.bench import Owner
        from seatrial.names import test_key
        from seatrial.oci.bench import Runtime

        # other sessions warm the same lab up: containers, cgroups and processes are told apart by the key
        runtime = Runtime(self, Owner(run, test_key(f"{run} warm {self.target}")))
        try:
            if self.host.hidden:  # the probe's streams and processes belong to another kernel
                boot = runtime.foreground(runtime.bundle.sh(f"cat {BOOT_ID} || true")).stdout.strip()
            else:
                boot = runtime.observe(runtime.bundle).seen.boot_id
            self._own_kernel = boot != runtime.on_host("cat", BOOT_ID).stdout.strip()
        except AssertionError as error:
            lines = str(error).strip().splitlines()
            raise SeatrialError(
                "E110", f"{self.target} cannot run a container", " ".join(line.strip() for line in lines[:3]),
                f"try by hand: {self.binary} --version; {self.binary} spec; {self.binary} run test",
            ) from error  # fmt: skip
        finally:
            runtime.close()

    def find(self, kind: str, label: str = "") -> list[str]:
        """Return nothing: a test's containers are in a state directory of its own."""
        return []

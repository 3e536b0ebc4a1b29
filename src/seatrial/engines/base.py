"""What every engine driver offers: run a command line, say who you are, look at an object, remove it.

A driver derives from `CliEngine`, gives its name, binary and dialect, and overrides `version`, `facts` and
whatever else its command line does otherwise; it derives from `startable.Startable`, too, where the harness
can start its engine. What engines call differently stands in the driver's `Dialect`; no test asks which
engine it is talking to.
"""

from __future__ import annotations

import os
import random
import re
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar

from seatrial import exec as command
from seatrial.api.client import Client
from seatrial.api.listing import listing
from seatrial.api.wire import Endpoint, endpoint_of
from seatrial.conversation import Conversation
from seatrial.errors import SeatrialError
from seatrial.exec import ANY, Expect, ExpectationError, Journal, Result, Stdin, check
from seatrial.hosts import LOCAL, Host, LocalHost
from seatrial.names import BUSYBOX, RUN_LABEL
from seatrial.targets import Target

KINDS = ("container", "network", "volume", "image")
_PATIENCE = 30.0  # seconds, with a listing that fails over what others remove


@dataclass(frozen=True)
class Dialect:
    """How an engine words what all engines do: regular expressions over stderr, exit codes.

    `says` maps a situation to the pattern of its message; `codes` a situation to its exit code
    where engines differ; `traits` names behaviours that differ by design, so that one test can
    state both expectations.
    """

    says: Mapping[str, str] = field(default_factory=dict)
    codes: Mapping[str, int] = field(default_factory=dict)
    traits: Mapping[str, Any] = field(default_factory=dict)


def load_dialect(name: str, package: str = "seatrial.engines") -> Dialect:
    """Read an engine's dialect from `dialects/<name>.toml` of a package; a name that stands twice is a `ValueError`."""
    text = resources.files(package).joinpath(f"dialects/{name}.toml").read_text("utf-8")
    parts: dict[str, dict[str, Any]] = {"says": {}, "codes": {}, "traits": {}}
    for area, chapters in tomllib.loads(text).items():
        for kind, entries in chapters.items():
            if twice := parts[kind].keys() & entries.keys():
                raise ValueError(f"{name}.toml, {area}.{kind}: {', '.join(sorted(twice))} stand twice")
            parts[kind] |= entries
    return Dialect(**parts)


@dataclass(frozen=True)
class Version:
    """Versions as the engine reports them; empty where it does not."""

    engine: str
    api: str = ""
    client: str = ""


class CliEngine:
    """What all engines with a Docker-like command line have in common."""

    # "engine", or "runtime" for what runs containers below engines; tests say which they are for
    kind: ClassVar[str] = "engine"
    name: str = ""
    binary: str = ""
    dialect: ClassVar[Dialect] = Dialect()
    # the socket of its Docker-compatible API, where nothing else is said; empty for an engine without one
    api: ClassVar[str] = ""
    # where the engine looks for the CA of a registry (HOST:PORT/ca.crt below), and for drop-ins that
    # allow plain HTTP; empty where loopback needs none
    certificates: ClassVar[str] = ""
    registries: ClassVar[str] = ""
    # the builders that the engine may have, and the environment in which `build` uses each
    builders: ClassVar[Mapping[str, Mapping[str, str]]] = {}
    # processes that serve containers of more than one run, and go with the last of them
    helpers: ClassVar[frozenset[str]] = frozenset()
    # what is asked to learn whether the engine answers, and the seconds that `trouble` waits for it
    question: ClassVar[str] = "version"
    patience: ClassVar[float] = 15.0

    def __init__(
        self, target: Target, host: Host = LOCAL, *, socket: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.target = target
        self.host = host
        self.env = dict(env or {})
        self._socket = socket

    @classmethod
    def here(cls, target: Target) -> CliEngine:
        """Return the driver of this machine's engine, at the target's address or where the CLI looks."""
        variable = cls.dialect.traits.get("host_variable", "")
        env = {variable: target.address} if target.address and variable else {}
        socket = Path(target.address.removeprefix("unix://") or cls.api) if cls.api else None
        home = {"HOME": os.environ.get("HOME", "/root")}
        return cls(target, LocalHost(home), socket=socket if socket and socket.exists() else None, env=env)

    @property
    def local(self) -> bool:
        """Whether the engine is on this machine and not reached over the network."""
        return not self.address.startswith(("tcp://", "ssh://"))

    @property
    def address(self) -> str:
        """The address that the CLI is given, empty where it uses its own."""
        return self.env.get(self.dialect.traits.get("host_variable", ""), "")

    @property
    def socket(self) -> Path:
        """The API's unix socket as seen from here; raises `SeatrialError` E104 when there is none."""
        if self._socket is None:
            raise SeatrialError("E104", f"{self.target} has no API socket here", hint="use a socket or a lab")
        return self._socket

    @property
    def endpoint(self) -> Endpoint:
        """Where the engine's API listens; raises `SeatrialError` E104 when it has none that is known here."""
        if self.api and self._socket is None and self.address:
            return endpoint_of(self.address, self.env, self.host)
        return Endpoint(path=self.socket, host=self.host)

    def cli(self, *args: str, expect: Expect = 0, stdin: Stdin = None, timeout: float = 60.0,
            env: Mapping[str, str] | None = None, cwd: Path | str | None = None,
            journal: Journal | None = None, stdout: str | None = None,
            stderr: str | None = None) -> Result:  # fmt: skip
        """Run one command of the engine's CLI to its end."""
        return command.run(
            [self.binary, *args], host=self.host, expect=expect, stdin=stdin, timeout=timeout,
            env={**self.env, **(env or {})}, cwd=cwd, journal=journal, stdout=stdout, stderr=stderr,
        )  # fmt: skip

    def spawn(self, *args: str, tty: bool = False, env: Mapping[str, str] | None = None,
              cwd: Path | str | None = None, journal: Journal | None = None) -> Conversation:  # fmt: skip
        """Start one command of the engine's CLI and talk to it."""
        return Conversation(
            [self.binary, *args], host=self.host, tty=tty, env={**self.env, **(env or {})}, cwd=cwd,
            journal=journal,
        )  # fmt: skip

    def make_ready(self, run: str, image: str) -> None:
        """Bring in the test image and run one container of it.

        An engine that cannot is told here (`SeatrialError` E108, E110), and what it sets up once is no
        leftover of a test.
        """
        from seatrial.lab import images

        if image == BUSYBOX:
            images.provide(self)
        elif not self.cli("image", "inspect", image, expect=ANY).ok:
            pulled = self.cli("pull", image, expect=ANY, timeout=600)
            if not pulled.ok:
                raise SeatrialError(
                    "E108", f"{self.target} cannot pull the image {image}",
                    pulled.stderr.strip().splitlines()[-1:][0] if pulled.stderr.strip() else "",
                    "without --image the harness makes its own, offline",
                )  # fmt: skip
        ran = self.cli("run", "--rm", "--label", f"{RUN_LABEL}={run}", image, "true", expect=ANY)
        if not ran.ok:
            raise SeatrialError(
                "E110", f"{self.target} cannot run a container", "; ".join(ran.stderr.strip().splitlines()[-2:]),
                f"try by hand: {self.binary} run --rm {image} true",
            )  # fmt: skip

    def version(self) -> Version:
        """Return the versions of engine, API and client."""
        raise NotImplementedError

    def facts(self) -> dict[str, Any]:
        """Return what the engine says about itself, in the harness's words (see `requires`)."""
        raise NotImplementedError

    def inspect(self, name: str, kind: str = "container") -> dict[str, Any]:
        """Return the engine's description of one object."""
        loaded: list[dict[str, Any]] = self.look(kind, "inspect", name).json()
        return loaded[0]

    def find(self, kind: str, label: str = "") -> list[str]:
        """Return the full ids (networks, containers, images) or names (volumes) of all objects of a kind."""
        if self._socket is not None and (found := listing(Client(self.endpoint), kind, label)) is not None:
            return found
        args = [kind, "ls", "--quiet"]
        if kind != "volume":
            args.append("--no-trunc")
        if kind == "container":
            args.append("--all")
        if label:
            args += ["--filter", f"label={label}"]
        return list(dict.fromkeys(self.look(*args).stdout.split()))

    def look(self, *args: str, expect: Expect = 0, journal: Journal | None = None) -> Result:
        """Run a command that changes nothing: a listing or an inspection.

        Where an engine fails over an object of somebody else that goes at the same time (the message
        `listing_race` of its dialect), it is asked again for half a minute.
        """
        return check(self.again(lambda: self.cli(*args, expect=ANY, journal=journal), lambda seen: seen.ok), expect)

    def again(self, ask: Callable[[], Result], meant: Callable[[Result], bool]) -> Result:
        """Ask until the answer is meant, or does not speak of somebody else's object that just went; see `look`."""
        race = self.dialect.says.get("listing_race")
        deadline = time.monotonic() + _PATIENCE
        while True:
            result = ask()
            if meant(result) or not race or not re.search(race, result.stderr) or time.monotonic() > deadline:
                return result
            time.sleep(random.uniform(0.05, 0.5))  # noqa: S311 - others that wait must not ask at the same time

    def remove(self, kind: str, names: Sequence[str], *, journal: Journal | None = None) -> None:
        """Remove objects by force; unknown ones are no error."""
        if names:
            self.cli(kind, "rm", *self.force(kind), *names, expect=ANY, timeout=120, journal=journal)

    def force(self, kind: str) -> list[str]:
        """Return the options that make removal unconditional."""
        return {"container": ["--force", "--volumes"], "network": []}.get(kind, ["--force"])

    def trouble(self, patience: float | None = None) -> str:
        """Return why the engine does not answer within `patience` seconds, or an empty string when it does."""
        limit = self.patience if patience is None else patience
        try:
            result = self.cli(self.question, expect=ANY, timeout=limit)
        except ExpectationError:
            return f"does not answer within {limit:.0f} s"
        except SeatrialError as error:
            return f"{error.message}: {error.cause}"
        last = result.stderr.strip().splitlines()[-1:] or [f"exit code {result.code}"]
        return "" if result.ok else last[0]

    def import_image(self, archive: Path, name: str, changes: Sequence[str] = ()) -> None:
        """Make an image from a tar archive of a root file system."""
        options = [word for change in changes for word in ("--change", change)]
        with archive.open("rb") as stream:
            self.cli("import", *options, "-", name, stdin=stream.read(), timeout=300)

"""Engines and registries of a single test: made when asked for, taken down with the test."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from seatrial.bench import Bench, Owner
from seatrial.engines import drivers
from seatrial.engines.startable import Startable, Wishes
from seatrial.hosts import NamespaceHost
from seatrial.lab import images, labs
from seatrial.lab.registry import Registry
from seatrial.targets import parse


class PrivateBench(Bench):
    """A bench whose engine belongs to the test: its daemon may be stopped, killed and started."""

    def __init__(self, made: labs.PrivateEngine, owner: Owner) -> None:
        super().__init__(drivers.in_lab(labs.target_of(made.lab), made.lab), owner)
        self.daemon = made.daemon
        self.host: NamespaceHost = made.lab.host
        # its files go with it, while those of others of the test are still needed
        self.place = f"{owner.key}-{made.lab.name.rpartition('-')[2]}"
        self._made_lab = made

    @property
    def log(self) -> str:
        """What the daemon has logged so far."""
        return self.daemon.log.read_text("utf-8", "replace")

    def provide_image(self) -> None:
        """Bring in the test image, where the engine was made without it."""
        images.provide(self.raw)

    def use_registries(self, *, insecure: Sequence[str] = (), mirrors: Sequence[str] = ()) -> None:
        """Write which registries (HOST:PORT) need no TLS and which mirror Docker Hub; its next start obeys."""
        if not isinstance(self.raw, Startable):
            raise TypeError(f"{self.raw.name} was started by another than its driver")
        self.raw.use_registries(self.host, insecure, mirrors)

    def _clear(self) -> None:
        """Take the engine down with everything in it."""
        self._attempt("taking the engine down", self._made_lab.close)


class PrivateFactory:
    """Makes engines for one test, from the same binaries as its target."""

    def __init__(self, target: str, owner: Owner) -> None:
        self._target = parse(target)
        self._owner = owner
        self._stack = ExitStack()
        self._left: list[str] = []

    def __enter__(self) -> PrivateFactory:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        if self._left:
            raise AssertionError("left behind: " + "; ".join(self._left))

    def __call__(
        self,
        *options: str,
        config: Mapping[str, Any] | None = None,
        storage: str = "",
        runtime: str = "",
        env: Mapping[str, str] | None = None,
        start: bool = True,
    ) -> PrivateBench:
        """Make an engine: daemon options, daemon.json, storage driver, default runtime, environment.

        Raises `SeatrialError` E205 with the daemon's own words when it refuses its options. With
        `start=False` the host stands and the daemon does not run: `daemon.start()` starts it, and
        `provide_image()` brings the test image in.
        """
        wishes = Wishes(options, config or {}, runtime, storage, env or {})
        made = labs.private(self._target, self._owner.run, wishes, start=start)
        bench = PrivateBench(made, self._owner)
        wanted = {"options": " ".join(options), "daemon.json": json.dumps(config) if config else "",
                  "storage": storage, "runtime": runtime}  # fmt: skip
        said = ", ".join(f"{name} {value}" for name, value in wanted.items() if value)
        self._owner.journal.note(f"the test had an engine of its own: {said or 'no options'}")
        self._stack.callback(lambda: self._left.extend(bench.close()))
        if start:
            bench.provide_image()
        return bench


class RegistryFactory:
    """Starts registries beside a test's engine, or beside a private one."""

    def __init__(self, engine: Bench) -> None:
        self._engine = engine
        self._numbers = itertools.count(1)
        self._stack = ExitStack()

    def __enter__(self) -> RegistryFactory:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def __call__(self, *, engine: Bench | None = None, trusted: bool = True, **options: Any) -> Registry:
        """Start an empty registry, beside a private `engine` if one is given; options as for `Registry.start`.

        A lab's engine is made to trust it unless `trusted` is False; this machine's own engine is left
        as it is, and Docker takes plain HTTP from loopback anyway.
        """
        bench = engine or self._engine
        work = bench.workdir / f"registry{next(self._numbers)}"
        bench.journal.ignore(work)
        bench.journal.note("the test's registries are not there")
        started = Registry.start(bench.raw.host, work, journal=bench.journal, **options)
        registry = self._stack.enter_context(started)
        if trusted and isinstance(bench.raw.host, NamespaceHost):
            registry.admit(bench.raw)
        return registry

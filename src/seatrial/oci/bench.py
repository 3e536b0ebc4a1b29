"""What a test of runtimes holds in its hands: one runtime, bound to the test's names, journal and cleaning.

`Runtime` is the `runtime` fixture, `Box` a container of it. Containers have a state directory of the
test's own; after the test they are deleted by force, and nothing of them may be left: no process, mount
or cgroup.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import secrets
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from seatrial import exec as command
from seatrial.bench import Owner
from seatrial.engines.runtime import PATIENCE, RuntimeEngine
from seatrial.exec import ANY, FAILURE, Call, Expect, ExpectationError, Result, Stdin, check
from seatrial.names import slug
from seatrial.oci import leftovers
from seatrial.oci.bundle import Bundle
from seatrial.oci.observe import Host, Seen, parse
from seatrial.oci.probing import Answers, Probe, Request, answers, requests
from seatrial.oci.rootfs import PERL, PROBE, template
from seatrial.paths import remove_tree, share_dir
from seatrial.probes.kernel import Kernel
from seatrial.spool import Spool
from seatrial.waiting import wait_until

# a program that crashes refuses nothing
_CRASHES = ("panic:", "fatal error:", "SIGSEGV", "Segmentation fault", "core dumped", "Aborted")


@dataclass(frozen=True)
class Observation:
    """One container as it was seen from both sides while it ran, and what its runtime said of it."""

    seen: Seen
    host: Host
    created: Mapping[str, Any]  # the state before `start`
    running: Mapping[str, Any]  # the state after it
    calls: tuple[Call, ...]


class Runtime:
    """A runtime for one test."""

    # observations of this process by target and configuration: one container serves many claims
    cache: dict[tuple[str, str], Observation] = {}  # noqa: RUF012 - shared on purpose

    def __init__(self, engine: RuntimeEngine, owner: Owner) -> None:
        self.raw = engine
        self.key = owner.key
        self.facts = owner.facts
        self.journal = owner.journal
        self.run_id = owner.run
        self.workdir = share_dir() / owner.run / owner.key
        self.state_dir = self.workdir / "state"
        self.state_dir.mkdir(parents=True)
        self.journal.watch(self.workdir)
        self.journal.ignore(self.state_dir)
        self.journal.note(f"bundles have a root file system with {PERL} and the probe {PROBE}")
        self._numbers = itertools.count(1)
        self._boxes: list[Box] = []
        self._used: dict[str, bool] = {}  # id -> whether a container of it was made
        self._groups: list[Path] = []
        self._deferred: list[Callable[[], object]] = []

    @cached_property
    def template(self) -> Path:
        """The root file system that bundles get."""
        return template(share_dir() / self.run_id / "rootfs")

    @property
    def host(self) -> Any:
        """The host that the runtime runs on."""
        return self.raw.host

    @property
    def keeper(self) -> Kernel:
        """The process that holds the host's namespaces open; the runtime runs in the same ones."""
        self._seen()
        return Kernel(self.host.pid)

    def _seen(self) -> None:
        """Skip the test where the host's processes are not seen from here."""
        if hidden := self.host.hidden:
            pytest.skip(hidden)

    def until(self, what: str, condition: Callable[[], Any], timeout: float = 15.0) -> Any:
        """Wait until a condition holds and return its value."""
        return wait_until(what, condition, timeout, pause=0.02)

    @property
    def bundle(self) -> Bundle:
        """A minimal valid bundle."""
        from seatrial.oci.bundle import minimal

        return Bundle(minimal())

    def name(self) -> str:
        """Return a fresh container id."""
        return f"st-{self.key}-{next(self._numbers)}"

    def defer(self, function: Callable[[], object]) -> None:
        """Call a function after the test, before the containers go; last first."""
        self._deferred.append(function)

    def path(self, word: str = "f") -> Path:
        """Return a fresh path in a directory that runtime and harness see alike."""
        return self.workdir / f"{word}{next(self._numbers)}"

    def directory(self, word: str = "d") -> Path:
        """Return a fresh directory that runtime and harness see alike."""
        path = self.path(word)
        path.mkdir()
        return path

    def hierarchies(self) -> list[Path]:
        """Return the top directories of the host's cgroups as this machine sees them; the one of v2."""
        top = self.host.path("/sys/fs/cgroup")
        if (top / "cgroup.controllers").exists():
            return [top]
        return [path for path in sorted(top.iterdir()) if (path / "cgroup.procs").exists() and not path.is_symlink()]

    def on_host(self, *argv: str) -> Result:
        """Run a command on the runtime's host."""
        return command.run(argv, host=self.host, timeout=PATIENCE, journal=self.journal)

    def mount_on_host(self, directory: Path, *options: str) -> None:
        """Mount a tmpfs on the runtime's host for the length of the test."""
        self.host.path(directory).mkdir(exist_ok=True)
        self.on_host("mount", "-t", "tmpfs", *options, "tmpfs", str(directory))
        self.defer(lambda: self.on_host("umount", "-l", str(directory)))

    def make_group(self, group: Path) -> None:
        """Make a cgroup that is the test's own; it is removed after the test, when its containers are gone."""
        group.mkdir()
        for name in ("cpuset.cpus", "cpuset.mems"):
            if (group / name).exists():
                (group / name).write_text((group.parent / name).read_text())
        self.adopt_groups(group)

    def adopt_groups(self, *groups: Path) -> None:
        """Have cgroups removed after the test, last first, that no container of it has to remove."""
        self._groups += groups

    # -- commands ------------------------------------------------------------------------------

    def cli(self, *args: str, expect: Expect = 0, stdin: Stdin = None, timeout: float = PATIENCE,
            cwd: Path | str | None = None, env: Mapping[str, str] | None = None, stdout: str | None = None,
            stderr: str | None = None, spool: Spool | None = None, before: Sequence[str] = ()) -> Result:  # fmt: skip
        """Run a command of the runtime in the test's state directory; options as for `exec.run`.

        `before` is a command that prepares something and then becomes the runtime.
        """
        result = self.raw.cli(
            "--root", str(self.state_dir), *self.raw.options, *args, expect=ANY, stdin=stdin, timeout=timeout, cwd=cwd,
            env={leftovers.MARK: self.key, **(env or {})}, journal=self.journal, spool=spool, before=before,
        )  # fmt: skip
        return check(result, expect, stdout, stderr)

    def fails(self, *args: str, **options: Any) -> Result:
        """Run a command that must be refused: an exit code of the runtime's own and a message."""
        return refused(self.cli(*args, expect=FAILURE, **options))

    # -- containers ----------------------------------------------------------------------------

    def place(self, bundle: Bundle, id_: str = "", *, rootfs: bool = True) -> Box:
        """Write a bundle to disk under a container id, and do no more."""
        id_ = id_ or self.name()
        nonce = secrets.token_hex(8)
        directory = self.path(f"{slug(id_)}-bundle")
        self.journal.ignore(directory / "rootfs")
        words = {"ID": id_, "NONCE": nonce, "WORK": str(self.workdir)}
        bundle.write(directory, self.template if rootfs else None, words)
        box = Box(self, id_, directory, nonce)
        self._boxes.append(box)
        self._used.setdefault(id_, False)
        return box

    def create(self, bundle: Bundle, *options: str, id_: str = "", **more: Any) -> Box:
        """Create a container, which must succeed."""
        box = self.place(bundle, id_)
        box.create(*options, **more)
        return box

    def run(self, bundle: Bundle, *options: str, **more: Any) -> Box:
        """Create a container and start it."""
        box = self.create(bundle, *options, **more)
        box.start()
        return box

    def foreground(self, bundle: Bundle, *options: str, stdin: Stdin = None, expect: Expect = 0,
                   timeout: float = PATIENCE, spool: Spool | None = None) -> Result:  # fmt: skip
        """Run a container by the command `run`, to its end."""
        box = self.place(bundle)
        self._used[box.id] = True
        return self.cli("run", "--bundle", str(box.directory), *options, box.id, stdin=stdin, expect=expect,
                        timeout=timeout, spool=spool)  # fmt: skip

    def told(self, bundle: Bundle, *acts: Request) -> Answers:
        """Run a container with the probe to its end, have it do something, and return what it said."""
        box = self.place(bundle)
        self._used[box.id] = True
        result = self.cli("run", "--bundle", str(box.directory), box.id, stdin=requests(acts))
        return answers(result.stdout, box.nonce, len(acts))

    def refuses(self, bundle: Bundle, *options: str, rootfs: bool = True, timeout: float = PATIENCE) -> Box:
        """Create a container, which must be refused; its `said` is what the runtime answered."""
        box = self.place(bundle, rootfs=rootfs)
        box.said = refused(box.create(*options, expect=FAILURE, timeout=timeout))
        return box

    def observe(self, bundle: Bundle) -> Observation:
        """Run a container with the probe, look at it from both sides, delete it; the same bundle is run once."""
        place = (str(self.raw.target), bundle.text)
        found = self.cache.get(place)
        if found is None:
            self._seen()
            first = len(self.journal.calls)
            box = self.create(bundle)
            created = box.state
            box.start()
            seen = box.probe.seen
            running = box.state
            host = Host.look(box.pid)
            box.kill("KILL")
            box.until("stopped")
            box.delete()
            found = Observation(seen, host, created, running, tuple(self.journal.calls[first:]))
            self.cache[place] = found
        elif found.calls[0] not in self.journal.calls:
            self.journal.calls += found.calls
        return found

    def made(self, id_: str) -> None:
        """Take in that a container of this id exists."""
        self._used[id_] = True

    def leftovers(self, id_: str, patience: float = 2.0) -> list[str]:
        """Return what is there of a container after `patience` seconds: state, processes, mounts, cgroups."""
        return leftovers.find(self.host, id_, self.workdir, patience)

    # -- afterwards ----------------------------------------------------------------------------

    def close(self) -> list[str]:
        """Take away everything of the test; return what the runtime left of containers that it had made."""
        for function in self._deferred[::-1]:
            function()
        for box in self._boxes:
            box.let_go()
        leftovers.end(self.host, self.key)  # a runtime that ends them itself may not wait until they are gone
        for id_ in self._used:
            with contextlib.suppress(ExpectationError):
                self.raw.cli("--root", str(self.state_dir), *self.raw.options, "delete", "--force", id_, expect=ANY)
        leftovers.remove_groups(self._groups)
        left = leftovers.find_all(self.host, self.key, self.workdir)
        # what a failed `create` leaves is the business of the tests that look for it
        failed = [id_ for id_, is_made in self._used.items() if not is_made]
        problems = [what for what in left if not any(leftovers.is_of(what, id_) for id_ in failed)]
        if left:
            leftovers.clear(self.host, self.key, self.workdir)
        remove_tree(self.workdir)
        return problems


class Box:
    """A container of a test, or a bundle that is to become one."""

    def __init__(self, runtime: Runtime, id_: str, directory: Path, nonce: str) -> None:
        self.runtime = runtime
        self.id = id_
        self.directory = directory
        self.nonce = nonce
        self.said: Result = Result((), 0, b"", b"", 0.0)
        self._probe: Probe | None = None

    def __str__(self) -> str:
        return self.id

    @property
    def rootfs(self) -> Path:
        """The root file system in the bundle, as this machine sees it."""
        return self.directory / "rootfs"

    @property
    def config(self) -> dict[str, Any]:
        """The configuration as it is on disk."""
        loaded: dict[str, Any] = json.loads((self.directory / "config.json").read_text())
        return loaded

    @property
    def probe(self) -> Probe:
        """The probe in the container; only what was created by `create` has one."""
        assert self._probe is not None, f"{self.id} was not created with streams of ours"  # noqa: S101
        return self._probe

    @property
    def seen(self) -> Seen:
        """The probe's first report."""
        return self.probe.seen

    # -- operations ----------------------------------------------------------------------------

    def create(self, *options: str, expect: Expect = 0, timeout: float = PATIENCE,
               passed: Sequence[int] = (), **more: Any) -> Result:  # fmt: skip
        """Create the container with the probe's streams in our hands."""
        requests_in, requests_out = os.pipe()
        answers_in, answers_out = os.pipe()
        try:
            result = self.runtime.cli(
                "create", "--bundle", str(self.directory), *options, self.id, expect=ANY, timeout=timeout,
                spool=Spool(stdin=requests_in, stdout=answers_out, passed=tuple(passed)), **more,
            )  # fmt: skip
        finally:
            os.close(requests_in)
            os.close(answers_out)
        self.let_go()
        self._probe = Probe(self.nonce, requests_out, answers_in)
        if result.ok:
            self.runtime.made(self.id)
        return check(result, expect)

    def start(self, **options: Any) -> Result:
        """Start the container."""
        return self.runtime.cli("start", self.id, **options)

    def kill(self, *words: str, **options: Any) -> Result:
        """Signal the container's process: `kill ID WORDS`."""
        return self.runtime.cli("kill", self.id, *words, **options)

    def delete(self, *options: str, **more: Any) -> Result:
        """Delete the container."""
        return self.runtime.cli("delete", *options, self.id, **more)

    def end(self) -> None:
        """Kill the container, wait until it has stopped, and delete it."""
        self.kill("KILL")
        self.until("stopped")
        self.delete()

    def exec(self, *argv: str, options: Sequence[str] = (), **more: Any) -> Result:
        """Run a command in the container, to its end."""
        return self.runtime.cli("exec", *options, self.id, *argv, **more)

    def exec_probe(self, *options: str, **more: Any) -> Seen:
        """Run a second probe in the container by `exec` and return its report."""
        nonce = secrets.token_hex(8)
        result = self.exec(PERL, PROBE, nonce, options=options, **more)
        return Seen(parse(result.stdout, nonce))

    def exec_process(self, process: Mapping[str, Any]) -> Seen:
        """Run a second probe by `exec --process`, whose args have the nonce; return its report."""
        nonce = secrets.token_hex(8)
        path = self.runtime.path("process")
        path.write_text(json.dumps(process).replace("@NONCE@", nonce))
        result = self.runtime.cli("exec", "--process", str(path), self.id)
        return Seen(parse(result.stdout, nonce))

    def converse(self, terminal: int) -> None:
        """Talk to the probe over a terminal from now on."""
        self.let_go()
        self._probe = Probe(self.nonce, terminal, terminal)

    # -- what is known of it -------------------------------------------------------------------

    @property
    def state(self) -> dict[str, Any]:
        """What `state` prints, which must be one JSON object and nothing else."""
        result = self.runtime.cli("state", self.id)
        try:
            loaded = json.loads(result.stdout)
        except json.JSONDecodeError as error:
            raise ExpectationError(f"`state` prints no JSON document: {error}\n{result}") from error
        if not isinstance(loaded, dict):
            raise ExpectationError(f"`state` prints no JSON object\n{result}")
        return loaded

    @property
    def status(self) -> str:
        """The status in one word."""
        return str(self.state.get("status"))

    @property
    def known(self) -> bool:
        """Whether the runtime has a container of this id."""
        return self.runtime.cli("state", self.id, expect=ANY).ok

    @property
    def pid(self) -> int:
        """The process id as the runtime reports it; raises `ExpectationError` when that is none."""
        pid = self.state.get("pid")
        if not isinstance(pid, int) or pid < 1:
            raise ExpectationError(f"`state` reports no process id: {pid!r}")
        return pid

    @property
    def kernel(self) -> Kernel:
        """The host's view of the container's process."""
        return Kernel(self.pid)

    def until(self, status: str, timeout: float = 15.0) -> None:
        """Wait until the container has a status."""
        wait_until(f"{self.id} is {status}", lambda: self.status == status, timeout, pause=0.02)

    def leftovers(self) -> list[str]:
        """Return what there is of the container: state, processes, mounts, cgroups."""
        return self.runtime.leftovers(self.id)

    def let_go(self) -> None:
        """Close our ends of the container's streams."""
        if self._probe is not None:
            self._probe.close()
            self._probe = None


def refused(result: Result) -> Result:
    """Return a result that is a refusal; raises `ExpectationError` for a crash, a signal or silence."""
    if result.code < 0 or 128 < result.code <= 128 + signal.SIGRTMAX:
        raise ExpectationError(f"it did not refuse but was ended by a signal\n{result}")
    if word := next((word for word in _CRASHES if word in result.output), ""):
        raise ExpectationError(f"it did not refuse but crashed ({word})\n{result}")
    if not result.output.strip():
        raise ExpectationError(f"refused without a message\n{result}")
    return result

"""What a test holds in its hands: one engine, bound to the test's names, journal and cleaning.

`Bench` is the `engine` fixture. Everything made through it carries the labels of run and test, is
written into the journal, and is removed and proved gone after the test.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seatrial.container import Container
from seatrial.conversation import Conversation
from seatrial.engines.base import KINDS, CliEngine, Dialect
from seatrial.errors import SeatrialError
from seatrial.exec import ANY, FAILURE, Expect, ExpectationError, Journal, Result, Stdin, check
from seatrial.names import BUSYBOX, IMAGE_NAMESPACE, PROBE, RUN_LABEL, TEST_LABEL, TOOLBOX
from seatrial.paths import remove_tree, share_dir

if TYPE_CHECKING:
    from seatrial.api.bound import Api

# Commands that make labelled objects, and the kind that each may leave behind.
_MAKERS: Mapping[tuple[str, ...], str] = {
    ("run",): "container", ("create",): "container", ("container", "run"): "container",
    ("container", "create"): "container", ("network", "create"): "network", ("volume", "create"): "volume",
    ("build",): "image", ("image", "build"): "image",
}  # fmt: skip
_IMAGE_COMMANDS = {"build", "commit", "import", "load", "tag", "pull", "image"}
# name and id of an object, for listings
_ROWS: Mapping[str, str] = {
    "container": "{{.Names}} {{.ID}}", "network": "{{.Name}} {{.ID}}", "volume": "{{.Name}}",
    "image": "{{.Repository}}:{{.Tag}} {{.ID}}",
}  # fmt: skip
_ID = re.compile(r"(?:sha256:)?\b[0-9a-f]{64}\b")
_STEP = re.compile(r"^ ---> Running in ([0-9a-f]{12})$", re.MULTILINE)


@dataclass(frozen=True)
class Owner:
    """Whose objects a bench makes: the run, the test's short id, its journal, and the image it uses."""

    run: str
    key: str
    image: str = BUSYBOX
    facts: Mapping[str, Any] = field(default_factory=dict)
    journal: Journal = field(default_factory=Journal)


@dataclass(frozen=True)
class Build:
    """A finished build: the image's name, its context, and what the command said."""

    name: str
    context: Path
    result: Result


class Bench:
    """An engine for one test."""

    def __init__(self, engine: CliEngine, owner: Owner) -> None:
        self.raw = engine
        self.run_id = owner.run
        self.key = owner.key
        self.place = owner.key  # the name of its directory
        self.facts = owner.facts
        self.journal = owner.journal
        self.image = owner.image
        self.toolbox = TOOLBOX
        self._counter = itertools.count(1)
        self._made: dict[str, set[str]] = {kind: set() for kind in KINDS}
        self._dirty: set[str] = set()
        self._stack = ExitStack()
        self._problems: list[str] = []
        self._defects: list[Exception] = []

    def __repr__(self) -> str:
        return f"<engine of {self.key}>"

    @property
    def dialect(self) -> Dialect:
        """How this engine words things."""
        return self.raw.dialect

    def says(self, situation: str) -> str:
        """Return the pattern of the engine's message for a situation."""
        return self.dialect.says[situation]

    def code(self, situation: str) -> int:
        """Return the engine's exit code for a situation."""
        return self.dialect.codes[situation]

    def trait(self, name: str) -> Any:
        """Return what the engine does, by design, where engines differ."""
        return self.dialect.traits[name]

    @cached_property
    def workdir(self) -> Path:
        """A directory of the test that has the same path inside a lab; removed after the test."""
        path = share_dir() / self.run_id / self.place
        path.mkdir(parents=True, exist_ok=True)
        self.journal.watch(path)
        return path

    @cached_property
    def home(self) -> Path:
        """An empty home directory, so that no client configuration of anybody is seen."""
        path = self.workdir / "home"
        path.mkdir(exist_ok=True)
        return path

    def name(self, word: str = "c") -> str:
        """Return a fresh object name that tells run and test."""
        return f"st-{self.key}-{word}{next(self._counter)}"

    def image_name(self, word: str = "i") -> str:
        """Return a fresh image reference in the test's own namespace."""
        return f"{IMAGE_NAMESPACE}/{self.key}-{word}{next(self._counter)}:latest"

    @cached_property
    def api(self) -> Api:
        """The engine's HTTP API; raises `SeatrialError` E104 when it has none."""
        from seatrial.api.bound import Api

        return Api(self)

    @property
    def labels(self) -> dict[str, str]:
        """The labels of what the test makes."""
        return {RUN_LABEL: self.run_id, TEST_LABEL: self.key}

    def mark(self, kind: str) -> None:
        """Have objects of a kind that carry the test's labels looked for after the test."""
        self._dirty.add(kind)

    def track(self, kind: str, *names: str) -> None:
        """Have objects removed after the test that carry no label of it (anonymous volumes, images)."""
        self._made[kind].update(names)

    def defer(self, function: Callable[..., object], *args: object) -> None:
        """Call a function after the test, last first; one that fails does not keep the others from it."""
        self._stack.callback(self._attempt, getattr(function, "__name__", "a deferred call"), function, *args)

    def _attempt(self, what: str, function: Callable[..., object], *args: object) -> None:
        try:
            function(*args)
        except (AssertionError, SeatrialError) as error:
            self._problems.append(f"{what} failed: {type(error).__name__}: {error}")
        except Exception as error:  # whatever it is: all else has to be cleaned up as well
            self._defects.append(error)

    # -- commands ------------------------------------------------------------------------------

    def cli(self, *args: str, expect: Expect = 0, stdin: Stdin = None, timeout: float = 60.0,
            env: Mapping[str, str] | None = None, cwd: Path | str | None = None,
            stdout: str | None = None, stderr: str | None = None) -> Result:  # fmt: skip
        """Run a command of the engine; `expect`, `stdout` and `stderr` as for `exec.run`."""
        result = self.raw.cli(
            *self._labelled(args), stdin=stdin, timeout=timeout, env=env, cwd=cwd, journal=self.journal,
            expect=ANY,
        )  # fmt: skip
        self._note(args, result)
        return check(result, expect, stdout, stderr)

    def spawn(self, *args: str, tty: bool = False, env: Mapping[str, str] | None = None,
              cwd: Path | str | None = None) -> Conversation:  # fmt: skip
        """Start a command and talk to it; it is ended after the test."""
        self._mark(args)
        talk = self.raw.spawn(*self._labelled(args), tty=tty, env=env, cwd=cwd, journal=self.journal)
        self.defer(talk.close)
        return talk

    def fails(self, *args: str, says: str, code: int | None = None, **options: Any) -> Result:
        """Run a command that must be refused: non-zero exit and a message on standard error.

        `says` is a situation of the dialect or a regular expression; `code` the exit code, by default
        any but zero. That nobody answers is no refusal, unless `says` speaks of it.
        """
        expect = FAILURE if code is None else code
        result = self.raw.again(lambda: self.cli(*args, expect=expect, **options), lambda seen: self._tells(says, seen))
        return self.refused(result, says)

    def refused(self, result: Result, says: str) -> Result:
        """Return the result of a refused command when its message is that of a refusal, for the reason asked for."""
        if not says:
            raise ValueError("a refusal is known by what it says")
        if not self._tells(says, result):
            self._reached(result)
            raise ExpectationError(f"expected a message like /{self.dialect.says.get(says, says)}/\n{result}")
        unknown = self._spoken("unknown_flag", result)
        asked = [word for word in self._spoken(says, result) for flag in unknown if _overlap(word, flag)]
        if unknown and not asked:
            raise ExpectationError(f"an unknown option is no refusal of its value\n{result}")
        return result

    def _spoken(self, says: str, result: Result) -> list[re.Match[str]]:
        """Find the words of a situation, or a regular expression, in an error message."""
        pattern = self.dialect.says.get(says, says)
        return list(re.finditer(pattern, result.stderr, re.IGNORECASE | re.MULTILINE))

    def _tells(self, says: str, result: Result) -> bool:
        return bool(self._spoken(says, result))

    def _reached(self, result: Result) -> None:
        """Raise `ExpectationError` when a command failed because the engine does not answer."""
        if self._tells("unreachable", result):
            raise ExpectationError(f"the engine does not answer\n{result}")

    def _labelled(self, args: Sequence[str]) -> list[str]:
        for verb in _MAKERS:
            if tuple(args[: len(verb)]) == verb and not {"--help", "-h"} & set(args[len(verb) : len(verb) + 1]):
                marks = [word for name, value in self.labels.items() for word in ("--label", f"{name}={value}")]
                return [*args[: len(verb)], *marks, *args[len(verb) :]]
        return list(args)

    def _mark(self, args: Sequence[str]) -> None:
        for verb, kind in _MAKERS.items():
            if tuple(args[: len(verb)]) == verb:
                self._dirty.add(kind)

    def _note(self, args: Sequence[str], result: Result) -> None:
        self._mark(args)
        if args and args[0] in _IMAGE_COMMANDS:
            self._dirty.add("image")
            own = [word for word in args if word.startswith(f"{IMAGE_NAMESPACE}/{self.key}-")]
            self._made["image"].update(own)
            if args[0] in ("commit", "import", "build") or args[:2] == ("image", "import"):
                self._made["image"].update(_ID.findall(result.stdout)[-1:])
            # the builder of old keeps the container of a step that failed
            self._made["container"].update(_STEP.findall(result.stdout))

    def look(self, *args: str) -> Result:
        """Run a listing that must succeed although other tests remove what they made; see `CliEngine.look`."""
        return self.raw.look(*args, journal=self.journal)

    # -- objects -------------------------------------------------------------------------------

    def run(self, *args: str, timeout: float = 60.0) -> Container:
        """Start a container in the background: options, image, command as for `run`.

        Without an image among the arguments the test image runs `sleep` for an hour.
        """
        return self._container("run", "--detach", args, timeout)

    def create(self, *args: str, timeout: float = 60.0) -> Container:
        """Create a container without starting it."""
        return self._container("create", "", args, timeout)

    def _container(self, verb: str, extra: str, args: Sequence[str], timeout: float) -> Container:
        words = list(args)
        if not {self.image, self.toolbox, PROBE} & set(words) and not any(IMAGE_NAMESPACE in word for word in words):
            words += [self.image, "sleep", "3600"]
        name = self.name()
        if "--name" in words:
            name = words[words.index("--name") + 1]
        else:
            words = ["--name", name, *words]
        options = [extra] if extra and extra not in words else []
        result = self.cli(verb, *options, *words, timeout=timeout)
        return Container(self, name, result.text.splitlines()[-1])

    def once(self, *args: str, **options: Any) -> Result:
        """Run a container in the foreground and remove it: options, image, command as for `run`."""
        return self.cli("run", "--rm", *args, **options)

    def sh(self, script: str, *args: str, **options: Any) -> Result:
        """Run a shell script in a fresh container of the test image; `args` are options of `run`."""
        return self.once(*args, self.image, "sh", "-c", script, **options)

    def network(self, *args: str) -> str:
        """Create a network with the given options and return its name."""
        name = self.name("n")
        self.cli("network", "create", *args, name)
        return name

    def volume(self, *args: str) -> str:
        """Create a volume with the given options and return its name."""
        name = self.name("v")
        self.cli("volume", "create", *args, name)
        return name

    def build(self, dockerfile: str, files: Mapping[str, str | bytes] | None = None, *options: str,
              expect: Expect = 0, timeout: float = 120.0, stdin: Stdin = None,
              env: Mapping[str, str] | None = None) -> Build:  # fmt: skip
        """Build an image from a Dockerfile's text and the files of its context.

        `FROM IMAGE` in the text stands for the test image. The image's name is `Build.name`.
        """
        context = self.context({"Dockerfile": dockerfile, **(files or {})})
        name = self.image_name()
        result = self.cli("build", "--tag", name, *options, str(context), expect=expect, timeout=timeout,
                          stdin=stdin, env=env)  # fmt: skip
        return Build(name, context, result)

    def context(self, files: Mapping[str, str | bytes]) -> Path:
        """Write files into a fresh directory that the engine sees; `IMAGE` in a Dockerfile is replaced."""
        directory = self.workdir / f"context{next(self._counter)}"
        for path, content in files.items():
            target = directory / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, str):
                if "Dockerfile" in path:
                    content = re.sub(r"\bIMAGE\b", self.image, content)
                content = content.encode()
            target.write_bytes(content)
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    def inspect(self, name: str, kind: str = "container") -> dict[str, Any]:
        """Return the engine's description of an object."""
        loaded: list[dict[str, Any]] = self.look(kind, "inspect", name).json()
        return loaded[0]

    def image_id(self, name: str) -> str:
        """Return an image's id: 64 hexadecimal digits."""
        return str(self.inspect(name, "image")["Id"]).removeprefix("sha256:")

    def exists(self, name: str, kind: str = "container") -> bool:
        """Tell whether the engine knows an object; raises `ExpectationError` when it does not answer."""
        result = self.raw.look(kind, "inspect", name, expect=ANY, journal=self.journal)
        if not result.ok:
            self._reached(result)
        return result.ok

    # -- afterwards ----------------------------------------------------------------------------

    def close(self) -> list[str]:
        """Remove what the test made; return what could not be removed or done, in words.

        Raises `ExceptionGroup` when something is wrong with the test or the harness, after all the rest is done.
        """
        self._stack.close()
        self._clear()
        if "workdir" in self.__dict__:
            self._attempt("removing files", remove_tree, self.workdir)
        if self._defects:
            raise ExceptionGroup("; ".join(["cleaning up broke", *self._problems]), self._defects)
        return self._problems

    def _clear(self) -> None:
        """Take away what the test made on its engine."""
        for kind in self._made:
            if kind in self._dirty or self._made[kind]:
                self._attempt(f"removing {kind}s", self._sweep, kind)

    def _sweep(self, kind: str) -> None:
        label = f"{TEST_LABEL}={self.key}"
        tracked = self._made[kind]
        names = [*tracked, *(name for name in self.raw.find(kind, label) if name not in tracked)]
        if not names:
            return
        self.raw.remove(kind, names)
        left = self._left(kind, label)
        before = len(left) + 1
        while 0 < len(left) < before:  # an image goes only after those that are made from it
            before = len(left)
            self.raw.remove(kind, left)
            left = self._left(kind, label)
        self._problems += [f"{kind} {name} of this test cannot be removed" for name in left]

    def _left(self, kind: str, label: str) -> list[str]:
        return list(dict.fromkeys([*self.raw.find(kind, label), *self._present(kind)]))

    def _present(self, kind: str) -> list[str]:
        """Return which of the tracked names and ids are still there; an image's id only if nobody named it."""
        tracked = self._made[kind]
        if not tracked:
            return []
        every = ["--all"] if kind == "container" else []
        rows = [row.split() for row in self.raw.look(kind, "ls", *every, "--format", _ROWS[kind]).lines]
        return sorted(name for name in tracked if any(_is(name, *row[:2]) for row in rows if row))


def _is(tracked: str, listed: str, id_: str = "") -> bool:
    """Tell whether a row of a listing is a tracked object; ids may be cut off on either side."""
    repository, colon, tag = listed.rpartition(":")
    if not colon:  # no image
        unnamed = True
    elif repository == "<none>" or tag == "<none>":
        unnamed, listed = True, ""
    else:
        unnamed = False
        if ":" not in tracked.rpartition("/")[2]:
            listed = listed.removesuffix(":latest")
    # a linked container has several names; an engine may list an image with more of its address
    if any(name == tracked or name.endswith(f"/{tracked}") for name in listed.split(",")):
        return True
    wanted, seen = tracked.removeprefix("sha256:"), id_.removeprefix("sha256:")
    return unnamed and len(seen) >= 12 and len(wanted) >= 12 and (wanted.startswith(seen) or seen.startswith(wanted))


def _overlap(one: re.Match[str], other: re.Match[str]) -> bool:
    return one.start() < other.end() and other.start() < one.end()

"""Faults of an OCI runtime: each changes one thing between the suite and a correct runtime.

`config` faults rewrite config.json for the length of a `create` or `run`, `process` faults what `exec` is
given, `answer` faults what `state` prints, `act` faults do something else than the command says. A fault
knows the claims that it breaks; the tests that name those have to notice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seatrial.exec import Result

CREATING = ("create", "run")
# opens the root directory of the host as descriptor 3, where runtimes count from, and becomes the runtime
LEAK = ["sh", "-c", 'exec 3</; exec "$@"', "leak"]
HOOKS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")


@dataclass(frozen=True)
class Fault:
    """One fault: `apply` gets a `Call` and returns what the caller sees."""

    id: str
    claims: tuple[str, ...]
    words: str
    apply: Callable[[Call], Result]

    def __str__(self) -> str:
        return self.words


@dataclass
class Call:
    """One command of the runtime under way: `run` executes it, or another one in its place."""

    args: list[str]
    verb_at: int
    cwd: str | None
    cgroups: Path  # one of the host's hierarchies
    execute: Callable[..., Result]
    options: dict[str, Any] = dataclasses.field(default_factory=dict)  # what else the caller asked for, as `before`

    @property
    def verb(self) -> str:
        return self.args[self.verb_at] if self.verb_at < len(self.args) else ""

    @property
    def words(self) -> list[str]:
        return self.args[self.verb_at + 1 :]

    @property
    def id(self) -> str:
        plain = [word for word in self.words if not word.startswith("-")]
        return plain[-1] if self.verb != "kill" and plain else plain[0] if plain else ""

    @property
    def state_dir(self) -> Path:
        return Path(self.args[1])

    @property
    def bundle(self) -> Path:
        if "--bundle" in self.words:
            found = Path(self.words[self.words.index("--bundle") + 1])
            return found if found.is_absolute() else Path(self.cwd or "/") / found
        return Path(self.cwd or "/")

    def loaded(self) -> dict:
        """The configuration in the bundle; one without a word where there is none, or it is no object."""
        path = self.bundle / "config.json"
        with contextlib.suppress(ValueError, OSError):
            loaded = json.loads(path.read_bytes())
            if isinstance(loaded, dict) and isinstance(loaded.setdefault("linux", {}), dict):
                return loaded
        return {"linux": {}}

    def run(self, *words: str, **options: Any) -> Result:
        """Run the command as it is, or with other words after the global options."""
        return self.execute([*self.args[: self.verb_at], *words] if words else self.args, **options)

    def aside(self, *words: str) -> Result:
        """Run another command that takes none of the caller's streams."""
        return self.execute([*self.args[: self.verb_at], *words], spool=None, stdin=None)

    def pretend(self, code: int = 0, out: str = "", err: str = "") -> Result:
        return Result(tuple(self.args), code, out.encode(), err.encode(), 0.01)

    def status(self) -> str:
        said = self.aside("state", self.id)
        return json.loads(said.stdout)["status"] if said.ok else ""


FAULTS: dict[str, Fault] = {}


def add(id_: str, claims: str, words: str, apply: Callable[[Call], Result]) -> None:
    assert id_ not in FAULTS, id_
    FAULTS[id_] = Fault(id_, tuple(claims.split()), words, apply)


def config(id_: str, claims: str, words: str, change: Callable[[dict], object]) -> None:
    """Add a fault in how a configuration is read."""
    def apply(call: Call) -> Result:
        path = call.bundle / "config.json"
        if call.verb not in CREATING or not path.is_file():
            return call.run()
        original = path.read_bytes()
        try:
            loaded = json.loads(original)
            with contextlib.suppress(KeyError, IndexError, TypeError, AttributeError, ValueError):
                change(loaded)
        except ValueError:
            return call.run()
        path.write_text(json.dumps(loaded))
        try:
            return call.run()
        finally:
            path.write_bytes(original)

    add(id_, claims, words, apply)


def left_out(id_: str, claims: str, words: str, change: Callable[[dict], object]) -> None:
    """Add the fault that what cannot be applied is left out: a `create` that fails is tried once more without it."""
    def do(call: Call) -> Result:
        path = call.bundle / "config.json"
        result = call.run()
        if call.verb not in CREATING or result.ok or not path.is_file():
            return result
        original = path.read_bytes()
        try:
            loaded = json.loads(original)
            change(loaded)
        except (ValueError, KeyError, TypeError):
            return result
        path.write_text(json.dumps(loaded))
        try:
            return call.run()
        finally:
            path.write_bytes(original)

    add(id_, claims, words, do)


def answer(id_: str, claims: str, words: str, change: Callable[[dict], object]) -> None:
    """Add a fault in what `state` prints."""
    def apply(call: Call) -> Result:
        result = call.run()
        if call.verb != "state" or not result.ok:
            return result
        state = json.loads(result.stdout)
        change(state)
        return dataclasses.replace(result, out=json.dumps(state).encode())

    add(id_, claims, words, apply)


def act(id_: str, claims: str, words: str, verb: str, do: Callable[[Call], Result]) -> None:
    """Add a fault in what a command does."""
    add(id_, claims, words, lambda call: do(call) if call.verb == verb else call.run())


def process(id_: str, words: str, change: Callable[[dict], object], claims: str = "CLI-exec-proc") -> None:
    """Add a fault in how the process of an `exec` is read."""
    def apply(call: Call) -> Result:
        if call.verb != "exec" or "--process" not in call.words:
            return call.run()
        path = Path(call.words[call.words.index("--process") + 1])
        loaded = json.loads(path.read_text())
        with contextlib.suppress(KeyError):
            change(loaded)
        path.write_text(json.dumps(loaded))
        return call.run()

    add(id_, claims, words, apply)


def option(id_: str, words: str, name: str, verb: str, claims: str, *, valued: bool = True) -> None:
    """Add the fault that an option is taken and ignored."""
    def apply(call: Call) -> Result:
        if call.verb != verb or name not in call.words:
            return call.run()
        words = list(call.words)
        at = words.index(name)
        del words[at : at + 1 + valued]
        return call.run(verb, *words)

    add(id_, claims, words, apply)


def without(mapping: dict, *names: str) -> None:
    """Take properties away that may be there."""
    for name in names:
        mapping.pop(name, None)


def every() -> dict[str, Fault]:
    """Return all faults by id."""
    import faults_commands  # noqa: F401 - each module adds its own
    import faults_container  # noqa: F401
    import faults_hooks  # noqa: F401
    import faults_host  # noqa: F401
    import faults_isolation  # noqa: F401
    import faults_limits  # noqa: F401
    import faults_mounts  # noqa: F401
    import faults_refusals  # noqa: F401
    import faults_rest  # noqa: F401
    import faults_state  # noqa: F401

    return FAULTS

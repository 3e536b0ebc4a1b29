"""`repro.sh`: shell words that repeat commands without the harness, and the files that they need.

Everything is plain sh with coreutils, because a script is carried into labs and to other machines.
"""

from __future__ import annotations

import base64
import os
import shlex
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

# bytes that a script carries: of all files together, and of one standard input
LIMIT = 64 * 1024
# entries of a directory that are looked at; beyond it the rest is told as missing
_MANY = 1000


def command(
    argv: Sequence[str], env: Mapping[str, str], cwd: str | None, stdin: bytes | None, timeout: int = 0
) -> str:
    """Return a command as shell words, with what it read; `timeout` (seconds) is for one that did not end."""
    words = [*(["timeout", str(timeout)] if timeout else []), *argv]
    line = " ".join([*_assignments(env), shlex.join(words)])
    if stdin is not None and len(stdin) > LIMIT:
        return f"# not repeated, because it read {len(stdin)} bytes: {line}"
    if stdin is not None:
        line = f"{printed(stdin)} | {line}"
    return f"(cd {shlex.quote(cwd)} && {line})" if cwd else line


def spawned(
    argv: Sequence[str], env: Mapping[str, str], cwd: str | None, typed: bytes, *, tty: bool, ended: bool,
    number: int,
) -> str:  # fmt: skip
    """Return a command that runs beside the others, its process id in $pNUMBER.

    What was typed is typed at once; standard input then stays open for a while unless it `ended`.
    """
    words = ["script", "-qec", shlex.join(argv), "/dev/null"] if tty else list(argv)
    line = " ".join([*_assignments(env), shlex.join(words)])
    if cwd:
        line = f"(cd {shlex.quote(cwd)} && exec env {line})"
    given = f"{printed(typed)}; " if typed and len(typed) <= LIMIT else ""
    waiting = "" if ended else "sleep 10 2>/dev/null; "
    if given or waiting:
        line = f"{{ {given}{waiting}}} | {line}"
    return f"{line} & p{number}=$!; sleep 1"


def printed(data: bytes) -> str:
    """Return a command that prints bytes: as text where they are plain, else through base64."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = "\0"
    if all(letter.isprintable() or letter in "\n\t" for letter in text):
        return f"printf %s {shlex.quote(text)}"
    return f"printf %s {base64.b64encode(data).decode()} | base64 -d"


def _assignments(env: Mapping[str, str]) -> list[str]:
    return [f"{name}={shlex.quote(value)}" for name, value in env.items()]


class Files:
    """What a test put into its directories, as shell lines that put it there again."""

    def __init__(self) -> None:
        self.missing: list[str] = []
        self._room = LIMIT
        self._known: dict[Path, tuple[int, ...]] = {}
        self._ignored: set[Path] = set()

    def ignore(self, directory: Path) -> None:
        """Pass over a directory that others write."""
        self._ignored.add(directory)

    def changes(self, directory: Path) -> list[str]:
        """Return lines for what is new or different since the last look."""
        return [line for path, state in self._look(directory) for line in self._lines(path, state)]

    def note(self, directory: Path) -> None:
        """Look without a record: what is there now, the commands themselves make."""
        for _ in self._look(directory):
            pass

    def _look(self, directory: Path) -> Iterator[tuple[Path, os.stat_result]]:
        for path in self._walk(directory):
            try:
                state = path.lstat()
            except OSError:
                continue  # gone meanwhile
            key: tuple[int, ...] = (state.st_mode, state.st_uid, state.st_gid)
            if not stat.S_ISDIR(state.st_mode):
                key += (state.st_mtime_ns, state.st_size, state.st_ino)
            if self._known.get(path) != key:
                self._known[path] = key
                yield path, state

    def _walk(self, directory: Path) -> Iterator[Path]:
        count = 0
        for place, directories, files in os.walk(directory):
            directories[:] = sorted(name for name in directories if Path(place, name) not in self._ignored)
            yield Path(place)
            links = [name for name in directories if Path(place, name).is_symlink()]
            yield from (Path(place, name) for name in sorted([*files, *links]))
            count += 1 + len(files)
            if count > _MANY:
                self._miss(f"{directory}: more than {_MANY} files")
                return

    def _miss(self, what: str) -> None:
        if what not in self.missing:
            self.missing.append(what)

    def _lines(self, path: Path, state: os.stat_result) -> Iterator[str]:
        name = shlex.quote(str(path))
        try:
            if stat.S_ISDIR(state.st_mode):
                yield f"mkdir -p {name}"
                usual = 0o755
            elif stat.S_ISLNK(state.st_mode):
                yield f"ln -sfn {shlex.quote(str(path.readlink()))} {name}"
                return
            elif not stat.S_ISREG(state.st_mode):
                self._miss(f"{path}: no plain file")
                return
            elif state.st_size > self._room:
                self._miss(f"{path}: {state.st_size} bytes")
                return
            else:
                content = base64.encodebytes(path.read_bytes()).decode()
                self._room -= state.st_size
                yield f"base64 -d >{name} <<'END'\n{content}END"
                usual = 0o644
        except OSError as error:
            self._miss(f"{path}: {error.strerror}")
            return
        if stat.S_IMODE(state.st_mode) != usual:
            yield f"chmod {stat.S_IMODE(state.st_mode):o} {name}"
        if (state.st_uid, state.st_gid) != (os.geteuid(), os.getegid()):
            yield f"chown {state.st_uid}:{state.st_gid} {name}"

"""A build from the queue to its result: waited for, followed, collected."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from seatrial.ci.jenkins import Controller, plain
from seatrial.errors import Exit, SeatrialError

# What a controller that restarts, or a network in between, does for a while.
_PASSING = frozenset({"E601", "E605"})
_LARGEST = 200 * 1024 * 1024

RESULTS = {
    "SUCCESS": Exit.OK, "UNSTABLE": Exit.FAILED, "FAILURE": Exit.FAILED, "ABORTED": Exit.INTERRUPTED,
    "NOT_BUILT": Exit.NOTHING,
}  # fmt: skip


def exit_code(result: str) -> Exit:
    """Return the exit code of a build's result; a result that is not known is no success."""
    return RESULTS.get(result, Exit.FAILED)


@dataclass
class Patience:
    """A deadline, and a pause between questions; trouble that passes by itself is told and waited out."""

    seconds: float
    pause: float = 2.0
    tell: Callable[[str], None] = lambda _: None

    def __post_init__(self) -> None:
        self._deadline = time.monotonic() + self.seconds
        self._troubled = False

    def ask(self, what: str, question: Callable[[], Any]) -> Any:
        """Return the first answer that is not None; raises `SeatrialError` E618 when the time is over."""
        while True:
            trouble = ""
            try:
                answer = question()
                self._troubled = False
                if answer is not None:
                    return answer
            except SeatrialError as error:
                if error.code not in _PASSING:
                    raise
                trouble = f"{error.message} ({error.cause})"
                if not self._troubled:
                    self.tell(f"{trouble}; asking again")
                self._troubled = True
            if time.monotonic() + self.pause > self._deadline:
                raise SeatrialError(
                    "E618", f"{what} within {self.seconds:.0f} s did not happen", trouble,
                    "give it more time with --timeout; what was begun goes on",
                )  # fmt: skip
            time.sleep(self.pause)


def await_start(controller: Controller, item: int, patience: Patience, tell: Callable[[str], None]) -> int:
    """Wait until a queue item has become a build and return its number.

    Raises `SeatrialError` E617 when it is cancelled.
    """
    said = ""

    def question() -> int | None:
        nonlocal said
        found = controller.queue_item(item)
        if found.get("cancelled"):
            raise SeatrialError(
                "E617", f"queue item {item} was cancelled", "by a person, or by a newer build of the same",
                "trigger it again",
            )  # fmt: skip
        if executable := found.get("executable"):
            return int(executable["number"])
        why = str(found.get("why") or "")
        # "Expires in 2.6 sec" changes with each answer
        if why.partition(".")[0] != said.partition(".")[0]:
            tell(f"queued: {why}")
        said = why
        return None

    number: int = patience.ask("the start", question)
    return number


def await_end(controller: Controller, job: str, number: int, patience: Patience) -> dict[str, Any]:
    """Wait until a build has ended and return what Jenkins says about it."""

    def question() -> dict[str, Any] | None:
        build = controller.build(job, number)
        return build if not build.get("building") and build.get("result") else None

    ended: dict[str, Any] = patience.ask(f"the end of {job} #{number}", question)
    return ended


def follow(controller: Controller, job: str, number: int, patience: Patience) -> Iterator[str]:
    """Yield the console's lines, as they come, without what only a browser shows."""
    offset, rest = 0, ""
    while True:

        def piece(start: int = offset) -> tuple[str, int, bool] | None:
            text, after, more = controller.console(job, number, start)
            return (text, after, more) if after > start or not more else None

        text, offset, more = patience.ask(f"the next line of {job} #{number}", piece)
        # a hidden note may lie across two pieces: only whole lines are shown
        whole, newline, rest = (rest + text).rpartition("\n")
        if newline:
            yield from plain(whole + newline).splitlines()
        if not more:
            if rest:
                yield plain(rest)
            return


@dataclass(frozen=True)
class Collected:
    """What was brought from a build: its result, the files, counts of its published tests (empty: none)."""

    result: str
    files: list[Path]
    counts: dict[str, int]


def collect(controller: Controller, job: str, number: int, directory: Path) -> Collected:
    """Bring console, test results and archived files of a build into a directory.

    Raises `SeatrialError` E619 for a file that would land elsewhere or is larger than 200 MiB.
    """
    build = controller.build(job, number)
    directory.mkdir(parents=True, exist_ok=True)
    files = [_write(directory / "build.json", json.dumps(build, indent=1) + "\n")]
    console = controller.console(job, number, 0)[0]
    files.append(_write(directory / "console.txt", plain(console)))
    report = controller.test_report(job, number)
    counts: dict[str, int] = {}
    if report is not None:
        files.append(_write(directory / "tests.json", json.dumps(report, indent=1) + "\n"))
        counts = {name: int(report.get(f"{name}Count") or 0) for name in ("pass", "fail", "skip")}
    for artifact in build.get("artifacts") or []:
        files.append(_fetch(controller, job, number, str(artifact["relativePath"]), directory))
    return Collected(str(build.get("result") or "RUNNING"), files, counts)


def _write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8", newline="\n")
    return path


def _fetch(controller: Controller, job: str, number: int, relative: str, directory: Path) -> Path:
    inside = PurePosixPath(relative)
    if inside.is_absolute() or ".." in inside.parts or not inside.parts or "\0" in relative:
        raise _unsafe(relative, "its path leads out of the directory")
    path = directory / "artifacts" / inside
    path.parent.mkdir(parents=True, exist_ok=True)
    size = 0
    with contextlib.closing(controller.artifact(job, number, relative)) as answer, path.open("wb") as out:
        for piece in answer.iter_content(65536):
            size += len(piece)
            if size > _LARGEST:
                raise _unsafe(relative, "it is larger than 200 MiB")
            out.write(piece)
    return path


def _unsafe(relative: str, cause: str) -> SeatrialError:
    return SeatrialError("E619", f"the archived file {relative!r} is not taken", cause, "look at it in the browser")

"""The worker: from what is written down to Jenkins' builds and GitLab's statuses.

One step looks at every build that is not at its end and does the next thing for it. Each thing is written down
before it is begun where it must not be done twice, and after it where it may.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from seatrial.ci import changes
from seatrial.ci.gitlab import GitLab
from seatrial.ci.hook import wording
from seatrial.ci.hook.config import Project
from seatrial.ci.hook.store import PAGE, Build, Store, Wish
from seatrial.ci.hook.turns import Turn
from seatrial.ci.jenkins import Controller, job_path
from seatrial.errors import SeatrialError

_FORGOTTEN = frozenset({"E604"})
PAUSE = 2.0
STALLED = 300.0
DEVELOPER = 30
T = TypeVar("T", Build, Wish)


class Worker:
    """Does the next thing for every build; `tell` is told what went wrong."""

    def __init__(
        self, projects: Mapping[str, Project], store: Store, jenkins: Callable[[], Controller],
        gitlab: Callable[[], GitLab], *, now: Callable[[], float] = time.time,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:  # fmt: skip
        self._projects, self._store, self._now, self._tell = projects, store, now, tell
        self._connect_jenkins, self._connect_gitlab = jenkins, gitlab
        self._turns: dict[str, Turn] = {}
        self._trouble = ""
        self.beat = time.monotonic()

    @property
    def alive(self) -> bool:
        """Whether a step ended lately."""
        return time.monotonic() - self.beat < STALLED

    @property
    def trouble(self) -> str:
        """What the last step met that nobody foresaw, empty when nothing."""
        return self._trouble

    def run(self, bell: threading.Event, stop: threading.Event) -> None:
        """Take steps until told to stop, at once when the bell rings; a step that fails is told, and tried again."""
        told = ""
        while not stop.is_set():
            try:
                self.step()
                told = ""
            except Exception as error:  # a worker that ended would leave hooks answered with 202 and nothing done
                self._trouble = f"step: {type(error).__name__}"
                if told != self._trouble:
                    told = self._trouble
                    self._inform(f"{told}: {error}")
            bell.wait(PAUSE)
            bell.clear()

    def step(self) -> None:
        """Do the next thing for everything; trouble with one build does not stop the others."""
        live = functools.partial(self._store.select, "state IN ('queued', 'launching', 'waiting', 'running')")
        untold = functools.partial(self._store.select, "told != state")
        unnoted = functools.partial(self._store.select, "noted != state AND state IN ('gated', 'done')")
        self._each("comment", self._store.wishes, self._judge)
        self._each("build", live, self._advance)
        self._each("status of", untold, self._report)
        self._each("note of", unnoted, self._note)
        odd = [(f"{kind} {number}", name) for kind, turn in self._turns.items() for number, name in turn.odd().items()]
        self._trouble = ", ".join(f"{what}: {name}" for what, name in odd)
        self.beat = time.monotonic()

    def _each(self, kind: str, select: Callable[..., Sequence[T]], act: Callable[[T], None]) -> None:
        """Do a thing for the next page of subjects: those in trouble, however many, hold nobody up."""
        turn = self._turns.setdefault(kind, Turn())
        found = select(after=turn.after)
        for subject in found:
            if turn.due(subject.id, self._now()):
                self._guarded(kind, turn, act, subject)
        turn.proceed([subject.id for subject in found], PAGE)

    def _guarded(self, kind: str, turn: Turn, act: Callable[[T], None], subject: T) -> None:
        try:
            act(subject)
            turn.done(subject.id)
        except SeatrialError as error:
            new, words = turn.failed(subject.id, self._now(), error.code), str(error)
        except Exception as error:  # an answer of another form, a disk that is full: the others go on
            name = type(error).__name__
            new, words = turn.failed(subject.id, self._now(), name, odd=True), f"{name}: {error}"
        else:
            return
        if new:  # once, not each time that it is tried
            self._inform(f"{kind} {subject.id}: {words}")

    def _inform(self, words: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # the terminal that was told may be gone
            self._tell(words)

    def _judge(self, wish: Wish) -> None:
        project = self._projects.get(wish.project)
        level = self._connect_gitlab().access_level(wish.gitlab, wish.author) if project else 0
        needed = project.level if project and wish.what == "gate" else DEVELOPER
        granted = project is not None and level >= needed
        concerned = self._store.grant(wish, self._now(), granted=granted)
        self._inform(f"comment {wish.note} on !{wish.number}: {wish.what} "
                     f"{'granted' if granted else 'refused'}, {concerned} builds")  # fmt: skip

    def _advance(self, selected: Build) -> None:
        # the network lies between the selection and now: a newer commit may have come
        [build] = self._store.select("id=?", selected.id)
        project = self._projects.get(build.project)
        if project is None:  # taken out of the configuration
            self._store.update(build, self._now(), state="superseded")
        elif build.doomed:
            self._end(build, project)
        elif build.state == "queued":
            if self._store.claim(build, self._now()):
                self._launch(build, project)
        elif build.state == "launching":
            # asked before, and the answer was lost: asking again could build it twice
            if not self._adopt(build, project):
                self._launch(build, project)
        elif build.state == "waiting":
            self._await(build, project)
        elif build.state == "running":
            self._watch(build, project)

    def _launch(self, build: Build, project: Project) -> None:
        item = self._connect_jenkins().start(project.job, {
            "SEATRIAL_MERGE_REQUEST": str(build.number), "SEATRIAL_COMMIT": build.commit,
            "SEATRIAL_TARGET": build.target, "SEATRIAL_EVENT": build.event,
        })  # fmt: skip
        self._store.update(build, self._now(), state="waiting", item=item)

    def _adopt(self, build: Build, project: Project) -> bool:
        jenkins = self._connect_jenkins()
        for item in jenkins.queue():
            if _event(item) == build.event and str((item.get("task") or {}).get("url", "")).rstrip("/").endswith(
                job_path(project.job)
            ):
                self._store.update(build, self._now(), state="waiting", item=int(item["id"]))
                return True
        for found in jenkins.builds(project.job):
            if _event(found) == build.event:
                self._store.update(build, self._now(), state="running", build=int(found["number"]))
                return True
        return False

    def _await(self, build: Build, project: Project) -> None:
        try:
            item = self._connect_jenkins().queue_item(build.item or 0)
        except SeatrialError as error:
            # Jenkins forgets an item five minutes after it became a build, and all of them when it restarts
            if error.code not in _FORGOTTEN:
                raise
            if not self._adopt(build, project):
                self._launch(build, project)
            return
        if item.get("cancelled"):
            self._store.update(build, self._now(), state="cancelled")
        elif executable := item.get("executable"):
            self._store.update(build, self._now(), state="running", build=int(executable["number"]))

    def _watch(self, build: Build, project: Project) -> None:
        try:
            found = self._connect_jenkins().build(project.job, build.build or 0)
        except SeatrialError as error:
            if error.code not in _FORGOTTEN:
                raise
            self._store.update(build, self._now(), state="done", result="DELETED")
            return
        if not found.get("building") and found.get("result"):
            self._store.update(build, self._now(), state="done", result=str(found["result"]))

    def _end(self, build: Build, project: Project) -> None:
        """End what a newer commit, or the end of the merge request, has made useless."""
        jenkins = self._connect_jenkins()
        number = build.build
        if build.state == "waiting":
            number = self._unqueued(jenkins, build.item or 0)
        # an answer that was lost, or an item that Jenkins forgot: there may be an item or a build all the same
        if number is None and self._adopt(build, project):
            [build] = self._store.select("id=?", build.id)
            number = self._unqueued(jenkins, build.item or 0) if build.state == "waiting" else build.build
        if number is not None:
            with _unless_forgotten():
                jenkins.stop(project.job, number)
        self._store.update(build, self._now(), state="superseded")

    def _unqueued(self, jenkins: Controller, item: int) -> int | None:
        """Take an item out of the queue; return the build that it has become all the same, None when it has not."""
        with _unless_forgotten():
            jenkins.cancel(item)
            if executable := jenkins.queue_item(item).get("executable"):
                return int(executable["number"])
        return None

    def _tests(self, build: Build, project: Project) -> changes.Report | None:
        if build.result == "DELETED":
            return None
        return self._connect_jenkins().test_report(project.job, build.build or 0)

    def _url(self, build: Build, project: Project) -> str:
        path = f"{self._connect_jenkins().url}/{job_path(project.job)}/"
        return f"{path}{build.build}/" if build.build else path

    def _report(self, build: Build) -> None:
        project = self._projects.get(build.project)
        if project is not None:
            state, words = wording.state(build)
            if build.state == "done":
                state, words = changes.ended(build.result or "", self._tests(build, project))
            try:
                url = self._url(build, project)
                self._connect_gitlab().status(
                    build.gitlab, build.commit, state, request=build.number, url=url, text=words
                )
            except SeatrialError as error:
                # a commit that GitLab has dropped with its branch has no status: asking again would not help, and
                # the note says the same
                if error.code != "E633":
                    raise
                self._inform(f"status of {build.id}, {state}: {error}")
        self._store.update(build, self._now(), told=build.state)

    def _note(self, build: Build) -> None:
        project = self._projects.get(build.project)
        # an older commit's result must not take the place of a newer one's
        newer = self._store.select("project=? AND number=? AND id>?", build.project, build.number, build.id)
        if project is not None and not newer:
            if build.state == "gated":
                text = wording.gate_note(build)
            else:
                base = changes.baseline(self._connect_jenkins(), project.baseline) if project.baseline else None
                url, tests = self._url(build, project), self._tests(build, project)
                text = changes.note(build.commit, build.target, build.result or "", url, tests, base)
            self._connect_gitlab().note(build.gitlab, build.number, text)
        self._store.update(build, self._now(), noted=build.state)


@contextlib.contextmanager
def _unless_forgotten() -> Iterator[None]:
    try:
        yield
    except SeatrialError as error:
        if error.code not in _FORGOTTEN:
            raise


def _event(found: Mapping[str, Any]) -> str:
    return next(
        (str(parameter.get("value")) for action in found.get("actions") or [] for parameter in
         (action or {}).get("parameters") or [] if parameter.get("name") == "SEATRIAL_EVENT"), "",
    )  # fmt: skip

"""A merge request told how a build of it ended: by the job that built it, where no receiver stands in between."""

from __future__ import annotations

import re
from dataclasses import dataclass

from seatrial.ci import builds, changes
from seatrial.ci.gitlab import GitLab
from seatrial.ci.jenkins import Controller
from seatrial.errors import SeatrialError

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True)
class Request:
    """A commit of a merge request; `project` is the one that it goes into, by path or number."""

    project: str
    number: int
    commit: str

    @classmethod
    def of(cls, project: str, number: str, commit: str) -> Request:
        """Read what a job was given; raises `SeatrialError` E626 when it is no merge request."""
        if not project or not re.fullmatch(r"[1-9]\d{0,15}", number) or not _COMMIT.fullmatch(commit):
            raise SeatrialError(
                "E626", "nothing was built for a merge request",
                f"project {project!r}, merge request {number!r}, commit {commit!r}",
                "a job that was started by hand has none: let GitLab start it",
            )  # fmt: skip
        return cls(project, int(number), commit)


def beside(job: str, other: str) -> str:
    """Return the full name of a job that stands in the folder of another one, unless it has folders itself, or none."""
    folder = job.rpartition("/")[0]
    return f"{folder}/{other}" if folder and other and "/" not in other else other


def tell(
    controller: Controller, gitlab: GitLab, job: str, build: int, request: Request, patience: builds.Patience, *,
    baseline: str = "", context: str = "seatrial",
) -> list[str]:  # fmt: skip
    """Set the commit's status and write the note, as a build ended; return what was done, in words.

    The note is left alone where the merge request has another commit by now. `baseline` is the job whose last build is
    compared with. Raises `SeatrialError` E618 when the build does not end.
    """
    found = builds.await_end(controller, job, build, patience)
    result, url = str(found["result"]), str(found["url"])
    report = controller.test_report(job, build)
    state, words = changes.ended(result, report)
    done = []
    try:
        changed = gitlab.status(
            request.project, request.commit, state, request=request.number, name=context, url=url, text=words
        )
        done.append(f"status {context} of {request.commit[:12]}: {state}" + ("" if changed else ", as it was"))
    except SeatrialError as error:
        if error.code != "E633":
            raise
        done.append(f"no status: {error.cause}")  # its source branch is gone, and the commit with it
    head, target = gitlab.head(request.project, request.number)
    if head != request.commit:
        return [*done, f"no note: !{request.number} is at {head[:12]} by now"]
    base = None
    if baseline:
        base = _baseline(controller, baseline)
        if base is None:
            done.append(f"nothing to compare with: no build of {baseline} has ended with tests")
    text = changes.note(request.commit, target, result, url, report, base)
    done.append(f"note on !{request.number}: {gitlab.note(request.project, request.number, text)}")
    return done


def _baseline(controller: Controller, job: str) -> changes.Report | None:
    try:
        return changes.baseline(controller, job)
    except SeatrialError as error:
        if error.code != "E604":
            raise
        return None

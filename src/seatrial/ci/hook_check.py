"""Whether a job's hook works: only a queued build proves it.

The GitLab plugin answers 200 to jobs that have no trigger, and to pipelines whose trigger was never
registered, whatever the token. So a wrong token must be refused, and the right one must queue a build, which
is then taken away again: that build and no other, told by the event's commit and number, which nobody else has.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seatrial.ci.jenkins import Controller, job_path
from seatrial.errors import SeatrialError

_LARGEST = 2**31 - 1  # the plugin reads numbers of merge requests as Java's int


def sample(branch: str, url: str) -> dict[str, Any]:
    """Return a merge request event as GitLab sends it, of a commit and a number that there are not."""
    project = {
        "id": 1, "name": "seatrial", "description": "", "web_url": url, "avatar_url": None, "git_ssh_url": url,
        "git_http_url": url, "namespace": "seatrial", "visibility_level": 0, "path_with_namespace": "seatrial/check",
        "default_branch": branch, "homepage": url, "url": url, "ssh_url": url, "http_url": url,
    }  # fmt: skip
    commit = {
        "id": secrets.token_hex(20), "message": "check of the hook", "title": "check of the hook",
        "timestamp": "2026-01-01T00:00:00+00:00", "url": url,
        "author": {"name": "seatrial", "email": "seatrial@localhost"},
    }  # fmt: skip
    return {
        "object_kind": "merge_request", "event_type": "merge_request",
        "user": {"id": 1, "name": "seatrial", "username": "seatrial", "avatar_url": None, "email": ""},
        "project": project,
        "repository": {"name": "seatrial", "url": url, "description": "", "homepage": url},
        "object_attributes": {
            "id": 1, "iid": 2**30 + secrets.randbelow(_LARGEST - 2**30), "target_branch": branch,
            "source_branch": branch, "source_project_id": 1, "target_project_id": 1, "author_id": 1,
            "assignee_ids": [], "assignee_id": None, "reviewer_ids": [], "title": "Check of the hook",
            "description": "", "state": "opened", "draft": False, "work_in_progress": False,
            "merge_status": "unchecked", "detailed_merge_status": "mergeable", "url": url,
            "created_at": "2026-01-01 00:00:00 UTC", "updated_at": "2026-01-01 00:00:00 UTC", "source": project,
            "target": project, "last_commit": commit, "action": "open",
        },
        "labels": [], "changes": {}, "assignees": [], "reviewers": [],
    }  # fmt: skip


def _headers(token: str) -> dict[str, str]:
    return {
        "Content-Type": "application/json", "X-Gitlab-Event": "Merge Request Hook", "X-Gitlab-Token": token,
        "User-Agent": "seatrial",
    }  # fmt: skip


def verify(
    controller: Controller, job: str, token: str, *, branch: str = "main", url: str = "http://localhost/check.git",
    payload: Path | None = None, seconds: float = 15.0, keep: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> str:  # fmt: skip
    """Send a hook and return what it queued, in words; raises `SeatrialError` E620 when it does not work."""
    body = payload.read_bytes() if payload else json.dumps(sample(branch, url)).encode()
    event = _Event.of(body)
    there, before = {int(item["id"]) for item in _queued(controller, job)}, _last(controller, job)
    status = controller.post_hook(job, body, _headers(secrets.token_hex(16)))
    if status == 200:
        raise _failure(
            job, "it takes any token, and then does nothing, or builds for everyone",
            "does the job have a GitLab trigger with a secret token? A pipeline that declares its trigger must have "
            "run once",
        )  # fmt: skip
    if status != 401:
        raise _failure(job, f"it answers {status} to a token that is wrong, not 401", _HINTS.get(status, ""))
    tell("a wrong token is refused (401)")
    status = controller.post_hook(job, body, _headers(token))
    if status != 200:
        raise _failure(job, f"it answers {status}", _HINTS.get(status, "the controller's log says why"))
    tell("the token is taken (200)")
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for item in _queued(controller, job):
            number = int(item["id"])
            if number not in there and event.caused(item):
                if not keep:
                    controller.cancel(number)
                return f"queue item {number}" + ("" if keep else ", cancelled again")
        for number in _newer(controller, job, before):
            if event.caused(controller.build(job, number)):
                if not keep:
                    controller.stop(job, number)
                return f"build #{number}" + ("" if keep else ", aborted again")
        time.sleep(0.3)
    raise _failure(
        job, f"it answered 200 and queued nothing within {seconds:.0f} s",
        "is the job enabled, does its trigger react to merge requests, and does it take the branch " + branch + "?",
    )


_HINTS = {
    401: "the token is another one than the job's: set it again with `seatrial jenkins apply --hook-token-file`",
    404: "there is no such job for a hook, or the GitLab plugin is not installed",
    403: "the endpoint is closed to those without a login: give the job's trigger a secret token",
    500: "the plugin could not read the event; the controller's log says why",
}  # fmt: skip


def _failure(job: str, cause: str, hint: str) -> SeatrialError:
    return SeatrialError("E620", f"the hook of {job} does not work", cause, hint)


@dataclass(frozen=True)
class _Event:
    """What an event is known by again: its commit, and the number that the plugin names in a build's cause."""

    commit: str
    number: int

    @classmethod
    def of(cls, body: bytes) -> _Event:
        try:
            found = json.loads(body)["object_attributes"]
            return cls(str(found["last_commit"]["id"]), int(found["iid"]))
        except (ValueError, KeyError, TypeError) as error:
            raise SeatrialError(
                "E656", "the event cannot be used", "it names no commit and no number of a merge request",
                "take one that GitLab sent, or none: the one that is made up will do",
            ) from error  # fmt: skip

    def caused(self, found: Mapping[str, Any]) -> bool:
        """Whether a queue item or a build was queued by this event."""
        actions = json.dumps(found.get("actions") or [])
        return self.commit in actions or re.search(rf"Merge Request #{self.number}\b", actions) is not None


def _queued(controller: Controller, job: str) -> list[dict[str, Any]]:
    name = job.rpartition("/")[2]
    return [
        item for item in controller.queue() if (item.get("task") or {}).get("name") == name
        and str(item["task"].get("url", "")).rstrip("/").endswith(job_path(job))
    ]  # fmt: skip


def _newer(controller: Controller, job: str, before: int) -> list[int]:
    return [number for build in controller.builds(job) if (number := int(build["number"])) > before]


def _last(controller: Controller, job: str) -> int:
    return max(_newer(controller, job, 0), default=0)

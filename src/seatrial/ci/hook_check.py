"""Whether a job's hook works: only a queued build proves it.

The GitLab plugin answers 200 to jobs that have no trigger, and to pipelines whose trigger was never
registered, whatever the token. So a wrong token must be refused, and the right one must queue a build, which
is then taken away again.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from seatrial.ci.jenkins import Controller, job_path
from seatrial.errors import SeatrialError


def sample(branch: str, url: str) -> dict[str, Any]:
    """Return a merge request event as GitLab sends it, of a commit that there is not."""
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
            "id": 1, "iid": 1, "target_branch": branch, "source_branch": branch, "source_project_id": 1,
            "target_project_id": 1, "author_id": 1, "assignee_ids": [], "assignee_id": None, "reviewer_ids": [],
            "title": "Check of the hook", "description": "", "state": "opened", "draft": False,
            "work_in_progress": False, "merge_status": "unchecked", "detailed_merge_status": "mergeable", "url": url,
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
    before = _last(controller, job)
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
        if (item := _queued(controller, job)) is not None:
            if not keep:
                controller.cancel(item)
            return f"queue item {item}" + ("" if keep else ", cancelled again")
        if (number := _last(controller, job)) > before:
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


def _queued(controller: Controller, job: str) -> int | None:
    name = job.rpartition("/")[2]
    for item in controller.queue():
        task = item.get("task") or {}
        if task.get("name") == name and str(task.get("url", "")).rstrip("/").endswith(job_path(job)):
            return int(item["id"])
    return None


def _last(controller: Controller, job: str) -> int:
    return max((int(build["number"]) for build in controller.builds(job)), default=0)

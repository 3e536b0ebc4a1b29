"""What an event asks for. Payloads are others' words: every field may be missing, null, or of another type."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seatrial.ci.hook.config import Project

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_BRANCH = re.compile(r"(?!-|/|.*(?:\.\.|//|@\{|/$|\.lock$))[^\s~^:?*\[\\\x00-\x20\x7f]{1,200}")
_GATE = re.compile(r"(?m)^\s*seatrial ok ([0-9a-f]{40}|[0-9a-f]{64})\s*$")
_AGAIN = re.compile(r"(?m)^\s*seatrial again\s*$")
_SKIP = ("[ci skip]", "[skip ci]", "[ci-skip]")


@dataclass(frozen=True)
class Asked:
    """What is to be done: build, close (end what runs), gate (let a commit through), again, or ignore, and why.

    `fork` tells that the commit comes from another project, `moved` that the source branch has just come to it;
    `author` is who wrote a comment, `note` its number.
    """

    what: str
    why: str = ""
    number: int = 0
    commit: str = ""
    target: str = ""
    project: int = 0
    url: str = ""
    fork: bool = True
    moved: bool = False
    author: int = 0
    note: int = 0


def asked(project: Project, kind: str, payload: Any) -> Asked:
    """Read an event of a kind (GitLab's X-Gitlab-Event). Raises nothing, whatever the payload."""
    if not isinstance(payload, dict):
        return Asked("ignore", "it is no object")
    path = _map(payload.get("project")).get("path_with_namespace")
    if path != project.path:
        return Asked("ignore", "it is about another project")
    if kind == "Merge Request Hook":
        return _merge_request(payload)
    if kind == "Note Hook":
        return _note(payload)
    return Asked("ignore", "such events are not used")


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**53 else 0


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _merge_request(payload: Mapping[str, Any]) -> Asked:
    found = _map(payload.get("object_attributes"))
    number = _number(found.get("iid"))
    project = _number(found.get("target_project_id"))
    if not number or not project or project != _number(_map(payload.get("project")).get("id")):
        return Asked("ignore", "it names no merge request of this project")
    state, action = _text(found.get("state")), _text(found.get("action"))
    if action in ("close", "merge") or state in ("closed", "merged", "locked"):
        return Asked("close", state or action, number, project=project)
    if action not in ("open", "reopen", "update"):
        return Asked("ignore", "it changes nothing that is built")
    if found.get("draft") is True or found.get("work_in_progress") is True:
        return Asked("ignore", "it is a draft")
    last = _map(found.get("last_commit"))
    commit = _text(last.get("id"))
    if not _COMMIT.fullmatch(commit):
        return Asked("ignore", "it has no commit")
    words = f"{_text(last.get('message'))} {_text(found.get('title'))}".lower()
    if any(mark in words for mark in _SKIP):
        return Asked("ignore", "its commit asks to be skipped")
    target = _text(found.get("target_branch"))
    if not _BRANCH.fullmatch(target):
        return Asked("ignore", "it names no branch to go into")
    # a source that is gone, or not told, is treated as foreign
    fork = _number(found.get("source_project_id")) != project
    # GitLab names the commit that the branch was at where, and only where, it was pushed to
    moved = bool(_COMMIT.fullmatch(_text(found.get("oldrev")))) and found.get("oldrev") != commit
    return Asked("build", action, number, commit, target, project, _text(found.get("url"))[:500], fork, moved)


def _note(payload: Mapping[str, Any]) -> Asked:
    found, request = _map(payload.get("object_attributes")), _map(payload.get("merge_request"))
    number, author = _number(request.get("iid")), _number(found.get("author_id"))
    note = _number(found.get("id"))
    project = _number(request.get("target_project_id"))
    if not number or not author or not note or found.get("noteable_type") != "MergeRequest":
        return Asked("ignore", "it is no comment on a merge request")
    if project != _number(_map(payload.get("project")).get("id")):
        return Asked("ignore", "it names no merge request of this project")
    if _text(found.get("action")) == "update":
        return Asked("ignore", "it is an edited comment")
    text = _text(found.get("note"))
    if match := _GATE.search(text):
        return Asked("gate", "", number, match[1], project=project, author=author, note=note)
    if _AGAIN.search(text):
        return Asked("again", "", number, project=project, author=author, note=note)
    return Asked("ignore", "it asks for nothing")

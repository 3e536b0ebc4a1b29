"""Events as GitLab's documentation describes them, and a way to send them into an application without a socket."""

import asyncio
import base64
import hashlib
import hmac
import json

COMMIT = "ce007f8a1cb331367a4a6a8bc413ae26d6238a04"


def project(number=1, path="up/seatrial", name="Awesome Project"):
    url = f"http://gitlab.example.org/{path}"
    return {
        "id": number, "name": name, "description": "", "web_url": url, "avatar_url": None,
        "git_ssh_url": f"git@gitlab.example.org:{path}.git", "git_http_url": f"{url}.git", "namespace": "Up",
        "visibility_level": 0, "path_with_namespace": path, "default_branch": "main", "homepage": url, "url": url,
    }  # fmt: skip


def merge_request(commit=COMMIT, number=1, action="open", source=2, target_branch="main", state="opened", **more):
    """A merge request event; `source` is the project that it comes from (1: the same one)."""
    attributes = {
        "id": 99, "iid": number, "target_branch": target_branch, "source_branch": "feature",
        "source_project_id": source, "target_project_id": 1, "author_id": 51, "assignee_ids": [], "assignee_id": None,
        "reviewer_ids": [], "title": "Add feature", "created_at": "2026-11-23 12:00:00 UTC",
        "updated_at": "2026-11-23 12:00:00 UTC", "state": state, "state_id": 1, "merge_status": "unchecked",
        "detailed_merge_status": "not_open", "description": "d", "draft": False, "work_in_progress": False,
        "url": f"http://gitlab.example.org/up/seatrial/-/merge_requests/{number}",
        "source": project(source, "fork/seatrial"), "target": project(),
        "last_commit": {
            "id": commit, "message": "feature", "title": "feature", "timestamp": "2026-11-23T12:00:00+00:00",
            "url": "http://x", "author": {"name": "dev", "email": "a@b"},
        },
        "action": action, "blocking_discussions_resolved": True, "first_contribution": False, **more,
    }  # fmt: skip
    return {
        "object_kind": "merge_request", "event_type": "merge_request",
        "user": {"id": 51, "name": "A Dev", "username": "dev", "avatar_url": None, "email": "y@x"},
        "project": project(), "repository": {"name": "seatrial", "url": "", "description": "", "homepage": ""},
        "object_attributes": attributes, "labels": [], "changes": {}, "assignees": [], "reviewers": [],
    }  # fmt: skip


def note(text, author=5, number=1, note=1000, **more):
    """A comment on a merge request."""
    return {
        "object_kind": "note", "event_type": "note",
        "user": {"id": author, "name": "M", "username": "m", "avatar_url": None, "email": ""}, "project_id": 1,
        "project": project(), "repository": {"name": "seatrial"},
        "object_attributes": {"id": note, "note": text, "noteable_type": "MergeRequest", "author_id": author,
                              "action": "create", "url": "http://x", **more},
        "merge_request": {"id": 99, "iid": number, "target_project_id": 1, "source_project_id": 2, "state": "opened",
                          "last_commit": {"id": COMMIT}},
    }  # fmt: skip


def signed(key, body, moment, identity="msg_1"):
    """The headers of a signed delivery."""
    mac = hmac.new(key, f"{identity}.{moment}.".encode() + body, hashlib.sha256).digest()
    return {"webhook-id": identity, "webhook-timestamp": str(moment),
            "webhook-signature": f"v1,{base64.b64encode(mac).decode()}"}  # fmt: skip


async def call(app, path, body=b"", method="POST", headers=None, pieces=None):
    """Send a request and return (status, JSON or text)."""
    raw = [(key.lower().encode(), str(value).encode()) for key, value in (headers or {}).items()]
    if pieces is None:
        raw.append((b"content-length", str(len(body)).encode()))
        pieces = [body]
    parts = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces[:-1]]
    parts.append({"type": "http.request", "body": pieces[-1], "more_body": False})
    sent = []

    async def receive():
        return parts.pop(0) if parts else await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": raw,
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "state": {},
    }  # fmt: skip
    await app(scope, receive, send)
    text = b"".join(message.get("body", b"") for message in sent[1:]).decode()
    return sent[0]["status"], json.loads(text) if text.startswith(("{", "[")) else text

"""A GitLab: python-gitlab behind timeouts and errors that tell what to do. Hooks, statuses, one note."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gitlab
import requests

from seatrial.errors import SeatrialError

STATES = ("pending", "running", "success", "failed", "canceled")
MARK = "<!-- seatrial -->"
_TIMEOUT = 20.0
_LONGEST_NOTE = 900_000  # GitLab takes a million characters
# Events that a hook of ours is for; all others are off, because a receiver that refuses them is switched off.
_EVENTS = {
    "merge_requests_events": True, "note_events": True, "push_events": False, "tag_push_events": False,
    "issues_events": False, "confidential_issues_events": False, "confidential_note_events": False,
    "job_events": False, "pipeline_events": False, "wiki_page_events": False, "deployment_events": False,
    "releases_events": False,
}  # fmt: skip


class GitLab:
    """One GitLab, with the rights of one token. Projects are named by path (`up/seatrial`) or by number."""

    def __init__(self, url: str, token: str, *, timeout: float = _TIMEOUT, ca: Path | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise SeatrialError("E636", f"{url!r} is no address of a GitLab", hint="as https://gitlab.example.org")
        self.url = url.rstrip("/")
        self._api = gitlab.Gitlab(
            self.url, private_token=token, timeout=timeout, ssl_verify=str(ca) if ca else True, keep_base_url=True
        )

    @contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        try:
            yield
        except gitlab.GitlabError as error:
            status = error.response_code
            said = " ".join(str(error.error_message).split())[:200]
            if status in (401, 403):
                raise SeatrialError(
                    "E632", f"GitLab refuses {what}", f"{status}: {said}",
                    "the token needs the scope api, and its user a role in that project (hooks: Maintainer)",
                ) from error  # fmt: skip
            if status == 404:
                raise SeatrialError(
                    "E633", f"GitLab does not know {what}", f"404: {said}",
                    "check the name; what the token may not see does not exist either",
                ) from error  # fmt: skip
            raise SeatrialError(
                "E634", f"GitLab cannot do {what}", f"{status or 'no status'}: {said}", "the cause is in GitLab's words"
            ) from error
        except requests.RequestException as error:
            raise SeatrialError(
                "E631", f"no answer from GitLab at {self.url}", type(error).__name__,
                "is it up, and is this its address?",
            ) from error  # fmt: skip

    def _project(self, project: str | int) -> Any:
        return self._api.projects.get(project, lazy=True)

    def hooks(self, project: str | int, url: str) -> list[Any]:
        """Return the hooks of a project that call an address."""
        with self._asking(f"the hooks of {project}"):
            return [hook for hook in self._project(project).hooks.list(iterator=True) if hook.url == url]

    def install_hook(
        self, project: str | int, url: str, *, token: str = "", signing_token: str = "", comments: bool = True,
        verify: bool = True,
    ) -> str:  # fmt: skip
        """Make, or set right, the one hook that calls an address; return what was done: created, updated.

        A token is written each time: GitLab does not tell which one a hook has.
        """
        wanted = {**_EVENTS, "note_events": comments, "url": url, "enable_ssl_verification": verify}
        wanted |= {name: value for name, value in (("token", token), ("signing_token", signing_token)) if value}
        found = self.hooks(project, url)
        with self._asking(f"a hook in {project}"):
            if not found:
                self._project(project).hooks.create(wanted)
                return "created"
            for name, value in wanted.items():
                setattr(found[0], name, value)
            found[0].save()
            for double in found[1:]:
                double.delete()
        return "updated" + (f", {len(found) - 1} doubles removed" if found[1:] else "")

    def test_hook(self, project: str | int, url: str) -> None:
        """Let GitLab send a merge request event; raises `SeatrialError` E635 when there is no such hook."""
        found = self.hooks(project, url)
        if not found:
            raise SeatrialError(
                "E635", f"{project} has no hook that calls {url}", hint="`seatrial gitlab hook install` makes it"
            )
        with self._asking("a test of the hook (it needs a merge request, and an answer that is no error)"):
            found[0].test("merge_requests_events")

    def remove_hook(self, project: str | int, url: str) -> int:
        """Remove the hooks that call an address and return how many there were."""
        found = self.hooks(project, url)
        with self._asking(f"the end of a hook in {project}"):
            for hook in found:
                hook.delete()
        return len(found)

    def status(
        self, project: str | int, commit: str, state: str, *, request: int = 0, name: str = "seatrial", url: str = "",
        text: str = "",
    ) -> bool:  # fmt: skip
        """Set the status of a commit; False when it has that status already.

        The project is the one that the merge request goes into: it knows the commit by refs/merge-requests, also
        where the fork is closed to us. `request` is the merge request's number: without that reference GitLab looks
        for a branch that contains the commit, and answers 404 where only a fork has one.
        """
        ref = f"refs/merge-requests/{request}/head" if request else ""
        data = {"state": state, "name": name, "target_url": url, "description": text[:255], "ref": ref}
        with self._asking(f"a status for {commit[:12]} in {project}"):
            try:
                where = self._project(project).commits.get(commit, lazy=True)
                where.statuses.create({key: value for key, value in data.items() if value})
            except gitlab.GitlabCreateError as error:
                if error.response_code == 400 and "Cannot transition status" in str(error.error_message):
                    return False  # the same state again
                raise
        return True

    def note(self, project: str | int, number: int, text: str) -> str:
        """Write the one note of ours on a merge request, or edit it; return what was done: created, updated, same.

        Ours is the one that carries the mark and that our own user wrote: anyone can write a mark.
        """
        body = f"{MARK}\n{defused(text)[:_LONGEST_NOTE]}"
        with self._asking(f"a note on !{number} of {project}"):
            if self._api.user is None:
                self._api.auth()
            me = getattr(self._api.user, "id", None)
            notes = self._project(project).mergerequests.get(number, lazy=True).notes
            for note in notes.list(iterator=True, sort="asc", order_by="created_at"):
                if MARK in note.body and note.author["id"] == me:
                    if note.body.strip() == body.strip():
                        return "same"
                    note.body = body
                    note.save()
                    return "updated"
            notes.create({"body": body})
        return "created"

    def head(self, project: str | int, number: int) -> tuple[str, str]:
        """Return the commit that a merge request is at, and the branch that it goes into."""
        with self._asking(f"the merge request !{number} of {project}"):
            found = self._project(project).mergerequests.get(number)
            return str(found.sha), str(found.target_branch)

    def access_level(self, project: str | int, user: int) -> int:
        """Return a user's access level in a project, inherited ones too: 30 Developer, 40 Maintainer; 0 for none."""
        try:
            with self._asking(f"the member {user} of {project}"):
                return int(self._project(project).members_all.get(user).access_level)
        except SeatrialError as error:
            if error.code == "E633":
                return 0
            raise


def defused(text: str) -> str:
    """Return Markdown whose lines are no quick actions and whose words mention nobody.

    GitLab carries out a line such as /merge with the rights of the note's author, which here is the bot.
    """
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    plain = re.sub(r"(?m)^(\s*)/(?=[a-zA-Z])", r"\1\\/", plain)
    return re.sub(r"(?<![\w`\\])@(?=\w)", "@\u200b", plain)

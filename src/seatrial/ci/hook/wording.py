"""What a merge request is told of a build before it has ended: words for the status, the request for a maintainer."""

from __future__ import annotations

from seatrial.ci import changes
from seatrial.ci.hook.store import Build
from seatrial.report.markdown import code


def state(build: Build) -> tuple[str, str]:
    """Return GitLab's state of a build, and words for it."""
    if build.state == "done":
        return changes.ended(build.result or "")
    return {
        "gated": ("pending", "waits for a maintainer, see the note"),
        "queued": ("pending", "waits for Jenkins"), "launching": ("pending", "waits for Jenkins"),
        "waiting": ("pending", "waits for an agent"), "running": ("running", "runs"),
        "superseded": ("canceled", "a newer commit is tested, or the request is closed"),
        "cancelled": ("canceled", "it was taken out of Jenkins' queue"),
        "refused": ("canceled", "commits from forks are not built here"),
    }[build.state]  # fmt: skip


def gate_note(build: Build) -> str:
    """Ask a maintainer to let one commit through."""
    return (
        f"**Seatrial waits.** Commit {code(build.commit[:12])} comes from another project and would run on this "
        "project's machines. A maintainer who has read it lets exactly this commit through with the comment\n\n"
        f"```\nseatrial ok {build.commit}\n```\n"
    )

"""`seatrial gitlab`: the hook of a project, statuses, and the one note on a merge request."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.commands import tell, verb
from seatrial.errors import Exit, SeatrialError

if TYPE_CHECKING:
    from seatrial.ci.gitlab import GitLab

_GITLAB = """\
GITLAB_URL stands for --gitlab. The token file holds a project access token with the scope api, readable by
you alone.

exit codes: those of its verbs; 4 it cannot be done (error code, cause and hint are printed)
"""
_HOOK = """\
A hook sends merge request and comment events only. It belongs into the project that merge requests go into.

exit codes: those of its verbs
"""
_INSTALL = """\
The same again changes nothing but the token, which GitLab does not show.

examples:
  seatrial gitlab hook install up/seatrial --url http://ci:8080/project/merge_request_test \\
      --gitlab https://gitlab.example.org --token-file api-token --hook-token-file hook-token
  seatrial gitlab hook install up/seatrial --url https://hooks.example.org/project/seatrial \\
      --gitlab https://gitlab.example.org --token-file api-token --signing-token-file signing-token

exit codes: 0 it is there, 4 it cannot be done
"""
_TEST = """\
GitLab sends the event of some merge request of the project. An answer is no proof that anything was queued:
`seatrial jenkins verify-hook` finds that out.

examples:
  seatrial gitlab hook test up/seatrial --url http://ci:8080/project/merge_request_test

exit codes: 0 it was answered, 4 it was not
"""
_REMOVE = """\
examples:
  seatrial gitlab hook remove up/seatrial --url http://ci:8080/project/merge_request_test

exit codes: 0 it is gone, 1 there was none, 4 it cannot be done
"""
_STATUS = """\
examples:
  seatrial gitlab status up/seatrial 9f2c1e... failed --context unit --link http://ci:8080/job/x/7/

exit codes: 0 it is set, 4 it cannot be done
"""
_NOTE = """\
One note for each merge request: the next one takes the place of the last. Lines that GitLab would take for
commands, and mentions, are made harmless.

examples:
  seatrial gitlab note up/seatrial 17 --file reports/latest/report.md

exit codes: 0 it is there, 4 it cannot be done
"""


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verbs."""
    top = verb(verbs, "gitlab", lambda _: _usage(top), "hooks, statuses and notes of a GitLab", _GITLAB)
    inner = top.add_subparsers(title="verbs", metavar="VERB", parser_class=type(top))
    hook = verb(inner, "hook", lambda _: _usage(hook), "install, test or remove a project's hook", _HOOK)
    hooks = hook.add_subparsers(title="verbs", metavar="VERB", parser_class=type(top))
    install = _hook(verb(hooks, "install", run_install, "make a project's hook, or set it right", _INSTALL))
    secret = install.add_mutually_exclusive_group(required=True)
    secret.add_argument("--hook-token-file", metavar="FILE", type=Path, help="the token that it sends (X-Gitlab-Token)")
    secret.add_argument("--signing-token-file", metavar="FILE", type=Path,
                        help="the token that it signs with (GitLab of 2026 on)")  # fmt: skip
    install.add_argument("--no-comments", action="store_true", help="merge request events only")
    install.add_argument("--insecure-target", action="store_true", help="the target's certificate is not checked")
    _hook(verb(hooks, "test", run_test, "let GitLab send an event", _TEST))
    _hook(verb(hooks, "remove", run_remove, "remove a project's hook", _REMOVE))
    status = _asking(verb(inner, "status", run_status, "set the status of a commit", _STATUS))
    status.add_argument("commit", metavar="COMMIT", help="the commit, in full")
    status.add_argument("state", choices=("pending", "running", "success", "failed", "canceled"), help="what it is now")
    status.add_argument("--context", default="seatrial", help="the name of the check (default: seatrial)")
    status.add_argument("--merge-request", metavar="N", type=int, default=0,
                        help="the commit's merge request: needed where only a fork has it on a branch")  # fmt: skip
    status.add_argument("--link", metavar="URL", default="", help="where it leads")
    status.add_argument("--text", default="", help="a few words")
    note = _asking(verb(inner, "note", run_note, "write the one note on a merge request", _NOTE))
    note.add_argument("number", metavar="IID", type=int, help="the merge request's number")
    note.add_argument("--file", metavar="FILE", type=Path, required=True, help="Markdown, as report.md of a run")


def _usage(parser: argparse.ArgumentParser) -> int:
    parser.print_help()
    return Exit.OK


def _asking(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("project", metavar="PROJECT", help="the project that merge requests go into, as up/seatrial")
    parser.add_argument("--gitlab", metavar="URL", help="GitLab's address (GITLAB_URL)")
    parser.add_argument("--token-file", metavar="FILE", type=Path, required=True, help="a file with an access token")
    parser.add_argument("--ca", metavar="FILE", type=Path, help="certificates to trust, in PEM")
    return parser


def _hook(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    _asking(parser).add_argument("--url", required=True, help="the address that the hook calls")
    return parser


def _gitlab(arguments: argparse.Namespace) -> GitLab:
    from seatrial import secret
    from seatrial.ci.gitlab import GitLab

    url = arguments.gitlab or os.environ.get("GITLAB_URL", "")
    if not url:
        raise SeatrialError("E637", "which GitLab?", "neither --gitlab nor GITLAB_URL names one",
                            "--gitlab https://gitlab.example.org")  # fmt: skip
    return GitLab(url, secret.read(arguments.token_file), ca=arguments.ca)


def run_install(arguments: argparse.Namespace) -> int:
    """Make the hook."""
    from seatrial import secret

    signing = arguments.signing_token_file
    done = _gitlab(arguments).install_hook(
        arguments.project, arguments.url,
        token="" if signing else secret.read(arguments.hook_token_file),
        signing_token=secret.read(signing) if signing else "",
        comments=not arguments.no_comments, verify=not arguments.insecure_target,
    )  # fmt: skip
    tell(f"hook of {arguments.project} to {arguments.url}: {done}")
    return Exit.OK


def run_test(arguments: argparse.Namespace) -> int:
    """Let GitLab send an event."""
    _gitlab(arguments).test_hook(arguments.project, arguments.url)
    tell(f"{arguments.url} answered GitLab")
    return Exit.OK


def run_remove(arguments: argparse.Namespace) -> int:
    """Remove the hook."""
    gone = _gitlab(arguments).remove_hook(arguments.project, arguments.url)
    tell(f"hook of {arguments.project} to {arguments.url}: {'removed' if gone else 'there was none'}")
    return Exit.OK if gone else Exit.FAILED


def run_status(arguments: argparse.Namespace) -> int:
    """Set the status."""
    _gitlab(arguments).status(
        arguments.project, arguments.commit, arguments.state, request=arguments.merge_request,
        name=arguments.context, url=arguments.link, text=arguments.text,
    )  # fmt: skip
    tell(f"{arguments.context} of {arguments.commit[:12]}: {arguments.state}")
    return Exit.OK


def run_note(arguments: argparse.Namespace) -> int:
    """Write the note."""
    try:
        text = arguments.file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SeatrialError("E638", f"cannot read the note {arguments.file}", str(error)) from error
    tell(f"note on !{arguments.number}: {_gitlab(arguments).note(arguments.project, arguments.number, text)}")
    return Exit.OK

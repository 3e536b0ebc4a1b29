"""`seatrial jenkins`: a controller set up, a build triggered, its hook and its definitions checked."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.commands import say, tell, verb
from seatrial.errors import Exit, SeatrialError

if TYPE_CHECKING:
    from seatrial.ci.jenkins import Controller

_JENKINS = """\
JENKINS_URL and JENKINS_USER stand for --url and --user. The token file holds an API token (your name in
Jenkins, Security), readable by you alone.

exit codes: those of its verbs; 4 it cannot be done (error code, cause and hint are printed)
"""
_APPLY = """\
Prints a plan with the differences, then carries it out. Once more, it changes nothing. ${SEATRIAL_REPOSITORY}
and the like in the definitions are filled in by --set, or by Jenkins from its own environment; nodes and
multibranch jobs need --set.

examples:
  seatrial jenkins apply --only merge_request_head --hook-token-file hook-token --dry-run
  seatrial jenkins apply --url http://ci:8080 --user admin --token-file token \\
      --hook-token-file hook-token --set SEATRIAL_REPOSITORY=https://gitlab.example.org/up/seatrial.git \\
      --only merge_request_head --only post_merge
  seatrial jenkins apply jenkins --only post_merge --folder team/engines

exit codes: 0 all is as wanted, 1 --dry-run and something would change, 4 it cannot be done
"""
_TRIGGER = """\
examples:
  seatrial jenkins trigger post_merge
  seatrial jenkins trigger team/engines/pipeline --wait --follow --timeout 7200
  seatrial jenkins trigger merge_request_hook -p SEATRIAL_MERGE_REQUEST=7

exit codes: 0 queued, or SUCCESS; 1 UNSTABLE or FAILURE, 2 ABORTED, 5 NOT_BUILT, 4 it cannot be done
"""
_COLLECT = """\
Brings console.txt, build.json, tests.json and the archived files (JUnit, report) below --out.

examples:
  seatrial jenkins collect post_merge 12 --out build/12

exit codes: 0 the build is a SUCCESS, 1 it is not, 2 ABORTED, 5 it published no tests, 4 it cannot be done
"""
_REPORT = """\
Tells a merge request how a build of it ended: the commit's status, and one note with the verdicts that differ
from the last build of the branch that it goes into. Waits for the build's end. The job merge_request_report
calls it, on an agent that runs nothing of a merge request.

examples:
  seatrial jenkins report merge_request_head 12 --gitlab https://gitlab.example.org --gitlab-token-file api-token \\
      --project up/seatrial --merge-request 17 --commit 9f2c1e...

exit codes: 0 it was told, whatever the build's result; 4 it cannot be done
"""
_VERIFY = """\
A hook that answers 200 proves nothing: jobs without a trigger answer so, too. This one sends a wrong token,
which must be refused, and then an event that must queue a build, which is cancelled again.

examples:
  seatrial jenkins verify-hook merge_request_test --hook-token-file hook-token

exit codes: 0 it works, 4 it does not (error code, cause and hint are printed)
"""
_LINT = """\
Asks the running controller: its plugins decide what is valid.

examples:
  seatrial jenkins lint jenkins/Jenkinsfile jenkins/casc/controller.yaml

exit codes: 0 valid, 1 problems are printed, 4 it cannot be asked
"""


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verbs."""
    top = verb(verbs, "jenkins", lambda _: _usage(top), "set a Jenkins up, trigger and collect its builds", _JENKINS)
    inner = top.add_subparsers(title="verbs", metavar="VERB", parser_class=type(top))
    apply = _asking(verb(inner, "apply", run_apply, "give a controller its node, folders and jobs", _APPLY))
    apply.add_argument("directory", metavar="DIR", nargs="?", type=Path, default=Path("jenkins"),
                       help="the definitions (default: jenkins)")  # fmt: skip
    apply.add_argument("--dry-run", action="store_true", help="print the plan and change nothing")
    apply.add_argument("--only", metavar="NAME", action="append", default=[], help="only this job or node; repeatable")
    apply.add_argument("--folder", metavar="PATH", default="", help="the folder of the jobs")
    apply.add_argument("--hook-token-file", metavar="FILE", type=Path, help="the token that GitLab's hook will send")
    apply.add_argument("--set", metavar="NAME=VALUE", action="append", default=[], dest="values",
                       help="a value for ${NAME} in the definitions; repeatable")  # fmt: skip
    trigger = _asking(verb(inner, "trigger", run_trigger, "start a build", _TRIGGER))
    trigger.add_argument("job", metavar="JOB", help="the job, folders before a slash")
    trigger.add_argument("-p", "--parameter", metavar="NAME=VALUE", action="append", default=[], help="repeatable")
    trigger.add_argument("--wait", action="store_true", help="until it has ended; the exit code tells the result")
    trigger.add_argument("--follow", action="store_true", help="print its console (and wait)")
    collect = _asking(verb(inner, "collect", run_collect, "bring what a build has left", _COLLECT))
    collect.add_argument("job", metavar="JOB", help="the job, folders before a slash")
    collect.add_argument("build", metavar="BUILD", type=int, help="the build's number")
    collect.add_argument("--out", metavar="DIR", type=Path, default=Path("build/jenkins"),
                         help="where it goes (default: build/jenkins)")  # fmt: skip
    report = _asking(verb(inner, "report", run_report, "tell a merge request how a build of it ended", _REPORT))
    report.add_argument("job", metavar="JOB", help="the job, folders before a slash")
    report.add_argument("build", metavar="BUILD", type=int, help="the build's number")
    report.add_argument("--gitlab", metavar="URL", required=True, help="GitLab's address")
    report.add_argument("--gitlab-token-file", metavar="FILE", type=Path, required=True,
                        help="a file with a project access token of scope api")  # fmt: skip
    report.add_argument("--gitlab-ca", metavar="FILE", type=Path, help="certificates to trust, in PEM")
    report.add_argument("--project", required=True, help="the project that it goes into: its path or number")
    report.add_argument("--merge-request", metavar="NUMBER", required=True, help="the merge request's number")
    report.add_argument("--commit", metavar="SHA", required=True, help="the commit that was built, in full")
    report.add_argument("--baseline", metavar="JOB", default="post_merge",
                        help="the job beside JOB that it is compared with (default: post_merge)")  # fmt: skip
    report.add_argument("--context", default="seatrial", help="the status's name (default: seatrial)")
    verify = _asking(verb(inner, "verify-hook", run_verify, "find out whether a job's hook queues a build", _VERIFY))
    verify.add_argument("job", metavar="JOB", help="the job, folders before a slash")
    verify.add_argument("--hook-token-file", metavar="FILE", type=Path, required=True,
                        help="the token that GitLab's hook sends")  # fmt: skip
    verify.add_argument("--branch", default="main", help="the target branch of the event (default: main)")
    verify.add_argument("--payload", metavar="FILE", type=Path, help="an event of your own instead")
    verify.add_argument("--keep", action="store_true", help="do not cancel the build that it queues")
    lint = _asking(verb(inner, "lint", run_lint, "check Jenkinsfiles and JCasC files on a controller", _LINT))
    lint.add_argument("files", metavar="FILE", nargs="+", type=Path, help="a Jenkinsfile, or JCasC as *.yaml")


def _usage(parser: argparse.ArgumentParser) -> int:
    parser.print_help()
    return Exit.OK


def _asking(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--url", help="the controller's address (JENKINS_URL)")
    parser.add_argument("--user", help="the user's name (JENKINS_USER)")
    parser.add_argument("--token-file", metavar="FILE", type=Path, help="a file with the user's API token")
    parser.add_argument("--ca", metavar="FILE", type=Path, help="certificates to trust, in PEM")
    parser.add_argument("--timeout", metavar="SECONDS", type=float, default=3600.0,
                        help="how long to wait for a build (default: 3600); one request: at most 30")  # fmt: skip
    return parser


def _controller(arguments: argparse.Namespace) -> Controller:
    """Return the controller that is named, after its first answer; raises `SeatrialError` E621 when none is."""
    from seatrial import secret
    from seatrial.ci.jenkins import TIMEOUT, Controller

    url = arguments.url or os.environ.get("JENKINS_URL", "")
    if not url:
        raise SeatrialError("E621", "which Jenkins?", "neither --url nor JENKINS_URL names one",
                            "--url http://ci.example.org:8080 --user NAME --token-file FILE")  # fmt: skip
    token = secret.read(arguments.token_file) if arguments.token_file else None
    user = arguments.user or os.environ.get("JENKINS_USER")
    controller = Controller(url, user, token, timeout=min(TIMEOUT, arguments.timeout), ca=arguments.ca)
    controller.version()
    return controller


def _pairs(texts: list[str]) -> dict[str, str]:
    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise SeatrialError("E623", f"{text!r} is not NAME=VALUE")
        pairs[name] = value
    return pairs


def run_apply(arguments: argparse.Namespace) -> int:
    """Print the plan, then carry it out."""
    from seatrial import secret
    from seatrial.ci import apply

    wanted = apply.load(arguments.directory, arguments.only, _pairs(arguments.values))
    token = secret.read(arguments.hook_token_file) if arguments.hook_token_file else ""
    steps = apply.plan(_controller(arguments), wanted, folder=arguments.folder, hook_token=token)
    for step in steps:
        tell(str(step))
        for line in step.diff:
            tell(f"         {line}")
    changes = sum(step.changes for step in steps)
    if arguments.dry_run:
        tell(f"{changes} of {len(steps)} would change" if changes else "nothing would change")
        return Exit.FAILED if changes else Exit.OK
    done = apply.carry_out(steps, tell)
    tell(f"{done} of {len(steps)} changed" if done else "nothing to change")
    return Exit.OK


def run_trigger(arguments: argparse.Namespace) -> int:
    """Queue a build; with --wait or --follow, stay with it to its end."""
    from seatrial.ci import builds

    controller = _controller(arguments)
    item = controller.start(arguments.job, _pairs(arguments.parameter))
    if not arguments.wait and not arguments.follow:
        tell(f"{arguments.job}: queue item {item}")
        return Exit.OK
    patience = builds.Patience(arguments.timeout, tell=say)
    number = builds.await_start(controller, item, patience, say)
    say(f"started: {arguments.job} #{number}")
    if arguments.follow:
        for line in builds.follow(controller, arguments.job, number, patience):
            tell(line)
    build = builds.await_end(controller, arguments.job, number, patience)
    say(f"{arguments.job} #{number}: {build['result']} after {build.get('duration', 0) / 1000:.0f} s")
    return builds.exit_code(build["result"])


def run_collect(arguments: argparse.Namespace) -> int:
    """Bring a build's files and print what it found."""
    from seatrial.ci import builds

    found = builds.collect(_controller(arguments), arguments.job, arguments.build, arguments.out)
    for path in found.files:
        tell(str(path))
    counts = ", ".join(f"{count} {word}" for word, count in found.counts.items()) or "no tests were published"
    say(f"{arguments.job} #{arguments.build}: {found.result}; {counts}")
    code = builds.exit_code(found.result)
    return Exit.NOTHING if code == Exit.OK and not sum(found.counts.values()) else code


def run_report(arguments: argparse.Namespace) -> int:
    """Set status and note, and say so."""
    from seatrial import secret
    from seatrial.ci import builds, merge_request
    from seatrial.ci.gitlab import GitLab

    request = merge_request.Request.of(arguments.project, arguments.merge_request, arguments.commit)
    reporter = GitLab(arguments.gitlab, secret.read(arguments.gitlab_token_file), ca=arguments.gitlab_ca)
    controller = _controller(arguments)
    for line in merge_request.tell(
        controller, reporter, arguments.job, arguments.build, request, builds.Patience(arguments.timeout, tell=say),
        baseline=merge_request.beside(arguments.job, arguments.baseline), context=arguments.context,
    ):  # fmt: skip
        tell(line)
    return Exit.OK


def run_verify(arguments: argparse.Namespace) -> int:
    """Send the events and say what they queued."""
    from seatrial import secret
    from seatrial.ci import hook_check

    token = secret.read(arguments.hook_token_file)
    controller = _controller(arguments)
    queued = hook_check.verify(
        controller, arguments.job, token, branch=arguments.branch, payload=arguments.payload, keep=arguments.keep,
        tell=tell,
    )  # fmt: skip
    tell(f"it queued {queued}")
    return Exit.OK


def run_lint(arguments: argparse.Namespace) -> int:
    """Print what the controller has against each file."""
    controller = _controller(arguments)
    code = Exit.OK
    for path in arguments.files:
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SeatrialError("E622", f"cannot read {path}", str(error)) from error
        problems = (controller.check_casc if path.suffix in (".yaml", ".yml") else controller.lint)(text)
        for problem in problems:
            tell(f"{path}: {problem}")
            code = Exit.FAILED
        if not problems:
            tell(f"{path}: valid")
    return code

"""The way without the receiver, whole: GitLab's hook, the job's real steps, the second job's real step, the note.

Docker is a program that writes what the suites would: the containers themselves are tests/selftest/test_flow.py's.
"""

import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from fakes.executor import Agent
from fakes.gitlab import FakeGitLab
from fakes.jenkins import FakeJenkins
from fakes.served import until

from seatrial.ci import apply, builds, merge_request
from seatrial.ci.gitlab import MARK, GitLab
from seatrial.ci.jenkins import Controller
from seatrial.errors import SeatrialError

JENKINS = Path(__file__).parents[2] / "jenkins"
TOKEN = "hook-token-of-16-and-more"
# What stands for a container: the sources are merged, and a file of them says how its tests end.
DOCKER = """#!/bin/sh
case "$*" in *autotest.sh*) ;; *) exit 0 ;; esac
mkdir -p build/junit
{
    echo "<testsuite name='docker'><testcase classname='c' name='always'/>"
    [ "$(cat value)" = good ] || failure='<failure message="no"/>'
    echo "<testcase classname='c' name='value'>$failure</testcase></testsuite>"
} >build/junit/junit-1.xml
[ "$(cat value)" = good ]
"""


def git(directory, *args):
    words = ["git", "-c", "user.name=d", "-c", "user.email=d@e", "-c", "init.defaultBranch=main", *args]
    return subprocess.run(words, cwd=directory, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


class Site:
    """A repository, a GitLab, a Jenkins with two agents, and the definitions of jenkins/ applied to it."""

    def __init__(self, root, folder=""):
        self.root, self.folder = root, folder
        self.upstream, self.work = root / "up.git", root / "work"
        self.gitlab, self.jenkins = FakeGitLab(), FakeJenkins(self._run)
        tools = root / "tools"
        tools.mkdir()
        (tools / "docker").write_text(DOCKER)
        (tools / "docker").chmod(0o755)
        path = {"PATH": f"{tools}:{os.environ['PATH']}", "HOME": str(root)}
        reporting = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(root),
            "SEATRIAL_JENKINS": self.jenkins.url, "SEATRIAL_JENKINS_USER": self.jenkins.user,
        }  # fmt: skip
        tokens = {"gitlab-report": f"{self.gitlab.token}\n", "jenkins-report": f"{self.jenkins.token}\n"}
        self.agents = {
            "seatrial": Agent(root / "agent", path), "seatrial-report": Agent(root / "reporter", reporting, tokens),
        }  # fmt: skip
        self.work.mkdir()
        git(root, "init", "--quiet", "--bare", str(self.upstream))
        git(self.work, "init", "--quiet")
        self.commit("main", "good")

    def _run(self, build):
        self.agents[build.job.root.findtext("assignedNode")](build)

    def commit(self, branch, value, number=0):
        """Push a change, as a merge request when it has a number; return the commit."""
        (self.work / "value").write_text(f"{value}\n")
        git(self.work, "add", "--all")
        git(self.work, "commit", "--quiet", "--allow-empty", "--message", f"{branch} {value}")
        ref = f"refs/merge-requests/{number}/head" if number else f"refs/heads/{branch}"
        git(self.work, "push", "--quiet", "--force", str(self.upstream), f"HEAD:{ref}")
        commit = git(self.work, "rev-parse", "HEAD")
        self.gitlab.commits[1].add(commit)
        if number:
            self.gitlab.heads[1, number] = commit
        return commit

    def __enter__(self):
        self.jenkins.__enter__()
        self.gitlab.__enter__()
        self.client = Controller(self.jenkins.url, self.jenkins.user, self.jenkins.token, timeout=10)
        self.reporter = GitLab(self.gitlab.url, self.gitlab.token, timeout=10)
        names = ["merge_request_head", "merge_request_report", "post_merge"]
        site = {"SEATRIAL_REPOSITORY": str(self.upstream), "SEATRIAL_GITLAB": self.gitlab.url}
        wanted = apply.load(JENKINS, names, site)
        wanted.plugins.clear()
        steps = apply.plan(self.client, wanted, folder=self.folder, hook_token=TOKEN)
        assert apply.carry_out(steps, lambda _: None) == 3 + bool(self.folder)
        return self

    def __exit__(self, *_):
        self.jenkins.__exit__()
        self.gitlab.__exit__()

    def job(self, name):
        return f"{self.folder}/{name}" if self.folder else name

    def ended(self, job, count):
        until(lambda: len(self.jenkins.builds(job)) == count and self.jenkins.builds(job)[-1].ended.is_set())
        return self.jenkins.builds(job)[-1]

    def merged(self, count):
        """The target branch is built, as after a merge."""
        self.client.start(self.job("post_merge"), {})
        return self.ended(self.job("post_merge"), count)

    def open(self, hooks, number, commit, count):
        """GitLab tells of a merge request; return the build of the job that tells it how that ended."""
        head, report = self.job("merge_request_head"), self.job("merge_request_report")
        headers = {"X-Gitlab-Event": "Merge Request Hook", "X-Gitlab-Token": TOKEN}
        body = json.dumps(hooks.merge_request(commit, number)).encode()
        assert self.client.post_hook(head, body, headers) == 200
        self.ended(head, count)
        return self.ended(report, count)

    def note(self, number):
        [note] = self.gitlab.notes[1, number]
        return note["body"]


@pytest.fixture(params=["", "team"], ids=["top", "folder"])
def site(request, tmp_path):
    with Site(tmp_path, request.param) as made:
        yield made


def console(build):
    return bytes(build.console).decode()


def test_a_merge_request_is_told_status_and_changes_in_verdicts(site, hooks):
    assert site.merged(1).result == "SUCCESS"
    good = site.commit("feature", "good", 7)
    told = site.open(hooks, 7, good, 1)
    assert told.result == "SUCCESS", console(told)
    assert site.gitlab.states(good) == ["success"]
    [status] = site.gitlab.statuses
    assert (status["project"], status["name"], status["ref"]) == (1, "seatrial", "refs/merge-requests/7/head")
    assert status["target_url"].endswith("merge_request_head/1/")
    assert site.note(7).startswith(MARK)
    assert "2 passed, 0 failed" in site.note(7)
    assert "No verdict differs from the target branch." in site.note(7)

    bad = site.commit("feature", "bad", 7)
    told = site.open(hooks, 7, bad, 2)
    assert told.result == "SUCCESS", console(told)
    assert site.gitlab.states(bad) == ["failed"]
    assert site.gitlab.statuses[-1]["description"] == "tests failed"
    assert "Newly failing (1):\n\n- `c::value`" in site.note(7), "the same note, edited"

    site.commit("main", "bad")
    assert site.merged(2).result == "FAILURE"
    site.open(hooks, 7, bad, 3)
    assert "Failed before, too (1):\n\n- `c::value`" in site.note(7)


def test_a_token_of_gitlab_is_bound_where_nothing_of_a_merge_request_runs(site):
    jobs = {name.rpartition("/")[2]: job.root for name, job in site.jenkins.jobs.items() if not job.folder}
    assert len(jobs) == 3
    for name, job in jobs.items():
        assert (job.find("buildWrappers/*") is not None) == (name == "merge_request_report")
        assert job.findtext("assignedNode") == ("seatrial-report" if name == "merge_request_report" else "seatrial")
    step = jobs["merge_request_report"].findtext("builders/hudson.tasks.Shell/command")
    assert "docker" not in step
    assert jobs["merge_request_report"].find("scm").get("class") == "hudson.scm.NullSCM"


def test_a_job_started_by_hand_tells_nobody(site):
    site.client.start(site.job("merge_request_report"), {
        "SEATRIAL_JOB": site.job("merge_request_head"), "SEATRIAL_BUILD": "1",
        "SEATRIAL_PROJECT": "${gitlabMergeRequestTargetProjectId}",
        "SEATRIAL_MERGE_REQUEST": "${gitlabMergeRequestIid}",
    })  # fmt: skip
    build = site.ended(site.job("merge_request_report"), 1)
    assert build.result == "FAILURE"
    assert "E626" in console(build)
    assert site.gitlab.requests == []


def test_a_plan_tells_of_a_job_that_others_start_and_that_is_not_there(connect):
    """Jenkins starts what there is and does not speak of the rest: the merge request would never be told."""
    wanted = apply.load(JENKINS, ["merge_request_head"])
    wanted.plugins.clear()
    lacks = [step for step in apply.plan(connect(), wanted, folder="team", hook_token=TOKEN) if step.action == "lacks"]
    assert [str(step) for step in lacks] == ["lacks    job team/merge_request_report, which others start"]
    assert not lacks[0].blocks
    assert not lacks[0].changes
    both = apply.load(JENKINS, ["merge_request_head", "merge_request_report"])
    both.plugins.clear()
    steps = apply.plan(connect(), both, folder="team", hook_token=TOKEN)
    assert [step.action for step in steps] == ["create", "create", "create"]
    apply.carry_out(steps, lambda _: None)
    again = apply.plan(connect(), wanted, folder="team", hook_token=TOKEN)
    assert [step.action for step in again] == ["same", "same"]


class Told:
    """A build that has ended, and what a merge request is told of it."""

    def __init__(self, fake, gitlab, connect):
        self.fake, self.gitlab, self.client = fake, gitlab, connect()
        self.reporter = GitLab(gitlab.url, gitlab.token, timeout=5)
        self.commit = "a" * 40
        gitlab.commits[1].add(self.commit)
        gitlab.heads[1, 7] = self.commit
        fake.add("mr", "<project/>")

    def build(self, result, cases=None):
        def run(build):
            build.result, build.cases = result, cases

        self.fake.run = run
        item = self.fake.queue(self.fake.jobs["mr"], {})
        until(lambda: item.build and item.build.ended.is_set())

    def tell(self, **more):
        request = merge_request.Request.of("1", "7", self.commit)
        number = len(self.fake.builds("mr"))
        return merge_request.tell(
            self.client, self.reporter, "mr", number, request, builds.Patience(2.0, 0.02), **more
        )  # fmt: skip


@pytest.fixture
def told(fake, gitlab, connect):
    return Told(fake, gitlab, connect)


def test_an_older_commits_result_does_not_take_the_place_of_the_note(told):
    told.build("SUCCESS", [("c", "t", "PASSED")])
    told.gitlab.heads[1, 7] = "b" * 40
    lines = told.tell()
    assert told.gitlab.states(told.commit) == ["success"]
    assert told.gitlab.notes == {}
    assert lines[-1] == "no note: !7 is at bbbbbbbbbbbb by now"


def test_a_commit_that_gitlab_no_longer_has_still_gets_the_note(told):
    told.build("ABORTED")
    told.gitlab.commits[1].clear()
    lines = told.tell()
    assert lines[0].startswith("no status: 404")
    assert "the build was aborted" in told.gitlab.notes[1, 7][0]["body"]


@pytest.mark.parametrize("baseline", ["none", "empty"])
def test_without_a_baseline_what_failed_is_told(told, baseline):
    told.fake.add("empty", "<project/>")
    told.build("FAILURE", [("c", "t", "FAILED")])
    lines = told.tell(baseline=baseline)
    assert f"nothing to compare with: no build of {baseline} has ended with tests" in lines
    assert "Failed (1):\n\n- `c::t`" in told.gitlab.notes[1, 7][0]["body"]


def test_a_build_that_does_not_end(told):
    told.fake.run = lambda build: build.aborted.wait(20)
    told.fake.queue(told.fake.jobs["mr"], {})
    until(lambda: told.fake.builds("mr"))
    with pytest.raises(SeatrialError) as error:
        told.tell()
    assert error.value.code == "E618"
    assert told.gitlab.statuses == []


def test_gitlab_that_refuses_is_told(told):
    told.build("SUCCESS")
    told.gitlab.closed.add(1)
    with pytest.raises(SeatrialError) as error:
        told.tell()
    assert error.value.code == "E632"


@pytest.mark.parametrize(
    "values", [("", "7", "a" * 40), ("1", "0", "a" * 40), ("1", "7x", "a" * 40), ("1", "7", "a" * 39), ("1", "", "")]
)
def test_what_is_no_merge_request(values):
    with pytest.raises(SeatrialError) as error:
        merge_request.Request.of(*values)
    assert error.value.code == "E626"


def test_a_job_beside_another():
    assert merge_request.beside("mr", "post_merge") == "post_merge"
    assert merge_request.beside("a/b/mr", "post_merge") == "a/b/post_merge"
    assert merge_request.beside("a/b/mr", "c/post_merge") == "c/post_merge"
    assert merge_request.beside("a/mr", "") == ""


def test_the_pipeline_names_the_same_job_and_values():
    """In the Jenkinsfile and in the freestyle jobs."""
    wanted = ["SEATRIAL_JOB", "SEATRIAL_BUILD", "SEATRIAL_PROJECT", "SEATRIAL_MERGE_REQUEST", "SEATRIAL_COMMIT"]
    report = ET.parse(JENKINS / "jobs/merge_request_report.xml")
    assert [node.findtext("name") for node in report.iter("hudson.model.StringParameterDefinition")] == wanted
    text = (JENKINS / "Jenkinsfile").read_text()
    assert re.findall(r"string\(name: '(SEATRIAL_\w+)'", text) == wanted

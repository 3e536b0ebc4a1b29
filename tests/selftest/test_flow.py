"""From a push in a fork to the note on its merge request: real repositories, the real job, a real container.

Jenkins and GitLab are fakes; the fake Jenkins clones, merges and runs the shell step of the job's own XML.
"""

import asyncio
import json
import os
import shlex
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest
from fakes import hooks
from fakes.executor import Agent
from fakes.gitlab import FakeGitLab
from fakes.jenkins import FakeJenkins

from seatrial.ci import apply
from seatrial.ci.gitlab import GitLab
from seatrial.ci.hook.app import Receiver
from seatrial.ci.hook.config import Config, Project
from seatrial.ci.hook.store import Store
from seatrial.ci.hook.worker import Worker
from seatrial.ci.jenkins import Controller
from seatrial.lab import images
from seatrial.listening import Address
from seatrial.names import BUSYBOX
from seatrial.paths import locked, share_dir, state_dir

ROOT = Path(__file__).parents[2]
TARGET = "docker@bookworm"
TOKEN = "0123456789abcdef"
AUTOTEST = """\
#!/bin/bash
mkdir -p build/junit
case $(cat value) in
good) outcome= code=0 ;;
plant) cp hook .git/hooks/post-checkout; chmod 755 .git/hooks/post-checkout; touch planted; outcome= code=0 ;;
hang) trap '' TERM; echo hanging; sleep 1000 & wait; wait ;;
*) outcome='<failure message="the value is wrong"/>' code=1 ;;
esac
{
    echo '<testsuite name="flow">'
    echo "<testcase classname='flow' name='the value is good'>$outcome</testcase>"
    [ -f base ] && echo "<testcase classname='flow' name='the target is merged'/>"
    echo '</testsuite>'
} >build/junit/junit-1.xml
ln -s /etc/passwd build/leak.xml
exit $code
"""
pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="needs git")


def git(directory, *args):
    identity = ["-c", "user.name=dev", "-c", "user.email=dev@example.org", "-c", "init.defaultBranch=main"]
    ran = subprocess.run(["git", *identity, *args], cwd=directory, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


@pytest.fixture(scope="module")
def engine(leased):
    made = leased(TARGET)
    images.provide(made)
    return made


@pytest.fixture(scope="module")
def image(engine, tmp_path_factory):
    """An image with the bash that the job asks for."""
    name = f"localhost/seatrial/flow:{os.getpid()}"
    place = share_dir() / f"flow-image-{os.getpid()}"
    place.mkdir(parents=True)
    (place / "bash").write_text('#!/bin/sh\nexec sh "$@"\n')
    (place / "bash").chmod(0o755)
    (place / "Dockerfile").write_text(f"FROM {BUSYBOX}\nCOPY bash /bin/bash\n")
    engine.cli("build", "--tag", name, str(place), timeout=120)
    yield name
    engine.cli("rmi", "--force", name)
    shutil.rmtree(place)


class Site:
    """Upstream and fork, GitLab, Jenkins with an agent, the receiver with its worker."""

    def __init__(self, root, engine, image):
        self.root, self.engine = root, engine
        self.upstream, self.fork, self.work = root / "up.git", root / "fork.git", root / "work"
        self.events = hooks
        self.agent = Agent(root / "agent", self._node(image))
        self.jenkins = FakeJenkins(self.agent)
        self.gitlab = FakeGitLab()
        self.gitlab.members[1, 5] = 40
        self._repositories()

    def _node(self, image):
        tools = self.root / "tools"
        tools.mkdir(parents=True)
        entered = shlex.join(self.engine.host.enter(["docker"]))
        environment = self.engine.host.environment
        variables = "".join(f"export {key}={shlex.quote(value)}\n" for key, value in environment.items())
        (tools / "docker").write_text(f'#!/bin/sh\n{variables}exec {entered} "$@"\n')
        (tools / "docker").chmod(0o755)
        return {
            "PATH": f"{tools}:{os.environ['PATH']}", "HOME": str(self.root), "SEATRIAL_IMAGE": image,
            "SEATRIAL_DOCKER_FLAGS": "--cap-drop=NET_RAW", "SEATRIAL_REPOSITORY": str(self.upstream),
        }  # fmt: skip

    def _repositories(self):
        self.work.mkdir()
        git(self.root, "init", "--quiet", "--bare", str(self.upstream))
        git(self.work, "init", "--quiet")
        (self.work / "autotest.sh").write_text(AUTOTEST)
        (self.work / "autotest.sh").chmod(0o755)
        (self.work / "value").write_text("good\n")
        self.first = self.commit("first")
        git(self.work, "push", "--quiet", str(self.upstream), "HEAD:refs/heads/main")
        git(self.root, "clone", "--quiet", "--bare", str(self.upstream), str(self.fork))
        (self.work / "base").write_text("only in the target\n")
        self.commit("second")
        git(self.work, "push", "--quiet", str(self.upstream), "HEAD:refs/heads/main")

    def commit(self, message):
        git(self.work, "add", "--all")
        git(self.work, "commit", "--quiet", "--message", message)
        return git(self.work, "rev-parse", "HEAD")

    def push(self, number, **files):
        """Push a branch to the fork, as a developer does, and let GitLab keep its head; return the commit."""
        git(self.work, "checkout", "--quiet", "--force", "-B", f"feature-{number}", self.first)
        for name, text in files.items():
            (self.work / name).write_text(f"{text}\n")
        commit = self.commit(f"change {number}")
        git(self.work, "push", "--quiet", "--force", str(self.fork), f"HEAD:refs/heads/feature-{number}")
        git(self.upstream, "fetch", "--quiet", str(self.fork),
            f"+refs/heads/feature-{number}:refs/merge-requests/{number}/head")  # fmt: skip
        self.gitlab.commits[1].add(commit)
        return commit

    def __enter__(self):
        self.jenkins.__enter__()
        self.gitlab.__enter__()
        self.client = Controller(self.jenkins.url, self.jenkins.user, self.jenkins.token, timeout=10)
        wanted = apply.load(ROOT / "jenkins", ["merge_request_hook"], {"SEATRIAL_REPOSITORY": str(self.upstream)})
        wanted.plugins.clear()
        apply.carry_out(apply.plan(self.client, wanted), lambda _: None)
        project = Project("seatrial", "up/seatrial", "merge_request_hook", "", (TOKEN,), (), "gate", 40)
        self.store = Store(self.root / "events.sqlite")
        self.receiver = Receiver(Config(Address(), None, {}, {}, {"seatrial": project}), self.store)
        self.app = self.receiver.app()
        reporter = GitLab(self.gitlab.url, self.gitlab.token, timeout=10)
        self.said = []
        self.worker = Worker(
            {"seatrial": project}, self.store, lambda: self.client, lambda: reporter, tell=self.said.append
        )
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._work)
        self.thread.start()
        return self

    def _work(self):
        while not self.stop.is_set():
            self.worker.step()
            self.receiver.bell.wait(0.1)
            self.receiver.bell.clear()

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
        self.store.close()
        self.jenkins.__exit__()  # aborts what still runs
        for build in self.jenkins.builds("merge_request_hook"):
            assert build.ended.wait(60)
        self.gitlab.__exit__()

    def send(self, kind, payload):
        headers = {"X-Gitlab-Event": kind, "X-Gitlab-Token": TOKEN}
        body = json.dumps(payload).encode()
        status, answer = asyncio.run(self.events.call(self.app, "/project/seatrial", body, headers=headers))
        assert status == 202
        return answer["outcome"]

    def open(self, number, commit, **more):
        """A merge request from the fork is opened, and a maintainer lets its commit through."""
        assert self.send("Merge Request Hook", self.events.merge_request(commit, number, **more)) == "gated"
        self.until(lambda: "seatrial ok" in self.note(number), "the request for a maintainer")
        assert self.jenkins.builds("merge_request_hook")[number:] == []
        comment = self.events.note(f"seatrial ok {commit}", number=number, note=1000 + number)
        assert self.send("Note Hook", comment) == "asked"

    def note(self, number):
        notes = self.gitlab.notes.get((1, number), [])
        assert len(notes) <= 1
        return notes[0]["body"] if notes else ""

    def until(self, holds, what, seconds=90):
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, f"waited in vain for {what}: {self.said}, {self.consoles()}"
            time.sleep(0.1)

    def ended(self, number, commit, state):
        self.until(lambda: self.gitlab.states(commit)[-1:] == [state], f"{state} of !{number}")
        self.until(lambda: "Seatrial:" in self.note(number), f"the note on !{number}")
        return self.note(number)

    def consoles(self):
        return [bytes(build.console).decode()[-1500:] for build in self.jenkins.builds("merge_request_hook")]

    def containers(self):
        return self.engine.cli("ps", "--all", "--quiet", "--filter", "label=seatrial.build").lines


@pytest.fixture(scope="module")
def site(engine, image):
    root = share_dir() / f"flow-{os.getpid()}"
    # jobs name containers after themselves, so two controllers cannot share an engine
    with locked(state_dir() / "locks" / "flow.lock"):
        with Site(root, engine, image) as made:
            yield made
        assert made.containers() == []
    shutil.rmtree(root)


def build_of(site, commit):
    [found] = [b for b in site.jenkins.builds("merge_request_hook") if b.parameters["SEATRIAL_COMMIT"] == commit]
    return found


def test_a_good_change(site):
    commit = site.push(1, value="good", added="by the change")
    site.open(1, commit)
    text = site.ended(1, commit, "success")
    assert "2 passed, 0 failed" in text
    build = build_of(site, commit)
    assert ("flow", "the target is merged", "PASSED") in build.cases
    assert "build/junit/junit-1.xml" in build.artifacts
    assert "build/leak.xml" not in build.artifacts, "a link leads out of the workspace"
    console = bytes(build.console).decode()
    assert "./autotest.sh" in console
    assert f"Checking out Revision {commit}" in console
    assert site.gitlab.states(commit)[0] == "pending"
    assert {status["project"] for status in site.gitlab.statuses} == {1}


def test_a_failing_change(site):
    commit = site.push(2, value="bad")
    site.open(2, commit)
    text = site.ended(2, commit, "failed")
    assert "1 passed, 1 failed" in text
    assert "`flow::the value is good`" in text


def test_a_conflict_with_the_target(site):
    commit = site.push(3, base="the change has another one")
    site.open(3, commit)
    text = site.ended(3, commit, "failed")
    assert "No tests were published" in text
    assert "CONFLICT" in bytes(build_of(site, commit).console).decode() or "stderr" in site.consoles()[-1]
    assert "./autotest.sh" not in bytes(build_of(site, commit).console).decode()


def test_an_aborted_build_leaves_no_container(site):
    commit = site.push(4, value="hang")
    site.open(4, commit)
    site.until(lambda: site.containers(), "the container")
    build = build_of(site, commit)
    site.client.stop("merge_request_hook", build.number)
    text = site.ended(4, commit, "canceled")
    assert "aborted" in text
    assert build.result == "ABORTED"
    assert site.containers() == []


def test_a_newer_commit_ends_the_older_build(site):
    old = site.push(5, value="hang")
    site.open(5, old)
    site.until(lambda: site.containers(), "the container")
    new = site.push(5, value="good", added="by the newer one")
    assert site.send("Merge Request Hook", site.events.merge_request(new, 5, action="update", oldrev=old)) == "gated"
    site.until(lambda: site.gitlab.states(old)[-1:] == ["canceled"], "the end of the older one")
    assert build_of(site, old).ended.wait(60)
    assert build_of(site, old).result == "ABORTED"
    assert site.send("Note Hook", site.events.note(f"seatrial ok {new}", number=5, note=2000)) == "asked"
    assert "2 passed" in site.ended(5, new, "success")


def test_a_source_branch_that_is_gone(site):
    """GitLab keeps the head of the request; neither the fork nor its branch is needed."""
    commit = site.push(6, value="good", added="and then deleted")
    git(site.fork, "branch", "--quiet", "-D", "feature-6")
    site.fork.rename(site.root / "gone.git")
    try:
        site.open(6, commit, source=None)
        assert "2 passed" in site.ended(6, commit, "success")
    finally:
        (site.root / "gone.git").rename(site.fork)


def hook_that_touches(marker):
    return f"#!/bin/sh\ntouch {marker}"


def test_what_a_build_puts_into_git_does_not_outlive_it(site):
    """The container may write the checkout's .git, and a git outside would run what stands there."""
    workspace, marker = site.agent.workspace("merge_request_hook"), site.root / "escaped"
    commit = site.push(7, value="plant", hook=hook_that_touches(marker))
    site.open(7, commit)
    site.ended(7, commit, "success")
    assert (workspace / "planted").exists(), "the build ran elsewhere"
    assert not (workspace / ".git").exists()
    commit = site.push(8, value="good", added="after it")
    site.open(8, commit)
    assert "2 passed" in site.ended(8, commit, "success")
    assert not marker.exists()


def test_what_an_agent_that_was_lost_left_behind_is_not_obeyed(site):
    """The build was cut off before it could clean: the next one begins with an empty workspace."""
    workspace, marker = site.agent.workspace("merge_request_hook"), site.root / "escaped-too"
    workspace.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(workspace / ".git", ignore_errors=True)
    git(workspace, "init", "--quiet")
    hook = workspace / ".git/hooks/post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(hook_that_touches(marker) + "\n")
    hook.chmod(0o755)
    (workspace / "left").touch()
    commit = site.push(9, value="good", added="after that")
    site.open(9, commit)
    assert "2 passed" in site.ended(9, commit, "success")
    assert not (workspace / "left").exists()
    assert not marker.exists()

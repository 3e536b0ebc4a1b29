"""What a Jenkins agent does for a freestyle job, by the job's own XML: clone, merge, shell step, publishers."""

import itertools
import os
import re
import shutil
import signal
import string
import subprocess
import threading
import xml.etree.ElementTree as ET
from pathlib import Path

MERGE = "scm/extensions/hudson.plugins.git.extensions.impl.PreBuildMerge/options/"
WIPE = "scm/extensions/hudson.plugins.git.extensions.impl.WipeWorkspace"
CLEAN = "scm/extensions/hudson.plugins.git.extensions.impl.CleanBeforeCheckout"
JUNIT = "publishers/hudson.tasks.junit.JUnitResultArchiver"
BINDING = (
    "buildWrappers/org.jenkinsci.plugins.credentialsbinding.impl.SecretBuildWrapper/bindings/"
    "org.jenkinsci.plugins.credentialsbinding.impl.FileBinding"
)
REMOTES = "scm/userRemoteConfigs/hudson.plugins.git.UserRemoteConfig"


class StepError(Exception):
    """A step ended in failure."""


class Agent:
    """Executes builds below a directory; `environment` is the node's, `credentials` are files that jobs may bind.

    A job's workspace stays for its next build, as on a real agent; builds at the same time get NAME@2 and so on.
    """

    def __init__(self, root, environment, credentials=None):
        self.root, self.environment, self.credentials = Path(root), environment, credentials or {}
        self.processes = {}
        self._lock, self._taken = threading.Lock(), set()

    def __call__(self, build):
        workspace = self._take(build.job.name)
        try:
            self._build(build, workspace)
        finally:
            with self._lock:
                self._taken.discard(workspace)

    def workspace(self, name, turn=1):
        """The directory of a job's builds; `turn` is above one for those that run beside another."""
        return self.root / (name.replace("/", "_") + (f"@{turn}" if turn > 1 else ""))

    def _take(self, name):
        with self._lock:
            free = next(place for turn in itertools.count(1)
                        if (place := self.workspace(name, turn)) not in self._taken)  # fmt: skip
            self._taken.add(free)
        free.mkdir(parents=True, exist_ok=True)
        return free

    def _build(self, build, workspace):
        job = build.job.root
        env = {
            **self.environment, **build.parameters, "JOB_NAME": build.job.name, "BUILD_NUMBER": str(build.number),
            "BUILD_ID": str(build.number), "BUILD_TAG": f"jenkins-{build.job.name}-{build.number}",
            "WORKSPACE": str(workspace), **build.item.environment,
        }  # fmt: skip
        build.environment = env
        bound = self._bound(job)
        build.write(f"Building remotely on seatrial-1 (seatrial docker) in workspace {workspace}\n")
        result = "SUCCESS"
        try:
            self._sources(build, job, workspace, env)
            for step in job.findall("builders/hudson.tasks.Shell/command"):
                self._shell(build, step.text, workspace, {**env, **bound})
        except StepError as error:
            build.write(f"{error}\n")
            result = "ABORTED" if build.aborted.is_set() else "FAILURE"
        self._publish(build, job, workspace)
        if result == "SUCCESS" and any(state == "FAILED" for _, _, state in build.cases or []):
            result = "UNSTABLE"
        if job.find(JUNIT) is not None and build.cases is None and result == "SUCCESS":
            build.write("None of the test reports contained any result\n")
            result = "FAILURE"
        build.write(f"Finished: {result}\n")
        build.result = result

    def _bound(self, job):
        """Credentials as files that the build's user alone reads: variable -> path."""
        paths = {}
        for binding in job.findall(BINDING):
            path = self.root / f"credential-{binding.findtext('credentialsId')}"
            path.unlink(missing_ok=True)
            path.write_text(self.credentials[binding.findtext("credentialsId")])
            path.chmod(0o400)
            paths[binding.findtext("variable")] = str(path)
        return paths

    def _git(self, build, workspace, *args):
        build.write(f" > git {' '.join(args)} # timeout=10\n")
        ran = subprocess.run(["git", *args], cwd=workspace, capture_output=True, text=True, timeout=60)
        if ran.returncode:
            raise StepError(f"stderr: {ran.stderr.strip()}")
        return ran.stdout.strip()

    def _sources(self, build, job, workspace, env):
        if job.find("scm").get("class") == "hudson.scm.NullSCM":
            return

        def expand(text):
            return string.Template(text).safe_substitute(env)

        if job.find(WIPE) is not None:
            build.write("Wiping out workspace first.\n")
            for entry in workspace.iterdir():
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
                else:
                    entry.unlink()
        if not (workspace / ".git").exists():
            self._git(build, workspace, "init", "--quiet")
        if job.find(CLEAN) is not None:
            self._git(build, workspace, "clean", "-ffdx")
        for remote in job.findall(REMOTES):
            name = remote.findtext("name")
            self._git(build, workspace, "config", f"remote.{name}.url", expand(remote.findtext("url")))
            self._git(build, workspace, "fetch", "--quiet", name, *remote.findtext("refspec").split())
        branch = expand(job.findtext("scm/branches/hudson.plugins.git.BranchSpec/name"))
        commit = self._git(build, workspace, "rev-parse", "--verify", f"{branch}^{{commit}}")
        build.write(f"Checking out Revision {commit} ({branch})\n")
        if job.find(MERGE.rstrip("/")) is None:
            self._git(build, workspace, "checkout", "--quiet", "--force", commit)
            return
        target = f"{job.findtext(MERGE + 'mergeRemote')}/{expand(job.findtext(MERGE + 'mergeTarget'))}"
        self._git(build, workspace, "checkout", "--quiet", "--force", f"refs/remotes/{target}")
        self._git(build, workspace, "-c", "user.name=jenkins", "-c", "user.email=jenkins@ci", "merge", "--ff", commit)

    def _shell(self, build, text, workspace, env):
        script = self.root / f"step-{build.number}.sh"
        script.write_text(text)
        log = self.root / f"step-{build.number}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                ["/bin/sh", "-xe", str(script)], cwd=workspace, env=env, stdin=subprocess.DEVNULL, stdout=out,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self.processes[build.number] = process
        asked = False
        while process.poll() is None:
            if build.aborted.wait(0.05) and not asked:
                os.killpg(process.pid, signal.SIGTERM)
                asked = True
        build.write(log.read_text("utf-8", "replace"))
        if process.returncode:
            raise StepError("Build step 'Execute shell' marked build as failure")

    def _publish(self, build, job, workspace):
        if job.find(JUNIT) is None:
            return
        pattern = job.findtext(f"{JUNIT}/testResults")
        for path in sorted(workspace.glob(pattern)):
            build.cases = build.cases or []
            for case in ET.parse(path).iter("testcase"):
                state = "FAILED" if case.find("failure") is not None or case.find("error") is not None else "PASSED"
                build.cases.append((case.get("classname"), case.get("name"), state))
        for glob in re.split(r",\s*", job.findtext("publishers/hudson.tasks.ArtifactArchiver/artifacts")):
            for path in sorted(workspace.glob(glob.replace("**", "**/*"))):
                if path.is_file() and not path.is_symlink():
                    build.artifacts[str(path.relative_to(workspace))] = path.read_bytes()

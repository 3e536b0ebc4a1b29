"""The Jenkinsfile: its shape, and what it does when Groovy runs it with steps that are only written down."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from seatrial.ci import apply

JENKINS = Path(__file__).parents[2] / "jenkins"
GROOVY = Path("/usr/share/java/groovy-all.jar")
groovy = pytest.mark.skipif(
    not GROOVY.exists() or not shutil.which("java"), reason="needs Groovy: apt-get install groovy default-jre-headless"
)


def blocks(text):
    """The blocks of a Jenkinsfile: nested (name, arguments, children, own text), strings and comments taken out."""
    text = re.sub(r"'''.*?'''|//[^\n]*", lambda m: "''" if m[0][0] == "'" else "", text, flags=re.DOTALL)
    strings = []

    def keep(match):
        strings.append(match[0][1:-1])
        return f"\x01{len(strings) - 1}\x01"

    text = re.sub(r"'[^'\n]*'|\"[^\"\n]*\"", keep, text)
    root = ("", "", [], [])
    stack, last = [root], 0
    for match in re.finditer(r"([{}])", text):
        before = text[last : match.start()]
        last = match.end()
        if match[1] == "{":
            head = re.search(r"(\w+)\s*(\([^()]*\))?\s*$", before)
            name, arguments = (head[1], head[2] or "") if head else ("", "")
            arguments = re.sub("\x01(\\d+)\x01", lambda m: strings[int(m[1])], arguments)
            stack[-1][3].append(before)
            child = (name, arguments.strip("()"), [], [])
            stack[-1][2].append(child)
            stack.append(child)
        else:
            stack[-1][3].append(before)
            stack.pop()
    assert len(stack) == 1, "braces do not match"
    return root[2]


SECTIONS = {"agent", "options", "parameters", "stages", "post", "environment", "when", "steps", "matrix", "axes",
            "triggers", "tools", "input"}  # fmt: skip


@pytest.fixture(scope="module")
def pipeline():
    [found] = [block for block in blocks((JENKINS / "Jenkinsfile").read_text()) if block[0] == "pipeline"]
    return found


def stages(block):
    """Every stage below a block, with the blocks around it."""

    def walk(node, around):
        for child in node[2]:
            if child[0] == "stage":
                yield child, around
            yield from walk(child, (*around, node))

    return list(walk(block, ()))


def names(block):
    return [child[0] for child in block[2]]


def test_the_stages_come_in_the_order_of_the_flow(pipeline):
    [section] = [child for child in pipeline[2] if child[0] == "stages"]
    assert [stage[1] for stage in section[2]] == ["check", "unit", "integration", "system"]
    assert set(names(pipeline)) <= SECTIONS
    assert "agent none" in "".join(pipeline[3])


def test_each_stage_has_one_body_an_agent_and_a_time(pipeline):
    found = stages(pipeline)
    assert len(found) == 5
    for stage, around in found:
        assert set(names(stage)) <= SECTIONS
        assert sum(names(stage).count(body) for body in ("steps", "stages", "matrix", "parallel")) == 1, stage[1]
        if "steps" in names(stage):
            assert "agent" in names(stage) or any("agent" in names(outer) for outer in around[-2:]), stage[1]
            [options] = [child for child in stage[2] if child[0] == "options"]
            assert "timeout(" in "".join(options[3]), stage[1]


def test_each_stage_cleans_and_publishes(pipeline):
    text = (JENKINS / "Jenkinsfile").read_text()
    assert text.count("leaveNothing(") == 1 + 4
    assert text.count("deleteDir()") >= 4
    assert text.count("publish(true)") == 3
    assert "followSymlinks: false" in text
    assert "skipOldReports: true" in text


def test_nothing_of_a_merge_request_reaches_a_shell():
    text = (JENKINS / "Jenkinsfile").read_text()
    scripts = re.findall(r"script: (''')(.*?)'''", text, re.DOTALL)
    assert len(scripts) == 2
    assert "\"\"\"" not in text, "an interpolated script"
    rest = re.sub(r"'''.*?'''", "'''", text, flags=re.DOTALL)
    calls = [line.strip() for line in rest.splitlines() if re.match(r"\s*(sh|bat|powershell)\b", line)]
    assert calls == ["sh label: cell, script: '''", "sh label: 'clean', script: '''"]
    assert all("gitlab" not in script for _, script in scripts)
    for _, script in scripts:
        assert subprocess.run(["sh", "-n"], input=script, text=True, timeout=10).returncode == 0


def test_only_steps_of_plugins_that_are_listed(pipeline):
    text = (JENKINS / "Jenkinsfile").read_text()
    text = re.sub(r"'''.*?'''|//[^\n]*|'[^'\n]*'|\"[^\"\n]*\"", "", text, flags=re.DOTALL)
    steps = set(re.findall(r"\b([a-z]\w+)\s*\(", text))
    steps |= set(re.findall(r"^\s+([a-z]\w+) (?=\w+:)", text, re.MULTILINE))
    own = {"sources", "contained", "leaveNothing", "publish"}
    known = {
        "git": {"checkout", "scmGit"}, "junit": {"junit"},
        "gitlab-plugin": {"gitLabConnection", "gitlabBuilds", "gitlabCommitStatus", "updateGitlabCommitStatus"},
        "workflow-aggregator": {
            "archiveArtifacts", "build", "buildDiscarder", "catchError", "containsValue", "contains", "deleteDir",
            "disableConcurrentBuilds", "logRotator", "sh", "skipDefaultCheckout", "stage", "stash", "string", "timeout",
            "toString", "tokenize", "unstash", "withEnv",
        },
    }  # fmt: skip
    listed = set(apply._plugins(JENKINS / "plugins.txt"))
    assert set(known) <= listed
    assert steps - own - set().union(*known.values()) - {"if"} == set()
    assert len(steps) > 20


def run_groovy(script, *arguments):
    """Run a script by the very version of Groovy that Jenkins carries."""
    argv = ["java", "-cp", str(GROOVY), "groovy.ui.GroovyMain", str(script), *map(str, arguments)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=240)


@groovy
def test_the_jenkinsfile_is_groovy(tmp_path):
    script = tmp_path / "parse.groovy"
    script.write_text(
        "import org.codehaus.groovy.control.*\ndef unit = new CompilationUnit()\nunit.addSource(new File(args[0]))\n"
        "unit.compile(Phases.CANONICALIZATION)\n"
    )
    good = run_groovy(script, JENKINS / "Jenkinsfile")
    assert good.returncode == 0, good.stderr
    (tmp_path / "Bad").write_text((JENKINS / "Jenkinsfile").read_text().replace("pipeline {", "pipeline {{"))
    assert run_groovy(script, tmp_path / "Bad").returncode != 0


class Ran:
    """What a run of the Jenkinsfile did: (step, arguments, cell) in order."""

    def __init__(self, answer):
        found = json.loads(answer.splitlines()[-1])
        self.result, self.log = found["result"], found["log"]

    def calls(self, name):
        return [arguments for step, arguments, _ in self.log if step == name]

    def option(self, name):
        [arguments] = [given for option, given in self.calls("option") if option == name]
        return arguments

    def containers(self):
        return [cell for step, arguments, cell in self.log if step == "sh" and arguments[0]["label"] != "clean"]


JOB = {"userRemoteConfigs": [{"url": "https://gitlab.example.org/up/seatrial.git", "credentialsId": "gitlab-clone"}]}
REQUEST = {
    "gitlabMergeRequestIid": "7", "gitlabTargetBranch": "stable", "gitlabMergeRequestLastCommit": "c" * 40,
    "gitlabMergeRequestTargetProjectId": "3", "JOB_NAME": "team/pipeline", "BUILD_NUMBER": "12",
}  # fmt: skip


@pytest.fixture
def run(tmp_path):
    """A function that runs the Jenkinsfile in an environment; a command that holds `fail` fails."""

    def once(environment, fail="", cells="docker-bookworm podman-trixie"):
        given = tmp_path / "given.json"
        given.write_text(json.dumps(
            {"env": environment, "params": {"CELLS": cells, "FLAGS": "--privileged"}, "scm": JOB, "fail": fail}
        ))  # fmt: skip
        ran = run_groovy(Path(__file__).with_name("jenkinsfile.groovy"), JENKINS / "Jenkinsfile", given)
        assert ran.returncode == 0, ran.stderr
        return Ran(ran.stdout)

    return once


@groovy
def test_a_merge_request_is_merged_into_its_target_from_the_repository_of_the_job(run):
    ran = run({**REQUEST, "SEATRIAL_REPOSITORY": "https://elsewhere.example.org/"})
    [[checkout]] = ran.calls("checkout")
    found = checkout["scmGit"]
    assert found["branches"] == [{"name": "origin/merge-requests/7"}]
    [remote] = found["userRemoteConfigs"]
    assert (remote["url"], remote["credentialsId"]) == (JOB["userRemoteConfigs"][0]["url"], "gitlab-clone")
    assert remote["refspec"].endswith(" +refs/merge-requests/*/head:refs/remotes/origin/merge-requests/*")
    [merge] = [extension["options"] for extension in found["extensions"] if extension["$class"] == "PreBuildMerge"]
    assert merge == {"mergeRemote": "origin", "mergeTarget": "stable", "fastForwardMode": "FF"}
    assert ran.result == "SUCCESS"
    assert ran.containers() == ["check", "unit", "docker-bookworm", "podman-trixie", "system"]


@groovy
@pytest.mark.parametrize("environment", [{}, {"BRANCH_NAME": "feature"}, {"BRANCH_NAME": "feature", **REQUEST}])
def test_without_a_merge_request_the_job_says_what_is_built(run, environment):
    """The branch of a multibranch job, not main: `checkout scm`."""
    ran = run(environment)
    assert ran.calls("checkout") == [[JOB]]
    assert ran.containers()[0] == "check"


@groovy
@pytest.mark.parametrize(
    ("environment", "aborts"),
    [({}, False), (REQUEST, False), ({"BRANCH_NAME": "main", "BRANCH_IS_PRIMARY": "true"}, False),
     ({"BRANCH_NAME": "feature"}, True), ({"BRANCH_NAME": "MR-7", "CHANGE_ID": "7"}, True)],
)  # fmt: skip
def test_a_newer_build_ends_the_older_one_where_a_job_builds_one_branch(run, environment, aborts):
    assert run(environment).option("disableConcurrentBuilds") == [{"abortPrevious": aborts}]


@groovy
def test_a_stage_that_fails_ends_the_build_and_cleans(run):
    ran = run(REQUEST, fail="SEATRIAL_AUTOTEST=unit")
    assert ran.result == "FAILURE"
    assert ran.containers() == ["check", "unit"]
    assert [step for step, _, _ in ran.log][-4:] == ["deleteDir", "script", "catchError", "build"]
    assert [arguments[0]["label"] for arguments in ran.calls("sh")] == ["check", "clean", "unit", "clean"]


@groovy
@pytest.mark.parametrize(("fail", "state"), [("", "success"), ("SEATRIAL_ENGINE=podman", "failed")])
def test_the_status_of_the_matrix_is_that_of_its_cells(run, fail, state):
    ran = run(REQUEST, fail=fail)
    assert ran.calls("updateGitlabCommitStatus") == [[{"name": "integration", "state": state}]]
    assert ran.containers()[2:4] == ["docker-bookworm", "podman-trixie"]


@groovy
def test_cells_that_are_not_wanted_are_not_run_and_none_is_no_success(run):
    ran = run(REQUEST, cells="")
    assert ran.containers() == ["check", "unit", "system"]
    assert ran.calls("updateGitlabCommitStatus") == [[{"name": "integration", "state": "canceled"}]]


@groovy
@pytest.mark.parametrize("fail", ["", "SEATRIAL_AUTOTEST=lint"])
def test_however_it_ends_the_merge_request_is_told(run, fail):
    ran = run(REQUEST, fail=fail)
    [[call]] = ran.calls("build")
    assert (call["job"], call["wait"]) == ("merge_request_report", False)
    assert {value["string"]["name"]: value["string"]["value"] for value in call["parameters"]} == {
        "SEATRIAL_JOB": "team/pipeline", "SEATRIAL_BUILD": "12", "SEATRIAL_PROJECT": "3", "SEATRIAL_MERGE_REQUEST": "7",
        "SEATRIAL_COMMIT": "c" * 40,
    }  # fmt: skip


@groovy
@pytest.mark.parametrize("environment", [{}, {"BRANCH_NAME": "feature", **REQUEST}])
def test_what_is_no_merge_request_of_this_job_is_not_told(run, environment):
    assert run(environment).calls("build") == []

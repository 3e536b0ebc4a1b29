"""What lies in jenkins/: read as far as it can be without a Jenkins."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from seatrial.ci import apply, image
from seatrial.cli import main
from seatrial.commands import image as commands_image
from seatrial.errors import SeatrialError

ROOT = Path(__file__).parents[2]
JENKINS = ROOT / "jenkins"
JOBS = sorted((JENKINS / "jobs").glob("*.xml"))
FREESTYLE = [path for path in JOBS if path.stem not in ("branches", "pipeline", "merge_request_report")]
UNTRIGGERED = ("branches", "merge_request_hook", "merge_request_report")
TRIGGER = ".//com.dabsquared.gitlabjenkins.GitLabPushTrigger"


def root_of(path):
    return ET.fromstring(path.read_text())


def test_jenkins_holds_no_python():
    """An __init__.py there would hide python-jenkins from everything that runs in the checkout."""
    assert [path for path in JENKINS.rglob("*") if path.suffix == ".py"] == []
    found = subprocess.run(
        [sys.executable, "-c", "import jenkins; print(jenkins.__file__)"], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True, timeout=60,
    ).stdout  # fmt: skip
    assert Path(found.strip()).is_relative_to(ROOT / "jenkins") is False
    assert found.strip().endswith("jenkins/__init__.py")


def test_the_jobs_are_there():
    assert [path.stem for path in JOBS] == [
        "branches", "merge_request_head", "merge_request_hook", "merge_request_report", "merge_request_test",
        "pipeline", "post_merge",
    ]  # fmt: skip


def test_the_definitions_can_be_applied():
    values = {
        f"SEATRIAL_{node}_{what}": text for node in ("AGENT", "REPORTER")
        for what, text in (("HOST", node.lower()), ("KEY_TYPE", "ssh-ed25519"), ("KEY", f"key of {node}"))
    }  # fmt: skip
    site = {"SEATRIAL_REPOSITORY": "https://gitlab.example.org/up/seatrial.git", "SEATRIAL_GITLAB": "https://g.example"}
    found = apply.load(JENKINS, values={**values, **site})
    assert len(found.jobs) == 7
    assert list(found.nodes) == ["seatrial-1", "seatrial-report"]
    assert all("${SEATRIAL_" not in xml for xml in found.nodes.values())
    assert "key of AGENT" not in found.nodes["seatrial-report"], "an agent could pass for the other one"
    for name, xml in found.jobs.items():
        assert site["SEATRIAL_GITLAB" if name == "merge_request_report" else "SEATRIAL_REPOSITORY"] in xml
    assert {"git", "gitlab-plugin", "junit", "workflow-aggregator"} <= set(found.plugins)


@pytest.mark.parametrize("path", FREESTYLE, ids=lambda path: path.stem)
def test_freestyle_jobs(path):
    job = root_of(path)
    assert job.tag == "project"
    assert job.findtext("assignedNode") == "seatrial", "an unlabelled job waits for ever where the controller has none"
    assert job.findtext("canRoam") == "false"
    assert job.findtext("concurrentBuild") == ("false" if path.stem == "post_merge" else "true")
    junit = job.find("publishers/hudson.tasks.junit.JUnitResultArchiver")
    assert junit.findtext("testResults") == "build/junit/*.xml"
    assert junit.findtext("skipOldReports") == "true"
    assert junit.findtext("allowEmptyResults") == "false"
    assert job.findtext("publishers/hudson.tasks.ArtifactArchiver/followSymlinks") == "false"
    remotes = job.findall("scm/userRemoteConfigs/hudson.plugins.git.UserRemoteConfig")
    assert [remote.findtext("name") for remote in remotes] == (
        ["origin", "source"] if path.stem == "merge_request_test" else ["origin"]
    )
    merges = job.findall("scm/extensions/hudson.plugins.git.extensions.impl.PreBuildMerge/options")
    assert len(merges) == (0 if path.stem == "post_merge" else 1)
    for merge in merges:
        assert merge.findtext("mergeRemote") == "origin"
        assert merge.findtext("fastForwardMode") == "FF"
        assert merge.findtext("mergeTarget") in ("${gitlabTargetBranch}", "${SEATRIAL_TARGET}")


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.stem)
def test_no_secret_and_no_display_name_of_a_fork_is_in_a_job(path):
    job = root_of(path)
    assert [node.text for node in job.iter("secretToken") if node.text] == []
    assert "gitlabSourceRepoName" not in path.read_text(), "a display name with a space breaks the fetch"
    triggers = job.findall(TRIGGER)
    assert len(triggers) == (0 if path.stem in UNTRIGGERED else 1)
    for trigger in triggers:
        assert trigger.findtext("triggerOnMergeRequest") == ("false" if path.stem == "post_merge" else "true")
        assert trigger.findtext("triggerOnPush") == ("true" if path.stem == "post_merge" else "false")


def command(path):
    return root_of(path).findtext("builders/hudson.tasks.Shell/command")


STEPS = {path.name: path.read_text() for path in sorted((JENKINS / "steps").iterdir())}


@pytest.mark.parametrize("path", [*FREESTYLE, JENKINS / "jobs/merge_request_report.xml"], ids=lambda path: path.stem)
def test_the_shell_step_of_a_job_is_the_one_that_is_kept(path):
    """`jenkins/write-steps` writes it there: change it in jenkins/steps."""
    kept = STEPS["report" if path.stem == "merge_request_report" else "suites"]
    if path.stem == "post_merge":
        kept = kept.replace("set -eu\n", "set -eu\nSEATRIAL_AUTOTEST=full\n", 1)
    assert command(path) == kept


def test_a_changed_step_is_written_into_every_job(tmp_path):
    shutil.copytree(JENKINS, tmp_path / "jenkins", ignore=shutil.ignore_patterns("secrets", "images"))
    place = tmp_path / "jenkins"

    def write():
        subprocess.run([str(place / "write-steps")], check=True, timeout=30)
        return {path.name: path.read_bytes() for path in (place / "jobs").iterdir()}

    assert write() == {path.name: path.read_bytes() for path in JOBS}
    added = "echo 'a & b \\& \\\\ <c>' >&2\n"
    for name in STEPS:
        (place / "steps" / name).write_text(STEPS[name] + added)
    after = write()
    assert set(after) == {path.name for path in JOBS}
    changed = [name for name in after if added in (command(place / "jobs" / name) or "")]
    assert sorted(changed) == [
        "merge_request_head.xml", "merge_request_hook.xml", "merge_request_report.xml", "merge_request_test.xml",
        "post_merge.xml",
    ]  # fmt: skip
    for name in changed:
        assert root_of(place / "jobs" / name).findtext("assignedNode"), "the rest of the job is as it was"


def test_the_shell_step_is_sound_shell():
    text = command(JENKINS / "jobs/merge_request_test.xml")
    assert subprocess.run(["sh", "-n"], input=text, text=True, timeout=10).returncode == 0
    assert "--init" in text
    assert "./autotest.sh" in text
    assert not re.search(r"docker run[^\n]* -(t|ti|it)\b", text), "there is no terminal under Jenkins"
    assert "gitlab" not in text, "what the author of a merge request writes is not for this shell"


@pytest.mark.parametrize("path", FREESTYLE, ids=lambda path: path.stem)
def test_no_git_obeys_what_a_build_left_behind(path):
    """The container may write .git: it is gone after the build, and nothing of it is there at the next checkout."""
    extensions = [extension.tag for extension in root_of(path).find("scm/extensions")]
    assert extensions[0] == "hudson.plugins.git.extensions.impl.WipeWorkspace"
    assert "hudson.plugins.git.extensions.impl.CleanBeforeCheckout" not in extensions, "it runs git in what is there"
    step = command(path)
    clean = step[step.index("clean() {") : step.index("trap clean EXIT")]
    assert 'docker run --rm --network none --volume "$PWD":/w' in clean
    assert '-c "rm -rf /w/.git; ' in clean


@pytest.fixture
def docker(tmp_path):
    """A function that runs a script with a `docker` that writes down how it was called; returns the calls of run."""
    tools, log = tmp_path / "tools", tmp_path / "log"
    tools.mkdir()
    (tools / "docker").write_text(
        f'#!/bin/sh\n[ "$1" = run ] || exit 0\nprintf "%s\\0" "$@" >>{log}\nprintf "\\n" >>{log}\n'
    )
    (tools / "docker").chmod(0o755)

    def run(script, **environment):
        log.unlink(missing_ok=True)
        ran = subprocess.run(
            ["sh"], input=script, text=True, timeout=30, cwd=tmp_path, capture_output=True,
            env={"PATH": f"{tools}:{os.environ['PATH']}", "JOB_NAME": "j", "BUILD_NUMBER": "1", "BUILD_TAG": "t",
                 **environment},
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        return [line.split("\0")[:-1] for line in log.read_text().split("\n")[:-1]]

    return run


def contained_script():
    """The script by which the Jenkinsfile runs a container."""
    return re.findall(r"script: '''(.*?)'''", (JENKINS / "Jenkinsfile").read_text(), re.DOTALL)[0]


@pytest.fixture
def printed_flags(monkeypatch, capsys):
    """What `seatrial image flags` prints where an engine refuses --privileged, and the flags themselves."""

    class Refusing:
        def cli(self, *args, **_):
            return SimpleNamespace(ok="--privileged" not in args, text="", stderr="refused\n")

    monkeypatch.setattr(commands_image, "_engine", lambda _: Refusing())
    assert main(["image", "flags"]) == 0
    return capsys.readouterr().out.strip(), list(image.FLAGS[1])


def test_the_flags_of_an_engine_reach_docker_as_they_are(docker, printed_flags):
    printed, flags = printed_flags
    assert [flag for flag in flags if " " in flag] == ["--device-cgroup-rule=a *:* rwm"]
    first, *_ = docker(command(FREESTYLE[0]), SEATRIAL_DOCKER_FLAGS=printed)
    after = first.index("seatrial.build=t") + 1
    assert first[after : after + len(flags) + 1] == [*flags, "--network"]
    first, *_ = docker(command(FREESTYLE[0]))
    assert first[after : after + 2] == ["--privileged", "--network"]
    names = {"CELL": "c", "IMAGE": "i", "COMMAND": "true"}
    [called] = docker(contained_script(), FLAGS=printed, **names)
    after = called.index("seatrial.build=t") + 1
    assert called[after : after + len(flags) + 1] == [*flags, "--network"]
    [called] = docker(contained_script(), FLAGS="", **names)
    assert called[after] == "--network"


def test_the_jenkinsfile_runs_and_cleans_as_the_shell_step_does(docker):
    """The container's name, label, image and command are each one's own; all else is the same."""
    text = (JENKINS / "Jenkinsfile").read_text()
    contained, cleaned = re.findall(r"script: '''(.*?)'''", text, re.DOTALL)
    ran, after = docker(STEPS["suites"], SEATRIAL_IMAGE="the-image", SEATRIAL_AUTOTEST="x")
    words = {"IMAGE": "the-image", "FLAGS": "--privileged", "COMMAND": "SEATRIAL_AUTOTEST=x ./autotest.sh"}
    [other] = docker(contained, CELL="c", **words)
    own = ["--env", "SEATRIAL_AUTOTEST=x"], ["--env", "SEATRIAL_LABEL=c"]

    def shared(words, extra):
        found = [word for word in words if word not in extra]
        assert len(found) == len(words) - 2, words
        return [word.replace("j-1-c", "j-1").replace("SEATRIAL_AUTOTEST=x ", "") for word in found]

    assert shared(ran, own[0]) == shared(other, own[1])
    assert "--privileged" in ran
    assert docker(cleaned, CELL="c", IMAGE="the-image") == [after]


def test_the_examples_of_flags_take_them_as_they_are(docker, printed_flags):
    """The guide's lines and the command's own example, with a `seatrial` that prints what the real one prints."""
    printed, flags = printed_flags
    guide = re.search(r"^\$ (eval .*)\n\$ (docker run .*)$", (ROOT / "docs/ci.md").read_text(), re.MULTILINE)
    [example] = [line for line in commands_image._FLAGS.splitlines() if "docker run" in line]
    fake = f"seatrial() {{ printf '%s\\n' {shlex.quote(printed)}; }}\n"
    for text in ("\n".join(guide.groups()), example):
        [called] = docker(fake + text)
        assert called[: 3 + len(flags)] == ["run", "--rm", "--init", *flags]


def test_the_node_checks_its_host_key_and_takes_one_build():
    node = root_of(JENKINS / "nodes/seatrial-1.xml")
    strategy = node.find("launcher/sshHostKeyVerificationStrategy")
    assert strategy.get("class").endswith(".ManuallyProvidedKeyVerificationStrategy")
    assert node.findtext("numExecutors") == "1"
    assert "seatrial" in node.findtext("label").split()


def test_plugins_are_pinned_and_have_reasons():
    rows = [line for line in (JENKINS / "plugins.txt").read_text().splitlines() if not line.startswith("#")]
    assert len(rows) >= 5
    for row in rows:
        assert re.fullmatch(r"[a-z-]+:\d[\w.]* +# .{10,}", row), row


def test_the_guides_way_of_a_package_names_all_of_them():
    """Its `sed` takes what the list holds, and nothing else."""
    guide = (ROOT / "docs/ci.md").read_text()
    [expression] = re.findall(r"install-plugin \$\(sed -n '([^']+)' jenkins/plugins.txt\)", guide)
    ran = subprocess.run(
        ["sed", "-n", expression, str(JENKINS / "plugins.txt")], capture_output=True, text=True, check=True, timeout=10
    )
    listed = apply._plugins(JENKINS / "plugins.txt")
    assert ran.stdout.split() == [f"{name}:{version}" for name, version in listed.items()]


def test_the_plugins_of_the_jobs_are_listed():
    """By the packages of the classes that their XML names."""
    packages = {
        "com.dabsquared.gitlabjenkins": "gitlab-plugin", "hudson.plugins.git": "git", "hudson.tasks.junit": "junit",
        "hudson.plugins.parameterizedtrigger": "parameterized-trigger", "jenkins.plugins.git": "git",
        "org.jenkinsci.plugins.credentialsbinding": "workflow-aggregator", "hudson.plugins.sshslaves": "ssh-slaves",
        "org.jenkinsci.plugins.workflow": "workflow-aggregator", "jenkins.branch": "workflow-aggregator",
        "com.cloudbees.hudson.plugins.folder": "workflow-aggregator",
    }  # fmt: skip
    core = ("hudson.model.", "hudson.tasks.", "hudson.scm.", "jenkins.model.", "hudson.slaves.")
    classes = set()
    for path in [*JOBS, *(JENKINS / "nodes").glob("*.xml")]:
        names = {name for node in root_of(path).iter() for name in (node.tag, node.get("class", ""))}
        classes |= {name for name in names if re.match(r"(com|org|hudson|jenkins)\.", name)}
    assert len(classes) > 20
    listed = apply._plugins(JENKINS / "plugins.txt")
    for name in classes:
        owners = {plugin for package, plugin in packages.items() if name.startswith(package)}
        assert owners <= set(listed), name
        assert owners or name.startswith(core), name


CASC = {path.stem: yaml.safe_load(path.read_text()) for path in sorted((JENKINS / "casc").glob("*.yaml"))}


def test_casc():
    assert set(CASC) == {"agent", "controller", "credentials", "gitlab"}
    jenkins = CASC["controller"]["jenkins"]
    assert jenkins["numExecutors"] == 0
    assert jenkins["authorizationStrategy"]["loggedInUsersCanDoAnything"]["allowAnonymousRead"] is False
    assert CASC["controller"]["unclassified"]["location"]["url"]
    nodes = [entry["permanent"] for entry in CASC["agent"]["jenkins"]["nodes"]]
    keys = [node["launcher"]["ssh"]["sshHostKeyVerificationStrategy"] for node in nodes]
    assert [list(strategy) for strategy in keys] == [["manuallyProvidedKeyVerificationStrategy"]] * 2
    assert keys[0] != keys[1]
    assert [node["labelString"].split() for node in nodes] == [["seatrial", "docker"], ["seatrial-report"]]
    [connection] = CASC["gitlab"]["unclassified"]["gitLabConnectionConfig"]["connections"]
    assert connection["ignoreCertificateErrors"] is False
    assert CASC["gitlab"]["unclassified"]["gitLabConnectionConfig"]["useAuthenticatedEndpoint"] is True


def test_casc_files_do_not_contradict_each_other():
    """JCasC joins its files and refuses two values for one place."""
    seen = set()

    def leaves(value, path=()):
        if isinstance(value, dict):
            return [leaf for key, inner in value.items() for leaf in leaves(inner, (*path, key))]
        return [path]

    for document in CASC.values():
        found = set(leaves(document))
        assert found
        assert not seen & found
        seen |= found


def test_secrets_are_references_and_jobs_name_credentials_that_there_are():
    [entry] = CASC["credentials"]["credentials"]["system"]["domainCredentials"]
    values = [value for credential in entry["credentials"] for value in credential.values()]
    ids = {value["id"] for value in values}
    assert ids == {"agent-ssh", "gitlab-clone", "gitlab-api", "gitlab-report", "jenkins-report"}
    secrets = [
        value.get("password") or value.get("apiToken") or value.get("secretBytes")
        or value["privateKeySource"]["directEntry"]["privateKey"] for value in values
    ]  # fmt: skip
    assert all(re.fullmatch(r"\$\{([a-z-]+|readFileBase64:/run/secrets/[a-z-]+)\}", secret) for secret in secrets)
    named = {node.text for path in JOBS for node in root_of(path).iter("credentialsId")}
    assert named == {"gitlab-clone", "gitlab-report", "jenkins-report"}
    assert CASC["agent"]["jenkins"]["nodes"][0]["permanent"]["launcher"]["ssh"]["credentialsId"] in ids
    assert CASC["gitlab"]["unclassified"]["gitLabConnectionConfig"]["connections"][0]["apiTokenId"] in ids


def test_every_secret_of_casc_comes_with_the_compose_file():
    compose = yaml.safe_load((JENKINS / "compose.yaml").read_text())
    casc = "".join(path.read_text() for path in (JENKINS / "casc").glob("*"))
    wanted = set(re.findall(r"\$\{(?:readFileBase64:/run/secrets/)?([a-z][a-z-]+)\}", casc))
    assert len(wanted) == 7
    assert wanted <= set(compose["services"]["controller"]["secrets"])
    assert set(compose["secrets"]) >= set(compose["services"]["controller"]["secrets"])
    variables = re.findall(r"\$\{([A-Z_]+)(?::-[^}]*)?\}", casc)
    assert set(variables) - set(compose["services"]["controller"]["environment"]) == {"SEATRIAL_IMAGE"}
    assert all("docker.sock" not in str(service) for service in compose["services"].values())


@pytest.mark.parametrize(
    ("schema", "path"), [("vendor.compose-spec", "compose.yaml"), ("vendor.gitlab-ci", "gitlab/.gitlab-ci.yml")]
)
def test_by_its_schema(schema, path):
    result = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(JENKINS / path)],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr


def test_gitlab_ci_publishes_junit_always():
    jobs = yaml.safe_load((JENKINS / "gitlab/.gitlab-ci.yml").read_text())
    suites = jobs[".suites"]["artifacts"]
    assert suites["when"] == "always"
    assert suites["reports"]["junit"] == "build/junit/*.xml"
    assert [name for name, job in jobs.items() if isinstance(job, dict) and job.get("extends") == ".suites"] == [
        "unit", "suites", "system",
    ]  # fmt: skip


SCRIPTS = [
    ROOT / "autotest.sh", ROOT / "container/seatrial-engine", ROOT / "container/seatrial-cgroups",
    *(JENKINS / name for name in ("make-secrets", "write-steps", "agent/start", "reporter/start")),
]  # fmt: skip


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_scripts(path):
    shell = "bash" if path.read_text().startswith("#!/bin/bash") else "sh"
    assert subprocess.run([shell, "-n", str(path)], timeout=10).returncode == 0
    assert os.access(path, os.X_OK)


def test_the_agents_docker_starts_again_in_a_container_that_was_stopped():
    lines = (JENKINS / "agent/start").read_text().splitlines()
    [pid] = [number for number, line in enumerate(lines) if line == "rm -f /run/docker.pid"]
    [daemon] = [number for number, line in enumerate(lines) if line.startswith("dockerd ")]
    assert pid < daemon


@pytest.mark.parametrize(
    "path", [JENKINS / "agent/start", ROOT / "container/seatrial-engine"], ids=lambda path: path.name
)
def test_cgroups_are_made_ready_before_an_engine_starts(path):
    """What the script does is tried in a lab with cgroup v2: tests/selftest/test_kernels.py."""
    lines = [line.strip() for line in path.read_text().splitlines()]
    [ready] = [number for number, line in enumerate(lines) if line == "seatrial-cgroups"]
    daemons = [number for number, line in enumerate(lines) if line.endswith("&") and re.match("dockerd|podman", line)]
    assert daemons
    assert ready < min(daemons)


@pytest.mark.parametrize("service", ["controller", "agent", "reporter"])
def test_what_images_copy_is_in_their_context(service):
    found = yaml.safe_load((JENKINS / "compose.yaml").read_text())["services"][service]["build"]
    context = (JENKINS / found["context"]).resolve()
    copied = [
        source for line in (context / found["dockerfile"]).read_text().splitlines() if line.startswith("COPY ")
        for source in line.split()[1:-1]
    ]  # fmt: skip
    assert copied
    taken = [line[1:] for line in (context / ".dockerignore").read_text().split() if line.startswith("!")]
    for source in copied:
        assert (context / source).exists(), source
        assert any(source.startswith(name) for name in taken), source


@pytest.mark.parametrize("context", [ROOT, JENKINS], ids=["root", "jenkins"])
def test_secrets_are_in_no_context(context):
    first, *rest = (context / ".dockerignore").read_text().split()
    assert first == "*"
    assert rest
    assert not {"!jenkins", "!secrets", "!jenkins/secrets", "!images"} & set(rest)


def test_cgroups_of_v1_and_the_machines_own_root_are_left_alone(tmp_path):
    script = ROOT / "container/seatrial-cgroups"
    assert os.access(script, os.X_OK)
    (tmp_path / "cgroup.procs").write_text("1\n")
    for name in ("", "cgroup.controllers"):
        if name:
            (tmp_path / name).write_text("memory\n")
        before = sorted(path.name for path in tmp_path.iterdir())
        assert subprocess.run([str(script), str(tmp_path)], timeout=10).returncode == 0
        assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_the_secrets_that_are_made_are_those_of_the_compose_file(tmp_path):
    if not shutil.which("ssh-keygen"):
        pytest.skip("ssh-keygen is not installed (apt-get install openssh-client)")
    shutil.copy(JENKINS / "make-secrets", tmp_path)
    for _ in range(2):
        before = {path.name: path.read_bytes() for path in tmp_path.glob("secrets/*")}
        subprocess.run([str(tmp_path / "make-secrets")], check=True, timeout=30, capture_output=True)
        after = {path.name: path.read_bytes() for path in tmp_path.glob("secrets/*")}
        assert {**after, **before} == after
    compose = yaml.safe_load((JENKINS / "compose.yaml").read_text())
    files = {Path(secret["file"]).name for secret in compose["secrets"].values()}
    assert len(files) == 10
    assert files <= set(after)
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "secrets").iterdir())


def test_a_multibranch_job_needs_the_address_of_its_repository(connect, fake):
    """Jenkins scans it without a build: nothing in its environment is filled in."""
    wanted = apply.load(JENKINS, ["branches"])
    wanted.plugins.clear()
    with pytest.raises(SeatrialError) as told:
        apply.plan(connect(), wanted)
    assert told.value.code == "E615"
    wanted = apply.load(JENKINS, ["branches"], {"SEATRIAL_REPOSITORY": "https://gitlab.example.org/up/seatrial.git"})
    wanted.plugins.clear()
    assert apply.carry_out(apply.plan(connect(), wanted), lambda _: None) == 1
    job = ET.fromstring(fake.jobs["branches"].xml)
    assert [node.text for node in job.iter("remote")] == ["https://gitlab.example.org/up/seatrial.git"]
    assert job.findtext("factory/scriptPath") == "jenkins/Jenkinsfile"
    assert job.find(".//jenkins.plugins.git.traits.BranchDiscoveryTrait") is not None
    assert "refs/merge-requests" not in fake.jobs["branches"].xml, "a fork would bring its own Jenkinsfile"


def test_a_value_that_no_definition_has_a_place_for():
    with pytest.raises(SeatrialError) as told:
        apply.load(JENKINS, ["post_merge"], {"SEATRIAL_REPOSITRY": "x"})
    assert told.value.code == "E625"
    assert "SEATRIAL_REPOSITORY" in told.value.cause
    apply.load(JENKINS, ["post_merge"], {"SEATRIAL_AGENT_HOST": "a"})

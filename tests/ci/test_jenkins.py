"""The client: what a controller answers, and what goes wrong on the way."""

import json
import socket
import time
from pathlib import Path

import pytest
import requests
from fakes.served import until

from seatrial.ci import apply, builds, hook_check, markup
from seatrial.ci.jenkins import Controller, job_path, plain, unreachable, words
from seatrial.errors import Exit, SeatrialError

RECORDED = json.loads(Path(__file__).with_name("recorded.json").read_text())
PLAIN = "<project><builders><hudson.tasks.Shell><command>true</command></hudson.tasks.Shell></builders></project>"
WITH_PARAMETER = """<?xml version='1.1' encoding='UTF-8'?>
<project><properties><hudson.model.ParametersDefinitionProperty><parameterDefinitions>
<hudson.model.StringParameterDefinition><name>P</name><defaultValue>x</defaultValue>
</hudson.model.StringParameterDefinition></parameterDefinitions></hudson.model.ParametersDefinitionProperty>
</properties></project>"""
TRIGGER = "com.dabsquared.gitlabjenkins.GitLabPushTrigger"
HOOKED = f"<project><triggers><{TRIGGER}><secretToken/></{TRIGGER}></triggers></project>"


def told(call, code):
    with pytest.raises(SeatrialError) as error:
        call()
    assert error.value.code == code, str(error.value)
    assert "Traceback" not in str(error.value)
    return error.value


def quick(tell=lambda _: None, seconds=5.0):
    return builds.Patience(seconds, 0.02, tell)


@pytest.mark.parametrize("exchange", RECORDED, ids=lambda exchange: exchange["name"])
def test_the_fake_answers_as_the_recorded_controller(fake_jenkins, exchange):
    def unstable(build):
        build.cases, build.result = [("c", "t", "PASSED")], "UNSTABLE"
        build.artifacts["reports/r.xml"] = b"<x/>"
        build.write("Finished: UNSTABLE\n")

    with fake_jenkins.FakeJenkins(unstable) as fake:
        fake.add("fx1", WITH_PARAMETER)
        fake.add("hooked", HOOKED.replace("<secretToken/>", "<secretToken>s</secretToken>"))
        if exchange.get("built"):
            item = fake.queue(fake.jobs["fx1"], {})
            quick().ask("a build", lambda: (item.build and item.build.ended.is_set()) or None)
        if exchange.get("waiting"):
            fake.hold = True
            fake.queue(fake.jobs["fx1"], {})
        if "casc" in exchange:
            fake.casc_answer = tuple(exchange["casc"])
        if "lint" in exchange:
            fake.lint_answer = exchange["lint"]
        asked, wanted = exchange["request"], exchange["response"]
        answer = requests.request(
            asked["method"], fake.url + asked["path"], data=asked.get("body"), headers=asked.get("headers"),
            auth=None if exchange.get("anonymous") else (fake.user, fake.token), timeout=5, allow_redirects=False,
        )  # fmt: skip
        assert answer.status_code == wanted["status"]
        for name, value in wanted.get("headers", {}).items():
            assert answer.headers[name].startswith(value), name
        if "keys" in wanted:
            assert set(wanted["keys"]) <= set(answer.json())
        if "text" in wanted:
            assert wanted["text"] in answer.text


def test_credentials_are_sent_with_the_first_request(connect):
    assert connect().version() == "2.516.2"


@pytest.mark.parametrize(("user", "token"), [(None, None), ("admin", "wrong")])
def test_without_the_right_credentials(connect, user, token):
    error = told(connect(user=user, token=token).version, "E602")
    assert "Authentication required" in error.cause


def test_a_password_gets_itself_a_crumb(fake, connect):
    connect(token=fake.password).create_job("j", PLAIN)
    assert "j" in fake.jobs
    assert ("GET", "/crumbIssuer/api/json") in fake.requests


def test_a_crumb_that_is_gone_names_the_api_token(fake, connect):
    client = connect(token=fake.password)
    client.create_job("j", PLAIN)
    fake.crumbs.clear()
    error = told(lambda: client.update_job("j", PLAIN), "E602")
    assert "API token" in error.hint


def test_nobody_listens(connect):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        error = told(connect(url=url).version, "E601")
    assert "refused" in error.cause


@pytest.mark.parametrize(
    ("fault", "code", "word"),
    [("drop", "E601", ""), ("500", "E605", "A problem occurred"), ("starting", "E605", "it is starting"),
     ("html", "E606", "")],
)  # fmt: skip
def test_faults_are_told(fake, connect, fault, code, word):
    fake.add("j", PLAIN)
    client = connect()
    fake.faults = [fault]
    assert word in told(lambda: client.job("j"), code).cause


def test_a_slow_controller_runs_into_the_timeout(fake, connect):
    client = connect(timeout=0.2)
    fake.faults = ["slow"]
    begun = time.monotonic()
    assert "too long" in told(client.version, "E601").cause
    assert time.monotonic() - begun < 1.2


def test_something_else_is_no_jenkins(fake, connect, monkeypatch, fake_jenkins):
    client = connect()
    monkeypatch.setattr(fake_jenkins._Handler, "send_header", lambda self, name, value: (
        None if name == "X-Jenkins" else super(fake_jenkins._Handler, self).send_header(name, value)
    ))
    told(client.version, "E607")


def test_an_untrusted_certificate_is_told():
    error = unreachable("https://ci", requests.exceptions.SSLError("self-signed certificate"))
    assert error.code == "E603"
    assert "--ca" in error.hint


@pytest.mark.parametrize("url", ["ci.example.org", "ftp://ci", "http://user:secret@ci/", "http://"])
def test_addresses_that_are_none(url):
    told(lambda: Controller(url), "E611")


@pytest.mark.parametrize("name", ["", "a//b", "a/../b", "a?b", "a%2fb", "x/*"])
def test_names_that_are_none(name):
    told(lambda: job_path(name), "E609")


def test_names_in_folders():
    assert job_path("team/engine tests/j") == "job/team/job/engine%20tests/job/j"


def test_jobs_in_folders(connect, fake):
    client = connect()
    client.create_folder("team")
    client.create_job("team/j", PLAIN)
    assert client.job("team/j")["fullName"] == "team/j"
    assert client.job_config("team/other") is None
    assert client.job_config("nowhere/j") is None
    told(lambda: client.job("team/other"), "E604")
    told(lambda: client.create_job("team/j", PLAIN), "E606")


def test_start_with_and_without_parameters(connect, fake):
    client = connect()
    fake.add("plain", PLAIN)
    fake.add("asks", WITH_PARAMETER)
    for job, given, seen in (("plain", {}, {}), ("asks", {}, {"P": "x"}), ("asks", {"P": "a b&c"}, {"P": "a b&c"})):
        item = client.start(job, given)
        number = builds.await_start(client, item, quick(), lambda _: None)
        assert fake.builds(job)[number - 1].parameters == seen
    error = told(lambda: client.start("asks", {"Q": "1"}), "E608")
    assert "P" in error.cause


def test_a_build_is_followed_to_its_end(fake_jenkins):
    def slowly(build):
        for piece in ("Started by ", fake_jenkins.NOTE[:9], fake_jenkins.NOTE[9:], "admin\n", "+ true\n", "no newline"):
            build.write(piece)
            time.sleep(0.03)
        build.result = "UNSTABLE"

    with fake_jenkins.FakeJenkins(slowly, quiet=0.05) as fake:
        fake.add("j", PLAIN)
        client = Controller(fake.url, fake.user, fake.token, timeout=5)
        waited = []
        number = builds.await_start(client, client.start("j", {}), quick(), waited.append)
        assert list(builds.follow(client, "j", number, quick())) == ["Started by admin", "+ true", "no newline"]
        build = builds.await_end(client, "j", number, quick())
        assert builds.exit_code(build["result"]) == Exit.FAILED
        assert waited == ["queued: In the quiet period. Expires in 2.6 sec"]


@pytest.mark.parametrize(
    ("result", "code"), [("SUCCESS", 0), ("UNSTABLE", 1), ("FAILURE", 1), ("ABORTED", 2), ("NOT_BUILT", 5), ("?", 1)]
)
def test_results_have_exit_codes(result, code):
    assert builds.exit_code(result) == code


def test_a_cancelled_item_ends_the_wait(fake, connect):
    fake.add("j", PLAIN)
    fake.hold = True
    client = connect()
    item = client.start("j", {})
    client.cancel(item)
    told(lambda: builds.await_start(client, item, quick(), lambda _: None), "E617")


def test_a_build_that_never_starts_runs_into_the_deadline(fake, connect):
    fake.add("j", PLAIN)
    fake.hold = True
    client = connect()
    item = client.start("j", {})
    told(lambda: builds.await_start(client, item, quick(seconds=0.2), lambda _: None), "E618")


def test_an_aborted_build(fake_jenkins):
    with fake_jenkins.FakeJenkins(lambda build: build.aborted.wait(5)) as fake:
        fake.add("j", PLAIN)
        client = Controller(fake.url, fake.user, fake.token, timeout=5)
        number = builds.await_start(client, client.start("j", {}), quick(), lambda _: None)
        client.stop("j", number)
        assert builds.await_end(client, "j", number, quick())["result"] == "ABORTED"


def test_a_restart_of_the_controller_is_waited_out(fake, connect):
    fake.add("j", PLAIN)
    client = connect()
    item = client.start("j", {})
    fake.faults = ["starting", "drop", "500"]
    told_lines = []
    assert builds.await_start(client, item, quick(told_lines.append), lambda _: None) == 1
    assert len(told_lines) == 1
    assert "asking again" in told_lines[0]


def test_refusals_are_not_waited_out(fake, connect):
    fake.add("j", PLAIN)
    client = connect()
    fake.token = "another"
    told(lambda: builds.await_start(client, 15, quick(), lambda _: None), "E602")


def test_collect_brings_console_tests_and_files(fake_jenkins, tmp_path):
    def run(build):
        build.write(f"hello {fake_jenkins.NOTE}world\n")
        build.cases = [("c", "good", "PASSED"), ("c", "bad", "FAILED"), ("c", "none", "SKIPPED")]
        build.artifacts = {"reports/a/junit.xml": b"<testsuite/>", "reports/index.html": b"<p>"}
        build.result = "UNSTABLE"

    with fake_jenkins.FakeJenkins(run) as fake:
        fake.add("j", PLAIN)
        client = Controller(fake.url, fake.user, fake.token, timeout=5)
        builds.await_end(client, "j", builds.await_start(client, client.start("j", {}), quick(), print), quick())
        found = builds.collect(client, "j", 1, tmp_path)
    assert found.result == "UNSTABLE"
    assert found.counts == {"pass": 1, "fail": 1, "skip": 1}
    assert (tmp_path / "console.txt").read_text() == "hello world\n"
    assert (tmp_path / "artifacts/reports/a/junit.xml").read_bytes() == b"<testsuite/>"
    assert set(found.files) == {path for path in tmp_path.rglob("*") if path.is_file()}


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "a/../../b", ""])
def test_collect_refuses_paths_that_lead_out(fake_jenkins, tmp_path, path):
    def run(build):
        build.artifacts, build.result = {path: b"x"}, "SUCCESS"

    with fake_jenkins.FakeJenkins(run) as fake:
        fake.add("j", PLAIN)
        client = Controller(fake.url, fake.user, fake.token, timeout=5)
        builds.await_end(client, "j", builds.await_start(client, client.start("j", {}), quick(), print), quick())
        told(lambda: builds.collect(client, "j", 1, tmp_path / "in"), "E619")
    assert not (tmp_path / "outside").exists()


def test_lint_says_what_the_controller_says(fake, connect):
    client = connect()
    assert client.lint("pipeline {}") == []
    fake.lint_answer = (
        'Errors encountered validating Jenkinsfile:\nWorkflowScript: 1: Missing required section "stages" @ line 1.\n'
    )
    assert client.lint("pipeline {}") == ['WorkflowScript: 1: Missing required section "stages" @ line 1.']
    fake.lint_answer = ""
    assert client.lint("pipeline {}") == ["an empty answer"]
    assert client.check_casc("jenkins: {}") == []
    fake.casc_answer = (400, '[{"line":-1,"message":"Invalid configuration elements: numExec"}]')
    assert client.check_casc("jenkins: {numExec: 1}") == ["Invalid configuration elements: numExec"]
    fake.casc_answer = (404, "<html>Not Found</html>")
    told(lambda: client.check_casc("jenkins: {}"), "E604")


def definitions(root, jobs, nodes=(), plugins=""):
    for kind, documents in (("jobs", jobs), ("nodes", dict(nodes))):
        (root / kind).mkdir(parents=True)
        for name, xml in documents.items():
            (root / kind / f"{name}.xml").write_text(xml)
    (root / "plugins.txt").write_text(plugins)
    return root


NODE = (
    "<slave><remoteFS>/home/jenkins</remoteFS><label>seatrial</label><launcher class='hudson.plugins.sshslaves."
    "SSHLauncher'><host>${SEATRIAL_AGENT_HOST}</host></launcher></slave>"
)


def test_apply_makes_a_plan_first_and_is_idempotent(fake, connect, tmp_path):
    root = definitions(tmp_path, {"a": PLAIN, "h": HOOKED}, {"agent": NODE}, "git:5.2.0  # clones\n")
    wanted = apply.load(root, values={"SEATRIAL_AGENT_HOST": "10.0.0.7 & more"})
    client = connect()
    before = dict(fake.jobs)
    steps = apply.plan(client, wanted, folder="team/ci", hook_token="s3cret")
    assert [str(step) for step in steps] == [
        "same     plugin git 5.10.1", "create   node agent", "create   folder team", "create   folder team/ci",
        "create   job team/ci/a", "create   job team/ci/h",
    ]  # fmt: skip
    assert fake.jobs == before
    assert not any("s3cret" in line for step in steps for line in step.diff)
    assert apply.carry_out(steps, lambda _: None) == 5
    assert "10.0.0.7 &amp; more" in fake.nodes["agent"]
    assert fake.jobs["team/ci/h"].token == "s3cret"
    again = apply.plan(client, wanted, folder="team/ci", hook_token="s3cret")
    assert {step.action for step in again} == {"same"}
    assert apply.carry_out(again, lambda _: None) == 0


def test_apply_shows_what_changes_and_updates(fake, connect, tmp_path):
    fake.add("a", PLAIN.replace("true", "false"))
    fake.nodes["agent"] = NODE.replace("/home/jenkins", "/old").replace("${SEATRIAL_AGENT_HOST}", "h")
    root = definitions(tmp_path, {"a": PLAIN}, {"agent": NODE})
    steps = apply.plan(connect(), apply.load(root, values={"SEATRIAL_AGENT_HOST": "h"}))
    assert [str(step) for step in steps] == ["update   node agent", "update   job a"]
    assert "-  <remoteFS>/old</remoteFS>" in steps[0].diff
    assert "+      <command>true</command>" in steps[1].diff
    assert "-      <command>false</command>" in steps[1].diff
    apply.carry_out(steps, lambda _: None)
    assert fake.jobs["a"].xml == PLAIN


def test_apply_is_blocked_by_missing_and_old_plugins(fake, connect, tmp_path):
    fake.plugins = {"git": "5.2.0", "docker-workflow": "634.vedc7242b_eda_7"}
    root = definitions(tmp_path, {"a": PLAIN}, (), "git:5.10.1\njunit:1369\ndocker-workflow:621.va_73f881d9232\n")
    steps = apply.plan(connect(), apply.load(root))
    assert [step.action for step in steps] == ["old", "missing", "same", "create"]
    error = told(lambda: apply.carry_out(steps, lambda _: None), "E614")
    assert "junit 1369" in error.cause
    assert "git 5.2.0" in error.cause
    assert not fake.jobs


def test_apply_keeps_the_secret_that_is_there(fake, connect, tmp_path):
    fake.add("h", HOOKED.replace("<secretToken/>", "<secretToken>{AQAAABAAAAAQ=}</secretToken>"))
    root = definitions(tmp_path, {"h": HOOKED})
    client = connect()
    assert [step.action for step in apply.plan(client, apply.load(root))] == ["same"]
    changed = apply.plan(client, apply.load(root), hook_token="new")
    assert [step.action for step in changed] == ["update"]
    assert "new" not in "".join(changed[0].diff)
    fake.jobs.clear()
    told(lambda: apply.plan(client, apply.load(root)), "E616")


def test_apply_wants_values_for_nodes(connect, tmp_path):
    root = definitions(tmp_path, {}, {"agent": NODE})
    assert "--set SEATRIAL_AGENT_HOST=" in told(lambda: apply.plan(connect(), apply.load(root)), "E615").hint


@pytest.mark.parametrize(
    ("jobs", "plugins", "only"),
    [({"a": "<project>"}, "", ()), ({"a": "<!DOCTYPE x [<!ENTITY e 'x'>]><project>&e;</project>"}, "", ()),
     ({"a": PLAIN}, "git 5.10.1\n", ()), ({"a": PLAIN}, "", ("b",)), ({}, "", ())],
)  # fmt: skip
def test_definitions_that_cannot_be_used(tmp_path, jobs, plugins, only):
    root = definitions(tmp_path, jobs, (), plugins)
    told(lambda: apply.load(root, only), "E613")


def test_no_definitions_at_all(tmp_path):
    told(lambda: apply.load(tmp_path), "E613")


def test_verify_hook(fake, connect):
    fake.add("team", "<com.cloudbees.hudson.plugins.folder.Folder/>")
    fake.add("team/h", HOOKED.replace("<secretToken/>", "<secretToken>s</secretToken>"))
    fake.hold = True
    said = []
    assert "cancelled again" in hook_check.verify(connect(), "team/h", "s", tell=said.append)
    assert said == ["a wrong token is refused (401)", "the token is taken (200)"]
    assert [item.cancelled for item in fake.items.values()] == [True]


def test_verify_hook_aborts_what_has_begun(fake, connect):
    fake.run = lambda build: build.aborted.wait(5)
    fake.add("h", HOOKED.replace("<secretToken/>", "<secretToken>s</secretToken>"))
    client = connect()
    original, client.queue = client.queue, list
    assert hook_check.verify(client, "h", "s") == "build #1, aborted again"
    assert fake.builds("h")[0].ended.wait(5)
    assert fake.builds("h")[0].result == "ABORTED"
    assert original() == []


@pytest.mark.parametrize("hold", [True, False])
def test_verify_hook_leaves_the_builds_of_others_alone(fake, connect, hold):
    """One waits or runs already, one comes just before the event, and one just after it."""
    job = fake.add("h", HOOKED.replace("<secretToken/>", "<secretToken>s</secretToken>"))
    fake.hold, fake.run = hold, lambda build: build.aborted.wait(5)
    client = connect()
    others = [fake.queue(job, {}, "Triggered by GitLab Merge Request #1")]
    sent = client.post_hook

    def begun():
        until(lambda: hold or all(item.build for item in fake.items.values()))

    def post(name, body, headers):
        if headers["X-Gitlab-Token"] != "s":
            return sent(name, body, headers)
        others.append(fake.queue(job, {}, "Triggered by GitLab Merge Request #2"))
        begun()
        status = sent(name, body, headers)
        begun()
        others.append(fake.queue(job, {}, "Triggered by GitLab Merge Request #3"))
        begun()
        return status

    client.post_hook = post
    begun()
    said = hook_check.verify(client, "h", "s")
    [own] = [item for item in fake.items.values() if item not in others]
    ended = [item.cancelled or bool(item.build and item.build.aborted.is_set()) for item in others]
    assert ended == [False, False, False]
    assert own.cancelled is hold
    assert hold or own.build.aborted.is_set()
    assert said == (f"queue item {own.number}, cancelled again" if hold else "build #3, aborted again")


def test_verify_hook_wants_an_event_that_can_be_known_again(fake, connect, tmp_path):
    fake.add("h", HOOKED.replace("<secretToken/>", "<secretToken>s</secretToken>"))
    (tmp_path / "event").write_text('{"object_attributes": {"iid": 1}}')
    answer = told(lambda: hook_check.verify(connect(), "h", "s", payload=tmp_path / "event"), "E656")
    assert "names no commit" in answer.cause
    assert fake.items == {}


@pytest.mark.parametrize(
    ("xml", "token", "word"),
    [(PLAIN, "s", "any token"), (HOOKED, "s", "any token"),
     (HOOKED.replace("<secretToken/>", "<secretToken>other</secretToken>"), "s", "answers 401"), (None, "s", "404")],
)  # fmt: skip
def test_verify_hook_finds_out(fake, connect, xml, token, word):
    if xml:
        fake.add("h", xml)
    client = connect()
    client.builds = lambda _: []
    assert word in told(lambda: hook_check.verify(client, "h", token, seconds=0.3), "E620").cause


def test_verify_hook_that_answers_200_and_queues_nothing(fake, connect):
    fake.add("h", HOOKED.replace("<secretToken/>", "<secretToken>s</secretToken>"))
    client = connect()
    sent = client.post_hook

    def post(job, body, headers):
        status = sent(job, body, headers)
        fake.keep_nothing = True
        return status

    client.post_hook = post
    assert "queued nothing" in told(lambda: hook_check.verify(client, "h", "s", seconds=0.4), "E620").cause


def test_markup_compares_meaning():
    old = "<?xml version='1.1'?>\n<p plugin='x@1'><a>1</a>\n  <b/></p>"
    assert markup.difference(old, "<p plugin='x@2'><a>1</a><b></b></p>") == []
    assert markup.difference(old, "<p><a>2</a><b/></p>")[-4:-1] == ["-  <a>1</a>", "+  <a>2</a>", "   <b/>"]
    assert markup.difference(old, "<p><a>1</a></p>", subset=True) == []
    assert markup.difference(old, "<p><a>1</a></p>")
    assert markup.difference("<p><apiToken>a</apiToken></p>", "<p><apiToken>b</apiToken></p>") == []


def test_words_of_a_page():
    page = "<html><head><title>t</title></head><body><script>x()</script><h1>Bad</h1> <p>luck</p></body></html>"
    assert words(page) == "Bad luck"
    assert plain("a\r\nb \x1b[8mha:x\ny\x1b[0mc") == "a\nb c"

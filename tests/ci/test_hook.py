"""The receiver: who may, what counts, what is written down, and that nothing is lost or doubled."""

import asyncio
import dataclasses
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
import urllib.request

import pytest

from seatrial.ci.hook import auth, events
from seatrial.ci.hook.app import LARGEST, Receiver
from seatrial.ci.hook.config import Config, Project, load
from seatrial.ci.hook.store import Store
from seatrial.errors import SeatrialError
from seatrial.listening import Address

TOKEN = "0123456789abcdef"
PROJECT = Project("seatrial", "up/seatrial", "merge_request_hook", "", (TOKEN,), (), "gate", 40)
MR = {"X-Gitlab-Event": "Merge Request Hook", "X-Gitlab-Token": TOKEN}
NOTE = {**MR, "X-Gitlab-Event": "Note Hook"}
PATH = "/project/seatrial"


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "hook.sqlite")
    yield made
    made.close()


@pytest.fixture
def receiver(store, tmp_path):
    return make(store)


def make(store, project=PROJECT, now=time.time, alive=lambda: True):
    config = Config(Address("127.0.0.1"), None, {}, {}, {project.name: project})
    return Receiver(config, store, now=now, alive=alive)


@pytest.fixture
def send(receiver, hooks):
    """A function that sends one event and returns status and answer."""
    app = receiver.app()

    def one(payload, headers=MR, path=PATH, **more):
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        return asyncio.run(hooks.call(app, path, body, headers=headers, **more))

    return one


def outcome(answer):
    status, body = answer
    assert status == 202, answer
    return body["outcome"]


def builds(store):
    return [(build.number, build.commit[:4], build.state) for build in store.select("1")]


# Who may ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN + "x", TOKEN[:-1], "\u00e9" * 16])
def test_a_wrong_token_is_refused_before_anything_is_parsed(send, store, token):
    headers = {k: v for k, v in MR.items() if k != "X-Gitlab-Token"}
    if token is not None:
        headers["X-Gitlab-Token"] = token
    status, body = send(b"{ this is no JSON", headers)
    assert (status, body["outcome"]) == (401, "unauthorized")
    assert store.select("1") == []


def test_both_tokens_of_a_rotation_are_taken(store, hooks):
    new = "fedcba9876543210"
    app = make(store, dataclasses.replace(PROJECT, tokens=(TOKEN, new))).app()
    for number, token in enumerate((TOKEN, new), 1):
        body = json.dumps(hooks.merge_request(number=number, source=1)).encode()
        answer = asyncio.run(hooks.call(app, PATH, body, headers={**MR, "X-Gitlab-Token": token}))
        assert outcome(answer) == "queued"


def test_every_secret_is_compared_in_constant_time(monkeypatch):
    seen = []
    original = auth.hmac.compare_digest
    monkeypatch.setattr(auth.hmac, "compare_digest", lambda a, b: seen.append((a, b)) or original(a, b))
    project = dataclasses.replace(PROJECT, tokens=(TOKEN, "fedcba9876543210"))
    assert auth.refusal(project, {"x-gitlab-token": TOKEN}, b"", 0) == ""
    assert [b for _, b in seen] == [TOKEN.encode(), b"fedcba9876543210"]


KEY = b"0123456789abcdef0123456789abcdef"
SIGNING = dataclasses.replace(PROJECT, signing=("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",))


def test_a_signature(hooks):
    body = b'{"a": 1}'
    good = hooks.signed(KEY, body, 1000)
    assert auth.refusal(SIGNING, good, body, 1000.0) == ""
    assert auth.refusal(SIGNING, good, body, 1000.0 + auth.WINDOW) == ""
    assert auth.refusal(SIGNING, good, body, 1000.0 + auth.WINDOW + 1) == "too old"
    assert auth.refusal(SIGNING, good, body, 1000.0 - auth.WINDOW - 1) == "too old"
    assert auth.refusal(SIGNING, good, body + b" ", 1000.0) == "wrong signature"
    assert auth.refusal(SIGNING, {**good, "webhook-id": "other"}, body, 1000.0) == "wrong signature"
    assert auth.refusal(SIGNING, {**good, "webhook-timestamp": "1001"}, body, 1000.0) == "wrong signature"
    several = {**good, "webhook-signature": f"v1,AAAA {good['webhook-signature']}"}
    assert auth.refusal(SIGNING, several, body, 1000.0) == ""
    other = {**good, "webhook-signature": good["webhook-signature"].replace("v1,", "v2,")}
    assert auth.refusal(SIGNING, other, body, 1000.0) == "wrong signature"
    odd = hooks.signed(KEY, body, "nan?")
    assert auth.refusal(SIGNING, odd, body, 1000.0) == "too old"


def test_a_plain_token_does_not_stand_in_for_a_signature():
    assert auth.refusal(SIGNING, {"x-gitlab-token": TOKEN}, b"", 0) == "no signature"


def test_a_signing_key_that_is_no_base64_is_taken_as_it_is(hooks):
    project = dataclasses.replace(PROJECT, signing=("a plain key, 16+",))
    assert auth.refusal(project, hooks.signed(b"a plain key, 16+", b"x", 5), b"x", 5.0) == ""


# What comes in ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("told", [True, False], ids=["by its length", "in pieces"])
def test_a_huge_body_is_not_read(send, store, told):
    if told:
        status, _ = send(b"x" * (LARGEST + 1))
    else:
        status, _ = send(b"", pieces=[b"x" * 300_000] * 4)
    assert status == 413
    assert store.select("1") == []


def test_a_body_of_the_very_limit_is_read(send, hooks):
    payload = json.dumps(hooks.merge_request(source=1)).encode()
    assert outcome(send(payload + b" " * (LARGEST - len(payload)))) == "queued"


def test_a_body_that_never_comes_is_given_up(receiver, hooks, monkeypatch):
    monkeypatch.setattr("seatrial.ci.hook.app.BODY_SECONDS", 0.05)

    async def never():
        async def receive():
            await asyncio.Event().wait()

        sent = []

        async def send(message):
            sent.append(message)

        scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "path": PATH,
                 "raw_path": b"", "query_string": b"", "root_path": "", "headers": [], "scheme": "http",
                 "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "state": {}}  # fmt: skip
        await receiver.app()(scope, receive, send)
        return sent[0]["status"]

    assert asyncio.run(never()) == 408


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json(send, body):
    assert send(body)[0] == 400


@pytest.mark.parametrize(
    ("path", "method", "status"), [("/project/none", "POST", 404), (PATH, "GET", 405), ("/", "POST", 404)]
)
def test_other_addresses(send, path, method, status):
    assert send(b"{}", path=path, method=method)[0] == status


@pytest.mark.parametrize("kind", ["Push Hook", "Wiki Page Hook", "System Hook", ""])
def test_other_events_are_ignored_with_202(send, hooks, kind):
    """A 404 would make GitLab switch the hook off."""
    assert outcome(send(hooks.merge_request(), {**MR, "X-Gitlab-Event": kind})) == "ignored"


def holes(value, path=()):
    """Every place in a payload, deepest last."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from holes(inner, (*path, key))


def changed(payload, path, new):
    copy = json.loads(json.dumps(payload))
    place = copy
    for key in path[:-1]:
        place = place[key]
    if new is holes:
        del place[path[-1]]
    else:
        place[path[-1]] = new
    return copy


@pytest.mark.parametrize(
    "new", [None, holes, [], {}, "", "x" * 300, -1, True, 2**70],
    ids=["null", "missing", "list", "object", "empty", "long", "negative", "true", "huge"],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["Merge Request Hook", "Note Hook"])
def test_any_field_may_be_missing_null_or_odd(hooks, kind, new):
    whole = hooks.merge_request() if kind.startswith("Merge") else hooks.note(f"seatrial ok {hooks.COMMIT}")
    places = list(holes(whole))
    assert len(places) > 20
    answers = {path: events.asked(PROJECT, kind, changed(whole, path, new)) for path in places}
    assert {type(answer) for answer in answers.values()} == {events.Asked}
    for path, answer in answers.items():
        if answer.what == "build":
            assert answer.commit == hooks.COMMIT, path
            assert (answer.number, answer.project) == (1, 1), path


@pytest.mark.parametrize("payload", [None, [], 3, "x", {"project": 1}, {"project": {"path_with_namespace": ["up"]}}])
def test_payloads_that_are_none(payload):
    assert events.asked(PROJECT, "Merge Request Hook", payload).what == "ignore"


@pytest.mark.parametrize(
    ("more", "what", "why"),
    [({}, "build", "open"), ({"action": "reopen"}, "build", "reopen"), ({"action": "update"}, "build", "update"),
     ({"action": "approved"}, "ignore", "changes nothing"), ({"action": "close", "state": "closed"}, "close", "closed"),
     ({"action": "merge", "state": "merged"}, "close", "merged"), ({"state": "locked"}, "close", "locked"),
     ({"draft": True}, "ignore", "draft"), ({"work_in_progress": True}, "ignore", "draft"),
     ({"title": "x [skip ci]"}, "ignore", "skipped"), ({"last_commit": None}, "ignore", "no commit"),
     ({"source": None}, "build", "open"), ({"target_branch": "--upload-pack=x"}, "ignore", "no branch"),
     ({"target_branch": "a b"}, "ignore", "no branch"), ({"target_branch": "a..b"}, "ignore", "no branch"),
     ({"target_branch": "release/1.0"}, "build", "open"), ({"target_project_id": 9}, "ignore", "no merge request")],
)  # fmt: skip
def test_what_a_merge_request_event_asks_for(hooks, more, what, why):
    answer = events.asked(PROJECT, "Merge Request Hook", hooks.merge_request(**more))
    assert answer.what == what
    assert why in answer.why


@pytest.mark.parametrize(("source", "fork"), [(1, False), (2, True), (None, True), ("1", True)])
def test_a_source_that_is_not_told_is_foreign(hooks, source, fork):
    payload = hooks.merge_request()
    payload["object_attributes"]["source_project_id"] = source
    assert events.asked(PROJECT, "Merge Request Hook", payload).fork is fork


@pytest.mark.parametrize(
    ("more", "moved"),
    [({}, False), ({"oldrev": "b" * 40}, True), ({"oldrev": None}, False), ({"oldrev": 7}, False),
     ({"oldrev": ""}, False)],
)  # fmt: skip
def test_only_a_push_moves_a_branch(hooks, more, moved):
    """A label, a title and a reviewer are updates, too, and name the commit that there is."""
    payload = hooks.merge_request(action="update", **more)
    assert events.asked(PROJECT, "Merge Request Hook", payload).moved is moved


@pytest.mark.parametrize(
    ("text", "what"),
    [(f"seatrial ok {'c' * 40}", "gate"), (f"looks good\n  seatrial ok {'c' * 64}\nthanks", "gate"),
     ("seatrial ok", "ignore"), (f"seatrial ok {'c' * 12}", "ignore"), (f"seatrial ok {'c' * 39}", "ignore"),
     (f"seatrial ok {'c' * 41}", "ignore"), (f"seatrial ok {'c' * 65}", "ignore"),
     (f"> seatrial ok {'c' * 40}", "ignore"), (f"please seatrial ok {'c' * 40}", "ignore"),
     ("seatrial again", "again"), ("not seatrial again", "ignore"), ("", "ignore")],
)  # fmt: skip
def test_what_a_comment_asks_for(hooks, text, what):
    assert events.asked(PROJECT, "Note Hook", hooks.note(text)).what == what


def test_an_edited_comment_and_one_elsewhere_ask_for_nothing(hooks):
    text = f"seatrial ok {hooks.COMMIT}"
    assert events.asked(PROJECT, "Note Hook", hooks.note(text, action="update")).what == "ignore"
    assert events.asked(PROJECT, "Note Hook", hooks.note(text, noteable_type="Issue")).what == "ignore"


# What is written down ---------------------------------------------------------------------------------------------


def test_once_is_enough(send, store, hooks):
    event = hooks.merge_request(source=1)
    key = {**MR, "Idempotency-Key": "one"}
    assert outcome(send(event, key)) == "queued"
    assert outcome(send(event, key)) == "duplicate"
    assert outcome(send(event, {**MR, "Idempotency-Key": "two"})) == "known"
    assert outcome(send({**event, "labels": [1]}, {**MR})) == "known"
    assert builds(store) == [(1, "ce00", "queued")]


def test_a_new_commit_supersedes_and_a_closed_request_ends(send, store, hooks):
    send(hooks.merge_request("a" * 40, source=1))
    send(hooks.merge_request("c" * 40, number=2, source=1))
    assert outcome(send(hooks.merge_request("b" * 40, source=1, action="update"))) == "queued"
    assert builds(store) == [(1, "aaaa", "superseded"), (2, "cccc", "queued"), (1, "bbbb", "queued")]
    assert outcome(send(hooks.merge_request("b" * 40, source=1, action="close", state="closed"))) == "closed"
    assert [state for _, _, state in builds(store)] == ["superseded", "queued", "superseded"]
    assert outcome(send(hooks.merge_request("b" * 40, source=1, action="reopen"))) == "queued"


def test_what_jenkins_may_know_of_is_left_to_the_worker(send, store, hooks):
    send(hooks.merge_request("a" * 40, source=1))
    [build] = store.select("1")
    store.update(build, 0.0, state="running", build=3)
    send(hooks.merge_request("b" * 40, source=1))
    assert [(build.state, build.doomed) for build in store.select("1")] == [("running", True), ("queued", False)]


@pytest.mark.parametrize(("forks", "state"), [("gate", "gated"), ("never", "refused"), ("always", "queued")])
def test_commits_of_forks(store, hooks, forks, state):
    app = make(store, dataclasses.replace(PROJECT, forks=forks)).app()
    body = json.dumps(hooks.merge_request()).encode()
    assert outcome(asyncio.run(hooks.call(app, PATH, body, headers=MR))) == state


def test_the_gate_is_bound_to_the_commit(send, store, hooks):
    send(hooks.merge_request("a" * 40))
    assert outcome(send(hooks.note(f"seatrial ok {'a' * 40}"), NOTE)) == "asked"
    send(hooks.merge_request("b" * 40, action="update"))
    [wish] = store.wishes()
    assert store.grant(wish, 1.0, granted=True) == 0, "the commit that was read is not the one that is there"
    assert builds(store) == [(1, "aaaa", "superseded"), (1, "bbbb", "gated")]
    assert outcome(send(hooks.note(f"seatrial ok {'b' * 12}", note=1003), NOTE)) == "ignored"
    send(hooks.note(f"seatrial ok {'b' * 40}", note=1001), NOTE)
    [wish] = store.wishes()
    assert store.grant(wish, 1.0, granted=False) == 0
    assert builds(store)[-1] == (1, "bbbb", "gated")
    # a wish that an older version wrote down with a prefix opens nothing
    store.accept(PROJECT, "old", events.Asked("gate", "", 1, "b" * 12, project=1, author=5, note=1004), 1.0)
    [wish] = store.wishes()
    assert store.grant(wish, 1.0, granted=True) == 0
    assert builds(store)[-1] == (1, "bbbb", "gated")
    send(hooks.note(f"seatrial ok {'b' * 40}", note=1002), NOTE)
    [wish] = store.wishes()
    assert store.grant(wish, 1.0, granted=True) == 1
    assert builds(store)[-1] == (1, "bbbb", "queued")


def test_a_comment_counts_once(send, store, hooks):
    event = hooks.note("seatrial again")
    assert outcome(send(event, {**NOTE, "Idempotency-Key": "1"})) == "asked"
    assert outcome(send(event, {**NOTE, "Idempotency-Key": "2"})) == "duplicate"
    assert len(store.wishes()) == 1


def test_again_builds_what_has_ended_and_nothing_else(send, store, hooks):
    send(hooks.merge_request(source=1))
    send(hooks.note("seatrial again", note=1), NOTE)
    assert store.grant(store.wishes()[0], 1.0, granted=True) == 0
    store.update(store.select("1")[0], 2.0, state="done", result="FAILURE")
    send(hooks.note("seatrial again", note=2), NOTE)
    assert store.grant(store.wishes()[0], 3.0, granted=True) == 1
    assert builds(store) == [(1, "ce00", "done"), (1, "ce00", "queued")]


def test_a_restart_keeps_everything(tmp_path, hooks):
    path = tmp_path / "s.sqlite"
    for _ in range(2):
        store = Store(path)
        app = make(store).app()
        body = json.dumps(hooks.merge_request(source=1)).encode()
        answer = outcome(asyncio.run(hooks.call(app, PATH, body, headers=MR)))
        store.close()
    assert answer == "duplicate"
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", [b"no database at all", None])
def test_a_file_that_cannot_be_opened_is_told(tmp_path, content):
    path = tmp_path / "s.sqlite"
    if content is None:
        Store(path).close()
        import sqlite3

        with sqlite3.connect(path) as db:
            db.execute("PRAGMA user_version=99")
        db.close()
    else:
        path.write_bytes(content * 100)
    with pytest.raises(SeatrialError) as told:
        Store(path)
    assert told.value.code == "E642"


def test_old_deliveries_are_forgotten(tmp_path, hooks):
    clock = [1000.0]
    store = Store(tmp_path / "s.sqlite")
    for number in range(1, 1001):
        wanted = events.asked(PROJECT, "Merge Request Hook", hooks.merge_request(number=number, source=1))
        clock[0] += 3600
        store.accept(PROJECT, f"key {number}", wanted, clock[0])
    kept = store._db.execute("SELECT count(*) FROM deliveries").fetchone()[0]
    store.close()
    assert kept == 7 * 24 + 1


BURST = 10_000


@pytest.mark.timeout(280)
def test_a_burst_loses_nothing_and_doubles_nothing(tmp_path, hooks):
    """10,000 events, a tenth of them sent again: each merge request ends with exactly its last commit."""
    store = Store(tmp_path / "s.sqlite")
    app = make(store).app()
    requests, each = 2000, 5
    sent = []
    for turn in range(each):
        for number in range(1, requests + 1):
            sent.append((number, f"{number:08x}{turn:032x}"))
    assert len(sent) == BURST
    outcomes, slowest = [], 0.0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    async def deliver(number, commit, key):
        nonlocal slowest
        body = json.dumps(hooks.merge_request(commit, number, source=1, action="update")).encode()
        begun = time.perf_counter()
        status, answer = await hooks.call(app, PATH, body, headers={**MR, "Idempotency-Key": key})
        slowest = max(slowest, time.perf_counter() - begun)
        assert status == 202
        outcomes.append(answer["outcome"])

    async def burst():
        for start in range(0, BURST, 20):  # as many at once as GitLab's workers send
            batch = [deliver(*event, f"{event[1]}") for event in sent[start : start + 20]]
            batch += [deliver(*event, f"{event[1]}") for event in sent[start : start + 2]]
            await asyncio.gather(*batch)

    asyncio.run(burst())
    assert outcomes.count("queued") == BURST
    assert outcomes.count("duplicate") == BURST // 10
    waiting = store.select("state='queued'", limit=BURST)
    assert {(build.number, build.commit) for build in waiting} == set(sent[-requests:])
    assert len(waiting) == requests
    assert store.counts()["superseded"] == BURST - requests
    assert len({build.event for build in store.select("1", limit=2 * BURST)}) == BURST
    store.close()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 60 * 1024, f"{grown} KiB more"
    assert slowest < 1.0


# How it does ------------------------------------------------------------------------------------------------------


def test_metrics_and_health(store, hooks):
    receiver = make(store, now=lambda: 5000.0)
    app = receiver.app()
    asyncio.run(hooks.call(app, PATH, json.dumps(hooks.merge_request(source=1)).encode(), headers=MR))
    asyncio.run(hooks.call(app, PATH, b"{}", headers={}))
    receiver.now = lambda: 5060.0
    status, text = asyncio.run(hooks.call(app, "/metrics", method="GET"))
    assert status == 200
    assert 'seatrial_hook_requests_total{outcome="queued"} 1\n' in text
    assert 'seatrial_hook_requests_total{outcome="unauthorized"} 1\n' in text
    assert 'seatrial_hook_builds{state="queued"} 1\n' in text
    assert "seatrial_hook_oldest_seconds 60\n" in text
    assert all(re.fullmatch(r'# (HELP|TYPE) .+|[a-z_]+(\{[a-z]+="[a-z-]+"\})? \d+|', line) for line in text.split("\n"))
    assert asyncio.run(hooks.call(app, "/healthz", method="GET")) == (200, {"ok": True})


def test_health_tells_what_the_worker_met(store, hooks):
    receiver = make(store)
    receiver.trouble = lambda: "build 1: KeyError"
    answer = asyncio.run(hooks.call(receiver.app(), "/healthz", method="GET"))
    assert answer == (503, {"ok": False, "why": "build 1: KeyError"})


def test_health_tells_of_a_worker_that_stands_still_and_of_a_lost_file(store, hooks):
    stalled = make(store, alive=lambda: False).app()
    assert asyncio.run(hooks.call(stalled, "/healthz", method="GET"))[0] == 503
    store.close()
    assert asyncio.run(hooks.call(make(store).app(), "/healthz", method="GET"))[0] == 503


# Configuration and service ----------------------------------------------------------------------------------------

TOML = """
store = "events.sqlite"
[jenkins]
url = "http://127.0.0.1:9"
user = "seatrial"
token_file = "jenkins"
[gitlab]
url = "http://127.0.0.1:9"
token_file = "gitlab"
[projects.seatrial]
path = "up/seatrial"
job = "merge_request_hook"
token_files = ["hook"]
"""


@pytest.fixture
def written(tmp_path):
    """A function that writes a configuration with its secrets and returns its path."""

    def write(text=TOML, token=TOKEN):
        for name, value in (("jenkins", "j" * 20), ("gitlab", "g" * 20), ("hook", token)):
            (tmp_path / name).write_text(value)
            (tmp_path / name).chmod(0o600)
        path = tmp_path / "hook.toml"
        path.write_text(text)
        return path

    return write


def test_configuration(written, tmp_path):
    config = load(written())
    assert str(config.listen) == "127.0.0.1:8077"
    assert config.store == tmp_path / "events.sqlite"
    assert config.projects["seatrial"] == PROJECT


@pytest.mark.parametrize(
    ("text", "word"),
    [("x", "Expected"), ("", "lacks projects"), (TOML.replace('"hook"', ""), "anyone could trigger"),
     (TOML.replace("job =", "jib ="), "jib"), (TOML + 'forks = "maybe"', "maybe"),
     (TOML.replace("url =", "u =", 1), "'u'"), ('listen = "8077"\n' + TOML, "HOST:PORT"),
     (TOML.replace('["hook"]', '["hook", "hook", "hook"]'), "more than the two")],
)  # fmt: skip
def test_configurations_that_cannot_be_used(written, text, word):
    with pytest.raises(SeatrialError) as told:
        load(written(text))
    assert told.value.code == "E641"
    assert word in told.value.cause


def test_a_short_token_is_refused(written):
    with pytest.raises(SeatrialError, match="fewer than 16"):
        load(written(token="short"))


def test_the_service_survives_its_end(written, hooks, tmp_path):
    """Started as a user starts it, fed, killed without warning, started again: nothing is lost, nothing doubled."""
    path = written()
    answers = []
    for number in range(2):
        process = subprocess.Popen(
            [sys.executable, "-m", "seatrial", "hook", "serve", "--config", str(path), "--listen", "127.0.0.1:0"],
            stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        line = process.stderr.readline()
        url = re.search(r"http://127\.0\.0\.1:\d+", line)[0]
        for key in ("one", f"life {number}"):
            commit = "a" * 40 if key == "one" else f"{number:040x}"
            body = json.dumps(hooks.merge_request(commit, 1 if key == "one" else 2 + number, source=1)).encode()
            request = urllib.request.Request(url + PATH, body, {**MR, "Idempotency-Key": key})
            with urllib.request.urlopen(request, timeout=10) as answer:
                answers.append(json.loads(answer.read())["outcome"])
        process.send_signal(signal.SIGKILL if number == 0 else signal.SIGTERM)
        process.stderr.read()
        process.stderr.close()
        assert process.wait(30) == (-signal.SIGKILL if number == 0 else 128 + signal.SIGTERM)
    assert answers == ["queued", "queued", "duplicate", "queued"]
    store = Store(tmp_path / "events.sqlite")
    assert sorted(build.number for build in store.select("1")) == [1, 2, 3]
    store.close()


def test_an_address_that_is_taken_is_told(written, capfd):
    import socket

    from seatrial.cli import main

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        assert main(["hook", "serve", "--config", str(written()), "--listen", listen]) == 4
    assert "E643" in capfd.readouterr().err

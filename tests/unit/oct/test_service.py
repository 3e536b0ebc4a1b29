"""The service over HTTP: paths, envelope, status codes, what it refuses, and what survives it."""

import contextlib
import http.client
import json
import re
import sys
import threading
import time
from pathlib import Path

import jsonschema
import pytest
import uvicorn

from seatrial.errors import SeatrialError
from seatrial.listening import Address
from seatrial.oct import serving, tarball
from seatrial.oct.bundle import Bundle
from seatrial.oct.desk import Desk
from seatrial.oct.offers import Offer
from seatrial.oct.office import Office
from seatrial.oct.service import application

# stands in for a pytest session: writes a run with one result, as a session does
SESSION = """
import sys, time, pathlib
from seatrial import results
from seatrial.verdict import Verdict
kind, directory = sys.argv[1], pathlib.Path(sys.argv[2]) / "20260101-000000-x"
if kind == "hangs":
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        sys.exit(2)
if kind == "dies":
    sys.exit("it broke")
verdict = Verdict.PASS if kind == "good" else Verdict.FAIL
stream = results.Stream(directory / "results.jsonl")
stream.write(results.Header("r", "2026-01-01T00:00:00Z", [], "0", {}, [], 0))
stream.write(results.TestResult("t", "fake", verdict, "a", 0.1, message="" if kind == "good" else "seen x",
                                evidence={"oct": {"ending": "passed" if kind == "good" else "failed"}}))
stream.write(results.Footer("", 0.1, 0, {verdict.value: 1}, 1))
(directory / "report.md").write_text("# " + kind)
"""


def as_described(api, method, path, status, body):
    """Hold an answer against what the service says of itself."""
    plain = path.partition("?")[0]
    for template, operations in api["paths"].items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), plain) and method.lower() in operations:
            described = operations[method.lower()]["responses"][str(status)]["content"]["application/json"]["schema"]
            jsonschema.validate(body, {**described, "components": api["components"]})
            return
    assert status in (404, 405), f"{method} {path} is not described"


class Client:
    """Asks the service; every JSON answer has to be as the service describes it."""

    def __init__(self, port, token=""):
        self.port, self.token, self.api = port, token, None

    def ask(self, method, path, body=None, **headers):
        if self.api is None:
            self.api = self._ask("GET", "/openapi.json")[1] if not self.token else {}
        status, found = self._ask(method, path, body, **headers)
        if self.api and not isinstance(found, bytes) and status != 403:
            as_described(self.api, method, path, status, found)
        return status, found

    def _ask(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        data = response.read()
        connection.close()
        if response.headers["content-type"] == "application/json":
            return response.status, json.loads(data)
        return response.status, data

    def finished(self, id_):
        until = time.monotonic() + 30
        while time.monotonic() < until:
            job = self.ask("GET", f"/task/{id_}")[1]["Data"]
            if job["state"] == "finished":
                return job
            time.sleep(0.05)
        raise AssertionError(f"{job} did not finish")


@contextlib.contextmanager
def running(directory, libraries, kind="good", token="", hosts=None):
    office = Office(directory, libraries, "docker", hosts)
    script = directory / "session.py"
    script.write_text(SESSION)
    desk = Desk(directory, office.case_file, lambda _, __, results: [sys.executable, str(script), kind, str(results)])
    place = Address.parse("127.0.0.1:0").listen()
    server = uvicorn.Server(uvicorn.Config(application(office, desk, token), log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [place]})
    desk.start()
    thread.start()
    try:
        yield Client(place.getsockname()[1], token), desk
    finally:
        server.should_exit = True
        thread.join()
        desk.close()
        place.close()


@pytest.fixture
def world(bundle, tmp_path):
    for name, group in (("a", "Spec"), ("b", "Security/X"), ("c", "Security/Y")):
        bundle({"Name": name, "Group": group}, directory=f"lib/{name}")
    (tmp_path / "data").mkdir()
    return tmp_path


@pytest.fixture
def client(world):
    with running(world / "data", [world / "lib"]) as (made, _):
        yield made


def case_id(client, name="a"):
    return client.ask("GET", f"/case?Name={name}")[1]["Data"][0]["ID"]


def test_a_case_runs_as_the_old_how_to_says(client):
    status, task = client.ask("POST", "/task", case_id(client))
    assert (status, task["Status"]) == (201, "ok")
    id_ = task["Message"]
    assert client.ask("GET", f"/task/{id_}")[1]["Data"]["state"] == "init"
    assert client.ask("POST", f"/task/{id_}", "apply")[0] == 200
    assert client.ask("POST", f"/task/{id_}", "apply")[0] == 409
    assert client.ask("POST", f"/task/{id_}", "collect")[0] == 409
    assert client.ask("GET", f"/task/{id_}/report")[0] == 409
    assert client.ask("POST", f"/task/{id_}", "run")[0] == 202
    assert client.finished(id_)["ending"] == "passed"
    assert client.ask("POST", f"/task/{id_}", "collect")[1]["Message"] == "passed"
    assert client.ask("GET", f"/task/{id_}/report") == (200, b"# good")
    assert client.ask("GET", f"/case/{case_id(client)}/report") == (200, b"# good")
    status, stream = client.ask("GET", f"/task/{id_}/report?Format=json")
    assert (status, json.loads(stream.splitlines()[1])["evidence"]) == (200, {"oct": {"ending": "passed"}})
    assert client.ask("GET", f"/task/{id_}/report?Format=junit")[0] == 404  # this session has not written it
    assert client.ask("GET", f"/task/{id_}/report?Format=pdf")[1]["Error"]["Message"] == "Format=pdf is not taken"
    assert client.ask("POST", f"/task/{id_}", "destroy")[0] == 202


def test_filters_and_pages_work(client):
    def names(query):
        status, found = client.ask("GET", f"/case{query}")
        assert status == 200
        return [row["name"] for row in found["Data"]]

    assert names("") == ["a", "b", "c"]
    assert names("?Group=security") == ["b", "c"]
    assert names("?PageSize=2") == ["a", "b"]
    assert names("?PageSize=2&Page=1") == ["c"]
    assert names("?Tag=none") == []
    assert client.ask("GET", "/task?Status=finished")[1]["Data"] == []


def test_libraries_are_filtered_and_paged_as_well(world):
    with running(world / "data", [world / "lib", world / "lib/a"]) as (client, _):
        def ids(query=""):
            return [row["ID"] for row in client.ask("GET", f"/repo{query}")[1]["Data"]]

        whole, part = ids()
        assert ids("?PageSize=1&Page=1") == [part]
        assert ids("?Url=lib/a") == [part]

        def names(query=""):
            status, found = client.ask("GET", f"/repo/{whole}{query}")
            assert status == 200
            return found["Message"], [row["name"] for row in found["Data"]["Cases"]]

        assert names() == ("3 cases", ["a", "b", "c"])
        assert names("?PageSize=2&Page=1") == ("3 cases", ["c"])
        assert names("?Group=Security&Name=c") == ("1 cases", ["c"])


HOSTS = [
    Offer("one", "debian", "12", "x86_64", 2, 4 << 30, 10 << 30, ("docker",), tools=frozenset()),
    Offer("two", "ubuntu", "22.04", "aarch64", 8, 16 << 30, 99 << 30, ("docker", "podman"), tools=frozenset()),
]


@pytest.mark.parametrize(("query", "names"), [
    ("", ["one", "two"]), ("?Engine=podman", ["two"]), ("?Distribution=Debian", ["one"]), ("?Version=22.04", ["two"]),
    ("?Arch=aarch64", ["two"]), ("?CPU=4", ["two"]), ("?CPU=2", ["one", "two"]), ("?Memory=8GiB", ["two"]),
    ("?Memory=4294967296", ["one", "two"]), ("?Disk=1TiB", []), ("?Class=os&PageSize=1", ["one"]),
    ("?PageSize=1&Page=1", ["two"]),
])  # fmt: skip
def test_hosts_are_listed_by_what_is_wished_of_them(world, query, names):
    with running(world / "data", [world / "lib"], hosts=lambda: HOSTS) as (client, _):
        status, found = client.ask("GET", f"/resource{query}")
        assert status == 200
        assert [row["Name"] for row in found["Data"]] == names
        for row in found["Data"]:
            assert client.ask("GET", f"/resource/{row['ID']}")[1]["Data"] == row
        assert client.ask("GET", "/resource/00")[0] == 404


def test_this_machine_offers_the_engine_of_the_service(client):
    (row,) = [row for row in client.ask("GET", "/resource?Engine=docker")[1]["Data"] if row["Name"] == "docker"]
    assert row["Engines"] == ["docker"]
    assert row["CPU"] >= 1


def test_a_task_is_applied_for_on_the_hosts_that_are_listed(world, bundle):
    bundle({"Name": "old", "Requires": [{"Class": "host", "Type": "os", "Version": "12.04"},
                                        {"Class": "box", "Type": "container"}]}, directory="lib/old")  # fmt: skip
    with running(world / "data", [world / "lib"], hosts=lambda: HOSTS[:1]) as (client, _):
        id_ = client.ask("POST", "/task", case_id(client, "old"))[1]["Message"]
        status, found = client.ask("POST", f"/task/{id_}", "apply")
        assert (status, found["Error"]["Code"]) == (409, "E732")
        assert found["Error"]["Cause"] == "hostA (host) on one: Version 12.04 wanted, 12 offered"
        id_ = client.ask("POST", "/task?Engine=podman", case_id(client))[1]["Message"]
        cause = client.ask("POST", f"/task/{id_}", "apply")[1]["Error"]["Cause"]
        assert cause == "hostA (host) on one: engine podman wanted, docker offered"


@pytest.mark.parametrize(("path", "name", "cause"), [
    ("/case?PageSize=0", "PageSize=0", "PageSize is 1 to 1000"), ("/repo?Page=-1", "Page=-1", "Page is 0 or more"),
    ("/task?Page=x", "Page=x", "valid integer"), ("/task?Status=lost", "Status=lost", "'init'"),
    ("/resource?Memory=2XB", "Memory=2XB", "'2XB' is not a quantity"), ("/resource?CPU=many", "CPU=many", "number"),
    ("/resource?Class=container", "Class=container", "hosts"), ("/resource?PageSize=1001", "PageSize=1001", "1000"),
])  # fmt: skip
def test_queries_that_are_not_taken_say_what_why_and_what_to_do(client, path, name, cause):
    status, found = client.ask("GET", path)
    error = found["Error"]
    assert (status, error["Code"], error["Message"]) == (422, "E722", f"{name} is not taken")
    assert cause in error["Cause"]
    assert error["Hint"]
    assert found["Message"] == f"{error['Message']}: {error['Cause']}"


def test_every_operation_is_described_with_its_bodies(client):
    client.ask("GET", "/")
    api = client.api
    assert api["paths"].keys() >= {"/repo", "/case", "/task", "/task/{id_}", "/resource"}
    for path, operations in api["paths"].items():
        for method, operation in operations.items():
            if method == "post" and path != "/repo":
                assert operation["requestBody"]["required"] is True, path
            failed = operation["responses"]["422"]["content"]["application/json"]["schema"]
            assert failed == {"$ref": "#/components/schemas/Failure"}, path
            good = operation["responses"].get("200") or operation["responses"]["201"]
            assert good["content"], path
            assert all(kind["schema"] for kind in good["content"].values()), path
    actions = api["paths"]["/task/{id_}"]["post"]["requestBody"]["content"]["text/plain"]["schema"]["enum"]
    assert actions == ["apply", "deploy", "run", "collect", "destroy"]
    assert set(api["paths"]["/task"]["post"]["requestBody"]["content"]) == {
        "text/plain", "application/gzip", "application/octet-stream", "multipart/form-data"}  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/nothing", None, 404), ("GET", "/case/00", None, 404), ("GET", "/case/../../etc/passwd", None, 404),
        ("GET", "/task/00", None, 404), ("POST", "/task/00", "run", 404), ("POST", "/task", "00", 404),
        ("POST", "/task", "; rm -rf /", 404), ("POST", "/case", "x", 415), ("POST", "/repo?Action=Nonsense", "", 422),
        ("GET", "/repo/00", None, 404), ("DELETE", "/case", None, 405), ("POST", "/task", "x" * 300, 413),
    ],
)  # fmt: skip
def test_errors_have_their_own_status_and_the_envelope(client, method, path, body, status):
    seen, found = client.ask(method, path, body)
    assert (seen, found["Status"]) == (status, "failed")
    assert found["Message"]


def test_an_invalid_action_is_named(client):
    id_ = client.ask("POST", "/task", case_id(client))[1]["Message"]
    status, found = client.ask("POST", f"/task/{id_}", "frobnicate")
    assert (status, found["Message"].partition(";")[0]) == (422, "Invalid action frobnicate")


def test_a_bundle_is_handed_in_and_comes_back(client, bundle, tmp_path):
    root = bundle({"Name": "mine"}, directory="mine")
    tarball.pack(root, tmp_path / "mine.tar.gz")
    data = (tmp_path / "mine.tar.gz").read_bytes()
    status, taken = client.ask("POST", "/case", data, content_type="application/gzip")
    assert status == 201
    assert taken["Message"] == Bundle(root).digest(json.loads((root / "case.json").read_text()))
    assert client.ask("GET", f"/case/{taken['Message']}") == (200, data)
    form = b'--x\r\nContent-Disposition: form-data; name="tcfile"; filename="b"\r\n\r\n' + data + b"\r\n--x--\r\n"
    status, task = client.ask("POST", "/task", form, content_type="multipart/form-data; boundary=x")
    assert status == 201
    client.ask("POST", f"/task/{task['Message']}", "run")
    assert client.finished(task["Message"])["case_id"] == taken["Message"]


def test_a_bundle_that_does_not_validate_is_refused_with_its_faults(client, bundle, tmp_path):
    root = bundle({"Name": "bad", "Summary": None}, directory="bad")
    tarball.pack(root, tmp_path / "bad.tar.gz")
    status, found = client.ask("POST", "/case", (tmp_path / "bad.tar.gz").read_bytes(), content_type="application/gzip")
    assert (status, [one["Code"] for one in found["Data"]]) == (422, ["OCT013"])
    status, found = client.ask("POST", "/case", b"\x1f\x8bnonsense", content_type="application/gzip")
    assert (status, [one["Code"] for one in found["Data"]]) == (422, ["OCT039"])
    assert len(client.ask("GET", "/case")[1]["Data"]) == 3


def test_a_case_that_has_changed_is_another(client, world):
    id_ = case_id(client)
    (world / "lib/a/source/more").write_text("")
    assert client.ask("POST", "/task", id_)[0] == 404
    assert client.ask("POST", "/repo?Action=Refresh", "")[0] == 200
    assert case_id(client) != id_


def test_a_token_is_asked_for(world):
    with running(world / "data", [world / "lib"], token="secret") as (client, _):
        assert client.ask("GET", "/case")[0] == 200
        client.token = "wrong"
        assert client.ask("GET", "/case")[0] == 401
        client.token = ""
        assert client.ask("POST", "/task", "x")[0] == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 200), ({"Host": "localhost:8011"}, 200), ({"Host": "[::1]:8011"}, 200), ({"Host": "evil.example:8011"}, 403),
     ({"Origin": "http://127.0.0.1:8011"}, 200), ({"Origin": "https://evil.example"}, 403), ({"Origin": "null"}, 403)],
)  # fmt: skip
def test_without_a_token_pages_of_others_are_refused(client, headers, status):
    assert client.ask("GET", "/case", **headers)[0] == status


def test_no_open_address_without_a_token(world):
    with pytest.raises(SeatrialError, match="no token"):
        serving.serve(Address.parse("0.0.0.0:0"), world / "data", [world / "lib"], "docker", "", print)


@pytest.mark.parametrize(("kind", "ending", "words"), [("fails", "failed", "seen x"), ("dies", "error", "it broke")])
def test_how_a_session_ended_is_told(world, kind, ending, words):
    with running(world / "data", [world / "lib"], kind) as (client, _):
        id_ = client.ask("POST", "/task", case_id(client))[1]["Message"]
        client.ask("POST", f"/task/{id_}", "run")
        job = client.finished(id_)
        assert (job["ending"], job["message"]) == (ending, words)
        assert client.ask("POST", f"/task/{id_}", "run")[0] == 202  # may be run again


def test_destroying_ends_a_session_that_runs(world):
    with running(world / "data", [world / "lib"], "hangs") as (client, _):
        id_ = client.ask("POST", "/task", case_id(client))[1]["Message"]
        client.ask("POST", f"/task/{id_}", "run")
        until = time.monotonic() + 20
        while client.ask("GET", f"/task/{id_}")[1]["Data"]["state"] != "running" and time.monotonic() < until:
            time.sleep(0.05)
        assert client.ask("POST", f"/task/{id_}", "run")[0] == 409
        time.sleep(1.0)  # python's own start, during which it has no handler yet
        assert client.ask("POST", f"/task/{id_}", "destroy")[0] == 202
        assert client.finished(id_)["ending"] == "interrupted"


def test_tasks_survive_the_service_and_lost_ones_are_told(world):
    with running(world / "data", [world / "lib"]) as (client, desk):
        done = client.ask("POST", "/task", case_id(client))[1]["Message"]
        client.ask("POST", f"/task/{done}", "run")
        client.finished(done)
        lost = client.ask("POST", "/task", case_id(client))[1]["Message"]
        desk.change(lost, "running", pid=4_000_000, started="1")  # as a service leaves it that was killed
        waiting = client.ask("POST", "/task", case_id(client))[1]["Message"]
    with running(world / "data", [world / "lib"]) as (client, _):
        states = {id_: client.ask("GET", f"/task/{id_}")[1]["Data"] for id_ in (done, lost, waiting)}
        assert [(one["state"], one["ending"]) for one in states.values()] == [
            ("finished", "passed"), ("finished", "lost"), ("init", ""),
        ]  # fmt: skip
        assert client.ask("GET", f"/task/{done}/report") == (200, b"# good")


def test_a_broken_database_is_told(world):
    (world / "data/tasks.sqlite").write_bytes(b"no database at all, and long enough to be taken for one" * 20)
    with pytest.raises(SeatrialError) as caught:
        Desk(world / "data", lambda _: Path())
    assert caught.value.code == "E705"
    assert "tasks" in caught.value.hint
    assert "case" not in caught.value.hint

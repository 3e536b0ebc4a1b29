"""A daemon's addresses: a unix socket and TCP at once, TCP behind TLS with certificates of clients, authorization."""

import base64
import datetime
from types import SimpleNamespace

import pytest
import trustme

from seatrial.api.client import Client
from seatrial.api.wire import Endpoint, Tls
from seatrial.exec import ExpectationError
from seatrial.lab.plugins import AuthzStub

claim, requires = pytest.mark.claim, pytest.mark.requires
pytestmark = requires("private_daemon")
PORT = 2375  # of a network namespace that is the test's own
UNIX = ("--host", "unix:///run/docker.sock")


@pytest.fixture(scope="module")
def authorities():
    """Two certificate authorities: the daemon's, and a stranger's."""
    return SimpleNamespace(ours=trustme.CA(), strange=trustme.CA())


@pytest.fixture
def on_tcp(private_daemon):
    """A daemon that listens on its unix socket and on loopback, and the API there."""
    d = private_daemon(*UNIX, "--host", f"tcp://127.0.0.1:{PORT}")
    return d, Client(Endpoint(address=("127.0.0.1", PORT), host=d.host), journal=d.journal)


@claim("api-002", "api-003", "api-011", "api-012")
def test_both_addresses_are_the_same_daemon(on_tcp):
    d, tcp = on_tcp
    over_unix, over_tcp = d.api.get("/version"), tcp.get("/version")
    assert over_unix.json() == over_tcp.json()
    assert over_unix.header("Api-Version") == over_tcp.header("Api-Version")
    c = d.api.run()
    assert tcp.get(f"/containers/{c.name}/json").json()["Id"] == c.id
    tcp.post(f"/containers/{c.name}/kill", expect=204)
    c.until("killed", lambda: c.status == "exited")
    other = d.host.call(lambda: _address_beside_loopback())
    with pytest.raises(ExpectationError, match="nobody answers"):
        Client(Endpoint(address=(other, PORT), host=d.host)).get("/_ping", timeout=5)


def _address_beside_loopback():
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("172.17.255.254", 9))
        return probe.getsockname()[0]


@claim("api-101", "api-012")
def test_a_stream_is_taken_over_on_tcp_as_well(on_tcp):
    d, tcp = on_tcp
    c = d.api.create(Image=d.image, Cmd=["cat"], OpenStdin=True, StdinOnce=True, AttachStdin=True, AttachStdout=True)
    query = {"stream": True, "stdin": True, "stdout": True}
    with tcp.hijack(f"/containers/{c.name}/attach", query=query) as stream:
        c.start()
        stream.send(b"word\n")
        stream.until(b"word\n")
        stream.end_input()
        assert stream.frames().stdout == b"word\n"


def shown(directory, authority, certificate=None):
    """Write what a client trusts and shows, and return it."""
    directory.mkdir(parents=True)
    authority.cert_pem.write_to_path(directory / "ca.pem")
    if certificate is None:
        return Tls(directory / "ca.pem")
    certificate.private_key_pem.write_to_path(directory / "key.pem")
    (directory / "cert.pem").write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    return Tls(directory / "ca.pem", directory / "cert.pem", directory / "key.pem")


@claim("api-190")
def test_a_daemon_behind_tls_takes_its_own_clients_and_no_others(private_daemon, authorities):
    d = private_daemon(start=False)
    ours, strange = authorities.ours, authorities.strange
    place = d.workdir / "tls"
    shown(place / "server", ours, ours.issue_cert("127.0.0.1"))
    past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    before = past - datetime.timedelta(days=9)
    mine = shown(place / "mine", ours, ours.issue_cert("client"))
    refused = {
        "none": shown(place / "none", ours),
        "strange": shown(place / "strange", ours, strange.issue_cert("client")),
        "expired": shown(place / "expired", ours, ours.issue_cert("client", not_before=before, not_after=past)),
        "distrustful": shown(place / "distrustful", strange, ours.issue_cert("client")),
    }
    files = {"cacert": "ca", "cert": "cert", "key": "key"}
    options = [f"--tls{option}={place}/server/{name}.pem" for option, name in files.items()]
    d.daemon.argv = (d.raw.service, *UNIX, "--host", f"tcp://127.0.0.1:{PORT}", "--tlsverify", *options)
    d.daemon.start()

    def ask(tls):
        return Client(Endpoint(address=("127.0.0.1", PORT), tls=tls, host=d.host)).get("/_ping", timeout=10)

    assert ask(mine).body == b"OK"
    for tls in refused.values():
        with pytest.raises(ExpectationError):
            ask(tls)
    plain = Client(Endpoint(address=("127.0.0.1", PORT), host=d.host)).get("/_ping", expect=400)
    assert b"HTTPS" in plain.body


@pytest.fixture
def guarded(private_daemon):
    """A daemon with an authorization plugin that lets everything through, and the plugin."""
    d = private_daemon("--authorization-plugin=guard", start=False)
    with AuthzStub(d.host, "guard") as stub:
        d.daemon.start()
        yield d, stub


def only(path, words):
    """Refuse what is asked of a path."""
    return lambda body: words if path in body["RequestUri"] else ""


@claim("api-191", "api-071")
@requires("plugin")
def test_an_authorization_plugin_refuses_requests_and_answers(guarded):
    d, stub = guarded
    stub.request = only("/volumes/create", "no volumes today")
    answer = d.api.refuses("POST", "/volumes/create", 403, json={"Name": d.name("v")}, says="no volumes today")
    assert "guard" in answer.message
    assert d.api.get("/volumes").json()["Volumes"] == []
    stub.response = only("/networks", "not this answer")
    d.api.refuses("GET", "/networks", 403, says="not this answer")
    d.api.get("/containers/json")


@claim("api-191")
@requires("plugin")
def test_an_authorization_plugin_is_asked_before_and_after_with_method_and_body(guarded):
    d, stub = guarded
    d.api.post("/volumes/create", expect=201, json={"Name": (name := d.name("v")), "Labels": {"a": "b"}})
    asked = [call for call in stub.calls if call.method.startswith("AuthZPlugin") and "/volumes" in
             call.body["RequestUri"]]  # fmt: skip
    assert [call.method for call in asked] == ["AuthZPlugin.AuthZReq", "AuthZPlugin.AuthZRes"]
    before, after = (call.body for call in asked)
    assert (before["RequestMethod"], before["RequestUri"]) == ("POST", "/volumes/create")
    assert name in base64.b64decode(before["RequestBody"]).decode()
    assert after["ResponseStatusCode"] == 201
    assert name in base64.b64decode(after["ResponseBody"]).decode()


@claim("api-192")
@requires("plugin")
@pytest.mark.parametrize("how", [{"status": 500, "error": "out of order"}, {"garbage": True}, {"vanish": True}],
                         ids=["failing", "babbling", "vanishing"])  # fmt: skip
def test_nothing_passes_a_plugin_that_is_broken_and_all_passes_when_it_is_back(guarded, how):
    d, stub = guarded
    stub.misbehave("AuthZPlugin.AuthZReq", **how)
    refused = d.api.get("/containers/json", expect=(403, 500), timeout=90)
    assert refused.message
    stub.behave("AuthZPlugin.AuthZReq")
    if "vanish" in how:
        stub.start()
    d.api.get("/containers/json", timeout=90)


@claim("api-192")
@requires("plugin")
def test_a_slow_plugin_is_waited_for(guarded):
    d, stub = guarded
    stub.misbehave("AuthZPlugin.AuthZReq", delay=2.0)
    assert d.api.get("/containers/json", timeout=30).duration >= 2.0

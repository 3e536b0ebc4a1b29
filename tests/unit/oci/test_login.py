"""An account at a registry: challenges answered, the password written down nowhere."""

import base64
import json

import pytest

from seatrial.errors import SeatrialError
from seatrial.exec import ExpectationError, Journal
from seatrial.hosts import LOCAL
from seatrial.lab.harbour import Harbour
from seatrial.lab.web import Answer, Web
from seatrial.oci.login import Login, _protected
from seatrial.oci.registries import Hub, account, endpoint

USER, PASSWORD = "sailor", "pass:word-of-16"
BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


class Guarded(Harbour):
    """A registry that wants an account, by Basic or by tokens for one repository each."""

    def __init__(self, kind, realm=""):
        self.kind, self.realm, self.seen, self.challenged = kind, realm, [], 0
        super().__init__(LOCAL)

    def answer(self, asked):
        given = asked.headers.get("authorization", "")
        self.seen.append(given)
        name = asked.path.removeprefix("/v2/").partition("/blobs")[0].partition("/manifests")[0].partition("/tags")[0]
        right = BASIC if self.kind == "Basic" else f"Bearer token-for-{name}"
        if given == right:
            return super().answer(asked)
        self.challenged += 1
        scope = f'realm="{self.realm}",service="it",scope="repository:{name}:pull,push"'
        challenge = 'Basic realm="x"' if self.kind == "Basic" else f"Bearer {scope}"
        return Answer(401, {"WWW-Authenticate": challenge}, b'{"errors": []}')


class Tokens(Web):
    """A token server: gives a token for the repository of the scope to those with the account."""

    def __init__(self):
        self.body = None
        super().__init__(LOCAL, self._answer)

    def _answer(self, asked):
        if asked.headers.get("authorization") != BASIC:
            return Answer(401)
        [scope] = asked.query["scope"]
        told = {"token": f"token-for-{scope.split(':')[1]}"} if self.body is None else self.body
        return Answer(200, {"Content-Type": "application/json"}, json.dumps(told).encode())


def hub_of(registry, password=PASSWORD, journal=None):
    return Hub(endpoint(f"http://{registry.address}"), "fleet/ship", journal, Login(USER, password))


def journal_text(journal):
    """All that a failure, repro.sh and the report could show of what was sent."""
    return repr([(call.argv, call.stdin, str(call.result)) for call in journal.calls])


def test_other_repositories_of_a_hub_have_its_account():
    hub = Hub(endpoint("http://127.0.0.1:1"), "fleet/ship", None, Login(USER, PASSWORD))
    assert [one.name for one in (hub.below("/a"), hub.beside())] == ["fleet/ship/a", "fleet/ship-other"]
    assert [one.login for one in (hub.below("/a"), hub.beside())] == [hub.login, hub.login]


@pytest.fixture(params=["Basic", "Bearer"])
def guarded(request):
    with Tokens() as tokens, Guarded(request.param, f"http://{tokens.address}/token") as registry:
        registry.tokens = tokens
        yield registry


def test_an_account_is_used_for_everything(guarded):
    journal = Journal()
    hub = hub_of(guarded, journal=journal)
    text = hub.push()
    assert hub.get("v1").body == text
    assert hub.tags() == ["v1"]
    other = hub.beside()
    other.push()
    assert guarded.challenged == (1 if guarded.kind == "Basic" else 2), "once for each repository"
    shown = journal_text(journal)
    assert "/v2/fleet/ship/manifests/v1" in shown
    for secret in (PASSWORD, BASIC, "token-for-", "Authorization"):
        assert secret not in shown, secret
        assert secret not in repr(hub), secret


def test_a_wrong_password_is_tried_once(guarded):
    hub = hub_of(guarded, "wrong-password-x")
    if guarded.kind == "Bearer":
        with pytest.raises(ExpectationError, match=r"no token from .* for sailor: it answers 401") as told:
            hub.get("v1")
    else:
        with pytest.raises(ExpectationError, match="401") as told:
            hub.get("v1")
    assert "wrong-password-x" not in str(told.value)
    assert guarded.challenged == (2 if guarded.kind == "Basic" else 1)


@pytest.mark.parametrize("body", [{}, [], {"token": 7}, {"token": "a\nb"}, {"token": ""}])
def test_what_is_no_token(body):
    with Tokens() as tokens, Guarded("Bearer", f"http://{tokens.address}/token") as registry:
        tokens.body = body
        with pytest.raises(ExpectationError, match="no token"):
            hub_of(registry).get("v1")


def test_a_token_server_that_is_not_there():
    with Guarded("Bearer", "http://127.0.0.1:1/token") as registry, pytest.raises(ExpectationError, match="no token"):
        hub_of(registry).get("v1")


def test_an_access_token_is_a_token():
    with Tokens() as tokens, Guarded("Bearer", f"http://{tokens.address}/token") as registry:
        tokens.body = {"access_token": "token-for-fleet/ship"}
        hub_of(registry).push()


def test_a_password_does_not_travel_unprotected():
    far = "http://elsewhere.example.org/token"
    with Guarded("Bearer", far) as registry, pytest.raises(ExpectationError, match="unprotected"):
        hub_of(registry).get("v1")
    for url in ("http://a.example.org", "ftp://127.0.0.1", "http://10.0.0.1", "http://localhost.example.org"):
        with pytest.raises(ExpectationError, match="unprotected"):
            _protected(url)
    for url in ("https://a.example.org", "http://127.0.0.1:5000", "http://[::1]:5000", "http://localhost:5000"):
        _protected(url)


def test_other_challenges_are_not_answered():
    answered = Answer(401, {"WWW-Authenticate": "Negotiate"}, b"")
    with Web(LOCAL, lambda _: answered) as registry:
        hub_of(registry).get("v1", expect=401)
        assert len(registry.asked) == 1
        assert "authorization" not in registry.asked[0].headers


def test_the_registry_is_called_by_its_name():
    """Behind a proxy that serves many, `localhost` would be another."""
    with Web(LOCAL, lambda _: Answer(404)) as registry:
        Hub(endpoint(f"http://{registry.address}"), "fleet/ship").get("v1", expect=404)
        assert registry.asked[0].headers["host"] == registry.address


@pytest.fixture
def file_of(tmp_path):
    """A function that writes an account's file and returns its path."""

    def write(text, mode=0o600):
        path = tmp_path / "login"
        path.write_text(text)
        path.chmod(mode)
        return path

    return write


def test_an_account_comes_from_a_file(file_of):
    found = Login.read(file_of("sailor:pass:word\n"))
    assert (found.user, found.password) == ("sailor", "pass:word")


@pytest.mark.parametrize(
    ("text", "mode", "code"),
    [("sailor:x", 0o644, "E610"), ("", 0o600, "E610"), ("a:b\nc:d", 0o600, "E610"), ("sailor", 0o600, "E327"),
     (":x", 0o600, "E327")],
)  # fmt: skip
def test_files_that_hold_no_account(file_of, text, mode, code):
    with pytest.raises(SeatrialError) as told:
        Login.read(file_of(text, mode))
    assert told.value.code == code


def test_the_account_of_the_registry_under_test(file_of):
    path = str(file_of("sailor:pass:word"))
    assert account("https://registry.example.org", path, "").user == "sailor"
    assert account("https://registry.example.org", "", "") is None
    assert account("debian", "", "") is None
    for options in (("debian", path, ""), ("harbour", "", "ca.pem")):
        with pytest.raises(SeatrialError, match="E328"):
            account(*options)
    with pytest.raises(SeatrialError, match="E326"):
        account("registry.example.org", path, "")

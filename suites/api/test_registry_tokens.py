"""A registry that takes tokens: what it asks for, which tokens it takes, and engines that get them."""

import re

import pytest

from seatrial.api.transport import failed, login, pull, push, well
from seatrial.errors import SeatrialError
from seatrial.lab import relay
from seatrial.lab.registry import credentials
from seatrial.lab.tokens import SERVICE, Signer, TokenServer

claim, requires = pytest.mark.claim, pytest.mark.requires
pytestmark = requires("registry", "lab")
TAGS = "/v2/fleet/ship/tags/list"
PULL = "repository:fleet/ship:pull"


@pytest.fixture
def tokens(engine):
    """A token server on the engine's loopback."""
    with TokenServer(engine.raw.host) as server:
        yield server


@pytest.fixture
def registry(registry_with, tokens):
    """A registry that takes the server's tokens."""
    return registry_with(tls=True, tokens=tokens)


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


@claim("registry-099", "registry-100", "registry-056")
@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [("GET", "/v2/", None), ("GET", TAGS, PULL), ("GET", "/v2/_catalog", "registry:catalog:*"),
     ("POST", "/v2/fleet/ship/blobs/uploads/", "repository:fleet/ship:pull,push")],
    ids=["base", "pull", "catalog", "push"],
)  # fmt: skip
def test_without_a_token_it_says_where_to_get_one(registry, tokens, method, path, scope):
    answer = registry.api.request(method, path, expect=401)
    asked = dict(re.findall(r'(\w+)="([^"]*)"', answer.header("WWW-Authenticate")))
    assert answer.header("WWW-Authenticate").startswith("Bearer ")
    assert (asked["realm"], asked["service"]) == (tokens.realm, SERVICE)
    assert (_sorted(asked["scope"]) if scope else asked.get("scope")) == scope


@claim("registry-095", "registry-103", "registry-107", "registry-105")
def test_a_right_token_lets_in(registry, tokens):
    registry.api.get("/v2/", headers=bearer(tokens.token()))
    registry.api.get(TAGS, expect=404, headers=bearer(tokens.token(PULL)))


@claim("registry-101")
def test_the_catalog_has_its_own_scope(registry, tokens):
    registry.api.get("/v2/_catalog", headers=bearer(tokens.token("registry:catalog:*")))
    registry.api.get("/v2/_catalog", expect=401, headers=bearer(tokens.token(PULL)))


@claim("registry-105")
@pytest.mark.parametrize(
    "changes",
    [{"iss": "somebody"}, {"iss": None}, {"aud": "other-service"}, {"aud": None}, {"exp": 1_500_000_000}, {"exp": None},
     {"nbf": 4_000_000_000}, {"access": []}, {"access": None},
     {"access": [{"type": "repository", "name": "fleet/other", "actions": ["pull"]}]},
     {"access": [{"type": "repository", "name": "fleet/ship", "actions": ["push"]}]},
     {"access": [{"type": "registry", "name": "fleet/ship", "actions": ["pull"]}]}],
    ids=["issuer", "no-issuer", "audience", "no-audience", "expired", "no-expiry", "not-yet", "no-access",
         "access-missing", "other-name", "other-action", "other-type"],
)  # fmt: skip
def test_a_token_with_a_wrong_claim_is_refused(registry, tokens, changes):
    answer = registry.api.get(TAGS, expect=401, headers=bearer(tokens.token(PULL, **changes)))
    assert answer.json()["errors"][0]["code"] in ("UNAUTHORIZED", "DENIED")


@claim("registry-104")
@pytest.mark.parametrize("header", [{"alg": "none"}, {"alg": "HS256"}, {"alg": "RS256"}, {"x5c": []}],
                         ids=["none", "hs256", "rs256", "no-key"])  # fmt: skip
def test_a_token_with_a_wrong_header_is_refused(registry, tokens, header):
    tokens.header = header
    registry.api.get(TAGS, expect=401, headers=bearer(tokens.token(PULL)))


@claim("registry-106")
def test_a_token_of_another_key_is_refused(registry, tokens):
    tokens.signer = Signer()
    registry.api.get(TAGS, expect=401, headers=bearer(tokens.token(PULL)))


@claim("registry-106")
@pytest.mark.parametrize("part", [0, 1, 2], ids=["header", "claims", "signature"])
def test_a_token_with_a_changed_letter_is_refused(registry, tokens, part):
    parts = tokens.token(PULL).split(".")
    middle = len(parts[part]) // 2
    letter = "A" if parts[part][middle] != "A" else "B"
    parts[part] = parts[part][:middle] + letter + parts[part][middle + 1 :]
    registry.api.get(TAGS, expect=401, headers=bearer(".".join(parts)))


@claim("registry-107")
@pytest.mark.parametrize("scheme", ["Basic", "Token", ""], ids=["basic", "token", "none"])
def test_a_token_under_another_scheme_is_refused(registry, tokens, scheme):
    registry.api.get(TAGS, expect=401, headers={"Authorization": f"{scheme} {tokens.token(PULL)}".strip()})


@claim("registry-096")
@pytest.mark.parametrize("missing", ["realm", "service", "issuer", "rootcertbundle"])
def test_a_registry_with_half_a_configuration_does_not_start(registry_with, tokens, missing):
    with pytest.raises(SeatrialError, match="did not start"):
        registry_with(tokens=tokens, settings={"auth": {"token": {missing: None}}})


@pytest.fixture
def proxy(registry, through):
    """A proxy that sees what an engine shows the registry."""
    return through(registry)


def _sorted(scope):
    head, _, actions = scope.rpartition(":")
    return f"{head}:{','.join(sorted(actions.split(',')))}"


def scopes(tokens):
    """Return the scopes that were asked for, one by one."""
    asked = [value for request in tokens.asked for value in request.query.get("scope", [])]
    return [_sorted(scope) for value in asked for scope in value.split()]


@claim("registry-100", "registry-098", "registry-061")
def test_an_engine_gets_a_token_for_what_it_does(api, registry, tokens, ship):
    reference = ship(registry)
    well(push(api, reference))
    assert f"repository:{ship.name}:pull,push" in scopes(tokens)
    assert {asked.query["service"][0] for asked in tokens.asked} == {SERVICE}
    tokens.asked.clear()
    api.delete(f"/images/{reference}", expect=200)
    well(pull(api, reference))
    assert set(scopes(tokens)) == {f"repository:{ship.name}:pull"}


@claim("registry-097", "registry-061")
def test_each_request_after_the_token_was_got_carries_it(api, proxy, ship):
    well(push(api, ship(proxy)))
    there = [asked for asked in proxy.asked if asked.path.startswith(f"/v2/{ship.name}/")]
    shown = [asked.headers.get("authorization", "") for asked in there]
    first = next(number for number, value in enumerate(shown) if value)
    assert len(shown[first:]) >= 4
    assert all(value.startswith("Bearer ") for value in shown[first:])


@claim("registry-098")
def test_an_engine_gets_another_token_when_its_own_has_expired(api, proxy, tokens, ship):
    well(push(api, ship(proxy)))
    once = scopes(tokens).count(f"repository:{ship.name}:pull,push")
    tokens.asked.clear()
    api.delete(f"/images/{proxy.reference(ship.name)}", expect=200)
    tokens.lifetime, tokens.age = 60, 59
    proxy.fail("(HEAD|GET)", "/(manifests|blobs)/", relay.late(1.5))
    well(pull(api, proxy.reference(ship.name)))
    asked = scopes(tokens).count(f"repository:{ship.name}:pull")
    assert once >= 1
    assert asked >= 2


@claim("registry-102", "registry-124")
def test_with_credentials_the_account_is_named_and_the_password_sent(api, tokens, registry, ship):
    tokens.account = ("sailor", "pass:word")
    reference = ship(registry)
    assert failed(push(api, reference, expect=None))
    assert failed(push(api, reference, expect=None, headers=login("sailor", "wrong", registry.address)))
    registry.api.get(TAGS, expect=401)
    assert not [asked for asked in tokens.asked if asked.headers.get("authorization") == RIGHT]
    tokens.asked.clear()
    well(push(api, reference, headers=login("sailor", "pass:word", registry.address)))
    assert {asked.query.get("account", [""])[0] for asked in tokens.asked} == {"sailor"}
    assert {asked.headers.get("authorization") for asked in tokens.asked} == {RIGHT}


RIGHT = "Basic " + credentials("sailor", "pass:word")


@claim("registry-098", "registry-105")
def test_an_engine_is_refused_where_the_token_is_not_enough(api, registry, tokens, ship):
    tokens.granted = {"pull"}
    assert failed(push(api, ship(registry), expect=None))
    right = bearer(tokens.token(f"repository:{ship.name}:pull"))
    registry.api.get(f"/v2/{ship.name}/tags/list", expect=404, headers=right)

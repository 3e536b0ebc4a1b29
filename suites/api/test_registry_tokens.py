"""A registry that takes tokens: what it asks for, which tokens it takes, and engines that get them."""

import base64
import re

import pytest

from seatrial.errors import SeatrialError
from seatrial.lab.tokens import SERVICE, Signer, TokenServer

claim, requires = pytest.mark.claim, pytest.mark.requires
pytestmark = requires("registry", "lab")
NOBODY = {"X-Registry-Auth": base64.urlsafe_b64encode(b"{}").decode()}
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


@claim("registry-097", "registry-098", "registry-100", "registry-102", "registry-061")
def test_an_engine_gets_a_token_for_what_it_does(api, engine, registry, tokens):
    name = registry.reference(f"fleet/{engine.key}")
    engine.track("image", name)
    repo, _, tag = name.rpartition(":")
    api.post(f"/images/{engine.image}/tag", expect=201, query={"repo": repo, "tag": tag})
    records = api.post(f"/images/{repo}/push", expect=200, query={"tag": tag}, headers=NOBODY, timeout=60).records()
    assert not [record for record in records if "error" in record]
    scopes = [scope for asked in tokens.asked for value in asked.query.get("scope", []) for scope in value.split()]
    assert f"repository:fleet/{engine.key}:pull,push" in [_sorted(scope) for scope in scopes]
    assert {asked.query["service"][0] for asked in tokens.asked} == {SERVICE}


def _sorted(scope):
    head, _, actions = scope.rpartition(":")
    return f"{head}:{','.join(sorted(actions.split(',')))}"


@claim("registry-098", "registry-124", "registry-102")
def test_an_engine_is_refused_where_the_token_is_not_enough(api, engine, registry, tokens):
    tokens.granted = {"pull"}
    name = registry.reference(f"fleet/{engine.key}")
    engine.track("image", name)
    repo, _, tag = name.rpartition(":")
    api.post(f"/images/{engine.image}/tag", expect=201, query={"repo": repo, "tag": tag})
    answer = api.post(f"/images/{repo}/push", expect=None, query={"tag": tag}, headers=NOBODY, timeout=60)
    assert answer.status >= 400 or "error" in answer.records()[-1]
    right = bearer(tokens.token(f"repository:fleet/{engine.key}:pull"))
    registry.api.get(f"/v2/fleet/{engine.key}/tags/list", expect=404, headers=right)

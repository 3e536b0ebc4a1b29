"""`login` and `logout`: a registry that wants a password, and where the client keeps it."""

import pytest

claim, requires = pytest.mark.claim, pytest.mark.requires

USER, PASSWORD = "sailor", "pass:word"
CLOSED = "no basic auth credentials|unauthorized|authentication required"


@pytest.fixture
def own(engine):
    """Where the client of this test keeps credentials, apart from those of the user and of other tests."""
    place = engine.workdir / "credentials"
    place.mkdir()
    (place / "auth.json").write_text("{}")  # who is told of a file that is not there may refuse all but a login
    return {name: value.format(directory=place) for name, value in engine.trait("credentials_kept_by").items()}


@pytest.fixture
def closed(engine, registry_with):
    """A registry that wants a password, and the test image under a name there."""
    registry = registry_with(auth=(USER, PASSWORD))
    reference = f"{registry.address}/{engine.key}:1"
    engine.track("image", reference)
    engine.cli("tag", engine.image, reference)
    return registry.address, reference


def login(engine, address, env, password=PASSWORD, **options):
    words = ["login", "--username", USER, "--password-stdin", address]
    return engine.cli(*words, stdin=f"{password}\n", env=env, **options)


@claim("cli-259", "registry-002")
@requires("registry")
def test_login_opens_a_registry_until_logout(engine, closed, own):
    address, reference = closed
    engine.fails("push", reference, env=own, says=CLOSED, code=engine.code("error"))
    said = login(engine, address, own)
    assert "Login Succeeded" in said.stdout
    assert PASSWORD not in said.output
    engine.cli("push", reference, env=own)
    engine.cli("rmi", reference)
    engine.cli("pull", reference, env=own)
    engine.cli("logout", address, env=own)
    engine.cli("rmi", reference)
    engine.fails("pull", reference, env=own, says=CLOSED, code=engine.code("error"))


@claim("cli-259", "registry-013")
@requires("registry")
def test_login_takes_user_and_password_as_options(engine, closed, own):
    address, reference = closed
    said = engine.cli("login", "--username", USER, "--password", PASSWORD, address, env=own)
    assert "Login Succeeded" in said.stdout
    engine.cli("push", reference, env=own)


@claim("cli-259")
@requires("registry")
@pytest.mark.parametrize("password", ["wrong", PASSWORD.upper(), f"{PASSWORD}s"], ids=["other", "case", "longer"])
def test_login_with_a_wrong_password_is_refused_and_keeps_nothing(engine, closed, own, password):
    address, reference = closed
    refused = login(engine, address, own, password, expect=engine.code("error"))
    engine.refused(refused, "wrong_password")
    assert "Succeeded" not in refused.stdout
    engine.fails("push", reference, env=own, says=CLOSED, code=engine.code("error"))


@claim("cli-259")
@requires("registry")
def test_login_with_a_wrong_password_keeps_the_right_one(engine, closed, own):
    address, reference = closed
    login(engine, address, own)
    engine.refused(login(engine, address, own, "wrong", expect=engine.code("error")), "wrong_password")
    engine.cli("push", reference, env=own)


@claim("cli-259")
def test_login_where_nobody_listens_is_refused(engine, own):
    refused = login(engine, "127.0.0.1:1", own, expect=engine.code("error"))
    engine.refused(refused, "connection refused")
    assert refused.stdout == ""


@claim("cli-259")
def test_login_without_a_password_and_a_terminal_is_refused(engine, own):
    engine.fails("login", "--username", USER, "127.0.0.1:1", env=own, says="login_without_terminal",
                 code=engine.code("error"))  # fmt: skip


@claim("cli-259")
def test_search_in_a_registry_where_nobody_listens_is_refused(engine, own):
    refused = engine.fails("search", "127.0.0.1:1/flag", env=own, says="connection refused", code=engine.code("error"))
    assert refused.stdout == ""

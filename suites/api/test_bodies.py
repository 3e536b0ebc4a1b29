"""Bodies and queries that are not what they should be: refused as the client's error, and nothing is made."""

import json

import pytest

claim = pytest.mark.claim

BROKEN = {
    "nothing": b"", "cut-off": b'{"Image": "busy', "array": b"[]", "string": b'"text"', "number": b"7",
    "not-a-number": b'{"Image": NaN}', "deep": b"[" * 20_000, "binary": b"\0\xff\xfe",
    "single-quotes": b"{'Image': 'x'}", "no-utf-8": b'{"Image": "\xff"}',
}  # fmt: skip


@claim("api-076", "api-071")
@pytest.mark.parametrize("body", list(BROKEN.values()), ids=list(BROKEN))
def test_a_container_is_not_made_from_broken_json(api, body):
    api.refuses("POST", "/containers/create", 400, body=body)


@claim("api-076", "api-071")
@pytest.mark.parametrize("body", [b'{"Name": "cut', b"[]", b'{"Name": 7}'], ids=["cut-off", "array", "type"])
@pytest.mark.parametrize("path", ["/networks/create", "/volumes/create"])
def test_networks_and_volumes_are_not_made_from_broken_json(api, path, body):
    api.refuses("POST", path, 400, body=body)


@claim("api-076")
@pytest.mark.parametrize(
    "field",
    [{"Image": 7}, {"Cmd": {"a": 1}}, {"Env": "A=1"}, {"Labels": ["a"]}, {"Tty": "yes"}, {"HostConfig": []},
     {"ExposedPorts": ["80"]}, {"StopTimeout": "ten"}, {"HostConfig": {"Memory": "1g"}},
     {"HostConfig": {"Binds": "/a:/b"}}, {"HostConfig": {"PortBindings": []}}, {"HostConfig": {"NanoCpus": 1.5}}],
    ids=json.dumps,
)  # fmt: skip
def test_fields_of_the_wrong_type_are_refused(api, engine, field):
    api.refuses("POST", "/containers/create", 400, json={"Image": engine.image, **field})


@claim("api-076")
@pytest.mark.parametrize("body", [b"null", b"{}"], ids=["null", "empty"])
def test_a_container_of_nothing_is_refused(api, body):
    api.refuses("POST", "/containers/create", 400, body=body)


@claim("api-022")
@pytest.mark.parametrize("kind", ["text/plain", "", "application/jsonx", "application/x-www-form-urlencoded"])
def test_json_that_is_sent_as_something_else_is_refused(api, engine, kind):
    body = json.dumps({"Image": engine.image, "Labels": engine.labels}).encode()
    api.refuses("POST", "/containers/create", 400, body=body, headers={"Content-Type": kind}, says="Content-Type")


@claim("api-022")
def test_a_charset_beside_the_content_type_is_taken(api):
    headers = {"Content-Type": "application/json; charset=utf-8"}
    body = b'{"Image": "nosuch-image"}'
    api.refuses("POST", "/containers/create", 404, body=body, headers=headers, says="no_such_image")


@claim("api-076")
def test_of_two_fields_of_one_name_the_last_counts(api):
    body = b'{"Image": "first-image", "Image": "second-image"}'
    api.refuses("POST", "/containers/create", 404, body=body, says="second-image")


@claim("api-078")
def test_unknown_fields_are_ignored(api):
    c = api.create(Unknown={"a": [1]}, HostConfig={"Unheard": True})
    assert "Unknown" not in c.inspect()


@claim("api-076", "api-078")
@pytest.mark.parametrize(("levels", "status"), [(1_000, 201), (10_000, 400)], ids=["ignored", "refused"])
def test_an_unknown_field_is_ignored_as_deep_as_a_decoder_goes(api, engine, levels, status):
    known = json.dumps({"Image": engine.image, "Labels": engine.labels})[:-1]
    name = engine.name()
    body = f'{known}, "Unknown": {"[" * levels}{"]" * levels}}}'.encode()
    api.post("/containers/create", expect=status, query={"name": name}, body=body)
    api.get(f"/containers/{name}/json", expect=200 if status == 201 else 404)


@claim("api-076")
def test_a_body_of_ten_megabytes_is_taken_whole(api):
    words = ["x" * 1000] * 10_000
    c = api.create(Env=[f"V{number}={word}" for number, word in enumerate(words)])
    kept = {variable for variable in c.inspect()["Config"]["Env"] if variable.startswith("V")}
    assert len(kept) == 10_000
    assert f"V9999={'x' * 1000}" in kept


@claim("api-077")
@pytest.mark.parametrize(
    ("path", "filters"),
    [("/containers/json", "{"), ("/containers/json", '{"status": 7}'), ("/images/json", "["), ("/networks", "7")],
    ids=str,
)  # fmt: skip
def test_filters_that_are_no_json_are_refused(api, path, filters):
    api.refuses("GET", path, 400, query={"filters": filters})


@claim("api-077")
def test_filters_of_events_that_are_no_json_are_refused(api):
    api.refuses("GET", "/events", 400, query={"filters": "{", "until": "1"})


@claim("api-077")
@pytest.mark.parametrize(
    ("path", "query"),
    [("/containers/json", {"limit": "many"}), ("/events", {"since": "yesterday", "until": "1"})],
    ids=["limit", "since"],
)
def test_numbers_and_times_that_are_none_are_refused(api, path, query):
    api.refuses("GET", path, 400, query=query)


@claim("api-077")
@pytest.mark.parametrize(
    ("path", "name", "value"),
    [("/containers/json", "nosuch", "a"), ("/containers/json", "status", "nosuch"),
     ("/images/json", "dangling", "maybe"), ("/networks", "nosuch", "a"), ("/volumes", "dangling", "maybe"),
     ("/volumes", "nosuch", "a")],
    ids=str,
)  # fmt: skip
def test_unknown_filters_are_refused(api, path, name, value):
    api.refuses("GET", path, 400, query={"filters": {name: [value]}})

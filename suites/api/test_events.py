"""GET /events: what happens, in order, for every reader."""

import time

import pytest

claim = pytest.mark.claim


@pytest.fixture
def watch(api):
    """Call it with filters to get a stream of events from now on."""

    def open_(**filters):
        since = time.time() - 1
        return api.open("GET", "/events", query={"since": f"{since:.9f}", "filters": filters})

    return open_


def life(api, engine, c):
    """Run a container through its life and remove it."""
    c.start()
    c.post("kill", expect=204)
    c.wait()
    c.delete(expect=204)


@claim("api-140")
def test_the_life_of_a_container_is_told_in_order(api, engine, watch):
    c = api.create(Labels={"hull": "red"})
    stream = watch(container=[c.id], type=["container"])
    life(api, engine, c)
    removal = engine.trait("api_removal_event")
    stream.record("the removal", lambda event: event["Action"] == removal)
    events = stream.records(4)
    actions = [event["Action"] for event in events]
    wanted = ["create", "start", "die", removal]
    assert [action for action in actions if action in wanted] == wanted
    assert [event["timeNano"] for event in events] == sorted(event["timeNano"] for event in events)


@claim("api-140")
def test_an_event_has_all_its_parts(api, engine, watch):
    c = api.create(Labels={"hull": "red"})
    stream = watch(container=[c.id])
    c.start()
    event = stream.record("the start", lambda event: event["Action"] == "start")
    assert (event["Type"], event["status"], event["id"], event["from"]) == ("container", "start", c.id, engine.image)
    assert event["Actor"]["ID"] == c.id
    attributes = event["Actor"]["Attributes"]
    assert (attributes["name"], attributes["image"], attributes["hull"]) == (c.name, engine.image, "red")
    assert abs(event["time"] - time.time()) < 60
    assert event["timeNano"] // 10**9 == event["time"]


@claim("api-140")
def test_the_exit_code_is_told(api, engine, watch):
    c = api.create(Image=engine.image, Cmd=["sh", "-c", "exit 7"])
    stream = watch(container=[c.id])
    c.start()
    event = stream.record("the end", lambda event: event["Action"] == "die")
    assert event["Actor"]["Attributes"]["exitCode"] == "7"


@claim("api-141")
@pytest.mark.parametrize(
    ("filters", "seen"),
    [({"event": ["start"]}, ["start"]), ({"label": ["hull=red"]}, ["create", "start"]),
     ({"label": ["hull=blue"]}, []), ({"type": ["network"]}, []), ({"type": ["container"]}, ["create", "start"]),
     ({"image": ["IMAGE"]}, ["create", "start"]), ({"image": ["nosuch-image"]}, []),
     ({"event": ["start"], "label": ["hull=blue"]}, []), ({"event": ["start", "create"]}, ["create", "start"])],
    ids=["event", "label", "other-label", "other-type", "type", "image", "other-image", "two-filters", "two-values"],
)  # fmt: skip
def test_filters_choose(api, engine, filters, seen):
    filters = {name: [value.replace("IMAGE", engine.image) for value in values] for name, values in filters.items()}
    since = time.time() - 1
    c = api.create(Labels={"hull": "red"}, HostConfig={"NetworkMode": "none"})
    c.start()
    until = time.time() + 1
    answer = api.get("/events", query={"since": f"{since:.9f}", "until": f"{until:.9f}",
                     "filters": {"container": [c.id], **filters}})  # fmt: skip
    told = [event["Action"] for event in answer.records()]
    assert [action for action in told if action not in ("init", "attach")] == seen


@claim("api-141")
@pytest.mark.parametrize("name", ["id", "name", "short-id"])
def test_the_filter_by_container_takes_what_names_one(api, name):
    since = f"{time.time() - 1:.9f}"
    c, other = api.create(), api.create()
    word = {"id": c.id, "name": c.name, "short-id": c.id[:12]}[name]
    query = {"since": since, "until": f"{time.time() + 1:.9f}", "filters": {"container": [word]}}
    told = api.get("/events", query=query).records()
    assert {event["Actor"]["ID"] for event in told} == {c.id}
    assert other.id not in str(told)


@claim("api-141")
def test_since_and_until_bound_the_time(api):
    c = api.create()
    c.start()
    bounds = []
    for action in ("pause", "unpause", "pause"):
        bounds.append(f"{time.time():.9f}")
        c.post(action, expect=204)
    query = {"since": bounds[1], "until": bounds[2], "filters": {"container": [c.id]}}
    assert [event["Action"] for event in api.get("/events", query=query).records()] == ["unpause"]


@claim("api-141")
def test_a_past_until_ends_the_stream(api):
    now = int(time.time())
    began = time.monotonic()
    api.get("/events", query={"since": str(now - 20), "until": str(now - 10)}, timeout=10)
    assert time.monotonic() - began < 5


@claim("api-141")
def test_a_future_until_ends_it_then(api):
    stream = api.open("GET", "/events", query={"until": str(int(time.time()) + 3)})
    began = time.monotonic()
    stream.rest(timeout=15)
    assert 1 < time.monotonic() - began < 8


@claim("api-140")
def test_networks_are_told(api, watch):
    stream = watch(type=["network"])
    id_ = api.get(f"/networks/{api.network()}").json()["Id"]
    stream.record("the network", lambda event: event["Action"] == "create" and event["Actor"]["ID"] == id_, timeout=10)


@claim("api-140")
def test_volumes_are_told(api, watch):
    stream = watch(type=["volume"])
    name = api.volume()
    stream.record("the volume", lambda event: event["Action"] == "create" and event["Actor"]["ID"] == name, timeout=10)


@claim("api-140")
def test_images_are_told(api, engine, watch):
    stream = watch(type=["image"])
    name = api.image()
    api.delete(f"/images/{name}", expect=200)

    def about(action):
        return lambda event: event["Action"] == action and event["Actor"]["ID"].removeprefix("sha256:") == id_

    id_ = engine.image_id(engine.image)
    stream.record("the tag", lambda event: about("tag")(event) and name in event["Actor"]["Attributes"]["name"])
    stream.record("the untagging", about("untag"))


@claim("api-142")
def test_twenty_readers_get_every_event(api, watch):
    c = api.create()
    readers = [watch(container=[c.id], event=["start", "die"]) for _ in range(20)]
    for _ in range(3):
        c.start()
        c.post("kill", expect=204)
        c.wait()
    seen = [tuple(event["Action"] for event in reader.records(6)) for reader in readers]
    assert set(seen) == {("start", "die") * 3}


@claim("api-142")
def test_a_reader_that_leaves_does_not_hold_up_others(api, watch):
    c = api.create()
    slow, good = watch(container=[c.id]), watch(container=[c.id])
    slow.close()
    c.start()
    good.record("the start", lambda event: event["Action"] == "start")

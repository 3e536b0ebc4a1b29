"""Volumes over the API: create, describe, list, delete, prune."""

import json

import pytest

claim = pytest.mark.claim


@claim("api-130")
def test_create_answers_with_the_description(api, engine):
    name = engine.name("v")
    made = api.post("/volumes/create", expect=201, json={"Name": name, "Labels": {"a": "b"}}).json()
    assert (made["Name"], made["Driver"], made["Scope"], made["Labels"]["a"]) == (name, "local", "local", "b")
    assert engine.raw.host.path(made["Mountpoint"]).is_dir()
    assert api.get(f"/volumes/{name}").json()["Mountpoint"] == made["Mountpoint"]


@claim("api-130")
def test_a_volume_without_a_name_gets_one(api, engine):
    made = api.post("/volumes/create", expect=201, json={"Driver": "local"}).json()
    assert len(made["Name"]) == 64
    assert api.get(f"/volumes/{made['Name']}").json()["Labels"] == engine.labels | made["Labels"]


@claim("api-130")
def test_the_same_name_again_is_the_same_volume(api, engine):
    name = api.volume()
    mountpoint = api.get(f"/volumes/{name}").json()["Mountpoint"]
    (engine.raw.host.path(mountpoint) / "mark").touch()
    assert api.post("/volumes/create", expect=201, json={"Name": name}).json()["Mountpoint"] == mountpoint
    assert (engine.raw.host.path(mountpoint) / "mark").exists()


@claim("api-130")
def test_driver_options_take_effect(api):
    volume = api.volume(DriverOpts={"type": "tmpfs", "device": "tmpfs", "o": "size=64k"})
    assert api.get(f"/volumes/{volume}").json()["Options"]["o"] == "size=64k"
    c = api.sh("grep ' /v tmpfs ' /proc/mounts", HostConfig={"Binds": [f"{volume}:/v"]})
    assert c.wait() == 0
    assert b"size=64k" in c.output().stdout


@claim("api-131")
@pytest.mark.parametrize("by", ["name", "label", "driver", "dangling"])
def test_the_list_is_filtered(api, by):
    one, two = api.volume(Labels={"colour": "red"}), api.volume()
    api.create(HostConfig={"Binds": [f"{two}:/v"]})
    value = {"name": one, "label": "colour=red", "driver": "local", "dangling": "true"}[by]
    names = [row["Name"] for row in api.get("/volumes", query={"filters": {by: [value]}}).json()["Volumes"]]
    assert one in names
    assert (two in names) == (by == "driver")


@claim("api-131")
def test_a_list_without_matches_is_empty(api):
    told = api.get("/volumes", query={"filters": {"name": ["nosuch-volume-at-all"]}}).json()
    assert told["Volumes"] == []


@claim("api-132", "api-071")
@pytest.mark.parametrize(
    "body", [{"Name": "a/b"}, {"Name": "-a"}, {"Name": ".."}, {"DriverOpts": {"banana": "x"}}], ids=json.dumps
)
def test_what_makes_no_volume_is_refused(api, body):
    api.refuses("POST", "/volumes/create", 400, json=body)


@claim("api-132")
@pytest.mark.slow
def test_an_unknown_driver_is_refused(api, engine):
    name = engine.name("v")
    api.refuses("POST", "/volumes/create", 404, json={"Name": name, "Driver": "nosuch-driver"})
    api.get(f"/volumes/{name}", expect=404)


@claim("api-133")
def test_delete_removes_a_volume_and_its_files(api, engine):
    name = api.volume()
    place = engine.raw.host.path(api.get(f"/volumes/{name}").json()["Mountpoint"])
    assert place.is_dir()
    api.delete(f"/volumes/{name}", expect=204)
    assert not place.exists()
    api.refuses("GET", f"/volumes/{name}", 404, says="no_such_volume")


@claim("api-133", "api-071")
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_unknown_volume_is_not_found(api, method):
    assert "nosuch-volume" in api.refuses(method, "/volumes/nosuch-volume", 404, says="no_such_volume").message


@claim("api-133")
def test_force_makes_an_unknown_volume_no_error(api):
    api.delete("/volumes/nosuch-volume", expect=204, query={"force": True})


@claim("api-133")
@pytest.mark.parametrize("running", [True, False], ids=["running", "created"])
def test_a_volume_in_use_is_a_conflict(api, running):
    name = api.volume()
    c = (api.run if running else api.create)(HostConfig={"Binds": [f"{name}:/v"]})
    answer = api.refuses("DELETE", f"/volumes/{name}", 409)
    assert c.id[:12] in answer.message or name in answer.message
    api.get(f"/volumes/{name}")


@claim("api-134")
@pytest.mark.exclusive
def test_prune_removes_what_matches_the_filter(api, engine):
    labels = {f"k{engine.key}": "x"}
    pruned, used, kept = api.volume(Labels=labels), api.volume(Labels=labels), api.volume()
    api.create(HostConfig={"Binds": [f"{used}:/v"]})
    filters = {"label": [f"k{engine.key}=x"]}
    # until 1.41 named volumes are pruned, too
    told = api.post("/volumes/prune", expect=200, query={"filters": filters}, version="1.41").json()
    assert told["VolumesDeleted"] == [pruned]
    assert told["SpaceReclaimed"] >= 0
    api.get(f"/volumes/{kept}")
    api.get(f"/volumes/{used}")


@claim("api-061")
def test_docker_py_and_the_raw_api_see_the_same_volumes(client, api, engine):
    volume = client.volumes.create(engine.name("v"), labels={"a": "b"})
    assert api.get(f"/volumes/{volume.name}").json()["Labels"]["a"] == "b"
    assert volume.name in [one.name for one in client.volumes.list(filters={"name": volume.name})]
    volume.remove()
    api.get(f"/volumes/{volume.name}", expect=404)

"""What changed between two versions of the API: each side of a change as its documentation has it, on one daemon."""

import pytest

claim, requires = pytest.mark.claim, pytest.mark.requires
pytestmark = [claim("api-180")]


def changed(minor):
    """Name a test for a change of version 1.`minor`: it runs where that and the version before are served."""
    return requires(f"api_change_1_{minor}")


@changed(19)
@pytest.mark.parametrize(("shares", "kept"), [(1, 2), (300_000, 262_144)], ids=["below", "above"])
def test_cpu_shares_out_of_range_are_drawn_in_before_1_19(api, engine, shares, kept):
    c = api.create(HostConfig={"CpuShares": shares}, version="1.18")
    assert c.inspect()["HostConfig"]["CpuShares"] == kept
    other = api.create(HostConfig={"CpuShares": shares}, version="1.19")
    assert other.inspect()["HostConfig"]["CpuShares"] == shares


@changed(21)
@requires("cgroup_watch")
def test_stats_have_one_network_before_1_21_and_then_each_by_name(api):
    c = api.run()
    old = c.get("stats", query={"stream": False}, version="1.20").json()
    new = c.get("stats", query={"stream": False}, version="1.21").json()
    assert "rx_bytes" in old["network"] and "networks" not in old
    assert "rx_bytes" in new["networks"]["eth0"] and "network" not in new


@changed(25)
def test_removal_at_the_end_is_the_clients_before_1_25(api):
    wish = {"HostConfig": {"AutoRemove": True}, "Cmd": ["true"], "Image": api.bench.image}
    old = api.create(**wish, version="1.24")
    assert old.inspect()["HostConfig"]["AutoRemove"] is False
    old.start()
    assert old.wait() == 0
    assert old.status == "exited"
    new = api.create(**wish, version="1.25")
    assert new.inspect()["HostConfig"]["AutoRemove"] is True
    api.post(f"/containers/{new.name}/start", expect=204)
    new.until("removed", lambda: new.get(expect=None).status == 404)


@changed(25)
def test_security_options_are_bare_names_before_1_25(api, engine):
    old = api.get("/info", version="1.24").json()["SecurityOptions"]
    new = api.get("/info", version="1.25").json()["SecurityOptions"]
    assert sorted(old) == sorted(engine.facts["security"]) != []
    assert all(option.startswith("name=") for option in new)
    assert sorted(option.split(",")[0].removeprefix("name=") for option in new) == sorted(old)


@changed(28)
def test_the_list_of_networks_tells_their_containers_before_1_28(api):
    network = api.network()
    c = api.run(HostConfig={"NetworkMode": network})
    query = {"filters": {"name": [network]}}
    (old,), (new,) = (api.get("/networks", query=query, version=version).json() for version in ("1.27", "1.28"))
    assert list(old["Containers"]) == [c.id]
    assert not new.get("Containers")
    assert list(api.get(f"/networks/{network}", version="1.28").json()["Containers"]) == [c.id]


@changed(30)
def test_the_condition_of_a_wait_counts_since_1_30(api):
    c = api.create(Image=api.bench.image, Cmd=["true"])
    c.start()
    c.until("ended", lambda: c.status == "exited")
    removed = {"condition": "removed"}
    assert c.post("wait", expect=200, query=removed, version="1.29", timeout=20).json()["StatusCode"] == 0
    with api.open("POST", c.path("wait"), query=removed, version="1.30") as stream:
        assert stream.response.status == 200  # before the container is gone
        c.delete(expect=204)
        assert stream.record("the removal", lambda told: "StatusCode" in told)["StatusCode"] == 0


@changed(42)
@requires("private_engine")
@pytest.mark.parametrize(("version", "left"), [("1.41", False), ("1.42", True)], ids=["before", "since"])
def test_a_prune_of_volumes_spares_named_ones_since_1_42(private_engine, version, left):
    api = private_engine().api
    named = api.volume()
    anonymous = api.post("/volumes/create", expect=201, json={}).json()["Name"]
    deleted = api.post("/volumes/prune", expect=200, version=version).json()["VolumesDeleted"]
    assert anonymous in deleted
    assert (named in deleted) == (not left)
    api.get(f"/volumes/{named}", expect=200 if left else 404)
    api.post("/volumes/prune", expect=200, version=version, query={"filters": {"all": ["true"]}} if left else {})
    api.get(f"/volumes/{named}", expect=404)


@changed(42)
def test_no_processes_at_all_meant_no_limit_before_1_42(api):
    old = api.create(HostConfig={"PidsLimit": 0}, version="1.41")
    assert old.inspect()["HostConfig"]["PidsLimit"] is None
    assert api.run(HostConfig={"PidsLimit": 0}, version="1.41").kernel.alive


@changed(43)
def test_annotations_are_taken_since_1_43(api):
    wish = {"HostConfig": {"Annotations": {"berth": "7"}}}
    assert not api.create(**wish, version="1.42").inspect()["HostConfig"].get("Annotations")
    assert api.create(**wish, version="1.43").inspect()["HostConfig"]["Annotations"] == {"berth": "7"}


@changed(44)
def test_the_interval_of_a_starting_health_check_is_taken_since_1_44(api):
    check = {"Test": ["CMD", "true"], "Interval": 2_000_000_000, "StartInterval": 1_000_000_000}
    old = api.create(Healthcheck=check, version="1.43").inspect()["Config"]["Healthcheck"]
    new = api.create(Healthcheck=check, version="1.44").inspect()["Config"]["Healthcheck"]
    assert (old["Interval"], old.get("StartInterval", 0)) == (2_000_000_000, 0)
    assert (new["Interval"], new.get("StartInterval")) == (2_000_000_000, 1_000_000_000)


@changed(44)
def test_the_virtual_size_of_an_image_is_told_before_1_44(api, engine):
    path = f"/images/{engine.image}/json"
    old, new = api.get(path, version="1.43").json(), api.get(path, version="1.44").json()
    assert old["VirtualSize"] == old["Size"] == new["Size"] > 0
    assert "VirtualSize" not in new


@changed(45)
def test_the_container_of_an_image_is_told_before_1_45(api, engine):
    path = f"/images/{engine.image}/json"
    old, new = api.get(path, version="1.44").json(), api.get(path, version="1.45").json()
    assert "ContainerConfig" in old
    assert not {"Container", "ContainerConfig"} & set(new)

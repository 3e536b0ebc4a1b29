"""Networks over the API: create, describe, list, connect, delete, prune."""

import re

import pytest

from seatrial.exec import ANY

claim, requires = pytest.mark.claim, pytest.mark.requires


@pytest.fixture
def subnet(engine):
    """An IPv4 network of this test, of those that are reserved for tests (RFC 2544)."""
    number = int(engine.key, 16)
    return f"198.{18 + number % 2}.{number // 2 % 256}"


@claim("api-120")
def test_create_answers_with_an_id_and_the_network_is_described(api, engine, subnet):
    name = engine.name("n")
    made = api.post("/networks/create", expect=201, json={
        "Name": name, "Driver": "bridge", "Internal": True, "Labels": {"a": "b"},
        "IPAM": {"Config": [{"Subnet": f"{subnet}.0/24", "Gateway": f"{subnet}.1"}]}}).json()  # fmt: skip
    assert re.fullmatch(r"[0-9a-f]{64}", made["Id"])
    told = api.get(f"/networks/{name}").json()
    assert (told["Id"], told["Name"], told["Driver"], told["Internal"]) == (made["Id"], name, "bridge", True)
    assert {"Subnet": f"{subnet}.0/24", "Gateway": f"{subnet}.1"}.items() <= told["IPAM"]["Config"][0].items()
    assert told["Labels"]["a"] == "b"
    assert told["Scope"] == "local"


@claim("api-120")
@pytest.mark.parametrize("by", ["id", "short"])
def test_a_network_is_found_by_its_id(api, by):
    name = api.network()
    id_ = api.get(f"/networks/{name}").json()["Id"]
    assert api.get(f"/networks/{id_ if by == 'id' else id_[:20]}").json()["Name"] == name


@claim("api-121")
@pytest.mark.parametrize("by", ["name", "id", "label", "driver", "type"])
def test_the_list_is_filtered(api, by):
    one, two = api.network(Labels={"colour": "red"}), api.network()
    id_ = api.get(f"/networks/{one}").json()["Id"]
    value = {"name": one, "id": id_, "label": "colour=red", "driver": "bridge", "type": "custom"}[by]
    names = [row["Name"] for row in api.get("/networks", query={"filters": {by: [value]}}).json()]
    assert one in names
    assert (two in names) == (by in ("driver", "type"))


@claim("api-121")
def test_dangling_networks_are_those_without_containers(api):
    used, unused = api.network(), api.network()
    api.run(HostConfig={"NetworkMode": used})
    names = [row["Name"] for row in api.get("/networks", query={"filters": {"dangling": ["true"]}}).json()]
    assert unused in names and used not in names


@claim("api-122")
def test_connect_and_disconnect_change_a_running_container(api):
    network, c = api.network(), api.run()
    api.post(f"/networks/{network}/connect", expect=200, json={"Container": c.name})
    assert len(c.kernel.links()) == 3
    assert network in c.inspect()["NetworkSettings"]["Networks"]
    assert c.id in api.get(f"/networks/{network}").json()["Containers"]
    api.post(f"/networks/{network}/disconnect", expect=200, json={"Container": c.name})
    assert len(c.kernel.links()) == 2
    assert network not in c.inspect()["NetworkSettings"]["Networks"]


@claim("api-122")
def test_a_container_is_made_with_several_networks_one_after_the_other(api):
    one, two = api.network(), api.network()
    c = api.create(HostConfig={"NetworkMode": one})
    api.post(f"/networks/{two}/connect", expect=200, json={"Container": c.name})
    c.start()
    networks = c.inspect()["NetworkSettings"]["Networks"]
    assert set(networks) == {one, two}
    assert len({networks[one]["IPAddress"], networks[two]["IPAddress"], ""}) == 3


@claim("api-126")
def test_an_endpoint_has_the_address_and_the_alias_that_it_was_given(api, subnet):
    network = api.network(IPAM={"Config": [{"Subnet": f"{subnet}.0/24"}]})
    c = api.run()
    endpoint = {"IPAMConfig": {"IPv4Address": f"{subnet}.77"}, "Aliases": ["pier"]}
    api.post(f"/networks/{network}/connect", expect=200, json={"Container": c.name, "EndpointConfig": endpoint})
    told = c.inspect()["NetworkSettings"]["Networks"][network]
    assert told["IPAddress"] == f"{subnet}.77"
    assert "pier" in told["Aliases"]
    peer = api.run(HostConfig={"NetworkMode": network})
    assert f"{subnet}.77".encode() in peer.execute("nslookup", "pier").frames.stdout


@claim("api-126")
def test_networking_config_of_create_is_obeyed(api, subnet):
    network = api.network(IPAM={"Config": [{"Subnet": f"{subnet}.0/24"}]})
    c = api.run(HostConfig={"NetworkMode": network}, NetworkingConfig={
        "EndpointsConfig": {network: {"IPAMConfig": {"IPv4Address": f"{subnet}.66"}}}})  # fmt: skip
    assert c.address == f"{subnet}.66"


@claim("api-123")
@pytest.mark.parametrize(
    ("body", "status"),
    [({"Driver": "nosuch-driver"}, 404), ({"IPAM": {"Config": [{"Subnet": "banana"}]}}, 400),
     ({"IPAM": {"Config": [{"Subnet": "198.18.0.0/24", "Gateway": "198.51.100.1"}]}}, 400),
     ({"IPAM": {"Driver": "nosuch-ipam", "Config": []}}, 404)],
    ids=["driver", "subnet", "gateway", "ipam"],
)  # fmt: skip
def test_what_makes_no_network_is_refused(api, engine, body, status):
    name = engine.name("n")
    api.refuses("POST", "/networks/create", status, json={"Name": name, **body}, timeout=90)
    api.get(f"/networks/{name}", expect=404)


@claim("api-123")
@pytest.mark.parametrize(("name", "status"), [("", 400), (" ", 400), ("host", 403), ("none", 403), ("bridge", 403)],
                         ids=["empty", "blank", "host", "none", "bridge"])  # fmt: skip
def test_names_that_no_network_may_have_are_refused(api, name, status):
    told = {network["Id"] for network in api.get("/networks").json() if network["Name"] == name}
    api.refuses("POST", "/networks/create", status, json={"Name": name})
    assert {network["Id"] for network in api.get("/networks").json() if network["Name"] == name} == told


@claim("api-123")
def test_a_network_without_a_name_is_refused(api):
    api.refuses("POST", "/networks/create", 400, json={"Driver": "bridge"})


@claim("api-123")
def test_a_subnet_that_is_taken_is_refused(api, engine, subnet):
    config = {"Config": [{"Subnet": f"{subnet}.0/24"}]}
    api.network(IPAM=config)
    api.refuses("POST", "/networks/create", 403, json={"Name": engine.name("n"), "IPAM": config})


@claim("api-123")
def test_a_name_that_is_taken_is_refused_when_told_to_look(api):
    name = api.network()
    api.refuses("POST", "/networks/create", 409, json={"Name": name, "CheckDuplicate": True}, says="network_taken")


@claim("api-124")
def test_delete_removes_a_network(api):
    name = api.network()
    api.delete(f"/networks/{name}", expect=204)
    api.refuses("GET", f"/networks/{name}", 404, says="no_such_network")


@claim("api-124", "api-071")
@pytest.mark.parametrize(
    ("method", "part"), [("GET", ""), ("DELETE", ""), ("POST", "/connect"), ("POST", "/disconnect")], ids=str
)
def test_an_unknown_network_is_not_found(api, method, part):
    c = api.run()
    body = {"Container": c.name} if part else None
    answer = api.refuses(method, f"/networks/nosuch-network{part}", 404, json=body, says="no_such_network")
    assert "nosuch-network" in answer.message


@claim("api-124")
def test_a_network_in_use_stays(api):
    name = api.network()
    c = api.run(HostConfig={"NetworkMode": name})
    api.refuses("DELETE", f"/networks/{name}", 403)
    assert c.id in api.get(f"/networks/{name}").json()["Containers"]


@claim("api-124")
def test_the_predefined_network_stays(api):
    api.refuses("DELETE", "/networks/bridge", 403)
    api.get("/networks/bridge")


@claim("api-122")
def test_connecting_twice_is_refused(api):
    name = api.network()
    c = api.run(HostConfig={"NetworkMode": name})
    api.refuses("POST", f"/networks/{name}/connect", 403, json={"Container": c.name})
    assert len(c.kernel.links()) == 2


@claim("api-122")
def test_an_unknown_container_cannot_be_connected(api):
    api.refuses("POST", f"/networks/{api.network()}/connect", 404, json={"Container": "nosuch-container"})


@claim("api-122")
def test_disconnecting_what_is_not_connected_is_refused(api):
    c = api.run()
    api.refuses("POST", f"/networks/{api.network()}/disconnect", 409, json={"Container": c.name})


@claim("api-125")
@pytest.mark.exclusive
def test_prune_removes_what_matches_the_filter(api, engine):
    pruned, kept, used = api.network(Labels={engine.key: "x"}), api.network(), api.network(Labels={engine.key: "x"})
    api.run(HostConfig={"NetworkMode": used})
    told = api.post("/networks/prune", expect=200, query={"filters": {"label": [engine.key]}}).json()
    assert told["NetworksDeleted"] == [pruned]
    assert api.get(f"/networks/{kept}").json()["Name"] == kept


@claim("api-061")
def test_docker_py_and_the_raw_api_see_the_same_networks(client, api, engine):
    network = client.networks.create(engine.name("n"), driver="bridge", internal=True)
    c = client.containers.run(engine.image, ["sleep", "60"], detach=True, name=engine.name())
    network.connect(c, aliases=["pier"])
    told = api.get(f"/networks/{network.name}").json()
    assert (told["Id"], told["Internal"], list(told["Containers"])) == (network.id, True, [c.id])
    network.disconnect(c)
    network.remove()
    assert engine.cli("network", "inspect", network.name, expect=ANY).code != 0

"""Networks: made, listed, joined, left and removed; what they separate; what is refused."""

import json

import pytest

from seatrial.exec import run
from seatrial.expecting import one

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires
case = pytest.param


def address_on(container, network):
    return container.inspect()["NetworkSettings"]["Networks"][network]["IPAddress"]


def links(engine):
    loaded = json.loads(run(["ip", "-json", "link"], host=engine.raw.host, journal=engine.journal).stdout)
    return {link["ifname"] for link in loaded}


@claim("network-043", "network-007", "network-048")
@effect("network create --subnet", "network create --gateway")
def test_network_gives_addresses_of_its_subnet_and_goes_with_its_bridge(engine, subnet):
    net = subnet(24)
    name = engine.network("--subnet", str(net), "--gateway", str(net[9]), "--label", "berth=7")
    assert engine.cli("network", "inspect", "--format", engine.trait("network_subnet_format"), name).text == str(net)
    c = engine.run("--network", name)
    endpoint = c.inspect()["NetworkSettings"]["Networks"][name]
    assert (endpoint["IPAddress"], endpoint["Gateway"]) == (str(net[1]), str(net[9]))
    assert f"{net[1]}/24" in c.exec("ip", "-o", "-4", "addr", "show", "eth0").stdout
    assert endpoint["MacAddress"] in c.exec("ip", "link", "show", "eth0").stdout
    assert ("eth0", "0.0.0.0", str(net[9]), 0) in c.kernel.routes()
    bridge = one(line.split()[1] for line in run(["ip", "-o", "-4", "addr"], host=engine.raw.host).lines
                 if f" {net[9]}/24 " in line)  # fmt: skip
    assert bridge in links(engine)
    engine.cli("rm", "--force", c.name)
    engine.cli("network", "rm", name, stdout=name)
    assert bridge not in links(engine)
    engine.fails("network", "rm", name, says="no_such_network", code=1)
    assert not engine.exists(name, "network")


@claim("network-043", "network-046")
def test_list_names_the_engines_networks_and_ones_own(engine):
    name = engine.network("--label", "berth=7")
    mine = f"seatrial.test={engine.key}"
    names = engine.cli("network", "ls", "--format", "{{.Name}}").lines
    assert {*engine.trait("network_predefined"), name} <= set(names)
    ls = ("network", "ls", "--format", "{{.Name}}")
    assert engine.cli(*ls, "--filter", f"name={name}").lines == [name]
    assert engine.cli(*ls, "--filter", f"label={mine}", "--filter", "label=berth=7").lines == [name]
    assert engine.cli(*ls, "--filter", f"label={mine}", "--filter", "label=berth=8").lines == []
    assert engine.cli(*ls, "--filter", f"label={mine}", "--filter", "driver=bridge").lines == [name]
    assert engine.cli(*ls, "--filter", f"label={mine}", "--filter", "driver=st-none").lines == []
    short = engine.cli("network", "ls", "--filter", f"name={name}", "--format", "{{.ID}}").text
    long = engine.cli("network", "ls", "--no-trunc", "--filter", f"name={name}", "--format", "{{.ID}}").text
    assert (len(short), len(long)) == (12, 64)
    assert long.startswith(short)
    assert engine.cli("network", "inspect", short, "--format", "{{.Name}}").text == name
    engine.fails("network", "ls", "--filter", "bogus=1", says="network_bad_filter", code=engine.code("error"))


@claim("network-008", "network-007", "network-043")
def test_second_network_is_a_second_interface_until_it_is_left(engine):
    first, second = engine.network(), engine.network()
    c = engine.run("--network", first)
    assert sorted(c.kernel.links()) == ["eth0", "lo"]
    engine.cli("network", "connect", second, c.name)
    assert sorted(c.kernel.links()) == ["eth0", "eth1", "lo"]
    assert address_on(c, first) != address_on(c, second)
    for place, network in (("eth0", first), ("eth1", second)):
        assert f"{address_on(c, network)}/" in c.exec("ip", "-o", "-4", "addr", "show", place).stdout
    engine.fails("network", "connect", second, c.name, says="network_connected", code=engine.code("error"))
    engine.cli("network", "disconnect", second, c.name)
    assert sorted(c.kernel.links()) == ["eth0", "lo"]
    assert list(c.inspect()["NetworkSettings"]["Networks"]) == [first]
    engine.fails("network", "disconnect", second, c.name, says="network_not_connected", code=engine.code("error"))


@claim("network-008")
def test_networks_of_a_container_that_does_not_run_are_there_when_it_starts(engine):
    first, second = engine.network(), engine.network()
    c = engine.create("--network", first)
    engine.cli("network", "connect", second, c.name)
    engine.cli("start", c.name)
    assert sorted(c.kernel.links()) == ["eth0", "eth1", "lo"]
    engine.cli("stop", "-t", "0", c.name)
    engine.cli("network", "disconnect", first, c.name)
    engine.cli("start", c.name)
    assert len(c.kernel.links()) == 2
    assert set(c.inspect()["NetworkSettings"]["Networks"]) == {second}


@claim("network-009", "network-010", "network-008")
def test_networks_separate_and_a_container_on_two_reaches_both(engine, greeter, reaches):
    one, two = (engine.network(*engine.trait("network_isolation_options")) for _ in range(2))
    here, mate, there = (greeter(engine, "--network", net) for net in (one, one, two))
    both = engine.run("--network", one)
    engine.cli("network", "connect", two, both.name)
    assert reaches(here, mate.address)
    assert reaches(both, mate.address)
    assert reaches(both, there.address)
    assert not reaches(here, there.address)
    assert not reaches(there, here.address)


@claim("network-010")
def test_networks_without_options_separate_where_the_engine_says_so(engine, greeter, reaches):
    here, there = (greeter(engine, "--network", engine.network()) for _ in range(2))
    assert reaches(here, there.address) is not engine.trait("network_isolated")


@claim("network-043", "network-026")
def test_internal_network_reaches_its_own_and_nothing_else(engine, greeter, reaches):
    name = engine.network("--internal")
    here, mate = engine.run("--network", name), greeter(engine, "--network", name)
    other = greeter(engine)
    assert reaches(here, mate.address)
    assert not reaches(here, other.address)


@claim("network-048", "network-039")
def test_addresses_run_out_and_come_back(engine, subnet):
    net = subnet(29)
    name = engine.network("--subnet", str(net))
    made = [engine.run("--network", name) for _ in range(5)]
    assert {c.address for c in made} == {str(address) for address in net.hosts()} - {str(net[1])}
    engine.cli("run", "--name", engine.name(), "--network", name, engine.image, "true",
               expect=engine.code("network_bad_address"), stderr=engine.says("network_no_address"))  # fmt: skip
    freed = made[3].address
    engine.cli("rm", "--force", made[3].name)
    assert engine.run("--network", name).address == freed


@claim("network-048")
@effect("run --ip")
def test_address_can_be_chosen_and_belongs_to_one(engine, subnet):
    net = subnet(28)
    name = engine.network("--subnet", str(net))
    c = engine.run("--network", name, "--ip", str(net[7]))
    assert c.address == str(net[7])
    assert f"{net[7]}/28" in c.exec("ip", "-o", "-4", "addr").stdout
    taken = ("run", "--name", engine.name(), "--network", name, "--ip", str(net[7]), engine.image, "true")
    engine.fails(*taken, says="network_address_taken", code=engine.code("network_bad_address"))


@claim("network-048")
def test_address_of_the_gateway_is_not_given_to_a_container(engine, subnet):
    net = subnet(28)
    name = engine.network("--subnet", str(net))
    engine.fails("run", "--name", engine.name(), "--network", name, "--ip", str(net[1]), engine.image, "true",
                 says="network_address_taken", code=engine.code("network_bad_address"))  # fmt: skip


@claim("network-048")
def test_address_that_the_default_network_cannot_give_is_refused(engine):
    engine.fails("run", "--name", engine.name(), "--ip", "198.51.100.7", engine.image, "true",
                 says="network_address_default", code=engine.code("network_bad_address"))  # fmt: skip


@claim("network-048")
@pytest.mark.parametrize(
    ("address", "says", "code"),
    [case("outside", "network_address_outside", "network_bad_address", id="outside"),
     case("banana", "network_address_bad", "usage", id="no-address")],
)  # fmt: skip
def test_address_that_is_not_of_the_subnet_is_refused(engine, subnet, address, says, code):
    name = engine.network("--subnet", str(subnet(28)))
    wanted = str(subnet(28)[5]) if address == "outside" else address
    engine.fails("run", "--name", engine.name(), "--network", name, "--ip", wanted, engine.image, "true", says=says,
                 code=engine.code(code))  # fmt: skip


@claim("network-043", "network-041")
@pytest.mark.parametrize(
    ("options", "says"),
    [case(["--subnet", "banana"], "network_bad_subnet", id="subnet-no-address"),
     case(["--subnet", "198.18.78.0"], "network_bad_subnet", id="subnet-without-prefix"),
     case(["--subnet", "198.18.78.0/33"], "network_bad_subnet", id="prefix-too-long"),
     case(["--subnet", "198.18.78.0/24", "--gateway", "198.18.79.1"], "network_gateway_outside", id="gateway-outside"),
     case(["--subnet", "198.18.78.0/24", "--ip-range", "198.18.79.0/25"], "network_range_outside", id="range-outside"),
     case(["--gateway", "198.18.79.1"], "network_gateway_alone", id="gateway-alone"),
     case(["--driver", "st-no-such-driver"], "network_bad_driver", id="unknown-driver"),
     case(["--driver", "host"], "network_driver_once", id="host-again"),
     case(["--driver", "null"], "network_driver_once", id="null-again")],
)  # fmt: skip
def test_network_that_cannot_be_is_refused(engine, options, says):
    name = engine.name("n")
    engine.fails("network", "create", *options, name, says=says, code=engine.code("error"))
    assert not engine.exists(name, "network")


@claim("network-043")
@pytest.mark.parametrize(("name", "says"), [case(" ", "network_bad_name", id="blank"),
                                            case("host", "network_mode_name", id="host"),
                                            case("none", "network_mode_name", id="none")])  # fmt: skip
def test_name_that_no_network_can_have_is_refused(engine, name, says):
    engine.fails("network", "create", name, says=says, code=engine.code("error"))


@claim("network-043")
def test_name_and_subnet_belong_to_one_network(engine, subnet):
    net = subnet(24)
    name, other = engine.network("--subnet", str(net)), engine.name("n")
    engine.fails("network", "create", name, says="network_taken", code=engine.code("error"))
    for overlapping in (str(net), f"{net[128]}/25"):
        engine.fails("network", "create", "--subnet", overlapping, other, says="network_overlap",
                     code=engine.code("error"))  # fmt: skip
    assert not engine.exists(other, "network")


@claim("network-043")
def test_network_in_use_stays_and_one_in_a_row_does_not_stop_the_others(engine):
    used, idle = engine.network(), engine.network()
    c = engine.run("--network", used)
    engine.fails("network", "rm", used, says="network_in_use", code=engine.code("network_in_use"))
    assert engine.exists(used, "network")
    assert "eth0" in c.kernel.links()
    result = engine.cli("network", "rm", "st-no-such-network", idle, expect=1, stderr=engine.says("no_such_network"))
    assert result.lines == [idle]
    assert not engine.exists(idle, "network")


@claim("network-043", "network-046")
@requires("private_engine")
def test_default_network_cannot_be_removed(private_engine):
    e = private_engine()
    name = e.trait("network_default")
    e.fails("network", "rm", name, says="network_predefined", code=e.code("network_predefined"))
    assert e.exists(name, "network")


@claim("network-043")
@requires("private_engine")
def test_prune_takes_networks_that_nobody_uses_and_no_other(private_engine):
    e = private_engine()
    used, idle, labelled = e.network(), e.network(), e.network("--label", "keep=yes")
    e.run("--network", used)
    e.cli("network", "prune", "--force", "--filter", "label!=keep", stdout=idle)
    left = set(e.cli("network", "ls", "--format", "{{.Name}}").lines)
    assert left == {*e.trait("network_predefined"), used, labelled}
    e.cli("network", "prune", "--force", stdout=labelled)
    assert set(e.cli("network", "ls", "--format", "{{.Name}}").lines) == {*e.trait("network_predefined"), used}


@claim("network-043")
@pytest.mark.parametrize("verb", ["connect", "disconnect"])
def test_unknown_network_or_container_is_refused(engine, verb):
    network, c = engine.network(), engine.run()
    error = engine.code("error")
    engine.fails("network", verb, "st-no-such-network", c.name, says="no_such_network", code=error)
    engine.fails("network", verb, network, "st-no-such-container", says="no_such_container", code=error)
    engine.fails("network", verb, network, says="missing_argument", code=engine.code("missing_argument"))
    assert sorted(c.kernel.links()) == ["eth0", "lo"]


@claim("network-041")
@requires("private_daemon")
def test_pools_of_subnets_run_out_with_a_clear_message(private_daemon):
    d = private_daemon(config={"default-address-pools": [{"base": "10.99.0.0/22", "size": 24}]})
    made = [d.network() for _ in range(3)]
    subnets = {d.inspect(name, "network")["IPAM"]["Config"][0]["Subnet"] for name in [*made, "bridge"]}
    assert subnets == {f"10.99.{number}.0/24" for number in range(4)}
    d.fails("network", "create", "more", says="available.*address pool|fully subnetted", code=1)
    d.cli("network", "rm", made[1])
    assert d.inspect(d.network(), "network")["IPAM"]["Config"][0]["Subnet"] in subnets


@claim("network-015", "network-045")
def test_overlay_outside_of_a_swarm_is_refused(engine):
    name = engine.name("n")
    engine.fails("network", "create", "--driver", "overlay", name, says="network_overlay", code=engine.code("error"))
    assert not engine.exists(name, "network")

"""Published ports: what leads to them, what is said of them, and that nothing of them stays."""

import re
import socket
import ssl
from ipaddress import ip_address

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from seatrial.conversation import Conversation
from seatrial.examples import examples
from seatrial.exec import run
from seatrial.expecting import one
from seatrial.hosts import NamespaceHost
from seatrial.waiting import wait_until

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires
case = pytest.param


def bindings(c):
    """What inspect says: {"80/tcp": [(host address, host port), ...]}."""
    ports = c.inspect()["NetworkSettings"]["Ports"] or {}
    return {private: [(one["HostIp"] or "0.0.0.0", int(one["HostPort"]))
                      for one in public or () if one["HostIp"] != "::"]
            for private, public in ports.items()}  # fmt: skip


def published(c, private="80/tcp"):
    return bindings(c)[private][0][1]


def datagrams(port=53):
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.settimeout(1)
    opened.bind(("0.0.0.0", port))
    return opened


def nat(engine, address):
    rules = run(["iptables-save", "-t", "nat"], host=engine.raw.host, journal=engine.journal).lines
    return [rule for rule in rules if "DNAT" in rule and f"{address}:" in rule]


def listed(engine, c):
    """What ps says, without the lines for IPv6."""
    seen = engine.cli("ps", "--all", "--filter", f"name={c.name}", "--format", "{{.Ports}}").text.split(", ")
    return [line for line in seen if not line.startswith(("[", ":::"))]


@claim("network-080", "network-109", "network-110")
@effect("run --publish")
@pytest.mark.parametrize("where", ["random", "random-on-an-address", "chosen", "chosen-without-expose"])
def test_published_port_leads_to_the_service(engine, serve, fetch, free_port, where):
    chosen = free_port()
    options = {
        "random": ["--publish", "80"], "random-on-an-address": ["--publish", "127.0.0.1::80"],
        "chosen": ["--expose", "80", "--publish", f"{chosen}:80"],
        "chosen-without-expose": ["--publish", f"{chosen}:80"],
    }  # fmt: skip
    c = serve("harbour", *options[where])
    address, port = one(bindings(c)["80/tcp"])
    assert address == ("127.0.0.1" if "address" in where else "0.0.0.0")
    assert (port == chosen) is where.startswith("chosen")
    assert port > 1024
    assert fetch("127.0.0.1", port) == "harbour"
    assert fetch(c.address, 80) == "harbour"


@claim("network-108")
def test_service_that_is_not_published_answers_at_the_containers_address_only(engine, serve, fetch, free_port):
    port = free_port()
    c = serve("quay", port=port)
    assert fetch(c.address, port) == "quay"
    assert fetch("127.0.0.1", port) == ""
    assert nat(engine, c.address) == []


@claim("network-082", "network-084")
def test_ps_port_inspect_and_rules_say_the_same(engine, free_port):
    port = free_port()
    c = engine.run("--publish", f"{port}:22/tcp")
    assert listed(engine, c) == [f"0.0.0.0:{port}->22/tcp"]
    assert f"22/tcp -> 0.0.0.0:{port}" in engine.cli("port", c.name).lines
    assert bindings(c) == {"22/tcp": [("0.0.0.0", port)]}
    rule = one(nat(engine, c.address))
    assert f"-p tcp -m tcp --dport {port} -j DNAT --to-destination {c.address}:22" in rule


@claim("network-080", "network-082")
def test_range_is_mapped_one_to_one(engine, serve, fetch, free_port):
    first = free_port(3)
    c = serve("third", "--publish", f"127.0.0.1:{first}-{first + 2}:80-82", port=82)
    assert bindings(c) == {f"{80 + n}/tcp": [("127.0.0.1", first + n)] for n in range(3)}
    each = [f"127.0.0.1:{first + n}->{80 + n}/tcp" for n in range(3)]
    joined = [f"127.0.0.1:{first}-{first + 2}->80-82/tcp"]
    assert listed(engine, c) == (joined if engine.trait("port_ps_joins") else each)
    assert fetch("127.0.0.1", first + 2) == "third"
    assert fetch("127.0.0.1", first) == ""


@claim("network-080")
def test_range_of_host_ports_for_one_port_leaves_the_choice_to_the_engine(engine, serve, fetch, free_port):
    first = free_port(4)
    spec = f"{first}-{first + 3}:80"
    if not engine.trait("port_range_for_one"):
        engine.fails("run", "--name", engine.name(), "--publish", spec, engine.image, "true", says="port_bad",
                     code=engine.code("usage"))  # fmt: skip
        return
    one, two = serve("one", "--publish", spec), serve("two", "--publish", spec)
    assert len({published(one), published(two)} & set(range(first, first + 4))) == 2
    assert [fetch("127.0.0.1", published(c)) for c in (one, two)] == ["one", "two"]


@claim("network-080")
def test_udp_port_takes_datagrams_and_no_connections(engine, fetch):
    c = engine.run("--publish", "127.0.0.1::53/udp")
    port = published(c, "53/udp")
    with NamespaceHost("inside", c.pid).call(datagrams) as inside:
        def arrived():
            with engine.raw.host.call(lambda: datagrams(0)) as sender:
                sender.sendto(b"ahoy", ("127.0.0.1", port))
            try:
                return inside.recv(64)
            except TimeoutError:
                return b""

        assert c.until("the datagram", arrived) == b"ahoy"
    assert listed(engine, c) == [f"127.0.0.1:{port}->53/udp"]
    assert fetch("127.0.0.1", port) == ""
    assert all("-p udp" in rule for rule in nat(engine, c.address))


@claim("network-080")
def test_host_address_limits_where_the_port_is(engine, serve, fetch, free_port):
    port = free_port()
    one = serve("second", "--publish", f"127.0.0.2:{port}:80")
    assert fetch("127.0.0.2", port) == "second"
    assert fetch("127.0.0.1", port) == ""
    two = serve("third", "--publish", f"127.0.0.3:{port}:80")
    assert fetch("127.0.0.3", port) == "third"
    assert fetch("127.0.0.2", port) == "second"
    assert (bindings(one)["80/tcp"], bindings(two)["80/tcp"]) == ([("127.0.0.2", port)], [("127.0.0.3", port)])


@claim("network-080")
def test_one_number_serves_tcp_and_udp_apart(engine, free_port):
    port = free_port()
    c = engine.run("--publish", f"127.0.0.1:{port}:53/tcp", "--publish", f"127.0.0.1:{port}:53/udp")
    assert bindings(c) == {f"53/{kind}": [("127.0.0.1", port)] for kind in ("tcp", "udp")}
    rules = nat(engine, c.address)
    assert {kind for kind in ("tcp", "udp") for rule in rules if f"-p {kind} " in rule} == {"tcp", "udp"}


@claim("network-111")
def test_port_below_1024_may_be_published(engine, serve, fetch, free_port):
    port = free_port(low=True)
    assert port < 1024
    serve("low", "--publish", f"127.0.0.1:{port}:8080", port=8080)
    assert fetch("127.0.0.1", port) == "low"


@claim("network-079")
@effect("run --publish-all", "run --expose")
def test_publish_all_maps_each_exposed_port_to_a_port_of_its_own(engine, serve, fetch):
    c = serve("all", "--publish-all", "--expose", "80", "--expose", "7001-7002", "--expose", "7003/udp")
    seen = bindings(c)
    assert set(seen) == {"80/tcp", "7001/tcp", "7002/tcp", "7003/udp"}
    ports = [port for public in seen.values() for _, port in public]
    assert len(set(ports)) == 4
    assert min(ports) >= 1024
    assert fetch("127.0.0.1", published(c)) == "all"


@claim("network-079")
def test_publish_all_maps_the_ports_that_the_image_exposes(engine):
    built = engine.build("FROM IMAGE\nEXPOSE 81 82/udp\n")
    c = engine.run("--publish-all", built.name, "sleep", "3600")
    assert set(bindings(c)) == {"81/tcp", "82/udp"}
    assert engine.cli("port", c.name, "81/tcp").text.endswith(f":{published(c, '81/tcp')}")
    assert len(nat(engine, c.address)) == 2


@claim("network-079")
def test_publish_all_without_exposed_ports_publishes_nothing(engine):
    c = engine.run("--publish-all")
    assert bindings(c) == {}
    assert nat(engine, c.address) == []


@claim("network-074")
def test_exposed_port_is_noted_and_not_mapped(engine, serve, fetch):
    c = serve("inside", "--expose", "80", "--expose", "8000-8002", "--expose", "53/udp")
    assert bindings(c) == {name: [] for name in ("80/tcp", "8000/tcp", "8001/tcp", "8002/tcp", "53/udp")}
    assert engine.cli("port", c.name).lines == []
    assert nat(engine, c.address) == []
    assert fetch(c.address, 80) == "inside"


@claim("network-074")
@pytest.mark.parametrize("port", ["70000", "banana", "80-79", "-1", "80-"])
def test_bad_exposed_port_is_refused(engine, port):
    name = engine.name()
    engine.fails("run", "--name", name, f"--expose={port}", engine.image, "true", says="port_bad_expose",
                 code=engine.code("usage"))  # fmt: skip
    assert not engine.exists(name)


@claim("network-080")
@pytest.mark.parametrize("spec", [
    case("70000:80", id="host-port-too-high"), case("8000:65536", id="port-too-high"), case("-1:80", id="negative"),
    case("banana", id="word"), case("8000:banana", id="word-inside"), case("80/banana", id="protocol"),
    case(":", id="nothing"), case("80:", id="no-port"), case("8000:80:90:91", id="too-many-parts"),
    case("8000-8002:80-81", id="ranges-differ"), case("9000-8000:80-81", id="range-backwards"),
    case("300.1.1.1:8000:80", id="address"), case("banana:8000:80", id="name-for-address"),
])  # fmt: skip
def test_bad_publication_is_refused(engine, spec):
    name = engine.name()
    engine.fails("run", "--name", name, f"--publish={spec}", engine.image, "true", says="port_bad",
                 code=engine.code("usage"))  # fmt: skip
    assert not engine.exists(name)


@claim("network-080")
@examples(8)
@given(port=st.integers(65536, 1 << 70) | st.integers(-(1 << 40), -1), inside=st.booleans())
def test_number_that_is_no_port_is_refused(engine, port, inside):
    spec = f"8000:{port}" if inside else f"{port}:80"
    engine.fails("create", f"--publish={spec}", engine.image, says="port_bad", code=engine.code("usage"))


@claim("network-080")
@examples(8)
@given(wanted=st.dictionaries(
    st.tuples(st.integers(1, 65535), st.sampled_from(["tcp", "udp"])),
    st.tuples(st.ip_addresses(v=4, network="127.0.0.0/8"), st.integers(1, 65535)), min_size=1, max_size=5))  # fmt: skip
def test_every_publication_is_kept_as_it_was_given(engine, wanted):
    words = [word for (inside, kind), (address, port) in wanted.items()
             for word in ("--publish", f"{address}:{port}:{inside}/{kind}")]  # fmt: skip
    kept = engine.create(*words).inspect()["HostConfig"]["PortBindings"]
    seen = {name: [(one["HostIp"], int(one["HostPort"])) for one in public] for name, public in kept.items()}
    assert seen == {f"{inside}/{kind}": [(str(ip_address(address)), port)]
                    for (inside, kind), (address, port) in wanted.items()}  # fmt: skip


@claim("network-080")
@requires("local_engine")
@examples(3)
@given(wanted=st.lists(
    st.tuples(st.integers(1, 65535), st.sampled_from(["tcp", "udp"]), st.ip_addresses(v=4, network="127.64.0.0/10"),
              st.integers(2000, 19999)),
    min_size=1, max_size=3, unique_by=(lambda one: one[:2], lambda one: one[1:])))  # fmt: skip
def test_every_publication_is_a_rule_of_the_packet_filter(engine, wanted):
    c = engine.run(*(word for inside, kind, address, port in wanted
                     for word in ("--publish", f"{address}:{port}:{inside}/{kind}")))  # fmt: skip
    rules = run(["iptables-save", "-t", "nat"], host=engine.raw.host, journal=engine.journal).stdout
    for inside, kind, address, port in wanted:
        target = f"{c.address}:{inside}"
        assert re.search(rf"-d {address}(/32)? .*-p {kind} .*--dport {port} .*DNAT --to-destination {target}$", rules,
                         re.MULTILINE)  # fmt: skip
    engine.cli("rm", "--force", c.name)


@claim("network-080", "network-111")
def test_port_that_another_container_has_is_refused_until_it_is_free(engine, serve, fetch, free_port):
    port = free_port()
    first = serve("first", "--publish", f"{port}:80")
    second = engine.create("--publish", f"{port}:80", engine.image, "sh", "-c",
                           "mkdir /www && echo second >/www/word && exec httpd -f -h /www")  # fmt: skip
    engine.fails("start", second.name, says="port_taken", code=engine.code("port_start_error"))
    assert second.status != "running"
    assert fetch("127.0.0.1", port) == "first"
    engine.cli("rm", "--force", first.name)
    engine.cli("start", second.name)
    second.until("an answer", lambda: fetch("127.0.0.1", port) == "second")


@claim("network-080", "network-111")
def test_port_that_the_host_listens_on_is_refused(engine, free_port):
    port = free_port()
    taken = engine.raw.host.call(lambda: socket.create_server(("0.0.0.0", port)))
    engine.defer(taken.close)
    engine.fails("run", "--name", engine.name(), "--publish", f"{port}:80", engine.image, "true", says="port_taken",
                 code=engine.code("port_run_error"))  # fmt: skip
    rules = run(["iptables-save", "-t", "nat"], host=engine.raw.host, journal=engine.journal).stdout
    assert f"--dport {port} " not in rules


@claim("network-080")
def test_address_that_the_host_does_not_have_is_refused(engine):
    engine.fails("run", "--name", engine.name(), "--publish", "192.0.2.77::80", engine.image, "true",
                 says="cannot assign requested address", code=engine.code("port_run_error"))  # fmt: skip


@claim("network-087")
@pytest.mark.parametrize("end", ["stop", "kill", "remove", "itself"])
def test_rules_and_port_are_free_after_the_end(engine, free_port, end):
    port = free_port()
    c = engine.run("--publish", f"{port}:80", engine.image, "sh", "-c", "while [ ! -e /end ]; do sleep 0.1; done")
    address = c.address
    assert len(nat(engine, address)) == 1
    if end == "itself":
        c.exec("touch", "/end")
        c.wait()
    else:
        args = {"stop": ["stop", "-t", "0"], "kill": ["kill"], "remove": ["rm", "--force"]}[end]
        engine.cli(*args, c.name)
    wait_until("the rule is gone", lambda: not [rule for rule in nat(engine, address) if f"--dport {port} " in rule])
    bound = engine.raw.host.call(lambda: socket.create_server(("0.0.0.0", port)))
    bound.close()


@claim("network-087", "network-080")
def test_restart_publishes_the_chosen_port_again(engine, serve, fetch, free_port):
    port = free_port()
    c = serve("again", "--publish", f"{port}:80")
    c.exec("rm", "-r", "/www")  # so that the script can make it again
    engine.cli("restart", "-t", "0", c.name)
    c.until("an answer", lambda: fetch("127.0.0.1", port) == "again")
    rule = one(nat(engine, c.address))
    assert f"--dport {port} " in rule


@claim("network-086")
def test_container_reaches_its_own_published_port_through_the_host(engine, serve, ask):
    c = serve("hairpin", "--publish", "80")
    gateway = one(gate for _, to, gate, _ in c.kernel.routes() if to == "0.0.0.0")
    other = engine.run()
    for asking in (c, other):
        assert ask(asking, gateway, published(c)) == "hairpin"


@pytest.fixture
def outside(engine):
    """A neighbour of the engine's host: a network namespace at the other end of a cable, and the host's address."""
    host = engine.raw.host

    def ip(*words):
        run(["ip", *words], host=host, journal=engine.journal)

    talk = engine.raw.host.enter(["unshare", "--net", "sh", "-c", "echo ready; exec sleep 600"])
    keeper = Conversation(talk, journal=engine.journal)
    engine.defer(keeper.close)
    keeper.wait_for("ready")
    number = int(engine.key, 16)
    net = f"100.{64 + number % 64}.{number // 64 % 256}"
    link = f"st{engine.key}"
    ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", str(keeper.pid))
    engine.defer(lambda: run(["ip", "link", "del", link], host=host, expect=None))
    ip("addr", "add", f"{net}.1/24", "dev", link)
    ip("link", "set", link, "up")
    for words in (["addr", "add", f"{net}.2/24", "dev", "eth0"], ["link", "set", "eth0", "up"],
                  ["route", "add", "default", "via", f"{net}.1"]):  # fmt: skip
        run(["nsenter", f"--target={keeper.pid}", "--net", "ip", *words], host=host, journal=engine.journal)
    return NamespaceHost("outside", keeper.pid), f"{net}.1"


@claim("network-085", "network-109")
def test_neighbour_of_the_host_reaches_published_ports(serve, fetch, outside):
    neighbour, host = outside
    c = serve("far", "--publish", "80", "--publish", "127.0.0.1::81")
    assert fetch(host, published(c), neighbour) == "far"
    assert fetch(host, published(c, "81/tcp"), neighbour) == ""


@claim("network-085")
def test_neighbour_of_the_host_does_not_reach_unpublished_ports_where_the_engine_filters(engine, serve, fetch, outside):
    neighbour, _ = outside
    c = serve("near")
    assert fetch(c.address, 80) == "near"
    assert (fetch(c.address, 80, neighbour) == "") is engine.trait("port_filters_what_is_not_published")


@claim("network-112")
def test_https_service_answers_through_a_published_port(engine, free_port):
    port = free_port()
    authority = trustme.CA()
    certificate = authority.issue_cert("keel")
    certificate.private_key_pem.write_to_path(str(engine.workdir / "key.pem"))
    certificate.cert_chain_pems[0].write_to_path(str(engine.workdir / "cert.pem"))
    system = [word for path in ("/usr", "/lib", "/lib64") for word in ("--volume", f"{path}:{path}:ro")]
    c = engine.run("--publish", f"127.0.0.1:{port}:443", "--volume", f"{engine.workdir}:/tls:ro", *system,
                   engine.image, "/usr/bin/openssl", "s_server", "-accept", "443", "-cert", "/tls/cert.pem",
                   "-key", "/tls/key.pem", "-www")  # fmt: skip
    c.until("listening", lambda: 443 in c.kernel.listeners())
    context = ssl.create_default_context()
    authority.configure_trust(context)

    def ask():
        with socket.create_connection(("127.0.0.1", port), 10) as plain, context.wrap_socket(
            plain, server_hostname="keel"
        ) as safe:
            safe.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return safe.recv(64)

    assert engine.raw.host.call(ask).startswith(b"HTTP/1.0 200")

"""Links of containers (`run --link`), and what takes their place: ambassadors."""

import pytest

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires


def entry(c, name):
    """The lines of /etc/hosts that hold a name, as [address, name, ...]."""
    return [line.split() for line in c.read("/etc/hosts").splitlines() if name in line.split()[1:]]


@claim("network-076", "network-088", "network-090", "network-115")
@effect("run --link")
@requires("links")
def test_link_gives_names_and_a_way_to_the_other(engine, serve, ask):
    there = serve("linked", "--expose", "80")
    c = engine.run("--link", f"{there.name}:keel")
    assert entry(c, "keel") == [[there.address, "keel", there.id[:12], there.name]]
    assert ask(c, "keel") == "linked"
    environment = c.kernel.environ
    assert environment["KEEL_PORT_80_TCP"] == f"tcp://{there.address}:80"
    assert environment["KEEL_PORT_80_TCP_ADDR"] == there.address
    assert environment["KEEL_NAME"] == f"/{c.name}/keel"


@claim("network-076")
@requires("links")
def test_link_without_an_alias_uses_the_name(engine, serve, ask):
    there = serve("linked")
    c = engine.run("--link", there.name)
    assert [line[0] for line in entry(c, there.name)] == [there.address]
    assert ask(c, there.name) == "linked"


@claim("network-091")
@requires("links")
def test_link_follows_the_other_to_a_new_address(engine):
    there = engine.run()
    c = engine.run("--link", f"{there.name}:keel")
    old = there.address
    for _ in range(6):
        engine.cli("stop", "-t", "0", there.name)
        engine.run()  # takes the address that became free
        engine.cli("start", there.name)
        if there.address != old:
            break
    assert there.address != old
    assert [line[0] for line in entry(c, "keel")] == [there.address]


@claim("network-076")
@requires("links")
def test_link_of_a_network_is_an_alias_for_one_container_alone(engine, serve, ask):
    network = engine.network()
    there = serve("scoped", "--network", network)
    c = engine.run("--network", network, "--link", f"{there.name}:keel")
    other = engine.run("--network", network)
    assert ask(c, "keel") == "scoped"
    assert ask(other, "keel") == ""
    assert ask(other, there.name) == "scoped"


@claim("network-076")
@requires("links")
@pytest.mark.parametrize(
    ("link", "says"),
    [("st-no-such-container:x", "could not get container"), (":x", "could not get container"),
     ("a:b:c", "bad format for links|invalid argument"), ("", "empty string specified for links|invalid argument")],
    ids=["unknown", "no-name", "three-parts", "empty"],
)  # fmt: skip
def test_link_to_nothing_is_refused(engine, link, says):
    engine.fails("run", "--name", engine.name(), f"--link={link}", engine.image, "true", says=says,
                 code=engine.code("usage"))  # fmt: skip


@claim("network-076")
@requires("links")
def test_link_to_a_container_that_does_not_run_is_refused(engine):
    there = engine.create()
    engine.fails("run", "--name", engine.name(), "--link", f"{there.name}:x", engine.image, "true",
                 says="[Cc]annot link to a non running container", code=engine.code("usage"))  # fmt: skip


@claim("network-076")
@requires("links")
def test_link_on_the_hosts_stack_is_refused(engine):
    there = engine.run()
    engine.fails("run", "--name", engine.name(), "--network", "host", "--link", there.name, engine.image, "true",
                 says="links", code=engine.code("usage"))  # fmt: skip


@claim("network-081", "network-088")
@requires("private_daemon", "links")
def test_without_traffic_among_containers_a_link_opens_exposed_ports_alone(private_daemon, ask):
    d = private_daemon("--icc=false")
    script = "mkdir /www && echo w >/www/word && httpd -p 81 -h /www && exec httpd -f -h /www"
    there = d.run("--expose", "80", d.image, "sh", "-c", script)
    there.until("listening", lambda: {80, 81} <= there.kernel.listeners())
    stranger, friend = d.run(), d.run("--link", f"{there.name}:keel")

    def reaches(c, port):
        return ask(c, there.address, port) == "w"

    assert reaches(friend, 80)
    assert not reaches(friend, 81)
    assert not reaches(stranger, 80)


@claim("network-116")
def test_ambassador_passes_a_service_on(engine, serve, ask):
    service = serve("behind", port=8080)
    relay = engine.run(engine.image, "nc", "-ll", "-p", "80", "-e", "nc", service.address, "8080")
    relay.until("listening", lambda: 80 in relay.kernel.listeners())
    c = engine.run("--add-host", f"keel:{relay.address}")
    assert ask(c, "keel") == "behind"

"""Addresses that are not one's own: answers to ARP, sources of packets, and the same networks by IPv6."""

import ipaddress
import time

import pytest

from seatrial.exec import run

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires

# tells a neighbour that an address is at this container's hardware address: interface, address, whose it is
ANSWER_ARP = """
    my ($address, $victim, $hardware) = @ARGV;
    socket(my $s, 17, 3, 0x0608) or exit print $! + 0;
    my ($index, $own) = map { open my $f, "<", "/sys/class/net/eth0/$_" or die; my $l = <$f>; chomp $l; $l }
        qw(ifindex address);
    $_ =~ s/://g for $own, $hardware;
    my $frame = pack "H12 H12 n n n C C n H12 C4 H12 C4", $hardware, $own, 0x0806, 1, 0x0800, 6, 4, 2,
        $own, split(/[.]/, $address), $hardware, split /[.]/, $victim;
    my $to = pack "S n i S C C H16", 17, 0x0806, $index, 1, 0, 6, "${hardware}0000";
    for (1 .. 20) { send($s, $frame, 0, $to) or exit print $! + 0; select undef, undef, undef, 0.2 }
    print 0;
"""
# sends a datagram from any address to port 4000
SEND_FROM = """
    my ($source, $target) = @ARGV;
    socket(my $s, 2, 3, 255) or exit print $! + 0;
    my $head = pack "C C n n n C C n C4 C4", 0x45, 0, 28 + 5, 0, 0, 64, 17, 0, split(/[.]/, $source),
        split /[.]/, $target;
    my $datagram = pack "n n n n a5", 4001, 4000, 13, 0, "hello";
    for (1 .. 10) {
        send($s, "$head$datagram", 0, pack("S n C4 x8", 2, 0, split /[.]/, $target)) or exit print $! + 0;
        select undef, undef, undef, 0.2;
    }
    print 0;
"""
CONNECT = """
    alarm 2;
    socket(my $s, 2, 1, 0) or die $!;
    connect $s, pack "S n C4 x8", 2, 9, split /[.]/, $ARGV[0];
"""
HEAR_FROM = """
    my $s;
    socket($s, 2, 2, 0) && bind($s, pack("S n C4 x8", 2, 4000, 0, 0, 0, 0)) or die $!;
    $| = 1;
    print "ready\\n";
    while (my $from = recv $s, my $said, 64, 0) { print join(".", unpack "x4 C4", $from), "\\n" }
"""
SAY_HELLO = """
    my ($s, $c);
    socket($s, 10, 1, 0) && setsockopt($s, 1, 2, 1) && bind($s, pack("S n N x16 N", 10, 80, 0, 0)) && listen $s, 8
        or die $!;
    $| = 1;
    print "ready\\n";
    while (accept $c, $s) { syswrite $c, "hello"; close $c }
"""
ASK = """
    my $s;
    alarm 3;
    socket($s, 10, 1, 0) && connect($s, pack "S n N H32 N", 10, 80, 0, $ARGV[0], 0) or exit print $! + 0;
    sysread $s, my $said, 5;
    print $said;
"""


def perl(c, script, *words):
    return c.exec("perl", "-e", script, *words, expect=None).text


def address_of(c, network, key="IPAddress"):
    return c.inspect()["NetworkSettings"]["Networks"][network][key]


def hardware_of(c):
    return c.read("/sys/class/net/eth0/address").strip()


def believed(c, address):
    """Return the hardware address that a container has for an address."""
    rows = [line.split() for line in c.read("/proc/net/arp").splitlines()[1:]]
    return next((row[3] for row in rows if row[0] == address), "")


@pytest.fixture
def neighbours(engine, prober):
    """A network, two containers on it, their addresses, and a function that starts a program in a third one there."""
    network = engine.network()
    made = [engine.run("--network", network, prober.image, "sleep", "3600") for _ in range(2)]

    def third(options, *program):
        return engine.run("--network", network, *options, prober.image, "perl", "-e", *program)

    return network, made, [address_of(c, network) for c in made], third


def outcome(c, seen, what):
    """Return `what` as soon as it is seen, else the error that the program of a third container ended with."""
    while not seen():
        if c.status == "exited":
            return what if seen() else {"1": "EPERM", "0": "nothing"}[c.logs().text]
        time.sleep(0.05)
    return what


@claim("security-190")
@effect("run --cap-drop")
def test_address_of_a_neighbour_is_taken_over_with_raw_sockets_only(neighbours, guard):
    """The third tells the first that the second's address is its own."""
    network, (victim, peer), (here, there), third = neighbours
    hardware = hardware_of(victim)

    def taken(*options):
        perl(victim, CONNECT, there)
        c = third(options, ANSWER_ARP, there, here, hardware)
        own = c.inspect()["NetworkSettings"]["Networks"][network]["MacAddress"] or "gone"
        return outcome(c, lambda: believed(victim, there) == own, "taken over")

    perl(victim, CONNECT, there)
    assert believed(victim, there) == hardware_of(peer)
    shut, free, default = taken("--cap-drop", "NET_RAW"), taken("--cap-add", "NET_RAW"), taken()
    guard.holds("the address of a neighbour, by ARP", shut, free, mode="--cap-drop NET_RAW",
                is_refused=lambda what: what in ("EPERM", "nothing"))  # fmt: skip
    guard.note("the address of a neighbour, by ARP", default, state="open" if default == "taken over" else "fact")


@claim("security-190")
@effect("run --cap-drop")
def test_packets_have_the_source_of_another_with_raw_sockets_only(engine, prober, neighbours, guard):
    _, (victim, _), (here, there), third = neighbours
    ear = engine.run("--network", f"container:{victim.name}", prober.image, "perl", "-e", HEAR_FROM)
    ear.until_log("ready")

    def heard(*options):
        before = ear.logs().lines.count(there)
        c = third(options, SEND_FROM, there, here)
        return outcome(c, lambda: ear.logs().lines.count(there) > before, "heard")

    shut, free, default = heard("--cap-drop", "NET_RAW"), heard("--cap-add", "NET_RAW"), heard()
    guard.holds("a packet from a neighbour's address", shut, free, mode="--cap-drop NET_RAW",
                is_refused=lambda what: what in ("EPERM", "nothing"))  # fmt: skip
    guard.note("a packet from a neighbour's address", default, state="open" if default == "heard" else "fact")


def asked(c, address):
    said = perl(c, ASK, ipaddress.ip_address(address).packed.hex())
    return "answers" if said == "hello" else "refused"


def serving(bench, prober, *options):
    """Start a container that says hello by IPv6."""
    c = bench.run(*options, prober.image, "perl", "-e", SAY_HELLO)
    c.until_log("ready")
    return c


@claim("security-041", "security-055", "security-191")
@requires("ipv6")
def test_networks_do_not_reach_each_other_by_ipv6(engine, prober, guard):
    isolated = engine.trait("isolated_network")
    parts = [engine.key[:4], engine.key[4:8]]
    first, second = (engine.network("--ipv6", "--subnet", f"fd00:{parts[0]}:{parts[1]}:{number}::/64", *isolated)
                     for number in (1, 2))  # fmt: skip
    served = serving(engine, prober, "--network", first)
    address = address_of(served, first, "GlobalIPv6Address")
    stranger, neighbour = (engine.run("--network", network, prober.image, "sleep", "3600")
                           for network in (second, first))  # fmt: skip
    # an address is looked for duplicates of before it is used
    neighbour.until("an answer", lambda: asked(neighbour, address) == "answers")
    free = asked(neighbour, address)
    guard.holds("a container on another network, by IPv6", asked(stranger, address), free,
                mode=" ".join(isolated) or "default")  # fmt: skip


@claim("security-171", "security-191")
@requires("private_daemon", "ipv6")
@effect("dockerd --icc")
def test_containers_of_the_default_bridge_are_parted_without_icc_by_ipv6(private_daemon, prober_in, guard):
    seen = {}
    for which, value in (("shut", "false"), ("free", "true")):
        d = private_daemon(f"--icc={value}", "--userland-proxy=false", "--ipv6", "--fixed-cidr-v6", "fd00:5eb::/64")
        prober = prober_in(d)
        served, other = serving(d, prober), d.run(prober.image, "sleep", "3600")
        address = address_of(served, "bridge", "GlobalIPv6Address")
        tries = [asked(other, address) for _ in range(3)]
        seen[which] = "answers" if "answers" in tries else "refused"
    guard.holds("another container of the default bridge, by IPv6", seen["shut"], seen["free"], mode="--icc=false")


@claim("security-192")
@requires("lab", "ipv6")
def test_host_takes_no_router_advertisement_of_a_container(engine, prober, guard, advisory):
    """What is set for the bridge of a network; the control is what the kernel sets for an interface of nobody."""
    advised = advisory("router-advertisements")
    network = engine.network()
    c = engine.run("--network", network, prober.image, "sleep", "3600")
    gateway = next(gateway for _, _, gateway, prefix in c.kernel.routes() if prefix == 0)
    script = ("link=$(ip -o -4 addr show to $0 | cut -d' ' -f2); cd /proc/sys/net/ipv6/conf;"
              " cat $link/accept_ra default/accept_ra $link/forwarding")  # fmt: skip
    accepted, default, forwards = run(["sh", "-c", script, gateway], host=engine.raw.host, journal=engine.journal).lines
    # with 1 advertisements are taken unless the interface forwards, with 2 always (ip-sysctl.rst)
    shut = "taken" if accepted == "2" or (accepted == "1" and forwards == "0") else "refused"
    guard.holds(advised.words, shut, "taken" if default != "0" else "refused")
    advised.agrees()

"""Matching wishes with what hosts offer: each wish that does not fit is told with what is offered."""

import pytest

from seatrial.oct import offers
from seatrial.oct.model import Case

ONE = offers.Offer("one", "debian", "12", "x86_64", 2, 4 << 30, 10 << 30)
TWO = offers.Offer("two", "ubuntu", "22.04", "x86_64", 8, 16 << 30, 100 << 30)


@pytest.fixture
def case(samples):
    def make(hosts=1, **wish):
        return Case.load(samples.case(
            Requires=[{"Class": "host", "Type": "os", **wish}, {"Class": "box", "Type": "container"}],
            Deploys=[{"Object": f"host{number}", "Class": "host"} for number in range(hosts)],
        ))  # fmt: skip

    return make


@pytest.mark.parametrize(
    ("wish", "why"),
    [
        ({"Version": "12.04"}, "Version 12.04 wanted, 12 offered"), ({"Version": "12"}, ""),
        ({"Distribution": "Debian"}, ""), ({"Distribution": "CentOS"}, "Distribution CentOS wanted, debian offered"),
        ({"Arch": "aarch64"}, "Arch aarch64 wanted, x86_64 offered"),
        ({"Resource": {"CPU": 4}}, "CPU 4 wanted, 2 offered"),
        ({"Resource": {"Memory": "8GiB"}}, "Memory 8.0 GiB wanted, 4.0 GiB offered"),
        ({"Resource": {"Memory": "4GiB"}}, ""),
        ({"Resource": {"Disk": "1TB"}}, "Disk 931.3 GiB wanted, 10.0 GiB offered"),
        ({"Version": "7", "Resource": {"CPU": 4}}, "Version 7 wanted, 12 offered, CPU 4 wanted, 2 offered"),
    ],
)  # fmt: skip
def test_each_wish_that_does_not_fit_is_told(case, wish, why):
    placing = offers.place(case(**wish), [ONE])
    assert placing.why_not == (f"host0 (host) on one: {why}" if why else "")
    assert placing.hosts == ({} if why else {"host0": ONE})


def test_objects_get_hosts_of_their_own_as_long_as_there_are_enough(case):
    assert list(offers.place(case(2), [ONE, TWO]).hosts.values()) == [ONE, TWO]
    assert list(offers.place(case(3), [ONE, TWO]).hosts.values()) == [ONE, TWO, ONE]
    assert list(offers.place(case(2, Distribution="ubuntu"), [ONE, TWO]).hosts.values()) == [TWO, TWO]


def test_an_amount_wants_different_hosts(case):
    assert offers.place(case(2, Amount=2), [ONE, TWO]).why_not == ""
    assert offers.place(case(2, Amount=3), [ONE, TWO]).why_not == "host: 3 hosts wanted, 2 offered"
    assert offers.place(case(2, Amount=2), [ONE]).why_not == "host: 2 hosts wanted, 1 offered"


def test_no_host_at_all(case):
    assert offers.place(case(), []).why_not == "no host is offered"


def test_a_tool_is_looked_for_where_commands_are(samples, tmp_path):
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/iperf3").touch()
    document = samples.case()
    document["Requires"].append({"Class": "tool", "Type": "tool", "Tool": "iperf3"})
    there = offers.Offer("there", "debian", "12", "x86_64", 2, 1, 1, root=str(tmp_path))
    bare = offers.Offer("bare", "debian", "12", "x86_64", 2, 1, 1, root=str(tmp_path / "usr/bin"))
    assert offers.place(Case.load(document), [there]).why_not == ""
    assert "the tool iperf3 wanted, it is not installed" in offers.place(Case.load(document), [bare]).why_not


def linked(samples, left, right, wish=None):
    """A case of two hosts, with what the arguments of their containers are."""
    return Case.load(samples.case(
        Requires=[{"Class": "host", "Type": "os"}, {"Class": "other", "Type": "os", **(wish or {})},
                  {"Class": "box", "Type": "container"}],
        Deploys=[
            {"Object": name, "Class": klass, "Containers": [{"Object": f"box-{name}", "Class": "box", "Args": args}]}
            for name, klass, args in (("left", "host", left), ("right", "other", right))
        ],
    ))  # fmt: skip


LAN = {"Network": "lan"}
VOLUME = {"Volumes": [{"Name": "data", "Path": "/data"}]}


@pytest.mark.parametrize(("left", "right", "hosts"), [
    ({}, {}, [ONE, TWO]), (LAN, LAN, [ONE, ONE]), (VOLUME, VOLUME, [ONE, ONE]), (LAN, VOLUME, [ONE, TWO]),
    ({"Network": "none"}, {"Network": "none"}, [ONE, TWO]), ({}, {"Join": {"pid": "box-left"}}, [ONE, ONE]),
    (LAN, {"Network": "wan"}, [ONE, TWO]),
])  # fmt: skip
def test_hosts_whose_containers_share_something_are_one(samples, left, right, hosts):
    assert list(offers.place(linked(samples, left, right), [ONE, TWO]).hosts.values()) == hosts


def test_what_is_shared_is_told_where_no_host_has_all(samples):
    placing = offers.place(linked(samples, LAN, LAN, {"Distribution": "ubuntu", "Resource": {"CPU": 4}}), [ONE])
    assert placing.reasons == (
        "right (other) on one: Distribution ubuntu wanted, debian offered, CPU 4 wanted, 2 offered",
        "left, right: one host wanted, which their containers share",
    )


def test_a_target_is_looked_for_among_the_engines_of_a_host(case):
    docker = offers.Offer("one", "debian", "12", "x86_64", 2, 4 << 30, 10 << 30, ("docker",))
    podman = offers.Offer("two", "debian", "12", "x86_64", 2, 4 << 30, 10 << 30, ("podman",))
    assert offers.place(case(), [docker, podman], "podman").hosts == {"host0": podman}
    assert offers.place(case(Amount=2), [docker, podman], "podman").why_not == "host: 2 hosts wanted, 1 offered"
    assert offers.place(case(), [docker, ONE], "podman").reasons == (
        "host0 (host) on one: engine podman wanted, docker offered",
        "host0 (host) on one: engine podman wanted, none offered",
    )

import pytest

from seatrial.probes.firewall import Firewall, Packet

RULES = """\
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [7:99]
:INNER - [0:0]
-A FORWARD -m comment --comment "not a target -j DROP" -j INNER
-A FORWARD -i keel0 ! -o keel0 -j ACCEPT
-A INNER -o keel0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INNER -s 10.0.0.0/8 -p tcp -m tcp --dport 80:90 -j REJECT --reject-with icmp-port-unreachable
-A INNER -i back0 -j RETURN
-A INNER -d 192.0.2.9/32 -j DROP
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A PREROUTING -p tcp -m addrtype --dst-type LOCAL -m tcp --dport 4242 -j DNAT --to-destination 172.17.0.2:80
-A POSTROUTING -s 10.1.0.0/16 -j MARK --set-xmark 0x2000/0x2000
-A POSTROUTING -m mark --mark 0x2000/0x2000 -j MASQUERADE
COMMIT
"""


@pytest.mark.parametrize(
    ("packet", "verdict"),
    [
        (Packet(came="keel0", goes="out0"), "ACCEPT"),
        (Packet(came="keel0", goes="keel0"), "DROP"),
        (Packet(came="out0", goes="keel0"), "DROP"),
        (Packet(came="out0", goes="keel0", state="RELATED"), "ACCEPT"),
        (Packet(source="10.9.9.9", came="keel0", goes="out0", port=80), "REJECT"),
        (Packet(source="10.9.9.9", came="keel0", goes="out0", port=90), "REJECT"),
        (Packet(source="10.9.9.9", came="keel0", goes="out0", port=91), "ACCEPT"),
        (Packet(source="10.9.9.9", came="keel0", goes="out0", protocol="udp"), "ACCEPT"),
        (Packet(target="192.0.2.9", came="keel0", goes="out0"), "DROP"),
        (Packet(target="192.0.2.9", came="back0", goes="out0"), "DROP"),
    ],
)
def test_the_first_rule_that_holds_decides_and_then_the_policy(packet, verdict):
    assert Firewall(RULES).verdict("filter", "FORWARD", packet) == verdict


def test_a_chain_that_returns_goes_on_in_its_caller_and_the_policy_is_told():
    decided = Firewall(RULES).decide("filter", "FORWARD", Packet(target="192.0.2.9", came="back0", goes="out0"))
    assert decided.text == "-P FORWARD DROP"


def test_translation_tells_where_to():
    firewall = Firewall(RULES)
    decided = firewall.decide("nat", "PREROUTING", Packet(port=4242, local=True))
    assert (decided.target, decided.options) == ("DNAT", {"--to-destination": "172.17.0.2:80"})
    assert firewall.verdict("nat", "PREROUTING", Packet(port=4242)) == "ACCEPT"


def test_a_mark_is_kept_for_the_rules_after_it():
    firewall = Firewall(RULES)
    assert firewall.verdict("nat", "POSTROUTING", Packet(source="10.1.0.7")) == "MASQUERADE"
    assert firewall.verdict("nat", "POSTROUTING", Packet(source="10.2.0.7")) == "ACCEPT"


def test_a_condition_that_is_not_known_is_an_error():
    firewall = Firewall("*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -m quota --quota 7 -j DROP\nCOMMIT\n")
    with pytest.raises(LookupError, match="--quota"):
        firewall.decide("filter", "FORWARD", Packet())


def test_rules_are_listed_with_their_tables_and_policies():
    assert Firewall(RULES).rules[0] == "filter -P FORWARD DROP"
    assert len(Firewall(RULES).rules) == 10
    assert Firewall("").rules == []

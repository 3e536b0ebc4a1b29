"""What a host's iptables rules decide about a packet, whatever chains an engine spreads them over.

Engines, and versions of one engine, arrange the same policy in different chains; a test that compares
rules by their text tests the arrangement. `Firewall.decide` walks the rules as the kernel does.
"""

from __future__ import annotations

import ipaddress
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from seatrial import exec as command
from seatrial.exec import Journal
from seatrial.hosts import Host

# targets after which the walk goes on with the next rule
_PASSING = {"MARK", "LOG", "NFLOG", "CONNMARK", ""}


@dataclass(frozen=True)
class Packet:
    """A packet as the rules see it: interfaces, addresses, transport, state of its connection."""

    source: str = "192.0.2.1"
    target: str = "198.51.100.1"
    came: str = ""  # the interface it came by, empty for one that this host sends
    goes: str = ""  # the interface it leaves by
    protocol: str = "tcp"
    port: int = 80
    state: str = "NEW"
    local: bool = False  # whether the target is an address of this host
    own: bool = False  # whether the source is one


@dataclass(frozen=True)
class Match:
    """One condition of a rule: `-i docker0`, `! -d 127.0.0.0/8`, ..."""

    option: str
    value: str
    negated: bool = False


@dataclass(frozen=True)
class Rule:
    """A rule: what must match, where it leads, and the target's options (`--to-destination`)."""

    text: str
    matches: tuple[Match, ...] = ()
    target: str = ""
    options: Mapping[str, str] = field(default_factory=dict)


class Firewall:
    """The rules of all tables, as `iptables-save` prints them."""

    def __init__(self, text: str) -> None:
        self.chains: dict[tuple[str, str], list[Rule]] = {}
        self.policies: dict[tuple[str, str], str] = {}
        table = ""
        for line in text.splitlines():
            if line.startswith("*"):
                table = line[1:]
            elif line.startswith(":"):
                chain, policy, *_ = line[1:].split()
                self.chains.setdefault((table, chain), [])
                self.policies[table, chain] = policy
            elif line.startswith("-A"):
                chain, rule = _rule(line)
                self.chains[table, chain].append(rule)

    @classmethod
    def of(cls, host: Host, journal: Journal | None = None) -> Firewall:
        """Read the rules of a host."""
        return cls(command.run(["iptables-save"], host=host, journal=journal).stdout)

    @property
    def rules(self) -> list[str]:
        """Every rule as `TABLE -A CHAIN ...`, and every policy that is not ACCEPT."""
        policies = [f"{table} -P {chain} {policy}" for (table, chain), policy in self.policies.items()
                    if policy not in ("-", "ACCEPT")]  # fmt: skip
        return policies + [f"{table} {rule.text}" for (table, _), rules in self.chains.items() for rule in rules]

    def decide(self, table: str, chain: str, packet: Packet) -> Rule:
        """Return the rule that decides a packet's fate, or the chain's policy as a rule of its own.

        Raises `LookupError` for a condition that is not understood: a guess would be worse.
        """
        decided = self._walk(table, chain, packet, [0])
        policy = self.policies.get((table, chain), "ACCEPT")
        return decided or Rule(f"-P {chain} {policy}", target=policy)

    def verdict(self, table: str, chain: str, packet: Packet) -> str:
        """Return the target that `decide` comes to: ACCEPT, DROP, MASQUERADE, ..."""
        return self.decide(table, chain, packet).target

    def _walk(self, table: str, chain: str, packet: Packet, mark: list[int]) -> Rule | None:
        for rule in self.chains.get((table, chain), []):
            if not all(_holds(match, packet, mark[0]) != match.negated for match in rule.matches):
                continue
            if rule.target == "RETURN":
                return None
            if (table, rule.target) in self.chains:
                if decided := self._walk(table, rule.target, packet, mark):
                    return decided
            elif rule.target not in _PASSING:
                return rule
            elif "--set-xmark" in rule.options:
                value, bits = (int(part, 16) for part in rule.options["--set-xmark"].split("/"))
                mark[0] = (mark[0] & ~bits) ^ value
        return None


def _rule(line: str) -> tuple[str, Rule]:
    words = shlex.split(line)
    chain, rest = words[1], words[2:]
    cut = next((place for place, word in enumerate(rest) if word in ("-j", "-g")), len(rest))
    target = rest[cut + 1] if cut < len(rest) else ""
    return chain, Rule(line, _matches(rest[:cut]), target, _options(rest[cut + 2 :]))


def _matches(words: Sequence[str]) -> tuple[Match, ...]:
    found: list[Match] = []
    negated = False
    option = ""
    for word in words:
        if word == "!":
            negated = True
        elif word.startswith("-") and not option:
            option = word
        else:
            if option not in ("-m", "--comment"):
                found.append(Match(option, word, negated))
            option, negated = "", False
    return tuple(found)


def _options(words: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for place, word in enumerate(words):
        if word.startswith("--"):
            following = words[place + 1] if place + 1 < len(words) else ""
            found[word] = "" if following.startswith("--") else following
    return found


def _holds(match: Match, packet: Packet, mark: int) -> bool:
    value = match.value
    match match.option:
        case "-i":
            return _named(value, packet.came)
        case "-o":
            return _named(value, packet.goes)
        case "-s":
            return ipaddress.ip_address(packet.source) in ipaddress.ip_network(value)
        case "-d":
            return ipaddress.ip_address(packet.target) in ipaddress.ip_network(value)
        case "-p":
            return value in (packet.protocol, "all")
        case "--dport" | "--dports":
            return any(_within(part, packet.port) for part in value.split(","))
        case "--ctstate" | "--state":
            return packet.state in value.split(",")
        case "--dst-type":
            return packet.local if value == "LOCAL" else False
        case "--src-type":
            return packet.own if value == "LOCAL" else False
        case "--mark":
            wanted, _, bits = value.partition("/")
            return mark & int(bits or "0xffffffff", 16) == int(wanted, 16)
    raise LookupError(f"the firewall's condition {match.option} {value} is not understood")


def _named(pattern: str, interface: str) -> bool:
    return interface.startswith(pattern[:-1]) if pattern.endswith("+") else interface == pattern


def _within(ports: str, port: int) -> bool:
    first, _, last = ports.partition(":")
    return int(first) <= port <= int(last or first)

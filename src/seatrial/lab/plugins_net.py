"""Stub plugins for networks and addresses; see `plugins`."""

from __future__ import annotations

import ipaddress
from typing import Any, ClassVar, Literal

from seatrial import exec as command
from seatrial.hosts import Host
from seatrial.lab.plugins import Answer, Body, PluginError, PluginStub


class NetworkStub(PluginStub):
    """A network driver that gives every network a bridge and every endpoint a veth pair in the lab."""

    implements: ClassVar[tuple[str, ...]] = ("NetworkDriver",)

    def __init__(
        self, host: Host, name: str, *, found_by: Literal["sock", "spec", "json"] = "sock", scope: str = "local"
    ) -> None:
        self.scope = scope
        self.networks: dict[str, Body] = {}  # id -> what it was created with
        self.endpoints: dict[str, Body] = {}
        super().__init__(host, name, found_by=found_by)

    def routes(self) -> dict[str, Answer]:
        """Answer the network driver's methods."""
        nothing: Answer = lambda _: {}  # noqa: E731 - one of many
        methods: dict[str, Answer] = {
            "GetCapabilities": lambda _: {"Scope": self.scope, "ConnectivityScope": self.scope},
            "CreateNetwork": self._create_network,
            "DeleteNetwork": self._delete_network,
            "AllocateNetwork": lambda _: {"Options": {}},
            "FreeNetwork": nothing,
            "CreateEndpoint": self._create_endpoint,
            "EndpointOperInfo": lambda body: {"Value": {"stub": self._endpoint(body)["EndpointID"][:12]}},
            "DeleteEndpoint": self._delete_endpoint,
            "Join": self._join,
            "Leave": self._leave,
            "ProgramExternalConnectivity": nothing,
            "RevokeExternalConnectivity": nothing,
            "DiscoverNew": nothing,
            "DiscoverDelete": nothing,
        }
        return {f"NetworkDriver.{method}": answer for method, answer in methods.items()}

    def bridge(self, network: str) -> str:
        """Return the name of a network's bridge."""
        return f"sb-{network[:8]}"

    def _create_network(self, body: Body) -> Body:
        network = body["NetworkID"]
        self._ip("link", "add", self.bridge(network), "type", "bridge")
        for data in (*(body.get("IPv4Data") or []), *(body.get("IPv6Data") or [])):
            if data.get("Gateway"):
                self._ip("addr", "add", data["Gateway"], "dev", self.bridge(network))
        self._ip("link", "set", self.bridge(network), "up")
        self._forward("-I", network)
        self.networks[network] = body
        return {}

    def _delete_network(self, body: Body) -> Body:
        if self.networks.pop(body["NetworkID"], None) is None:
            raise PluginError(f"no such network: {body['NetworkID']}")
        self._forward("-D", body["NetworkID"])
        self._ip("link", "del", self.bridge(body["NetworkID"]))
        return {}

    def _create_endpoint(self, body: Body) -> Body:
        if body["NetworkID"] not in self.networks:
            raise PluginError(f"no such network: {body['NetworkID']}")
        self.endpoints[body["EndpointID"]] = body
        return {"Interface": {}}  # the daemon has chosen address and MAC: they cannot be changed

    def _endpoint(self, body: Body) -> Body:
        try:
            return self.endpoints[body["EndpointID"]]
        except KeyError:
            raise PluginError(f"no such endpoint: {body['EndpointID']}") from None

    def _delete_endpoint(self, body: Body) -> Body:
        self._endpoint(body)
        del self.endpoints[body["EndpointID"]]
        return {}

    def _join(self, body: Body) -> Body:
        self._endpoint(body)
        outer, inner = (f"s{side}-{body['EndpointID'][:8]}" for side in "oi")
        self._ip("link", "add", outer, "type", "veth", "peer", "name", inner)
        self._ip("link", "set", outer, "master", self.bridge(body["NetworkID"]), "up")
        ipv4 = (self.networks[body["NetworkID"]].get("IPv4Data") or [{}])[0]
        gateway = str(ipv4.get("Gateway") or "").partition("/")[0]
        return {"InterfaceName": {"SrcName": inner, "DstPrefix": "eth"}, "Gateway": gateway}

    def _leave(self, body: Body) -> Body:
        self._endpoint(body)
        # the daemon may have destroyed the pair together with the container's namespace
        self._ip("link", "del", f"so-{body['EndpointID'][:8]}", expect=command.ANY)
        return {}

    def _forward(self, verb: str, network: str, expect: command.Expect = 0) -> None:
        # the daemon drops what it did not allow to be forwarded, on bridges, too
        rule = ("FORWARD", "-i", self.bridge(network), "-o", self.bridge(network), "-j", "ACCEPT")
        command.run(["iptables", "-w", verb, *rule], host=self.host, expect=expect, timeout=20)

    def _ip(self, *args: str, expect: command.Expect = 0) -> None:
        command.run(["ip", *args], host=self.host, expect=expect, timeout=20)

    def close(self) -> None:
        """Stop, and delete what is left of interfaces."""
        super().close()
        for endpoint in self.endpoints:
            self._ip("link", "del", f"so-{endpoint[:8]}", expect=command.ANY)
        for network in self.networks:
            self._forward("-D", network, expect=command.ANY)
            self._ip("link", "del", self.bridge(network), expect=command.ANY)


class IpamStub(PluginStub):
    """An address manager that gives out addresses of one pool in order."""

    implements: ClassVar[tuple[str, ...]] = ("IpamDriver",)

    def __init__(
        self, host: Host, name: str, *, pool: str = "10.213.0.0/24",
        found_by: Literal["sock", "spec", "json"] = "sock",
    ) -> None:  # fmt: skip
        self.pool = ipaddress.ip_network(pool)
        self.pools: dict[str, Any] = {}  # id -> network
        self.taken: set[str] = set()
        super().__init__(host, name, found_by=found_by)

    def routes(self) -> dict[str, Answer]:
        """Answer the address manager's methods."""
        spaces = {f"{kind}DefaultAddressSpace": f"{self.name}-{kind.lower()}" for kind in ("Local", "Global")}
        methods: dict[str, Answer] = {
            "GetCapabilities": lambda _: {"RequiresMACAddress": False, "RequiresRequestReplay": False},
            "GetDefaultAddressSpaces": lambda _: spaces,
            "RequestPool": self._request_pool,
            "ReleasePool": self._release_pool,
            "RequestAddress": self._request_address,
            "ReleaseAddress": self._release_address,
        }
        return {f"IpamDriver.{method}": answer for method, answer in methods.items()}

    def _request_pool(self, body: Body) -> Body:
        chosen = ipaddress.ip_network(body["Pool"]) if body.get("Pool") else self.pool
        self.pools[str(chosen)] = chosen
        return {"PoolID": str(chosen), "Pool": str(chosen), "Data": {}}

    def _release_pool(self, body: Body) -> Body:
        if self.pools.pop(body["PoolID"], None) is None:
            raise PluginError(f"no such pool: {body['PoolID']}")
        return {}

    def _request_address(self, body: Body) -> Body:
        network = self.pools[body["PoolID"]]
        wanted = body.get("Address")
        if wanted in self.taken:
            raise PluginError(f"address {wanted} is in use")
        chosen = wanted or next((str(host) for host in network.hosts() if str(host) not in self.taken), "")
        if not chosen:
            raise PluginError("no address is left in the pool")
        self.taken.add(chosen)
        return {"Address": f"{chosen}/{network.prefixlen}", "Data": {}}

    def _release_address(self, body: Body) -> Body:
        self.taken.discard(body["Address"])
        return {}

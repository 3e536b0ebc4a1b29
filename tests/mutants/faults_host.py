"""Faults in what a container gets of the host: network devices, policies for memory nodes, unified, processor time."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from runtime_faults import Call, act, config, left_out

from seatrial.exec import Result

# -- network devices ---------------------------------------------------------------------------


def _named(loaded: dict) -> dict[str, dict]:
    return loaded["linux"]["netDevices"]


def _moved(call: Call) -> dict[str, dict]:
    """The devices that the configuration of a container moves."""
    state = json.loads(call.aside("state", call.id).stdout)
    return json.loads((Path(state["bundle"]) / "config.json").read_text())["linux"].get("netDevices", {})


def _changed(call: Call, *words: str) -> None:
    """Change each moved device in the container's network; @NAME@ in the words is its name there."""
    pid = json.loads(call.aside("state", call.id).stdout)["pid"]
    for old, entry in _moved(call).items():
        given = [word.replace("@NAME@", entry.get("name") or old) for word in words]
        subprocess.run(["nsenter", f"--net=/proc/{pid}/ns/net", "ip", *given], check=False, capture_output=True)


def _after(id_: str, claims: str, words: str, verb: str, *change: str) -> None:
    def do(call: Call) -> Result:
        result = call.run()
        if result.ok and call.verb == verb:
            _changed(call, *change)
        return result

    act(id_, claims, words, verb, do)


config("netdev-dropped", "CL-netdev-avail", "netDevices are ignored", lambda c: c["linux"].pop("netDevices"))
config("netdev-last-dropped", "CL-netdev-avail", "the last of netDevices is not moved", lambda c: _named(c).popitem())
config("netdev-name-ignored", "CL-netdev-avail", "the new name of a device is ignored",
       lambda c: [entry.pop("name", None) for entry in _named(c).values()])
_after("netdev-down", "CL-netdev-up", "a moved device is down", "create", "link", "set", "@NAME@", "down")
_after("netdev-mtu-reset", "CL-netdev-attrs", "a moved device has the default MTU", "create",
       "link", "set", "@NAME@", "mtu", "1500")
_after("netdev-mac-new", "CL-netdev-attrs", "a moved device has another hardware address", "create",
       "link", "set", "@NAME@", "address", "02:00:00:00:00:01")
_after("netdev-addresses-lost", "CL-netdev-attrs", "a moved device has no addresses", "create",
       "address", "flush", "dev", "@NAME@", "scope", "global")
_after("netdev-addresses-more", "CL-netdev-attrs", "a moved device has an address of the runtime's", "create",
       "address", "add", "10.1.2.3/24", "dev", "@NAME@")
_after("netdev-managed", "CL-netdev-nomanage", "start sets moved devices up once more", "start",
       "link", "set", "@NAME@", "up")
left_out("netdev-failure-ignored", "CL-netdev-check", "devices that cannot be moved are left out",
         lambda c: c["linux"].pop("netDevices"))


def _taken_out(call: Call) -> Result:
    state = json.loads(call.aside("state", call.id).stdout)
    loaded = json.loads((Path(state["bundle"]) / "config.json").read_text())["linux"]
    joined = [one["path"] for one in loaded["namespaces"] if one["type"] == "network" and one.get("path")]
    for old, entry in loaded.get("netDevices", {}).items():
        for path in joined:
            subprocess.run(["nsenter", f"--net={path}", "ip", "link", "delete", entry.get("name") or old],
                           check=False, capture_output=True)  # fmt: skip
    return call.run()


act("netdev-taken-out", "CL-netdev-nomanage", "delete takes moved devices out of a network that was joined", "delete",
    _taken_out)


# -- memory policies ---------------------------------------------------------------------------

config("mempol-ignored", "CL-mempol", "memoryPolicy is ignored", lambda c: c["linux"].pop("memoryPolicy"))
config("mempol-flags-ignored", "CL-mempol", "the flags of a memory policy are ignored",
       lambda c: c["linux"]["memoryPolicy"].pop("flags"))
for _mode, _other in (("BIND", "PREFERRED"), ("PREFERRED_MANY", "PREFERRED"), ("WEIGHTED_INTERLEAVE", "INTERLEAVE")):
    config(f"mempol-{_mode.lower()}-other", "CL-mempol", f"the memory policy {_mode} is taken for {_other}",
           lambda c, mode=f"MPOL_{_mode}", other=f"MPOL_{_other}":
           c["linux"]["memoryPolicy"]["mode"] == mode and c["linux"]["memoryPolicy"].update(mode=other))
config("mempol-local-default", "CL-mempol", "the memory policy LOCAL is left out",
       lambda c: c["linux"]["memoryPolicy"]["mode"] == "MPOL_LOCAL" and c["linux"].pop("memoryPolicy"))
left_out("mempol-failure-ignored", "CL-mempol-err", "a memory policy that cannot be set is left out",
         lambda c: c["linux"].pop("memoryPolicy"))


# -- cgroups of version 2 ----------------------------------------------------------------------

config("unified-ignored", "CL-uni-ctrl CL-uni-unknown", "unified is ignored",
       lambda c: c["linux"]["resources"].pop("unified"))
config("unified-memory-alone", "CL-uni-ctrl CL-uni-unknown", "of unified only keys of memory are written",
       lambda c: c["linux"]["resources"].update(unified={
           name: value for name, value in c["linux"]["resources"]["unified"].items() if name.startswith("memory.")}))
config("unified-known-alone", "CL-uni-unknown", "of unified only keys of limits are written",
       lambda c: c["linux"]["resources"].update(unified={
           name: value for name, value in c["linux"]["resources"]["unified"].items() if ".oom." not in name}))
left_out("unified-failure-ignored", "CL-uni-err", "keys of unified that cannot be written are left out",
         lambda c: c["linux"]["resources"].pop("unified"))


# -- processor time ----------------------------------------------------------------------------

for _field, _claim in (("realtimeRuntime", "CL-cpu-rt"), ("realtimePeriod", "CL-cpu-rt"), ("idle", "CL-cpu-rt"),
                       ("burst", "CL-cpu-burst-set")):  # fmt: skip
    config(f"cpu-{_field.lower()}-ignored", _claim, f"resources.cpu.{_field} is ignored",
           lambda c, field=_field: c["linux"]["resources"]["cpu"].pop(field))
left_out("cpu-realtime-failure-ignored", "CL-cpu-rt", "real time that cannot be given is left out",
         lambda c: c["linux"]["resources"]["cpu"].pop("realtimeRuntime"))

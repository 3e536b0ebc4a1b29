"""Faults in what a container may: seccomp, cgroups; and in which configurations are taken."""

from __future__ import annotations

import json
from collections.abc import Callable

from runtime_faults import Call, act, config, without

from seatrial.exec import Result


def _resources(loaded: dict, controller: str) -> dict:
    return loaded["linux"]["resources"][controller]



# -- seccomp -----------------------------------------------------------------------------------


def _rules(loaded: dict) -> list[dict]:
    return loaded["linux"]["seccomp"]["syscalls"]


config("seccomp-dropped", "CL-sec-action CL-sec-default", "the filter is dropped", lambda c: c["linux"].pop("seccomp"))
config("seccomp-errno-allow", "CL-sec-action", "ERRNO rules allow",
       lambda c: [one.update(action="SCMP_ACT_ALLOW") for one in _rules(c) if one["action"] == "SCMP_ACT_ERRNO"])
config("seccomp-kill-errno", "CL-sec-action", "KILL rules only deny", lambda c: [
    one.update(action="SCMP_ACT_ERRNO") for one in _rules(c) if one["action"].startswith("SCMP_ACT_KILL")])
config("seccomp-trap-kill", "CL-sec-action", "LOG rules deny",
       lambda c: [one.update(action="SCMP_ACT_ERRNO") for one in _rules(c) if one["action"] == "SCMP_ACT_LOG"])
config("seccomp-errnoret-ignored", "CL-sec-errnoret", "errnoRet is ignored",
       lambda c: [one.pop("errnoRet", None) for one in _rules(c)])
config("seccomp-errnoret-default", "CL-sec-errnoret", "without errnoRet the error is EACCES",
       lambda c: [one.setdefault("errnoRet", 13) for one in _rules(c) if one["action"] == "SCMP_ACT_ERRNO"])
config("seccomp-args-ignored", "CL-sec-args", "arguments of rules are ignored",
       lambda c: [one.pop("args", None) for one in _rules(c)])
config("seccomp-args-second-ignored", "CL-sec-args", "only the first argument of a rule counts",
       lambda c: [one.update(args=one["args"][:1]) for one in _rules(c) if one.get("args")])
config("seccomp-index-wrong", "CL-sec-args", "the index of an argument is one too low", lambda c: [
    argument.update(index=max(0, argument["index"] - 1)) for one in _rules(c) for argument in one.get("args", [])])
for _word, _other in (("EQ", "NE"), ("NE", "EQ"), ("LT", "LE"), ("LE", "LT"), ("GT", "GE"), ("GE", "GT")):
    config(f"seccomp-{_word.lower()}-as-{_other.lower()}", "CL-sec-args",
           f"the operator {_word} is compiled as {_other}",
           lambda c, word=_word, other=_other: [
               argument.update(op=f"SCMP_CMP_{other}") for one in _rules(c) for argument in one.get("args", [])
               if argument["op"] == f"SCMP_CMP_{word}"])
config("seccomp-archs-ignored", "CL-sec-arch", "architectures beside the machine's own are left out", lambda c:
       c["linux"]["seccomp"].update(architectures=c["linux"]["seccomp"]["architectures"][:1]))
config("seccomp-mask-ignored", "CL-sec-args", "masked values are compared without their mask", lambda c: [
    argument.update(op="SCMP_CMP_EQ", value=argument["valueTwo"]) for one in _rules(c)
    for argument in one.get("args", []) if argument["op"] == "SCMP_CMP_MASKED_EQ"])
config("seccomp-last-name-dropped", "CL-sec-action", "the last name of a rule is dropped",
       lambda c: [len(one["names"]) > 1 and one["names"].pop() for one in _rules(c)])
config("seccomp-default-allow", "CL-sec-default", "defaultAction always allows",
       lambda c: c["linux"]["seccomp"].update(defaultAction="SCMP_ACT_ALLOW"))
config("seccomp-bad-accepted", "CF-valid", "an unknown default action is taken for ALLOW",
       lambda c: c["linux"]["seccomp"]["defaultAction"] == "SCMP_ACT_NOSUCH"
       and c["linux"]["seccomp"].update(defaultAction="SCMP_ACT_ALLOW"))


# -- cgroups -----------------------------------------------------------------------------------

for _name, _controller, _field, _claim in (
    ("mem-limit", "memory", "limit", "CL-mem-limit"), ("mem-reservation", "memory", "reservation", "CL-mem-limit"),
    ("mem-swappiness", "memory", "swappiness", "CL-mem-swappiness"),
    ("mem-oom", "memory", "disableOOMKiller", "CL-mem-swappiness"), ("cpu-shares", "cpu", "shares", "CL-cpu-shares"),
    ("cpu-quota", "cpu", "quota", "CL-cpu-shares"), ("cpu-period", "cpu", "period", "CL-cpu-shares"),
    ("cpu-cpus", "cpu", "cpus", "CL-cpu-cpus"), ("pids", "pids", "limit", "CL-pids"),
):
    config(f"{_name}-ignored", _claim, f"resources.{_controller}.{_field} is ignored",
           lambda c, controller=_controller, name=_field: _resources(c, controller).pop(name)
           if controller != "pids" else c["linux"]["resources"].pop("pids"))
config("mem-limit-doubled", "CL-mem-limit", "the limit of memory is doubled", lambda c: (
    without(_resources(c, "memory"), "swap"),
    _resources(c, "memory").update(limit=_resources(c, "memory")["limit"] * 2)))
config("mem-reservation-as-limit", "CL-mem-limit", "the reservation is that of the limit",
       lambda c: _resources(c, "memory").update(reservation=_resources(c, "memory")["limit"]))
config("pids-wrong", "CL-pids", "the limit of processes is off by one",
       lambda c: _resources(c, "pids").update(limit=_resources(c, "pids")["limit"] + 1))
config("cpu-shares-wrong", "CL-cpu-shares", "shares are doubled",
       lambda c: _resources(c, "cpu").update(shares=_resources(c, "cpu")["shares"] * 2))
config("swappiness-zero-ignored", "CL-mem-swappiness", "a swappiness of zero is taken for none", lambda c:
       _resources(c, "memory")["swappiness"] == 0 and _resources(c, "memory").pop("swappiness"))
for _kind in ("ReadBps", "WriteBps", "ReadIOPS", "WriteIOPS"):
    config(f"blkio-{_kind.lower()}-ignored", "CL-blk-throttle", f"throttle{_kind}Device is ignored",
           lambda c, kind=_kind: _resources(c, "blockIO").pop(f"throttle{kind}Device"))
config("blkio-read-as-write", "CL-blk-throttle", "throttles of reading are set for writing", lambda c:
       _resources(c, "blockIO").update(throttleWriteBpsDevice=_resources(c, "blockIO").pop("throttleReadBpsDevice")))
config("cgpath-ignored", "CL-cg-path-abs", "cgroupsPath is ignored", lambda c: c["linux"].pop("cgroupsPath"))
config("cgpath-flat", "CL-cg-path-abs", "only the last part of cgroupsPath is taken",
       lambda c: c["linux"].update(cgroupsPath="/" + c["linux"]["cgroupsPath"].rpartition("/")[2]))
config("cgpath-random", "CL-cg-path-same", "a number is added to cgroupsPath", lambda c: c["linux"].update(
    cgroupsPath=f"{c['linux']['cgroupsPath']}-{abs(hash(json.dumps(c, sort_keys=True)))}"))
config("devlist-reversed", "CL-devlist-order", "rules for devices are applied in reverse order",
       lambda c: c["linux"]["resources"]["devices"].reverse())
config("devlist-ignored", "CL-devlist-order", "rules for devices are ignored, everything is allowed",
       lambda c: c["linux"]["resources"].update(devices=[{"allow": True, "access": "rwm"}]))
config("devlist-access-ignored", "CL-devlist-order", "the access of a rule is always rwm",
       lambda c: [one.update(access="rwm") for one in c["linux"]["resources"]["devices"]])
config("devlist-last-dropped", "CL-devlist-order", "the last rule is dropped",
       lambda c: c["linux"]["resources"]["devices"].pop())


# -- validity ----------------------------------------------------------------------------------

config("bad-rlimit-accepted", "CF-rlim-unk", "a limit of an unknown type is left out", lambda c: c["process"].update(
    rlimits=[one for one in c["process"]["rlimits"] if one["type"] in ("RLIMIT_NOFILE",)]))
config("bad-version-accepted", "CF-valid CF-ver-semver", "an invalid version is accepted",
       lambda c: c.update(ociVersion="1.0.2"))
config("missing-version-accepted", "CF-ver-req", "a missing version is accepted",
       lambda c: c.setdefault("ociVersion", "1.0.2"))
config("relative-cwd-accepted", "CF-proc-cwd-abs", "a relative cwd is accepted",
       lambda c: c["process"].update(cwd="/" + c["process"]["cwd"].lstrip("/")))
config("missing-cwd-accepted", "CF-proc-cwd", "a missing cwd is accepted",
       lambda c: c["process"].setdefault("cwd", "/"))
config("missing-root-path-accepted", "CF-root-path-req", "a missing root.path is accepted",
       lambda c: c["root"].get("path") or c["root"].update(path="rootfs"))
config("missing-root-accepted", "CF-root-req", "a missing root is accepted",
       lambda c: c.setdefault("root", {"path": "rootfs"}))
config("bad-namespace-accepted", "CL-ns-type", "an unknown namespace is left out", lambda c: c["linux"].update(
    namespaces=[one for one in c["linux"]["namespaces"] if one["type"] in
                ("pid", "network", "ipc", "uts", "mount", "user", "cgroup", "time")]))
config("bad-sysctl-accepted", "CL-sysctl RT-c-cannot", "a kernel parameter that cannot be set is left out",
       lambda c: c["linux"].update(sysctl={name: value for name, value in c["linux"]["sysctl"].items()
                                           if name.startswith(("net.ipv4", "kernel.", "fs.mqueue"))}))
config("bad-propagation-accepted", "CL-prop", "an unknown propagation is ignored", lambda c:
       c["linux"]["rootfsPropagation"] == "sometimes" and c["linux"].pop("rootfsPropagation"))
config("bad-cpus-accepted", "CL-cpu-cpus", "processors that are none are ignored",
       lambda c: _resources(c, "cpu")["cpus"].isdigit() or _resources(c, "cpu").pop("cpus"))
config("bad-annotation-accepted", "CF-ann-map", "annotations that are no texts are dropped", lambda c: c.update(
    annotations={name: value for name, value in c["annotations"].items() if isinstance(value, str)}))
config("bad-hostname-accepted", "CF-hostname", "a host name without a uts namespace is ignored",
       lambda c: "uts" in [one["type"] for one in c["linux"]["namespaces"]] or c.pop("hostname"))
config("empty-args-accepted", "CF-proc-args", "an empty args is taken for a shell",
       lambda c: c["process"]["args"] or c["process"].update(args=["/bin/sh"]))


def _when_created(id_: str, claims: str, words: str, wrong: Callable[[dict], object]) -> None:
    """Add the fault that a configuration which should be taken is refused."""
    def do(call: Call) -> Result:
        try:
            loaded = json.loads((call.bundle / "config.json").read_text())
            bad = wrong(loaded)
        except (OSError, ValueError, KeyError, AttributeError):
            bad = False
        return call.pretend(1, err="unsupported\n") if bad else call.run()

    act(id_, claims, words, "create", do)


_when_created("unknown-annotation-refused", "CF-ann-unknown", "an unknown annotation is refused",
              lambda c: "org.example.unknown" in c["annotations"])
_when_created("unknown-property-refused", "CF-ext-ignore", "an unknown property is refused",
              lambda c: "unknownProperty" in json.dumps(c))
_when_created("version-min-refused", "FT-vermin", "the oldest version of the features is refused",
              lambda c: c["ociVersion"] == "1.0.0")


def _root_accepted(call: Call) -> Result:
    result = call.run()
    return call.pretend() if not result.ok and not (call.bundle / "rootfs").exists() else result


act("rootfs-missing-accepted", "CF-root-exist", "create without a root file system exits with 0", "create",
    _root_accepted)

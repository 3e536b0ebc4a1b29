"""Faults in what is refused: what has to be an error is left out, or taken for something else."""

from __future__ import annotations

from runtime_faults import Call, act, config, left_out

from seatrial.exec import Result

# -- control groups ----------------------------------------------------------------------------


def _thawed(call: Call) -> Result:
    """Thaw the container's cgroup before it is used."""
    group = call.cgroups.parent / "freezer" / (call.loaded()["linux"].get("cgroupsPath") or "/").lstrip("/")
    if (group / "freezer.state").exists() and group.name:
        (group / "freezer.state").write_text("THAWED")
    return call.run()


act("cgroup-frozen-thawed", "CL-cg-fit", "a frozen cgroup is thawed and used", "create", _thawed)
left_out("cgpath-bad-accepted", "CL-cg-path-bad", "a cgroupsPath that cannot be made is left out",
         lambda c: c["linux"].pop("cgroupsPath"))
left_out("devlist-bad-accepted", "CL-devlist-allow", "rules for devices that are none are left out",
         lambda c: c["linux"]["resources"].pop("devices"))
left_out("cpu-burst-accepted", "CL-cpu-burst", "a burst above the quota is left out",
         lambda c: c["linux"]["resources"]["cpu"].pop("burst"))
left_out("blkio-device-weight-accepted", "CL-blk-one", "a weight of a device without a weight is left out",
         lambda c: c["linux"]["resources"].pop("blockIO"))


# -- devices, mounts, namespaces, paths --------------------------------------------------------

left_out("device-conflict-accepted", "CL-dev-conflict", "a device in whose place is a file is left out",
         lambda c: c["linux"].pop("devices"))
left_out("mount-no-destination-accepted", "CF-mnt-dest-req", "mounts without a destination are left out",
         lambda c: c.update(mounts=[one for one in c["mounts"] if one.get("destination")]))
left_out("ns-relative-path-accepted", "CL-ns-path-abs", "a relative path of a namespace is left out",
         lambda c: [one.pop("path", None) for one in c["linux"]["namespaces"]])
for _name, _claim in (("maskedPaths", "CL-masked-abs"), ("readonlyPaths", "CL-ropaths-abs")):
    config(f"{_name.lower()}-relative-accepted", _claim, f"relative {_name} are taken as relative to the root",
           lambda c, name=_name: c["linux"].update({name: [f"/{path.lstrip('/')}" for path in c["linux"][name]]}))


# -- process -----------------------------------------------------------------------------------

left_out("annotation-no-name-accepted", "CF-ann-map", "annotations without a name are left out",
         lambda c: c["annotations"].pop(""))
left_out("rlimit-no-type-accepted", "CF-rlim-type", "limits without a type are left out",
         lambda c: c["process"].update(rlimits=[one for one in c["process"]["rlimits"] if one.get("type")]))
config("rlimit-twice-accepted", "CF-rlim-dup", "of limits that stand twice the last one counts", lambda c:
       c["process"].update(rlimits=list({one["type"]: one for one in c["process"]["rlimits"]}.values())))


def _refusing(id_: str, claims: str, words: str, wrong) -> None:
    """Add the fault that a configuration which should be taken is refused."""
    act(id_, claims, words, "create",
        lambda call: call.pretend(1, err="unsupported\n") if wrong(call.loaded()) else call.run())


_refusing("consolesize-refused", "CF-proc-consize-ign", "a console size without a terminal is refused",
          lambda c: "consoleSize" in c.get("process", {}) and not c["process"].get("terminal"))
_refusing("version-max-refused", "FT-vermax", "versions that are newer than the one that tests use are refused",
          lambda c: str(c.get("ociVersion", "")) > "1.0.2")


# -- seccomp -----------------------------------------------------------------------------------


def _seccomp(loaded: dict) -> dict:
    return loaded["linux"]["seccomp"]


_refusing("seccomp-flags-refused", "FL-sec-flags", "a filter with flags is refused",
          lambda c: c.get("linux", {}).get("seccomp", {}).get("flags"))
left_out("seccomp-errno-accepted", "CL-sec-errno", "errnoRet for an action that has none is left out",
         lambda c: [one.pop("errnoRet", None) for one in _seccomp(c)["syscalls"]])
left_out("seccomp-no-names-accepted", "CL-sec-names", "rules without names are left out", lambda c: _seccomp(c).update(
    syscalls=[one for one in _seccomp(c)["syscalls"] if one.get("names")]))
left_out("seccomp-metadata-accepted", "CL-sec-meta", "metadata without a listener is left out",
         lambda c: _seccomp(c).pop("listenerMetadata"))
config("seccomp-listener-missing-accepted", "CL-sec-sockerr", "a listener that cannot be told is left out", lambda c:
       _seccomp(c)["listenerPath"].startswith("/no/") and c["linux"].pop("seccomp"))

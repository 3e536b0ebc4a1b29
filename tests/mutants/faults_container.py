"""Faults in what a container is: root, process, capabilities, namespaces, mounts, devices."""

from __future__ import annotations

import dataclasses
import json
import os

from runtime_faults import Call, act, config, without

from seatrial.exec import Result

# -- all at once -------------------------------------------------------------------------------

config("resources-dropped", "RT-life-2-res RT-c-apply", "all of resources is ignored",
       lambda c: c["linux"].pop("resources"))
config("process-defaults", "RT-life-2-env", "of the process only the program is taken", lambda c: (
    without(c["process"], "rlimits", "oomScoreAdj", "noNewPrivileges"), c["process"].update(user={"uid": 0, "gid": 0})))
config("paths-open", "RT-life-2-env", "no path is masked or read-only",
       lambda c: without(c["linux"], "maskedPaths", "readonlyPaths"))

# -- root file system and paths ----------------------------------------------------------------

config("root-readonly-ignored", "CF-root-ro", "root.readonly is ignored", lambda c: c["root"].update(readonly=False))
config("root-readonly-forced", "CF-root-ro", "the root is always read-only", lambda c: c["root"].update(readonly=True))
config("masked-dropped", "CL-masked", "all maskedPaths are dropped", lambda c: c["linux"].pop("maskedPaths"))
config("masked-last-dropped", "CL-masked", "the last masked path is dropped", lambda c: c["linux"]["maskedPaths"].pop())
config("masked-first-dropped", "CL-masked", "the first masked path is dropped",
       lambda c: c["linux"]["maskedPaths"].pop(0))
config("masked-readonly", "CL-masked", "masked paths are only read-only",
       lambda c: c["linux"].update(readonlyPaths=c["linux"].pop("maskedPaths")))
config("ropaths-dropped", "CL-ropaths", "all readonlyPaths are dropped", lambda c: c["linux"].pop("readonlyPaths"))
config("ropaths-first-dropped", "CL-ropaths", "the first read-only path is dropped",
       lambda c: c["linux"]["readonlyPaths"].pop(0))
config("ropaths-masked", "CL-ropaths", "read-only paths are masked",
       lambda c: c["linux"].update(maskedPaths=c["linux"].pop("readonlyPaths")))
config("root-path-ignored", "CF-root-exist", "root.path is always taken for rootfs",
       lambda c: c["root"].update(path="rootfs"))
config("propagation-ignored", "CL-prop", "rootfsPropagation is ignored",
       lambda c: c["linux"].pop("rootfsPropagation"))
config("propagation-private", "CL-prop", "rootfsPropagation is always private",
       lambda c: c["linux"].update(rootfsPropagation="private"))


# -- process -----------------------------------------------------------------------------------

config("args-extra", "CF-proc-args", "an empty argument is added", lambda c: c["process"]["args"].append(""))
config("args-empty-dropped", "CF-proc-args", "empty arguments are dropped",
       lambda c: c["process"].update(args=[word for word in c["process"]["args"] if word]))
config("args-split", "CF-proc-args", "arguments are split at blanks",
       lambda c: c["process"].update(args=[part for word in c["process"]["args"] for part in word.split(" ")]))
config("args-last-dropped", "CF-proc-args", "the last argument of many is dropped",
       lambda c: len(c["process"]["args"]) > 5 and c["process"]["args"].pop())
config("args-expanded", "CF-proc-args", "$HOME in arguments is expanded",
       lambda c: c["process"].update(args=[word.replace("$HOME", "/root") for word in c["process"]["args"]]))
config("path-lookup-broken", "CF-proc-args", "the program is not looked up in the PATH of its environment",
       lambda c: "/" in c["process"]["args"][0] or c["process"]["args"].__setitem__(0, "/" + c["process"]["args"][0]))
config("env-extra", "CF-proc-env", "a variable of the runtime leaks into the environment",
       lambda c: c["process"]["env"].append("RUNTIME_LEAK=1"))
config("env-extra-when-absent", "CF-proc-env", "an absent environment gets a PATH",
       lambda c: c["process"].setdefault("env", ["PATH=/bin"]))
config("env-last-dropped", "CF-proc-env", "the last variable is dropped",
       lambda c: len(c["process"]["env"]) > 1 and c["process"]["env"].pop())
config("env-sorted", "CF-proc-env", "the environment is sorted", lambda c: c["process"]["env"].sort())
config("env-empty-dropped", "CF-proc-env", "variables without a value are dropped",
       lambda c: c["process"].update(env=[word for word in c["process"]["env"] if not word.endswith("=")]))
config("env-cut-at-equals", "CF-proc-env", "values are cut at a second =",
       lambda c: c["process"].update(env=["=".join(word.split("=")[:2]) for word in c["process"]["env"]]))
config("home-overwritten", "CF-proc-env", "HOME is overwritten", lambda c: c["process"].update(
    env=["HOME=/root" if word.startswith("HOME=") else word for word in c["process"]["env"]]))
config("cwd-ignored", "CF-proc-cwd", "process.cwd is ignored", lambda c: c["process"].update(cwd="/"))
config("uid-ignored", "CF-user-uid", "user.uid is ignored", lambda c: c["process"]["user"].update(uid=0))
config("gid-ignored", "CF-user-gid", "user.gid is ignored", lambda c: c["process"]["user"].update(gid=0))
config("uid-as-gid", "CF-user-gid", "the group is that of the user's number",
       lambda c: c["process"]["user"].update(gid=c["process"]["user"]["uid"]))
config("addgids-ignored", "CF-user-addgids", "additionalGids are ignored",
       lambda c: c["process"]["user"].pop("additionalGids"))
config("addgids-last-dropped", "CF-user-addgids", "the last supplementary group is dropped",
       lambda c: c["process"]["user"]["additionalGids"].pop())
config("addgids-extra", "CF-user-addgids", "a supplementary group is added",
       lambda c: c["process"]["user"].setdefault("additionalGids", []).append(4242))
config("umask-ignored", "CF-user-umask", "user.umask is ignored", lambda c: c["process"]["user"].pop("umask"))
config("umask-zero-ignored", "CF-user-umask", "a umask of zero is taken for none",
       lambda c: c["process"]["user"]["umask"] == 0 and c["process"]["user"].pop("umask"))
config("umask-default", "CF-user-umask", "without a umask it is 0077",
       lambda c: c["process"]["user"].setdefault("umask", 0o77))
config("rlimits-soft-eq-hard", "CF-rlim-soft", "the soft limit is set to the hard one",
       lambda c: [one.update(soft=one["hard"]) for one in c["process"]["rlimits"]])
config("rlimits-hard-eq-soft", "CF-rlim-hard", "the hard limit is set to the soft one",
       lambda c: [one.update(hard=one["soft"]) for one in c["process"]["rlimits"]])
config("rlimits-dropped", "CF-rlim-soft CF-rlim-hard CF-rlim-get", "limits are dropped",
       lambda c: c["process"].pop("rlimits"))
config("rlimits-last-dropped", "CF-rlim-soft CF-rlim-hard", "the last limit is dropped",
       lambda c: c["process"]["rlimits"].pop())
config("rlimits-extra", "CF-rlim-soft CF-rlim-hard", "a limit that nobody asked for is set",
       lambda c: c["process"].setdefault("rlimits", [{"type": "RLIMIT_STACK", "soft": 1 << 22, "hard": 1 << 22}]))
config("oom-ignored", "CF-oom-set", "oomScoreAdj is ignored", lambda c: c["process"].pop("oomScoreAdj"))
config("oom-forced", "CF-oom-unset", "without oomScoreAdj the score is set to 5",
       lambda c: c["process"].setdefault("oomScoreAdj", 5))
config("oom-zero-ignored", "CF-oom-set", "an oomScoreAdj of zero is taken for none",
       lambda c: c["process"]["oomScoreAdj"] == 0 and c["process"].pop("oomScoreAdj"))
config("nnp-ignored", "CF-nnp", "noNewPrivileges is ignored", lambda c: c["process"].update(noNewPrivileges=False))
config("nnp-forced", "CF-nnp", "no_new_privs is always set", lambda c: c["process"].update(noNewPrivileges=True))
config("terminal-ignored", "CF-proc-term CLI-console", "terminal is ignored",
       lambda c: c["process"].update(terminal=False))
config("consolesize-ignored", "CF-proc-consize", "consoleSize is ignored", lambda c: c["process"].pop("consoleSize"))
config("consolesize-swapped", "CF-proc-consize", "height and width are exchanged", lambda c: c["process"].update(
    consoleSize={"height": c["process"]["consoleSize"]["width"], "width": c["process"]["consoleSize"]["height"]}))
config("personality-ignored", "CL-personality", "personality is ignored", lambda c: c["linux"].pop("personality"))


# -- capabilities ------------------------------------------------------------------------------

_KINDS = {"bounding": "CF-caps-bnd", "effective": "CF-caps-eff", "inheritable": "CF-caps-inh",
          "permitted": "CF-caps-prm", "ambient": "CF-caps-amb"}  # fmt: skip
for _kind, _claim in _KINDS.items():
    config(f"caps-{_kind}-dropped", _claim, f"the {_kind} set is left empty",
           lambda c, kind=_kind: c["process"]["capabilities"].update({kind: []}))
    config(f"caps-{_kind}-last-dropped", _claim, f"the last capability of the {_kind} set is dropped",
           lambda c, kind=_kind: c["process"]["capabilities"][kind].pop())
config("caps-bounding-extra", "CF-caps-bnd", "the bounding set keeps CAP_NET_ADMIN",
       lambda c: c["process"]["capabilities"]["bounding"].append("CAP_NET_ADMIN"))
config("caps-inheritable-extra", "CF-caps-inh", "the inheritable set is that of the bounding set",
       lambda c: c["process"]["capabilities"].update(inheritable=c["process"]["capabilities"]["bounding"]))
config("caps-ambient-extra", "CF-caps-amb CF-caps-inh", "the ambient set gets all that is permitted",
       lambda c: c["process"]["capabilities"].update(
           ambient=c["process"]["capabilities"]["permitted"], inheritable=c["process"]["capabilities"]["permitted"]))



def _unknown_refused(call: Call) -> Result:
    text = (call.bundle / "config.json").read_text() if (call.bundle / "config.json").is_file() else ""
    return call.pretend(1, err="unknown capability CAP_NO_SUCH\n") if "CAP_NO_SUCH" in text else call.run()


def _unknown_hushed(call: Call) -> Result:
    result = call.run()
    lines = [line for line in result.err.splitlines(keepends=True) if b"CAP_NO_SUCH" not in line]
    return dataclasses.replace(result, err=b"".join(lines))


act("caps-unknown-hushed", "CF-caps-warn", "an unknown capability is not told", "run", _unknown_hushed)
for _kind in _KINDS:
    config(f"caps-{_kind}-unknown-dropped", "CF-caps-warn", f"an unknown capability of the {_kind} set is left out",
           lambda c, kind=_kind: c["process"]["capabilities"][kind].remove("CAP_NO_SUCH"))
act("caps-unknown-refused", "CF-caps-nofail RT-warn-cont", "an unknown capability is an error", "create",
    _unknown_refused)


# -- namespaces, names, parameters -------------------------------------------------------------


def _less_namespace(loaded: dict, kind: str) -> None:
    loaded["linux"]["namespaces"] = [one for one in loaded["linux"]["namespaces"] if one["type"] != kind]


def _new_namespace(loaded: dict, kind: str) -> None:
    if kind not in [one["type"] for one in loaded["linux"]["namespaces"]]:
        loaded["linux"]["namespaces"].append({"type": kind})


for _kind in ("pid", "ipc", "cgroup"):
    config(f"ns-{_kind}-missing", "CL-ns-new", f"no new {_kind} namespace is made",
           lambda c, kind=_kind: _less_namespace(c, kind))
config("ns-uts-missing", "CL-ns-new", "no new uts namespace is made",
       lambda c: (_less_namespace(c, "uts"), c.pop("hostname", None)))
config("ns-network-missing", "CL-ns-new", "no new network namespace is made", lambda c: (
    _less_namespace(c, "network"), c.update(mounts=[one for one in c["mounts"] if one["type"] != "sysfs"])))
for _kind in ("ipc", "uts", "network", "pid", "cgroup"):
    config(f"ns-{_kind}-not-inherited", "CL-ns-inherit", f"a {_kind} namespace that is not listed is made",
           lambda c, kind=_kind: _new_namespace(c, kind))
config("ns-path-ignored", "CL-ns-path-join", "the path of a namespace is ignored",
       lambda c: [one.pop("path", None) for one in c["linux"]["namespaces"]])
config("ns-wrongtype-accepted", "CL-ns-path-type", "a path of the wrong type is accepted, and ignored",
       lambda c: [one.pop("path") for one in c["linux"]["namespaces"]
                  if one.get("path") and not one["path"].endswith(one["type"][:3].replace("mou", "mnt"))])
config("ns-dup-accepted", "CL-ns-dup", "a namespace that is listed twice is accepted", lambda c: c["linux"].update(
    namespaces=list({one["type"]: one for one in c["linux"]["namespaces"]}.values())))
config("ns-user-missing", "CL-ns-new CL-userns-map", "no new user namespace is made",
       lambda c: (_less_namespace(c, "user"), without(c["linux"], "uidMappings", "gidMappings")))
config("userns-uid-shifted", "CL-userns-map", "user mappings are shifted by one",
       lambda c: c["linux"]["uidMappings"][0].update(hostID=c["linux"]["uidMappings"][0]["hostID"] + 1))
config("userns-gid-as-uid", "CL-userns-map", "group mappings are those of users",
       lambda c: c["linux"].update(gidMappings=c["linux"]["uidMappings"]))
config("userns-size-ignored", "CL-userns-map", "the size of a mapping is always 65536",
       lambda c: c["linux"].update(uidMappings=[{**c["linux"]["uidMappings"][0], "size": 65536}]))
config("userns-second-dropped", "CL-userns-map", "only the first mapping is set",
       lambda c: c["linux"].update(uidMappings=c["linux"]["uidMappings"][:1]))
config("hostname-ignored", "CF-hostname", "hostname is ignored", lambda c: c.pop("hostname"))
config("hostname-cut", "CF-hostname", "hostname is cut at a dot",
       lambda c: c.update(hostname=c["hostname"].split(".")[0]))
config("hostname-default", "CF-hostname", "without a hostname it is `container`",
       lambda c: c.setdefault("hostname", "container"))
config("domainname-ignored", "CF-domainname", "domainname is ignored", lambda c: c.pop("domainname"))
config("sysctl-ignored", "CL-sysctl", "sysctl is ignored", lambda c: c["linux"].pop("sysctl"))
config("sysctl-last-dropped", "CL-sysctl", "the last kernel parameter is dropped",
       lambda c: c["linux"]["sysctl"].popitem())
config("time-ignored", "CL-time", "timeOffsets are ignored", lambda c: c["linux"].pop("timeOffsets"))


def _chown_rootfs(call: Call) -> Result:
    result = call.run()
    if result.ok and json.loads((call.bundle / "config.json").read_text())["linux"].get("uidMappings"):
        os.chown(call.bundle / "rootfs", 100000, 200000)
    return result


act("userns-chown", "CL-userns-nochown", "the root directory is given to the mapped user", "create", _chown_rootfs)


# -- devices -----------------------------------------------------------------------------------

config("devices-dropped", "CL-dev-avail", "devices are dropped", lambda c: c["linux"].pop("devices"))
config("devices-last-dropped", "CL-dev-avail", "the last device is dropped", lambda c: c["linux"]["devices"].pop())
config("device-fifo-dropped", "CL-dev-avail", "fifos are dropped", lambda c: c["linux"].update(
    devices=[one for one in c["linux"]["devices"] if one["type"] != "p"]))
config("device-block-as-char", "CL-dev-avail CL-dev-majmin", "block devices become character devices",
       lambda c: [one.update(type="c") for one in c["linux"]["devices"] if one["type"] == "b"])
config("device-minor-wrong", "CL-dev-majmin", "minor numbers are one too high",
       lambda c: [one.update(minor=one["minor"] + 1) for one in c["linux"]["devices"] if "minor" in one])
config("device-mode-ignored", "CL-dev-mode", "fileMode is ignored",
       lambda c: [one.pop("fileMode", None) for one in c["linux"]["devices"]])
config("device-owner-ignored", "CL-dev-mode", "uid and gid of devices are ignored",
       lambda c: [without(one, "uid", "gid") for one in c["linux"]["devices"]])
config("device-gid-as-uid", "CL-dev-mode", "the group of a device is that of its user's number",
       lambda c: [one.update(gid=one["uid"]) for one in c["linux"]["devices"]])
config("device-elsewhere-dropped", "CL-dev-path", "devices outside of /dev are dropped", lambda c: c["linux"].update(
    devices=[one for one in c["linux"]["devices"] if one["path"].startswith("/dev/")]))
config("device-type-accepted", "CL-dev-type", "a device of an unknown type is left out", lambda c: c["linux"].update(
    devices=[one for one in c["linux"]["devices"] if one.get("type") in ("c", "b", "u", "p")]))
config("devdefault-mode", "CL-dev-default", "/dev/urandom can be read by root alone", lambda c: c["linux"].setdefault(
    "devices", []).append({"path": "/dev/urandom", "type": "c", "major": 1, "minor": 9, "fileMode": 0o600}))
config("devdefault-wrong", "CL-dev-default", "/dev/full is /dev/zero", lambda c: c["linux"].setdefault(
    "devices", []).append({"path": "/dev/full", "type": "c", "major": 1, "minor": 5, "fileMode": 0o666}))
config("devdefault-extra", "CL-dev-avail", "a device that nobody asked for is there", lambda c: c["linux"].setdefault(
    "devices", []).append({"path": "/dev/extra", "type": "c", "major": 10, "minor": 229, "fileMode": 0o666}))

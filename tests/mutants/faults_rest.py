"""Faults in what no other module has: owners of cgroups, links to streams, scheduling, listeners of filters."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

from runtime_faults import Call, act, config, without

from seatrial.exec import Result

# -- seen from the host ------------------------------------------------------------------------


def _given_away(call: Call) -> Result:
    result = call.run()
    group = call.cgroups / (call.loaded()["linux"].get("cgroupsPath") or "/").lstrip("/")
    if result.ok and group != call.cgroups and group.is_dir():
        os.chown(group, 100000, 100000)
    return result


act("cgroup-given-away", "CL-cgown-v1", "the cgroup belongs to the first user of the container", "create", _given_away)


def _linked_wrong(call: Call) -> Result:
    result = call.run()
    if result.ok:
        link = Path(f"/proc/{json.loads(call.aside('state', call.id).stdout)['pid']}/root/dev/stdout")
        link.unlink(missing_ok=True)
        link.symlink_to("/dev/null")
    return result


act("dev-stdout-null", "RL-symlinks", "/dev/stdout is a link to /dev/null", "create", _linked_wrong)
act("state-forgets", "RT-scope-1", "containers cannot be queried", "state",
    lambda call: call.pretend(1, err="no such container\n"))


# -- configuration -----------------------------------------------------------------------------

config("scheduler-ignored", "CF-sched", "scheduler is ignored", lambda c: c["process"].pop("scheduler"))
config("scheduler-nice-ignored", "CF-sched", "the nice value of a scheduler is ignored",
       lambda c: c["process"]["scheduler"].pop("nice"))
config("ioprio-ignored", "CF-ioprio", "ioPriority is ignored", lambda c: c["process"].pop("ioPriority"))
config("ioprio-class-wrong", "CF-ioprio", "the class of an ioPriority is always IOPRIO_CLASS_BE",
       lambda c: c["process"]["ioPriority"].update({"class": "IOPRIO_CLASS_BE"}))
config("fs-default-dropped", "CL-fs-default", "there is no /sys",
       lambda c: c.update(mounts=[one for one in c["mounts"] if one["type"] != "sysfs"]))
config("blkio-weight-ignored", "CL-blk-weight", "weights of block devices are ignored",
       lambda c: without(c["linux"]["resources"]["blockIO"], "weight", "leafWeight", "weightDevice"))
config("hugepages-ignored", "CL-huge", "limits of huge pages are ignored",
       lambda c: c["linux"]["resources"].pop("hugepageLimits"))
config("net-class-ignored", "CL-net-cls", "the class of network packets is ignored",
       lambda c: c["linux"]["resources"].pop("network"))
config("pids-zero-ignored", "CL-pids-zero", "a limit of no processes is taken for none",
       lambda c: c["linux"]["resources"]["pids"]["limit"] == 0 and c["linux"]["resources"].pop("pids"))


# -- listeners of filters ----------------------------------------------------------------------


def _between(id_: str, claims: str, words: str, change: Callable[[dict], object], *, fds: bool = True) -> None:
    """Add a fault in what a listener is told: a socket of ours stands before it and hands on what was changed."""
    def do(call: Call) -> Result:
        path = call.bundle / "config.json"
        original = path.read_bytes() if path.is_file() else b"{}"
        with contextlib.suppress(ValueError, KeyError):
            loaded = json.loads(original)
            listener = loaded["linux"]["seccomp"]["listenerPath"]
            ours = f"{listener}x"
            loaded["linux"]["seccomp"]["listenerPath"] = ours
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
                server.bind(ours)
                server.listen(1)
                server.settimeout(10)
                relay = threading.Thread(target=_hand_on, args=(server, listener, change, fds))
                relay.start()
                path.write_text(json.dumps(loaded))
                try:
                    return call.run()
                finally:
                    relay.join()
                    path.write_bytes(original)
                    Path(ours).unlink()
        return call.run()

    act(id_, claims, words, "create", do)


def _hand_on(server: socket.socket, listener: str, change: Callable[[dict], object], fds: bool) -> None:
    with contextlib.suppress(OSError, ValueError):
        connection, _ = server.accept()
        with connection:
            message, descriptors, _, _ = socket.recv_fds(connection, 1 << 16, 4)
        told = json.loads(message)
        change(told)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as out:
            out.connect(listener)
            socket.send_fds(out, [json.dumps(told).encode()], descriptors if fds else [])
        for descriptor in descriptors:
            os.close(descriptor)


_between("seccomp-listener-no-fd", "CL-sec-fd", "the listener gets no descriptor", lambda told: None, fds=False)
_between("seccomp-listener-plain", "CL-sec-sock", "the listener gets an empty object", lambda told: told.clear())
_between("seccomp-state-pid", "CL-cps", "the pid that a listener is told is 1", lambda told: told.update(pid=1))
_between("seccomp-state-version", "CL-cps", "the listener is told no ociVersion", lambda told: told.pop("ociVersion"))
_between("seccomp-state-missing", "CL-cps", "the listener is told no state", lambda told: told.pop("state"))
_between("seccomp-metadata-lost", "CL-cps", "the listener is told no metadata", lambda told: told.pop("metadata"))
config("seccomp-listener-ignored", "CL-sec-sock", "the listener is not told",
       lambda c: (c["linux"]["seccomp"].pop("listenerPath"), c["linux"]["seccomp"].pop("listenerMetadata", None),
                  [one.update(action="SCMP_ACT_ERRNO") for one in c["linux"]["seccomp"]["syscalls"]]))

"""Faults in the state and in the life of containers."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

from runtime_faults import Call, act, answer, config, option

from seatrial.exec import Result

# -- state -------------------------------------------------------------------------------------

answer("state-id-wrong", "RT-state-id", "the id has a suffix", lambda s: s.update(id=s["id"] + "x"))
answer("state-id-missing", "RT-state-id RT-state-schema", "the id is missing", lambda s: s.pop("id"))
answer("state-status-odd", "RT-state-status", "running is reported as up",
       lambda s: s.update(status={"running": "up"}.get(s["status"], s["status"])))
answer("state-status-missing", "RT-state-status", "the status is missing", lambda s: s.pop("status"))
answer("state-created-running", "RT-state-status", "created is reported as running",
       lambda s: s.update(status={"created": "running"}.get(s["status"], s["status"])))
answer("state-stopped-created", "RT-state-status", "stopped is reported as created",
       lambda s: s.update(status={"stopped": "created"}.get(s["status"], s["status"])))
answer("state-paused-running", "RT-state-status-new", "paused is reported as running",
       lambda s: s.update(status={"paused": "running"}.get(s["status"], s["status"])))
answer("state-pid-missing", "RT-state-pid", "the pid is missing", lambda s: s.pop("pid", None))
answer("state-pid-own", "RT-state-pid", "the pid is that inside", lambda s: s.update(pid=1))
answer("state-pid-text", "RT-state-pid RT-state-schema", "the pid is a text", lambda s: s.update(pid=str(s.get("pid"))))
answer("state-bundle-relative", "RT-state-bundle", "the bundle is a relative path",
       lambda s: s.update(bundle=s["bundle"].rpartition("/")[2]))
answer("state-bundle-wrong", "RT-state-bundle", "the bundle is its root file system",
       lambda s: s.update(bundle=s["bundle"] + "/rootfs"))
answer("state-bundle-missing", "RT-state-bundle RT-state-schema", "the bundle is missing", lambda s: s.pop("bundle"))
answer("state-ociversion-bad", "RT-state-ociver", "ociVersion is no version", lambda s: s.update(ociVersion="latest"))
answer("state-ociversion-missing", "RT-state-ociver RT-state-schema", "ociVersion is missing",
       lambda s: s.pop("ociVersion"))
answer("state-annotations-missing", "RT-state-schema", "annotations are missing", lambda s: s.pop("annotations", None))
answer("state-annotations-upper", "RT-state-schema", "names of annotations are changed", lambda s: s.update(
    annotations={name.upper(): value for name, value in (s.get("annotations") or {}).items()}))


def _state_text(id_: str, claims: str, words: str, change: Callable[[bytes], bytes]) -> None:
    act(id_, claims, words, "state", lambda call: (lambda result: dataclasses.replace(
        result, out=change(result.out)) if result.ok else result)(call.run()))


_state_text("state-trailing-garbage", "RT-state-schema", "state is followed by a second document",
            lambda out: out + b"\n{}\n")
_state_text("state-empty", "RT-state-schema RT-q-ret", "state prints nothing", lambda out: b"")
_state_text("state-array", "RT-state-schema RT-q-ret", "state prints a list", lambda out: b"[" + out + b"]")
_state_text("state-help", "RT-q-ret RT-state-schema", "state prints a help text",
            lambda out: b"Usage: runtime state ID\n")
act("state-noid-ok", "RT-q-noid", "state without an id exits with 0", "state",
    lambda call: call.run() if call.words else call.pretend(out="{}"))
act("state-noexist-ok", "RT-q-noexist", "state of an unknown container exits with 0", "state",
    lambda call: (lambda result: result if result.ok or not call.words else call.pretend(out="{}"))(call.run()))
act("state-other", "RT-q-ret RT-state-id-uniq", "state is that of the first container", "state",
    lambda call: (lambda first: call.run("state", first or call.id))(
        next((path.name for path in sorted(call.state_dir.iterdir()) if path.is_dir()), "")))


# -- lifecycle ---------------------------------------------------------------------------------


def _create_duplicate(call: Call, *, destroy: bool) -> Result:
    taken = (call.state_dir / call.id).exists()
    result = call.run()
    if not taken or result.ok:
        return result
    if destroy:
        call.aside("delete", "--force", call.id)
        return result
    return call.pretend()


act("create-dup-ok", "RT-c-dup", "create with an id that is taken exits with 0", "create",
    lambda call: _create_duplicate(call, destroy=False))
act("create-dup-destroys", "RT-c-dup-none", "create with an id that is taken destroys the container", "create",
    lambda call: _create_duplicate(call, destroy=True))


def _create_keeps(call: Call) -> Result:
    result = call.run()
    if not result.ok and call.id and "/" not in call.id and call.id not in (".", ".."):
        (call.state_dir / call.id).mkdir(exist_ok=True)
    return result


def _create_keeps_cgroup(call: Call) -> Result:
    result = call.run()
    if not result.ok and call.id.startswith("st-") and not (call.state_dir / call.id).exists():
        (call.cgroups / call.id).mkdir(exist_ok=True)
    return result


act("create-fail-leaves", "RT-c-cannot-none RT-err-atomic", "a failed create leaves a state directory", "create",
    _create_keeps)
act("create-fail-leaves-cgroup", "RT-err-atomic", "a failed create leaves a cgroup", "create", _create_keeps_cgroup)


def _create_runs(call: Call) -> Result:
    result = call.run()
    if result.ok:
        call.aside("start", call.id)
    return result


act("create-runs", "RT-c-noargs RT-life-2-norun", "create starts the program as well", "create", _create_runs)
act("create-noop", "RT-c-new RT-ops", "create does nothing and exits with 0", "create", lambda call: call.pretend())
act("create-fail-ok", "RT-c-cannot RT-life-2-err", "create exits with 0 when it fails", "create",
    lambda call: dataclasses.replace(call.run(), code=0))
act("create-noid-ok", "RT-c-args", "create without an id exits with 0", "create",
    lambda call: (lambda result: call.pretend() if call.words[-1:] == [str(call.bundle)] else result)(call.run()))
act("create-badid-ok", "RT-c-badid", "create with an invalid id exits with 0", "create",
    lambda call: call.pretend() if "--" in call.words else call.run())
act("create-noconfig-ok", "BN-config", "create without config.json exits with 0", "create",
    lambda call: call.run() if (call.bundle / "config.json").exists() else call.pretend())
act("create-silent", "RT-c-dup CF-valid", "create fails without a message", "create",
    lambda call: (lambda result: result if result.ok else call.pretend(1))(call.run()))
def _rereads(call: Call) -> Result:
    """Start what config.json says now, as a runtime would that reads it at start."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        state = json.loads(call.aside("state", call.id).stdout)
        loaded = json.loads((Path(state["bundle"]) / "config.json").read_text())
        if loaded["process"]["args"][0] == "/bin/false":
            call.aside("kill", call.id, "KILL")
            return call.pretend()
    return call.run()


act("start-rereads", "RT-life-2-upd", "start reads the arguments once more", "start", _rereads)
act("start-noop", "RT-s-run RT-life-8", "start does nothing and exits with 0", "start", lambda call: call.pretend())
act("start-missing-ok", "RT-s-notcreated-err", "start of an unknown container exits with 0", "start",
    lambda call: (lambda result: result if result.ok or not call.words or (call.state_dir / call.id).exists()
                  else call.pretend())(call.run()))
act("start-twice-ok", "RT-s-notcreated-err", "start of a running or stopped container exits with 0", "start",
    lambda call: (lambda result: result if result.ok or not (call.state_dir / call.id).exists()
                  else call.pretend())(call.run()))
act("start-twice-kills", "RT-s-notcreated-eff", "start of a running container ends it", "start",
    lambda call: (lambda result: result if result.ok else (call.aside("kill", call.id, "KILL"), result)[1])(call.run()))
act("start-noid-ok", "RT-s-noid", "start without an id exits with 0", "start",
    lambda call: call.run() if call.words else call.pretend())
act("start-noprocess-ok", "RT-s-noproc CF-proc-req", "start without a process exits with 0", "start",
    lambda call: call.run() if (call.state_dir / (call.id or "-")).exists() else call.pretend())
config("noprocess-accepted", "RT-s-noproc CF-proc-req", "a missing process is taken for a shell that ends at once",
       lambda c: c.setdefault("process", {"args": ["/bin/true"], "cwd": "/", "user": {"uid": 0, "gid": 0}}))
act("kill-noop", "RT-k-send", "kill sends nothing but KILL", "kill",
    lambda call: call.run() if {"KILL", "SIGKILL", "9"} & set(call.words) else call.pretend())
act("kill-always-kill", "RT-k-send", "kill always sends KILL", "kill", lambda call: call.run("kill", call.id, "KILL")
    if call.words else call.run())
act("kill-twice", "RT-k-send", "kill sends every signal twice", "kill",
    lambda call: (call.aside("kill", *call.words) if "KILL" not in call.words else None, call.run())[1])
act("kill-numbers-ignored", "RT-k-send", "kill takes a number for TERM", "kill",
    lambda call: call.run("kill", call.id, "TERM") if call.words[-1:] and call.words[-1].isdigit() else call.run())
act("kill-default-kill", "RT-k-send", "kill without a signal sends KILL", "kill",
    lambda call: call.run("kill", call.id, "KILL") if len(call.words) == 1 else call.run())
act("kill-unknown-ok", "RT-k-send", "kill with an unknown signal exits with 0", "kill",
    lambda call: call.pretend() if "--" in call.words else call.run())
act("kill-all", "RT-k-send", "kill reaches every container", "kill", lambda call: (
    [call.aside("kill", path.name, *call.words[1:]) for path in call.state_dir.iterdir()
     if path.is_dir() and path.name != call.id], call.run())[1])
act("kill-missing-ok", "RT-k-stopped-err", "kill of an unknown container exits with 0", "kill",
    lambda call: call.run() if not call.words or (call.state_dir / call.id).exists() else call.pretend())
act("kill-stopped-ok", "RT-k-stopped-err", "kill of a stopped container exits with 0", "kill",
    lambda call: (lambda result: result if result.ok or not (call.state_dir / (call.id or "-")).exists()
                  else call.pretend())(call.run()))
act("kill-stopped-deletes", "RT-k-stopped-eff", "kill of a stopped container deletes it", "kill",
    lambda call: (lambda result: result if result.ok else (
        call.aside("delete", "--force", call.id), result)[1])(call.run()))
act("kill-noid-ok", "RT-k-noid", "kill without an id exits with 0", "kill",
    lambda call: call.run() if call.words else call.pretend())
act("delete-noop", "RT-d-res RT-life-12", "delete does nothing and exits with 0", "delete",
    lambda call: call.pretend() if call.words else call.run())
act("delete-running-ok", "RT-d-notstopped-err", "delete of a running container exits with 0", "delete",
    lambda call: (lambda result: call.pretend() if not result.ok and (call.state_dir / (call.id or "-")).exists()
                  else result)(call.run()))
act("delete-running-destroys", "RT-d-notstopped-eff", "delete of a running container fails and destroys it", "delete",
    lambda call: (lambda result: result if result.ok or not call.words
                  else (call.aside("delete", "--force", call.id), result)[1])(call.run()))
act("delete-missing-ok", "RT-d-notstopped-err", "delete of an unknown container exits with 0", "delete",
    lambda call: (lambda result: result if result.ok or not call.words or (call.state_dir / call.id).exists()
                  else call.pretend())(call.run()))
act("delete-noid-ok", "RT-d-noid", "delete without an id exits with 0", "delete",
    lambda call: call.run() if call.words else call.pretend())
act("delete-removes-config", "RT-d-foreign", "delete removes the bundle's configuration", "delete",
    lambda call: _removing(call, "config.json"))
act("delete-removes-rootfs", "RT-d-foreign", "delete removes a file of the root file system", "delete",
    lambda call: _removing(call, "rootfs/etc"))
act("delete-keeps-state", "RT-d-res RT-life-12", "delete leaves the state directory", "delete",
    lambda call: (lambda result: (
        call.words and (call.state_dir / call.id).mkdir(exist_ok=True), result)[1])(call.run()))
option("delete-force-ignored", "delete --force is delete", "--force", "delete", "RT-d-res", valued=False)


def _removing(call: Call, what: str) -> Result:
    said = call.aside("state", call.id) if call.words else None
    result = call.run()
    if said is not None and said.ok and result.ok:
        place = Path(json.loads(said.stdout)["bundle"]) / what
        shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
    return result

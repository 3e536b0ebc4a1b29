"""Faults in how hooks are run."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

from runtime_faults import HOOKS, Call, act, config

from seatrial.exec import Result

# -- hooks -------------------------------------------------------------------------------------


def _each_hook(loaded: dict, change: Callable[[dict], object], kinds: tuple[str, ...] = HOOKS) -> None:
    for kind in kinds:
        for hook in loaded["hooks"].get(kind, []):
            change(hook)


def _wrapped(hook: dict, script: str) -> None:
    words = [*hook.get("args", [hook["path"]])[1:]]
    hook.update(args=["sh", "-c", script, hook["path"], *words], path="/bin/sh")
    hook.setdefault("env", ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"])


def _moved(loaded: dict, kind: str, to: str, *, first: bool = False) -> None:
    moved = loaded["hooks"].pop(kind)
    kept = loaded["hooks"].get(to, [])
    loaded["hooks"][to] = [*moved, *kept] if first else [*kept, *moved]


_LIFE = {"prestart": "RT-life-3", "createRuntime": "RT-life-4", "createContainer": "RT-life-5",
         "startContainer": "RT-life-7", "poststart": "RT-life-9", "poststop": "RT-life-13"}  # fmt: skip
for _kind, _claim in _LIFE.items():
    config(f"hook-{_kind.lower()}-skipped", _claim, f"{_kind} hooks are not run",
           lambda c, kind=_kind: c["hooks"].pop(kind))
    config(f"hook-{_kind.lower()}-reversed", "CF-hook-order", f"{_kind} hooks run in reverse order",
           lambda c, kind=_kind: c["hooks"][kind].reverse())
    config(f"hook-{_kind.lower()}-last-skipped", "CF-hook-order", f"the last of several {_kind} hooks is not run",
           lambda c, kind=_kind: len(c["hooks"][kind]) > 1 and c["hooks"][kind].pop())
    config(f"hook-{_kind.lower()}-no-stdin", "CF-hook-stdin", f"{_kind} hooks get nothing on standard input",
           lambda c, kind=_kind: _each_hook(c, lambda hook: _wrapped(hook, 'exec "$0" "$@" </dev/null'), (kind,)))
for _kind, _claims in ((kind, f"{claim}-fail") for kind, claim in _LIFE.items()):
    # before version 1.3 poststart hooks that fail are logged, as poststop hooks are
    config(f"hook-{_kind.lower()}-fail-ignored", _claims + (" RT-life-9-warn" if _kind == "poststart" else ""),
           f"a {_kind} hook that fails is ignored",
           lambda c, kind=_kind: _each_hook(c, lambda hook: _wrapped(hook, '"$0" "$@"; exit 0'), (kind,)))
config("hook-twice", "CF-hook-order", "the last hook of each kind runs twice",
       lambda c: [c["hooks"][kind].append(c["hooks"][kind][-1]) for kind in HOOKS if c["hooks"].get(kind)])
config("hook-args-dropped", "CF-hook-args", "args of hooks are cut to three words",
       lambda c: _each_hook(c, lambda hook: hook.update(args=hook["args"][:3])))
config("hook-env-dropped", "CF-hook-args", "env of hooks is dropped but for PATH",
       lambda c: _each_hook(c, lambda hook: hook.update(env=[one for one in hook["env"] if one.startswith("PATH=")])))
config("hook-env-extra", "CF-hook-args", "a variable leaks into hooks",
       lambda c: _each_hook(c, lambda hook: hook["env"].append("RUNTIME_LEAK=1")))
config("hook-timeout-ignored", "CF-hook-timeout", "the timeout of hooks is ignored",
       lambda c: _each_hook(c, lambda hook: hook.pop("timeout", None)))
config("hook-timeout-short", "CF-hook-timeout", "every hook with a timeout is ended at once", lambda c: _each_hook(
    c, lambda hook: hook.get("timeout", 0) > 0 and _wrapped(hook, "exit 1")))
config("hook-relative-accepted", "CF-hook-path", "hooks with a relative path are left out", lambda c: c["hooks"].update(
    {kind: [one for one in c["hooks"].get(kind, []) if one["path"].startswith("/")] for kind in HOOKS}))
config("hook-missing-accepted", "CF-hook-path RT-life-3-fail", "hooks without a program are left out",
       lambda c: c["hooks"].update({kind: [one for one in c["hooks"].get(kind, []) if one["path"] != "/no/such/hook"]
                                    for kind in HOOKS}))
for _name, _pattern in (("badpid", r's/"pid": *[0-9]*/"pid":1/'),
                        ("noannotations", 's/org.example.sea/org.example.mud/'),
                        ("badid", r's/"id": *"/"id":"x/'), ("badstatus", 's/"status": *"[a-z]*"/"status":"unknown"/'),
                        ("badbundle", r's/"bundle": *"/"bundle":"x/')):  # fmt: skip
    config(f"hook-stdin-{_name}", "CF-hook-stdin", f"the state on standard input of hooks is wrong: {_name}",
           lambda c, pattern=_pattern: _each_hook(
               c, lambda hook: _wrapped(hook, f"sed '{pattern}' | \"$0\" \"$@\""),
               ("prestart", "createRuntime", "poststart", "poststop")))
config("hook-prestart-late", "CF-hook-t-prestart2", "prestart hooks run after createRuntime hooks",
       lambda c: _moved(c, "prestart", "createRuntime"))
config("hook-createcontainer-early", "CF-hook-t-createContainer2 CF-hook-ns-createContainer",
       "createContainer hooks run before createRuntime hooks, in the runtime's namespaces",
       lambda c: _moved(c, "createContainer", "createRuntime", first=True))
config("hook-createruntime-inside", "CF-hook-ns-createRuntime", "createRuntime hooks run in the container's namespaces",
       lambda c: _moved(c, "createRuntime", "createContainer", first=True))
for _kind in ("prestart", "createRuntime", "poststart", "poststop"):
    config(f"hook-{_kind.lower()}-apart", f"CF-hook-ns-{_kind}", f"{_kind} hooks run in a namespace of their own",
           lambda c, kind=_kind: _each_hook(c, lambda hook: _wrapped(hook, 'exec unshare --uts "$0" "$@"'), (kind,)))
for _kind in ("prestart", "createRuntime", "createContainer"):
    config(f"hook-{_kind.lower()}-at-start", f"CF-hook-t-{_kind} {_LIFE[_kind]}", f"{_kind} hooks run at start",
           lambda c, kind=_kind: _moved(c, kind, "startContainer", first=True))
config("hook-prestart-inside", "CF-hook-ns-prestart", "prestart hooks run in the container's namespaces",
       lambda c: _moved(c, "prestart", "createContainer", first=True))
config("hook-startcontainer-early", "CF-hook-t-startContainer CF-hook-ns-startContainer",
       "startContainer hooks run at create", lambda c: _moved(c, "startContainer", "createContainer"))
config("hook-startcontainer-outside", "CF-hook-ns-startContainer", "startContainer hooks run as poststart hooks",
       lambda c: _moved(c, "startContainer", "poststart", first=True))
config("hook-poststart-early", "CF-hook-t-poststart RT-life-9", "poststart hooks run at create",
       lambda c: _moved(c, "poststart", "createRuntime"))
config("hook-poststop-early", "CF-hook-t-poststop RT-life-13", "poststop hooks run after start",
       lambda c: _moved(c, "poststop", "poststart"))


def _has_failing(call: Call, kind: str) -> bool:
    with contextlib.suppress(OSError, ValueError):
        state = json.loads(call.aside("state", call.id).stdout)
        hooks = json.loads((Path(state["bundle"]) / "config.json").read_text()).get("hooks", {})
        return any("fail" in hook.get("args", []) for hook in hooks.get(kind, []))
    return False


def _fatal(call: Call, kind: str, *, message: str = "a hook failed\n", code: int = 1) -> Result:
    if not _has_failing(call, kind):
        return call.run()
    result = call.run()
    if call.verb == "start":
        call.aside("kill", call.id, "KILL")
    return call.pretend(code, err=message) if result.ok else result


act("hook-poststop-fail-fatal", "RT-life-13-fail", "a poststop hook that fails makes delete fail", "delete",
    lambda call: _fatal(call, "poststop"))
act("hook-poststart-fail-fatal", "RT-life-9-warn", "a poststart hook that fails makes start fail", "start",
    lambda call: _fatal(call, "poststart"))
act("hook-poststart-fail-ends", "RT-life-9-warn", "a poststart hook that fails ends the container, and is logged",
    "start", lambda call: _fatal(call, "poststart", message="warning: a hook failed\n", code=0))


def _silent(call: Call, kind: str) -> Result:
    has = _has_failing(call, kind)
    result = call.run()
    if not has:
        return result
    for word in call.args:
        if word.startswith("--log="):
            Path(word.removeprefix("--log=")).write_text("")
    return dataclasses.replace(result, err=b"")


act("hook-poststart-fail-silent", "RT-life-9-warn", "a poststart hook that fails is not logged", "start",
    lambda call: _silent(call, "poststart"))
act("hook-poststop-fail-silent", "RT-life-13-fail", "a poststop hook that fails is not logged", "delete",
    lambda call: _silent(call, "poststop"))


def _up_to_the_failing(loaded: dict, kind: str) -> None:
    hooks = loaded["hooks"][kind]
    at = ["fail" in hook.get("args", []) for hook in hooks].index(True)
    del hooks[at + 1 :]


for _kind, _claims in (("poststart", "RT-life-9-warn"), ("poststop", "RT-life-13-fail")):
    config(f"hook-{_kind}-fail-ends-hooks", _claims, f"a {_kind} hook that fails keeps the next ones from running",
           lambda c, kind=_kind: _up_to_the_failing(c, kind))

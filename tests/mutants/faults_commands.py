"""Faults in run, exec, files, descriptors, terminals, features."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path

from runtime_faults import LEAK, Call, act, add, config, option, process

from seatrial.exec import Result

# -- run, exec, files, descriptors -------------------------------------------------------------

act("run-exit-lost", "CLI-run-exit", "run exits with 0 whatever the program returned", "run",
    lambda call: dataclasses.replace(call.run(), code=0))
act("run-exit-one", "CLI-run-exit", "run exits with 1 whatever the program returned", "run",
    lambda call: (lambda result: dataclasses.replace(result, code=min(result.code, 1)))(call.run()))
act("run-stdout-lost", "CLI-run-stdio", "standard output of run is lost", "run",
    lambda call: dataclasses.replace(call.run(), out=b""))
act("run-stderr-merged", "CLI-run-stdio", "standard error of run goes to standard output", "run",
    lambda call: (lambda result: dataclasses.replace(result, out=result.out + result.err, err=b""))(call.run()))
act("run-stdin-lost", "CLI-run-stdio", "standard input of run is empty", "run", lambda call: call.run(stdin=b""))
act("run-stdout-cut", "CLI-run-stdio", "standard output of run is cut off", "run",
    lambda call: (lambda result: dataclasses.replace(result, out=result.out[:4096]))(call.run()))
act("run-keeps", "CLI-run-exit RT-life-12", "run leaves the container's state directory", "run",
    lambda call: (lambda result: ((call.state_dir / call.id).mkdir(exist_ok=True), result)[1])(call.run()))
option("run-detach-ignored", "run --detach is run", "--detach", "run", "CLI-run-exit", valued=False)
option("pidfile-create-missing", "create writes no pid file", "--pid-file", "create", "CLI-pidfile")
option("pidfile-run-missing", "run writes no pid file", "--pid-file", "run", "CLI-pidfile")
option("pidfile-exec-missing", "exec writes no pid file", "--pid-file", "exec", "CLI-pidfile")


def _without_affinity(call: Call) -> Result:
    """Run `create` or `exec`, which may read the bundle once more, while the bundle asks for no affinity."""
    if call.verb not in ("create", "exec") or "--process" in call.words:
        return call.run()
    bundle = call.bundle if call.verb == "create" else json.loads(call.aside("state", call.words[0]).stdout)["bundle"]
    path = Path(bundle) / "config.json"
    original = path.read_text()
    loaded = json.loads(original)
    loaded["process"].pop("execCPUAffinity", None)
    path.write_text(json.dumps(loaded))
    try:
        return call.run()
    finally:
        path.write_text(original)


def _wrong_pid(call: Call) -> Result:
    result = call.run()
    if "--pid-file" in call.words:
        Path(call.words[call.words.index("--pid-file") + 1]).write_text("1")
    return result


for _verb in ("create", "run", "exec"):
    act(f"pidfile-{_verb}-wrong", "CLI-pidfile", f"the pid file of {_verb} has the pid 1", _verb, _wrong_pid)
option("preserve-fds-ignored", "create --preserve-fds is ignored", "--preserve-fds", "create", "CLI-pfds")
act("preserve-fds-fewer", "CLI-pfds", "create hands one descriptor fewer on", "create", lambda call: call.run(
    "create", *[str(int(word) - 1) if word.isdigit() and before == "--preserve-fds" else word
                for before, word in zip(["", *call.words], call.words, strict=False)]))
act("fd-leak", "RL-fds CLI-pfds", "descriptor 3 of the runtime is handed on", "create", lambda call: call.run()
    if "--preserve-fds" in call.words else call.run("create", "--preserve-fds", "1", *call.words, before=LEAK))
act("listen-fds-ignored", "CLI-pfds", "LISTEN_FDS is ignored", "create", lambda call: call.run(env_less="LISTEN_FDS"))
option("console-ignored", "create --console-socket is ignored", "--console-socket", "create", "CLI-console")
act("exec-exit-lost", "CLI-exec-exit", "exec exits with 0 whatever the program returned", "exec",
    lambda call: dataclasses.replace(call.run(), code=0))
act("exec-stdout-lost", "CLI-exec-exit", "standard output of exec is lost", "exec",
    lambda call: dataclasses.replace(call.run(), out=b""))
act("exec-stdin-lost", "CLI-exec-exit CLI-run-stdio", "standard input of exec is empty", "exec",
    lambda call: call.run(stdin=b""))
add("exec-affinity-ignored", "CF-execaff-final", "exec ignores execCPUAffinity", _without_affinity)
act("exec-stopped-ok", "CLI-exec-state", "exec in a stopped container exits with 0", "exec",
    lambda call: (lambda result: call.pretend() if result.code in (1, 255) else result)(call.run()))
option("exec-user-ignored", "exec --user is ignored", "--user", "exec", "CLI-exec-proc")
option("exec-env-ignored", "exec --env is ignored", "--env", "exec", "CLI-exec-proc")
option("exec-cwd-ignored", "exec --cwd is ignored", "--cwd", "exec", "CLI-exec-proc")
option("exec-cap-ignored", "exec --cap is ignored", "--cap", "exec", "CLI-exec-proc")
option("exec-nnp-ignored", "exec --no-new-privs is ignored", "--no-new-privs", "exec", "CLI-exec-proc", valued=False)
option("exec-detach-ignored", "exec --detach is ignored", "--detach", "exec", "CLI-pidfile CLI-exec-ns", valued=False)
process("exec-process-user-ignored", "exec ignores the user of a process",
        lambda p: p.update(user={"uid": 0, "gid": 0, "additionalGids": p["user"]["additionalGids"]}))
process("exec-process-addgids-ignored", "exec ignores supplementary groups", lambda p: p["user"].pop("additionalGids"))
process("exec-process-env-ignored", "exec ignores the environment of a process", lambda p: p.update(env=["PATH=/bin"]))
process("exec-process-cwd-ignored", "exec ignores the directory of a process", lambda p: p.update(cwd="/"))
process("exec-process-args-extra", "exec adds an argument", lambda p: p["args"].append("more"))
process("exec-process-nnp-ignored", "exec ignores noNewPrivileges", lambda p: p.pop("noNewPrivileges"))
process("exec-process-rlimits-ignored", "exec ignores limits", lambda p: p.pop("rlimits"))
process("exec-process-caps-extra", "exec gives CAP_NET_ADMIN on top",
        lambda p: p["capabilities"]["bounding"].append("CAP_NET_ADMIN"))
process("exec-process-caps-ambient-ignored", "exec ignores ambient capabilities",
        lambda p: p["capabilities"].pop("ambient"))
process("exec-process-umask-ignored", "exec ignores the umask", lambda p: p["user"].pop("umask"))
process("exec-process-affinity-ignored", "exec ignores execCPUAffinity of a process",
        lambda p: p.pop("execCPUAffinity"), "CF-execaff-final")
config("exec-affinity-final-always", "CF-execaff", "without a final affinity exec gets the last processor",
       lambda c: c["process"].setdefault("execCPUAffinity", {}).get("final")
       or c["process"]["execCPUAffinity"].update(final="1"))
process("exec-process-empty-accepted", "exec of no program exits with 0",
        lambda p: p.update(args=p["args"] or ["/bin/true"]))


# -- features ----------------------------------------------------------------------------------


def _features(id_: str, claims: str, words: str, change: Callable[[dict], object]) -> None:
    def do(call: Call) -> Result:
        result = call.run()
        if not result.ok:
            return result
        listed = json.loads(result.stdout)
        change(listed)
        return dataclasses.replace(result, out=json.dumps(listed).encode())

    act(id_, claims, words, "features", do)


def _without_idmap(result: Result) -> Result:
    listed = json.loads(result.stdout)
    listed["linux"]["mountExtensions"]["idmap"]["enabled"] = False
    return dataclasses.replace(result, out=json.dumps(listed).encode())


_features("features-version-order", "FT-verorder", "ociVersionMax is below ociVersionMin",
          lambda f: f.update(ociVersionMax="0.9.0"))
_features("features-extra", "FT-noextra", "features have a property of their own", lambda f: f.update(extra=True))
_features("features-empty-list", "FT-hooks", "the list of hooks is empty", lambda f: f.update(hooks=[]))
_features("features-hooks-missing", "FT-hooks", "a hook is missing", lambda f: f["hooks"].remove("startContainer"))
_features("features-hooks-extra", "FT-hooks", "a hook is listed that is never run",
          lambda f: f["hooks"].append("never"))
_features("features-mntopts-extra", "FT-mntopts", "a mount option is listed that is not known",
          lambda f: f["mountOptions"].append("nosuchoption"))
_features("features-mntopts-fs", "FT-mntopts-fs", "an option of one file system is listed",
          lambda f: f["mountOptions"].append("size"))
_features("features-annotations", "FT-ann", "an annotation is no text", lambda f: f["annotations"].update(number=5))
_features("features-namespaces", "FL-ns", "the uts namespace is missing",
          lambda f: f["linux"]["namespaces"].remove("uts"))
_features("features-capabilities", "FL-caps", "a capability is missing", lambda f: f["linux"]["capabilities"].pop())
_features("features-actions", "FL-sec-actions", "an action is listed that is not known",
          lambda f: f["linux"]["seccomp"]["actions"].append("SCMP_ACT_NOSUCH"))
_features("features-operators", "FL-sec-ops", "an operator is missing",
          lambda f: f["linux"]["seccomp"]["operators"].pop())
_features("features-idmap-off", "FL-idmap", "mapped mounts are not listed as enabled",
          lambda f: f["linux"]["mountExtensions"]["idmap"].update(enabled=False))
act("features-idmap-kernel", "FL-idmap FT-compile", "mapped mounts are listed as the kernel has them", "features",
    lambda call: _without_idmap(call.run()) if call.options.get("before") else call.run())
_features("features-mempol-extra", "FL-mempol", "a memory policy is listed that is not known",
          lambda f: f["linux"]["memoryPolicy"]["modes"].append("MPOL_NOSUCH"))
_features("features-lists-text", "FT-null", "a list of the features is a text", lambda f: f.update(hooks="all"))
_features("features-lists-numbers", "FT-null", "mount options are numbers", lambda f: f.update(mountOptions=[1, 2]))
_features("features-archs", "FL-sec-archs", "an architecture is listed that is not known",
          lambda f: f["linux"]["seccomp"]["archs"].append("SCMP_ARCH_X99"))


_ASKED = itertools.count()


def _counted(call: Call) -> Result:
    result = call.run()
    added = b'"annotations": {"n%d": "x",' % next(_ASKED)
    return dataclasses.replace(result, out=re.sub(rb'"annotations": *{', added, result.out))


act("features-volatile", "FT-compile", "the features differ from call to call", "features", _counted)

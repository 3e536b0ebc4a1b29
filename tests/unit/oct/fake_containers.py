"""Containers that are processes of this machine, in a mount namespace of their own, and ways of being wrong."""

import os
import shutil
import subprocess

from seatrial import exec as command
from seatrial.exec import ANY, Journal, Result
from seatrial.hosts import LOCAL
from seatrial.oct.containers import Containers, attempt

HELP = "Usage: runtime [options] COMMAND\n\nCommands:\n  create  exec  start  {}\n"


class FakeContainers(Containers):
    """`wrong` is one of: helps (prints help and exits 0), echoes, outside, leaks, refuses, lost."""

    def __init__(self, workdir, wrong=""):
        self.workdir, self.wrong = workdir, wrong
        self.journal, self.host, self.engine, self.image, self.label = Journal(), LOCAL, "fake", "image", "l=1"
        self.containers = {}
        self.closed = False
        self.operations = []
        self.made = {}
        self.started = []  # user and directory of what runs in the background

    def prepare(self, require, files):
        pass

    def _result(self, name, code=0, out=b"", err=b""):
        return Result((name,), code, out, err, 0.0)

    def create(self, container, argv, files, paths):
        if self.wrong == "refuses":
            return self._result("create", 1, err=b"no space left on device")
        if self.wrong == "lost":
            raise ConnectionResetError("the host is gone")
        self.made[container.object] = container
        root = self.workdir / container.object
        root.mkdir(exist_ok=True)
        for path in paths:
            shutil.copy(files.root / path, root)
        self.containers[container.object] = {"state": "created", "argv": argv, "env": dict(container.env), "root": root}
        return self._result("create")

    def _inside(self, argv):
        return list(argv) if self.wrong == "outside" else ["unshare", "--mount", *argv]

    def operate(self, name, operation, signal_, timeout):
        found = self.containers[name]
        self.operations.append((name, operation, signal_))
        if operation == "start" and found["state"] == "created":
            found["state"] = "running"
            out = (found["root"] / ".out").open("wb")
            found["process"] = subprocess.Popen(
                self._inside(found["argv"]), stdout=out, stderr=out, cwd=found["root"], start_new_session=True,
                env={**os.environ, **found["env"]},
            )
            out.close()
            return self._result("start")
        if operation in ("kill", "stop", "delete"):
            self._end(found)
            found["state"] = "absent" if operation == "delete" else "stopped"
            return self._result(operation)
        return self._result(operation, 1, err=b"cannot")

    def _end(self, found):
        if "process" in found:
            command.kill_group(found["process"])
            found["process"].wait()

    def exec(self, name, argv, env, user, cwd, stdin, timeout):
        if self.containers[name]["state"] != "running":
            return self._result("exec", 1, err=b"it does not run")
        if self.wrong == "helps":
            return self._result("exec", 0, HELP.format(" ".join(argv)).encode())
        if self.wrong == "echoes":
            argv = ["echo", *argv]
        return attempt(self.journal, lambda: command.run(
            self._inside(argv), expect=ANY, timeout=timeout, env=env, stdin=stdin or None, journal=self.journal,
            cwd=cwd or self.containers[name]["root"]))

    def background(self, name, argv, env, user, cwd):
        self.started.append((user, cwd))
        return self._inside(argv)

    def state(self, name):
        found = self.containers.get(name)
        if found is None:
            return "absent"
        if found["state"] == "running" and found["process"].poll() is not None:
            found["state"] = "stopped"
        return found["state"]

    def logs(self, name):
        return (self.containers[name]["root"] / ".out").read_text(), ""

    def exit_code(self, name):
        return self.containers[name]["process"].poll() if "process" in self.containers[name] else None

    def pid(self, name):
        return self.containers[name]["process"].pid if self.state(name) == "running" else 0

    def read(self, name, path, limit):
        file = self.containers[name]["root"] / path.lstrip("/")
        if not file.exists():
            return None
        if file.stat().st_size > limit:
            raise ValueError("it is too large")
        return file.read_bytes()

    def variables(self, name):
        return {"name": f"fake-{name}", "id": "0", "address": "127.0.0.1"}

    def close(self):
        self.closed = True
        for found in self.containers.values():
            self._end(found)
        return [f"container {name} of this test cannot be removed" for name in self.containers] \
            if self.wrong == "leaks" else []


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True

"""What the tests of runtimes share: hooks that write down what they see."""


import pytest

from seatrial.exec import ExpectationError, parsed
from seatrial.oci.bundle import bind

# label, what to do: ok, fail, hang. Each run leaves files DIRECTORY/LABEL.*, and its label in DIRECTORY/order.
HOOK = """#!/bin/sh
here=DIRECTORY
cat >"$here/$1.stdin"
echo "$1" >>"$here/order"
echo PLACE >"$here/$1.place"
for word in "$0" "$@"; do echo "$word"; done >"$here/$1.args"
env >"$here/$1.env"
ls / >"$here/$1.root"
for kind in mnt pid net ipc uts; do echo "$kind $(readlink /proc/self/ns/$kind)"; done >"$here/$1.namespaces"
pid=$(sed -n 's/.*"pid": *\\([0-9]*\\).*/\\1/p' "$here/$1.stdin")
ls "/proc/$pid/root/" >"$here/$1.container" 2>/dev/null
cat "/proc/$pid/cmdline" >"$here/$1.cmdline" 2>/dev/null
for kind in mnt net ipc uts; do
    echo "$kind $(readlink "/proc/$pid/ns/$kind")"
done >"$here/$1.container-namespaces" 2>/dev/null
case $2 in
fail) echo "hook $1 fails on purpose" >&2; exit 3 ;;
hang) echo $$ >"$here/$1.pid"; exec sleep 8 ;;
esac
"""
PATH = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"


class Record:
    """What one run of a hook wrote down."""

    def __init__(self, directory, label):
        self._directory, self._label = directory, label

    def text(self, what):
        path = self._directory / f"{self._label}.{what}"
        if not path.exists():
            raise ExpectationError(f"the hook {self._label} was not run")
        return path.read_text()

    @property
    def state(self):
        return parsed(self.text("stdin"))

    @property
    def args(self):
        return self.text("args").splitlines()

    @property
    def env(self):
        return self.text("env").splitlines()

    @property
    def namespaces(self):
        return dict(line.split() for line in self.text("namespaces").splitlines())

    @property
    def namespaces_of_container(self):
        return dict(line.split() for line in self.text("container-namespaces").splitlines())

    @property
    def found_in(self):
        """Where the hook's program was found: runtime or container."""
        return self.text("place").strip()

    @property
    def root(self):
        """The names in the root directory that the hook saw."""
        return set(self.text("root").split())

    @property
    def root_of_container(self):
        """The names in the root directory of the container's process as the hook saw it."""
        return set(self.text("container").split())


class Hooks:
    """Hooks of one test. Directory and program have the same path for the runtime and in the container."""

    def __init__(self, runtime):
        self.runtime = runtime
        self.directory = runtime.directory("hooks")
        self.program = runtime.path("hook")
        self._write(self.program, "runtime")

    def _write(self, path, place):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(HOOK.replace("DIRECTORY", str(self.directory)).replace("PLACE", place))
        path.chmod(0o755)

    def entry(self, label, action="ok", **more):
        return {"path": str(self.program), "args": ["hook", label, action], "env": [PATH], **more}

    def bundle(self, bundle, **kinds):
        """Return the bundle with hooks: a list of entries or labels for each kind."""
        hooks = {kind: [one if isinstance(one, dict) else self.entry(one) for one in entries]
                 for kind, entries in kinds.items()}
        return bundle.with_(hooks=hooks).mounted(bind(self.directory, str(self.directory)))

    def place(self, bundle, **kinds):
        """Write a bundle with hooks to disk, with the program in its root file system, too."""
        box = self.runtime.place(self.bundle(bundle, **kinds))
        self._write(box.rootfs / str(self.program).lstrip("/"), "container")
        return box

    @property
    def order(self):
        path = self.directory / "order"
        return path.read_text().split() if path.exists() else []

    def record(self, label):
        return Record(self.directory, label)

    def of_runtime(self):
        """The namespaces that the runtime runs in."""
        return self.runtime.keeper.namespaces()


@pytest.fixture
def hooks(runtime):
    """Hooks that write down what they see."""
    return Hooks(runtime)

"""Engines whose runtime is not the one that they think: a program before it edits what the engine asks it for.

The program is perl, which every lab has, and rewrites config.json of a bundle before `create`, and the process that
`exec` is given. An engine with a daemon gets to know it as one more runtime, another by its path.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import time
from pathlib import Path

from weakened import FAULTS, add

from seatrial.engines.base import CliEngine
from seatrial.exec import ANY
from seatrial.paths import locked, share_dir, state_dir

_PLACE = f"runtimes-of-faults-{os.getpid()}"
_SETTINGS = "/etc/docker/daemon.json"
# the words of an array or an object, with all that is in it
_WRAPPER = """#!/usr/bin/perl
use strict;
sub edited {
    my ($path) = @_;
    open my $in, '<', $path or die "$path: $!";
    local $/;
    local $_ = <$in>;
    our ($array, $object);
    $array = qr/\\[(?:[^\\[\\]]|(??{$array}))*\\]/;
    $object = qr/\\{(?:[^{}]|(??{$object}))*\\}/;
    EDIT;
    open my $out, '>', $path or die "$path: $!";
    print $out $_;
}
my @words = @ARGV;
for my $at (0 .. $#words) {
    edited("$words[$at + 1]/config.json") if $words[$at] =~ /^(?:--bundle|-b)$/;
    edited($words[$at + 1]) if $words[$at] =~ /^(?:--process|-p)$/;
}
BEFORE
exec 'RUNTIME', @words or die "RUNTIME: $!";
"""
_KEEPS_DESCRIPTOR = """
use POSIX ();
for my $at (reverse 0 .. $#words) {
    splice @words, $at + 1, 0, '--preserve-fds', '1' if $words[$at] eq 'create';
}
POSIX::dup2(POSIX::open('/etc', 0), 3);
"""


def edits(id_: str, claims: str, words: str, edit: str, before: str = "") -> None:
    """Add a fault of a runtime: a perl expression that edits JSON in `$_`, and what is done before the runtime."""
    add(f"runtime-{id_}", claims, f"the runtime {words}", runtime=(edit, before))


edits("keeps-inheritable", "062", "makes capabilities inheritable",
      's/,?"inheritable":$array//; s/"bounding":($array)/"bounding":$1,"inheritable":$1/')
edits("drops-groups", "160", "leaves supplementary groups out", 's/,?"additionalGids":$array//')
edits("drops-masks", "149 051", "masks nothing", 's/"maskedPaths":$array/"maskedPaths":[]/')
edits("drops-read-only-paths", "051 124 126", "has no read-only paths", 's/"readonlyPaths":$array/"readonlyPaths":[]/')
edits("ignores-no-new-privileges", "084", "ignores no-new-privileges",
      's/"noNewPrivileges":true/"noNewPrivileges":false/')  # fmt: skip
edits("drops-filter", "082 048 086", "installs no filter", 's/,?"seccomp":$object//')
edits("drops-user", "132", "starts everything as root", r's/"user":\{"uid":\d+/"user":{"uid":0/')
edits("ignores-read-only", "059", "leaves the root file system writable",
      r's/("root":\{[^{}]*"readonly":)true/$1false/')  # fmt: skip
edits("allows-devices", "009", "allows all devices",
      r's/\{"allow":false,"access":"rwm"\}/{"allow":true,"access":"rwm"}/')  # fmt: skip
edits("shares-ipc", "049", "joins the host's namespace of IPC", r's/\{"type":"ipc"\},|,\{"type":"ipc"\}//')
edits("drops-limit-of-processes", "167", "has no limit of processes", 's/,?"pids":$object//')
edits("adds-a-capability", "109", "gives CAP_SYS_ADMIN, too",
      r's/"(bounding|effective|permitted)":\[/"$1":["CAP_SYS_ADMIN",/g')  # fmt: skip
edits("keeps-a-descriptor", "152", "leaves a descriptor of the host open", "0", _KEEPS_DESCRIPTOR)


def use(driver: CliEngine, id_: str) -> tuple[list[str], list[str]]:
    """Make an engine know the runtime of a fault; return the words before the verb, and after one that makes."""
    edit, before = FAULTS[id_].runtime
    path = share_dir() / _PLACE / id_
    settings = driver.host.path(_SETTINGS)
    name = f"{_PLACE}-{id_}"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        own = "crun" if driver.host.path("/usr/bin/crun").exists() and driver.binary == "podman" else "runc"
        path.write_text(_WRAPPER.replace("EDIT", edit).replace("BEFORE", before).replace("RUNTIME", f"/usr/bin/{own}"))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        if settings.exists():
            _settings(driver, lambda known: known | {name: {"path": str(path)}})
            _reloaded(driver, name)
    return ([], ["--runtime", name]) if settings.exists() else (["--runtime", str(path)], [])


def _settings(driver: CliEngine, change) -> None:
    with locked(state_dir() / "locks" / "runtimes-of-faults.lock"):
        path = driver.host.path(_SETTINGS)
        content = json.loads(path.read_text() or "{}")
        content["runtimes"] = change(content.get("runtimes", {}))
        path.write_text(json.dumps(content, indent=1) + "\n")
        os.kill(int(driver.host.path("/run/docker.pid").read_text()), signal.SIGHUP)


def _reloaded(driver: CliEngine, name: str) -> None:
    deadline = time.monotonic() + 20
    while name not in driver.cli("info", "--format", "{{json .Runtimes}}", expect=ANY).stdout:
        if time.monotonic() > deadline:
            raise RuntimeError(f"the daemon does not get to know {name}")
        time.sleep(0.1)


def forget(drivers: list[CliEngine]) -> None:
    """Take the runtimes of this process out of engines, and their programs away."""
    for driver in drivers:
        if driver.host.path(_SETTINGS).exists():
            _settings(driver, lambda known: {name: one for name, one in known.items() if not name.startswith(_PLACE)})
    shutil.rmtree(Path(share_dir() / _PLACE), ignore_errors=True)

import itertools
import os
import subprocess
from pathlib import Path

import pytest

from seatrial import proc
from seatrial.exec import ExpectationError
from seatrial.probes.kernel import Kernel, below

MOUNTS = r"""22 27 0:21 / /sys rw,nosuid - sysfs sysfs rw
30 22 0:26 / /with\040space ro,relatime shared:4 - tmpfs none rw,size=64k
31 22 0:26 /sub /data rw master:7 - ext4 /dev/sda1 rw,errors=remount-ro
32 22 0:26 / /both rw shared:1 master:7 - tmpfs none rw
33 22 0:26 / /un rw unbindable - tmpfs none rw
"""


def test_mountinfo_is_read_with_escapes_options_and_propagation():
    mounts = {mount.target: mount for mount in proc.mounts(MOUNTS)}
    assert list(mounts) == ["/sys", "/with space", "/data", "/both", "/un"]
    assert mounts["/with space"].options == {"ro", "relatime"}
    assert mounts["/with space"].super_options == {"rw", "size=64k"}
    assert [mount.propagation for mount in mounts.values()] == [
        "private", "shared", "slave", "shared+slave", "unbindable",
    ]  # fmt: skip
    assert (mounts["/data"].root, mounts["/data"].source, mounts["/data"].fstype) == ("/sub", "/dev/sda1", "ext4")


def test_the_own_process_is_seen_as_it_is():
    kernel = Kernel(os.getpid())
    assert kernel.alive
    assert kernel.cwd == os.getcwd()
    assert kernel.namespace("pid").startswith("pid:[")
    assert kernel.limits["Max open files"][0].isdigit()
    assert "lo" in kernel.links()
    assert kernel.mount("/proc").fstype == "proc"
    assert not Kernel(2**22 + 1).alive


def test_the_score_of_a_process_is_its_own():
    process = subprocess.Popen(["sh", "-c", "echo 345 >/proc/self/oom_score_adj; echo; exec sleep 60"],
                               stdout=subprocess.PIPE)  # fmt: skip
    try:
        process.stdout.readline()
        assert Kernel(process.pid).oom_score_adj == 345
        assert Kernel(os.getpid()).oom_score_adj == int(Path("/proc/self/oom_score_adj").read_text())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_mount_that_is_not_there_is_the_engines_fault_and_the_others_are_told():
    with pytest.raises(ExpectationError, match=r"nothing is mounted at /no/such\n(.*\n)*  proc at /proc"):
        Kernel(os.getpid()).mount("/no/such")


@pytest.mark.parametrize("look", [
    lambda kernel: kernel.status, lambda kernel: kernel.argv, lambda kernel: kernel.environ,
    lambda kernel: kernel.cwd, lambda kernel: kernel.limits, lambda kernel: kernel.namespace("net"),
    lambda kernel: kernel.capabilities(), lambda kernel: kernel.mount("/proc"),
    lambda kernel: kernel.cgroup("memory"), lambda kernel: kernel.cgroup_processes,
    lambda kernel: kernel.links(), lambda kernel: kernel.routes(), lambda kernel: kernel.listeners(),
], ids=itertools.count())  # fmt: skip
def test_a_process_that_is_gone_is_the_engines_fault(look):
    with pytest.raises(ExpectationError, match=f"process {2**22 + 1} of the container is gone"):
        look(Kernel(2**22 + 1))


def test_a_zombie_is_gone():
    with subprocess.Popen(["true"]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert not Kernel(process.pid).alive
        with pytest.raises(ExpectationError, match="is gone"):
            Kernel(process.pid).namespace("mnt")


def test_what_the_kernel_does_not_have_is_no_fault_of_the_engine():
    with pytest.raises(FileNotFoundError):
        Kernel(os.getpid()).namespace("no-such-kind")


@pytest.mark.parametrize(
    ("root", "path", "inside"),
    [("/", "/docker/x", "docker/x"), ("/outer/c1", "/outer/c1/docker/x", "docker/x"), ("/outer/c1", "/outer/c1", ""),
     ("/outer/c1", "/outer/c10/docker/x", "outer/c10/docker/x"), (None, "/docker/x", "docker/x")],
)  # fmt: skip
def test_a_cgroup_below_a_part_of_its_hierarchy(root, path, inside):
    lines = ["30 1 0:26 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids"]
    if root:
        lines.append(f"31 30 0:26 {root} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory")
    memory = Path("/sys/fs/cgroup/memory")
    assert below(memory, path, proc.mounts("\n".join(lines))) == memory / inside

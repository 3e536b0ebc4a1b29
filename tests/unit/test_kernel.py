import os

from seatrial.probes.kernel import Kernel, parse_mountinfo

MOUNTS = r"""22 27 0:21 / /sys rw,nosuid - sysfs sysfs rw
30 22 0:26 / /with\040space ro,relatime shared:4 - tmpfs none rw,size=64k
31 22 0:26 /sub /data rw master:7 - ext4 /dev/sda1 rw,errors=remount-ro
32 22 0:26 / /both rw shared:1 master:7 - tmpfs none rw
33 22 0:26 / /un rw unbindable - tmpfs none rw
"""


def test_mountinfo_is_read_with_escapes_options_and_propagation():
    mounts = {mount.target: mount for mount in parse_mountinfo(MOUNTS)}
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

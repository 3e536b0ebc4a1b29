"""The features that a runtime lists, and that it has them."""


import pytest

from seatrial.expecting import matched
from seatrial.oci.bundle import NAMESPACES, tmpfs
from seatrial.oci.observe import CAPABILITY_NAMES

claim, requires = pytest.mark.claim, pytest.mark.requires

pytestmark = pytest.mark.requires("features_command")

TOP = {
    "ociVersionMin", "ociVersionMax", "hooks", "mountOptions", "annotations", "linux",
    "potentiallyUnsafeConfigAnnotations",
}  # fmt: skip
LINUX = {
    "namespaces", "capabilities", "cgroup", "seccomp", "apparmor", "selinux", "intelRdt", "memoryPolicy",
    "mountExtensions", "netDevices",
}  # fmt: skip
OF_ONE_FILE_SYSTEM = ("size", "mode", "uid", "gid", "nr_inodes", "newinstance", "ptmxmode", "lowerdir", "data")


@pytest.fixture
def features(runtime):
    listed = runtime.cli("features").json()
    assert isinstance(listed, dict)
    return listed


def numbers(version):
    return tuple(int(word) for word in matched(r"^(\d+)\.(\d+)\.(\d+)", version).groups())


@claim("FT-vermin", "FT-vermax")
@pytest.mark.parametrize("end", ["ociVersionMin", "ociVersionMax"])
def test_a_configuration_of_a_listed_version_runs(runtime, bundle, features, end):
    seen = runtime.observe(bundle.with_(ociVersion=features[end])).seen
    assert seen.pid == 1


@claim("FT-verorder")
def test_the_newest_version_is_not_older_than_the_oldest(features):
    assert numbers(features["ociVersionMin"]) <= numbers(features["ociVersionMax"])
    assert numbers(features["ociVersionMin"]) >= (1, 0, 0)


@claim("FT-noextra")
def test_there_are_no_other_properties(features):
    assert set(features) <= TOP
    assert set(features["linux"]) <= LINUX


@claim("FT-null")
def test_lists_are_lists_of_texts(features):
    lists = [features.get("hooks"), features.get("mountOptions"), *(
        features["linux"].get(name) for name in ("namespaces", "capabilities")
    )]  # fmt: skip
    given = [one for one in lists if one is not None]
    assert [one for one in given if not isinstance(one, list) or not all(isinstance(word, str) for word in one)] == []


@claim("FT-ann")
def test_annotations_are_texts(features):
    assert isinstance(features["annotations"], dict)
    assert [one for one in features["annotations"].values() if not isinstance(one, str)] == []


@claim("FT-hooks")
def test_listed_hooks_are_run(runtime, bundle, features, hooks):
    kinds = features["hooks"]
    assert set(kinds) >= {"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"}
    box = hooks.place(bundle, **{kind: [kind] for kind in kinds})
    box.create()
    box.start()
    assert box.seen.pid == 1
    box.end()
    assert set(hooks.order) == set(kinds)


@claim("FT-mntopts")
def test_listed_mount_options_are_taken(runtime, bundle, features):
    # each needs something of its own (a source, mappings, the host's leave, a kernel) or has a test of its own
    special = {"bind", "rbind", "remount", "idmap", "ridmap", "mand", "acl", "noacl", "unbindable", "runbindable",
               "defaults"}  # fmt: skip
    options = [word for word in features["mountOptions"] if word not in special]
    assert len(options) > 30
    seen = runtime.observe(bundle.mounted(*(tmpfs(f"/mnt/{word}", word) for word in options))).seen
    assert {mount.target for mount in seen.mounts} >= {f"/mnt/{word}" for word in options}


@claim("FT-mntopts-fs")
def test_no_listed_mount_option_is_that_of_one_file_system(features):
    assert sorted(set(features["mountOptions"]) & set(OF_ONE_FILE_SYSTEM)) == []


@claim("FL-ns")
def test_listed_namespaces_can_be_asked_for(runtime, bundle, features):
    listed = features["linux"]["namespaces"]
    assert set(listed) >= {*NAMESPACES, "user", "cgroup"}
    asked = bundle.in_namespaces(*(kind for kind in listed if kind != "user"))
    host = runtime.observe(asked).host
    ours = runtime.keeper
    files = {"network": "net", "mount": "mnt"}
    same = [kind for kind in listed if kind != "user"
            and host.namespace(kind) == ours.namespace(files.get(kind, kind))]  # fmt: skip
    assert same == []


# of Linux 5.8 and 5.9: a runtime may be older
NEW_CAPABILITIES = {"CAP_BPF", "CAP_CHECKPOINT_RESTORE", "CAP_PERFMON"}


@claim("FL-caps")
def test_listed_capabilities_are_those_of_linux(runtime, bundle, features):
    listed = features["linux"]["capabilities"]
    known = {f"CAP_{name}" for name in CAPABILITY_NAMES}
    assert known - NEW_CAPABILITIES <= set(listed) <= known


def filtered(bundle, **seccomp):
    return bundle.with_(linux={"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", **seccomp}})


@claim("FL-sec-actions")
@requires("seccomp")
def test_listed_seccomp_actions_are_taken(runtime, bundle, features):
    actions = features["linux"]["seccomp"]["actions"]
    assert set(actions) >= {"SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL"}
    calls = ["acct", "sync", "getsid", "sysinfo", "getpriority", "setpriority", "ustat", "swapon", "swapoff", "reboot"]
    chosen = [action for action in actions if action != "SCMP_ACT_NOTIFY"]
    rules = [{"names": [call], "action": action} for call, action in zip(calls, chosen, strict=False)]
    assert len(rules) == len(chosen)
    assert runtime.observe(filtered(bundle, syscalls=rules)).seen.seccomp == 2


@claim("FL-sec-ops")
@requires("seccomp")
def test_listed_seccomp_operators_are_taken(runtime, bundle, features):
    operators = features["linux"]["seccomp"]["operators"]
    assert len(operators) == 7
    rules = [
        {"names": ["getpriority"], "action": "SCMP_ACT_ERRNO",
         "args": [{"index": 1, "value": 1000 + number, "valueTwo": 1, "op": operator}]}
        for number, operator in enumerate(operators)
    ]  # fmt: skip
    assert runtime.observe(filtered(bundle, syscalls=rules)).seen.seccomp == 2


@claim("FL-sec-archs")
@requires("seccomp", "seccomp_archs")
def test_listed_seccomp_architectures_are_taken(runtime, bundle, features):
    listed = features["linux"]["seccomp"]["archs"]
    assert "SCMP_ARCH_X86_64" in listed
    rule = {"names": ["getsid"], "action": "SCMP_ACT_ERRNO"}
    ours = [word for word in listed if word.startswith("SCMP_ARCH_X")]
    assert runtime.observe(filtered(bundle, syscalls=[rule], architectures=ours)).seen.seccomp == 2


@claim("FL-sec-flags")
@requires("seccomp", "seccomp_flags")
def test_supported_seccomp_flags_are_taken(runtime, bundle, features):
    seccomp = features["linux"]["seccomp"]
    assert set(seccomp["supportedFlags"]) <= set(seccomp["knownFlags"])
    rule = {"names": ["getsid"], "action": "SCMP_ACT_ERRNO"}
    flags = [flag for flag in seccomp["supportedFlags"] if "NOTIF" not in flag and "WAIT_KILL" not in flag]
    assert len(flags) > 0
    assert runtime.observe(filtered(bundle, syscalls=[rule], flags=flags)).seen.seccomp == 2


# becomes the words that follow, without the system calls that map the owners of mounts: errno 38 is ENOSYS
OLD_KERNEL = ["perl", "-e", """
    my @calls = (428, 429, 442);  # open_tree, move_mount, mount_setattr
    my $filter = pack 'SCCL', 0x20, 0, 0, 0;
    $filter .= pack 'SCCLSCCL', 0x15, 0, 1, $_, 0x06, 0, 0, 0x50026 for @calls;
    $filter .= pack 'SCCL', 0x06, 0, 0, 0x7fff0000;
    my $program = pack 'Sx6P', length($filter) / 8, $filter;
    syscall(157, 38, 1, 0, 0, 0) == 0 and syscall(157, 22, 2, $program) == 0 or die "no filter: $!";
    my $path = '';
    syscall(442, -1, $path, 0, 0, 0) == -1 and $! == 38 or die "the filter is not in force: $!";
    exec {$ARGV[0]} @ARGV or die $!;
"""]


@claim("FL-idmap", "FT-compile")
@requires("amd64", "mount_extensions")
def test_mapped_mounts_are_listed_whatever_the_kernel_can(runtime, features):
    assert features["linux"]["mountExtensions"]["idmap"]["enabled"] is True
    assert runtime.cli("features", before=OLD_KERNEL).json() == features


@claim("FT-compile")
def test_the_features_do_not_depend_on_who_asks(runtime, features):
    again = runtime.cli("features", env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/"}).json()
    assert again == features

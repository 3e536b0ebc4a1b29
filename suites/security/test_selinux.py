"""SELinux, enforcing: types and categories part containers from the host and from each other.

The policy has `container_t` for processes and `container_file_t` for their files. Labelled root file systems lie
on a tmpfs of the host, because not every file system of a lab has labels.
"""

import re

import pytest

claim, requires = pytest.mark.claim, pytest.mark.requires

PROCESS = "system_u:system_r:container_t:s0:{}"
FILE = "system_u:object_r:container_file_t:s0:{}"
OWN, OTHER = "c1,c2", "c3,c4"


class Labelled:
    """Root file systems with labels, and containers in them."""

    def __init__(self, runtime, bundle):
        self._runtime, self._bundle = runtime, bundle

    def root(self, categories=OWN):
        """A root file system whose files all have the type and the categories of a container."""
        place = f"/tmp/{self._runtime.name()}"
        self._runtime.on_host("cp", "-a", str(self._runtime.template), place)
        self._runtime.defer(lambda: self._runtime.on_host("rm", "-rf", place))
        self._runtime.on_host("chcon", "-R", FILE.format(categories), place)
        return place

    def file(self, root, word, label):
        """A readable file of its own label in a root file system; its name is in denials."""
        name = f"{word}-{self._runtime.name()}"
        self._runtime.on_host("sh", "-c", 'echo "sea trial" >"$1" && chcon "$2" "$1"', "sh", f"{root}/{name}", label)
        return name

    def run(self, root, script, label="", **process):
        """Run a script in a container with a label."""
        label = label or PROCESS.format(OWN)
        config = self._bundle.sh(script).with_(
            root={"path": root}, process={"selinuxLabel": label, "noNewPrivileges": False, **process}
        )
        return self._runtime.foreground(config, expect=None)

    def denials(self, name):
        """What the kernel wrote down about a file."""
        return [line for line in self._runtime.on_host("dmesg").lines if "avc:" in line and f'name="{name}"' in line]


@pytest.fixture
def labelled(runtime, bundle):
    """Root file systems with labels."""
    return Labelled(runtime, bundle)


def fate(ended):
    return "read" if "sea trial" in ended.stdout else "refused"


@claim("security-069")
@requires("selinux")
def test_process_has_the_label_of_its_bundle(labelled, guard):
    shown = labelled.run(labelled.root(), "cat /proc/self/attr/current")
    assert shown.stdout.rstrip("\0\n") == PROCESS.format(OWN)
    guard.note("the SELinux label of a process", shown.stdout.rstrip("\0\n"))


@claim("security-140")
@requires("selinux")
def test_categories_of_another_container_are_refused(labelled, guard):
    root = labelled.root()
    own = labelled.file(root, "own", FILE.format(OWN))
    other = labelled.file(root, "other", FILE.format(OTHER))
    guard.holds("a file of another container's categories", fate(labelled.run(root, f"cat /{other}")),
                fate(labelled.run(root, f"cat /{own}")))  # fmt: skip


@claim("security-140")
@requires("selinux")
def test_root_file_system_of_other_categories_starts_nothing(labelled, guard):
    guard.holds("a container in another's root file system",
                fate(labelled.run(labelled.root(OTHER), "echo sea trial")),
                fate(labelled.run(labelled.root(OWN), "echo sea trial")))  # fmt: skip


@claim("security-111", "security-112")
@requires("selinux")
def test_type_of_the_host_is_refused_with_all_capabilities(labelled, guard):
    root = labelled.root()
    everything = {
        name: ["CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_SYS_ADMIN", "CAP_SYS_PTRACE"]
        for name in ("bounding", "effective", "permitted")
    }
    shadow = labelled.file(root, "shadow", "system_u:object_r:shadow_t:s0")
    own = labelled.file(root, "own", FILE.format(OWN))
    guard.holds("a file of the type shadow_t", fate(labelled.run(root, f"cat /{shadow}", capabilities=everything)),
                fate(labelled.run(root, f"cat /{own}", capabilities=everything)))  # fmt: skip


@claim("security-074")
@requires("selinux")
def test_denial_is_in_the_log_with_both_labels(labelled):
    root = labelled.root()
    shadow = labelled.file(root, "shadow", "system_u:object_r:shadow_t:s0")
    labelled.run(root, f"cat /{shadow}")
    denials = labelled.denials(shadow)
    assert denials
    for line in denials:
        assert f"scontext={PROCESS.format(OWN)}" in line
        assert re.search(r"denied  \{ read \}.* tcontext=system_u:object_r:shadow_t:s0 tclass=file permissive=0", line)


@claim("mac-006")
@requires("selinux")
@pytest.mark.parametrize("label", ["system_u:system_r:st_nosuch_t:s0", "nonsense"])
def test_label_that_the_policy_does_not_know_is_refused(labelled, label):
    root = labelled.root()
    assert not labelled.run(root, "echo sea trial", label=label).ok
    assert fate(labelled.run(root, "echo sea trial")) == "read"

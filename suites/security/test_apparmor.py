"""AppArmor, where it is on: the engine's own profile, profiles by name, and what a bundle asks for."""

import re

import pytest

from seatrial import exec as command

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires

PROFILE = """\
#include <tunables/global>
profile {name} flags=(attach_disconnected,mediate_deleted) {{
  file,
  network,
  capability,
  umount,
  signal,
  deny /etc/motd rwklx,
  deny network raw,
}}
"""
CURRENT = "cat /proc/self/attr/current"


class Profiles:
    """Loads profiles of a test into the kernel of a host, and takes them out after it."""

    def __init__(self, host, directory, journal):
        self._host, self._directory, self._journal, self._paths = host, directory, journal, []

    def _parser(self, *words):
        return command.run(["apparmor_parser", *words], host=self._host, journal=self._journal)

    def load(self, name):
        path = self._directory / name
        path.write_text(PROFILE.format(name=name))
        self._paths.append(path)
        self._parser("--replace", "--skip-cache", str(path))
        return name

    def log(self):
        return command.run(["dmesg"], host=self._host, journal=self._journal).stdout

    def close(self):
        for path in self._paths:
            self._parser("--remove", str(path))


@pytest.fixture
def profiles(engine):
    """The profiles of a test of engines."""
    loaded = Profiles(engine.raw.host, engine.workdir, engine.journal)
    yield loaded
    loaded.close()


@pytest.fixture
def runtime_profiles(runtime):
    """The profiles of a test of runtimes."""
    loaded = Profiles(runtime.host, runtime.workdir, runtime.journal)
    yield loaded
    loaded.close()


@claim("security-078")
@requires("apparmor")
def test_containers_run_under_the_default_profile(engine, guard):
    c = engine.run()
    default = engine.trait("apparmor_profile")
    shown = c.sh(CURRENT).text
    assert re.fullmatch(rf"{default} \(enforce\)", shown)
    assert engine.sh(CURRENT).text == shown
    guard.note("the AppArmor profile of a container", shown)


@claim("security-078")
@requires("apparmor")
def test_default_profile_is_loaded_and_enforced(engine):
    engine.sh("true")
    loaded = command.run(["cat", "/sys/kernel/security/apparmor/profiles"], host=engine.raw.host).lines
    assert [line for line in loaded if re.fullmatch(rf"{engine.trait('apparmor_profile')} \(enforce\)", line)]


@claim("mac-001")
@requires("apparmor")
@effect("run --security-opt")
def test_unconfined_is_unconfined(engine):
    assert engine.sh(CURRENT, "--security-opt", "apparmor=unconfined").text == "unconfined"


@claim("mac-001")
@requires("apparmor", "privileged")
@effect("run --privileged")
def test_privileged_is_unconfined(engine):
    assert engine.sh(CURRENT, "--privileged").text == "unconfined"


@claim("mac-002")
@requires("apparmor")
def test_default_profile_refuses_mounts(engine, guard):
    bare = ("--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined")

    def attempt(*options):
        ended = engine.sh("mount -t tmpfs none /mnt 2>&1 || mount -t tmpfs none /tmp", *bare, *options, expect=None)
        return "mounted" if ended.ok else "refused"

    guard.holds("a mount under the default AppArmor profile", attempt(),
                attempt("--security-opt", "apparmor=unconfined"))  # fmt: skip


@claim("mac-007", "security-078")
@requires("apparmor")
@pytest.mark.parametrize("kind", ["default", "named"])
def test_what_exec_starts_is_under_the_profile_of_the_container(engine, profiles, guard, kind):
    """As root and as another user, and after a restart; the control is a container that no profile confines."""
    if kind == "named":
        name = profiles.load(engine.name("profile"))
        options, expected = ("--security-opt", f"apparmor={name}"), f"{name} (enforce)"
    else:
        options, expected = (), engine.sh(CURRENT).text
    assert expected.endswith(" (enforce)")
    c, free = engine.run(*options), engine.run("--security-opt", "apparmor=unconfined")

    def shown(which, *more):
        return engine.cli("exec", *more, which.name, "sh", "-c", CURRENT).text

    seen = {"root": shown(c), "another user": shown(c, "--user", "65534")}
    engine.cli("restart", "--time", "0", c.name)
    seen["after a restart"] = shown(c)
    guard.each("what exec starts is outside of the AppArmor profile", seen, dict.fromkeys(seen, shown(free)), mode=kind,
               is_refused=lambda what: what == expected)  # fmt: skip


@claim("mac-008")
@requires("apparmor")
def test_no_process_leaves_its_profile(engine, guard):
    """By what a process may write to change its own; the control is one that no profile confines."""
    script = 'printf "changeprofile $0" >/proc/self/attr/current; ' + CURRENT
    default = engine.sh(CURRENT).text.partition(" ")[0]

    def changed(to, *options):
        name = engine.once(*options, engine.image, "sh", "-c", script, to, expect=None).text.partition(" ")[0]
        return "changed" if name == to else "refused"

    guard.holds("a process leaves its AppArmor profile", changed("unconfined"),
                changed(default, "--security-opt", "apparmor=unconfined"))  # fmt: skip


# what the default profile denies by rules of its own: how each is opened, without a byte that is read or written
DENIED = {
    "/proc/sysrq-trigger": ">>", "/proc/sys/kernel/core_pattern": ">>", "/proc/sys/kernel/hostname": ">>",
    "/proc/sys/vm/swappiness": ">>", "/proc/sys/fs/file-max": ">>", "/proc/kcore": "<", "/proc/timer_list": ">>",
}  # fmt: skip


@claim("mac-009")
@requires("apparmor")
def test_default_profile_denies_by_itself_what_other_layers_mask(engine, guard):
    """Nothing is masked or read-only, and no filter is there: what refuses is the profile alone."""
    script = "; ".join(f"(exec 3{how}{path}) 2>/dev/null && echo ok || echo refused" for path, how in DENIED.items())
    names = "for file in /proc/sys/kernel/*; do [ -f $file ] && (exec 3>>$file) 2>/dev/null && echo ${file##*/}; done"
    bare = ("--security-opt", "seccomp=unconfined", *engine.trait("unmask"))

    def opened(*options):
        lines = engine.sh(f"{script}; {names}; true", *bare, *options).lines
        return dict(zip(DENIED, lines[: len(DENIED)], strict=True)), set(lines[len(DENIED) :])

    (shut, left), (free, every) = opened(), opened("--security-opt", "apparmor=unconfined")
    proved = guard.each("what the default AppArmor profile denies by itself", shut, free)
    assert {"/proc/sys/kernel/core_pattern", "/proc/sys/vm/swappiness"} <= set(proved)
    # it is meant to leave the kernel parameters of shared memory alone
    shared = {name for name in every if name.startswith("shm")}
    assert shared < every
    assert left <= shared
    guard.note("kernel parameters that the default AppArmor profile leaves writable", " ".join(sorted(left)) or "none")


@claim("mac-010")
@requires("apparmor")
def test_default_profile_lets_nobody_look_into_processes_outside_of_it(engine, guard):
    """With the host's processes and the capability to trace them: the profile has a rule for its own alone."""
    options = ("--pid", "host", "--cap-add", "SYS_PTRACE", "--security-opt", "seccomp=unconfined")

    def looked(*more):
        return "ok" if engine.sh("readlink /proc/1/root >/dev/null", *options, *more, expect=None).ok else "refused"

    guard.holds("a process of the host is looked into", looked(), looked("--security-opt", "apparmor=unconfined"))


@claim("security-080", "security-076")
@requires("apparmor")
@effect("run --security-opt")
def test_deny_rule_of_a_named_profile_hides_a_file(engine, profiles, guard):
    name = profiles.load(engine.name("profile"))

    def attempt(*options):
        script = "echo sea >/etc/motd 2>/dev/null && cat /etc/motd"
        return engine.sh(script, *options, expect=None).text or "refused"

    assert engine.sh(CURRENT, "--security-opt", f"apparmor={name}").text == f"{name} (enforce)"
    guard.holds("a file that an AppArmor profile denies", attempt("--security-opt", f"apparmor={name}"), attempt())


@claim("mac-003")
@requires("apparmor")
def test_unknown_profile_is_refused(engine):
    name = engine.name("unknown")
    refused = engine.cli("run", "--rm", "--security-opt", f"apparmor={name}", engine.image, "true", expect=None)
    assert not refused.ok
    assert name in refused.stderr or "apparmor" in refused.stderr.lower()
    engine.once(engine.image, "true")


@claim("mac-004")
@requires("apparmor")
def test_denial_is_in_the_log_of_the_kernel(engine, profiles):
    name = profiles.load(engine.name("profile"))
    # a rule that denies is silent: what no rule allows is logged
    engine.sh("mount -t tmpfs none /tmp", "--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined",
              "--security-opt", f"apparmor={name}", expect=None)  # fmt: skip
    lines = [line for line in profiles.log().splitlines() if f'profile="{name}"' in line]
    assert any('apparmor="DENIED" operation="mount"' in line for line in lines), lines


@claim("security-076", "mac-005")
@requires("apparmor")
def test_profile_of_a_bundle_applies(runtime, bundle, runtime_profiles, guard):
    name = runtime_profiles.load(runtime.name())

    def attempt(profile):
        confined = bundle.sh(f"{CURRENT}; echo; cat /etc/motd").with_(process={"apparmorProfile": profile})
        return runtime.foreground(confined, expect=None)

    shut, control = attempt(name), attempt("unconfined")
    assert shut.lines[0] == f"{name} (enforce)"
    assert control.lines[0] == "unconfined"
    guard.holds("a file that the AppArmor profile of a bundle denies",
                "read" if "sea trial" in shut.stdout else "refused",
                "read" if "sea trial" in control.stdout else "refused")  # fmt: skip


@claim("mac-003")
@requires("apparmor")
def test_unknown_profile_of_a_bundle_is_refused(runtime, bundle):
    box = bundle.sh("true").with_(process={"apparmorProfile": runtime.name()})
    assert not runtime.foreground(box, expect=None).ok
    runtime.foreground(bundle.sh("true").with_(process={"apparmorProfile": "unconfined"}))

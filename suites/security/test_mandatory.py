"""Mandatory access control: an option that names a module which is not there must not be taken in silence."""

import pytest

from seatrial.probes.machine import lsms

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires
case = pytest.param


def told(result):
    """Whether a command was refused, or at least said something about what it was asked."""
    return not result.ok or any(word in result.stderr.lower() for word in ("apparmor", "selinux", "label"))


@claim("security-079")
@effect("run --security-opt")
@requires("not_apparmor")
def test_apparmor_profile_without_apparmor_is_not_taken_in_silence(engine, guard):
    result = engine.once("--security-opt", "apparmor=st-probe", engine.image, "true", expect=None)
    guard.note("an AppArmor profile without AppArmor", "refused" if told(result) else "taken in silence",
               state="fact" if told(result) else "open")  # fmt: skip
    assert told(result)


@claim("security-072")
@effect("run --security-opt")
@requires("not_selinux")
@pytest.mark.parametrize("label", ["type:container_t", "level:s0:c100,c200"])
def test_label_without_selinux_is_not_taken_in_silence(engine, guard, label):
    result = engine.once("--security-opt", f"label={label}", engine.image, "true", expect=None)
    guard.note(f"the label {label} without SELinux", "refused" if told(result) else "taken in silence",
               state="fact" if told(result) else "open")  # fmt: skip
    assert told(result)


@claim("security-073")
@pytest.mark.parametrize("option", ["nonsense=x", "nonsense", "label=nonsense:x", "label="])
def test_unknown_option_is_refused(engine, option):
    engine.fails("run", "--rm", "--security-opt", option, engine.image, "true",
                 says="invalid (--security-opt|label)|bad label option")  # fmt: skip
    engine.once("--security-opt", "label=disable", engine.image, "true")


@claim("security-070")
@requires("private_daemon", "not_selinux")
def test_daemon_asked_for_selinux_says_that_there_is_none(private_daemon, guard):
    d = private_daemon("--selinux-enabled")
    listed = d.cli("info", "--format", "{{json .SecurityOptions}}").text
    assert "selinux" in d.log.lower()
    assert "selinux" not in listed
    guard.note("a daemon asked for SELinux without SELinux", "says so in its log")


@claim("security-081")
def test_modules_that_are_listed_are_in_force(engine, guard):
    kernel = engine.run().kernel
    listed = set(engine.facts["security"])
    assert ("seccomp" in listed) is (kernel.status["Seccomp"] == "2")
    assert not (listed & {"apparmor", "selinux"}) - set(lsms())
    guard.note("security options that are in force", " ".join(sorted(listed)))

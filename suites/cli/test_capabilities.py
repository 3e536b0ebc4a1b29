"""Capabilities: the default list, the grammar of adding and dropping, and the effect."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.examples import examples

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires
case = pytest.param

# numbers of capabilities(7)
NUMBERS = {"CHOWN": 0, "DAC_OVERRIDE": 1, "FOWNER": 3, "FSETID": 4, "KILL": 5, "SETGID": 6, "SETUID": 7, "SETPCAP": 8,
           "NET_BIND_SERVICE": 10, "NET_ADMIN": 12, "NET_RAW": 13, "SYS_CHROOT": 18, "SYS_PTRACE": 19, "SYS_ADMIN": 21,
           "SYS_NICE": 23, "SYS_TIME": 25, "MKNOD": 27, "AUDIT_WRITE": 29, "SETFCAP": 31}  # fmt: skip
DANGEROUS = ("NET_ADMIN", "SYS_PTRACE", "SYS_ADMIN", "SYS_NICE", "SYS_TIME")


def mask(*names):
    return sum(1 << NUMBERS[name] for name in names)


@claim("cli-082")
def test_default_capabilities_are_the_documented_ones(engine):
    kernel = engine.run().kernel
    expected = mask(*engine.trait("default_capabilities"))
    assert [kernel.capabilities(kind) for kind in ("Eff", "Prm", "Bnd")] == [expected] * 3
    assert kernel.capabilities("Amb") == 0
    assert not expected & mask(*DANGEROUS)


@claim("cli-082")
@effect("run --cap-add")
def test_capability_is_added_however_it_is_written(engine):
    for word in (
        "NET_ADMIN", "CAP_NET_ADMIN", "net_admin", "cap_net_admin", "Net_Admin",
    ):  # fmt: skip
        kernel = engine.run("--cap-add", word).kernel
        expected = mask(*engine.trait("default_capabilities"), "NET_ADMIN")
        assert (kernel.capabilities("Eff"), kernel.capabilities("Bnd")) == (expected, expected)


@claim("cli-082")
@effect("run --cap-drop")
def test_dropped_capability_is_gone_and_its_call_fails(engine):
    for word in ("CHOWN", "cap_chown"):
        c = engine.run("--cap-drop", word)
        assert c.kernel.capabilities("Bnd") == mask(*engine.trait("default_capabilities")) & ~mask("CHOWN")
        assert "Operation not permitted" in c.sh("chown 1 /tmp", expect=1).stderr
        engine.run().sh("chown 1 /tmp")


@claim("cli-082")
@pytest.mark.parametrize("word", ["ALL", "all"])
def test_drop_all_leaves_none_but_the_added(engine, word):
    assert engine.run("--cap-drop", word).kernel.capabilities("Bnd") == 0
    c = engine.run("--cap-drop", word, "--cap-add", "CHOWN", "--cap-add", "SETUID")
    assert c.kernel.capabilities("Eff") == mask("CHOWN", "SETUID")
    c.sh("chown 1 /tmp")
    assert c.sh("mknod /n c 1 3", expect=1).stderr


@claim("cli-082")
@requires("privileged")
def test_add_all_gives_every_capability_of_the_kernel(engine):
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    assert engine.run("--cap-add", "ALL").kernel.capabilities("Bnd") == (1 << (last + 1)) - 1


@claim("cli-082", "cli-115")
@pytest.mark.parametrize("option", ["--cap-add", "--cap-drop"])
@pytest.mark.parametrize("word", ["BOGUS", "CAP_CAP_CHOWN", "CHOWN!", "12", "CHOWN "])
def test_unknown_capability_is_refused(engine, option, word):
    engine.fails("run", "--rm", option, word, engine.image, "true", says="unknown capability|invalid capability")


@claim("cli-082", "cli-115")
def test_capability_both_added_and_dropped(engine):
    result = engine.sh("echo ran", "--cap-add", "NET_ADMIN", "--cap-drop", "NET_ADMIN", expect=None)
    assert result.ok is engine.trait("added_capability_may_be_dropped")
    assert ("ran" in result.lines) is result.ok


@claim("cli-082", "cli-115")
@examples(8)
@given(words=st.lists(st.sampled_from(sorted(NUMBERS)), min_size=1, max_size=6, unique=True))
def test_any_choice_after_drop_all_is_exactly_what_is_given(engine, words):
    options = [part for word in words for part in ("--cap-add", word)]
    result = engine.once("--network", "none", "--cap-drop", "ALL", *options, engine.image, "grep", "CapBnd",
                         "/proc/self/status")  # fmt: skip
    assert int(result.text.split()[1], 16) == mask(*words)


@claim("cli-082")
@effect("run --security-opt")
def test_no_new_privileges_is_the_processs_flag(engine):
    for options, flag in (((), "0"), (("--security-opt", "no-new-privileges"), "1")):
        assert engine.run(*options).kernel.status["NoNewPrivs"] == flag


@claim("cli-082")
def test_other_user_has_no_effective_capabilities_by_default(engine):
    kernel = engine.run("--user", "1").kernel
    assert (kernel.capabilities("Eff"), kernel.capabilities("Prm")) == (0, 0)
    assert kernel.capabilities("Bnd") == mask(*engine.trait("default_capabilities"))


@claim("cli-082")
def test_exec_has_the_capabilities_of_its_container(engine):
    c = engine.run("--cap-drop", "ALL", "--cap-add", "KILL")
    assert int(c.sh("grep CapEff /proc/self/status").text.split()[1], 16) == mask("KILL")

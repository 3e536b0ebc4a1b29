"""Capabilities: five sets, each exactly as asked for."""

import pytest

from seatrial.oci.observe import capability_names

claim, requires = pytest.mark.claim, pytest.mark.requires

BOUNDING = ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW", "CAP_SETUID", "CAP_SYS_CHROOT", "CAP_MKNOD"]
PERMITTED = ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW", "CAP_SETUID"]
INHERITABLE = ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"]
AMBIENT = ["CAP_CHOWN", "CAP_KILL"]
SETS = {
    "bounding": BOUNDING, "permitted": PERMITTED, "effective": PERMITTED, "inheritable": INHERITABLE,
    "ambient": AMBIENT,
}  # fmt: skip
FIELDS = {
    "bounding": "CapBnd", "permitted": "CapPrm", "effective": "CapEff", "inheritable": "CapInh", "ambient": "CapAmb",
}  # fmt: skip


@pytest.fixture
def as_user(runtime, bundle):
    """A process that is not root: it keeps what is ambient and loses the rest when its program starts."""
    return runtime.observe(bundle.with_(process={"user": {"uid": 1000, "gid": 1000}, "capabilities": SETS})).seen


@pytest.fixture
def as_root(runtime, bundle):
    """A process that is root: its program is permitted what is in the bounding set, unless it may gain nothing."""
    return runtime.observe(bundle.with_(process={"capabilities": SETS})).seen


@claim("CF-caps-bnd")
def test_bounding_is_exactly_the_list(as_user, as_root):
    assert as_user.capabilities("bounding") == set(BOUNDING)
    assert as_root.capabilities("bounding") == set(BOUNDING)


@claim("CF-caps-inh")
def test_inheritable_is_exactly_the_list(as_user, as_root):
    assert as_user.capabilities("inheritable") == set(INHERITABLE)
    assert as_root.capabilities("inheritable") == set(INHERITABLE)


@claim("CF-caps-amb")
def test_ambient_is_exactly_the_list(as_user):
    assert as_user.capabilities("ambient") == set(AMBIENT)


@claim("CF-caps-prm", "CF-caps-eff")
def test_permitted_and_effective_of_a_user_are_what_is_ambient(as_user):
    assert as_user.capabilities("permitted") == set(AMBIENT)
    assert as_user.capabilities("effective") == set(AMBIENT)


@claim("CF-caps-prm", "CF-caps-eff")
def test_permitted_and_effective_of_root_are_what_is_bounding(as_root):
    assert as_root.capabilities("permitted") == set(BOUNDING)
    assert as_root.capabilities("effective") == set(BOUNDING)


@claim("CF-caps-prm")
def test_a_created_container_holds_what_is_permitted_at_most(runtime, bundle):
    sets = {**SETS, "bounding": PERMITTED, "ambient": []}
    box = runtime.run(bundle.with_(process={"noNewPrivileges": True, "capabilities": sets}))
    assert box.seen.capabilities("permitted") == set(PERMITTED)
    assert box.seen.capabilities("ambient") == set()


@claim("CF-caps-bnd", "CF-caps-eff")
@pytest.mark.parametrize("given", [["CAP_KILL"], []], ids=["one", "none"])
def test_what_is_not_asked_for_is_not_given(runtime, bundle, given):
    sparse = bundle.without("process.capabilities").with_(process={"capabilities": {"bounding": given}})
    seen = runtime.observe(sparse).seen
    assert seen.capabilities("bounding") == set(given)
    assert seen.capabilities("inheritable") == seen.capabilities("ambient") == set()


@claim("CF-caps-eff", "CF-caps-bnd")
def test_a_capability_has_its_effect(runtime, bundle):
    sets = {kind: ["CAP_CHOWN"] for kind in ("bounding", "permitted", "effective")}
    box = runtime.run(bundle.with_(process={"capabilities": sets}))
    assert box.probe.write("/mine") == "ok"
    assert box.probe.act("chown", 7, 7, "/mine") == "ok"
    without = runtime.run(bundle)
    assert without.probe.write("/mine") == "ok"
    assert without.probe.act("chown", 7, 7, "/mine") == "EPERM"


@claim("CF-caps-bnd", "CF-caps-prm")
def test_every_capability_that_the_runtime_has_can_be_given(runtime, bundle):
    all_of_them = sorted(capability_names(runtime.keeper.capabilities("Bnd")))
    assert len(all_of_them) > 30
    sets = dict.fromkeys(("bounding", "permitted", "effective", "inheritable"), all_of_them)
    seen = runtime.observe(bundle.with_(process={"capabilities": sets})).seen
    assert seen.capabilities("bounding") == set(all_of_them)
    assert seen.capabilities("effective") == set(all_of_them)
    assert seen.capabilities("inheritable") == set(all_of_them)


@claim("CF-caps-bnd")
@requires("host_kernel")
@pytest.mark.parametrize("kind", sorted(SETS))
def test_the_process_of_the_host_shows_the_same_set(runtime, bundle, kind):
    observed = runtime.observe(bundle.with_(process={"user": {"uid": 1000, "gid": 1000}, "capabilities": SETS}))
    assert capability_names(int(observed.host.status[FIELDS[kind]], 16)) == observed.seen.capabilities(kind)

"""Policies for memory nodes: what the program gets, and which are refused."""

import pytest

from seatrial.expecting import matched

claim, requires = pytest.mark.claim, pytest.mark.requires

pytestmark = pytest.mark.requires("memory_policy", "memory_nodes", "host_kernel")

# mode -> (nodes, as the kernel tells it); node 0 is there on every machine
MODES = {
    "MPOL_DEFAULT": (None, "default"), "MPOL_LOCAL": (None, "local"), "MPOL_BIND": ("0", "bind:0"),
    "MPOL_INTERLEAVE": ("0", "interleave:0"), "MPOL_WEIGHTED_INTERLEAVE": ("0", "weighted interleave:0"),
    "MPOL_PREFERRED": ("0", "prefer:0"), "MPOL_PREFERRED_MANY": ("0", "prefer (many):0"),
}  # fmt: skip
FLAGS = {
    "MPOL_F_STATIC_NODES": ("MPOL_INTERLEAVE", "interleave=static:0"),
    "MPOL_F_RELATIVE_NODES": ("MPOL_INTERLEAVE", "interleave=relative:0"),
    "MPOL_F_NUMA_BALANCING": ("MPOL_BIND", "bind=balancing:0"),
}


def with_policy(bundle, mode, nodes=None, flags=None):
    given = {"mode": mode, "nodes": nodes, "flags": flags}
    return bundle.with_(linux={"memoryPolicy": {name: value for name, value in given.items() if value is not None}})


def policy(box):
    """The policy of the program's stack, as its kernel tells it."""
    return matched(r"^[0-9a-f]+ (.*) stack\b", box.probe.read("/proc/self/numa_maps"))[1]


@claim("CL-mempol")
@pytest.mark.parametrize("mode", sorted(MODES))
def test_the_program_has_the_policy_that_was_asked_for(runtime, bundle, mode):
    nodes, told = MODES[mode]
    assert policy(runtime.run(with_policy(bundle, mode, nodes))) == told


@claim("CL-mempol")
@pytest.mark.parametrize("flag", sorted(FLAGS))
def test_a_policy_has_the_flag_that_was_asked_for(runtime, bundle, flag):
    mode, told = FLAGS[flag]
    assert policy(runtime.run(with_policy(bundle, mode, "0", [flag]))) == told


@claim("CL-mempol")
def test_children_have_the_policy_of_the_program(runtime, bundle):
    box = runtime.run(with_policy(bundle, "MPOL_BIND", "0"))
    said = box.probe.exec("/bin/sh", "-c", "cat /proc/self/numa_maps").out
    assert matched(r"^[0-9a-f]+ (.*) stack\b", said)[1] == "bind:0"


@claim("FL-mempol")
def test_listed_policies_are_those_of_linux_and_are_taken(runtime, bundle):
    listed = runtime.cli("features").json()["linux"]["memoryPolicy"]
    assert {"MPOL_BIND", "MPOL_DEFAULT"} <= set(listed["modes"]) <= set(MODES)
    assert set(listed["flags"]) <= set(FLAGS)
    taken = [runtime.run(with_policy(bundle, mode, MODES[mode][0])).seen.pid for mode in listed["modes"]]
    taken += [runtime.run(with_policy(bundle, FLAGS[flag][0], "0", [flag])).seen.pid for flag in listed["flags"]]
    assert taken == [1] * (len(listed["modes"]) + len(listed["flags"]))


@claim("CL-mempol-err", "CF-valid", "RT-err-atomic")
@pytest.mark.parametrize("wrong", [
    {"mode": "MPOL_NOSUCH", "nodes": "0"}, {"mode": "MPOL_BIND"}, {"mode": "MPOL_DEFAULT", "nodes": "0"},
    {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_NOSUCH"]}, {"mode": "MPOL_BIND", "nodes": "777"},
    {"mode": "MPOL_BIND", "nodes": "first"}, {"nodes": "0"}, {"mode": ""},
], ids=lambda wrong: "-".join(map(str, wrong.values())) or "empty")  # fmt: skip
def test_a_policy_that_is_none_is_refused(runtime, bundle, wrong):
    box = runtime.refuses(bundle.with_(linux={"memoryPolicy": wrong}))
    assert not box.known
    assert box.leftovers() == []

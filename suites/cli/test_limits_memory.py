"""Memory, swap, process and OOM limits, as the kernel has them and as they bite."""

import pytest

from seatrial.probes.kernel import UNLIMITED

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires
case = pytest.param
MIB = 1 << 20


@claim("cli-067", "cli-042")
@requires("memory")
def test_memory_limit_is_the_cgroups(engine):
    for asked, seen in (
        ("200M", 200 * MIB), ("204800k", 200 * MIB), ("209715200", 200 * MIB),
        ("1g", 1024 * MIB), ("0.5g", 512 * MIB), ("209715200b", 200 * MIB),
        ("16m", 16 * MIB), ("0", UNLIMITED),  # in less than that, not every runtime can start
    ):  # fmt: skip
        assert engine.run("-m", asked).kernel.cgroup("memory") == seen


@claim("cli-067", "cli-042", "cli-115")
def test_bad_memory_sizes_are_refused(engine):
    name = engine.name()
    for asked in ("-1", "1x", "10q", "m", "1 0m", "ten", "0x10", "1e", "--", "12mm", "1.5.5g"):
        engine.fails("run", "--rm", "--name", name, f"--memory={asked}", engine.image, "true", says="bad_memory",
                     code=125)  # fmt: skip
    assert not engine.exists(name)


@claim("cli-067", "cli-042", "cli-115")
@requires("memory")
def test_memory_too_small_for_any_process_is_refused(engine):
    name = engine.name()
    for asked in ("512k", engine.trait("memory_below_minimum")):
        engine.fails("run", "--rm", "--name", name, "--memory", asked, engine.image, "true", says="memory_too_small")
    assert not engine.exists(name)


@claim("cli-067", "cli-115")
@effect("run --memory")
@requires("memory", "swap")
def test_process_beyond_its_memory_is_killed(engine):
    engine.once("-m", "20m", "--memory-swap", "20m", engine.image, "tail", "/dev/zero", expect=137)
    engine.once("-m", "200m", engine.image, "sh", "-c", "dd if=/dev/zero bs=30M count=1 >/dev/null")


@claim("cli-067")
@requires("memory", "swap", "cgroup_watch")
def test_engine_tells_that_memory_ran_out(engine):
    limits = ("-m", "20m", "--memory-swap", "20m")
    # an engine looks out for kills once the start is over; their news travels beside that of the end: let it come first
    waiting = "while [ ! -e /go ]; do sleep 0.1; done"
    greedy, modest = (
        engine.run(*limits, engine.image, "sh", "-c", f"{waiting}; {command}; sleep 2; exit 9")
        for command in ("tail /dev/zero", "true")
    )
    for c in (greedy, modest):
        c.sh("touch /go")
    assert [c.wait() for c in (greedy, modest)] == [9, 9]
    assert [c.state["OOMKilled"] for c in (greedy, modest)] == [True, False]


@claim("cli-067")
@requires("memory", "swap")
def test_only_the_process_that_wants_too_much_is_killed(engine):
    c = engine.run("-m", "20m", "--memory-swap", "20m", engine.image, "sh", "-c",
                   "tail /dev/zero; echo rc=$?; sleep 3600")  # fmt: skip
    c.until_log("rc=137")
    assert c.status == "running"
    assert c.kernel.cgroup("memory_usage") < 20 * MIB


@claim("cli-068")
@requires("memory", "swap", "cgroup_v1")
def test_swap_defaults_to_as_much_as_memory(engine):
    assert engine.run("-m", "200m").kernel.cgroup("memory_and_swap") == 400 * MIB


@claim("cli-069")
@effect("run --memory-swap")
@requires("memory", "swap")
def test_memory_swap_limits_both_together(engine):
    for options, memory, together in (
        (("-m", "100m", "--memory-swap", "150m"), 100 * MIB, 150 * MIB),
        (("-m", "100m", "--memory-swap", "100m"), 100 * MIB, 100 * MIB),
        (("-m", "100m", "--memory-swap", "-1"), 100 * MIB, UNLIMITED),
        (("--memory-swap", "-1"), UNLIMITED, UNLIMITED),
    ):  # fmt: skip
        kernel = engine.run(*options).kernel
        assert (kernel.cgroup("memory"), kernel.cgroup("memory_and_swap")) == (memory, together)


@claim("cli-069", "cli-115")
@requires("memory", "swap")
def test_bad_memory_swap_is_refused(engine):
    for options, says in (
        (("-m", "100m", "--memory-swap", "99m"), "memoryswap limit should be larger than memory limit"),
        (("--memory-swap", "100m"), "always set (a|the) memory limit"),
        (("-m", "100m", "--memory-swap", "-2"), "bad_memory"),
        (("-m", "100m", "--memory-swap", "x"), "bad_memory"),
    ):  # fmt: skip
        engine.fails("run", "--rm", *options, engine.image, "true", says=says)


@claim("cli-069")
@requires("memory", "swap")
def test_memory_swap_of_zero(engine):
    options = ("-m", "100m", "--memory-swap", "0")
    if engine.trait("memory_swap_zero_is_unset"):
        kernel = engine.run(*options).kernel
        assert (kernel.cgroup("memory"), kernel.cgroup("memory_and_swap")) == (100 * MIB, 200 * MIB)
    else:
        engine.fails("run", *options, engine.image, "true", says="memoryswap limit should be larger than memory limit")


@claim("cli-252")
@effect("run --memory-reservation")
@requires("memory_reservation", "cgroup_v1")
def test_memory_reservation_is_the_soft_limit(engine):
    assert engine.run("-m", "100m", "--memory-reservation", "50m").kernel.cgroup("memory_reservation") == 50 * MIB


@claim("cli-252", "cli-042", "cli-115")
@requires("memory_reservation")
def test_a_limit_below_the_reservation_is_refused(engine):
    name = engine.name()
    engine.fails("run", "--rm", "--name", name, "--memory", "64m", "--memory-reservation", "65m", engine.image, "true",
                 says="memory limit can ?not be less than memory reservation", code=125)  # fmt: skip
    assert not engine.exists(name)


@claim("cli-253")
@effect("run --memory-swappiness")
@requires("swappiness")
def test_swappiness_is_the_cgroups(engine):
    for asked in (0, 100):
        assert engine.run("--memory-swappiness", str(asked)).kernel.cgroup("swappiness") == asked


@claim("cli-253", "cli-115")
@requires("swappiness")
@pytest.mark.parametrize("asked", [case("101", id="above"), case("-2", id="below")])
def test_swappiness_outside_of_0_to_100_is_refused(engine, asked):
    engine.fails("run", "--rm", f"--memory-swappiness={asked}", engine.image, "true", says="swappiness range is 0-100")


@claim("cli-254")
@effect("run --pids-limit")
@requires("pids")
def test_pids_limit_is_the_cgroups(engine):
    for asked, seen in (("10", 10), ("-1", UNLIMITED), ("0", UNLIMITED)):
        assert engine.run("--pids-limit", asked).kernel.cgroup("pids") == seen


@claim("cli-254")
@requires("pids")
def test_fork_beyond_the_pids_limit_fails(engine):
    script = "for i in 1 2 3 4 5 6 7 8 9; do echo fork-$i; sleep 3600 & done; echo never"
    c = engine.run("--pids-limit", "8", engine.image, "sh", "-c", script)
    c.until_log("can't fork")
    assert c.logs().lines == [f"fork-{i}" for i in range(1, 9)]  # init and seven children are eight


@claim("cli-255")
@effect("run --oom-kill-disable")
@requires("oom_control", "memory")
def test_oom_killer_can_be_turned_off(engine):
    off = engine.run("-m", "50m", "--oom-kill-disable").kernel.cgroup_text("oom_control").splitlines()
    on = engine.run("-m", "50m").kernel.cgroup_text("oom_control").splitlines()
    assert ("oom_kill_disable 1" in off, "oom_kill_disable 0" in on) == (True, True)


@claim("cli-255")
@effect("run --oom-score-adj")
def test_oom_score_adjustment_is_the_processes(engine):
    for asked in (500, 1000):
        kernel = engine.run(f"--oom-score-adj={asked}").kernel
        assert int((kernel.proc / "oom_score_adj").read_text()) == asked


@claim("cli-255", "cli-115")
def test_oom_score_adjustment_out_of_range_is_refused(engine):
    name = engine.name()
    for asked in (-1001, 1001):
        engine.fails("run", "--rm", "--name", name, f"--oom-score-adj={asked}", engine.image, "true",
                     says="oom_score_out_of_range", code=125)  # fmt: skip
    assert not engine.exists(name)

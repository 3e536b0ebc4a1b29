"""CPU limits: shares, quota, period, cpuset, as the kernel has them and as they bite."""

import os
import re
import time

import pytest

from seatrial.probes.kernel import UNLIMITED, Kernel

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires
case = pytest.param
CPUS = sorted(os.sched_getaffinity(0))
BEYOND = str(os.cpu_count() or 1)  # CPUs are counted from zero


@claim("cli-064")
@effect("run --cpu-shares")
@requires("cpu_shares", "cgroup_v1")
def test_cpu_shares_are_the_cgroups_shares(engine):
    for asked, seen in (
        ("100", 100), ("2", 2), ("262144", 262144),
        ("0", 1024),
    ):  # fmt: skip
        assert engine.run("--cpu-shares", asked).kernel.cgroup("cpu_shares") == seen


@claim("cli-064")
@requires("cpu_shares")
def test_cpu_shares_are_relative_to_the_default(engine):
    less, default, more = (
        engine.run(*options).kernel.cgroup("cpu_shares")
        for options in (("-c", "100"), (), ("--cpu-shares", "2048"))
    )
    assert less < default < more


@claim("cli-064", "cli-115")
@requires("cpu_shares")
@requires("cgroup_v1")
def test_cpu_shares_out_of_range_are_refused(engine):
    for asked, says in (
        ("1", "minimum allowed cpu-shares is 2"),
        ("262145", "maximum allowed cpu-shares is 262144"),
        ("-1", r"shares.*invalid|invalid.*shares"),
        ("many", r"invalid argument \"many\""),
        ("9223372036854775808000", "invalid argument|out of range"),
    ):  # fmt: skip
        engine.fails("run", "--rm", "--cpu-shares", asked, engine.image, "true", says=says)


@claim("cli-065", "cli-063")
@effect("run --cpu-quota", "run --cpu-period", "run --cpus")
@requires("cpu_quota", "cpu_period")
def test_quota_and_period_are_the_cgroups(engine):
    for options, quota, period in (
        (("--cpu-quota", "1000"), 1000, 100000),
        (("--cpu-quota", "50000", "--cpu-period", "200000"), 50000, 200000),
        (("--cpu-period", "1000"), UNLIMITED, 1000),
        (("--cpu-period", "1000000"), UNLIMITED, 1000000),
        (("--cpu-quota", "-1"), UNLIMITED, 100000),
        (("--cpu-quota", "0"), UNLIMITED, 100000),
        (("--cpus", "0.5"), 50000, 100000),
        (("--cpus", "0.01"), 1000, 100000),
        (("--cpus", "1"), 100000, 100000),
    ):  # fmt: skip
        kernel = engine.run(*options).kernel
        assert (kernel.cgroup("cpu_quota"), kernel.cgroup("cpu_period")) == (quota, period)


@claim("cli-065", "cli-115")
@requires("cpu_quota", "cpu_period")
def test_bad_quotas_and_periods_are_refused(engine):
    for options, says in (
        (("--cpu-period", "999"), "period can ?not be less than 1ms"),
        (("--cpu-period", "1000001"), "or larger than 1s"),
        (("--cpu-quota", "999"), "quota can ?not be less than 1ms"),
        (("--cpu-quota", "half"), 'invalid argument "half"'),
        (("--cpus", "0.001"), "quota can ?not be less than 1ms|cpu.*invalid argument|range of cpus"),
        (("--cpus", "half"), 'invalid argument "half"'),
        (("--cpus", "0.5", "--cpu-quota", "1000"), "cannot (both )?be set"),
    ):  # fmt: skip
        engine.fails("run", "--rm", *options, engine.image, "true", says=says)


@claim("cli-063")
@requires("cpu_quota")
def test_more_cpus_than_the_machine_has(engine):
    result = engine.sh("echo ran", "--cpus", str(len(CPUS) + 100), expect=None)
    assert ("ran" in result.lines, result.ok) == (engine.trait("cpus_beyond_machine_run"),) * 2


@claim("cli-065")
@effect("run --cpus")
@requires("cpu_quota")
def test_quota_throttles_a_busy_process(engine):
    burn = "while :; do :; done"
    limited, free = engine.run("--cpus", "0.05", engine.image, "sh", "-c", burn), engine.run()
    stat = limited.kernel.cgroup_path("cpu") / "cpu.stat"
    limited.until("throttled", lambda: throttled(stat) > 3)
    before, began = limited.kernel.proc.joinpath("stat").read_text().split(), time.monotonic()
    time.sleep(1.0)
    after, wall = limited.kernel.proc.joinpath("stat").read_text().split(), time.monotonic() - began
    used = sum(int(after[field]) - int(before[field]) for field in (13, 14)) / os.sysconf("SC_CLK_TCK")
    assert used < 0.2 * wall
    assert throttled(free.kernel.cgroup_path("cpu") / "cpu.stat") == 0


def throttled(stat) -> int:
    return int(dict(line.split() for line in stat.read_text().splitlines())["nr_throttled"])


@claim("cli-066", "cli-040")
@effect("run --cpuset-cpus")
@requires("cpuset")
def test_cpuset_confines_to_the_named_cpus(engine):
    first, last = CPUS[0], CPUS[-1]
    whole = f"{first}-{last}" if len(CPUS) > 1 else str(first)
    for asked, seen, number in (
        (str(first), str(first), 1), (str(last), str(last), 1),
        (",".join(map(str, CPUS)), whole, len(CPUS)), (f"{first}-{last}", whole, len(CPUS)),
    ):  # fmt: skip
        c = engine.run("--cpuset-cpus", asked)
        assert c.kernel.cgroup_text("cpus") == seen
        assert c.kernel.status["Cpus_allowed_list"] == seen
        assert int(c.exec("nproc").text) == number


@claim("cli-066", "cli-040", "cli-041", "cli-115")
@requires("cpuset")
@pytest.mark.parametrize(("option", "bad", "absent", "missing"), [
    case("--cpuset-cpus", ("1-0", "one", "0,,1", "-1", "0-", "0;1", "0 1"), (BEYOND, f"0-{int(BEYOND) + 7}", "4095"),
         "CPUs are not available", id="cpus"),
    case("--cpuset-mems", ("1-0", "x", "-1"), ("999", "4000"), "memory nodes are not available", id="mems"),
])  # fmt: skip
def test_bad_cpusets_are_refused(engine, option, bad, absent, missing):
    name = engine.name()
    for asked in (*bad, *absent):
        says = missing if asked in absent else f"invalid value {re.escape(asked)} for {option[2:].replace('-', ' ')}"
        engine.fails("run", "--rm", "--name", name, f"{option}={asked}", engine.image, "true", says=says, code=125)
    assert not engine.exists(name)


@claim("cli-066", "cli-041")
@effect("run --cpuset-mems")
@requires("cpuset", "numa")
def test_cpuset_mems_confines_to_the_named_node(engine):
    c = engine.run("--cpuset-mems", "0")
    assert c.kernel.cgroup_text("mems") == "0"
    assert c.kernel.status["Mems_allowed_list"] == "0"


@claim("cli-070", "cli-251")
@effect("run --blkio-weight")
@requires("blkio", "cgroup_v1")
def test_io_weight_is_set_or_said_to_be_discarded(engine):
    c = engine.name()
    said = engine.cli("run", "--detach", "--name", c, "--blkio-weight", "300", engine.image, "sleep", "60").stderr
    directory = Kernel(engine.inspect(c)["State"]["Pid"]).cgroup_path("blkio")
    weights = [path.read_text().split()[-1] for path in directory.glob("blkio*.weight")]
    assert weights
    assert ("300" in weights) is not bool(re.search(engine.says("weight_discarded"), said))

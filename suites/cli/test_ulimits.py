"""Resource limits of processes: every kind, its grammar, its effect, and the engine's defaults."""

import resource

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.examples import examples
from seatrial.probes.kernel import Kernel

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires
case = pytest.param

# Some engines raise what is not named to the most that the kernel has, which root without
# CAP_SYS_RESOURCE cannot: these two are always named.
ALWAYS = {"nofile": min(16384, resource.getrlimit(resource.RLIMIT_NOFILE)[1]), "nproc": 16384}


def ulimits(*asked: str) -> list[str]:
    named = {word.partition("=")[0] for word in asked}
    rest = [f"{kind}={value}:{value}" for kind, value in ALWAYS.items() if kind not in named]
    return [word for limit in (*asked, *rest) for word in ("--ulimit", limit)]


KINDS = {
    "core=1024:2048": "Max core file size", "cpu=100:200": "Max cpu time",
    "data=1048576000:2097152000": "Max data size", "fsize=1024:2048": "Max file size", "locks=10:20": "Max file locks",
    "memlock=4096:8192": "Max locked memory", "msgqueue=1000:2000": "Max msgqueue size",
    "nice=0:0": "Max nice priority",
    "nofile=100:200": "Max open files", "nproc=4000:5000": "Max processes", "rss=1000:2000": "Max resident set",
    "rtprio=0:0": "Max realtime priority", "rttime=1000:2000": "Max realtime timeout",
    "sigpending=10:20": "Max pending signals", "stack=1048576:2097152": "Max stack size",
}  # fmt: skip


@claim("cli-071", "cli-074", "cli-039")
@effect("run --ulimit")
def test_every_kind_of_ulimit_is_the_processes(engine):
    limits = engine.run(*ulimits(*KINDS)).kernel.limits
    assert {name: limits[name] for name in KINDS.values()} == {
        name: tuple(asked.partition("=")[2].split(":")) for asked, name in KINDS.items()
    }


@claim("cli-071", "cli-074")
def test_one_number_is_soft_and_hard_and_minus_one_unlimited(engine):
    limits = engine.run(*ulimits("nofile=128", "core=-1")).kernel.limits
    assert limits["Max open files"] == ("128", "128")
    assert limits["Max core file size"] == ("unlimited", "unlimited")


@claim("cli-071", "cli-039", "cli-115")
def test_bad_ulimits_are_refused(engine):
    for asked, says in (
        ("nofile=200:100", "soft limit must be less than or equal to hard limit"),
        ("nofile=x", "invalid syntax"), ("nofile=:5", "invalid syntax"),
        ("nofile=5:", "invalid syntax"), ("nofile=1:2:3", "too many limit value arguments"),
        ("nofile", "invalid ulimit argument"), ("bogus=1", "invalid ulimit type"),
        ("as=1048576", "invalid ulimit type"), ("=5", "invalid ulimit type"),
    ):  # fmt: skip
        engine.fails("run", "--rm", "--ulimit", asked, engine.image, "true", says=says, code=125)


@claim("cli-071", "cli-115")
@examples(8)
@given(one=st.integers(0, 1 << 40), other=st.integers(1, 1 << 40))
def test_ulimit_pairs_are_taken_exactly_when_soft_is_not_above_hard(engine, one, other):
    soft, hard = sorted((one, one + other))
    c = engine.run(*ulimits(f"fsize={soft}:{hard}"))
    limits = c.inspect()["HostConfig"]["Ulimits"]
    assert [(limit["Soft"], limit["Hard"]) for limit in limits if limit["Name"] in ("fsize", "RLIMIT_FSIZE")] == [
        (soft, hard),
    ]  # fmt: skip
    assert c.kernel.limits["Max file size"] == (str(soft), str(hard))
    engine.fails("create", "--ulimit", f"fsize={hard}:{soft}", engine.image, "true",
                 says="soft limit must be less than or equal to hard limit")  # fmt: skip


@claim("cli-071")
def test_file_beyond_its_size_limit_ends_the_writer(engine):
    result = engine.sh("dd if=/dev/zero of=/f bs=4000 count=1; echo rc=$?; stat -c %s /f", *ulimits("fsize=1000"))
    assert result.lines == ["rc=153", "1000"]  # 128 + SIGXFSZ


@claim("cli-071")
def test_too_many_open_files_are_refused(engine):
    opening = "ulimit -n; for i in $(seq 40 75); do eval \"exec $i</dev/null\"; done"
    assert engine.sh(opening, *ulimits("nofile=100")).lines == ["100"]
    result = engine.sh(opening, *ulimits("nofile=64"), expect=(1, 2))
    assert result.lines == ["64"]
    assert "Bad file descriptor" in result.stderr or "Too many open files" in result.stderr


@claim("cli-071")
def test_cpu_time_limit_ends_a_busy_process(engine):
    engine.sh("while :; do :; done", *ulimits("cpu=1"), expect=(137, 152))  # SIGKILL at the hard, SIGXCPU at the soft


@claim("cli-071", "cli-115")
@requires("sys_resource")
def test_limits_above_the_engines_own_can_be_given(engine):
    now = resource.getrlimit(resource.RLIMIT_MEMLOCK)[1]
    assert engine.run(*ulimits(f"memlock={now * 2}")).kernel.limits["Max locked memory"] == (str(now * 2),) * 2


@claim("cli-074")
def test_last_ulimit_of_a_kind_wins(engine):
    options = ulimits("nofile=200:300")
    c = engine.run(*options[:2], "--ulimit", "nofile=100:150", *options[2:])
    assert c.kernel.limits["Max open files"] == ("100", "150")


@claim("cli-074")
def test_exec_has_the_limits_of_its_container(engine):
    c = engine.run(*ulimits("nofile=200", "stack=1048576:2097152"))
    assert c.sh("ulimit -Sn; ulimit -Hn; ulimit -Ss; ulimit -Hs").lines == ["200", "200", "1024", "2048"]


@claim("cli-072")
@requires("daemon", "local_engine")
def test_limits_without_any_option_are_the_daemons(engine):
    container = engine.run().kernel
    starter = Kernel(int(container.status["PPid"]))  # the shim, which the daemon started
    assert "shim" in starter.argv[0]
    for name in ("Max open files", "Max processes", "Max stack size", "Max locked memory"):
        assert container.limits[name][1] == starter.limits[name][1], name

"""`stats`: what containers use, once."""

import pytest

from seatrial.expecting import matched, one

claim, requires = pytest.mark.claim, pytest.mark.requires

SIZES = {"B": 1, "kB": 10**3, "MB": 10**6, "KiB": 1 << 10, "MiB": 1 << 20}


def shown(engine, *names):
    """Return what `stats` shows of containers, a line each."""
    return engine.cli("stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}", *names).lines


@claim("cli-260")
@requires("cgroup_watch", "memory")
def test_stats_show_the_memory_of_what_runs(engine):
    c = engine.run("--memory", "64m")
    line = one(shown(engine, c.name))
    used, unit, most, of = matched(rf"^{c.name} ([\d.]+)([kKM]?i?B) / ([\d.]+)([kKM]?i?B)$", line).groups()
    assert float(most) * SIZES[of] == pytest.approx(64 << 20, rel=0.01)
    assert 0 < float(used) * SIZES[unit] <= 64 << 20


@claim("cli-260")
def test_stats_of_what_does_not_run_are_zero(engine):
    created, ended = engine.create(), engine.run(engine.image, "true")
    ended.until("exited", lambda: ended.status == "exited")
    for c in (created, ended):
        assert shown(engine, c.name) == [f"{c.name} 0B / 0B"]


@claim("cli-260")
def test_stats_of_an_unknown_container_are_refused(engine):
    refused = engine.fails("stats", "--no-stream", "no-such-container", says="no_such_container",
                           code=engine.code("error"))  # fmt: skip
    assert refused.stdout == ""

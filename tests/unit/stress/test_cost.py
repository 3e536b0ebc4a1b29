"""What the driver costs: three ways in turns, at each level, with limits where they hold."""

import pytest

from seatrial.names import RUN_LABEL
from seatrial.stress import cost


class Engine:
    def __init__(self, endpoint):
        self.endpoint = endpoint


@pytest.fixture
def engine(endpoint, monkeypatch):
    made = []

    def forking(engine, image, run):
        return lambda name: made.append(name)

    monkeypatch.setattr(cost, "_forking", forking)
    found = Engine(endpoint)
    found.forked = made
    return found


def test_each_way_runs_containers_at_each_level(engine, fake):
    figures = cost.driver_cost(engine, "image", "run-abcdef", levels=(1, 8), rounds=2)
    assert [figure.what for figure in figures] == [
        "containers a second to a bare loop, 1 at once", "containers a second to a process a container, 1 at once",
        "containers a second to a bare loop, 8 at once", "containers a second to a process a container, 8 at once",
        "CPU of the driver, of all that is used",
    ]  # fmt: skip
    assert 0 < figures[-1].value <= 100
    assert figures[-1].limit == "at most 1.5 %"
    assert len(engine.forked) == len(set(engine.forked)) == 3 * 2 * 8
    assert fake.containers == {}
    created = [event for event in fake.events if event["Action"] == "create"]
    assert len(created) == 2 * 3 * 2 * 8


def test_limits_hold_for_a_bare_loop_everywhere_and_for_processes_from_eight_on():
    rates = {"bare": [10.0] * 5, "ours": [9.6] * 5, "forking": [9.0] * 5}
    bare, forking = cost._figures(2, rates)
    assert (bare.verdict, bare.limit) == ("BROKEN", "at least 0.97 of it")
    assert (forking.verdict, forking.limit) == ("kept", "none")
    assert round(bare.value, 2) == 0.96
    _, forking = cost._figures(8, rates)
    assert (forking.verdict, forking.limit) == ("BROKEN", "at least 1.1 of it")
    assert cost._figures(8, {**rates, "ours": [9.95] * 5})[1].verdict == "kept"


def test_a_bare_loop_that_is_refused_is_no_figure(engine, fake):
    fake.wrong = "busy"
    with pytest.raises(RuntimeError, match="500"):
        cost.driver_cost(engine, "image", RUN_LABEL, levels=(1,), rounds=1)

"""What makes a machine noisy."""

import dataclasses
import threading
import time

import pytest

from seatrial.perf import quiet
from seatrial.perf.quiet import Counters, State, Watch

QUIET = State(0.1, 0.02, 0.0, 1.01, 1.02, (3000.0, 3000.0), 0, 0.8, 0.01, 9.0)
STAT = "cpu  100 0 50 800 50 0 0 20 0 0\ncpu0 1 1 1 1\n"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"foreign": 0.4}, "others used 40% of the CPUs"), ({"steal": 0.05}, "the hypervisor took 5.0%"),
        ({"stretch": 1.8}, "1.80 times its time on the CPU"), ({"drift": 1.5}, "1.50 times as long"),
        ({"throttled": 3}, "throttled 3 times"), ({"available": 0.01}, "1% of the memory"),
    ],
)  # fmt: skip
def test_each_kind_of_noise_is_told(changed, words):
    assert QUIET.noise == []
    (told,) = dataclasses.replace(QUIET, **changed).noise
    assert words in told


def test_counters_are_those_of_the_kernel():
    seen = quiet.counters(STAT)
    tick = quiet._TICK
    assert (seen.busy, seen.idle, seen.steal) == (pytest.approx(170 / tick), pytest.approx(850 / tick), 20 / tick)


def test_a_watch_sees_what_others_use_and_what_is_stolen():
    readings = iter([Counters(10, 10, 0), Counters(10.6, 10.4, 0), Counters(10.6, 10.4, 0), Counters(15, 15, 1)])
    watch = Watch(pause=lambda _: None, read=lambda: next(readings))
    assert watch.noisy
    state = watch.end()
    assert state.foreign == pytest.approx(0.6)
    assert state.steal == pytest.approx(1 / 9)
    assert len(state.noise) >= 2


def test_the_fixed_work_is_stretched_by_a_busy_interpreter():
    watch = Watch(pause=lambda _: None)
    stop = threading.Event()

    def spin():
        while not stop.is_set():
            pass

    other = threading.Thread(target=spin)
    other.start()
    for _ in range(12):
        watch.tick()
    stop.set()
    other.join()
    assert watch.end().stretch > quiet.STRETCH


def test_a_real_watch_knows_the_machine():
    watch = Watch(pause=lambda _: time.sleep(0.05))
    for _ in range(10):
        watch.tick()
    value = watch.end().as_json()
    assert 0 <= value["foreign"] <= 1
    assert 0 < value["available"] <= 1
    assert value["stretch"] >= 0.9
    assert 0 <= value["observer"] <= 1
    assert value["seconds"] > 0

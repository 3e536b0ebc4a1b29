"""Closed and open loops: when operations begin, and that a stall is not hidden."""

import itertools
import os
import signal
import statistics
import threading
import time
from math import inf

import pytest

from seatrial.stress import loops
from seatrial.stress.loops import FIXED, POISSON, Closed, Limits, Open


def first(count, times):
    return list(itertools.islice(times, count))


def test_fixed_arrivals_are_even():
    assert first(4, loops.arrivals([(inf, 4.0)], FIXED)) == [0.0, 0.25, 0.5, 0.75]


def test_poisson_arrivals_have_the_rate_and_its_scatter():
    times = first(20_000, loops.arrivals([(inf, 5.0)], POISSON))
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert 0.195 < statistics.mean(gaps) < 0.205
    assert 0.19 < statistics.stdev(gaps) < 0.21  # of an exponential distribution it is the mean
    assert times == first(20_000, loops.arrivals([(inf, 5.0)], POISSON)), "a load can be repeated"
    assert times != first(20_000, loops.arrivals([(inf, 5.0)], POISSON, seed=2))


class Stalling:
    """An engine that takes `take` seconds, and stands still from `begin` to `end`."""

    def __init__(self, clock, take, begin, end):
        self.clock, self.take, self.begin, self.end = clock, take, begin, end
        self.seen, self.lock = [], threading.Lock()

    def __call__(self, intended):
        began = self.clock()
        time.sleep(self.take)
        if self.begin <= self.clock() < self.end:
            time.sleep(self.end - self.clock())
        with self.lock:
            self.seen.append((intended, began, self.clock()))


def test_an_open_loop_shows_a_stall_that_a_closed_one_hides():
    def run(make, clients):
        clock = loops.since(time.monotonic())
        engine = Stalling(clock, 0.005, 0.3, 0.8)
        limits = Limits(seconds=1.2)
        loops.drive(make(limits, clock), [engine] * clients, limits.stop)
        return engine.seen

    opened = run(lambda limits, clock: Open(limits, clock, loops.arrivals([(inf, 20.0)], FIXED)), 4)
    closed = run(Closed, 1)
    begin = min(intended for intended, _, _ in opened)
    assert len(opened) == sum(begin + number / 20 < 1.2 for number in range(24)), "every arrival was served"
    late = [ended - intended for intended, _, ended in opened if ended - intended > 0.25]
    assert len(late) >= 4
    assert max(late) > 0.35
    assert sum(ended - intended > 0.25 for intended, _, ended in closed) == 1


def test_arrivals_are_counted_from_the_first_request():
    now = itertools.count(100)
    schedule = Open(Limits(seconds=1000), lambda: next(now), loops.arrivals([(inf, 1.0)], FIXED))
    assert [schedule.next(), schedule.next()] == [100.0, 101.0]


def test_a_count_ends_a_load():
    limits, done = Limits(count=100), []
    loops.drive(Closed(limits, loops.since(time.monotonic())), [done.append] * 8, limits.stop)
    assert len(done) == 100


def test_a_stop_ends_a_load_that_waits_for_an_arrival():
    limits = Limits()
    threading.Timer(0.1, limits.stop.set).start()
    began = time.monotonic()
    rare = loops.arrivals([(inf, 0.01)], FIXED)
    loops.drive(Open(limits, loops.since(began), rare), [lambda _: None] * 3, limits.stop)
    assert time.monotonic() - began < 5


def interrupted(waits, presses, patience):
    """Interrupt a load whose client waits for an engine; return how long that took, and whether it was hurried."""
    limits, cut = Limits(), threading.Event()
    timers = [threading.Timer(at, os.kill, (os.getpid(), signal.SIGINT)) for at in presses]
    for timer in timers:
        timer.start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        loops.drive(Closed(limits, loops.since(began)), [lambda _: cut.wait(waits)], limits.stop, cut.set, patience)
    return time.monotonic() - began, cut.is_set()


def test_who_waits_for_the_engine_after_an_interrupt_is_cut_off_after_a_time():
    took, _ = interrupted(60.0, [0.3], 1.0)
    assert 1.2 < took < 20


def test_who_waits_for_the_engine_is_cut_off_by_the_next_interrupt():
    took, _ = interrupted(60.0, [0.3, 1.0], 60.0)
    assert 0.9 < took < 20


def test_a_story_that_ends_in_time_is_not_cut_off_before():
    took, _ = interrupted(1.5, [0.3], 60.0)
    assert 1.2 < took < 20


def test_an_error_of_a_client_ends_all_and_is_told():
    limits, others = Limits(seconds=30), []

    def broken(intended):
        time.sleep(0.01)
        raise ZeroDivisionError("the client's own")

    def working(intended):
        time.sleep(0.005)
        others.append(intended)

    with pytest.raises(ZeroDivisionError, match="the client's own"):
        loops.drive(Closed(limits, loops.since(time.monotonic())), [broken, working], limits.stop)
    assert limits.stop.is_set()
    assert others


def test_arrivals_follow_the_rate_of_their_stage():
    rates = [(2.0, 1.0), (1.0, 4.0), (5.0, 0.5)]
    assert first(8, loops.arrivals(rates, FIXED)) == [0.0, 1.0, 2.0, 2.25, 2.5, 2.75, 3.0, 5.0]
    many = [(100.0, 10.0), (100.0, 50.0), (1.0, 5.0)]
    times = list(itertools.takewhile(lambda at: at < 400, loops.arrivals(many, POISSON)))
    counts = [sum(begin <= at < end for at in times) for begin, end in ((0, 100), (100, 200), (200, 400))]
    for seen, expected in zip(counts, (1000, 5000, 1000), strict=True):
        assert abs(seen - expected) < 4 * expected**0.5


def test_as_many_are_under_way_as_the_stage_has_clients():
    clock, limits = loops.since(time.monotonic()), Limits(seconds=0.9)
    seen, busy, lock = [], [0], threading.Lock()

    def client(_):
        with lock:
            busy[0] += 1
            seen.append((clock(), busy[0]))
        time.sleep(0.01)
        with lock:
            busy[0] -= 1

    def stages(at):
        return 1 if at < 0.3 else 5 if at < 0.6 else 2

    loops.drive(loops.Staged(limits, clock, stages), [client] * 5, limits.stop)
    most = [max(count for at, count in seen if begin <= at < end) for begin, end in ((0, 0.3), (0.4, 0.6), (0.7, 2))]
    assert most == [1, 5, 2]


def test_stages_end_with_the_count_for_those_that_wait_too():
    limits = Limits(count=3)
    done = []
    loops.drive(loops.Staged(limits, loops.since(time.monotonic()), lambda _: 1), [done.append] * 4, limits.stop)
    assert len(done) == 3


def test_who_waits_for_a_turn_goes_when_the_load_is_stopped():
    limits = Limits()
    threading.Timer(0.2, limits.stop.set).start()
    began = time.monotonic()
    loops.drive(loops.Staged(limits, loops.since(began), lambda _: 0), [lambda _: None] * 3, limits.stop)
    assert time.monotonic() - began < 10

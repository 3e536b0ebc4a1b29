"""When operations begin: closed loops, in which each client works as fast as it is served, and open ones.

In an open loop arrivals come at their times, whatever the engine does: what had to begin at t and began at
t+4 s, because the engine stood still, has four seconds of latency. A closed loop just sends less meanwhile and
hides that.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from seatrial import signals

PATIENCE = 20.0  # seconds that stories have to end after an interrupt
FIXED = "fixed"
POISSON = "poisson"

Clock = Callable[[], float]


def arrivals(rates: Sequence[tuple[float, float]], kind: str, seed: int = 1) -> Iterator[float]:
    """Yield arrival times in seconds from 0 on, evenly or as a Poisson process.

    `rates` are one after the other: so many seconds with so many a second, the last one for ever.
    """
    source = random.Random(seed)  # noqa: S311 - load, not a secret
    if kind == FIXED:
        for number in itertools.count():
            yield moment(rates, number)
    expected = 0.0
    while True:
        expected += source.expovariate(1.0)
        yield moment(rates, expected)


def moment(rates: Sequence[tuple[float, float]], expected: float) -> float:
    """Return the time until which so many arrivals are expected: a process of any rates is one of rate 1, stretched."""
    begin = 0.0
    for seconds, rate in rates[:-1]:
        if expected < seconds * rate:
            return begin + expected / rate
        expected -= seconds * rate
        begin += seconds
    return begin + expected / rates[-1][1]


class Schedule(Protocol):
    """Hands out, to many threads, when the next operation is to begin."""

    def next(self) -> float | None:
        """Return the intended start, in seconds of the clock; None when there are no more."""


@dataclass
class Limits:
    """When a load ends: after `seconds`, after `count` operations, or when it is told to stop."""

    seconds: float = float("inf")
    count: float = float("inf")
    stop: threading.Event = field(default_factory=threading.Event)
    given: int = 0

    def take(self, at: float) -> bool:
        """Tell whether one more operation may begin at a time, and count it."""
        if self.stop.is_set() or at >= self.seconds or self.given >= self.count:
            return False
        self.given += 1
        return True


class Closed:
    """Now, as often as asked."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self._limits, self._clock, self._lock = limits, clock, threading.Lock()

    def next(self) -> float | None:
        """Return the present time, while there is something left to do."""
        with self._lock:
            now = self._clock()
            return now if self._limits.take(now) else None


class Staged:
    """Now, as often as asked, by as many at once as there are clients at the time; the others wait for their turn."""

    _PAUSE = 0.05

    def __init__(self, limits: Limits, clock: Clock, clients: Callable[[float], int]) -> None:
        self._limits, self._clock, self._clients, self._lock = limits, clock, clients, threading.Lock()
        self._busy: set[int] = set()

    def next(self) -> float | None:
        """Return the present time when it is this thread's turn: what it was at before has ended."""
        me = threading.get_ident()
        with self._lock:
            self._busy.discard(me)
        while True:
            with self._lock:
                now = self._clock()
                if now >= self._limits.seconds or self._limits.given >= self._limits.count:
                    return None
                if len(self._busy) < self._clients(now):
                    if not self._limits.take(now):
                        return None
                    self._busy.add(me)
                    return now
            if self._limits.stop.wait(self._PAUSE):
                return None


class Open:
    """Arrivals in their order; who takes one waits for its time, and who takes it too late says so by its time."""

    def __init__(self, limits: Limits, clock: Clock, times: Iterator[float]) -> None:
        self._limits, self._clock, self._times, self._lock = limits, clock, times, threading.Lock()
        self._begin: float | None = None

    def next(self) -> float | None:
        """Wait for the next arrival and return its time."""
        with self._lock:
            if self._begin is None:
                self._begin = self._clock()
            at = self._begin + next(self._times)
            if not self._limits.take(at):
                return None
        while (left := at - self._clock()) > 0:
            if self._limits.stop.wait(left):
                return None
        return at


def drive(schedule: Schedule, clients: Sequence[Callable[[float], object]], stop: threading.Event,
          hurry: Callable[[], None] = lambda: None, patience: float = PATIENCE) -> None:  # fmt: skip
    """Let clients, each in a thread of its own, do what the schedule says until it ends.

    An error of a client that it does not take for the engine's stops them all and is raised here, and so
    is an interrupt, when all have ended what they were at. `hurry` makes those end who wait for the engine; it
    is called when an interrupt is followed by another, or that many seconds after it.
    """
    problems: list[BaseException] = []

    def work(client: Callable[[float], object], ended: threading.Event) -> None:
        try:
            while (intended := schedule.next()) is not None:
                client(intended)
        except BaseException as error:  # handed to the caller's thread
            problems.append(error)
            stop.set()
        finally:
            ended.set()

    ends = [threading.Event() for _ in clients]
    threads = [threading.Thread(target=work, args=(client, ended), name=f"client-{number}")
               for number, (client, ended) in enumerate(zip(clients, ends, strict=True))]  # fmt: skip
    for thread in threads:
        thread.start()
    try:
        _await(ends)
    except BaseException:
        with signals.patience(hurry, KeyboardInterrupt):
            stop.set()
            _await(ends, time.monotonic() + patience)
            hurry()
            _await(ends)
        raise
    if problems:
        raise problems[0]


def _await(ends: Sequence[threading.Event], deadline: float = float("inf")) -> None:
    """Wait for the ends of threads; `Thread.join` takes one for ended that an interrupt comes to (Python 3.11)."""
    for ended in ends:
        while time.monotonic() < deadline and not ended.wait(0.2):
            pass


def since(epoch: float) -> Clock:
    """Return a clock that never goes back and counts seconds from a moment of `time.monotonic`."""
    return lambda: time.monotonic() - epoch

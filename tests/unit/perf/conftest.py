"""Measurements that are simulated, for the tests beside."""

import sys

import numpy
import pytest

from seatrial.perf.measure import Measure
from seatrial.perf.quiet import State

QUIET = State(0.1, 0.02, 0.0, 1.01, 1.02, (3000.0, 3000.0), 0, 0.8, 0.01, 9.0)
NOISY = State(8.0, 0.85, 0.0, 2.3, 1.1, (3000.0, 3000.0), 0, 0.8, 0.01, 9.0)


class Watch:
    """A watch that sees what it is told."""

    def __init__(self, state=QUIET):
        self.seen, self.ticks = state, 0
        self.noisy = bool(state.noise)

    def tick(self):
        self.ticks += 1

    def end(self):
        return self.seen


def measure(evidence=None, state=QUIET, pairs=0):
    return Measure({} if evidence is None else evidence, pairs, lambda: Watch(state))


class Engine:
    """Starts as an engine has them: 320 ms, skewed, with outliers, on a machine that drifts by a third."""

    def __init__(self, seed, factor=1.0, machine=1.0):
        self.source, self.factor, self.machine, self.count = numpy.random.default_rng(seed), factor, machine, 0

    def start(self, slow=False):
        self.count += 1
        drift = 1 + 0.3 * numpy.sin(self.count / 25)
        time = 0.3 + self.source.lognormal(numpy.log(0.02), 0.9)
        time += self.source.uniform(0.15, 0.6) if self.source.random() < 0.03 else 0.0
        return float(self.machine * drift * time * (self.factor if slow else 1.0))


def turns(seed, factor, machine=1.0, pairs=40):
    engine = Engine(seed, factor, machine)
    sides = {"reference": lambda: engine.start(), "wrapped": lambda: engine.start(slow=True)}
    return measure().turns("start", sides, pairs=pairs)


@pytest.fixture
def simulated():
    """This module: the engines, machines and watches above."""
    return sys.modules[__name__]

"""What a history proves: pure checkers, each for one promise that an engine makes to all its clients at once.

A checker sees the operations one by one, in the order in which they ended, and says at the end what was wrong.
It only counts what is certain: an operation without an answer may have been done or not. A checker that saw
nothing to judge, and one that crashed, is UNKNOWN.

The values of operations, by kind:

    create   the container's id
    claim    the container's id, or nothing when another client got the name
    start    the ports that it holds, a list of "address:port/protocol"
    wait     [exit code, the codes that are right (or null)]
    logs     [bytes written, their CRC-32, bytes read, their CRC-32]
    event    [action, id, exit code or null]; `began` is the engine's own time, `ended` when it was received
    stop, kill, remove, exec, ...   nothing that is judged here
"""

from __future__ import annotations

import gc
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

from seatrial.stress.history import FAIL, OK, History, Op
from seatrial.verdict import Verdict

_SHOWN = 20  # problems that are kept in words; the rest is counted
_NEVER = float("inf")
_TOLD = 1.0  # seconds in which an engine that has taken a container's port back tells of its end
# an engine may give a name or a port to the next client before the one that gave it back has read the answer
_ENDINGS = ("stop", "kill", "remove")


@dataclass
class Checked:
    """What a checker found: `considered` operations, the first problems in words, and how many there are."""

    checker: str
    claim: str
    considered: int = 0
    count: int = 0
    problems: list[str] = field(default_factory=list)
    crash: str = ""

    @property
    def verdict(self) -> Verdict:
        """PASS only when something was judged, and nothing was wrong with it."""
        if self.crash:
            return Verdict.UNKNOWN
        if self.count:
            return Verdict.FAIL
        return Verdict.PASS if self.considered else Verdict.UNKNOWN

    def __str__(self) -> str:
        if self.crash:
            return f"{self.checker}: the checker crashed: {self.crash}"
        if not self.count:
            return f"{self.checker}: {self.considered} operations judged, nothing wrong"
        more = [f"... and {self.count - len(self.problems)} more"] if self.count > len(self.problems) else []
        return "\n".join([f"{self.checker}: {self.count} problems", *self.problems, *more])


class Checker(ABC):
    """One promise; `kinds` are the operations that it has to see."""

    name: ClassVar[str]
    claim: ClassVar[str]
    kinds: ClassVar[tuple[str, ...]]

    def __init__(self) -> None:
        self.found = Checked(self.name, self.claim)

    @abstractmethod
    def see(self, op: Op) -> None:
        """Take in one operation."""

    def end(self) -> None:  # noqa: B027 - not every checker has to wait for the end
        """Conclude, when there is nothing more to see."""

    def wrong(self, words: str) -> None:
        """Note a problem."""
        self.found.count += 1
        if len(self.found.problems) < _SHOWN:
            self.found.problems.append(words)


class Exits(Checker):
    """Every container that was started is seen to have exited, once."""

    name = "exits"
    claim = "every start of a container is followed by exactly one exit that its client is told of"
    kinds = ("start", "wait")

    def __init__(self) -> None:
        super().__init__()
        # surely started, perhaps started, exits seen, perhaps; when the first start began, and its exit was told
        self._seen: dict[str, list[float]] = {}

    def see(self, op: Op) -> None:
        """Count starts and exits of each container."""
        if op.outcome == FAIL:
            return
        counts = self._seen.get(op.object)
        if counts is None:
            counts = self._seen[op.object] = [0, 0, 0, 0, _NEVER, _NEVER]
        sure, ended = op.outcome == OK, op.kind == "wait"
        counts[2 * ended + (not sure)] += 1
        if not ended:
            counts[4] = min(counts[4], op.began)
        elif sure:
            counts[5] = min(counts[5], op.ended)
        self.found.considered += sure

    def end(self) -> None:
        """Compare them."""
        for name, (*counts, began, told) in self._seen.items():
            sure, perhaps, exits, perhaps_exits = map(int, counts)
            if exits > sure + perhaps or exits + perhaps_exits < sure:
                self.wrong(f"{name} was started {_times(sure, perhaps)}, seen to exit {_times(exits, perhaps_exits)}")
            elif exits and told < began:
                self.wrong(f"{name} was said to have exited at {told:.3f} s, before its start began at {began:.3f} s")


class Codes(Checker):
    """Exit codes are those of the container's process."""

    name = "codes"
    claim = "the exit code that a client is told is that of the container's process"
    kinds = ("wait",)

    def see(self, op: Op) -> None:
        """Hold the code against those that are right."""
        if op.outcome != OK:
            return
        code, right = op.value
        if right is None:
            return
        self.found.considered += 1
        if code not in right:
            self.wrong(f"{op.object} exited with {code} at {op.ended:.3f} s, expected {_either(right)}")


class Ids(Checker):
    """No id is given out twice."""

    name = "ids"
    claim = "no two containers get the same id"
    kinds = ("create", "claim")

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[str, str] = {}

    def see(self, op: Op) -> None:
        """Remember whose each id is."""
        if op.outcome != OK or (op.kind == "claim" and not op.value):
            return
        self.found.considered += 1
        if not op.value:
            self.wrong(f"{op.object} got no id")
        elif op.value in self._seen:
            self.wrong(f"{op.object} got the id {op.value} that {self._seen[op.value]} has")
        else:
            self._seen[op.value] = op.object


class Logs(Checker):
    """Logs are complete to the last byte."""

    name = "logs"
    claim = "what a container has written is in its logs, to the last byte and unchanged"
    kinds = ("logs",)

    def see(self, op: Op) -> None:
        """Compare lengths and checksums."""
        if op.outcome != OK:
            return
        self.found.considered += 1
        written, sum_, read, seen = op.value
        if read != written:
            self.wrong(f"{op.object} wrote {written} bytes, its logs have {read}")
        elif seen != sum_:
            self.wrong(f"the {read} bytes in the logs of {op.object} are not those that it wrote")


class Events(Checker):
    """The event stream tells everything, once, in order, of the right container.

    What is started and nobody has created is wrong; a builder makes containers of its own, which it does not start
    for what the stories build.
    """

    name = "events"
    claim = "the event stream tells every creation, start, end and removal of a container once and in their order"
    kinds = ("create", "claim", "start", "wait", "remove", "event")
    order: ClassVar[tuple[str, ...]] = ("create", "start", "die", "destroy")
    # kind to place in `order`
    told: ClassVar[dict[str, int]] = {"create": 0, "claim": 0, "start": 1, "wait": 2, "remove": 3}

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[str, list[int]] = {}  # by place in `order`: surely done, then perhaps done
        self._told: dict[str, list[tuple[int, float, str, int | None]]] = {}
        self._ids: dict[str, list[str]] = {}
        self._codes: dict[str, list[int]] = {}  # that clients were told

    def see(self, op: Op) -> None:
        """Keep what clients did and what events told, by the container's name."""
        if op.kind == "event":
            action, id_, code = op.value
            if action in self.order:
                self._told.setdefault(op.object, []).append((self.order.index(action), op.began, id_, code))
            return
        counts = self._seen.get(op.object)
        if counts is None:
            counts = self._seen[op.object] = [0] * 8
        if op.outcome == FAIL or (op.kind == "claim" and op.outcome == OK and not op.value):
            return
        counts[self.told[op.kind] + 4 * (op.outcome != OK)] += 1
        if op.outcome == OK:
            if op.kind in ("create", "claim") and op.value:
                self._ids.setdefault(op.object, []).append(op.value)
            elif op.kind == "wait":
                self._codes.setdefault(op.object, []).append(op.value[0])

    def end(self) -> None:
        """Compare; without any event there is nothing to judge."""
        if not self._told:
            return
        for name, counts in self._seen.items():
            told = self._told.get(name, [])
            if any(counts[:4]):
                self.found.considered += 1
                self._judge(name, counts[:4], counts[4:], told)
                self._identify(name, counts, told)
            elif told and not any(counts):
                self.wrong(f"{name}: nothing that was asked of it was done, {self.order[told[0][0]]} in the events")
        for name in sorted(self._told.keys() - self._seen.keys()):
            if any(rank == 1 for rank, *_ in self._told[name]):
                self.wrong(f"{name}: nobody has created it, start in the events")

    def _identify(self, name: str, counts: list[int], told: list[tuple[int, float, str, int | None]]) -> None:
        """Hold ids and exit codes of events against what clients were told, where that is certain."""
        ids, codes = self._ids.get(name, []), self._codes.get(name, [])
        if ids and not counts[4]:
            for other in sorted({id_ for _, _, id_, _ in told} - set(ids)):
                self.wrong(f"{name} has the id {' or '.join(ids)}, in the events {other or 'none'}")
        ends = [code for rank, _, _, code in told if rank == self.order.index("die") and code is not None]
        if len(ends) == len(codes) and sorted(ends) != sorted(codes):
            self.wrong(f"{name}: its client was told the exit code {_either(codes)}, the events tell {_either(ends)}")

    def _judge(self, name: str, done: list[int], unsure: list[int],
               told: list[tuple[int, float, str, int | None]]) -> None:  # fmt: skip
        ranks = [rank for rank, *_ in told]
        for rank, action in enumerate(self.order):
            sure, perhaps, seen = done[rank], unsure[rank], ranks.count(rank)
            if action == "die":  # a container dies although nobody may wait for it, but not more often than it starts
                perhaps = max(0, done[1] + unsure[1] - sure)
            if not sure <= seen <= sure + perhaps:
                self.wrong(f"{name}: {_times(sure, perhaps)} {action}, {_times(seen)} in the events")
        if ranks.count(1) <= 1 and ranks != sorted(ranks):
            self.wrong(f"{name}: events out of order: {', '.join(self.order[rank] for rank in ranks)}")
        times = [when for _, when, *_ in told]
        if times != sorted(times):
            self.wrong(f"{name}: an event is dated before the one that came ahead of it")


class _Bookings(Checker):
    """What only one container may hold at a time: from the end of what gave it to the begin of what took it back."""

    def __init__(self) -> None:
        super().__init__()
        self._held: dict[str, list[tuple[float, float, str]]] = {}
        self._open: dict[str, list[tuple[float, Sequence[str], str]]] = {}

    def take(self, op: Op, things: Sequence[str], holder: str) -> None:
        """Note that a container holds things from now on."""
        self.found.considered += 1
        self._open.setdefault(op.object, []).append((op.ended, things, holder))

    def give(self, name: str, when: float) -> None:
        """Note that the first of that name may not hold them any more; nothing is held from the future on."""
        if taken := self._open.get(name):
            since, things, holder = taken.pop(0)
            if not taken:
                del self._open[name]
            for thing in things:
                self._held.setdefault(thing, []).append((since, max(since, when), holder))

    def end(self) -> None:
        """Look for overlaps."""
        for name in list(self._open):
            while name in self._open:
                self.give(name, float("inf"))
        for thing, holdings in self._held.items():
            until, holder = -1.0, ""
            for since, end, other in sorted(holdings):
                if since < until and since < end:
                    self.wrong(f"{thing} belonged to {holder} and to {other} at {since:.3f} s")
                if end > until:
                    until, holder = end, other
            for wide in self._held.get(self.whole(thing), ()):
                for since, end, other in holdings:
                    if max(since, wide[0]) < min(end, wide[1]):
                        self.wrong(f"{thing} belonged to {other} while {self.whole(thing)} belonged to {wide[2]}")

    def whole(self, thing: str) -> str:
        """Return what a thing is a part of, if anything."""
        del thing
        return ""


class Ports(_Bookings):
    """No port is booked twice; one of all addresses is one of each."""

    name = "ports"
    claim = "a published port belongs to one container at a time"
    kinds = ("start", "wait", "event", *_ENDINGS)

    def __init__(self) -> None:
        super().__init__()
        self._died: dict[str, float] = {}

    def see(self, op: Op) -> None:
        """Follow who holds which port.

        A container holds its ports until it was to be killed. One that ends by itself held them until a moment before
        an event told of it; without one it may have ended at once.
        """
        if op.kind == "event":
            if op.value[0] == "die" and op.object in self._open:
                self._died[op.object] = op.began
        elif op.kind == "start":
            if op.outcome == OK and op.value:
                self.take(op, op.value, op.object)
        elif op.outcome != FAIL:
            died = self._died.pop(op.object, 0.0)
            self.give(op.object, max(0.0, died - _TOLD) if op.kind == "wait" else op.began)

    def whole(self, thing: str) -> str:
        """Return the same port of all addresses, for a port of one."""
        address, _, port = thing.rpartition(":")
        everywhere = "::" if ":" in address else "0.0.0.0"  # noqa: S104 - what an engine has bound
        return f"{everywhere}:{port}" if address != everywhere else ""


class Names(_Bookings):
    """No name is given twice."""

    name = "names"
    claim = "a name belongs to one container at a time"
    kinds = ("create", "claim", "remove")

    def __init__(self) -> None:
        super().__init__()
        self._claims: dict[str, int] = {}  # names that clients wanted at once, and how many may have got them

    def see(self, op: Op) -> None:
        """Follow who has which name; a container of the same name again is another one."""
        if op.kind == "claim" and op.outcome != FAIL:
            self._claims[op.object] = self._claims.get(op.object, 0) + bool(op.value or op.outcome != OK)
        if op.kind != "remove":
            if op.outcome == OK and op.value:
                self.take(op, [f"the name {op.object}"], op.value)
        elif op.outcome != FAIL:
            self.give(op.object, op.began)

    def end(self) -> None:
        """Look for overlaps, and for names that nobody got though somebody wanted them."""
        super().end()
        for name, got in self._claims.items():
            if not got:
                self.wrong(f"the name {name} was free, and all that wanted it were refused")


CHECKERS: dict[str, type[Checker]] = {
    checker.name: checker for checker in (Exits, Codes, Ids, Logs, Events, Ports, Names)
}


def judge(history: History) -> list[Checked]:
    """Judge a history by the checkers that its header names, in one pass; a broken one is `SeatrialError` E802."""
    return run(named(history.header.judged), history)


def named(names: Iterable[str]) -> list[Checker]:
    """Return new checkers by their names; a name that is none's is a checker that crashes."""
    return [CHECKERS[name]() if name in CHECKERS else _Nobody(name) for name in names]


class _Nobody(Checker):
    """A checker of whom only the name is known."""

    name, claim, kinds = "", "", ()

    def __init__(self, name: str) -> None:
        super().__init__()
        self.found = Checked(name, "", crash="there is no such checker")

    def see(self, op: Op) -> None:
        """See nothing."""


@contextmanager
def _no_cycles() -> Iterator[None]:
    """Keep Python from looking for cycles among millions of objects that have none: half of the time goes there."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


def run(checkers: Iterable[Checker], operations: Iterable[Op]) -> list[Checked]:
    """Let checkers see operations; one that raises an error is UNKNOWN and does not disturb the others."""
    with _no_cycles():
        return _run(list(checkers), operations)


def _run(all_: Sequence[Checker], operations: Iterable[Op]) -> list[Checked]:
    by_kind: dict[str, list[Checker]] = {}
    for checker in all_:
        for kind in checker.kinds:
            by_kind.setdefault(kind, []).append(checker)
    for op in operations:
        for checker in by_kind.get(op.kind, ()):
            try:
                checker.see(op)
            except Exception as error:  # whatever is wrong with it, its verdict is open
                _crashed(checker, error, by_kind)
    for checker in all_:
        if not checker.found.crash:
            try:
                checker.end()
            except Exception as error:  # likewise
                _crashed(checker, error, by_kind)
    return [checker.found for checker in all_]


def _crashed(checker: Checker, error: Exception, by_kind: dict[str, list[Checker]]) -> None:
    checker.found.crash = f"{type(error).__name__}: {error}"
    for kind, others in by_kind.items():
        by_kind[kind] = [other for other in others if other is not checker]


def _times(sure: int, perhaps: int = 0) -> str:
    words = {0: "never", 1: "once", 2: "twice"}
    text = words.get(sure, f"{sure} times")
    return f"{text}, perhaps {perhaps} more" if perhaps else text


def _either(codes: Iterable[Any]) -> str:
    return " or ".join(map(str, codes))

"""Signals that end us, and those that our parent has us ignore: what we start must not ignore them as well.

A shell's `&` and nohup(1) start a program with signals ignored, and its children inherit that (signal(7)):
in a container a shell then cannot trap them, and clients do not forward them. A handler is not inherited.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

_IGNORABLE = (signal.SIGHUP, signal.SIGQUIT)


def endure(numbers: Iterable[int] | None = None) -> list[int]:
    """Have signals do nothing here by a handler, and return them: the given ones, or those that are ignored."""
    if numbers is None:
        numbers = [number for number in _IGNORABLE if signal.getsignal(number) is signal.SIG_IGN]
    chosen = [int(number) for number in numbers]
    for number in chosen:
        signal.signal(number, lambda *_: None)
    return chosen


@contextmanager
def patience(warn: Callable[[], None], give_up: Callable[[], BaseException]) -> Iterator[None]:
    """Let a block end although ^C is pressed: the first one calls `warn`, the next raises what `give_up` returns.

    SIGTERM is the same. Only the main thread is told of signals: in another this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed: list[bool] = []

    def interrupted(*_: object) -> None:
        if pressed:
            raise give_up()
        pressed.append(True)
        warn()

    before = {number: signal.signal(number, interrupted) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

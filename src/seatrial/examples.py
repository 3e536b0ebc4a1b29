"""How many examples of hypothesis a test on an engine tries: the same ones each time, however slow the engine is."""

from __future__ import annotations

from hypothesis import HealthCheck, settings


def examples(count: int) -> settings:
    """Return settings for a property that is tried on a real engine: `count` examples, drawn without chance.

    A fixture holds for all examples of a test, what one of them makes has to be taken away by it or have a name of
    its own; neither the time of one example nor that of drawing it is judged.
    """
    return settings(
        max_examples=count, deadline=None, derandomize=True, database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )  # fmt: skip

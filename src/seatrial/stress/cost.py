"""What the harness's own driver costs: containers a second by it, by a bare loop, and by a process a container.

The three take turns in every round at every level of concurrency, so that a change of the machine or the engine
meets all of them. The bare loop is http.client on one connection a client with nothing around it; a process a
container is what the tools of old do (`run --rm`).
"""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

from seatrial import stats
from seatrial.api.wire import Connection
from seatrial.engines.base import CliEngine
from seatrial.exec import base_environment
from seatrial.names import RUN_LABEL
from seatrial.overhead import Figure
from seatrial.perf import quiet
from seatrial.stress.driver import Spec
from seatrial.stress.over_http import HttpDriver

LEVELS = (1, 2, 4, 8, 16, 32)
BARE = 0.97  # of a bare loop, at least, at every level
FORKING = 1.1  # of a process a container, at least, from this level on
SHARE = 1.5  # percent of the CPU time, at most
_FROM = 8
_LEAST = 8  # containers of each way in a round

# runs one container under a name from its creation to its removal
Life = Callable[[str], None]


def driver_cost(
    engine: CliEngine, image: str, run: str, levels: Sequence[int] = LEVELS, rounds: int = 5
) -> list[Figure]:
    """Return a figure for each level and each of the other ways; one round before is the warm-up."""
    samples: dict[tuple[int, str], list[float]] = {}
    shares: list[float] = []
    names = (f"st-{run[-6:]}-b{number}" for number in range(10_000_000))
    with ExitStack() as stack:
        ways = {
            "bare": [_bare(engine, image, run, stack) for _ in range(max(levels))],
            "ours": [_ours(engine, image, run, stack) for _ in range(max(levels))],
            "forking": [_forking(engine, image, run) for _ in range(max(levels))],
        }
        for number in range(rounds + 1):
            for level in levels:
                for way, lives in ways.items():
                    before, own = quiet.counters(), time.process_time()
                    rate = _rate(lives[:level], names, max(_LEAST, level))
                    own, every = time.process_time() - own, quiet.counters().since(before).busy
                    if number:
                        samples.setdefault((level, way), []).append(rate)
                        shares += [100 * own / every] if way == "ours" and every > 0 else []
    made = [figure for level in levels for figure in _figures(level, {way: samples[level, way] for way in ways})]
    return [*made, *_share(shares)]


def _share(shares: Sequence[float]) -> list[Figure]:
    """Return the figure of the driver's part in all CPU time that was used while it drove; none without samples."""
    if not shares:
        return []
    bounds, value = stats.interval(shares), statistics.median(shares)
    return [Figure("CPU of the driver, of all that is used", "", f"{value:.2f}%", value, bounds.low, bounds.high, "%",
                   most=SHARE)]  # fmt: skip


def _rate(lives: Sequence[Life], names: Iterator[str], count: int) -> float:
    """Return containers a second when each client runs its share of them one after the other."""
    each = max(1, count // len(lives))
    shares = [[next(names) for _ in range(each)] for _ in lives]

    def client(pair: tuple[Life, list[str]]) -> None:
        for name in pair[1]:
            pair[0](name)

    began = time.perf_counter()
    with ThreadPoolExecutor(len(lives)) as pool:
        list(pool.map(client, zip(lives, shares, strict=True)))
    return each * len(lives) / (time.perf_counter() - began)


def _figures(level: int, rates: Mapping[str, Sequence[float]]) -> list[Figure]:
    made = []
    for way, words, limit in (("bare", "a bare loop", BARE), ("forking", "a process a container", FORKING)):
        ratios = [ours / other for ours, other in zip(rates["ours"], rates[way], strict=True)]
        bounds, value = stats.interval(ratios), statistics.median(ratios)
        bound = way == "bare" or level >= _FROM
        made.append(Figure(
            f"containers a second to {words}, {level} at once", f"{statistics.median(rates[way]):.2f}/s",
            f"{statistics.median(rates['ours']):.2f}/s", value, bounds.low, bounds.high, "of it",
            least=limit if bound else -math.inf,
        ))  # fmt: skip
    return made


def _ours(engine: CliEngine, image: str, run: str, stack: ExitStack) -> Life:
    driver = stack.enter_context(closing(HttpDriver(engine.endpoint)))

    def life(name: str) -> None:
        driver.create(Spec(name, image, ("true",), {RUN_LABEL: run}))
        driver.start(name)
        driver.wait(name, 120.0)
        driver.remove(name)

    return life


def _bare(engine: CliEngine, image: str, run: str, stack: ExitStack) -> Life:
    connection = stack.enter_context(closing(Connection(engine.endpoint, 120.0)))
    headers = {"Content-Type": "application/json"}
    body = json.dumps({"Image": image, "Cmd": ["true"], "Labels": {RUN_LABEL: run}})

    def ask(method: str, path: str, content: str | None = None) -> None:
        connection.request(method, path, content, headers if content else {})
        answer = connection.getresponse()
        answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status}")

    def life(name: str) -> None:
        ask("POST", f"/containers/create?name={name}", body)
        ask("POST", f"/containers/{name}/start")
        ask("POST", f"/containers/{name}/wait")
        ask("DELETE", f"/containers/{name}?force=1&v=1")

    return life


def _forking(engine: CliEngine, image: str, run: str) -> Life:
    argv = engine.host.enter([engine.binary, "run", "--rm", "--label", f"{RUN_LABEL}={run}"])
    environment = {**base_environment(), **engine.host.environment, **engine.env}

    def life(name: str) -> None:
        subprocess.run([*argv, "--name", name, image, "true"], capture_output=True, check=True, env=environment,
                       timeout=120)  # fmt: skip

    return life

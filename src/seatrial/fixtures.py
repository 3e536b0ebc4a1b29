"""The fixtures: what a test can ask for. The plugin imports them, so that pytest finds them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from seatrial.names import PROBE, TOOLBOX
from seatrial.session import SESSION, TRIAL

if TYPE_CHECKING:
    import docker

    from seatrial.bench import Bench, Owner
    from seatrial.lab.registry import Registry
    from seatrial.oci.bench import Runtime
    from seatrial.oci.bundle import Bundle
    from seatrial.private import PrivateFactory, RegistryFactory
    from seatrial.results import TargetInfo
    from seatrial.security.guard import Guard
    from seatrial.security.prober import Prober


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest) -> TargetInfo:
    """What is tested: identity, facts and requirements of the target of this test."""
    session = request.config.stash[SESSION]
    if session.plan is None:
        raise pytest.UsageError("name what to test with --engine TARGET")
    return session.info(request.param)


def owner_of(item: pytest.Item) -> Owner:
    """Return whose objects a test's bench makes."""
    from seatrial.bench import Owner
    from seatrial.names import test_key

    session = item.config.stash[SESSION]
    trial = item.stash[TRIAL]
    assert session.plan is not None  # noqa: S101 - for the type checker
    key = test_key(f"{session.plan.run} {trial.test}@{trial.target}")
    return Owner(session.plan.run, key, session.plan.image, session.info(trial.target).facts, trial.journal)


@pytest.fixture
def engine(request: pytest.FixtureRequest, target: TargetInfo) -> Iterator[Bench]:
    """The engine under test; what is made through it is removed, and proved gone, after the test."""
    from seatrial.bench import Bench

    driver = request.config.stash[SESSION].engine(target.name)
    assert driver is not None  # noqa: S101 - for the type checker
    bench = Bench(driver, owner_of(request.node))
    yield bench
    if left := bench.close():
        raise AssertionError("left behind: " + "; ".join(left))


@pytest.fixture
def prober_in() -> Callable[[Bench], Prober]:
    """Call it with an engine to get the probe in its containers; its image is brought in when first needed."""
    from seatrial.security.prober import Prober

    def provide(engine: Bench) -> Prober:
        _provide(engine, PROBE)
        return Prober(engine)

    return provide


@pytest.fixture
def prober(engine: Bench, prober_in: Callable[[Bench], Prober]) -> Prober:
    """The probe in containers of the engine under test."""
    return prober_in(engine)


@pytest.fixture
def installed(request: pytest.FixtureRequest, target: TargetInfo) -> dict[str, str]:
    """The packages of a lab that are under test, and their versions; none elsewhere."""
    from seatrial import exec as command
    from seatrial.targets import RUNTIMES

    driver = request.config.stash[SESSION].engine(target.name)
    if driver is None or not target.facts.get("lab"):
        return {}
    own = getattr(driver, "packages", lambda _: ())(driver.target.suite)
    names = [*(name for name in own if name not in RUNTIMES), target.runtime]
    shown = command.run(["dpkg-query", "--show", "--showformat", r"${Package} ${Version}\n", *names],
                        host=driver.host, expect=command.ANY)  # fmt: skip
    return dict(line.split(" ", 1) for line in shown.lines)


@pytest.fixture
def guard(request: pytest.FixtureRequest) -> Guard:
    """Holds a protection against its control, and notes what was seen for the table of the report."""
    from seatrial.security.guard import Guard

    trial = request.node.stash[TRIAL]
    return Guard(trial.evidence, trial.severity)


@pytest.fixture
def client(engine: Bench) -> Iterator[docker.DockerClient]:
    """docker-py on the engine under test; what it makes is removed, and proved gone, like that of `engine`."""
    from seatrial.api import dockerpy

    with contextlib.closing(dockerpy.client(engine)) as made:
        yield made


@pytest.fixture
def private_engine(request: pytest.FixtureRequest, target: TargetInfo) -> Iterator[PrivateFactory]:
    """Call it to get an engine of the test's own; see `PrivateFactory.__call__` for its options."""
    from seatrial.private import PrivateFactory

    with PrivateFactory(target.name, owner_of(request.node)) as factory:
        yield factory


@pytest.fixture
def private_daemon(private_engine: PrivateFactory) -> PrivateFactory:
    """Call it to get a daemon of the test's own, with options; it may be stopped, killed and started."""
    return private_engine


@pytest.fixture
def registry_with(engine: Bench) -> Iterator[RegistryFactory]:
    """Call it to get a registry on the engine's loopback; see `RegistryFactory.__call__` for its options."""
    from seatrial.private import RegistryFactory

    with RegistryFactory(engine) as factory:
        yield factory


@pytest.fixture
def registry(registry_with: RegistryFactory) -> Registry:
    """A plain registry on the engine's loopback, empty."""
    return registry_with()


@pytest.fixture
def runtime(request: pytest.FixtureRequest, target: TargetInfo) -> Iterator[Runtime]:
    """The runtime under test; its containers are deleted, and proved gone, after the test."""
    from seatrial.engines.runtime import RuntimeEngine
    from seatrial.oci.bench import Runtime

    driver = request.config.stash[SESSION].engine(target.name)
    assert isinstance(driver, RuntimeEngine)  # noqa: S101 - tests with this fixture need a runtime
    bench = Runtime(driver, owner_of(request.node))
    yield bench
    left = bench.close()
    if left and not request.node.stash[TRIAL].messages:  # a test that has failed has said more
        raise AssertionError("left behind: " + "; ".join(left))


@pytest.fixture
def bundle(runtime: Runtime) -> Bundle:
    """A minimal valid bundle that runs the probe; tests change one thing."""
    return runtime.bundle


@pytest.fixture
def toolbox(engine: Bench) -> str:
    """Name of the image with fio, iperf3, stress-ng, sysbench and ping, brought in when first needed."""
    _provide(engine, TOOLBOX)
    return TOOLBOX


def _provide(engine: Bench, image: str) -> None:
    from seatrial.lab import images
    from seatrial.paths import locked, state_dir

    with locked(state_dir() / "locks" / "images.lock"):
        images.provide(engine.raw, (image,))

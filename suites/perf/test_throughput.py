"""What else goes through an engine: commands, output, images, events and figures, alone and under load."""

import contextlib
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from seatrial.lab.images import CHANGES
from seatrial.perf.measure import Measured, Sample
from seatrial.stress.driver import Spec
from seatrial.stress.over_http import HttpDriver

claim, requires = pytest.mark.claim, pytest.mark.requires
MEGABYTES = 24


@claim("perf-050")
def test_a_command_in_a_container_costs_no_more_than_a_new_one(engine, measure):
    c = engine.run()
    sides = {"run": lambda: engine.once(engine.image, "true") and None, "exec": lambda: c.exec("true") and None}
    found = measure.turns("exec", sides, pairs=20)
    measure.ratio(found, "exec", at_most=1.0)


@claim("perf-051")
def test_output_is_taken_at_a_megabyte_a_second_or_more(engine, measure):
    lines, size = 2_000_000, sum(len(f"{number}\n") for number in range(1, 2_000_001))

    def logged():
        c = engine.create(engine.image, "seq", "1", str(lines))
        began = time.perf_counter()  # before the first byte can come: the start is part of it
        engine.cli("start", c.name)
        assert c.wait(120) == 0
        assert len(c.logs().out) == size
        return size / 1e6 / (time.perf_counter() - began)

    found = measure.turns("output to the last byte", {"logs": logged}, unit="MB/s", more_is_better=True, pairs=10)
    measure.value(found, "logs", at_least=1.0)


@pytest.fixture
def heavy(engine):
    """An image with a file of random bytes, which do not compress."""
    return engine.build("FROM IMAGE\nCOPY data /data\n", {"data": os.urandom(MEGABYTES << 20)}).name


def rate(function):
    """Returns what does something with the heavy image's bytes, as MB a second."""

    def side():
        began = time.perf_counter()
        function()
        return MEGABYTES * 1.048576 / (time.perf_counter() - began)

    return side


@claim("perf-052")
def test_images_are_saved_and_loaded_at_five_megabytes_a_second_or_more(engine, heavy, measure):
    archive = engine.workdir / "image.tar"
    copy = engine.workdir / "copy.tar"

    def save():
        archive.unlink(missing_ok=True)
        engine.cli("save", "--output", str(archive), heavy, timeout=300)

    def load():
        engine.cli("image", "rm", heavy, timeout=120)
        engine.cli("load", "--input", str(archive), timeout=300)

    def host():
        copy.write_bytes(archive.read_bytes())
        with copy.open("rb") as stream:
            os.fsync(stream.fileno())

    save()
    sides = {"copy on the host": rate(host), "save": rate(save), "load": rate(load)}
    found = measure.turns("images as archives", sides, unit="MB/s", more_is_better=True, pairs=8)
    measure.value(found, "save", at_least=5.0)
    measure.value(found, "load", at_least=5.0)


@claim("perf-053")
def test_images_are_imported_at_five_megabytes_a_second_or_more(engine, measure):
    from seatrial import archive

    data = archive.tree({"data": os.urandom(MEGABYTES << 20)})

    def imported():
        engine.cli("import", *(word for change in CHANGES for word in ("--change", change)), "-",
                   engine.image_name(), stdin=data, timeout=300)  # fmt: skip

    found = measure.turns("import", {"import": rate(imported)}, unit="MB/s", more_is_better=True, pairs=8)
    measure.value(found, "import", at_least=5.0)


@claim("perf-054")
@requires("registry")
def test_images_are_pushed_and_pulled_at_two_megabytes_a_second_or_more(engine, registry_with, measure):
    taken = {"push": [], "pull": []}
    with measure.watched() as watch:
        began = time.monotonic()
        for _ in range(measure.rounds(8)):
            watch.tick()
            made = engine.build("FROM IMAGE\nCOPY data /data\n", {"data": os.urandom(MEGABYTES << 20)}).name
            with registry_with() as registry:
                name = registry.reference("heavy")
                engine.cli("tag", made, name)
                engine.track("image", name)
                steps = {"push": lambda name=name: engine.cli("push", name, timeout=300),
                         "pull": lambda name=name: engine.cli("pull", name, timeout=300)}  # fmt: skip
                for word, step in steps.items():
                    seen = rate(step)()
                    taken[word].append(Sample(time.monotonic() - began, seen))
                    engine.cli("image", "rm", *([name, made] if word == "push" else [name]), timeout=120)
    found = measure.keep(Measured("images over a registry on loopback", "MB/s", taken, watch.state, True, False))
    measure.value(found, "push", at_least=2.0)
    measure.value(found, "pull", at_least=2.0)


@claim("perf-055")
@requires("legacy_builder")
def test_a_build_from_the_cache_takes_half_of_one_without(engine, measure):
    context = engine.context({"Dockerfile": "FROM IMAGE\nRUN echo 1 >/1\nRUN echo 2 >/2\nRUN echo 3 >/3\n"})

    def build(*options):
        def side():
            engine.cli("build", *options, "--tag", name, str(context), timeout=300)

        return side

    name = engine.image_name()
    found = measure.turns("a build of three steps", {"no cache": build("--no-cache"), "cache": build()}, pairs=8)
    measure.ratio(found, "cache", at_most=0.5)


@pytest.fixture
def churn(engine):
    """Containers that come and go by three clients for the length of a block."""

    @contextlib.contextmanager
    def load():
        engine.mark("container")
        stop, done = threading.Event(), []

        def client():
            with contextlib.closing(HttpDriver(engine.raw.endpoint)) as driver:
                while not stop.is_set():
                    name = engine.name()
                    driver.create(Spec(name, engine.image, ("true",), engine.labels))
                    driver.start(name)
                    driver.remove(name)
                    done.append(name)

        clients = [threading.Thread(target=client) for _ in range(3)]
        for one in clients:
            one.start()
        try:
            yield
        finally:
            stop.set()
            for one in clients:
                one.join()
        assert len(done) >= 3, "there was a load"

    return load


@claim("perf-056")
@requires("api")
def test_events_come_within_two_seconds_under_load(engine, churn, measure):
    label = f"seatrial.watched={engine.key}"
    stream = engine.api.open("GET", "/events", query={"filters": {"type": ["container"], "label": [label]}})
    taken = []

    def heard(name):
        """How long after its own time the event of a creation came, in seconds."""
        told = stream.record("the creation", lambda value: value["Actor"]["Attributes"]["name"] == name, 60.0)
        return (time.time_ns() - told["timeNano"]) / 1e9

    with measure.watched() as watch, churn(), ThreadPoolExecutor(1) as ear:
        began = time.monotonic()
        for _ in range(measure.rounds(20)):
            name = engine.name("event")
            told = ear.submit(heard, name)  # it listens before there is anything to hear
            engine.create("--label", label, "--name", name)
            taken.append(Sample(time.monotonic() - began, told.result(60)))
    found = measure.keep(Measured("delay of an event under load", "s", {"events": taken}, watch.state))
    measure.value(found, "events", at_most=2.0)


@claim("perf-057")
@requires("api")
def test_figures_are_told_within_five_seconds_under_load(engine, churn, measure):
    c = engine.run()

    def stats():
        told = engine.api.get(f"/containers/{c.name}/stats", query={"stream": False}).json()
        assert told["cpu_stats"]["cpu_usage"]["total_usage"] > 0

    measure.turns("stats while nothing goes on", {"stats": stats}, pairs=8)
    found = measure.turns("stats under load", {"stats": stats}, pairs=8, under=churn())
    measure.value(found, "stats", at_most=5.0)

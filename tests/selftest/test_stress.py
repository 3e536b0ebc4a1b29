"""Loads on real engines: a leak is named, an interrupt ends in an honest report, a death is told once."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from seatrial import results, runs
from seatrial.engines import drivers
from seatrial.engines.startable import Wishes
from seatrial.errors import Exit
from seatrial.lab import labs
from seatrial.lab.daemon import configure
from seatrial.names import new_run_id
from seatrial.stress import run as stress
from seatrial.stress.profile import Activity, Load, Objectives, Profile
from seatrial.targets import parse
from seatrial.verdict import Verdict

PROFILES = Path(__file__).parents[2] / "stress/profiles"
LOCUSTFILE = Path(__file__).parents[2] / "stress/locustfile.py"
TARGET = "docker@bookworm"
# a runtime that leaves a process and a mount for each container that it creates, and has a helper, one for all, that
# opens a descriptor for each and forgets it
LEAKY = """\
#!/bin/sh
helper='exec 3<>/run/leak.fifo; while read -r _ <&3; do exec {forgotten}</dev/null; done'
case " $* " in *" create "*)
    place=$(mktemp -d /var/lib/leak.XXXXXX)
    mount -t tmpfs leak "$place"
    setsid sleep 3600 >/dev/null 2>&1 </dev/null &
    test -p /run/leak.fifo || mkfifo /run/leak.fifo 2>/dev/null
    setsid flock -n /run/leak.lock bash -c "$helper" >/dev/null 2>&1 </dev/null &
    timeout 10 sh -c 'echo x >/run/leak.fifo'
esac
exec runc "$@"
"""
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="labs need root"),
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("stress"),
]


@pytest.fixture
def private(tmp_path):
    """Makes an engine with a lab of its own for a load, and takes it down."""
    run, made = new_run_id(), []

    def engine(wishes=Wishes(), script=""):  # noqa: B008 - frozen
        found = labs.private(parse(TARGET), run, wishes, start=False)
        made.append(found)
        if script:
            configure(found.lab.host, "/usr/local/bin/leaky", script)
            found.lab.host.path("/usr/local/bin/leaky").chmod(0o755)
        found.daemon.start()
        return found, drivers.in_lab(labs.target_of(found.lab), found.lab)

    with runs.begun(run, tmp_path, [TARGET]):
        yield engine, run
        for one in made:
            one.close()


def profile(seconds, clients=3):
    return Profile(
        "p", "a test's load", (Activity("container"),), seconds=seconds, warm_up=2.0, load=Load(clients=clients),
        judged=("exits", "codes", "ids", "events", "names"), objectives=Objectives(),
    )  # fmt: skip


def red(directory):
    read = results.read(directory / "results.jsonl")
    return {result.test.partition("::")[2]: result for result in read.results if result.verdict is Verdict.FAIL}, read


@pytest.mark.parametrize("leaks", [False, True], ids=["sound", "leaky"])
def test_a_leak_names_the_resource_and_a_sound_engine_has_none(private, tmp_path, leaks):
    make, run = private
    wishes = Wishes(config={"runtimes": {"leaky": {"path": "/usr/local/bin/leaky"}}, "default-runtime": "leaky"})
    _, engine = make(wishes, LEAKY) if leaks else make()
    outcome = stress.load(profile(25.0), engine, run, tmp_path / "run", [], lambda _: None, interval=0.5)
    failed, read = red(tmp_path / "run")
    if not leaks:
        assert failed == {}
        assert outcome.exit == Exit.OK
        verdicts = {result.test.partition("::")[2]: result.verdict for result in read.results}
        assert verdicts["nothing that the engine holds grows without end"] is Verdict.PASS
        return
    grown = failed["nothing that the engine holds grows without end"].message
    for resource in ("processes:sleep", "descriptors:bash", "mounts"):
        assert f"{resource}: +" in grown
    assert "processes:bash" not in grown, "there is one helper, whatever it forgets"
    left = failed["nothing is left behind"].message
    assert "mount /var/lib/leak." in left
    assert "process sleep" in left
    assert (tmp_path / "run/plots/kernel.png").exists()


def test_the_death_of_an_engine_is_told_once(private, tmp_path):
    make, run = private
    found, engine = make()
    history, over = tmp_path / "run/history.jsonl", threading.Event()

    def kill():
        while not over.wait(0.2):
            if history.exists() and '"wait"' in history.read_text():
                found.daemon.kill()
                return

    killer = threading.Thread(target=kill)
    killer.start()
    began = time.monotonic()
    outcome = stress.load(profile(300.0, clients=6), engine, run, tmp_path / "run", [], lambda _: None)
    over.set()
    killer.join()
    assert time.monotonic() - began < 200
    assert outcome.exit == Exit.FAILED
    assert outcome.cause.startswith("the engine ")
    _, read = red(tmp_path / "run")
    assert len(read.findings) == 1
    assert read.footer.cause == outcome.cause
    assert len((tmp_path / "run/report.md").read_text().splitlines()) < 80
    assert (tmp_path / "run/plots/latencies.png").exists()


def interrupted(tmp_path, places, *more):
    """Start a load by the command, interrupt it when it goes on, and return how it ended and what it said."""
    argv = [sys.executable, "-m", "seatrial", "stress", str(PROFILES / "churn.toml"), "--engine", TARGET,
            "--duration", "10m", *more]  # fmt: skip
    process = subprocess.Popen(argv, cwd=tmp_path, env={**os.environ, **places}, text=True, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT)  # fmt: skip
    lines = []
    for line in process.stdout:
        lines.append(line)
        if " containers (" in line and " 0 containers" not in line:
            break
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=240)
    return process.returncode, "".join(lines) + rest


@pytest.mark.parametrize("more", [
    [], pytest.param(["--workers", "2"], marks=pytest.mark.skipif(find_spec("locust") is None, reason="no locust")),
], ids=["own clients", "locust"])  # fmt: skip
def test_an_interrupt_ends_in_a_report_of_a_part_and_leaves_nothing(tmp_path, places, more):
    if more:
        (tmp_path / "stress").mkdir()
        (tmp_path / "stress/locustfile.py").write_text(LOCUSTFILE.read_text())
    code, said = interrupted(tmp_path, places, *more)
    assert code == Exit.INTERRUPTED, said
    assert "The run ended early: interrupted" in said
    assert "Traceback" not in said
    directory = (tmp_path / "reports/latest").resolve()
    read = results.read(directory / "results.jsonl")
    assert read.footer.cause == "interrupted"
    assert "interrupted" in (directory / "index.html").read_text()
    by_name = {result.test.partition("::")[2]: result for result in read.results}
    assert by_name["nothing is left behind"].verdict is Verdict.PASS, by_name["nothing is left behind"].message
    history = (directory / "history.jsonl").read_text().splitlines()
    assert json.loads(history[-1])["cause"] == "interrupted"
    assert len(history) > 10


@pytest.mark.parametrize(("step", "presses"), [("sweep", 1), ("judge", 1), ("plots", 1), ("plots", 2)])
def test_an_interrupt_while_a_run_is_concluded_ends_in_its_report(private, tmp_path, monkeypatch, step, presses):
    make, run = private
    _, engine = make()
    place, name = {"sweep": (stress, "sweep"), "judge": (stress.objectives, "judge"),
                   "plots": (stress.plots, "write")}[step]  # fmt: skip
    real = getattr(place, name)

    def pressed(*args):
        for _ in range(presses):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.05)
        return real(*args)

    monkeypatch.setattr(place, name, pressed)
    outcome = stress.load(profile(4.0), engine, run, tmp_path / "run", [], lambda _: None)
    assert (outcome.exit, outcome.cause) == (Exit.INTERRUPTED, "interrupted")
    read = results.read(tmp_path / "run/results.jsonl")
    assert read.footer.cause == "interrupted"
    assert "interrupted" in (tmp_path / "run/index.html").read_text()
    assert "history: no two containers get the same id" in {one.test.partition("::")[2] for one in read.results}
    assert (tmp_path / "run/operations.csv").exists() == (presses == 1)


def test_a_bare_runtime_is_loaded_and_judged(tmp_path):
    activities = (
        Activity("container", 2), Activity("container", 1, {"command": ["sh", "-c", "exit 7"], "code": 7}),
        Activity("hold", 1, {"seconds": 0.05}), Activity("exec", 1, {"times": 2}),
    )  # fmt: skip
    wanted = Profile("p", "a test's load", activities, seconds=8.0, load=Load(clients=3),
                     judged=("exits", "codes", "names", "events"))  # fmt: skip
    outcome = stress.execute(wanted, parse("crun@bookworm"), tmp_path, [], lambda _: None)
    failed, read = red(outcome.directory)
    assert failed == {}
    assert outcome.containers >= 5
    names = {result.test.partition("::")[2]: result.verdict for result in read.results}
    assert names["history: the exit code that a client is told is that of the container's process"] is Verdict.PASS
    assert names["nothing is left behind"] is Verdict.PASS


def test_a_wrong_exit_code_of_a_runtime_is_seen(tmp_path):
    wanted = Profile("p", "", (Activity("container", 1, {"command": ["false"]}),), seconds=4.0, judged=("codes",))
    outcome = stress.execute(wanted, parse("crun@bookworm"), tmp_path, [], lambda _: None)
    failed, _ = red(outcome.directory)
    (name,) = [name for name in failed if name.startswith("history:")]
    assert "exited with 1" in failed[name].message

"""What goes wrong while a session runs: killed processes, a dead engine, a full disk, wrong input."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from seatrial import results, snapshot
from seatrial.engines import drivers
from seatrial.lab import host as lab_host
from seatrial.lab import labs
from seatrial.names import BUSYBOX
from seatrial.report.conclusion import broken_off
from seatrial.targets import parse

BUSY = """
@claim("m-must")
@pytest.mark.parametrize("number", range(8))
def test_busy(engine, number):
    c = engine.run()
    engine.network()
    engine.volume()
    time.sleep(4)
    assert c.exec("true").ok
"""


def _until(condition, timeout=40.0):
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)
    return value


def _containers(project):
    found = project.seatrial("lab", "run", "docker@bookworm", "--", "docker", "ps", "--quiet", "--filter",
                             "label=seatrial.run")  # fmt: skip
    return found.stdout.split()


def _workers(pid):
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    children = [int(child) for path in tasks for child in path.read_text().split()]
    return [child for child in children if b"exec(eval" in Path(f"/proc/{child}/cmdline").read_bytes()]


@pytest.fixture
def lab(project, monkeypatch):
    """The project's lab, standing, seen from here; and what it held before."""
    for name in ("SEATRIAL_STATE", "SEATRIAL_DATA"):
        monkeypatch.setenv(name, project.environment[name])
    assert project.seatrial("lab", "up", "docker@bookworm").returncode == 0
    engine = drivers.in_lab(parse("docker@bookworm"), labs.find("docker-bookworm"))
    engine.cli("run", "--rm", BUSYBOX, "true")  # what an engine sets up once is no leftover
    return engine, snapshot.take(engine)


def _results(project):
    return sum(path.read_text().count('"type": "result"') for path in (project.root / "reports").glob("2*/*.jsonl"))


def _nothing_is_left(project, lab):
    cleaned = project.seatrial("clean")
    assert cleaned.returncode == 0, cleaned.stdout + cleaned.stderr
    engine, before = lab
    assert snapshot.leaks(before, engine, "") == []
    assert not list((Path(project.environment["SEATRIAL_DATA"]) / "share").iterdir())
    assert not list((Path(project.environment["SEATRIAL_STATE"]) / "runs").iterdir())


@pytest.mark.parametrize("moment", ["tests", "end"])
def test_clean_takes_away_what_a_killed_run_left(project, lab, moment):
    project.write(BUSY)
    process = project.start("-n", "2", "--engine", "docker@bookworm")
    try:
        _until(lambda: len(_containers(project)) >= 2 if moment == "tests" else _results(project) == 8, 90)
        process.kill()
        process.wait()
        if moment == "tests":
            assert _containers(project)
            assert not project.run.complete
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    _nothing_is_left(project, lab)


def test_clean_takes_away_what_a_run_with_a_killed_worker_left(project, lab):
    project.write(BUSY)
    process = project.start("-n", "2", "--engine", "docker@bookworm")
    try:
        _until(lambda: len(_containers(project)) >= 2)
        os.kill(_until(lambda: _workers(process.pid))[0], signal.SIGKILL)
        out, _ = process.communicate(timeout=120)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert process.returncode == 1, out
    crashed = [r for r in project.run.results if r.verdict == "ERROR"]
    assert crashed
    assert crashed[0].target == "docker@bookworm"
    _nothing_is_left(project, lab)


def test_clean_takes_away_the_lab_of_a_run_that_was_killed_while_it_was_made(project, monkeypatch):
    for name in ("SEATRIAL_STATE", "SEATRIAL_DATA"):
        monkeypatch.setenv(name, project.environment[name])
    project.seatrial("lab", "down", "--all")
    assert project.labs() == []
    project.write(BUSY)
    process = project.start("-n", "2", "--engine", "docker@bookworm")
    try:
        _until(lambda: list(lab_host.processes("docker-bookworm")))
        assert not (project.root / "reports").exists() or not _results(project)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    cleaned = project.seatrial("clean")
    assert cleaned.returncode == 0, cleaned.stdout + cleaned.stderr
    assert project.labs() == []
    assert list(lab_host.processes("docker-bookworm")) == []
    assert lab_host.cgroups("docker-bookworm") == []
    assert not list((Path(project.environment["SEATRIAL_STATE"]) / "runs").iterdir())


def test_a_dead_engine_ends_the_session_soon_with_one_cause(project):
    project.write(BUSY)
    process = project.start("-n", "2", "--engine", "docker@bookworm")
    began = None
    try:
        lab = _until(lambda: [lab for lab in project.labs() if lab["daemon_pid"]])[0]
        _until(lambda: (project.root / "reports").exists() and any(
            '"result"' in path.read_text() for path in (project.root / "reports").glob("2*/results.jsonl")))
        began = time.monotonic()
        os.kill(lab["daemon_pid"], signal.SIGKILL)
        out, _ = process.communicate(timeout=90)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert time.monotonic() - began < 60
    assert process.returncode == 1, out
    run = project.run
    assert run.complete
    assert run.footer.cause.startswith("docker@bookworm died")
    assert len(run.results) < run.footer.selected
    assert sum(result.verdict == "PASS" for result in run.results) <= 4
    assert out.count("docker@bookworm died while the session ran") >= 1
    assert "Traceback" not in out.partition("sea trial")[2]


@pytest.mark.parametrize("presses", [1, 2, 3])
def test_interrupt_leaves_nothing_and_says_so(project, presses):
    project.write(BUSY)
    process = project.start("-n", "2", "--engine", "docker@bookworm")
    try:
        _until(lambda: project.labs() and len(_containers(project)) >= 2)
        for press in range(presses):
            time.sleep(0.5 * press)
            process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=90)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert process.returncode == 2, out
    assert ("once more ends this at once" in out) is (presses > 1)
    assert "Traceback" not in out
    if presses < 3:
        assert project.run.complete
        assert project.run.footer.cause == "interrupted"
        assert project.leases() <= {"user"}
    else:
        assert "cut short while cleaning up; `seatrial clean` does the rest" in out
        assert not project.run.complete
    cleaned = project.seatrial("clean")
    assert cleaned.returncode == 0
    assert project.leases() <= {"user"}


@pytest.mark.parametrize(("size", "code"), [("16k", "E401"), ("96k", "E406")], ids=["stream", "reports"])
def test_a_full_disk_is_told_and_nothing_passes_for_whole(project, tmp_path, size, code):
    noise = "print('x' * 20000); engine.sh('seq 4000')" if code == "E401" else "pass"
    project.write(BUSY.replace("time.sleep(4)", noise))
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)], check=True)
    try:
        ended = project.pytest("--engine", "docker@bookworm", "--results", str(disk))
        assert ended.returncode == 3, ended.stdout
        assert re.search(rf"{code}: cannot write the \w+ \S+\n  cause: No space left on device\n  hint: ", ended.stdout)
        run = results.read(next(disk.glob("2*/results.jsonl")))
        if code == "E401":
            assert broken_off(run)
            assert len(run.results) < 8
        else:
            assert run.complete
            assert len(run.results) == 8
        for report in disk.glob("2*/index.html"):  # none, or a whole one
            assert report.read_text().rstrip().endswith("</html>")
            assert broken_off(run) in report.read_text()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["--engine", "dokcer"], "E102"),
        (["--engine", "docker@potato"], "E102"),
        (["--engine", "docker+unix:///nonexistent.sock"], "E111|E106"),  # E111 where there is no docker command
        (["--engine", "docker@bookworm", "--required", "nowhere.txt"], "E304"),
        (["--engine", "docker@bookworm", "--deadline", "soon"], "E502"),
        (["--engine", "docker@bookworm", "--check.f", "("], "E503"),
        (["--engine", "docker@bookworm", "--results", "/proc/nowhere"], "E401"),
    ],
    ids=["engine", "suite", "dead-socket", "required", "deadline", "regex", "results"],
)
@pytest.mark.parametrize("workers", ["0", "2"])
def test_wrong_input_gets_code_cause_and_hint(project, args, code, workers):
    project.write(BUSY)
    ended = project.pytest(*args, "-n", workers)
    assert ended.returncode == 4, ended.stdout + ended.stderr
    text = ended.stdout + ended.stderr
    assert re.search(rf"({code}): \S.*\n(.*\n)?\s*cause: +\S.*\n\s*hint: +\S", text), text
    assert "Traceback" not in text
    assert "INTERNALERROR" not in text
    assert project.leases() <= {"user"}


@pytest.mark.parametrize(
    ("known", "cause"),
    [("engine = ", "Invalid value"),
     ('engine = "docker"\nversion = "20.10"\n[[known]]\ntest = "x"\n', "is a required property")],
    ids=["syntax", "schema"],
)
def test_a_broken_known_list_is_told(project, known, cause):
    project.write(BUSY)
    project.known(known)
    ended = project.pytest("--engine", "docker@bookworm", "-n", "2")
    assert ended.returncode == 4, ended.stdout + ended.stderr
    told = rf"E303: the known list \S+ is broken\n\s*cause: .*{cause}.*\n\s*hint: "
    assert re.search(told, ended.stdout + ended.stderr)
    assert "INTERNALERROR" not in ended.stdout + ended.stderr


@pytest.mark.parametrize("workers", ["0", "2"])
def test_unknown_claims_and_tests_without_one_are_refused(project, workers):
    project.write(
        '@claim("m-nothing")\ndef test_a(engine): pass\n\ndef test_b(engine): pass\n\n'
        '@claim("m-must")\n@requires("nonesuch")\ndef test_c(engine): pass\n'
    )
    ended = project.pytest("--engine", "docker@bookworm", "-n", workers)
    assert ended.returncode == 4, ended.stdout + ended.stderr
    assert "INTERNALERROR" not in ended.stderr + ended.stdout
    assert "test_c[docker@bookworm] names the unknown requirement 'nonesuch'" in ended.stderr + ended.stdout
    assert "test_a[docker@bookworm] names the unknown claim m-nothing" in ended.stderr + ended.stdout
    assert "test_b[docker@bookworm] names no claim" in ended.stderr + ended.stdout


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_deadline_ends_the_session_and_says_so(project, workers):
    project.write(BUSY)
    ended = project.pytest("--engine", "docker@bookworm", "--deadline", "6s", "-n", workers)
    assert ended.returncode == 2, ended.stdout
    run = project.run
    assert run.complete
    assert len(run.results) < run.footer.selected == 8
    assert run.footer.cause == "the deadline of 6s was reached"

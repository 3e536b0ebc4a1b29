"""A scheduler and three workers as processes of their own: lost hosts, lost clients, wishes that nobody meets, keys."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from seatrial import proc
from seatrial.waiting import wait_until

TARGET = "runc@bookworm"
NAMES = ("alpha", "beta", "gamma")
BOX = {
    "SchemaVersion": "1", "Name": "", "Summary": "a sample", "Group": "Function/Samples",
    "Requires": [{"Class": "host", "Type": "os"}, {"Class": "box", "Type": "container"}],
    "Deploys": [{"Object": "hostA", "Class": "host", "Containers": [{"Object": "boxA", "Class": "box"}]}],
    "Run": [{"Name": "look", "Object": "boxA", "Cmd": ["echo", "hello"]}],
    "Collects": [], "Expect": [{"Step": "look", "From": "stdout", "Equals": "hello"}],
}  # fmt: skip


class Started:
    """A process whose output is read from a file while it runs."""

    def __init__(self, project, name, *args):
        self.log = project.root / f"{name}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "seatrial", "oct", *args], cwd=project.root, env=project.environment,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def says(self, pattern, timeout=90):
        def said():
            assert self.process.poll() is None or re.search(pattern, self.text), self.text
            return re.search(pattern, self.text)

        return wait_until(f"{self.log.name} has /{pattern}/", said, timeout)

    @property
    def text(self):
        return self.log.read_text()

    def end(self, number=signal.SIGTERM):
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        self.process.wait(60)


@contextlib.contextmanager
def cluster(project, names=NAMES, options=()):
    """The address of a scheduler, and its workers by name."""
    started = [Started(project, "scheduler", "scheduler", "--listen", "127.0.0.1:0", *options)]
    try:
        address = started[0].says(r"listening on (\S+)")[1]
        workers = {}
        for name in names:
            workers[name] = Started(project, name, "worker", address, "--engine", TARGET, "--name", name, *options)
            started.append(workers[name])
        for worker in workers.values():
            worker.says("offers")
        yield address, workers
    finally:
        for one in reversed(started):
            one.end()


def write(project, name, **changes):
    place = project.root / "cases" / name
    place.mkdir(parents=True)
    (place / "case.json").write_text(json.dumps({**BOX, "Name": name, **changes}))


def arguments(address, *options):
    return ("run", "--library", "cases", "--engine", TARGET, "--scheduler", address, *options)


def sleepers(seconds):
    """The processes that sleep for just so long."""
    found = []
    for pid in proc.processes():
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if Path(f"/proc/{pid}/cmdline").read_bytes() == f"sleep\0{seconds}\0".encode():
                found.append(pid)
    return found


def asleep(seconds):
    return wait_until(f"somebody sleeps for {seconds} s", lambda: sleepers(seconds), 90)


def awake(seconds):
    wait_until(f"nobody sleeps for {seconds} s", lambda: not sleepers(seconds), 60)


def runs(project):
    """The runs that are noted, by whether they live."""
    files = Path(project.environment["SEATRIAL_STATE"], "runs").glob("*.json")
    noted = [json.loads(path.read_text()) for path in files]
    return [one["run"] for one in noted if proc.started(one["pid"]) != one["started"]]


def directories(project):
    """The runs that have files on this host."""
    return [path.name for path in Path(project.environment["SEATRIAL_DATA"], "share").glob("2*")]


def test_a_case_whose_host_is_lost_runs_on_another_and_is_recorded_once(project):
    seconds = f"7.{os.getpid()}"
    step = {"Name": "look", "Object": "boxA", "Cmd": ["sh", "-c", f"sleep {seconds}; echo hello"]}
    write(project, "slow", Run=[step])
    for name in ("one", "two", "three"):
        write(project, name)
    write(project, "nowhere", Requires=[{"Class": "host", "Type": "os", "Version": "12.04"}, BOX["Requires"][1]])
    with cluster(project) as (address, workers):
        run = Started(project, "run", *arguments(address))
        lost = run.says(rf"begins +slow {TARGET}  on (\w+)")[1]
        asleep(seconds)
        workers[lost].end(signal.SIGKILL)
        assert run.process.wait(120) == 0, run.text
        awake(seconds)
        found = {result.test.rpartition("::")[2]: result for result in project.run.results}
        assert len(project.run.results) == 5
        assert {name: result.verdict.value for name, result in found.items()} == {
            "slow": "PASS", "one": "PASS", "two": "PASS", "three": "PASS", "nowhere": "SKIP",
        }  # fmt: skip
        (finding,) = project.run.findings
        assert (finding.kind, finding.test) == ("lost", "slow")
        assert f"slow on {TARGET} was lost with its host {lost} " in finding.message
        assert found["slow"].worker in set(NAMES) - {lost}
        assert found["slow"].evidence["oct"]["hosts"] == {"hostA": found["slow"].worker}
        record = json.loads((project.directory / found["slow"].evidence["oct"]["record"]).read_text())
        assert record["ending"] == "passed"
        for name in NAMES:
            assert f"hostA (host) on {name}: Version 12.04 wanted, 12 offered" in found["nowhere"].reason
        # the session of the lost worker has put back what it had made; of the worker only its own note is left
        wait_until("the lost session has ended", lambda: len(runs(project)) == 1, 60)
        assert len(directories(project)) == 3  # of the workers; sessions have none any more
        (target,) = project.run.header.targets
        assert (target.name, target.engine) == (TARGET, "runc")
        assert target.version
        assert target.requirements  # probed on a worker: this machine has not looked
        listed = project.seatrial("oct", "list", "--library", "cases", "--engine", TARGET)
        assert re.search(r"^slow .*  current  ", listed.stdout, re.MULTILINE)

        again = Started(project, lost, "worker", address, "--engine", TARGET, "--name", lost)
        again.says("offers")
        assert runs(project) == []
        assert len(directories(project)) == 3
        again.end()


TWO = {
    "Requires": [{"Class": "host", "Type": "os", "Amount": 2}, {"Class": "box", "Type": "container"}],
    "Deploys": [
        {"Object": name, "Class": "host", "Files": ["source/word"],
         "Containers": [{"Object": f"box-{name}", "Class": "box", "Files": ["source/word"]}]}
        for name in ("left", "right")
    ],
    "Run": [
        {"Name": "mark", "Object": "left", "Cmd": ["sh", "-c", "cat word > mark; echo ${label} ${nonce} > label"]},
        {"Name": "apart", "Object": "right", "Cmd": ["test", "!", "-e", "mark"]},
        {"Name": "label", "Object": "right", "Cmd": ["echo", "${label}", "${nonce}"]},
        {"Name": "inside", "Object": "box-right", "Cmd": ["cat", "/oct/word"]},
        {"Name": "serve", "Object": "right", "Cmd": "echo up; exec sleep 400", "Background": True,
         "WaitFor": {"LogMatch": "up"}},
        {"Name": "refused", "Object": "box-right", "Cmd": ["false"], "ExpectExit": "failure"},
        {"Name": "stop", "Object": "box-right", "Op": "kill", "Signal": "KILL", "WaitFor": {"State": "stopped"}},
    ],
    "Collects": [{"Object": "left", "Files": ["mark", "label"]}, {"Object": "right", "Files": ["word"]}],
    "Expect": [
        {"Step": "inside", "From": "stdout", "Equals": "a word"}, {"From": "file", "Path": "word", "Equals": "a word"},
        {"From": "file", "Path": "mark", "Equals": "a word"},
        {"Step": "box-right", "From": "state", "Equals": "stopped"},
        {"Step": "box-left", "From": "state", "Equals": "running"},
    ],
}  # fmt: skip


def test_several_hosts_of_a_case_are_workers_of_their_own(project):
    seconds = f"303.{os.getpid()}"
    nap = [{"Name": "nap", "Object": "box-right", "Cmd": ["sleep", seconds]}]
    many = [{**TWO["Requires"][0], "Amount": 4}, TWO["Requires"][1]]
    for name, changes in (("two", {}), ("nap", {"Run": nap, "Collects": [], "Expect": TWO["Expect"][4:]}),
                          ("crowd", {"Requires": many})):  # fmt: skip
        write(project, name, **{**TWO, **changes})
        (project.root / "cases" / name / "source").mkdir()
        (project.root / "cases" / name / "source/word").write_text("a word\n")
    with cluster(project) as (address, workers):
        good = project.seatrial("oct", *arguments(address, "--name", "two", "--name", "crowd"))
        assert good.returncode == 0, good.stdout + good.stderr
        crowd, two = sorted(project.run.results, key=lambda result: result.test)
        assert (crowd.verdict.value, crowd.reason) == ("SKIP", "host: 4 hosts wanted, 3 offered")
        assert two.verdict.value == "PASS"
        hosts = two.evidence["oct"]["hosts"]
        assert set(hosts) == {"left", "right"}
        assert len(set(hosts.values())) == 2
        record = json.loads((project.directory / two.evidence["oct"]["record"]).read_text())
        labels = [record["files"]["label"].split(), record["steps"][4]["stdout"].split()]
        assert record["steps"][4]["name"] == "label"
        assert labels[0][1] == labels[1][1]  # one run
        assert labels[0][0] != labels[1][0]  # and two benches
        assert {step["object"] for step in record["steps"] if step["evidence"]} >= {"box-right"}

        run = Started(project, "run", *arguments(address, "--name", "nap"))
        lost = run.says(rf"begins +nap {TARGET}  on \w+, (\w+)")[1]
        asleep(seconds)
        workers[lost].end(signal.SIGKILL)
        other = run.says(rf"(?s)was lost with its host \w+, {lost} .*begins +nap {TARGET}  on \w+, (\w+)")[1]
        assert other != lost
        again = Started(project, lost, "worker", address, "--engine", TARGET, "--name", lost)
        again.says("offers")
        reaped = r"left by a dead run: cgroup .*, process \d+ \(sleep\) in .* of the run .* on the lab "
        assert re.search(reaped, again.text)
        wait_until("the second try sleeps alone", lambda: len(sleepers(seconds)) == 1, 60)
        run.end(signal.SIGINT)
        awake(seconds)
        again.end()
        assert [(one.kind, one.test) for one in project.run.findings] == [("lost", "nap")]
        assert runs(project) == []


def test_a_client_that_is_killed_leaves_nothing_and_holds_nothing(project):
    seconds = f"301.{os.getpid()}"
    write(project, "endless", Run=[{"Name": "look", "Object": "boxA", "Cmd": ["sleep", seconds]}])
    write(project, "short")
    with cluster(project, NAMES[:1]) as (address, _):
        run = Started(project, "run", *arguments(address, "--name", "endless"))
        asleep(seconds)
        run.end(signal.SIGKILL)
        awake(seconds)
        after = project.seatrial("oct", *arguments(address, "--name", "short"))
        assert after.returncode == 0, after.stdout + after.stderr
        assert [result.verdict.value for result in project.run.results] == ["PASS"]
        assert runs(project) == []


def test_an_interrupt_puts_back_and_keeps_what_was_found(project):
    seconds = f"302.{os.getpid()}"
    write(project, "a-short")
    write(project, "endless", Run=[{"Name": "look", "Object": "boxA", "Cmd": ["sleep", seconds]}])
    with cluster(project, NAMES[:1]) as (address, _):
        run = Started(project, "run", *arguments(address))
        asleep(seconds)
        run.end(signal.SIGINT)
        assert run.process.returncode == 2
        awake(seconds)
    assert [result.test for result in project.run.results] == ["a-short::a-short"]
    assert project.run.footer.cause == "interrupted"


def test_tasks_of_the_service_run_on_a_cluster(project):
    write(project, "short")
    with cluster(project, NAMES[:1]) as (address, _):
        words = ("--library", "cases", "--engine", TARGET, "--scheduler", address, "--data", "data")
        service = Started(project, "service", "serve", "--listen", str(project.root / "oct.sock"), *words)
        try:
            service.says("listening on")

            def ask(method, path, body=None):
                connection = UnixConnection(str(project.root / "oct.sock"))
                connection.request(method, path, body)
                answered = json.loads(connection.getresponse().read())
                connection.close()
                return answered

            (host,) = ask("GET", f"/resource?Engine={TARGET}")["Data"]
            assert (host["Name"], host["Distribution"], host["Version"]) == ("alpha", "debian", "12")
            (row,) = ask("GET", "/case")["Data"]
            task = ask("POST", "/task", row["ID"])["Message"]
            assert ask("POST", f"/task/{task}", "apply")["Message"] == "allocated"
            assert ask("POST", f"/task/{task}", "run")["Status"] == "ok"
            done = wait_until("the task is finished", lambda: finished(ask("GET", f"/task/{task}")["Data"]), 90)
            assert done["ending"] == "passed", done
        finally:
            service.end()


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self.path)


def finished(task):
    return task if task["state"] == "finished" else None


def test_whoever_has_no_key_is_not_spoken_to(project):
    write(project, "short")
    assert project.seatrial("oct", "keys", "keys").returncode == 0
    assert project.seatrial("oct", "keys", "others").returncode == 0
    with cluster(project, NAMES[:1], ("--tls", "keys")) as (address, _):
        assert address.startswith("tls://")
        good = project.seatrial("oct", *arguments(address, "--tls", "keys"))
        assert good.returncode == 0, good.stdout + good.stderr
        for options in ((), ("--tls", "others")):
            refused = project.seatrial("oct", *arguments(address, *options))
            assert refused.returncode == 4
            assert refused.stderr.startswith("E715: the scheduler at ")
            assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("words", [("scheduler", "--listen", "0.0.0.0:0"), ("worker", "10.1.2.3:8786"),
                                   ("worker", "127.0.0.1:1", "--listen", "[::]:0"),
                                   ("run", "--scheduler", "host.example:8786")])  # fmt: skip
def test_nothing_is_open_to_others_without_keys(project, words):
    write(project, "short")
    options = ("--library", "cases", "--engine", TARGET) if words[0] == "run" else ()
    refused = project.seatrial("oct", *words, *options)
    assert refused.returncode == 4
    assert refused.stderr.startswith("E713: ")

"""Running cases with containers that are processes: each kind of broken case has its own ending, and nothing stays."""

import contextlib
import importlib.util
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from seatrial import proc
from seatrial.errors import SeatrialError
from seatrial.exec import ExpectationError
from seatrial.oct.bundle import Bundle
from seatrial.oct.hostside import HostSide
from seatrial.oct.model import Case
from seatrial.oct.record import Ending
from seatrial.oct.site import Site
from seatrial.oct.task import HostLostError, Task
from seatrial.waiting import wait_until

_spec = importlib.util.spec_from_file_location("seatrial_oct_fake", Path(__file__).with_name("fake_containers.py"))
fake = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(fake)

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a mount namespace of its own needs root")


def run(**fields):
    return {"Name": "look", "Object": "boxA", **fields}


@pytest.fixture
def trial(bundle, samples, tmp_path):
    """Call it with changes of the sample case to run it; returns the record and the containers."""

    def start(changes=None, files=None, wrong="", progress=lambda _: None):
        root = bundle(changes, files)
        work = tmp_path / "work"
        work.mkdir(exist_ok=True)
        containers = fake.FakeContainers(work, wrong)
        (case,) = Case.load(samples.case(**(changes or {}))).combinations()
        task = Task(case, Bundle(root), containers, progress=progress)
        start.task, start.containers = task, containers
        return task.run()

    return start


def ended(record):
    return record.ending, "\n".join([*record.problems, *record.warnings, *record.leaks])


def test_the_sample_passes_on_evidence(trial):
    record = trial()
    assert ended(record) == (Ending.PASSED, "")
    assert [(step.phase, step.name, step.evidence) for step in record.steps] == [
        ("deploy", "boxA", False), ("run", "look", True),
    ]  # fmt: skip
    assert record.steps[1].stdout == "hello\n"  # without the line of evidence
    assert trial.containers.closed


@pytest.mark.parametrize("wrong", ["helps", "echoes", "outside"])
def test_what_does_not_run_in_a_container_is_never_green(trial, wrong):
    expect = [{"Step": "look", "From": "exit", "Equals": 0}]
    record = trial({"Run": [run(Cmd=["true"])], "Expect": expect}, wrong=wrong)
    assert record.ending is Ending.FAILED
    assert "nothing shows that it ran in the container" in record.problems[0]


def test_a_case_that_only_looks_at_states_needs_evidence_too(trial):
    state = {"Run": [], "Expect": [{"Step": "boxA", "From": "state", "Equals": "running"}]}
    assert trial(state).ending is Ending.PASSED  # its own command has spoken


@pytest.mark.parametrize(
    ("expect", "words"),
    [
        ({"From": "stdout", "Equals": "goodbye"}, "stdout of look: expected 'goodbye', seen 'hello'"),
        ({"From": "stdout", "Match": "^g"}, "stdout of look: expected to match /^g/, seen 'hello'"),
        ({"From": "stdout", "Contains": "x"}, "stdout of look: expected to contain 'x', seen 'hello'"),
        ({"From": "stdout", "Absent": True}, "stdout of look: must be empty, seen 'hello'"),
        ({"From": "stdout", "Equals": "hello", "Negative": True}, "stdout of look: 'hello' is seen, and must not be"),
        ({"From": "exit", "Equals": 3}, "exit of look: expected 3, seen 0"),
        ({"From": "stdout", "JsonPath": "a.b", "Equals": 1}, "stdout of look: it is no JSON: "),
        ({"From": "duration", "Op": "<", "Value": 0}, "duration of look: expected < 0, seen "),
        ({"From": "stdout", "Equals": "goodbye", "Why": "it said so"}, "seen 'hello' (it said so)"),
    ],
)
def test_a_wrong_expectation_fails_with_what_was_seen(trial, expect, words):
    ending, told = ended(trial({"Expect": [{"Step": "look", **expect}]}))
    assert ending is Ending.FAILED
    assert words in told


def test_what_should_hold_only_warns(trial):
    expect = [{"Step": "look", "From": "stdout", "Equals": "x", "Level": "SHOULD"}]
    assert ended(trial({"Expect": expect})) == (Ending.WARNED, "stdout of look: expected 'x', seen 'hello'")


def test_nothing_expected_is_unverified(trial):
    assert trial({"Expect": None}).ending is Ending.UNVERIFIED


def test_a_failing_step_ends_the_run_but_not_the_collecting(trial):
    record = trial({
        "Run": [run(Cmd=["sh", "-c", "echo kept > f; echo why >&2; exit 3"]), run(Name="later", Cmd=["true"])],
        "Collects": [{"Object": "boxA", "Files": ["/f"]}],
    })  # fmt: skip
    ending, told = ended(record)
    assert ending is Ending.FAILED
    assert told.startswith("run look: expected exit code 0, seen 3\n  $ sh -c")
    assert told.endswith("stderr| why")
    assert [step.name for step in record.steps] == ["boxA", "look"]
    assert record.files == {"f": "kept\n"}


def test_a_missing_file_is_a_failure_and_no_text(trial):
    record = trial({"Collects": [{"Object": "boxA", "Files": ["/no"]}]})
    assert ended(record) == (Ending.FAILED, "/no of boxA is to be collected and is not there")
    assert record.files == {}


def test_a_file_that_is_too_large_is_not_taken(trial):
    record = trial({"Run": [run(Cmd=["sh", "-c", "echo 123456789 > f; echo hello"])],
                    "Collects": [{"Object": "boxA", "Files": [{"Path": "/f", "MaxBytes": 4}]}]})  # fmt: skip
    assert record.ending is Ending.FAILED
    assert "too large" in record.problems[0]


def test_a_hang_is_ended_with_its_whole_group(trial, tmp_path):
    began = time.monotonic()
    script = "sleep 600 & echo $$! > pid; wait"
    record = trial({"Run": [run(Cmd=["sh", "-c", script], Timeout=1)]})
    assert record.ending is Ending.TIMEOUT
    assert time.monotonic() - began < 10
    pid = int((tmp_path / "work/boxA/pid").read_text())
    wait_until("the process has ended", lambda: not proc.started(pid), pause=0.01)
    assert trial.containers.operations[-1] == ("boxA", "kill", "KILL")  # the container, not the client only


def test_the_case_has_a_time_of_its_own(trial):
    record = trial({"Timeout": 1, "Run": [run(Cmd=["sleep", "600"])]})
    assert record.ending is Ending.TIMEOUT
    assert record.duration < 10


def test_a_leak_is_a_failure_of_its_own(trial):
    record = trial(wrong="leaks")
    assert (record.ending, record.leaks) == (Ending.LEAKED, ["container boxA of this test cannot be removed"])


def test_a_process_that_a_host_leaves_behind_is_a_leak_and_goes(trial, tmp_path):
    host = {"Deploys": [{"Object": "hostA", "Class": "host", "Cmd": "sleep 600 > /dev/null 2>&1 & echo $$! > ../pid",
                         "Containers": [{"Object": "boxA", "Class": "box"}]}]}  # fmt: skip
    record = trial(host)
    assert record.ending is Ending.LEAKED
    assert record.leaks[0].startswith("process ")
    pid = int((tmp_path / "work/oct-hostA/pid").read_text())
    # The kernel may still be taking the process apart when the mark in its memory is gone.
    wait_until("the process has ended", lambda: not proc.started(pid), pause=0.01)


def test_a_refused_container_is_told_with_the_engines_words(trial):
    ending, told = ended(trial(wrong="refuses"))
    assert ending is Ending.FAILED
    assert "no space left on device" in told


def test_a_refused_container_can_be_what_is_expected(trial):
    deploys = [{"Object": "hostA", "Class": "host",
                "Containers": [{"Object": "boxA", "Class": "box", "ExpectExit": "failure"}]}]  # fmt: skip
    expect = [{"Step": "boxA", "From": "stderr", "Contains": "no space"}]
    record = trial({"Deploys": deploys, "Run": [], "Expect": expect}, wrong="refuses")
    assert record.ending is Ending.UNVERIFIED  # as expected, but nothing ran: a control container is missing
    assert record.problems == ["nothing shows that anything ran in a container"]


def test_a_host_that_goes_away_is_an_error_of_the_harness(trial):
    ending, told = ended(trial(wrong="lost"))
    assert ending is Ending.ERROR
    assert "ConnectionResetError: the host is gone" in told


def test_an_interrupt_collects_destroys_and_goes_on(trial, tmp_path):
    def interrupt():
        until = time.monotonic() + 20
        while not (tmp_path / "work/boxA/started").exists() and time.monotonic() < until:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        trial({"Run": [run(Cmd=["sh", "-c", "echo > started; exec sleep 600"])]})
    assert trial.task.record.ending is Ending.INTERRUPTED
    assert trial.containers.closed


@pytest.fixture
def failing(monkeypatch):
    """Call it with a method of the fake containers and errors to have its first calls raise them."""

    def start(name, *errors):
        real, left = getattr(fake.FakeContainers, name), list(errors)

        def method(self, *args):
            if left:
                raise left.pop(0)
            return real(self, *args)

        monkeypatch.setattr(fake.FakeContainers, name, method)

    return start


COLLECTS = [{"Object": "boxA", "Files": ["/f"]}]
LEFT = [{"Object": "hostA", "Class": "host", "Cmd": "sleep 600 > /dev/null 2>&1 & echo $$! > ../pid",
         "Containers": [{"Object": "boxA", "Class": "box"}]}]  # fmt: skip


@pytest.mark.parametrize("method", ["read", "close"])
def test_an_interrupt_while_putting_back_puts_back_and_goes_on(trial, failing, tmp_path, method):
    failing(method, KeyboardInterrupt("first"), *[KeyboardInterrupt("second")] * (method == "read"))
    with pytest.raises(KeyboardInterrupt, match="first"):
        trial({"Deploys": LEFT, "Collects": COLLECTS})
    assert trial.task.record.ending is Ending.INTERRUPTED
    assert trial.containers.closed
    pid = int((tmp_path / "work/oct-hostA/pid").read_text())
    wait_until("the process has ended", lambda: not proc.started(pid), pause=0.01)


def test_a_second_interrupt_is_no_way_around_destroying(trial, failing):
    failing("exec", KeyboardInterrupt("first"))
    failing("read", KeyboardInterrupt("second"))
    with pytest.raises(KeyboardInterrupt, match="first"):
        trial({"Collects": COLLECTS})
    assert trial.containers.closed


@pytest.mark.parametrize(
    "error", [OSError("x"), SeatrialError("E702", "x"), ValueError("x"), KeyError("x"), KeyboardInterrupt("x")]
)
def test_what_breaks_in_one_step_of_destroy_spares_nothing_after_it(trial, tmp_path, monkeypatch, error):
    ran = []

    def run_(self, name, argv, *_):
        ran.append(argv)
        raise error

    monkeypatch.setattr(HostSide, "run", run_)
    destroy = [{"Object": "hostA", "Cmd": ["one"]}, {"Object": "hostA", "Cmd": ["two"]}]
    interrupted = isinstance(error, KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt) if interrupted else contextlib.nullcontext():
        trial({"Destroy": destroy})
    assert ran == [["one"], ["two"]]
    assert trial.containers.closed
    assert trial.task.record.ending is (Ending.INTERRUPTED if interrupted else Ending.ERROR)


def test_a_progress_that_cannot_be_told_leaves_nothing_behind(trial):
    def tell(record):
        if record.state == "destroying":
            raise OSError("no space left")

    record = trial(progress=tell)
    assert ended(record) == (Ending.ERROR, "while destroying: OSError: no space left")
    assert trial.containers.closed


@pytest.mark.parametrize("error", [KeyError("boxA"), TypeError("x"), RuntimeError("x")])
def test_a_defect_of_the_harness_is_an_error_and_no_interruption(trial, failing, error):
    failing("exec", error)
    record = trial()
    assert ended(record) == (Ending.ERROR, f"{type(error).__name__}: {error}")
    assert trial.containers.closed


def test_what_the_target_cannot_do_is_unsupported(trial, failing):
    failing("exec", SeatrialError("E704", "a runtime does not do that", "the case asks it"))
    record = trial({"Collects": COLLECTS})
    assert record.ending is Ending.UNSUPPORTED
    assert record.message.splitlines()[0] == "E704: a runtime does not do that"


def test_another_error_with_a_code_is_none_of_the_targets(trial, failing):
    failing("exec", SeatrialError("E702", "x E704"))
    assert trial().ending is Ending.ERROR


def test_what_is_unsupported_may_leave_nothing_behind_either(trial, failing):
    failing("exec", SeatrialError("E704", "x"))
    assert trial(wrong="leaks").ending is Ending.LEAKED


def test_a_background_step_is_ready_before_the_next(trial):
    serve = run(Name="serve", Cmd="sleep 0.5; echo ready; sleep 600", Background=True,
                WaitFor={"LogMatch": "^ready$", "Timeout": 20})  # fmt: skip
    record = trial({"Run": [serve, run(Cmd=["echo", "hello"])],
                    "Expect": [{"Step": "serve", "From": "stdout", "Equals": "ready"}]})  # fmt: skip
    assert ended(record) == (Ending.PASSED, "")
    assert record.steps[1].evidence


@pytest.mark.parametrize(
    ("script", "words"),
    [("echo broken; exit 4", "it ended with exit code 4 before /never/ is in its output"),
     ("sleep 600", "waited 1 s in vain until /never/ is in its output")],
)  # fmt: skip
def test_a_background_step_that_is_never_ready_fails(trial, script, words):
    serve = run(Cmd=script, Background=True, WaitFor={"LogMatch": "never", "Timeout": 1})
    ending, told = ended(trial({"Run": [serve]}))
    assert ending is Ending.FAILED
    assert words in told


def test_a_background_step_that_ends_badly_is_told(trial):
    serve = run(Name="serve", Cmd="echo ready; exit 5", Background=True, WaitFor={"LogMatch": "ready"})
    record = trial({"Run": [serve, run(Cmd=["sleep", "0.3"])],
        "Expect": [{"Step": "look", "From": "exit", "Equals": 0}]})
    assert record.ending is Ending.FAILED
    assert "serve, in the background: expected exit code 0, seen 5" in record.problems[0]


def test_hosts_have_their_files_and_a_directory_of_their_own(trial):
    changes = {
        "Deploys": [{"Object": "hostA", "Class": "host", "Files": ["source/t.sh"], "Cmd": "./t.sh",
                     "Containers": [{"Object": "boxA", "Class": "box"}]}],
        "Run": [run(Cmd=["echo", "hello"]), {"Name": "host", "Object": "hostA", "Cmd": ["cat", "made"]}],
        "Collects": [{"Object": "hostA", "Files": ["made"]}],
        "Expect": [{"Step": "host", "From": "stdout", "Equals": "fake l=1"},
                   {"From": "file", "Path": "made", "Equals": "fake l=1"}],
    }  # fmt: skip
    record = trial(changes, {"source/t.sh": "#!/bin/sh\necho $OCT_ENGINE $OCT_LABEL > made\n"})
    assert ended(record) == (Ending.PASSED, "")


@pytest.mark.parametrize(
    ("script", "path", "words"),
    [("ln -s /etc/passwd out", "out", "it lies outside"), ("ln -s ../../boxA out", "out/.out", "it lies outside"),
     ("true", "/etc/passwd", "from /tmp only"), ("true", "/tmp/../etc/passwd", "from /tmp only"),
     ("mkdir out", "out", "is not there")],
)  # fmt: skip
def test_nothing_but_the_cases_own_files_is_collected_from_a_host(trial, script, path, words):
    deploys = [{"Object": "hostA", "Class": "host", "Cmd": script, "Containers": [{"Object": "boxA", "Class": "box"}]}]
    record = trial({"Deploys": deploys, "Collects": [{"Object": "hostA", "Files": [path]}]})
    assert record.ending is Ending.FAILED
    assert words in record.problems[0]
    assert record.files == {}


def test_variables_of_run_and_containers(trial):
    record = trial({"Run": [run(Cmd=["echo", "${boxA.name} ${boxA.address} ${nonce} $${x}"])],
                    "Expect": [{"Step": "look", "From": "stdout",
                        "Equals": "${boxA.name} 127.0.0.1 ${nonce} $${x}"}]})  # fmt: skip
    assert ended(record) == (Ending.PASSED, "")


def saying(text, **expect):
    return {"Run": [run(Cmd=["echo", text])], "Expect": [{"Step": "look", "From": "stdout", **expect}]}


@pytest.mark.parametrize("address", ["${boxA.address}", "${boxA.name}", "${boxA.id}", "$$"])
def test_what_is_negative_is_compared_with_the_words_of_the_run(trial, address):
    record = trial(saying(address, Contains=address, Negative=True))
    assert record.ending is Ending.FAILED
    assert "is seen, and must not be" in record.problems[0]


@pytest.mark.parametrize("field", ["Equals", "Contains", "Match"])
def test_each_way_to_compare_knows_all_variables(trial, field):
    assert ended(trial(saying("a ${boxA.address}", **{field: "a ${boxA.address}"}))) == (Ending.PASSED, "")


def test_a_dollar_sign_is_one_in_what_is_expected(trial):
    assert ended(trial(saying("a$$b", Op="==", Value="a$$b\n"))) == (Ending.PASSED, "")
    assert trial.task.record.steps[-1].stdout == "a$b\n"


@pytest.mark.parametrize("negative", [True, False])
def test_nothing_is_compared_with_a_variable_that_has_no_value(trial, monkeypatch, negative):
    monkeypatch.setattr(fake.FakeContainers, "variables", lambda *_: {"name": "n", "id": "i", "address": ""})
    record = trial(saying("hello", Contains="${boxA.address}", Negative=negative))
    assert ended(record) == (Ending.FAILED, "Expect: ${boxA.address} has no value on this target")


def test_what_was_known_of_a_container_outlives_it(trial, monkeypatch):
    seen = {"running": "10.0.0.7"}
    monkeypatch.setattr(fake.FakeContainers, "variables", lambda self, name: {
        "name": "n", "id": "i", "address": seen.get(self.containers[name]["state"], "")})  # fmt: skip
    changes = saying("${boxA.address}", Equals="${boxA.address}")
    changes["Run"].append({"Name": "stop", "Object": "boxA", "Op": "stop"})
    assert ended(trial(changes)) == (Ending.PASSED, "")


def test_a_container_is_made_of_expanded_texts(trial):
    box = {"Object": "boxA", "Class": "box", "Env": {"A": "$$x ${task}"}, "Cwd": "/$$w", "User": "$$u${case}",
           "Args": {"Hostname": "h$$${case}", "Tmpfs": ["/t$$"]}}  # fmt: skip
    trial({"Deploys": [{"Object": "hostA", "Class": "host", "Containers": [box]}]})
    made = trial.containers.made["boxA"]
    assert (made.env, made.cwd, made.user) == ({"A": f"$x {trial.task.record.task}"}, "/$w", "$usample")
    assert made.args == {"Hostname": "h$sample", "Tmpfs": ["/t$"]}


def test_directories_users_and_waits_have_variables_too(trial):
    serve = run(Name="serve", Cmd=["sh", "-c", "echo ${nonce}; exec sleep 600"], Background=True, User="$$${case}",
                WaitFor={"LogMatch": "^${nonce}$", "Timeout": 20})  # fmt: skip
    touch = run(Name="touch", Cmd=["touch", "${task}"], WaitFor={"File": "/${task}", "Timeout": 5})
    where = {"Name": "where", "Object": "hostA", "Cmd": "basename $$(pwd)", "Cwd": "${boxA.name}"}
    last = {"Object": "hostA", "Cmd": "basename $$(pwd)", "Cwd": "${case}"}
    record = trial({"Run": [serve, touch, where], "Destroy": [last],
                    "Expect": [{"Step": "where", "From": "stdout", "Equals": "fake-boxA"}]})  # fmt: skip
    assert ended(record) == (Ending.PASSED, "")
    assert trial.containers.started == [("$sample", "")]
    assert record.steps[-1].stdout == "sample\n"


def test_a_container_is_waited_for_by_expanded_words(trial):
    box = {"Object": "boxA", "Class": "box", "Cmd": ["sh", "-c", "echo ${nonce}; exec sleep 600"],
           "WaitFor": {"LogMatch": "^${nonce}$", "Timeout": 5}}  # fmt: skip
    assert ended(trial({"Deploys": [{"Object": "hostA", "Class": "host", "Containers": [box]}]})) == (Ending.PASSED, "")


def test_two_runs_have_two_nonces(trial, bundle):
    record = trial({"Run": [run(Cmd=["echo", "${nonce}"])],
        "Expect": [{"Step": "look", "From": "stdout", "Match": "^n\\d"}]})
    first = record.steps[-1].stdout
    assert trial.task.nonce.text == first.strip()
    assert Task(trial.task.case, trial.task.bundle, trial.containers).nonce.text != first.strip()


@pytest.mark.parametrize(("seen", "ending"), [(95, Ending.PASSED), (89, Ending.FAILED), (200, Ending.PASSED)])
def test_metrics_are_kept_and_held_against_their_baseline(trial, seen, ending):
    metric = {"Name": "speed", "Unit": "1/s", "Better": "higher", "Baseline": 100, "Tolerance": 10}
    expect = [{"Step": "look", "From": "stdout", "Match": "is (\\d+)", "Metric": metric}]
    record = trial({"Run": [run(Cmd=["echo", f"it is {seen}"])], "Expect": expect})
    assert record.ending is ending
    assert record.metrics["speed"]["value"] == seen


def test_states_are_told_phase_by_phase(trial):
    seen = []
    trial(progress=lambda record: seen.append(record.state))
    assert seen == ["deploying", "running", "collecting", "destroying", "finished"]


TWO_HOSTS = [
    {"Object": name, "Class": "host", "Containers": [{"Object": f"box{name}", "Class": "box"}]} for name in ("A", "B")
]


@pytest.fixture
def pair(bundle, samples, tmp_path):
    """Call it with the steps of a case of the hosts A and B; returns its record, and the containers of each."""

    def start(steps, expect, site=Site):
        changes = {"Deploys": TWO_HOSTS, "Run": steps, "Expect": expect}
        files = Bundle(bundle(changes))
        made = []
        for name in "AB":
            (tmp_path / name).mkdir()
            made.append(fake.FakeContainers(tmp_path / name))
        made[1].label = "l=2"
        (case,) = Case.load(samples.case(**changes)).combinations()
        task = Task(case, files, made[0], away={"B": site(made[1], files, "there")})
        return task.run(), made

    return start


def test_a_container_that_is_gone_when_its_peaks_are_read_costs_no_verdict(trial, monkeypatch):
    def pid(*_):
        raise ExpectationError("`state` reports no process id: 0")

    monkeypatch.setattr(fake.FakeContainers, "pid", pid)
    record = trial()
    assert ended(record) == (Ending.PASSED, "")
    assert record.peaks == {"boxA": {}}


def test_each_host_has_its_own_containers_directories_and_words(pair):
    record, (here, there) = pair(
        [run(Name="a", Object="boxA", Cmd=["echo", "${label}"]), run(Name="b", Object="boxB", Cmd=["echo", "${label}"]),
         run(Name="mark", Object="A", Cmd=["touch", "mark"]),
         run(Name="none", Object="B", Cmd=["test", "!", "-e", "mark"]),
         run(Name="serve", Object="B", Cmd="echo up; exec sleep 600", Background=True, WaitFor={"LogMatch": "up"})],
        [{"Step": "a", "From": "stdout", "Equals": "l=1"}, {"Step": "b", "From": "stdout", "Equals": "l=2"},
         {"Step": "serve", "From": "stdout", "Equals": "up"}],
    )  # fmt: skip
    assert ended(record) == (Ending.PASSED, "")
    assert (list(here.containers), list(there.containers)) == (["boxA"], ["boxB"])
    assert here.closed
    assert there.closed


def test_a_host_that_goes_away_is_lost_and_the_other_is_put_back(pair):
    class Gone(Site):
        def exec(self, *_):
            raise HostLostError("the host B was lost: connection reset")

        def close(self):
            raise HostLostError("the host B was lost: connection reset")

    expect = [{"Step": "look", "From": "exit", "Equals": 0}]
    record, (here, there) = pair([run(Object="boxB", Cmd=["true"])], expect, Gone)
    assert ended(record) == (Ending.LOST, "the host B was lost: connection reset")
    assert here.closed
    assert not there.closed
    there.close()  # what the host itself would be rid of

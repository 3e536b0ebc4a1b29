"""Signals: who gets them, what the client forwards, and containers of several processes."""

import signal
import time

import pytest

from seatrial.exec import FAILURE
from seatrial.waiting import wait_until

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires
case = pytest.param
# writes the name of each signal that it gets, until it is told to end
RECORDER = """for s in HUP INT QUIT TERM USR1 USR2; do trap "echo got-$s" $s; done
echo ready; while [ ! -e /end ]; do sleep 0.1; done; exit 33"""


@claim("cli-086")
def test_signal_goes_to_init_alone(engine):
    child = "sh -c 'trap \"echo child-got-it\" USR1; echo child-ready; while :; do sleep 0.1; done'"
    c = engine.run(engine.image, "sh", "-c", f"trap 'echo init-got-it' USR1; {child} & while :; do sleep 0.1; done")
    c.until_log("child-ready")
    engine.cli("kill", "--signal", "USR1", c.name)
    c.until_log("init-got-it")
    engine.cli("kill", "--signal", "USR1", c.name)
    c.until("a second signal", lambda: c.logs().stdout.count("init-got-it") == 2)
    assert "child-got-it" not in c.logs().output


@claim("cli-086")
def test_end_of_init_ends_its_children(engine):
    c = engine.run(engine.image, "sh", "-c", "sleep 4711 & sleep 4712 & while :; do sleep 0.1; done")
    c.until("children", lambda: len(c.kernel.cgroup_processes) >= 3)
    kernel = c.kernel
    processes = kernel.cgroup_processes
    engine.cli("kill", c.name)
    c.until("exited", lambda: c.status == "exited")
    c.until("no process left", lambda: not any((kernel.proc.parent / str(pid)).exists() for pid in processes))


@claim("cli-086", "cli-210")
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1], ids=lambda n: n.name)
def test_client_forwards_its_signals(engine, send_signal, number):
    c = engine.name()
    talk = engine.spawn("run", "--name", c, engine.image, "sh", "-c", RECORDER)
    talk.wait_for("ready")
    send_signal(talk, number)
    talk.wait_for(f"got-{number.name.removeprefix('SIG')}")
    assert engine.inspect(c)["State"]["Status"] == "running"
    engine.cli("exec", c, "touch", "/end")
    talk.wait(33)


@claim("cli-086", "cli-210")
@effect("run --sig-proxy")
def test_client_keeps_signals_to_itself_when_told(engine, send_signal):
    c = engine.name()
    talk = engine.spawn("run", "--sig-proxy=false", "--name", c, engine.image, "sh", "-c", RECORDER)
    talk.wait_for("ready")
    send_signal(talk, signal.SIGTERM)
    engine.cli("kill", "--signal", "USR2", c)
    wait_until("the other signal", lambda: "got-USR2" in engine.cli("logs", c).stdout)
    assert "got-TERM" not in engine.cli("logs", c).stdout
    assert engine.inspect(c)["State"]["Running"] is True


@claim("cli-086", "cli-089")
def test_init_forwards_and_reaps(engine):
    orphans = "sh -c 'sleep 0.2 & exit'; trap 'echo got-it; exit 9' TERM; echo ready; while :; do sleep 0.1; done"
    c = engine.run("--init", engine.image, "sh", "-c", orphans)
    c.until_log("ready")
    assert c.kernel.argv[0] != "sh"
    c.until("orphan reaped", lambda: not zombies(c))
    engine.cli("stop", c.name)
    c.until("exited", lambda: c.status == "exited")
    assert (c.state["ExitCode"], "got-it" in c.logs().stdout) == (9, True)


def zombies(c):
    stats = [(c.kernel.proc.parent / str(pid) / "stat") for pid in c.kernel.cgroup_processes]
    return [path for path in stats if path.exists() and path.read_text().rpartition(")")[2].split()[0] == "Z"]


@claim("cli-129", "cli-089")
def test_container_lives_while_its_supervisor_lives(engine):
    supervisor = "sleep 4712 & sleep 4711 & echo child-$!; while :; do sleep 0.1; done"
    c = engine.run(engine.image, "sh", "-c", supervisor)
    child = c.until_log(r"child-\d").partition("child-")[2].strip()
    c.exec("kill", child)
    c.until("one child less", lambda: "sleep 4711" not in c.exec("ps", "-o", "args").lines)
    assert "sleep 4712" in c.exec("ps", "-o", "args").lines
    assert c.status == "running"


@claim("cli-086", "cli-019", "cli-115")
@pytest.mark.parametrize("words", [("BOGUS", "0", "65", "99999", "SIG", "SIGSIG", "TERM "), ("-1",)],
                         ids=["unknown", "negative"])  # fmt: skip
def test_unknown_signals_are_refused_and_not_sent(engine, words):
    c = engine.run()
    for word in words:
        refused = engine.fails("kill", f"--signal={word}", c.name, says="invalid_signal", code=engine.code("error"))
        assert refused.stdout == ""
        assert c.kernel.alive


@claim("cli-131", "cli-209")
def test_interrupt_typed_on_the_terminal_reaches_the_main_process(engine):
    c = engine.name()
    talk = engine.spawn("run", "--interactive", "--tty", "--name", c, engine.image, "sh", "-c", RECORDER, tty=True)
    talk.wait_for("ready")
    talk.send("\x03")
    talk.wait_for("got-INT")
    assert engine.inspect(c)["State"]["Status"] == "running"
    engine.cli("exec", c, "touch", "/end")
    talk.wait(33)


@claim("cli-130")
@effect("run --detach-keys")
@pytest.mark.parametrize(
    ("options", "keys"),
    [case((), b"\x10\x11", id="ctrl-p-ctrl-q"), case(("--detach-keys", "ctrl-x,y"), b"\x18y", id="keys-of-the-users")],
)  # fmt: skip
def test_detach_keys_leave_the_container_running(engine, options, keys):
    c = engine.name()
    talk = engine.spawn("run", "--interactive", "--tty", *options, "--name", c, engine.image, "sh", "-c", RECORDER,
                        tty=True)  # fmt: skip
    talk.wait_for("ready")
    for key in keys:
        time.sleep(0.5)  # as typed: an engine may look for each key in a read of its own
        talk.send(bytes([key]))
    talk.wait(0)
    assert engine.inspect(c)["State"]["Status"] == "running"
    assert "got-" not in engine.cli("logs", c).output


@claim("cli-130", "cli-115")
def test_bad_detach_keys_are_refused(engine):
    talk = engine.spawn("run", "--rm", "--interactive", "--tty", "--detach-keys", "ctrl-", engine.image, "true",
                        tty=True)  # fmt: skip
    talk.wait_for(engine.says("bad_detach_keys"))
    talk.wait(FAILURE)

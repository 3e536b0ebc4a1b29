"""`stop`, `kill`, `restart` and `wait`: signals, time limits, exit codes."""

import time
from datetime import datetime

import pytest

from seatrial.expecting import exactly, one

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires

LISTENER = ("for s in HUP INT QUIT USR1 USR2 TERM WINCH CONT; do trap \"echo got-$s\" $s; done; "
            "trap 'echo got-RT' 36; echo ready; while :; do sleep 0.1; done")  # fmt: skip
STUBBORN = "trap 'echo ignored' TERM; echo ready; while :; do sleep 0.1; done"


@pytest.fixture
def stubborn(engine):
    c = engine.run(engine.image, "sh", "-c", STUBBORN)
    c.until_log("ready")
    return c


def seconds(stamp):
    """Return a time as engines write it as seconds."""
    return datetime.fromisoformat(stamp).timestamp()


def said(c, word):
    """Return when a container said a word, in seconds; the machine's load is not in it."""
    return [seconds(line.split()[0]) for line in c.logs("--timestamps").lines if line.endswith(f" {word}")]


def grace(c):
    """Return how long a container lived after it had ignored its stop signal."""
    ignored = one(said(c, "ignored"))
    return seconds(c.state["FinishedAt"]) - ignored


@claim("cli-029")
def test_stop_sends_term_and_keeps_the_exit_code_of_the_handler(engine):
    c = engine.run(engine.image, "sh", "-c", "trap 'echo bye; exit 19' TERM; echo ready; while :; do sleep 0.1; done")
    c.until_log("ready")
    kernel = c.kernel
    assert engine.cli("stop", c.name).stdout == f"{c.name}\n"
    assert not kernel.alive
    assert (c.state["ExitCode"], c.state["Running"]) == (19, False)
    assert c.logs().stdout == "ready\nbye\n"
    assert c.state["FinishedAt"] > c.state["StartedAt"]


@claim("cli-029")
@effect("stop --time")
def test_stop_kills_what_does_not_end_in_time(engine, stubborn):
    kernel = stubborn.kernel
    engine.cli("stop", "--time", "3", stubborn.name)
    assert 2 <= grace(stubborn) < 8
    assert not kernel.alive
    assert stubborn.state["ExitCode"] == 137


@claim("cli-029")
@effect("run --stop-timeout")
def test_stop_timeout_of_the_container_is_the_default(engine):
    c = engine.run("--stop-timeout", "3", engine.image, "sh", "-c", STUBBORN)
    c.until_log("ready")
    engine.cli("stop", c.name)
    assert 2 <= grace(c) < 8
    assert c.state["ExitCode"] == 137


@claim("cli-029")
@pytest.mark.slow
def test_stop_waits_ten_seconds_by_default(engine, stubborn):
    engine.cli("stop", stubborn.name)
    assert 9 <= grace(stubborn) < 16


@claim("cli-029")
def test_stop_without_time_kills_at_once(engine, stubborn):
    began = time.time()
    engine.cli("stop", "--time", "0", stubborn.name)
    assert seconds(stubborn.state["FinishedAt"]) - began < 9
    assert stubborn.state["ExitCode"] == 137


@claim("cli-029")
@effect("run --stop-signal")
def test_stop_uses_the_stop_signal_of_the_container(engine):
    c = engine.run("--stop-signal", "USR1", engine.image, "sh", "-c", "trap 'exit 31' USR1; trap '' TERM; echo ready; "
                   "while :; do sleep 0.1; done")  # fmt: skip
    c.until_log("ready")
    engine.cli("stop", c.name)
    assert c.state["ExitCode"] == 31


@claim("cli-029")
def test_an_unknown_stop_signal_is_refused(engine):
    name = engine.name()
    for signal in ("NOSUCH", "0"):
        engine.fails("run", "--rm", "--name", name, f"--stop-signal={signal}", engine.image, "true",
                     says="invalid_signal", code=125)  # fmt: skip
    assert not engine.exists(name)


@claim("cli-029")
def test_stop_of_stopped_and_created_containers_changes_nothing(engine):
    stopped, created = engine.run(engine.image, "sh", "-c", "exit 4"), engine.create()
    stopped.wait()
    before = stopped.state["FinishedAt"]
    told = engine.cli("stop", stopped.name, created.name).lines
    assert sorted(told) == sorted([stopped.name, created.name])  # stopped at the same time, told as they end
    assert (stopped.state["FinishedAt"], stopped.state["ExitCode"]) == (before, 4)
    assert created.state["Running"] is False


@claim("cli-029")
@pytest.mark.parametrize("verb", ["stop", "restart"])
def test_a_time_that_is_no_number_is_refused(engine, verb):
    c = engine.run()
    for words in ("abc", "1.5", "99999999999999999999"):
        engine.fails(verb, "--time", words, c.name, says="invalid argument", code=engine.code("usage"))
    assert c.kernel.alive


@claim("cli-029", "cli-019")
def test_an_end_on_a_signal_without_handler_is_128_and_its_number(engine):
    c = engine.run("--init")
    engine.cli("stop", c.name)
    assert c.state["ExitCode"] == 143


@claim("cli-019")
def test_kill_ends_the_process_at_once(engine, stubborn):
    kernel = stubborn.kernel
    assert engine.cli("kill", stubborn.name).stdout == f"{stubborn.name}\n"
    assert stubborn.wait() == 137
    assert not kernel.alive
    assert "ignored" not in stubborn.logs().stdout
    assert stubborn.state["OOMKilled"] is False


@claim("cli-019")
@effect("kill --signal")
def test_kill_sends_the_signal_that_was_named(engine):
    c = engine.run(engine.image, "sh", "-c", LISTENER)
    c.until_log("ready")
    for spelling, name in (("USR1", "USR1"), ("SIGUSR2", "USR2"), ("1", "HUP"), ("int", "INT"), ("sigquit", "QUIT"),
                           ("15", "TERM"), ("WINCH", "WINCH"), ("36", "RT")):  # fmt: skip
        engine.cli("kill", "--signal", spelling, c.name)
        c.until(f"{spelling} to arrive", lambda name=name: f"got-{name}\n" in c.logs().stdout)
    assert c.state["Running"] is True


@claim("cli-019")
def test_kill_knows_real_time_signals(engine):
    c = engine.run(engine.image, "sh", "-c", LISTENER)
    c.until_log("ready")
    for count, signal in enumerate(("RTMIN+2", "SIGRTMIN+2"), start=1):
        engine.cli("kill", "--signal", signal, c.name)
        c.until(f"{signal} to arrive", lambda count=count: c.logs().stdout.count("got-RT") == count)


@claim("cli-019")
def test_a_process_one_without_handler_ignores_term(engine):
    c = engine.run()
    engine.cli("kill", "--signal", "TERM", c.name)
    time.sleep(0.5)
    assert c.kernel.alive
    assert c.kernel.argv == ["sleep", "3600"]


@claim("cli-019")
def test_kill_of_what_does_not_run_is_refused(engine):
    created, ended = engine.create(), engine.run(engine.image, "true")
    ended.wait()
    for c in (created, ended):
        refused = engine.fails("kill", c.name, says="not_running", code=engine.code("error"))
        assert refused.stdout == ""


@claim("cli-019")
def test_kill_reaches_a_process_of_another_user(engine):
    c = engine.run("--user", "nobody")
    assert c.kernel.status["Uid"].split()[0] == "65534"
    engine.cli("kill", c.name)
    assert c.wait() == 137


@claim("cli-025")
def test_restart_gives_the_same_container_a_new_process(engine):
    c = engine.run("--volume", "/data", engine.image, "sh", "-c",
                   "trap 'exit 0' TERM; echo run >>/count; date >/data/f; while :; do sleep 0.1; done")  # fmt: skip
    c.until("the first count", lambda: c.sh("cat /count 2>/dev/null || true").text)
    before = c.inspect()
    assert engine.cli("restart", c.name).stdout == f"{c.name}\n"
    after = c.inspect()
    c.until("the second count", lambda: c.read("/count").split() == ["run", "run"])
    assert after["Id"] == before["Id"] == c.id
    assert after["State"]["StartedAt"] > before["State"]["StartedAt"]
    assert after["State"]["Pid"] != before["State"]["Pid"]
    assert after["Mounts"] == before["Mounts"] != []


@claim("cli-025")
def test_restart_honours_the_time(engine):
    c = engine.run("--stop-timeout", "120", engine.image, "sh", "-c", STUBBORN)
    c.until_log("ready")
    pid = c.pid
    engine.cli("restart", "--time", "3", c.name)
    assert c.pid not in (0, pid)
    _, again = exactly(2, c.until("its second start", lambda: (times := said(c, "ready"))[1:] and times))
    assert 2 <= again - one(said(c, "ignored")) < 60


@claim("cli-025")
def test_restart_starts_what_does_not_run(engine):
    created, ended = engine.create(), engine.run(engine.image, "sh", "-c", "test -e /flag && sleep 3600; touch /flag")
    ended.wait()
    engine.cli("restart", created.name, ended.name)
    assert created.kernel.argv == ["sleep", "3600"]
    assert ended.kernel.alive


@claim("cli-025", "cli-214")
def test_restart_keeps_a_container_that_is_removed_at_its_end(engine):
    c = engine.run("--rm")
    pid = c.pid
    engine.cli("restart", "--time", "0", c.name)
    assert c.pid not in (0, pid)
    assert c.inspect()["Id"] == c.id


@claim("cli-033")
def test_wait_blocks_until_the_end_and_prints_the_code(engine):
    c = engine.run(engine.image, "sh", "-c", "while [ ! -e /go ]; do sleep 0.1; done; exit 23")
    talk = engine.spawn("wait", c.name)
    time.sleep(1)
    assert talk.process.poll() is None
    assert talk.stdout == ""
    c.sh("touch /go")
    assert talk.wait(0).stdout == "23\n"


@claim("cli-033")
def test_wait_returns_at_once_for_what_has_ended(engine):
    first, second = (engine.run(engine.image, "sh", "-c", f"exit {code}") for code in (3, 0))
    engine.cli("wait", first.name, second.name)
    assert engine.cli("wait", second.name, first.name, timeout=10).stdout == "0\n3\n"


@claim("cli-033")
def test_wait_prints_137_for_what_was_killed(engine):
    c = engine.run()
    talk = engine.spawn("wait", c.name)
    time.sleep(0.5)
    engine.cli("kill", c.name)
    assert talk.wait(0).stdout == "137\n"


@claim("cli-033")
def test_wait_with_an_unknown_name_fails(engine):
    c = engine.run(engine.image, "sh", "-c", "exit 8")
    c.wait()
    refused = engine.fails("wait", c.name, "no-such-container", says="no_such_container", code=engine.code("error"))
    assert refused.stdout == ("" if engine.trait("all_names_or_none") else "8\n")

"""`attach` and `logs`: what a container says, now and before."""

import re
import signal
import time
from datetime import datetime

import pytest

from seatrial.exec import FAILURE
from seatrial.expecting import matched

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires

TALKER = "echo early; n=0; while :; do n=$((n+1)); echo line $n; sleep 0.2; done"
TWICE = "echo out 1; echo err 1 >&2; sleep 0.1; echo out 2; echo err 2 >&2"
STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(Z|[+-]\d\d:\d\d)"


def attached(engine, code):
    """Return the exit code of `attach` when the container ends with `code`."""
    return code if engine.trait("attach_ends_with_the_code") else 0


@claim("cli-011")
def test_attach_shows_what_is_said_from_now_on(engine):
    c = engine.run(engine.image, "sh", "-c", TALKER)
    c.until_log("line 2")
    talk = engine.spawn("attach", "--no-stdin", c.name)
    first = talk.wait_for(r"^line \d+$")
    assert first not in ("line 1", "line 2")
    assert "early" not in talk.stdout
    engine.cli("kill", c.name)
    talk.wait(attached(engine, 137))


@claim("cli-011")
def test_attach_serves_several_clients_alike(engine):
    c = engine.run(engine.image, "sh", "-c", "while [ ! -e /go ]; do sleep 0.1; done; echo for all; sleep 0.3; exit 11")
    talks = [engine.spawn("attach", "--no-stdin", c.name) for _ in range(2)]
    time.sleep(1.5)  # nothing tells from outside that a client is attached
    c.sh("touch /go")
    for talk in talks:
        assert talk.wait(attached(engine, 11)).text == "for all"


@claim("cli-011")
def test_attach_passes_input(engine):
    c = engine.run("--interactive", engine.image, "sh", "-c", "read line; echo got $line; exit 12")
    talk = engine.spawn("attach", c.name)
    talk.send("to the container\n")
    talk.wait_for("got to the container")
    talk.wait(attached(engine, 12))


@claim("cli-011")
@effect("attach --no-stdin")
def test_attach_without_input_keeps_its_own_to_itself(engine):
    c = engine.run("--interactive", engine.image, "sh", "-c", "echo ready; read line; echo got $line; exit 12")
    deaf = engine.spawn("attach", "--no-stdin", c.name)
    deaf.send("from the deaf\n")
    time.sleep(1.5)  # nothing tells from outside that a client has sent nothing
    assert c.logs().stdout == "ready\n"
    talk = engine.spawn("attach", c.name)
    talk.send("from the other\n")
    for client in (talk, deaf):
        client.wait_for("got from the other")
        client.wait(attached(engine, 12))


@claim("cli-011")
@effect("attach --detach-keys")
@pytest.mark.parametrize(("options", "keys"), [([], "\x10\x11"), (["--detach-keys", "ctrl-a,x"], "\x01x")],
                         ids=["default", "own"])  # fmt: skip
def test_detach_keys_leave_the_container_running(engine, options, keys):
    c = engine.run("--interactive", "--tty", engine.image, "sh", "-c",
                   "while read word; do echo got $word; done")  # fmt: skip
    for word in ("first", "second"):
        talk = engine.spawn("attach", *options, c.name, tty=True)
        talk.send(f"{word}\n")
        talk.wait_for(f"got {word}")
        for key in keys:
            time.sleep(0.3)  # a client sees a key only when it comes alone
            talk.send(key)
        talk.wait(engine.code("attach_detached"))
        assert c.kernel.alive
    assert c.status == "running"


@claim("cli-011", "cli-115")
def test_wrong_detach_keys_are_refused(engine):
    c = engine.run("--interactive", "--tty", engine.image, "sh")
    talk = engine.spawn("attach", "--detach-keys", "ctrl-", c.name, tty=True)
    talk.wait_for(engine.says("bad_detach_keys"))
    talk.wait(FAILURE, timeout=10)
    assert c.kernel.alive


@claim("cli-011", "cli-210")
def test_attach_forwards_signals(engine, send_signal):
    c = engine.run(engine.image, "sh", "-c", "trap 'echo got HUP; exit 14' HUP; while :; do echo tick; sleep 0.2; done")
    talk = engine.spawn("attach", "--no-stdin", c.name)
    talk.wait_for("tick")
    send_signal(talk, signal.SIGHUP)
    talk.wait(attached(engine, 14))
    assert "got HUP" in c.logs().stdout


@claim("cli-011")
def test_attach_to_what_does_not_run_is_refused(engine):
    c = engine.run(engine.image, "true")
    c.until("its end", lambda: not c.state["Running"])
    engine.fails("attach", c.name, says="cannot attach to a stopped|can only attach to running",
                 code=engine.code("error"))  # fmt: skip


@claim("cli-011", "cli-021")
@requires("freezer")
def test_attach_to_a_paused_container_is_refused(engine):
    c = engine.run()
    engine.cli("pause", c.name)
    engine.fails("attach", "--no-stdin", c.name, says="cannot attach to a paused|can only attach to running",
                 code=engine.code("error"))  # fmt: skip
    engine.cli("unpause", c.name)


@claim("cli-020")
def test_logs_keep_the_streams_apart(engine):
    c = engine.run(engine.image, "sh", "-c", TWICE)
    c.wait()
    seen = c.logs()
    assert (seen.stdout, seen.stderr) == ("out 1\nout 2\n", "err 1\nerr 2\n")


@claim("cli-020")
@effect("logs --tail")
def test_tail_takes_the_last_lines(engine):
    c = engine.run(engine.image, "seq", "10")
    c.wait()
    for tail, expected in (("0", 0), ("1", 1), ("7", 7), ("10", 10), ("11", 10), ("-1", 10), ("99999999", 10)):
        assert c.logs("--tail", tail).lines == [str(number) for number in range(11 - expected, 11)]


@claim("cli-020")
@effect("logs --timestamps")
def test_timestamps_stand_before_each_line_in_order(engine):
    c = engine.run(engine.image, "sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.1; done")
    c.wait()
    lines = c.logs("--timestamps").lines
    assert [matched(rf"^{STAMP} (\d)$", line)[2] for line in lines] == ["1", "2", "3"]
    assert lines == sorted(lines)


@claim("cli-020")
@effect("logs --since", "logs --until")
def test_since_and_until_cut_the_log(engine):
    c = engine.run(engine.image, "sh", "-c", "echo before; sleep 3; echo after")
    c.wait()
    stamps = [line.split()[0] for line in c.logs("--timestamps").lines]
    assert len(stamps) == 2
    middle = str(datetime.fromisoformat(stamps[0]).timestamp() + 1.5)
    assert c.logs("--since", middle).stdout == "after\n"
    assert c.logs("--until", middle).stdout == "before\n"
    assert c.logs("--since", "1h").stdout == c.logs("--since", "10").stdout == "before\nafter\n"
    assert c.logs("--since", "2999-01-01T00:00:00Z").stdout == ""


@claim("cli-020")
def test_a_time_that_is_none_is_refused(engine):
    c = engine.create()
    for option in ("--since", "--until"):
        for value in ("yesterday-ish", "12:99"):
            engine.fails("logs", option, value, c.name, says="bad_time", code=engine.code("error"))


@claim("cli-020")
@effect("logs --follow")
def test_follow_goes_on_until_the_end(engine):
    c = engine.run(engine.image, "sh", "-c", "echo first; while [ ! -e /go ]; do sleep 0.1; done; echo last; exit 3")
    talk = engine.spawn("logs", "--follow", c.name)
    talk.wait_for("first")
    assert talk.process.poll() is None
    c.sh("touch /go")
    talk.wait_for("last")
    talk.wait(0)


@claim("cli-020")
def test_follow_of_what_has_ended_returns(engine):
    c = engine.run(engine.image, "echo", "only")
    c.wait()
    assert engine.cli("logs", "--follow", c.name, timeout=20).stdout == "only\n"


@claim("cli-020")
def test_a_reader_that_leaves_does_not_disturb_the_container(engine):
    c = engine.run(engine.image, "sh", "-c", TALKER)
    talk = engine.spawn("logs", "--follow", c.name)
    talk.wait_for("line 1")
    talk.signal(signal.SIGKILL)
    talk.wait()
    last = max(int(number) for number in re.findall(r"line (\d+)", c.logs().stdout))
    c.until_log(f"line {last + 3}\n")


@claim("cli-020")
def test_long_lines_come_back_whole(engine):
    lengths = [1, 16383, 16384, 16385, 32768, 100_000]  # engines cut at 16 KiB and join again
    c = engine.run(engine.image, "sh", "-c", "for n; do head -c $n /dev/zero | tr '\\0' x; echo; done", "sh",
                   *map(str, lengths))  # fmt: skip
    c.wait()
    assert [len(line) for line in c.logs().lines] == lengths


@claim("cli-020")
def test_tail_counts_a_long_line_once(engine):
    c = engine.run(engine.image, "sh", "-c", "echo first; head -c 40000 /dev/zero | tr '\\0' x; echo; echo end")
    c.wait()
    assert [len(line) for line in c.logs("--tail", "2").lines] == [40000, 3]


@claim("cli-020")
def test_output_without_a_last_newline_is_kept(engine):
    c = engine.run(engine.image, "printf", "no newline")
    c.wait()
    assert c.logs().stdout.rstrip("\n") == "no newline"


@claim("cli-020", "cli-215")
def test_logs_of_earlier_runs_stay(engine):
    c = engine.run(engine.image, "sh", "-c", "echo run >>/n; wc -l </n")
    c.wait()
    engine.cli("start", "--attach", c.name)
    assert c.logs().stdout.split() == ["1", "2"]


@claim("cli-020")
def test_logs_of_a_created_container_are_empty(engine):
    c = engine.create(engine.image, "echo", "later")
    assert c.logs().output == ""
    assert engine.cli("logs", "--timestamps", "--tail", "5", c.name).output == ""

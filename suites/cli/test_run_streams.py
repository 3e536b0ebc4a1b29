"""`run`: standard streams, terminals, signals, and what stays when the client goes."""

import hashlib
import signal
import time

import pytest

from seatrial.exec import ANY
from seatrial.waiting import wait_until

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires

COUNT_UP = "while :; do date +%s%N >/tick; sleep 0.05; done"


@claim("cli-208")
def test_output_and_errors_stay_apart(engine):
    seen = engine.sh("echo out; echo err >&2; printf last")
    assert seen.stdout == "out\nlast"
    assert seen.stderr == "err\n"


@claim("cli-208")
def test_every_byte_passes_in_both_directions(engine):
    data = bytes(range(256)) * 64
    assert engine.once("--interactive", engine.image, "cat", stdin=data).out == data


@claim("cli-208")
def test_end_of_input_ends_the_process(engine):
    seen = engine.once("--interactive", engine.image, "wc", "-c", stdin=b"x" * 1_000_000)
    assert seen.text == "1000000"
    assert engine.once("--interactive", engine.image, "wc", "-c", stdin=b"").text == "0"


@claim("cli-208")
def test_without_interactive_the_input_is_empty(engine):
    assert engine.once(engine.image, "wc", "-c", stdin=b"not for the container").text == "0"


@claim("cli-208")
def test_much_output_is_neither_cut_nor_stuck(engine):
    size = 24_000_000
    seen = engine.sh(f"yes 0123456789abcde | head -c {size}", timeout=90)
    expected = (b"0123456789abcde\n" * (size // 16))[:size]
    assert (len(seen.out), hashlib.sha256(seen.out).digest()) == (size, hashlib.sha256(expected).digest())


@claim("cli-208")
def test_two_containers_do_not_mix_their_output(engine):
    talks = [engine.spawn("run", "--rm", engine.image, "sh", "-c", f"for i in $(seq 300); do echo {word} $i; done")
             for word in "ab"]  # fmt: skip
    for word, talk in zip("ab", talks, strict=True):
        assert talk.wait(0, timeout=40).lines == [f"{word} {number}" for number in range(1, 301)]


@claim("cli-209")
@effect("run --tty")
def test_a_terminal_is_one_and_joins_the_streams(engine):
    seen = engine.sh("test -t 0 && test -t 1 && test -t 2 && echo out; echo err >&2", "--tty")
    assert seen.stdout == "out\r\nerr\r\n"
    assert seen.stderr == ""


@claim("cli-209")
def test_without_tty_there_is_no_terminal(engine):
    assert engine.once("--interactive", engine.image, "sh", "-c", "test -t 0 || test -t 1 || echo none").text == "none"


@claim("cli-209")
def test_the_terminal_takes_the_size_of_the_clients(engine):
    talk = engine.spawn("run", "--rm", "--interactive", "--tty", engine.image, "sh", tty=True)
    talk.send("echo ready$((1+1))\n")
    talk.wait_for("ready2")
    wait_until("24 lines of 80", lambda: talk.send("stty size\n") or _saw(talk, r"24 80"))
    talk.resize(33, 111)
    wait_until("33 lines of 111", lambda: talk.send("stty size\n") or _saw(talk, r"33 111"))
    talk.send("exit 7\n")
    talk.wait(7)


def _saw(talk, pattern):
    time.sleep(0.2)
    return pattern in talk.stdout


@claim("cli-209")
def test_a_terminal_is_asked_for_where_there_is_none(engine):
    words = ["run", "--rm", "--interactive", "--tty", engine.image, "echo", "ran"]
    if engine.trait("terminal_needed"):
        assert engine.fails(*words, says="not a TTY", code=1).stdout == ""
    else:
        assert engine.cli(*words, stderr="not a TTY").text == "ran"


@claim("cli-211")
def test_a_killed_client_leaves_the_container_running(engine):
    name = engine.name()
    talk = engine.spawn("run", "--name", name, engine.image, "sh", "-c", f"echo ready; {COUNT_UP}")
    talk.wait_for("ready")
    talk.signal(signal.SIGKILL)
    talk.wait(ANY)
    before = engine.cli("exec", name, "cat", "/tick").text
    wait_until("another tick", lambda: engine.cli("exec", name, "cat", "/tick").text not in ("", before))
    assert engine.inspect(name)["State"]["Status"] == "running"


@claim("cli-211")
def test_a_client_that_closes_its_output_leaves_the_container_running(engine):
    name = engine.name()
    talk = engine.spawn("run", "--name", name, engine.image, "sh", "-c",
                        "trap '' PIPE; while :; do echo line; date +%s%N >/tick; sleep 0.05; done")  # fmt: skip
    talk.wait_for("line")
    talk.close_stdout()
    time.sleep(0.5)
    before = engine.cli("exec", name, "cat", "/tick").text
    wait_until("another tick", lambda: engine.cli("exec", name, "cat", "/tick").text not in ("", before))
    assert engine.inspect(name)["State"]["Running"] is True


@claim("cli-211")
def test_detach_prints_the_whole_id_and_returns(engine):
    began = time.monotonic()
    c = engine.run()
    assert time.monotonic() - began < 30
    assert len(c.id) == 64
    assert set(c.id) <= set("0123456789abcdef")
    assert c.inspect()["Id"] == c.id
    assert c.kernel.alive


@claim("cli-208")
def test_no_descriptor_of_the_engine_leaks_into_the_process(engine):
    # ls itself opens the directory as number 3
    assert engine.once(engine.image, "ls", "/proc/self/fd").text.split() == ["0", "1", "2", "3"]
    c = engine.run()
    assert sorted(path.name for path in (c.kernel.proc / "fd").iterdir()) == ["0", "1", "2"]

import os
import signal
import subprocess

import pytest

from seatrial import exec as command
from seatrial.conversation import Conversation
from seatrial.exec import ExpectationError, Journal
from seatrial.waiting import wait_until


def test_conversation_takes_turns():
    with Conversation(["sh", "-c", 'read a; echo "got $a"; read b; echo "then $b"; echo e >&2; exit 5']) as talk:
        talk.send("one\n")
        talk.wait_for("got one")
        talk.send("two\n")
        talk.wait_for("then two")
        result = talk.wait(expect=5)
    assert result.stderr == "e\n"


def test_conversation_never_matches_the_same_text_twice():
    with Conversation(["sh", "-c", "echo tick; sleep 30"]) as talk:
        talk.wait_for("tick")
        with pytest.raises(ExpectationError, match="did not appear"):
            talk.wait_for("tick", timeout=0.5)


def test_conversation_on_a_terminal():
    with Conversation(["sh", "-c", "tty; stty size; read x; echo done"], tty=True) as talk:
        talk.wait_for("/dev/pts/")
        talk.wait_for("24 80")
        talk.send("\n")
        talk.wait_for("done")
        talk.wait(expect=0)


def test_terminal_turns_control_c_into_a_signal():
    script = "trap 'echo caught; exit 7' INT; echo ready; while :; do sleep 0.1; done"
    with Conversation(["sh", "-c", script], tty=True) as talk:
        talk.wait_for("ready")
        talk.send(b"\x03")
        talk.wait_for("caught")
        talk.wait(expect=7)


def test_leaving_a_conversation_ends_the_command():
    with Conversation(["sleep", "47.2"]) as talk:
        pid = talk.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_conversation_with_half_closed_pipes():
    with Conversation(["sh", "-c", "cat; echo end"]) as talk:
        talk.send("x\n")
        talk.close_stdin()
        assert talk.wait(expect=0).stdout == "x\nend\n"
    with Conversation(["sh", "-c", "while echo y; do :; done 2>/dev/null; exit 9"]) as talk:
        talk.wait_for("y")
        talk.close_stdout()
        assert talk.wait().code in (9, -signal.SIGPIPE)


@pytest.mark.parametrize("tty", [False, True], ids=["pipe", "terminal"])
def test_talking_to_a_command_that_ended_tells_what_was_seen(tty):
    with Conversation(["sh", "-c", "echo last words; exec <&- >&- 2>&-"], tty=tty) as talk:
        talk.wait(0)
        with pytest.raises(ExpectationError, match=r"(?s)nobody listens any more.*last words"):
            talk.send("anybody?\n")


@pytest.mark.parametrize("tty", [False, True], ids=["pipe", "terminal"])
def test_all_is_sent_although_the_other_side_is_slow(tty):
    raw = "stty raw -echo; " if tty else ""
    with Conversation(["sh", "-c", f"{raw}echo ready; sleep 0.5; head -c 300000 | wc -c"], tty=tty) as talk:
        talk.wait_for("ready")
        talk.send("x" * 300_000)
        talk.wait_for("300000")


def test_what_is_never_taken_is_told_in_time():
    with Conversation(["sh", "-c", "echo busy; sleep 30"]) as talk:
        talk.wait_for("busy")
        with pytest.raises(ExpectationError, match=r"(?s)bytes were not taken within 0 s.*busy"):
            talk.send(b"x" * 300_000, timeout=0.3)


@pytest.mark.parametrize("tty", [False, True], ids=["pipe", "terminal"])
def test_a_conversation_is_repeated_beside_the_other_commands(tmp_path, tty):
    journal, length = Journal(), f"48.{os.getpid()}"
    talk = Conversation(
        ["sh", "-c", f'read a; echo "$WORD $a" >out; exec sleep {length}'], tty=tty, env={"WORD": "got"}, cwd=tmp_path,
        journal=journal,
    )  # fmt: skip
    with talk:
        talk.send("it's one\n")
        talk.signal(signal.SIGCONT)
        command.run(["sh", "-c", "sleep 0.5; cat out; exit 3"], cwd=tmp_path, expect=3,
                    journal=journal)  # fmt: skip
    (tmp_path / "out").unlink()
    script = tmp_path / "repro.sh"
    script.write_text(journal.repro())
    again = subprocess.run(["sh", str(script)], capture_output=True, text=True, timeout=30)
    assert again.returncode == 3
    assert again.stdout.endswith("got it's one\n")  # after the terminal's echo
    left = ["pgrep", "-f", f"^sleep {length}"]
    wait_until("the end of all that it started", lambda: subprocess.run(left, stdout=subprocess.DEVNULL).returncode)
    assert f"# signal {signal.SIGCONT:d} was sent to: sh -c" in script.read_text()

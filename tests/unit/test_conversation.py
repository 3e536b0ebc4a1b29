import os
import signal

import pytest

from seatrial.conversation import Conversation
from seatrial.exec import ExpectationError


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

import os
import signal
import subprocess
import time

import pytest

from seatrial.errors import SeatrialError
from seatrial.exec import ANY, FAILURE, Conversation, ExpectationError, Journal, run


def test_result_holds_what_the_command_did():
    result = run(["sh", "-c", "echo out; echo err >&2; exit 3"], expect=3)
    assert (result.code, result.stdout, result.stderr) == (3, "out\n", "err\n")
    assert result.duration > 0
    assert not result.ok


@pytest.mark.parametrize(
    ("script", "options"),
    [
        ("exit 1", {}),
        ("exit 0", {"expect": FAILURE}),
        ("exit 2", {"expect": (0, 1)}),
        ("echo a", {"stdout": "b"}),
        ("echo a >&2", {"stderr": "^b"}),
    ],
    ids=["code", "no-failure", "none-of-several", "stdout", "stderr"],
)
def test_what_was_not_expected_raises_with_command_and_streams(script, options):
    with pytest.raises(ExpectationError) as caught:
        run(["sh", "-c", f"echo seen; {script}"], **options)
    assert "stdout| seen" in str(caught.value)
    assert "$ sh -c" in str(caught.value)


@pytest.mark.parametrize("expect", [1, FAILURE, ANY, (0, 1)], ids=str)
def test_expected_exit_codes_pass(expect):
    assert run(["sh", "-c", "exit 1"], expect=expect).code == 1


def test_timeout_ends_the_whole_group():
    began = time.monotonic()
    with pytest.raises(ExpectationError, match="did not end within"):
        run(["sh", "-c", "sleep 47.1 & echo $!; wait"], timeout=0.5)
    assert time.monotonic() - began < 5
    left = subprocess.run(["pgrep", "-f", "sleep 47.1"], capture_output=True, text=True)
    assert left.stdout == ""


def test_timeout_returns_although_a_lost_child_holds_the_pipe():
    began = time.monotonic()
    result_seen = None
    try:
        run(["sh", "-c", "echo before; setsid sleep 7.25 & wait"], timeout=0.5)
    except ExpectationError as error:
        result_seen = str(error)
    assert time.monotonic() - began < 5
    assert "before" in result_seen
    subprocess.run(["pkill", "-f", "sleep 7.25"])


def test_a_missing_program_is_our_error():
    with pytest.raises(SeatrialError) as caught:
        run(["no-such-program-here"])
    assert caught.value.code == "E101"


def test_stdin_environment_and_directory_arrive(tmp_path):
    result = run(["sh", "-c", "cat; echo $WORD; pwd"], stdin="in\n", env={"WORD": "w"}, cwd=tmp_path)
    assert result.lines == ["in", "w", str(tmp_path)]


def test_nothing_of_the_users_environment_is_seen(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "tcp://elsewhere")
    assert "DOCKER_HOST" not in run(["env"]).stdout


def test_bytes_that_are_no_text_are_shown_escaped():
    result = run(["printf", r"\377a"])
    assert result.out == b"\xffa"
    assert result.stdout == r"\xffa"


def test_journal_repeats_the_commands_as_a_script(tmp_path):
    journal = Journal()
    run(["sh", "-c", 'echo "$1" >>' + str(tmp_path / "out"), "sh", "it's"], journal=journal)
    run(["sh", "-c", f"cat >>{tmp_path}/out; exit 4"], stdin="two\n", expect=4, journal=journal)
    script = tmp_path / "repro.sh"
    script.write_text(journal.repro("why\nwhere"))
    first = (tmp_path / "out").read_text()
    (tmp_path / "out").unlink()
    again = subprocess.run(["sh", str(script)], capture_output=True)
    assert again.returncode == 4
    assert (tmp_path / "out").read_text() == first == "it's\ntwo\n"
    assert "exit 4" in journal.tail(1)
    assert "it's" not in journal.tail(1)


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

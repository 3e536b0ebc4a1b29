import subprocess
import time

import pytest

from seatrial.errors import SeatrialError
from seatrial.exec import ANY, FAILURE, ExpectationError, Journal, run


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


@pytest.mark.parametrize(("user", "home"), [(0, "/root"), (1000, "/home/somebody")])
def test_home_is_that_of_the_user(monkeypatch, user, home):
    monkeypatch.setattr("os.geteuid", lambda: user)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert run(["sh", "-c", "echo $HOME"]).text == home


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

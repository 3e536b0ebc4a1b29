import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from seatrial.errors import SeatrialError
from seatrial.exec import ANY, FAILURE, ExpectationError, Journal, parsed, run
from seatrial.probes.kernel import Kernel
from seatrial.waiting import wait_until


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
    with pytest.raises(ExpectationError, match="did not end within") as caught:
        run(["sh", "-c", "sleep 47.1 & echo $!; wait"], timeout=0.5)
    assert time.monotonic() - began < 5
    child = Kernel(int(re.search(r"stdout\| (\d+)", str(caught.value))[1]))
    wait_until("the child's end", lambda: not child.alive, timeout=5)


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


def test_output_that_should_be_json_and_is_not_is_the_engines_failure():
    assert run(["echo", '{"a": [1]}']).json() == {"a": [1]}
    with pytest.raises(ExpectationError, match=r"no JSON: .*\n\$ echo '\{\]'\n  exit 0 .*\n  stdout\| \{\]"):
        run(["echo", "{]"]).json()
    assert parsed(b"[2]") == [2]
    with pytest.raises(ExpectationError, match=r"no JSON: .*\n  text\| \\xff"):
        parsed(b"\xff")


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


def repeated(journal, tmp_path):
    script = tmp_path / "repro.sh"
    script.write_text(journal.repro("why"))
    with script.open() as stdin:
        return subprocess.run(["sh"], stdin=stdin, capture_output=True, timeout=30)


def test_repeating_makes_the_files_again_that_a_test_made_for_its_commands(tmp_path):
    journal, work = Journal(), tmp_path / "it's work"
    work.mkdir()
    journal.watch(work)
    (work / "context").mkdir()
    (work / "context" / "a").write_bytes(b"\x00\xff one\n")
    (work / "context" / "a").chmod(0o711)
    (work / "link").symlink_to("context/a")
    (work / "dir").symlink_to("context")
    run(["sh", "-c", "cat dir/a link >own"], cwd=work, journal=journal)
    (work / "context" / "a").write_text("two\n")
    run(["sh", "-c", f"stat -c %a context/a; cat own context/a >{tmp_path}/out"], cwd=work, journal=journal)
    first = (tmp_path / "out").read_bytes()
    shutil.rmtree(work)
    (tmp_path / "out").unlink()
    again = repeated(journal, tmp_path)
    assert (again.returncode, again.stdout) == (0, b"711\n")
    assert (tmp_path / "out").read_bytes() == first == b"\x00\xff one\n" * 2 + b"two\n"
    assert "own <<" not in journal.repro()
    assert f"# remains: {work}" in journal.repro()


def test_what_is_too_large_to_repeat_is_named(tmp_path):
    journal, work = Journal(), tmp_path / "work"
    work.mkdir()
    journal.watch(work)
    (work / "a-small").write_bytes(b"x" * 60_000)
    (work / "b-large").write_bytes(b"x" * 6_000)
    (work / "c-registry").mkdir()
    (work / "c-registry" / "blob").write_text("x")
    journal.ignore(work / "c-registry")
    journal.note("the registry")
    run(["wc", "-c"], stdin=b"\0" * 70_000, journal=journal)
    run(["echo", "end"], journal=journal)
    script = journal.repro()
    assert f"# missing: {work}/b-large: 6000 bytes" in script
    assert "# not repeated, because it read 70000 bytes: wc -c" in script
    assert "# the registry" in script
    assert "blob" not in script
    assert repeated(journal, tmp_path).stdout == b"end\n"


@pytest.mark.parametrize("data", [b"\x00\xff\r\n", b"it's\n%s\\n", b""], ids=["binary", "text", "empty"])
def test_repeating_gives_commands_what_they_read(tmp_path, data):
    journal = Journal()
    run(["cat"], stdin=data, journal=journal)
    assert repeated(journal, tmp_path).stdout == data


def test_a_repeated_command_does_not_read_the_script(tmp_path):
    journal = Journal()
    run(["cat"], journal=journal)
    run(["echo", "end"], journal=journal)
    assert repeated(journal, tmp_path).stdout == b"end\n"


def test_a_command_that_did_not_end_does_not_hold_up_the_script(tmp_path):
    journal = Journal()
    with pytest.raises(ExpectationError):
        run(["sleep", "48.3"], timeout=0.2, journal=journal)
    run(["echo", "end"], journal=journal)
    assert repeated(journal, tmp_path).stdout == b"end\n"


def test_a_field_that_an_engine_does_not_tell_is_the_engines_failure():
    told = parsed('{"State": {"Pid": 7}, "Mounts": [{"Type": "bind"}]}')
    assert told["State"]["Pid"] == 7
    assert told.get("Name") is None
    assert told == {"State": {"Pid": 7}, "Mounts": [{"Type": "bind"}]}
    for ask, words in ((lambda: told["Name"], "there is no 'Name' among Mounts, State"),
                       (lambda: told["Mounts"][0]["Source"], "there is no 'Source' among Type"),
                       (lambda: parsed("{}")["x"], "there is no 'x' among no fields")):  # fmt: skip
        with pytest.raises(ExpectationError) as caught:
            ask()
        assert str(caught.value) == words
        assert isinstance(caught.value, KeyError)  # for those who are prepared for one


def test_what_goes_on_is_not_reported_as_lost_when_python_ends():
    """Where warnings are errors, as in this project, Python told of each daemon at its end."""
    program = (
        "import os, subprocess; from seatrial.exec import background\n"
        "process = background(['sleep', '30'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ)\n"
        "print(process.pid, flush=True)\n"
    )
    ended = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True)
    pid = int(ended.stdout)
    try:
        assert Path(f"/proc/{pid}/comm").read_text() == "sleep\n"
        assert ended.stderr == ""
    finally:
        os.kill(pid, signal.SIGKILL)

"""Hooks, statuses and the one note."""

import socket

import pytest

from seatrial.ci.gitlab import MARK, GitLab, defused
from seatrial.cli import main
from seatrial.errors import SeatrialError

PROJECT = "up/seatrial"
URL = "http://ci:8080/project/x"
COMMIT = "ce007f8a1cb331367a4a6a8bc413ae26d6238a04"


def told(call, code):
    with pytest.raises(SeatrialError) as error:
        call()
    assert error.value.code == code, str(error.value)
    return error.value


@pytest.fixture
def client(gitlab):
    return GitLab(gitlab.url, gitlab.token, timeout=5)


def test_a_hook_is_made_once_and_set_right_after(client, gitlab):
    assert client.install_hook(PROJECT, URL, token="s") == "created"
    [hook] = gitlab.hooks[1].values()
    on = {name for name, value in hook.items() if name.endswith("_events") and value}
    assert on == {"merge_requests_events", "note_events"}
    assert hook["push_events"] is False
    assert hook["token"] == "s"
    hook["push_events"] = True
    assert client.install_hook(PROJECT, URL, token="t", comments=False) == "updated"
    [hook] = gitlab.hooks[1].values()
    assert (hook["push_events"], hook["note_events"], hook["token"]) == (False, False, "t")


def test_doubles_of_a_hook_are_removed_and_others_left(client, gitlab):
    for url in (URL, "http://other", URL):
        number = gitlab.number()
        gitlab.hooks.setdefault(1, {})[number] = {"id": number, "url": url}
    assert "1 doubles removed" in client.install_hook(PROJECT, URL, signing_token="s")
    assert sorted(hook["url"] for hook in gitlab.hooks[1].values()) == [URL, "http://other"]
    assert client.remove_hook(PROJECT, URL) == 1
    assert [hook["url"] for hook in gitlab.hooks[1].values()] == ["http://other"]
    assert client.remove_hook(PROJECT, URL) == 0


def test_a_test_of_the_hook(client, gitlab):
    told(lambda: client.test_hook(PROJECT, URL), "E635")
    client.install_hook(PROJECT, URL, token="s")
    client.test_hook(PROJECT, URL)
    assert [event for _, event in gitlab.sent_tests] == ["merge_requests_events"]
    gitlab.faults = [None, 422]
    told(lambda: client.test_hook(PROJECT, URL), "E634")


def test_status_goes_to_the_target_and_the_same_again_is_no_error(client, gitlab):
    gitlab.commits[1].add(COMMIT)
    gitlab.branches[1].add(COMMIT)
    assert client.status(PROJECT, COMMIT, "running", url="http://ci/1", text="x" * 400)
    assert not client.status(PROJECT, COMMIT, "running")
    assert client.status(PROJECT, COMMIT, "success")
    assert gitlab.states(COMMIT) == ["running", "success"]
    assert {status["project"] for status in gitlab.statuses} == {1}
    assert len(gitlab.statuses[0]["description"]) == 255


def test_status_of_a_commit_that_only_a_fork_has_on_a_branch(client, gitlab):
    gitlab.commits[1].add(COMMIT)
    told(lambda: client.status(PROJECT, COMMIT, "running"), "E633")
    assert client.status(PROJECT, COMMIT, "running", request=3)
    assert [status["ref"] for status in gitlab.statuses] == ["refs/merge-requests/3/head"]


def test_one_note_edited_and_never_repeated(client, gitlab):
    assert client.note(PROJECT, 3, "first") == "created"
    assert client.note(PROJECT, 3, "second") == "updated"
    assert client.note(PROJECT, 3, "second") == "same"
    [note] = gitlab.notes[1, 3]
    assert note["body"] == f"{MARK}\nsecond"


def test_a_note_with_our_mark_by_another_is_not_ours(client, gitlab):
    other = gitlab.write(1, 3, f"{MARK}\nnot the bot's", author=99)
    assert client.note(PROJECT, 3, "ours") == "created"
    assert other["body"] == f"{MARK}\nnot the bot's"
    assert len(gitlab.notes[1, 3]) == 2


def test_access_levels(client, gitlab):
    gitlab.members[1, 5] = 40
    assert client.access_level(PROJECT, 5) == 40
    assert client.access_level(PROJECT, 6) == 0
    gitlab.faults = [500]
    told(lambda: client.access_level(PROJECT, 5), "E634")


def test_trouble_is_told(gitlab):
    told(lambda: GitLab(gitlab.url, "wrong").hooks(PROJECT, URL), "E632")
    told(lambda: GitLab(gitlab.url, gitlab.token).hooks("no/such", URL), "E633")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        away = GitLab(f"http://127.0.0.1:{free.getsockname()[1]}", "t", timeout=1)
        told(lambda: away.hooks(PROJECT, URL), "E631")
    told(lambda: GitLab("gitlab.example.org", "t"), "E636")


@pytest.mark.parametrize(
    ("text", "safe"),
    [("/merge", "\\/merge"), ("a\n  /approve now", "a\n  \\/approve now"), ("a /b", "a /b"),
     ("x\r/close", "x\n\\/close"), ("hi @all", "hi @\u200ball"), ("a@b.c", "a@b.c"), ("/ 2", "/ 2")],
)  # fmt: skip
def test_nothing_in_a_note_is_a_command_or_a_mention(text, safe):
    assert defused(text) == safe


def test_the_commands(gitlab, tmp_path, capsys):
    files = {}
    for name, text in (("api", gitlab.token), ("hook", "s")):
        files[name] = tmp_path / name
        files[name].write_text(text)
        files[name].chmod(0o600)
    common = ["--gitlab", gitlab.url, "--token-file", str(files["api"])]
    hook = [PROJECT, "--url", URL, *common]
    assert main(["gitlab", "hook", "install", *hook, "--hook-token-file", str(files["hook"])]) == 0
    assert main(["gitlab", "hook", "test", *hook]) == 0
    assert main(["gitlab", "hook", "remove", *hook]) == 0
    assert main(["gitlab", "hook", "remove", *hook]) == 1
    gitlab.commits[1].add(COMMIT)
    assert main(["gitlab", "status", PROJECT, COMMIT, "failed", "--context", "unit", *common]) == 4
    assert main(["gitlab", "status", PROJECT, COMMIT, "failed", "--context", "unit", "--merge-request", "3",
                 *common]) == 0  # fmt: skip
    assert gitlab.statuses[0]["name"] == "unit"
    (tmp_path / "report.md").write_text("## PASS\n/merge\n")
    assert main(["gitlab", "note", PROJECT, "3", "--file", str(tmp_path / "report.md"), *common]) == 0
    assert gitlab.notes[1, 3][0]["body"] == f"{MARK}\n## PASS\n\\/merge\n"
    assert main(["gitlab", "note", PROJECT, "3", "--file", str(tmp_path / "none.md"), *common]) == 4
    assert capsys.readouterr().out.splitlines()[0] == f"hook of {PROJECT} to {URL}: created"

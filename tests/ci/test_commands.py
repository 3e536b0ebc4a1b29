"""`seatrial jenkins` as a user calls it, in this process."""

import pytest

from seatrial.cli import main


@pytest.fixture
def jenkins(fake, tmp_path):
    """A function that runs the command against the fake and returns its exit code."""
    token = tmp_path / "token"
    token.write_text(f"{fake.token}\n")
    token.chmod(0o600)

    def run(*words):
        return main(["jenkins", *words, "--url", fake.url, "--user", fake.user, "--token-file", str(token)])

    return run


def test_apply_dry_run_then_apply_then_nothing(jenkins, fake, tmp_path, capsys):
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs/a.xml").write_text("<project><description>${SEATRIAL_WORD}</description></project>")
    words = ("apply", str(tmp_path), "--set", "SEATRIAL_WORD=hello")
    assert jenkins(*words, "--dry-run") == 1
    assert "1 of 1 would change" in capsys.readouterr().out
    assert not fake.jobs
    assert jenkins(*words) == 0
    assert "created job a" in capsys.readouterr().out
    assert "hello" in fake.jobs["a"].xml
    assert jenkins(*words) == 0
    assert "nothing to change" in capsys.readouterr().out
    assert jenkins(*words, "--dry-run") == 0


@pytest.mark.parametrize(("result", "code"), [("SUCCESS", 0), ("UNSTABLE", 1), ("ABORTED", 2)])
def test_trigger_follows_and_tells_by_its_exit_code(jenkins, fake, capsys, result, code):
    def run(build):
        build.write("one\ntwo\n")
        build.result = result

    fake.run = run
    fake.add("a", "<project/>")
    assert jenkins("trigger", "a", "--follow", "--timeout", "20") == code
    seen = capsys.readouterr()
    assert seen.out == "one\ntwo\n"
    assert f"a #1: {result}" in seen.err


def test_trigger_without_waiting(jenkins, fake, capsys):
    fake.hold = True
    fake.add("a", "<project/>")
    assert jenkins("trigger", "a") == 0
    assert "queue item 15" in capsys.readouterr().out


def test_collect_of_a_success_without_tests_is_not_green(jenkins, fake, tmp_path):
    fake.add("a", "<project/>")
    assert jenkins("trigger", "a", "--wait") == 0
    assert jenkins("collect", "a", "1", "--out", str(tmp_path / "out")) == 5
    assert jenkins("collect", "a", "2", "--out", str(tmp_path / "out")) == 4


def test_lint_reads_files_by_their_kind(jenkins, fake, tmp_path, capsys):
    (tmp_path / "Jenkinsfile").write_text("pipeline {}")
    (tmp_path / "c.yaml").write_text("jenkins: {}")
    words = ("lint", str(tmp_path / "Jenkinsfile"), str(tmp_path / "c.yaml"))
    assert jenkins(*words) == 0
    fake.casc_answer = (400, '[{"line": 3, "message": "no such attribute"}]')
    assert jenkins(*words) == 1
    assert "c.yaml: no such attribute" in capsys.readouterr().out
    assert jenkins("lint", str(tmp_path / "none")) == 4


def test_verify_hook(jenkins, fake, tmp_path, capsys):
    fake.hold = True
    trigger = "com.dabsquared.gitlabjenkins.GitLabPushTrigger"
    fake.add("h", f"<project><triggers><{trigger}><secretToken>s</secretToken></{trigger}></triggers></project>")
    hook = tmp_path / "hook"
    hook.write_text("s")
    hook.chmod(0o600)
    assert jenkins("verify-hook", "h", "--hook-token-file", str(hook)) == 0
    assert "cancelled again" in capsys.readouterr().out
    hook.write_text("t")
    assert jenkins("verify-hook", "h", "--hook-token-file", str(hook)) == 4


@pytest.mark.parametrize(("mode", "text"), [(0o644, "t"), (0o600, ""), (0o600, "two words"), (0o600, "a\nb")])
def test_token_files_that_cannot_be_used(fake, tmp_path, capsys, mode, text):
    path = tmp_path / "t"
    path.write_text(text)
    path.chmod(mode)
    assert main(["jenkins", "trigger", "a", "--url", fake.url, "--token-file", str(path)]) == 4
    assert "E610" in capsys.readouterr().err
    assert fake.requests == []

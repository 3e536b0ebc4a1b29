"""The plugin without an engine: options, collection, selection."""

import json
import re
import subprocess
import sys

import pytest

from seatrial.errors import SeatrialError
from seatrial.selection import seconds, split

SUITE = """
import pytest
claim = pytest.mark.claim

@claim("a-001")
@pytest.mark.exclusive
def test_run_alone(engine): pass

@claim("a-001", "a-002")
def test_run_echo(engine): pass

@claim("a-002")
def test_build_it(private_daemon): pass

class TestPause:
    @claim("a-002")
    def test_freezes(self, engine): pass
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "suites/cli/claims").mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text('[tool.pytest]\nstrict = true\naddopts = ["--import-mode=importlib"]\n')
    (tmp_path / "suites/cli/claims/a.tsv").write_text(
        "id\tlevel\tclaim\tsource\tuntested\na-001\tMUST\tIt runs.\ts\t\na-002\tMUST\tIt echoes.\ts\t\n"
    )
    (tmp_path / "suites/cli/test_a.py").write_text(SUITE)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_plain.py").write_text("def test_plain(): pass\n")

    def run(*args):
        return subprocess.run(
            [sys.executable, "-m", "pytest", *args], cwd=tmp_path, capture_output=True, text=True, timeout=60
        )

    run.path = tmp_path
    return run


def _collected(ended):
    return [line for line in ended.stdout.splitlines() if "::" in line]


def test_collection_needs_no_engine_and_puts_the_target_into_the_id(project):
    ended = project("suites", "--collect-only", "-q", "--engine", "docker@sid", "--engine", "podman+unix:///none")
    assert ended.returncode == 0, ended.stdout
    ids = _collected(ended)
    assert len(ids) == 8
    assert "suites/cli/test_a.py::test_run_echo[docker@sid]" in ids
    assert "suites/cli/test_a.py::test_run_echo[podman+unix:///none]" in ids
    assert not (project.path / "reports").exists()


def test_long_tests_come_first_and_lonely_ones_last(project):
    ids = _collected(project("suites", "--collect-only", "-q"))
    names = [id_.rpartition("::")[2].partition("[")[0] for id_ in ids]
    assert names == ["test_build_it", "test_run_echo", "test_freezes", "test_run_alone"]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("TestRunEcho", ["test_run_echo"]),
        ("TestRun*", ["test_run_echo", "test_run_alone"]),
        ("Cli.TestBuild", ["test_build_it"]),
        ("^test_build", ["test_build_it"]),
        ("^TestPause.TestFreezes$", ["test_freezes"]),
        ("Cli.TestFreezes", []),
        ("TestNothing", []),
    ],
)
def test_check_f_selects_by_the_names_that_gocheck_prints(project, pattern, names):
    ended = project("suites", "--collect-only", "-q", "--check.f", pattern)
    assert [id_.rpartition("::")[2].partition("[")[0] for id_ in _collected(ended)] == names


@pytest.mark.parametrize(("flags", "names"), [
    ("-check.f TestRunEcho", ["test_run_echo"]),
    ("-check.f=TestRunEcho", ["test_run_echo"]),
    ("-check.v -check.f 'TestRunEcho|TestBuild'", ["test_build_it", "test_run_echo"]),
    ("-check.f TestRunEcho -check.v", ["test_run_echo"]),
    ("-k echo", ["test_run_echo"]),
])  # fmt: skip
def test_testflags_are_those_of_dockers_makefile(project, flags, names):
    ended = project("suites", "--collect-only", f"--testflags={flags}")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert sorted(re.findall(r"<Function (\w+)", ended.stdout)) == names


@pytest.mark.parametrize(("flags", "words"), [
    ("-check.f 'Test", "E510: cannot read the flags"), ("-check.f (", "E503: not a regular expression"),
    ("-check.q", "there is no -check.q among -check.f"),
])  # fmt: skip
def test_wrong_testflags_are_told_without_a_traceback(project, flags, words):
    ended = project("suites", "--collect-only", f"--testflags={flags}")
    assert ended.returncode == 4
    assert words in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr


def test_plain_tests_run_as_without_the_plugin(project):
    ended = project("tests", "-q")
    assert ended.returncode == 0, ended.stdout
    assert "sea trial" not in ended.stdout
    assert not (project.path / "reports").exists()


def test_a_suite_without_a_target_says_what_to_name(project):
    (project.path / "tests/test_needs.py").write_text("def test_needs(engine): pass\n")
    ended = project("tests")
    assert ended.returncode != 0
    assert "--engine TARGET" in ended.stdout


def test_claims_out(project):
    project("suites", "--collect-only", "-q", "--claims-out", "out.json")
    named = json.loads((project.path / "out.json").read_text())["named"]
    assert named == {
        "a-001": ["suites/cli/test_a.py::test_run_alone", "suites/cli/test_a.py::test_run_echo"],
        "a-002": ["suites/cli/test_a.py::TestPause::test_freezes", "suites/cli/test_a.py::test_build_it",
                  "suites/cli/test_a.py::test_run_echo"],
    }  # fmt: skip


def test_a_broken_claims_table_is_a_usage_error(project):
    (project.path / "suites/cli/claims/a.tsv").write_text("id\tclaim\n")
    ended = project("suites", "--collect-only")
    assert ended.returncode == 4, ended.stdout + ended.stderr
    assert "E302" in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr


def test_durations_are_gos():
    read = {text: seconds(text) for text in ("90s", "60m", "1h30m", "500ms", "1.5h")}
    assert read == {"90s": 90, "60m": 3600, "1h30m": 5400, "500ms": 0.5, "1.5h": 5400}


@pytest.mark.parametrize("text", ["", "60", "m", "1h 30m", "-5s", "1d", "5sec"])
def test_other_durations_are_refused(text):
    with pytest.raises(SeatrialError):
        seconds(text)


def test_ids_are_split_into_test_and_target():
    targets = ["docker@sid", "docker+unix:///a", "docker+unix:///a-b"]
    assert split("f.py::t[docker@sid]", targets) == ("f.py::t", "docker@sid")
    assert split("f.py::t[docker@sid-a-[b]]", targets) == ("f.py::t[a-[b]]", "docker@sid")
    assert split("f.py::t[docker+unix:///a-b-c]", targets) == ("f.py::t[c]", "docker+unix:///a-b")
    assert split("f.py::t", targets) == ("f.py::t", "")
    assert split("f.py::t[a-b]", targets) == ("f.py::t[a-b]", "")


@pytest.mark.parametrize(("words", "told"), [
    (["suites/none", "-n", "2"], "file or directory not found: suites/none"),
    (["suites/cli/test_b.py::test_x"], "file or directory not found: suites/cli/test_b.py::test_x"),
    (["suites", "--without", "seccmop"], "E504: --without names the unknown requirement 'seccmop'"),
])  # fmt: skip
def test_what_is_not_there_is_told_before_an_engine_is_made(project, words, told):
    ended = project(*words, "--engine", "docker+unix:///nowhere.sock")
    assert ended.returncode == 4
    assert told in ended.stdout + ended.stderr
    assert not (project.path / "reports").exists()

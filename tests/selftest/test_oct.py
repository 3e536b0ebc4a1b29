"""Cases of OCT on a real runtime, as a user runs them: each kind of broken case, and what is run again."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TARGET = "runc@bookworm"
HELLO = {
    "SchemaVersion": "1", "Name": "", "Summary": "a sample", "Group": "Function/Samples",
    "Requires": [{"Class": "host", "Type": "os"}, {"Class": "box", "Type": "container"}],
    "Deploys": [{"Object": "hostA", "Class": "host", "Containers": [{"Object": "boxA", "Class": "box"}]}],
    "Run": [{"Name": "look", "Object": "boxA", "Cmd": ["echo", "hello"]}],
    "Collects": [], "Expect": [{"Step": "look", "From": "stdout", "Equals": "hello"}],
}  # fmt: skip
WRONG = [{"Step": "look", "From": "stdout", "Equals": "bye"}]
# what is changed in the sample, the verdict, and words of the message or of the reason
CASES = {
    "good": ({}, "PASS", ""),
    "wrong": ({"Expect": WRONG}, "FAIL", "failed: stdout of look: expected 'bye', seen 'hello'"),
    "missing": ({"Collects": [{"Object": "boxA", "Files": ["/none"]}]}, "FAIL", "/none of boxA is to be collected"),
    "hangs": ({"Run": [{"Name": "look", "Object": "boxA", "Cmd": ["sleep", "600"], "Timeout": 1}]}, "FAIL",
        "timeout: "),
    "open": ({"Expect": []}, "UNKNOWN", "unverified: nothing is expected"),
    "warns": ({"Expect": [{**WRONG[0], "Level": "SHOULD"}]}, "WARN", "warned: stdout of look"),
    "leaks": ({"Run": [{"Name": "look", "Object": "hostA", "Cmd": ["sh", "-c", "sleep 600 > x 2>&1 &"]},
                       *HELLO["Run"][:0]], "Expect": [{"Step": "boxA", "From": "state", "Equals": "running"}]},
              "FAIL", "leaked: process "),
    "nowhere": ({"Requires": [{"Class": "host", "Type": "os", "Version": "12.04"}, HELLO["Requires"][1]]}, "SKIP",
                "Version 12.04 wanted, 12 offered"),
    "expected": ({"Expect": WRONG, "KnownFail": [{"Engine": "runc", "Reason": "it greets in another way"}]}, "KNOWN",
                 "it greets in another way"),
}  # fmt: skip


def write(project, name, changes):
    place = project.root / "cases/function" / name
    place.mkdir(parents=True, exist_ok=True)
    (place / "case.json").write_text(json.dumps({**copy.deepcopy(HELLO), "Name": name, **changes}))


def run(project, *options):
    return project.seatrial("oct", "run", "--library", "cases", "--engine", TARGET, *options)


def verdicts(project):
    return {result.test.rpartition("::")[2]: result for result in project.run.results}


@pytest.fixture
def library(project):
    for name, (changes, _, _) in CASES.items():
        write(project, name, changes)
    return project


def test_each_kind_of_case_has_its_verdict_and_only_what_is_due_runs_again(library):
    first = run(library)
    assert first.returncode == 1, first.stdout + first.stderr
    found = verdicts(library)
    assert {name: result.verdict.value for name, result in found.items()} == {
        name: verdict for name, (_, verdict, _) in CASES.items()
    }
    for name, (_, _, words) in CASES.items():
        assert words in f"{found[name].message}{found[name].reason}", name
    assert not library.run.findings, "a case has left something behind"
    record = json.loads((library.directory / found["good"].evidence["oct"]["record"]).read_text())
    assert record["steps"][-1]["evidence"] is True
    junit = next(library.directory.glob("junit-*.xml")).read_text()
    assert 'name="wrong"' in junit
    reports = [junit, *((library.directory / name).read_text() for name in ("cases.md", "index.html"))]
    for text in reports:  # as the record has it: steps, what they cost, and where they ran
        for words in ("look", "exit code 0, in the container", "echo hello", "kernel", "peak of boxA"):
            assert words.casefold() in text.casefold(), words
    assert record["peaks"]["boxA"]["memory"] > 0
    assert record["environment"]["engine"].startswith("runc ")
    assert record["environment"]["distribution"] == "debian 12"

    write(library, "good", {"Summary": "another sentence"})
    again = run(library, "--only", "new,changed,failed")
    assert set(verdicts(library)) == {"good", "wrong", "missing", "hangs", "open", "leaks", "nowhere", "expected"}
    assert f"good on {TARGET}: changed: the case or its files have changed" in again.stdout
    assert f"hangs on {TARGET}: failed: it ended as timeout" in again.stdout
    assert "not due, for they ran on every target as they are: 1\n" in again.stdout
    named = run(library, "--only", "new,changed,failed", "--name", "warns", "--name", "good")
    assert "2 deselected" in named.stdout  # what is named is looked at, one by one
    assert named.returncode == 5, named.stdout + named.stderr

    spread = run(library, "--only", "new", "-n", "2")
    assert set(verdicts(library)) == {"nowhere"}  # what found no host has not run
    assert spread.stdout.count(f"  nowhere on {TARGET}: new: it never ran on {TARGET}\n") == 1


def test_a_case_that_does_not_validate_is_not_run(project):
    write(project, "bad", {"Run": [{"Name": "look", "Object": "boxa", "Cmd": ["true"]}]})
    result = run(project)
    assert result.returncode == 2
    assert 'OCT022 Run[0].Object: the object "boxa" is never deployed; did you mean "boxA"?' in result.stdout


SHIPPED = (
    "spec/lifecycle", "spec/root-readonly", "spec/namespace-join-pid", "spec/config-missing-root",
    "security/seccomp-profile", "function/files-in-and-out", "function/background-command", "function/two-hosts",
)  # fmt: skip


def shipped(project, target):
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
        *(str(ROOT / "oct/cases" / name) for name in SHIPPED)]
    argv += ["--engine", target, "--results", str(project.root / "reports")]
    return subprocess.run(argv, cwd=ROOT, env=project.environment, capture_output=True, text=True, timeout=150)


def test_shipped_cases_pass_on_a_runtime(project):
    result = shipped(project, TARGET)
    assert result.returncode == 0, result.stdout + result.stderr
    assert {name: found.verdict.value for name, found in verdicts(project).items()} == {
        name.rpartition("/")[2]: "PASS" for name in SHIPPED
    }


def test_a_runtime_that_prints_its_help_and_exits_with_0_is_never_green(project):
    program = project.root / "runc"
    program.write_text("#!/bin/sh\necho 'NAME: runc'; echo 'runc version 1.1.5'; echo 'USAGE: runc command'\n")
    program.chmod(0o755)
    result = shipped(project, f"runtime:{program}")
    assert result.returncode not in (0, 5)
    assert "E110" in result.stdout + result.stderr
    assert not list((project.root / "reports").glob("2*/junit*.xml"))


HELPFUL = """#!/bin/sh
# a runtime that does what it is asked to, but for `exec`: it prints its help and exits with 0
for word; do
    if [ "$word" = exec ]; then
        echo "NAME: runc - runs containers"
        echo "USAGE: runc [global options] command: $*"
        exit 0
    fi
done
exec {runc} "$@"
"""


def test_where_all_else_looks_good_the_nonce_decides(project, leased):
    """The control is the same case on the runtime that is asked for the truth: it passes there."""
    write(project, "good", {})
    # nothing of the output is judged: exit codes alone would be green
    write(project, "blind", {"Expect": [{"Step": "look", "From": "exit", "Equals": 0},
                                        {"Step": "boxA", "From": "state", "Equals": "running"}]})  # fmt: skip
    # what help would print is all that is asked for
    step = {"Name": "look", "Object": "boxA", "Cmd": ["echo", "hello ${nonce}"]}
    expect = {"Step": "look", "From": "stdout", "Contains": "hello ${nonce}"}
    write(project, "echoed", {"Run": [step], "Expect": [expect]})
    own = project.root / "own-runc"
    own.write_bytes(leased(TARGET).host.path("/usr/sbin/runc").read_bytes())
    own.chmod(0o755)
    helpful = project.root / "helpful-runc"
    helpful.write_text(HELPFUL.format(runc=own))
    helpful.chmod(0o755)

    def found(program):
        words = ("--library", "cases", "--engine", f"runtime:{program}")
        ended = project.seatrial("oct", "run", *words)
        return ended.returncode, {name.partition("[")[0]: one for name, one in verdicts(project).items()}

    code, honest = found(own)
    assert code == 0
    names = ("good", "blind", "echoed")
    assert {name: one.verdict.value for name, one in honest.items()} == dict.fromkeys(names, "PASS")
    code, helped = found(helpful)
    assert code == 1
    assert {name: one.verdict.value for name, one in helped.items()} == dict.fromkeys(honest, "FAIL")
    for name in ("blind", "echoed"):
        assert "it ended with 0, but nothing shows that it ran in the container" in helped[name].message, name

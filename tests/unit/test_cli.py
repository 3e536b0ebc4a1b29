"""The command without any engine: usage, errors, exit codes, and what it must not do."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest

from seatrial import cli, doctor
from seatrial.commands.claims import collect
from seatrial.errors import SeatrialError

NOBODY = 65534
VERBS = [
    "doctor", "audit", "lab", "lab up", "lab down", "lab list", "lab run", "clean", "claims", "report", "compare",
    "report junit-merge",
    "jenkins", "jenkins apply", "jenkins trigger", "jenkins collect", "jenkins verify-hook", "jenkins lint",
    "gitlab", "gitlab hook", "gitlab hook install", "gitlab hook test", "gitlab hook remove",
    "gitlab status", "gitlab note", "hook", "hook serve",
    "image", "image build", "image run", "image flags", "image stop",
    "oct", "oct validate", "oct import", "oct explain", "oct new", "oct schema", "oct list", "oct show", "oct run",
    "oct serve",
]  # fmt: skip


@pytest.fixture
def seatrial(tmp_path):
    """The command in a world of its own: no lab, no run, no engine's address."""
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "SEATRIAL_STATE": str(tmp_path / "state"),
        "SEATRIAL_DATA": str(tmp_path / "data"), "SEATRIAL_CACHE": str(tmp_path / "cache"),
    }  # fmt: skip
    if "PYTHONPATH" in os.environ:
        environment["PYTHONPATH"] = os.environ["PYTHONPATH"]

    def run(*args, **more):
        env = {**environment, **more.pop("env", {})}
        return subprocess.run(
            [sys.executable, "-m", "seatrial", *args], capture_output=True, text=True, timeout=60, env=env, **more
        )

    run.environment = environment
    return run


def assert_told(result, code, *words):
    """The form of every error: code, cause or hint, exit code 4, and no traceback."""
    assert result.returncode == 4, result.stdout + result.stderr
    assert f"\n{code}: " in f"\n{result.stderr}", result.stderr
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr


@pytest.mark.parametrize("verb", VERBS)
def test_help_has_a_sentence_examples_and_exit_codes(seatrial, verb):
    result = seatrial(*verb.split(), "--help")
    assert result.returncode == 0
    assert "exit codes:" in result.stdout
    assert verb in ("lab", "jenkins", "oct", "gitlab", "gitlab hook", "hook", "image") or "examples:" in result.stdout
    assert f"seatrial {verb}" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 110


def test_help_imports_nothing_heavy():
    script = "import sys; from seatrial.cli import parser; parser().format_help(); print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30
    ).stdout.split()
    heavy = {"rich", "pytest", "docker", "jsonschema", "jinja2", "hypothesis", "requests", "gitlab", "fastapi"}
    assert not (heavy | {"seatrial.exec"}) & set(loaded)


@pytest.mark.parametrize(
    ("words", "nearest"), [(["docter"], "doctor"), (["lab", "upp"], "up"), (["cleen"], "clean")]
)
def test_unknown_verb_names_the_nearest(seatrial, words, nearest):
    result = seatrial(*words)
    assert result.returncode == 4
    assert f"did you mean `{nearest}`?" in result.stderr
    assert result.stdout == ""


def test_unknown_verb_without_a_near_one_lists_all(seatrial):
    result = seatrial("zzzz")
    assert result.returncode == 4
    assert "there are: doctor, lab, clean" in result.stderr


@pytest.mark.parametrize(
    ("words", "code", "word"),
    [
        (["doctor", "dokcer@trixie"], "E102", "docker"),
        (["doctor", "docker@bookwrm"], "E102", "docker@bookworm"),
        (["doctor", "docker+unix:///nowhere/x.sock"], "E106", "/nowhere/x.sock"),
        (["doctor", "runtime:/nowhere/runc"], "E111", "/nowhere/runc"),
        (["lab", "up", "docker"], "E213", "docker@bookworm"),
        (["lab", "up", "nerdctl@sid"], "E201", "docker"),
        (["lab", "up", "docker@trixie/apparmor"], "E206", "docker@bookworm"),
        (["lab", "down"], "E507", "--all"),
        (["lab", "down", "docker@trixie"], "E210", "does not stand"),
        (["lab", "run", "docker@trixie", "--", "true"], "E210", "seatrial lab up docker@trixie"),
        (["lab", "run", "docker@trixie"], "E508", "no command"),
        (["report", "/nowhere"], "E314", "/nowhere"),
        (["compare", "/nowhere", "/nowhere"], "E314", "/nowhere"),
        (["claims", "/nowhere"], "E315", "/nowhere"),
        (["jenkins", "trigger", "job"], "E621", "JENKINS_URL"),
        (["hook", "serve", "--config", "/nowhere"], "E641", "/nowhere"),
        (["gitlab", "status", "p", "c", "failed", "--token-file", "/nowhere", "--gitlab", "x"], "E610", "/nowhere"),
        (["jenkins", "apply", "/nowhere"], "E613", "/nowhere"),
        (["jenkins", "trigger", "job", "--url", "ci"], "E611", "https://"),
        (["jenkins", "trigger", "job", "--url", "http://127.0.0.1:9", "--token-file", "/nowhere"], "E610", "/nowhere"),
        (["jenkins", "trigger", "job", "--url", "http://127.0.0.1:9", "-p", "x"], "E601", "refused"),
        (["oct", "explain", "OCT999"], "E701", "OCT999"),
        (["oct", "new", "/"], "E703", "letters"),
    ],
)
def test_mistakes_are_told_with_code_and_hint(seatrial, words, code, word):
    result = seatrial(*words)
    if code == "E106" and "E111" in result.stderr:
        pytest.skip("there is no docker command on this machine")
    assert_told(result, code, word)


def test_labs_need_root(seatrial):
    # the capability is for a python below /root
    caps = "+dac_read_search"
    result = subprocess.run(
        ["setpriv", "--reuid", str(NOBODY), "--clear-groups", f"--inh-caps={caps}", f"--ambient-caps={caps}",
         sys.executable, "-m", "seatrial", "lab", "up", "docker@trixie"],
        capture_output=True, text=True, timeout=60, env=seatrial.environment,
    )  # fmt: skip
    assert_told(result, "E202", "labs need root", "hint:")


def test_lab_list_of_nothing(seatrial):
    assert seatrial("lab", "list", "--json").stdout.strip() == "[]"
    assert "no lab stands" in seatrial("lab", "list").stdout


def test_doctor_prints_json_of_its_schema(seatrial):
    result = seatrial("doctor", "--json", env={"DOCKER_HOST": "unix:///nowhere.sock"})
    found = json.loads(result.stdout)
    jsonschema.validate(found, doctor.schema())
    assert {item["target"] for item in found["possible"]} >= {"docker", "podman@sid", "crun", "runsc@bookworm"}
    docker = next(item for item in found["possible"] if item["target"] == "docker")
    assert docker["state"] == "absent"
    assert docker["detail"]


def test_doctor_does_not_make_a_root_file_system_unasked(seatrial, tmp_path):
    result = seatrial("doctor", env={"DOCKER_HOST": "unix:///nowhere.sock"})
    assert result.returncode == 0, result.stderr
    assert not list((tmp_path / "cache").glob("rootfs/*"))


def test_doctor_schema_refuses_what_is_wrong():
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"harness": "1"}, doctor.schema())


def test_output_is_plain_where_it_is_no_terminal(seatrial):
    result = seatrial("doctor", env={"DOCKER_HOST": "unix:///nowhere.sock", "FORCE_COLOR": "", "COLUMNS": "80"})
    assert "\x1b" not in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "CONFIG_NAMESPACES" in result.stdout or "not readable" in result.stdout


def test_a_reader_that_goes_away_is_no_error(seatrial):
    process = subprocess.Popen(
        [sys.executable, "-m", "seatrial", "doctor", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**seatrial.environment, "DOCKER_HOST": "unix:///nowhere.sock"},
    )  # fmt: skip
    process.stdout.close()
    with process.stderr as stream:
        assert stream.read() == b""
    assert process.wait(30) == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupting_the_making_of_a_root_file_system_leaves_nothing(seatrial, tmp_path, number, code):
    tools = _fake_mmdebstrap(tmp_path, "mkdir -p $2; touch $2/half; sleep 600")
    process = subprocess.Popen(
        [sys.executable, "-m", "seatrial", "lab", "up", "docker@trixie"], stderr=subprocess.PIPE, text=True,
        env={**seatrial.environment, "PATH": f"{tools}:{os.environ['PATH']}"},
    )  # fmt: skip
    _until(lambda: list(tmp_path.glob("cache/rootfs/.*.partial/half")))
    process.send_signal(number)
    error = process.communicate(timeout=120)[1]
    assert process.returncode == code, error
    assert "Traceback" not in error
    assert [path.name for path in tmp_path.glob("cache/rootfs/*")] == [".trixie.lock"]
    assert not _running(str(tmp_path))


def test_killed_in_the_making_then_made_again(seatrial, tmp_path):
    tools = _fake_mmdebstrap(tmp_path, "mkdir -p $2/proc; mount -t tmpfs none $2/proc; touch $2/half; sleep 600")
    environment = {**seatrial.environment, "PATH": f"{tools}:{os.environ['PATH']}"}
    process = subprocess.Popen(
        [sys.executable, "-m", "seatrial", "lab", "up", "docker@trixie"], env=environment, stderr=subprocess.DEVNULL
    )
    _until(lambda: list(tmp_path.glob("cache/rootfs/.*.partial/half")))
    process.kill()
    process.wait()
    _until(lambda: not _running(str(tmp_path)))  # mmdebstrap goes with the harness
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
    _fake_mmdebstrap(tmp_path, "[ ! -e $2/half ] || exit 9; echo 'E: no such mirror' >&2; exit 1")
    result = seatrial("lab", "up", "docker@trixie", env={"PATH": environment["PATH"]})
    assert_told(result, "E203", "E: no such mirror", "SEATRIAL_MIRROR")
    assert not list(tmp_path.glob("cache/rootfs/.*partial"))


def _fake_mmdebstrap(tmp_path, body):
    tools = tmp_path / "tools"
    tools.mkdir(exist_ok=True)
    script = tools / "mmdebstrap"
    # its last arguments are SUITE DIRECTORY MIRROR
    script.write_text(f"#!/bin/bash\nset -- ${{@: -3}}\n{body}\n")
    script.chmod(0o755)
    return tools


def _running(word):
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word in path.read_text():
                found.append(path)
        except OSError:
            continue
    return found


def _until(condition, timeout=20):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def test_claims_are_collected_by_pytest(tmp_path, monkeypatch):
    suites = _suites(tmp_path, 'import pytest\n@pytest.mark.claim("a-1")\ndef test_x(): pass\n')
    monkeypatch.chdir(tmp_path)
    assert list(collect(suites)) == ["a-1"]


def test_claims_say_why_a_suite_cannot_be_collected(tmp_path, monkeypatch):
    suites = _suites(tmp_path, "import no_such_module\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SeatrialError) as told:
        collect(suites)
    assert told.value.code == "E308"
    assert "suites/x/test_x.py" in told.value.cause
    assert "no_such_module" in told.value.cause


def test_claims_prints_what_is_missing(seatrial, tmp_path):
    _suites(tmp_path, 'import pytest\n@pytest.mark.claim("a-1")\ndef test_x(): pass\n')
    result = seatrial("claims", "--json", cwd=tmp_path)
    area = json.loads(result.stdout)["areas"]["area"]
    assert result.returncode == 1, result.stderr
    assert list(area["tested"]) == ["a-1"]
    assert area["untested"] == {"a-2": "no time"}
    assert area["missing"] == ["a-3"]
    table = seatrial("claims", cwd=tmp_path).stdout
    assert ["area", "3", "1", "1", "1"] in [line.split() for line in table.splitlines()]
    assert "untested: no time" in table
    assert_told(seatrial("claims", "--area", "nowhere", cwd=tmp_path), "E316", "areas: area")


def _suites(root, test):
    suites = root / "suites"
    (suites / "x/claims").mkdir(parents=True)
    (suites / "x/test_x.py").write_text(test)
    rows = ["id\tlevel\tclaim\tsource\tuntested"]
    rows += [f"a-{number}\tMUST\tIt holds.\tsomewhere\t{'no time' if number == 2 else ''}" for number in (1, 2, 3)]
    (suites / "x/claims/area.tsv").write_text("\n".join(rows) + "\n")
    return suites


def test_a_file_that_this_machine_refuses_is_told_without_a_traceback(monkeypatch, capfd):
    def refuse(*_):
        raise PermissionError(13, "Permission denied", "/run/seatrial/runs")

    monkeypatch.setattr("seatrial.commands.clean.run", refuse)
    assert cli.main(["clean"]) == 4
    told = capfd.readouterr().err
    assert told.startswith("E405: this machine refuses a file /run/seatrial/runs\n  cause: Permission denied")

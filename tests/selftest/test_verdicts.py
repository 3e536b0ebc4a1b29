"""Every verdict, reached on a real engine through the whole way from test to report."""

import json
from pathlib import Path

import pytest

ENGINES = ("docker@bookworm", "podman@bookworm")

SUITE = """
@claim("m-must")
def test_passes(engine):
    assert engine.sh("echo hello").text == "hello"

@claim("m-must")
def test_fails(engine):
    assert engine.sh("echo hello").text == "bye"

@claim("m-must")
def test_wrong_exit_code(engine):
    engine.sh("exit 3")

@claim("m-should")
def test_breaks_a_should(engine):
    assert engine.sh("echo hello").text == "bye"

@claim("m-must")
@requires("windows")
def test_unsupported(engine):
    raise AssertionError("must not run")

@claim("m-must")
@requires("multi_host")
def test_lacks_a_machine(engine):
    raise AssertionError("must not run")

@claim("m-must")
@pytest.mark.slow
def test_slow(engine):
    raise AssertionError("must not run")

@claim("m-must")
@pytest.mark.parametrize("word", ["a", "b"])
def test_known(engine, word):
    assert engine.sh(f"echo {word}").text == "b"

@claim("m-must")
def test_harness_breaks(engine):
    {}["missing"]

@claim("m-must")
def test_cleans_up(engine):
    name = engine.name()
    engine.cli("run", "--detach", "--name", name, engine.image, "sleep", "60")
    engine.network()
    engine.volume()
    engine.cli("commit", name, engine.image_name())

@claim("m-must")
def test_has_tools(engine, toolbox):
    assert engine.once(toolbox, "fio", "--version").text.startswith("fio-")

@claim("m-must")
@pytest.mark.destructive
def test_destroys_what_is_not_the_users(engine):
    assert engine.facts["lab"]
"""
KNOWN = """\
engine = "docker"
version = "20.10"
[[known]]
test = "suites/mini/test_mini.py::test_known"
reason = "the engine says a instead of b"
link = "https://example.org/known"
says = "assert 'a' == 'b'"
"""
EXPECTED = {
    "test_passes": "PASS", "test_fails": "FAIL", "test_wrong_exit_code": "FAIL", "test_breaks_a_should": "WARN",
    "test_unsupported": "UNSUPPORTED", "test_lacks_a_machine": "SKIP", "test_slow": "DISABLED",
    "test_known[b]": "PASS", "test_harness_breaks": "ERROR", "test_cleans_up": "PASS",
    "test_has_tools": "PASS", "test_destroys_what_is_not_the_users": "PASS",
}  # fmt: skip


@pytest.mark.parametrize("workers", ["0", "2"])
def test_each_verdict_reaches_stream_and_reports(project, workers):
    project.write(SUITE)
    project.known(KNOWN)
    engines = [word for engine in ENGINES for word in ("--engine", engine)]
    ended = project.pytest("-n", workers, *engines)
    assert ended.returncode == 1, ended.stdout
    run = project.run
    assert run.complete
    assert run.footer.exit == 1
    assert run.footer.selected == len(run.results) == 2 * (len(EXPECTED) + 1)
    assert run.findings == [], run.findings
    for target in ENGINES:
        seen = {r.test.partition("::")[2]: r.verdict.value for r in run.results if r.target == target}
        known = "KNOWN" if target.startswith("docker") else "FAIL"
        assert seen == {**EXPECTED, "test_known[a]": known}
    passing = [r for r in run.results if r.known_passes]
    assert [(r.test, r.target) for r in passing] == [("suites/mini/test_mini.py::test_known[b]", ENGINES[0])]
    directory = project.directory
    junit = [f"junit-{engine}.xml" for engine in ENGINES]
    for name in ("index.html", "report.css", "report.md", "claims.json", *junit):
        assert (directory / name).stat().st_size > 0, name
    assert (project.root / "reports/latest").resolve() == directory
    for result in run.results:
        assert (directory / result.log).exists()
        assert bool(result.repro) == (result.verdict in ("FAIL", "WARN", "KNOWN")), result
    failed = next(r for r in run.results if r.test.endswith("test_wrong_exit_code"))
    script = (directory / failed.repro).read_text()
    assert "exit 3" in script
    assert "A container runs." in script
    assert project.labs() == []  # they went with their last lease


def test_what_stays_behind_is_a_finding(project):
    project.write(
        """
@claim("m-must")
def test_leaves_a_container(engine):
    engine.raw.cli("run", "--detach", "--name", "stray", engine.image, "sleep", "1000")
"""
    )
    ended = project.pytest("--engine", "docker@bookworm")
    assert ended.returncode == 1, ended.stdout
    kinds = {finding.message.split()[0] for finding in project.run.findings}
    assert {"container", "process", "mount", "cgroup", "network"} <= kinds
    assert "wrong" in ended.stdout.splitlines()[-8:][0] or "FAIL" in ended.stdout


def test_required_tests_that_did_not_run_close_the_gate(project):
    project.write(SUITE)
    (project.root / "required.txt").write_text(
        "# the gate\nsuites/mini/test_mini.py::test_passes\nsuites/mini/test_mini.py::test_slow\n"
    )
    gate = ("--engine", "docker@bookworm", "--required", "required.txt", "-k", "passes or slow")
    ended = project.pytest(*gate)
    assert ended.returncode == 6, ended.stdout
    assert [f.test for f in project.run.findings] == ["suites/mini/test_mini.py::test_slow"]
    ended = project.pytest(*gate, "--slow")
    assert ended.returncode == 1


def test_docker_s_own_lines(project):
    project.write(SUITE)
    ended = project.pytest("--engine", "docker@bookworm", "--format", "gocheck", "-n", "2", "-k", "passes or slow")
    assert ended.returncode == 0, ended.stdout
    lines = ended.stdout.splitlines()
    passed = [line for line in lines if line.startswith("PASS: test_mini.py:4: Mini.TestPasses ")]
    assert len(passed) == 1, lines
    assert passed[0].endswith("s")
    assert lines[-1] == "OK: 1 passed, 1 skipped"
    ended = project.pytest("--engine", "docker@bookworm", "--format", "gocheck", "--check.f", "Mini.TestFails")
    assert ended.stdout.splitlines()[-1] == "OOPS: 0 passed, 1 FAILED"


def test_nothing_selected_is_not_green(project):
    project.write(SUITE)
    ended = project.pytest("--engine", "docker@bookworm", "-k", "nonesuch")
    assert ended.returncode == 5
    assert project.run.footer.exit == 5
    assert "UNKNOWN" in ended.stdout


def test_repro_script_repeats_what_the_test_did(project):
    project.write(SUITE)
    project.pytest("--engine", "docker@bookworm", "-k", "wrong_exit_code")
    script = project.directory / project.run.results[0].repro
    assert project.seatrial("lab", "up", "docker@bookworm").returncode == 0
    again = project.seatrial("lab", "run", "docker@bookworm", "--", "sh", stdin=script.read_text())
    assert "exit 3" in again.stderr  # set -x shows the command
    assert again.returncode == 3


def test_claims_out_names_tests_by_claim(project):
    project.write(SUITE)
    ended = project.pytest("--collect-only", "-q", "--claims-out", "named.json")
    assert ended.returncode == 0
    named = json.loads((project.root / "named.json").read_text())["named"]
    assert named["m-should"] == ["suites/mini/test_mini.py::test_breaks_a_should"]
    assert "m-idle" not in named


def test_the_template_of_contributing_passes_and_is_red_without_what_it_does(project):
    guide = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text()
    template = guide.partition("```python\n")[2].partition("```")[0]
    claims = project.root / "suites/mini/claims/mini.tsv"
    claims.write_text(claims.read_text() + "cli-021\tMUST\tPause freezes.\thttps://example.org/pause\t\n")
    (project.root / "suites/mini/test_template.py").write_text(template)
    acts = [line for line in template.splitlines() if 'engine.cli("pause"' in line]
    assert len(acts) == 1
    (project.root / "suites/mini/test_idle.py").write_text(template.replace(acts[0], ""))
    ran = project.pytest("--engine", ENGINES[0], "--engine", ENGINES[1])
    assert ran.returncode == 1, ran.stdout
    found = {(result.test.partition("::")[0], result.target): result.verdict.value for result in project.run.results}
    assert found == {
        (f"suites/mini/test_{name}.py", target): verdict
        for name, verdict in (("template", "PASS"), ("idle", "FAIL")) for target in ENGINES
    }  # fmt: skip

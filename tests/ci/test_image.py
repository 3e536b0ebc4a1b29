"""The harness as an image: what is decided without an engine."""

import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from seatrial.ci import image
from seatrial.cli import main
from seatrial.errors import SeatrialError
from seatrial.lab import rootfs

ROOT = Path(__file__).parents[2]


class Outer:
    """An engine that answers as it is told: argument -> (exit code, standard output, standard error)."""

    host = object()

    def __init__(self, answers):
        self.answers, self.calls = answers, []

    def cli(self, *args, **_):
        self.calls.append(args)
        for words, (code, out, err) in self.answers.items():
            if set(words) <= set(args):
                return SimpleNamespace(ok=code == 0, code=code, text=out, stderr=err)
        return SimpleNamespace(ok=True, code=0, text="", stderr="")


def test_all_rights_where_they_can_be_had():
    assert image.flags(Outer({}), "x") == ("--privileged",)


def test_fewer_rights_where_not():
    outer = Outer({("--privileged",): (125, "", "docker: cannot apply caps\n")})
    found = image.flags(outer, "x")
    assert "--cap-drop=SYS_RESOURCE" in found
    assert "--privileged" not in found
    assert len(outer.calls) == 2


def test_no_rights_at_all_is_told_with_the_engines_words():
    outer = Outer({("run",): (125, "", "docker: no such image\n")})
    with pytest.raises(SeatrialError) as told:
        image.flags(outer, "x")
    assert told.value.code == "E653"
    assert "no such image" in told.value.cause


def test_a_container_that_stands_is_kept(tmp_path):
    outer = Outer({("image", "inspect"): (0, "sha256:1", ""), ("container", "inspect"): (0, "true sha256:1", "")})
    assert image.stand(outer, tmp_path, "x", lambda _: None) == tmp_path
    assert not [call for call in outer.calls if call[0] in ("run", "rm")]


@pytest.mark.parametrize("state", ["false sha256:1", "true sha256:0", ""])
def test_another_one_is_made_anew(tmp_path, state):
    outer = Outer({("image", "inspect"): (0, "sha256:1", ""), ("container", "inspect"): (0, state, "")})
    image.stand(outer, tmp_path, "x", lambda _: None)
    assert outer.calls[-1][:5] == ("run", "--detach", "--init", "--name", image.CONTAINER)
    assert f"{tmp_path}:/tmp" in outer.calls[-1]
    assert outer.calls[2][0] == "rm"


def test_without_an_image(tmp_path):
    with pytest.raises(SeatrialError) as told:
        image.stand(Outer({("image", "inspect"): (1, "", "")}), tmp_path, "x", lambda _: None)
    assert told.value.code == "E654"


def test_elsewhere_than_in_a_checkout(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["image", "build"]) == 4
    assert main(["image", "run"]) == 4
    assert capsys.readouterr().err.count("E655") == 2


def test_wheels_of_another_python_are_not_made(tmp_path, monkeypatch):
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/python3.99").touch()
    monkeypatch.setattr(rootfs, "location", lambda *_: tmp_path)
    with pytest.raises(SeatrialError) as told:
        image.wheels(tmp_path, "sid", lambda _: None)
    assert told.value.code == "E651"
    assert "python3.99" in told.value.cause


def test_a_build_from_a_base_image_uses_no_wheels_of_an_earlier_one(tmp_path):
    place = tmp_path / "container/wheels"
    place.mkdir(parents=True)
    (place / "old-1.0-cp39-cp39-linux_x86_64.whl").touch()
    (place / ".gitignore").touch()
    seen = []

    class Building(Outer):
        def cli(self, *args, **more):
            seen.append(sorted(path.name for path in place.iterdir()))
            return super().cli(*args, **more)

    image.build(Building({}), tmp_path, "bookworm", "x", "debian:bookworm", lambda _: None)
    assert seen == [[".gitignore"]]


def test_results_come_out_of_a_copy_and_only_they(tmp_path):
    place, checkout = tmp_path / "place", tmp_path / "checkout"
    (place / "build/junit").mkdir(parents=True)
    (place / "build/junit/junit-1.xml").write_text("x")
    (place / "src").mkdir()
    checkout.mkdir()
    image.bring_out(checkout, place)
    found = [str(path.relative_to(checkout)) for path in checkout.rglob("*") if path.is_file()]
    assert found == ["build/junit/junit-1.xml"]


@pytest.fixture
def checkout(tmp_path):
    """A repository with files that git knows, would take, and ignores."""
    root = tmp_path / "checkout"
    (root / "src").mkdir(parents=True)
    (root / "reports/1").mkdir(parents=True)
    for name, text in ((".gitignore", "reports/*/\nreports/latest\n"), ("src/known.py", "1"), ("src/removed.py", "1"),
                       ("reports/1/results.jsonl", "huge"), ("reports/list.toml", "1")):  # fmt: skip
        (root / name).write_text(text)
    (root / "link").symlink_to("src/known.py")
    (root / "reports/latest").symlink_to("1")
    subprocess.run(["git", "init", "-q"], cwd=root, check=True, timeout=30)
    subprocess.run(["git", "add", "--all"], cwd=root, check=True, timeout=30)
    (root / "src/new ü.py").write_text("1")
    (root / "src/removed.py").unlink()
    return root


def tree(root):
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir() or path.is_symlink())


def test_a_copy_holds_what_git_knows_and_is_brought_up_to_date(checkout, tmp_path):
    """Again and again, with links that point elsewhere by now; runs of this machine stay here."""
    place = tmp_path / "place"
    (place / "build/reports").mkdir(parents=True)
    (place / "build/reports/old").write_text("kept")
    files = [".gitignore", "build/reports/old", "link", "reports/list.toml", "src/known.py", "src/new ü.py"]
    image._refresh(checkout, place)
    assert tree(place) == files
    (place / "src/left.py").write_text("a test of a branch that was left")
    (checkout / "link").unlink()
    (checkout / "link").symlink_to("elsewhere")
    (checkout / "src/known.py").write_text("2")
    image._refresh(checkout, place)
    assert tree(place) == files
    assert (place / "link").readlink() == Path("elsewhere")
    assert (place / "src/known.py").read_text() == "2"


def test_results_come_out_again_and_again(tmp_path):
    place, checkout = tmp_path / "place", tmp_path / "checkout"
    for run in ("1", "2"):
        (place / "build/reports" / run).mkdir(parents=True)
        (place / "build/reports" / run / "index.html").write_text(run)
        (place / "build/reports/latest").unlink(missing_ok=True)
        (place / "build/reports/latest").symlink_to(run)
        image.bring_out(checkout, place)
        assert (checkout / "build/reports/latest").readlink() == Path(run)
    assert tree(checkout) == [
        "build/reports/1/index.html", "build/reports/2/index.html", "build/reports/latest",
    ]  # fmt: skip


def test_the_files_of_the_image_are_there_and_sound():
    dockerfile = (ROOT / "Dockerfile").read_text()
    copied = [word for line in dockerfile.splitlines() if line.startswith("COPY") for word in line.split()[1:-1]]
    assert len(copied) >= 5
    for name in copied:
        assert (ROOT / name).exists(), name
    assert dockerfile.index("ARG BASE_IMAGE") < dockerfile.index("FROM ${BASE_IMAGE}")
    script = ROOT / "container/seatrial-engine"
    assert subprocess.run(["sh", "-n", str(script)], timeout=10).returncode == 0
    refused = subprocess.run([str(script), "nothing"], capture_output=True, text=True, timeout=10)
    assert refused.returncode == 4
    assert "docker or podman" in refused.stderr


@pytest.fixture
def autotest(tmp_path):
    """A function that runs autotest.sh with programs of the test's own in place of engine and Python."""
    shutil.copy(ROOT / "autotest.sh", tmp_path)
    tools = tmp_path / "tools"
    tools.mkdir()

    def run(engine="exit 0", python="exit 0", **environment):
        for name, text in (("seatrial-engine", engine), ("python3", python)):
            (tools / name).write_text(f"#!/bin/sh\n{text}\n")
            (tools / name).chmod(0o755)
        return subprocess.run(
            ["bash", str(tmp_path / "autotest.sh")], capture_output=True, text=True, timeout=30,
            env={"PATH": f"{tools}:/usr/bin:/bin", **environment},
        )  # fmt: skip

    return run


@pytest.mark.parametrize(("mode", "code", "word"), [("nothing", 4, "is lint, unit"), ("quick", 1, "")])
def test_autotest_refuses_what_it_does_not_know_and_is_red_without_an_engine(autotest, mode, code, word):
    ran = autotest(engine="exit 1", SEATRIAL_AUTOTEST=mode)
    assert ran.returncode == code
    assert word in ran.stderr


def test_autotest_hands_quoted_words_on_as_one(autotest):
    ran = autotest(python='for word; do echo "<$word>"; done', SEATRIAL_ARGS="-k 'memory or pids' --slow", N="2",
                   SEATRIAL_ENGINE="podman")  # fmt: skip
    words = ran.stdout.split("\n")
    assert "<memory or pids>" in words
    assert words[words.index("<--engine>") + 1] == "<podman>"
    assert words[words.index("<-n>") + 1] == "<2>"


def test_autotest_that_tested_nothing_is_red(autotest):
    ran = autotest()
    assert ran.returncode == 5
    assert "nothing was tested" in ran.stderr


CALLS = """echo "$3 $4 $5 $6 $7 $8"
case "$3" in
stress) mkdir -p build/reports/20260101-"$4" && echo "<testsuite/>" >build/reports/20260101-"$4"/junit-x.xml ;;
esac
[ "$4" != "$FAILS" ]
"""


@pytest.mark.parametrize(("fails", "code"), [("", 0), ("churn", 1), ("soak", 1)])
def test_the_system_stage_runs_the_slow_tests_and_then_each_load(autotest, fails, code):
    """Their JUnit goes with the rest; what an earlier load shows does not keep a later one from running."""
    ran = autotest(python=CALLS, SEATRIAL_AUTOTEST="system", SEATRIAL_ENGINE="podman", FAILS=fails)
    assert ran.returncode == code, ran.stderr
    slow, *loads, merged = ran.stdout.splitlines()
    assert slow.startswith("suites ")
    assert loads == ["stress churn --duration 2m --engine podman", "stress soak --duration 20m --engine podman"]
    assert merged.startswith("report junit-merge --out build/junit")


def test_other_loads_can_be_named(autotest):
    ran = autotest(python=CALLS, SEATRIAL_AUTOTEST="system", SEATRIAL_LOADS="mixed=30s", FAILS="")
    assert "stress mixed --duration 30s --engine docker" in ran.stdout.splitlines()
    assert "soak" not in ran.stdout

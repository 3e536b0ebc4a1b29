"""Self-tests run small suites as a user would, with labs apart from everybody else's."""

import json
import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from seatrial import results

PYPROJECT = """\
[tool.pytest]
strict = true
addopts = ["-p", "no:cacheprovider", "--import-mode=importlib"]
timeout = "120"
"""
CLAIMS = """\
id\tlevel\tclaim\tsource\tuntested
m-must\tMUST\tA container runs.\thttps://example.org/run\t
m-should\tSHOULD\tA container should run.\thttps://example.org/run\t
m-idle\tDOC\tNobody looks at this.\thttps://example.org/idle\tfor want of time
"""


def _places():
    token = secrets.token_hex(3)
    return {"SEATRIAL_STATE": f"/run/seatrial-self-{token}", "SEATRIAL_DATA": f"/var/lib/seatrial-self-{token}"}


@pytest.fixture(scope="module")
def places():
    """State and data directories of this module alone; everything in them is taken down afterwards."""
    chosen = _places()
    yield chosen
    environment = {**os.environ, **chosen}
    subprocess.run([sys.executable, "-m", "seatrial", "lab", "down", "--all"], env=environment, timeout=120)
    subprocess.run([sys.executable, "-m", "seatrial", "clean"], env=environment, check=True, timeout=120)
    for path in chosen.values():
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def leased():
    """A function that returns the driver of a shared lab engine; its lease ends with the session."""
    from seatrial import runs
    from seatrial.engines import drivers
    from seatrial.lab import labs
    from seatrial.names import new_run_id
    from seatrial.targets import parse

    lease = new_run_id()
    held = {}

    def driver(text):
        lab = held[text] = labs.acquire(parse(text), lease)
        return drivers.in_lab(parse(text), lab)

    with runs.begun(lease, Path(), []):  # else `seatrial clean` would take the lease for a dead run's
        yield driver
        for lab in held.values():
            labs.release(lab.name, lease)


class Project:
    """A directory with a suite of its own, and a way to run pytest in it."""

    def __init__(self, root: Path, places: dict[str, str]) -> None:
        self.root = root
        self.environment = {**{k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}, **places}
        (root / "suites/mini/claims").mkdir(parents=True)
        (root / "pyproject.toml").write_text(PYPROJECT)
        (root / "suites/mini/claims/mini.tsv").write_text(CLAIMS)

    def write(self, text: str) -> None:
        (self.root / "suites/mini/test_mini.py").write_text(
            "import pytest, time\nclaim, requires = pytest.mark.claim, pytest.mark.requires\n" + text
        )

    def known(self, text: str, name: str = "mini") -> None:
        directory = self.root / "reports/known"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"{name}.toml").write_text(text)

    def argv(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "pytest", "suites", *args]

    def start(self, *args: str) -> subprocess.Popen:
        return subprocess.Popen(
            self.argv(*args), cwd=self.root, env=self.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def pytest(self, *args: str, timeout: float = 150) -> subprocess.CompletedProcess:
        return subprocess.run(
            self.argv(*args), cwd=self.root, env=self.environment, capture_output=True, text=True, timeout=timeout
        )

    def seatrial(self, *args: str, stdin: str | None = None) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-m", "seatrial", *args], cwd=self.root, env=self.environment,
            capture_output=True, text=True, timeout=120, input=stdin,
        )  # fmt: skip

    @property
    def directory(self) -> Path:
        """The newest run's directory."""
        streams = (self.root / "reports").glob("2*/results.jsonl")
        return max(stream.parent for stream in streams).resolve()

    @property
    def run(self) -> results.Run:
        return results.read(self.directory / "results.jsonl")

    def verdicts(self) -> dict[str, str]:
        return {result.test.partition("::")[2]: result.verdict.value for result in self.run.results}

    def leases(self) -> set[str]:
        return {lease for lab in self.labs() for lease in lab["leases"]}

    def labs(self) -> list[dict]:
        files = Path(self.environment["SEATRIAL_STATE"], "labs").glob("*.json")
        return [json.loads(path.read_text()) for path in files]


@pytest.fixture
def project(tmp_path, places):
    return Project(tmp_path, places)

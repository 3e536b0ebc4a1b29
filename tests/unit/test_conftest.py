import os
import site
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_without_the_package_one_sentence_tells_what_to_do(tmp_path):
    for entry in Path(site.getsitepackages()[0]).iterdir():
        if "seatrial" not in entry.name and entry.suffix != ".pth":
            (tmp_path / entry.name).symlink_to(entry)
    ended = subprocess.run(
        [sys.executable, "-S", "-m", "pytest", "suites/", "--engine", "docker"],
        cwd=ROOT, env={"PYTHONPATH": str(tmp_path), "PATH": os.environ["PATH"]}, capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip
    assert ended.returncode == 4
    told = (ended.stdout + ended.stderr).strip().splitlines()
    assert len(told) == 1, told
    assert "make setup" in told[0]
